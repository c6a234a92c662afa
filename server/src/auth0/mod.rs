//! The only room that talks to Auth0: token, connections, users, jobs, rate limits (contract,
//! section 4).

mod client;
mod model;

pub use client::ManagementClient;
pub use model::{
    Connection, Download, ExportField, ExportJobRequest, ImportJobRequest, Job, JobErrors, JobFormat, JobStatus,
    JobSummary, UserErrors, UserSearch, UsersPage,
};
