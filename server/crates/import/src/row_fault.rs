//! What is wrong with a row of an import, and where the row is.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use uie_core::language::Language;
use uie_core::message::{Localize, Message};

/// Severity of a row error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not imported.
    Error,
    /// The row is imported, but the result may not be what the user intended.
    Warning,
}

/// What is wrong with a row: a line of `--report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RowFault {
    /// Physical line where the row starts, from 1; 0 if Auth0 reported a user that matches no row.
    pub line: u64,
    /// Number of the row, from 1, counted through all files of the import; 0 as above, and for problems of a whole
    /// file.
    pub row: u64,
    /// The attribute's path; `None` if the whole row is affected.
    pub attribute: Option<String>,
    /// Stable code: Auth0's own where one fits (docs/auth0/import-schema.md#error-codes), or what Auth0 reported.
    pub code: String,
    /// What is wrong.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub message: Message,
    /// How to fix it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub hint: Option<Message>,
    /// The value; secrets are replaced by asterisks.
    pub value: Option<serde_json::Value>,
    /// Error or warning.
    pub severity: Severity,
    /// Name of the file; present only if the import has several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl RowFault {
    /// Returns a warning about a whole file, with the line that shows it; without attribute, hint and value. `file` is
    /// `None` if the import has one file.
    pub(super) fn file_warning(code: &str, line: u64, message: Message, file: Option<&str>) -> Self {
        Self {
            line,
            row: 0,
            attribute: None,
            code: code.to_owned(),
            message,
            hint: None,
            value: None,
            severity: Severity::Warning,
            file: file.map(str::to_owned),
        }
    }
}

/// A row error in the form that is stored with its job: the templates of its texts are kept, so that they can be
/// translated when they are shown.
#[derive(Debug)]
pub(super) struct StoredFault<'a>(pub(super) &'a RowFault);

impl Serialize for StoredFault<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RowFault { line, row, attribute, code, message, hint, value, severity, file } = self.0;
        let mut stored = serializer.serialize_struct("RowFault", 9)?;
        stored.serialize_field("line", line)?;
        stored.serialize_field("row", row)?;
        stored.serialize_field("attribute", attribute)?;
        stored.serialize_field("code", code)?;
        stored.serialize_field("message", &message.to_stored())?;
        stored.serialize_field("hint", &hint.as_ref().map(Message::to_stored))?;
        stored.serialize_field("value", value)?;
        stored.serialize_field("severity", severity)?;
        if file.is_some() {
            stored.serialize_field("file", file)?;
        }
        stored.end()
    }
}

impl Localize for RowFault {
    fn localize(&mut self, language: Language) {
        self.message.localize(language);
        self.hint.localize(language);
    }
}

/// Location of a row in the import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowLocation {
    pub(super) row: u64,
    pub(super) line: u64,
    /// Name of the file; `None` if the import has one file.
    pub(super) file: Option<Arc<str>>,
}

impl RowLocation {
    /// Returns the location of the row that a fault is about.
    pub(super) fn of(fault: &RowFault) -> Self {
        Self { row: fault.row, line: fault.line, file: fault.file.as_deref().map(Arc::from) }
    }

    /// Returns the name of the file; `None` if the import has one file.
    pub(super) fn file_name(&self) -> Option<String> {
        self.file.as_deref().map(str::to_owned)
    }
}
