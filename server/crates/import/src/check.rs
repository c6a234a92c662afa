//! Checks rows before anything is sent: the import schema, rules that a schema cannot express, and duplicates within
//! the import (docs/auth0/import-schema.md).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use serde_json::{Map, Value};

use super::attribute_rules::{FORBIDDEN_APP_METADATA, check_factors, check_key_names, check_username};
use super::compact_row::MAX_ROW_IN_CHUNK;
use super::custom_password_hash::{check_custom_hash, check_hash_length};
use super::dedup_index::SpillingHashIndex;
use super::fast_check::{FastCheck, UncheckedRow, ValidRowText, fast_check};
use super::redact;
use super::row_fault::{RowFault, RowLocation, Severity};
use super::row_identity::{ID_PREFIX, RowIdentity};
use super::schema::{self, Finding};
use uie_core::error::Result;
use uie_core::message::message;
use uie_records::member;

/// Checks the rows of one import, in order.
#[derive(Debug)]
pub(super) struct Checker {
    keep_id_prefix: bool,
    /// Names of root members that the check of a text removes; none of them is importable.
    dropped: Vec<String>,
    seen: SeenIdentifiers,
    phone_warning_emitted: bool,
}

impl Checker {
    /// `scratch` is a directory for data that does not fit into memory.
    pub(super) fn new(keep_id_prefix: bool, scratch: &Path) -> Self {
        let seen = SeenIdentifiers { hasher: RandomState::new(), rows: SpillingHashIndex::new(scratch) };
        Self { keep_id_prefix, dropped: Vec::new(), seen, phone_warning_emitted: false }
    }

    /// Removes these root members, of which none is importable, from rows that are checked by their text.
    pub(super) fn dropping(self, names: &[String]) -> Self {
        Self { dropped: names.to_vec(), ..self }
    }

    /// Checks a row by its text alone. Returns the valid row, perhaps with a warning, or a row that needs the full
    /// check; `None` if the row must be parsed first. The row is at the start of `text`; with `is_whole` the text
    /// contains nothing else.
    pub(super) fn check_text<'r>(
        &mut self,
        location: &RowLocation,
        text: &'r [u8],
        is_whole: bool,
    ) -> Result<Option<FastChecked<'r>>> {
        let row = match fast_check(text, is_whole, self.phone_warning_emitted, &self.dropped) {
            None => return Ok(None),
            Some(FastCheck::NeedsFullCheck(row)) => return Ok(Some(FastChecked::NeedsFullCheck(row))),
            Some(FastCheck::Valid(row)) => row,
        };
        let sent_id = row.user_id.map(|id| self.sent_id(id));
        let identity = Identity {
            email: Some(&row.email),
            user_id: sent_id,
            username: row.username.as_deref(),
            phone_number: row.phone_number,
        };
        if !self.is_new(location, &identity)? {
            return Ok(Some(FastChecked::NeedsFullCheck(row.into_unchecked())));
        }
        let warning = row.user_id.filter(|id| id.contains('|')).and_then(|id| {
            let mut warnings = Vec::new();
            self.check_id(id, &mut Vec::new(), &mut warnings);
            let value = serde_json::json!({ "user_id": id });
            warnings.pop().map(|finding| Box::new(fault(location, &value, finding, Severity::Warning)))
        });
        Ok(Some(FastChecked::Valid(ValidRow { row, sent_id, keep_id_prefix: self.keep_id_prefix, warning })))
    }

    /// Runs the full check and returns all errors and warnings of a row. `size` is its size in a chunk, in bytes.
    pub(super) fn check(&mut self, location: &RowLocation, row: &Value, size: usize) -> Result<Vec<RowFault>> {
        let mut findings = Vec::new();
        schema::validate(row, &mut findings);
        let mut warnings = Vec::new();
        if let Value::Object(members) = row {
            let fits_schema = findings.is_empty();
            self.check_semantics(members, size, &mut findings, &mut warnings);
            if fits_schema && findings.is_empty() {
                self.check_duplicates(location, members, &mut findings)?;
            }
        }
        let errors = findings.into_iter().map(|finding| fault(location, row, finding, Severity::Error));
        Ok(errors.chain(warnings.into_iter().map(|finding| fault(location, row, finding, Severity::Warning))).collect())
    }

    /// Returns the id to send: without the prefix, which Auth0 would add a second time, unless it is to be kept.
    pub(super) fn sent_id<'a>(&self, id: &'a str) -> &'a str {
        if self.keep_id_prefix { id } else { id.strip_prefix(ID_PREFIX).unwrap_or(id) }
    }

    /// Sets the state after the first phone number, whose warning is emitted once per import.
    #[cfg(test)]
    pub(super) fn suppress_phone_warning(&mut self) {
        self.phone_warning_emitted = true;
    }

    fn check_semantics(
        &mut self,
        user: &Map<String, Value>,
        size: usize,
        findings: &mut Vec<Finding>,
        warnings: &mut Vec<Finding>,
    ) {
        if size > MAX_ROW_IN_CHUNK {
            findings.push(
                Finding::new(
                    "",
                    "ROW_TOO_LARGE",
                    message!(
                        "The user takes {size} bytes; Auth0 accepts at most {max} at a time.",
                        max = MAX_ROW_IN_CHUNK
                    ),
                )
                .with_hint(message!("Shorten the metadata of this user.")),
            );
        }
        if user.contains_key("password_hash") && user.contains_key("custom_password_hash") {
            findings.push(
                Finding::new(
                    "custom_password_hash",
                    "NOT_PASSED",
                    message!("A user may have password_hash or custom_password_hash, not both."),
                )
                .with_hint(message!("Leave one of the two out.")),
            );
        }
        if let Some(Value::Object(hash)) = user.get("custom_password_hash") {
            let before = findings.len();
            check_custom_hash(hash, findings);
            if findings.len() == before {
                check_hash_length(hash, warnings);
            }
        }
        if let Some(Value::Object(metadata)) = user.get("app_metadata") {
            for name in FORBIDDEN_APP_METADATA.iter().filter(|name| metadata.contains_key(**name)) {
                findings.push(
                    Finding::new(
                        &member("app_metadata", name),
                        "NOT_PASSED",
                        message!("app_metadata must not contain {name}."),
                    )
                    .with_hint(message!("Rename the key, or leave it out.")),
                );
            }
        }
        for root in ["app_metadata", "user_metadata"] {
            if let Some(metadata) = user.get(root) {
                check_key_names(metadata, root, findings);
            }
        }
        if let Some(Value::Array(factors)) = user.get("mfa_factors") {
            check_factors(factors, findings);
        }
        if let Some(Value::String(id)) = user.get("user_id") {
            self.check_id(id, findings, warnings);
        }
        if let Some(Value::String(name)) = user.get("username") {
            check_username(name, warnings);
        }
        if let Some(Value::String(picture)) = user.get("picture")
            && url::Url::parse(picture).is_err()
        {
            warnings.push(Finding::new("picture", "FORMAT", message!("picture is not a URL.")));
        }
        if user.contains_key("phone_number") && !self.phone_warning_emitted {
            self.phone_warning_emitted = true;
            let message = message!("Auth0's documentation contradicts itself on whether phone_number can be imported.");
            warnings.push(Finding::new("phone_number", "UNCERTAIN", message).with_hint(message!(
                "Import a few users first and check them in the tenant; this warning is shown once per import."
            )));
        }
    }

    fn check_id(&self, id: &str, findings: &mut Vec<Finding>, warnings: &mut Vec<Finding>) {
        let sent = self.sent_id(id);
        if sent.is_empty() && !id.is_empty() {
            findings.push(
                Finding::new("user_id", "MIN_LENGTH", message!("user_id consists of the prefix auth0| only."))
                    .with_hint(message!("Leave user_id out: Auth0 then generates one.")),
            );
        } else if sent.contains('|') {
            warnings.push(
                Finding::new(
                    "user_id",
                    "ID_PREFIX",
                    message!(
                        "user_id starts with the prefix of another connection; the id in the tenant will be auth0| \
                         followed by all of it."
                    ),
                )
                .with_hint(message!(
                    "Give only the part after the last | if the user's id should not hold the prefix of another \
                     connection."
                )),
            );
        }
    }

    /// Reports a user whose identity was in an earlier row that will be sent
    /// (docs/auth0/jobs.md#what-an-import-changes).
    fn check_duplicates(
        &mut self,
        location: &RowLocation,
        user: &Map<String, Value>,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        // Auth0 stores both in lower case (docs/auth0/import-schema.md#attributes,
        // docs/auth0/user-profile.md#attributes).
        let (email, username) = (text("email").map(str::to_lowercase), text("username").map(str::to_lowercase));
        let identity = Identity {
            email: email.as_deref(),
            user_id: text("user_id").map(|id| self.sent_id(id)),
            username: username.as_deref(),
            phone_number: text("phone_number"),
        };
        if self.is_new(location, &identity)? {
            return Ok(());
        }
        for (kind, name, value) in identity.values() {
            if let Some(first) = self.seen.rows.get(self.seen.key(kind, value))? {
                findings.push(
                    Finding::new(
                        name,
                        "DUPLICATED_USER",
                        message!("A user with this {name} was already provided in row {first}."),
                    )
                    .with_hint(message!("Keep one of the two rows.")),
                );
            }
        }
        Ok(())
    }

    /// Returns whether no earlier row has any of these values, and then records all of them.
    fn is_new(&mut self, location: &RowLocation, identity: &Identity<'_>) -> Result<bool> {
        let mut new = [0; 4];
        let mut count = 0;
        // Compute all hashes first, so that the memory accesses of the lookups overlap.
        for ((kind, _, value), slot) in identity.values().zip(&mut new) {
            *slot = self.seen.key(kind, value);
            count += 1;
        }
        for key in new.iter().take(count) {
            if self.seen.rows.get(*key)?.is_some() {
                return Ok(false);
            }
        }
        for key in new.iter().take(count) {
            self.seen.rows.insert(*key, location.row)?;
        }
        Ok(true)
    }
}

/// The values by which Auth0 identifies a user, normalized as Auth0 compares them.
struct Identity<'a> {
    email: Option<&'a str>,
    user_id: Option<&'a str>,
    username: Option<&'a str>,
    phone_number: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// Returns number, name and value of each identifier that is present.
    fn values(&self) -> impl Iterator<Item = (u8, &'static str, &'a str)> + use<'a> {
        let values = [
            (0, "email", self.email),
            (1, "user_id", self.user_id),
            (2, "username", self.username),
            (3, "phone_number", self.phone_number),
        ];
        values
            .into_iter()
            .filter_map(|(kind, name, value)| Some((kind, name, value.filter(|value| !value.is_empty())?)))
    }
}

/// Result of the fast check, including duplicates.
pub(super) enum FastChecked<'a> {
    Valid(ValidRow<'a>),
    NeedsFullCheck(UncheckedRow<'a>),
}

/// A row without errors, known from its text alone.
pub(super) struct ValidRow<'a> {
    row: ValidRowText<'a>,
    sent_id: Option<&'a str>,
    keep_id_prefix: bool,
    pub(super) warning: Option<Box<RowFault>>,
}

impl<'a> ValidRow<'a> {
    /// The row's text in the file.
    pub(super) fn text(&self) -> &'a str {
        self.row.text
    }

    /// Appends the row as compact JSON, as it is sent.
    pub(super) fn write_compact(&self, output: &mut Vec<u8>) {
        self.row.write_compact(self.keep_id_prefix, output);
    }

    /// Returns location and identifiers of the row, to match it with Auth0's reports.
    pub(super) fn identity(&self, location: &RowLocation) -> RowIdentity {
        RowIdentity {
            row: location.row,
            line: location.line,
            file: location.file.clone(),
            email: Some(self.row.email.clone().into_owned()),
            user_id: self.sent_id.map(str::to_owned),
            username: self.row.username.as_deref().map(str::to_owned),
            phone_number: self.row.phone_number.map(str::to_owned),
        }
    }
}

/// Identifiers of all earlier rows, as 64-bit hashes with a random key: collisions cannot be provoked, and among ten
/// million different values the probability of a collision is 3 in a million. See [`SpillingHashIndex`] for the use
/// of memory and disk.
#[derive(Debug)]
struct SeenIdentifiers {
    hasher: RandomState,
    rows: SpillingHashIndex,
}

impl SeenIdentifiers {
    fn key(&self, kind: u8, value: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(value.as_bytes());
        hasher.write_u8(kind);
        hasher.finish()
    }
}

fn fault(location: &RowLocation, row: &Value, finding: Finding, severity: Severity) -> RowFault {
    let value = finding.path.as_deref().and_then(|path| redact::redacted_value(row, path));
    RowFault {
        line: location.line,
        row: location.row,
        attribute: finding.path,
        code: finding.code.to_owned(),
        message: finding.message,
        hint: finding.hint,
        value,
        severity,
        file: location.file.clone(),
    }
}
