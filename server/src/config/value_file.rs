//! Values of settings that are in files (`KEY_FILE`), as container platforms and systemd hand over secrets.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// The content of such a file.
pub(super) struct Value {
    /// The content without one line break at its end.
    pub(super) text: String,
    /// Whether every user of the machine can read or change it.
    pub(super) is_open_to_others: bool,
}

/// Reads a file of at most 64 KiB. Symbolic links are followed: Kubernetes mounts secrets as links.
///
/// Fails with the reason in words when it cannot be read, is not a regular file, is too large, empty or
/// not UTF-8.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let file = open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let about = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} KiB", LARGEST >> 10));
    }
    let text = String::from_utf8(bytes).map_err(|_| "its content is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Value { text: text.to_owned(), is_open_to_others: is_open_to_others(&about) })
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Without it, opening a named pipe waits for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    options.open(path)
}

/// Whether every user of the machine can read or change a file.
#[cfg(unix)]
pub(super) fn is_open_to_others(about: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(about) & 0o006 != 0
}

/// Elsewhere modes say nothing about it.
#[cfg(not(unix))]
pub(super) fn is_open_to_others(_: &Metadata) -> bool {
    false
}

/// The warning about a file with secrets that is open to others.
pub(super) fn exposed(name: &str) -> String {
    format!("the file of {name} holds a secret, and every user of this machine can read or change it: `chmod 600` it")
}
