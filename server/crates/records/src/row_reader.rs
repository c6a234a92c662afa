//! Reads the rows of a JSON array or NDJSON one at a time.
//!
//! A malformed line of NDJSON concerns that row only, since the next row starts on the next line. In a JSON array the
//! start of the next element would be uncertain.

use memchr::memchr;

use super::array::{ArrayState, ValueEnd, is_space};
use super::error::{ReadError, RowProblem};
use super::input::{Layout, TextInput};
use super::limits::MAX_IMPORTED_ROW_BYTES;

/// A row as text.
#[derive(Debug, Default)]
pub struct Record {
    /// Its number in this file, from 1.
    pub number: u64,
    /// Physical line where it starts, from 1.
    pub line: u64,
    /// Column where it starts, in characters from 1.
    pub column: u64,
    /// Its JSON, without the line end; only the first [`MAX_IMPORTED_ROW_BYTES`] if `truncated`.
    pub bytes: Vec<u8>,
    /// The row is larger than [`MAX_IMPORTED_ROW_BYTES`].
    pub truncated: bool,
    /// CSV: the text of the record, without the line end.
    pub source: Vec<u8>,
    /// CSV: number of cells.
    pub cells: usize,
    /// CSV: why the record cannot be converted to JSON.
    pub problem: Option<RowProblem>,
}

impl Record {
    /// Removes the contents and keeps the buffers.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.source.clear();
        self.truncated = false;
        self.problem = None;
    }
}

/// The next row, in the read buffer.
#[derive(Debug)]
pub struct PeekedRow<'a> {
    /// Physical line where it starts, from 1.
    pub line: u64,
    /// Starts with the row.
    pub text: &'a [u8],
    /// Whether `text` is exactly the row. Otherwise the row ends where its JSON value ends, or continues beyond `text`.
    pub is_whole: bool,
}

/// Reads the rows of a JSON array or NDJSON.
pub struct RowReader {
    input: TextInput,
    /// The state of the array; `None` for NDJSON.
    array: Option<ArrayState>,
    rows: u64,
}

impl RowReader {
    /// Reads from the position after the detection of this layout, which is not CSV.
    pub fn new(input: TextInput, layout: Layout) -> Self {
        Self { input, array: (layout == Layout::Array).then(ArrayState::default), rows: 0 }
    }

    /// The layout of the file.
    pub fn layout(&self) -> Layout {
        if self.array.is_some() { Layout::Array } else { Layout::Lines }
    }

    /// The file.
    pub fn input(&self) -> &TextInput {
        &self.input
    }

    /// Returns whether the file has been read completely.
    pub fn is_exhausted(&mut self) -> bool {
        self.input.is_exhausted()
    }

    /// Reads the next row into `row`, reusing its buffers; `false` at the end of the file.
    pub fn next(&mut self, row: &mut Record) -> Result<bool, ReadError> {
        row.clear();
        let found = if self.array.is_some() { self.next_element(row)? } else { self.next_line(row)? };
        if found {
            self.rows += 1;
            row.number = self.rows;
            if self.array.is_none() && self.rows == 1 {
                self.reject_multiline_object(row)?;
            }
        }
        Ok(found)
    }

    /// Returns the next row in the read buffer, without copying it. `None` if it must be read with
    /// [`next`](Self::next): for the first row, and if a line is not completely in the buffer.
    pub fn peek(&mut self) -> Result<Option<PeekedRow<'_>>, ReadError> {
        let is_array = self.array.is_some();
        if self.rows == 0 || (is_array && !self.seek_element()?) {
            return Ok(None);
        }
        let line = self.input.position().line;
        let text = self.input.fill_buf()?;
        if is_array {
            return Ok(Some(PeekedRow { line, text, is_whole: false }));
        }
        let text = memchr(b'\n', text).and_then(|end| text.get(..end));
        Ok(text.map(|text| PeekedRow { line, text, is_whole: true }))
    }

    /// Consumes the peeked row, whose JSON is `length` bytes long, and white space up to the end of its line.
    pub fn advance(&mut self, length: usize) -> Result<(), ReadError> {
        if let Some(array) = &mut self.array {
            *array = ArrayState::AfterElement;
            self.input.advance(length)?;
        } else {
            let buffer = self.input.fill_buf()?;
            let end = buffer.get(length..).and_then(|rest| memchr(b'\n', rest));
            let taken = end.map_or(buffer.len(), |end| length + end + 1);
            self.input.consume(taken);
            self.start_line();
        }
        self.rows += 1;
        Ok(())
    }

    fn start_line(&mut self) {
        let position = self.input.position_mut();
        position.line += 1;
        position.column = 1;
    }

    fn next_line(&mut self, row: &mut Record) -> Result<bool, ReadError> {
        loop {
            row.bytes.clear();
            row.truncated = false;
            let start = self.input.position();
            (row.line, row.column) = (start.line, start.column);
            let mut any = false;
            loop {
                let buffer = self.input.fill_buf()?;
                if buffer.is_empty() {
                    break;
                }
                any = true;
                let end = memchr(b'\n', buffer);
                let part = end.and_then(|at| buffer.get(..at)).unwrap_or(buffer);
                append_limited(&mut row.bytes, &mut row.truncated, part);
                let taken = end.map_or(buffer.len(), |at| at + 1);
                self.input.consume(taken);
                if end.is_some() {
                    self.start_line();
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
    fn reject_multiline_object(&mut self, row: &Record) -> Result<(), ReadError> {
        let unfinished = serde_json::from_slice::<serde::de::IgnoredAny>(&row.bytes).is_err_and(|error| error.is_eof());
        if unfinished && !row.truncated && !matches!(self.input.skip_space()?, None | Some(b'{')) {
            return Err(ReadError::ObjectOverLines(row.line));
        }
        Ok(())
    }

    /// Array: advances to the next element; `false` at the end of the array.
    fn seek_element(&mut self) -> Result<bool, ReadError> {
        let mut state = self.array.unwrap_or_default();
        loop {
            let byte = self.input.skip_space()?;
            let at = self.input.position();
            let Some(byte) = byte else {
                return if state == ArrayState::End { Ok(false) } else { Err(ReadError::UnclosedArray(at)) };
            };
            match state.next(byte) {
                Ok(None) => return Ok(true),
                Ok(Some(next)) => {
                    state = next;
                    self.array = Some(state);
                    self.input.advance(1)?;
                }
                Err(expected) => return Err(ReadError::Unexpected { byte, at, expected }),
            }
        }
    }

    fn next_element(&mut self, row: &mut Record) -> Result<bool, ReadError> {
        if !self.seek_element()? {
            return Ok(false);
        }
        let start = self.input.position();
        (row.line, row.column) = (start.line, start.column);
        let mut value_end = ValueEnd::default();
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = value_end.find(buffer);
            let taken = end.unwrap_or(buffer.len());
            append_limited(&mut row.bytes, &mut row.truncated, buffer.get(..taken).unwrap_or_default());
            self.input.advance(taken)?;
            if end.is_some() {
                break;
            }
        }
        self.array = Some(ArrayState::AfterElement);
        Ok(true)
    }
}

/// Appends a part of a row up to the limit of its size, and sets `truncated` beyond it.
pub(crate) fn append_limited(bytes: &mut Vec<u8>, truncated: &mut bool, part: &[u8]) {
    let room = MAX_IMPORTED_ROW_BYTES - bytes.len();
    *truncated |= part.len() > room;
    bytes.extend_from_slice(part.get(..room).unwrap_or(part));
}
