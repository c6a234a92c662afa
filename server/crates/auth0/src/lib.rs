//! Clients of Auth0: the Management API (tokens, connections, users, jobs, rate limits; docs/auth0/management-api.md)
//! and the OpenID provider. No other crate makes requests to Auth0.

mod client;
mod connections;
mod failure;
mod model;
mod oidc;
mod request;
mod requested_delay;
mod retry;
mod token;

#[cfg(test)]
mod tests;

pub use client::ManagementClient;
pub use connections::connection_query;
pub use model::{
    Connection, Download, ExportField, ExportJobRequest, ImportJobRequest, Job, JobErrors, JobFormat, JobStatus,
    JobSummary, PartialDownload, UserErrors, UserSearch, UsersPage,
};
pub use oidc::{Oidc, signing_keys};
pub use request::{Timeouts, is_import_limit, may_have_happened};
pub use retry::Backoff;
