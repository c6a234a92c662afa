//! Rules for single attributes that the schema cannot express (docs/auth0/import-schema.md).

use serde_json::{Map, Value};

use super::custom_password_hash::check_custom_hash;
use super::hash_warnings::check_hash_value;
use super::schema::{self, Finding};
use uie_core::message::message;
use uie_records::member;

/// Keys that `app_metadata` must not contain (docs/auth0/import-schema.md#metadata-keys).
pub(super) const FORBIDDEN_APP_METADATA: [&str; 18] = [
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

/// Returns whether the value of `custom_password_hash` or `mfa_factors` has neither errors nor warnings.
pub(super) fn has_no_findings(name: &str, value: &Value) -> bool {
    let (mut findings, mut warnings) = (Vec::new(), Vec::new());
    match value {
        Value::Object(hash) => {
            check_custom_hash(hash, &mut findings);
            check_hash_value(hash, &mut warnings);
        }
        Value::Array(factors) => check_factors(factors, &mut findings),
        _ => {}
    }
    findings.is_empty() && warnings.is_empty() && schema::is_valid_member(name, value)
}

/// Reports empty factors, which the schema allows.
pub(super) fn check_factors(factors: &[Value], findings: &mut Vec<Finding>) {
    for (index, _) in factors.iter().enumerate().filter(|(_, factor)| *factor == &Value::Object(Map::new())) {
        let path = format!("mfa_factors[{index}]");
        findings.push(
            Finding::new(&path, "NOT_PASSED", message!("{path} contains no factor."))
                .with_hint(message!("Write totp, phone or email into it, or leave it out.")),
        );
    }
}

/// Reports metadata keys, at any depth, that contain `.` or `$` (docs/auth0/import-schema.md#metadata-keys).
pub(super) fn check_key_names(value: &Value, path: &str, findings: &mut Vec<Finding>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if name.contains(['.', '$']) {
                    let path = member(path, name);
                    findings.push(
                        Finding::new(&path, "METADATA_KEY", message!("The key of {path} contains . or $."))
                            .with_hint(message!("Rename the key; nested data is written as an object.")),
                    );
                }
                if matches!(value, Value::Object(_) | Value::Array(_)) {
                    check_key_names(value, &member(path, name), findings);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if matches!(item, Value::Object(_) | Value::Array(_)) {
                    check_key_names(item, &format!("{path}[{index}]"), findings);
                }
            }
        }
        _ => {}
    }
}

/// Returns whether most connections accept this username: 1 to 128 characters, not an e-mail address.
pub(super) fn is_plain_username(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@`^$!-#.+'~_".contains(&byte))
        && !(name.contains('@') && schema::is_email(name))
}

/// Warns about usernames that most connections reject. Only a warning, because the rules depend on the connection
/// (docs/auth0/user-profile.md#attributes).
pub(super) fn check_username(name: &str, warnings: &mut Vec<Finding>) {
    if !(1..=128).contains(&name.chars().count()) {
        warnings.push(Finding::new("username", "MAX_LENGTH", message!("username must have 1 to 128 characters.")));
    } else if !is_plain_username(name) {
        warnings.push(
            Finding::new("username", "PATTERN", message!("username contains characters that Auth0 does not allow."))
                .with_hint(message!(
                    "Use letters and digits without accents and @ ` ^ $ ! - # . + ' ~ _; no e-mail address."
                )),
        );
    }
}
