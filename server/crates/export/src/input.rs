//! The files of an export, read one after the other.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::secret_name::is_secret_name;
use uie_records::{
    Chunk, ChunkReader, ColumnAssignment, EncodingExample, Expected, FileFormat, MAX_EXPORTED_ROW_BYTES, ReadError,
    ReadOptions, TextEncoding, find_example,
};

/// Opens a file from its start.
pub type Opener = Box<dyn FnOnce() -> Result<Box<dyn Read + Send>> + Send>;

/// A file of users: JSON, CSV or LDIF, each optionally compressed with gzip.
pub struct InputFile {
    /// Its name, shown in messages; `None` if the export has one file.
    pub name: Option<String>,
    /// Opens it, when the files before it are finished.
    pub open: Opener,
    /// What is known about it before it is read.
    pub options: ReadOptions,
}

impl InputFile {
    /// The only file of an export.
    pub fn single(content: Box<dyn Read + Send>) -> Self {
        Self { name: None, open: Box::new(move || Ok(content)), options: ReadOptions::default() }
    }
}

impl InputFile {
    /// The users of a tenant, which sends UTF-8.
    pub(super) fn of_tenant(content: Box<dyn Read + Send>) -> Self {
        let options = ReadOptions { encoding: Some(TextEncoding::UTF_8), ..ReadOptions::default() };
        Self { options, ..Self::single(content) }
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
    /// The warning that the encoding of the current file was guessed was added.
    is_guess_reported: bool,
    warnings: Vec<Message>,
}

impl Inputs {
    /// With `csv`, a file may be CSV.
    pub(super) fn new(files: Vec<InputFile>, csv: Option<ColumnAssignment>) -> Self {
        Self {
            waiting: files.into(),
            current: None,
            file: None,
            csv,
            rows: 0,
            is_guess_reported: false,
            warnings: Vec::new(),
        }
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
                Ok(true) => {
                    let format = reader.format();
                    if format.is_guessed && !self.is_guess_reported {
                        self.warn_of_guess(format, chunk);
                    }
                    return Ok(true);
                }
                Ok(false) => {
                    self.rows += reader.rows();
                    self.end_file();
                }
                Err(error) => {
                    let line = reader.line_at_end();
                    return Err(self.in_file(file_error(error, line)));
                }
            }
        }
    }

    /// Returns the warnings about all files.
    pub(super) fn finish(mut self) -> Vec<Message> {
        self.end_file();
        self.warnings
    }

    /// Adds the warnings about the current file that are known at its end.
    fn end_file(&mut self) {
        let Some(mut reader) = self.current.take() else { return };
        let FileFormat { encoding, is_guessed, undecodable, .. } = reader.format();
        if is_guessed && !self.is_guess_reported {
            self.warn(message!("The file does not say its encoding and was read as {encoding}. --encoding names it."));
        }
        if undecodable > 0 {
            self.warn(message!(
                "{undecodable} sequences of bytes are no characters of {encoding} and were replaced by U+FFFD. \
                 --encoding names another encoding."
            ));
        }
        for line in reader.take_skipped() {
            self.warn(line.describe());
        }
    }

    /// Adds the warning that the encoding was guessed, if the chunk has an example.
    fn warn_of_guess(&mut self, format: FileFormat, chunk: &Chunk) {
        let is_secret = |path: &str| path.split('.').any(is_secret_name);
        let example = |(line, row): (u64, Result<&[u8], _>)| {
            let row = row.ok().filter(|row: &&[u8]| !row.is_ascii())?;
            Some((line, find_example(&serde_json::from_slice(row).ok()?, &is_secret)?))
        };
        let Some((line, EncodingExample { attribute, word })) = chunk.rows().find_map(example) else { return };
        self.is_guess_reported = true;
        let encoding = format.encoding;
        self.warn(message!(
            "The file does not say its encoding and was read as {encoding}. Compare: {attribute} in line {line} \
             contains {word:?}. If that is wrong, name the encoding with --encoding."
        ));
    }

    /// Adds a warning about the current file.
    fn warn(&mut self, warning: Message) {
        self.warnings.push(match &self.file {
            Some(file) => message!("{file}: {warning}"),
            None => warning,
        });
    }

    /// Opens the next file; `false` at the end.
    fn open_next(&mut self) -> Result<bool> {
        let Some(InputFile { name, open, options }) = self.waiting.pop_front() else { return Ok(false) };
        self.file = name.map(Arc::from);
        let source = open()?;
        let reader = ChunkReader::open(source, self.csv, &options);
        let reader = reader.map_err(|error| self.in_file(file_error(error, 1)))?;
        self.current = Some(reader);
        self.is_guess_reported = false;
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
                Expected::Element | Expected::Value => message!("Line {line}: found {found}, expected a user."),
                Expected::Member => message!("Line {line}: found {found}, expected a member of an object."),
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
        ReadError::NoUserList { line, lists } if lists.is_empty() => {
            invalid(message!("The file is one JSON object, which starts at line {line} and holds no list of users."))
                .with_hint(message!("Write the users as a JSON array, or one per line."))
        }
        ReadError::NoUserList { line, lists } => {
            let first = lists.first().cloned().unwrap_or_default();
            invalid(message!(
                "The file is one JSON object, which starts at line {line}; none of its lists is known to be the users: \
                 {lists}.",
                lists = lists.join(", ")
            ))
            .with_hint(message!("Write the users to a file of their own: jq '.{first}' FILE > users.json"))
        }
        ReadError::NestedArrays(line) => {
            invalid(message!("The file is an array of arrays, of which the first one starts at line {line}."))
                .with_hint(message!("`jq -s` makes one of several arrays; join them: jq -s 'add' FILE… > users.json"))
        }
        ReadError::UnclosedObject(at) => {
            invalid(message!("The file ends in line {line} before the closing brace of its object.", line = at.line))
                .with_hint(incomplete())
        }
        ReadError::MissingHeader { line, columns } => invalid(message!(
            "Line {line} of the file looks like a user, not like a header: the {columns} columns have no names."
        ))
        .with_hint(message!("Insert a first line that names the columns, such as email,name,user_metadata.city.")),
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
