//! A byte-wise JSON tokenizer and the fast parser on top of it.
//!
//! The fast parser reads a user in one pass, sixteen bytes at a time inside strings. It builds the values that a
//! [`ProjectionMask`](super::projection_mask::ProjectionMask) selects and checks the grammar of the rest.
//!
//! It returns `None` for unusual input: unpaired surrogates, numbers beyond 64-bit floating point, deep nesting and
//! invalid JSON. The slow parser in [`super::row_parser`] then reads the row or reports what is wrong. Whatever the
//! fast parser reads, the slow parser reads alike; tests compare the two.

use super::projection_mask::MaskSeed;
use super::token_source::{MAX_DEPTH, TokenSource};
use super::value::Json;
use crate::simd::find_escape;

/// Reads the values that `mask` selects from the JSON value in `text`; `None` if the slow parser is needed.
pub(super) fn parse_fast<'a>(text: &'a str, mask: MaskSeed<'_>) -> Option<Json<'a>> {
    let mut tokenizer = Tokenizer::new(text, 0, Whitespace::Any);
    tokenizer.skip_whitespace();
    let user = tokenizer.parse_value(mask)?;
    tokenizer.is_at_end().then_some(user)
}

/// Reads the values that `mask` selects from the JSON object in the line that starts at offset `at`.
///
/// Returns the object and the offset of the line end; `None` if the slow parser is needed.
pub(super) fn parse_line_fast<'a>(text: &'a str, at: usize, mask: MaskSeed<'_>) -> Option<(Json<'a>, usize)> {
    let mut tokenizer = Tokenizer::new(text, at, Whitespace::WithinLine);
    tokenizer.skip_whitespace();
    (tokenizer.peek() == b'{').then_some(())?;
    let user = tokenizer.parse_value(mask)?;
    let end = tokenizer.line_end()?;
    Some((user, end))
}

/// Returns whether `text` is one JSON object; `false` also if only the slow parser can decide.
pub(super) fn is_object(text: &str) -> bool {
    let mut tokenizer = Tokenizer::new(text, 0, Whitespace::Any);
    tokenizer.skip_whitespace();
    tokenizer.peek() == b'{' && tokenizer.skip().is_some() && tokenizer.is_at_end()
}

/// Which whitespace is allowed between tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whitespace {
    /// Everything that JSON allows.
    Any,
    /// Everything but a line feed, which ends the row.
    WithinLine,
}

/// Reads JSON tokens from a text, byte by byte.
pub(super) struct Tokenizer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The number of open objects and arrays.
    depth: usize,
    whitespace: Whitespace,
    /// Whether whitespace was seen between tokens.
    saw_whitespace: bool,
}

impl<'a> Tokenizer<'a> {
    /// Starts at offset `at` of the text.
    pub(super) fn new(text: &'a str, at: usize, whitespace: Whitespace) -> Self {
        Self { text, bytes: text.as_bytes(), at, depth: 0, whitespace, saw_whitespace: false }
    }

    /// Reads bytes that need not be UTF-8: strings can be skipped. What would return text returns `None`.
    pub(super) fn over_bytes(bytes: &'a [u8]) -> Self {
        Self { text: "", bytes, at: 0, depth: 0, whitespace: Whitespace::Any, saw_whitespace: false }
    }

    /// Returns the text.
    #[inline]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns to an earlier offset, where `depth` objects and arrays were open.
    #[inline]
    pub(super) fn rewind(&mut self, at: usize, depth: usize) {
        self.at = at;
        self.depth = depth;
    }

    /// Checks and consumes a string; returns whether it has escapes.
    #[inline]
    pub(super) fn skip_raw_string(&mut self) -> Option<bool> {
        self.take_byte(b'"').then_some(())?;
        self.at = find_escape(self.bytes, self.at);
        if self.take_byte(b'"') { Some(false) } else { self.skip_escaped().map(|()| true) }
    }

    /// Returns the current offset.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns whether whitespace was seen since the last call, and resets the flag.
    pub(super) fn take_saw_whitespace(&mut self) -> bool {
        std::mem::take(&mut self.saw_whitespace)
    }

    #[inline]
    pub(super) fn skip_whitespace(&mut self) {
        if self.peek() <= b' ' {
            self.skip_whitespace_slow();
        }
    }

    #[cold]
    fn skip_whitespace_slow(&mut self) {
        while match self.peek() {
            b' ' | b'\r' | b'\t' => true,
            b'\n' => self.whitespace == Whitespace::Any,
            _ => false,
        } {
            self.at += 1;
            self.saw_whitespace = true;
        }
    }

    /// Consumes `byte` if it is next; returns whether it was.
    #[inline]
    fn take_byte(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    /// Returns the offset of the line end, or `None` if more than whitespace is left in the line.
    pub(super) fn line_end(&mut self) -> Option<usize> {
        (self.is_at_end() || self.peek() == b'\n').then_some(self.at)
    }

    /// Skips whitespace and returns whether the text ends there.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_whitespace();
        self.at == self.bytes.len()
    }

    /// Consumes an escape sequence and returns its character; `None` if it is invalid or an unpaired surrogate.
    fn parse_escape(&mut self) -> Option<char> {
        let kind = *self.bytes.get(self.at + 1)?;
        self.at += 2;
        Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex_unit()?;
                if !(0xd800..0xe000).contains(&unit) {
                    return char::from_u32(unit);
                }
                self.literal("\\u")?;
                let low = self.hex_unit()?;
                if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
                    return None;
                }
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            }
            _ => return None,
        })
    }

    /// Consumes four hexadecimal digits: one UTF-16 code unit.
    fn hex_unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    /// Consumes the rest of a string, starting at a backslash.
    fn skip_escaped(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => {
                    self.parse_escape()?;
                }
                _ => return None,
            }
            self.at = find_escape(self.bytes, self.at);
        }
    }
}

impl<'a> TokenSource<'a> for Tokenizer<'a> {
    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn open(&mut self) -> Option<()> {
        self.depth += 1;
        self.at += 1;
        self.skip_whitespace();
        (self.depth <= MAX_DEPTH).then_some(())
    }

    #[inline]
    fn take_close(&mut self, byte: u8) -> bool {
        let closes = self.take_byte(byte);
        self.depth -= usize::from(closes);
        closes
    }

    #[inline]
    fn depth(&self) -> usize {
        self.depth
    }

    #[inline]
    fn take_comma(&mut self) -> bool {
        self.skip_whitespace();
        let found = self.take_byte(b',');
        if found {
            self.skip_whitespace();
        }
        found
    }

    #[inline]
    fn expect_colon(&mut self) -> Option<()> {
        self.skip_whitespace();
        self.take_byte(b':').then_some(())?;
        self.skip_whitespace();
        Some(())
    }

    #[inline]
    fn plain_string(&mut self) -> Option<&'a str> {
        (self.peek() == b'"').then_some(())?;
        let start = self.at + 1;
        let end = find_escape(self.bytes, start);
        (self.bytes.get(end) == Some(&b'"')).then_some(())?;
        self.at = end + 1;
        self.text.get(start..end)
    }

    fn escaped_string(&mut self) -> Option<String> {
        self.take_byte(b'"').then_some(())?;
        let mut text = String::new();
        loop {
            let plain = self.at;
            self.at = find_escape(self.bytes, plain);
            text.push_str(self.text.get(plain..self.at)?);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Some(text);
                }
                b'\\' => text.push(self.parse_escape()?),
                _ => return None,
            }
        }
    }

    #[inline]
    fn skip_string(&mut self) -> Option<()> {
        self.take_byte(b'"').then_some(())?;
        self.at = find_escape(self.bytes, self.at);
        if self.take_byte(b'"') { Some(()) } else { self.skip_escaped() }
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        let found = self.bytes.get(self.at..)?.starts_with(literal.as_bytes());
        self.at += literal.len();
        found.then_some(())
    }

    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        self.skip_number()?;
        let text = self.text.get(start..self.at)?;
        // Fast path for short non-negative integers, such as counters.
        if text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')) as f64);
        }
        let number: f64 = text.parse().ok()?;
        number.is_finite().then_some(number)
    }

    fn skip_number(&mut self) -> Option<()> {
        self.at = find_number_end(self.bytes, self.at)?;
        Some(())
    }
}

/// Returns the offset after the number that starts at `at`; `None` if no valid number starts there.
pub(super) fn find_number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |start: usize| {
        let mut at = start;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    at += usize::from(is(at, b'-'));
    at = if is(at, b'0') { at + 1 } else { digits(at)? };
    if is(at, b'.') {
        at = digits(at + 1)?;
    }
    if is(at, b'e') || is(at, b'E') {
        at += 1;
        at = digits(at + usize::from(is(at, b'+') || is(at, b'-')))?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::projection_mask::ProjectionMask;
    use crate::row_parser::parse_slow;
    use crate::test_json::any_json;
    use crate::test_paths::{path, paths};

    fn mask() -> ProjectionMask {
        ProjectionMask::new(&paths(&["a", "b[1].c", "c.d || c.e", "é", "user[\"0\"]", "d[0]"]))
    }

    /// Asserts that the slow parser reads alike whatever the fast parser reads.
    fn assert_parsers_agree(text: &str) {
        let whole = ProjectionMask::new([&path("user")]);
        for mask in [&mask(), &whole] {
            if let Some(fast) = parse_fast(text, mask.seed()) {
                let slow = parse_slow(text, mask).unwrap_or_else(|error| panic!("{error:?}: {text}"));
                assert_eq!(fast, slow, "{text}");
            }
        }
        if is_object(text) {
            serde_json::from_str::<serde::de::IgnoredAny>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }

    #[test]
    fn common_users_are_read_by_the_fast_parser() {
        for text in [
            r#"{"a":"x","b":[1,{"c":-0.5e3}],"c":{"e":null,"f":[true,false,{}]},"d":[[]],"0":1}"#,
            r#" { "a" : "\u00e9\n\"\\\/\ud83d\ude00" , "x" : { "y" : [ 1 , 2 ] } } "#,
            r#"{"a":1,"c":{"d":1},"a":2,"c":{"e":[]}}"#,
            "{}",
            r#"{"1":1,"0":0,"a":1e2,"é":"日本語 with more than eight bytes"}"#,
        ] {
            assert!(parse_fast(text, mask().seed()).is_some() && is_object(text), "{text}");
            assert_parsers_agree(text);
        }
    }

    #[test]
    fn unusual_and_invalid_json_is_left_to_the_slow_parser() {
        for text in [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":1e}",
            "{\"a\":-}",
            "{\"a\":tru}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\" 1}",
            "{\"a\":NaN}",
            "{\"a\":\"x",
            "{\"a\":\"x\\",
            "{\"x\":\"\\ud83dx\"}",
            "{\"a\":1e999}",
        ] {
            assert!(parse_fast(text, mask().seed()).is_none(), "{text}");
        }
        let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_object(&deep(MAX_DEPTH - 1)) && !is_object(&deep(MAX_DEPTH)));
        assert!(parse_fast(&deep(MAX_DEPTH), mask().seed()).is_none());
    }

    const NAMES: &[&str] = &["a", "b", "c", "d", "e", "é", "0", "1"];

    proptest! {
        #[test]
        fn fast_and_slow_parser_read_the_same(value in any_json(NAMES), pretty in any::<bool>()) {
            let user = serde_json::json!({"a": value.clone(), "b": [1, {"c": value.clone(), "x": value.clone()}], "c": value});
            let text = if pretty { serde_json::to_string_pretty(&user).unwrap() } else { user.to_string() };
            prop_assert!(parse_fast(&text, mask().seed()).is_some());
            assert_parsers_agree(&text);
        }

        #[test]
        fn fast_and_slow_parser_agree_on_damaged_json(value in any_json(NAMES), at in any::<prop::sample::Index>(), with in "\\PC|[\\x00-\\x7f]") {
            let text = serde_json::json!({"a": value.clone(), "c": {"d": value}}).to_string();
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                assert_parsers_agree(&format!("{before}{with}{after}"));
                assert_parsers_agree(&format!("{before}{after}"));
                assert_parsers_agree(before);
            }
        }
    }
}
