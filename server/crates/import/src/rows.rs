//! Reads the rows of one file, parses them and applies the mapping, in batches if the mapping uses transforms or
//! JavaScript.

use std::sync::Arc;

use super::cleanup::UnknownNames;
use super::hashes::PasswordHashes;
use super::mapping::{Mapper, Mapping};
use super::read::{PeekedRow, RawRow, RowReader};
use super::row::{BufferedRow, Content, Failed, Mapped, Read, Row};
use super::row_fault::{RowFault, RowLocation};
use super::row_identity::sent_id;
use super::source_choice::{Converter, SourceRemarks};
use serde_json::Value;
use uie_core::error::{Error, Result};
use uie_records::SkippedLine;
use uie_sources::Source;

/// Maximum number of rows per batch, which is one call of a transform.
const ROWS_PER_BATCH: usize = 256;

/// A batch of this size takes no further row.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// The rows of a file, in order.
pub(super) struct Rows<'m> {
    /// Name of the file; `None` if the import has one file.
    file: Option<Arc<str>>,
    /// Number of the current row, counted through all files of the import.
    number: u64,
    reader: RowReader,
    /// Converts rows of another system.
    converter: Option<Converter>,
    mapper: Mapper<'m>,
    /// Whether every row is parsed immediately.
    parse_all: bool,
    current: BufferedRow,
    batch: Vec<BufferedRow>,
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
            file: None,
            number: 0,
            reader,
            converter: None,
            mapper: mapping.mapper(),
            parse_all: parse_all || mapping.text_removal().is_none(),
            current: BufferedRow::default(),
            batch: Vec::new(),
            filled: 0,
            next: 0,
            failure: None,
        }
    }

    /// Sets the name of the file, and the number of rows in the files before it.
    pub(super) fn located(self, file: Option<&str>, rows_before: u64) -> Self {
        Self { file: file.map(Arc::from), number: rows_before, ..self }
    }

    /// Sets the source of the file, whose rows are converted before the mapping is applied.
    pub(super) fn of_source(self, source: Option<&'static Source>, mapping: &Mapping) -> Self {
        let converter = Converter::new(source, mapping.dropped());
        Self { parse_all: self.parse_all || converter.is_some(), converter, ..self }
    }

    /// Returns what the conversion of the rows of a source could not take.
    pub(super) fn into_remarks(self) -> SourceRemarks {
        self.converter.map(Converter::into_remarks).unwrap_or_default()
    }

    /// Removes and returns the lines of a CSV file that were skipped so far.
    pub(super) fn take_skipped(&mut self) -> Vec<SkippedLine> {
        self.reader.take_skipped()
    }

    /// The reader of the file.
    pub(super) fn reader(&self) -> &RowReader {
        &self.reader
    }

    /// The current row as it was read, with the mapping applied.
    pub(super) fn raw(&self) -> &RawRow {
        &self.current.raw
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
        self.number += 1;
        Ok(true)
    }

    /// Returns the next row in the read buffer, without copying it. `None` if the row must be parsed or is not
    /// completely in the buffer: then use [`next`](Self::next). Consume the row with [`advance`](Self::advance).
    pub(super) fn peek(&mut self) -> Result<Option<Row<Read<'_>>>> {
        if self.parse_all || self.next < self.filled || self.failure.is_some() {
            return Ok(None);
        }
        let Some(PeekedRow { line, text, is_whole }) = self.reader.peek()? else { return Ok(None) };
        let location = RowLocation { row: self.number + 1, line, file: self.file.clone() };
        Ok(Some(Row { location, state: Read { text, is_whole } }))
    }

    /// Consumes the peeked row, whose JSON is `length` bytes long.
    pub(super) fn advance(&mut self, length: usize) -> Result<()> {
        self.number += 1;
        self.reader.advance(length)
    }

    fn location(&self) -> RowLocation {
        RowLocation { row: self.number, line: self.current.raw.line, file: self.file.clone() }
    }

    /// Returns the current row if it is not parsed yet. `None` also if its text is incomplete because it is too large.
    pub(super) fn text(&self) -> Option<Row<Read<'_>>> {
        let BufferedRow { raw, content, .. } = &self.current;
        (matches!(content, Content::Text) && !raw.truncated)
            .then(|| Row { location: self.location(), state: Read { text: &raw.bytes, is_whole: true } })
    }

    /// Parses and maps the current row if necessary. Fails if the file cannot be read beyond it.
    pub(super) fn parse(&mut self) -> Result<()> {
        if matches!(self.current.content, Content::Text) {
            let parsed = self.reader.parse(&self.current.raw)?;
            self.current.set_parsed(parsed);
            self.mapper.apply(std::slice::from_mut(&mut self.current));
        }
        Ok(())
    }

    /// Returns whether the query leaves out the current row, which is parsed.
    pub(super) fn is_left_out(&self) -> bool {
        matches!(self.current.content, Content::LeftOut)
    }

    /// Returns the warnings that are known at the end of the file: about columns, and about unknown attributes that
    /// were removed here or, as `removed` has it, by the check.
    pub(super) fn take_warnings(&mut self, removed: UnknownNames) -> Vec<RowFault> {
        let mut names = self.mapper.take_unknown_names();
        names.add(removed);
        let file = self.file.as_deref();
        self.reader.column_warnings(file).into_iter().chain(names.into_warnings(file)).collect()
    }

    /// Adds the password hash of the current row, which is parsed.
    pub(super) fn join(&mut self, hashes: &mut PasswordHashes) -> Result<()> {
        let BufferedRow { raw, content: Content::User(user), connection, .. } = &mut self.current else {
            return Ok(());
        };
        let Some(id) = user.get("user_id").and_then(Value::as_str) else { return Ok(()) };
        let id = sent_id(id, false).to_owned();
        hashes.join(&id, connection.as_deref(), user, &mut raw.bytes)
    }

    /// Returns whether the current row has a password hash.
    pub(super) fn has_hash(&self) -> bool {
        let Content::User(user) = &self.current.content else { return false };
        ["password_hash", "custom_password_hash"].iter().any(|name| user.get(name).is_some())
    }

    /// Returns the current row, which is parsed: mapped, or with the errors of parser and mapping.
    pub(super) fn take(&mut self) -> std::result::Result<Row<Mapped<'_>>, Row<Failed>> {
        let location = self.location();
        match std::mem::take(&mut self.current.content) {
            Content::User(user) => {
                let (text, provider) = (self.current.raw.bytes.as_slice().into(), self.current.provider);
                Ok(Row { location, state: Mapped { user, text, provider } })
            }
            Content::Invalid(row_errors) => {
                let faults = row_errors.into_iter().map(|row_error| row_error.into_fault(&location)).collect();
                Err(Row { location, state: Failed(faults) })
            }
            Content::Text | Content::LeftOut => Err(Row { location, state: Failed(Vec::new()) }),
        }
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
                self.batch.push(BufferedRow::default());
            }
            let Some(row) = self.batch.get_mut(self.filled) else { break };
            row.raw.original.clear();
            let read = self.reader.next(&mut row.raw).and_then(|found| {
                if found && (self.parse_all || row.raw.number == 1) {
                    row.set_parsed(self.reader.parse(&row.raw)?);
                } else {
                    row.content = Content::Text;
                }
                row.connection = row.content.connection();
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
        let rows = self.batch.get_mut(..self.filled).unwrap_or_default();
        if let Some(converter) = &mut self.converter {
            self.mapper.remove_null_texts(rows);
            for row in rows.iter_mut() {
                // Expressions read the attributes of the source.
                row.keep_original();
                converter.apply(row);
                row.write_text();
            }
        }
        self.mapper.apply(rows);
        if self.filled == 0
            && let Some(failure) = self.failure.take()
        {
            return Err(failure);
        }
        Ok(self.filled > 0)
    }
}
