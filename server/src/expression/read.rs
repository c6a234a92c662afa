//! Reads from the text of a user just what expressions want.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{Json, write_json_text};
use super::path::{Key, Path, array_index};

/// What is wanted of a user: the paths of several expressions, merged into a trie. Everything else is
/// checked and skipped, never built.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Tree);

#[derive(Clone, Debug, Default)]
struct Tree {
    whole: bool,
    children: Vec<(Key, Tree)>,
}

static WHOLE: Tree = Tree { whole: true, children: Vec::new() };

impl Wanted {
    /// What these expressions want.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut wanted = Self::default();
        for path in paths {
            for keys in path.accesses() {
                wanted.0.add(keys);
            }
        }
        wanted
    }

    /// What is wanted of an access by these steps from the user.
    pub(super) fn of_steps<'a>(steps: impl IntoIterator<Item = &'a [Key]>) -> Self {
        let mut wanted = Self::default();
        for keys in steps {
            wanted.0.add(keys);
        }
        wanted
    }

    /// Writes what is wanted of a user as JSON: what an access that is wanted meets is there, nothing else.
    pub(super) fn write(&self, user: &Json<'_>, out: &mut Vec<u8>) {
        self.0.write(user, out);
    }

    /// The root attributes that are read; none when whole users are.
    pub fn attributes(&self) -> Option<Vec<&str>> {
        (!self.0.whole).then(|| self.0.children.iter().map(|(key, _)| key.name.as_str()).collect())
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
    let text = check(row)?;
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    let user = Seed(&wanted.0).deserialize(&mut deserializer).and_then(|user| deserializer.end().map(|()| user));
    // Only the place: the parser's own message quotes the text around it, which may be personal data.
    user.map_err(|error| not_json(&error, row))
}

/// Checks that a row is a JSON object, and gives its text.
pub fn check_whole(row: &[u8]) -> Result<&str, Unreadable> {
    let text = check(row)?;
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    let checked = deserializer.deserialize::<IgnoredAny>().and_then(|_| deserializer.end());
    checked.map_err(|error| not_json(&error, row))?;
    Ok(text)
}

fn not_json(error: &sonic_rs::Error, row: &[u8]) -> Unreadable {
    let at = if error.is_eof() { row.len() } else { error.offset().min(row.len()) };
    Unreadable::NotJson(at + 1)
}

/// What must hold before a parser that recurses gets to see the row.
fn check(row: &[u8]) -> Result<&str, Unreadable> {
    let text = simdutf8::compat::from_utf8(row).map_err(|error| Unreadable::NotUtf8(error.valid_up_to() + 1))?;
    if row.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        let json = serde_json::from_str::<IgnoredAny>(text);
        return Err(json.map_or_else(|error| Unreadable::NotJson(error.column().max(1)), |_| Unreadable::NotAnObject));
    }
    // Counting brackets is many times faster than following them, and nearly always enough.
    let opening = row.iter().filter(|byte| **byte | 0x20 == b'{').count();
    if opening > DEEPEST && depth(row) > DEEPEST {
        return Err(Unreadable::TooDeep(DEEPEST));
    }
    Ok(text)
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

struct Seed<'t>(&'t Tree);

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
            let item = match self.0.item(array.len()) {
                Some(tree) => items.next_element_seed(Seed(tree))?,
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
        let mut object: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        // Large objects are hostile or at least rare; looking every name up in a list would be quadratic.
        let mut places: HashMap<Cow<'de, str>, usize> = HashMap::new();
        let mut indices = false;
        while let Some(name) = members.next_key_seed(Name)? {
            let Some(tree) = self.0.member(&name) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = members.next_value_seed(Seed(tree))?;
            indices |= name.as_bytes().first().is_some_and(u8::is_ascii_digit);
            let known = if object.len() < FEW {
                object.iter().position(|(known, _)| *known == name)
            } else {
                if places.is_empty() {
                    places.extend(object.iter().enumerate().map(|(place, (known, _))| (known.clone(), place)));
                }
                places.get(&name).copied()
            };
            if let Some((_, known)) = known.and_then(|place| object.get_mut(place)) {
                *known = value;
            } else {
                if !places.is_empty() {
                    places.insert(name.clone(), object.len());
                }
                object.push((name, value));
            }
        }
        if indices {
            // Stable: keys that are no indices keep their order behind those that are.
            object.sort_by_key(|(name, _)| array_index(name).unwrap_or(u32::MAX));
        }
        Ok(Json::Object(object))
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
