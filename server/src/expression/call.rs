//! A call of a transform, read but not yet checked against a catalog.

use super::path::Path;

/// How the value of a named secret is asked for: `secret("NAME")`. It runs nothing.
pub(super) const SECRET: &str = "secret";

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

impl Call {
    /// The names of the transforms it calls, its own first.
    pub(super) fn transforms(&self) -> Vec<&str> {
        let inner = self.arguments.iter().flat_map(|argument| match &argument.input {
            Input::Path(_) => Vec::new(),
            Input::Call(call) => call.transforms(),
        });
        std::iter::once(self.name.as_str()).filter(|name| *name != SECRET).chain(inner).collect()
    }

    /// How many sandboxes it takes: its own, and those of the calls among its arguments.
    pub(super) fn sandboxes(&self) -> usize {
        let inner = self.arguments.iter().map(|argument| match &argument.input {
            Input::Path(_) => 0,
            Input::Call(call) => call.sandboxes(),
        });
        usize::from(self.name != SECRET) + inner.sum::<usize>()
    }
}
