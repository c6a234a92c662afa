//! The contents of a row on its way through parser and mapping.

use serde_json::Value;

use super::read::{RawRow, RowError};

/// The processed contents of a row.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// Not parsed yet.
    #[default]
    Text,
    /// Parsed, with the mapping applied.
    User(Value),
    /// Cannot be parsed or mapped.
    Invalid(Vec<RowError>),
}

impl Content {
    pub(super) fn from_parsed(parsed: std::result::Result<Value, RowError>) -> Self {
        match parsed {
            Ok(user) => Self::User(user),
            Err(row_error) => Self::Invalid(vec![row_error]),
        }
    }
}

/// A row with its text and contents.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its text; the mapping updates it together with `content`.
    pub(super) raw: RawRow,
    pub(super) content: Content,
}
