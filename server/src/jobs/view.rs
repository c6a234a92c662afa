//! Jobs as the API shows them, in the shapes the original's client reads (docs/auth0/original-extension.md#routes,
//! docs/auth0/jobs.md#exports).

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::secrets;
use crate::error::ErrorBody;
use crate::progress::Progress;
use crate::store::{ChunkState, ImportChunk, JobKind, JobRecord, JobState};

/// The type of a job in Auth0's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

/// How many parts of an import there are, and where they stand. A part is a job of its own at Auth0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Parts {
    /// All of them.
    pub total: u64,
    /// Auth0 is done with them.
    pub done: u64,
    /// They were refused, or failed as a whole.
    pub failed: u64,
    /// Auth0 works on them.
    pub sent: u64,
}

impl Parts {
    /// The parts of an import; none before its rows were checked, or when no row was good.
    pub(super) fn of(chunks: &[ImportChunk]) -> Option<Self> {
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobView {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: JobType,
    /// Where it stands.
    pub status: JobState,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "milliseconds")]
    pub created_at: Timestamp,
    /// Id of the connection, where one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// Who asked: an e-mail address, or where that is not known the `sub` of a token.
    pub by: String,
    /// Name of the connection, where one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Text an import was given to be recognised by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Output format of an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether an import only checks its rows.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Share that is done, 0 to 100: of the rows, or while nobody has counted those, of the file that is
    /// read; null while neither is known.
    pub percentage_done: Option<u64>,
    /// Honest guess from the rate of the last two minutes; null while there is nothing to guess from.
    pub time_left_seconds: Option<u64>,
    /// Rows a second, over the last two minutes; null while nothing advances.
    pub rate: Option<f64>,
    /// Rows done.
    pub processed: u64,
    /// Rows there are; null while that is not known.
    pub total: Option<u64>,
    /// What the job is doing or waiting for, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Where a finished export can be downloaded for 60 seconds, without a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Of an import whose rows were checked: the parts it is sent in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// What it came to: counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub summary: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What was asked for, so that it can be asked for again.
    #[schema(value_type = Object)]
    pub settings: Value,
}

impl JobView {
    /// A record, with the counters of the running job where there is one.
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

/// A member of what was asked for, if it says something.
fn text(record: &JobRecord, name: &str) -> Option<String> {
    record.request.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A point in time as Auth0 writes it: always with three decimals.
fn milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Whether a job is an import that only checks its file.
pub(super) fn dry_run(record: &JobRecord) -> bool {
    record.request.get("dry_run").and_then(Value::as_bool).unwrap_or_default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
fn is_false(value: &bool) -> bool {
    !value
}

/// An entry of the history (docs/auth0/original-extension.md#routes).
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct HistoryEntry {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// `import` or `export`.
    #[serde(rename = "type")]
    pub kind: JobKind,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "milliseconds")]
    pub date: Timestamp,
    /// Where it stands.
    pub status: JobState,
    /// What it came to; empty while it runs.
    #[schema(value_type = Object)]
    pub summary: Value,
    /// Who asked: an e-mail address, or where that is not known the `sub` of a token.
    pub by: String,
    /// Name of the connection, where one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Output format of an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether an import only checks its rows.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Why it failed.
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

/// The history.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct HistoryView {
    /// The newest 200 jobs, oldest of them first.
    pub jobs: Vec<HistoryEntry>,
}
