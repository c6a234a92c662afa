//! What an import came to besides its counts: what its files were, and why rows failed, by reason.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chunks::named;
use super::{Backup, CheckSummary, InputFormat, JoinedHashes, LookedUp, RowFault, Severity, Survey, faults};
use crate::auth0::JobSummary;
use crate::error::{Code, Error, Result};
use crate::store::Files;

/// Where a job keeps what was found out about its files.
pub(super) const INPUTS: &str = "inputs.json";

/// The most reasons that are told apart; what comes after is counted together.
const MOST_REASONS: usize = 100;

/// Lines that are named for each reason.
const LINES: usize = 5;

/// Why rows failed or were warned about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reason {
    /// Code of the faults.
    pub code: String,
    /// The attribute concerned, with `[]` for every index; none for rows as a whole.
    pub attribute: Option<String>,
    /// Error or warning.
    pub severity: Severity,
    /// How many faults there are.
    pub count: u64,
    /// The message of the first.
    pub message: String,
    /// The hint of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The first lines concerned, each once.
    pub lines: Vec<u64>,
}

/// What is told of an import besides its counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Details {
    /// What the files are.
    pub inputs: Vec<InputFormat>,
    /// Set when an export of password hashes was among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<JoinedHashes>,
    /// What a dry run that looked users up found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookedUp>,
    /// The back-up made before an upsert; `GET /api/jobs/{id}/backup` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Reasons of errors and warnings, the most frequent first.
    pub reasons: Vec<Reason>,
}

#[derive(Default, Serialize, Deserialize)]
struct Inputs {
    inputs: Vec<InputFormat>,
    hashes: Option<JoinedHashes>,
}

/// Keeps what a check found out about the files.
pub(super) fn keep_inputs(files: &Files, summary: &CheckSummary) -> Result<()> {
    let inputs = Inputs { inputs: summary.inputs.clone(), hashes: summary.hashes };
    let json = serde_json::to_vec(&inputs).map_err(|error| Error::new(Code::Internal, error.to_string()))?;
    files.write(INPUTS, &json, true).map_err(|error| named(error, &files.path(INPUTS)))
}

/// What is known of the import with these files. Reads every fault once. Blocking.
pub fn details(files: &Files) -> Result<Details> {
    let known: Inputs = match files.read(INPUTS) {
        Ok(json) => serde_json::from_slice(&json).unwrap_or_default(),
        Err(_) => Inputs::default(),
    };
    let mut reasons = Reasons::default();
    for fault in faults(files)? {
        reasons.push(&fault?);
    }
    let Survey { look_up, backup } = Survey::read(files)?.unwrap_or_default();
    Ok(Details { inputs: known.inputs, hashes: known.hashes, look_up, backup, reasons: reasons.finish() })
}

/// Counts faults by reason.
#[derive(Debug, Default)]
pub struct Reasons(HashMap<(String, Option<String>, bool), Reason>);

impl Reasons {
    /// Counts a fault.
    pub fn push(&mut self, fault: &RowFault) {
        let attribute = fault.attribute.as_deref().map(without_indexes);
        let mut key = (fault.code.clone(), attribute, fault.severity == Severity::Error);
        let (mut message, mut hint) = (fault.message.as_str(), fault.hint.as_deref());
        if self.0.len() >= MOST_REASONS && !self.0.contains_key(&key) {
            key = ("OTHER".to_owned(), None, key.2);
            (message, hint) = ("There are other reasons, too many to be told apart here.", None);
        }
        let reason = match self.0.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let (code, attribute, _) = entry.key().clone();
                entry.insert(Reason {
                    code,
                    attribute,
                    severity: fault.severity,
                    count: 0,
                    message: message.to_owned(),
                    hint: hint.map(str::to_owned),
                    lines: Vec::new(),
                })
            }
        };
        reason.count += 1;
        // Many rows may stand in one line of JSON.
        if fault.line > 0 && reason.lines.len() < LINES && !reason.lines.contains(&fault.line) {
            reason.lines.push(fault.line);
        }
    }

    /// The reasons: errors before warnings, the most frequent first.
    pub fn finish(self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.0.into_values().collect();
        reasons.sort_by(|one, other| {
            let key = |reason: &Reason| (reason.severity == Severity::Warning, u64::MAX - reason.count);
            key(one).cmp(&key(other)).then_with(|| (&one.code, &one.attribute).cmp(&(&other.code, &other.attribute)))
        });
        reasons
    }
}

/// The summary of a job: Auth0's four counts, and the [`Details`]. Blocking.
pub fn summary(counts: JobSummary, files: &Files) -> Result<Value> {
    let internal = |error: serde_json::Error| Error::new(Code::Internal, error.to_string());
    let mut summary = serde_json::to_value(counts).map_err(internal)?;
    let details = serde_json::to_value(details(files)?).map_err(internal)?;
    if let (Value::Object(summary), Value::Object(details)) = (&mut summary, details) {
        summary.extend(details);
    }
    Ok(summary)
}

/// `mfa_factors[3].totp` and `mfa_factors[0].totp` are one reason.
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
            message: format!("{attribute} is wrong."),
            hint: None,
            value: None,
            severity,
            file: None,
        }
    }

    #[test]
    fn faults_are_grouped_by_code_and_attribute_errors_and_frequent_ones_first() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = FaultFile::of_check(&Files::plain(directory.path())).unwrap();
        file.push(&fault(1, "ID_PREFIX", "user_id", Severity::Warning)).unwrap();
        for line in 1..8 {
            file.push(&fault(line, "ID_PREFIX", "user_id", Severity::Warning)).unwrap();
            file.push(&fault(line, "PATTERN", &format!("mfa_factors[{line}].totp.secret"), Severity::Error)).unwrap();
        }
        file.push(&fault(9, "FORMAT", "email", Severity::Error)).unwrap();
        file.finish().unwrap();
        let reasons = details(&Files::plain(directory.path())).unwrap().reasons;
        let seen: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.count)).collect();
        assert_eq!(seen, [("PATTERN", 7), ("FORMAT", 1), ("ID_PREFIX", 8)]);
        assert_eq!(reasons[0].attribute.as_deref(), Some("mfa_factors[].totp.secret"));
        assert_eq!(reasons[0].lines, [1, 2, 3, 4, 5]);
        assert_eq!(reasons[2].lines, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn reasons_without_number_do_not_fill_the_memory() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = FaultFile::of_check(&Files::plain(directory.path())).unwrap();
        for line in 1..=300 {
            file.push(&fault(line, "METADATA_KEY", &format!("user_metadata.k{line}"), Severity::Error)).unwrap();
        }
        file.finish().unwrap();
        let reasons = details(&Files::plain(directory.path())).unwrap().reasons;
        assert_eq!(reasons.len(), MOST_REASONS + 1);
        assert_eq!((reasons[0].code.as_str(), reasons[0].count), ("OTHER", 200));
    }
}
