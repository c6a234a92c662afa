//! A call of a transform, read but not yet checked against a catalog.

use super::path::Path;

/// `name(argument, …)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub name: String,
    /// Where it stands, in bytes.
    pub at: usize,
    pub arguments: Vec<Argument>,
}

/// An argument, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    pub at: usize,
    pub end: usize,
    pub input: Input,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// A path or a literal.
    Path(Path),
    /// A call; `secret("NAME")` is one too.
    Call(Call),
}
