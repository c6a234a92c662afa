//! Errors of the database and of the files.

use std::path::Path;

use uie_core::error::{Code, Error};
use uie_core::message::{Message, message};

/// Prefixes the message of an I/O error with its path.
pub(super) fn with_path(path: &Path, error: std::io::Error) -> Error {
    Error::from(error).with_context(Message::verbatim(path.display().to_string()))
}

/// Converts an error of the database: [`Code::DiskFull`] or [`Code::Storage`].
// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn db_error(error: sqlx::Error) -> Error {
    // SQLITE_FULL: https://www.sqlite.org/rescode.html#full
    let full = error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "13");
    let code = if full { Code::DiskFull } else { Code::Storage };
    Error::caused_by(code, error).with_context(message!("The database"))
}
