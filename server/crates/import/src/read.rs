//! Reads the rows of a users file: a JSON array, NDJSON or CSV, each optionally compressed with gzip. The format is
//! detected from the content.
//!
//! Holds one row in memory at a time. JSON rows keep their bytes; CSV rows are converted to JSON. A malformed row of
//! NDJSON or CSV is an error of that row only, since the next row starts on the next line. In a JSON array the start of
//! the next element would be uncertain, so reading fails with line and column.

mod csv;
mod encoding;
mod gzip;

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::{memchr, memchr_iter, memchr2};
use serde_json::Value;

use self::csv::Csv;
pub(super) use self::csv::{Column, HeaderPolicy, IgnoredColumn};
use super::InputFormat;
use uie_core::error::{Code, Error, Result};

/// Maximum size of a row in memory, in bytes of the file. Auth0 accepts at most 500,000 bytes per request
/// (docs/auth0/import-schema.md); the difference allows for indentation.
pub(super) const MAX_ROW_BYTES: usize = 4 << 20;

/// Maximum nesting of objects and arrays: the limit of `serde_json`.
pub(super) const MAX_NESTING: usize = 127;

const READ_BUFFER: usize = 64 << 10;

/// A row as text.
#[derive(Debug, Default)]
pub(super) struct RawRow {
    /// Its number in this file, from 1.
    pub(super) number: u64,
    /// Physical line where it starts, from 1.
    pub(super) line: u64,
    /// Column where it starts, in characters from 1.
    column: u64,
    /// Its JSON, without the line end; only the first [`MAX_ROW_BYTES`] if `truncated`.
    pub(super) bytes: Vec<u8>,
    /// The row is larger than [`MAX_ROW_BYTES`].
    pub(super) truncated: bool,
    /// CSV: the text of the record, without the line end.
    pub(super) source: Vec<u8>,
    /// CSV: number of cells.
    cells: usize,
    /// CSV: why the record cannot be converted.
    row_error: Option<RowError>,
}

/// The next row, in the read buffer.
#[derive(Debug)]
pub(super) struct PeekedRow<'a> {
    /// Physical line where it starts, from 1.
    pub(super) line: u64,
    /// Starts with the row.
    pub(super) text: &'a [u8],
    /// Whether `text` is exactly the row. Otherwise the row ends where its JSON value ends, or continues beyond `text`.
    pub(super) is_whole: bool,
}

/// Why a row cannot be read or mapped; the rows after it can still be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
    /// The affected attribute; `None` for the whole row.
    pub(super) attribute: Option<String>,
}

impl RowError {
    pub(super) fn new(code: &'static str, message: String, hint: &'static str) -> Self {
        Self { code, message, hint, attribute: None }
    }
}

/// The layout of the rows in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON array.
    Array,
    /// One JSON value per line.
    Lines,
    /// A header and records of cells.
    Csv,
}

/// Reads the rows of one file.
pub(super) struct RowReader {
    input: Box<dyn BufRead + Send>,
    layout: Layout,
    /// Present if the layout is CSV.
    csv: Option<Box<Csv>>,
    gzip: bool,
    /// The encoding of the byte order mark, if the file starts with one of UTF-16.
    encoding: Option<&'static str>,
    /// Set when the text is detected to be Windows-1252.
    is_windows_1252: Arc<AtomicBool>,
    position: Position,
    rows: u64,
    /// Array: the last token was a value.
    after_value: bool,
    ended: bool,
}

/// A position in the file.
#[derive(Clone, Copy, Debug)]
struct Position {
    line: u64,
    column: u64,
}

impl Position {
    /// Advances past these bytes.
    fn advance(&mut self, bytes: &[u8]) {
        let newlines = memchr_iter(b'\n', bytes).count() as u64;
        let rest = if newlines == 0 {
            bytes
        } else {
            self.line += newlines;
            self.column = 1;
            memchr::memrchr(b'\n', bytes).map_or(bytes, |at| &bytes[at + 1..])
        };
        self.column += characters(rest);
    }
}

/// Returns the number of UTF-8 characters that start in these bytes.
fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| (**byte & 0xC0) != 0x80).count() as u64
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn format_error(message: String) -> Error {
    Error::new(Code::UsersFileFormat, message)
}

fn empty_error(message: &str) -> Error {
    Error::new(Code::UsersFileEmpty, message)
}

impl RowReader {
    /// Detects the format from the first bytes. Fails if the file is empty, is neither JSON nor text, or has a CSV
    /// header that `headers` does not accept.
    pub(super) fn open(mut input: Box<dyn Read + Send>, headers: &HeaderPolicy) -> Result<Self> {
        let head = read_up_to(&mut input, 2)?;
        let gzip = head == [0x1F, 0x8B];
        let input: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(input));
        let mut input: Box<dyn Read + Send> = if gzip { Box::new(gzip::LimitedGzDecoder::new(input)) } else { input };
        let mut head = read_up_to(&mut input, 3).map_err(|error| read_error(error, gzip))?;
        let encoding = encoding::from_byte_order_mark(&head);
        if let Some(encoding) = encoding {
            let rest = Cursor::new(head.split_off(2)).chain(input);
            input = Box::new(encoding::DecodingReader::new(rest, encoding));
            head.clear();
        } else if head == [0xEF, 0xBB, 0xBF] {
            head.clear();
        }
        if let Some(found) = detect_binary_format(&head) {
            return Err(format_error(format!("The users file is {found}, neither JSON nor CSV.")));
        }
        let input = BufReader::with_capacity(READ_BUFFER, Cursor::new(head).chain(input));
        let mut reader = Self {
            input: Box::new(input),
            layout: Layout::Lines,
            csv: None,
            gzip,
            encoding: encoding.map(encoding_rs::Encoding::name),
            is_windows_1252: Arc::default(),
            position: Position { line: 1, column: 1 },
            rows: 0,
            after_value: false,
            ended: false,
        };
        match reader.skip_space()? {
            None => Err(empty_error("The users file has no content.")),
            Some(b'{') => Ok(reader),
            Some(b'[') => {
                reader.layout = Layout::Array;
                reader.consume(1);
                Ok(reader)
            }
            Some(byte) => match detect_non_text(byte) {
                Some(kind) => {
                    let line = reader.position.line;
                    Err(format_error(format!("The users file is {kind}, neither JSON nor CSV, as line {line} shows.")))
                }
                None => reader.open_csv(headers),
            },
        }
    }

    fn open_csv(mut self, headers: &HeaderPolicy) -> Result<Self> {
        if self.encoding.is_none() {
            let fallback = encoding::Windows1252Fallback::new(self.input, Arc::clone(&self.is_windows_1252));
            self.input = Box::new(BufReader::with_capacity(READ_BUFFER, fallback));
        }
        let sample =
            read_up_to(&mut self.input, csv::SAMPLE_BYTES as u64).map_err(|error| read_error(error, self.gzip))?;
        let input = Cursor::new(sample.clone()).chain(self.input);
        self.input = Box::new(BufReader::with_capacity(READ_BUFFER, input));
        self.layout = Layout::Csv;
        let csv = Csv::open(&sample, &mut *self.input, &mut self.position, headers, self.gzip)?;
        self.csv = Some(Box::new(csv));
        Ok(self)
    }

    /// Returns the detected format; the encoding is certain at the end of the file only.
    pub(super) fn format(&self) -> InputFormat {
        let encoding = match self.encoding {
            Some(name) => name,
            None if self.is_windows_1252.load(Ordering::Relaxed) => "windows-1252",
            None => "UTF-8",
        };
        InputFormat {
            file: None,
            format: match self.layout {
                Layout::Array => "json",
                Layout::Lines => "ndjson",
                Layout::Csv => "csv",
            }
            .to_owned(),
            encoding: encoding.to_owned(),
            delimiter: self.csv.as_ref().map(|csv| char::from(csv.dialect.delimiter).to_string()),
            gzip: self.gzip,
        }
    }

    /// Returns the text of the header of a CSV file; `None` for JSON.
    pub(super) fn header(&self) -> Option<&[u8]> {
        self.csv.as_ref().map(|csv| csv.header.as_slice())
    }

    /// Returns whether the file has been read completely.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.input.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    /// Returns the columns of a CSV file and the attribute of each without a mapping; `None` for JSON.
    pub(super) fn columns(&self) -> Option<&[Column]> {
        self.csv.as_ref().map(|csv| csv.names.as_slice())
    }

    /// Returns the cells of the last row of a CSV file; empty for JSON.
    pub(super) fn cells(&self, row: &RawRow) -> Vec<String> {
        self.csv.as_ref().map_or_else(Vec::new, |csv| csv.texts(row.cells))
    }

    /// Returns the CSV columns that cannot be imported, and the line of the header.
    pub(super) fn ignored_columns(&self) -> (&[IgnoredColumn], u64) {
        self.csv.as_ref().map_or((&[], 0), |csv| (&csv.ignored_columns, csv.header_line))
    }

    /// Reads the next row into `row`, reusing its buffers; `false` at the end of the file.
    pub(super) fn next(&mut self, row: &mut RawRow) -> Result<bool> {
        row.bytes.clear();
        row.source.clear();
        row.truncated = false;
        row.row_error = None;
        let found = match self.layout {
            Layout::Lines => self.next_line(row)?,
            Layout::Array => self.next_element(row)?,
            Layout::Csv => match &mut self.csv {
                Some(csv) => csv.next(&mut *self.input, &mut self.position, row, self.gzip)?,
                None => false,
            },
        };
        if found {
            self.rows += 1;
            row.number = self.rows;
            if self.layout == Layout::Lines && self.rows == 1 {
                self.reject_multiline_object(row)?;
            }
        } else if self.rows == 0 {
            return Err(empty_error("The users file contains no users."));
        }
        Ok(found)
    }

    /// Returns the next row in the read buffer, without copying it. `None` if it must be read with
    /// [`next`](Self::next): for CSV, for the first row, and if a line is not completely in the buffer.
    pub(super) fn peek(&mut self) -> Result<Option<PeekedRow<'_>>> {
        if self.rows == 0 || self.layout == Layout::Csv || (self.layout == Layout::Array && !self.seek_element()?) {
            return Ok(None);
        }
        let (gzip, line) = (self.gzip, self.position.line);
        let text = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
        if self.layout == Layout::Array {
            return Ok(Some(PeekedRow { line, text, is_whole: false }));
        }
        let text = memchr(b'\n', text).and_then(|end| text.get(..end));
        Ok(text.map(|text| PeekedRow { line, text, is_whole: true }))
    }

    /// Consumes the peeked row, whose JSON is `length` bytes long, and white space up to the end of its line.
    pub(super) fn advance(&mut self, length: usize) -> Result<()> {
        let gzip = self.gzip;
        let buffer = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
        let row = buffer.get(..length).unwrap_or(buffer);
        let taken = if self.layout == Layout::Array {
            self.position.advance(row);
            self.after_value = true;
            row.len()
        } else {
            self.position = Position { line: self.position.line + 1, column: 1 };
            let end = buffer.get(row.len()..).and_then(|rest| memchr(b'\n', rest));
            end.map_or(buffer.len(), |end| row.len() + end + 1)
        };
        self.input.consume(taken);
        self.rows += 1;
        Ok(())
    }

    /// Parses the row that was read last. The inner error concerns this row only; the outer one ends the file.
    pub(super) fn parse(&self, row: &RawRow) -> Result<Result<Value, RowError>> {
        if let Some(row_error) = &row.row_error {
            return Ok(Err(row_error.clone()));
        }
        let parsed = serde_json::from_slice::<Value>(&row.bytes);
        let error = match parsed {
            Ok(value) if !row.truncated => return Ok(Ok(value)),
            Ok(_) => return Ok(Err(row_too_large())),
            Err(error) => error,
        };
        let row_error = if row.truncated && (error.is_eof() || self.layout == Layout::Lines) {
            row_too_large()
        } else if nesting(&row.bytes) > MAX_NESTING {
            RowError::new(
                "NESTING",
                format!("The row nests objects or arrays more than {MAX_NESTING} levels deep."),
                "Flatten the metadata of this user.",
            )
        } else {
            let (position, reason) = locate_error(&error, row);
            let reason =
                if reason == "invalid unicode code point" { "the text is not UTF-8".to_owned() } else { reason };
            // After these errors the start of the next array element is still certain.
            let contained = reason.starts_with("number out of range") || reason.contains("surrogate");
            if self.layout == Layout::Array && !contained {
                return Err(format_error(format!(
                    "The users file is not valid JSON at line {}, column {}, in user {}, which starts at line {}: {reason}.",
                    position.line, position.column, row.number, row.line
                )));
            }
            RowError::new(
                "INVALID_JSON",
                format!("The row is not valid JSON at line {}, column {}: {reason}.", position.line, position.column),
                "Correct the JSON of this row; write each user on a separate line.",
            )
        };
        Ok(Err(row_error))
    }

    fn next_line(&mut self, row: &mut RawRow) -> Result<bool> {
        loop {
            row.bytes.clear();
            row.truncated = false;
            row.line = self.position.line;
            row.column = self.position.column;
            let mut any = false;
            loop {
                let gzip = self.gzip;
                let buffer = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
                if buffer.is_empty() {
                    break;
                }
                any = true;
                let end = memchr(b'\n', buffer);
                let part = end.map_or(buffer, |at| &buffer[..at]);
                append_limited(&mut row.bytes, &mut row.truncated, part);
                let taken = end.map_or(buffer.len(), |at| at + 1);
                if end.is_some() {
                    self.position = Position { line: self.position.line + 1, column: 1 };
                }
                self.input.consume(taken);
                if end.is_some() {
                    break;
                }
            }
            if !any {
                return Ok(false);
            }
            if !row.bytes.iter().all(|byte| is_space(*byte)) {
                if !row.truncated && row.bytes.last() == Some(&b'\r') {
                    row.bytes.pop();
                }
                return Ok(true);
            }
        }
    }

    /// Fails if the file is a single object on several lines. It starts like NDJSON; without this check every one of
    /// its lines would be reported as a malformed row.
    fn reject_multiline_object(&mut self, row: &RawRow) -> Result<()> {
        let unfinished = serde_json::from_slice::<serde::de::IgnoredAny>(&row.bytes).is_err_and(|error| error.is_eof());
        if unfinished && !row.truncated && !matches!(self.skip_space()?, None | Some(b'{')) {
            return Err(format_error(format!(
                "The users file is a single JSON object that starts at line {} and goes on over several lines.",
                row.line
            )));
        }
        Ok(())
    }

    /// Array: advances to the next element; `false` at the end of the array.
    fn seek_element(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        loop {
            let Some(byte) = self.skip_space()? else {
                return Err(format_error(format!(
                    "The users file ends at line {}, column {}, before its array is closed by ].",
                    self.position.line, self.position.column
                )));
            };
            match byte {
                b']' if self.after_value || self.rows == 0 => {
                    self.consume(1);
                    self.ended = true;
                    if self.skip_space()?.is_some() {
                        return Err(format_error(format!(
                            "The users file goes on after the end of its array, at line {}, column {}.",
                            self.position.line, self.position.column
                        )));
                    }
                    return Ok(false);
                }
                b',' if self.after_value => {
                    self.consume(1);
                    self.after_value = false;
                }
                _ if self.after_value || matches!(byte, b']' | b',') => {
                    let expected = if self.after_value { "`,` or `]`" } else { "a user" };
                    return Err(format_error(format!(
                        "The users file is not valid JSON at line {}, column {}: expected {expected}.",
                        self.position.line, self.position.column
                    )));
                }
                _ => return Ok(true),
            }
        }
    }

    fn next_element(&mut self, row: &mut RawRow) -> Result<bool> {
        if !self.seek_element()? {
            return Ok(false);
        }
        row.line = self.position.line;
        row.column = self.position.column;
        let mut value_end = ValueEnd::default();
        loop {
            let gzip = self.gzip;
            let buffer = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
            if buffer.is_empty() {
                break;
            }
            let end = value_end.find(buffer);
            let taken = end.unwrap_or(buffer.len());
            append_limited(&mut row.bytes, &mut row.truncated, &buffer[..taken]);
            self.position.advance(&buffer[..taken]);
            self.input.consume(taken);
            if end.is_some() {
                break;
            }
        }
        self.after_value = true;
        Ok(true)
    }

    /// Skips white space and returns the next byte without consuming it; `None` at the end of the file.
    fn skip_space(&mut self) -> Result<Option<u8>> {
        loop {
            let gzip = self.gzip;
            let buffer = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let spaces = buffer.iter().position(|byte| !is_space(*byte));
            let taken = spaces.unwrap_or(buffer.len());
            let next = spaces.and_then(|at| buffer.get(at)).copied();
            self.position.advance(&buffer[..taken]);
            self.input.consume(taken);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Consumes bytes of the buffer that contain no line end.
    fn consume(&mut self, count: usize) {
        self.position.column += count as u64;
        self.input.consume(count);
    }
}

/// Finds the end of a JSON value by its brackets and quotes, across buffers. Does not validate the value.
#[derive(Default)]
struct ValueEnd {
    depth: u64,
    in_string: bool,
    escaped: bool,
    started: bool,
}

impl ValueEnd {
    /// Returns the offset after the value's last byte; `None` if the value does not end in `buffer`.
    fn find(&mut self, buffer: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = buffer.get(at) {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let rest = buffer.get(at..).unwrap_or_default();
                let found = memchr2(b'"', b'\\', rest)?;
                at += found + 1;
                if rest.get(found) == Some(&b'\\') {
                    self.escaped = true;
                } else {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 && self.started => return Some(at),
                _ => {}
            }
            self.started = true;
            at += 1;
        }
        None
    }
}

fn append_limited(bytes: &mut Vec<u8>, truncated: &mut bool, part: &[u8]) {
    let room = MAX_ROW_BYTES - bytes.len();
    *truncated |= part.len() > room;
    bytes.extend_from_slice(part.get(..room).unwrap_or(part));
}

fn row_too_large() -> RowError {
    RowError::new(
        "ROW_TOO_LARGE",
        format!("The row is larger than {MAX_ROW_BYTES} bytes."),
        "Auth0 accepts at most 500,000 bytes at a time: shorten the metadata of this user.",
    )
}

/// Returns the position of a parser error in the file, and its reason without the position.
fn locate_error(error: &serde_json::Error, row: &RawRow) -> (Position, String) {
    let mut position = Position { line: row.line, column: row.column };
    let mut rest = row.bytes.as_slice();
    for _ in 1..error.line() {
        let Some(at) = memchr(b'\n', rest) else { break };
        rest = &rest[at + 1..];
        position = Position { line: position.line + 1, column: 1 };
    }
    let before = rest.get(..error.column().saturating_sub(1)).unwrap_or(rest);
    position.column += characters(before);
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
    (position, reason)
}

/// Returns the maximum nesting of brackets outside strings.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads up to `count` bytes.
fn read_up_to(input: &mut dyn Read, count: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(count).read_to_end(&mut head)?;
    Ok(head)
}

fn read_error(error: io::Error, gzip: bool) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => error,
    };
    if gzip && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
        damaged_gzip()
    } else {
        error.into()
    }
}

/// Returns the error for a gzip file that cannot be decompressed completely.
pub(super) fn damaged_gzip() -> Error {
    format_error("The gzip file is damaged or incomplete.".to_owned())
}

/// Returns the format of a file that starts with the signature of a known binary format.
fn detect_binary_format(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, ..] => Some("a ZIP archive or a spreadsheet"),
        [0x28, 0xB5, 0x2F, ..] => Some("compressed with Zstandard"),
        [b'B', b'Z', b'h', ..] => Some("compressed with bzip2"),
        [0xFD, b'7', b'z', ..] => Some("compressed with xz"),
        [b'%', b'P', b'D', ..] => Some("a PDF document"),
        _ => None,
    }
}

/// Returns the kind of a file that starts with this byte; `None` if it may be the header of a CSV file.
fn detect_non_text(byte: u8) -> Option<&'static str> {
    match byte {
        b'<' => Some("HTML or XML"),
        b'}' | b']' => Some("broken JSON"),
        0..b' ' | 0x7F => Some("binary data"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Returns at most `.1` bytes per read, like a pipe.
    struct ShortReader(Cursor<Vec<u8>>, usize);

    impl Read for ShortReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn format_of(content: &[u8]) -> InputFormat {
        let mut reader = RowReader::open(Box::new(Cursor::new(content.to_vec())), &HeaderPolicy::default()).unwrap();
        let mut raw = RawRow::default();
        while reader.next(&mut raw).unwrap() {}
        reader.format()
    }

    /// Returns line and user of each row of a CSV file, or the code of its error.
    fn users(content: impl Into<Vec<u8>>) -> Vec<(u64, Result<Value, &'static str>)> {
        let rows = rows_of(content, 7).unwrap_or_else(|error| panic!("{error}"));
        rows.into_iter().map(|(_, line, value)| (line, value.map_err(|row_error| row_error.code))).collect()
    }

    fn values(content: impl Into<Vec<u8>>) -> Vec<Value> {
        users(content).into_iter().map(|(_, value)| value.unwrap()).collect()
    }

    #[test]
    fn headers_with_dots_and_brackets_become_nested_objects_with_types() {
        let content = "email,email_verified,app_metadata.plan,app_metadata.seats,user_metadata[\"favourite colour\"],mfa_factors[0].phone.value,user_metadata.tags,app_metadata.empty.deep\n\
            ada@example.com,TRUE,pro,5,\"dark, red\",+12125550001,\"[\"\"a\"\",1]\",\n\
            bob@example.com,,,,,,,\n";
        let content =
            content.replace("user_metadata[\"favourite colour\"]", "\"user_metadata[\"\"favourite colour\"\"]\"");
        assert_eq!(
            values(content),
            [
                json!({
                    "email": "ada@example.com", "email_verified": true,
                    "app_metadata": { "plan": "pro", "seats": 5 },
                    "user_metadata": { "favourite colour": "dark, red", "tags": ["a", 1] },
                    "mfa_factors": [{ "phone": { "value": "+12125550001" } }],
                }),
                json!({ "email": "bob@example.com" }),
            ]
        );
    }

    #[test]
    fn delimiters_and_quotes_are_detected() {
        for (content, delimiter) in [
            ("email,name\na@b.c,\"x; y\"\n", ","),
            ("email;name\na@b.c;x, y\nb@b.c;x, z\n", ";"),
            ("email\tname\na@b.c\tx, y\n", "\t"),
            ("email|name\na@b.c|x, y\n", "|"),
            ("sep=;\nemail;name\na@b.c;x, y\n", ";"),
            ("'email';'name'\n'a@b.c';'x; y'\n", ";"),
            ("email\na@b.c\n", ","),
        ] {
            let format = format_of(content.as_bytes());
            assert_eq!((format.format.as_str(), format.delimiter.as_deref()), ("csv", Some(delimiter)), "{content}");
            let user = values(content).remove(0);
            assert_eq!(user["email"], "a@b.c", "{content}");
            assert!(user["name"].is_null() || user["name"].as_str().unwrap().starts_with('x'), "{user}");
        }
    }

    #[test]
    fn csv_rows_have_physical_lines_and_ragged_rows_are_errors() {
        let content = "\u{FEFF}\r\nemail,name\r\n\r\na@b.c,\"two\r\nlines\"\r\nb@b.c\r\n,\r\nc@b.c,x,y\r\nd@b.c,\"it\"\"s\"\r\n\"open,";
        let lines: Vec<_> = users(content).into_iter().map(|(line, value)| (line, value.err())).collect();
        assert_eq!(
            lines,
            [(4, None), (6, Some("RAGGED_ROW")), (8, Some("RAGGED_ROW")), (9, None), (10, Some("OPEN_QUOTE"))]
        );
        let old = users("email,name\ra@b.c,x\rb@b.c,y\r");
        assert_eq!(old.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn csv_in_other_encodings_is_read_and_its_encoding_reported() {
        let text = "email;name\na@b.c;José €\n";
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let windows_1252 = b"email;name\na@b.c;Jos\xE9 \x80\n".to_vec();
        for (content, encoding) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            (utf16, "UTF-16LE"),
            (windows_1252.clone(), "windows-1252"),
            (gzip(&windows_1252), "windows-1252"),
        ] {
            assert_eq!(format_of(&content).encoding, encoding);
            assert_eq!(values(content)[0]["name"], "José €");
        }
    }

    #[test]
    fn apostrophes_of_auth0s_own_csv_are_removed() {
        let content = "user_id,email,name,email_verified,created_at,app_metadata.n\n\
            \"'auth0|1\",\"'ada@example.com\",\"''t Hart \"\"x\"\"\",True,2024-01-01T00:00:00.000Z,\"'42\"\n\
            \"'auth0|2\",\"'bob@example.com\",,False,2024-01-01T00:00:00.000Z,42\n";
        assert_eq!(
            values(content),
            [
                json!({ "user_id": "auth0|1", "email": "ada@example.com", "name": "'t Hart \"x\"", "email_verified": true, "app_metadata": { "n": "42" } }),
                json!({ "user_id": "auth0|2", "email": "bob@example.com", "email_verified": false, "app_metadata": { "n": 42 } }),
            ]
        );
    }

    #[test]
    fn a_list_of_addresses_needs_no_header() {
        let rows = users("a@b.c\n\nb@b.c\n");
        assert_eq!(rows, [(1, Ok(json!({ "email": "a@b.c" }))), (3, Ok(json!({ "email": "b@b.c" })))]);
    }

    #[test]
    fn an_unknown_header_fails_with_a_suggestion() {
        for (header, part) in [
            ("email,Emial", "did you mean email?"),
            ("email,shoe size", "\"shoe size\""),
            ("email,name,Email", "Columns 1 (\"email\") and 3 (\"Email\")"),
            ("email,app_metadata,app_metadata.plan", "Columns 2"),
            ("given_name,family_name", "No column of the users file is named email"),
            ("email,custom_password_hash.salty", "custom_password_hash.salty"),
        ] {
            let error = failure(format!("{header}\n"));
            assert_eq!(error.code, Code::UsersFileColumns, "{header}");
            assert!(error.message.contains(part), "{}", error.message);
        }
        assert_eq!(failure("email,name\n").code, Code::UsersFileEmpty);
    }

    type Rows = Vec<(u64, u64, Result<Value, RowError>)>;

    fn rows_of(content: impl Into<Vec<u8>>, step: usize) -> Result<Rows, Error> {
        let mut reader =
            RowReader::open(Box::new(ShortReader(Cursor::new(content.into()), step)), &HeaderPolicy::default())?;
        let mut rows = Vec::new();
        let mut raw = RawRow::default();
        while reader.next(&mut raw)? {
            rows.push((raw.number, raw.line, reader.parse(&raw)?));
        }
        Ok(rows)
    }

    fn rows(content: &str) -> Rows {
        rows_of(content, 7).unwrap_or_else(|error| panic!("{error}"))
    }

    fn failure(content: impl Into<Vec<u8>>) -> Error {
        rows_of(content, 7).expect_err("the file is not a list of users")
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn ndjson_rows_have_physical_lines() {
        let rows = rows("\u{FEFF}\r\n{\"a\":1}\r\n\n  \t\n {\"a\":\"x\\ny\"} \r\n{\"a\":3}");
        let locations: Vec<_> = rows.iter().map(|(number, line, _)| (*number, *line)).collect();
        assert_eq!(locations, [(1, 2), (2, 5), (3, 6)]);
        assert_eq!(rows[1].2.as_ref().unwrap()["a"], "x\ny");
    }

    #[test]
    fn array_elements_have_the_line_of_their_start() {
        let rows =
            rows("[\n  {\"a\": \"]},{\\\"\"},\n  {\n    \"a\": [1, {\"b\": 2}]\n  }, {\"a\": 3}\n, 4, \"five\"]\n");
        let locations: Vec<_> = rows.iter().map(|(number, line, _)| (*number, *line)).collect();
        assert_eq!(locations, [(1, 2), (2, 3), (3, 5), (4, 6), (5, 6)]);
        assert_eq!(rows[0].2.as_ref().unwrap()["a"], "]},{\"");
        assert_eq!(rows[4].2.as_ref().unwrap(), "five");
    }

    #[test]
    fn gzip_is_detected_by_content_for_all_formats_and_several_members() {
        let mut content = gzip(b"\xEF\xBB\xBF{\"a\":1}\n");
        content.extend(gzip(b"{\"a\":2}\n"));
        assert_eq!(rows_of(content, 5).unwrap().len(), 2);
        assert_eq!(rows_of(gzip(b"[{\"a\":1}]"), 5).unwrap().len(), 1);
        let mut cut = gzip(b"[{\"a\":1}]");
        cut.truncate(cut.len() - 6);
        let error = failure(cut);
        assert_eq!((error.code, error.message.contains("gzip")), (Code::UsersFileFormat, true));
    }

    #[test]
    fn a_malformed_line_is_an_error_of_that_row_only() {
        for (broken, part) in [
            ("{\"a\": }", "line 1, column 7: expected value"),
            ("{\"a\":1} {\"b\":2}", "trailing characters"),
            ("{\"a\":", "EOF"),
            ("{\"é\": x}", "line 1, column 7"),
        ] {
            let rows = rows(&format!("{broken}\n{{\"a\":2}}\n"));
            let row_error = rows[0].2.as_ref().expect_err(broken);
            assert_eq!(row_error.code, "INVALID_JSON");
            assert!(row_error.message.contains(part), "{}", row_error.message);
            assert!(rows[1].2.is_ok());
        }
        let rows = rows_of(b"{\"a\":\"\xFF\"}\n{\"a\":2}".to_vec(), 3).unwrap();
        assert!(rows[0].2.as_ref().unwrap_err().message.contains("not UTF-8"));
    }

    #[test]
    fn a_malformed_array_fails_with_line_and_column() {
        for (content, part) in [
            ("[\n{\"a\":1},\n{\"a\" 2}]", "line 3, column 6"),
            ("[{\"a\":1} {\"a\":2}]", "line 1, column 10: expected `,` or `]`"),
            ("[{\"a\":1},]", "line 1, column 10: expected a user"),
            ("[,{\"a\":1}]", "line 1, column 2: expected a user"),
            ("[{\"a\":1},\n\n", "ends at line 3, column 1"),
            ("[{\"a\":1},{\"a\":\"", "in user 2"),
            ("[{\"a\":1}]\n[", "goes on after the end of its array, at line 2, column 1"),
            ("[\n  {\"é\": \"ü\", 5}]", "line 2, column 14"),
        ] {
            let error = failure(content);
            assert_eq!(error.code, Code::UsersFileFormat, "{content}");
            assert!(error.message.contains(part), "{content}: {}", error.message);
        }
    }

    #[test]
    fn a_file_without_users_is_refused_as_empty() {
        for content in ["", " \r\n\n", "\u{FEFF}", "[]", "[ \n ]", "\u{FEFF}[ ]"] {
            assert_eq!(failure(content).code, Code::UsersFileEmpty, "{content:?}");
        }
        assert_eq!(failure(gzip(b"")).code, Code::UsersFileEmpty);
    }

    #[test]
    fn other_file_formats_are_refused_by_name() {
        for (content, found) in [
            (b"<html>".to_vec(), "HTML or XML"),
            (b"PK\x03\x04".to_vec(), "ZIP archive"),
            (vec![0, 1, 2, 3], "binary data"),
            (b"\n\n]".to_vec(), "line 3"),
            (b"{\n  \"users\": [\n    {\"email\": \"a@b.c\"}\n  ]\n}".to_vec(), "single JSON object"),
        ] {
            let error = failure(content);
            assert_eq!(error.code, Code::UsersFileFormat);
            assert!(error.message.contains(found), "{}", error.message);
        }
        assert_eq!(failure(b"42".to_vec()).code, Code::UsersFileColumns);
    }

    #[test]
    fn json_in_utf_16_is_decoded() {
        for (mark, swap) in [([0xFF, 0xFE], false), ([0xFE, 0xFF], true)] {
            let units = "[{\"a\": \"é\"}]".encode_utf16();
            let text: Vec<u8> =
                units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
            let rows = rows_of([mark.to_vec(), text].concat(), 3).unwrap();
            assert_eq!(rows[0].2.as_ref().unwrap()["a"], "é");
        }
    }

    #[test]
    fn too_deep_a_row_is_an_error_of_that_row_in_both_layouts() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for content in [format!("{deep}\n{{\"a\":1}}\n"), format!("[{deep},{{\"a\":1}}]")] {
            let rows = rows(&content);
            assert_eq!(rows[0].2.as_ref().unwrap_err().code, "NESTING");
            assert!(rows[1].2.is_ok());
        }
    }

    #[test]
    fn too_large_a_row_is_an_error_of_that_row_and_is_truncated() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ROW_BYTES));
        for content in [format!("{large}\n{{\"a\":1}}\n"), format!("[{large},{{\"a\":1}}]")] {
            let mut reader =
                RowReader::open(Box::new(Cursor::new(content.into_bytes())), &HeaderPolicy::default()).unwrap();
            let mut raw = RawRow::default();
            assert!(reader.next(&mut raw).unwrap());
            assert_eq!(raw.bytes.len(), MAX_ROW_BYTES);
            assert_eq!(reader.parse(&raw).unwrap().unwrap_err().code, "ROW_TOO_LARGE");
            assert!(reader.next(&mut raw).unwrap());
            assert!(reader.parse(&raw).unwrap().is_ok());
        }
        let unclosed = format!("[{{\"a\":\"x\ny{}", "x".repeat(MAX_ROW_BYTES));
        assert!(failure(unclosed).message.contains("line 1"), "the error is at the control character");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(content in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn csv_like_text_does_not_panic(content in "(sep=;\n)?email[,;\t|'\"\n\r a@.é=-]{0,60}", step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn cells_are_read_as_written(
            cells in prop::collection::vec(("[a-z]{1,5}@b\\.c", "[ -~é\n\r]{0,12}"), 1..9),
            delimiter in prop::sample::select(vec![b',', b';', b'\t', b'|']),
            step in 1_usize..40,
        ) {
            let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(["email", "user_id", "nickname"]).unwrap();
            for (email, nickname) in &cells {
                // Texts with an apostrophe guard are tested with the type inference.
                prop_assume!(!nickname.starts_with('\''));
                writer.write_record([email.as_str(), "1", nickname]).unwrap();
            }
            let read: Vec<Value> = rows_of(writer.into_inner().unwrap(), step).unwrap().into_iter().map(|(_, _, value)| value.unwrap()).collect();
            let expected: Vec<Value> = cells
                .iter()
                .map(|(email, nickname)| if nickname.is_empty() { json!({ "email": email, "user_id": "1" }) } else { json!({ "email": email, "user_id": "1", "nickname": nickname }) })
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn json_like_text_does_not_panic(content in "[\\[{]{0,2}[\\[\\]{}\",:\\\\ \n\ra0é-]{0,60}", step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn both_json_layouts_are_read_as_written(values in prop::collection::vec(value(), 1..12), step in 1_usize..40, pretty in any::<bool>()) {
            let lines = values.iter().map(json).collect::<Vec<_>>().join("\r\n");
            let array = if pretty { serde_json::to_string_pretty(&values).unwrap() } else { json(&values) };
            for content in [lines.into_bytes(), gzip(array.as_bytes()), array.into_bytes()] {
                let read: Vec<Value> = rows_of(content, step).unwrap().into_iter().map(|(_, _, value)| value.unwrap()).collect();
                prop_assert_eq!(&read, &values);
            }
        }
    }

    fn json(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    /// Objects only, since NDJSON starts with an object.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| if number.is_finite() { Value::from(number) } else { Value::Null }),
            ".*".prop_map(Value::from),
            "[\\[\\]{}\",:\\\\\u{0}-\u{1f}]{0,9}".prop_map(Value::from),
        ];
        let any = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        });
        prop::collection::btree_map(".{0,4}", any, 0..4).prop_map(|members| members.into_iter().collect())
    }
}
