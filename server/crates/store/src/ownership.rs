//! Checks owners and permissions of DATA_DIR and its content before anything is read or written.
//!
//! A user with write access to the directory could replace the database or the data key by a file of their own or a
//! symbolic link. In this case the start is refused, with the path. Entries that other users can only read are made
//! private.

use std::path::Path;

#[cfg(unix)]
use super::storage_error::with_path;
use uie_core::error::Result;
#[cfg(unix)]
use uie_core::message::{Message, message};

/// The entries that the process creates in DATA_DIR. Other entries are ignored.
#[cfg(unix)]
const ENTRIES: &[&str] = &[
    "jobs",
    "transforms",
    "compiled",
    "state.sqlite",
    "state.sqlite-wal",
    "state.sqlite-shm",
    "state.sqlite-journal",
    "data.key",
    "data.key.new",
    "lock",
];

/// Checks DATA_DIR, the entries that the process creates in it, and the directories of jobs.
///
/// DATA_DIR may be a symbolic link of the operator; its entries may not. The owner must be this user, or root for
/// DATA_DIR, as on volumes of container platforms. If a group of this process can write to DATA_DIR, a warning is
/// logged; no other user may write to it.
///
/// Fails with [`Code::UnsafeDataDir`](uie_core::error::Code::UnsafeDataDir).
#[cfg(unix)]
pub(super) fn check(directory: &Path) -> Result<()> {
    check_root(directory)?;
    for name in ENTRIES {
        check_entry(&directory.join(name))?;
    }
    let jobs = directory.join("jobs");
    if let Ok(entries) = std::fs::read_dir(&jobs) {
        for entry in entries {
            check_entry(&entry.map_err(|error| with_path(&jobs, error))?.path())?;
        }
    }
    Ok(())
}

/// Other systems do not protect files by owner and mode.
#[cfg(not(unix))]
pub(super) fn check(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check_root(directory: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(directory).map_err(|error| with_path(directory, error))?;
    let path = directory.display();
    if !about.is_dir() {
        return Err(unsafe_path(message!("DATA_DIR {path} is not a directory."), message!("Name a directory.")));
    }
    let user = rustix::process::geteuid().as_raw();
    if about.uid() != user && about.uid() != 0 {
        let message = message!(
            "DATA_DIR {path} belongs to user {owner}, and this process runs as user {user}.",
            owner = about.uid()
        );
        return Err(unsafe_path(message, message!("Change its owner: `chown {user} {path}`.")));
    }
    let mode = about.mode();
    let hint = || message!("Close it to others: `chmod 700 {path}`.");
    if mode & 0o002 != 0 {
        let message =
            message!("DATA_DIR {path} can be written to by every user (mode {mode:04o}).", mode = mode & 0o7777);
        return Err(unsafe_path(message, hint()));
    }
    if mode & 0o020 != 0 {
        let group = about.gid();
        if !has_group(group) {
            let message =
                message!("DATA_DIR {path} can be written to by group {group}, which is no group of this process.");
            return Err(unsafe_path(message, hint()));
        }
        tracing::warn!("DATA_DIR {path} can be written to by group {group}: its members can replace its content");
    } else if mode & 0o055 != 0 && about.uid() == user {
        tracing::warn!(
            "DATA_DIR {path} can be listed by other users (mode {:04o}); recommended: `chmod 700`",
            mode & 0o7777
        );
    }
    Ok(())
}

#[cfg(unix)]
fn has_group(group: u32) -> bool {
    let own = rustix::process::getegid().as_raw() == group;
    own || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|other| other.as_raw() == group))
}

/// Checks one entry. Removes the permissions of other users if they could only read it.
#[cfg(unix)]
fn check_entry(path: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let about = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        about => about.map_err(|error| with_path(path, error))?,
    };
    let shown = path.display();
    if about.is_symlink() {
        let message = message!("{shown} is a symbolic link; DATA_DIR itself may be one, but not its entries.");
        let hint = message!("Move its target here, or set DATA_DIR to the target directory.");
        return Err(unsafe_path(message, hint));
    }
    let user = rustix::process::geteuid().as_raw();
    if about.uid() != user {
        let owner = about.uid();
        let message = message!("{shown} belongs to user {owner}, and this process runs as user {user}.");
        let hint = message!("Find out who put it there. If it is yours: `chown -R` DATA_DIR.");
        return Err(unsafe_path(message, hint));
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o002 != 0 {
        let message = message!("{shown} can be written to by every user (mode {mode:04o}).");
        let hint = message!("Find out whether it was changed; then close it to others: `chmod -R go= DATA_DIR`.");
        return Err(unsafe_path(message, hint));
    }
    if mode & 0o075 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7700))
            .map_err(|error| with_path(path, error))?;
        tracing::warn!("{shown} was accessible to other users (mode {mode:04o}); it is now private");
    }
    Ok(())
}

#[cfg(unix)]
fn unsafe_path(message: Message, hint: Message) -> uie_core::error::Error {
    uie_core::error::Error::new(uie_core::error::Code::UnsafeDataDir, message).with_hint(hint)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::store::Store;
    use uie_core::error::Code;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// Returns the message of the refusal.
    async fn refusal(directory: &Path) -> String {
        let error = Store::open(directory).await.expect_err("a refusal");
        assert_eq!(error.code, Code::UnsafeDataDir, "{}", error.message);
        assert!(error.hint.is_some());
        error.message.to_string()
    }

    /// Returns a DATA_DIR that was used before.
    async fn used_data_dir() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        store.create_job_files("job_1").unwrap();
        store.close().await;
        directory
    }

    #[tokio::test]
    async fn a_world_writable_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for open in [0o777, 0o1777, 0o702] {
            set_mode(directory.path(), open);
            let message = refusal(directory.path()).await;
            assert!(message.contains(&directory.path().display().to_string()), "{message}");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was written");
        }
        // Volumes of container platforms are writable by a group of the process.
        for accepted in [0o2770, 0o755, 0o700] {
            set_mode(directory.path(), accepted);
            let store = Store::open(directory.path()).await.unwrap();
            store.close().await;
        }
    }

    #[tokio::test]
    async fn symbolic_links_in_the_directory_are_refused_with_their_path() {
        for name in
            ["jobs", "transforms", "compiled", "data.key", "lock", "state.sqlite", "state.sqlite-wal", "jobs/job_1"]
        {
            let directory = used_data_dir().await;
            let outside = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            let target = outside.path().join("target");
            if path.exists() {
                fs::rename(&path, &target).unwrap();
            }
            symlink(&target, &path).unwrap();
            let message = refusal(directory.path()).await;
            assert!(message.contains(&path.display().to_string()) && message.contains("symbolic link"), "{message}");
        }
    }

    #[tokio::test]
    async fn the_directory_itself_may_be_a_symbolic_link() {
        let directory = used_data_dir().await;
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("data");
        symlink(directory.path(), &link).unwrap();
        let store = Store::open(&link).await.unwrap();
        store.check().await.unwrap();
        store.create_job_files("job_2").unwrap();
        assert!(directory.path().join("jobs/job_2").is_dir());
    }

    #[tokio::test]
    async fn readable_entries_are_made_private_and_writable_ones_are_refused() {
        let directory = used_data_dir().await;
        let (key, jobs) = (directory.path().join("data.key"), directory.path().join("jobs"));
        set_mode(&key, 0o644);
        set_mode(&jobs, 0o775);
        set_mode(&jobs.join("job_1"), 0o755);
        Store::open(directory.path()).await.unwrap().close().await;
        assert_eq!((mode(&key), mode(&jobs), mode(&jobs.join("job_1"))), (0o600, 0o700, 0o700));
        set_mode(&key, 0o666);
        assert!(refusal(directory.path()).await.contains("data.key"));
        assert_eq!(mode(&key), 0o666, "its mode is unchanged");
    }

    #[tokio::test]
    async fn entries_of_another_owner_are_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can change the owner of files");
            return;
        }
        let directory = used_data_dir().await;
        chown(directory.path().join("data.key"), Some(12345), None).unwrap();
        assert!(refusal(directory.path()).await.contains("belongs to user 12345"));
        chown(directory.path().join("data.key"), Some(0), None).unwrap();
        chown(directory.path(), Some(12345), None).unwrap();
        assert!(refusal(directory.path()).await.contains("belongs to user 12345"));
        chown(directory.path(), Some(0), Some(12345)).unwrap();
        set_mode(directory.path(), 0o770);
        assert!(refusal(directory.path()).await.contains("group 12345"));
    }
}
