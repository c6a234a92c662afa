//! Random mutations of inputs, without coverage feedback: the replacement for libFuzzer on stable Rust.

/// Generates inputs from others. The same seed gives the same inputs.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Returns a mutator; the seed may be any number.
    pub fn new(seed: u64) -> Self {
        // Never zero, a fixed point of xorshift.
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// xorshift64*
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 32) as usize).checked_rem(end).unwrap_or(0)
    }

    /// Returns one of the inputs with up to eight changes, some of which insert one of `words`.
    pub fn mutate(&mut self, inputs: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
        let chosen = self.below(inputs.len());
        let mut bytes = inputs.get(chosen).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(16)).min(bytes.len());
            let range = at.min(end)..end;
            match self.below(8) {
                0 => bytes.splice(range, []).for_each(drop),
                1 => {
                    let part = bytes.get(range).unwrap_or_default().to_vec();
                    bytes.splice(at..at, part).for_each(drop);
                }
                2 | 3 => {
                    let word = self.below(words.len());
                    let word = words.get(word).cloned().unwrap_or_default();
                    let replaced = if self.below(2) == 0 { at..at } else { range };
                    bytes.splice(replaced, word).for_each(drop);
                }
                4 => {
                    let other = self.below(inputs.len());
                    let other = inputs.get(other).map(Vec::as_slice).unwrap_or_default();
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(other.get(from..).unwrap_or_default());
                }
                5 => {
                    let byte = self.next() as u8;
                    bytes.insert(at, byte);
                }
                kind => {
                    let change = if kind == 6 { 1 << self.below(8) } else { self.next() as u8 };
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= change;
                    }
                }
            }
        }
        bytes
    }
}
