//! Files that are encrypted and authenticated in chunks: they are written and read with constant memory, and the
//! reader can seek.
//!
//! The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) with the layout of Tink's AES-GCM-HKDF
//! streaming. The key of a file is derived from the data key and a random salt. The nonce of a chunk contains its
//! number and whether it is the last one. Therefore changed, exchanged, missing and truncated chunks are detected,
//! within a file and between files.
//!
//! ```text
//! magic (4) | log2 of the chunk size (1) | salt (32) | nonce prefix (7) | chunk | chunk | …
//! chunk: up to `size` bytes of AES-256-GCM ciphertext | tag (16); only the last one may be shorter
//! nonce: prefix (7) | number from 0, big-endian (4) | 1 for the last chunk, else 0 (1)
//! ```

use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::data_key::DataKey;
use super::primitives::{crypto_error, random};
use crate::error::{Code, Error};
use crate::message::{Message, message};

const MAGIC: [u8; 4] = *b"uie\x01";
const SALT: usize = 32;
const PREFIX: usize = 7;
const HEADER: usize = MAGIC.len() + 1 + SALT + PREFIX;
const TAG: usize = 16;

/// Bytes of plaintext per chunk, the unit that is read and decrypted. The value is the base-2 logarithm of the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSize {
    /// 4 KiB, for files that are read at random positions.
    Small = 12,
    /// 16 KiB, for many files that are read at the same time.
    Medium = 14,
    /// 64 KiB, for everything else.
    Large = 16,
}

impl ChunkSize {
    fn bytes(self) -> usize {
        1 << self as u8
    }

    fn from_log(log: u8) -> Option<Self> {
        [Self::Small, Self::Medium, Self::Large].into_iter().find(|size| *size as u8 == log)
    }
}

/// The key of one file, and the fixed part of its nonces.
struct FileKey {
    key: LessSafeKey,
    nonce_prefix: [u8; PREFIX],
}

impl FileKey {
    /// Derives the key. It depends on the whole header and the context.
    fn new(data_key: &DataKey, header: &[u8; HEADER], context: &str) -> io::Result<Self> {
        let (start, prefix) = header.split_at(HEADER - PREFIX);
        let (format, salt) = start.split_at(MAGIC.len() + 1);
        let purpose = [b"file".as_slice(), format, prefix, context.as_bytes()];
        let secret = data_key.extract(salt);
        let key = secret.expand(&purpose, &AES_256_GCM).map(UnboundKey::from).map_err(|_| crypto_io_error())?;
        let mut nonce_prefix = [0; PREFIX];
        nonce_prefix.copy_from_slice(prefix);
        Ok(Self { key: LessSafeKey::new(key), nonce_prefix })
    }

    fn nonce(&self, number: u64, last: bool) -> io::Result<Nonce> {
        let number = u32::try_from(number)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "a file of more than 2^32 chunks"))?;
        let mut nonce = [0; 12];
        nonce[..PREFIX].copy_from_slice(&self.nonce_prefix);
        nonce[PREFIX..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(last);
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Encrypts a file while it is written. The file can be read only after [`EncryptingWriter::finish`].
pub struct EncryptingWriter<W: Write> {
    output: W,
    key: FileKey,
    chunk_size: ChunkSize,
    /// Number of the chunk in `plaintext`.
    number: u64,
    /// The plaintext of the chunk that is not written yet.
    plaintext: Vec<u8>,
}

impl<W: Write> EncryptingWriter<W> {
    /// Starts a file and writes its header. `context` names what the file belongs to, such as a job, and must be the
    /// same for reading.
    pub fn new(mut output: W, data_key: &DataKey, context: &str, chunk_size: ChunkSize) -> io::Result<Self> {
        let mut header = [0; HEADER];
        let (start, random_part) = header.split_at_mut(MAGIC.len() + 1);
        start[..MAGIC.len()].copy_from_slice(&MAGIC);
        start[MAGIC.len()] = chunk_size as u8;
        let random: [u8; SALT + PREFIX] = random().map_err(|_| crypto_io_error())?;
        random_part.copy_from_slice(&random);
        let key = FileKey::new(data_key, &header, context)?;
        output.write_all(&header)?;
        Ok(Self { output, key, chunk_size, number: 0, plaintext: Vec::with_capacity(chunk_size.bytes() + TAG) })
    }

    /// Writes the last chunk and returns the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.key.nonce(self.number, last)?;
        self.key
            .key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.plaintext)
            .map_err(|_| crypto_io_error())?;
        self.number += 1;
        self.output.write_all(&self.plaintext)?;
        self.plaintext.clear();
        Ok(())
    }
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is written when more bytes follow: only then it is known not to be the last one.
        if !bytes.is_empty() && self.plaintext.len() == self.chunk_size.bytes() {
            self.write_chunk(false)?;
        }
        let count = bytes.len().min(self.chunk_size.bytes() - self.plaintext.len());
        self.plaintext.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Flushes the encrypted chunks. An incomplete chunk stays in memory.
    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write> fmt::Debug for EncryptingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptingWriter").field("chunks", &self.number).finish_non_exhaustive()
    }
}

/// Decrypts a file of an [`EncryptingWriter`]; seekable. Returns authenticated bytes only, and none of a file whose end
/// is missing.
pub struct DecryptingReader<R> {
    input: R,
    key: FileKey,
    chunk_size: ChunkSize,
    chunk_count: u64,
    /// Bytes of plaintext in the file.
    length: u64,
    /// The decrypted chunk.
    plaintext: Vec<u8>,
    /// Number of the chunk in `plaintext`; `None` before the first one and after a failure.
    loaded: Option<u64>,
    /// Number of the chunk at which `input` is positioned; `u64::MAX` if unknown.
    next: u64,
    /// Offset in the plaintext.
    position: u64,
}

impl<R: Read + Seek> DecryptingReader<R> {
    /// Opens a file and decrypts its last chunk, to detect a missing end.
    ///
    /// Fails with [`io::ErrorKind::InvalidData`] if the file has another format, belongs to another key or context, or
    /// was changed.
    pub fn open(mut input: R, data_key: &DataKey, context: &str) -> io::Result<Self> {
        let size = input.seek(SeekFrom::End(0))?;
        input.seek(SeekFrom::Start(0))?;
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => format_error(),
            _ => error,
        })?;
        let chunk_size = header.strip_prefix(&MAGIC).and_then(|rest| ChunkSize::from_log(*rest.first()?));
        let chunk_size = chunk_size.ok_or_else(format_error)?;
        let ciphertext = size.saturating_sub(HEADER as u64);
        let per_chunk = (chunk_size.bytes() + TAG) as u64;
        let chunk_count = ciphertext.div_ceil(per_chunk);
        let length = ciphertext.checked_sub(chunk_count * TAG as u64).filter(|_| chunk_count > 0);
        let length = length.ok_or_else(authentication_error)?;
        if ciphertext - (chunk_count - 1) * per_chunk < TAG as u64 {
            return Err(authentication_error());
        }
        let key = FileKey::new(data_key, &header, context)?;
        let mut reader = Self {
            input,
            key,
            chunk_size,
            chunk_count,
            length,
            plaintext: Vec::with_capacity(chunk_size.bytes() + TAG),
            loaded: None,
            next: 0,
            position: 0,
        };
        reader.load(chunk_count - 1)?;
        Ok(reader)
    }

    /// Returns the bytes of plaintext in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads and decrypts a chunk unless it is loaded.
    fn load(&mut self, number: u64) -> io::Result<()> {
        if self.loaded == Some(number) {
            return Ok(());
        }
        self.loaded = None;
        let size = self.chunk_size.bytes() as u64;
        if self.next != number {
            self.input.seek(SeekFrom::Start(HEADER as u64 + number * (size + TAG as u64)))?;
        }
        let last = number + 1 == self.chunk_count;
        let length = if last { self.length - number * size } else { size };
        self.plaintext.resize(length as usize + TAG, 0);
        // After a failure the position of the input is unknown, so that the next call seeks.
        self.next = u64::MAX;
        self.input.read_exact(&mut self.plaintext)?;
        let nonce = self.key.nonce(number, last)?;
        let decrypted = self.key.key.open_in_place(nonce, Aad::empty(), &mut self.plaintext).map(|plain| plain.len());
        let decrypted = decrypted.map_err(|_| authentication_error());
        self.plaintext.truncate(decrypted.as_ref().map_or(0, |length| *length));
        decrypted?;
        self.next = number + 1;
        self.loaded = Some(number);
        Ok(())
    }
}

impl<R: Read + Seek> BufRead for DecryptingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.length {
            return Ok(&[]);
        }
        let size = self.chunk_size.bytes() as u64;
        self.load(self.position / size)?;
        Ok(self.plaintext.get((self.position % size) as usize..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.position += count as u64;
    }
}

impl<R: Read + Seek> Read for DecryptingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for DecryptingReader<R> {
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

impl<R> fmt::Debug for DecryptingReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptingReader").field("length", &self.length).finish_non_exhaustive()
    }
}

fn crypto_io_error() -> io::Error {
    io::Error::other(crypto_error())
}

fn format_error() -> io::Error {
    invalid_data(message!("The file was not written by this server, or is incomplete."))
}

fn authentication_error() -> io::Error {
    invalid_data(message!("The file cannot be decrypted: it is incomplete, was changed, or belongs to another key."))
}

fn invalid_data(message: Message) -> io::Error {
    let error = Error::new(Code::Storage, message)
        .with_hint(message!("Run the job again, or restore DATA_DIR from a back-up."));
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

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let mut writer = EncryptingWriter::new(Vec::new(), &key(), "job", ChunkSize::Small).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn decrypt(encrypted: &[u8], context: &str) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        DecryptingReader::open(Cursor::new(encrypted), &key(), context)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    const CHUNK: usize = 4096;
    const ON_DISK: usize = CHUNK + TAG;

    #[test]
    fn files_of_every_length_around_a_chunk_are_decrypted() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK - 1, 3 * CHUNK, 3 * CHUNK + 17] {
            let plain = text(length);
            let encrypted = encrypt(&plain);
            assert_eq!(encrypted.len(), HEADER + length + TAG * length.div_ceil(CHUNK).max(1));
            let reader = DecryptingReader::open(Cursor::new(&encrypted), &key(), "job").unwrap();
            assert_eq!(reader.length(), length as u64);
            assert_eq!(decrypt(&encrypted, "job").unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn a_file_cannot_be_read_without_its_key_and_context() {
        let encrypted = encrypt(&b"ada@example.com".repeat(1000));
        assert!(!encrypted.windows(8).any(|part| part == b"ada@exam"));
        assert!(decrypt(&encrypted, "another job").is_err());
        let other = DataKey::random().unwrap();
        assert!(DecryptingReader::open(Cursor::new(&encrypted), &other, "job").is_err());
        assert_ne!(encrypted, encrypt(&b"ada@example.com".repeat(1000)), "each file has its own key");
    }

    #[test]
    fn a_truncated_file_is_refused_before_a_byte_is_read() {
        for length in [0, CHUNK, 2 * CHUNK + 100] {
            let encrypted = encrypt(&text(length));
            for cut in 0..encrypted.len() {
                let reader = DecryptingReader::open(Cursor::new(&encrypted[..cut]), &key(), "job");
                assert!(reader.is_err(), "{length} {cut}");
            }
        }
    }

    #[test]
    fn missing_exchanged_and_repeated_chunks_are_detected() {
        let encrypted = encrypt(&text(3 * CHUNK + 5));
        let chunk =
            |number: usize| &encrypted[HEADER + number * ON_DISK..encrypted.len().min(HEADER + (number + 1) * ON_DISK)];
        let header = &encrypted[..HEADER];
        for order in [vec![1, 0, 2, 3], vec![0, 2, 3], vec![0, 1, 1, 2, 3], vec![0, 1, 2], vec![0, 1, 2, 3, 3], vec![3]]
        {
            let mut other = header.to_vec();
            for number in &order {
                other.extend_from_slice(chunk(*number));
            }
            assert!(decrypt(&other, "job").is_err(), "{order:?}");
        }
        let mut mixed = encrypt(&text(3 * CHUNK + 5));
        mixed[HEADER..HEADER + ON_DISK].copy_from_slice(chunk(0));
        assert!(decrypt(&mixed, "job").is_err(), "a chunk of another file");
        let mut longer = encrypted.clone();
        longer.push(0);
        assert!(decrypt(&longer, "job").is_err());
    }

    #[test]
    fn an_unfinished_file_is_refused() {
        let mut writer = EncryptingWriter::new(Vec::new(), &key(), "job", ChunkSize::Small).unwrap();
        writer.write_all(&text(2 * CHUNK + 1)).unwrap();
        assert!(decrypt(&writer.output, "job").is_err());
    }

    #[test]
    fn files_of_another_format_are_refused_with_that_reason() {
        for bytes in [b"".as_slice(), b"[{\"email\":\"ada@example.com\"}]".repeat(20).as_slice(), b"uie\x02"] {
            let error = decrypt(bytes, "job").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("not written by this server"), "{error}");
        }
    }

    #[test]
    fn every_changed_bit_is_detected() {
        let encrypted = encrypt(&text(100));
        for at in 0..encrypted.len() {
            for bit in 0..8 {
                let mut changed = encrypted.clone();
                changed[at] ^= 1 << bit;
                assert!(decrypt(&changed, "job").is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_range_reads_as_from_a_plaintext_file(length in 0_usize..5 * CHUNK, places in prop::collection::vec((0_u64..6 * CHUNK as u64, 0_usize..2 * CHUNK), 1..8)) {
            let plain = text(length);
            let encrypted = encrypt(&plain);
            let mut reader = DecryptingReader::open(Cursor::new(&encrypted), &key(), "job").unwrap();
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
        fn writes_of_any_size_produce_the_same_plaintext(pieces in prop::collection::vec(0_usize..3 * CHUNK, 0..8)) {
            let plain = text(pieces.iter().sum());
            let mut writer = EncryptingWriter::new(Vec::new(), &key(), "job", ChunkSize::Small).unwrap();
            let mut rest = plain.as_slice();
            for piece in pieces {
                let (now, later) = rest.split_at(piece);
                writer.write_all(now).unwrap();
                writer.flush().unwrap();
                rest = later;
            }
            prop_assert_eq!(decrypt(&writer.finish().unwrap(), "job").unwrap(), plain);
        }
    }
}
