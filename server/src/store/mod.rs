//! State: SQLite for jobs and history, plain files for artifacts.

use std::path::{Path, PathBuf};

use sqlx::SqlitePool;

/// The database and the directory it lies in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    directory: PathBuf,
}

impl Store {
    /// Where files of a job are kept: `DATA_DIR/jobs/<id>`.
    pub fn job_directory(&self, id: &str) -> PathBuf {
        self.directory.join("jobs").join(id)
    }

    /// DATA_DIR.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}
