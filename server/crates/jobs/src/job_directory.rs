//! The directories of jobs: uploaded files, and removal.

use std::path::PathBuf;

use rand::distr::{Alphanumeric, SampleString};

use super::quota::QuotaGuard;
use uie_core::error::Result;
use uie_store::{Files, Store};

/// Name of the uploaded file in the directory of an import job.
pub const UPLOAD: &str = "upload";

/// The directory of a job that is not stored yet; for an import with the uploaded file. Dropping it removes the
/// directory, unless the job has been stored.
#[derive(Debug)]
pub struct NewDirectory {
    id: String,
    files: Files,
    /// Whether the files need no validation before an import starts.
    is_validated: bool,
    is_kept: bool,
    _quota_guard: Option<QuotaGuard>,
}

impl NewDirectory {
    /// Creates the directory of a new job.
    pub fn create(store: &Store) -> Result<Self> {
        Self::create_counted(store, None)
    }

    /// As [`NewDirectory::create`]; holds the guard of a quota until it is dropped.
    pub(super) fn create_counted(store: &Store, quota_guard: Option<QuotaGuard>) -> Result<Self> {
        let id = new_id();
        let files = store.create_job_files(&id)?;
        Ok(Self { id, files, is_validated: false, is_kept: false, _quota_guard: quota_guard })
    }

    /// Returns the id of the future job.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the files of the future job.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Writes the failed rows of an import as the uploaded file. Fails if that import has none. Blocking.
    pub fn with_failed_rows_of(mut self, import: &Files) -> Result<Self> {
        uie_import::keep_failed_rows(import, &self.files)?;
        // They are from a file that was read; some of them may not be rows that can be read alone.
        self.is_validated = true;
        Ok(self)
    }

    /// Validates the uploaded files of an import, unless they are the failed rows of another one.
    pub(super) async fn validate(&mut self, spec: &uie_import::ImportSpec) -> Result<()> {
        if !self.is_validated {
            uie_import::validate_upload(&self.files, spec).await?;
            self.is_validated = true;
        }
        Ok(())
    }

    /// Keeps the directory, because a job refers to it from now on. Returns the path.
    pub(super) fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.files.directory().to_owned()
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_dir_all(self.files.directory())
        {
            tracing::warn!(job = self.id, %error, "an abandoned upload could not be removed");
        }
    }
}

/// An id in Auth0's own form (docs/auth0/README.md#constants).
fn new_id() -> String {
    format!("job_{}", Alphanumeric.sample_string(&mut rand::rng(), 16))
}

/// Removes a directory with its content, if it exists.
pub(super) async fn remove_directory(path: PathBuf) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
