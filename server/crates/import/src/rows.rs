//! Reads the rows of one file, parses them and applies the mapping, in batches if the mapping uses transforms or
//! JavaScript.

use super::mapping::{Mapper, Mapping};
use super::read::{PeekedRow, RowReader};
use super::row_content::{Content, Row};
use uie_core::error::{Error, Result};

/// Maximum number of rows per batch, which is one call of a transform.
const ROWS_PER_BATCH: usize = 256;

/// A batch of this size takes no further row.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// The rows of a file, in order.
pub(super) struct Rows<'m> {
    reader: RowReader,
    mapper: Mapper<'m>,
    /// Whether every row is parsed immediately.
    parse_all: bool,
    current: Row,
    batch: Vec<Row>,
    /// Number of rows in `batch`; further elements are unused buffers.
    filled: usize,
    /// Index of the next row in `batch`.
    next: usize,
    /// The error that ends the file after the rows of the batch.
    failure: Option<Error>,
}

impl<'m> Rows<'m> {
    /// With `parse_all`, parses every row even if the mapping does not need it.
    pub(super) fn new(reader: RowReader, mapping: &'m Mapping, parse_all: bool) -> Self {
        Self {
            reader,
            mapper: mapping.mapper(),
            parse_all: parse_all || mapping.dropped_by_text().is_none(),
            current: Row::default(),
            batch: Vec::new(),
            filled: 0,
            next: 0,
            failure: None,
        }
    }

    /// The reader of the file.
    pub(super) fn reader(&self) -> &RowReader {
        &self.reader
    }

    /// Advances to the next row; `false` at the end of the file.
    pub(super) fn next(&mut self) -> Result<bool> {
        if self.next >= self.filled && !self.fill()? {
            return Ok(false);
        }
        if let Some(row) = self.batch.get_mut(self.next) {
            std::mem::swap(row, &mut self.current);
        }
        self.next += 1;
        Ok(true)
    }

    /// Returns the next row in the read buffer, without copying it. `None` if the row must be parsed or is not
    /// completely in the buffer: then use [`next`](Self::next). Consume the row with [`advance`](Self::advance).
    pub(super) fn peek(&mut self) -> Result<Option<PeekedRow<'_>>> {
        if self.parse_all || self.next < self.filled || self.failure.is_some() {
            return Ok(None);
        }
        self.reader.peek()
    }

    /// Consumes the peeked row, whose JSON is `length` bytes long.
    pub(super) fn advance(&mut self, length: usize) -> Result<()> {
        self.reader.advance(length)
    }

    /// Returns the current row.
    pub(super) fn row(&mut self) -> &mut Row {
        &mut self.current
    }

    /// Parses and maps the current row if necessary. Fails if the file cannot be read beyond it.
    pub(super) fn build(&mut self) -> Result<&mut Row> {
        if matches!(self.current.content, Content::Text) {
            self.current.content = Content::from_parsed(self.reader.parse(&self.current.raw)?);
            self.mapper.apply(std::slice::from_mut(&mut self.current));
        }
        Ok(&mut self.current)
    }

    /// Returns whether the current row is the last one.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.next >= self.filled && self.failure.is_none() && self.reader.is_exhausted()
    }

    /// Reads the next batch; `false` at the end of the file. An error is returned after all rows before it.
    fn fill(&mut self) -> Result<bool> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let max_rows = if self.mapper.wants_batches() { ROWS_PER_BATCH } else { 1 };
        let mut bytes = 0;
        (self.filled, self.next) = (0, 0);
        while self.filled < max_rows && bytes < MAX_BATCH_BYTES {
            if self.batch.len() == self.filled {
                self.batch.push(Row::default());
            }
            let Some(row) = self.batch.get_mut(self.filled) else { break };
            let read = self.reader.next(&mut row.raw).and_then(|found| {
                row.content = if found && (self.parse_all || row.raw.number == 1) {
                    Content::from_parsed(self.reader.parse(&row.raw)?)
                } else {
                    Content::Text
                };
                Ok(found)
            });
            match read {
                Ok(true) => {
                    bytes += row.raw.bytes.len();
                    self.filled += 1;
                }
                Ok(false) => break,
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        self.mapper.apply(self.batch.get_mut(..self.filled).unwrap_or_default());
        if self.filled == 0
            && let Some(failure) = self.failure.take()
        {
            return Err(failure);
        }
        Ok(self.filled > 0)
    }
}
