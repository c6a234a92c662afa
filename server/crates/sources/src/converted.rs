//! The result of converting a row, and what is lost by it.

use serde_json::{Map, Value};

use uie_core::message::Message;

/// Something that Auth0 cannot take. An import reports it once, with the number of users.
#[derive(Debug)]
pub struct LossKind {
    /// Identifies the kind; the code of the warning.
    pub code: &'static str,
    /// Describes it for a number of users. Never contains a value of a user.
    pub message: fn(users: u64) -> Message,
    /// What happens to these users, and what to do.
    pub hint: fn() -> Message,
}

/// A loss in one row.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// What cannot be taken.
    pub kind: &'static LossKind,
    /// The attribute of Auth0 that the user lacks for this reason.
    pub attribute: &'static str,
}

impl PartialEq for Loss {
    fn eq(&self, other: &Self) -> bool {
        self.kind.code == other.kind.code && self.attribute == other.attribute
    }
}

/// A row in the attributes of Auth0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The user.
    pub user: Map<String, Value>,
    /// What Auth0 cannot take, each kind once.
    pub losses: Vec<Loss>,
    /// Names of attributes with a value that the source's table does not know; they are not imported.
    pub unknown: Vec<String>,
}

impl Converted {
    /// Sets an attribute by its path (`user_metadata.locale`), unless it already has a value. Ignores null, and paths
    /// through values that are no objects.
    pub fn set(&mut self, path: &str, value: Value) {
        if value.is_null() {
            return;
        }
        let mut members = &mut self.user;
        let (mut rest, mut metadata) = (path, false);
        // Only the first step of metadata is a separator: names of other systems may contain dots.
        while let (false, Some((first, others))) = (metadata, rest.split_once('.')) {
            metadata = matches!(first, "app_metadata" | "user_metadata");
            let Value::Object(inner) = members.entry(first).or_insert_with(|| Value::Object(Map::new())) else {
                return;
            };
            (members, rest) = (inner, others);
        }
        let name = if metadata { metadata_key(rest) } else { rest.to_owned() };
        if !members.contains_key(&name) {
            members.insert(name, value);
        }
    }

    /// Adds all members to an object such as `app_metadata`; members that it already has stay.
    pub fn merge(&mut self, root: &str, members: Map<String, Value>) {
        for (name, value) in members {
            if !value.is_null() {
                let key = metadata_key(&name);
                let Value::Object(inner) = self.user.entry(root).or_insert_with(|| Value::Object(Map::new())) else {
                    return;
                };
                if !inner.contains_key(&key) {
                    inner.insert(key, value);
                }
            }
        }
    }

    /// Adds a second factor.
    pub fn add_factor(&mut self, factor: Value) {
        let factors = self.user.entry("mfa_factors").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(factors) = factors
            && !factors.contains(&factor)
        {
            factors.push(factor);
        }
    }

    /// Records a loss, once per kind.
    pub fn lose(&mut self, kind: &'static LossKind, attribute: &'static str) {
        let loss = Loss { kind, attribute };
        if !self.losses.contains(&loss) {
            self.losses.push(loss);
        }
    }

    /// Returns the text of an attribute that was set.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.user.get(name)?.as_str()
    }
}

/// Returns a name as a key of metadata, which may not contain `.` or `$` (docs/auth0/import-schema.md#metadata-keys).
pub(crate) fn metadata_key(name: &str) -> String {
    name.replace(['.', '$'], "_")
}
