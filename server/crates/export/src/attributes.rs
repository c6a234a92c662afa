//! Discovers the attributes of users from a sample of them, for the selection of columns.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use uie_core::user::ATTRIBUTES;

/// Maximum nesting of discovered attributes.
const MAX_DEPTH: usize = 6;

/// Maximum number of attributes. A longer list is not useful for selecting columns.
const MAX_ATTRIBUTES: usize = 500;

/// Maximum length of an example, in characters.
const MAX_EXAMPLE_CHARS: usize = 80;

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Different types in different users.
    Mixed,
}

/// An attribute that some users have.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attribute {
    /// Its path as an expression, such as `user.app_metadata.plan`.
    pub path: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// The share of users in which it is present and not null, from 0 to 1.
    pub share: f64,
    /// The value of one of the users; long values are cut.
    pub example: Value,
}

/// Statistics of an attribute over all users.
struct AttributeStats {
    kind: AttributeType,
    users: usize,
    example: Value,
    /// Index of its root attribute in [`ATTRIBUTES`], or its length for undocumented ones.
    root: usize,
}

/// Returns the attributes of these users: documented root attributes in the order of [`ATTRIBUTES`], each followed by
/// its nested attributes, then undocumented ones. Attributes of one root are sorted by the number of users, descending.
pub fn discover_attributes(users: &[Map<String, Value>]) -> Vec<Attribute> {
    let mut stats: HashMap<String, AttributeStats> = HashMap::new();
    for user in users {
        for (name, value) in user {
            let root = ATTRIBUTES.iter().position(|attribute| attribute.name == name).unwrap_or(ATTRIBUTES.len());
            visit_value(&format!("user{}", step(name)), value, root, 1, &mut stats);
        }
    }
    let mut found: Vec<(String, AttributeStats)> = stats.into_iter().collect();
    found.sort_by(|(a_path, a), (b_path, b)| {
        // The root attribute is before its nested attributes.
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
        .map(|(path, stats)| Attribute { path, kind: stats.kind, share: share(stats.users), example: stats.example })
        .collect()
}

/// Adds a value and its nested values to the statistics.
fn visit_value(path: &str, value: &Value, root: usize, depth: usize, stats: &mut HashMap<String, AttributeStats>) {
    let kind = match value {
        Value::Null => return,
        Value::Bool(_) => AttributeType::Boolean,
        Value::Number(_) => AttributeType::Number,
        Value::String(text) if is_date(text) => AttributeType::Date,
        Value::String(_) => AttributeType::String,
        Value::Array(_) => AttributeType::Array,
        Value::Object(_) => AttributeType::Object,
    };
    if let Some(attribute) = stats.get_mut(path) {
        attribute.users += 1;
        if attribute.kind != kind {
            attribute.kind = AttributeType::Mixed;
        }
    } else if stats.len() < MAX_ATTRIBUTES {
        stats.insert(path.to_owned(), AttributeStats { kind, users: 1, example: example(value), root });
    } else {
        return;
    }
    if depth == MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                visit_value(&format!("{path}{}", step(name)), value, root, depth + 1, stats);
            }
        }
        // Only the first element is visited, because a path in a column selects one element.
        Value::Array(elements) => {
            if let Some(first @ Value::Object(_)) = elements.first() {
                visit_value(&format!("{path}[0]"), first, root, depth + 1, stats);
            }
        }
        _ => {}
    }
}

/// Returns one step of a path: `.name` if the name is an identifier, otherwise `["the name"]`.
fn step(name: &str) -> String {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$'));
    if starts && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$')) {
        format!(".{name}")
    } else {
        format!("[{}]", Value::from(name))
    }
}

/// Whether a text is an ISO 8601 date with time.
fn is_date(text: &str) -> bool {
    text.len() >= 20 && text.parse::<jiff::Timestamp>().is_ok()
}

/// Returns a value as an example: long texts are cut, arrays and objects become JSON text.
fn example(value: &Value) -> Value {
    let cut = |text: &str| match text.char_indices().nth(MAX_EXAMPLE_CHARS) {
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
    fn attributes_have_type_share_and_example() {
        let found = discover_attributes(&users(json!([
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
        for attribute in discover_attributes(&users) {
            let expression = uie_expression::Expression::parse(&attribute.path).unwrap();
            assert_eq!(expression.kind(), uie_expression::Kind::Path, "{}", attribute.path);
        }
    }

    #[test]
    fn the_number_of_attributes_is_limited() {
        let many: Map<String, Value> = (0..2000).map(|number| (format!("key{number}"), number.into())).collect();
        assert_eq!(discover_attributes(&[many]).len(), MAX_ATTRIBUTES);
    }
}
