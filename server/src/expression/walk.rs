//! Follows a [structural index](super::index) through its text, line by line.

// What stands behind a call is kept in memory, and a step per token is all there is to it.
#![allow(clippy::inline_always)]

use super::index::{Index, Place};
use super::read::DEEPEST;
use super::scan::{Blanks, Scanner, end_of_number};
use super::tokens::Tokens;

/// A place in an indexed text.
#[derive(Clone, Copy, Debug)]
pub struct Walker<'a, 'i> {
    text: &'a str,
    bytes: &'a [u8],
    places: &'i [Place],
    /// Which of the places is behind the next.
    next: usize,
    /// Behind what was taken last; a comma or a colon counts as taken with what follows it.
    end: usize,
    /// Where the next token is, and its first byte; at the end the length of the text, and zero.
    at: usize,
    byte: u8,
    depth: usize,
    seen_blanks: bool,
}

impl<'a, 'i> Walker<'a, 'i> {
    /// Indexes a text of many lines; nothing where it is better read line by line.
    pub fn new(text: &'a str, index: &'i mut Index) -> Option<Self> {
        let places = index.of(text)?;
        let bytes = text.as_bytes();
        let mut walker = Self { text, bytes, places, next: 0, end: 0, at: 0, byte: 0, depth: 0, seen_blanks: false };
        walker.advance();
        Some(walker)
    }

    /// Another walker at the same place.
    #[must_use]
    pub fn here(&self) -> Self {
        *self
    }

    /// Goes to the first token of the line that starts at a place of the text; whether there are only blanks
    /// before it.
    #[inline]
    pub(super) fn go_to(&mut self, line: usize) -> bool {
        self.depth = 0;
        self.end = line;
        while self.at < line.min(self.bytes.len()) {
            self.advance();
        }
        self.adjoins()
    }

    /// Where the next token is.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Behind the token that was taken last.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether there were blanks between tokens so far; asked for, it starts to look anew.
    pub(super) fn take_seen_blanks(&mut self) -> bool {
        std::mem::take(&mut self.seen_blanks)
    }

    /// Where the line ends, if nothing but blanks is left of it.
    #[inline]
    pub(super) fn line_end(&mut self) -> Option<usize> {
        ((self.byte == b'\n' || self.at == self.bytes.len()) && self.adjoins()).then_some(self.at)
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.at = self.places.get(self.next).map_or(self.bytes.len(), Place::get);
        self.byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.next += 1;
    }

    /// Takes the last step back, to the string that opens at this place.
    #[inline]
    fn back_to_string(&mut self, at: usize) {
        self.next -= 1;
        self.at = at;
        self.byte = b'"';
    }

    /// Whether nothing but blanks lies before the next token.
    #[inline(always)]
    fn adjoins(&mut self) -> bool {
        if self.at == self.end {
            return true;
        }
        self.seen_blanks = true;
        only_blanks(self.between())
    }

    /// Takes what lies before the next token, if that is this byte and perhaps blanks.
    #[inline(always)]
    fn separator(&mut self, byte: u8) -> bool {
        if self.at != self.end + 1 || self.bytes.get(self.end) != Some(&byte) {
            self.seen_blanks = true;
            if !only_blanks_around(self.between(), byte) {
                return false;
            }
        }
        self.end = self.at;
        true
    }

    /// What lies between the last token and the next.
    fn between(&self) -> &'a [u8] {
        self.bytes.get(self.end..self.at).unwrap_or_default()
    }

    /// Where a string without escapes closes that opens with the token before the next.
    #[inline(always)]
    fn closing_quote(&self) -> Option<usize> {
        // Between a string and the next token are a comma or a colon at most, and blanks.
        let last = self.at.checked_sub(1)?;
        let end = last.checked_sub(usize::from(*self.bytes.get(last)? != b'"'))?;
        if self.bytes.get(end) == Some(&b'"') { Some(end) } else { last_quote(self.bytes.get(..end)?) }
    }

    /// Takes a token the way the scanner does that goes from byte to byte.
    #[inline(always)]
    fn scanned<T>(&mut self, take: impl FnOnce(&mut Scanner<'a>) -> Option<T>) -> Option<T> {
        let mut scanner = Scanner::new(self.text, self.at, Blanks::WithinLine);
        let taken = take(&mut scanner)?;
        self.end = scanner.at();
        self.advance();
        while self.at < self.end {
            self.advance();
        }
        Some(taken)
    }
}

// What is seldom asked for stands apart and is given no walker, so that all of one can be kept in registers.

#[inline(never)]
fn only_blanks(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[inline(never)]
fn only_blanks_around(bytes: &[u8], separator: u8) -> bool {
    let mut parts = bytes.splitn(2, |byte| *byte == separator);
    parts.next().is_some_and(only_blanks) && parts.next().is_some_and(only_blanks)
}

#[inline(never)]
fn last_quote(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr(b'"', bytes)
}

impl<'a> Tokens<'a> for Walker<'a, '_> {
    #[inline(always)]
    fn next(&self) -> u8 {
        self.byte
    }

    #[inline(always)]
    fn open(&mut self) -> Option<()> {
        self.depth += 1;
        self.end = self.at + 1;
        self.advance();
        (self.depth <= DEEPEST && self.adjoins()).then_some(())
    }

    #[inline(always)]
    fn close(&mut self, byte: u8) -> bool {
        let closes = self.byte == byte && self.adjoins();
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
    fn colon(&mut self) -> Option<()> {
        self.separator(b':').then_some(())
    }

    #[inline(always)]
    fn comma(&mut self) -> bool {
        self.at != self.end && self.separator(b',')
    }

    #[inline(always)]
    fn plain_string(&mut self) -> Option<&'a str> {
        if self.byte != b'"' {
            return None;
        }
        let start = self.at + 1;
        self.advance();
        if self.byte == b'\\' {
            self.back_to_string(start - 1);
            return None;
        }
        let close = self.closing_quote()?;
        self.end = close + 1;
        self.text.get(start..close)
    }

    #[inline(always)]
    fn plain_name(&mut self) -> Option<&'a [u8]> {
        // Whatever is unusual between the name and what follows the colon is looked at step by step.
        let after = self.places.get(self.next)?.get();
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
        self.scanned(Scanner::escaped_string)
    }

    #[inline(always)]
    fn skip_string(&mut self) -> Option<()> {
        if self.byte != b'"' {
            return None;
        }
        let start = self.at;
        self.advance();
        if self.byte == b'\\' {
            self.back_to_string(start);
            return self.scanned(Scanner::skip_string);
        }
        self.end = self.closing_quote()? + 1;
        Some(())
    }

    #[inline]
    fn word(&mut self, word: &str) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word.as_bytes()).then_some(())?;
        self.end = self.at + word.len();
        self.advance();
        Some(())
    }

    #[inline]
    fn number(&mut self) -> Option<f64> {
        self.scanned(Scanner::number)
    }

    #[inline]
    fn skip_number(&mut self) -> Option<()> {
        self.end = end_of_number(self.bytes, self.at)?;
        // No token starts within a number.
        self.advance();
        Some(())
    }

    fn skip(&mut self) -> Option<()> {
        // A copy, which nobody else sees, is kept in registers.
        let mut here = *self;
        let skipped = here.skip_value();
        *self = here;
        skipped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::scan::tests::json as any_json;
    use super::super::{Expression, Layout, Path, Wanted};
    use super::*;

    fn paths() -> Vec<Path> {
        ["a", "b[1].c", "c.d || c.e || 'none'", "é", "d[0]", "user[\"0\"]", "d.length", "e.f.g"]
            .iter()
            .map(|source| Expression::parse(source).unwrap().path().unwrap().clone())
            .collect()
    }

    /// Reads every line both ways, which must give the same; how many are read. Nothing if there is no index.
    fn agree(text: &str) -> Option<usize> {
        let (layout, wanted) = (Layout::new(&paths()).unwrap(), Wanted::new(&paths()));
        let fields = Wanted::default().and_fields([["d".to_owned(), "c".to_owned()].as_slice()]);
        let mut index = Index::default();
        let mut walker = Walker::new(text, &mut index)?;
        let (mut walked, mut scanned) = (layout.room(), layout.room());
        let (mut at, mut read) = (0, 0);
        while at < text.len() {
            for wanted in [&wanted, &fields] {
                assert_eq!(wanted.walk_line(&mut walker.here(), at), wanted.read_line(text, at), "{text}");
            }
            let row = layout.walk_line(&mut walker, at, &mut walked);
            assert_eq!(row, layout.read_line(text, at, &mut scanned), "{text}");
            if row.is_some() {
                read += 1;
                for path in 0..paths().len() {
                    assert_eq!(layout.last(&walked).cell(path), layout.last(&scanned).cell(path), "{text}");
                }
            }
            at += text[at..].find('\n').unwrap_or(text.len()) + 1;
        }
        Some(read)
    }

    #[test]
    fn lines_are_walked_as_they_are_scanned() {
        let good = r#"{"a":"x","b":[1,{"c":-0.5e3}],"c":{"e":null,"f":[true,false,{}]},"d":["ü"],"0":1}"#;
        let text = format!(
            "{good}\n\n  {} \r\n{}\n{good}",
            r#"{ "a" : "\u00e9\n\"\\\/\ud83d\ude00" , "x" : { "y" : [ 1 , 2 ] } , "d" : [ ] }"#,
            r#"{"\u0061":1,"e":{"f":{"g":"\\"}}}"#
        );
        assert_eq!(agree(&text), Some(4));
        assert_eq!(agree(good), Some(1));
    }

    #[test]
    fn what_is_not_json_is_not_walked_past() {
        for wrong in [
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
            for text in [wrong.to_owned(), format!("{wrong}\n{{}}"), format!("{{\"a\":1}}\n{wrong} \n{{}}")] {
                let others = text.matches('\n').count();
                assert_eq!(agree(&text), Some(others), "{text}");
            }
        }
        let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!((agree(&deep(DEEPEST - 1)), agree(&deep(DEEPEST))), (Some(1), Some(0)));
    }

    const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f", "é", "0", "1", "length"];

    proptest! {
        #[test]
        fn any_lines_are_walked_as_they_are_scanned(values in prop::collection::vec(any_json(NAMES), 1..4), loose in any::<bool>()) {
            let lines = values.iter().map(|value| {
                let user = json!({"a": value, "b": [value, {"c": value}], "c": value, "d": [value], "e": {"f": value}});
                let text = user.to_string();
                if loose { serde_json::to_string_pretty(&user).unwrap().replace('\n', "\r\t ") } else { text }
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            // A line is only left to the scanner where both ways give up on it.
            prop_assert!(agree(&text).is_some());
        }

        #[test]
        fn damaged_lines_are_never_read_otherwise(
            values in prop::collection::vec(any_json(NAMES), 1..4),
            at in any::<prop::sample::Index>(),
            with in "[\"\\\\{}\\[\\],:1a \n\t]{0,3}|\\PC",
        ) {
            let lines = values.iter().map(|value| json!({"a": value, "c": {"d": value}}).to_string());
            let text = lines.collect::<Vec<_>>().join("\n");
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                agree(&format!("{before}{with}{after}"));
                agree(&format!("{before}{after}"));
                agree(before);
            }
        }

        #[test]
        fn nonsense_is_never_read_otherwise(text in "[\"\\\\{}\\[\\],:1a \n]{0,60}|(\\{\"a\":[\"\\\\{}\\[\\],:1a ]{0,12}\\}\n){1,5}") {
            agree(&text);
        }
    }
}
