//! Sorting of encoded rows: in memory up to a budget, then through files (docs/decisions/0019-sort-order.md).
//!
//! The order: numbers by value, then booleans (`false` before `true`), then strings by code point, then
//! arrays and objects by their compact JSON. `descending` turns that round. Missing values, and numbers
//! that are none, stand last in both directions. Rows with equal keys keep their order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::expression::Cell;
use crate::seal::{Chunk, SealedReader};
use crate::store::Scratch;

/// Writes a key that compares as bytes the way its cell sorts.
pub(super) fn write_key(cell: &Cell<'_>, key: &mut Vec<u8>) {
    match cell {
        Cell::Number(number) if !number.is_nan() => {
            key.push(NUMBER);
            // -0 and 0 are equal; the sign bit is turned round, and for negative numbers all others.
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

/// Rows are kept in blocks of this size, so that growing never copies them.
const BLOCK: usize = 256 * 1024;

/// So many files are merged at once; with more, the oldest are merged into one first.
const FAN_IN: usize = 64;

/// A row in memory: its key and, behind it, its bytes.
#[derive(Clone, Copy)]
struct Entry {
    block: u32,
    start: u32,
    key: u32,
    row: u32,
    /// What settles most comparisons without a look at the blocks.
    prefix: u128,
}

/// Takes rows with their keys, and gives them back in order.
pub(super) struct Sorter {
    descending: bool,
    budget: usize,
    directory: PathBuf,
    blocks: Vec<Vec<u8>>,
    /// Empty blocks, to be filled again. They were counted when they were full.
    spare: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    used: usize,
    /// Sorted files, oldest first.
    runs: Vec<SortedRun>,
}

impl Sorter {
    /// A sorter that keeps at most `budget` bytes in memory and spills to files in `directory`.
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

    /// Takes one row.
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> Result<()> {
        let needed = key.len() + row.len();
        let entry = size_of::<Entry>();
        // The list of entries doubles when it is full.
        let grown = if self.entries.len() == self.entries.capacity() { self.entries.capacity() * entry } else { 0 };
        let block_full = self.blocks.last().is_none_or(|block| block.capacity() - block.len() < needed);
        let more = grown + if block_full { needed.max(BLOCK) } else { 0 };
        if self.used + more > self.budget && !self.entries.is_empty() {
            self.spill()?;
            return self.push(key, row);
        }
        if block_full {
            if needed <= BLOCK {
                let spare = self.spare.pop();
                self.blocks.push(spare.unwrap_or_else(|| Vec::with_capacity(BLOCK)));
            } else {
                // A long row has a block of its own, in place of as many spare ones.
                self.spare.truncate(self.spare.len().saturating_sub(needed.div_ceil(BLOCK)));
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

    /// Calls `each` for every row, in order, until it says to stop.
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
        // The last rows need no file.
        let mut sources: Vec<_> = std::mem::take(&mut self.runs).into_iter().map(Source::File).collect();
        sources.push(Source::Kept(&self, self.entries.iter()));
        merge(sources, self.descending, |key, both| each(both.get(key as usize..).unwrap_or_default()))
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        self.both(entry).get(..entry.key as usize).unwrap_or_default()
    }

    fn row(&self, entry: &Entry) -> &[u8] {
        self.both(entry).get(entry.key as usize..).unwrap_or_default()
    }

    /// A key and the row behind it.
    fn both(&self, entry: &Entry) -> &[u8] {
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
                // Where a row lies says when it came: that makes the sort stable.
                .then_with(|| (a.block, a.start).cmp(&(b.block, b.start)))
        });
        self.entries = entries;
    }

    /// Writes what is in memory to a file of its own, sorted.
    fn spill(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.sort();
        let mut run = Run::create(&self.directory)?;
        for entry in &self.entries {
            run.write(entry.key, self.both(entry))?;
        }
        self.runs.push(run.finish()?);
        self.entries.clear();
        for mut block in self.blocks.drain(..).filter(|block| block.capacity() == BLOCK) {
            block.clear();
            self.spare.push(block);
        }
        self.used = self.entries.capacity() * size_of::<Entry>();
        if self.runs.len() == FAN_IN {
            let mut merged = Run::create(&self.directory)?;
            let runs = std::mem::take(&mut self.runs).into_iter().map(Source::File);
            merge(runs.collect(), self.descending, |key, both| merged.write(key, both).map(|()| true))?;
            self.runs.push(merged.finish()?);
        }
        Ok(())
    }
}

/// The first bytes of a key, enough for a type and a date to the minute, as a number that is in order as
/// [`compare`] says; equal ones settle nothing.
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

/// A sorted file while it is written. It has no name, so that nothing is left behind.
struct Run(Scratch);

/// A sorted file that is read. [`FAN_IN`] of them are read at once, with a chunk of each in memory: 1 MiB.
type SortedRun = SealedReader<File>;

impl Run {
    fn create(directory: &std::path::Path) -> Result<Self> {
        let file = Scratch::create(directory, Chunk::Medium).map_err(|error| {
            let mut error = Error::from(error);
            error.message = format!("No file to sort with can be made in {}: {}", directory.display(), error.message);
            error
        })?;
        Ok(Self(file))
    }

    /// Writes a key and the row behind it; `key` is the length of the former.
    fn write(&mut self, key: u32, both: &[u8]) -> Result<()> {
        let lengths = u64::from(key) << 32 | both.len() as u64;
        self.0.write_all(&lengths.to_le_bytes()).map_err(spilling)?;
        self.0.write_all(both).map_err(spilling)
    }

    fn finish(self) -> Result<SortedRun> {
        self.0.finish().map_err(spilling)
    }
}

fn spilling(error: std::io::Error) -> Error {
    let mut error = Error::from(error);
    error.message = format!("The sort's temporary file cannot be written or read: {}", error.message);
    error
}

/// Where sorted rows come from.
enum Source<'s> {
    File(SortedRun),
    Kept(&'s Sorter, std::slice::Iter<'s, Entry>),
}

/// The next row of a source.
struct Head<'s> {
    source: Source<'s>,
    /// Which of the sources it is.
    place: usize,
    prefix: u128,
    /// The key and the row behind it.
    both: Vec<u8>,
    /// How long the key is.
    key: u32,
    descending: bool,
}

impl Head<'_> {
    /// Reads the next row; false at the end.
    fn advance(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::File(reader) => {
                if reader.fill_buf().map_err(spilling)?.is_empty() {
                    return Ok(false);
                }
                let mut lengths = [0; 8];
                reader.read_exact(&mut lengths).map_err(spilling)?;
                let lengths = u64::from_le_bytes(lengths);
                self.key = (lengths >> 32) as u32;
                self.both.resize(lengths as u32 as usize, 0);
                reader.read_exact(&mut self.both).map_err(spilling)?;
            }
            Source::Kept(sorter, entries) => {
                let Some(entry) = entries.next() else { return Ok(false) };
                self.key = entry.key;
                self.both.clear();
                self.both.extend_from_slice(sorter.both(entry));
            }
        }
        self.prefix = prefix(self.key(), self.descending);
        Ok(true)
    }

    fn key(&self) -> &[u8] {
        self.both.get(..self.key as usize).unwrap_or_default()
    }
}

impl Ord for Head<'_> {
    /// The heap gives the greatest: the order is turned round. Earlier sources first among equals.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.prefix.cmp(&self.prefix))
            .then_with(|| compare(other.key(), self.key(), self.descending))
            .then_with(|| other.place.cmp(&self.place))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}

/// Calls `each` for the rows of sorted sources, oldest first, in order until it says to stop: with the length of
/// the key and the key with the row behind it.
fn merge(sources: Vec<Source<'_>>, descending: bool, mut each: impl FnMut(u32, &[u8]) -> Result<bool>) -> Result<()> {
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (place, source) in sources.into_iter().enumerate() {
        let mut head = Head { source, place, prefix: 0, both: Vec::new(), key: 0, descending };
        if head.advance()? {
            heads.push(head);
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        if !each(head.key, &head.both)? {
            break;
        }
        if !head.advance()? {
            std::collections::binary_heap::PeekMut::pop(head);
        }
    }
    Ok(())
}
