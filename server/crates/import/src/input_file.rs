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
    /// `json`, `ndjson`, `csv` or `ldif`; `password-hashes` for Auth0's export of them.
    pub format: String,
    /// Name of the encoding in the WHATWG Encoding Standard: `UTF-8`, `Shift_JIS`.
    pub encoding: String,
    /// Whether the encoding was guessed from the text, which may be wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encoding_guessed: bool,
    /// Number of sequences of bytes that are no characters of the encoding, and were replaced by U+FFFD.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub undecodable: u64,
    /// The delimiter of a CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The file is compressed.
    pub gzip: bool,
    /// Name of the source whose export it is, chosen or detected; absent if its attributes are those of Auth0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
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
