//! Reads from the text of a user just what expressions want.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{Json, write_json_text};
use super::path::{Key, Path, array_index};
use super::scan;
use super::tokens::Tokens;
use super::walk::Walker;

/// What is wanted of a user: the paths of several expressions and the fields of a search, each merged
/// into a trie. Everything else is checked and skipped, never built.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    paths: Tree,
    /// Unlike a path, a field leads through arrays: it means the values of all their items.
    fields: Tree,
}

#[derive(Clone, Debug, Default)]
struct Tree {
    whole: bool,
    children: Vec<(Key, Tree)>,
    /// The [`bit`] of every child, so that most unwanted members are told at a glance.
    bits: u64,
}

static WHOLE: Tree = Tree { whole: true, children: Vec::new(), bits: 0 };

/// One of 64 bits for a name: names that differ in length or in an outer byte mostly have different ones.
#[inline]
pub(super) fn bit(name: &str) -> u64 {
    let outer = name.as_bytes().first().unwrap_or(&0).wrapping_add(name.as_bytes().last().unwrap_or(&0).rotate_left(2));
    1 << (outer.wrapping_add(name.len() as u8) & 63)
}

impl Wanted {
    /// What these expressions want.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut wanted = Self::default();
        for path in paths {
            for keys in path.accesses() {
                wanted.paths.add(keys);
            }
        }
        wanted
    }

    /// The same, and the values a search looks at: of every field the names that lead to it from the
    /// user on. An array on the way stands for each of its items.
    #[must_use]
    pub fn and_fields<'a>(mut self, fields: impl IntoIterator<Item = &'a [String]>) -> Self {
        for field in fields {
            let keys: Vec<Key> = field.iter().map(Key::new).collect();
            self.fields.add(&keys);
        }
        self
    }

    /// What is wanted of an access by these steps from the user.
    pub(super) fn of_steps<'a>(steps: impl IntoIterator<Item = &'a [Key]>) -> Self {
        let mut wanted = Self::default();
        for keys in steps {
            wanted.paths.add(keys);
        }
        wanted
    }

    /// Writes what is wanted of a user as JSON: what an access that is wanted meets is there, nothing else.
    pub(super) fn write(&self, user: &Json<'_>, out: &mut Vec<u8>) {
        self.paths.write(user, out);
    }

    /// The root attributes that are read; none when whole users are.
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

    /// Reads what is wanted of the user in the line that starts at a place of the text, and says where the
    /// line ends; nothing where it is no user, or one that takes the thorough parser.
    pub fn read_line<'a>(&self, text: &'a str, at: usize) -> Option<(Json<'a>, usize)> {
        scan::scan_line(text, at, self.seed())
    }

    /// As [`read_line`](Self::read_line), of an indexed text: the line starts at a place of it that is not before
    /// where the walker is.
    pub fn walk_line<'a>(&self, walker: &mut Walker<'a, '_>, at: usize) -> Option<(Json<'a>, usize)> {
        (walker.go_to(at) && walker.next() == b'{').then_some(())?;
        let user = walker.value(self.seed())?;
        walker.line_end().map(|end| (user, end))
    }

    /// The place of what is wanted as a whole.
    pub(super) fn everything() -> Seed<'static> {
        Seed { path: Some(&WHOLE), field: None }
    }

    /// Where reading starts.
    pub(super) fn seed(&self) -> Seed<'_> {
        Seed { path: Some(&self.paths), field: (!self.fields.children.is_empty()).then_some(&self.fields) }
    }
}

impl Tree {
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

    fn write(&self, json: &Json<'_>, out: &mut Vec<u8>) {
        match json {
            Json::Object(members) if !self.whole => {
                out.push(b'{');
                let mut first = true;
                for (name, value) in members {
                    let Some(wanted) = self.member(name) else { continue };
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    write_json_text(name, out);
                    out.push(b':');
                    wanted.write(value, out);
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
                        Some(wanted) => wanted.write(item, out),
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
            .find(|(key, _)| key.index.is_some_and(|wanted| wanted as usize == index))
            .map(|(_, child)| child)
    }
}

/// Why a row is no user. Holds nothing of the row itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The bytes are not UTF-8 from this byte (counted from 1) on.
    NotUtf8(usize),
    /// It is not JSON; the byte (counted from 1) where that shows.
    NotJson(usize),
    /// It is JSON, but a number in it is beyond what 64-bit floating point holds; the byte (counted from 1)
    /// where that shows.
    NumberTooLarge(usize),
    /// It is JSON, but no object.
    NotAnObject,
    /// It is nested deeper than this many levels.
    TooDeep(usize),
}

impl fmt::Display for Unreadable {
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

/// Up to so many members a list is faster than a map.
const FEW: usize = 32;

/// How deep a row may be nested. Auth0 itself allows far less.
pub const DEEPEST: usize = 200;

/// Reads what is wanted from the JSON text of one user. The whole text is checked; half surrogate pairs
/// become U+FFFD.
pub fn read<'a>(row: &'a [u8], wanted: &Wanted) -> Result<Json<'a>, Unreadable> {
    read_with_text(row, wanted).map(|(_, user)| user)
}

/// As [`read`], and the text of the row, in one pass.
pub fn read_with_text<'a>(row: &'a [u8], wanted: &Wanted) -> Result<(&'a str, Json<'a>), Unreadable> {
    let text = text(row)?;
    let user = match scan::scan(text, wanted.seed()) {
        Some(user @ Json::Object(_)) => user,
        _ => check(text).and_then(|()| thoroughly(text, wanted))?,
    };
    Ok((text, user))
}

/// A row read the quick way, nothing where that gives up, and the thorough way.
pub type BothWays<'a> = (Option<Json<'a>>, Result<Json<'a>, Unreadable>);

/// Reads a row both ways, for whoever compares them; [`read()`] is what counts. Fails where neither gets to
/// see the row: it is no UTF-8, no object, or too deep.
pub fn read_both_ways<'a>(row: &'a [u8], wanted: &Wanted) -> Result<BothWays<'a>, Unreadable> {
    let text = text(row)?;
    check(text)?;
    Ok((scan::scan(text, wanted.seed()), thoroughly(text, wanted)))
}

/// Reads with a parser that knows what to say about whatever it meets.
pub(super) fn thoroughly<'a>(text: &'a str, wanted: &Wanted) -> Result<Json<'a>, Unreadable> {
    build(text, wanted.seed())
}

fn build<'a>(text: &'a str, seed: Seed<'_>) -> Result<Json<'a>, Unreadable> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    let user = seed.deserialize(&mut deserializer).and_then(|user| deserializer.end().map(|()| user));
    user.map_err(|error| {
        let at = place(&error, text);
        // The grammar has no limit for numbers; only whoever wants their value does.
        if skip(text).is_ok() { Unreadable::NumberTooLarge(at) } else { Unreadable::NotJson(at) }
    })
}

/// Only the place of an error: the parser's own message quotes the text around it, which may be personal data.
fn place(error: &sonic_rs::Error, text: &str) -> usize {
    if error.is_eof() { text.len() + 1 } else { error.offset().min(text.len()) + 1 }
}

/// Checks that a text is JSON, whatever it holds.
fn skip(text: &str) -> sonic_rs::Result<()> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    deserializer.deserialize::<IgnoredAny>().and_then(|_| deserializer.end())
}

/// Checks that a row is a JSON object, and gives its text.
pub fn check_whole(row: &[u8]) -> Result<&str, Unreadable> {
    let text = text(row)?;
    if scan::is_object(text) {
        return Ok(text);
    }
    check(text)?;
    if let Err(error) = skip(text) {
        // Where it stops being JSON is said as it is to whoever builds the user.
        build(text, Wanted::everything())?;
        return Err(Unreadable::NotJson(place(&error, text)));
    }
    Ok(text)
}

fn text(row: &[u8]) -> Result<&str, Unreadable> {
    simdutf8::compat::from_utf8(row).map_err(|error| Unreadable::NotUtf8(error.valid_up_to() + 1))
}

/// What must hold before a parser that recurses gets to see the row.
fn check(text: &str) -> Result<(), Unreadable> {
    if !text.trim_ascii_start().starts_with('{') {
        let json = serde_json::from_str::<IgnoredAny>(text);
        return Err(json.map_or_else(|error| Unreadable::NotJson(error.column().max(1)), |_| Unreadable::NotAnObject));
    }
    if depth(text.as_bytes()) > DEEPEST {
        return Err(Unreadable::TooDeep(DEEPEST));
    }
    Ok(())
}

/// How deep a row is nested, brackets in strings left out.
fn depth(row: &[u8]) -> usize {
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

/// What is wanted here by paths, and by fields; one of both is something.
#[derive(Clone, Copy)]
pub(super) struct Seed<'t> {
    path: Option<&'t Tree>,
    field: Option<&'t Tree>,
}

impl<'t> Seed<'t> {
    /// How many members are wanted at most.
    pub(super) fn breadth(self) -> usize {
        let breadth = |tree: Option<&Tree>| tree.map_or(0, |tree| tree.children.len());
        breadth(self.path) + breadth(self.field)
    }

    /// The [`bit`]s of all members that are wanted.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        let bits = |tree: Option<&Tree>| tree.map_or(0, |tree| if tree.whole { u64::MAX } else { tree.bits });
        bits(self.path) | bits(self.field)
    }

    /// What is wanted of the member of this name.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        let path = self.path.and_then(|tree| tree.member(name));
        Self::of(path, self.field.and_then(|tree| tree.member(name)))
    }

    /// What is wanted of the item at this place.
    pub(super) fn item(self, index: usize) -> Option<Self> {
        Self::of(self.path.and_then(|tree| tree.item(index)), self.field)
    }

    fn of(path: Option<&'t Tree>, field: Option<&'t Tree>) -> Option<Self> {
        (path.is_some() || field.is_some()).then_some(Self { path, field })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
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
                // The place is kept, so that later indices and the length are right.
                None => items.next_element::<IgnoredAny>()?.map(|_| Json::Null),
            };
            match item {
                Some(item) => array.push(item),
                None => return Ok(Json::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = Object::with_capacity(self.breadth());
        while let Some(name) = members.next_key_seed(Name)? {
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

/// An object in the making.
pub(super) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Json<'a>)>,
    /// Large objects are hostile or at least rare; looking every name up in a list would be quadratic.
    places: HashMap<Cow<'a, str>, usize>,
    /// Whether a name looks like an array index.
    indices: bool,
    /// The [`bit`] of every member, so that new ones are mostly told at a glance.
    bits: u64,
}

impl<'a> Object<'a> {
    /// An empty object with room for so many members.
    pub(super) fn with_capacity(members: usize) -> Self {
        Self { members: Vec::with_capacity(members), places: HashMap::new(), indices: false, bits: 0 }
    }

    /// Adds a member; of a name that stands twice the last value counts, at its first place.
    pub(super) fn put(&mut self, name: Cow<'a, str>, value: Json<'a>) {
        self.indices |= name.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let known = if self.bits & bit(&name) == 0 {
            None
        } else if self.members.len() < FEW {
            self.members.iter().position(|(known, _)| *known == name)
        } else {
            if self.places.is_empty() {
                let members = self.members.iter().enumerate();
                self.places.extend(members.map(|(place, (known, _))| (known.clone(), place)));
            }
            self.places.get(&name).copied()
        };
        if let Some((_, known)) = known.and_then(|place| self.members.get_mut(place)) {
            *known = value;
        } else {
            self.bits |= bit(&name);
            if !self.places.is_empty() {
                self.places.insert(name.clone(), self.members.len());
            }
            self.members.push((name, value));
        }
    }

    /// The object, keys that are array indices first.
    pub(super) fn finish(mut self) -> Json<'a> {
        if self.indices {
            // Stable: keys that are no indices keep their order behind those that are.
            self.members.sort_by_key(|(name, _)| array_index(name).unwrap_or(u32::MAX));
        }
        Json::Object(self.members)
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
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
