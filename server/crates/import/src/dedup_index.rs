//! A map from 64-bit hashes to numbers that spills to disk: the newest entries are in memory, the others in sorted
//! runs on disk. Finds duplicate users in files of any size.
//!
//! Memory: a table of 2 MiB, and a Bloom filter that avoids nearly all disk lookups of absent keys: 4 MiB for the
//! first two million entries, at most 16 MiB for any number. Disk: 16 bytes per entry (twice that during a merge), in
//! unnamed temporary files that the operating system removes with the process.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::io_error::with_path;
use uie_core::error::Result;

/// Maximum number of entries in memory before they are written to a run on disk.
const MEM_TABLE_ENTRIES: usize = 1 << 16;

/// Number of runs of the same level that are merged into one of the next level.
const MERGE_FAN_IN: usize = 8;

/// Size of an entry on disk, in bytes.
const ENTRY_BYTES: u64 = 16;

/// Entries per read when searching a run.
const ENTRIES_PER_READ: u64 = 512;

/// A map from keys to numbers. Lookups on disk are fast if keys are uniformly distributed 64-bit hashes.
#[derive(Debug)]
pub(super) struct SpillingHashIndex {
    directory: PathBuf,
    mem_table: MemTable,
    filter: BloomFilter,
    /// Oldest and largest first.
    runs: Vec<Run>,
}

impl SpillingHashIndex {
    /// Creates an empty map that writes its runs to `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self::with_limits(directory, MEM_TABLE_ENTRIES, BloomFilter::MAX_BLOCKS)
    }

    fn with_limits(directory: &Path, mem_table_entries: usize, max_filter_blocks: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            mem_table: MemTable::new(mem_table_entries),
            filter: BloomFilter::new(max_filter_blocks),
            runs: Vec::new(),
        }
    }

    /// Returns the number of a key; `None` if the key is absent. Fails if a run cannot be read.
    pub(super) fn get(&self, key: u64) -> Result<Option<u64>> {
        if let Some(number) = self.mem_table.get(key) {
            return Ok(Some(number));
        }
        if self.filter.may_contain(key) {
            for run in self.runs.iter().rev() {
                if let Some(number) = run.get(key).map_err(|error| with_path(error, &self.directory))? {
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }

    /// Inserts a key that is not in the map. Fails if a run cannot be written.
    pub(super) fn insert(&mut self, key: u64, number: u64) -> Result<()> {
        if self.mem_table.insert(key, number) { Ok(()) } else { self.spill(key, number) }
    }

    /// Writes the full table to a run, then inserts the entry.
    fn spill(&mut self, key: u64, number: u64) -> Result<()> {
        self.flush_mem_table().map_err(|error| with_path(error, &self.directory))?;
        self.mem_table.insert(key, number);
        Ok(())
    }

    fn flush_mem_table(&mut self) -> io::Result<()> {
        let entries = self.mem_table.drain();
        self.runs.push(Run::write(&self.directory, 0, entries.iter().copied().map(Ok))?);
        if self.filter.has_capacity(entries.len()) {
            for (key, _) in &entries {
                self.filter.add(*key);
            }
        } else {
            self.filter.clear(self.runs.iter().map(|run| run.entries as usize).sum());
            for run in &self.runs {
                for entry in run.entries()? {
                    self.filter.add(entry?.0);
                }
            }
        }
        while let Some(level) = self.runs.last().map(|run| run.level)
            && let Some(first) = self.runs.len().checked_sub(MERGE_FAN_IN)
            && let Some(same) = self.runs.get(first..)
            && same.iter().all(|run| run.level == level)
        {
            let merged = Run::write(&self.directory, level + 1, MergeIter::open(same)?)?;
            self.runs.truncate(first);
            self.runs.push(merged);
        }
        Ok(())
    }
}

/// The newest entries: a hash table with open addressing and a load factor of at most one half.
#[derive(Debug)]
struct MemTable {
    /// A key of zero marks a free slot.
    slots: Vec<(u64, u64)>,
    /// The number of the key zero.
    zero: Option<u64>,
    count: usize,
    capacity: usize,
}

impl MemTable {
    fn new(capacity: usize) -> Self {
        // Allocated on the first insertion, so that small imports use little memory.
        Self { slots: Vec::new(), zero: None, count: 0, capacity }
    }

    /// Returns the slot of a key, or the free slot for it. At least one slot is always free.
    fn slot_of(&self, key: u64) -> usize {
        let mut at = ((u128::from(key) * self.slots.len() as u128) >> 64) as usize;
        while self.slots.get(at).is_some_and(|(found, _)| *found != key && *found != 0) {
            at = if at + 1 < self.slots.len() { at + 1 } else { 0 };
        }
        at
    }

    fn get(&self, key: u64) -> Option<u64> {
        if key == 0 {
            return self.zero;
        }
        let (found, number) = self.slots.get(self.slot_of(key))?;
        (*found == key).then_some(*number)
    }

    /// Inserts an absent key; returns `false`, without inserting, if the table is full.
    fn insert(&mut self, key: u64, number: u64) -> bool {
        if key == 0 {
            self.zero = Some(number);
            return true;
        }
        if self.count == self.capacity {
            return false;
        }
        if self.count * 2 >= self.slots.len() {
            self.grow();
        }
        self.put(key, number);
        self.count += 1;
        true
    }

    fn put(&mut self, key: u64, number: u64) {
        let at = self.slot_of(key);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (key, number);
        }
    }

    fn grow(&mut self) {
        let room = (self.slots.len() * 4).clamp(1024, (self.capacity * 2).max(1024));
        for (key, number) in std::mem::replace(&mut self.slots, vec![(0, 0); room]) {
            if key != 0 {
                self.put(key, number);
            }
        }
    }

    /// Removes and returns all entries, sorted; the entry of key zero stays.
    fn drain(&mut self) -> Vec<(u64, u64)> {
        let mut entries: Vec<(u64, u64)> = self.slots.iter().copied().filter(|(key, _)| *key != 0).collect();
        entries.sort_unstable();
        self.slots.fill((0, 0));
        self.count = 0;
        entries
    }
}

/// Sorted entries on disk.
#[derive(Debug)]
struct Run {
    file: File,
    entries: u64,
    /// How many times its entries were merged.
    level: u32,
}

impl Run {
    fn write(directory: &Path, level: u32, sorted: impl Iterator<Item = io::Result<(u64, u64)>>) -> io::Result<Self> {
        let mut output = BufWriter::new(tempfile::tempfile_in(directory)?);
        let mut entries = 0;
        for entry in sorted {
            let (key, number) = entry?;
            let mut bytes = [0; ENTRY_BYTES as usize];
            let (first, last) = bytes.split_at_mut(8);
            first.copy_from_slice(&key.to_be_bytes());
            last.copy_from_slice(&number.to_be_bytes());
            output.write_all(&bytes)?;
            entries += 1;
        }
        let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, entries, level })
    }

    /// Iterates over the entries in order. The file position is shared: do not use the run until the iterator ends.
    fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<(u64, u64)>> + use<'_>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::with_capacity(ENTRIES_PER_READ as usize * ENTRY_BYTES as usize, file);
        let mut left = self.entries;
        Ok(std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let mut bytes = [0; ENTRY_BYTES as usize];
            Some(input.read_exact(&mut bytes).map(|()| decode_entry(&bytes)))
        }))
    }

    fn get(&self, key: u64) -> io::Result<Option<u64>> {
        // Interpolation search: with uniformly distributed keys the first read usually contains the key.
        let estimate = ((u128::from(key) * u128::from(self.entries)) >> 64) as u64;
        let (mut low, mut high) = (0, self.entries);
        let mut start = estimate.saturating_sub(ENTRIES_PER_READ / 2);
        let mut bytes = Vec::new();
        while low < high {
            start = start.clamp(low, high - 1);
            let count = ENTRIES_PER_READ.min(high - start);
            let mut file = &self.file;
            file.seek(SeekFrom::Start(start * ENTRY_BYTES))?;
            bytes.clear();
            file.take(count * ENTRY_BYTES).read_to_end(&mut bytes)?;
            let entries = bytes.as_chunks::<{ ENTRY_BYTES as usize }>().0;
            match (entries.first().map(decode_entry), entries.last().map(decode_entry)) {
                (Some((first, _)), _) if key < first => {
                    high = start;
                    start = start.saturating_sub(ENTRIES_PER_READ);
                }
                (_, Some((last, _))) if key > last => {
                    low = start + count;
                    start = low;
                }
                _ => {
                    let at = entries.binary_search_by_key(&key, |bytes| decode_entry(bytes).0);
                    return Ok(at.ok().and_then(|at| entries.get(at)).map(|bytes| decode_entry(bytes).1));
                }
            }
        }
        Ok(None)
    }
}

fn decode_entry(bytes: &[u8; ENTRY_BYTES as usize]) -> (u64, u64) {
    let both = u128::from_be_bytes(*bytes);
    ((both >> 64) as u64, both as u64)
}

/// Merges the entries of several runs into one sorted sequence.
struct MergeIter<I> {
    runs: Vec<(Option<(u64, u64)>, I)>,
}

impl MergeIter<()> {
    fn open(runs: &[Run]) -> io::Result<MergeIter<impl Iterator<Item = io::Result<(u64, u64)>> + use<'_>>> {
        let open_run = |run| {
            let mut entries = Run::entries(run)?;
            Ok((entries.next().transpose()?, entries))
        };
        Ok(MergeIter { runs: runs.iter().map(open_run).collect::<io::Result<_>>()? })
    }
}

impl<I: Iterator<Item = io::Result<(u64, u64)>>> Iterator for MergeIter<I> {
    type Item = io::Result<(u64, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.runs.iter_mut().filter(|(head, _)| head.is_some()).min_by_key(|(head, _)| *head)?;
        let least = head.take()?;
        match rest.next().transpose() {
            Ok(next) => *head = next,
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(least))
    }
}

/// A split-block Bloom filter, as in Parquet: the eight bits of a key are in one cache line. No false negatives;
/// false positives are rare with 16 bits per key and become frequent beyond the filter's capacity.
#[derive(Debug)]
struct BloomFilter {
    blocks: Vec<[u32; 8]>,
    keys: usize,
    /// Maximum number of blocks.
    capacity: usize,
}

impl BloomFilter {
    /// 16 MiB.
    const MAX_BLOCKS: usize = 1 << 19;

    /// 4 MiB.
    const INITIAL_BLOCKS: usize = 1 << 17;

    const KEYS_PER_BLOCK: usize = 16;

    /// Odd multipliers, so that each word uses different bits of a key.
    const SALTS: [u32; 8] =
        [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

    fn new(capacity: usize) -> Self {
        Self { blocks: Vec::new(), keys: 0, capacity }
    }

    fn has_capacity(&self, more: usize) -> bool {
        self.keys + more <= self.blocks.len() * Self::KEYS_PER_BLOCK || self.blocks.len() == self.capacity
    }

    /// Removes all keys and resizes the filter for `keys` of them, up to the maximum size.
    fn clear(&mut self, keys: usize) {
        let blocks_needed = keys.div_ceil(Self::KEYS_PER_BLOCK).next_power_of_two();
        self.blocks = Vec::new();
        self.blocks = vec![[0; 8]; blocks_needed.max(Self::INITIAL_BLOCKS).min(self.capacity)];
        self.keys = 0;
    }

    /// Returns the block of a key, from its upper 32 bits, and the bits in the block, from the lower 32 bits.
    fn bits_of(&self, key: u64) -> (usize, [u32; 8]) {
        let block = ((key >> 32) * self.blocks.len() as u64) >> 32;
        (block as usize, Self::SALTS.map(|salt| 1 << ((key as u32).wrapping_mul(salt) >> 27)))
    }

    fn add(&mut self, key: u64) {
        self.keys += 1;
        let (block, bits) = self.bits_of(key);
        if let Some(block) = self.blocks.get_mut(block) {
            block.iter_mut().zip(bits).for_each(|(word, bit)| *word |= bit);
        }
    }

    fn may_contain(&self, key: u64) -> bool {
        let (block, bits) = self.bits_of(key);
        self.blocks.get(block).is_some_and(|block| block.iter().zip(bits).all(|(word, bit)| word & bit != 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spilled_keys_are_found_and_absent_keys_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = SpillingHashIndex::with_limits(directory.path(), 1000, BloomFilter::MAX_BLOCKS);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        for number in 0..20_000 {
            assert_eq!(index.get(key(number)).unwrap(), None);
            index.insert(key(number), number).unwrap();
        }
        // 19 runs were written; two groups of eight were merged.
        assert_eq!(index.runs.iter().map(|run| run.entries).collect::<Vec<_>>(), [8000, 8000, 1000, 1000, 1000]);
        assert!((0..20_000).all(|number| index.get(key(number)).unwrap() == Some(number)));
        assert!((20_000..30_000).all(|number| index.get(key(number)).unwrap().is_none()));
    }

    #[test]
    fn results_are_correct_with_a_filter_that_is_too_small() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = SpillingHashIndex::with_limits(directory.path(), 100, 4);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        for number in 0..5000 {
            assert_eq!(index.get(key(number)).unwrap(), None);
            index.insert(key(number), number).unwrap();
        }
        assert!((0..5000).all(|number| index.get(key(number)).unwrap() == Some(number)));
        assert!((5000..6000).all(|number| index.get(key(number)).unwrap().is_none()));
    }

    #[test]
    fn the_filter_rejects_most_absent_keys() {
        let mut filter = BloomFilter::new(BloomFilter::MAX_BLOCKS);
        filter.clear(1);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        let room = (BloomFilter::INITIAL_BLOCKS * BloomFilter::KEYS_PER_BLOCK) as u64;
        for number in 0..room {
            filter.add(key(number));
        }
        assert!(!filter.has_capacity(1));
        let mistaken = (room..room + 100_000).filter(|number| filter.may_contain(key(*number))).count();
        assert!(mistaken < 1000, "{mistaken} of 100,000");
    }

    proptest! {
        #[test]
        fn results_are_correct_for_unevenly_distributed_keys(keys in prop::collection::btree_set(prop_oneof![0_u64..50, any::<u64>(), Just(u64::MAX)], 1..200), asked in 0_u64..60) {
            let directory = tempfile::tempdir().unwrap();
            let mut index = SpillingHashIndex::with_limits(directory.path(), 7, 1);
            for key in &keys {
                index.insert(*key, key ^ 1).unwrap();
            }
            for key in &keys {
                prop_assert_eq!(index.get(*key).unwrap(), Some(key ^ 1));
            }
            prop_assert_eq!(index.get(asked).unwrap().is_some(), keys.contains(&asked));
        }
    }
}
