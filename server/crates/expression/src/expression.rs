//! A parsed expression and its kind.

use std::fmt;

use super::parser::{self, Form};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::source_snippet::SourceSnippet;
use uie_json::Path;

/// The maximum length of an expression, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// The kind of an expression, as the UI and `/api/preview` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Alternatives of paths and literals, computed natively.
    Path,
    /// A call of a compiled transform.
    Transform,
    /// Any other text that parses as one JavaScript expression.
    JavaScript,
}

/// A parsed and classified expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    source: String,
    pub(super) form: Form,
}

impl Expression {
    /// Parses and classifies an expression.
    ///
    /// Errors show the expression with a `^` under the offset, and what was expected there.
    pub fn parse(source: &str) -> Result<Self> {
        let source = source.trim();
        if source.len() > MAX_LEN {
            let (length, limit) = (source.len(), MAX_LEN);
            let message = message!("An expression of {length} bytes is too long; {limit} are allowed.");
            return Err(Error::new(Code::InvalidExpression, message));
        }
        let form = parser::parse(source).map_err(|error| error.into_error(source))?;
        Ok(Self { source: source.to_owned(), form })
    }

    /// Returns the kind of the expression.
    pub fn kind(&self) -> Kind {
        match self.form {
            Form::Path(_) => Kind::Path,
            Form::Transform(_) => Kind::Transform,
            Form::JavaScript(_) => Kind::JavaScript,
        }
    }

    /// Returns the number of sandboxes for computing it: one per call of a transform, one for JavaScript.
    pub(super) fn sandbox_count(&self) -> usize {
        match &self.form {
            Form::Path(_) => 0,
            Form::Transform(call) => call.sandbox_count(),
            Form::JavaScript(_) => 1,
        }
    }

    /// Returns the names of the transforms that it calls.
    pub fn transforms(&self) -> Vec<&str> {
        match &self.form {
            Form::Path(_) | Form::JavaScript(_) => Vec::new(),
            Form::Transform(call) => call.transforms(),
        }
    }

    /// Returns the expression as it was written, trimmed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the path.
    ///
    /// Calls of transforms and JavaScript fail with [`Code::UnsupportedExpression`] and a `^` under the offset where
    /// the expression stops being a path; [`Formula::new`](crate::Formula::new) accepts them too.
    pub fn path(&self) -> Result<&Path> {
        let place = |offset| SourceSnippet { source: &self.source, offset };
        let message = match &self.form {
            Form::Path(path) => return Ok(path),
            Form::Transform(call) => message!(
                "The expression calls a transform, which cannot be used here; it stops being a path at this \
                 place:\n{place}",
                place = place(call.at)
            ),
            Form::JavaScript(script) => message!(
                "The expression is JavaScript, which cannot be used here; it stops being a path at this \
                 place:\n{place}",
                place = place(script.path_end)
            ),
        };
        Err(Error::new(Code::UnsupportedExpression, message))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}
