//! Expressions of columns (docs/decisions/0003-kinds-of-expressions.md) and the JSON readers for their values.
//!
//! - Language: `lexer`, `parser`, `path`, `call`, `javascript`, `column`; `evaluate` checks and computes it.
//! - JSON readers: `row_parser`, `projection`, `structural_index`, `cursor`, `tokenizer`, `token_source`, `json`.

mod call;
mod column;
mod cursor;
mod evaluate;
mod javascript;
mod json;
mod lexer;
mod parser;
mod path;
mod projection;
mod row_parser;
mod structural_index;
mod token_source;
mod tokenizer;

use std::fmt;

use crate::error::{Code, Error, Result};
use crate::source_snippet::SourceSnippet;
use call::Call;
use javascript::Script;

pub use column::split_column;
pub use cursor::Cursor;
pub use evaluate::{Cells, Evaluator, Formula, Pins, RowValues, TransformContext, formula_projection};
pub use json::{Cell, Json, write_json_text, write_number};
pub use path::{Key, Path};
pub use projection::{Projection, RowBuffer, RowSpan, RowView};
pub use row_parser::{
    FastAndSlow, MAX_DEPTH, ProjectionMask, RowParseError, check_row, parse_row, parse_row_both_ways,
    parse_row_with_text,
};
pub use structural_index::StructuralIndex;

/// The kind of an expression, as the UI and `/api/preview` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Alternatives of paths and literals, computed natively.
    Path,
    /// A call of a compiled transform.
    Transform,
    /// Any other text that parses as one JavaScript expression.
    JavaScript,
}

/// The maximum length of an expression, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// The maximum number of sandboxes for all expressions of one request, nested calls included. Each sandbox has its own
/// memory on each thread.
pub const MAX_SANDBOXES: usize = 100;

/// Counts the sandboxes that the expressions of one request need, before any of them is started.
#[derive(Debug, Default)]
pub struct SandboxCount(usize);

impl SandboxCount {
    /// Adds the sandboxes of one more expression. Fails with `code` above [`MAX_SANDBOXES`].
    pub fn add(&mut self, expression: &Expression, code: Code) -> Result<()> {
        self.0 = self.0.saturating_add(expression.sandbox_count());
        if self.0 > MAX_SANDBOXES {
            return Err(Error::new(
                code,
                format!(
                    "More than {MAX_SANDBOXES} values are computed by transforms or JavaScript, nested calls included."
                ),
            ));
        }
        Ok(())
    }
}

/// A parsed and classified expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    source: String,
    form: Form,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Path(Path),
    Transform(Call),
    JavaScript(Script),
}

/// Where and why an expression cannot be parsed, or not as a path. Offsets are in bytes.
#[derive(Clone, Debug, PartialEq)]
enum ParseError {
    /// The text is not a valid expression.
    Invalid { at: usize, message: String, hint: String },
    /// The text is not a path, but may be a call or JavaScript.
    NotAPath { at: usize },
    /// The path has more steps than a user has levels.
    TooLong { at: usize },
}

impl ParseError {
    fn invalid(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { at, message: message.into(), hint: hint.into() }
    }

    /// Returns the error for the user, with a `^` under the offset in `source`.
    fn into_error(self, source: &str) -> Error {
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

impl Expression {
    /// Parses and classifies an expression.
    ///
    /// Errors show the expression with a `^` under the offset, and what was expected there.
    pub fn parse(source: &str) -> Result<Self> {
        let source = source.trim();
        if source.len() > MAX_LEN {
            return Err(Error::new(
                Code::InvalidExpression,
                format!("An expression of {} bytes is too long; {MAX_LEN} are allowed.", source.len()),
            ));
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
    fn sandbox_count(&self) -> usize {
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
    /// the expression stops being a path; [`Formula::new`] accepts them too.
    pub fn path(&self) -> Result<&Path> {
        let (at, what) = match &self.form {
            Form::Path(path) => return Ok(path),
            Form::Transform(call) => (call.at, "calls a transform"),
            Form::JavaScript(script) => (script.path_end, "is JavaScript"),
        };
        let place = SourceSnippet { source: &self.source, offset: at };
        Err(Error::new(
            Code::UnsupportedExpression,
            format!("The expression {what}, which cannot be used here; it stops being a path at this place:\n{place}"),
        ))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests;
