//! Jobs as the API returns them, compatible with the client of the original extension
//! (docs/auth0/original-extension.md#routes, docs/auth0/jobs.md#exports).

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::secrets;
use uie_core::error::ErrorBody;
use uie_core::language::Language;
use uie_core::message::{Localize, Message};
use uie_core::progress::Progress;
use uie_store::{ChunkState, ImportChunk, JobKind, JobRecord, JobState};

/// The type of a job, named as in Auth0's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobType {
    /// Users from a file into the tenant.
    UsersImport,
    /// Users of the tenant into a file.
    UsersExport,
}

impl From<JobKind> for JobType {
    fn from(kind: JobKind) -> Self {
        match kind {
            JobKind::Import => Self::UsersImport,
            JobKind::Export => Self::UsersExport,
        }
    }
}

/// The parts of an import by state. Each part is sent as one Auth0 job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parts {
    /// All parts.
    pub total: u64,
    /// Parts that Auth0 has finished.
    pub done: u64,
    /// Parts that were rejected or failed as a whole.
    pub failed: u64,
    /// Parts that Auth0 is processing.
    pub sent: u64,
}

impl Parts {
    /// Counts the chunks of an import by state. `None` before its rows are checked, and if no row is valid.
    pub(super) fn from_chunks(chunks: &[ImportChunk]) -> Option<Self> {
        let mut parts = Self::default();
        for chunk in chunks {
            parts.total += 1;
            match chunk.state {
                ChunkState::Pending => {}
                ChunkState::Sending | ChunkState::Sent(_) => parts.sent += 1,
                ChunkState::Done => parts.done += 1,
                ChunkState::Failed => parts.failed += 1,
            }
        }
        (parts.total > 0).then_some(parts)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobView {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// Import or export.
    #[serde(rename = "type")]
    pub kind: JobType,
    /// Its state.
    pub status: JobState,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    #[serde(serialize_with = "milliseconds")]
    pub created_at: Timestamp,
    /// Id of the connection; absent if none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// E-mail address of the user who started the job, or their `sub` if the address is not known.
    pub by: String,
    /// Name of the connection; absent if none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The external id of an import, chosen by its creator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Output format of an export; absent for an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether an import only checks its rows.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Percentage that is done, 0 to 100: of the rows or, if their number is not known, of the bytes of the file;
    /// null while neither is known.
    pub percentage_done: Option<u64>,
    /// Estimated from the rate of the last two minutes; null without a rate.
    pub time_left_seconds: Option<u64>,
    /// Rows per second over the last two minutes; null if there was no progress.
    pub rate: Option<f64>,
    /// Rows done.
    pub processed: u64,
    /// Number of rows; null while it is not known.
    pub total: Option<u64>,
    /// What the job is doing or waiting for, as text for users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub details: Option<Message>,
    /// URL of the file of a finished export. It is valid for 60 seconds and needs no Authorization header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The parts in which an import is sent; absent until its rows are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// The counts of the result; absent while the job runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub summary: Option<Value>,
    /// Why it failed; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// The request with secrets masked, to start the same job again.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub settings: Value,
}

impl JobView {
    /// Combines a record with the counters of the running job, if it runs in this process.
    pub(super) fn new(record: &JobRecord, running: Option<&Progress>, location: Option<String>) -> Self {
        let running = running.filter(|_| !record.state.is_final());
        let (processed, total, details) = match running {
            Some(progress) => (progress.processed(), progress.total(), progress.details()),
            None => (record.processed, record.total, None),
        };
        let completed = matches!(record.state, JobState::Completed | JobState::Expired);
        let share = match running {
            Some(progress) => progress.share(),
            None => total.filter(|total| *total > 0).map(|total| (processed as f64 / total as f64).min(1.0)),
        };
        let percentage_done = if completed { Some(100) } else { share.map(|share| (share * 100.0) as u64) };
        let left = running.and_then(Progress::time_left);
        let time_left_seconds = left.map(|left| left.as_secs_f64().ceil() as u64);
        let rate = running.and_then(Progress::rate);
        Self {
            id: record.id.clone(),
            kind: record.kind.into(),
            status: record.state,
            created_at: record.created_at,
            connection_id: text(record, "connection_id"),
            by: record.author.clone().unwrap_or_else(|| record.owner.clone()),
            connection: record.connection.clone(),
            external_id: text(record, "external_id"),
            format: text(record, "format"),
            dry_run: dry_run(record),
            percentage_done,
            time_left_seconds,
            rate,
            processed,
            total,
            details,
            location,
            parts: None,
            summary: record.summary.clone(),
            error: record.error.clone(),
            settings: secrets::shown(&record.request),
        }
    }
}

impl Localize for JobView {
    fn localize(&mut self, language: Language) {
        self.details.localize(language);
        self.summary.localize(language);
        self.error.localize(language);
    }
}

/// Returns a text member of the request; `None` if it is absent or empty.
fn text(record: &JobRecord, name: &str) -> Option<String> {
    record.request.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Serializes a point in time as Auth0 does: with exactly three decimals.
fn milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Returns whether a job is an import that only checks its file.
pub(super) fn dry_run(record: &JobRecord) -> bool {
    record.request.get("dry_run").and_then(Value::as_bool).unwrap_or_default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_false(value: &bool) -> bool {
    !value
}

/// An entry of the history (docs/auth0/original-extension.md#routes).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEntry {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// `import` or `export`.
    #[serde(rename = "type")]
    pub kind: JobKind,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    #[serde(serialize_with = "milliseconds")]
    pub date: Timestamp,
    /// Its state.
    pub status: JobState,
    /// The counts of the result; empty while it runs.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub summary: Value,
    /// E-mail address of the user who started the job, or their `sub` if the address is not known.
    pub by: String,
    /// Name of the connection; absent if none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Output format of an export; absent for an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether an import only checks its rows.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Why it failed; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

impl From<&JobRecord> for HistoryEntry {
    fn from(record: &JobRecord) -> Self {
        Self {
            id: record.id.clone(),
            kind: record.kind,
            date: record.created_at,
            status: record.state,
            summary: record.summary.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            by: record.author.clone().unwrap_or_else(|| record.owner.clone()),
            connection: record.connection.clone(),
            format: text(record, "format"),
            dry_run: dry_run(record),
            error: record.error.clone(),
        }
    }
}

impl Localize for HistoryEntry {
    fn localize(&mut self, language: Language) {
        self.summary.localize(language);
        self.error.localize(language);
    }
}

/// The history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryView {
    /// The latest 200 jobs, oldest first.
    pub jobs: Vec<HistoryEntry>,
}

impl Localize for HistoryView {
    fn localize(&mut self, language: Language) {
        self.jobs.localize(language);
    }
}
