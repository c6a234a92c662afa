//! Warnings about the encoding of a file: that it was guessed, with an example, and that bytes of it are no characters.

use serde_json::Value;

use super::redact;
use super::row_fault::RowFault;
use uie_core::message::{Message, message};
use uie_records::{EncodingExample, FileFormat, find_example};

/// The replacement of a sequence of bytes that is no character, in UTF-8.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Watches the rows of one file for what its warnings are to show.
#[derive(Debug, Default)]
pub(super) struct EncodingNotes {
    /// Name of the file; `None` if the import has one file.
    file: Option<String>,
    /// The warning that the encoding was guessed was returned.
    is_guess_reported: bool,
    /// Line of the first row with a replaced character.
    undecodable_line: Option<u64>,
}

impl EncodingNotes {
    pub(super) fn new(file: Option<&str>) -> Self {
        Self { file: file.map(str::to_owned), ..Self::default() }
    }

    /// Returns whether rows must be shown to [`observe`](Self::observe).
    pub(super) fn wants_rows(&self, format: FileFormat) -> bool {
        (format.is_guessed && !self.is_guess_reported) || (format.undecodable > 0 && self.undecodable_line.is_none())
    }

    /// Looks at a row, which starts at this line; returns the warning that the encoding was guessed if the row has an
    /// example.
    pub(super) fn observe(&mut self, line: u64, row: &[u8], format: FileFormat) -> Option<RowFault> {
        if row.is_ascii() {
            return None;
        }
        if self.undecodable_line.is_none() && memchr::memmem::find(row, REPLACEMENT).is_some() {
            self.undecodable_line = Some(line);
        }
        if self.is_guess_reported || !format.is_guessed {
            return None;
        }
        let row: Value = serde_json::from_slice(row).ok()?;
        let example = find_example(&row, &redact::is_secret)?;
        self.is_guess_reported = true;
        Some(self.guessed(line, Some(example), format))
    }

    /// Returns the remaining warnings at the end of the file.
    pub(super) fn finish(self, format: FileFormat) -> Vec<RowFault> {
        let mut warnings = Vec::new();
        if format.is_guessed && !self.is_guess_reported {
            warnings.push(self.guessed(0, None, format));
        }
        if format.undecodable > 0 {
            let (count, encoding) = (format.undecodable, format.encoding);
            let line = self.undecodable_line.unwrap_or(0);
            let message = if line > 0 {
                message!(
                    "{count} sequences of bytes are no characters of {encoding} and were replaced by U+FFFD, the first \
                     one in line {line}."
                )
            } else {
                message!("{count} sequences of bytes are no characters of {encoding} and were replaced by U+FFFD.")
            };
            let hint = message!(
                "The file is damaged or has another encoding. Name the encoding (--encoding NAME), or save the file as \
                 UTF-8."
            );
            warnings.push(self.warning("UNDECODABLE", line, message, hint));
        }
        warnings
    }

    fn guessed(&self, line: u64, example: Option<EncodingExample>, format: FileFormat) -> RowFault {
        let encoding = format.encoding;
        let message = if let Some(EncodingExample { attribute, word }) = example {
            message!(
                "The file does not say its encoding and was read as {encoding}. Compare: {attribute} in line {line} \
                 contains {word:?}."
            )
        } else {
            message!("The file does not say its encoding and was read as {encoding}.")
        };
        let hint = message!("If names look wrong, give the encoding (--encoding NAME), or save the file as UTF-8.");
        self.warning("ENCODING_GUESSED", line, message, hint)
    }

    fn warning(&self, code: &str, line: u64, message: Message, hint: Message) -> RowFault {
        RowFault { hint: Some(hint), ..RowFault::file_warning(code, line, message, self.file.as_deref()) }
    }
}
