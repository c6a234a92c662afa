//! Origin and identifiers of a row, and the search of rows by them.

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
    pub(super) fn new(location: &RowLocation, user: &Value, sent_id: impl Fn(&str) -> String) -> Self {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        Self {
            row: location.row,
            line: location.line,
            file: location.file.clone(),
            email: text("email").map(str::to_lowercase),
            user_id: text("user_id").map(sent_id),
            username: text("username").map(str::to_lowercase),
            phone_number: text("phone_number").map(str::to_owned),
        }
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
