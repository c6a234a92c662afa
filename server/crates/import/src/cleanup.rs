//! Removes values without meaning from rows: texts that mean an absent value (`--null`), empty attributes
//! (`--drop-empty`) and unknown attributes (`--drop-unknown`).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::request::ImportRequest;
use super::row_fault::{RowFault, Severity};
use uie_core::message::message;
use uie_core::user;
use uie_records::member;

/// Maximum number of names of unknown attributes that are counted; the values of others are removed all the same.
const MAX_NAMES: usize = 500;

/// What is removed from every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cleanup {
    /// Strings that mean an absent value.
    pub(super) null_texts: Vec<String>,
    /// Whether attributes without content are removed.
    pub(super) empty: bool,
    /// Whether attributes that Auth0 does not know are removed.
    pub(super) unknown: bool,
}

impl Cleanup {
    /// Returns what the settings remove.
    pub(super) fn of(request: &ImportRequest) -> Self {
        Self { null_texts: request.null.clone(), empty: request.drop_empty, unknown: request.drop_unknown }
    }

    /// Returns whether nothing is removed.
    pub(super) fn is_idle(&self) -> bool {
        self.null_texts.is_empty() && !self.empty && !self.unknown
    }

    /// Removes members whose value is one of the texts, at any depth, and objects that become empty by that. Elements
    /// of lists stay, since their position may have a meaning. Returns whether there were any.
    pub(super) fn remove_null_texts(&self, value: &mut Value) -> bool {
        let is_null =
            |value: &Value| value.as_str().is_some_and(|text| self.null_texts.iter().any(|null| null == text));
        match value {
            Value::Object(members) => {
                let mut changed = false;
                members.retain(|_, value| {
                    let removed_inside = self.remove_null_texts(value);
                    let is_removed = is_null(value) || (removed_inside && value.as_object().is_some_and(Map::is_empty));
                    changed |= removed_inside | is_removed;
                    !is_removed
                });
                changed
            }
            Value::Array(items) => items.iter_mut().fold(false, |changed, item| self.remove_null_texts(item) | changed),
            _ => false,
        }
    }

    /// Removes empty and unknown attributes of a user; counts the unknown ones. Returns whether there were any.
    pub(super) fn clean(&self, user: &mut Value, line: u64, names: &mut UnknownNames) -> bool {
        let Value::Object(members) = user else { return false };
        let before = members.len();
        let mut changed = false;
        if self.unknown {
            members.retain(|name, _| {
                let is_known = user::find(name).is_some();
                if !is_known {
                    names.count(name, line);
                }
                is_known
            });
        }
        if self.empty {
            for (_, metadata) in members.iter_mut().filter(|(name, _)| is_metadata(name)) {
                changed |= remove_empty_members(metadata);
            }
            members.retain(|_, value| !is_empty(value));
        }
        changed | (members.len() != before)
    }
}

/// Returns whether `name` is one of the two attributes with data of the tenant's own.
pub(super) fn is_metadata(name: &str) -> bool {
    matches!(name, "app_metadata" | "user_metadata")
}

/// Returns whether an attribute has no content: `null`, `""`, `{}` or `[]`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Removes members of metadata that are `null` or `""`, at any depth, and objects that become empty by that. Empty
/// objects and lists, and elements of lists, stay: they may have a meaning.
fn remove_empty_members(value: &mut Value) -> bool {
    let Value::Object(members) = value else { return false };
    let before = members.len();
    let mut changed = false;
    members.retain(|_, value| {
        let had_members = value.as_object().is_some_and(|members| !members.is_empty());
        changed |= remove_empty_members(value);
        !(value.is_null() || value.as_str() == Some("") || (had_members && is_empty(value)))
    });
    changed | (members.len() != before)
}

/// Names of unknown attributes that were removed, with their number and the first line of each.
#[derive(Clone, Debug, Default)]
pub(super) struct UnknownNames {
    names: Vec<(String, u64, u64)>,
    positions: HashMap<String, usize>,
}

impl UnknownNames {
    /// Counts an attribute of the row at `line`.
    pub(super) fn count(&mut self, name: &str, line: u64) {
        if let Some((_, count, _)) = self.positions.get(name).and_then(|at| self.names.get_mut(*at)) {
            *count += 1;
        } else if self.names.len() < MAX_NAMES {
            self.positions.insert(name.to_owned(), self.names.len());
            self.names.push((name.to_owned(), 1, line));
        }
    }

    /// Adds the attributes that were counted elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        for (name, count, line) in other.names {
            if let Some((_, known, first)) = self.positions.get(&name).and_then(|at| self.names.get_mut(*at)) {
                *known += count;
                *first = line.min(*first);
            } else {
                self.positions.insert(name.clone(), self.names.len());
                self.names.push((name, count, line));
            }
        }
    }

    /// Returns a warning for each name, in the order of the first lines.
    pub(super) fn into_warnings(mut self, file: Option<&str>) -> Vec<RowFault> {
        self.names.sort_by_key(|(_, _, line)| *line);
        let warning = |(name, count, line): (String, u64, u64)| RowFault {
            line,
            row: 0,
            attribute: Some(member("", &name)),
            code: "ATTRIBUTE_LEFT_OUT".to_owned(),
            message: if count == 1 {
                message!("The attribute {name:?} is left out of one row: it is not an attribute of an import.")
            } else {
                message!("The attribute {name:?} is left out of {count} rows: it is not an attribute of an import.")
            },
            hint: None,
            value: None,
            severity: Severity::Warning,
            file: file.map(str::to_owned),
        };
        self.names.into_iter().map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_attributes_and_members_of_metadata_are_removed() {
        let cleanup = Cleanup { empty: true, ..Cleanup::default() };
        for (user, cleaned) in [
            (
                json!({ "email": "a@b.c", "name": null, "nickname": "", "mfa_factors": [], "blocked": false }),
                json!({ "email": "a@b.c", "blocked": false }),
            ),
            (
                json!({ "user_metadata": { "city": null, "zip": "", "n": 0, "list": [null, ""], "none": {}, "deep": { "a": "" } } }),
                json!({ "user_metadata": { "n": 0, "list": [null, ""], "none": {} } }),
            ),
            (json!({ "app_metadata": { "city": null }, "user_metadata": {} }), json!({})),
            (json!({ "created_at": null, "shoe size": "" }), json!({})),
        ] {
            let mut changed = user.clone();
            assert!(cleanup.clean(&mut changed, 1, &mut UnknownNames::default()));
            assert_eq!(changed, cleaned, "{user}");
            assert!(!cleanup.clean(&mut changed, 1, &mut UnknownNames::default()));
        }
    }

    #[test]
    fn unknown_attributes_are_removed_and_counted_by_name() {
        let cleanup = Cleanup { unknown: true, ..Cleanup::default() };
        let mut names = UnknownNames::default();
        for line in 3..6 {
            let mut user = json!({ "email": "a@b.c", "shoe size": 1, "created_at": "x" });
            if line == 5 {
                user["plan"] = json!("pro");
            }
            assert!(cleanup.clean(&mut user, line, &mut names));
            assert_eq!(user, json!({ "email": "a@b.c", "created_at": "x" }));
        }
        names.add(names.clone());
        let warnings = names.into_warnings(None);
        let found: Vec<_> = warnings.iter().map(|fault| (fault.attribute.as_deref(), fault.line)).collect();
        assert_eq!(found, [(Some("[\"shoe size\"]"), 3), (Some("plan"), 5)]);
        assert!(warnings[0].message.contains("6 rows"), "{}", warnings[0].message);
    }

    #[test]
    fn texts_that_mean_no_value_are_removed_at_any_depth_of_objects() {
        let cleanup = Cleanup { null_texts: vec!["NULL".into(), "\\N".into()], ..Cleanup::default() };
        let mut user = json!({ "name": "NULL", "user_metadata": { "city": "\\N", "tags": ["NULL", { "a": "NULL" }], "nick": "Null" }, "app_metadata": { "a": { "b": "NULL" } } });
        assert!(cleanup.remove_null_texts(&mut user));
        assert_eq!(user, json!({ "user_metadata": { "tags": ["NULL", {}], "nick": "Null" } }));
        assert!(!cleanup.remove_null_texts(&mut user));
    }
}
