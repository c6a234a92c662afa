//! Which parts of a user are read: the values that expressions and search fields need.

use super::bloom_filter::bit;
use super::path::{Key, Path};
use super::value::{Json, write_json_text};

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
    pub fn from_accesses<'a>(accesses: impl IntoIterator<Item = &'a [Key]>) -> Self {
        let mut mask = Self::default();
        for keys in accesses {
            mask.paths.add(keys);
        }
        mask
    }

    /// Writes the selected parts of `user` as JSON; unselected members are omitted, unselected items are `null`.
    pub fn write_json(&self, user: &Json<'_>, out: &mut Vec<u8>) {
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
