//! The structural index: where in a chunk of lines tokens are, found sixty-four bytes at a time, before anyone
//! looks at what they are.
//!
//! One pass tells for every byte whether it is inside a string, and notes where strings open, where numbers
//! and words start, where brackets are and line ends, and where the escapes inside of strings are. It says
//! nothing about the grammar; [`super::walk`] follows the index and checks that, commas and colons included. The
//! way is that of the first stage of simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).
//!
//! Processors with AVX2 are told at run time; elsewhere the lanes do it that every processor of an
//! architecture has. Both give the same, as a test shows.

// All of it is compiled twice, for AVX2 as well, which only what is inlined is.
#![allow(clippy::inline_always)]

use std::sync::atomic::{AtomicU32, Ordering};

use wide::u8x16;

/// How many bytes are looked at together.
const BLOCK: usize = 64;

/// A chunk longer than this holds an enormous row, for which no index is made: it might need four times the
/// row's memory.
const LONGEST: usize = 1 << 20;

/// Where tokens are in a text of many lines. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Index {
    /// In order; what lies behind `count` is left over.
    ///
    /// They are no more shared than the index itself. But plain numbers are gathered by the compiler into wide
    /// registers before they are stored, eight at a time, which costs a twentieth of a whole export.
    places: Vec<Place>,
    count: usize,
}

/// A place in a text.
#[derive(Debug, Default)]
pub(super) struct Place(AtomicU32);

impl Place {
    #[inline(always)]
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed) as usize
    }
}

/// What bytes of a block are: one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Block {
    quotes: u64,
    backslashes: u64,
    /// `{}[]`
    brackets: u64,
    /// Brackets, `:,`, blanks and control characters: all that is outside of strings and belongs to no number
    /// and no word.
    dull: u64,
    line_ends: u64,
    /// Control characters that are no line ends.
    controls: u64,
}

/// What of the blocks before one matters for it.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    /// One if the first byte is escaped.
    escaped: u64,
    /// All ones if the first byte is inside a string.
    in_string: u64,
    /// One if the first byte follows one of a number, of a word or of nonsense.
    in_scalar: u64,
}

impl Index {
    /// Where in a text the tokens are that are no commas or colons, the line ends, and in strings the escapes;
    /// nothing where it is better read line by line: a string goes over a line end or does not end at all, or
    /// there are control characters.
    pub(super) fn of(&mut self, text: &str) -> Option<&[Place]> {
        if text.len() > LONGEST {
            return None;
        }
        let whole = fill(self, text.as_bytes());
        if whole { self.places.get(..self.count) } else { None }
    }

    /// The work, for one way to look at a block.
    #[inline(always)]
    fn fill(&mut self, bytes: &[u8], look: impl Fn(&[u8; BLOCK]) -> Block) -> bool {
        self.count = 0;
        let mut carry = Carry::default();
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut start = 0;
        for block in blocks {
            let Some(found) = carry.tokens(look(block), block) else { return false };
            self.note(start, found);
            start += BLOCK as u32;
        }
        if !rest.is_empty() {
            let mut block = [b' '; BLOCK];
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let Some(found) = carry.tokens(look(&block), &block) else { return false };
            self.note(start, found);
        }
        carry.in_string == 0
    }

    /// Notes the places of a block's bits.
    #[inline(always)]
    fn note(&mut self, start: u32, mut bits: u64) {
        let count = bits.count_ones() as usize;
        if self.places.len() < self.count + BLOCK {
            self.places.resize_with((2 * self.places.len()).max(self.count + 16 * BLOCK), Place::default);
        }
        let Some(room) = self.places.get_mut(self.count..self.count + BLOCK) else { return };
        // Eight at a time without asking whether there are as many: what is too much is written over.
        for eight in room.as_chunks_mut::<8>().0.iter_mut().take(count.div_ceil(8)) {
            for place in eight {
                place.0.store(start + bits.trailing_zeros(), Ordering::Relaxed);
                bits &= bits.wrapping_sub(1);
            }
        }
        self.count += count;
    }
}

impl Carry {
    /// What is noted of a block; nothing where a string holds a control character, or one that is no blank
    /// stands between tokens.
    #[inline(always)]
    fn tokens(&mut self, block: Block, bytes: &[u8; BLOCK]) -> Option<u64> {
        let escapes = self.escapes(block.backslashes);
        let quotes = block.quotes & !escapes.escaped;
        // From every opening quote to the byte before the closing one.
        let in_string = over(quotes) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(in_string >> 63);
        if in_string & (block.line_ends | block.controls) != 0 {
            return None;
        }
        if block.controls != 0 && block.controls & !other_blanks(bytes) != 0 {
            return None;
        }
        let content = !block.dull;
        let scalars = content & !quotes;
        let follows = scalars << 1 | self.in_scalar;
        self.in_scalar = scalars >> 63;
        // Of a string only where it opens.
        let strings = in_string ^ quotes;
        Some((block.brackets | content & !follows) & !strings | block.line_ends | escapes.starts)
    }

    /// Which backslashes begin an escape, and which bytes they escape.
    #[inline(always)]
    fn escapes(&mut self, backslashes: u64) -> Escapes {
        let mut escaped = self.escaped;
        self.escaped = 0;
        let mut starts = 0;
        let mut rest = backslashes & !escaped;
        while rest != 0 {
            let start = rest & rest.wrapping_neg();
            starts |= start;
            escaped |= start << 1;
            rest &= !(start | start << 1);
            self.escaped = start >> 63;
        }
        Escapes { starts, escaped }
    }
}

struct Escapes {
    starts: u64,
    escaped: u64,
}

/// For every bit whether the number of those up to and with it is odd.
#[inline(always)]
fn over(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].into_iter().fold(bits, |bits, shift| bits ^ bits << shift)
}

/// Where the blanks of a block are that are control characters and no line ends.
#[cold]
#[inline(never)]
fn other_blanks(bytes: &[u8; BLOCK]) -> u64 {
    bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(matches!(byte, b'\r' | b'\t')))
}

/// Looks at a block with what every processor of its architecture has.
fn look(block: &[u8; BLOCK]) -> Block {
    let mut found = Block::default();
    for (at, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let lane = u8x16::from(*lane);
        let splat = u8x16::splat;
        let is = |byte: u8| lane.simd_eq(splat(byte));
        let folded = lane | splat(0x20);
        let put = |bits: &mut u64, lane: u8x16| *bits |= u64::from(lane.to_bitmask()) << (16 * at);
        put(&mut found.quotes, is(b'"'));
        put(&mut found.backslashes, is(b'\\'));
        let brackets = folded.simd_eq(splat(b'{')) | folded.simd_eq(splat(b'}'));
        let line_ends = is(b'\n');
        let up_to = |byte| lane.min(splat(byte)).simd_eq(lane);
        put(&mut found.brackets, brackets);
        put(&mut found.dull, brackets | is(b':') | is(b',') | up_to(0x20));
        put(&mut found.line_ends, line_ends);
        put(&mut found.controls, up_to(0x1f) & !line_ends);
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn fill(index: &mut Index, bytes: &[u8]) -> bool {
    index.fill(bytes, look)
}

#[cfg(target_arch = "x86_64")]
use avx2::fill;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_setr_epi64x,
    };

    use super::{BLOCK, Block, Index};

    /// Indexes with AVX2 where the processor has it.
    #[allow(unsafe_code)]
    pub(super) fn fill(index: &mut Index, bytes: &[u8]) -> bool {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the function asks for nothing but these features, which the processor has.
            unsafe { fill_with_avx2(index, bytes) }
        } else {
            index.fill(bytes, super::look)
        }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn fill_with_avx2(index: &mut Index, bytes: &[u8]) -> bool {
        index.fill(bytes, |block| look(block))
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn look(block: &[u8; BLOCK]) -> Block {
        let mut found = Block::default();
        for (at, lane) in block.as_chunks::<32>().0.iter().enumerate() {
            let lane = load(lane);
            let splat = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
            let is = |lane, byte| _mm256_cmpeq_epi8(lane, splat(byte));
            let folded = _mm256_or_si256(lane, splat(0x20));
            let up_to = |byte| _mm256_cmpeq_epi8(_mm256_min_epu8(lane, splat(byte)), lane);
            let put = |bits: &mut u64, lane: __m256i| {
                *bits |= u64::from(_mm256_movemask_epi8(lane).cast_unsigned()) << (32 * at);
            };
            put(&mut found.quotes, is(lane, b'"'));
            put(&mut found.backslashes, is(lane, b'\\'));
            let brackets = _mm256_or_si256(is(folded, b'{'), is(folded, b'}'));
            let separators = _mm256_or_si256(is(lane, b':'), is(lane, b','));
            let line_ends = is(lane, b'\n');
            put(&mut found.brackets, brackets);
            put(&mut found.dull, _mm256_or_si256(_mm256_or_si256(brackets, separators), up_to(0x20)));
            put(&mut found.line_ends, line_ends);
            put(&mut found.controls, _mm256_andnot_si256(line_ends, up_to(0x1f)));
        }
        found
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(lane: &[u8; 32]) -> __m256i {
        let word = |at: usize| {
            let bytes = lane.get(at * 8..).and_then(<[u8]>::first_chunk::<8>);
            bytes.map_or(0, |bytes| i64::from_le_bytes(*bytes))
        };
        _mm256_setr_epi64x(word(0), word(1), word(2), word(3))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(text: &str) -> Option<Vec<usize>> {
        Index::default().of(text).map(|places| places.iter().map(Place::get).collect())
    }

    /// The same, from byte to byte.
    fn slowly(text: &str) -> Option<Vec<usize>> {
        let mut places = Vec::new();
        let (mut in_string, mut escaped, mut in_scalar) = (false, false, false);
        for (at, byte) in text.bytes().enumerate() {
            let is_escaped = std::mem::take(&mut escaped);
            let quote = byte == b'"' && !is_escaped;
            escaped = byte == b'\\' && !is_escaped;
            let was_in_scalar = std::mem::take(&mut in_scalar);
            match byte {
                b'\n' | b'\r' | b'\t' if !in_string => {
                    if byte == b'\n' {
                        places.push(at);
                    }
                }
                0..0x20 => return None,
                _ if in_string => {
                    if escaped {
                        places.push(at);
                    }
                    in_scalar = !quote && !matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b' ');
                    in_string ^= quote;
                }
                _ if quote => {
                    if !was_in_scalar {
                        places.push(at);
                    }
                    in_string = true;
                }
                b'{' | b'}' | b'[' | b']' => places.push(at),
                b':' | b',' | b' ' => {}
                _ => {
                    if !was_in_scalar || escaped {
                        places.push(at);
                    }
                    in_scalar = true;
                }
            }
        }
        (!in_string).then_some(places)
    }

    #[test]
    fn tokens_lines_and_escapes_are_noted() {
        let text = "{\"a\": [1, -2.5e3,true], \"b\\n\\\\\": \"{},:\"}\n\t{ }\r\n";
        let noted: Vec<_> = places(text).unwrap().into_iter().map(|at| &text[at..=at]).collect();
        assert_eq!(noted.concat(), "{\"[1-t]\"\\\\\"}\n{}\n");
        assert_eq!(places(text), slowly(text));
        assert_eq!(places(""), Some(Vec::new()));
    }

    #[test]
    fn what_is_better_read_line_by_line_is_not_indexed() {
        for text in ["\"a\nb\"", "{\"a", "\"\t\"", "\u{1}", "1\u{c}2", "\"\\\"", "\0"] {
            assert_eq!(places(text), None, "{text:?}");
            assert_eq!(places(&format!("{}{text}", " {}".repeat(40))), None, "{text:?}");
        }
        assert!(places(&" ".repeat(LONGEST)).is_some() && places(&" ".repeat(LONGEST + 1)).is_none());
    }

    proptest! {
        #[test]
        fn blocks_are_seen_as_bytes_are(
            text in prop_oneof![
                "[\"\\\\ a1{}\\[\\],:\u{e9}\\n]{0,300}",
                "(\"[a \\\\\\\\{},:]{0,70}\"[ ,:{}\\[\\]1a\\n\\r\\t]{0,40}){0,8}",
                "(\\\\{1,9}\"|[a\" ]{1,70}){0,9}",
                "\\PC{0,200}",
            ],
        ) {
            let seen = places(&text);
            prop_assert_eq!(&seen, &slowly(&text), "{:?}", text);
            // With what every processor has.
            let mut index = Index::default();
            let found = index.fill(text.as_bytes(), look).then(|| index.places[..index.count].iter().map(Place::get).collect());
            prop_assert_eq!(found, seen);
        }
    }
}
