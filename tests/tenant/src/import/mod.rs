//! Import jobs: checks every user against the import schema and the tenant, inserts or updates the valid ones, reports
//! the invalid ones (docs/auth0/jobs.md#what-an-import-changes, docs/auth0/import-schema.md).

mod check;
mod password;

use std::collections::HashSet;

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use crate::clock::iso;
use crate::connections::Connection;
use crate::directory::{Directory, Handle};
use crate::tokens::hex;

/// One error of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) path: Option<String>,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Fault { code, message: message.into(), path: None }
    }

    fn at(code: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { code, message: message.into(), path: Some(path.into()) }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({"code": self.code, "message": self.message});
        if let Some(path) = &self.path {
            json["path"] = path.as_str().into();
        }
        json
    }
}

/// The result of an import job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) failed: u64,
    pub(crate) total: u64,
    /// One entry per failed user: `{user, errors}`.
    pub(crate) errors: Vec<Value>,
}

/// The attributes an upsert changes (docs/auth0/import-schema.md#attributes).
const UPSERTABLE: &[&str] =
    &["email_verified", "given_name", "family_name", "name", "nickname", "picture", "app_metadata", "user_metadata"];

/// Imports a file.
///
/// # Errors
/// The reason, if the whole job fails.
pub(crate) fn run(
    file: &[u8],
    connection: &Connection,
    upsert: bool,
    directory: &Directory,
    now: i64,
) -> Result<Outcome, String> {
    const UNREADABLE: &str = "Failed to parse users file when importing users.";
    let users: Value = serde_json::from_slice(file).map_err(|_| UNREADABLE.to_owned())?;
    let Value::Array(users) = users else { return Err(UNREADABLE.to_owned()) };
    let mut outcome = Outcome { total: users.len() as u64, ..Outcome::default() };
    let mut seen = HashSet::new();
    for user in users {
        match import_user(&user, connection, upsert, directory, now, &mut seen) {
            Ok(true) => outcome.updated += 1,
            Ok(false) => outcome.inserted += 1,
            Err(faults) => {
                outcome.failed += 1;
                let faults: Vec<Value> = faults.iter().map(Fault::to_json).collect();
                outcome.errors.push(json!({"user": redacted(user), "errors": faults}));
            }
        }
    }
    Ok(outcome)
}

/// Imports one user. Returns `true` if an existing user was updated.
fn import_user(
    user: &Value,
    connection: &Connection,
    upsert: bool,
    directory: &Directory,
    now: i64,
    seen: &mut HashSet<(&'static str, String)>,
) -> Result<bool, Vec<Fault>> {
    let faults = check::check(user, connection);
    if !faults.is_empty() {
        return Err(faults);
    }
    let text = |name: &str| user.get(name).and_then(Value::as_str);
    let email = text("email").unwrap_or_default().to_lowercase();
    let username = text("username").map(str::to_lowercase);
    let user_id = text("user_id").map(|id| format!("auth0|{id}"));
    let identifiers = [
        ("email", Some(email.clone())),
        ("username", username.clone()),
        ("user_id", user_id.clone()),
        ("phone_number", text("phone_number").map(str::to_owned)),
    ];
    let mut repeated = Vec::new();
    for (name, value) in identifiers {
        if let Some(value) = value
            && !seen.insert((name, value))
        {
            repeated.push(Fault::new("DUPLICATED_USER", format!("A user with this {name} was already provided.")));
        }
    }
    if !repeated.is_empty() {
        return Err(repeated);
    }

    let by_email =
        directory.by_email(&email).into_iter().find(|found| directory.in_connection(*found, &connection.name));
    let by_id = user_id.as_deref().and_then(|id| directory.by_user_id(id));
    let by_phone = text("phone_number").and_then(|phone| directory.by_phone(&connection.name, phone));
    let by_username = username.as_deref().and_then(|name| directory.by_username(&connection.name, name));
    if !upsert && [by_email, by_id, by_phone, by_username].iter().any(Option::is_some) {
        return Err(vec![Fault::new("DUPLICATED_USER", "The user already exist and upsert parameter is false")]);
    }
    // Matched by e-mail only (docs/auth0/open-questions.md#upsert-matching): other identifiers that belong to
    // another user are a conflict.
    let elsewhere = |found: Option<Handle>| found.is_some() && found != by_email;
    if elsewhere(by_username) {
        return Err(vec![Fault::new("CONFLICT_USERNAME", "The username belongs to another user")]);
    }
    if elsewhere(by_id) || elsewhere(by_phone) {
        return Err(vec![Fault::new("CONFLICT", "The user_id or phone_number belongs to another user")]);
    }
    if let Some(handle) = by_email {
        let Some(mut stored) = directory.get(handle) else {
            return Err(vec![Fault::new("CONFLICT", "The user was deleted meanwhile")]);
        };
        for name in UPSERTABLE {
            // Metadata is replaced, not merged.
            if let Some(value) = user.get(name) {
                stored[*name] = value.clone();
            }
        }
        stored["updated_at"] = iso(now).into();
        directory.replace(handle, &stored);
        return Ok(true);
    }
    directory.add(&profile(user, &email, username, connection, now), now);
    Ok(false)
}

/// Returns the stored profile of a new user, with Auth0's defaults (docs/auth0/import-schema.md#attributes).
fn profile(user: &Value, email: &str, username: Option<String>, connection: &Connection, now: i64) -> Value {
    let local = email.split('@').next().unwrap_or_default();
    let id = user.get("user_id").and_then(Value::as_str).map_or_else(|| hex(24), str::to_owned);
    let mut profile = Map::new();
    if let Some(blocked) = user.get("blocked") {
        profile.insert("blocked".into(), blocked.clone());
    }
    profile.insert("created_at".into(), iso(now).into());
    profile.insert("email".into(), email.into());
    profile.insert("email_verified".into(), user.get("email_verified").cloned().unwrap_or(false.into()));
    for name in ["family_name", "given_name"] {
        if let Some(value) = user.get(name) {
            profile.insert(name.into(), value.clone());
        }
    }
    profile.insert(
        "identities".into(),
        json!([{"connection": connection.name, "user_id": id, "provider": "auth0", "isSocial": false}]),
    );
    let or = |name: &str, default: String| user.get(name).cloned().unwrap_or(default.into());
    profile.insert("name".into(), or("name", email.to_owned()));
    profile.insert("nickname".into(), or("nickname", local.to_owned()));
    profile.insert("picture".into(), or("picture", gravatar(email)));
    profile.insert("updated_at".into(), iso(now).into());
    profile.insert("user_id".into(), format!("auth0|{id}").into());
    if let Some(username) = username {
        profile.insert("username".into(), username.into());
    }
    for name in ["phone_number", "phone_verified", "user_metadata", "app_metadata"] {
        if let Some(value) = user.get(name) {
            profile.insert(name.into(), value.clone());
        }
    }
    profile.into()
}

/// Returns the default picture: Gravatar, with the first two letters of the address as a fallback.
fn gravatar(email: &str) -> String {
    let digest = u128::from_be_bytes(Md5::digest(email.as_bytes()).into());
    let initials: String = email.chars().take_while(|c| *c != '@').take(2).collect();
    format!(
        "https://s.gravatar.com/avatar/{digest:032x}?s=480&r=pg&d=https%3A%2F%2Fcdn.auth0.com%2Favatars%2F{initials}.png"
    )
}

/// Returns the user as sent, with secrets replaced by `*****` (docs/auth0/jobs.md#job-errors).
fn redacted(mut user: Value) -> Value {
    fn hide(value: Option<&mut Value>) {
        if let Some(value) = value
            && !value.is_null()
        {
            *value = "*****".into();
        }
    }
    if !user.is_object() {
        // The report holds objects only (OpenAPI description, GetJobUserError).
        return json!({});
    }
    hide(user.get_mut("password_hash"));
    if let Some(custom) = user.get_mut("custom_password_hash") {
        for pointer in ["/hash/value", "/hash/key/value", "/salt/value"] {
            hide(custom.pointer_mut(pointer));
        }
    }
    for factor in user.get_mut("mfa_factors").and_then(Value::as_array_mut).into_iter().flatten() {
        hide(factor.pointer_mut("/totp/secret"));
    }
    user
}
