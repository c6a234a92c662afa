//! Adds paths to I/O errors.

use std::path::Path;

use uie_core::error::Error;

/// Prefixes the message of an I/O error with the path.
pub(super) fn with_path(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).with_context(path.display())
}
