//! Origin and identifiers of a row, and the search of rows by them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row_fault::RowLocation;

/// The prefix that Auth0 adds to the id of every imported user (docs/auth0/import-schema.md#attributes).
pub(super) const ID_PREFIX: &str = "auth0|";

/// Origin and identifiers of a row, to match it with users in Auth0's reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowIdentity {
    pub(super) row: u64,
    pub(super) line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// In lower case, as Auth0 stores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<String>,
    /// In lower case, as Auth0 stores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phone_number: Option<String>,
}

impl RowIdentity {
    pub(super) fn new(location: &RowLocation, identifiers: &Identifiers<'_>) -> Self {
        Self {
            row: location.row,
            line: location.line,
            file: location.file_name(),
            email: identifiers.email.as_deref().map(str::to_owned),
            user_id: identifiers.user_id.map(str::to_owned),
            username: identifiers.username.as_deref().map(str::to_owned),
            phone_number: identifiers.phone_number.map(str::to_owned),
        }
    }
}

/// The values by which Auth0 identifies a user, normalized as Auth0 stores and compares them
/// (docs/auth0/import-schema.md#attributes, docs/auth0/user-profile.md#attributes).
pub(super) struct Identifiers<'a> {
    /// In lower case.
    pub(super) email: Option<Cow<'a, str>>,
    /// As sent.
    pub(super) user_id: Option<&'a str>,
    /// In lower case.
    pub(super) username: Option<Cow<'a, str>>,
    pub(super) phone_number: Option<&'a str>,
}

impl<'a> Identifiers<'a> {
    /// Returns the identifiers of a parsed row.
    pub(super) fn of_user(user: &'a Value, keep_id_prefix: bool) -> Self {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        Self {
            email: text("email").map(lower),
            user_id: text("user_id").map(|id| sent_id(id, keep_id_prefix)),
            username: text("username").map(lower),
            phone_number: text("phone_number"),
        }
    }

    /// Returns number, name and value of each identifier that is present.
    pub(super) fn values(&self) -> impl Iterator<Item = (u8, &'static str, &str)> {
        let values = [
            (0, "email", self.email.as_deref()),
            (1, "user_id", self.user_id),
            (2, "username", self.username.as_deref()),
            (3, "phone_number", self.phone_number),
        ];
        values
            .into_iter()
            .filter_map(|(kind, name, value)| Some((kind, name, value.filter(|value| !value.is_empty())?)))
    }
}

/// Returns the id to send: without the prefix, which Auth0 would add a second time, unless it is to be kept.
pub(super) fn sent_id(id: &str, keep_prefix: bool) -> &str {
    if keep_prefix { id } else { id.strip_prefix(ID_PREFIX).unwrap_or(id) }
}

/// Returns a text in lower case.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Finds rows of a chunk by the identifiers in Auth0's report. Reports hide secrets and may differ in letter case, so
/// complete users cannot be compared.
pub(super) struct RowIndex<'a> {
    rows: &'a [RowIdentity],
    by_identifier: HashMap<(&'static str, &'a str), usize>,
}

impl<'a> RowIndex<'a> {
    pub(super) fn new(rows: &'a [RowIdentity]) -> Self {
        let mut by_identifier = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let identities = [
                ("email", &row.email),
                ("user_id", &row.user_id),
                ("username", &row.username),
                ("phone_number", &row.phone_number),
            ];
            for (name, value) in identities.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
                by_identifier.entry((name, value)).or_insert(index);
            }
        }
        Self { rows, by_identifier }
    }

    /// Returns the row of a reported user; `None` if no identifier matches.
    pub(super) fn find(&self, user: &Value) -> Option<&'a RowIdentity> {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        let find_row = |name: &'static str, value: &str| self.rows.get(*self.by_identifier.get(&(name, value))?);
        let find_id = |id: &str| find_row("user_id", id).or_else(|| find_row("user_id", id.strip_prefix(ID_PREFIX)?));
        text("email")
            .and_then(|email| find_row("email", &email.to_lowercase()))
            .or_else(|| find_id(text("user_id")?))
            .or_else(|| find_row("username", &text("username")?.to_lowercase()))
            .or_else(|| find_row("phone_number", text("phone_number")?))
    }
}
