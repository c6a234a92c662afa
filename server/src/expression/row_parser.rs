//! Reads from the text of a user only the values that expressions and search fields need.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::cursor::Cursor;
use super::json::{Json, write_json_text};
use super::path::{Key, Path, array_index};
use super::token_source::TokenSource;
use super::tokenizer;

/// Selects the parts of a user to read: the paths of expressions and the fields of a search, each merged into a trie.
///
/// The grammar of everything else is checked, but nothing of it is built.
#[derive(Clone, Debug, Default)]
pub struct ProjectionMask {
    paths: MaskNode,
    /// Unlike a path, a field applies to every item of the arrays on its way.
    fields: MaskNode,
}

/// A node of a mask: what is selected of one value.
#[derive(Clone, Debug, Default)]
struct MaskNode {
    /// Whether the whole value is selected.
    whole: bool,
    children: Vec<(Key, MaskNode)>,
    /// The [`bit`]s of all children, so that most unselected members are rejected by one comparison.
    bits: u64,
}

static WHOLE: MaskNode = MaskNode { whole: true, children: Vec::new(), bits: 0 };

/// Returns a one-bit Bloom filter of a name, from its length, first and last byte.
#[inline]
pub(super) fn bit(name: &str) -> u64 {
    let outer = name.as_bytes().first().unwrap_or(&0).wrapping_add(name.as_bytes().last().unwrap_or(&0).rotate_left(2));
    1 << (outer.wrapping_add(name.len() as u8) & 63)
}

impl ProjectionMask {
    /// Returns the mask that selects what `paths` access.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut mask = Self::default();
        for path in paths {
            for keys in path.accesses() {
                mask.paths.add(keys);
            }
        }
        mask
    }

    /// Also selects the fields of a search, each given as the member names from the user to the field.
    ///
    /// An array on the way is replaced by each of its items.
    #[must_use]
    pub fn with_fields<'a>(mut self, fields: impl IntoIterator<Item = &'a [String]>) -> Self {
        for field in fields {
            let keys: Vec<Key> = field.iter().map(Key::new).collect();
            self.fields.add(&keys);
        }
        self
    }

    /// Returns the mask that selects these accesses, each a list of steps from the user.
    pub(super) fn from_accesses<'a>(accesses: impl IntoIterator<Item = &'a [Key]>) -> Self {
        let mut mask = Self::default();
        for keys in accesses {
            mask.paths.add(keys);
        }
        mask
    }

    /// Writes the selected parts of `user` as JSON; unselected members are omitted, unselected items are `null`.
    pub(super) fn write_json(&self, user: &Json<'_>, out: &mut Vec<u8>) {
        self.paths.write_json(user, out);
    }

    /// Returns the root attributes that are selected; `None` if whole users are.
    pub fn attributes(&self) -> Option<Vec<&str>> {
        if self.paths.whole || self.fields.whole {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        for (key, _) in self.paths.children.iter().chain(&self.fields.children) {
            if !names.contains(&key.name.as_str()) {
                names.push(&key.name);
            }
        }
        Some(names)
    }

    /// Reads the selected parts of the user in the line that starts at offset `at`.
    ///
    /// Returns the user and the offset of the line end; `None` if the slow parser is needed or the line is not a user.
    pub fn parse_line<'a>(&self, text: &'a str, at: usize) -> Option<(Json<'a>, usize)> {
        tokenizer::parse_line_fast(text, at, self.seed())
    }

    /// Like [`parse_line`](Self::parse_line), for an indexed text. `at` must not be before the cursor.
    pub fn parse_indexed_line<'a>(&self, cursor: &mut Cursor<'a, '_>, at: usize) -> Option<(Json<'a>, usize)> {
        (cursor.seek_line(at) && cursor.peek() == b'{').then_some(())?;
        let user = cursor.parse_value(self.seed())?;
        cursor.line_end().map(|end| (user, end))
    }

    /// Returns the seed that selects a whole value.
    pub(super) fn everything() -> MaskSeed<'static> {
        MaskSeed { path: Some(&WHOLE), field: None }
    }

    /// Returns the seed for a whole user.
    pub(super) fn seed(&self) -> MaskSeed<'_> {
        MaskSeed { path: Some(&self.paths), field: (!self.fields.children.is_empty()).then_some(&self.fields) }
    }
}

impl MaskNode {
    fn add(&mut self, keys: &[Key]) {
        let Some((first, rest)) = keys.split_first() else {
            self.whole = true;
            return;
        };
        if let Some((_, child)) = self.children.iter_mut().find(|(key, _)| key == first) {
            child.add(rest);
        } else {
            let mut child = Self::default();
            child.add(rest);
            self.bits |= bit(&first.name);
            self.children.push((first.clone(), child));
        }
    }

    fn write_json(&self, json: &Json<'_>, out: &mut Vec<u8>) {
        match json {
            Json::Object(members) if !self.whole => {
                out.push(b'{');
                let mut first = true;
                for (name, value) in members {
                    let Some(mask) = self.member(name) else { continue };
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    write_json_text(name, out);
                    out.push(b':');
                    mask.write_json(value, out);
                }
                out.push(b'}');
            }
            Json::Array(items) if !self.whole => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    match self.item(at) {
                        Some(mask) => mask.write_json(item, out),
                        None => out.extend_from_slice(b"null"),
                    }
                }
                out.push(b']');
            }
            whole => whole.write(out),
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        if self.whole {
            return Some(&WHOLE);
        }
        if self.bits & bit(name) == 0 {
            return None;
        }
        self.children.iter().find(|(key, _)| key.name == name).map(|(_, child)| child)
    }

    fn item(&self, index: usize) -> Option<&Self> {
        if self.whole {
            return Some(&WHOLE);
        }
        self.children
            .iter()
            .find(|(key, _)| key.index.is_some_and(|item| item as usize == index))
            .map(|(_, child)| child)
    }
}

/// Why a row is not a user. Contains no data of the row itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowParseError {
    /// The row is not UTF-8 from this byte on (counted from 1).
    NotUtf8(usize),
    /// The row is not JSON; the byte of the error (counted from 1).
    NotJson(usize),
    /// The row is JSON, but contains a number beyond 64-bit floating point; the byte of the error (counted from 1).
    NumberTooLarge(usize),
    /// The row is JSON, but not an object.
    NotAnObject,
    /// The row is nested deeper than this many levels.
    TooDeep(usize),
}

impl fmt::Display for RowParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8(byte) => write!(f, "not valid UTF-8 at byte {byte} of the row"),
            Self::NotJson(byte) => write!(f, "not valid JSON at byte {byte} of the row"),
            Self::NumberTooLarge(byte) => {
                write!(f, "a number beyond 64-bit floating point at byte {byte} of the row")
            }
            Self::NotAnObject => f.write_str("not a JSON object"),
            Self::TooDeep(levels) => write!(f, "nested deeper than {levels} levels"),
        }
    }
}

/// Up to this number of members a linear search is faster than a map.
const MAX_LINEAR_MEMBERS: usize = 32;

/// The maximum nesting of a row, in levels. Auth0 itself allows far less.
pub const MAX_DEPTH: usize = 200;

/// Reads the parts that `mask` selects from the JSON text of one user.
///
/// The whole text is checked. Unpaired surrogates become U+FFFD.
pub fn parse_row<'a>(row: &'a [u8], mask: &ProjectionMask) -> Result<Json<'a>, RowParseError> {
    parse_row_with_text(row, mask).map(|(_, user)| user)
}

/// Like [`parse_row`], and also returns the row as text.
pub fn parse_row_with_text<'a>(row: &'a [u8], mask: &ProjectionMask) -> Result<(&'a str, Json<'a>), RowParseError> {
    let text = decode_utf8(row)?;
    let user = match tokenizer::parse_fast(text, mask.seed()) {
        Some(user @ Json::Object(_)) => user,
        _ => check_shape(text).and_then(|()| parse_slow(text, mask))?,
    };
    Ok((text, user))
}

/// The results of the fast parser (`None` if it cannot read the row) and of the slow parser.
pub type FastAndSlow<'a> = (Option<Json<'a>>, Result<Json<'a>, RowParseError>);

/// Reads a row with the fast and the slow parser, for tests that compare them; [`parse_row`] is for production code.
///
/// Fails if neither parser is used: the row is not UTF-8, not an object, or nested too deeply.
pub fn parse_row_both_ways<'a>(row: &'a [u8], mask: &ProjectionMask) -> Result<FastAndSlow<'a>, RowParseError> {
    let text = decode_utf8(row)?;
    check_shape(text)?;
    Ok((tokenizer::parse_fast(text, mask.seed()), parse_slow(text, mask)))
}

/// Reads with the general parser, which is slower but reports what is wrong.
pub(super) fn parse_slow<'a>(text: &'a str, mask: &ProjectionMask) -> Result<Json<'a>, RowParseError> {
    build(text, mask.seed())
}

fn build<'a>(text: &'a str, seed: MaskSeed<'_>) -> Result<Json<'a>, RowParseError> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    let user = seed.deserialize(&mut deserializer).and_then(|user| deserializer.end().map(|()| user));
    user.map_err(|error| {
        let at = error_byte(&error, text);
        // JSON does not limit numbers, so the text may be valid even if a number is too large for `f64`.
        if check_json(text).is_ok() { RowParseError::NumberTooLarge(at) } else { RowParseError::NotJson(at) }
    })
}

/// Returns the byte of an error, counted from 1. The parser's own message is not used: it quotes the text around the
/// error, which may be personal data.
fn error_byte(error: &sonic_rs::Error, text: &str) -> usize {
    if error.is_eof() { text.len() + 1 } else { error.offset().min(text.len()) + 1 }
}

/// Checks that a text is JSON, without building it.
fn check_json(text: &str) -> sonic_rs::Result<()> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    deserializer.deserialize::<IgnoredAny>().and_then(|_| deserializer.end())
}

/// Checks that a row is a JSON object; returns it as text.
pub fn check_row(row: &[u8]) -> Result<&str, RowParseError> {
    let text = decode_utf8(row)?;
    if tokenizer::is_object(text) {
        return Ok(text);
    }
    check_shape(text)?;
    if let Err(error) = check_json(text) {
        // Reports the same byte as `parse_row` does.
        build(text, ProjectionMask::everything())?;
        return Err(RowParseError::NotJson(error_byte(&error, text)));
    }
    Ok(text)
}

fn decode_utf8(row: &[u8]) -> Result<&str, RowParseError> {
    simdutf8::compat::from_utf8(row).map_err(|error| RowParseError::NotUtf8(error.valid_up_to() + 1))
}

/// Checks that a row is an object and not nested too deeply, before a recursive parser reads it.
fn check_shape(text: &str) -> Result<(), RowParseError> {
    if !text.trim_ascii_start().starts_with('{') {
        let json = serde_json::from_str::<IgnoredAny>(text);
        return Err(
            json.map_or_else(|error| RowParseError::NotJson(error.column().max(1)), |_| RowParseError::NotAnObject)
        );
    }
    if nesting_depth(text.as_bytes()) > MAX_DEPTH {
        return Err(RowParseError::TooDeep(MAX_DEPTH));
    }
    Ok(())
}

/// Returns how deep a row is nested; brackets in strings do not count.
fn nesting_depth(row: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in row {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_text = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

/// What a mask selects of the value that is read next, by paths and by fields; at least one of the two is set.
#[derive(Clone, Copy)]
pub(super) struct MaskSeed<'t> {
    path: Option<&'t MaskNode>,
    field: Option<&'t MaskNode>,
}

impl<'t> MaskSeed<'t> {
    /// Returns the maximum number of selected members.
    pub(super) fn breadth(self) -> usize {
        let breadth = |node: Option<&MaskNode>| node.map_or(0, |node| node.children.len());
        breadth(self.path) + breadth(self.field)
    }

    /// Returns the [`bit`]s of all selected members.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        let bits = |node: Option<&MaskNode>| node.map_or(0, |node| if node.whole { u64::MAX } else { node.bits });
        bits(self.path) | bits(self.field)
    }

    /// Returns what is selected of the member `name`; `None` if nothing is.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        let path = self.path.and_then(|node| node.member(name));
        Self::from_nodes(path, self.field.and_then(|node| node.member(name)))
    }

    /// Returns what is selected of the item at `index`; `None` if nothing is.
    pub(super) fn item(self, index: usize) -> Option<Self> {
        Self::from_nodes(self.path.and_then(|node| node.item(index)), self.field)
    }

    fn from_nodes(path: Option<&'t MaskNode>, field: Option<&'t MaskNode>) -> Option<Self> {
        (path.is_some() || field.is_some()).then_some(Self { path, field })
    }
}

impl<'de> DeserializeSeed<'de> for MaskSeed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MaskSeed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Json<'de>, E> {
        Ok(Json::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        loop {
            let item = match self.item(array.len()) {
                Some(seed) => items.next_element_seed(seed)?,
                // A placeholder keeps later indices and the length correct.
                None => items.next_element::<IgnoredAny>()?.map(|_| Json::Null),
            };
            match item {
                Some(item) => array.push(item),
                None => return Ok(Json::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = ObjectBuilder::with_capacity(self.breadth());
        while let Some(name) = members.next_key_seed(MemberName)? {
            match self.member(&name) {
                Some(seed) => {
                    let value = members.next_value_seed(seed)?;
                    object.put(name, value);
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(object.finish())
    }
}

/// Builds an object with the member order of JavaScript.
pub(super) struct ObjectBuilder<'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
    /// The position of every member by name, filled once the object is large: a linear search per member would be
    /// quadratic.
    positions: HashMap<Cow<'a, str>, usize>,
    /// Whether a name looks like an array index.
    indices: bool,
    /// The [`bit`]s of all members, so that most new names are recognized by one comparison.
    bits: u64,
}

impl<'a> ObjectBuilder<'a> {
    /// Returns an empty builder with capacity for `members` members.
    pub(super) fn with_capacity(members: usize) -> Self {
        Self { members: Vec::with_capacity(members), positions: HashMap::new(), indices: false, bits: 0 }
    }

    /// Adds a member. If the name exists, its value is replaced and its position kept.
    pub(super) fn put(&mut self, name: Cow<'a, str>, value: Json<'a>) {
        self.indices |= name.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let known = if self.bits & bit(&name) == 0 {
            None
        } else if self.members.len() < MAX_LINEAR_MEMBERS {
            self.members.iter().position(|(known, _)| *known == name)
        } else {
            if self.positions.is_empty() {
                let members = self.members.iter().enumerate();
                self.positions.extend(members.map(|(position, (known, _))| (known.clone(), position)));
            }
            self.positions.get(&name).copied()
        };
        if let Some((_, known)) = known.and_then(|position| self.members.get_mut(position)) {
            *known = value;
        } else {
            self.bits |= bit(&name);
            if !self.positions.is_empty() {
                self.positions.insert(name.clone(), self.members.len());
            }
            self.members.push((name, value));
        }
    }

    /// Returns the object, with keys that are array indices first.
    pub(super) fn finish(mut self) -> Json<'a> {
        if self.indices {
            // The sort is stable: keys that are not array indices keep their order.
            self.members.sort_by_key(|(name, _)| array_index(name).unwrap_or(u32::MAX));
        }
        Json::Object(self.members)
    }
}

/// Deserializes a member name; borrowed if it has no escapes.
struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
