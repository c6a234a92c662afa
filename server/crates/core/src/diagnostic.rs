//! What is wrong with something that a user wrote: a query, an expression, a transform.

use std::ops::Range;

use crate::error::{Code, Error};
use crate::message::{Message, message};
use crate::source_snippet::SourceSnippet;

/// What is wrong with a text or file that a user wrote, where, and what is valid there.
///
/// The message has no full stop: it follows what cannot be done, as in `The query cannot be read: it is empty.`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The wrong part, in bytes from the start of the text; an empty range if something is missing there. `None` if it
    /// is not a text, such as a WASM file.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: Message,
    /// What is valid there, unless the message says that.
    pub expected: Option<Message>,
    /// What to do.
    pub hint: Option<Message>,
}

impl Diagnostic {
    /// Creates a diagnostic without a span.
    pub fn new(message: Message) -> Self {
        Self { span: None, message, expected: None, hint: None }
    }

    /// Creates a diagnostic of an offset, in bytes from the start of the text.
    pub fn at(offset: usize, message: Message) -> Self {
        Self::in_span(offset..offset, message)
    }

    /// Creates a diagnostic of a part of the text, in bytes.
    pub fn in_span(span: Range<usize>, message: Message) -> Self {
        Self { span: Some(span), ..Self::new(message) }
    }

    /// Sets what is valid there.
    #[must_use]
    pub fn with_expected(self, expected: Message) -> Self {
        Self { expected: Some(expected), ..self }
    }

    /// Sets what to do.
    #[must_use]
    pub fn with_hint(self, hint: Message) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Returns what is expected and what to do in one text: the hint of an error.
    pub fn advice(&self) -> Option<Message> {
        match (&self.expected, &self.hint) {
            (Some(expected), Some(hint)) => Some(message!("{expected}; {hint}")),
            (expected, hint) => expected.as_ref().or(hint.as_ref()).cloned(),
        }
    }

    /// Returns the error for the user. `subject` is what cannot be done, such as `The query cannot be read`, or the name
    /// of a file.
    pub fn to_error(&self, code: Code, subject: &Message) -> Error {
        let message = &self.message;
        self.to_error_with(code, message!("{subject}: {message}."))
    }

    /// Like [`Diagnostic::to_error`], and shows the line of `source` with a `^` under the start of the span.
    pub fn to_error_in(&self, code: Code, subject: &Message, source: &str) -> Error {
        let Some(span) = &self.span else { return self.to_error(code, subject) };
        let message = &self.message;
        let place = SourceSnippet { source, offset: span.start };
        self.to_error_with(code, message!("{subject}: {message}.\n{place}"))
    }

    fn to_error_with(&self, code: Code, message: Message) -> Error {
        let error = Error::new(code, message);
        match self.advice() {
            Some(advice) => error.with_hint(advice),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_start_of_the_span_and_what_is_expected() {
        let subject = Message::verbatim("The query cannot be read");
        let diagnostic = Diagnostic::in_span(5..7, Message::verbatim("found OR"));
        assert_eq!(
            diagnostic.to_error_in(Code::InvalidSearch, &subject, "name OR").to_string(),
            "The query cannot be read: found OR.\n  name OR\n       ^"
        );
        let diagnostic = diagnostic.with_expected(Message::verbatim("expected a term"));
        assert_eq!(diagnostic.advice().unwrap(), "expected a term");
        let diagnostic = diagnostic.with_hint(Message::verbatim("quote it"));
        assert_eq!(
            diagnostic.to_error(Code::InvalidSearch, &subject).to_string(),
            "The query cannot be read: found OR.\n  hint: expected a term; quote it"
        );
    }

    #[test]
    fn an_error_without_a_span_shows_no_source() {
        let diagnostic = Diagnostic::new(Message::verbatim("It is empty"));
        assert_eq!(
            diagnostic.to_error_in(Code::InvalidTransform, &Message::verbatim("a.wasm"), "(module)").to_string(),
            "a.wasm: It is empty."
        );
    }
}
