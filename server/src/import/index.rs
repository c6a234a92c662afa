//! A map from hashes to numbers for files of any size: the newest entries in memory, the others in
//! sorted runs on disk.
//!
//! Memory: [`RECENT`] entries (about 10 MB), and for each entry on disk 10 bits that tell in nearly all
//! cases that a key is not there (1.25 MB a million). Disk: 16 bytes an entry, in files that vanish
//! with the process.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::chunks::named;
use crate::error::Result;

/// Entries held in memory before they become a run on disk.
const RECENT: usize = 1 << 18;

/// Bytes of an entry on disk.
const ENTRY: u64 = 16;

/// Entries that are read at once when a run is searched.
const BLOCK: u64 = 512;

/// The newest entries.
type Recent = HashMap<u64, u64, BuildHasherDefault<Hashed>>;

/// Leaves keys as they are, which are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Keys are hashes: evenly spread over all 64-bit numbers.
#[derive(Debug)]
pub(super) struct DiskIndex {
    directory: PathBuf,
    most_recent: usize,
    recent: Recent,
    runs: Vec<Run>,
}

impl DiskIndex {
    /// An empty map; runs go into `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self::with_room(directory, RECENT)
    }

    fn with_room(directory: &Path, most_recent: usize) -> Self {
        Self { directory: directory.to_owned(), most_recent, recent: Recent::default(), runs: Vec::new() }
    }

    /// The number of a key.
    pub(super) fn get(&self, key: u64) -> Result<Option<u64>> {
        if let Some(number) = self.recent.get(&key) {
            return Ok(Some(*number));
        }
        for run in self.runs.iter().rev() {
            if let Some(number) = run.get(key).map_err(|error| named(error, &self.directory))? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Keeps the number of a key that is not in the map.
    pub(super) fn insert(&mut self, key: u64, number: u64) -> Result<()> {
        self.recent.insert(key, number);
        if self.recent.len() >= self.most_recent {
            let run = Run::write(&self.directory, &self.recent).map_err(|error| named(error, &self.directory))?;
            self.runs.push(run);
            self.recent.clear();
        }
        Ok(())
    }
}

/// Sorted entries on disk.
#[derive(Debug)]
struct Run {
    file: File,
    entries: u64,
    filter: Filter,
}

impl Run {
    fn write(directory: &Path, entries: &Recent) -> io::Result<Self> {
        let mut sorted: Vec<(u64, u64)> = entries.iter().map(|(key, number)| (*key, *number)).collect();
        sorted.sort_unstable();
        let mut filter = Filter::new(sorted.len());
        let mut output = BufWriter::new(tempfile::tempfile_in(directory)?);
        for (key, number) in &sorted {
            filter.add(*key);
            output.write_all(&key.to_be_bytes())?;
            output.write_all(&number.to_be_bytes())?;
        }
        let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file, entries: sorted.len() as u64, filter })
    }

    fn get(&self, key: u64) -> io::Result<Option<u64>> {
        if !self.filter.may_hold(key) {
            return Ok(None);
        }
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
            let block: Vec<(u64, u64)> = bytes.chunks_exact(ENTRY as usize).map(entry).collect();
            match (block.first(), block.last()) {
                (Some((first, _)), _) if key < *first => {
                    high = start;
                    start = start.saturating_sub(BLOCK);
                }
                (_, Some((last, _))) if key > *last => {
                    low = start + count;
                    start = low;
                }
                _ => {
                    let at = block.binary_search_by_key(&key, |(key, _)| *key);
                    return Ok(at.ok().and_then(|at| block.get(at)).map(|(_, number)| *number));
                }
            }
        }
        Ok(None)
    }
}

fn entry(bytes: &[u8]) -> (u64, u64) {
    let number = |part: &[u8]| part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (key, value) = bytes.split_at(bytes.len() / 2);
    (number(key), number(value))
}

/// A Bloom filter: says of one absent key in a hundred that it may be there, of no present one that it
/// is not.
#[derive(Debug)]
struct Filter {
    words: Vec<u64>,
}

impl Filter {
    const BITS_PER_KEY: usize = 10;
    const PROBES: u64 = 7;

    fn new(keys: usize) -> Self {
        Self { words: vec![0; (keys * Self::BITS_PER_KEY).div_ceil(64).max(1)] }
    }

    /// The bits of a key: double hashing with its two halves.
    fn bits(&self, key: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let bits = self.words.len() as u64 * 64;
        let step = (key >> 32) | 1;
        (0..Self::PROBES).map(move |probe| {
            let bit = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(probe.wrapping_mul(step)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn add(&mut self, key: u64) {
        for (word, mask) in self.bits(key) {
            if let Some(word) = self.words.get_mut(word) {
                *word |= mask;
            }
        }
    }

    fn may_hold(&self, key: u64) -> bool {
        self.bits(key).all(|(word, mask)| self.words.get(word).is_some_and(|word| word & mask != 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_spilled_to_disk_is_found_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = DiskIndex::with_room(directory.path(), 3000);
        let key = |number: u64| number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17);
        for number in 0..20_000 {
            assert_eq!(index.get(key(number)).unwrap(), None);
            index.insert(key(number), number).unwrap();
        }
        assert_eq!(index.runs.len(), 6);
        assert!((0..20_000).all(|number| index.get(key(number)).unwrap() == Some(number)));
        assert!((20_000..30_000).all(|number| index.get(key(number)).unwrap().is_none()));
    }

    proptest! {
        #[test]
        fn keys_need_not_be_spread_evenly(keys in prop::collection::btree_set(prop_oneof![0_u64..50, any::<u64>(), Just(u64::MAX)], 1..200), asked in 0_u64..60) {
            let directory = tempfile::tempdir().unwrap();
            let mut index = DiskIndex::with_room(directory.path(), 7);
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
