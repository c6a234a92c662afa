//! What a column says: parse -> path | transform call | JavaScript (docs/decisions/0003-kinds-of-expressions.md).

mod call;
mod column;
mod compute;
mod index;
mod javascript;
mod json;
mod lexer;
mod parser;
mod path;
mod read;
mod scan;
mod slots;
mod tokens;
mod walk;

use std::fmt;

use crate::caret::Caret;
use crate::error::{Code, Error, Result};
use call::Call;
use javascript::Script;

pub use column::split_column;
pub use compute::{Attributes, Cells, Evaluator, Formula, Pins, Tools, layout};
pub use index::Index;
pub use json::{Cell, Json, write_json_text, write_number};
pub use path::{Key, Path};
pub use read::{BothWays, DEEPEST, Unreadable, Wanted, check_whole, read, read_both_ways, read_with_text};
pub use slots::{Layout, Scanned, Slots, Slotted};
pub use walk::Walker;

/// What an expression is, as the UI and `/api/preview` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Alternatives of paths and literals, computed natively.
    Path,
    /// A call of a compiled transform.
    Transform,
    /// Everything else that parses as one expression.
    JavaScript,
}

/// The longest expression accepted, in bytes.
const LONGEST: usize = 64 * 1024;

/// So many sandboxes the expressions of one request may take together, nested calls included: each has memory
/// of its own, on each thread.
pub const MOST_SANDBOXES: usize = 100;

/// Counts the sandboxes that the expressions of one request take, before any of them is started.
#[derive(Debug, Default)]
pub struct SandboxCount(usize);

impl SandboxCount {
    /// Adds those of one more expression; fails with this code where they are too many.
    pub fn add(&mut self, expression: &Expression, code: Code) -> Result<()> {
        self.0 = self.0.saturating_add(expression.sandboxes());
        if self.0 > MOST_SANDBOXES {
            return Err(Error::new(
                code,
                format!(
                    "More than {MOST_SANDBOXES} values are computed by transforms or JavaScript, nested calls included."
                ),
            ));
        }
        Ok(())
    }
}

/// An expression, read and classified.
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

/// Where and why reading an expression stopped.
#[derive(Clone, Debug, PartialEq)]
enum Stop {
    /// It is no expression at all.
    Invalid { at: usize, message: String, hint: String },
    /// It is more than a path.
    Beyond { at: usize },
    /// It is a path of more steps than a user is deep.
    TooLong { at: usize },
}

impl Stop {
    fn invalid(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { at, message: message.into(), hint: hint.into() }
    }

    /// The error, with a `^` under the place.
    fn explain(self, source: &str) -> Error {
        let (at, message, hint) = match self {
            Self::Invalid { at, message, hint } => (at, message, hint),
            Self::Beyond { at } => (at, "this does not fit here".to_owned(), "expected one expression".to_owned()),
            Self::TooLong { at } => (
                at,
                format!("this path has more than {DEEPEST} steps"),
                format!("a user is nested at most {DEEPEST} levels deep"),
            ),
        };
        let message = format!("The expression cannot be read: {message}.\n{}", Caret { source, at });
        Error::new(Code::InvalidExpression, message).with_hint(hint)
    }
}

impl Expression {
    /// Reads an expression and says what it is. An error shows the expression with a `^` under the
    /// place, and what was expected there.
    pub fn parse(source: &str) -> Result<Self> {
        let source = source.trim();
        if source.len() > LONGEST {
            return Err(Error::new(
                Code::InvalidExpression,
                format!("An expression of {} bytes is too long; {LONGEST} are allowed.", source.len()),
            ));
        }
        let form = parser::parse(source).map_err(|stop| stop.explain(source))?;
        Ok(Self { source: source.to_owned(), form })
    }

    /// What the expression is.
    pub fn kind(&self) -> Kind {
        match self.form {
            Form::Path(_) => Kind::Path,
            Form::Transform(_) => Kind::Transform,
            Form::JavaScript(_) => Kind::JavaScript,
        }
    }

    /// How many sandboxes computing it takes: one for each call of a transform, one for JavaScript.
    fn sandboxes(&self) -> usize {
        match &self.form {
            Form::Path(_) => 0,
            Form::Transform(call) => call.sandboxes(),
            Form::JavaScript(_) => 1,
        }
    }

    /// The names of the transforms that it calls.
    pub fn transforms(&self) -> Vec<&str> {
        match &self.form {
            Form::Path(_) | Form::JavaScript(_) => Vec::new(),
            Form::Transform(call) => call.transforms(),
        }
    }

    /// The expression as it was written, without blanks around it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The path, where it is one. Calls of transforms and JavaScript fail with
    /// [`Code::UnsupportedExpression`] and a `^` under the place where the expression stops being a path;
    /// [`Formula::new`] takes them too.
    pub fn path(&self) -> Result<&Path> {
        let (at, what) = match &self.form {
            Form::Path(path) => return Ok(path),
            Form::Transform(call) => (call.at, "calls a transform"),
            Form::JavaScript(script) => (script.beyond, "is JavaScript"),
        };
        let place = Caret { source: &self.source, at };
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
