//! What the Management API speaks of: connections, pages of users, jobs. Answers are read tolerantly: unknown members
//! are ignored, unknown statuses kept (docs/auth0/open-questions.md).

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;

/// A connection as far as a picker and an import need it; never with its other options, which may hold scripts and
/// secrets (docs/auth0/management-api.md#value-patterns).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Connection {
    /// `con_` and 16 letters or digits.
    pub id: String,
    /// The connection's name.
    pub name: String,
    /// `auth0` for databases.
    pub strategy: String,
    /// Why users cannot be imported into it; absent when they can be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unusable: Option<String>,
}

/// A search for users (docs/auth0/management-api.md#users).
#[derive(Clone, Debug, Default)]
pub struct UserSearch {
    /// Lucene query; empty for all users.
    pub q: String,
    /// Attribute to sort by and whether descending.
    pub sort: Option<(String, bool)>,
    /// Zero-based page.
    pub page: u32,
    /// Users a page, at most 100.
    pub per_page: u32,
    /// Root attributes to return; empty for all.
    pub fields: Vec<String>,
}

/// A page of users (docs/auth0/management-api.md#users).
#[derive(Clone, Debug, Deserialize)]
pub struct UsersPage {
    /// Index of the first user.
    pub start: u64,
    /// Page size asked for.
    pub limit: u64,
    /// Users on this page.
    #[serde(default)]
    pub length: u64,
    /// How many users match; Auth0 stops counting at 1000.
    pub total: u64,
    /// The users, each as the JSON text Auth0 sent.
    pub users: Vec<Box<serde_json::value::RawValue>>,
}

/// The format of an export job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobFormat {
    /// NDJSON, one user a line.
    Json,
    /// CSV with a header.
    Csv,
}

/// A field of an export job (docs/auth0/jobs.md#exports).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportField {
    /// Dotted path.
    pub name: String,
    /// Title in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_as: Option<String>,
}

/// Body of `POST /jobs/users-exports` (docs/auth0/jobs.md#exports). `fields` and `format` are always sent, since
/// Auth0's defaults are not published.
#[derive(Clone, Debug, Serialize)]
pub struct ExportJobRequest {
    /// All connections when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// File format.
    pub format: JobFormat,
    /// All users when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Attributes to export.
    pub fields: Vec<ExportField>,
}

/// Parts of `POST /jobs/users-imports` (docs/auth0/jobs.md#imports).
#[derive(Clone, Debug)]
pub struct ImportJobRequest {
    /// The database connection's id.
    pub connection_id: String,
    /// A JSON array of users, at most 500,000 bytes.
    pub users: Bytes,
    /// Update users that exist.
    pub upsert: bool,
    /// Text echoed in the job.
    pub external_id: Option<String>,
    /// E-mail the tenant's owners when done. Always sent, since Auth0's default is true.
    pub send_completion_email: bool,
}

/// State of a job inside Auth0 (docs/auth0/jobs.md#job-status, docs/auth0/open-questions.md#job-statuses).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Queued.
    Pending,
    /// Running.
    Processing,
    /// Done; an import may still have failed rows.
    Completed,
    /// The job as a whole failed.
    Failed,
    /// Too old.
    Expired,
    /// A status this version does not know: keep polling.
    #[serde(untagged)]
    Other(String),
}

/// Counts of a finished import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobSummary {
    /// Users refused.
    #[serde(default)]
    pub failed: u64,
    /// Users changed.
    #[serde(default)]
    pub updated: u64,
    /// Users created.
    #[serde(default)]
    pub inserted: u64,
    /// Users in the file.
    #[serde(default)]
    pub total: u64,
}

/// A job inside Auth0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// `users_import`, `users_export`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Name of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Percentage of a running job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage_done: Option<f64>,
    /// Auth0's own guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left_seconds: Option<f64>,
    /// Download link of a completed export, good for 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Why a job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<String>,
    /// Counts of a completed import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<JobSummary>,
}

/// Answer of `GET /jobs/{id}/errors` (docs/auth0/jobs.md#job-errors).
#[derive(Clone, Debug)]
pub enum JobErrors {
    /// 204: nothing to report.
    None,
    /// One entry per failed user.
    Users(Vec<UserErrors>),
    /// The job as a whole failed.
    Job(Job),
}

/// A failed user and why. Codes are open-ended (docs/auth0/import-schema.md#error-codes).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserErrors {
    /// The user as sent, secrets replaced by `*****`.
    pub user: Value,
    /// `{code, message, path?}` each.
    #[serde(default)]
    pub errors: Vec<Value>,
}

/// What is known of a file that was downloaded in part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes from its start that are here.
    pub bytes: u64,
    /// The strong entity tag that came with them (RFC 9110, 8.8.3).
    pub tag: Option<String>,
}

/// The file of an export as it arrives (gzip).
pub struct Download {
    /// Where in the file the first byte stands: where it was asked to go on, or 0 where the server sends
    /// everything again.
    pub from: u64,
    /// Length of the whole file, where the server says.
    pub length: Option<u64>,
    /// Strong entity tag of the file, where the server gives one.
    pub tag: Option<String>,
    /// The bytes.
    pub bytes: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
}
