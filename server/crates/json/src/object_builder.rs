//! Builds the objects of a [`Json`] tree.

use std::borrow::Cow;
use std::collections::HashMap;

use super::bloom_filter::bit;
use super::path::array_index;
use super::value::Json;

/// Up to this number of members a linear search is faster than a map.
const MAX_LINEAR_MEMBERS: usize = 32;

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
