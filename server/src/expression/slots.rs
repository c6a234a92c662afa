//! Paths read straight into slots: the quickest way to columns that are all paths. Nothing is built but
//! what a cell shows, and nothing is allocated for most rows.
//!
//! Where a row is unusual (what [`mod@super::scan`] gives up on, an object that stands twice, a text where a path
//! goes on with an index or a method) it is not read at all, and the way through [`Json`] is taken. What is
//! read means the same there: the tests compare the two.

use std::borrow::Cow;

use super::json::{Cell, Json};
use super::path::{Key, Literal, Node, Path, Seen, inherits};
use super::read::Wanted;
use super::scan::{Blanks, Scanner};
use super::tokens::Tokens;
use super::walk::Walker;

/// Longer paths are left to the other way, so that a trie of them never is a danger to the stack.
const LONGEST_PATH: usize = 64;

/// Paths merged into a trie whose leaves are slots, and how the paths are computed from those.
#[derive(Clone, Debug)]
pub struct Layout {
    branches: Vec<Branch>,
    programs: Vec<Program>,
    slots: usize,
}

/// A place in a user that is not read itself, but something inside of it.
#[derive(Clone, Debug, Default)]
struct Branch {
    children: Vec<Child>,
    /// For every [`hash`] of a name one more than the first child with it; zero is none.
    first: Hashes,
    /// Whether a child is an item of an array.
    items: bool,
    /// Whether a string, an array or a number has something by the name of a child.
    of_text: bool,
    of_array: bool,
    of_number: bool,
}

#[derive(Clone, Debug)]
struct Hashes([u16; 64]);

impl Default for Hashes {
    fn default() -> Self {
        Self([0; 64])
    }
}

#[derive(Clone, Debug)]
struct Child {
    name: Vec<u8>,
    index: Option<u32>,
    /// One more than the next child with the same hash; zero is none.
    next: u16,
    to: To,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Slot(usize),
    Branch(usize),
}

/// Tells names that differ in length or in an outer byte mostly apart.
#[inline]
fn hash(name: &[u8]) -> usize {
    let outer = name.first().unwrap_or(&0).wrapping_add(name.last().unwrap_or(&0).rotate_left(2));
    usize::from(outer.wrapping_add(name.len() as u8) & 63)
}

/// Whether two names are the same. Short ones are compared in two loads that overlap, since a call would cost
/// more.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8..=16 => one.first_chunk::<8>() == other.first_chunk() && one.last_chunk::<8>() == other.last_chunk(),
        4..8 => one.first_chunk::<4>() == other.first_chunk() && one.last_chunk::<4>() == other.last_chunk(),
        _ => one == other,
    }
}

impl Branch {
    #[inline]
    fn child(&self, name: &[u8]) -> Option<To> {
        let mut at = self.first.0[hash(name)];
        while let Some(child) = self.children.get(usize::from(at).wrapping_sub(1)) {
            if same(&child.name, name) {
                return Some(child.to);
            }
            at = child.next;
        }
        None
    }

    fn item(&self, index: u32) -> Option<To> {
        self.children.iter().find(|child| child.index == Some(index)).map(|child| child.to)
    }
}

/// How a path is computed.
#[derive(Clone, Debug)]
enum Program {
    Slot(usize),
    /// Further steps from what is in a slot.
    Within(usize, Vec<Key>),
    Literal(Literal),
    Or(Vec<Program>),
    Nullish(Vec<Program>),
}

/// What was read of one user, and of those before that were kept.
#[derive(Debug)]
pub struct Slots<'a> {
    values: Vec<Slot<'a>>,
    /// Where the values of the user who is read start.
    start: usize,
    /// The row in which a branch was last seen.
    seen: Vec<u64>,
    row: u64,
}

/// What was read of one user, with the paths it was read for.
#[derive(Clone, Copy, Debug)]
pub struct Slotted<'s, 'a> {
    layout: &'s Layout,
    values: &'s [Slot<'a>],
}

#[derive(Clone, Debug)]
enum Slot<'a> {
    Nothing,
    Boolean(bool),
    Number(f64),
    Plain(&'a str),
    Text(String),
    Json(Json<'a>),
}

/// A row that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where its object starts and ends in the text.
    pub start: usize,
    /// One past the last byte of the object.
    pub end: usize,
    /// Whether there is a blank between tokens.
    pub blanks: bool,
    /// Where the row ends: at a line end, or at the end of the text.
    pub row_end: usize,
}

/// A trie in the making.
#[derive(Default)]
struct Draft<'p> {
    whole: bool,
    children: Vec<(&'p Key, Draft<'p>)>,
}

impl<'p> Draft<'p> {
    fn add(&mut self, keys: &'p [Key]) {
        if self.whole {
            return;
        }
        let Some((first, rest)) = keys.split_first() else {
            self.whole = true;
            self.children = Vec::new();
            return;
        };
        if let Some((_, child)) = self.children.iter_mut().find(|(key, _)| *key == first) {
            child.add(rest);
        } else {
            let mut child = Self::default();
            child.add(rest);
            self.children.push((first, child));
        }
    }
}

/// The part of an access that is read into the trie. What follows is asked of the value: `length` mostly is
/// that of a string or an array, which no trie tells apart from a member.
fn read_part(keys: &[Key]) -> &[Key] {
    let length = keys.iter().skip(1).position(|key| key.name == "length");
    length.and_then(|at| keys.get(..=at)).unwrap_or(keys)
}

impl Layout {
    /// A layout for these paths; none where one of them wants whole users.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Option<Self> {
        let paths: Vec<&Path> = paths.into_iter().collect();
        let mut root = Draft::default();
        for keys in paths.iter().flat_map(|path| path.accesses()) {
            if keys.is_empty() || keys.len() > LONGEST_PATH {
                return None;
            }
            root.add(read_part(keys));
        }
        let mut layout = Self { branches: Vec::new(), programs: Vec::new(), slots: 0 };
        layout.branch(&root)?;
        layout.programs = paths.iter().map(|path| layout.program(&path.0)).collect::<Option<_>>()?;
        Some(layout)
    }

    /// Adds a branch with all that grows from it.
    fn branch(&mut self, draft: &Draft<'_>) -> Option<usize> {
        let at = self.branches.len();
        self.branches.push(Branch::default());
        let mut branch = Branch::default();
        for (key, child) in &draft.children {
            let to = if child.whole {
                self.slots += 1;
                To::Slot(self.slots - 1)
            } else {
                To::Branch(self.branch(child)?)
            };
            let [of_text, of_array, of_number] = inherits(&key.name);
            branch.items |= key.index.is_some();
            branch.of_text |= of_text || key.index.is_some();
            branch.of_array |= of_array;
            branch.of_number |= of_number;
            let first = branch.first.0.get_mut(hash(key.name.as_bytes()))?;
            let name = key.name.as_bytes().to_vec();
            branch.children.push(Child { name, index: key.index, next: *first, to });
            *first = u16::try_from(branch.children.len()).ok()?;
        }
        *self.branches.get_mut(at)? = branch;
        Some(at)
    }

    fn program(&self, node: &Node) -> Option<Program> {
        let all = |nodes: &[Node]| nodes.iter().map(|node| self.program(node)).collect::<Option<_>>();
        Some(match node {
            Node::Literal(literal) => Program::Literal(literal.clone()),
            Node::Or(nodes) => Program::Or(all(nodes)?),
            Node::Nullish(nodes) => Program::Nullish(all(nodes)?),
            Node::Access(keys) => {
                let mut at = 0;
                for (step, key) in keys.iter().enumerate() {
                    match self.branches.get(at)?.child(key.name.as_bytes())? {
                        To::Branch(branch) => at = branch,
                        To::Slot(slot) => {
                            let rest = keys.get(step + 1..)?;
                            return Some(if rest.is_empty() {
                                Program::Slot(slot)
                            } else {
                                Program::Within(slot, rest.to_vec())
                            });
                        }
                    }
                }
                return None;
            }
        })
    }

    /// Room for the values of a user; used again for the next one.
    pub fn room<'a>(&self) -> Slots<'a> {
        self.room_for(1)
    }

    /// Room for the values of so many users who are kept; there may be more.
    pub fn room_for<'a>(&self, users: usize) -> Slots<'a> {
        let values = Vec::with_capacity(self.slots.saturating_mul(users));
        Slots { values, start: 0, seen: vec![0; self.branches.len()], row: 0 }
    }

    /// The user who was read last.
    #[inline]
    pub fn last<'s, 'a>(&'s self, slots: &'s Slots<'a>) -> Slotted<'s, 'a> {
        Slotted { layout: self, values: slots.values.get(slots.start..).unwrap_or_default() }
    }

    /// Keeps the user who was read last: the next one is read beside. Gives the user's number.
    pub fn keep(&self, slots: &mut Slots<'_>) -> usize {
        let number = slots.start.checked_div(self.slots).unwrap_or(0);
        slots.start += self.slots;
        number
    }

    /// The kept user of a number.
    pub fn kept<'s, 'a>(&'s self, number: usize, slots: &'s Slots<'a>) -> Slotted<'s, 'a> {
        let start = number * self.slots;
        Slotted { layout: self, values: slots.values.get(start..start + self.slots).unwrap_or_default() }
    }

    /// Reads the user in the line that starts at a place of the text; nothing where the line is no user or an
    /// unusual one.
    pub fn read_line<'a>(&self, text: &'a str, at: usize, slots: &mut Slots<'a>) -> Option<Scanned> {
        let mut scanner = Scanner::new(text, at, Blanks::WithinLine);
        let (start, end, blanks) = self.scan(&mut scanner, slots)?;
        scanner.line_end().map(|row_end| Scanned { start, end, blanks, row_end })
    }

    /// As [`read_line`](Self::read_line), of an indexed text: the line starts at a place of it that is not before
    /// where the walker is.
    #[inline]
    pub fn walk_line<'a>(&self, walker: &mut Walker<'a, '_>, at: usize, slots: &mut Slots<'a>) -> Option<Scanned> {
        walker.go_to(at).then_some(())?;
        walker.take_seen_blanks();
        let start = walker.at();
        self.user(walker, slots)?;
        let (end, blanks) = (walker.end(), walker.take_seen_blanks());
        walker.line_end().map(|row_end| Scanned { start, end, blanks, row_end })
    }

    /// Reads the user that is the whole of a text; nothing where it is none or an unusual one.
    pub fn read_whole<'a>(&self, text: &'a str, slots: &mut Slots<'a>) -> Option<Scanned> {
        let mut scanner = Scanner::new(text, 0, Blanks::All);
        let (start, end, blanks) = self.scan(&mut scanner, slots)?;
        scanner.end().then_some(Scanned { start, end, blanks, row_end: text.len() })
    }

    fn scan<'a>(&self, scanner: &mut Scanner<'a>, slots: &mut Slots<'a>) -> Option<(usize, usize, bool)> {
        scanner.blanks();
        scanner.take_seen_blanks();
        let start = scanner.at();
        self.user(scanner, slots)?;
        Some((start, scanner.at(), scanner.take_seen_blanks()))
    }

    #[inline]
    fn user<'a>(&self, tokens: &mut impl Tokens<'a>, slots: &mut Slots<'a>) -> Option<()> {
        if tokens.next() != b'{' {
            return None;
        }
        slots.row += 1;
        // Most rows find the slots of the row before them.
        slots.values.truncate(slots.start + self.slots);
        slots.values.get_mut(slots.start..)?.fill_with(|| Slot::Nothing);
        slots.values.resize(slots.start + self.slots, Slot::Nothing);
        self.object(self.branches.first()?, tokens, slots)
    }

    fn object<'a>(&self, branch: &Branch, tokens: &mut impl Tokens<'a>, slots: &mut Slots<'a>) -> Option<()> {
        tokens.open()?;
        if tokens.close(b'}') {
            return Some(());
        }
        loop {
            let child = match tokens.plain_name() {
                Some(name) => branch.child(name),
                None => branch.child(tokens.name()?.as_bytes()),
            };
            self.value(child, tokens, slots)?;
            if !tokens.more(b'}')? {
                return Some(());
            }
        }
    }

    fn array<'a>(&self, branch: &Branch, tokens: &mut impl Tokens<'a>, slots: &mut Slots<'a>) -> Option<()> {
        tokens.open()?;
        if tokens.close(b']') {
            return Some(());
        }
        let mut index = 0;
        loop {
            self.value(branch.item(index), tokens, slots)?;
            index = index.saturating_add(1);
            if !tokens.more(b']')? {
                return Some(());
            }
        }
    }

    #[inline]
    fn value<'a>(&self, to: Option<To>, tokens: &mut impl Tokens<'a>, slots: &mut Slots<'a>) -> Option<()> {
        match to {
            None if tokens.next() == b'"' => tokens.skip_string(),
            None => tokens.skip(),
            Some(To::Slot(slot)) => {
                let place = slots.values.get_mut(slots.start + slot)?;
                // Each is written to its place at once, since that is what most of the time is spent with.
                match tokens.next() {
                    b'"' => match tokens.plain_string() {
                        Some(text) => *place = Slot::Plain(text),
                        None => *place = Slot::Text(tokens.escaped_string()?),
                    },
                    b'{' | b'[' => *place = Slot::Json(tokens.value(Wanted::everything())?),
                    b't' => *place = tokens.word("true").map(|()| Slot::Boolean(true))?,
                    b'f' => *place = tokens.word("false").map(|()| Slot::Boolean(false))?,
                    b'n' => *place = tokens.word("null").map(|()| Slot::Nothing)?,
                    _ => *place = Slot::Number(tokens.number()?),
                }
                Some(())
            }
            Some(To::Branch(at)) => {
                let seen = slots.seen.get_mut(at)?;
                // Of a name that stands twice the last value counts, as a whole.
                if *seen == slots.row {
                    return None;
                }
                *seen = slots.row;
                let branch = self.branches.get(at)?;
                match tokens.next() {
                    b'{' => self.object(branch, tokens, slots),
                    b'[' if branch.of_array => None,
                    b'[' if branch.items => self.array(branch, tokens, slots),
                    b'"' if branch.of_text => None,
                    b'-' | b'0'..=b'9' if branch.of_number => None,
                    _ => tokens.skip(),
                }
            }
        }
    }
}

impl<'s> Slotted<'s, '_> {
    /// Computes a path: its number among those the layout was made for.
    #[inline]
    pub fn cell(self, path: usize) -> Cell<'s> {
        match self.layout.programs.get(path) {
            Some(Program::Slot(slot)) => self.slot(*slot),
            Some(program) => program.evaluate(self).cell(),
            None => Cell::Nothing,
        }
    }

    /// Computes the last path of the layout.
    pub fn last(self) -> Cell<'s> {
        self.cell(self.layout.programs.len().saturating_sub(1))
    }

    #[inline]
    fn slot(self, slot: usize) -> Cell<'s> {
        match self.values.get(slot) {
            None | Some(Slot::Nothing) => Cell::Nothing,
            Some(Slot::Boolean(boolean)) => Cell::Boolean(*boolean),
            Some(Slot::Number(number)) => Cell::Number(*number),
            Some(Slot::Plain(text)) => Cell::Text(Cow::Borrowed(text)),
            Some(Slot::Text(text)) => Cell::Text(Cow::Borrowed(text)),
            Some(Slot::Json(json)) => Cell::from(json),
        }
    }
}

impl Program {
    fn evaluate<'s>(&'s self, user: Slotted<'s, '_>) -> Seen<'s> {
        match self {
            Self::Slot(slot) => Seen::Cell(user.slot(*slot)),
            Self::Within(slot, keys) => Seen::Cell(user.slot(*slot)).follow(keys),
            Self::Literal(literal) => Seen::literal(literal),
            Self::Or(alternatives) => Seen::first(alternatives, |one| one.evaluate(user), Seen::is_truthy),
            Self::Nullish(alternatives) => Seen::first(alternatives, |one| one.evaluate(user), Seen::is_something),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::scan::tests::json;
    use super::super::{Expression, read};
    use super::*;

    fn paths(sources: &[&str]) -> Vec<Path> {
        sources.iter().map(|source| Expression::parse(source).unwrap().path().unwrap().clone()).collect()
    }

    /// Paths of every kind: members, items, alternatives, what strings and arrays have of their own, one that
    /// begins as another ends.
    const SOURCES: &[&str] = &[
        "a",
        "b[1].c",
        "c.d || c.e || 'none'",
        "c.d ?? b[0]",
        "é",
        "user[\"0\"]",
        "d[0][1]",
        "d.length",
        "c.link",
        "e",
        "e.f.g",
        "e.length",
        "f.g.h",
        "f.at || 2",
        "f.toFixed.name",
    ];

    fn all() -> Vec<Path> {
        paths(SOURCES)
    }

    /// Whether the text was read into slots; what was read is what a tree gives.
    fn agree(text: &str, paths: &[Path]) -> bool {
        let layout = Layout::new(paths).unwrap();
        let wanted = Wanted::new(paths);
        let mut slots = layout.room();
        let mut some = false;
        // A second time, so that nothing is left over of the first; then as the second of three lines.
        let lines = format!("{{\"a\":[1],\"c\":{{\"d\":7}}}}\n{text}\n{{}}");
        for way in 0..3 {
            let (read_of, scanned) = match way {
                0 | 1 => (text, layout.read_whole(text, &mut slots)),
                _ if text.contains('\n') => continue,
                _ => (lines.as_str(), layout.read_line(&lines, lines.find('\n').unwrap() + 1, &mut slots)),
            };
            let Some(scanned) = scanned else { continue };
            some = true;
            let user = read(text.as_bytes(), &wanted).unwrap_or_else(|error| panic!("{error}: {text}"));
            for (at, path) in paths.iter().enumerate() {
                assert_eq!(layout.last(&slots).cell(at), path.evaluate(&user), "{path} of {text}");
            }
            let object = &read_of[scanned.start..scanned.end];
            assert_eq!(object, text.trim_matches([' ', '\t', '\r', '\n']), "{text}");
            assert_eq!(scanned.row_end, if way == 2 { lines.len() - 3 } else { text.len() });
            let compact = serde_json::from_str::<Box<serde_json::value::RawValue>>(object).is_ok() && !scanned.blanks;
            if compact {
                let mut quoted = false;
                let mut escaped = false;
                for byte in object.bytes() {
                    assert!(quoted || !byte.is_ascii_whitespace(), "{text} is not compact");
                    quoted ^= byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                }
            }
        }
        some
    }

    #[test]
    fn usual_users_are_read_into_slots() {
        for text in [
            "{}",
            r#"{"a":"x","b":[1,{"c":-0.5e3}],"c":{"e":null,"f":[true,false,{}]},"d":[[0,"z"]],"0":1}"#,
            r#" { "a" : "\u00e9\n\"\\\/\ud83d\ude00" , "x" : { "y" : [ 1 , 2 ] } } "#,
            r#"{"a":1,"a":{"x":[1,2]},"a":2}"#,
            r#"{"e":{"f":{"g":[1]}},"c":5,"é":"日本語 with more than sixteen bytes"}"#,
            r#"{"\u0061":1,"c":{"\u0064":"escaped names are names"}}"#,
            r#"{"e":"a text has a length"}"#,
            r#"{"b":{"1":{"c":"an index may be a name"}}}"#,
        ] {
            assert!(agree(text, &all()), "{text}");
        }
    }

    #[test]
    fn unusual_users_are_left_to_the_tree() {
        for text in [
            "",
            "[1]",
            "5",
            r#"{"c":{"d":1},"c":{"e":2}}"#,
            r#"{"b":[1,{"c":1}],"b":[]}"#,
            r#"{"b":"a text has items"}"#,
            r#"{"f":5,"f":{"g":{}}}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e999}"#,
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"x\":tru}",
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(!agree(text, &all()), "{text}");
        }
    }

    #[test]
    fn whole_users_and_endless_paths_have_no_layout() {
        assert!(Layout::new(&paths(&["a", "user"])).is_none());
        assert!(Layout::new(&paths(&[&vec!["a"; LONGEST_PATH + 1].join(".")])).is_none());
        assert!(Layout::new(&paths(&[&vec!["a"; LONGEST_PATH].join(".")])).is_some());
    }

    #[test]
    fn a_line_ends_where_it_says() {
        let layout = Layout::new(&paths(&["a"])).unwrap();
        let mut slots = layout.room();
        let text = " {\"a\": 1}\t\r\n{\"a\":\n2}\n{}";
        let first = layout.read_line(text, 0, &mut slots).unwrap();
        assert_eq!(first, Scanned { start: 1, end: 9, blanks: true, row_end: 11 });
        assert_eq!(layout.last(&slots).cell(0), Cell::Number(1.0));
        assert_eq!(layout.read_line(text, 12, &mut slots), None, "a line end is no blank within a line");
        let last = layout.read_line(text, text.len() - 2, &mut slots).unwrap();
        assert_eq!((last.row_end, last.blanks), (text.len(), false));
        assert_eq!(layout.last(&slots).cell(0), Cell::Nothing);
        assert_eq!(layout.read_line(text, text.len(), &mut slots), None);
    }

    const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h", "é", "0", "1", "length", "link", "at"];

    /// Two objects as one, in which names may stand twice.
    fn joined(first: &Value, second: &Value) -> String {
        let [first, second] = [first, second].map(|object| {
            let text = serde_json::json!({"a": object, "c": object, "f": {"g": object}}).to_string();
            text[1..text.len() - 1].to_owned()
        });
        format!("{{{first},{second}}}")
    }

    proptest! {
        #[test]
        fn slots_and_trees_hold_the_same(value in json(NAMES), other in json(NAMES), pretty in any::<bool>()) {
            let user = serde_json::json!({
                "a": value, "b": [value, {"c": value}], "c": value, "d": [value], "e": other, "f": {"g": other}
            });
            let text = if pretty { serde_json::to_string_pretty(&user).unwrap() } else { user.to_string() };
            agree(&text, &all());
            agree(&user.to_string(), &paths(&["e.f", "a.b.c", "c"]));
            agree(&joined(&value, &other), &all());
            agree(&value.to_string(), &all());
        }

        #[test]
        fn damaged_users_are_never_read_otherwise(value in json(NAMES), at in any::<prop::sample::Index>(), with in "\\PC|[\\x00-\\x7f]") {
            let text = serde_json::json!({"a": value.clone(), "c": {"d": value}}).to_string();
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                agree(&format!("{before}{with}{after}"), &all());
                agree(&format!("{before}{after}"), &all());
                agree(before, &all());
            }
        }
    }
}
