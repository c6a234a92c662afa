//! Visits the members of an object in text that need not be UTF-8, without building values.

use std::ops::Range;

use super::token_source::TokenSource;
use super::tokenizer::Tokenizer;

/// Numbers with more bytes, or with an exponent, are parsed to check that 64-bit floating point can hold them.
const MAX_PLAIN_NUMBER: usize = 200;

/// Receives the members of an object in order.
pub trait MemberVisitor {
    /// Called for each member. Consumes its value. `None` ends the visit without a result.
    fn visit_member(&mut self, name: RawString<'_>, value: &mut ValueScanner<'_>) -> Option<()>;
}

/// A JSON string as written, without its quotes. Its escapes are valid.
#[derive(Clone, Copy, Debug)]
pub struct RawString<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The offset of its first byte in the text.
    pub start: usize,
    /// Whether it contains escapes.
    pub has_escapes: bool,
}

impl RawString<'_> {
    /// The range of its bytes in the text.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }
}

/// The end of an object that was visited, and whether there is white space between its tokens or before it.
#[derive(Clone, Copy, Debug)]
pub struct VisitedObject {
    /// The offset after its last byte.
    pub end: usize,
    /// Whether there is white space before its end.
    pub has_whitespace: bool,
}

/// Visits the members of the object at the start of `bytes`; with `is_whole`, `bytes` is the object, with white space
/// around it.
///
/// `None` if the slow parser is needed: the text is not an object, is invalid or unusual, or the visitor returned
/// `None`. Whatever is visited, `serde_json` accepts, provided that it is UTF-8.
pub fn visit_object(bytes: &[u8], is_whole: bool, visitor: &mut impl MemberVisitor) -> Option<VisitedObject> {
    let mut tokens = Tokenizer::over_bytes(bytes);
    if is_whole {
        tokens.skip_whitespace();
    }
    if tokens.peek() != b'{' {
        return None;
    }
    tokens.open()?;
    if !tokens.take_close(b'}') {
        let mut value = ValueScanner { tokens };
        loop {
            let name = value.string()?;
            value.tokens.expect_colon()?;
            visitor.visit_member(name, &mut value)?;
            if !value.tokens.has_next(b'}')? {
                break;
            }
        }
        tokens = value.tokens;
    }
    let visited = VisitedObject { end: tokens.at(), has_whitespace: tokens.take_saw_whitespace() };
    (!is_whole || tokens.is_at_end()).then_some(visited)
}

/// A position before a value. Its methods consume and validate the value; `None` if it is not what they expect.
pub struct ValueScanner<'a> {
    tokens: Tokenizer<'a>,
}

/// A position to which a [`ValueScanner`] can return.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: usize,
    depth: usize,
}

impl<'a> ValueScanner<'a> {
    /// The offset in the text.
    #[inline]
    pub fn at(&self) -> usize {
        self.tokens.at()
    }

    /// Returns the current position.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { at: self.tokens.at(), depth: self.tokens.depth() }
    }

    /// Returns to a position, to consume the value there in another way.
    #[inline]
    pub fn rewind(&mut self, mark: Mark) {
        self.tokens.rewind(mark.at, mark.depth);
    }

    /// Returns the bytes from offset `start` to this position.
    pub fn bytes_from(&self, start: usize) -> &'a [u8] {
        self.tokens.bytes().get(start..self.at()).unwrap_or_default()
    }

    /// Consumes a string.
    #[inline]
    pub fn string(&mut self) -> Option<RawString<'a>> {
        let start = self.tokens.at() + 1;
        let has_escapes = self.tokens.skip_raw_string()?;
        let bytes = self.tokens.bytes().get(start..self.tokens.at() - 1)?;
        Some(RawString { bytes, start, has_escapes })
    }

    /// Consumes `true` or `false`.
    pub fn boolean(&mut self) -> Option<()> {
        match self.tokens.peek() {
            b't' => self.tokens.literal("true"),
            _ => self.tokens.literal("false"),
        }
    }

    /// Consumes any value.
    #[inline]
    pub fn skip(&mut self) -> Option<()> {
        self.skip_with(&mut |_| true)
    }

    /// Consumes an object whose own names satisfy `own` and whose names at any depth satisfy `any`.
    pub fn object_with_names(
        &mut self,
        mut own: impl FnMut(RawString<'a>) -> bool,
        mut any: impl FnMut(RawString<'a>) -> bool,
    ) -> Option<()> {
        if self.tokens.peek() != b'{' {
            return None;
        }
        self.tokens.open()?;
        if self.tokens.take_close(b'}') {
            return Some(());
        }
        loop {
            let name = self.string().filter(|name| any(*name) && own(*name))?;
            debug_assert!(name.start > 0);
            self.tokens.expect_colon()?;
            self.skip_with(&mut any)?;
            if !self.tokens.has_next(b'}')? {
                return Some(());
            }
        }
    }

    /// Consumes any value in which every name of an object satisfies `accept`.
    fn skip_with(&mut self, accept: &mut impl FnMut(RawString<'a>) -> bool) -> Option<()> {
        match self.tokens.peek() {
            b'"' => self.tokens.skip_raw_string().map(|_| ()),
            b'{' => {
                self.tokens.open()?;
                if self.tokens.take_close(b'}') {
                    return Some(());
                }
                loop {
                    self.string().filter(|name| accept(*name))?;
                    self.tokens.expect_colon()?;
                    self.skip_with(accept)?;
                    if !self.tokens.has_next(b'}')? {
                        return Some(());
                    }
                }
            }
            b'[' => {
                self.tokens.open()?;
                if self.tokens.take_close(b']') {
                    return Some(());
                }
                loop {
                    self.skip_with(accept)?;
                    if !self.tokens.has_next(b']')? {
                        return Some(());
                    }
                }
            }
            b't' => self.tokens.literal("true"),
            b'f' => self.tokens.literal("false"),
            b'n' => self.tokens.literal("null"),
            _ => self.number(),
        }
    }

    /// Consumes a number that 64-bit floating point can hold.
    fn number(&mut self) -> Option<()> {
        let start = self.at();
        self.tokens.skip_number()?;
        let number = self.bytes_from(start);
        if number.len() <= MAX_PLAIN_NUMBER && !number.iter().any(|byte| matches!(byte, b'e' | b'E')) {
            return Some(());
        }
        let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        number.is_finite().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;
    use crate::test_json::any_json;

    /// Collects names and values.
    #[derive(Default)]
    struct Collector(Map<String, Value>);

    impl MemberVisitor for Collector {
        fn visit_member(&mut self, name: RawString<'_>, value: &mut ValueScanner<'_>) -> Option<()> {
            let name: String = serde_json::from_str(&format!("\"{}\"", std::str::from_utf8(name.bytes).ok()?)).ok()?;
            let start = value.at();
            value.skip()?;
            self.0.insert(name, serde_json::from_slice(value.bytes_from(start)).ok()?);
            Some(())
        }
    }

    fn visit(text: &str) -> Option<Value> {
        let mut collector = Collector::default();
        visit_object(text.as_bytes(), true, &mut collector)?;
        Some(Value::Object(collector.0))
    }

    #[test]
    fn an_object_is_visited_up_to_its_end() {
        let text = b"{ \"a\\n\" : [1, {\"b\": 1e3}] }, x";
        let visited = visit_object(text, false, &mut Collector::default()).unwrap();
        assert_eq!((visited.end, visited.has_whitespace), (text.len() - 3, true));
        assert!(visit_object(text, true, &mut Collector::default()).is_none());
        let compact = visit_object(b"{\"a\":1}", true, &mut Collector::default()).unwrap();
        assert!(!compact.has_whitespace);
    }

    #[test]
    fn names_are_checked() {
        struct Names(&'static str);
        impl MemberVisitor for Names {
            fn visit_member(&mut self, _: RawString<'_>, value: &mut ValueScanner<'_>) -> Option<()> {
                let has_own = |name: RawString<'_>| name.bytes != b"own";
                value.object_with_names(has_own, |name| name.bytes != self.0.as_bytes())
            }
        }
        let text = br#"{"m":{"a":[{"b":{"c":1}}],"x":{"own":1}}}"#;
        assert!(visit_object(text, true, &mut Names("d")).is_some());
        for refused in ["a", "b", "c", "own"] {
            assert!(visit_object(text, true, &mut Names(refused)).is_none(), "{refused}");
        }
        assert!(visit_object(br#"{"m":{"own":{}}}"#, true, &mut Names("d")).is_none());
        assert!(visit_object(br#"{"m":[]}"#, true, &mut Names("d")).is_none());
    }

    const NAMES: &[&str] = &["a", "b", "é"];

    proptest! {
        #[test]
        fn objects_are_visited_as_serde_json_reads_them(value in any_json(NAMES), pretty in any::<bool>()) {
            let user = serde_json::json!({"a": value.clone(), "b": [value]});
            let text = if pretty { serde_json::to_string_pretty(&user).unwrap() } else { user.to_string() };
            prop_assert_eq!(visit(&text), Some(user));
        }

        #[test]
        fn only_valid_json_is_visited(value in any_json(NAMES), at in any::<prop::sample::Index>(), with in "\\PC|[\\x00-\\x7f]|1e999|\\\\ud800") {
            let text = serde_json::json!({"a": value.clone(), "c": {"d": value}}).to_string();
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                for text in [format!("{before}{with}{after}"), format!("{before}{after}"), before.to_owned()] {
                    if let Some(visited) = visit(&text) {
                        prop_assert_eq!(visited, serde_json::from_str::<Value>(&text).unwrap());
                    }
                }
            }
        }
    }
}
