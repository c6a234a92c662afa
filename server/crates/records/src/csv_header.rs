//! What is before and in the header of a CSV file: lines of other programs, technical names in brackets, and whether
//! the first record is a header at all.

use std::ops::Range;

use uie_core::message::{Message, message};

use super::input::BYTE_ORDER_MARK;

/// Maximum number of lines before the header.
const MAX_LINES: usize = 20;

/// A line that is not a record, and was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedLine {
    /// Its number.
    pub line: u64,
    /// What it is.
    pub kind: SkippedKind,
}

/// The kind of a skipped line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkippedKind {
    /// `#TYPE …`, which PowerShell writes.
    PowerShellType,
    /// `version:v1.0`, which Microsoft Entra ID writes.
    Version,
    /// A line without cells that have a value.
    Blank,
    /// A title above the table.
    Title,
    /// The header again, as in files that were put one after the other.
    RepeatedHeader,
}

impl SkippedLine {
    /// Returns a remark about the line.
    pub fn describe(&self) -> Message {
        let line = self.line;
        match self.kind {
            SkippedKind::PowerShellType => message!("Line {line} was skipped: PowerShell writes it before the header."),
            SkippedKind::Version => message!("Line {line} was skipped: it is the version of a template."),
            SkippedKind::Blank => message!("Line {line} was skipped: it has no values."),
            SkippedKind::Title => message!("Line {line} was skipped: it is a title above the header."),
            SkippedKind::RepeatedHeader => message!("Line {line} was skipped: it is the header again."),
        }
    }
}

/// The lines at the start of a file that are neither the header nor a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Preamble {
    /// Number of their bytes.
    pub(crate) length: usize,
    /// The delimiter that one of them declares.
    pub(crate) delimiter: Option<u8>,
    /// The lines to be remarked, counted from 0.
    pub(crate) skipped: Vec<(u64, SkippedKind)>,
}

impl Preamble {
    /// Finds the lines that programs write before the header.
    pub(crate) fn detect(sample: &[u8]) -> Self {
        let mut preamble = Self::default();
        let mut blank = Vec::new();
        for number in 0..MAX_LINES as u64 {
            let rest = sample.get(preamble.length..).unwrap_or_default();
            let mark = if rest.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            preamble.length += mark;
            let rest = rest.get(mark..).unwrap_or_default();
            let Some(line) = line_range(rest) else { break };
            let length = line.end + line_end_length(rest.get(line.end..).unwrap_or_default());
            let text = rest.get(line).unwrap_or_default();
            if let Some(delimiter) = declared_delimiter(text) {
                preamble.delimiter = Some(delimiter);
            } else if starts_with_ignoring_case(text, b"#TYPE ") || starts_with_ignoring_case(text, b"\"#TYPE ") {
                preamble.skipped.push((number, SkippedKind::PowerShellType));
            } else if is_version(text) {
                preamble.skipped.push((number, SkippedKind::Version));
            } else if text.iter().all(|byte| is_separator(*byte)) {
                if !text.trim_ascii().is_empty() {
                    blank.push((number, SkippedKind::Blank));
                }
            } else {
                preamble.skipped.append(&mut blank);
                preamble.skipped.sort_by_key(|(line, _)| *line);
                return preamble;
            }
            preamble.length += length;
        }
        preamble
    }
}

/// Returns the first line without its end; `None` if the text is empty.
fn line_range(text: &[u8]) -> Option<Range<usize>> {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    (!text.is_empty()).then_some(0..end)
}

fn line_end_length(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [] => 0,
        _ => 1,
    }
}

fn starts_with_ignoring_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'\t' | b'|' | b' ' | b'"')
}

/// Returns whether a line has the only cell `version:v1.0`.
fn is_version(line: &[u8]) -> bool {
    let is_end = |byte: &u8| is_separator(*byte);
    let start = line.iter().position(|byte| !is_end(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_end(byte)).map_or(start, |at| at + 1);
    let cell = line.get(start..end).unwrap_or_default();
    starts_with_ignoring_case(cell, b"version:v")
        && cell
            .get(9..)
            .is_some_and(|rest| !rest.is_empty() && rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
}

/// Returns the delimiter declared in a line `sep=;`, as Excel reads and writes it.
fn declared_delimiter(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii_end();
    match line {
        [start @ .., delimiter] if start.eq_ignore_ascii_case(b"sep=") => {
            let is_delimiter = delimiter.is_ascii() && !delimiter.is_ascii_alphanumeric() && *delimiter != b'"';
            is_delimiter.then_some(*delimiter)
        }
        // The tab was trimmed.
        line if line.eq_ignore_ascii_case(b"sep=") => Some(b'\t'),
        _ => None,
    }
}

/// Returns the number of records at the start that are titles above the header: they have one cell with a value, and a
/// header with known names follows.
pub(crate) fn count_titles(records: &[csv::ByteRecord], is_known: &dyn Fn(&str) -> bool) -> usize {
    let filled = |record: &csv::ByteRecord| record.iter().filter(|cell| !cell.trim_ascii().is_empty()).count();
    let has_known = |record: &csv::ByteRecord| {
        record.iter().any(|cell| std::str::from_utf8(cell).is_ok_and(|cell| is_known(technical_name(cell.trim()))))
    };
    let titles = records.iter().take(MAX_LINES).take_while(|record| filled(record) <= 1 && !has_known(record)).count();
    match records.get(titles) {
        Some(header) if filled(header) > 1 && has_known(header) => titles,
        _ => 0,
    }
}

/// Returns the name of a column without the description around it: `givenName` for `First name [givenName] Required`.
pub(crate) fn technical_name(name: &str) -> &str {
    let inside = name.split_once(" [").and_then(|(title, rest)| {
        let (inside, after) = rest.split_once(']')?;
        let is_note = matches!(after.trim().to_ascii_lowercase().as_str(), "" | "required" | "optional");
        (!title.contains(['[', '"']) && is_note).then_some(inside)
    });
    let is_name = |inside: &&str| {
        inside.starts_with(|c: char| c.is_ascii_alphabetic())
            && inside.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    inside.filter(is_name).unwrap_or(name)
}

/// Returns whether a record is a user instead of a header: it contains a value that is no name, such as an e-mail
/// address, and no known name.
pub(crate) fn is_user(record: &csv::ByteRecord, is_known: &dyn Fn(&str) -> bool) -> bool {
    let cells = || record.iter().filter_map(|cell| std::str::from_utf8(cell).ok()).map(str::trim);
    record.len() > 1 && !cells().any(is_known) && cells().any(is_value)
}

/// Returns whether a cell is certainly a value: an e-mail address, an id, a time, a hash or a phone number.
fn is_value(cell: &str) -> bool {
    let is_address = cell.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !cell.contains([' ', '(', '[']) && !domain.ends_with('.')
    });
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let is_time = cell.len() >= 19 && digits >= 14 && cell.as_bytes().get(4) == Some(&b'-');
    let is_id = cell.len() == 36 && cell.bytes().filter(|byte| *byte == b'-').count() == 4 && digits > 0;
    let is_phone = cell.starts_with('+') && digits >= 7;
    let is_crypt = ["$2a$", "$2b$", "$2y$", "$argon2", "$pbkdf2", "$scrypt$", "$P$", "$6$", "{SSHA", "pbkdf2_sha"]
        .iter()
        .any(|prefix| cell.starts_with(prefix));
    is_address || is_time || is_id || is_phone || is_crypt
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn preamble(text: &str) -> (usize, Option<u8>, Vec<(u64, SkippedKind)>) {
        let Preamble { length, delimiter, skipped } = Preamble::detect(text.as_bytes());
        (length, delimiter, skipped)
    }

    #[test]
    fn lines_of_other_programs_are_found_before_the_header() {
        for (text, header, delimiter, skipped) in [
            ("email,name\n", "email", None, vec![]),
            ("#TYPE Selected.User\r\n\"email\",\"name\"\r\n", "\"email", None, vec![(0, SkippedKind::PowerShellType)]),
            ("version:v1.0,,,\nName,Mail\n", "Name", None, vec![(0, SkippedKind::Version)]),
            ("\"version:v1.0\"\rName,Mail\r", "Name", None, vec![(0, SkippedKind::Version)]),
            ("sep=;\r\nemail;name\r\n", "email", Some(b';'), vec![]),
            ("sep=\t\r\nemail\tname\r\n", "email", Some(b'\t'), vec![]),
            ("\u{FEFF}\n,,,\nemail,name\n", "email", None, vec![(1, SkippedKind::Blank)]),
            ("sep=,\n\u{FEFF}email,name\n", "email", Some(b','), vec![]),
            ("version:one\n", "version", None, vec![]),
            ("SEP=x\n", "SEP", None, vec![]),
        ] {
            let (length, found, lines) = preamble(text);
            assert!(text[length..].starts_with(header), "{text:?}: {length}");
            assert_eq!((found, lines), (delimiter, skipped), "{text:?}");
        }
    }

    #[test]
    fn technical_names_are_in_brackets() {
        for (name, technical) in [
            ("First name [givenName]", "givenName"),
            ("User name [userPrincipalName] Required", "userPrincipalName"),
            ("user_metadata[\"favourite colour\"]", "user_metadata[\"favourite colour\"]"),
            ("mfa_factors[0].phone.value", "mfa_factors[0].phone.value"),
            ("Score [0]", "Score [0]"),
            ("Name [x] and more", "Name [x] and more"),
            ("email", "email"),
        ] {
            assert_eq!(technical_name(name), technical);
        }
    }

    #[test]
    fn a_user_is_distinguished_from_a_header() {
        let is_known = |name: &str| name == "email";
        for (cells, expected) in [
            (vec!["L1", "ada@example.com", "true"], true),
            (vec!["9b2d1c9e-5b1c-4e0e-9a53-0a0d1b1f7c11", "Ada"], true),
            (vec!["Ada", "$2b$10$abcdefghijklmnopqrstuv"], true),
            (vec!["Ada", "2024-01-01T00:00:00Z"], true),
            (vec!["email", "ada@example.com"], false),
            (vec!["Mail", "Name", "Work phone"], false),
            (vec!["E-Mail (user@example.com)", "Name"], false),
            (vec!["ada@example.com"], false),
        ] {
            assert_eq!(is_user(&csv::ByteRecord::from(cells.clone()), &is_known), expected, "{cells:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in "(sep=|#TYPE |version:v1|[,;\"\n\r a\u{FEFF}é])*") {
            let found = Preamble::detect(text.as_bytes());
            prop_assert!(found.length <= text.len());
            let _ = technical_name(&text);
        }
    }
}
