//! The interface between JSON readers and sources of tokens (cursor or tokenizer). Its provided methods build the
//! values that a mask selects and check the grammar of the rest.

// Inlined for the cursor: see `cursor.rs`.
#![allow(clippy::inline_always)]

use std::borrow::Cow;

use super::bloom_filter::bit;
use super::object_builder::ObjectBuilder;
use super::projection_mask::MaskSeed;
use super::value::Json;

/// The maximum nesting of a row, in levels: the limit of `serde_json`, by which transforms, the check of an import and
/// most other programs read JSON.
pub const MAX_DEPTH: usize = 127;

/// A position between two JSON tokens of a text.
///
/// Every method returns `None` if the slow parser must be used: the input is invalid or unusual.
pub(super) trait TokenSource<'a> {
    /// Returns the first byte of the next token, or zero at the end (no token starts with zero).
    fn peek(&self) -> u8;

    /// Consumes `{` or `[`. Fails beyond [`MAX_DEPTH`] levels.
    fn open(&mut self) -> Option<()>;

    /// Consumes the closing bracket `byte` if it is next; returns whether it was.
    fn take_close(&mut self, byte: u8) -> bool;

    /// Returns the number of open objects and arrays.
    fn depth(&self) -> usize;

    /// Consumes a colon.
    fn expect_colon(&mut self) -> Option<()>;

    /// Consumes a comma if it is next; returns whether it was.
    fn take_comma(&mut self) -> bool;

    /// Consumes a string without escapes. If the string has escapes, returns `None` and consumes nothing.
    fn plain_string(&mut self) -> Option<&'a str>;

    /// Consumes a member name and its colon if they have the common form: no escapes, no whitespace. Otherwise
    /// returns `None` and consumes nothing.
    #[inline(always)]
    fn plain_member_name(&mut self) -> Option<&'a [u8]> {
        None
    }

    /// Consumes a string that may have escapes.
    fn escaped_string(&mut self) -> Option<String>;

    /// Checks and consumes a string.
    fn skip_string(&mut self) -> Option<()>;

    /// Consumes `literal`: `true`, `false` or `null`.
    fn literal(&mut self, literal: &str) -> Option<()>;

    /// Consumes a number that 64-bit floating point can hold.
    fn number(&mut self) -> Option<f64>;

    /// Checks and consumes a number.
    fn skip_number(&mut self) -> Option<()>;

    /// Consumes the comma or the closing bracket after a member or an item; returns whether another one follows.
    #[inline]
    fn has_next(&mut self, close: u8) -> Option<bool> {
        if self.take_comma() {
            return Some(true);
        }
        self.take_close(close).then_some(false)
    }

    /// Consumes a member name and its colon.
    fn member_name(&mut self) -> Option<Cow<'a, str>> {
        let name = self.string()?;
        self.expect_colon()?;
        Some(name)
    }

    /// Consumes a string; borrowed if it has no escapes.
    #[inline]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        match self.plain_string() {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => self.escaped_string().map(Cow::Owned),
        }
    }

    /// Reads the parts of a value that `mask` selects.
    fn parse_value(&mut self, mask: MaskSeed<'_>) -> Option<Json<'a>> {
        match self.peek() {
            b'"' => self.string().map(Json::Text),
            b'{' => self.parse_object(mask),
            b'[' => self.parse_array(mask),
            b't' => self.literal("true").map(|()| Json::Boolean(true)),
            b'f' => self.literal("false").map(|()| Json::Boolean(false)),
            b'n' => self.literal("null").map(|()| Json::Null),
            _ => self.number().map(Json::Number),
        }
    }

    /// Reads the members of an object that `mask` selects.
    fn parse_object(&mut self, mask: MaskSeed<'_>) -> Option<Json<'a>> {
        let mut object = ObjectBuilder::with_capacity(mask.breadth());
        let bits = mask.bits();
        self.open()?;
        if self.take_close(b'}') {
            return Some(object.finish());
        }
        loop {
            let name = self.member_name()?;
            let mask = if bits & bit(&name) == 0 { None } else { mask.member(&name) };
            match mask {
                Some(seed) => {
                    let value = self.parse_value(seed)?;
                    object.put(name, value);
                }
                None if self.peek() == b'"' => self.skip_string()?,
                None => self.skip()?,
            }
            if !self.has_next(b'}')? {
                return Some(object.finish());
            }
        }
    }

    /// Reads the items of an array that `mask` selects; the others become `null`.
    fn parse_array(&mut self, mask: MaskSeed<'_>) -> Option<Json<'a>> {
        let mut items = Vec::new();
        self.open()?;
        if self.take_close(b']') {
            return Some(Json::Array(items));
        }
        loop {
            items.push(if let Some(seed) = mask.item(items.len()) {
                self.parse_value(seed)?
            } else {
                // A placeholder keeps later indices and the length correct.
                self.skip()?;
                Json::Null
            });
            if !self.has_next(b']')? {
                return Some(Json::Array(items));
            }
        }
    }

    /// Checks and consumes a member name and its colon.
    #[inline(always)]
    fn skip_member_name(&mut self) -> Option<()> {
        if self.plain_member_name().is_some() {
            return Some(());
        }
        self.skip_string()?;
        self.expect_colon()
    }

    /// Checks and consumes a value without building it.
    fn skip(&mut self) -> Option<()> {
        self.skip_value()
    }

    /// The implementation of [`skip`](Self::skip), without recursion.
    #[inline(always)]
    fn skip_value(&mut self) -> Option<()> {
        let outer = self.depth();
        let mut levels = ObjectLevels([0; MAX_DEPTH / 64 + 1]);
        loop {
            match self.peek() {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.open()?;
                    if !self.take_close(b'}') {
                        levels.set(self.depth(), true);
                        self.skip_member_name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.open()?;
                    if !self.take_close(b']') {
                        levels.set(self.depth(), false);
                        continue;
                    }
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.skip_number()?,
            }
            loop {
                if self.depth() == outer {
                    return Some(());
                }
                let is_object = levels.contains(self.depth());
                if self.has_next(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.skip_member_name()?;
                    }
                    break;
                }
            }
        }
    }
}

/// A bit set of nesting levels: the bit of a level is set if the level is an object, clear if it is an array.
struct ObjectLevels([u64; MAX_DEPTH / 64 + 1]);

impl ObjectLevels {
    #[inline]
    fn set(&mut self, level: usize, is_object: bool) {
        if let Some(bits) = self.0.get_mut(level / 64) {
            *bits = *bits & !(1 << (level % 64)) | u64::from(is_object) << (level % 64);
        }
    }

    #[inline]
    fn contains(&self, level: usize) -> bool {
        self.0.get(level / 64).is_some_and(|bits| bits >> (level % 64) & 1 == 1)
    }
}
