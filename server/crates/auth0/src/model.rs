//! Requests and responses of the Management API: connections, pages of users, jobs. Responses are parsed tolerantly:
//! unknown members are ignored, unknown statuses kept (docs/auth0/open-questions.md).

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use uie_core::error::Result;
use uie_core::language::Language;
use uie_core::message::{Localize, Message};

/// The members of a connection that the API lists and that an import needs. Other options are never kept, because they
/// may hold scripts and secrets (docs/auth0/management-api.md#value-patterns).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connection {
    /// `con_` and 16 letters or digits.
    pub id: String,
    /// The connection's name.
    pub name: String,
    /// `auth0` for databases.
    pub strategy: String,
    /// Why users cannot be imported into the connection; absent if they can be.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unusable: Option<Message>,
}

impl Localize for Connection {
    fn localize(&mut self, language: Language) {
        self.unusable.localize(language);
    }
}

/// A search for users (docs/auth0/management-api.md#users).
#[derive(Clone, Debug, Default)]
pub struct UserSearch {
    /// Lucene query; empty for all users.
    pub q: String,
    /// Attribute to sort by, and whether in descending order.
    pub sort: Option<(String, bool)>,
    /// Zero-based page.
    pub page: u32,
    /// Users per page, at most 100.
    pub per_page: u32,
    /// Root attributes to return; empty for all.
    pub fields: Vec<String>,
}

/// A page of users (docs/auth0/management-api.md#users).
#[derive(Clone, Debug, Deserialize)]
pub struct UsersPage {
    /// Index of the first user.
    pub start: u64,
    /// Requested page size.
    pub limit: u64,
    /// Users on this page.
    #[serde(default)]
    pub length: u64,
    /// Number of matching users; Auth0 stops counting at 1000.
    pub total: u64,
    /// The users, each as the JSON text Auth0 sent.
    pub users: Vec<Box<serde_json::value::RawValue>>,
}

/// The format of an export job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobFormat {
    /// NDJSON, one user per line.
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

/// Body of `POST /jobs/users-exports` (docs/auth0/jobs.md#exports). `fields` and `format` are always sent, because
/// Auth0 does not publish their defaults.
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
    /// Text that Auth0 repeats in the job.
    pub external_id: Option<String>,
    /// Whether Auth0 sends an e-mail to the tenant's owners at the end. Always sent, because Auth0's default is true.
    pub send_completion_email: bool,
}

/// Status of an Auth0 job (docs/auth0/jobs.md#job-status, docs/auth0/open-questions.md#job-statuses).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Queued.
    Pending,
    /// Running.
    Processing,
    /// Finished; some rows of an import may have failed.
    Completed,
    /// The job as a whole failed.
    Failed,
    /// Older than Auth0 keeps jobs.
    Expired,
    /// A status that this version does not know; callers keep polling.
    #[serde(untagged)]
    Other(String),
}

/// Number of users of a finished import, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// Rejected users.
    #[serde(default)]
    pub failed: u64,
    /// Updated users.
    #[serde(default)]
    pub updated: u64,
    /// Created users.
    #[serde(default)]
    pub inserted: u64,
    /// Users in the file.
    #[serde(default)]
    pub total: u64,
}

/// An Auth0 job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// `users_import`, `users_export`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Status of the job.
    pub status: JobStatus,
    /// Name of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Progress of a running job in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage_done: Option<f64>,
    /// Auth0's estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_left_seconds: Option<f64>,
    /// Download link of a completed export, valid for 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Why a job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<String>,
    /// Counts of a completed import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<JobSummary>,
}

/// Response of `GET /jobs/{id}/errors` (docs/auth0/jobs.md#job-errors).
#[derive(Clone, Debug)]
pub enum JobErrors {
    /// 204: no errors.
    None,
    /// One entry per failed user.
    Users(Vec<UserErrors>),
    /// The job as a whole failed.
    Job(Job),
}

/// A failed user and its errors. The set of codes is open (docs/auth0/import-schema.md#error-codes).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserErrors {
    /// The user as sent, with secrets replaced by `*****`.
    pub user: Value,
    /// Objects with `code`, `message` and an optional `path`.
    #[serde(default)]
    pub errors: Vec<Value>,
}

/// The state of an interrupted download, used to resume it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialDownload {
    /// Number of bytes received from the start of the file.
    pub bytes: u64,
    /// The strong entity tag received with them (RFC 9110, 8.8.3).
    pub tag: Option<String>,
}

/// The gzip file of an export, as a stream.
pub struct Download {
    /// Offset of the first byte of the stream: the requested offset, or 0 if the server sends the whole file again.
    pub from: u64,
    /// Length of the whole file; `None` if the server does not send it.
    pub length: Option<u64>,
    /// Strong entity tag of the file; `None` if the server does not send one.
    pub tag: Option<String>,
    /// The bytes.
    pub bytes: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
}
