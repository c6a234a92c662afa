//! A call of a transform, parsed but not yet checked against a catalog.

use std::ops::Range;

use uie_json::Path;

/// The function that returns a named secret: `secret("NAME")`. It is not a transform and needs no sandbox.
pub(super) const SECRET: &str = "secret";

/// `name(argument, …)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub name: String,
    /// The offset of the name in the source, in bytes.
    pub at: usize,
    pub arguments: Vec<Argument>,
}

/// An argument and its byte range in the source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    pub at: usize,
    pub end: usize,
    pub input: Input,
}

/// The content of an argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// A path or a literal.
    Path(Path),
    /// A call, also `secret("NAME")`.
    Call(Call),
}

impl Argument {
    /// Returns its byte range in the source.
    pub(super) fn span(&self) -> Range<usize> {
        self.at..self.end
    }
}

impl Call {
    /// Returns the byte range of the name in the source.
    pub(super) fn name_span(&self) -> Range<usize> {
        self.at..self.at + self.name.len()
    }

    /// Returns the names of the called transforms, its own first.
    pub(super) fn transforms(&self) -> Vec<&str> {
        let inner = self.arguments.iter().flat_map(|argument| match &argument.input {
            Input::Path(_) => Vec::new(),
            Input::Call(call) => call.transforms(),
        });
        std::iter::once(self.name.as_str()).filter(|name| *name != SECRET).chain(inner).collect()
    }

    /// Returns the number of sandboxes: its own and those of the calls among its arguments.
    pub(super) fn sandbox_count(&self) -> usize {
        let inner = self.arguments.iter().map(|argument| match &argument.input {
            Input::Path(_) => 0,
            Input::Call(call) => call.sandbox_count(),
        });
        usize::from(self.name != SECRET) + inner.sum::<usize>()
    }
}
