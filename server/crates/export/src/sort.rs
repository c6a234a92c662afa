//! Sorting of encoded rows: in memory up to a budget, then through files (docs/decisions/0019-sort-order.md).
//!
//! The order: numbers by value, then booleans (`false` before `true`), then strings by code point, then arrays and
//! objects by their compact JSON. `descending` reverses it. Missing values and NaN are last in both orders. Rows with
//! equal keys keep their order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use uie_core::encryption::{ChunkSize, DecryptingReader};
use uie_core::error::{Error, Result};
use uie_core::message::message;
use uie_json::Cell;
use uie_store::TempFile;

/// Writes a sort key: comparing keys as bytes gives the order of their cells.
pub(super) fn write_key(cell: &Cell<'_>, key: &mut Vec<u8>) {
    match cell {
        Cell::Number(number) if !number.is_nan() => {
            key.push(NUMBER);
            // Adding 0 makes -0 equal to 0. Invert the sign bit, and all bits of negative numbers.
            let bits = (number + 0.0).to_bits();
            let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
            key.extend_from_slice(&ordered.to_be_bytes());
        }
        Cell::Nothing | Cell::Number(_) => key.push(MISSING),
        Cell::Boolean(boolean) => key.extend_from_slice(&[BOOLEAN, u8::from(*boolean)]),
        Cell::Text(text) => {
            key.push(TEXT);
            // The order of UTF-8 bytes is the order of code points.
            key.extend_from_slice(text.as_bytes());
        }
        Cell::Json(json) => {
            key.push(JSON);
            json.write(key);
        }
    }
}

const NUMBER: u8 = 1;
const BOOLEAN: u8 = 2;
const TEXT: u8 = 3;
const JSON: u8 = 4;
const MISSING: u8 = 5;

fn compare(a: &[u8], b: &[u8], descending: bool) -> Ordering {
    let missing = |key: &[u8]| key.first() == Some(&MISSING);
    match missing(a).cmp(&missing(b)) {
        Ordering::Equal if descending => b.cmp(a),
        Ordering::Equal => a.cmp(b),
        order => order,
    }
}

/// Rows are stored in blocks of this size, in bytes, so that they are never copied when memory grows.
const BLOCK_BYTES: usize = 256 * 1024;

/// Number of files that are merged at once. When there are this many, they are merged into one.
const FAN_IN: usize = 64;

/// A row in memory: its key, followed by its bytes.
#[derive(Clone, Copy)]
struct Entry {
    block: u32,
    start: u32,
    /// Length of the key.
    key: u32,
    /// Length of the row.
    row: u32,
    /// The start of the key, which decides most comparisons without access to the blocks.
    prefix: u128,
}

/// Sorts rows by their keys.
pub(super) struct Sorter {
    descending: bool,
    budget: usize,
    directory: PathBuf,
    blocks: Vec<Vec<u8>>,
    /// Empty blocks, for reuse. Their memory was counted in `used` when they were full.
    spare: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    used: usize,
    /// Sorted files, oldest first.
    runs: Vec<SortedRun>,
}

impl Sorter {
    /// Creates a sorter that uses at most `budget` bytes of memory and spills to files in `directory`.
    pub fn new(descending: bool, budget: usize, directory: PathBuf) -> Self {
        Self {
            descending,
            budget,
            directory,
            blocks: Vec::new(),
            spare: Vec::new(),
            entries: Vec::new(),
            used: 0,
            runs: Vec::new(),
        }
    }

    /// Adds a row. Spills to a file first if the memory is used up.
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> Result<()> {
        let needed = key.len() + row.len();
        let entry = size_of::<Entry>();
        // The vector of entries doubles its capacity when it is full.
        let grown = if self.entries.len() == self.entries.capacity() { self.entries.capacity() * entry } else { 0 };
        let block_full = self.blocks.last().is_none_or(|block| block.capacity() - block.len() < needed);
        let more = grown + if block_full { needed.max(BLOCK_BYTES) } else { 0 };
        if self.used + more > self.budget && !self.entries.is_empty() {
            self.spill()?;
            return self.push(key, row);
        }
        if block_full {
            if needed <= BLOCK_BYTES {
                let spare = self.spare.pop();
                self.blocks.push(spare.unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES)));
            } else {
                // A long row gets a separate block, in exchange for as many spare ones.
                self.spare.truncate(self.spare.len().saturating_sub(needed.div_ceil(BLOCK_BYTES)));
                self.blocks.push(Vec::with_capacity(needed));
            }
        }
        self.used += more;
        let at = self.blocks.len() - 1;
        let Some(block) = self.blocks.last_mut() else { return Ok(()) };
        let start = block.len();
        block.extend_from_slice(key);
        block.extend_from_slice(row);
        self.entries.push(Entry {
            block: at as u32,
            start: start as u32,
            key: key.len() as u32,
            row: row.len() as u32,
            prefix: prefix(key, self.descending),
        });
        Ok(())
    }

    /// Calls `each` for every row, in order, until it returns false.
    pub fn finish(mut self, mut each: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
        self.sort();
        if self.runs.is_empty() {
            for entry in &self.entries {
                if !each(self.row(entry))? {
                    break;
                }
            }
            return Ok(());
        }
        self.spare = Vec::new();
        // The rows in memory need no file.
        let mut sources: Vec<_> = std::mem::take(&mut self.runs).into_iter().map(Source::File).collect();
        sources.push(Source::Memory(&self, self.entries.iter()));
        merge(sources, self.descending, |key, key_and_row| each(key_and_row.get(key as usize..).unwrap_or_default()))
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        self.key_and_row(entry).get(..entry.key as usize).unwrap_or_default()
    }

    fn row(&self, entry: &Entry) -> &[u8] {
        self.key_and_row(entry).get(entry.key as usize..).unwrap_or_default()
    }

    /// Returns a key, followed by its row.
    fn key_and_row(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        let block = self.blocks.get(entry.block as usize);
        block.and_then(|block| block.get(start..start + entry.key as usize + entry.row as usize)).unwrap_or_default()
    }

    fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        let descending = self.descending;
        entries.sort_unstable_by(|a, b| {
            (a.prefix.cmp(&b.prefix))
                .then_with(|| compare(self.key(a), self.key(b), descending))
                // The position in memory is the order of insertion, which makes the sort stable.
                .then_with(|| (a.block, a.start).cmp(&(b.block, b.start)))
        });
        self.entries = entries;
    }

    /// Writes the rows in memory to a new file, sorted.
    fn spill(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.sort();
        let mut run = Run::create(&self.directory)?;
        for entry in &self.entries {
            run.write(entry.key, self.key_and_row(entry))?;
        }
        self.runs.push(run.finish()?);
        self.entries.clear();
        for mut block in self.blocks.drain(..).filter(|block| block.capacity() == BLOCK_BYTES) {
            block.clear();
            self.spare.push(block);
        }
        self.used = self.entries.capacity() * size_of::<Entry>();
        if self.runs.len() == FAN_IN {
            let mut merged = Run::create(&self.directory)?;
            let runs = std::mem::take(&mut self.runs).into_iter().map(Source::File);
            merge(runs.collect(), self.descending, |key, key_and_row| merged.write(key, key_and_row).map(|()| true))?;
            self.runs.push(merged.finish()?);
        }
        Ok(())
    }
}

/// Returns the first bytes of a key as a number with the order of [`compare`]: the type and, for example, a date to the
/// minute. If two prefixes are equal, the keys must be compared.
fn prefix(key: &[u8], descending: bool) -> u128 {
    let start = if let Some(start) = key.first_chunk() {
        *start
    } else {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        bytes
    };
    match u128::from_be_bytes(start) {
        _ if start.first() == Some(&MISSING) => u128::MAX,
        number if descending => !number,
        number => number,
    }
}

/// A sorted file that is being written. It has no name, so it disappears when the process ends.
struct Run(TempFile);

/// A sorted file that is being read. [`FAN_IN`] of them are read at once, with one chunk of each in memory: 1 MiB in
/// total.
type SortedRun = DecryptingReader<File>;

impl Run {
    fn create(directory: &std::path::Path) -> Result<Self> {
        let file = TempFile::create(directory, ChunkSize::Medium).map_err(|error| {
            let mut error = Error::from(error);
            error.message = message!(
                "The sort cannot create a temporary file in {directory}: {reason}",
                directory = directory.display(),
                reason = error.message
            );
            error
        })?;
        Ok(Self(file))
    }

    /// Writes a key and its row; `key` is the length of the key.
    fn write(&mut self, key: u32, key_and_row: &[u8]) -> Result<()> {
        let lengths = u64::from(key) << 32 | key_and_row.len() as u64;
        self.0.write_all(&lengths.to_le_bytes()).map_err(temp_file_error)?;
        self.0.write_all(key_and_row).map_err(temp_file_error)
    }

    fn finish(self) -> Result<SortedRun> {
        self.0.finish().map_err(temp_file_error)
    }
}

fn temp_file_error(error: std::io::Error) -> Error {
    let mut error = Error::from(error);
    error.message = message!("The sort's temporary file cannot be written or read: {reason}", reason = error.message);
    error
}

/// A source of sorted rows.
enum Source<'s> {
    File(SortedRun),
    Memory(&'s Sorter, std::slice::Iter<'s, Entry>),
}

/// A source and its next row.
struct MergeHead<'s> {
    source: Source<'s>,
    /// Index of the source.
    index: usize,
    prefix: u128,
    /// The key, followed by the row.
    key_and_row: Vec<u8>,
    /// Length of the key.
    key: u32,
    descending: bool,
}

impl MergeHead<'_> {
    /// Reads the next row. Returns false at the end.
    fn advance(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::File(reader) => {
                if reader.fill_buf().map_err(temp_file_error)?.is_empty() {
                    return Ok(false);
                }
                let mut lengths = [0; 8];
                reader.read_exact(&mut lengths).map_err(temp_file_error)?;
                let lengths = u64::from_le_bytes(lengths);
                self.key = (lengths >> 32) as u32;
                self.key_and_row.resize(lengths as u32 as usize, 0);
                reader.read_exact(&mut self.key_and_row).map_err(temp_file_error)?;
            }
            Source::Memory(sorter, entries) => {
                let Some(entry) = entries.next() else { return Ok(false) };
                self.key = entry.key;
                self.key_and_row.clear();
                self.key_and_row.extend_from_slice(sorter.key_and_row(entry));
            }
        }
        self.prefix = prefix(self.key(), self.descending);
        Ok(true)
    }

    fn key(&self) -> &[u8] {
        self.key_and_row.get(..self.key as usize).unwrap_or_default()
    }
}

impl Ord for MergeHead<'_> {
    /// Reversed, because the heap returns the greatest element. Of equal rows, that of the earlier source is first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.prefix.cmp(&self.prefix))
            .then_with(|| compare(other.key(), self.key(), self.descending))
            .then_with(|| other.index.cmp(&self.index))
    }
}

impl PartialOrd for MergeHead<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for MergeHead<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for MergeHead<'_> {}

/// Merges sorted sources, of which the oldest is first. Calls `each` for every row, in order, until it returns false:
/// with the length of the key, and the key followed by the row.
fn merge(sources: Vec<Source<'_>>, descending: bool, mut each: impl FnMut(u32, &[u8]) -> Result<bool>) -> Result<()> {
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (index, source) in sources.into_iter().enumerate() {
        let mut head = MergeHead { source, index, prefix: 0, key_and_row: Vec::new(), key: 0, descending };
        if head.advance()? {
            heads.push(head);
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        if !each(head.key, &head.key_and_row)? {
            break;
        }
        if !head.advance()? {
            std::collections::binary_heap::PeekMut::pop(head);
        }
    }
    Ok(())
}
