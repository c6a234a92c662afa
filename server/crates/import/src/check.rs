//! Checks rows before anything is sent: the import schema, rules that a schema cannot express, and duplicates within
//! the import (docs/auth0/import-schema.md).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use serde_json::{Map, Value};

use super::attribute_rules::{FORBIDDEN_APP_METADATA, check_factors, check_key_names, check_username};
use super::cleanup::UnknownNames;
use super::compact_row::MAX_ROW_IN_CHUNK;
use super::custom_password_hash::check_custom_hash;
use super::dedup_index::SpillingHashIndex;
use super::fast_check::{FastCheck, TextRemoval, UncheckedText, fast_check};
use super::hash_warnings::check_hash_value;
use super::redact;
use super::row::{Checked, Mapped, Read, Row};
use super::row_fault::{RowFault, RowLocation, Severity};
use super::row_identity::{Identifiers, sent_id};
use super::schema::{self, Finding};
use uie_core::error::Result;
use uie_core::message::message;
use uie_records::member;

/// Checks the rows of one import, in order.
#[derive(Debug)]
pub(super) struct Checker {
    keep_id_prefix: bool,
    /// What the check of a text removes from it.
    removal: TextRemoval,
    /// The unknown attributes that were removed.
    unknown_names: UnknownNames,
    seen: SeenIdentifiers,
    phone_warning_emitted: bool,
}

impl Checker {
    /// `scratch` is a directory for data that does not fit into memory.
    pub(super) fn new(keep_id_prefix: bool, scratch: &Path) -> Self {
        let seen = SeenIdentifiers { hasher: RandomState::new(), rows: SpillingHashIndex::new(scratch) };
        Self {
            keep_id_prefix,
            removal: TextRemoval::default(),
            unknown_names: UnknownNames::default(),
            seen,
            phone_warning_emitted: false,
        }
    }

    /// Removes this from rows that are checked by their text.
    pub(super) fn removing(self, removal: TextRemoval) -> Self {
        Self { removal, ..self }
    }

    /// Returns the unknown attributes that were removed since the last call.
    pub(super) fn take_unknown_names(&mut self) -> UnknownNames {
        std::mem::take(&mut self.unknown_names)
    }

    /// Checks a row by its text: without building it if that is sufficient. Returns the length of the row and the
    /// result; `None` if the reader must parse the row first.
    pub(super) fn check_text<'t>(&mut self, row: Row<Read<'t>>) -> Result<Option<(usize, Checked<'t>)>> {
        let Read { text, is_whole } = row.state;
        let text = match fast_check(text, is_whole, self.phone_warning_emitted, &self.removal) {
            None => return Ok(None),
            Some(FastCheck::NeedsFullCheck(text)) => return self.check_built(row, &text),
            Some(FastCheck::Valid(text)) => text,
        };
        if !self.is_new(&row.location, &text.identifiers(self.keep_id_prefix))? {
            return self.check_built(row, &text.into_unchecked());
        }
        for name in text.unknown_names() {
            self.unknown_names.count(name, row.location.line);
        }
        let warnings = match text.user_id {
            Some(id) if id.contains('|') => self.id_warnings(&row.location, id),
            _ => Vec::new(),
        };
        Ok(Some((text.text.len(), Checked::Valid(row.into_valid(text, self.keep_id_prefix, warnings)))))
    }

    /// Runs the full check on a row whose text is not sufficient. `None` if the row must be parsed first.
    fn check_built<'t>(
        &mut self,
        row: Row<Read<'t>>,
        text: &UncheckedText<'t>,
    ) -> Result<Option<(usize, Checked<'t>)>> {
        let Some(row) = row.into_mapped(text) else { return Ok(None) };
        for name in text.unknown_names() {
            self.unknown_names.count(name, row.location.line);
        }
        Ok(Some((text.text.len(), self.check(row)?)))
    }

    /// Runs the full check on a parsed row.
    pub(super) fn check<'t>(&mut self, row: Row<Mapped<'t>>) -> Result<Checked<'t>> {
        // The compact form is never larger than the text.
        let mut size = row.state.text.len();
        if size > MAX_ROW_IN_CHUNK {
            let mut sent = Vec::new();
            row.state.write_compact(self.keep_id_prefix, &mut sent)?;
            size = sent.len();
        }
        let faults = self.find_faults(&row.location, &row.state.user, size)?;
        Ok(if faults.iter().all(|fault| fault.severity == Severity::Warning) {
            Checked::Valid(row.into_valid(self.keep_id_prefix, faults))
        } else {
            Checked::Failed(row.into_failed(faults))
        })
    }

    /// Returns all errors, then all warnings of a row. `size` is its size in a chunk, in bytes.
    pub(super) fn find_faults(&mut self, location: &RowLocation, row: &Value, size: usize) -> Result<Vec<RowFault>> {
        let mut findings = Vec::new();
        schema::validate(row, &mut findings);
        let mut warnings = Vec::new();
        if let Value::Object(members) = row {
            let fits_schema = findings.is_empty();
            self.check_semantics(members, size, &mut findings, &mut warnings);
            if fits_schema && findings.is_empty() {
                self.check_duplicates(location, row, &mut findings)?;
            }
        }
        let errors = findings.into_iter().map(|finding| fault(location, row, finding, Severity::Error));
        Ok(errors.chain(warnings.into_iter().map(|finding| fault(location, row, finding, Severity::Warning))).collect())
    }

    /// Returns the warnings about the id of a row that is valid otherwise.
    fn id_warnings(&self, location: &RowLocation, id: &str) -> Vec<RowFault> {
        let mut warnings = Vec::new();
        self.check_id(id, &mut Vec::new(), &mut warnings);
        let value = serde_json::json!({ "user_id": id });
        warnings.into_iter().map(|finding| fault(location, &value, finding, Severity::Warning)).collect()
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
                .with_hint(message!("Leave one of the two out, for example with --map 'null=password_hash'.")),
            );
        }
        if let Some(Value::Object(hash)) = user.get("custom_password_hash") {
            let before = findings.len();
            check_custom_hash(hash, findings);
            if findings.len() == before {
                check_hash_value(hash, warnings);
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
        let sent = sent_id(id, self.keep_id_prefix);
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
    fn check_duplicates(&mut self, location: &RowLocation, user: &Value, findings: &mut Vec<Finding>) -> Result<()> {
        let identifiers = Identifiers::of_user(user, self.keep_id_prefix);
        if self.is_new(location, &identifiers)? {
            return Ok(());
        }
        for (kind, name, value) in identifiers.values() {
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
    fn is_new(&mut self, location: &RowLocation, identifiers: &Identifiers<'_>) -> Result<bool> {
        let mut new = [0; 4];
        let mut count = 0;
        // Compute all hashes first, so that the memory accesses of the lookups overlap.
        for ((kind, _, value), slot) in identifiers.values().zip(&mut new) {
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
        file: location.file_name(),
    }
}
