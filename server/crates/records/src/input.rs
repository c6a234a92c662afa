//! Opens a file of records: decompresses and decodes it, and detects its layout from the content.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::array::is_space;
use super::encoding::{DecodingReader, Windows1252Fallback, from_byte_order_mark};
use super::error::ReadError;
use super::gzip::GzipInput;
use super::position::Position;
use uie_core::message::{Message, message};

const READ_BUFFER: usize = 64 << 10;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The layout of the rows in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON array.
    Array,
    /// One JSON value per line.
    Lines,
    /// A header and records of cells.
    Csv,
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFormat {
    /// `UTF-8`, `UTF-16LE`, `UTF-16BE` or `windows-1252`; certain at the end of the file only.
    pub encoding: &'static str,
    /// The file is compressed.
    pub gzip: bool,
}

/// A file as UTF-8 text. The text may contain invalid UTF-8 if the file does.
pub struct TextInput {
    input: Box<dyn BufRead + Send>,
    gzip: bool,
    /// The encoding of the byte order mark, if the file starts with one of UTF-16.
    encoding: Option<&'static str>,
    /// Set when the text is detected to be Windows-1252.
    is_windows_1252: Arc<AtomicBool>,
    position: Position,
}

impl TextInput {
    /// Opens a file. Detects gzip and a byte order mark; fails for a known binary format.
    pub fn open(source: Box<dyn Read + Send>) -> Result<Self, ReadError> {
        let input = GzipInput::new(source).map_err(ReadError::Source)?;
        let gzip = input.is_gzip();
        let mut input: Box<dyn Read + Send> = Box::new(input);
        let mut head = read_up_to(&mut input, 3).map_err(|error| ReadError::from_io(error, gzip))?;
        let encoding = from_byte_order_mark(&head);
        if let Some(encoding) = encoding {
            let rest = Cursor::new(head.split_off(2)).chain(input);
            input = Box::new(DecodingReader::new(rest, encoding));
            head.clear();
        } else if head == BYTE_ORDER_MARK {
            head.clear();
        }
        if let Some(found) = detect_binary_format(&head) {
            return Err(ReadError::Binary(found));
        }
        Ok(Self {
            input: Box::new(BufReader::with_capacity(READ_BUFFER, Cursor::new(head).chain(input))),
            gzip,
            encoding: encoding.map(encoding_rs::Encoding::name),
            is_windows_1252: Arc::default(),
            position: Position::default(),
        })
    }

    /// Skips white space and detects the layout by the first byte after it. Consumes the `[` of an array. Fails if
    /// there is no content, or content that is neither JSON nor CSV.
    pub fn detect_layout(&mut self) -> Result<Layout, ReadError> {
        match self.skip_space()? {
            None => Err(ReadError::NoContent),
            Some(b'{') => Ok(Layout::Lines),
            Some(b'[') => {
                self.advance(1)?;
                Ok(Layout::Array)
            }
            Some(byte) => match detect_non_text(byte) {
                Some(kind) => Err(ReadError::NotRecords { kind, line: self.position.line }),
                None => Ok(Layout::Csv),
            },
        }
    }

    /// Returns the format; the encoding is certain at the end of the file only.
    pub fn format(&self) -> FileFormat {
        let encoding = match self.encoding {
            Some(name) => name,
            None if self.is_windows_1252.load(Ordering::Relaxed) => "windows-1252",
            None => "UTF-8",
        };
        FileFormat { encoding, gzip: self.gzip }
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

    /// Decodes the rest of the text as Windows-1252 if it is not UTF-8, unless the encoding is known.
    pub(crate) fn allow_windows_1252(self) -> Self {
        if self.encoding.is_some() {
            return self;
        }
        let fallback = Windows1252Fallback::new(self.input, Arc::clone(&self.is_windows_1252));
        Self { input: Box::new(BufReader::with_capacity(READ_BUFFER, fallback)), ..self }
    }

    /// Returns up to `count` bytes from the current position without consuming them, and the input to read them again.
    pub(crate) fn sample(mut self, count: usize) -> Result<(Vec<u8>, Self), ReadError> {
        let sample = read_up_to(&mut self.input, count as u64).map_err(|error| ReadError::from_io(error, self.gzip))?;
        let input = Cursor::new(sample.clone()).chain(self.input);
        Ok((sample, Self { input: Box::new(BufReader::with_capacity(READ_BUFFER, input)), ..self }))
    }
}

/// Reads up to `count` bytes.
fn read_up_to(input: &mut dyn Read, count: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(count).read_to_end(&mut head)?;
    Ok(head)
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

/// Returns the kind of a file that starts with this byte; `None` if it may be the header of a CSV file.
fn detect_non_text(byte: u8) -> Option<Message> {
    match byte {
        b'<' => Some(message!("HTML or XML")),
        b'}' | b']' => Some(message!("broken JSON")),
        0..b' ' | 0x7F => Some(message!("binary data")),
        _ => None,
    }
}
