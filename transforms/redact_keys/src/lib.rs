//! The transform `redact_keys`.

use transforms_sdk::prelude::*;
use transforms_sdk::serde_json::{Map, Value as Json};

/// Removes keys from an object, at every depth.
///
/// Objects inside of objects and arrays are searched too; all else stays as it is, in its order. Keys are
/// compared exactly, capitals included. Nothing gives nothing.
#[transform(
    example(r#"redact_keys({"plan": "pro", "token": "x", "sub": [{"token": "y"}]}, "token, ssn")"#
        => {"plan": "pro", "sub": [{}]}),
)]
pub fn redact_keys(
    /// An object or an array.
    json: Option<&Json>,
    /// The keys, with commas between them; blanks around a key do not count.
    keys: &str,
) -> Result<Option<Json>, Fault> {
    let keys: Vec<&str> = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return Err("`keys` names no key; such as \"password, token\" is expected".into());
    }
    Ok(json.map(|json| without(json, &keys)))
}

/// The depth is bounded: the server hands over no deeper JSON than it reads.
fn without(json: &Json, keys: &[&str]) -> Json {
    match json {
        Json::Object(members) => {
            let kept = members.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
            Json::Object(kept.map(|(key, value)| (key.clone(), without(value, keys))).collect::<Map<_, _>>())
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| without(item, keys)).collect()),
        other => other.clone(),
    }
}
