//! Checks who owns DATA_DIR and what lies in it, before anything there is trusted or written.
//!
//! Who may write to the directory can put a file of their own, or a symbolic link, in the place of the
//! database or the data key. The start is refused then, with the path; what only others could read is
//! closed to them.

use std::path::Path;

use crate::error::Result;

/// What the process creates in DATA_DIR. Everything else there is left alone.
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

/// Checks DATA_DIR itself, what the process creates in it, and the directories of jobs.
///
/// DATA_DIR may be a symbolic link, which the operator made; nothing in it may. Owners are this user, and for
/// DATA_DIR also root, as on volumes of container platforms. A group of this process may write to
/// DATA_DIR, which is warned about; no other user may.
///
/// Fails with [`Code::UnsafeDataDir`](crate::error::Code::UnsafeDataDir).
#[cfg(unix)]
pub(super) fn check(directory: &Path) -> Result<()> {
    check_root(directory)?;
    for name in ENTRIES {
        check_entry(&directory.join(name))?;
    }
    let jobs = directory.join("jobs");
    if let Ok(entries) = std::fs::read_dir(&jobs) {
        for entry in entries {
            check_entry(&entry.map_err(|error| super::named(&jobs, error))?.path())?;
        }
    }
    Ok(())
}

/// Elsewhere neither modes nor owners are what protects files.
#[cfg(not(unix))]
pub(super) fn check(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check_root(directory: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(directory).map_err(|error| super::named(directory, error))?;
    let shown = format!("DATA_DIR {}", directory.display());
    if !about.is_dir() {
        return Err(unsafe_path(format!("{shown} is not a directory."), "Name a directory."));
    }
    let user = rustix::process::geteuid().as_raw();
    if about.uid() != user && about.uid() != 0 {
        let message = format!("{shown} belongs to user {}, and this process runs as user {user}.", about.uid());
        return Err(unsafe_path(message, format!("Change its owner: `chown {user} {}`.", directory.display())));
    }
    let mode = about.mode();
    let hint = format!("Close it to others: `chmod 700 {}`.", directory.display());
    if mode & 0o002 != 0 {
        return Err(unsafe_path(
            format!("{shown} can be written to by every user (mode {:04o}).", mode & 0o7777),
            hint,
        ));
    }
    if mode & 0o020 != 0 {
        if !has_group(about.gid()) {
            let message =
                format!("{shown} can be written to by group {}, which is no group of this process.", about.gid());
            return Err(unsafe_path(message, hint));
        }
        tracing::warn!("{shown} can be written to by group {}: its members can exchange what lies there", about.gid());
    } else if mode & 0o055 != 0 && about.uid() == user {
        tracing::warn!("{shown} can be listed by other users (mode {:04o}): better `chmod 700`", mode & 0o7777);
    }
    Ok(())
}

#[cfg(unix)]
fn has_group(group: u32) -> bool {
    let own = rustix::process::getegid().as_raw() == group;
    own || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|other| other.as_raw() == group))
}

/// Checks one entry, and closes it to others where they could only read it.
#[cfg(unix)]
fn check_entry(path: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let about = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        about => about.map_err(|error| super::named(path, error))?,
    };
    let shown = path.display();
    if about.is_symlink() {
        let message = format!("{shown} is a symbolic link; DATA_DIR itself may be one, but nothing in it.");
        return Err(unsafe_path(message, "Move what it leads to here, or set DATA_DIR to that place."));
    }
    let user = rustix::process::geteuid().as_raw();
    if about.uid() != user {
        let message = format!("{shown} belongs to user {}, and this process runs as user {user}.", about.uid());
        return Err(unsafe_path(message, "Find out who put it there. If it is yours: `chown -R` DATA_DIR."));
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o002 != 0 {
        let message = format!("{shown} can be written to by every user (mode {mode:04o}).");
        let hint = "Find out whether it was changed; then close it to others: `chmod -R go= DATA_DIR`.";
        return Err(unsafe_path(message, hint));
    }
    if mode & 0o075 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7700))
            .map_err(|error| super::named(path, error))?;
        tracing::warn!("{shown} was open to other users (mode {mode:04o}); it is closed to them now");
    }
    Ok(())
}

#[cfg(unix)]
fn unsafe_path(message: String, hint: impl Into<std::borrow::Cow<'static, str>>) -> crate::error::Error {
    crate::error::Error::new(crate::error::Code::UnsafeDataDir, message).with_hint(hint)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::error::Code;
    use crate::store::Store;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    async fn refused(directory: &Path) -> String {
        let error = Store::open(directory).await.expect_err("a refusal");
        assert_eq!(error.code, Code::UnsafeDataDir, "{}", error.message);
        assert!(error.hint.is_some());
        error.message
    }

    /// A DATA_DIR that was used before.
    async fn used() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        store.create_job_files("job_1").unwrap();
        store.pool().close().await;
        directory
    }

    #[tokio::test]
    async fn a_directory_that_everybody_can_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for open in [0o777, 0o1777, 0o702] {
            set_mode(directory.path(), open);
            let message = refused(directory.path()).await;
            assert!(message.contains(&directory.path().display().to_string()), "{message}");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was written");
        }
        // Volumes of container platforms are writable by a group of the process.
        for accepted in [0o2770, 0o755, 0o700] {
            set_mode(directory.path(), accepted);
            let store = Store::open(directory.path()).await.unwrap();
            store.pool().close().await;
        }
    }

    #[tokio::test]
    async fn symbolic_links_in_the_directory_are_refused_and_named() {
        for name in
            ["jobs", "transforms", "compiled", "data.key", "lock", "state.sqlite", "state.sqlite-wal", "jobs/job_1"]
        {
            let directory = used().await;
            let elsewhere = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            let target = elsewhere.path().join("target");
            if path.exists() {
                fs::rename(&path, &target).unwrap();
            }
            symlink(&target, &path).unwrap();
            let message = refused(directory.path()).await;
            assert!(message.contains(&path.display().to_string()) && message.contains("symbolic link"), "{message}");
        }
    }

    #[tokio::test]
    async fn the_directory_itself_may_be_a_symbolic_link() {
        let directory = used().await;
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("data");
        symlink(directory.path(), &link).unwrap();
        let store = Store::open(&link).await.unwrap();
        store.check().await.unwrap();
        store.create_job_files("job_2").unwrap();
        assert!(directory.path().join("jobs/job_2").is_dir());
    }

    #[tokio::test]
    async fn what_others_could_read_is_closed_and_what_they_could_write_is_refused() {
        let directory = used().await;
        let (key, jobs) = (directory.path().join("data.key"), directory.path().join("jobs"));
        set_mode(&key, 0o644);
        set_mode(&jobs, 0o775);
        set_mode(&jobs.join("job_1"), 0o755);
        Store::open(directory.path()).await.unwrap().pool().close().await;
        assert_eq!((mode(&key), mode(&jobs), mode(&jobs.join("job_1"))), (0o600, 0o700, 0o700));
        set_mode(&key, 0o666);
        assert!(refused(directory.path()).await.contains("data.key"));
        assert_eq!(mode(&key), 0o666, "it is left as it was found");
    }

    #[tokio::test]
    async fn what_belongs_to_somebody_else_is_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give files away");
            return;
        }
        let directory = used().await;
        chown(directory.path().join("data.key"), Some(12345), None).unwrap();
        assert!(refused(directory.path()).await.contains("belongs to user 12345"));
        chown(directory.path().join("data.key"), Some(0), None).unwrap();
        chown(directory.path(), Some(12345), None).unwrap();
        assert!(refused(directory.path()).await.contains("belongs to user 12345"));
        chown(directory.path(), Some(0), Some(12345)).unwrap();
        set_mode(directory.path(), 0o770);
        assert!(refused(directory.path()).await.contains("group 12345"));
    }
}
