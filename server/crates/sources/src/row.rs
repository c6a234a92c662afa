//! Reads values of a row of another system.

use serde_json::{Map, Value};

/// A missing value in the text exports of PostgreSQL and MySQL.
const DATABASE_NULL: &str = "\\N";

/// Returns the value of a member, or at a path of members (`profile.login`). `None` if it is absent.
pub(crate) fn find<'r>(row: &'r Map<String, Value>, path: &str) -> Option<&'r Value> {
    if let Some(value) = row.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(row.get(first)?.as_object()?, rest)
}

/// Returns the text of a member, trimmed; numbers and booleans as text. `None` if it is absent, null, empty, an object
/// or an array.
pub(crate) fn text(row: &Map<String, Value>, path: &str) -> Option<String> {
    text_of(find(row, path)?)
}

/// Returns a value as text; `None` if it is null, empty, an object or an array.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) if text.trim() == DATABASE_NULL => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Returns a member as a boolean; `None` if it is absent or no boolean word.
pub(crate) fn boolean(row: &Map<String, Value>, path: &str) -> Option<bool> {
    boolean_of(find(row, path)?)
}

/// Returns a value as a boolean: the words that the sources use for it.
pub(crate) fn boolean_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "on" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Returns a member that is a whole number, or the text of one.
pub(crate) fn number(row: &Map<String, Value>, path: &str) -> Option<u64> {
    match find(row, path)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Returns whether a value says something: it is not null, and no empty text, object or array.
pub(crate) fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty() && text.trim() != DATABASE_NULL,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Returns a member that is an object, or the text of a JSON object as in CSV; `None` otherwise.
pub(crate) fn object(row: &Map<String, Value>, path: &str) -> Option<Map<String, Value>> {
    match parsed(find(row, path)?) {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Returns a member that is an array, or the text of a JSON array as in CSV; `None` otherwise.
pub(crate) fn array(row: &Map<String, Value>, path: &str) -> Option<Vec<Value>> {
    match parsed(find(row, path)?) {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// Returns the value of a text that is a JSON object or array; other values unchanged.
pub(crate) fn parsed(value: &Value) -> Value {
    if let Value::String(text) = value
        && text.trim_start().starts_with(['{', '['])
        && let Ok(parsed) = serde_json::from_str(text)
    {
        return parsed;
    }
    value.clone()
}

/// Replaces a list of names and values (`[{"Name": "email", "Value": "…"}]`) by members of the row. A list under
/// another member, or with other keys, stays.
pub(crate) fn expand_list(row: &mut Map<String, Value>, list: &str, name: &str, value: &str) {
    let Some(items) = array(row, list) else { return };
    row.remove(list);
    for item in items {
        if let Value::Object(mut item) = item
            && let Some(Value::String(key)) = item.get(name).cloned()
        {
            row.insert(key, item.remove(value).unwrap_or(Value::Null));
        }
    }
}
