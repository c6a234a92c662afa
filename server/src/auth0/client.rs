//! The client of the Management API.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;

use super::model::{Connection, Download, ExportJobRequest, ImportJobRequest, Job, JobErrors, UserSearch, UsersPage};
use crate::config::{ClientCredentials, TenantHost};
use crate::error::Result;
use crate::progress::Progress;

/// A client of one tenant's Management API. Cheap to clone; clones share token and connections.
#[derive(Clone, Debug)]
pub struct ManagementClient {}

impl ManagementClient {
    /// A client that gets its own tokens and renews them shortly before they end.
    pub fn with_client_credentials(host: &TenantHost, client: &ClientCredentials) -> Result<Self> {
        let _ = (host, client);
        todo!()
    }

    /// A client that uses an admin's own token until it ends; then requests fail with
    /// `Code::Auth0TokenEnded`.
    pub fn with_token(host: &TenantHost, token: SecretString, expires_at: Timestamp) -> Result<Self> {
        let _ = (host, token, expires_at);
        todo!()
    }

    /// The same client, telling a job's progress what it waits for (rate limits, a tenant that is
    /// down), stopping its waits when the job is canceled, and being more patient.
    #[must_use]
    pub fn for_job(&self, progress: Arc<Progress>) -> Self {
        let _ = progress;
        todo!()
    }

    /// All connections, of one strategy or of all, on every page.
    pub async fn connections(&self, strategy: Option<&str>) -> Result<Vec<Connection>> {
        let _ = strategy;
        todo!()
    }

    /// The connection with this id or, failing that, this name.
    pub async fn connection(&self, name_or_id: &str) -> Result<Connection> {
        let _ = name_or_id;
        todo!()
    }

    /// One page of users.
    pub async fn users(&self, search: &UserSearch) -> Result<UsersPage> {
        let _ = search;
        todo!()
    }

    /// Users with exactly this e-mail address; immediately consistent.
    pub async fn users_by_email(&self, email: &str) -> Result<Vec<serde_json::Value>> {
        let _ = email;
        todo!()
    }

    /// Starts an export job. Never retried blindly after a time-out: the job may exist.
    pub async fn create_export_job(&self, request: &ExportJobRequest) -> Result<Job> {
        let _ = request;
        todo!()
    }

    /// Starts an import job. Never retried blindly after a time-out: the job may exist.
    pub async fn create_import_job(&self, request: &ImportJobRequest) -> Result<Job> {
        let _ = request;
        todo!()
    }

    /// A job.
    pub async fn job(&self, id: &str) -> Result<Job> {
        let _ = id;
        todo!()
    }

    /// What went wrong in an import job.
    pub async fn job_errors(&self, id: &str) -> Result<JobErrors> {
        let _ = id;
        todo!()
    }

    /// Downloads an export from its signed link; no Authorization header is sent there.
    pub async fn download(&self, location: &str) -> Result<Download> {
        let _ = location;
        todo!()
    }
}
