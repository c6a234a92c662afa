//! Errors of a query, with their offset.

use uie_core::error::{Code, Error};
use uie_core::source_snippet::SourceSnippet;

/// An error of a query and its offset.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QueryError {
    /// In bytes from the start of the query.
    at: usize,
    message: String,
    hint: String,
}

impl QueryError {
    pub(super) fn new(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: hint.into() }
    }

    /// Returns the error for the user: `what` cannot be done, with a `^` under the offset in `source`.
    pub(super) fn into_error(self, what: &str, source: &str) -> Error {
        let place = SourceSnippet { source, offset: self.at };
        let error = Error::new(Code::InvalidSearch, format!("{what}: {}.\n{place}", self.message));
        if self.hint.is_empty() { error } else { error.with_hint(self.hint) }
    }
}
