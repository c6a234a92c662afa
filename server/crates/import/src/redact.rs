//! Hides secrets of users in reports and logs, as Auth0 does in its job reports (docs/auth0/jobs.md#job-errors), and
//! beyond that: by the names of attributes (`uie_core::secret_name`) and by the form of values (`secret_value.rs`).

use serde_json::{Map, Value};

use uie_core::message::Message;
use uie_core::secret_name::is_secret_name;
use uie_core::user;
use uie_records::{Step, parse_path};

use super::secret_value::{is_hex_hash, is_secret_value};

/// The replacement of a secret.
pub(super) const REPLACEMENT: &str = "*****";

/// Maximum length of a string in a row error, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// Members of `custom_password_hash` and `mfa_factors` that hold no secret. All other texts and numbers in these two
/// are hidden, also those in the wrong place.
const SHOWN_MEMBERS: &[&str] = &[
    "custom_password_hash.algorithm",
    "custom_password_hash.hash.encoding",
    "custom_password_hash.hash.digest",
    "custom_password_hash.hash.key.encoding",
    "custom_password_hash.salt.encoding",
    "custom_password_hash.salt.position",
    "custom_password_hash.password.encoding",
    "custom_password_hash.keylen",
    "custom_password_hash.cost",
    "custom_password_hash.blockSize",
    "custom_password_hash.parallelization",
    "mfa_factors.phone.value",
    "mfa_factors.email.value",
];

/// Members that hold the name of an attribute in lists such as `[{"Name": "password", "Value": "…"}]`.
const NAME_MEMBERS: &[&str] = &["name", "key", "attribute", "field", "label", "type", "id"];

/// Members that hold the values in such lists.
const VALUE_MEMBERS: &[&str] = &["value", "values", "val", "data", "content", "text"];

/// Returns the user with all secrets hidden.
pub(super) fn redact_user(mut user: Value) -> Value {
    hide(&mut user, &mut Vec::new());
    user
}

/// Returns a name for a message: a replacement if it is a secret by its form, as in files without a header.
pub(super) fn shown_name(name: &str) -> &str {
    if is_secret_value(name) || is_hex_hash(name) { REPLACEMENT } else { name }
}

/// Hides secrets in the value at a path of member names.
fn hide(value: &mut Value, path: &mut Vec<String>) {
    match value {
        _ if has_secret_name(path) => *value = Value::from(REPLACEMENT),
        Value::Object(members) => hide_members(members, path),
        Value::Array(items) => {
            for item in items {
                hide(item, path);
            }
        }
        Value::String(_) | Value::Number(_) if is_hidden_leaf(path) => *value = Value::from(REPLACEMENT),
        Value::String(text) if is_secret_value(text) || (is_hex_hash(text) && is_unknown(path)) => {
            *value = Value::from(REPLACEMENT);
        }
        _ => {}
    }
}

fn hide_members(members: &mut Map<String, Value>, path: &mut Vec<String>) {
    // The row itself is no list of names and values: a user may be called Salt.
    let names_secret = !path.is_empty()
        && members.keys().any(|name| is_one_of(name, VALUE_MEMBERS))
        && members
            .iter()
            .any(|(name, value)| is_one_of(name, NAME_MEMBERS) && value.as_str().is_some_and(is_secret_name));
    for (name, value) in members.iter_mut() {
        if names_secret && !is_one_of(name, NAME_MEMBERS) {
            *value = Value::from(REPLACEMENT);
            continue;
        }
        path.push(name.clone());
        hide(value, path);
        path.pop();
    }
    if members.keys().any(|name| shown_name(name) != name) {
        *members = std::mem::take(members)
            .into_iter()
            .map(
                |(name, value)| if shown_name(&name) == name { (name, value) } else { (REPLACEMENT.to_owned(), value) },
            )
            .collect();
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns whether the last member of a path has a secret value by its name. The attributes of an import with such
/// names have their own rules.
fn has_secret_name(path: &[String]) -> bool {
    let Some(name) = path.last() else { return false };
    match path.first().map(String::as_str) {
        Some("custom_password_hash" | "mfa_factors") => false,
        _ => is_secret_name(name),
    }
}

/// Returns whether the value at a path such as `custom_password_hash.hash.value` is a secret by the names in the path.
pub(super) fn is_secret(path: &str) -> bool {
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    has_secret_name(&path) || is_hidden_leaf(&path)
}

/// Returns whether a text or number at this path is hidden because of where it is.
fn is_hidden_leaf(path: &[String]) -> bool {
    matches!(path.first().map(String::as_str), Some("custom_password_hash" | "mfa_factors"))
        && !SHOWN_MEMBERS.contains(&path.join(".").as_str())
}

/// Returns whether the root attribute of a path is one that Auth0 does not document.
fn is_unknown(path: &[String]) -> bool {
    path.first().is_some_and(|root| user::find(root).is_none())
}

/// Returns the value at a path with secrets hidden and long texts shortened; `None` if the row has no such value.
pub(super) fn redacted_value(row: &Value, path: &str) -> Option<Value> {
    let mut value = row;
    let mut names = Vec::new();
    for step in parse_path(path)? {
        value = match step {
            Step::Member(name) => {
                let value = value.get(&name)?;
                names.push(name);
                value
            }
            Step::Index(index) => value.get(index)?,
        };
        if has_secret_name(&names) {
            return Some(Value::from(REPLACEMENT));
        }
    }
    let mut value = value.clone();
    hide(&mut value, &mut names);
    shorten_strings(&mut value);
    Some(value)
}

/// Returns the message of a program of others, such as an exception, without the secrets of the row that it quotes.
pub(super) fn redacted_message(row: &Value, message: &Message) -> Message {
    let mut secrets = Vec::new();
    collect_secrets(row, &redact_user(row.clone()), &mut secrets);
    let text = message.to_string();
    // The longest first: one secret may be part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let hidden = secrets.iter().fold(text.clone(), |text, secret| text.replace(secret.as_str(), REPLACEMENT));
    if hidden == text { message.clone() } else { Message::verbatim(hidden) }
}

/// Adds the texts of `value` that are hidden in `shown`.
fn collect_secrets(value: &Value, shown: &Value, secrets: &mut Vec<String>) {
    match (value, shown) {
        (Value::Object(members), Value::Object(others)) => {
            for ((_, value), (_, shown)) in members.iter().zip(others) {
                collect_secrets(value, shown, secrets);
            }
        }
        (Value::Array(items), Value::Array(others)) => {
            for (value, shown) in items.iter().zip(others) {
                collect_secrets(value, shown, secrets);
            }
        }
        (value, shown) if value == shown => {}
        (Value::String(text), _) if !text.is_empty() => secrets.push(text.clone()),
        (Value::Number(number), _) => secrets.push(number.to_string()),
        (Value::Array(items), shown) => items.iter().for_each(|item| collect_secrets(item, shown, secrets)),
        (Value::Object(members), shown) => members.values().for_each(|member| collect_secrets(member, shown, secrets)),
        _ => {}
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_by_name_by_form_and_in_lists_of_names_and_values() {
        let user = json!({
            "email": "ada@example.com", "pwd": "S3cret", "Passwort": 4711, "legacy": "5ebe2294ecd0e0f08eab7690d2a6ee69",
            "user_id": "5ebe2294ecd0e0f08eab7690d2a6ee69", "passport": "C01X", "nickname": "$2b$10$nFguVi9LsCAcvTZFKQlRKe",
            "user_metadata": { "api_key": "k1", "plan": "pro", "ref": "5ebe2294ecd0e0f08eab7690d2a6ee69" },
            "Attributes": [{ "Name": "custom:password", "Value": "v" }, { "Name": "given_name", "Value": "Ada" }],
            "custom_password_hash": { "algorithm": "md5", "hash": { "value": "h", "encoding": "hex" }, "salt": "s" },
            "mfa_factors": [{ "phone": { "value": "+1" } }, { "totp": { "secret": "A" } }, "B"],
            "credentials": [{ "value": "c" }],
        });
        assert_eq!(
            redact_user(user),
            json!({
                "email": "ada@example.com", "pwd": "*****", "Passwort": "*****", "legacy": "*****",
                "user_id": "5ebe2294ecd0e0f08eab7690d2a6ee69", "passport": "C01X", "nickname": "*****",
                "user_metadata": { "api_key": "*****", "plan": "pro", "ref": "5ebe2294ecd0e0f08eab7690d2a6ee69" },
                "Attributes": [{ "Name": "custom:password", "Value": "*****" }, { "Name": "given_name", "Value": "Ada" }],
                "custom_password_hash": { "algorithm": "md5", "hash": { "value": "*****", "encoding": "hex" }, "salt": "*****" },
                "mfa_factors": [{ "phone": { "value": "+1" } }, { "totp": { "secret": "*****" } }, "*****"],
                "credentials": "*****",
            })
        );
    }

    #[test]
    fn a_user_whose_name_means_a_secret_is_shown() {
        let user = json!({ "email": "ada@example.com", "name": "Salt", "value": 1, "profile": { "name": "Pin", "city": "x" } });
        assert_eq!(redact_user(user.clone()), user);
    }

    #[test]
    fn messages_of_others_are_shown_without_the_secrets_of_the_row() {
        let row = json!({ "email": "ada@example.com", "pw": "S3cret", "keys": { "api_key": ["k1234"] } });
        let message = Message::verbatim("cannot read S3cret of ada@example.com with k1234");
        assert_eq!(redacted_message(&row, &message).to_string(), "cannot read ***** of ada@example.com with *****");
        assert_eq!(redacted_message(&row, &Message::verbatim("no")).to_string(), "no");
    }
}
