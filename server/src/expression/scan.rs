//! The quick way to read a user: one pass over the bytes, eight at a time inside strings, that builds what
//! is wanted and checks the grammar of the rest.
//!
//! It gives up on whatever is unusual (half surrogate pairs, numbers beyond 64-bit floating point, deep
//! nesting, everything that is not JSON) and leaves it to the parser in [`mod@super::read`], which knows what to say
//! about it. What it does read means the same there: the tests compare the two.

use std::borrow::Cow;

use super::json::Json;
use super::read::{DEEPEST, Object, Seed};

/// Reads what is wanted of the JSON in `text`; nothing where that takes the thorough parser.
pub(super) fn scan<'a>(text: &'a str, wanted: Seed<'_>) -> Option<Json<'a>> {
    let mut scanner = Scanner::new(text);
    scanner.blanks();
    let user = scanner.value(wanted)?;
    scanner.end().then_some(user)
}

/// Whether the text is one JSON object; `false` where it takes the thorough parser to say.
pub(super) fn is_object(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.blanks();
    scanner.next() == b'{' && scanner.skip().is_some() && scanner.end()
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Levels that are open.
    depth: usize,
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of every byte that is zero. Above the lowest such byte there may be false alarms, so that
/// only the lowest counts.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(eight(1)) & !word & eight(0x80)
}

/// Where the first byte of `bytes` from `at` on is that cannot stand in a string as it is: a quote, a
/// backslash or a control character.
#[inline]
fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(eight(0x20)) & !word & eight(0x80);
        let found = zeros(word ^ eight(b'"')) | zeros(word ^ eight(b'\\')) | control;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, depth: 0 }
    }

    /// Goes a level deeper, past `{` or `[`.
    fn open(&mut self) -> Option<()> {
        self.depth += 1;
        self.at += 1;
        self.blanks();
        (self.depth <= DEEPEST).then_some(())
    }

    /// Takes the end of a level if it is next.
    fn close(&mut self, byte: u8) -> bool {
        let closes = self.take(byte);
        self.depth -= usize::from(closes);
        closes
    }

    /// The next byte; zero, which no JSON has, at the end.
    #[inline]
    fn next(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn blanks(&mut self) {
        while self.next() <= b' ' {
            if !matches!(self.next(), b' ' | b'\n' | b'\r' | b'\t') {
                return;
            }
            self.at += 1;
        }
    }

    /// Takes a byte if it is the next.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let found = self.next() == byte;
        self.at += usize::from(found);
        found
    }

    fn end(&mut self) -> bool {
        self.blanks();
        self.at == self.bytes.len()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let found = self.bytes.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    /// After a member or an item: whether another one follows.
    fn more(&mut self, close: u8) -> Option<bool> {
        self.blanks();
        if self.take(b',') {
            self.blanks();
            return Some(true);
        }
        self.close(close).then_some(false)
    }

    fn value(&mut self, wanted: Seed<'_>) -> Option<Json<'a>> {
        match self.next() {
            b'"' => self.string().map(Json::Text),
            b'{' => self.object(wanted),
            b'[' => self.array(wanted),
            b't' => self.word("true").map(|()| Json::Boolean(true)),
            b'f' => self.word("false").map(|()| Json::Boolean(false)),
            b'n' => self.word("null").map(|()| Json::Null),
            _ => self.number().map(Json::Number),
        }
    }

    fn object(&mut self, wanted: Seed<'_>) -> Option<Json<'a>> {
        let mut object = Object::with_capacity(wanted.breadth());
        self.open()?;
        if self.close(b'}') {
            return Some(object.finish());
        }
        loop {
            let name = self.string()?;
            self.colon()?;
            match wanted.member(&name) {
                Some(seed) => {
                    let value = self.value(seed)?;
                    object.put(name, value);
                }
                None => self.skip()?,
            }
            if !self.more(b'}')? {
                return Some(object.finish());
            }
        }
    }

    fn array(&mut self, wanted: Seed<'_>) -> Option<Json<'a>> {
        let mut items = Vec::new();
        self.open()?;
        if self.close(b']') {
            return Some(Json::Array(items));
        }
        loop {
            items.push(if let Some(seed) = wanted.item(items.len()) {
                self.value(seed)?
            } else {
                // The place is kept, so that later indices and the length are right.
                self.skip()?;
                Json::Null
            });
            if !self.more(b']')? {
                return Some(Json::Array(items));
            }
        }
    }

    fn colon(&mut self) -> Option<()> {
        self.blanks();
        self.take(b':').then_some(())?;
        self.blanks();
        Some(())
    }

    /// A string, borrowed where it has no escapes.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"').then_some(())?;
        let start = self.at;
        self.at = end_of_plain(self.bytes, start);
        if self.next() == b'"' {
            let text = self.text.get(start..self.at)?;
            self.at += 1;
            return Some(Cow::Borrowed(text));
        }
        let mut text = String::new();
        let mut plain = start;
        loop {
            text.push_str(self.text.get(plain..self.at)?);
            match self.next() {
                b'"' => {
                    self.at += 1;
                    return Some(Cow::Owned(text));
                }
                b'\\' => text.push(self.escape()?),
                _ => return None,
            }
            plain = self.at;
            self.at = end_of_plain(self.bytes, plain);
        }
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

    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        self.skip_number()?;
        let number: f64 = self.text.get(start..self.at)?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.next().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn skip_number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if matches!(self.next(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.next(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"').then_some(())?;
        loop {
            self.at = end_of_plain(self.bytes, self.at);
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
        }
    }

    /// Checks a value and builds nothing.
    fn skip(&mut self) -> Option<()> {
        match self.next() {
            b'"' => self.skip_string(),
            b'{' => {
                self.open()?;
                if self.close(b'}') {
                    return Some(());
                }
                loop {
                    self.skip_string()?;
                    self.colon()?;
                    self.skip()?;
                    if !self.more(b'}')? {
                        return Some(());
                    }
                }
            }
            b'[' => {
                self.open()?;
                if self.close(b']') {
                    return Some(());
                }
                loop {
                    self.skip()?;
                    if !self.more(b']')? {
                        return Some(());
                    }
                }
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.skip_number(),
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn plain_text_ends_where_it_says() {
        for length in 0..40 {
            for special in ['"', '\\', '\u{1f}', '\n', '\0'] {
                let text = format!("{}{special}{}", "ü".repeat(length), "\"\\".repeat(5));
                assert_eq!(end_of_plain(text.as_bytes(), 0), 2 * length, "{text:?}");
            }
            let text = "\u{7f}\u{80}~ ".repeat(length);
            assert_eq!(end_of_plain(text.as_bytes(), 0), text.len());
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,12}|[\\x00-\\x7f]{0,12}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            prop::sample::select(vec!["a", "b", "c", "d", "e", "é", "0", "1"]).prop_map(str::to_owned),
            "\\PC{0,9}"
        ];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(value in json(), pretty in any::<bool>()) {
            let user = serde_json::json!({"a": value.clone(), "b": [1, {"c": value.clone(), "x": value.clone()}], "c": value});
            let text = if pretty { serde_json::to_string_pretty(&user).unwrap() } else { user.to_string() };
            prop_assert!(scan(&text, wanted().seed()).is_some());
            agree(&text);
        }

        #[test]
        fn damaged_json_is_never_read_otherwise(value in json(), at in any::<prop::sample::Index>(), with in "\\PC|[\\x00-\\x7f]") {
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
