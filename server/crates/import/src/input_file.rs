//! A file of an import and its detected format.

use std::io::Read;

use serde::{Deserialize, Serialize};
use uie_core::error::{Error, Result};
use uie_core::message::Message;

/// Format of a file, detected from its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InputFormat {
    /// Name of the file; present only if the import has several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `json`, `ndjson` or `csv`; `password-hashes` for Auth0's export of them.
    pub format: String,
    /// `UTF-8`, `UTF-16LE`, `UTF-16BE` or `windows-1252`.
    pub encoding: String,
    /// The delimiter of a CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The file is compressed.
    pub gzip: bool,
}

/// Opens a file from its start.
pub type Opener<'a> = Box<dyn FnMut() -> Result<Box<dyn Read + Send>> + Send + 'a>;

/// A file of an import.
pub struct InputFile<'a> {
    /// Its name, shown in row errors; `None` if the import has one file.
    pub name: Option<String>,
    /// Opens it.
    pub open: Opener<'a>,
    /// Whether it can be opened twice (standard input cannot). Only such a file may be an export of password hashes.
    pub reopenable: bool,
}

/// Returns a function that prefixes an error's message with the name of the file, if there is one.
pub(super) fn in_file(name: Option<&str>) -> impl Fn(Error) -> Error {
    move |error| match name {
        Some(name) => error.with_context(Message::verbatim(name)),
        None => error,
    }
}
