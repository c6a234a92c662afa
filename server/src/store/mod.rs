//! State below DATA_DIR: SQLite (write-ahead log) for jobs and history, files for uploads and artifacts. The files,
//! and secret values in the database, are encrypted under a data key, which `EXTENSION_SECRET` wraps.
//!
//! An exclusive lock on DATA_DIR ensures that one process at a time uses it. Therefore no other process runs the
//! unfinished jobs that a restarted server finds.

mod clock;
mod data_dir_identity;
mod data_key;
mod files;
mod import_chunks;
mod job_rights;
mod jobs;
mod migrations;
mod ownership;
mod presets;
mod sessions;
mod transform_uploads;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool};

pub use clock::StoredClock;
pub use files::{FileReader, FileWriter, Files, TempFile};
pub use import_chunks::{CheckedImport, ChunkOutcome, ChunkState, ImportChunk};
pub use job_rights::JobRights;
pub use jobs::{JobKind, JobRecord, JobState, NewJob};
pub use presets::{PRESET_LIMIT, PRESET_QUOTA, Preset, PresetEntry};
pub use sessions::{SessionRecord, SessionSelection};
pub use transform_uploads::TransformUpload;

use crate::blocking::run_blocking;
use crate::config::Settings;
use crate::encryption::Encryptor;
use crate::error::{Code, Error, Result};
use data_dir_identity::DataDirIdentity;
use data_key::{KeyOrigin, KeyStore, WrappingSecrets, private};
use files::create_private_directory;

/// Name of the database file.
const DATABASE: &str = "state.sqlite";

/// Name of the file that the process locks.
const LOCK: &str = "lock";

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
    /// Opens DATA_DIR, creates it if absent, locks it and migrates the database. The data key is wrapped by
    /// `EXTENSION_SECRET`; without that secret it is in a file that only this user can read.
    ///
    /// Fails with [`Code::DataDirLocked`] if another process uses it, with [`Code::UnsafeDataDir`] if other users can
    /// change its content, and with [`Code::InvalidSettings`] if the data key is wrapped by another secret, or is not
    /// wrapped although a secret is set.
    pub async fn open_with(settings: &Settings) -> Result<Self> {
        let secrets = WrappingSecrets {
            current: settings.extension_secret.as_ref(),
            previous: settings.data_key_secret_previous.as_ref(),
            accept_plain: settings.accept_plain_data_key,
        };
        Self::open_at(&settings.data_dir, secrets).await
    }

    /// [`Store::open_with`] without a secret.
    pub async fn open(directory: &Path) -> Result<Self> {
        Self::open_at(directory, WrappingSecrets::default()).await
    }

    async fn open_at(directory: &Path, secrets: WrappingSecrets<'_>) -> Result<Self> {
        let data_dir_error = |error| Error::from(error).with_context(format_args!("DATA_DIR {}", directory.display()));
        create_private_directory(directory).map_err(data_dir_error)?;
        ownership::check(directory)?;
        let lock = lock(directory).map_err(|error| match error {
            TryLockError::WouldBlock => Error::new(
                Code::DataDirLocked,
                format!("DATA_DIR {} is in use by another process.", directory.display()),
            ),
            TryLockError::Error(error) => data_dir_error(error),
        })?;
        create_private_directory(&directory.join("jobs")).map_err(data_dir_error)?;
        let (keys, origin) = KeyStore::open(directory, secrets)?;
        // SQLite creates its -wal and -shm files with the mode of the database file.
        let database = directory.join(DATABASE);
        private(OpenOptions::new().append(true).create(true)).open(&database).map_err(data_dir_error)?;
        let identity = DataDirIdentity::new(directory, lock)?;
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            // Overwrites deleted rows, which would otherwise remain in free pages.
            .pragma("secure_delete", "ON")
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(db_error)?;
        let store = Self { pool, directory: directory.into(), keys: Arc::new(keys), identity: Arc::new(identity) };
        store.migrate().await?;
        if origin == KeyOrigin::Created {
            store.expire_unreadable_data().await?;
        }
        store.encrypt_authors().await?;
        Ok(store)
    }

    /// Migrates the database to the current schema (the update hook).
    pub async fn migrate(&self) -> Result<()> {
        let run = migrations::migrator().run(&self.pool).await;
        run.map_err(|error| Error::new(Code::Storage, format!("Migrating the database: {error}")))
    }

    /// Creates missing directories and migrates the database (the install hook).
    pub async fn prepare(&self) -> Result<()> {
        create_private_directory(&self.directory.join("jobs"))?;
        self.migrate().await
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
        written.await.map_err(|error| error.with_context("DATA_DIR cannot be written to"))
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
    fn replace_key(&self) -> Result<()> {
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

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}

fn lock(directory: &Path) -> std::result::Result<File, TryLockError> {
    let file = private(OpenOptions::new().create(true).write(true).truncate(false))
        .open(directory.join(LOCK))
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Prefixes the message of an I/O error with its path.
fn with_path(path: &Path, error: std::io::Error) -> Error {
    Error::from(error).with_context(path.display())
}

/// Converts an error of the database: [`Code::DiskFull`] or [`Code::Storage`].
// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn db_error(error: sqlx::Error) -> Error {
    // SQLITE_FULL: https://www.sqlite.org/rescode.html#full
    let full = error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "13");
    let code = if full { Code::DiskFull } else { Code::Storage };
    Error::caused_by(code, error).with_context("The database")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_process_cannot_open_the_directory_until_the_store_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        assert_eq!(Store::open(directory.path()).await.unwrap_err().code, Code::DataDirLocked);
        store.pool().close().await;
        drop(store);
        Store::open(directory.path()).await.unwrap().prepare().await.unwrap();
    }

    #[tokio::test]
    async fn an_error_about_an_unusable_directory_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Store::open(&file.path().join("data")).await.unwrap_err();
        assert_eq!(error.code, Code::Storage);
        assert!(error.message.contains("DATA_DIR"), "{}", error.message);
    }

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
        other.pool().close().await;
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
