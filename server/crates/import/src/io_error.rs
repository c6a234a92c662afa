//! Adds paths to I/O errors.

use std::path::Path;

use uie_core::error::Error;
use uie_core::message::Message;

/// Prefixes the message of an I/O error with the path.
pub(super) fn with_path(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).with_context(Message::verbatim(path.display().to_string()))
}
