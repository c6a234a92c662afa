//! The files of an export, read one after the other.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_records::{Chunk, ChunkReader, ColumnAssignment, Expected, MAX_EXPORTED_ROW_BYTES, ReadError};

/// Opens a file from its start.
pub type Opener = Box<dyn FnOnce() -> Result<Box<dyn Read + Send>> + Send>;

/// A file of users: a JSON array, NDJSON or CSV, each optionally compressed with gzip.
pub struct InputFile {
    /// Its name, shown in messages; `None` if the export has one file.
    pub name: Option<String>,
    /// Opens it, when the files before it are finished.
    pub open: Opener,
}

impl InputFile {
    /// The only file of an export.
    pub fn single(content: Box<dyn Read + Send>) -> Self {
        Self { name: None, open: Box::new(move || Ok(content)) }
    }
}

/// Reads chunks of rows from several files, in order.
pub(super) struct Inputs {
    waiting: VecDeque<InputFile>,
    current: Option<ChunkReader>,
    file: Option<Arc<str>>,
    csv: Option<ColumnAssignment>,
    /// Number of rows of the files that are finished.
    rows: u64,
}

impl Inputs {
    /// With `csv`, a file may be CSV.
    pub(super) fn new(files: Vec<InputFile>, csv: Option<ColumnAssignment>) -> Self {
        Self { waiting: files.into(), current: None, file: None, csv, rows: 0 }
    }

    /// Returns the number of rows that were read, including blank lines.
    pub(super) fn rows(&self) -> u64 {
        self.rows + self.current.as_ref().map_or(0, ChunkReader::rows)
    }

    /// Returns the name of the file of the last chunk; `None` if the export has one file.
    pub(super) fn file(&self) -> Option<Arc<str>> {
        self.file.clone()
    }

    /// Reads the next rows into `chunk`. Returns false at the end of the last file.
    pub(super) fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool> {
        loop {
            let Some(reader) = &mut self.current else {
                if self.open_next()? {
                    continue;
                }
                return Ok(false);
            };
            match reader.next_chunk(chunk) {
                Ok(true) => return Ok(true),
                Ok(false) => {
                    self.rows += reader.rows();
                    self.current = None;
                }
                Err(error) => {
                    let line = reader.line_at_end();
                    return Err(self.in_file(file_error(error, line)));
                }
            }
        }
    }

    /// Opens the next file; `false` at the end.
    fn open_next(&mut self) -> Result<bool> {
        let Some(InputFile { name, open }) = self.waiting.pop_front() else { return Ok(false) };
        self.file = name.map(Arc::from);
        let source = open()?;
        let reader = ChunkReader::open(source, self.csv).map_err(|error| self.in_file(file_error(error, 1)))?;
        self.current = Some(reader);
        Ok(true)
    }

    /// Puts the name of the file before the message.
    fn in_file(&self, error: Error) -> Error {
        match &self.file {
            Some(file) => error.with_context(Message::verbatim(&**file)),
            None => error,
        }
    }
}

fn invalid(message: Message) -> Error {
    Error::new(Code::InvalidUsersFile, message)
}

/// Converts a problem of a file to the error of an export. `line` is the last line that was read.
fn file_error(error: ReadError, line: u64) -> Error {
    let incomplete = || message!("The file was probably not downloaded or copied completely; get it again.");
    match error {
        ReadError::Source(error) => read_error(error),
        ReadError::TruncatedGzip => invalid(message!("The compressed file ends in the middle, after line {line}."))
            .with_hint(message!("It was probably not downloaded or copied completely; get it again.")),
        ReadError::DamagedGzip(error) => {
            invalid(message!("The compressed file is damaged after line {line}: {error}."))
                .with_hint(message!("Get the file again, or check that all of it is gzip."))
        }
        ReadError::UnclosedElement(line) => {
            invalid(message!("The array ends in the middle of the user that starts in line {line}."))
                .with_hint(incomplete())
        }
        ReadError::UnclosedArray(at) => {
            invalid(message!("The array that should end with `]` ends in line {line} without it.", line = at.line))
                .with_hint(incomplete())
        }
        ReadError::ElementTooLong(line) => invalid(message!(
            "The user that starts in line {line} is longer than {limit} MiB.",
            limit = MAX_EXPORTED_ROW_BYTES >> 20
        )),
        ReadError::Unexpected { byte, at, expected } => {
            let line = at.line;
            let found = if byte.is_ascii_graphic() {
                Message::verbatim(format!("`{}`", char::from(byte)))
            } else {
                message!("byte {byte:#04x}")
            };
            let message = match expected {
                Expected::Element => message!("Line {line}: found {found}, expected a user."),
                Expected::ElementAfterComma => {
                    message!("Line {line}: found {found}, expected a user after the comma.")
                }
                Expected::Separator => message!("Line {line}: found {found}, expected `,` or `]` after a user."),
                Expected::End => {
                    message!("Line {line}: found {found}, expected nothing after the `]` that ends the array.")
                }
            };
            invalid(message)
                .with_hint(message!("A file of users is one JSON array of objects, or one object per line."))
        }
        ReadError::Binary(found) => invalid(message!("The file is {found}, neither JSON nor CSV.")),
        ReadError::NotRecords { kind, line } => {
            invalid(message!("The file is {kind}, neither JSON nor CSV, as line {line} shows."))
        }
        ReadError::HeaderTooLong => invalid(message!("The header of the file is too long.")),
        ReadError::HeaderEncoding(column) => invalid(message!("The name of column {column} is not UTF-8.")),
        ReadError::SameAttribute(column, other) => {
            invalid(message!("Columns {other} and {column} of the file mean the same attribute."))
                .with_hint(message!("Rename or remove one of them."))
        }
        ReadError::NoContent => invalid(message!("The file has no content.")),
        ReadError::ObjectOverLines(line) => {
            invalid(message!("The file is a single JSON object that starts at line {line}."))
        }
    }
}

/// Converts an error of reading. An [`Error`] that was wrapped in an I/O error is unwrapped.
fn read_error(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(error) => {
            let mut error = Error::from(error);
            error.message = message!("The users cannot be read: {reason}", reason = error.message);
            error
        }
    }
}
