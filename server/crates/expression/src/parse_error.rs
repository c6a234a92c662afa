//! Errors of an expression, with their offset.

use uie_core::error::{Code, Error};
use uie_core::source_snippet::SourceSnippet;
use uie_json::MAX_DEPTH;

/// Where and why an expression cannot be parsed, or not as a path. Offsets are in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ParseError {
    /// The text is not a valid expression.
    Invalid { at: usize, message: String, hint: String },
    /// The text is not a path, but may be a call or JavaScript.
    NotAPath { at: usize },
    /// The path has more steps than a user has levels.
    TooLong { at: usize },
}

impl ParseError {
    pub(super) fn invalid(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { at, message: message.into(), hint: hint.into() }
    }

    /// Returns the error for the user, with a `^` under the offset in `source`.
    pub(super) fn into_error(self, source: &str) -> Error {
        let (at, message, hint) = match self {
            Self::Invalid { at, message, hint } => (at, message, hint),
            Self::NotAPath { at } => (at, "this does not fit here".to_owned(), "expected one expression".to_owned()),
            Self::TooLong { at } => (
                at,
                format!("this path has more than {MAX_DEPTH} steps"),
                format!("a user is nested at most {MAX_DEPTH} levels deep"),
            ),
        };
        let message = format!("The expression cannot be read: {message}.\n{}", SourceSnippet { source, offset: at });
        Error::new(Code::InvalidExpression, message).with_hint(hint)
    }
}
