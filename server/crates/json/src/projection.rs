//! Projects paths of a row straight into the slots of a row buffer, without building a tree.
//!
//! This is the fastest way to compute columns that are all paths. Only values that a cell shows are built, and most
//! rows need no allocation.
//!
//! Unusual rows are not read here and take the way through a [`Json`] tree: rows that the fast parser in
//! [`super::tokenizer`] rejects, rows in which an object on a path occurs twice, and rows with a string where a path
//! continues with an index or a method. Both ways give the same cells; tests compare the two.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::path::{Key, Literal, Node, Path, PathValue, types_with_method};
use super::projection_mask::ProjectionMask;
use super::token_source::TokenSource;
use super::tokenizer::{Tokenizer, Whitespace};
use super::value::{Cell, Json};

/// The longest path that is projected, in steps. Building the trie recurses, so this bounds the stack.
const MAX_PATH_STEPS: usize = 64;

/// Paths merged into a trie whose leaves are slots, and how each path is computed from the slots.
#[derive(Clone, Debug)]
pub struct Projection {
    branches: Vec<Branch>,
    plans: Vec<PathPlan>,
    slot_count: usize,
}

/// An inner node of the trie: a value of which only parts are read.
#[derive(Clone, Debug, Default)]
struct Branch {
    children: Vec<Child>,
    /// For every [`hash`] of a name, the index of the first child with that hash plus one; zero for no child.
    first: Hashes,
    /// Whether the name of a child is an array index.
    items: bool,
    /// Whether a string has a property or an item by the name of a child.
    of_text: bool,
    /// Whether arrays inherit a method by the name of a child.
    of_array: bool,
    /// Whether numbers inherit a method by the name of a child.
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
    /// The index of the next child with the same hash plus one; zero for no child.
    next: u16,
    target: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Slot(usize),
    Branch(usize),
}

/// Hashes a name by its length, first and last byte.
#[inline]
fn hash(name: &[u8]) -> usize {
    let outer = name.first().unwrap_or(&0).wrapping_add(name.last().unwrap_or(&0).rotate_left(2));
    usize::from(outer.wrapping_add(name.len() as u8) & 63)
}

/// Returns whether two names are equal. Short names are compared by two overlapping loads, which is cheaper than a
/// call of `memcmp`.
#[inline]
fn bytes_equal(one: &[u8], other: &[u8]) -> bool {
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
    fn child(&self, name: &[u8]) -> Option<Target> {
        let mut at = self.first.0[hash(name)];
        while let Some(child) = self.children.get(usize::from(at).wrapping_sub(1)) {
            if bytes_equal(&child.name, name) {
                return Some(child.target);
            }
            at = child.next;
        }
        None
    }

    fn item(&self, index: u32) -> Option<Target> {
        self.children.iter().find(|child| child.index == Some(index)).map(|child| child.target)
    }
}

/// How a path is computed from the slots.
#[derive(Clone, Debug)]
enum PathPlan {
    Slot(usize),
    /// The remaining steps, followed from the value of a slot.
    Within(usize, Vec<Key>),
    Literal(Literal),
    Or(Vec<PathPlan>),
    Nullish(Vec<PathPlan>),
}

/// The values of the row read last, and of earlier rows that were kept.
#[derive(Debug)]
pub struct RowBuffer<'a> {
    values: Vec<Slot<'a>>,
    /// The index of the first value of the current row.
    start: usize,
    /// For every branch, the number of the last row that contained it: finds members that occur twice.
    seen: Vec<u64>,
    /// The number of the current row.
    row: u64,
}

/// One row of a [`RowBuffer`], with the projection that computes its cells.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'s, 'a> {
    projection: &'s Projection,
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

/// The position of a row that was read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSpan {
    /// The first byte of the object.
    pub start: usize,
    /// The offset after the last byte of the object.
    pub end: usize,
    /// Whether there is whitespace between tokens.
    pub has_whitespace: bool,
    /// The end of the row: a line end, or the end of the text.
    pub row_end: usize,
}

/// Collects paths into a trie.
#[derive(Default)]
struct TrieBuilder<'p> {
    whole: bool,
    children: Vec<(&'p Key, TrieBuilder<'p>)>,
}

impl<'p> TrieBuilder<'p> {
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

/// Returns the steps of an access up to a `length`, exclusive. The rest is computed from the value: `length` is mostly
/// that of a string or an array, which the trie cannot distinguish from a member.
fn projected_steps(keys: &[Key]) -> &[Key] {
    let length = keys.iter().skip(1).position(|key| key.name == "length");
    length.and_then(|at| keys.get(..=at)).unwrap_or(keys)
}

impl Projection {
    /// Returns the projection of `paths`; `None` if one of them needs whole users or is too long.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Option<Self> {
        let paths: Vec<&Path> = paths.into_iter().collect();
        let mut root = TrieBuilder::default();
        for keys in paths.iter().flat_map(|path| path.accesses()) {
            if keys.is_empty() || keys.len() > MAX_PATH_STEPS {
                return None;
            }
            root.add(projected_steps(keys));
        }
        let mut projection = Self { branches: Vec::new(), plans: Vec::new(), slot_count: 0 };
        projection.add_branch(&root)?;
        projection.plans = paths.iter().map(|path| projection.plan(&path.0)).collect::<Option<_>>()?;
        Some(projection)
    }

    /// Adds a branch with all its descendants; returns its index.
    fn add_branch(&mut self, builder: &TrieBuilder<'_>) -> Option<usize> {
        let at = self.branches.len();
        self.branches.push(Branch::default());
        let mut branch = Branch::default();
        for (key, child) in &builder.children {
            let target = if child.whole {
                self.slot_count += 1;
                Target::Slot(self.slot_count - 1)
            } else {
                Target::Branch(self.add_branch(child)?)
            };
            let [of_text, of_array, of_number] = types_with_method(&key.name);
            branch.items |= key.index.is_some();
            branch.of_text |= of_text || key.index.is_some();
            branch.of_array |= of_array;
            branch.of_number |= of_number;
            let first = branch.first.0.get_mut(hash(key.name.as_bytes()))?;
            let name = key.name.as_bytes().to_vec();
            branch.children.push(Child { name, index: key.index, next: *first, target });
            *first = u16::try_from(branch.children.len()).ok()?;
        }
        *self.branches.get_mut(at)? = branch;
        Some(at)
    }

    /// Returns how `node` is computed; `None` if the trie lacks one of its accesses.
    fn plan(&self, node: &Node) -> Option<PathPlan> {
        let all = |nodes: &[Node]| nodes.iter().map(|node| self.plan(node)).collect::<Option<_>>();
        Some(match node {
            Node::Literal(literal) => PathPlan::Literal(literal.clone()),
            Node::Or(nodes) => PathPlan::Or(all(nodes)?),
            Node::Nullish(nodes) => PathPlan::Nullish(all(nodes)?),
            Node::Access(keys) => {
                let mut at = 0;
                for (step, key) in keys.iter().enumerate() {
                    match self.branches.get(at)?.child(key.name.as_bytes())? {
                        Target::Branch(branch) => at = branch,
                        Target::Slot(slot) => {
                            let rest = keys.get(step + 1..)?;
                            return Some(if rest.is_empty() {
                                PathPlan::Slot(slot)
                            } else {
                                PathPlan::Within(slot, rest.to_vec())
                            });
                        }
                    }
                }
                return None;
            }
        })
    }

    /// Returns a buffer for one row at a time.
    pub fn new_buffer<'a>(&self) -> RowBuffer<'a> {
        self.new_buffer_for(1)
    }

    /// Returns a buffer with capacity for `rows` rows that are kept; it grows if there are more.
    pub fn new_buffer_for<'a>(&self, rows: usize) -> RowBuffer<'a> {
        let values = Vec::with_capacity(self.slot_count.saturating_mul(rows));
        RowBuffer { values, start: 0, seen: vec![0; self.branches.len()], row: 0 }
    }

    /// Returns the row that was read last.
    #[inline]
    pub fn last_row<'s, 'a>(&'s self, buffer: &'s RowBuffer<'a>) -> RowView<'s, 'a> {
        RowView { projection: self, values: buffer.values.get(buffer.start..).unwrap_or_default() }
    }

    /// Keeps the row that was read last, so that the next one does not overwrite it. Returns its number.
    pub fn keep_row(&self, buffer: &mut RowBuffer<'_>) -> usize {
        let number = buffer.start.checked_div(self.slot_count).unwrap_or(0);
        buffer.start += self.slot_count;
        number
    }

    /// Returns the kept row with this number.
    pub fn kept_row<'s, 'a>(&'s self, number: usize, buffer: &'s RowBuffer<'a>) -> RowView<'s, 'a> {
        let start = number * self.slot_count;
        RowView { projection: self, values: buffer.values.get(start..start + self.slot_count).unwrap_or_default() }
    }

    /// Reads the user in the line that starts at offset `at`; `None` if the line is not a user or is unusual.
    pub fn parse_line<'a>(&self, text: &'a str, at: usize, buffer: &mut RowBuffer<'a>) -> Option<RowSpan> {
        let mut tokenizer = Tokenizer::new(text, at, Whitespace::WithinLine);
        let (start, end, has_whitespace) = self.parse_object(&mut tokenizer, buffer)?;
        tokenizer.line_end().map(|row_end| RowSpan { start, end, has_whitespace, row_end })
    }

    /// Like [`parse_line`](Self::parse_line), for an indexed text. `at` must not be before the cursor.
    #[inline]
    pub fn parse_indexed_line<'a>(
        &self,
        cursor: &mut Cursor<'a, '_>,
        at: usize,
        buffer: &mut RowBuffer<'a>,
    ) -> Option<RowSpan> {
        cursor.seek_line(at).then_some(())?;
        cursor.take_saw_whitespace();
        let start = cursor.at();
        self.parse_user(cursor, buffer)?;
        let (end, has_whitespace) = (cursor.token_end(), cursor.take_saw_whitespace());
        cursor.line_end().map(|row_end| RowSpan { start, end, has_whitespace, row_end })
    }

    /// Reads the user at `start` in an indexed text, which ends at `end`. `start` must not be before the cursor. `None`
    /// if the value is not a user or is unusual.
    #[inline]
    pub fn parse_indexed_element<'a>(
        &self,
        cursor: &mut Cursor<'a, '_>,
        start: usize,
        end: usize,
        buffer: &mut RowBuffer<'a>,
    ) -> Option<RowSpan> {
        cursor.seek_line(start).then_some(())?;
        cursor.take_saw_whitespace();
        self.parse_user(cursor, buffer)?;
        let has_whitespace = cursor.take_saw_whitespace();
        (cursor.token_end() == end).then_some(RowSpan { start, end, has_whitespace, row_end: end })
    }

    /// Reads a user that is the whole of `text`; `None` if the text is not a user or is unusual.
    pub fn parse_whole<'a>(&self, text: &'a str, buffer: &mut RowBuffer<'a>) -> Option<RowSpan> {
        let mut tokenizer = Tokenizer::new(text, 0, Whitespace::Any);
        let (start, end, has_whitespace) = self.parse_object(&mut tokenizer, buffer)?;
        tokenizer.is_at_end().then_some(RowSpan { start, end, has_whitespace, row_end: text.len() })
    }

    /// Reads the object at the tokenizer. Returns its start, its end, and whether it contains whitespace.
    fn parse_object<'a>(
        &self,
        tokenizer: &mut Tokenizer<'a>,
        buffer: &mut RowBuffer<'a>,
    ) -> Option<(usize, usize, bool)> {
        tokenizer.skip_whitespace();
        tokenizer.take_saw_whitespace();
        let start = tokenizer.at();
        self.parse_user(tokenizer, buffer)?;
        Some((start, tokenizer.at(), tokenizer.take_saw_whitespace()))
    }

    #[inline]
    fn parse_user<'a>(&self, tokens: &mut impl TokenSource<'a>, buffer: &mut RowBuffer<'a>) -> Option<()> {
        if tokens.peek() != b'{' {
            return None;
        }
        buffer.row += 1;
        // Mostly overwrites the slots of the row before, without an allocation.
        buffer.values.truncate(buffer.start + self.slot_count);
        buffer.values.get_mut(buffer.start..)?.fill_with(|| Slot::Nothing);
        buffer.values.resize(buffer.start + self.slot_count, Slot::Nothing);
        self.parse_members(self.branches.first()?, tokens, buffer)
    }

    fn parse_members<'a>(
        &self,
        branch: &Branch,
        tokens: &mut impl TokenSource<'a>,
        buffer: &mut RowBuffer<'a>,
    ) -> Option<()> {
        tokens.open()?;
        if tokens.take_close(b'}') {
            return Some(());
        }
        loop {
            let child = match tokens.plain_member_name() {
                Some(name) => branch.child(name),
                None => branch.child(tokens.member_name()?.as_bytes()),
            };
            self.parse_into(child, tokens, buffer)?;
            if !tokens.has_next(b'}')? {
                return Some(());
            }
        }
    }

    fn parse_items<'a>(
        &self,
        branch: &Branch,
        tokens: &mut impl TokenSource<'a>,
        buffer: &mut RowBuffer<'a>,
    ) -> Option<()> {
        tokens.open()?;
        if tokens.take_close(b']') {
            return Some(());
        }
        let mut index = 0;
        loop {
            self.parse_into(branch.item(index), tokens, buffer)?;
            index = index.saturating_add(1);
            if !tokens.has_next(b']')? {
                return Some(());
            }
        }
    }

    /// Reads the next value into `target`; skips it if `target` is `None`.
    #[inline]
    fn parse_into<'a>(
        &self,
        target: Option<Target>,
        tokens: &mut impl TokenSource<'a>,
        buffer: &mut RowBuffer<'a>,
    ) -> Option<()> {
        match target {
            None if tokens.peek() == b'"' => tokens.skip_string(),
            None => tokens.skip(),
            Some(Target::Slot(slot)) => {
                let place = buffer.values.get_mut(buffer.start + slot)?;
                // Writes every variant directly to its slot: moving a `Slot` would dominate the run time.
                match tokens.peek() {
                    b'"' => match tokens.plain_string() {
                        Some(text) => *place = Slot::Plain(text),
                        None => *place = Slot::Text(tokens.escaped_string()?),
                    },
                    b'{' | b'[' => *place = Slot::Json(tokens.parse_value(ProjectionMask::everything())?),
                    b't' => *place = tokens.literal("true").map(|()| Slot::Boolean(true))?,
                    b'f' => *place = tokens.literal("false").map(|()| Slot::Boolean(false))?,
                    b'n' => *place = tokens.literal("null").map(|()| Slot::Nothing)?,
                    _ => *place = Slot::Number(tokens.number()?),
                }
                Some(())
            }
            Some(Target::Branch(at)) => {
                let seen = buffer.seen.get_mut(at)?;
                // Of a name that occurs twice the last value counts as a whole, so parts of the first must not.
                if *seen == buffer.row {
                    return None;
                }
                *seen = buffer.row;
                let branch = self.branches.get(at)?;
                match tokens.peek() {
                    b'{' => self.parse_members(branch, tokens, buffer),
                    b'[' if branch.of_array => None,
                    b'[' if branch.items => self.parse_items(branch, tokens, buffer),
                    b'"' if branch.of_text => None,
                    b'-' | b'0'..=b'9' if branch.of_number => None,
                    _ => tokens.skip(),
                }
            }
        }
    }
}

impl<'s> RowView<'s, '_> {
    /// Computes a path, given its index among the paths of the projection; `Cell::Nothing` beyond the last.
    #[inline]
    pub fn cell(self, path: usize) -> Cell<'s> {
        match self.projection.plans.get(path) {
            Some(PathPlan::Slot(slot)) => self.slot(*slot),
            Some(plan) => plan.evaluate(self).cell(),
            None => Cell::Nothing,
        }
    }

    /// Computes the last path of the projection.
    pub fn last_cell(self) -> Cell<'s> {
        self.cell(self.projection.plans.len().saturating_sub(1))
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

impl PathPlan {
    fn evaluate<'s>(&'s self, user: RowView<'s, '_>) -> PathValue<'s> {
        match self {
            Self::Slot(slot) => PathValue::Cell(user.slot(*slot)),
            Self::Within(slot, keys) => PathValue::Cell(user.slot(*slot)).follow(keys),
            Self::Literal(literal) => PathValue::literal(literal),
            Self::Or(alternatives) => {
                PathValue::first_accepted(alternatives, |one| one.evaluate(user), PathValue::is_truthy)
            }
            Self::Nullish(alternatives) => {
                PathValue::first_accepted(alternatives, |one| one.evaluate(user), PathValue::is_non_nullish)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::row_parser::parse_row;
    use crate::test_json::any_json;
    use crate::test_paths::paths;

    /// Paths of every kind: members, items, alternatives, properties of strings and arrays, and a path that is the
    /// prefix of another.
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

    /// Asserts that the cells of a projection equal those of a tree. Returns whether the projection read the text.
    fn is_projected_like_a_tree(text: &str, paths: &[Path]) -> bool {
        let projection = Projection::new(paths).unwrap();
        let mask = ProjectionMask::new(paths);
        let mut buffer = projection.new_buffer();
        let mut is_read = false;
        // Twice, so that stale values of the first time would show; then as the second of three lines.
        let lines = format!("{{\"a\":[1],\"c\":{{\"d\":7}}}}\n{text}\n{{}}");
        for run in 0..3 {
            let (source, span) = match run {
                0 | 1 => (text, projection.parse_whole(text, &mut buffer)),
                _ if text.contains('\n') => continue,
                _ => (lines.as_str(), projection.parse_line(&lines, lines.find('\n').unwrap() + 1, &mut buffer)),
            };
            let Some(span) = span else { continue };
            is_read = true;
            let user = parse_row(text.as_bytes(), &mask).unwrap_or_else(|error| panic!("{error:?}: {text}"));
            for (at, path) in paths.iter().enumerate() {
                assert_eq!(projection.last_row(&buffer).cell(at), path.evaluate(&user), "{path} of {text}");
            }
            let object = &source[span.start..span.end];
            assert_eq!(object, text.trim_matches([' ', '\t', '\r', '\n']), "{text}");
            assert_eq!(span.row_end, if run == 2 { lines.len() - 3 } else { text.len() });
            let compact =
                serde_json::from_str::<Box<serde_json::value::RawValue>>(object).is_ok() && !span.has_whitespace;
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
        is_read
    }

    #[test]
    fn common_users_are_projected() {
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
            assert!(is_projected_like_a_tree(text, &all()), "{text}");
        }
    }

    #[test]
    fn unusual_users_are_not_projected() {
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
            assert!(!is_projected_like_a_tree(text, &all()), "{text}");
        }
    }

    #[test]
    fn whole_users_and_long_paths_have_no_projection() {
        assert!(Projection::new(&paths(&["a", "user"])).is_none());
        assert!(Projection::new(&paths(&[&vec!["a"; MAX_PATH_STEPS + 1].join(".")])).is_none());
        assert!(Projection::new(&paths(&[&vec!["a"; MAX_PATH_STEPS].join(".")])).is_some());
    }

    #[test]
    fn a_line_is_located_exactly() {
        let projection = Projection::new(&paths(&["a"])).unwrap();
        let mut buffer = projection.new_buffer();
        let text = " {\"a\": 1}\t\r\n{\"a\":\n2}\n{}";
        let first = projection.parse_line(text, 0, &mut buffer).unwrap();
        assert_eq!(first, RowSpan { start: 1, end: 9, has_whitespace: true, row_end: 11 });
        assert_eq!(projection.last_row(&buffer).cell(0), Cell::Number(1.0));
        assert_eq!(projection.parse_line(text, 12, &mut buffer), None, "a line feed is not whitespace within a line");
        let last = projection.parse_line(text, text.len() - 2, &mut buffer).unwrap();
        assert_eq!((last.row_end, last.has_whitespace), (text.len(), false));
        assert_eq!(projection.last_row(&buffer).cell(0), Cell::Nothing);
        assert_eq!(projection.parse_line(text, text.len(), &mut buffer), None);
    }

    const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h", "é", "0", "1", "length", "link", "at"];

    /// Merges the members of two objects, so that names may occur twice.
    fn joined(first: &Value, second: &Value) -> String {
        let [first, second] = [first, second].map(|object| {
            let text = serde_json::json!({"a": object, "c": object, "f": {"g": object}}).to_string();
            text[1..text.len() - 1].to_owned()
        });
        format!("{{{first},{second}}}")
    }

    proptest! {
        #[test]
        fn projections_and_trees_give_the_same_cells(value in any_json(NAMES), other in any_json(NAMES), pretty in any::<bool>()) {
            let user = serde_json::json!({
                "a": value, "b": [value, {"c": value}], "c": value, "d": [value], "e": other, "f": {"g": other}
            });
            let text = if pretty { serde_json::to_string_pretty(&user).unwrap() } else { user.to_string() };
            is_projected_like_a_tree(&text, &all());
            is_projected_like_a_tree(&user.to_string(), &paths(&["e.f", "a.b.c", "c"]));
            is_projected_like_a_tree(&joined(&value, &other), &all());
            is_projected_like_a_tree(&value.to_string(), &all());
        }

        #[test]
        fn projections_and_trees_agree_on_damaged_users(value in any_json(NAMES), at in any::<prop::sample::Index>(), with in "\\PC|[\\x00-\\x7f]") {
            let text = serde_json::json!({"a": value.clone(), "c": {"d": value}}).to_string();
            let at = at.index(text.len());
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                is_projected_like_a_tree(&format!("{before}{with}{after}"), &all());
                is_projected_like_a_tree(&format!("{before}{after}"), &all());
                is_projected_like_a_tree(before, &all());
            }
        }
    }
}
