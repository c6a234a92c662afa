//! Positions in a file of text.

use memchr::{memchr_iter, memrchr};

/// A position in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Physical line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl Position {
    /// Advances past these bytes of UTF-8.
    pub fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(last) = memrchr(b'\n', bytes) {
            let (lines, after) = bytes.split_at(last + 1);
            self.line += memchr_iter(b'\n', lines).count() as u64;
            self.column = 1;
            rest = after;
        }
        self.column += count_characters(rest);
    }
}

/// Returns the number of UTF-8 characters that start in these bytes.
fn count_characters(bytes: &[u8]) -> u64 {
    const LOW_BITS: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let is_continuation = |byte: &&u8| (**byte & 0xC0) == 0x80;
    let mut continuations = rest.iter().filter(is_continuation).count() as u64;
    // Each byte of a sum counts the continuation bytes in its lane; it holds at most 255.
    for words in words.chunks(u8::MAX.into()) {
        let sum = words.iter().fold(0, |sum, word| {
            let word = u64::from_ne_bytes(*word);
            sum + (word >> 7 & !(word >> 6) & LOW_BITS)
        });
        continuations += sum.to_ne_bytes().into_iter().map(u64::from).sum::<u64>();
    }
    bytes.len() as u64 - continuations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_are_counted() {
        let mut position = Position::default();
        position.advance("é".repeat(300).as_bytes());
        assert_eq!(position, Position { line: 1, column: 301 });
        position.advance("a\nb\nüc".as_bytes());
        assert_eq!(position, Position { line: 3, column: 3 });
    }
}
