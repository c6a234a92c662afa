//! Jobs as the API shows them (design, section 5), in the shapes the original's client reads
//! (contract, 3.1 and 4.7).

use std::time::Instant;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::secrets;
use crate::error::ErrorBody;
use crate::progress::Progress;
use crate::store::{JobKind, JobRecord, JobState};

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
    /// Share of rows done, 0 to 100; null while the total is not known.
    pub percentage_done: Option<u64>,
    /// Honest guess from the rate so far; null while there is nothing to guess from.
    pub time_left_seconds: Option<u64>,
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
    pub(super) fn new(record: &JobRecord, running: Option<(&Progress, Instant)>, location: Option<String>) -> Self {
        let running = running.filter(|_| !record.state.is_final());
        let (processed, total, details) = match running {
            Some((progress, _)) => (progress.processed(), progress.total(), progress.details()),
            None => (record.processed, record.total, None),
        };
        let completed = matches!(record.state, JobState::Completed | JobState::Expired);
        let percentage_done = match total {
            _ if completed => Some(100),
            Some(0) | None => None,
            Some(total) => Some((processed.min(total) * 100) / total),
        };
        let time_left_seconds = match (running, total) {
            (Some((_, since)), Some(total)) if processed > 0 => {
                let seconds = since.elapsed().as_secs_f64() * total.saturating_sub(processed) as f64 / processed as f64;
                Some(seconds.ceil() as u64)
            }
            _ => None,
        };
        Self {
            id: record.id.clone(),
            kind: record.kind.into(),
            status: record.state,
            created_at: record.created_at,
            connection_id: text(record, "connection_id"),
            connection: record.connection.clone(),
            external_id: text(record, "external_id"),
            format: text(record, "format"),
            dry_run: dry_run(record),
            percentage_done,
            time_left_seconds,
            processed,
            total,
            details,
            location,
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

fn dry_run(record: &JobRecord) -> bool {
    record.request.get("dry_run").and_then(Value::as_bool).unwrap_or_default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
fn is_false(value: &bool) -> bool {
    !value
}

/// An entry of the history (contract, 3.1).
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
