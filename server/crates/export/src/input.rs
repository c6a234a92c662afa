//! Reads users from a stream of bytes: NDJSON or a JSON array, optionally gzip; the format is detected. Splits the
//! stream into chunks of many rows.

use std::io::{BufReader, Chain, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use uie_core::error::{Code, Error, Result};

/// Size of a chunk, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// Maximum length of a row, in bytes. Auth0 allows users of 1 MB (docs/auth0/README.md#constants).
pub(super) const MAX_ROW_BYTES: usize = 64 << 20;

/// Size of the buffer for compressed input, in bytes.
const COMPRESSED_BUFFER: usize = 128 * 1024;

/// A reusable buffer: `bytes` is initialized once, and its first `filled` bytes are the content.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.filled
    }

    fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Makes sure that the buffer can hold this many bytes in total.
    fn reserve_total(&mut self, wanted: usize) {
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }

    /// Removes the first bytes.
    fn remove_start(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Removes all bytes, and releases the memory if it is unusually large because of a long row.
    fn clear(&mut self) {
        self.filled = 0;
        if self.bytes.len() > 4 * CHUNK_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// Moves the bytes of another buffer from `at` on to this one. The other buffer keeps the first `at` bytes.
    fn take_tail(&mut self, other: &mut Self, at: usize) {
        let taken = other.bytes.get(at..other.filled).unwrap_or_default();
        self.clear();
        self.reserve_total(CHUNK_BYTES.max(taken.len()));
        if let Some(start) = self.bytes.get_mut(..taken.len()) {
            start.copy_from_slice(taken);
        }
        self.filled = taken.len();
        other.filled = at.min(other.filled);
    }
}

/// A part of the input with complete rows.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    data: Buffer,
    layout: RowLayout,
}

/// The positions of the rows in a chunk.
#[derive(Debug)]
enum RowLayout {
    /// Rows are lines, from this line number on.
    Lines(u64),
    /// Rows are elements of an array.
    Spans(Vec<Span>),
    /// The number of a single line that was too long. The chunk has no data.
    TooLong(u64),
}

impl Default for RowLayout {
    fn default() -> Self {
        Self::Lines(1)
    }
}

/// An element of an array: its bytes in the chunk, and the line in which it starts.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    line: u64,
}

/// A row of a chunk: the line in which it starts, and its text. `None` if it is too long.
pub(super) type Row<'a> = (u64, Option<&'a [u8]>);

impl Chunk {
    /// Returns the rows in order.
    pub fn rows(&self) -> Rows<'_> {
        let data = self.data.filled();
        let next = match &self.layout {
            RowLayout::Lines(first) => NextRow::Line { line: *first, at: 0 },
            RowLayout::Spans(spans) => NextRow::Span(spans),
            RowLayout::TooLong(line) => NextRow::TooLong(Some(*line)),
        };
        Rows { data, text: simdutf8::basic::from_utf8(data).ok(), next }
    }
}

/// An iterator over the rows of a chunk.
pub(super) struct Rows<'a> {
    data: &'a [u8],
    /// The data, if all of it is UTF-8.
    text: Option<&'a str>,
    next: NextRow<'a>,
}

/// The position of the next row.
enum NextRow<'a> {
    Line { line: u64, at: usize },
    Span(&'a [Span]),
    TooLong(Option<u64>),
}

/// The next row, for a reader that finds the end of a line itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peeked<'a> {
    /// The row is the line of the text that starts at this offset.
    Line(&'a str, usize),
    /// The row is the whole text.
    Whole(&'a str),
}

impl<'a> Rows<'a> {
    /// Returns the next row without taking it. `None` at the end, or if the chunk is not valid UTF-8.
    #[inline]
    pub fn peek(&self) -> Option<Peeked<'a>> {
        let text = self.text?;
        match self.next {
            NextRow::Line { at, .. } => (at < text.len()).then_some(Peeked::Line(text, at)),
            NextRow::Span(spans) => spans.first().and_then(|span| text.get(span.start..span.end)).map(Peeked::Whole),
            NextRow::TooLong(_) => None,
        }
    }

    /// Takes the row that was peeked, which ends at this offset of its text. Returns the line in which it starts.
    #[inline]
    pub fn advance(&mut self, end: usize) -> u64 {
        match &mut self.next {
            NextRow::Line { line, at } => {
                *at = end + 1;
                *line += 1;
                *line - 1
            }
            NextRow::Span(spans) => {
                let line = spans.first().map_or(0, |span| span.line);
                *spans = spans.get(1..).unwrap_or_default();
                line
            }
            NextRow::TooLong(line) => line.take().unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    /// Returns the next row that is not blank.
    fn next(&mut self) -> Option<Row<'a>> {
        loop {
            let (row, end) = match self.next {
                NextRow::Line { at, .. } => {
                    let rest = self.data.get(at..).filter(|rest| !rest.is_empty())?;
                    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    (rest.get(..length).map(<[u8]>::trim_ascii), at + length)
                }
                NextRow::Span(spans) => {
                    let span = spans.first()?;
                    (self.data.get(span.start..span.end), span.end)
                }
                NextRow::TooLong(line) => {
                    line?;
                    (None, 0)
                }
            };
            let line = self.advance(end);
            if row.is_none_or(|row| !row.is_empty()) {
                return Some((line, row));
            }
        }
    }
}

type Source = Box<dyn Read + Send>;
/// A source with its first bytes put back.
type RewoundSource = BufReader<Chain<Cursor<Vec<u8>>, Source>>;

/// Decompresses its source if it is gzip, including files with several members.
pub(super) enum DecompressingReader {
    /// The source is not gzip.
    Plain(RewoundSource),
    /// The source is gzip.
    Gzip(Box<MultiGzDecoder<RewoundSource>>),
}

impl DecompressingReader {
    /// Detects gzip by the first two bytes.
    pub fn new(mut source: Source) -> std::io::Result<Self> {
        let mut start = Vec::with_capacity(2);
        source.by_ref().take(2).read_to_end(&mut start)?;
        let gzip = start == [0x1f, 0x8b];
        let source = BufReader::with_capacity(COMPRESSED_BUFFER, Cursor::new(start).chain(source));
        Ok(if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(source))) } else { Self::Plain(source) })
    }
}

impl Read for DecompressingReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
        }
    }
}

/// The format of the input.
enum InputFormat {
    /// No bytes were read yet.
    Unknown,
    Lines,
    Array(ArrayState),
}

/// The state of the scan for the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArrayState {
    /// After `[`: a user or `]` is expected.
    Start,
    /// After a comma: a user is expected.
    Comma,
    /// Inside a user.
    User { start: usize, line: u64, depth: u32, token: TokenState },
    /// After a user: a comma or `]` is expected.
    AfterUser,
    /// After `]`: only whitespace is allowed.
    End,
}

/// The kind of JSON token that the scan is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenState {
    /// Between tokens of an object or array.
    Structure,
    /// In a string.
    String,
    /// After a backslash in a string.
    Escape,
    /// In a number or literal that is an element of the array.
    Scalar,
}

/// Splits a stream of bytes into chunks of rows.
pub(super) struct Input {
    bytes: DecompressingReader,
    format: InputFormat,
    /// Bytes that were read but are not part of a chunk yet.
    rest: Buffer,
    /// Number of bytes of `rest` that were scanned for elements of the array.
    scanned: usize,
    /// Elements of the array that were found in `rest`.
    spans: Vec<Span>,
    line: u64,
    /// Number of rows in all chunks so far, including blank lines.
    rows: u64,
    ended: bool,
}

impl Input {
    /// Returns the number of rows that were read, including blank lines.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Opens a source and detects gzip.
    pub fn new(source: Source) -> Result<Self> {
        let bytes = DecompressingReader::new(source).map_err(read_error)?;
        Ok(Self {
            bytes,
            format: InputFormat::Unknown,
            rest: Buffer::default(),
            scanned: 0,
            spans: Vec::new(),
            line: 1,
            rows: 0,
            ended: false,
        })
    }

    /// Reads the next rows into `chunk`. Returns false at the end.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool> {
        if matches!(self.format, InputFormat::Unknown) {
            self.format = self.detect_format()?;
        }
        if let InputFormat::Array(state) = self.format { self.next_spans(state, chunk) } else { self.next_lines(chunk) }
    }

    /// Reads `wanted` more bytes into `rest`, or all that are left.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        let target = self.rest.len() + wanted;
        self.rest.reserve_total(target);
        while !self.ended && self.rest.len() < target {
            let Some(room) = self.rest.bytes.get_mut(self.rest.filled..target) else { break };
            match self.bytes.read(room) {
                Ok(read) => {
                    self.rest.filled += read;
                    self.ended = read == 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Error::new(
                        Code::InvalidUsersFile,
                        format!("The compressed file ends in the middle, after line {}.", self.line_at_end()),
                    )
                    .with_hint("It was probably not downloaded or copied completely; get it again."));
                }
                Err(error) => return Err(self.decompression_error(error)),
            }
        }
        Ok(())
    }

    fn line_at_end(&self) -> u64 {
        self.line + memchr::memchr_iter(b'\n', self.rest.filled()).count() as u64
    }

    /// Converts an error of reading: invalid gzip data is an error of the file.
    fn decompression_error(&self, error: std::io::Error) -> Error {
        if matches!(self.bytes, DecompressingReader::Gzip(_))
            && matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)
        {
            return Error::new(
                Code::InvalidUsersFile,
                format!("The compressed file is damaged after line {}: {error}.", self.line_at_end()),
            )
            .with_hint("Get the file again, or check that all of it is gzip.");
        }
        read_error(error)
    }

    /// Skips a byte-order mark and whitespace, and detects an array by its `[`. Fails for UTF-16.
    fn detect_format(&mut self) -> Result<InputFormat> {
        self.fill(CHUNK_BYTES)?;
        let start = self.rest.filled();
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Error::new(Code::InvalidUsersFile, "The file is UTF-16; expected UTF-8.")
                .with_hint("Save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`."));
        }
        if start.starts_with("\u{feff}".as_bytes()) {
            self.rest.remove_start(3);
        }
        loop {
            let read = self.rest.filled();
            let blanks = read.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += read.iter().take(blanks).filter(|byte| **byte == b'\n').count() as u64;
            self.rest.remove_start(blanks);
            if !self.rest.is_empty() || self.ended {
                break;
            }
            self.fill(CHUNK_BYTES)?;
        }
        Ok(if self.rest.filled().first() == Some(&b'[') {
            self.scanned = 1;
            InputFormat::Array(ArrayState::Start)
        } else {
            InputFormat::Lines
        })
    }

    /// Reads a chunk of complete lines.
    fn next_lines(&mut self, chunk: &mut Chunk) -> Result<bool> {
        let mut searched = 0;
        loop {
            let wanted = CHUNK_BYTES.saturating_sub(self.rest.len()).max(if searched == 0 { 0 } else { CHUNK_BYTES });
            self.fill(wanted)?;
            if self.rest.is_empty() && self.ended {
                return Ok(false);
            }
            let end = if self.ended {
                Some(self.rest.len())
            } else {
                let unseen = self.rest.filled().get(searched..).unwrap_or_default();
                memchr::memrchr(b'\n', unseen).map(|at| searched + at + 1)
            };
            if let Some(end) = end.filter(|end| *end <= MAX_ROW_BYTES + CHUNK_BYTES) {
                std::mem::swap(&mut chunk.data, &mut self.rest);
                self.rest.take_tail(&mut chunk.data, end);
                chunk.layout = RowLayout::Lines(self.line);
                let lines = memchr::memchr_iter(b'\n', chunk.data.filled()).count() as u64;
                self.line += lines;
                self.rows += lines + u64::from(chunk.data.filled().last().is_some_and(|last| *last != b'\n'));
                return Ok(true);
            }
            if self.rest.len() > MAX_ROW_BYTES {
                chunk.layout = RowLayout::TooLong(self.line);
                self.rows += 1;
                self.skip_line()?;
                return Ok(true);
            }
            searched = self.rest.len();
        }
    }

    /// Skips the current line.
    fn skip_line(&mut self) -> Result<()> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.rest.filled()) {
                let mut whole = std::mem::take(&mut self.rest);
                self.rest.take_tail(&mut whole, end + 1);
                self.line += 1;
                return Ok(());
            }
            self.rest.clear();
            self.fill(CHUNK_BYTES)?;
            if self.rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads a chunk of complete elements of an array.
    fn next_spans(&mut self, mut state: ArrayState, chunk: &mut Chunk) -> Result<bool> {
        loop {
            state = self.scan_array(state)?;
            // A chunk can end between users or at the end of the input.
            if !matches!(state, ArrayState::User { .. }) && (self.rest.len() >= CHUNK_BYTES || self.ended) {
                break;
            }
            if let ArrayState::User { start, line, .. } = state {
                if self.ended {
                    return Err(Error::new(
                        Code::InvalidUsersFile,
                        format!("The array ends in the middle of the user that starts in line {line}."),
                    )
                    .with_hint("The file was probably not downloaded or copied completely; get it again."));
                }
                if self.rest.len() - start > MAX_ROW_BYTES {
                    return Err(Error::new(
                        Code::InvalidUsersFile,
                        format!("The user that starts in line {line} is longer than {} MiB.", MAX_ROW_BYTES >> 20),
                    ));
                }
                if start >= CHUNK_BYTES {
                    // End the chunk before the current user, which is incomplete.
                    self.end_chunk(start, state, chunk);
                    return Ok(true);
                }
            }
            self.fill(CHUNK_BYTES)?;
        }
        if self.ended && self.scanned == self.rest.len() && state != ArrayState::End {
            return Err(Error::new(
                Code::InvalidUsersFile,
                format!("The array that should end with `]` ends in line {} without it.", self.line),
            )
            .with_hint("The file was probably not downloaded or copied completely; get it again."));
        }
        let more = !self.spans.is_empty() || !self.ended;
        self.end_chunk(self.scanned, state, chunk);
        Ok(more)
    }

    /// Moves the elements found so far, and the bytes up to `end`, to the chunk.
    fn end_chunk(&mut self, end: usize, state: ArrayState, chunk: &mut Chunk) {
        std::mem::swap(&mut chunk.data, &mut self.rest);
        self.rest.take_tail(&mut chunk.data, end);
        self.scanned -= end;
        self.rows += self.spans.len() as u64;
        chunk.layout = RowLayout::Spans(std::mem::take(&mut self.spans));
        self.format = InputFormat::Array(match state {
            ArrayState::User { start, line, depth, token } => {
                ArrayState::User { start: start - end, line, depth, token }
            }
            state => state,
        });
    }

    /// Scans the bytes in `rest` for elements of the array, and returns the state at their end. Fails if they are not
    /// an array.
    fn scan_array(&mut self, mut state: ArrayState) -> Result<ArrayState> {
        while let Some(byte) = self.rest.filled().get(self.scanned).copied() {
            let at = self.scanned;
            self.scanned += 1;
            state = match state {
                ArrayState::User { start, line, depth, token } => {
                    let inside = |depth, token| ArrayState::User { start, line, depth, token };
                    match (token, byte) {
                        (TokenState::Escape, _) | (TokenState::Structure, b'"') => inside(depth, TokenState::String),
                        (TokenState::String, b'\\') => inside(depth, TokenState::Escape),
                        (TokenState::String, b'"') if depth == 0 => self.end_user(start, at + 1, line),
                        (TokenState::String, b'"') => inside(depth, TokenState::Structure),
                        (TokenState::String, _) => {
                            let text = self.rest.filled().get(at..).unwrap_or_default();
                            let length = memchr::memchr2(b'"', b'\\', text).unwrap_or(text.len());
                            let skipped = text.get(..length).unwrap_or_default();
                            self.line += memchr::memchr_iter(b'\n', skipped).count() as u64;
                            self.scanned = at + length;
                            state
                        }
                        (TokenState::Structure, b'{' | b'[') => inside(depth + 1, token),
                        (TokenState::Structure, b'}' | b']') if depth == 1 => self.end_user(start, at + 1, line),
                        (TokenState::Structure, b'}' | b']') => inside(depth - 1, token),
                        (TokenState::Structure, b'\n') => {
                            self.line += 1;
                            state
                        }
                        (TokenState::Scalar, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n') => {
                            self.scanned = at;
                            self.end_user(start, at, line)
                        }
                        (TokenState::Structure | TokenState::Scalar, _) => state,
                    }
                }
                state if byte.is_ascii_whitespace() => {
                    self.line += u64::from(byte == b'\n');
                    state
                }
                ArrayState::Start | ArrayState::Comma => match byte {
                    b']' if state == ArrayState::Start => ArrayState::End,
                    b']' => return Err(self.unexpected(byte, "a user after the comma")),
                    b',' | b':' | b'}' => return Err(self.unexpected(byte, "a user")),
                    b'{' | b'[' => {
                        ArrayState::User { start: at, line: self.line, depth: 1, token: TokenState::Structure }
                    }
                    b'"' => ArrayState::User { start: at, line: self.line, depth: 0, token: TokenState::String },
                    _ => ArrayState::User { start: at, line: self.line, depth: 0, token: TokenState::Scalar },
                },
                ArrayState::AfterUser => match byte {
                    b',' => ArrayState::Comma,
                    b']' => ArrayState::End,
                    _ => return Err(self.unexpected(byte, "`,` or `]` after a user")),
                },
                ArrayState::End => return Err(self.unexpected(byte, "nothing after the `]` that ends the array")),
            };
        }
        Ok(state)
    }

    /// Adds a complete element of the array.
    fn end_user(&mut self, start: usize, end: usize, line: u64) -> ArrayState {
        self.spans.push(Span { start, end, line });
        ArrayState::AfterUser
    }

    /// Returns the error for a byte that is not valid here.
    fn unexpected(&self, byte: u8, expected: &str) -> Error {
        let found =
            if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { format!("byte {byte:#04x}") };
        Error::new(Code::InvalidUsersFile, format!("Line {}: found {found}, expected {expected}.", self.line))
            .with_hint("A file of users is one JSON array of objects, or one object per line.")
    }
}

/// Converts an error of reading. An [`Error`] that was wrapped in an I/O error is unwrapped.
pub(super) fn read_error(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(error) => {
            let mut error = Error::from(error);
            error.message = format!("The users cannot be read: {}", error.message);
            error
        }
    }
}
