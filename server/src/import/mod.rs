//! Imports: detect -> parse -> check -> chunk -> submit -> report (design, section 9).
//!
//! The whole file is checked before anything is sent. What a job keeps lies in its directory:
//!
//! ```text
//! upload              the file as it was sent; a directory of files when there were several
//! chunks/000001.json  good rows, as they go to Auth0
//! rows/000001.ndjson  where each row of the chunk came from
//! faults/             what is wrong: check.ndjson from the check, 000001.ndjson from Auth0 for that chunk
//! ```
//!
//! A file below `faults` is written as a whole and replaces its predecessor, so that a step that runs
//! again after a restart reports nothing twice. Where each chunk stands is in the store.

mod check;
mod chunks;
mod faults;
mod read;
mod redact;
mod report;
mod schema;
mod send;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::progress::Progress;
use check::{Checker, RowPlace};
pub use chunks::MAX_CHUNK_BYTES;
use chunks::{ChunkWriter, RowIdentity, WrittenChunk};
pub use faults::faults;
use read::{RawRow, RowReader};
pub use report::{ReportFormat, write_report};
pub use send::{Pace, outcome, run, run_at};

/// Settings of one import, kept with its job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The connection's id; empty for a dry run without a tenant.
    pub connection_id: String,
    /// Update users that exist, matched by e-mail; metadata is replaced.
    #[serde(default)]
    pub upsert: bool,
    /// E-mail the tenant's owners after every chunk.
    #[serde(default)]
    pub send_completion_email: bool,
    /// Text echoed in Auth0's jobs.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Keep `auth0|` at the start of a user_id.
    #[serde(default)]
    pub keep_id_prefix: bool,
    /// Check only, send nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Weight of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not imported.
    Error,
    /// The row is imported, perhaps not as meant.
    Warning,
}

/// What is wrong with a row (design, section 3: the lines of `--report`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowFault {
    /// Physical line where the row starts, from 1; 0 when Auth0 reported a user that is in no row.
    pub line: u64,
    /// Number of the row, from 1, counted through all files of the import; 0 as above.
    pub row: u64,
    /// The attribute's path; none for the row as a whole.
    pub attribute: Option<String>,
    /// Stable code: Auth0's own where one fits (contract, 5.3), or what Auth0 reported.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The value, secrets hidden.
    pub value: Option<serde_json::Value>,
    /// Error or warning.
    pub severity: Severity,
    /// Name of the file, only when the import has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// Rows read.
    pub total: u64,
    /// Rows without errors.
    pub good: u64,
    /// Rows with errors.
    pub failed: u64,
    /// Warnings, about good and bad rows.
    pub warnings: u64,
    /// Chunks the good rows fill; 0 when none were asked for.
    pub chunks: u64,
}

/// A file of an import.
pub struct InputFile {
    /// Its name, told in faults; only when the import has several files.
    pub name: Option<String>,
    /// Its bytes.
    pub content: Box<dyn Read + Send>,
}

/// Checks the rows of `input`, without sending: the dry run, and the first half of [`run`]. Good rows
/// become chunk files (JSON arrays of at most [`MAX_CHUNK_BYTES`]) in `chunks` if given; every fault
/// goes to `fault`. Blocking.
///
/// Fails when the file is empty or is no list of users, and when a JSON array is broken.
pub fn check(
    request: &ImportRequest,
    input: Box<dyn Read + Send>,
    chunks: Option<&Path>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<CheckSummary> {
    let file = InputFile { name: None, content: input };
    check_files(request, &mut std::iter::once(Ok(file)), chunks, fault, progress)
}

/// [`check`] over several files that are one import, in their order. A file is opened when its turn
/// comes.
pub fn check_files(
    request: &ImportRequest,
    inputs: &mut dyn Iterator<Item = Result<InputFile>>,
    chunks: Option<&Path>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<CheckSummary> {
    let writer = chunks.map(|directory| ChunkWriter::new(directory, None)).transpose()?;
    let (summary, _) = check_rows(request, inputs, writer, fault, &mut |_| {
        progress.add_processed(1);
        progress.check()
    })?;
    progress.set_total(summary.total);
    Ok(summary)
}

/// The check itself; `after_row` is called after every row and may stop it.
fn check_rows(
    request: &ImportRequest,
    inputs: &mut dyn Iterator<Item = Result<InputFile>>,
    mut writer: Option<ChunkWriter>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    after_row: &mut dyn FnMut(&CheckSummary) -> Result<()>,
) -> Result<(CheckSummary, Vec<WrittenChunk>)> {
    let mut checker = Checker::new(request.keep_id_prefix);
    let mut summary = CheckSummary::default();
    let mut raw = RawRow::default();
    let mut compact = Vec::new();
    for input in inputs {
        let InputFile { name, content } = input?;
        let in_file = |error: crate::error::Error| match &name {
            Some(name) => crate::error::Error { message: format!("{name}: {}", error.message), ..error },
            None => error,
        };
        let mut reader = RowReader::open(content).map_err(in_file)?;
        while reader.next(&mut raw).map_err(in_file)? {
            summary.total += 1;
            let place = RowPlace { row: summary.total, line: raw.line, file: name.clone() };
            let (value, found) = match reader.parse(&raw).map_err(in_file)? {
                Ok(value) => {
                    let id = value.get("user_id").and_then(serde_json::Value::as_str);
                    let replaced = id.map(|id| checker.sent_id(id)).filter(|sent| Some(*sent) != id);
                    chunks::compact(&raw.bytes, replaced, &mut compact)?;
                    let found = checker.check(&place, &value, compact.len());
                    (Some(value), found)
                }
                Err(flaw) => (None, vec![flaw.fault(&place)]),
            };
            for found in &found {
                summary.warnings += u64::from(found.severity == Severity::Warning);
                fault(found)?;
            }
            match value {
                Some(value) if found.iter().all(|found| found.severity == Severity::Warning) => {
                    summary.good += 1;
                    if let Some(writer) = &mut writer {
                        writer
                            .push(&compact, || RowIdentity::new(&place, &value, |id| checker.sent_id(id).to_owned()))?;
                    }
                }
                _ => summary.failed += 1,
            }
            after_row(&summary)?;
        }
    }
    let written = writer.map(ChunkWriter::finish).transpose()?.unwrap_or_default();
    summary.chunks = written.len() as u64;
    Ok((summary, written))
}

/// How much of an upload [`probe`] reads, in bytes.
const PROBED_BYTES: usize = 8 << 20;

/// Looks into an uploaded file before its job starts: empty, or in no format that can be read? Small
/// files are read whole, so that a broken JSON array is refused at once; of large ones only the
/// beginning is.
pub async fn probe(upload: &Path) -> Result<()> {
    let upload = upload.to_owned();
    send::blocking(move || {
        let file = std::fs::File::open(&upload).map_err(|error| chunks::named(error, &upload))?;
        let mut reader = RowReader::open(Box::new(file))?;
        let mut row = RawRow::default();
        let mut read = 0;
        while read < PROBED_BYTES && reader.next(&mut row)? {
            read += row.bytes.len();
            // What is wrong with single rows is the check's matter.
            let _ = reader.parse(&row)?;
        }
        Ok(())
    })
    .await
}
