//! State: SQLite (write-ahead log) for jobs and history, plain files for uploads and artifacts, all
//! below DATA_DIR. The files, and what in the database is secret, are encrypted under a key that is kept
//! wrapped by `EXTENSION_SECRET`.
//!
//! An exclusive lock on DATA_DIR makes sure that one process at a time uses it: a restarted server may
//! take every unfinished job it finds for its own.

mod clock;
mod files;
mod identity;
mod import_chunks;
mod job_rights;
mod jobs;
mod migrations;
mod ownership;
mod presets;
mod sessions;
mod transform_uploads;
mod vault;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool};

pub use clock::SeenClock;
pub use files::{FileReader, FileWriter, Files, Scratch};
pub use import_chunks::{CheckedImport, ChunkOutcome, ChunkState, ImportChunk};
pub use job_rights::JobRights;
pub use jobs::{JobKind, JobRecord, JobState, NewJob};
pub use presets::{PRESET_LIMIT, PRESET_QUOTA, Preset, PresetEntry};
pub use sessions::{SessionRecord, SessionSelection};
pub use transform_uploads::TransformUpload;

use crate::config::Settings;
use crate::error::{Code, Error, Result};
use crate::seal::Sealer;
use files::create_private_directory;
use identity::Identity;
use vault::{Origin, Secrets, Vault, private};

/// Name of the database's file.
const DATABASE: &str = "state.sqlite";

/// Name of the file whose lock keeps other processes out.
const LOCK: &str = "lock";

/// What is written to see whether there is room, in bytes.
const CHECKED_BYTES: usize = 8 << 10;

/// The database and the directory it lies in. Cheap to clone; the lock ends with the last clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    directory: Arc<Path>,
    vault: Arc<Vault>,
    identity: Arc<Identity>,
}

impl Store {
    /// Opens DATA_DIR, creating it if absent, locks it and brings the database up to date. What it holds is
    /// encrypted with `EXTENSION_SECRET` where that is set, else with a key in a file that only this user
    /// can read.
    ///
    /// Fails with [`Code::DataDirLocked`] when another process uses it, with [`Code::UnsafeDataDir`] when
    /// others can change what lies there, and with [`Code::InvalidSettings`] when it is encrypted with another
    /// secret, or its key is not encrypted although there is a secret.
    pub async fn open_with(settings: &Settings) -> Result<Self> {
        let secrets = Secrets {
            current: settings.extension_secret.as_ref(),
            previous: settings.data_key_secret_previous.as_ref(),
            accept_plain: settings.accept_plain_data_key,
        };
        Self::open_at(&settings.data_dir, secrets).await
    }

    /// [`Store::open_with`] without a secret.
    pub async fn open(directory: &Path) -> Result<Self> {
        Self::open_at(directory, Secrets::default()).await
    }

    async fn open_at(directory: &Path, secrets: Secrets<'_>) -> Result<Self> {
        let named = |error| {
            let error = named(directory, error);
            Error { message: format!("DATA_DIR {}", error.message), ..error }
        };
        create_private_directory(directory).map_err(named)?;
        ownership::check(directory)?;
        let lock = lock(directory).map_err(|error| match error {
            TryLockError::WouldBlock => Error::new(
                Code::DataDirLocked,
                format!("DATA_DIR {} is in use by another process.", directory.display()),
            ),
            TryLockError::Error(error) => named(error),
        })?;
        create_private_directory(&directory.join("jobs")).map_err(named)?;
        let (vault, origin) = Vault::open(directory, secrets)?;
        // SQLite gives the files beside the database the database's own mode.
        let database = directory.join(DATABASE);
        private(OpenOptions::new().append(true).create(true)).open(&database).map_err(named)?;
        let identity = Identity::new(directory, lock)?;
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            // What is removed is overwritten, and does not linger in free pages.
            .pragma("secure_delete", "ON")
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(storage)?;
        let store = Self { pool, directory: directory.into(), vault: Arc::new(vault), identity: Arc::new(identity) };
        store.migrate().await?;
        if origin == Origin::Made {
            store.forget_what_is_unreadable().await?;
        }
        store.seal_authors().await?;
        Ok(store)
    }

    /// Brings the database up to date; does nothing when it is (the update hook).
    pub async fn migrate(&self) -> Result<()> {
        let run = migrations::migrator().run(&self.pool).await;
        run.map_err(|error| Error::new(Code::Storage, format!("Migrating the database: {error}")))
    }

    /// Makes sure that everything the server needs is there (the install hook).
    pub async fn prepare(&self) -> Result<()> {
        create_private_directory(&self.directory.join("jobs"))?;
        self.migrate().await
    }

    /// Whether work can be done: the database answers, and a file can be written.
    pub async fn check(&self) -> Result<()> {
        self.check_identity()?;
        self.read_database_anew().await.map_err(storage)?;
        let directory = Arc::clone(&self.directory);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = tempfile::tempfile_in(&directory)?;
            file.write_all(&[0; CHECKED_BYTES])
        });
        written.await.map_err(|error| Error::new(Code::Internal, error.to_string()))?.map_err(|error| {
            let error = Error::from(error);
            Error { message: format!("DATA_DIR cannot be written to: {}", error.message), ..error }
        })
    }

    /// Fails when DATA_DIR or the database was moved, removed or replaced since it was opened: what is written
    /// from then on would be lost.
    pub(crate) fn check_identity(&self) -> Result<()> {
        self.identity.check(&self.directory)
    }

    /// Reads the database over a connection of its own: those of the pool go on with the pages that they
    /// know, and with a file that is gone, and would not notice for long.
    async fn read_database_anew(&self) -> sqlx::Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(self.directory.join(DATABASE))
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await?;
        sqlx::query("SELECT 1 FROM jobs LIMIT 1").fetch_optional(&mut connection).await?;
        connection.close().await
    }

    /// Where files of a job are kept: `DATA_DIR/jobs/<id>`.
    pub fn job_directory(&self, id: &str) -> PathBuf {
        self.directory.join("jobs").join(id)
    }

    /// The files of a job: encrypted, and in the directory of this job only.
    pub fn job_files(&self, id: &str) -> Files {
        Files::sealed(self.job_directory(id), self.vault.key(), id)
    }

    /// [`Store::job_files`] with their directory created.
    pub fn create_job_files(&self, id: &str) -> Result<Files> {
        // Otherwise a new directory would appear in the place of one that was moved away.
        self.check_identity()?;
        let files = self.job_files(id);
        files.create_directory().map_err(|error| named(files.directory(), error))?;
        Ok(files)
    }

    /// A sealer for secrets in the database, for one purpose. Not to be kept: uninstalling makes a new key.
    pub fn sealer(&self, purpose: &'static str) -> Result<Sealer> {
        self.vault.key().sealer(purpose)
    }

    /// Makes everything that was encrypted until now unreadable for ever.
    fn renew_key(&self) -> Result<()> {
        self.vault.renew()
    }

    /// Ids of all jobs that have a directory.
    pub fn job_directories(&self) -> Result<Vec<String>> {
        let path = self.directory.join("jobs");
        let entries = std::fs::read_dir(&path).map_err(|error| named(&path, error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.starts_with("job_")).collect())
    }

    /// DATA_DIR.
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

/// Says which path an error is about.
fn named(path: &Path, error: std::io::Error) -> Error {
    let error = Error::from(error);
    Error { message: format!("{}: {}", path.display(), error.message), ..error }
}

/// A failure of the database, as a row of the error table.
// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn storage(error: sqlx::Error) -> Error {
    // SQLITE_FULL: https://www.sqlite.org/rescode.html#full
    let full = error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "13");
    let code = if full { Code::DiskFull } else { Code::Storage };
    Error::new(code, format!("The database: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_process_is_kept_out_and_the_lock_ends_with_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        assert_eq!(Store::open(directory.path()).await.unwrap_err().code, Code::DataDirLocked);
        store.pool().close().await;
        drop(store);
        Store::open(directory.path()).await.unwrap().prepare().await.unwrap();
    }

    #[tokio::test]
    async fn an_unusable_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Store::open(&file.path().join("data")).await.unwrap_err();
        assert_eq!(error.code, Code::Storage);
        assert!(error.message.contains("DATA_DIR"), "{}", error.message);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nothing_is_completed_in_a_directory_that_was_moved_or_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let (directory, elsewhere) = (parent.path().join("data"), parent.path().join("elsewhere"));
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
        let refused = async |why: &str| {
            for result in [
                store.check().await,
                store.create_job_files("job_1").map(drop),
                store.finish_job("job_1", JobState::Completed, None, None, None).await.map(drop),
            ] {
                let error = result.unwrap_err();
                assert_eq!(error.code, Code::Storage);
                assert!(error.message.contains(why) && error.message.contains("was moved"), "{}", error.message);
            }
            assert!(!store.job("acme", "job_1").await.unwrap().state.is_final());
        };
        std::fs::rename(&directory, &elsewhere).unwrap();
        refused("DATA_DIR").await;
        assert!(!directory.exists(), "no new directory took its place");
        // Another server's directory, or an empty one.
        let other = Store::open(&directory).await.unwrap();
        refused("DATA_DIR").await;
        other.pool().close().await;
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::rename(&elsewhere, &directory).unwrap();
        store.check().await.unwrap();
        // A copy of the database in the place of the one that is open.
        std::fs::rename(directory.join(DATABASE), parent.path().join("kept")).unwrap();
        std::fs::copy(parent.path().join("kept"), directory.join(DATABASE)).unwrap();
        refused("The database").await;
        std::fs::rename(parent.path().join("kept"), directory.join(DATABASE)).unwrap();
        store.finish_job("job_1", JobState::Completed, None, None, None).await.unwrap();
    }
}
