//! A small seeded random number generator (`SplitMix64`). Every user has its own stream, so that user number `i` does
//! not depend on the number of users.

use std::fmt::Write;

/// A stream of random numbers.
pub(super) struct Random(u64);

impl Random {
    /// The stream of one user.
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut first = Random(index ^ 0xD1B5_4A32_D192_ED03);
        let key = first.next().rotate_left(23) ^ seed.wrapping_mul(0xA24B_AED4_963E_E407);
        let mut second = Random(key);
        Random(second.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Returns true with a probability of `share` per mille.
    pub(super) fn per_mille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// One of several texts.
    pub(super) fn pick(&mut self, from: &[&'static str]) -> &'static str {
        let at = self.below(from.len() as u64) as usize;
        from.get(at).copied().unwrap_or_default()
    }

    /// `length` hexadecimal digits.
    pub(super) fn hex(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:016x}", self.next());
        }
        text.truncate(length);
        text
    }

    /// `length` decimal digits, the first of them not zero.
    pub(super) fn digits(&mut self, length: usize) -> String {
        (0..length).map(|at| if at == 0 { 1 + self.below(9) } else { self.below(10) }).map(digit).collect()
    }

    /// `length` characters of the URL-safe base64 alphabet.
    pub(super) fn base64(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length).map(|_| ALPHABET.get(self.below(64) as usize).copied().map_or('A', char::from)).collect()
    }
}

fn digit(number: u64) -> char {
    char::from(b'0' + (number % 10) as u8)
}
