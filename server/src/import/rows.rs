//! Rows of one file on their way from reading to the check: parsed and shaped by the mapping, many at
//! once where transforms or JavaScript take part.

use serde_json::Value;

use super::mapping::{Mapper, Mapping};
use super::read::{Ahead, Flaw, RawRow, RowReader};
use crate::error::{Error, Result};

/// Rows that are computed at once; what transforms are handed over at a time.
const ROWS_AT_ONCE: usize = 256;

/// No further row joins a batch of so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// What became of a row so far.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// Not parsed: nothing needed it so far.
    #[default]
    Text,
    /// Parsed, and shaped by the mapping.
    User(Value),
    /// Nothing can be made of it.
    Flawed(Vec<Flaw>),
}

impl Content {
    fn of(parsed: std::result::Result<Value, Flaw>) -> Self {
        match parsed {
            Ok(user) => Self::User(user),
            Err(flaw) => Self::Flawed(vec![flaw]),
        }
    }
}

/// A row.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its text, which the mapping changes with its content.
    pub(super) raw: RawRow,
    pub(super) content: Content,
}

/// Hands over the rows of a file in order.
pub(super) struct Rows<'m> {
    reader: RowReader,
    mapper: Mapper<'m>,
    /// Whether every row is parsed at once.
    parsed: bool,
    current: Row,
    batch: Vec<Row>,
    /// How many of the batch are filled.
    filled: usize,
    /// The next one to hand over.
    next: usize,
    /// What ends the file behind the batch.
    failure: Option<Error>,
}

impl<'m> Rows<'m> {
    /// With `parsed` every row is, also where no mapping needs it.
    pub(super) fn new(reader: RowReader, mapping: &'m Mapping, parsed: bool) -> Self {
        Self {
            reader,
            mapper: mapping.mapper(),
            parsed: parsed || !mapping.is_idle(),
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

    /// Goes to the next row; `false` at the end.
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

    /// The next row as it stands in what was read ahead, where nothing has to be done with it before it is
    /// checked and it need not be copied; to be taken with [`pass`](Self::pass) or else with
    /// [`next`](Self::next).
    pub(super) fn ahead(&mut self) -> Result<Option<Ahead<'_>>> {
        if self.parsed || self.next < self.filled || self.failure.is_some() {
            return Ok(None);
        }
        self.reader.ahead()
    }

    /// Goes behind the row ahead, which takes so many bytes.
    pub(super) fn pass(&mut self, length: usize) -> Result<()> {
        self.reader.pass(length)
    }

    /// The row.
    pub(super) fn row(&mut self) -> &mut Row {
        &mut self.current
    }

    /// Parses the row where that was not done. An error ends the file.
    pub(super) fn build(&mut self) -> Result<&mut Row> {
        if matches!(self.current.content, Content::Text) {
            self.current.content = Content::of(self.reader.parse(&self.current.raw)?);
        }
        Ok(&mut self.current)
    }

    /// Whether all rows that were read are handed over, and the file has no more.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.next >= self.filled && self.failure.is_none() && self.reader.is_exhausted()
    }

    /// Reads the next batch. A failure counts only once all rows before it are handed over.
    fn fill(&mut self) -> Result<bool> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let most = if self.mapper.wants_batches() { ROWS_AT_ONCE } else { 1 };
        let mut bytes = 0;
        (self.filled, self.next) = (0, 0);
        while self.filled < most && bytes < BATCH_BYTES {
            if self.batch.len() == self.filled {
                self.batch.push(Row::default());
            }
            let Some(row) = self.batch.get_mut(self.filled) else { break };
            let read = self.reader.next(&mut row.raw).and_then(|found| {
                row.content = if found && (self.parsed || row.raw.number == 1) {
                    Content::of(self.reader.parse(&row.raw)?)
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
