//! Files that are encrypted and authenticated chunk by chunk, so that they are written and read as
//! streams with constant memory, and read from any place.
//!
//! The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015), with the layout of Tink's
//! AES-GCM-HKDF streaming: a key for each file is derived from the data key and a random salt; the nonce
//! of a chunk holds its number and whether it is the last one. So chunks cannot be changed, exchanged,
//! left out or cut off, within a file and between files, without being noticed.
//!
//! ```text
//! magic (4) | log2 of the chunk size (1) | salt (32) | nonce prefix (7) | chunk | chunk | …
//! chunk: up to `size` bytes of AES-256-GCM ciphertext | tag (16); only the last one may be shorter
//! nonce: prefix (7) | number from 0, big-endian (4) | 1 for the last chunk, else 0 (1)
//! ```

use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{DataKey, crypto, random};
use crate::error::{Code, Error};

const MAGIC: [u8; 4] = *b"uie\x01";
const SALT: usize = 32;
const PREFIX: usize = 7;
const HEADER: usize = MAGIC.len() + 1 + SALT + PREFIX;
const TAG: usize = 16;

/// How much plain text a chunk holds: what is read and decrypted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// 4 KiB, for files that are read at random places.
    Small = 12,
    /// 16 KiB, where many files are read at the same time.
    Medium = 14,
    /// 64 KiB, for everything else.
    Large = 16,
}

impl Chunk {
    fn size(self) -> usize {
        1 << self as u8
    }

    fn from_log(log: u8) -> Option<Self> {
        [Self::Small, Self::Medium, Self::Large].into_iter().find(|chunk| *chunk as u8 == log)
    }
}

/// The key of one file and what is fixed of its nonces.
struct FileKey {
    key: LessSafeKey,
    prefix: [u8; PREFIX],
}

impl FileKey {
    /// `header` is the whole header; all of it and the context bind the key.
    fn new(data_key: &DataKey, header: &[u8; HEADER], context: &str) -> io::Result<Self> {
        let (start, prefix) = header.split_at(HEADER - PREFIX);
        let (kind, salt) = start.split_at(MAGIC.len() + 1);
        let purpose = [b"file".as_slice(), kind, prefix, context.as_bytes()];
        let secret = data_key.extract(salt);
        let key = secret.expand(&purpose, &AES_256_GCM).map(UnboundKey::from).map_err(|_| refused())?;
        let mut own = [0; PREFIX];
        own.copy_from_slice(prefix);
        Ok(Self { key: LessSafeKey::new(key), prefix: own })
    }

    fn nonce(&self, number: u64, last: bool) -> io::Result<Nonce> {
        let number = u32::try_from(number)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "a file of more than 2^32 chunks"))?;
        let mut nonce = [0; 12];
        nonce[..PREFIX].copy_from_slice(&self.prefix);
        nonce[PREFIX..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(last);
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Encrypts what is written to it. Nothing that was written can be read before [`SealedWriter::finish`]
/// has marked the end.
pub struct SealedWriter<W: Write> {
    output: W,
    key: FileKey,
    chunk: Chunk,
    number: u64,
    plain: Vec<u8>,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a file. The same `context`, a name for what the file is and belongs to, must be given to
    /// read it.
    pub fn new(mut output: W, data_key: &DataKey, context: &str, chunk: Chunk) -> io::Result<Self> {
        let mut header = [0; HEADER];
        let (start, random_part) = header.split_at_mut(MAGIC.len() + 1);
        start[..MAGIC.len()].copy_from_slice(&MAGIC);
        start[MAGIC.len()] = chunk as u8;
        let chance: [u8; SALT + PREFIX] = random().map_err(|_| refused())?;
        random_part.copy_from_slice(&chance);
        let key = FileKey::new(data_key, &header, context)?;
        output.write_all(&header)?;
        Ok(Self { output, key, chunk, number: 0, plain: Vec::with_capacity(chunk.size() + TAG) })
    }

    /// Encrypts and writes the last chunk, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.key.nonce(self.number, last)?;
        self.key.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.plain).map_err(|_| refused())?;
        self.number += 1;
        self.output.write_all(&self.plain)?;
        self.plain.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for more, since the last one must be marked.
        if !bytes.is_empty() && self.plain.len() == self.chunk.size() {
            self.write_chunk(false)?;
        }
        let taken = bytes.len().min(self.chunk.size() - self.plain.len());
        self.plain.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    /// Passes on what is encrypted; a chunk that is not full stays.
    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write> fmt::Debug for SealedWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedWriter").field("chunks", &self.number).finish_non_exhaustive()
    }
}

/// Decrypts what a [`SealedWriter`] wrote, from any place. No byte is given out that was not
/// authenticated, and none at all of a file whose end is missing.
pub struct SealedReader<R> {
    input: R,
    key: FileKey,
    chunk: Chunk,
    chunks: u64,
    length: u64,
    /// The chunk at hand, decrypted.
    plain: Vec<u8>,
    at_hand: Option<u64>,
    /// The chunk the input stands before.
    next: u64,
    position: u64,
}

impl<R: Read + Seek> SealedReader<R> {
    /// Opens a file; its last chunk is decrypted at once, so that a file whose end is missing is refused.
    ///
    /// Fails with [`io::ErrorKind::InvalidData`] when the file is none of ours, belongs to another key or
    /// context, or was changed.
    pub fn open(mut input: R, data_key: &DataKey, context: &str) -> io::Result<Self> {
        let size = input.seek(SeekFrom::End(0))?;
        input.seek(SeekFrom::Start(0))?;
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => foreign(),
            _ => error,
        })?;
        let chunk = header.strip_prefix(&MAGIC).and_then(|rest| Chunk::from_log(*rest.first()?)).ok_or_else(foreign)?;
        let sealed = size.saturating_sub(HEADER as u64);
        let per_chunk = (chunk.size() + TAG) as u64;
        let chunks = sealed.div_ceil(per_chunk);
        let length = sealed.checked_sub(chunks * TAG as u64).filter(|_| chunks > 0).ok_or_else(damaged)?;
        if sealed - (chunks - 1) * per_chunk < TAG as u64 {
            return Err(damaged());
        }
        let key = FileKey::new(data_key, &header, context)?;
        let mut reader = Self {
            input,
            key,
            chunk,
            chunks,
            length,
            plain: Vec::with_capacity(chunk.size() + TAG),
            at_hand: None,
            next: 0,
            position: 0,
        };
        reader.load(chunks - 1)?;
        Ok(reader)
    }

    /// Bytes of plain text in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn load(&mut self, number: u64) -> io::Result<()> {
        if self.at_hand == Some(number) {
            return Ok(());
        }
        self.at_hand = None;
        let size = self.chunk.size() as u64;
        if self.next != number {
            self.input.seek(SeekFrom::Start(HEADER as u64 + number * (size + TAG as u64)))?;
        }
        let last = number + 1 == self.chunks;
        let plain = if last { self.length - number * size } else { size };
        self.plain.resize(plain as usize + TAG, 0);
        // Wherever a failure leaves the input, the next chunk is then looked for.
        self.next = u64::MAX;
        self.input.read_exact(&mut self.plain)?;
        let nonce = self.key.nonce(number, last)?;
        let opened = self.key.key.open_in_place(nonce, Aad::empty(), &mut self.plain).map(|plain| plain.len());
        let opened = opened.map_err(|_| damaged());
        self.plain.truncate(opened.as_ref().map_or(0, |length| *length));
        opened?;
        self.next = number + 1;
        self.at_hand = Some(number);
        Ok(())
    }
}

impl<R: Read + Seek> BufRead for SealedReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.length {
            return Ok(&[]);
        }
        let size = self.chunk.size() as u64;
        self.load(self.position / size)?;
        Ok(self.plain.get((self.position % size) as usize..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.position += count as u64;
    }
}

impl<R: Read + Seek> Read for SealedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for SealedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<R> fmt::Debug for SealedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedReader").field("length", &self.length).finish_non_exhaustive()
    }
}

fn refused() -> io::Error {
    io::Error::other(crypto())
}

fn foreign() -> io::Error {
    unreadable("The file was not written by this server, or is incomplete.")
}

fn damaged() -> io::Error {
    unreadable("The file cannot be decrypted: it is incomplete, was changed, or belongs to another key.")
}

fn unreadable(message: &str) -> io::Error {
    let error = Error::new(Code::Storage, message).with_hint("Run the job again, or restore DATA_DIR from a back-up.");
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn key() -> DataKey {
        DataKey::from_hex(&"07".repeat(32)).unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut writer = SealedWriter::new(Vec::new(), &key(), "job", Chunk::Small).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn opened(sealed: &[u8], context: &str) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        SealedReader::open(Cursor::new(sealed), &key(), context)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    const CHUNK: usize = 4096;
    const ON_DISK: usize = CHUNK + TAG;

    #[test]
    fn files_of_every_length_around_a_chunk_come_back() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK - 1, 3 * CHUNK, 3 * CHUNK + 17] {
            let plain = text(length);
            let sealed = sealed(&plain);
            assert_eq!(sealed.len(), HEADER + length + TAG * length.div_ceil(CHUNK).max(1));
            let reader = SealedReader::open(Cursor::new(&sealed), &key(), "job").unwrap();
            assert_eq!(reader.length(), length as u64);
            assert_eq!(opened(&sealed, "job").unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn nothing_of_the_text_can_be_read_without_the_key() {
        let sealed = sealed(&b"ada@example.com".repeat(1000));
        assert!(!sealed.windows(8).any(|part| part == b"ada@exam"));
        assert!(opened(&sealed, "another job").is_err());
        let other = DataKey::random().unwrap();
        assert!(SealedReader::open(Cursor::new(&sealed), &other, "job").is_err());
        assert_ne!(sealed, self::sealed(&b"ada@example.com".repeat(1000)), "each file has a key of its own");
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_refused_before_a_byte_is_read() {
        for length in [0, CHUNK, 2 * CHUNK + 100] {
            let sealed = sealed(&text(length));
            for cut in 0..sealed.len() {
                assert!(SealedReader::open(Cursor::new(&sealed[..cut]), &key(), "job").is_err(), "{length} {cut}");
            }
        }
    }

    #[test]
    fn chunks_that_are_left_out_exchanged_or_repeated_are_noticed() {
        let sealed = sealed(&text(3 * CHUNK + 5));
        let chunk =
            |number: usize| &sealed[HEADER + number * ON_DISK..sealed.len().min(HEADER + (number + 1) * ON_DISK)];
        let header = &sealed[..HEADER];
        for order in [vec![1, 0, 2, 3], vec![0, 2, 3], vec![0, 1, 1, 2, 3], vec![0, 1, 2], vec![0, 1, 2, 3, 3], vec![3]]
        {
            let mut other = header.to_vec();
            for number in &order {
                other.extend_from_slice(chunk(*number));
            }
            assert!(opened(&other, "job").is_err(), "{order:?}");
        }
        let mut of_two = self::sealed(&text(3 * CHUNK + 5));
        of_two[HEADER..HEADER + ON_DISK].copy_from_slice(chunk(0));
        assert!(opened(&of_two, "job").is_err(), "a chunk of another file");
        let mut longer = sealed.clone();
        longer.push(0);
        assert!(opened(&longer, "job").is_err());
    }

    #[test]
    fn an_unfinished_file_is_refused() {
        let mut writer = SealedWriter::new(Vec::new(), &key(), "job", Chunk::Small).unwrap();
        writer.write_all(&text(2 * CHUNK + 1)).unwrap();
        assert!(opened(&writer.output, "job").is_err());
    }

    #[test]
    fn files_of_earlier_versions_and_of_others_are_named_as_such() {
        for bytes in [b"".as_slice(), b"[{\"email\":\"ada@example.com\"}]".repeat(20).as_slice(), b"uie\x02"] {
            let error = opened(bytes, "job").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("not written by this server"), "{error}");
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let sealed = sealed(&text(100));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(opened(&changed, "job").is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_part_is_read_as_if_the_file_were_plain(length in 0_usize..5 * CHUNK, places in prop::collection::vec((0_u64..6 * CHUNK as u64, 0_usize..2 * CHUNK), 1..8)) {
            let plain = text(length);
            let sealed = sealed(&plain);
            let mut reader = SealedReader::open(Cursor::new(&sealed), &key(), "job").unwrap();
            let mut model = Cursor::new(&plain);
            for (place, count) in places {
                let (mut part, mut expected) = (Vec::new(), Vec::new());
                reader.seek(SeekFrom::Start(place)).unwrap();
                (&mut reader).take(count as u64).read_to_end(&mut part).unwrap();
                model.seek(SeekFrom::Start(place)).unwrap();
                (&mut model).take(count as u64).read_to_end(&mut expected).unwrap();
                prop_assert_eq!(part, expected);
            }
        }

        #[test]
        fn pieces_of_any_size_make_the_same_file(pieces in prop::collection::vec(0_usize..3 * CHUNK, 0..8)) {
            let plain = text(pieces.iter().sum());
            let mut writer = SealedWriter::new(Vec::new(), &key(), "job", Chunk::Small).unwrap();
            let mut rest = plain.as_slice();
            for piece in pieces {
                let (now, later) = rest.split_at(piece);
                writer.write_all(now).unwrap();
                writer.flush().unwrap();
                rest = later;
            }
            prop_assert_eq!(opened(&writer.finish().unwrap(), "job").unwrap(), plain);
        }
    }
}
