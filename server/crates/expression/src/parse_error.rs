//! Errors of an expression, with their place.

use std::ops::Range;

use uie_core::diagnostic::Diagnostic;
use uie_core::error::{Code, Error};
use uie_core::message::message;
use uie_json::MAX_DEPTH;

/// Where and why an expression cannot be parsed, or not as a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ParseError {
    /// The text is not a valid expression.
    Invalid(Diagnostic),
    /// The text is not a path from this part on, in bytes, but may be a call or JavaScript.
    NotAPath(Range<usize>),
    /// The path has more steps than a user has levels; the first one too many, in bytes.
    TooLong(Range<usize>),
}

impl From<Diagnostic> for ParseError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Invalid(diagnostic)
    }
}

impl ParseError {
    /// Returns the error for the user, with a `^` under the place in `source`.
    pub(super) fn into_error(self, source: &str) -> Error {
        invalid_expression(&self.into_diagnostic(), source)
    }

    fn into_diagnostic(self) -> Diagnostic {
        match self {
            Self::Invalid(diagnostic) => diagnostic,
            Self::NotAPath(span) => Diagnostic::in_span(span, message!("this does not fit here"))
                .with_expected(message!("expected one expression")),
            Self::TooLong(span) => {
                Diagnostic::in_span(span, message!("this path has more than {limit} steps", limit = MAX_DEPTH))
                    .with_hint(message!("a user is nested at most {limit} levels deep", limit = MAX_DEPTH))
            }
        }
    }
}

/// Returns the error of an expression for the user, with a `^` under the place in `source`.
pub(super) fn invalid_expression(diagnostic: &Diagnostic, source: &str) -> Error {
    diagnostic.to_error_in(Code::InvalidExpression, &message!("The expression cannot be read"), source)
}
