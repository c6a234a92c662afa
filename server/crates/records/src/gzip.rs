//! Gzip decoding with a limit against decompression bombs.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use uie_core::error::{Code, Error};
use uie_core::message::message;

/// Size of the buffer of compressed input, in bytes.
const COMPRESSED_BUFFER: usize = 128 << 10;

/// Output up to this size is allowed for any input, in bytes.
const UNLIMITED_BYTES: u64 = 64 << 20;

/// Maximum ratio of output to input for larger output. Users as JSON or CSV compress to between a tenth and a
/// thirtieth; the maximum ratio of gzip is 1032.
const MAX_RATIO: u64 = 200;

/// A source with its first bytes put back.
type RewoundSource = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// Decompresses its source if it is gzip, including files with several members.
pub enum GzipInput {
    /// The source is not gzip.
    Plain(RewoundSource),
    /// The source is gzip.
    Gzip(Box<LimitedGzDecoder<RewoundSource>>),
}

impl GzipInput {
    /// Detects gzip by the first two bytes.
    pub fn new(mut source: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(2);
        source.by_ref().take(2).read_to_end(&mut head)?;
        let is_gzip = head == [0x1F, 0x8B];
        let source = Cursor::new(head).chain(source);
        Ok(if is_gzip { Self::Gzip(Box::new(LimitedGzDecoder::new(source))) } else { Self::Plain(source) })
    }

    /// Returns whether the source is gzip.
    pub fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl Read for GzipInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// Decompresses all members of a gzip file. Fails if the ratio of output to input exceeds the limit.
pub struct LimitedGzDecoder<R> {
    decoder: MultiGzDecoder<BufReader<CountingReader<R>>>,
    output_bytes: u64,
    unlimited_bytes: u64,
}

impl<R: Read> LimitedGzDecoder<R> {
    /// `input` is the compressed file.
    pub fn new(input: R) -> Self {
        Self::with_unlimited_bytes(input, UNLIMITED_BYTES)
    }

    fn with_unlimited_bytes(input: R, unlimited_bytes: u64) -> Self {
        let input = BufReader::with_capacity(COMPRESSED_BUFFER, CountingReader { input, read: 0 });
        Self { decoder: MultiGzDecoder::new(input), output_bytes: 0, unlimited_bytes }
    }
}

impl<R: Read> Read for LimitedGzDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.output_bytes += read as u64;
        let input_bytes = self.decoder.get_ref().get_ref().read;
        if self.output_bytes > self.unlimited_bytes && self.output_bytes > input_bytes.saturating_mul(MAX_RATIO) {
            let message = message!("The gzip file expands to more than {ratio} times its size.", ratio = MAX_RATIO);
            let error =
                Error::new(Code::PayloadTooLarge, message).with_hint(message!("Use the file without compression."));
            return Err(io::Error::other(error));
        }
        Ok(read)
    }
}

/// Counts the bytes that are read.
struct CountingReader<R> {
    input: R,
    read: u64,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const UNLIMITED_BYTES: u64 = 1 << 20;

    /// Compresses `count` bytes, of which every `random`th is random.
    fn gzip(count: usize, random: usize) -> Vec<u8> {
        let mut plain = vec![b' '; count];
        plain.iter_mut().step_by(random).for_each(|byte| *byte = rand::random());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    }

    fn decompressed_size(compressed: &[u8]) -> io::Result<u64> {
        io::copy(&mut LimitedGzDecoder::with_unlimited_bytes(compressed, UNLIMITED_BYTES), &mut io::sink())
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = gzip(8 << 20, usize::MAX);
        assert!(bomb.len() < 32 << 10, "{}", bomb.len());
        let mut output_bytes = 0;
        let mut reader = LimitedGzDecoder::with_unlimited_bytes(bomb.as_slice(), UNLIMITED_BYTES);
        let mut buffer = vec![0; 1 << 16];
        let error = loop {
            match reader.read(&mut buffer) {
                Ok(0) => panic!("it was decompressed completely"),
                Ok(read) => output_bytes += read as u64,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("200 times"), "{error}");
        assert!((UNLIMITED_BYTES..8 << 20).contains(&output_bytes), "{output_bytes}");
    }

    #[test]
    fn small_uniform_files_and_large_files_of_users_are_accepted() {
        assert_eq!(decompressed_size(&gzip(1 << 20, usize::MAX)).unwrap(), 1 << 20);
        // More uniform than any file of users.
        assert_eq!(decompressed_size(&gzip(3 << 20, 100)).unwrap(), 3 << 20);
    }
}
