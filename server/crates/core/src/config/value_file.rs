//! Reads values of settings from files (`KEY_FILE`), which is how container platforms and systemd provide secrets.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

/// Maximum size of a file in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// A value that was read from a file.
pub(super) struct Value {
    /// The content without one trailing line break.
    pub(super) text: String,
    /// Whether every user of the machine can read or write the file.
    pub(super) is_accessible_to_others: bool,
}

/// Reads a file of at most 64 KiB. Symbolic links are followed: Kubernetes mounts secrets as links.
///
/// Fails with the reason if the file cannot be read, is not a regular file, is too large, is empty or is not UTF-8.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let file = open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} KiB", MAX_BYTES >> 10));
    }
    let text = String::from_utf8(bytes).map_err(|_| "its content is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Value { text: text.to_owned(), is_accessible_to_others: is_accessible_to_others(&metadata) })
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Without NONBLOCK, opening a named pipe would wait for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    options.open(path)
}

/// Returns whether every user of the machine can read or write a file.
#[cfg(unix)]
pub(super) fn is_accessible_to_others(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o006 != 0
}

/// Other systems have no file modes.
#[cfg(not(unix))]
pub(super) fn is_accessible_to_others(_: &Metadata) -> bool {
    false
}

/// Returns the warning about a file with a secret that other users can access.
pub(super) fn exposure_warning(name: &str) -> String {
    format!("the file of {name} holds a secret, but every user of this machine can read or write it: set mode 600")
}
