//! Inflating gzip within reason: a few kilobytes may be told to become terabytes.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::READ_BUFFER;
use crate::error::{Code, Error};

/// So much may come out of whatever goes in.
const FREE: u64 = 64 << 20;

/// Beyond [`FREE`], bytes that may come out of one that went in. Users as JSON or CSV shrink to a tenth or a
/// thirtieth; the most that gzip can is 1032.
const MOST: u64 = 200;

/// Inflates all members of a gzip file; an error where it grows beyond measure.
pub(super) struct Inflate<R> {
    decoder: MultiGzDecoder<BufReader<Counted<R>>>,
    out: u64,
    free: u64,
}

impl<R: Read> Inflate<R> {
    pub(super) fn new(input: R) -> Self {
        Self::with_free(input, FREE)
    }

    fn with_free(input: R, free: u64) -> Self {
        let input = BufReader::with_capacity(READ_BUFFER, Counted { input, read: 0 });
        Self { decoder: MultiGzDecoder::new(input), out: 0, free }
    }
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.out += read as u64;
        let taken = self.decoder.get_ref().get_ref().read;
        if self.out > self.free && self.out > taken.saturating_mul(MOST) {
            let message = format!("The gzip file grows to more than {MOST} times its size, as no file of users does.");
            let error = Error::new(Code::PayloadTooLarge, message).with_hint("Send it without compression.");
            return Err(io::Error::other(error));
        }
        Ok(read)
    }
}

/// Counts what was read.
struct Counted<R> {
    input: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
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

    const FREE: u64 = 1 << 20;

    /// The gzip of so many bytes, of which every `random`th is random.
    fn gzip(count: usize, random: usize) -> Vec<u8> {
        let mut plain = vec![b' '; count];
        plain.iter_mut().step_by(random).for_each(|byte| *byte = rand::random());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated(compressed: &[u8]) -> io::Result<u64> {
        io::copy(&mut Inflate::with_free(compressed, FREE), &mut io::sink())
    }

    #[test]
    fn a_bomb_goes_off_at_the_limit_and_not_later() {
        let bomb = gzip(8 << 20, usize::MAX);
        assert!(bomb.len() < 32 << 10, "{}", bomb.len());
        let mut out = 0;
        let mut reader = Inflate::with_free(bomb.as_slice(), FREE);
        let mut buffer = vec![0; 1 << 16];
        let error = loop {
            match reader.read(&mut buffer) {
                Ok(0) => panic!("it was inflated whole"),
                Ok(read) => out += read as u64,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("200 times"), "{error}");
        assert!((FREE..8 << 20).contains(&out), "{out}");
    }

    #[test]
    fn a_small_file_may_be_as_uniform_as_it_likes_and_a_large_one_like_users() {
        assert_eq!(inflated(&gzip(1 << 20, usize::MAX)).unwrap(), 1 << 20);
        // Far more alike than any file of users.
        assert_eq!(inflated(&gzip(3 << 20, 100)).unwrap(), 3 << 20);
    }
}
