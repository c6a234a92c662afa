//! Runs export and import jobs in the background: queue, progress, cancel, resume, downloads, and the removal
//! of expired data.
//!
//! The database holds every job; this crate holds those that run in this process. A server that stops leaves
//! its jobs unfinished in the database and continues them at the next start ([`Jobs::recover`]).

mod clean_up;
mod clock_guard;
mod credentials;
mod download_tokens;
mod fair_semaphore;
mod job_directory;
mod jobs;
pub mod quota;
mod run;
mod runner_state;
mod secrets;
mod submission;
mod view;

pub use credentials::ClientProvider;
pub use job_directory::{NewDirectory, UPLOAD};
pub use jobs::{Artifact, Jobs};
pub use quota::QuotaGuard;
pub use runner_state::SORT_MEMORY;
pub use submission::{JobRequest, PreparedJob, import_request, retryable_request};
pub use view::{HistoryEntry, HistoryView, JobType, JobView, Parts};
