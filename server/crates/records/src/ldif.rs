//! Reads the entries of a directory, as written by `ldapsearch` and `slapcat`, in LDIF (RFC 2849).
//!
//! An entry becomes a JSON object of texts, with `dn` as a member; an attribute with several values becomes a list. A
//! value that is not UTF-8, such as a photo, stays Base64 and gets `;base64` after its name: `jpegPhoto;base64`.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr;

use super::error::{ReadError, RowProblem};
use super::input::TextInput;
use super::limits::MAX_IMPORTED_ROW_BYTES;
use super::row_reader::Record;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Attributes of the result of a search, which `ldapsearch` writes after the entries.
const RESULT_ATTRIBUTES: [&str; 6] = ["search", "result", "ref", "control", "matchedDN", "text"];

/// Reads the entries of an LDIF file as JSON.
pub struct LdifReader {
    input: TextInput,
    rows: u64,
    /// The current line, without the breaks within it.
    line: Vec<u8>,
    /// The line is longer than the limit.
    is_long: bool,
}

/// The attributes of the current entry, in the order of their first values.
#[derive(Default)]
struct Entry {
    attributes: Vec<(String, Vec<String>)>,
    bytes: usize,
    problem: Option<RowProblem>,
}

impl LdifReader {
    /// Reads from the beginning of the file.
    pub fn new(input: TextInput) -> Self {
        Self { input, rows: 0, line: Vec::new(), is_long: false }
    }

    /// The file.
    pub fn input(&self) -> &TextInput {
        &self.input
    }

    /// Returns whether the file has been read completely.
    pub fn is_exhausted(&mut self) -> bool {
        self.input.is_exhausted()
    }

    /// Reads the next entry and converts it to JSON; `false` at the end of the file.
    pub fn next(&mut self, row: &mut Record) -> Result<bool, ReadError> {
        row.clear();
        loop {
            let Some(entry) = self.read_entry(row)? else { return Ok(false) };
            if entry.is_result() {
                continue;
            }
            self.rows += 1;
            row.number = self.rows;
            row.bytes.clear();
            if entry.problem.is_some() {
                row.problem = entry.problem;
            } else {
                entry.write(&mut row.bytes).map_err(ReadError::Source)?;
            }
            return Ok(true);
        }
    }

    /// Reads lines up to the next blank one after an entry; `None` at the end of the file.
    fn read_entry(&mut self, row: &mut Record) -> Result<Option<Entry>, ReadError> {
        let mut entry: Option<Entry> = None;
        while let Some(number) = self.read_line()? {
            if self.line.is_empty() {
                if entry.is_some() {
                    break;
                }
                continue;
            }
            if self.line.starts_with(b"#") {
                continue;
            }
            if entry.is_none() && self.line.to_ascii_lowercase().starts_with(b"version:") {
                continue;
            }
            if entry.is_none() {
                (row.line, row.column) = (number, 1);
            }
            let entry = entry.get_or_insert_default();
            entry.bytes += self.line.len();
            if self.is_long || entry.bytes > MAX_IMPORTED_ROW_BYTES {
                entry.fail(RowProblem::TooLong(MAX_IMPORTED_ROW_BYTES));
            } else {
                entry.add_line(&self.line, number);
            }
        }
        Ok(entry)
    }

    /// Reads the next line with its continuations, which start with a space. Returns its number; `None` at the end of
    /// the file.
    fn read_line(&mut self) -> Result<Option<u64>, ReadError> {
        let number = self.input.position().line;
        self.line.clear();
        self.is_long = false;
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        loop {
            self.append_physical_line()?;
            if self.line.is_empty() || self.input.fill_buf()?.first() != Some(&b' ') {
                return Ok(Some(number));
            }
            self.input.advance(1)?;
        }
    }

    /// Appends the bytes up to the end of the physical line.
    fn append_physical_line(&mut self) -> Result<(), ReadError> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = memchr(b'\n', buffer);
            let part = end.and_then(|at| buffer.get(..at)).unwrap_or(buffer);
            let room = MAX_IMPORTED_ROW_BYTES - self.line.len();
            self.is_long |= part.len() > room;
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let taken = end.map_or(buffer.len(), |at| at + 1);
            self.input.advance(taken)?;
            if end.is_some() || taken == 0 {
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(());
            }
        }
    }
}

impl Entry {
    /// Keeps the first problem.
    fn fail(&mut self, problem: RowProblem) {
        self.problem.get_or_insert(problem);
    }

    fn add_line(&mut self, line: &[u8], number: u64) {
        let Some((name, value)) = memchr(b':', line).and_then(|at| line.split_at_checked(at)) else {
            return self.fail(RowProblem::LdifLine(number));
        };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b';' | b'.' | b'_');
        let (Ok(name), Some(value)) = (std::str::from_utf8(name), value.get(1..)) else {
            return self.fail(RowProblem::LdifLine(number));
        };
        if name.is_empty() || !name.as_bytes().iter().all(is_name) {
            return self.fail(RowProblem::LdifLine(number));
        }
        match value.first() {
            Some(b'<') => self.fail(RowProblem::LdifUrl(number)),
            Some(b':') => {
                let encoded = value.get(1..).unwrap_or_default().trim_ascii();
                match BASE64.decode(encoded).map(String::from_utf8) {
                    Err(_) => self.fail(RowProblem::LdifBase64(number)),
                    Ok(Ok(text)) => self.add(name, text),
                    Ok(Err(_)) => {
                        self.add(&format!("{name};base64"), String::from_utf8_lossy(encoded).into_owned());
                    }
                }
            }
            _ => match std::str::from_utf8(value.trim_ascii_start()) {
                Ok(text) => self.add(name, text.to_owned()),
                Err(_) => self.fail(RowProblem::Encoding),
            },
        }
    }

    /// Adds a value to the attribute of this name, which may be written in any case.
    fn add(&mut self, name: &str, value: String) {
        if name.eq_ignore_ascii_case("changetype") {
            if !value.trim().eq_ignore_ascii_case("add") {
                self.fail(RowProblem::LdifChange(value.chars().take(20).collect()));
            }
            return;
        }
        match self.attributes.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(value),
            None => self.attributes.push((name.to_owned(), vec![value])),
        }
    }

    /// Returns whether these are lines about a search instead of an entry.
    fn is_result(&self) -> bool {
        let is_known = |name: &str| RESULT_ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.problem.is_none() && self.attributes.iter().all(|(name, _)| is_known(name))
    }

    fn write(&self, output: &mut Vec<u8>) -> std::io::Result<()> {
        output.push(b'{');
        for (at, (name, values)) in self.attributes.iter().enumerate() {
            if at > 0 {
                output.push(b',');
            }
            serde_json::to_writer(&mut *output, name)?;
            output.push(b':');
            match values.as_slice() {
                [only] => serde_json::to_writer(&mut *output, only)?,
                values => serde_json::to_writer(&mut *output, values)?,
            }
        }
        output.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use base64::engine::general_purpose;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::layout::Layout;
    use super::super::read_options::ReadOptions;
    use super::*;

    /// Returns line and value of each entry, or its problem.
    fn entries(content: &[u8]) -> Vec<(u64, Result<Value, RowProblem>)> {
        let mut input = TextInput::open(Box::new(Cursor::new(content.to_vec())), &ReadOptions::default()).unwrap();
        assert_eq!(input.detect_layout().unwrap(), Layout::Ldif);
        let mut reader = LdifReader::new(input);
        let mut row = Record::default();
        let mut entries = Vec::new();
        while reader.next(&mut row).unwrap() {
            let value = match row.problem.take() {
                Some(problem) => Err(problem),
                None => Ok(serde_json::from_slice(&row.bytes).unwrap()),
            };
            entries.push((row.line, value));
        }
        entries
    }

    #[test]
    fn entries_become_objects_of_texts() {
        let content = "# extended LDIF\r\n#\r\nversion: 1\r\n\r\n\
            # ada, people\r\ndn: uid=ada,ou=people,\r\n dc=example,dc=com\r\nobjectClass: top\r\nobjectclass: inetOrgPerson\r\n\
            cn:: QWRhIE3DvGxsZXI=\r\ndescription:\r\nuserPassword:: e1NTSEF9MDEyMzQ=\r\njpegPhoto:: /9j/4A==\r\n\r\n\r\n\
            dn: uid=bob\r\nchangetype: add\r\nmail: bob@example.com\r\n# a comment\r\n  over two lines\r\n\r\n\
            # search result\r\nsearch: 2\r\nresult: 0 Success\r\n";
        assert_eq!(
            entries(content.as_bytes()),
            [
                (
                    6,
                    Ok(json!({
                        "dn": "uid=ada,ou=people,dc=example,dc=com", "objectClass": ["top", "inetOrgPerson"],
                        "cn": "Ada Müller", "description": "", "userPassword": "{SSHA}01234", "jpegPhoto;base64": "/9j/4A==",
                    }))
                ),
                (16, Ok(json!({ "dn": "uid=bob", "mail": "bob@example.com" }))),
            ]
        );
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_a_problem_of_that_entry() {
        let content = "dn: a\nphoto:< file:///etc/passwd\n\ndn: b\nno colon\n\ndn: c\ncn:: $$$\n\ndn: d\nchangetype: modify\n\
            replace: mail\nmail: x\n-\n\ndn: e\nmail: e@example.com\n";
        assert_eq!(
            entries(content.as_bytes()),
            [
                (1, Err(RowProblem::LdifUrl(2))),
                (4, Err(RowProblem::LdifLine(5))),
                (7, Err(RowProblem::LdifBase64(8))),
                (10, Err(RowProblem::LdifChange("modify".to_owned()))),
                (16, Ok(json!({ "dn": "e", "mail": "e@example.com" }))),
            ]
        );
    }

    #[test]
    fn too_large_an_entry_is_a_problem_of_that_entry() {
        let long = format!("dn: a\nx: {}\n\ndn: b\n", "x".repeat(MAX_IMPORTED_ROW_BYTES));
        let found = entries(long.as_bytes());
        assert_eq!(found[0], (1, Err(RowProblem::TooLong(MAX_IMPORTED_ROW_BYTES))));
        assert_eq!(found[1], (4, Ok(json!({ "dn": "b" }))));
    }

    /// Writes an attribute as RFC 2849 prescribes, in lines of at most this width.
    fn write_attribute(name: &str, value: &str, width: usize) -> String {
        let is_safe = value.is_ascii()
            && !value.contains(['\n', '\r', '\0'])
            && !value.starts_with([' ', ':', '<'])
            && !value.ends_with(' ');
        let line = if is_safe {
            format!("{name}: {value}")
        } else {
            format!("{name}:: {}", general_purpose::STANDARD.encode(value))
        };
        let mut text = String::new();
        for (at, letter) in line.chars().enumerate() {
            if at > 0 && at % width == 0 {
                text.push_str("\n ");
            }
            text.push(letter);
        }
        text + "\n"
    }

    proptest! {
        #[test]
        fn entries_are_read_as_written(
            values in prop::collection::vec(prop::collection::vec("[ -~é\n\r:<]{0,30}", 1..4), 1..6),
            width in 8_usize..40,
        ) {
            let mut text = "version: 1\n".to_owned();
            let mut expected = Vec::new();
            for (at, values) in values.iter().enumerate() {
                let dn = format!("uid={at},dc=example");
                text.push('\n');
                text += &write_attribute("dn", &dn, width);
                for value in values {
                    text += &write_attribute("description", value, width);
                }
                let value = if let [only] = values.as_slice() { json!(only) } else { json!(values) };
                expected.push(json!({ "dn": dn, "description": value }));
            }
            let found: Vec<Value> = entries(text.as_bytes()).into_iter().map(|(_, value)| value.unwrap()).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in "(dn: |[a-z:<# =\n\r-]){0,60}") {
            entries(format!("dn: x\n{text}").as_bytes());
        }
    }
}
