//! Detects the layout of the rows in a file, and advances to the first row.

use super::array::{Expected, ValueEnd};
use super::error::ReadError;
use super::input::TextInput;
use super::json_shape::{JsonShape, detect_shape, is_user_list};
use uie_core::message::{Message, message};

/// Number of bytes from which the layout is detected.
const SAMPLE_BYTES: usize = 64 << 10;

/// Maximum length of the name of a member, in bytes of JSON.
const MAX_NAME_BYTES: usize = 4 << 10;

/// The layout of the rows in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON array.
    Array,
    /// One JSON object, of which a member is the array.
    Member,
    /// JSON values one after the other, on one or several lines each, with or without commas between them.
    Sequence,
    /// One JSON value per line.
    Lines,
    /// A header and records of cells.
    Csv,
    /// Entries of a directory (RFC 2849).
    Ldif,
}

impl Layout {
    /// Returns whether the rows are JSON values that are found by their brackets and quotes.
    pub fn is_bracketed(self) -> bool {
        matches!(self, Self::Array | Self::Member | Self::Sequence)
    }
}

impl TextInput {
    /// Skips white space and detects the layout by the content after it. Consumes the `[` of an array, and an object up
    /// to the array of users in it. Fails if there is no content, or content that is no users.
    pub fn detect_layout(&mut self) -> Result<Layout, ReadError> {
        match self.skip_space()? {
            None => Err(ReadError::NoContent),
            Some(b'{') => {
                let (sample, is_complete) = self.sample(SAMPLE_BYTES);
                match detect_shape(&sample, is_complete) {
                    JsonShape::Lines => Ok(Layout::Lines),
                    JsonShape::Sequence => Ok(Layout::Sequence),
                    JsonShape::Member(name) => self.seek_member(&|member| member == name),
                    JsonShape::LaterMember => self.seek_member(&is_user_list),
                    JsonShape::SeveralLists(lists) => Err(ReadError::NoUserList { line: self.position().line, lists }),
                }
            }
            Some(b'[') => {
                self.advance(1)?;
                match self.skip_space()? {
                    Some(b'[') => Err(ReadError::NestedArrays(self.position().line)),
                    _ => Ok(Layout::Array),
                }
            }
            Some(byte) => match detect_non_text(byte) {
                Some(kind) => Err(ReadError::NotRecords { kind, line: self.position().line }),
                None if is_ldif(&self.sample(SAMPLE_BYTES).0) => Ok(Layout::Ldif),
                None => Ok(Layout::Csv),
            },
        }
    }

    /// Reads an object up to the `[` of the first member that `is_wanted`, and consumes that too. Fails if there is no
    /// such member.
    fn seek_member(&mut self, is_wanted: &dyn Fn(&str) -> bool) -> Result<Layout, ReadError> {
        let start = self.position().line;
        let mut lists = Vec::new();
        // The opening brace.
        self.advance(1)?;
        loop {
            match self.skip_space()? {
                Some(b',') => self.advance(1)?,
                Some(b'"') => {
                    let name = self.read_name()?;
                    match self.skip_space()? {
                        Some(b':') => self.advance(1)?,
                        other => return Err(self.unexpected_in_object(other)),
                    }
                    if self.skip_space()? == Some(b'[') {
                        if is_wanted(&name) {
                            self.advance(1)?;
                            return Ok(Layout::Member);
                        }
                        lists.push(name);
                    }
                    self.skip_value()?;
                }
                Some(b'}') => return Err(ReadError::NoUserList { line: start, lists }),
                other => return Err(self.unexpected_in_object(other)),
            }
        }
    }

    fn unexpected_in_object(&self, byte: Option<u8>) -> ReadError {
        let at = self.position();
        match byte {
            Some(byte) => ReadError::Unexpected { byte, at, expected: Expected::Member },
            None => ReadError::UnclosedObject(at),
        }
    }

    /// Reads the name of a member, which starts at the current position.
    fn read_name(&mut self) -> Result<String, ReadError> {
        let mut name = Vec::new();
        self.take_value(&mut |part| {
            let room = MAX_NAME_BYTES.saturating_sub(name.len());
            name.extend_from_slice(part.get(..room).unwrap_or(part));
        })?;
        Ok(serde_json::from_slice(&name).unwrap_or_default())
    }

    fn skip_value(&mut self) -> Result<(), ReadError> {
        match self.skip_space()? {
            Some(b'{' | b'[' | b'"') => self.take_value(&mut |_| {}),
            Some(b'}' | b']' | b',' | b':') | None => {
                let next = self.skip_space()?;
                Err(self.unexpected_in_object(next))
            }
            // A number or a literal ends before the next separator.
            Some(_) => loop {
                let buffer = self.fill_buf()?;
                let end = buffer.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
                let (taken, is_last) = (end.unwrap_or(buffer.len()), end.is_some() || buffer.is_empty());
                self.advance(taken)?;
                if is_last {
                    return Ok(());
                }
            },
        }
    }

    /// Consumes an object, array or string, and passes its bytes on. Fails if the file ends inside it.
    fn take_value(&mut self, part: &mut dyn FnMut(&[u8])) -> Result<(), ReadError> {
        let mut value_end = ValueEnd::default();
        loop {
            let buffer = self.fill_buf()?;
            if buffer.is_empty() {
                return Err(ReadError::UnclosedObject(self.position()));
            }
            let end = value_end.find(buffer);
            let taken = end.unwrap_or(buffer.len());
            part(buffer.get(..taken).unwrap_or_default());
            self.advance(taken)?;
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Returns the kind of a file that starts with this byte; `None` if it may be the header of a CSV file.
fn detect_non_text(byte: u8) -> Option<Message> {
    match byte {
        b'<' => Some(message!("HTML or XML")),
        b'}' | b']' => Some(message!("broken JSON")),
        0..b' ' | 0x7F => Some(message!("binary data")),
        _ => None,
    }
}

/// Returns whether a text starts with an entry: with `dn:`, after comments, blank lines and `version: 1`.
fn is_ldif(sample: &[u8]) -> bool {
    let starts_with = |line: &[u8], name: &[u8]| line.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
    let lines = sample.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut content = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let is_version =
        |line: &[u8]| starts_with(line, b"version:") && line.get(8..).is_some_and(|it| it.trim_ascii() == b"1");
    match content.next() {
        Some(line) if is_version(line) => {
            content.find(|line| !line.starts_with(b" ")).is_some_and(|line| starts_with(line, b"dn:"))
        }
        Some(line) => starts_with(line, b"dn:"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_not_ldif() {
        for text in ["version:v1.0\nName\n", "email,dn: x\n", "version: 1\nemail\n", "#TYPE x\nemail\n", "", "dnx: 1"] {
            assert!(!is_ldif(text.as_bytes()), "{text}");
        }
    }
}
