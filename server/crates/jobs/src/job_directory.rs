//! The directories of jobs: uploaded files, and removal.

use std::path::PathBuf;

use super::quota::QuotaGuard;
use uie_core::error::Result;
use uie_store::Files;

/// Name of the uploaded file in the directory of an import job.
pub const UPLOAD: &str = "upload";

/// The directory of a future import job, with the uploaded file. Dropping it removes the directory unless the job
/// was started.
#[derive(Debug)]
pub struct Upload {
    id: String,
    files: Files,
    is_job_started: bool,
    _quota_guard: QuotaGuard,
}

impl Upload {
    /// Creates an upload from the files of a new directory.
    pub(super) fn new(id: String, files: Files, quota_guard: QuotaGuard) -> Self {
        Self { id, files, is_job_started: false, _quota_guard: quota_guard }
    }

    /// Returns the id of the future job.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Keeps the directory, because the job was started.
    pub(super) fn keep(&mut self) {
        self.is_job_started = true;
    }

    /// Returns the files of the future job.
    pub fn files(&self) -> &Files {
        &self.files
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_job_started
            && let Err(error) = std::fs::remove_dir_all(self.files.directory())
        {
            tracing::warn!(job = self.id, %error, "an abandoned upload could not be removed");
        }
    }
}

/// Removes a directory with its content, if it exists.
pub(super) async fn remove_directory(path: PathBuf) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
