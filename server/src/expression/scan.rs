//! The quick way to read a user: one pass over the bytes, sixteen at a time inside strings, that builds what
//! is wanted and checks the grammar of the rest.
//!
//! It gives up on whatever is unusual (half surrogate pairs, numbers beyond 64-bit floating point, deep
//! nesting, everything that is not JSON) and leaves it to the parser in [`mod@super::read`], which knows what to say
//! about it. What it does read means the same there: the tests compare the two.

use super::json::Json;
use super::read::{DEEPEST, Seed};
use super::tokens::Tokens;
use crate::lanes::end_of_plain;

/// Reads what is wanted of the JSON in `text`; nothing where that takes the thorough parser.
pub(super) fn scan<'a>(text: &'a str, wanted: Seed<'_>) -> Option<Json<'a>> {
    let mut scanner = Scanner::new(text, 0, Blanks::All);
    scanner.blanks();
    let user = scanner.value(wanted)?;
    scanner.end().then_some(user)
}

/// Reads what is wanted of the JSON object in the line that starts at a place of the text, and says where the
/// line ends; nothing where that takes the thorough parser.
pub(super) fn scan_line<'a>(text: &'a str, at: usize, wanted: Seed<'_>) -> Option<(Json<'a>, usize)> {
    let mut scanner = Scanner::new(text, at, Blanks::WithinLine);
    scanner.blanks();
    (scanner.next() == b'{').then_some(())?;
    let user = scanner.value(wanted)?;
    let end = scanner.line_end()?;
    Some((user, end))
}

/// Whether the text is one JSON object; `false` where it takes the thorough parser to say.
pub(super) fn is_object(text: &str) -> bool {
    let mut scanner = Scanner::new(text, 0, Blanks::All);
    scanner.blanks();
    scanner.next() == b'{' && scanner.skip().is_some() && scanner.end()
}

/// What may stand between tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blanks {
    /// All that JSON allows.
    All,
    /// No line end, which ends the row.
    WithinLine,
}

/// Follows JSON through a text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Levels that are open.
    depth: usize,
    allowed: Blanks,
    /// Whether there were blanks between tokens.
    seen_blanks: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at a place in the text.
    pub(super) fn new(text: &'a str, at: usize, allowed: Blanks) -> Self {
        Self { text, bytes: text.as_bytes(), at, depth: 0, allowed, seen_blanks: false }
    }

    /// Where it stands.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether there were blanks between tokens so far; asked for, it starts to look anew.
    pub(super) fn take_seen_blanks(&mut self) -> bool {
        std::mem::take(&mut self.seen_blanks)
    }

    #[inline]
    pub(super) fn blanks(&mut self) {
        if self.next() <= b' ' {
            self.skip_blanks();
        }
    }

    #[cold]
    fn skip_blanks(&mut self) {
        while match self.next() {
            b' ' | b'\r' | b'\t' => true,
            b'\n' => self.allowed == Blanks::All,
            _ => false,
        } {
            self.at += 1;
            self.seen_blanks = true;
        }
    }

    /// Takes a byte if it is the next.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let found = self.next() == byte;
        self.at += usize::from(found);
        found
    }

    /// Where the line ends, if nothing but blanks is left of it.
    pub(super) fn line_end(&mut self) -> Option<usize> {
        (self.end() || self.next() == b'\n').then_some(self.at)
    }

    /// Whether nothing but blanks is left.
    pub(super) fn end(&mut self) -> bool {
        self.blanks();
        self.at == self.bytes.len()
    }

    fn escape(&mut self) -> Option<char> {
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
                let unit = self.unit()?;
                if !(0xd800..0xe000).contains(&unit) {
                    return char::from_u32(unit);
                }
                self.word("\\u")?;
                let low = self.unit()?;
                if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
                    return None;
                }
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            }
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    /// Skips the rest of a string from a backslash on.
    fn skip_escaped(&mut self) -> Option<()> {
        loop {
            match self.next() {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => {
                    self.escape()?;
                }
                _ => return None,
            }
            self.at = end_of_plain(self.bytes, self.at);
        }
    }
}

impl<'a> Tokens<'a> for Scanner<'a> {
    #[inline]
    fn next(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn open(&mut self) -> Option<()> {
        self.depth += 1;
        self.at += 1;
        self.blanks();
        (self.depth <= DEEPEST).then_some(())
    }

    #[inline]
    fn close(&mut self, byte: u8) -> bool {
        let closes = self.take(byte);
        self.depth -= usize::from(closes);
        closes
    }

    #[inline]
    fn depth(&self) -> usize {
        self.depth
    }

    #[inline]
    fn comma(&mut self) -> bool {
        self.blanks();
        let found = self.take(b',');
        if found {
            self.blanks();
        }
        found
    }

    #[inline]
    fn colon(&mut self) -> Option<()> {
        self.blanks();
        self.take(b':').then_some(())?;
        self.blanks();
        Some(())
    }

    #[inline]
    fn plain_string(&mut self) -> Option<&'a str> {
        (self.next() == b'"').then_some(())?;
        let start = self.at + 1;
        let end = end_of_plain(self.bytes, start);
        (self.bytes.get(end) == Some(&b'"')).then_some(())?;
        self.at = end + 1;
        self.text.get(start..end)
    }

    fn escaped_string(&mut self) -> Option<String> {
        self.take(b'"').then_some(())?;
        let mut text = String::new();
        loop {
            let plain = self.at;
            self.at = end_of_plain(self.bytes, plain);
            text.push_str(self.text.get(plain..self.at)?);
            match self.next() {
                b'"' => {
                    self.at += 1;
                    return Some(text);
                }
                b'\\' => text.push(self.escape()?),
                _ => return None,
            }
        }
    }

    #[inline]
    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"').then_some(())?;
        self.at = end_of_plain(self.bytes, self.at);
        if self.take(b'"') { Some(()) } else { self.skip_escaped() }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let found = self.bytes.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        self.skip_number()?;
        let text = self.text.get(start..self.at)?;
        // Few digits and nothing else: counters, mostly.
        if text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')) as f64);
        }
        let number: f64 = text.parse().ok()?;
        number.is_finite().then_some(number)
    }

    fn skip_number(&mut self) -> Option<()> {
        self.at = end_of_number(self.bytes, self.at)?;
        Some(())
    }
}

/// Where the number ends that starts at a place; nothing if it is none.
pub(super) fn end_of_number(bytes: &[u8], mut at: usize) -> Option<usize> {
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
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::read::{Wanted, thoroughly};
    use super::super::{Expression, Path};
    use super::*;

    fn wanted() -> Wanted {
        let paths: Vec<Path> = ["a", "b[1].c", "c.d || c.e", "é", "user[\"0\"]", "d[0]"]
            .iter()
            .map(|source| Expression::parse(source).unwrap().path().unwrap().clone())
            .collect();
        Wanted::new(&paths)
    }

    /// What the quick way reads, the thorough one reads too, and the same.
    fn agree(text: &str) {
        let whole = Wanted::new([&Expression::parse("user").unwrap().path().unwrap().clone()]);
        for wanted in [&wanted(), &whole] {
            if let Some(quick) = scan(text, wanted.seed()) {
                let thorough = thoroughly(text, wanted).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert_eq!(quick, thorough, "{text}");
            }
        }
        if is_object(text) {
            serde_json::from_str::<serde::de::IgnoredAny>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }

    #[test]
    fn usual_users_are_read_the_quick_way() {
        for text in [
            r#"{"a":"x","b":[1,{"c":-0.5e3}],"c":{"e":null,"f":[true,false,{}]},"d":[[]],"0":1}"#,
            r#" { "a" : "\u00e9\n\"\\\/\ud83d\ude00" , "x" : { "y" : [ 1 , 2 ] } } "#,
            r#"{"a":1,"c":{"d":1},"a":2,"c":{"e":[]}}"#,
            "{}",
            r#"{"1":1,"0":0,"a":1e2,"é":"日本語 with more than eight bytes"}"#,
        ] {
            assert!(scan(text, wanted().seed()).is_some() && is_object(text), "{text}");
            agree(text);
        }
    }

    #[test]
    fn what_is_not_json_is_left_to_the_parser() {
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
            assert!(scan(text, wanted().seed()).is_none(), "{text}");
        }
        let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_object(&deep(DEEPEST - 1)) && !is_object(&deep(DEEPEST)));
        assert!(scan(&deep(DEEPEST), wanted().seed()).is_none());
    }

    /// Any JSON, whose members often have one of these names.
    pub(in super::super) fn json(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,20}|[\\x00-\\x7f]{0,20}".prop_map(Value::from),
        ];
        let name = prop_oneof![prop::sample::select(names).prop_map(str::to_owned), "\\PC{0,9}"];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    const NAMES: &[&str] = &["a", "b", "c", "d", "e", "é", "0", "1"];

    proptest! {
        #[test]
        fn both_ways_read_the_same(value in json(NAMES), pretty in any::<bool>()) {
            let user = serde_json::json!({"a": value.clone(), "b": [1, {"c": value.clone(), "x": value.clone()}], "c": value});
            let text = if pretty { serde_json::to_string_pretty(&user).unwrap() } else { user.to_string() };
            prop_assert!(scan(&text, wanted().seed()).is_some());
            agree(&text);
        }

        #[test]
        fn damaged_json_is_never_read_otherwise(value in json(NAMES), at in any::<prop::sample::Index>(), with in "\\PC|[\\x00-\\x7f]") {
            let text = serde_json::json!({"a": value.clone(), "c": {"d": value}}).to_string();
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                agree(&format!("{before}{with}{after}"));
                agree(&format!("{before}{after}"));
                agree(before);
            }
        }
    }
}
