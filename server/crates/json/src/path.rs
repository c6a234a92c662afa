//! Paths: alternatives of attribute paths and literals, computed natively (docs/decisions/0004-native-paths.md).
//!
//! A path has the meaning of JavaScript with `?.` for every access: accessing a nullish value returns `undefined`.

use std::borrow::Cow;
use std::fmt;

use super::value::{Cell, Json, write_json_text};

/// One step of a path: the property name, and its number if it is an array index.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The property name.
    pub name: String,
    /// The number, if the name is an array index.
    pub index: Option<u32>,
}

impl Key {
    /// Returns the key of a property name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let index = array_index(&name);
        Self { name, index }
    }
}

/// Returns the number of an array index as ECMAScript defines it: a canonical integer from 0 to 2^32 - 2.
pub(super) fn array_index(name: &str) -> Option<u32> {
    let canonical = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { name.parse().ok().filter(|index| *index != u32::MAX) } else { None }
}

/// A literal value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `undefined`.
    Nothing,
    /// `null`, which is the same as `undefined` in a cell.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
}

/// Alternatives of attribute paths and literals.
#[derive(Clone, Debug, PartialEq)]
pub struct Path(pub Node);

/// A node of the tree of alternatives.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Steps from the user; an empty list is the user itself.
    Access(Vec<Key>),
    /// A literal alternative.
    Literal(Literal),
    /// `||`: the first truthy alternative, or the last.
    Or(Vec<Node>),
    /// `??`: the first alternative that is not nullish, or the last.
    Nullish(Vec<Node>),
}

impl Path {
    /// Returns the path of one root attribute.
    pub fn attribute(name: &str) -> Self {
        Self(Node::Access(vec![Key::new(name)]))
    }

    /// Computes the path for a user.
    pub fn evaluate<'a>(&'a self, user: &'a Json<'a>) -> Cell<'a> {
        self.0.evaluate(user).cell()
    }

    /// Returns whether the path gives `null` for a user, and not `undefined`, which is the same in a cell.
    pub fn is_null<'a>(&'a self, user: &'a Json<'a>) -> bool {
        self.0.is_null(user)
    }

    /// Returns every access in the path, as steps from the user.
    pub fn accesses(&self) -> Vec<&[Key]> {
        let mut found = Vec::new();
        self.0.collect_accesses(&mut found);
        found
    }
}

/// An intermediate value of a path. Unlike a cell it can be a function, which is truthy.
pub(super) enum PathValue<'a> {
    Cell(Cell<'a>),
    /// A method that all values of a type inherit: truthy, but empty as a cell.
    Method(&'static Method),
}

/// A method of `String.prototype`, `Array.prototype` or `Number.prototype`.
pub(super) struct Method {
    name: &'static str,
    length: u32,
}

impl<'a> PathValue<'a> {
    const NOTHING: Self = Self::Cell(Cell::Nothing);

    /// Converts the value to a cell.
    pub(super) fn cell(self) -> Cell<'a> {
        match self {
            // JSON cannot represent these numbers, and all kinds of expressions must give the same cells.
            Self::Cell(Cell::Number(number)) if !number.is_finite() => Cell::Nothing,
            Self::Cell(cell) => cell,
            Self::Method(_) => Cell::Nothing,
        }
    }

    fn is_nullish(&self) -> bool {
        matches!(self, Self::Cell(Cell::Nothing))
    }

    pub(super) fn is_non_nullish(&self) -> bool {
        !self.is_nullish()
    }

    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Cell(Cell::Nothing) => false,
            Self::Cell(Cell::Boolean(boolean)) => *boolean,
            Self::Cell(Cell::Number(number)) => *number != 0.0 && !number.is_nan(),
            Self::Cell(Cell::Text(text)) => !text.is_empty(),
            Self::Cell(Cell::Json(_)) | Self::Method(_) => true,
        }
    }

    fn from_json(json: &'a Json<'a>) -> Self {
        Self::Cell(Cell::from(json))
    }

    pub(super) fn literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Nothing | Literal::Null => Self::NOTHING,
            Literal::Boolean(boolean) => Self::Cell(Cell::Boolean(*boolean)),
            Literal::Number(number) => Self::Cell(Cell::Number(*number)),
            Literal::Text(text) => Self::Cell(Cell::Text(Cow::Borrowed(text))),
        }
    }

    /// Returns the first alternative that `accept` accepts, or the last.
    pub(super) fn first_accepted<T>(
        alternatives: &'a [T],
        evaluate: impl Fn(&'a T) -> Self,
        accept: impl Fn(&Self) -> bool,
    ) -> Self {
        let mut last = Self::NOTHING;
        for alternative in alternatives {
            last = evaluate(alternative);
            if accept(&last) {
                break;
            }
        }
        last
    }

    /// Follows `keys` from this value.
    pub(super) fn follow(self, keys: &[Key]) -> Self {
        let mut value = self;
        for key in keys {
            if value.is_nullish() {
                break;
            }
            value = value.get(key);
        }
        value
    }

    fn method(methods: &'static [Method], key: &Key) -> Self {
        methods.iter().find(|method| method.name == key.name).map_or(Self::NOTHING, Self::Method)
    }

    /// Returns the property `key` of this value.
    fn get(self, key: &Key) -> Self {
        match self {
            // `Cell::Json` only holds arrays and objects; all other values have their own variants.
            Self::Cell(
                Cell::Nothing
                | Cell::Boolean(_)
                | Cell::Json(Json::Null | Json::Boolean(_) | Json::Number(_) | Json::Text(_)),
            ) => Self::NOTHING,
            Self::Cell(Cell::Json(Json::Object(members))) => members
                .iter()
                .find(|(name, _)| *name == key.name)
                .map_or(Self::NOTHING, |(_, value)| Self::from_json(value)),
            Self::Cell(Cell::Json(Json::Array(items))) => match key.index {
                Some(index) => items.get(index as usize).map_or(Self::NOTHING, Self::from_json),
                None if key.name == "length" => Self::Cell(Cell::Number(items.len() as f64)),
                None => Self::method(ARRAY_METHODS, key),
            },
            Self::Cell(Cell::Text(text)) => match key.index {
                Some(index) => utf16_unit(&text, index as usize)
                    .map_or(Self::NOTHING, |unit| Self::Cell(Cell::Text(Cow::Owned(unit)))),
                None if key.name == "length" => Self::Cell(Cell::Number(utf16_length(&text) as f64)),
                None => Self::method(STRING_METHODS, key),
            },
            Self::Cell(Cell::Number(_)) => Self::method(NUMBER_METHODS, key),
            Self::Method(method) => match key.name.as_str() {
                // The two legacy names are aliases, so their `name` is that of the current function.
                "name" => Self::Cell(Cell::Text(Cow::Borrowed(match method.name {
                    "trimLeft" => "trimStart",
                    "trimRight" => "trimEnd",
                    name => name,
                }))),
                "length" => Self::Cell(Cell::Number(f64::from(method.length))),
                _ => Self::NOTHING,
            },
        }
    }
}

impl Node {
    fn evaluate<'a>(&'a self, user: &'a Json<'a>) -> PathValue<'a> {
        match self {
            Self::Access(keys) => PathValue::from_json(user).follow(keys),
            Self::Literal(literal) => PathValue::literal(literal),
            Self::Or(alternatives) => {
                PathValue::first_accepted(alternatives, |one| one.evaluate(user), PathValue::is_truthy)
            }
            Self::Nullish(alternatives) => {
                PathValue::first_accepted(alternatives, |one| one.evaluate(user), PathValue::is_non_nullish)
            }
        }
    }

    fn is_null<'a>(&'a self, user: &'a Json<'a>) -> bool {
        match self {
            Self::Access(keys) => {
                let mut value = user;
                for key in keys {
                    let next = match value {
                        Json::Object(members) => {
                            members.iter().find(|(name, _)| *name == key.name).map(|(_, value)| value)
                        }
                        Json::Array(items) => key.index.and_then(|index| items.get(index as usize)),
                        _ => None,
                    };
                    let Some(next) = next else { return false };
                    value = next;
                }
                matches!(value, Json::Null)
            }
            Self::Literal(literal) => *literal == Literal::Null,
            Self::Or(alternatives) => Self::last_is_null(alternatives, user, PathValue::is_truthy),
            Self::Nullish(alternatives) => Self::last_is_null(alternatives, user, PathValue::is_non_nullish),
        }
    }

    /// Returns whether no alternative is accepted and the last one is `null`. A method is accepted: it is not nullish.
    fn last_is_null<'a>(alternatives: &'a [Self], user: &'a Json<'a>, accept: impl Fn(&PathValue<'a>) -> bool) -> bool {
        alternatives.last().is_some_and(|last| last.is_null(user))
            && !alternatives.iter().any(|alternative| accept(&alternative.evaluate(user)))
    }

    fn collect_accesses<'a>(&'a self, found: &mut Vec<&'a [Key]>) {
        match self {
            Self::Access(keys) => found.push(keys),
            Self::Literal(_) => {}
            Self::Or(alternatives) | Self::Nullish(alternatives) => {
                for alternative in alternatives {
                    alternative.collect_accesses(found);
                }
            }
        }
    }
}

/// Returns whether strings, arrays and numbers, in this order, inherit a method of this name.
pub(super) fn types_with_method(name: &str) -> [bool; 3] {
    [STRING_METHODS, ARRAY_METHODS, NUMBER_METHODS].map(|methods| methods.iter().any(|method| method.name == name))
}

/// Returns the length of a string in UTF-16 code units.
fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Returns one UTF-16 code unit of a string; a surrogate becomes U+FFFD. `None` beyond the end.
fn utf16_unit(text: &str, index: usize) -> Option<String> {
    let unit = text.encode_utf16().nth(index)?;
    Some(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER).into())
}

/// Names that every value inherits from `Object.prototype`. They are not names of attributes, and their values depend
/// on more than the user. A path with one of them is therefore JavaScript.
pub const INHERITED_BY_ALL: &[&str] = &[
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

macro_rules! methods {
    ($name:ident: $($method:ident $length:literal)*) => {
        static $name: &[Method] = &[$(Method { name: stringify!($method), length: $length },)*];
    };
}

// ECMA-262, sections 22.1.3 with B.2.2, 23.1.3 and 21.1.3.
methods!(STRING_METHODS: anchor 1 at 1 big 0 blink 0 bold 0 charAt 1 charCodeAt 1 codePointAt 1 concat 1 endsWith 1
    fixed 0 fontcolor 1 fontsize 1 includes 1 indexOf 1 isWellFormed 0 italics 0 lastIndexOf 1 link 1 localeCompare 1
    match 1 matchAll 1 normalize 0 padEnd 1 padStart 1 repeat 1 replace 2 replaceAll 2 search 1 slice 2 small 0 split 2
    startsWith 1 strike 0 sub 0 substr 2 substring 2 sup 0 toLocaleLowerCase 0 toLocaleUpperCase 0 toLowerCase 0
    toUpperCase 0 toWellFormed 0 trim 0 trimEnd 0 trimLeft 0 trimRight 0 trimStart 0);
methods!(ARRAY_METHODS: at 1 concat 1 copyWithin 2 entries 0 every 1 fill 1 filter 1 find 1 findIndex 1 findLast 1
    findLastIndex 1 flat 0 flatMap 1 forEach 1 includes 1 indexOf 1 join 1 keys 0 lastIndexOf 1 map 1 pop 0 push 1
    reduce 1 reduceRight 1 reverse 0 shift 0 slice 2 some 1 sort 1 splice 2 toReversed 0 toSorted 1 toSpliced 2
    unshift 1 values 0 with 2);
methods!(NUMBER_METHODS: toExponential 1 toFixed 1 toPrecision 1);

/// Writes a path as an expression; parsing it returns the same path.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_node(&self.0, f)
    }
}

fn write_node(node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut buffer = ryu_js::Buffer::new();
    match node {
        Node::Access(keys) => {
            f.write_str("user")?;
            keys.iter().try_for_each(|key| write_key(key, f))
        }
        Node::Literal(Literal::Nothing) => f.write_str("undefined"),
        Node::Literal(Literal::Null) => f.write_str("null"),
        Node::Literal(Literal::Boolean(boolean)) => write!(f, "{boolean}"),
        Node::Literal(Literal::Number(number)) => {
            if number.is_sign_negative() {
                f.write_str("-")?;
            }
            let number = number.abs();
            // JavaScript reads the literal 1e999 as Infinity.
            f.write_str(if number.is_infinite() { "1e999" } else { buffer.format(number) })
        }
        Node::Literal(Literal::Text(text)) => write_quoted(text, f),
        Node::Or(nodes) => write_alternatives(nodes, " || ", f),
        Node::Nullish(nodes) => write_alternatives(nodes, " ?? ", f),
    }
}

fn write_alternatives(nodes: &[Node], operator: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            f.write_str(operator)?;
        }
        if matches!(node, Node::Or(_) | Node::Nullish(_)) {
            f.write_str("(")?;
            write_node(node, f)?;
            f.write_str(")")?;
        } else {
            write_node(node, f)?;
        }
    }
    Ok(())
}

fn write_key(key: &Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut characters = key.name.chars();
    let plain = characters.next().is_some_and(is_name_start) && characters.all(is_name_part);
    if plain {
        write!(f, ".{}", key.name)
    } else if array_index(&key.name).is_some() {
        write!(f, "[{}]", key.name)
    } else {
        f.write_str("[")?;
        write_quoted(&key.name, f)?;
        f.write_str("]")
    }
}

fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut out = Vec::new();
    write_json_text(text, &mut out);
    f.write_str(&String::from_utf8_lossy(&out))
}

/// Returns whether an ECMAScript identifier can start with `c`.
pub fn is_name_start(c: char) -> bool {
    c == '$' || c == '_' || unicode_id_start::is_id_start(c)
}

/// Returns whether an ECMAScript identifier can continue with `c`.
pub fn is_name_part(c: char) -> bool {
    is_name_start(c) || matches!(c, '\u{200c}' | '\u{200d}') || unicode_id_start::is_id_continue(c)
}
