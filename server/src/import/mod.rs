//! Imports: detect -> parse -> check -> chunk -> submit -> report (design, section 9).

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth0::{JobSummary, ManagementClient};
use crate::error::Result;
use crate::progress::Progress;
use crate::store::Store;

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
    /// Physical line where the row starts, from 1.
    pub line: u64,
    /// Number of the row, from 1.
    pub row: u64,
    /// The attribute's path; none for the row as a whole.
    pub attribute: Option<String>,
    /// Stable code.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The value, secrets hidden.
    pub value: Option<serde_json::Value>,
    /// Error or warning.
    pub severity: Severity,
}

/// Checks the rows of `input`, without sending: the dry run, and the first half of [`run`]. Good rows
/// become chunk files (JSON arrays of at most 500,000 bytes) in `chunks` if given; every fault goes to
/// `fault`. Blocking.
pub fn check(
    request: &ImportRequest,
    input: Box<dyn std::io::Read + Send>,
    chunks: Option<&Path>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<JobSummary> {
    let _ = (request, input, chunks, fault, progress);
    todo!()
}

/// Runs an import job, or goes on where an earlier run of the same job stopped. `directory` belongs to
/// the job: it holds the uploaded file `input` and everything the import keeps (chunks, faults).
pub async fn run(
    job_id: &str,
    request: &ImportRequest,
    directory: &Path,
    client: ManagementClient,
    store: &Store,
    progress: Arc<Progress>,
) -> Result<JobSummary> {
    let _ = (job_id, request, directory, client, store, progress);
    todo!()
}

/// The form of a report that is downloaded: the failed rows, ready to be mended and imported again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    /// A JSON array.
    Json,
    /// One user a line.
    Ndjson,
    /// Dotted headers.
    Csv,
}

impl ReportFormat {
    /// Extension of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// Media type of the file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Looks into an uploaded file before its job starts: empty, or in no format that can be read? Small
/// files are read whole, so that a broken JSON array is refused at once; of large ones only the
/// beginning is.
pub async fn probe(upload: &Path) -> Result<()> {
    let _ = upload;
    todo!()
}

/// Writes what went wrong in the import whose files are in `directory`. Without a format: the original's
/// shape, `[{user, errors: [{code, message}], line}]` with secrets hidden (design, section 5). With one:
/// the failed rows as they came, secrets included, ready to be mended and imported again. Blocking.
pub fn write_report(directory: &Path, format: Option<ReportFormat>, output: &mut dyn std::io::Write) -> Result<()> {
    let _ = (directory, format, output);
    todo!()
}
