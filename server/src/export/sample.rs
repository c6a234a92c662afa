//! What attributes users hold, found by looking at some of them: what a picker of columns offers.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::user::ATTRIBUTES;

/// Levels of nesting that are looked into.
const DEEPEST: usize = 6;

/// Different paths that are kept: a picker with more helps nobody.
const MOST: usize = 500;

/// Characters of an example.
const LONGEST_EXAMPLE: usize = 80;

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttributeType {
    /// Text.
    String,
    /// Text that is an ISO 8601 date.
    Date,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An object.
    Object,
    /// An array.
    Array,
    /// Of different types in different users.
    Mixed,
}

/// An attribute that some users have.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Attribute {
    /// The path as an expression, such as `user.app_metadata.plan`.
    pub path: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// The share of users that have it and not null, from 0 to 1.
    pub share: f64,
    /// A value one of the users has; long ones are cut.
    pub example: Value,
}

struct Seen {
    kind: AttributeType,
    users: usize,
    example: Value,
    root: usize,
}

/// The attributes of these users: documented root attributes in their order, each followed by what lies
/// below it, then unknown ones; below one root by how many users have it.
pub fn attributes(users: &[Map<String, Value>]) -> Vec<Attribute> {
    let mut seen: HashMap<String, Seen> = HashMap::new();
    for user in users {
        for (name, value) in user {
            let root = ATTRIBUTES.iter().position(|attribute| attribute.name == name).unwrap_or(ATTRIBUTES.len());
            look(&format!("user{}", step(name)), value, root, 1, &mut seen);
        }
    }
    let mut found: Vec<(String, Seen)> = seen.into_iter().collect();
    found.sort_by(|(a_path, a), (b_path, b)| {
        // The root attribute itself stands before what is below it.
        let depth = |path: &str| path.matches(['.', '[']).count() > 1;
        (a.root, depth(a_path), std::cmp::Reverse(a.users), a_path).cmp(&(
            b.root,
            depth(b_path),
            std::cmp::Reverse(b.users),
            b_path,
        ))
    });
    let share = |count: usize| count as f64 / users.len().max(1) as f64;
    found
        .into_iter()
        .map(|(path, seen)| Attribute { path, kind: seen.kind, share: share(seen.users), example: seen.example })
        .collect()
}

fn look(path: &str, value: &Value, root: usize, depth: usize, seen: &mut HashMap<String, Seen>) {
    let kind = match value {
        Value::Null => return,
        Value::Bool(_) => AttributeType::Boolean,
        Value::Number(_) => AttributeType::Number,
        Value::String(text) if is_date(text) => AttributeType::Date,
        Value::String(_) => AttributeType::String,
        Value::Array(_) => AttributeType::Array,
        Value::Object(_) => AttributeType::Object,
    };
    if let Some(seen) = seen.get_mut(path) {
        seen.users += 1;
        if seen.kind != kind {
            seen.kind = AttributeType::Mixed;
        }
    } else if seen.len() < MOST {
        seen.insert(path.to_owned(), Seen { kind, users: 1, example: example(value), root });
    } else {
        return;
    }
    if depth == DEEPEST {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                look(&format!("{path}{}", step(name)), value, root, depth + 1, seen);
            }
        }
        // The first element stands for all: a column shows one.
        Value::Array(elements) => {
            if let Some(first @ Value::Object(_)) = elements.first() {
                look(&format!("{path}[0]"), first, root, depth + 1, seen);
            }
        }
        _ => {}
    }
}

/// One step of a path: `.name` where that can be written so, else `["the name"]`.
fn step(name: &str) -> String {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$'));
    if starts && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$')) {
        format!(".{name}")
    } else {
        format!("[{}]", Value::from(name))
    }
}

fn is_date(text: &str) -> bool {
    text.len() >= 20 && text.parse::<jiff::Timestamp>().is_ok()
}

fn example(value: &Value) -> Value {
    let cut = |text: &str| match text.char_indices().nth(LONGEST_EXAMPLE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    };
    match value {
        Value::String(text) => cut(text).into(),
        Value::Array(_) | Value::Object(_) => cut(&value.to_string()).into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn users(users: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(users).unwrap()
    }

    #[test]
    fn attributes_are_found_with_type_share_and_example() {
        let found = attributes(&users(json!([
            {"created_at": "2024-01-02T03:04:05.678Z", "email": "ada@example.com", "app_metadata": {"plan": "gold", "n": 1},
             "identities": [{"connection": "Users", "isSocial": false}], "nickname": null},
            {"email": "bob@example.com", "app_metadata": {"n": "two", "favourite colour": "x".repeat(200)}},
        ])));
        let found: Vec<String> = found
            .iter()
            .map(|attribute| {
                format!("{} {:?} {} {}", attribute.path, attribute.kind, attribute.share, attribute.example)
            })
            .collect();
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn every_path_is_an_expression() {
        let users = users(json!([{"a b": {"c\"d": [{"é": 1}], "0": {"$x": 2}}}]));
        for attribute in attributes(&users) {
            let expression = crate::expression::Expression::parse(&attribute.path).unwrap();
            assert_eq!(expression.kind(), crate::expression::Kind::Path, "{}", attribute.path);
        }
    }

    #[test]
    fn a_hostile_user_makes_no_endless_list() {
        let many: Map<String, Value> = (0..2000).map(|number| (format!("key{number}"), number.into())).collect();
        assert_eq!(attributes(&[many]).len(), MOST);
    }
}
