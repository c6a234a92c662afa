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
    /// An array or an object: the pieces of its JSON text, in order.
    Json(Vec<JsonPiece>),
}

/// A piece of JSON text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JsonPiece {
    /// Text, the same for every user.
    Text(String),
    /// The value of a path or a call, which differs from user to user.
    Value(Argument),
}

impl Argument {
    /// Returns its byte range in the source.
    pub(super) fn span(&self) -> Range<usize> {
        self.at..self.end
    }

    fn collect_paths<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match &self.input {
            Input::Path(path) => paths.push(path),
            Input::Call(call) => paths.append(&mut call.paths()),
            Input::Json(pieces) => {
                for piece in pieces {
                    if let JsonPiece::Value(argument) = piece {
                        argument.collect_paths(paths);
                    }
                }
            }
        }
    }
}

impl Call {
    /// Returns the byte range of the name in the source.
    pub(super) fn name_span(&self) -> Range<usize> {
        self.at..self.at + self.name.len()
    }

    /// Returns the names of the called transforms, its own first.
    pub(super) fn transforms(&self) -> Vec<&str> {
        let inner = self.inner_calls().into_iter().flat_map(Self::transforms);
        std::iter::once(self.name.as_str()).filter(|name| *name != SECRET).chain(inner).collect()
    }

    /// Returns the number of sandboxes: its own and those of the calls among its arguments.
    pub(super) fn sandbox_count(&self) -> usize {
        let inner = self.inner_calls().into_iter().map(Self::sandbox_count);
        usize::from(self.name != SECRET) + inner.sum::<usize>()
    }

    /// Returns the calls among its arguments, also those inside arrays and objects.
    fn inner_calls(&self) -> Vec<&Self> {
        let mut calls = Vec::new();
        for argument in &self.arguments {
            match &argument.input {
                Input::Path(_) => {}
                Input::Call(call) => calls.push(call),
                Input::Json(pieces) => calls.extend(pieces.iter().filter_map(|piece| match piece {
                    JsonPiece::Value(Argument { input: Input::Call(call), .. }) => Some(call),
                    JsonPiece::Value(_) | JsonPiece::Text(_) => None,
                })),
            }
        }
        calls
    }

    /// Returns the paths among its arguments and those of inner calls.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        for argument in &self.arguments {
            argument.collect_paths(&mut paths);
        }
        paths
    }
}
