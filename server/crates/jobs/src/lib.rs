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
pub mod secrets;
mod view;

pub use credentials::ClientProvider;
pub use job_directory::{UPLOAD, Upload};
pub use jobs::{Artifact, Jobs, check_retryable, new_id, require_import_permission};
pub use quota::QuotaGuard;
pub use runner_state::SORT_MEMORY;
pub use view::{HistoryEntry, HistoryView, JobType, JobView, Parts};
