//! Reads the rows of JSON one at a time.
//!
//! A malformed line of NDJSON concerns that row only, since the next row starts on the next line. In a JSON array the
//! start of the next element would be uncertain.

use memchr::memchr;

use super::array::{ArrayState, ValueEnd, is_space};
use super::error::{ReadError, RowProblem};
use super::input::TextInput;
use super::layout::Layout;
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
    /// CSV: the JSON that expressions read, if it differs from `bytes`
    /// ([`CsvReader::assign_original`](crate::CsvReader::assign_original)); otherwise empty.
    pub original: Vec<u8>,
}

impl Record {
    /// Returns the JSON that expressions read.
    pub fn original(&self) -> &[u8] {
        if self.original.is_empty() { &self.bytes } else { &self.original }
    }

    /// Removes the contents and keeps the buffers.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.source.clear();
        self.original.clear();
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

/// Reads the rows of JSON.
pub struct RowReader {
    input: TextInput,
    layout: Layout,
    /// The position between elements, if the rows are not lines.
    state: ArrayState,
    /// The rest of the object that holds the array, after its end.
    object_rest: Option<ValueEnd>,
    rows: u64,
}

impl RowReader {
    /// Reads from the position after the detection of this layout, which is one of JSON.
    pub fn new(input: TextInput, layout: Layout) -> Self {
        let state = if layout == Layout::Sequence { ArrayState::BetweenValues } else { ArrayState::Start };
        let object_rest = (layout == Layout::Member).then(ValueEnd::inside_object);
        Self { input, layout, state, object_rest, rows: 0 }
    }

    /// The layout of the file.
    pub fn layout(&self) -> Layout {
        self.layout
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
        let found = if self.layout.is_bracketed() { self.next_element(row)? } else { self.next_line(row)? };
        if found {
            self.rows += 1;
            row.number = self.rows;
        }
        Ok(found)
    }

    /// Returns the next row in the read buffer, without copying it. `None` if it must be read with
    /// [`next`](Self::next): for the first row, and if a line is not completely in the buffer.
    pub fn peek(&mut self) -> Result<Option<PeekedRow<'_>>, ReadError> {
        let is_array = self.layout.is_bracketed();
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
        if self.layout.is_bracketed() {
            self.state = self.state.after_element();
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

    /// Advances to the next element or value; `false` at the end.
    fn seek_element(&mut self) -> Result<bool, ReadError> {
        loop {
            if self.state == ArrayState::End {
                self.skip_object_rest()?;
            }
            let byte = self.input.skip_space()?;
            let at = self.input.position();
            let Some(byte) = byte else {
                let may_end = matches!(self.state, ArrayState::End | ArrayState::BetweenValues);
                return if may_end { Ok(false) } else { Err(ReadError::UnclosedArray(at)) };
            };
            match self.state.next(byte) {
                Ok(None) => return Ok(true),
                Ok(Some(next)) => {
                    self.state = next;
                    self.input.advance(1)?;
                }
                Err(expected) => return Err(ReadError::Unexpected { byte, at, expected }),
            }
        }
    }

    /// Skips the rest of the object that holds the array.
    fn skip_object_rest(&mut self) -> Result<(), ReadError> {
        let Some(mut rest) = self.object_rest.take() else { return Ok(()) };
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Err(ReadError::UnclosedObject(self.input.position()));
            }
            let end = rest.find(buffer);
            let taken = end.unwrap_or(buffer.len());
            self.input.advance(taken)?;
            if end.is_some() {
                return Ok(());
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
        self.state = self.state.after_element();
        Ok(true)
    }
}

/// Appends a part of a row up to the limit of its size, and sets `truncated` beyond it.
pub(crate) fn append_limited(bytes: &mut Vec<u8>, truncated: &mut bool, part: &[u8]) {
    let room = MAX_IMPORTED_ROW_BYTES - bytes.len();
    *truncated |= part.len() > room;
    bytes.extend_from_slice(part.get(..room).unwrap_or(part));
}
