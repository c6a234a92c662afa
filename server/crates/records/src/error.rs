//! Why a file or a row cannot be read.

use std::fmt;
use std::io;

use super::array::Expected;
use super::position::Position;

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
    /// The file is in this binary format.
    Binary(&'static str),
    /// The file is of this kind, as its first line with content shows.
    NotRecords {
        /// What the file is.
        kind: &'static str,
        /// The line.
        line: u64,
    },
    /// The file is a single object that starts in this line and ends in another one.
    ObjectOverLines(u64),
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
}

impl fmt::Display for RowProblem {
    /// Writes the message of an export.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "longer than {} MiB", limit >> 20),
            Self::OpenQuote => f.write_str("the file ends inside a quoted cell of the row"),
            Self::Ragged { cells, columns } => {
                let unit = if *cells == 1 { "cell" } else { "cells" };
                write!(f, "the row has {cells} {unit}; the header has {columns}")
            }
            Self::Encoding => f.write_str("the row contains bytes that are not UTF-8, but the text before it is UTF-8"),
            Self::UnnamedColumn(column) => write!(f, "the row has a value in column {column}, which has no name"),
        }
    }
}
