//! The import schema (docs/auth0/import-schema.md). Messages follow those of the JSON Schema validator whose codes
//! Auth0 documents (docs/auth0/import-schema.md#error-codes).

use serde_json::{Map, Value};

use super::{Fault, password};
use crate::connections::Connection;

/// Keys that `app_metadata` must not contain.
const FORBIDDEN_METADATA: &[&str] = &[
    "__tenant",
    "_id",
    "blocked",
    "clientID",
    "created_at",
    "email_verified",
    "email",
    "globalClientID",
    "global_client_id",
    "identities",
    "lastIP",
    "lastLogin",
    "loginsCount",
    "metadata",
    "multifactor_last_modified",
    "multifactor",
    "updated_at",
    "user_id",
];

/// Returns all errors of a user.
pub(super) fn check(user: &Value, connection: &Connection) -> Vec<Fault> {
    let Some(user) = user.as_object() else {
        return vec![Fault::new("OBJECT_REQUIRED", format!("Expected type object but found type {}", type_of(user)))];
    };
    let mut faults = Vec::new();
    if !user.contains_key("email") {
        faults.push(Fault::new("OBJECT_REQUIRED", "Missing required property: email"));
    }
    for (name, value) in user {
        match name.as_str() {
            "email" => {
                if let Some(email) = text(value, name, None, &mut faults)
                    && !is_email(email)
                {
                    faults.push(format("email", name, email));
                }
            }
            "email_verified" | "phone_verified" | "blocked" => {
                if !value.is_boolean() {
                    faults.push(wrong_type("boolean", name, value));
                }
            }
            "phone_number" => phone(value, name, &mut faults),
            "user_id" => {
                text(value, name, None, &mut faults);
            }
            "username" => username(value, connection, &mut faults),
            "given_name" | "family_name" | "name" => {
                text(value, name, Some(150), &mut faults);
            }
            "nickname" => {
                text(value, name, Some(350), &mut faults);
            }
            "picture" => {
                if let Some(picture) = text(value, name, None, &mut faults)
                    && url::Url::parse(picture).is_err()
                {
                    faults.push(format("uri", name, picture));
                }
            }
            "app_metadata" | "user_metadata" => metadata(value, name, &mut faults),
            "password_hash" => password::simple(value, &mut faults),
            "custom_password_hash" => password::custom(value, &mut faults),
            "mfa_factors" => factors(value, &mut faults),
            _ => faults.push(forbidden(name)),
        }
    }
    if user.contains_key("password_hash") && user.contains_key("custom_password_hash") {
        faults.push(forbidden(""));
    }
    if connection.username_length().is_some() && !user.contains_key("username") {
        faults.push(Fault::new("OBJECT_REQUIRED", "Missing required property: username"));
    }
    faults
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(super) fn wrong_type(expected: &str, path: &str, value: &Value) -> Fault {
    Fault::at(
        "INVALID_TYPE",
        path,
        format!("Error in {path} property - Expected type {expected} but found type {}", type_of(value)),
    )
}

pub(super) fn pattern(pattern: &str, path: &str) -> Fault {
    Fault::at("PATTERN", path, format!("Error in {path} property - String does not match pattern {pattern}"))
}

fn format(format: &str, path: &str, value: &str) -> Fault {
    Fault::at(
        "FORMAT",
        path,
        format!("Error in {path} property - Object didn't pass validation for format {format}: {value}"),
    )
}

/// Returns the error for an unknown member. For two kinds of hash, Auth0 does not name the member
/// (docs/auth0/original-extension.md#requests-of-users, issue 62).
pub(super) fn forbidden(name: &str) -> Fault {
    let message = format!("Forbidden attribute in appUser: {name}");
    if name.is_empty() { Fault::new("NOT_PASSED", message) } else { Fault::at("NOT_PASSED", name, message) }
}

/// Checks a string of 1 to `longest` characters.
pub(super) fn text<'a>(
    value: &'a Value,
    path: &str,
    longest: Option<usize>,
    faults: &mut Vec<Fault>,
) -> Option<&'a str> {
    let Some(text) = value.as_str() else {
        faults.push(wrong_type("string", path, value));
        return None;
    };
    let length = text.chars().count();
    if length == 0 {
        faults.push(Fault::at(
            "MIN_LENGTH",
            path,
            format!("Error in {path} property - String is too short (0 chars), minimum 1"),
        ));
        return None;
    }
    if let Some(longest) = longest.filter(|longest| length > *longest) {
        faults.push(Fault::at(
            "MAX_LENGTH",
            path,
            format!("Error in {path} property - String is too long ({length} chars), maximum {longest}"),
        ));
    }
    Some(text)
}

/// Checks an object that may have only these members.
pub(super) fn object<'a>(
    value: &'a Value,
    path: &str,
    members: &[&str],
    faults: &mut Vec<Fault>,
) -> Option<&'a Map<String, Value>> {
    let Some(object) = value.as_object() else {
        faults.push(wrong_type("object", path, value));
        return None;
    };
    for name in object.keys().filter(|name| !members.contains(&name.as_str())) {
        faults.push(Fault::at(
            "NOT_PASSED",
            format!("{path}.{name}"),
            format!("Error in {path} property - Additional properties not allowed: {name}"),
        ));
    }
    Some(object)
}

fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else { return false };
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    let labels: Vec<&str> = domain.split('.').collect();
    email.len() <= 254
        && local.len() <= 64
        && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
        && labels.len() >= 2
        && labels.last().is_some_and(|last| last.chars().count() >= 2)
        && labels.iter().all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

fn phone(value: &Value, path: &str, faults: &mut Vec<Fault>) {
    if let Some(phone) = text(value, path, None, faults) {
        let good = phone
            .strip_prefix('+')
            .is_some_and(|digits| (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
        if !good {
            faults.push(pattern("^\\+[0-9]{1,15}$", path));
        }
    }
}

fn username(value: &Value, connection: &Connection, faults: &mut Vec<Fault>) {
    let Some((shortest, longest)) = connection.username_length() else {
        faults.push(forbidden("username"));
        return;
    };
    let Some(username) = text(value, "username", usize::try_from(longest).ok(), faults) else { return };
    if (username.chars().count() as u64) < shortest {
        faults.push(Fault::at(
            "MIN_LENGTH",
            "username",
            format!("Error in username property - String is too short, minimum {shortest}"),
        ));
    }
    if is_email(username) || !username.chars().all(|c| c.is_ascii_alphanumeric() || "@`^$!-#.+'~_".contains(c)) {
        faults.push(format("username", "username", username));
    }
}

fn metadata(value: &Value, name: &str, faults: &mut Vec<Fault>) {
    fn keys(value: &Value, path: &str, faults: &mut Vec<Fault>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    if key.contains(['.', '$']) {
                        faults.push(Fault::at(
                            "PATTERN",
                            path,
                            format!("Error in {path} property - Key must not contain . or $: {key}"),
                        ));
                    }
                    keys(value, &format!("{path}.{key}"), faults);
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    keys(item, &format!("{path}[{at}]"), faults);
                }
            }
            _ => {}
        }
    }
    let Some(members) = value.as_object() else {
        faults.push(wrong_type("object", name, value));
        return;
    };
    if name == "app_metadata" {
        for key in members.keys().filter(|key| FORBIDDEN_METADATA.contains(&key.as_str())) {
            faults.push(Fault::at(
                "NOT_PASSED",
                format!("app_metadata.{key}"),
                format!("Error in app_metadata property - Property not allowed: {key}"),
            ));
        }
    }
    keys(value, name, faults);
}

fn factors(value: &Value, faults: &mut Vec<Fault>) {
    let Some(items) = value.as_array() else {
        faults.push(wrong_type("array", "mfa_factors", value));
        return;
    };
    let length = items.len();
    if length == 0 {
        faults.push(Fault::at(
            "ARRAY_LENGTH_SHORT",
            "mfa_factors",
            "Error in mfa_factors property - Array is too short (0), minimum 1",
        ));
    }
    if length > 10 {
        faults.push(Fault::at(
            "ARRAY_LENGTH_LONG",
            "mfa_factors",
            format!("Error in mfa_factors property - Array is too long ({length}), maximum 10"),
        ));
    }
    for (at, item) in items.iter().enumerate() {
        let path = format!("mfa_factors[{at}]");
        let Some(factor) = object(item, &path, &["totp", "phone", "email"], faults) else { continue };
        if factor.len() > 1 {
            faults.push(Fault::at(
                "NOT_PASSED",
                path.as_str(),
                format!("Error in {path} property - Too many properties defined ({}), maximum 1", factor.len()),
            ));
        }
        for (kind, member) in [("totp", "secret"), ("phone", "value"), ("email", "value")] {
            let Some(inner) = factor.get(kind) else { continue };
            let path = format!("{path}.{kind}");
            let Some(inner) = object(inner, &path, &[member], faults) else { continue };
            let path = format!("{path}.{member}");
            let Some(value) = inner.get(member) else {
                faults.push(Fault::at("OBJECT_REQUIRED", path, format!("Missing required property: {member}")));
                continue;
            };
            match kind {
                "phone" => phone(value, &path, faults),
                "totp" => {
                    if let Some(secret) = text(value, &path, None, faults)
                        && !secret.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
                    {
                        faults.push(pattern("^[A-Z2-7]+$", &path));
                    }
                }
                _ => {
                    if let Some(email) = text(value, &path, None, faults)
                        && !is_email(email)
                    {
                        faults.push(format("email", &path, email));
                    }
                }
            }
        }
    }
}
