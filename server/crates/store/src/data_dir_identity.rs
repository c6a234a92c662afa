//! Detects that DATA_DIR, or the database in it, was moved, removed or replaced while it is in use.

use std::fs::{File, Metadata};
use std::path::Path;

use super::storage_error::with_path;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

/// Name of the database file.
pub(super) const DATABASE: &str = "state.sqlite";

/// Name of the file that the process locks.
pub(super) const LOCK: &str = "lock";

/// Identifies the lock file and the database that were opened.
#[derive(Debug)]
pub(super) struct DataDirIdentity {
    /// The locked file. It stays open, so that no other file can get its inode number.
    lock: File,
    /// Device and inode number.
    database: Option<(u64, u64)>,
}

impl DataDirIdentity {
    /// Records the lock file and the database of a directory.
    pub(super) fn new(directory: &Path, lock: File) -> Result<Self> {
        let database = directory.join(DATABASE);
        let database = std::fs::metadata(&database).map_err(|error| with_path(&database, error))?;
        Ok(Self { lock, database: inode(&database) })
    }

    /// Fails with [`Code::Storage`] if the paths refer to other files now. Data that is written then would not be found
    /// after a restart.
    pub(super) fn check(&self, directory: &Path) -> Result<()> {
        let at = |name: &str| std::fs::metadata(directory.join(name)).ok().as_ref().and_then(inode);
        let lock = self.lock.metadata().ok().as_ref().and_then(inode);
        let moved = |message: Message| {
            Error::new(Code::Storage, message)
                .with_hint(message!("Move it back, or restart the server with the right DATA_DIR."))
        };
        if at(LOCK) != lock {
            let path = directory.display();
            return Err(moved(message!("DATA_DIR {path} was moved, removed or replaced while the server runs.")));
        }
        if at(DATABASE) != self.database {
            let path = directory.join(DATABASE);
            return Err(moved(message!(
                "The database {path} was moved, removed or replaced while the server runs.",
                path = path.display()
            )));
        }
        Ok(())
    }
}

/// Returns device and inode number, which together identify a file.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have no inode numbers")]
fn inode(about: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((about.dev(), about.ino()))
}

/// Other systems do not allow moving open files.
#[cfg(not(unix))]
fn inode(_: &Metadata) -> Option<(u64, u64)> {
    None
}
