//! Reads rows of a users file: a JSON array, NDJSON or CSV, gzip of each, told apart by content.
//!
//! Streams: memory holds one row at a time, whatever the file's size. Rows of JSON keep their bytes as
//! they stand in the file; those of CSV become JSON. A broken row of NDJSON or CSV is a flaw of that
//! row, since the next line starts afresh; in an array the place where the next element starts would
//! be a guess, so reading stops there with line and column.

mod csv;
mod encoding;
mod inflate;

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::{memchr, memchr_iter, memchr2};
use serde_json::Value;

use self::csv::Csv;
pub(super) use self::csv::{Column, Headers, LeftOutColumn};
use super::InputFormat;
use crate::error::{Code, Error, Result};

/// The largest row that is held, in bytes as written in the file. Auth0 takes at most 500,000 bytes at a time
/// (docs/auth0/import-schema.md); the rest leaves room for indentation.
pub(super) const MAX_ROW_BYTES: usize = 4 << 20;

/// The deepest nesting of objects and arrays that is read; JSON parsers commonly stop here.
pub(super) const MAX_NESTING: usize = 127;

const READ_BUFFER: usize = 64 << 10;

/// A row as it stands in the file.
#[derive(Debug, Default)]
pub(super) struct RawRow {
    /// Its number in this file, from 1.
    pub(super) number: u64,
    /// Physical line where it starts, from 1.
    pub(super) line: u64,
    /// Column where it starts, in characters from 1.
    column: u64,
    /// Its JSON, without the line end. Only the first part when `truncated`.
    pub(super) bytes: Vec<u8>,
    /// The row is larger than [`MAX_ROW_BYTES`] and was not kept whole.
    pub(super) truncated: bool,
    /// CSV: the record as it stands in the file, without the line end.
    pub(super) source: Vec<u8>,
    /// CSV: how many cells it has.
    cells: usize,
    /// CSV: why no user can be made of it.
    flaw: Option<Flaw>,
}

/// A row that was read ahead, and stands there.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    /// Physical line where it starts, from 1.
    pub(super) line: u64,
    /// Begins with the row.
    pub(super) text: &'a [u8],
    /// The text is the row. Otherwise the row ends with its JSON, or goes on where the text ends.
    pub(super) whole: bool,
}

/// Why a row cannot be read, while the rows after it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
    /// The attribute it is about; none for the row as a whole.
    pub(super) attribute: Option<String>,
}

impl Flaw {
    pub(super) fn new(code: &'static str, message: String, hint: &'static str) -> Self {
        Self { code, message, hint, attribute: None }
    }
}

/// How rows are laid out in the file.
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
    /// With the layout of that name.
    csv: Option<Box<Csv>>,
    gzip: bool,
    /// UTF-16 as its byte order mark says.
    encoding: Option<&'static str>,
    /// The text turned out to be Windows-1252.
    windows: Arc<AtomicBool>,
    place: Place,
    rows: u64,
    /// Array: a value, not a comma or the end, was read last.
    after_value: bool,
    ended: bool,
}

/// A place in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    line: u64,
    column: u64,
}

impl Place {
    /// Moves behind these bytes.
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

/// How many characters of UTF-8 start in these bytes.
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
    /// Looks at the first bytes and says how the rows are laid out. Fails when the file is empty, is
    /// neither JSON nor text, or has a CSV header that cannot be understood.
    pub(super) fn open(mut input: Box<dyn Read + Send>, headers: &Headers) -> Result<Self> {
        let head = take_head(&mut input, 2)?;
        let gzip = head == [0x1F, 0x8B];
        let input: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(input));
        let mut input: Box<dyn Read + Send> = if gzip { Box::new(inflate::Inflate::new(input)) } else { input };
        let mut head = take_head(&mut input, 3).map_err(|error| read_error(error, gzip))?;
        let encoding = encoding::of_mark(&head);
        if let Some(encoding) = encoding {
            let rest = Cursor::new(head.split_off(2)).chain(input);
            input = Box::new(encoding::Decoding::new(rest, encoding));
            head.clear();
        } else if head == [0xEF, 0xBB, 0xBF] {
            head.clear();
        }
        if let Some(found) = foreign(&head) {
            return Err(format_error(format!("The users file is {found}, neither JSON nor CSV.")));
        }
        let input = BufReader::with_capacity(READ_BUFFER, Cursor::new(head).chain(input));
        let mut reader = Self {
            input: Box::new(input),
            layout: Layout::Lines,
            csv: None,
            gzip,
            encoding: encoding.map(encoding_rs::Encoding::name),
            windows: Arc::default(),
            place: Place { line: 1, column: 1 },
            rows: 0,
            after_value: false,
            ended: false,
        };
        match reader.skip_space()? {
            None => Err(empty_error("The users file has no content.")),
            Some(b'{') => Ok(reader),
            Some(b'[') => {
                reader.layout = Layout::Array;
                reader.take(1);
                Ok(reader)
            }
            Some(byte) => match not_text(byte) {
                Some(kind) => {
                    let line = reader.place.line;
                    Err(format_error(format!("The users file is {kind}, neither JSON nor CSV, as line {line} shows.")))
                }
                None => reader.open_csv(headers),
            },
        }
    }

    fn open_csv(mut self, headers: &Headers) -> Result<Self> {
        if self.encoding.is_none() {
            let fallback = encoding::Fallback::new(self.input, Arc::clone(&self.windows));
            self.input = Box::new(BufReader::with_capacity(READ_BUFFER, fallback));
        }
        let sample = take_head(&mut self.input, csv::SAMPLE as u64).map_err(|error| read_error(error, self.gzip))?;
        let input = Cursor::new(sample.clone()).chain(self.input);
        self.input = Box::new(BufReader::with_capacity(READ_BUFFER, input));
        self.layout = Layout::Csv;
        let csv = Csv::open(&sample, &mut *self.input, &mut self.place, headers, self.gzip)?;
        self.csv = Some(Box::new(csv));
        Ok(self)
    }

    /// What was found out about the file so far; the encoding is sure at its end.
    pub(super) fn format(&self) -> InputFormat {
        let encoding = match self.encoding {
            Some(name) => name,
            None if self.windows.load(Ordering::Relaxed) => "windows-1252",
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

    /// CSV: the header as it stands in the file.
    pub(super) fn header(&self) -> Option<&[u8]> {
        self.csv.as_ref().map(|csv| csv.header.as_slice())
    }

    /// Whether the file has been read to its end.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.input.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    /// CSV: the names of the columns, what each would be without a mapping, and the cells of the row that
    /// was read last.
    pub(super) fn columns(&self) -> Option<&[Column]> {
        self.csv.as_ref().map(|csv| csv.names.as_slice())
    }

    /// CSV: the cells of the row that was read last.
    pub(super) fn cells(&self, row: &RawRow) -> Vec<String> {
        self.csv.as_ref().map_or_else(Vec::new, |csv| csv.texts(row.cells))
    }

    /// CSV: columns that cannot be imported, and the line of the header.
    pub(super) fn left_out(&self) -> (&[LeftOutColumn], u64) {
        self.csv.as_ref().map_or((&[], 0), |csv| (&csv.left_out, csv.header_line))
    }

    /// The next row into `row`, whose memory is used again; `false` at the end of the file.
    pub(super) fn next(&mut self, row: &mut RawRow) -> Result<bool> {
        row.bytes.clear();
        row.source.clear();
        row.truncated = false;
        row.flaw = None;
        let found = match self.layout {
            Layout::Lines => self.next_line(row)?,
            Layout::Array => self.next_element(row)?,
            Layout::Csv => match &mut self.csv {
                Some(csv) => csv.next(&mut *self.input, &mut self.place, row, self.gzip)?,
                None => false,
            },
        };
        if found {
            self.rows += 1;
            row.number = self.rows;
            if self.layout == Layout::Lines && self.rows == 1 {
                self.refuse_spread_object(row)?;
            }
        } else if self.rows == 0 {
            return Err(empty_error("The users file holds no users."));
        }
        Ok(found)
    }

    /// The next row where it was read to, without a copy; nothing where it has to be taken with
    /// [`next`](Self::next): in CSV, for the first row, and where what was read ends within the row.
    pub(super) fn ahead(&mut self) -> Result<Option<Ahead<'_>>> {
        if self.rows == 0 || self.layout == Layout::Csv || (self.layout == Layout::Array && !self.seek_element()?) {
            return Ok(None);
        }
        let (gzip, line) = (self.gzip, self.place.line);
        let text = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
        if self.layout == Layout::Array {
            return Ok(Some(Ahead { line, text, whole: false }));
        }
        let text = memchr(b'\n', text).and_then(|end| text.get(..end));
        Ok(text.map(|text| Ahead { line, text, whole: true }))
    }

    /// Goes behind the row ahead, whose JSON takes so many bytes. What stands between it and the end of the
    /// line is white space.
    pub(super) fn pass(&mut self, length: usize) -> Result<()> {
        let gzip = self.gzip;
        let buffer = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
        let row = buffer.get(..length).unwrap_or(buffer);
        let taken = if self.layout == Layout::Array {
            self.place.advance(row);
            self.after_value = true;
            row.len()
        } else {
            self.place = Place { line: self.place.line + 1, column: 1 };
            let end = buffer.get(row.len()..).and_then(|rest| memchr(b'\n', rest));
            end.map_or(buffer.len(), |end| row.len() + end + 1)
        };
        self.input.consume(taken);
        self.rows += 1;
        Ok(())
    }

    /// Parses a row that was read last. A flaw concerns this row alone; an error ends the file.
    pub(super) fn parse(&self, row: &RawRow) -> Result<Result<Value, Flaw>> {
        if let Some(flaw) = &row.flaw {
            return Ok(Err(flaw.clone()));
        }
        let parsed = serde_json::from_slice::<Value>(&row.bytes);
        let error = match parsed {
            Ok(value) if !row.truncated => return Ok(Ok(value)),
            Ok(_) => return Ok(Err(too_large())),
            Err(error) => error,
        };
        let flaw = if row.truncated && (error.is_eof() || self.layout == Layout::Lines) {
            too_large()
        } else if nesting(&row.bytes) > MAX_NESTING {
            Flaw::new(
                "NESTING",
                format!("The row nests objects or arrays more than {MAX_NESTING} levels deep."),
                "Flatten the metadata of this user.",
            )
        } else {
            let (place, reason) = located(&error, row);
            let reason =
                if reason == "invalid unicode code point" { "the text is not UTF-8".to_owned() } else { reason };
            // These leave no doubt where the next element of an array starts.
            let contained = reason.starts_with("number out of range") || reason.contains("surrogate");
            if self.layout == Layout::Array && !contained {
                return Err(format_error(format!(
                    "The users file is not valid JSON at line {}, column {}, in user {}, which starts at line {}: {reason}.",
                    place.line, place.column, row.number, row.line
                )));
            }
            Flaw::new(
                "INVALID_JSON",
                format!("The row is not valid JSON at line {}, column {}: {reason}.", place.line, place.column),
                "Correct the JSON of this row; each user stands on one line of its own.",
            )
        };
        Ok(Err(flaw))
    }

    fn next_line(&mut self, row: &mut RawRow) -> Result<bool> {
        loop {
            row.bytes.clear();
            row.truncated = false;
            row.line = self.place.line;
            row.column = self.place.column;
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
                keep(&mut row.bytes, &mut row.truncated, part);
                let taken = end.map_or(buffer.len(), |at| at + 1);
                if end.is_some() {
                    self.place = Place { line: self.place.line + 1, column: 1 };
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

    /// A single object printed over several lines starts as NDJSON does; without this every one of its
    /// lines would be reported as a broken row.
    fn refuse_spread_object(&mut self, row: &RawRow) -> Result<()> {
        let unfinished = serde_json::from_slice::<serde::de::IgnoredAny>(&row.bytes).is_err_and(|error| error.is_eof());
        if unfinished && !row.truncated && !matches!(self.skip_space()?, None | Some(b'{')) {
            return Err(format_error(format!(
                "The users file is a single JSON object that starts at line {} and goes on over several lines.",
                row.line
            )));
        }
        Ok(())
    }

    /// Array: goes to the next element; whether there is one.
    fn seek_element(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        loop {
            let Some(byte) = self.skip_space()? else {
                return Err(format_error(format!(
                    "The users file ends at line {}, column {}, before its array is closed by ].",
                    self.place.line, self.place.column
                )));
            };
            match byte {
                b']' if self.after_value || self.rows == 0 => {
                    self.take(1);
                    self.ended = true;
                    if self.skip_space()?.is_some() {
                        return Err(format_error(format!(
                            "The users file goes on after the end of its array, at line {}, column {}.",
                            self.place.line, self.place.column
                        )));
                    }
                    return Ok(false);
                }
                b',' if self.after_value => {
                    self.take(1);
                    self.after_value = false;
                }
                _ if self.after_value || matches!(byte, b']' | b',') => {
                    let expected = if self.after_value { "`,` or `]`" } else { "a user" };
                    return Err(format_error(format!(
                        "The users file is not valid JSON at line {}, column {}: expected {expected}.",
                        self.place.line, self.place.column
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
        row.line = self.place.line;
        row.column = self.place.column;
        let mut scan = Scan::default();
        loop {
            let gzip = self.gzip;
            let buffer = self.input.fill_buf().map_err(|error| read_error(error, gzip))?;
            if buffer.is_empty() {
                break;
            }
            let end = scan.end(buffer);
            let taken = end.unwrap_or(buffer.len());
            keep(&mut row.bytes, &mut row.truncated, &buffer[..taken]);
            self.place.advance(&buffer[..taken]);
            self.input.consume(taken);
            if end.is_some() {
                break;
            }
        }
        self.after_value = true;
        Ok(true)
    }

    /// Skips white space; the byte after it, which stays unread.
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
            self.place.advance(&buffer[..taken]);
            self.input.consume(taken);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Takes bytes that were looked at and hold no line end.
    fn take(&mut self, count: usize) {
        self.place.column += count as u64;
        self.input.consume(count);
    }
}

/// Finds the end of one JSON value by its brackets and quotes; whether it is valid is the parser's
/// matter.
#[derive(Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
    started: bool,
}

impl Scan {
    /// The index behind the value's last byte, when the value ends within `buffer`.
    fn end(&mut self, buffer: &[u8]) -> Option<usize> {
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

fn keep(bytes: &mut Vec<u8>, truncated: &mut bool, part: &[u8]) {
    let room = MAX_ROW_BYTES - bytes.len();
    *truncated |= part.len() > room;
    bytes.extend_from_slice(part.get(..room).unwrap_or(part));
}

fn too_large() -> Flaw {
    Flaw::new(
        "ROW_TOO_LARGE",
        format!("The row is larger than {MAX_ROW_BYTES} bytes."),
        "Auth0 takes at most 500,000 bytes at a time: shorten the metadata of this user.",
    )
}

/// The place in the file of a parser's error, and its reason without the place.
fn located(error: &serde_json::Error, row: &RawRow) -> (Place, String) {
    let mut place = Place { line: row.line, column: row.column };
    let mut rest = row.bytes.as_slice();
    for _ in 1..error.line() {
        let Some(at) = memchr(b'\n', rest) else { break };
        rest = &rest[at + 1..];
        place = Place { line: place.line + 1, column: 1 };
    }
    let before = rest.get(..error.column().saturating_sub(1)).unwrap_or(rest);
    place.column += characters(before);
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
    (place, reason)
}

/// The deepest nesting of brackets outside strings.
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

/// Reads up to `count` first bytes.
fn take_head(input: &mut dyn Read, count: u64) -> io::Result<Vec<u8>> {
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

/// A gzip file that cannot be inflated to its end.
pub(super) fn damaged_gzip() -> Error {
    format_error("The gzip file is damaged or incomplete.".to_owned())
}

/// What a file is that starts with these bytes, when it is surely no text.
fn foreign(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, ..] => Some("a ZIP archive or a spreadsheet"),
        [0x28, 0xB5, 0x2F, ..] => Some("compressed with Zstandard"),
        [b'B', b'Z', b'h', ..] => Some("compressed with bzip2"),
        [0xFD, b'7', b'z', ..] => Some("compressed with xz"),
        [b'%', b'P', b'D', ..] => Some("a PDF document"),
        _ => None,
    }
}

/// What a file is that starts with this byte, when it cannot be the header of a CSV file.
fn not_text(byte: u8) -> Option<&'static str> {
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

    /// Hands out few bytes at a time, as a pipe does.
    struct Drip(Cursor<Vec<u8>>, usize);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    fn format_of(content: &[u8]) -> InputFormat {
        let mut reader = RowReader::open(Box::new(Cursor::new(content.to_vec())), &Headers::default()).unwrap();
        let mut raw = RawRow::default();
        while reader.next(&mut raw).unwrap() {}
        reader.format()
    }

    /// The users of a CSV file, and the codes of rows that are none.
    fn users(content: impl Into<Vec<u8>>) -> Vec<(u64, Result<Value, &'static str>)> {
        let rows = rows_of(content, 7).unwrap_or_else(|error| panic!("{error}"));
        rows.into_iter().map(|(_, line, value)| (line, value.map_err(|flaw| flaw.code))).collect()
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
    fn delimiter_and_quotes_are_found_and_said() {
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
    fn rows_of_csv_have_their_physical_lines_and_ragged_ones_are_flaws() {
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
    fn csv_from_spreadsheets_in_other_encodings_is_read_and_its_encoding_said() {
        let text = "email;name\na@b.c;José €\n";
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let windows = b"email;name\na@b.c;Jos\xE9 \x80\n".to_vec();
        for (content, encoding) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            (utf16, "UTF-16LE"),
            (windows.clone(), "windows-1252"),
            (gzip(&windows), "windows-1252"),
        ] {
            assert_eq!(format_of(&content).encoding, encoding);
            assert_eq!(values(content)[0]["name"], "José €");
        }
    }

    #[test]
    fn auth0s_own_csv_loses_its_apostrophes() {
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
    fn a_header_that_cannot_be_understood_stops_with_what_was_probably_meant() {
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

    type Rows = Vec<(u64, u64, Result<Value, Flaw>)>;

    fn rows_of(content: impl Into<Vec<u8>>, step: usize) -> Result<Rows, Error> {
        let mut reader = RowReader::open(Box::new(Drip(Cursor::new(content.into()), step)), &Headers::default())?;
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
        rows_of(content, 7).expect_err("the file is no list of users")
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn rows_of_ndjson_have_their_physical_lines() {
        let rows = rows("\u{FEFF}\r\n{\"a\":1}\r\n\n  \t\n {\"a\":\"x\\ny\"} \r\n{\"a\":3}");
        let places: Vec<_> = rows.iter().map(|(number, line, _)| (*number, *line)).collect();
        assert_eq!(places, [(1, 2), (2, 5), (3, 6)]);
        assert_eq!(rows[1].2.as_ref().unwrap()["a"], "x\ny");
    }

    #[test]
    fn elements_of_an_array_have_the_line_where_they_start() {
        let rows =
            rows("[\n  {\"a\": \"]},{\\\"\"},\n  {\n    \"a\": [1, {\"b\": 2}]\n  }, {\"a\": 3}\n, 4, \"five\"]\n");
        let places: Vec<_> = rows.iter().map(|(number, line, _)| (*number, *line)).collect();
        assert_eq!(places, [(1, 2), (2, 3), (3, 5), (4, 6), (5, 6)]);
        assert_eq!(rows[0].2.as_ref().unwrap()["a"], "]},{\"");
        assert_eq!(rows[4].2.as_ref().unwrap(), "five");
    }

    #[test]
    fn gzip_is_found_by_content_whatever_is_in_it_and_in_how_many_members() {
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
    fn a_broken_line_is_a_flaw_and_the_rest_goes_on() {
        for (broken, part) in [
            ("{\"a\": }", "line 1, column 7: expected value"),
            ("{\"a\":1} {\"b\":2}", "trailing characters"),
            ("{\"a\":", "EOF"),
            ("{\"é\": x}", "line 1, column 7"),
        ] {
            let rows = rows(&format!("{broken}\n{{\"a\":2}}\n"));
            let flaw = rows[0].2.as_ref().expect_err(broken);
            assert_eq!(flaw.code, "INVALID_JSON");
            assert!(flaw.message.contains(part), "{}", flaw.message);
            assert!(rows[1].2.is_ok());
        }
        let rows = rows_of(b"{\"a\":\"\xFF\"}\n{\"a\":2}".to_vec(), 3).unwrap();
        assert!(rows[0].2.as_ref().unwrap_err().message.contains("not UTF-8"));
    }

    #[test]
    fn a_broken_array_stops_with_line_and_column() {
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
    fn a_file_without_users_is_empty() {
        for content in ["", " \r\n\n", "\u{FEFF}", "[]", "[ \n ]", "\u{FEFF}[ ]"] {
            assert_eq!(failure(content).code, Code::UsersFileEmpty, "{content:?}");
        }
        assert_eq!(failure(gzip(b"")).code, Code::UsersFileEmpty);
    }

    #[test]
    fn what_is_neither_json_nor_csv_is_named() {
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
    fn json_in_utf_16_is_read_as_what_it_says() {
        for (mark, swap) in [([0xFF, 0xFE], false), ([0xFE, 0xFF], true)] {
            let units = "[{\"a\": \"é\"}]".encode_utf16();
            let text: Vec<u8> =
                units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
            let rows = rows_of([mark.to_vec(), text].concat(), 3).unwrap();
            assert_eq!(rows[0].2.as_ref().unwrap()["a"], "é");
        }
    }

    #[test]
    fn a_row_that_is_too_deep_is_a_flaw_in_either_layout() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for content in [format!("{deep}\n{{\"a\":1}}\n"), format!("[{deep},{{\"a\":1}}]")] {
            let rows = rows(&content);
            assert_eq!(rows[0].2.as_ref().unwrap_err().code, "NESTING");
            assert!(rows[1].2.is_ok());
        }
    }

    #[test]
    fn a_row_that_is_too_large_is_a_flaw_and_is_not_held() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ROW_BYTES));
        for content in [format!("{large}\n{{\"a\":1}}\n"), format!("[{large},{{\"a\":1}}]")] {
            let mut reader = RowReader::open(Box::new(Cursor::new(content.into_bytes())), &Headers::default()).unwrap();
            let mut raw = RawRow::default();
            assert!(reader.next(&mut raw).unwrap());
            assert_eq!(raw.bytes.len(), MAX_ROW_BYTES);
            assert_eq!(reader.parse(&raw).unwrap().unwrap_err().code, "ROW_TOO_LARGE");
            assert!(reader.next(&mut raw).unwrap());
            assert!(reader.parse(&raw).unwrap().is_ok());
        }
        let unclosed = format!("[{{\"a\":\"x\ny{}", "x".repeat(MAX_ROW_BYTES));
        assert!(failure(unclosed).message.contains("line 1"), "the control character is the place of the fault");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn no_text_like_csv_makes_the_reader_panic(content in "(sep=;\n)?email[,;\t|'\"\n\r a@.é=-]{0,60}", step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn cells_come_back_as_they_were_written(
            cells in prop::collection::vec(("[a-z]{1,5}@b\\.c", "[ -~é\n\r]{0,12}"), 1..9),
            delimiter in prop::sample::select(vec![b',', b';', b'\t', b'|']),
            step in 1_usize..40,
        ) {
            let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(["email", "user_id", "nickname"]).unwrap();
            for (email, nickname) in &cells {
                // Text for text: the guard is a matter of cells.
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
        fn no_text_like_json_makes_the_reader_panic(content in "[\\[{]{0,2}[\\[\\]{}\",:\\\\ \n\ra0é-]{0,60}", step in 1_usize..20) {
            let _ = rows_of(content, step);
        }

        #[test]
        fn both_layouts_give_back_what_was_written(values in prop::collection::vec(value(), 1..12), step in 1_usize..40, pretty in any::<bool>()) {
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

    /// Objects, since a file of lines starts with one.
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
