//! Hides secrets of a user wherever a person or a log could see them, the way Auth0 does in its job reports
//! (docs/auth0/jobs.md#job-errors).

use serde_json::Value;

use super::path::{Step, steps};

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "*****";

/// Longest string that is shown in a fault, in characters.
const MOST_SHOWN: usize = 200;

/// The user with every secret hidden.
pub(super) fn user(mut user: Value) -> Value {
    hide(&mut user, "");
    user
}

fn hide(value: &mut Value, path: &str) {
    match value {
        _ if is_secret(path) => *value = Value::from(HIDDEN),
        Value::Object(members) => {
            for (name, value) in members {
                hide(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
            }
        }
        Value::Array(items) => {
            for item in items {
                hide(item, path);
            }
        }
        _ => {}
    }
}

/// Whether what stands at a path (without indexes) is a secret: hashes, salts and keys, secrets of
/// second factors; and whatever an attribute is called that Auth0 does not know, but a person may have
/// left in. Metadata is the tenant's own and stays visible, as it is in Auth0's reports.
fn is_secret(path: &str) -> bool {
    let (root, rest) = path.split_once('.').unwrap_or((path, ""));
    match root {
        "" | "app_metadata" | "user_metadata" | "last_password_reset" => false,
        "custom_password_hash" => matches!(rest, "hash.value" | "hash.key.value" | "salt.value"),
        "mfa_factors" => rest == "totp.secret",
        _ => {
            let path = path.to_ascii_lowercase();
            ["password", "passwd", "hash", "secret", "token", "salt"].iter().any(|word| path.contains(word))
        }
    }
}

/// The value at a finding's path, fit to be shown: secrets hidden, long texts cut. Nothing when the path
/// leads nowhere, as it does for what is missing.
pub(super) fn shown(row: &Value, path: &str) -> Option<Value> {
    let mut value = row;
    let mut plain = String::new();
    for step in steps(path)? {
        value = match &step {
            Step::Member(name) => {
                if !plain.is_empty() {
                    plain.push('.');
                }
                plain.push_str(name);
                value.get(name)?
            }
            Step::Index(index) => value.get(index)?,
        };
        if is_secret(&plain) {
            return Some(Value::from(HIDDEN));
        }
    }
    // A secret's holder of the wrong type may be the secret itself.
    if matches!(value, Value::String(_) | Value::Number(_)) && is_holder(&plain) {
        return Some(Value::from(HIDDEN));
    }
    let mut value = value.clone();
    hide(&mut value, &plain);
    cut(&mut value);
    Some(value)
}

fn is_holder(path: &str) -> bool {
    matches!(
        path,
        "custom_password_hash"
            | "custom_password_hash.hash"
            | "custom_password_hash.hash.key"
            | "custom_password_hash.salt"
            | "mfa_factors"
            | "mfa_factors.totp"
    )
}

fn cut(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(MOST_SHOWN) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Object(members) => {
            for value in members.values_mut() {
                cut(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        _ => {}
    }
}
