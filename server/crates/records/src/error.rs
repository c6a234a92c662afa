//! Why a file or a row cannot be read.

use std::io;

use super::array::Expected;
use super::position::Position;
use uie_core::message::{Message, message};
use uie_json::RowParseError;

/// Why a file cannot be read (further).
#[derive(Debug)]
pub enum ReadError {
    /// The source cannot be read. An error of this program may be wrapped in the I/O error.
    Source(io::Error),
    /// The gzip file ends in the middle.
    TruncatedGzip,
    /// The gzip file is damaged.
    DamagedGzip(io::Error),
    /// The file has no content.
    NoContent,
    /// The file is in this binary format: `a PDF document`.
    Binary(Message),
    /// The file is of this kind, as its first line with content shows.
    NotRecords {
        /// What the file is: `HTML or XML`.
        kind: Message,
        /// The line.
        line: u64,
    },
    /// The file is one object that starts in this line, and it is not clear which of these arrays in it are the users.
    NoUserList {
        /// The line.
        line: u64,
        /// The names of its members that are arrays.
        lists: Vec<String>,
    },
    /// The file is an array of arrays; the first inner one starts in this line.
    NestedArrays(u64),
    /// The file ends inside the object that holds its array.
    UnclosedObject(Position),
    /// A byte of an array is not valid.
    Unexpected {
        /// The byte.
        byte: u8,
        /// Its position.
        at: Position,
        /// What is expected there.
        expected: Expected,
    },
    /// The file ends between two elements of its array.
    UnclosedArray(Position),
    /// The file ends inside the element of its array that starts in this line.
    UnclosedElement(u64),
    /// The element of the array that starts in this line is larger than the limit of a row.
    ElementTooLong(u64),
    /// The header of the CSV file is larger than the limit of a row.
    HeaderTooLong,
    /// The first record of a CSV file is a user, not the header.
    MissingHeader {
        /// Its line.
        line: u64,
        /// Number of its cells.
        columns: usize,
    },
    /// The name of the CSV column with this number, from 1, is not UTF-8.
    HeaderEncoding(usize),
    /// The CSV column with this number, from 1, has the same attribute as this earlier one, or one within it.
    SameAttribute(usize, usize),
}

impl ReadError {
    /// Converts an error of reading a file; `gzip` is whether the file is compressed.
    pub fn from_io(error: io::Error, gzip: bool) -> Self {
        match error.kind() {
            // Also of a source that decompresses itself.
            io::ErrorKind::UnexpectedEof => Self::TruncatedGzip,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if gzip => Self::DamagedGzip(error),
            _ => Self::Source(error),
        }
    }
}

/// Why a row cannot be read; the rows after it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowProblem {
    /// It is larger than this limit, in bytes.
    TooLong(usize),
    /// The file ends inside a quoted cell of it.
    OpenQuote,
    /// It has another number of cells than the header.
    Ragged {
        /// Number of cells of the row.
        cells: usize,
        /// Number of cells of the header.
        columns: usize,
    },
    /// It is not UTF-8, but the text before it is.
    Encoding,
    /// It has a value in the column with this number, from 1, which has no name.
    UnnamedColumn(usize),
    /// LDIF: this line is not `name: value`.
    LdifLine(u64),
    /// LDIF: the value of the attribute in this line is not Base64.
    LdifBase64(u64),
    /// LDIF: the value of the attribute in this line is in another file.
    LdifUrl(u64),
    /// LDIF: it describes this kind of change, not an entry.
    LdifChange(String),
}

/// Returns why a row is not a user, as a part of a sentence: `not a JSON object`.
pub fn describe_parse_error(error: &RowParseError) -> Message {
    match error {
        RowParseError::NotUtf8(byte) => message!("not valid UTF-8 at byte {byte} of the row"),
        RowParseError::NotJson(byte) => message!("not valid JSON at byte {byte} of the row"),
        RowParseError::NumberTooLarge(byte) => {
            message!("a number beyond 64-bit floating point at byte {byte} of the row")
        }
        RowParseError::NotAnObject => message!("not a JSON object"),
        RowParseError::TooDeep(levels) => message!("nested deeper than {levels} levels"),
    }
}
