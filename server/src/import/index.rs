//! A map from hashes to numbers for files of any size: the newest entries in memory, the others in
//! sorted runs on disk.
//!
//! Memory: a table of 2 MiB, and a filter that tells of nearly all keys that they are not on disk: 4 MiB
//! for the first two million entries, at most 16 MiB however many there are. Disk: 16 bytes an entry (twice
//! that while runs are merged), in files that vanish with the process.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::chunks::named;
use crate::error::Result;

/// Entries held in memory before they become a run on disk.
const RECENT: usize = 1 << 16;

/// Runs of one size that are merged into one.
const MERGED: usize = 8;

/// Bytes of an entry on disk.
const ENTRY: u64 = 16;

/// Entries that are read at once when a run is searched.
const BLOCK: u64 = 512;

/// Keys are hashes: evenly spread over all 64-bit numbers.
#[derive(Debug)]
pub(super) struct DiskIndex {
    directory: PathBuf,
    recent: Recent,
    filter: Filter,
    /// Oldest and largest first.
    runs: Vec<Run>,
}

impl DiskIndex {
    /// An empty map; runs go into `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self::with_room(directory, RECENT, Filter::MOST)
    }

    fn with_room(directory: &Path, most_recent: usize, most_filtered: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            recent: Recent::new(most_recent),
            filter: Filter::new(most_filtered),
            runs: Vec::new(),
        }
    }

    /// The number of a key.
    pub(super) fn get(&self, key: u64) -> Result<Option<u64>> {
        if let Some(number) = self.recent.get(key) {
            return Ok(Some(number));
        }
        if self.filter.may_hold(key) {
            for run in self.runs.iter().rev() {
                if let Some(number) = run.get(key).map_err(|error| named(error, &self.directory))? {
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }

    /// Keeps the number of a key that is not in the map.
    pub(super) fn insert(&mut self, key: u64, number: u64) -> Result<()> {
        if self.recent.insert(key, number) { Ok(()) } else { self.spill(key, number) }
    }

    /// Makes room for an entry: the table becomes a run.
    fn spill(&mut self, key: u64, number: u64) -> Result<()> {
        self.write_recent().map_err(|error| named(error, &self.directory))?;
        self.recent.insert(key, number);
        Ok(())
    }

    fn write_recent(&mut self) -> io::Result<()> {
        let entries = self.recent.take();
        self.runs.push(Run::write(&self.directory, 0, entries.iter().copied().map(Ok))?);
        if self.filter.has_room(entries.len()) {
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
            && let Some(first) = self.runs.len().checked_sub(MERGED)
            && let Some(same) = self.runs.get(first..)
            && same.iter().all(|run| run.level == level)
        {
            let merged = Run::write(&self.directory, level + 1, Merged::of(same)?)?;
            self.runs.truncate(first);
            self.runs.push(merged);
        }
        Ok(())
    }
}

/// The newest entries, near the place that the size of their key says: an open table with room for twice as
/// many.
#[derive(Debug)]
struct Recent {
    /// A key of zero says that nothing is there.
    slots: Vec<(u64, u64)>,
    /// The number of the key zero.
    zero: Option<u64>,
    count: usize,
    most: usize,
}

impl Recent {
    fn new(most: usize) -> Self {
        // Small imports take no room for large ones.
        Self { slots: Vec::new(), zero: None, count: 0, most }
    }

    /// Where a key is, or else the free slot where it belongs. There is always one that is free.
    fn place(&self, key: u64) -> usize {
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
        let (found, number) = self.slots.get(self.place(key))?;
        (*found == key).then_some(*number)
    }

    /// Keeps an entry that is not there, if there is room.
    fn insert(&mut self, key: u64, number: u64) -> bool {
        if key == 0 {
            self.zero = Some(number);
            return true;
        }
        if self.count == self.most {
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
        let at = self.place(key);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (key, number);
        }
    }

    fn grow(&mut self) {
        let room = (self.slots.len() * 4).clamp(1024, (self.most * 2).max(1024));
        for (key, number) in std::mem::replace(&mut self.slots, vec![(0, 0); room]) {
            if key != 0 {
                self.put(key, number);
            }
        }
    }

    /// All entries but that of zero, which stays, sorted; the table is empty afterwards.
    fn take(&mut self) -> Vec<(u64, u64)> {
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
    /// How often what it holds was merged.
    level: u32,
}

impl Run {
    fn write(directory: &Path, level: u32, sorted: impl Iterator<Item = io::Result<(u64, u64)>>) -> io::Result<Self> {
        let mut output = BufWriter::new(tempfile::tempfile_in(directory)?);
        let mut entries = 0;
        for entry in sorted {
            let (key, number) = entry?;
            let mut bytes = [0; ENTRY as usize];
            let (first, last) = bytes.split_at_mut(8);
            first.copy_from_slice(&key.to_be_bytes());
            last.copy_from_slice(&number.to_be_bytes());
            output.write_all(&bytes)?;
            entries += 1;
        }
        let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, entries, level })
    }

    /// All of them, in order. Nobody else reads from the run meanwhile.
    fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<(u64, u64)>> + use<'_>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::with_capacity(BLOCK as usize * ENTRY as usize, file);
        let mut left = self.entries;
        Ok(std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let mut bytes = [0; ENTRY as usize];
            Some(input.read_exact(&mut bytes).map(|()| entry(&bytes)))
        }))
    }

    fn get(&self, key: u64) -> io::Result<Option<u64>> {
        // Evenly spread keys are near where their size says.
        let guess = ((u128::from(key) * u128::from(self.entries)) >> 64) as u64;
        let (mut low, mut high) = (0, self.entries);
        let mut start = guess.saturating_sub(BLOCK / 2);
        let mut bytes = Vec::new();
        while low < high {
            start = start.clamp(low, high - 1);
            let count = BLOCK.min(high - start);
            let mut file = &self.file;
            file.seek(SeekFrom::Start(start * ENTRY))?;
            bytes.clear();
            file.take(count * ENTRY).read_to_end(&mut bytes)?;
            let entries = bytes.as_chunks::<{ ENTRY as usize }>().0;
            match (entries.first().map(entry), entries.last().map(entry)) {
                (Some((first, _)), _) if key < first => {
                    high = start;
                    start = start.saturating_sub(BLOCK);
                }
                (_, Some((last, _))) if key > last => {
                    low = start + count;
                    start = low;
                }
                _ => {
                    let at = entries.binary_search_by_key(&key, |bytes| entry(bytes).0);
                    return Ok(at.ok().and_then(|at| entries.get(at)).map(|bytes| entry(bytes).1));
                }
            }
        }
        Ok(None)
    }
}

fn entry(bytes: &[u8; ENTRY as usize]) -> (u64, u64) {
    let both = u128::from_be_bytes(*bytes);
    ((both >> 64) as u64, both as u64)
}

/// The entries of several runs as one sorted sequence.
struct Merged<I> {
    runs: Vec<(Option<(u64, u64)>, I)>,
}

impl Merged<()> {
    fn of(runs: &[Run]) -> io::Result<Merged<impl Iterator<Item = io::Result<(u64, u64)>> + use<'_>>> {
        let begin = |run| {
            let mut entries = Run::entries(run)?;
            Ok((entries.next().transpose()?, entries))
        };
        Ok(Merged { runs: runs.iter().map(begin).collect::<io::Result<_>>()? })
    }
}

impl<I: Iterator<Item = io::Result<(u64, u64)>>> Iterator for Merged<I> {
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

/// A Bloom filter, split and blocked (Apple, 2016; the one of Parquet): the eight bits of a key lie in one
/// line of the processor's cache. It says of no key that was added that it is not there. Of others it seldom
/// says that they may be while it has 16 bits a key, and more and more often when it is full.
#[derive(Debug)]
struct Filter {
    blocks: Vec<[u32; 8]>,
    keys: usize,
    /// Most blocks.
    most: usize,
}

impl Filter {
    /// 16 MiB.
    const MOST: usize = 1 << 19;

    /// 4 MiB.
    const FIRST: usize = 1 << 17;

    const KEYS_PER_BLOCK: usize = 16;

    /// Odd numbers, so that every word takes other bits of a key.
    const SALTS: [u32; 8] =
        [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

    fn new(most: usize) -> Self {
        Self { blocks: Vec::new(), keys: 0, most }
    }

    fn has_room(&self, more: usize) -> bool {
        self.keys + more <= self.blocks.len() * Self::KEYS_PER_BLOCK || self.blocks.len() == self.most
    }

    /// Forgets all keys, and has room for so many.
    fn clear(&mut self, keys: usize) {
        let wanted = keys.div_ceil(Self::KEYS_PER_BLOCK).next_power_of_two();
        self.blocks = Vec::new();
        self.blocks = vec![[0; 8]; wanted.max(Self::FIRST).min(self.most)];
        self.keys = 0;
    }

    /// The block of a key, by its upper half, and the bits in it, by the lower one.
    fn place(&self, key: u64) -> (usize, [u32; 8]) {
        let block = ((key >> 32) * self.blocks.len() as u64) >> 32;
        (block as usize, Self::SALTS.map(|salt| 1 << ((key as u32).wrapping_mul(salt) >> 27)))
    }

    fn add(&mut self, key: u64) {
        self.keys += 1;
        let (block, bits) = self.place(key);
        if let Some(block) = self.blocks.get_mut(block) {
            block.iter_mut().zip(bits).for_each(|(word, bit)| *word |= bit);
        }
    }

    fn may_hold(&self, key: u64) -> bool {
        let (block, bits) = self.place(key);
        self.blocks.get(block).is_some_and(|block| block.iter().zip(bits).all(|(word, bit)| word & bit != 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_spilled_to_disk_is_found_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = DiskIndex::with_room(directory.path(), 1000, Filter::MOST);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        for number in 0..20_000 {
            assert_eq!(index.get(key(number)).unwrap(), None);
            index.insert(key(number), number).unwrap();
        }
        // 19 spilled runs, of which twice eight were merged.
        assert_eq!(index.runs.iter().map(|run| run.entries).collect::<Vec<_>>(), [8000, 8000, 1000, 1000, 1000]);
        assert!((0..20_000).all(|number| index.get(key(number)).unwrap() == Some(number)));
        assert!((20_000..30_000).all(|number| index.get(key(number)).unwrap().is_none()));
    }

    #[test]
    fn a_filter_that_is_too_small_costs_time_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = DiskIndex::with_room(directory.path(), 100, 4);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        for number in 0..5000 {
            assert_eq!(index.get(key(number)).unwrap(), None);
            index.insert(key(number), number).unwrap();
        }
        assert!((0..5000).all(|number| index.get(key(number)).unwrap() == Some(number)));
        assert!((5000..6000).all(|number| index.get(key(number)).unwrap().is_none()));
    }

    #[test]
    fn the_filter_knows_most_keys_that_are_not_there() {
        let mut filter = Filter::new(Filter::MOST);
        filter.clear(1);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        let room = (Filter::FIRST * Filter::KEYS_PER_BLOCK) as u64;
        for number in 0..room {
            filter.add(key(number));
        }
        assert!(!filter.has_room(1));
        let mistaken = (room..room + 100_000).filter(|number| filter.may_hold(key(*number))).count();
        assert!(mistaken < 1000, "{mistaken} of 100,000");
    }

    proptest! {
        #[test]
        fn keys_need_not_be_spread_evenly(keys in prop::collection::btree_set(prop_oneof![0_u64..50, any::<u64>(), Just(u64::MAX)], 1..200), asked in 0_u64..60) {
            let directory = tempfile::tempdir().unwrap();
            let mut index = DiskIndex::with_room(directory.path(), 7, 1);
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
