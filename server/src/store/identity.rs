//! Notices that DATA_DIR, or the database in it, was moved, removed or replaced while it is in use.

use std::fs::{File, Metadata};
use std::path::Path;

use crate::error::{Code, Error, Result};

/// What DATA_DIR and its database were when they were opened.
#[derive(Debug)]
pub(super) struct Identity {
    /// The file that holds the lock. It stays open, so that no other file can get its number.
    lock: File,
    database: Option<(u64, u64)>,
}

impl Identity {
    /// Remembers the lock file and the database of a directory.
    pub(super) fn new(directory: &Path, lock: File) -> Result<Self> {
        let database = directory.join(super::DATABASE);
        let database = std::fs::metadata(&database).map_err(|error| super::named(&database, error))?;
        Ok(Self { lock, database: number(&database) })
    }

    /// Fails with [`Code::Storage`] when the paths lead to something else by now. What is written then goes to
    /// files that no restart finds again.
    pub(super) fn check(&self, directory: &Path) -> Result<()> {
        let at = |name: &str| std::fs::metadata(directory.join(name)).ok().as_ref().and_then(number);
        let lock = self.lock.metadata().ok().as_ref().and_then(number);
        let moved = |what: String| {
            Error::new(Code::Storage, format!("{what} was moved, removed or replaced while the server runs."))
                .with_hint("Put it back. Or stop the server, and start it with the directory it is to use.")
        };
        if at(super::LOCK) != lock {
            return Err(moved(format!("DATA_DIR {}", directory.display())));
        }
        if at(super::DATABASE) != self.database {
            return Err(moved(format!("The database {}", directory.join(super::DATABASE).display())));
        }
        Ok(())
    }
}

/// Device and number of a file, which no other file has.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have no such number")]
fn number(about: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((about.dev(), about.ino()))
}

/// Elsewhere files that are open cannot be moved.
#[cfg(not(unix))]
fn number(_: &Metadata) -> Option<(u64, u64)> {
    None
}
