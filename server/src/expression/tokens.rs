//! Reading JSON token by token, whoever finds the tokens: what is wanted is built, the grammar of the rest is
//! checked.

// Steps of a walker, which are inlined (see there).
#![allow(clippy::inline_always)]

use std::borrow::Cow;

use super::json::Json;
use super::read::{DEEPEST, Object, Seed, bit};

/// A place between two tokens of a text. Nothing (`None`) means everywhere that the text takes the thorough
/// parser: it is no JSON, or unusual.
pub(super) trait Tokens<'a> {
    /// The first byte of the next token; zero, which no JSON has, at the end.
    fn next(&self) -> u8;

    /// Goes a level deeper, past `{` or `[`.
    fn open(&mut self) -> Option<()>;

    /// Takes the end of a level if it is next.
    fn close(&mut self, byte: u8) -> bool;

    /// How many levels are open.
    fn depth(&self) -> usize;

    /// Takes a colon.
    fn colon(&mut self) -> Option<()>;

    /// Takes a comma if it is next.
    fn comma(&mut self) -> bool;

    /// A string if it has no escapes; otherwise nothing is taken.
    fn plain_string(&mut self) -> Option<&'a str>;

    /// The name of a member and its colon, where a glance tells them; otherwise nothing is taken.
    #[inline(always)]
    fn plain_name(&mut self) -> Option<&'a [u8]> {
        None
    }

    /// A string that may have escapes.
    fn escaped_string(&mut self) -> Option<String>;

    /// Checks a string.
    fn skip_string(&mut self) -> Option<()>;

    /// Takes `true`, `false` or `null`.
    fn word(&mut self, word: &str) -> Option<()>;

    /// A number that 64-bit floating point can hold.
    fn number(&mut self) -> Option<f64>;

    /// Checks a number.
    fn skip_number(&mut self) -> Option<()>;

    /// After a member or an item: whether another one follows.
    #[inline]
    fn more(&mut self, close: u8) -> Option<bool> {
        if self.comma() {
            return Some(true);
        }
        self.close(close).then_some(false)
    }

    /// The name of a member and its colon.
    fn name(&mut self) -> Option<Cow<'a, str>> {
        let name = self.string()?;
        self.colon()?;
        Some(name)
    }

    /// A string, borrowed where it has no escapes.
    #[inline]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        match self.plain_string() {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => self.escaped_string().map(Cow::Owned),
        }
    }

    /// Reads what is wanted of a value.
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

    /// Reads what is wanted of an object.
    fn object(&mut self, wanted: Seed<'_>) -> Option<Json<'a>> {
        let mut object = Object::with_capacity(wanted.breadth());
        let bits = wanted.bits();
        self.open()?;
        if self.close(b'}') {
            return Some(object.finish());
        }
        loop {
            let name = self.name()?;
            let wanted = if bits & bit(&name) == 0 { None } else { wanted.member(&name) };
            match wanted {
                Some(seed) => {
                    let value = self.value(seed)?;
                    object.put(name, value);
                }
                None if self.next() == b'"' => self.skip_string()?,
                None => self.skip()?,
            }
            if !self.more(b'}')? {
                return Some(object.finish());
            }
        }
    }

    /// Reads what is wanted of an array.
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

    /// Checks the name of a member.
    #[inline(always)]
    fn skip_name(&mut self) -> Option<()> {
        if self.plain_name().is_some() {
            return Some(());
        }
        self.skip_string()?;
        self.colon()
    }

    /// Checks a value and builds nothing.
    fn skip(&mut self) -> Option<()> {
        self.skip_value()
    }

    /// What [`skip`](Self::skip) does.
    #[inline(always)]
    fn skip_value(&mut self) -> Option<()> {
        let outer = self.depth();
        let mut objects = Objects([0; DEEPEST / 64 + 1]);
        loop {
            match self.next() {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.open()?;
                    if !self.close(b'}') {
                        objects.set(self.depth(), true);
                        self.skip_name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.open()?;
                    if !self.close(b']') {
                        objects.set(self.depth(), false);
                        continue;
                    }
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.skip_number()?,
            }
            loop {
                if self.depth() == outer {
                    return Some(());
                }
                let object = objects.has(self.depth());
                if self.more(if object { b'}' } else { b']' })? {
                    if object {
                        self.skip_name()?;
                    }
                    break;
                }
            }
        }
    }
}

/// Which of the open levels are objects.
struct Objects([u64; DEEPEST / 64 + 1]);

impl Objects {
    #[inline]
    fn set(&mut self, level: usize, object: bool) {
        if let Some(bits) = self.0.get_mut(level / 64) {
            *bits = *bits & !(1 << (level % 64)) | u64::from(object) << (level % 64);
        }
    }

    #[inline]
    fn has(&self, level: usize) -> bool {
        self.0.get(level / 64).is_some_and(|bits| bits >> (level % 64) & 1 == 1)
    }
}
