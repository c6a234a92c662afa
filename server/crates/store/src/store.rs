//! The [`Store`]: the pool of connections to the database, the directories of jobs, and the data key.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::data_dir_identity::{DATABASE, DataDirIdentity};
use super::data_key::KeyStore;
use super::files::Files;
use super::storage_error::{db_error, with_path};
use uie_core::blocking::run_blocking;
use uie_core::encryption::Encryptor;
use uie_core::error::Result;
use uie_core::message::message;

/// Bytes that [`Store::check`] writes to verify that the disk is not full.
const TEST_FILE_BYTES: usize = 8 << 10;

/// The database and its directory. Cheap to clone; dropping the last clone releases the lock.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    directory: Arc<Path>,
    keys: Arc<KeyStore>,
    identity: Arc<DataDirIdentity>,
}

impl Store {
    /// Creates a store from the parts of an open DATA_DIR, whose lock `identity` holds.
    pub(crate) fn new(pool: SqlitePool, directory: &Path, keys: KeyStore, identity: DataDirIdentity) -> Self {
        Self { pool, directory: directory.into(), keys: Arc::new(keys), identity: Arc::new(identity) }
    }

    /// Fails unless the database can be read and a file can be written.
    pub async fn check(&self) -> Result<()> {
        self.check_identity()?;
        self.read_database_over_new_connection().await.map_err(db_error)?;
        let directory = Arc::clone(&self.directory);
        let written = run_blocking(move || {
            let mut file = tempfile::tempfile_in(&directory)?;
            Ok(file.write_all(&[0; TEST_FILE_BYTES])?)
        });
        written.await.map_err(|error| error.with_context(message!("DATA_DIR cannot be written to")))
    }

    /// Fails if DATA_DIR or the database was moved, removed or replaced since it was opened: data that is written now
    /// would be lost.
    pub(crate) fn check_identity(&self) -> Result<()> {
        self.identity.check(&self.directory)
    }

    /// Reads the database over a new connection. The connections of the pool have cached pages and an open file, so
    /// they would not notice for a long time that the file was removed.
    async fn read_database_over_new_connection(&self) -> sqlx::Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(self.directory.join(DATABASE))
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await?;
        sqlx::query("SELECT 1 FROM jobs LIMIT 1").fetch_optional(&mut connection).await?;
        connection.close().await
    }

    /// Returns the directory of a job: `DATA_DIR/jobs/<id>`.
    pub fn job_directory(&self, id: &str) -> PathBuf {
        self.directory.join("jobs").join(id)
    }

    /// Returns the encrypted files of a job.
    pub fn job_files(&self, id: &str) -> Files {
        Files::encrypted(self.job_directory(id), self.keys.key(), id)
    }

    /// As [`Store::job_files`], and creates the directory.
    pub fn create_job_files(&self, id: &str) -> Result<Files> {
        // Otherwise it would create a new DATA_DIR at the path of one that was moved.
        self.check_identity()?;
        let files = self.job_files(id);
        files.create_directory().map_err(|error| with_path(files.directory(), error))?;
        Ok(files)
    }

    /// Returns an encryptor for secrets in the database. Do not keep it: uninstalling replaces the key.
    pub fn encryptor(&self, purpose: &'static str) -> Result<Encryptor> {
        self.keys.key().encryptor(purpose)
    }

    /// Replaces the data key. Existing encrypted data can never be decrypted again.
    pub(crate) fn replace_key(&self) -> Result<()> {
        self.keys.replace()
    }

    /// Returns the ids of all jobs that have a directory.
    pub fn job_directories(&self) -> Result<Vec<String>> {
        let path = self.directory.join("jobs");
        let entries = std::fs::read_dir(&path).map_err(|error| with_path(&path, error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.starts_with("job_")).collect())
    }

    /// Returns the path of DATA_DIR.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Closes the connections to the database, after the queries that run. Later queries fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Returns the pool of connections to the database.
    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobKind, JobState, NewJob};
    use uie_core::error::Code;

    #[cfg(unix)]
    #[tokio::test]
    async fn no_job_completes_in_a_directory_that_was_moved_or_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let (directory, moved) = (parent.path().join("data"), parent.path().join("moved"));
        let store = Store::open(&directory).await.unwrap();
        let new = NewJob {
            id: "job_1".into(),
            tenant: "acme".into(),
            kind: JobKind::Export,
            owner: "auth0|ada".into(),
            author: None,
            connection: None,
            request: serde_json::json!({"format": "csv"}),
        };
        store.insert_job(&new).await.unwrap();
        let assert_refused = async |subject: &str| {
            for result in [
                store.check().await,
                store.create_job_files("job_1").map(drop),
                store.finish_job("job_1", JobState::Completed, None, None, None).await.map(drop),
            ] {
                let error = result.unwrap_err();
                assert_eq!(error.code, Code::Storage);
                assert!(error.message.contains(subject) && error.message.contains("was moved"), "{}", error.message);
            }
        };
        // Only with the directory at its place: the pool may open another connection.
        let assert_unfinished = async || assert!(!store.job("acme", "job_1").await.unwrap().state.is_final());
        std::fs::rename(&directory, &moved).unwrap();
        assert_refused("DATA_DIR").await;
        assert!(!directory.exists(), "no new directory took its place");
        // The directory of another server at this path.
        let other = Store::open(&directory).await.unwrap();
        assert_refused("DATA_DIR").await;
        other.close().await;
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::rename(&moved, &directory).unwrap();
        store.check().await.unwrap();
        assert_unfinished().await;
        // A copy of the database at the path of the open one.
        std::fs::rename(directory.join(DATABASE), parent.path().join("kept")).unwrap();
        std::fs::copy(parent.path().join("kept"), directory.join(DATABASE)).unwrap();
        assert_refused("The database").await;
        std::fs::rename(parent.path().join("kept"), directory.join(DATABASE)).unwrap();
        assert_unfinished().await;
        store.finish_job("job_1", JobState::Completed, None, None, None).await.unwrap();
    }
}
