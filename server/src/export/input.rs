//! Reads users from bytes: NDJSON or a JSON array, gzip of either, found by content. A chunk of many
//! rows at a time, never more than one row too many.

use std::io::{BufReader, Chain, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Code, Error, Result};

/// How much is read before rows are handed on, in bytes.
const CHUNK: usize = 256 * 1024;

/// The longest row that is read, in bytes. Auth0 allows users of 1 MB (docs/auth0/README.md#constants).
pub(super) const LONGEST_ROW: usize = 64 << 20;

const COMPRESSED_BUFFER: usize = 128 * 1024;

/// Bytes that were read, in a buffer that is written to once before it is used again and again.
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

    /// Room for so many bytes in all.
    fn room(&mut self, wanted: usize) {
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }

    /// Forgets the first bytes.
    fn forget(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Forgets everything, and gives memory back that only an unusually long row needed.
    fn clear(&mut self) {
        self.filled = 0;
        if self.bytes.len() > 4 * CHUNK {
            self.bytes = Vec::new();
        }
    }

    /// Takes what lies behind a place of another buffer, which keeps the rest.
    fn take_from(&mut self, other: &mut Self, at: usize) {
        let taken = other.bytes.get(at..other.filled).unwrap_or_default();
        self.clear();
        self.room(CHUNK.max(taken.len()));
        if let Some(start) = self.bytes.get_mut(..taken.len()) {
            start.copy_from_slice(taken);
        }
        self.filled = taken.len();
        other.filled = at.min(other.filled);
    }
}

/// Rows that were read together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    data: Buffer,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    /// Rows are lines; the number of the first.
    Lines(u64),
    /// Rows are elements of an array.
    Spans(Vec<Span>),
    /// One line that was too long and is not here.
    TooLong(u64),
}

impl Default for Layout {
    fn default() -> Self {
        Self::Lines(1)
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    line: u64,
}

/// A row of a chunk: the line it starts in, and its text unless it was too long.
pub(super) type Row<'a> = (u64, Option<&'a [u8]>);

impl Chunk {
    /// The rows one after the other.
    pub fn rows(&self) -> Rows<'_> {
        let data = self.data.filled();
        let next = match &self.layout {
            Layout::Lines(first) => Next::Line { line: *first, at: 0 },
            Layout::Spans(spans) => Next::Span(spans),
            Layout::TooLong(line) => Next::TooLong(Some(*line)),
        };
        Rows { data, text: simdutf8::basic::from_utf8(data).ok(), next }
    }
}

/// The rows of a chunk that are still to come.
pub(super) struct Rows<'a> {
    data: &'a [u8],
    /// The data, if all of it is UTF-8.
    text: Option<&'a str>,
    next: Next<'a>,
}

enum Next<'a> {
    Line { line: u64, at: usize },
    Span(&'a [Span]),
    TooLong(Option<u64>),
}

/// What a quick reader may try before a row is cut out: a text, and where in it the row starts. If the row
/// is a line, the reader itself finds its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ahead<'a> {
    /// The row is the line that starts here.
    Line(&'a str, usize),
    /// The row is this text.
    Whole(&'a str),
}

impl<'a> Rows<'a> {
    /// What comes next, if that is a row of valid UTF-8. Nothing is taken.
    #[inline]
    pub fn ahead(&self) -> Option<Ahead<'a>> {
        let text = self.text?;
        match self.next {
            Next::Line { at, .. } => (at < text.len()).then_some(Ahead::Line(text, at)),
            Next::Span(spans) => spans.first().and_then(|span| text.get(span.start..span.end)).map(Ahead::Whole),
            Next::TooLong(_) => None,
        }
    }

    /// Goes behind the row that was looked at, which ends at this place of its text; its line.
    #[inline]
    pub fn pass(&mut self, end: usize) -> u64 {
        match &mut self.next {
            Next::Line { line, at } => {
                *at = end + 1;
                *line += 1;
                *line - 1
            }
            Next::Span(spans) => {
                let line = spans.first().map_or(0, |span| span.line);
                *spans = spans.get(1..).unwrap_or_default();
                line
            }
            Next::TooLong(line) => line.take().unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    /// The next row that is not blank.
    fn next(&mut self) -> Option<Row<'a>> {
        loop {
            let (row, end) = match self.next {
                Next::Line { at, .. } => {
                    let rest = self.data.get(at..).filter(|rest| !rest.is_empty())?;
                    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    (rest.get(..length).map(<[u8]>::trim_ascii), at + length)
                }
                Next::Span(spans) => {
                    let span = spans.first()?;
                    (self.data.get(span.start..span.end), span.end)
                }
                Next::TooLong(line) => {
                    line?;
                    (None, 0)
                }
            };
            let line = self.pass(end);
            if row.is_none_or(|row| !row.is_empty()) {
                return Some((line, row));
            }
        }
    }
}

type Source = Box<dyn Read + Send>;
type Rewound = BufReader<Chain<Cursor<Vec<u8>>, Source>>;

/// Bytes that are inflated if they start the way gzip does; files of several members too.
pub(super) enum Inflated {
    /// They do not.
    Plain(Rewound),
    /// They do.
    Gzip(Box<MultiGzDecoder<Rewound>>),
}

impl Inflated {
    /// Looks at the first two bytes.
    pub fn new(mut source: Source) -> std::io::Result<Self> {
        let mut start = Vec::with_capacity(2);
        source.by_ref().take(2).read_to_end(&mut start)?;
        let gzip = start == [0x1f, 0x8b];
        let source = BufReader::with_capacity(COMPRESSED_BUFFER, Cursor::new(start).chain(source));
        Ok(if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(source))) } else { Self::Plain(source) })
    }
}

impl Read for Inflated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
        }
    }
}

enum Form {
    /// Nothing was read yet.
    Unknown,
    Lines,
    Array(Place),
}

/// Where in an array the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After `[`: a user or `]`.
    Start,
    /// After a comma.
    Comma,
    /// In a user.
    User { start: usize, line: u64, depth: u32, kind: Inside },
    /// After a user: a comma or `]`.
    AfterUser,
    /// After `]`: nothing but blanks.
    End,
}

/// What kind of JSON the reader is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Structure,
    Text,
    Escape,
    /// A number or a word right in the array.
    Scalar,
}

/// Cuts a stream of bytes into chunks of rows.
pub(super) struct Input {
    bytes: Inflated,
    form: Form,
    /// What was read beyond the last chunk.
    rest: Buffer,
    /// How much of `rest` the array reader has looked at.
    looked: usize,
    spans: Vec<Span>,
    line: u64,
    /// Rows of all chunks so far; blank lines count too.
    rows: u64,
    ended: bool,
}

impl Input {
    /// How many rows were read; lines without content count too.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Looks at the first bytes to tell gzip from plain text.
    pub fn new(source: Source) -> Result<Self> {
        let bytes = Inflated::new(source).map_err(failed)?;
        Ok(Self {
            bytes,
            form: Form::Unknown,
            rest: Buffer::default(),
            looked: 0,
            spans: Vec::new(),
            line: 1,
            rows: 0,
            ended: false,
        })
    }

    /// The next rows; none at the end. `chunk` is reused.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool> {
        if matches!(self.form, Form::Unknown) {
            self.form = self.find_form()?;
        }
        if let Form::Array(place) = self.form { self.next_spans(place, chunk) } else { self.next_lines(chunk) }
    }

    /// Reads on until there are `wanted` bytes more, or no more at all.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        let target = self.rest.len() + wanted;
        self.rest.room(target);
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
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    fn line_at_end(&self) -> u64 {
        self.line + memchr::memchr_iter(b'\n', self.rest.filled()).count() as u64
    }

    fn broken(&self, error: std::io::Error) -> Error {
        if matches!(self.bytes, Inflated::Gzip(_))
            && matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)
        {
            return Error::new(
                Code::InvalidUsersFile,
                format!("The compressed file is damaged after line {}: {error}.", self.line_at_end()),
            )
            .with_hint("Get the file again, or make sure that it is gzip all the way.");
        }
        failed(error)
    }

    /// Skips a byte-order mark and blanks, and looks whether an array starts.
    fn find_form(&mut self) -> Result<Form> {
        self.fill(CHUNK)?;
        let start = self.rest.filled();
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Error::new(Code::InvalidUsersFile, "The file is UTF-16; expected UTF-8.")
                .with_hint("Save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`."));
        }
        if start.starts_with("\u{feff}".as_bytes()) {
            self.rest.forget(3);
        }
        loop {
            let read = self.rest.filled();
            let blanks = read.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += read.iter().take(blanks).filter(|byte| **byte == b'\n').count() as u64;
            self.rest.forget(blanks);
            if !self.rest.is_empty() || self.ended {
                break;
            }
            self.fill(CHUNK)?;
        }
        Ok(if self.rest.filled().first() == Some(&b'[') {
            self.looked = 1;
            Form::Array(Place::Start)
        } else {
            Form::Lines
        })
    }

    fn next_lines(&mut self, chunk: &mut Chunk) -> Result<bool> {
        let mut searched = 0;
        loop {
            let wanted = CHUNK.saturating_sub(self.rest.len()).max(if searched == 0 { 0 } else { CHUNK });
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
            if let Some(end) = end.filter(|end| *end <= LONGEST_ROW + CHUNK) {
                std::mem::swap(&mut chunk.data, &mut self.rest);
                self.rest.take_from(&mut chunk.data, end);
                chunk.layout = Layout::Lines(self.line);
                let lines = memchr::memchr_iter(b'\n', chunk.data.filled()).count() as u64;
                self.line += lines;
                self.rows += lines + u64::from(chunk.data.filled().last().is_some_and(|last| *last != b'\n'));
                return Ok(true);
            }
            if self.rest.len() > LONGEST_ROW {
                chunk.layout = Layout::TooLong(self.line);
                self.rows += 1;
                self.skip_line()?;
                return Ok(true);
            }
            searched = self.rest.len();
        }
    }

    /// Forgets the line at hand.
    fn skip_line(&mut self) -> Result<()> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.rest.filled()) {
                let mut whole = std::mem::take(&mut self.rest);
                self.rest.take_from(&mut whole, end + 1);
                self.line += 1;
                return Ok(());
            }
            self.rest.clear();
            self.fill(CHUNK)?;
            if self.rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn next_spans(&mut self, mut place: Place, chunk: &mut Chunk) -> Result<bool> {
        loop {
            place = self.look(place)?;
            // Only between users, or at the end, can the rows be handed on.
            if !matches!(place, Place::User { .. }) && (self.rest.len() >= CHUNK || self.ended) {
                break;
            }
            if let Place::User { start, line, .. } = place {
                if self.ended {
                    return Err(Error::new(
                        Code::InvalidUsersFile,
                        format!("The array ends in the middle of the user that starts in line {line}."),
                    )
                    .with_hint("The file was probably not downloaded or copied completely; get it again."));
                }
                if self.rest.len() - start > LONGEST_ROW {
                    return Err(Error::new(
                        Code::InvalidUsersFile,
                        format!("The user that starts in line {line} is longer than {} MiB.", LONGEST_ROW >> 20),
                    ));
                }
                if start >= CHUNK {
                    // Hand on what is complete, and keep the user at hand.
                    return Ok(self.hand_on(start, place, chunk));
                }
            }
            self.fill(CHUNK)?;
        }
        if self.ended && self.looked == self.rest.len() && place != Place::End {
            return Err(Error::new(
                Code::InvalidUsersFile,
                format!("The array that should end with `]` ends in line {} without it.", self.line),
            )
            .with_hint("The file was probably not downloaded or copied completely; get it again."));
        }
        let more = !self.spans.is_empty() || !self.ended;
        self.hand_on(self.looked, place, chunk);
        Ok(more)
    }

    /// Gives the spans found so far, with the bytes up to `end`.
    fn hand_on(&mut self, end: usize, place: Place, chunk: &mut Chunk) -> bool {
        std::mem::swap(&mut chunk.data, &mut self.rest);
        self.rest.take_from(&mut chunk.data, end);
        self.looked -= end;
        self.rows += self.spans.len() as u64;
        chunk.layout = Layout::Spans(std::mem::take(&mut self.spans));
        self.form = Form::Array(match place {
            Place::User { start, line, depth, kind } => Place::User { start: start - end, line, depth, kind },
            place => place,
        });
        true
    }

    /// Follows the array through the bytes at hand.
    fn look(&mut self, mut place: Place) -> Result<Place> {
        while let Some(byte) = self.rest.filled().get(self.looked).copied() {
            let at = self.looked;
            self.looked += 1;
            place = match place {
                Place::User { start, line, depth, kind } => {
                    let inside = |depth, kind| Place::User { start, line, depth, kind };
                    match (kind, byte) {
                        (Inside::Escape, _) | (Inside::Structure, b'"') => inside(depth, Inside::Text),
                        (Inside::Text, b'\\') => inside(depth, Inside::Escape),
                        (Inside::Text, b'"') if depth == 0 => self.user(start, at + 1, line),
                        (Inside::Text, b'"') => inside(depth, Inside::Structure),
                        (Inside::Text, _) => {
                            let ordinary = self.rest.filled().get(at..).unwrap_or_default();
                            let length = memchr::memchr2(b'"', b'\\', ordinary).unwrap_or(ordinary.len());
                            let skipped = ordinary.get(..length).unwrap_or_default();
                            self.line += memchr::memchr_iter(b'\n', skipped).count() as u64;
                            self.looked = at + length;
                            place
                        }
                        (Inside::Structure, b'{' | b'[') => inside(depth + 1, kind),
                        (Inside::Structure, b'}' | b']') if depth == 1 => self.user(start, at + 1, line),
                        (Inside::Structure, b'}' | b']') => inside(depth - 1, kind),
                        (Inside::Structure, b'\n') => {
                            self.line += 1;
                            place
                        }
                        (Inside::Scalar, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n') => {
                            self.looked = at;
                            self.user(start, at, line)
                        }
                        (Inside::Structure | Inside::Scalar, _) => place,
                    }
                }
                place if byte.is_ascii_whitespace() => {
                    self.line += u64::from(byte == b'\n');
                    place
                }
                Place::Start | Place::Comma => match byte {
                    b']' if place == Place::Start => Place::End,
                    b']' => return Err(self.unexpected(byte, "a user after the comma")),
                    b',' | b':' | b'}' => return Err(self.unexpected(byte, "a user")),
                    b'{' | b'[' => Place::User { start: at, line: self.line, depth: 1, kind: Inside::Structure },
                    b'"' => Place::User { start: at, line: self.line, depth: 0, kind: Inside::Text },
                    _ => Place::User { start: at, line: self.line, depth: 0, kind: Inside::Scalar },
                },
                Place::AfterUser => match byte {
                    b',' => Place::Comma,
                    b']' => Place::End,
                    _ => return Err(self.unexpected(byte, "`,` or `]` after a user")),
                },
                Place::End => return Err(self.unexpected(byte, "nothing after the `]` that ends the array")),
            };
        }
        Ok(place)
    }

    fn user(&mut self, start: usize, end: usize, line: u64) -> Place {
        self.spans.push(Span { start, end, line });
        Place::AfterUser
    }

    fn unexpected(&self, byte: u8, expected: &str) -> Error {
        let found =
            if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { format!("byte {byte:#04x}") };
        Error::new(Code::InvalidUsersFile, format!("Line {}: found {found}, expected {expected}.", self.line))
            .with_hint("A file of users is one JSON array of objects, or one object per line.")
    }
}

/// An error of reading; one of ours that came through a reader is taken out again.
pub(super) fn failed(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(error) => {
            let mut error = Error::from(error);
            error.message = format!("The users cannot be read: {}", error.message);
            error
        }
    }
}
