//! An on-demand JSON cursor over a [structural index](super::structural_index), line by line.

// Inlining keeps the state in registers: a call per token would write it to memory and dominate the run time.
#![allow(clippy::inline_always)]

use super::structural_index::{Offset, StructuralIndex};
use super::token_source::{MAX_DEPTH, TokenSource};
use super::tokenizer::{Tokenizer, Whitespace, find_number_end};

/// A position between two tokens of an indexed text. Copying it is cheap and forks the iteration.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a, 'i> {
    text: &'a str,
    bytes: &'a [u8],
    offsets: &'i [Offset],
    /// The position in `offsets` of the token after the next one.
    next_offset: usize,
    /// The end of the last consumed token. A comma or colon is consumed together with the token after it.
    end: usize,
    /// The offset of the next token; the length of the text at the end.
    at: usize,
    /// The first byte of the next token; zero at the end.
    byte: u8,
    depth: usize,
    saw_whitespace: bool,
}

impl<'a, 'i> Cursor<'a, 'i> {
    /// Indexes `text`, which may have many lines.
    ///
    /// Returns `None` if the text must be read line by line instead: see [`StructuralIndex`].
    pub fn new(text: &'a str, index: &'i mut StructuralIndex) -> Option<Self> {
        index.build(text).map(|offsets| Self::from_offsets(text, offsets))
    }

    /// Returns a cursor over a text whose elements were found by [`StructuralIndex::split_elements`].
    pub fn over_elements(text: &'a str, index: &'i StructuralIndex) -> Self {
        Self::from_offsets(text, index.offsets())
    }

    fn from_offsets(text: &'a str, offsets: &'i [Offset]) -> Self {
        let bytes = text.as_bytes();
        let mut cursor =
            Self { text, bytes, offsets, next_offset: 0, end: 0, at: 0, byte: 0, depth: 0, saw_whitespace: false };
        cursor.advance();
        cursor
    }

    /// Returns a second cursor at the same position.
    #[must_use]
    pub fn fork(&self) -> Self {
        *self
    }

    /// Moves to the first token of the line that starts at offset `line`, which must not be before the cursor.
    ///
    /// Returns whether only whitespace precedes that token.
    #[inline]
    pub(super) fn seek_line(&mut self, line: usize) -> bool {
        self.depth = 0;
        self.end = line;
        while self.at < line.min(self.bytes.len()) {
            self.advance();
        }
        self.is_adjacent()
    }

    /// Returns the offset of the next token.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns the offset after the last consumed token.
    #[inline]
    pub(super) fn token_end(&self) -> usize {
        self.end
    }

    /// Returns whether whitespace was seen since the last call, and resets the flag.
    pub(super) fn take_saw_whitespace(&mut self) -> bool {
        std::mem::take(&mut self.saw_whitespace)
    }

    /// Returns the offset of the line end, or `None` if more than whitespace is left in the line.
    #[inline]
    pub(super) fn line_end(&mut self) -> Option<usize> {
        ((self.byte == b'\n' || self.at == self.bytes.len()) && self.is_adjacent()).then_some(self.at)
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.at = self.offsets.get(self.next_offset).map_or(self.bytes.len(), Offset::get);
        self.byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.next_offset += 1;
    }

    /// Undoes the last `advance`, back to the string that opens at `at`.
    #[inline]
    fn rewind_to_string(&mut self, at: usize) {
        self.next_offset -= 1;
        self.at = at;
        self.byte = b'"';
    }

    /// Returns whether only whitespace is between the last consumed token and the next.
    #[inline(always)]
    fn is_adjacent(&mut self) -> bool {
        if self.at == self.end {
            return true;
        }
        self.saw_whitespace = true;
        is_whitespace(self.gap())
    }

    /// Consumes the separator `byte` before the next token, with any whitespace around it.
    ///
    /// Returns `false` if anything else is there.
    #[inline(always)]
    fn take_separator(&mut self, byte: u8) -> bool {
        if self.at != self.end + 1 || self.bytes.get(self.end) != Some(&byte) {
            self.saw_whitespace = true;
            if !is_separator(self.gap(), byte) {
                return false;
            }
        }
        self.end = self.at;
        true
    }

    /// The bytes between the last consumed token and the next.
    fn gap(&self) -> &'a [u8] {
        self.bytes.get(self.end..self.at).unwrap_or_default()
    }

    /// Returns the offset of the closing quote of the string that opened at the token before the next one and has
    /// no escapes.
    #[inline(always)]
    fn closing_quote(&self) -> Option<usize> {
        // Valid JSON has at most a comma or a colon and whitespace between a string and the next token.
        let last = self.at.checked_sub(1)?;
        let end = last.checked_sub(usize::from(*self.bytes.get(last)? != b'"'))?;
        if self.bytes.get(end) == Some(&b'"') { Some(end) } else { find_last_quote(self.bytes.get(..end)?) }
    }

    /// Consumes a token with the byte-wise tokenizer, then moves past every index entry inside that token.
    #[inline(always)]
    fn with_tokenizer<T>(&mut self, take: impl FnOnce(&mut Tokenizer<'a>) -> Option<T>) -> Option<T> {
        let mut tokenizer = Tokenizer::new(self.text, self.at, Whitespace::WithinLine);
        let taken = take(&mut tokenizer)?;
        self.end = tokenizer.at();
        self.advance();
        while self.at < self.end {
            self.advance();
        }
        Some(taken)
    }
}

// Rare checks are separate functions without access to the cursor, so that its fields can stay in registers.

#[inline(never)]
fn is_whitespace(bytes: &[u8]) -> bool {
    // A line feed is a token of the index, and so never here, if rows are lines.
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

#[inline(never)]
fn is_separator(bytes: &[u8], separator: u8) -> bool {
    let mut parts = bytes.splitn(2, |byte| *byte == separator);
    parts.next().is_some_and(is_whitespace) && parts.next().is_some_and(is_whitespace)
}

#[inline(never)]
fn find_last_quote(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr(b'"', bytes)
}

impl<'a> TokenSource<'a> for Cursor<'a, '_> {
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.byte
    }

    #[inline(always)]
    fn open(&mut self) -> Option<()> {
        self.depth += 1;
        self.end = self.at + 1;
        self.advance();
        (self.depth <= MAX_DEPTH && self.is_adjacent()).then_some(())
    }

    #[inline(always)]
    fn take_close(&mut self, byte: u8) -> bool {
        let closes = self.byte == byte && self.is_adjacent();
        if closes {
            self.depth -= 1;
            self.end = self.at + 1;
            self.advance();
        }
        closes
    }

    #[inline(always)]
    fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    fn expect_colon(&mut self) -> Option<()> {
        self.take_separator(b':').then_some(())
    }

    #[inline(always)]
    fn take_comma(&mut self) -> bool {
        self.at != self.end && self.take_separator(b',')
    }

    #[inline(always)]
    fn plain_string(&mut self) -> Option<&'a str> {
        if self.byte != b'"' {
            return None;
        }
        let start = self.at + 1;
        self.advance();
        if self.byte == b'\\' {
            self.rewind_to_string(start - 1);
            return None;
        }
        let close = self.closing_quote()?;
        self.end = close + 1;
        self.text.get(start..close)
    }

    #[inline(always)]
    fn plain_member_name(&mut self) -> Option<&'a [u8]> {
        // Only the common form is handled here: `"name":` without escapes or whitespace. `member_name` does the rest.
        let after = self.offsets.get(self.next_offset)?.get();
        let end = after.checked_sub(2)?;
        let usual = self.byte == b'"' && self.bytes.get(end..after) == Some(b"\":") && *self.bytes.get(after)? != b'\\';
        if !usual {
            return None;
        }
        let name = self.bytes.get(self.at + 1..end)?;
        self.advance();
        self.end = self.at;
        Some(name)
    }

    fn escaped_string(&mut self) -> Option<String> {
        self.with_tokenizer(Tokenizer::escaped_string)
    }

    #[inline(always)]
    fn skip_string(&mut self) -> Option<()> {
        if self.byte != b'"' {
            return None;
        }
        let start = self.at;
        self.advance();
        if self.byte == b'\\' {
            self.rewind_to_string(start);
            return self.with_tokenizer(Tokenizer::skip_string);
        }
        self.end = self.closing_quote()? + 1;
        Some(())
    }

    #[inline]
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(literal.as_bytes()).then_some(())?;
        self.end = self.at + literal.len();
        self.advance();
        Some(())
    }

    #[inline]
    fn number(&mut self) -> Option<f64> {
        self.with_tokenizer(Tokenizer::number)
    }

    #[inline]
    fn skip_number(&mut self) -> Option<()> {
        self.end = find_number_end(self.bytes, self.at)?;
        // No token starts within a number.
        self.advance();
        Some(())
    }

    fn skip(&mut self) -> Option<()> {
        // No reference to the copy escapes, so the compiler can keep it in registers.
        let mut cursor = *self;
        let skipped = cursor.skip_value();
        *self = cursor;
        skipped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::path::Path;
    use crate::projection::Projection;
    use crate::projection_mask::ProjectionMask;
    use crate::test_json::any_json;

    fn paths() -> Vec<Path> {
        crate::test_paths::paths(&[
            "a",
            "b[1].c",
            "c.d || c.e || 'none'",
            "é",
            "d[0]",
            "user[\"0\"]",
            "d.length",
            "e.f.g",
        ])
    }

    /// Asserts that the cursor and the tokenizer read every line alike.
    ///
    /// Returns the number of lines that were read, or `None` if the text cannot be indexed.
    fn count_equal_lines(text: &str) -> Option<usize> {
        let (projection, mask) = (Projection::new(&paths()).unwrap(), ProjectionMask::new(&paths()));
        let fields = ProjectionMask::default().with_fields([["d".to_owned(), "c".to_owned()].as_slice()]);
        let mut index = StructuralIndex::default();
        let mut cursor = Cursor::new(text, &mut index)?;
        let (mut indexed, mut tokenized) = (projection.new_buffer(), projection.new_buffer());
        let (mut at, mut read) = (0, 0);
        while at < text.len() {
            for mask in [&mask, &fields] {
                assert_eq!(mask.parse_indexed_line(&mut cursor.fork(), at), mask.parse_line(text, at), "{text}");
            }
            let row = projection.parse_indexed_line(&mut cursor, at, &mut indexed);
            assert_eq!(row, projection.parse_line(text, at, &mut tokenized), "{text}");
            if row.is_some() {
                read += 1;
                for path in 0..paths().len() {
                    assert_eq!(
                        projection.last_row(&indexed).cell(path),
                        projection.last_row(&tokenized).cell(path),
                        "{text}"
                    );
                }
            }
            at += text[at..].find('\n').unwrap_or(text.len()) + 1;
        }
        Some(read)
    }

    #[test]
    fn cursor_and_tokenizer_read_the_same() {
        let good = r#"{"a":"x","b":[1,{"c":-0.5e3}],"c":{"e":null,"f":[true,false,{}]},"d":["ü"],"0":1}"#;
        let text = format!(
            "{good}\n\n  {} \r\n{}\n{good}",
            r#"{ "a" : "\u00e9\n\"\\\/\ud83d\ude00" , "x" : { "y" : [ 1 , 2 ] } , "d" : [ ] }"#,
            r#"{"\u0061":1,"e":{"f":{"g":"\\"}}}"#
        );
        assert_eq!(count_equal_lines(&text), Some(4));
        assert_eq!(count_equal_lines(good), Some(1));
    }

    #[test]
    fn invalid_json_is_not_read() {
        for invalid in [
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":+1}",
            "{\"a\":tru}",
            "{\"a\":truex}",
            "{\"a\":1x}",
            "{\"a\":1\"b\"}",
            "{\"a\":\"\"\"b\"}",
            "{\"a\":\"b\"x}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"d\":[1,]}",
            "{\"d\":[,1]}",
            "{\"x\":[,]}",
            "{\"x\":[:]}",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\":1},",
            ",{\"a\":1}",
            ":{}",
            "{,}",
            "{:}",
            "{\"a\" 1}",
            "{\"a\"::1}",
            "{\"a\":,1}",
            "{\"a\",1}",
            "{\"a\":1:\"b\":2}",
            "{\"a\":1,,\"b\":2}",
            "{\"x\":[1:2]}",
            "{\"x\":[\"a\":1]}",
            "{\"x\":\"a\":\"b\"}",
            "{\"x\":1 2}",
            "{\"x\":[1 2]}",
            "{\"x\":\"a\" \"b\"}",
            "{\"x\":]}",
            "{\"x\":[}]}",
            "{\"x\":\\\"\\\"}",
            "\\",
            "{\"x\":1\\n}",
            "{\"a\":1e999}",
            "{}{}",
            "[1]",
            "1",
            "\"a\"",
            "{\"a\": NaN}",
        ] {
            for text in [invalid.to_owned(), format!("{invalid}\n{{}}"), format!("{{\"a\":1}}\n{invalid} \n{{}}")] {
                let others = text.matches('\n').count();
                assert_eq!(count_equal_lines(&text), Some(others), "{text}");
            }
        }
        let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!((count_equal_lines(&deep(MAX_DEPTH - 1)), count_equal_lines(&deep(MAX_DEPTH))), (Some(1), Some(0)));
    }

    const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f", "é", "0", "1", "length"];

    proptest! {
        #[test]
        fn cursor_and_tokenizer_read_any_lines_the_same(values in prop::collection::vec(any_json(NAMES), 1..4), loose in any::<bool>()) {
            let lines = values.iter().map(|value| {
                let user = json!({"a": value, "b": [value, {"c": value}], "c": value, "d": [value], "e": {"f": value}});
                let text = user.to_string();
                if loose { serde_json::to_string_pretty(&user).unwrap().replace('\n', "\r\t ") } else { text }
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            // The text is always indexed; a line is rejected only if both readers reject it.
            prop_assert!(count_equal_lines(&text).is_some());
        }

        #[test]
        fn cursor_and_tokenizer_agree_on_damaged_lines(
            values in prop::collection::vec(any_json(NAMES), 1..4),
            at in any::<prop::sample::Index>(),
            with in "[\"\\\\{}\\[\\],:1a \n\t]{0,3}|\\PC",
        ) {
            let lines = values.iter().map(|value| json!({"a": value, "c": {"d": value}}).to_string());
            let text = lines.collect::<Vec<_>>().join("\n");
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                count_equal_lines(&format!("{before}{with}{after}"));
                count_equal_lines(&format!("{before}{after}"));
                count_equal_lines(before);
            }
        }

        #[test]
        fn cursor_and_tokenizer_agree_on_random_text(text in "[\"\\\\{}\\[\\],:1a \n]{0,60}|(\\{\"a\":[\"\\\\{}\\[\\],:1a ]{0,12}\\}\n){1,5}") {
            count_equal_lines(&text);
        }
    }
}
