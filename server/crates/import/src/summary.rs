//! The summary of an import: formats of its files, and errors and warnings grouped by reason.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::detected_inputs::read_inputs;
use super::faults::faults;
use super::hashes::JoinedHashes;
use super::input_file::InputFormat;
use super::lookup::{Backup, ExistingUsers, LookedUp};
use super::row_fault::{RowFault, Severity};
use uie_auth0::JobSummary;
use uie_core::error::{Error, Result};
use uie_core::language::Language;
use uie_core::message::{Localize, Message, message};
use uie_store::Files;

/// Maximum number of distinct reasons; further ones are counted as `OTHER`.
const MAX_REASONS: usize = 100;

/// Maximum number of lines listed per reason.
const LINES_PER_REASON: usize = 5;

/// A kind of error or warning, and how often it occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reason {
    /// Error code.
    pub code: String,
    /// The affected attribute, with `[]` in place of every index; `None` if whole rows are affected.
    pub attribute: Option<String>,
    /// Error or warning.
    pub severity: Severity,
    /// Number of occurrences.
    pub count: u64,
    /// Message of the first occurrence.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub message: Message,
    /// Hint of the first occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub hint: Option<Message>,
    /// The first affected lines, without repetition.
    pub lines: Vec<u64>,
}

/// Summary of an import besides its counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Details {
    /// Formats of the files.
    pub inputs: Vec<InputFormat>,
    /// Set when an export of password hashes was among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<JoinedHashes>,
    /// Rows that the query does not match; absent if there are no such rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
    /// Predicted result; present if a dry run looked users up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookedUp>,
    /// The back-up made before an upsert; download it with `GET /api/jobs/{id}/backup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Reasons of errors and warnings, the most frequent first.
    pub reasons: Vec<Reason>,
}

/// Returns the details of the import in this directory. Reads every row error once. Blocking.
pub fn details(files: &Files) -> Result<Details> {
    let detected = read_inputs(files);
    let mut reasons = ReasonCounter::default();
    for fault in faults(files)? {
        reasons.push(&fault?);
    }
    let ExistingUsers { look_up, backup } = ExistingUsers::read(files)?.unwrap_or_default();
    Ok(Details {
        inputs: detected.inputs,
        hashes: detected.hashes,
        left_out: (detected.left_out > 0).then_some(detected.left_out),
        look_up,
        backup,
        reasons: reasons.finish(),
    })
}

impl Reason {
    /// Returns the reason as JSON that keeps the templates of its texts.
    fn to_stored(&self) -> serde_json::Result<Value> {
        let mut stored = serde_json::to_value(self)?;
        stored["message"] = self.message.to_stored();
        if let Some(hint) = &self.hint {
            stored["hint"] = hint.to_stored();
        }
        Ok(stored)
    }
}

impl Localize for Reason {
    fn localize(&mut self, language: Language) {
        self.message.localize(language);
        self.hint.localize(language);
    }
}

/// Groups row errors and warnings by reason.
#[derive(Debug, Default)]
pub struct ReasonCounter(HashMap<(String, Option<String>, bool), Reason>);

impl ReasonCounter {
    /// Counts a row error or warning.
    pub fn push(&mut self, fault: &RowFault) {
        let attribute = fault.attribute.as_deref().map(without_indexes);
        let mut key = (fault.code.clone(), attribute, fault.severity == Severity::Error);
        let mut texts = None;
        if self.0.len() >= MAX_REASONS && !self.0.contains_key(&key) {
            key = ("OTHER".to_owned(), None, key.2);
            texts = Some((message!("There are further reasons, too many to list here."), None));
        }
        let reason = match self.0.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let (code, attribute, _) = entry.key().clone();
                let (message, hint) = texts.unwrap_or_else(|| (fault.message.clone(), fault.hint.clone()));
                entry.insert(Reason {
                    code,
                    attribute,
                    severity: fault.severity,
                    count: 0,
                    message,
                    hint,
                    lines: Vec::new(),
                })
            }
        };
        reason.count += 1;
        // One line of JSON may contain many rows.
        if fault.line > 0 && reason.lines.len() < LINES_PER_REASON && !reason.lines.contains(&fault.line) {
            reason.lines.push(fault.line);
        }
    }

    /// Returns the reasons: errors before warnings, the most frequent first.
    pub fn finish(self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.0.into_values().collect();
        reasons.sort_by(|one, other| {
            let key = |reason: &Reason| (reason.severity == Severity::Warning, u64::MAX - reason.count);
            key(one).cmp(&key(other)).then_with(|| (&one.code, &one.attribute).cmp(&(&other.code, &other.attribute)))
        });
        reasons
    }
}

/// Returns the summary of a job to be stored: Auth0's four counts and the [`Details`]. It keeps the templates of its
/// texts. Blocking.
pub fn summary(counts: JobSummary, files: &Files) -> Result<Value> {
    let internal = Error::internal::<serde_json::Error>;
    let mut summary = serde_json::to_value(counts).map_err(internal)?;
    let details = details(files)?;
    let reasons = details.reasons.iter().map(Reason::to_stored).collect::<serde_json::Result<Vec<_>>>();
    let mut details = serde_json::to_value(&details).map_err(internal)?;
    details["reasons"] = reasons.map_err(internal)?.into();
    if let (Value::Object(summary), Value::Object(details)) = (&mut summary, details) {
        summary.extend(details);
    }
    Ok(summary)
}

/// Removes the indexes from a path: `mfa_factors[3].totp` becomes `mfa_factors[].totp`.
fn without_indexes(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        text.push('[');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::super::faults::FaultFile;
    use super::*;

    fn fault(line: u64, code: &str, attribute: &str, severity: Severity) -> RowFault {
        RowFault {
            line,
            row: line,
            attribute: Some(attribute.to_owned()),
            code: code.to_owned(),
            message: message!("{attribute} is wrong."),
            hint: None,
            value: None,
            severity,
            file: None,
        }
    }

    #[test]
    fn reasons_are_grouped_by_code_and_attribute_and_sorted_by_severity_and_count() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = FaultFile::for_check(&Files::plaintext(directory.path())).unwrap();
        file.push(&fault(1, "ID_PREFIX", "user_id", Severity::Warning)).unwrap();
        for line in 1..8 {
            file.push(&fault(line, "ID_PREFIX", "user_id", Severity::Warning)).unwrap();
            file.push(&fault(line, "PATTERN", &format!("mfa_factors[{line}].totp.secret"), Severity::Error)).unwrap();
        }
        file.push(&fault(9, "FORMAT", "email", Severity::Error)).unwrap();
        file.finish().unwrap();
        let reasons = details(&Files::plaintext(directory.path())).unwrap().reasons;
        let seen: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.count)).collect();
        assert_eq!(seen, [("PATTERN", 7), ("FORMAT", 1), ("ID_PREFIX", 8)]);
        assert_eq!(reasons[0].attribute.as_deref(), Some("mfa_factors[].totp.secret"));
        assert_eq!(reasons[0].lines, [1, 2, 3, 4, 5]);
        assert_eq!(reasons[2].lines, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_stored_summary_is_translated_when_it_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::plaintext(directory.path());
        let mut file = FaultFile::for_check(&files).unwrap();
        file.push(&RowFault {
            message: message!("{path} is empty.", path = "name"),
            hint: Some(message!("Leave the attribute out when it has no value.")),
            ..fault(1, "MIN_LENGTH", "name", Severity::Error)
        })
        .unwrap();
        file.finish().unwrap();
        let stored = summary(JobSummary { total: 1, failed: 1, inserted: 0, updated: 0 }, &files).unwrap();
        for (language, message) in
            [(Language::ENGLISH, "name is empty."), (Language::of_tag("de").expect("German"), "name ist leer.")]
        {
            let mut shown = stored.clone();
            shown.localize(language);
            assert_eq!((&shown["total"], &shown["reasons"][0]["message"]), (&1.into(), &message.into()));
            assert!(shown["reasons"][0]["hint"].is_string(), "{shown}");
        }
        let reasons: Vec<Reason> = serde_json::from_value(stored["reasons"].clone()).unwrap();
        assert_eq!(reasons, details(&files).unwrap().reasons);
    }

    #[test]
    fn the_number_of_reasons_is_limited() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = FaultFile::for_check(&Files::plaintext(directory.path())).unwrap();
        for line in 1..=300 {
            file.push(&fault(line, "METADATA_KEY", &format!("user_metadata.k{line}"), Severity::Error)).unwrap();
        }
        file.finish().unwrap();
        let reasons = details(&Files::plaintext(directory.path())).unwrap().reasons;
        assert_eq!(reasons.len(), MAX_REASONS + 1);
        assert_eq!((reasons[0].code.as_str(), reasons[0].count), ("OTHER", 200));
    }
}
