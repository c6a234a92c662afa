//! Hides secrets of users in reports and logs, as Auth0 does in its job reports (docs/auth0/jobs.md#job-errors).

use serde_json::Value;

use uie_records::{Step, parse_path};

/// The replacement of a secret.
pub(super) const REPLACEMENT: &str = "*****";

/// Maximum length of a string in a row error, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// Returns the user with all secrets hidden.
pub(super) fn redact_user(mut user: Value) -> Value {
    hide(&mut user, "");
    user
}

fn hide(value: &mut Value, path: &str) {
    match value {
        _ if is_secret(path) => *value = Value::from(REPLACEMENT),
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

/// Returns whether the value at a path (without indexes) is a secret: hashes, salts, keys, and secrets of second
/// factors. Also matches attributes that Auth0 does not know by their name, since files of other systems may contain
/// them. Metadata stays visible, as in Auth0's reports.
pub(super) fn is_secret(path: &str) -> bool {
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

/// Returns the value at a path with secrets hidden and long texts shortened; `None` if the row has no such value.
pub(super) fn redacted_value(row: &Value, path: &str) -> Option<Value> {
    let mut value = row;
    let mut plain = String::new();
    for step in parse_path(path)? {
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
            return Some(Value::from(REPLACEMENT));
        }
    }
    // A string in place of an object with secrets may be the secret itself.
    if matches!(value, Value::String(_) | Value::Number(_)) && contains_secrets(&plain) {
        return Some(Value::from(REPLACEMENT));
    }
    let mut value = value.clone();
    hide(&mut value, &plain);
    shorten_strings(&mut value);
    Some(value)
}

fn contains_secrets(path: &str) -> bool {
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

fn shorten_strings(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN_CHARS) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Object(members) => {
            for value in members.values_mut() {
                shorten_strings(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_strings),
        _ => {}
    }
}
