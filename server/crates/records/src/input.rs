//! Opens a file of records: decompresses and decodes it.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use super::array::is_space;
use super::encoding::{EncodingState, TextReader};
use super::encoding_detection::{detect_utf16, from_byte_order_mark};
use super::error::ReadError;
use super::gzip::GzipInput;
use super::position::Position;
use super::read_options::ReadOptions;
use uie_core::message::{Message, message};

const READ_BUFFER: usize = 64 << 10;

/// Number of bytes at the start of a file by which UTF-16 is detected.
const HEAD_BYTES: u64 = 1 << 10;

/// The byte order mark in UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFormat {
    /// Name of the encoding in the Encoding Standard: `UTF-8`, `Shift_JIS`. Certain at the end of the file only.
    pub encoding: &'static str,
    /// The encoding was detected by statistics, which may be wrong. Certain at the end of the file only.
    pub is_guessed: bool,
    /// Number of sequences of bytes so far that are no characters of the encoding, and became U+FFFD. 0 for UTF-8.
    pub undecodable: u64,
    /// The file is compressed.
    pub gzip: bool,
}

/// Returns the format of a file while other code reads it.
#[derive(Clone, Debug)]
pub struct FormatWatch {
    gzip: bool,
    encoding: Arc<EncodingState>,
}

impl FormatWatch {
    /// Returns the format as far as the file has been read.
    pub fn format(&self) -> FileFormat {
        FileFormat {
            encoding: self.encoding.name(),
            is_guessed: self.encoding.is_guessed(),
            undecodable: self.encoding.undecodable(),
            gzip: self.gzip,
        }
    }
}

/// A file as UTF-8 text. The text may contain invalid UTF-8 if the file does.
pub struct TextInput {
    input: Box<dyn BufRead + Send>,
    gzip: bool,
    encoding: Arc<EncodingState>,
    position: Position,
}

impl TextInput {
    /// Opens a file. Detects gzip and the encoding; fails for a known binary format.
    pub fn open(source: Box<dyn Read + Send>, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut input = GzipInput::new(source).map_err(ReadError::Source)?;
        let gzip = input.is_gzip();
        let (mut head, failure) = read_up_to(&mut input, HEAD_BYTES);
        let mark = from_byte_order_mark(&head);
        let is_marked_utf8 = head.starts_with(BYTE_ORDER_MARK);
        if mark.is_some() || is_marked_utf8 {
            head.drain(..if is_marked_utf8 { 3 } else { 2 });
        } else if let Some(found) = detect_binary_format(&head) {
            return Err(ReadError::Binary(found));
        }
        let given = options.encoding.map(super::text_encoding::TextEncoding::encoding);
        let marked_utf8 = is_marked_utf8.then_some(encoding_rs::UTF_8);
        let encoding = mark.or(marked_utf8).or(given).or_else(|| detect_utf16(&head));
        let state = Arc::default();
        let reader = TextReader::new(Resumed::new(head, failure, input), encoding, Arc::clone(&state));
        Ok(Self {
            input: Box::new(BufReader::with_capacity(READ_BUFFER, reader)),
            gzip,
            encoding: state,
            position: Position::default(),
        })
    }

    /// Returns the format.
    pub fn format(&self) -> FileFormat {
        self.watch().format()
    }

    /// Returns a value that knows the format while the file is read.
    pub fn watch(&self) -> FormatWatch {
        FormatWatch { gzip: self.gzip, encoding: Arc::clone(&self.encoding) }
    }

    /// Returns whether the file has been read completely.
    pub fn is_exhausted(&mut self) -> bool {
        self.input.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    /// The position of the next byte.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn position_mut(&mut self) -> &mut Position {
        &mut self.position
    }

    /// Returns the bytes of the read buffer; empty at the end of the file.
    pub(crate) fn fill_buf(&mut self) -> Result<&[u8], ReadError> {
        let gzip = self.gzip;
        self.input.fill_buf().map_err(|error| ReadError::from_io(error, gzip))
    }

    /// Consumes bytes of the read buffer without counting their lines and characters.
    pub(crate) fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// Consumes bytes of the read buffer.
    pub(crate) fn advance(&mut self, count: usize) -> Result<(), ReadError> {
        let gzip = self.gzip;
        let buffer = self.input.fill_buf().map_err(|error| ReadError::from_io(error, gzip))?;
        let count = count.min(buffer.len());
        self.position.advance(buffer.get(..count).unwrap_or_default());
        self.input.consume(count);
        Ok(())
    }

    /// Reads bytes into `buffer` without counting lines; returns their number, 0 at the end of the file.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|error| ReadError::from_io(error, self.gzip)),
            }
        }
    }

    /// Skips white space and returns the next byte without consuming it; `None` at the end of the file.
    pub(crate) fn skip_space(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            let buffer = self.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let spaces = buffer.iter().position(|byte| !is_space(*byte));
            let next = spaces.and_then(|at| buffer.get(at)).copied();
            let taken = spaces.unwrap_or(buffer.len());
            self.advance(taken)?;
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Returns up to `count` bytes from the current position, and whether they are the rest of the file. They can be
    /// read again.
    pub(crate) fn sample(&mut self, count: usize) -> (Vec<u8>, bool) {
        let (sample, failure) = read_up_to(&mut self.input, count as u64);
        let is_complete = failure.is_none() && sample.len() < count;
        let rest = std::mem::replace(&mut self.input, Box::new(io::empty()));
        let resumed = Resumed::new(sample.clone(), failure, rest);
        self.input = Box::new(BufReader::with_capacity(READ_BUFFER, resumed));
        (sample, is_complete)
    }
}

/// An input with its first bytes put back.
struct Resumed<R> {
    head: Cursor<Vec<u8>>,
    /// The error that ended the head.
    failure: Option<io::Error>,
    rest: R,
}

impl<R: Read> Resumed<R> {
    fn new(head: Vec<u8>, failure: Option<io::Error>, rest: R) -> Self {
        Self { head: Cursor::new(head), failure, rest }
    }
}

impl<R: Read> Read for Resumed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 if !buffer.is_empty() => self.failure.take().map_or_else(|| self.rest.read(buffer), Err),
            count => Ok(count),
        }
    }
}

/// Reads up to `count` bytes; also returns the error that ends the input before them.
fn read_up_to(input: &mut dyn Read, count: u64) -> (Vec<u8>, Option<io::Error>) {
    let mut head = Vec::new();
    let failure = input.take(count).read_to_end(&mut head).err();
    (head, failure)
}

/// Returns the format of a file that starts with the signature of a known binary format.
fn detect_binary_format(head: &[u8]) -> Option<Message> {
    match head {
        [b'P', b'K', 3, ..] => Some(message!("a ZIP archive or a spreadsheet")),
        [0x28, 0xB5, 0x2F, ..] => Some(message!("compressed with Zstandard")),
        [b'B', b'Z', b'h', ..] => Some(message!("compressed with bzip2")),
        [0xFD, b'7', b'z', ..] => Some(message!("compressed with xz")),
        [b'%', b'P', b'D', ..] => Some(message!("a PDF document")),
        _ => None,
    }
}
