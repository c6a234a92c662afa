//! The structural index: the offsets of the JSON tokens in a chunk of lines, found 64 bytes at a time.
//!
//! One pass finds for every byte whether it is inside a string. It records where strings open, where numbers and
//! literals start, all brackets and line ends, and all escapes inside strings. It does not check the grammar:
//! [`super::cursor`] follows the index and does that, commas and colons included. The algorithm is the first stage of
//! simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).
//!
//! AVX2 is detected at run time; the fallback uses the baseline SIMD of the target (SSE2, NEON). A test compares both.

// Everything here must be inlined: only inlined code is compiled with AVX2 enabled.
#![allow(clippy::inline_always)]

use std::sync::atomic::{AtomicU32, Ordering};

use wide::u8x16;

/// Bytes that are classified together; each has one bit in a 64-bit mask.
const BLOCK_LEN: usize = 64;

/// The longest text that is indexed, in bytes.
///
/// A longer chunk contains an enormous row, whose index could need four times the memory of the row.
const MAX_CHUNK_LEN: usize = 1 << 20;

/// What separates the rows of a text that is indexed.
type RowSeparator = bool;

/// Line ends outside strings are tokens.
const LINE_ENDS: RowSeparator = false;

/// Rows are elements of an array: line ends are white space, and the brackets are recorded.
const COMMAS: RowSeparator = true;

/// The offsets of the tokens in a text of many lines. Its memory is reused for the next text.
///
/// A text is not indexed, and must be read line by line, if it is longer than 1 MiB, if a string is unterminated or
/// continues over a line end, or if it contains control characters other than whitespace.
#[derive(Debug, Default)]
pub struct StructuralIndex {
    /// In ascending order; entries from `count` on are stale.
    ///
    /// They are atomic for speed only, not to be shared between threads: the compiler would gather plain integers in
    /// wide registers before it stores them, eight at a time, which costs 5 % of an export's run time.
    offsets: Vec<Offset>,
    count: usize,
    /// The brackets outside strings, one bit per byte and one entry per block; recorded for arrays only.
    brackets: Vec<u64>,
}

/// An offset in a text, in bytes.
#[derive(Debug, Default)]
pub(super) struct Offset(AtomicU32);

impl Offset {
    #[inline(always)]
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed) as usize
    }
}

/// The classes of the bytes of a block, one bit per byte in each mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct BlockMasks {
    quotes: u64,
    backslashes: u64,
    /// `{}[]`
    brackets: u64,
    /// Brackets, `:`, `,`, whitespace and control characters: everything outside strings that is not part of a number
    /// or a literal.
    non_scalars: u64,
    line_ends: u64,
    /// Control characters except line feeds.
    controls: u64,
}

/// The state that one block passes to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    /// One if the first byte is escaped.
    escaped: u64,
    /// All ones if the first byte is inside a string.
    in_string: u64,
    /// One if the last byte of the block before was part of a number, a literal or invalid text.
    in_scalar: u64,
}

impl StructuralIndex {
    /// Returns the offsets of all tokens except `,` and `:`, of line ends, and of escapes in strings.
    ///
    /// `None` if the text must be read line by line: see [`StructuralIndex`].
    pub(super) fn build(&mut self, text: &str) -> Option<&[Offset]> {
        if text.len() > MAX_CHUNK_LEN {
            return None;
        }
        let is_indexed = fill::<LINE_ENDS>(self, text.as_bytes()) == Some(false);
        if is_indexed { self.offsets.get(..self.count) } else { None }
    }

    /// Returns the offsets of the text that was indexed last.
    pub(super) fn offsets(&self) -> &[Offset] {
        self.offsets.get(..self.count).unwrap_or_default()
    }

    /// Indexes a part of a JSON array, of which the object or array at offset `from` is an element, and calls `found`
    /// with start and end of that element and of those that follow it, up to the first one that is incomplete or has
    /// another type. `bytes` starts outside a string.
    ///
    /// Returns the end of the last element, for which `found` was called; `from` if no element is complete. Elements
    /// are split by their brackets and not validated. `None` if the part cannot be indexed: see [`StructuralIndex`].
    pub fn split_elements(&mut self, bytes: &[u8], from: usize, mut found: impl FnMut(usize, usize)) -> Option<usize> {
        if bytes.len() > MAX_CHUNK_LEN {
            return None;
        }
        // The part may end inside a string: the element with it is incomplete.
        fill::<COMMAS>(self, bytes)?;
        let (mut depth, mut start, mut end) = (0_usize, from, from);
        'blocks: for (block, bits) in self.brackets.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let at = block * BLOCK_LEN + bits.trailing_zeros() as usize;
                bits &= bits.wrapping_sub(1);
                if at < from {
                    continue;
                }
                let byte = bytes.get(at).copied().unwrap_or_default();
                if matches!(byte, b'{' | b'[') {
                    if depth == 0 {
                        if end > from && !bytes.get(end..at).is_some_and(is_comma) {
                            break 'blocks;
                        }
                        start = at;
                    }
                    depth += 1;
                } else {
                    match depth {
                        0 => break 'blocks,
                        1 => {
                            end = at + 1;
                            found(start, end);
                        }
                        _ => {}
                    }
                    depth -= 1;
                }
            }
        }
        self.count = self.offsets().partition_point(|offset| offset.get() < end);
        Some(end)
    }

    /// Builds the index with `classify`; returns whether the text ends inside a string. `None` if it cannot be indexed.
    #[inline(always)]
    fn fill_with<const SEPARATOR: RowSeparator>(
        &mut self,
        bytes: &[u8],
        classify: impl Fn(&[u8; BLOCK_LEN]) -> BlockMasks,
    ) -> Option<bool> {
        self.count = 0;
        self.brackets.clear();
        let mut carry = Carry::default();
        let (blocks, rest) = bytes.as_chunks::<BLOCK_LEN>();
        let mut start = 0;
        for block in blocks {
            let found = carry.token_bits::<SEPARATOR>(classify(block), block)?;
            if SEPARATOR == COMMAS {
                self.brackets.push(found.brackets);
            }
            self.push_offsets(start, found.tokens);
            start += BLOCK_LEN as u32;
        }
        if !rest.is_empty() {
            let mut block = [b' '; BLOCK_LEN];
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let found = carry.token_bits::<SEPARATOR>(classify(&block), &block)?;
            if SEPARATOR == COMMAS {
                self.brackets.push(found.brackets);
            }
            self.push_offsets(start, found.tokens);
        }
        Some(carry.in_string != 0)
    }

    /// Appends the offsets of the bits that are set in `bits`; `start` is the offset of the block.
    #[inline(always)]
    fn push_offsets(&mut self, start: u32, mut bits: u64) {
        let count = bits.count_ones() as usize;
        if self.offsets.len() < self.count + BLOCK_LEN {
            self.offsets.resize_with((2 * self.offsets.len()).max(self.count + 16 * BLOCK_LEN), Offset::default);
        }
        let Some(free) = self.offsets.get_mut(self.count..self.count + BLOCK_LEN) else { return };
        // Always writes groups of eight, without a branch per bit; excess entries are overwritten later.
        for eight in free.as_chunks_mut::<8>().0.iter_mut().take(count.div_ceil(8)) {
            for offset in eight {
                offset.0.store(start + bits.trailing_zeros(), Ordering::Relaxed);
                bits &= bits.wrapping_sub(1);
            }
        }
        self.count += count;
    }
}

impl Carry {
    /// Returns the bits of the bytes of a block that belong in the index.
    ///
    /// `None` if a string contains a control character, or if one that is not whitespace is between tokens.
    #[inline(always)]
    fn token_bits<const SEPARATOR: RowSeparator>(
        &mut self,
        block: BlockMasks,
        bytes: &[u8; BLOCK_LEN],
    ) -> Option<FoundBits> {
        let escapes = self.escapes(block.backslashes);
        let quotes = block.quotes & !escapes.escaped;
        // From every opening quote to the byte before the closing one.
        let in_string = prefix_xor(quotes) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(in_string >> 63);
        if in_string & (block.line_ends | block.controls) != 0 {
            return None;
        }
        if block.controls != 0 && block.controls & !tabs_and_returns(bytes) != 0 {
            return None;
        }
        let content = !block.non_scalars;
        let scalars = content & !quotes;
        let follows = scalars << 1 | self.in_scalar;
        self.in_scalar = scalars >> 63;
        // The bytes of strings, without the opening quotes.
        let strings = in_string ^ quotes;
        let brackets = block.brackets & !strings;
        let line_ends = if SEPARATOR == LINE_ENDS { block.line_ends } else { 0 };
        let tokens = brackets | content & !follows & !strings | line_ends | escapes.starts;
        Some(FoundBits { tokens, brackets })
    }

    /// Returns which backslashes start an escape, and which bytes they escape.
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

/// The bits of the bytes of a block that belong in the index, and of the brackets among them.
struct FoundBits {
    tokens: u64,
    brackets: u64,
}

struct Escapes {
    starts: u64,
    escaped: u64,
}

/// Returns for every bit whether the number of set bits up to and including it is odd.
#[inline(always)]
fn prefix_xor(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].into_iter().fold(bits, |bits, shift| bits ^ bits << shift)
}

/// Returns whether the bytes are a comma with white space around it.
#[inline]
fn is_comma(bytes: &[u8]) -> bool {
    matches!(bytes, b"," | b",\n") || is_comma_in_whitespace(bytes)
}

#[inline(never)]
fn is_comma_in_whitespace(bytes: &[u8]) -> bool {
    bytes.trim_ascii() == b"," && !bytes.contains(&b'\x0c')
}

/// Returns the bits of the tabs and carriage returns of a block.
#[cold]
#[inline(never)]
fn tabs_and_returns(bytes: &[u8; BLOCK_LEN]) -> u64 {
    bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(matches!(byte, b'\r' | b'\t')))
}

/// Classifies the bytes of a block with the baseline SIMD instructions of the target.
fn classify(block: &[u8; BLOCK_LEN]) -> BlockMasks {
    let mut masks = BlockMasks::default();
    for (at, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let lane = u8x16::from(*lane);
        let splat = u8x16::splat;
        let is = |byte: u8| lane.simd_eq(splat(byte));
        let folded = lane | splat(0x20);
        let put = |bits: &mut u64, lane: u8x16| *bits |= u64::from(lane.to_bitmask()) << (16 * at);
        put(&mut masks.quotes, is(b'"'));
        put(&mut masks.backslashes, is(b'\\'));
        let brackets = folded.simd_eq(splat(b'{')) | folded.simd_eq(splat(b'}'));
        let line_ends = is(b'\n');
        let up_to = |byte| lane.min(splat(byte)).simd_eq(lane);
        put(&mut masks.brackets, brackets);
        put(&mut masks.non_scalars, brackets | is(b':') | is(b',') | up_to(0x20));
        put(&mut masks.line_ends, line_ends);
        put(&mut masks.controls, up_to(0x1f) & !line_ends);
    }
    masks
}

#[cfg(not(target_arch = "x86_64"))]
fn fill<const SEPARATOR: RowSeparator>(index: &mut StructuralIndex, bytes: &[u8]) -> Option<bool> {
    index.fill_with::<SEPARATOR>(bytes, classify)
}

#[cfg(target_arch = "x86_64")]
use avx2::fill;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_setr_epi64x,
    };

    use crate::structural_index::{self, BLOCK_LEN, BlockMasks, RowSeparator, StructuralIndex};

    /// Builds the index with AVX2 if the processor has it.
    #[allow(unsafe_code)]
    pub(super) fn fill<const SEPARATOR: RowSeparator>(index: &mut StructuralIndex, bytes: &[u8]) -> Option<bool> {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has all features that the function requires, as was checked above.
            unsafe { fill_with_avx2::<SEPARATOR>(index, bytes) }
        } else {
            index.fill_with::<SEPARATOR>(bytes, structural_index::classify)
        }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn fill_with_avx2<const SEPARATOR: RowSeparator>(index: &mut StructuralIndex, bytes: &[u8]) -> Option<bool> {
        index.fill_with::<SEPARATOR>(bytes, |block| classify(block))
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn classify(block: &[u8; BLOCK_LEN]) -> BlockMasks {
        let mut masks = BlockMasks::default();
        for (at, lane) in block.as_chunks::<32>().0.iter().enumerate() {
            let lane = load(lane);
            let splat = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
            let is = |lane, byte| _mm256_cmpeq_epi8(lane, splat(byte));
            let folded = _mm256_or_si256(lane, splat(0x20));
            let up_to = |byte| _mm256_cmpeq_epi8(_mm256_min_epu8(lane, splat(byte)), lane);
            let put = |bits: &mut u64, lane: __m256i| {
                *bits |= u64::from(_mm256_movemask_epi8(lane).cast_unsigned()) << (32 * at);
            };
            put(&mut masks.quotes, is(lane, b'"'));
            put(&mut masks.backslashes, is(lane, b'\\'));
            let brackets = _mm256_or_si256(is(folded, b'{'), is(folded, b'}'));
            let separators = _mm256_or_si256(is(lane, b':'), is(lane, b','));
            let line_ends = is(lane, b'\n');
            put(&mut masks.brackets, brackets);
            put(&mut masks.non_scalars, _mm256_or_si256(_mm256_or_si256(brackets, separators), up_to(0x20)));
            put(&mut masks.line_ends, line_ends);
            put(&mut masks.controls, _mm256_andnot_si256(line_ends, up_to(0x1f)));
        }
        masks
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

    fn offsets(text: &str) -> Option<Vec<usize>> {
        StructuralIndex::default().build(text).map(|offsets| offsets.iter().map(Offset::get).collect())
    }

    /// The reference implementation: byte by byte.
    fn build_slowly(text: &str) -> Option<Vec<usize>> {
        let mut offsets = Vec::new();
        let (mut in_string, mut escaped, mut in_scalar) = (false, false, false);
        for (at, byte) in text.bytes().enumerate() {
            let is_escaped = std::mem::take(&mut escaped);
            let quote = byte == b'"' && !is_escaped;
            escaped = byte == b'\\' && !is_escaped;
            let was_in_scalar = std::mem::take(&mut in_scalar);
            match byte {
                b'\n' | b'\r' | b'\t' if !in_string => {
                    if byte == b'\n' {
                        offsets.push(at);
                    }
                }
                0..0x20 => return None,
                _ if in_string => {
                    if escaped {
                        offsets.push(at);
                    }
                    in_scalar = !quote && !matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b' ');
                    in_string ^= quote;
                }
                _ if quote => {
                    if !was_in_scalar {
                        offsets.push(at);
                    }
                    in_string = true;
                }
                b'{' | b'}' | b'[' | b']' => offsets.push(at),
                b':' | b',' | b' ' => {}
                _ => {
                    if !was_in_scalar || escaped {
                        offsets.push(at);
                    }
                    in_scalar = true;
                }
            }
        }
        (!in_string).then_some(offsets)
    }

    #[test]
    fn tokens_lines_and_escapes_are_indexed() {
        let text = "{\"a\": [1, -2.5e3,true], \"b\\n\\\\\": \"{},:\"}\n\t{ }\r\n";
        let noted: Vec<_> = offsets(text).unwrap().into_iter().map(|at| &text[at..=at]).collect();
        assert_eq!(noted.concat(), "{\"[1-t]\"\\\\\"}\n{}\n");
        assert_eq!(offsets(text), build_slowly(text));
        assert_eq!(offsets(""), Some(Vec::new()));
    }

    #[test]
    fn texts_that_must_be_read_line_by_line_are_not_indexed() {
        for text in ["\"a\nb\"", "{\"a", "\"\t\"", "\u{1}", "1\u{c}2", "\"\\\"", "\0"] {
            assert_eq!(offsets(text), None, "{text:?}");
            assert_eq!(offsets(&format!("{}{text}", " {}".repeat(40))), None, "{text:?}");
        }
        assert!(offsets(&" ".repeat(MAX_CHUNK_LEN)).is_some() && offsets(&" ".repeat(MAX_CHUNK_LEN + 1)).is_none());
    }

    /// Returns the elements found from the first bracket on, and the end.
    fn split(text: &str, from: usize) -> Option<(Vec<&str>, usize)> {
        let mut elements = Vec::new();
        let end = StructuralIndex::default().split_elements(text.as_bytes(), from, |start, end| {
            elements.push(&text[start..end]);
        })?;
        Some((elements, end))
    }

    #[test]
    fn elements_are_split_up_to_an_incomplete_or_unusual_one() {
        for (text, from, elements) in [
            ("[{\"a\":\"}\\\"\"},\n[1,[2]] , {\n}]", 1, vec!["{\"a\":\"}\\\"\"}", "[1,[2]]", "{\n}"]),
            (", {},{\"a\":{}", 2, vec!["{}"]),
            ("{},{\"a", 0, vec!["{}"]),
            ("{},5,{}", 0, vec!["{}"]),
            ("{} {}", 0, vec!["{}"]),
            ("{},,{}", 0, vec!["{}"]),
            ("{},\"{},{}\",{}", 0, vec!["{}"]),
            ("{}]]{}", 0, vec!["{}"]),
            ("{\"a\":", 0, vec![]),
        ] {
            let (found, end) = split(text, from).unwrap();
            assert_eq!(found, elements, "{text}");
            let last = elements.last().map_or(from, |last| text.rfind(last).unwrap() + last.len());
            assert!(end == last || text[from..end].ends_with(elements.last().unwrap()), "{text}");
        }
        assert_eq!(split("{\"a\nb\":1}", 0), None);
    }

    proptest! {
        #[test]
        fn the_elements_of_an_array_are_split(values in prop::collection::vec("[\\PC\n\\\\\"{}\\[\\],:]{0,60}", 1..20), separator in "[ \n]{0,2},[ \r\t]{0,2}") {
            let values: Vec<String> = values.iter().map(|text| serde_json::json!({"a": [text, {}], "b": 1}).to_string()).collect();
            let text = format!("[{}]", values.join(&separator));
            let (elements, end) = split(&text, 1).unwrap();
            prop_assert_eq!(elements, values);
            prop_assert_eq!(end, text.len() - 1);
        }

        #[test]
        fn blocks_and_bytes_give_the_same_index(
            text in prop_oneof![
                "[\"\\\\ a1{}\\[\\],:\u{e9}\\n]{0,300}",
                "(\"[a \\\\\\\\{},:]{0,70}\"[ ,:{}\\[\\]1a\\n\\r\\t]{0,40}){0,8}",
                "(\\\\{1,9}\"|[a\" ]{1,70}){0,9}",
                "\\PC{0,200}",
            ],
        ) {
            let seen = offsets(&text);
            prop_assert_eq!(&seen, &build_slowly(&text), "{:?}", text);
            // Without AVX2.
            let mut index = StructuralIndex::default();
            let filled = index.fill_with::<LINE_ENDS>(text.as_bytes(), classify);
            let found = (filled == Some(false)).then(|| index.offsets[..index.count].iter().map(Offset::get).collect());
            prop_assert_eq!(found, seen);
        }
    }
}
