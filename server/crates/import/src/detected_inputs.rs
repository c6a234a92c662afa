//! The detected formats of the files of an import, stored in the directory of its job.

use serde::{Deserialize, Serialize};

use super::check_run::CheckSummary;
use super::hashes::JoinedHashes;
use super::input_file::InputFormat;
use super::io_error::with_path;
use uie_core::error::{Error, Result};
use uie_store::Files;

/// File in the job's directory with the detected formats of its files.
pub(super) const INPUTS_FILE: &str = "inputs.json";

/// What a check detected in the files of an import.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct DetectedInputs {
    pub(super) inputs: Vec<InputFormat>,
    pub(super) hashes: Option<JoinedHashes>,
    /// Numbers of the files, from 0, that are exports of password hashes and were joined; `None` if an earlier version
    /// wrote this.
    pub(super) hash_files: Option<Vec<usize>>,
    /// Rows that the query does not match.
    #[serde(default)]
    pub(super) left_out: u64,
}

/// Writes the formats of the files that a check detected.
pub(super) fn write_inputs(files: &Files, summary: &CheckSummary) -> Result<()> {
    let inputs = DetectedInputs {
        inputs: summary.inputs.clone(),
        hashes: summary.hashes,
        hash_files: Some(summary.hash_files.clone()),
        left_out: summary.left_out,
    };
    let json = serde_json::to_vec(&inputs).map_err(Error::internal)?;
    files.write(INPUTS_FILE, &json, true).map_err(|error| with_path(error, &files.path(INPUTS_FILE)))
}

/// Reads the formats of the files; empty if the check is not finished.
pub(super) fn read_inputs(files: &Files) -> DetectedInputs {
    match files.read(INPUTS_FILE) {
        Ok(json) => serde_json::from_slice(&json).unwrap_or_default(),
        Err(_) => DetectedInputs::default(),
    }
}
