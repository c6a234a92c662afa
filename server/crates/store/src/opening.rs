//! Opens DATA_DIR and updates what earlier versions stored in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::data_dir_identity::{DATABASE, DataDirIdentity, LOCK};
use super::data_key::{KeyOrigin, KeyStore, WrappingSecrets, private};
use super::files::create_private_directory;
use super::storage_error::db_error;
use super::store::Store;
use super::{migrations, ownership};
use uie_core::config::Settings;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

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

    fn open_at<'o>(directory: &'o Path, secrets: WrappingSecrets<'o>) -> BoxFuture<'o, Result<Self>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        async move {
            let data_dir_error =
                |error| Error::from(error).with_context(Message::verbatim(format!("DATA_DIR {}", directory.display())));
            create_private_directory(directory).map_err(data_dir_error)?;
            ownership::check(directory)?;
            let lock = lock(directory).map_err(|error| match error {
                TryLockError::WouldBlock => Error::new(
                    Code::DataDirLocked,
                    message!("DATA_DIR {path} is in use by another process.", path = directory.display()),
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
            let store = Self::new(pool, directory, keys, identity);
            store.migrate().await?;
            if origin == KeyOrigin::Created {
                store.expire_unreadable_data().await?;
            }
            store.encrypt_authors().await?;
            Ok(store)
        }
        .boxed()
    }

    /// Migrates the database to the current schema (the update hook).
    pub async fn migrate(&self) -> Result<()> {
        let run = migrations::migrator().run(self.pool()).await;
        run.map_err(|error| Error::new(Code::Storage, message!("Migrating the database: {error}")))
    }

    /// Creates missing directories and migrates the database (the install hook).
    pub async fn prepare(&self) -> Result<()> {
        create_private_directory(&self.directory().join("jobs"))?;
        self.migrate().await
    }
}

fn lock(directory: &Path) -> std::result::Result<File, TryLockError> {
    let file = private(OpenOptions::new().create(true).write(true).truncate(false))
        .open(directory.join(LOCK))
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_process_cannot_open_the_directory_until_the_store_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        assert_eq!(Store::open(directory.path()).await.unwrap_err().code, Code::DataDirLocked);
        store.close().await;
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
}
