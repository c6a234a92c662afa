//! The grammar around the rows of JSON that are not lines: elements of an array, or values one after the other. Rows
//! are split by their brackets and quotes; they are validated when they are parsed.

use memchr::memchr2;

/// Returns whether a byte is white space in JSON.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A position between the elements of an array, or between the values of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArrayState {
    /// After `[`: an element or `]` is expected.
    #[default]
    Start,
    /// After a comma: an element is expected.
    Comma,
    /// After an element: a comma or `]` is expected.
    AfterElement,
    /// After `]`: only white space is allowed.
    End,
    /// In a sequence: a value, a comma or the end of the file is expected.
    BetweenValues,
}

/// What is expected at a byte that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An element of the array.
    Element,
    /// An element of the array, since a comma precedes.
    ElementAfterComma,
    /// `,` or `]`.
    Separator,
    /// A value of a sequence.
    Value,
    /// The next member of an object, or its end.
    Member,
    /// The end of the file.
    End,
}

impl ArrayState {
    /// Returns the state after a byte that is not white space; `None` if an element starts with it.
    pub(crate) fn next(self, byte: u8) -> Result<Option<Self>, Expected> {
        match (self, byte) {
            (Self::End, _) => Err(Expected::End),
            (Self::AfterElement, b',') => Ok(Some(Self::Comma)),
            // Programs that write one element after the other leave a comma after the last one.
            (Self::AfterElement | Self::Start | Self::Comma, b']') => Ok(Some(Self::End)),
            (Self::AfterElement, _) => Err(Expected::Separator),
            (Self::Start, b',' | b':' | b'}') => Err(Expected::Element),
            (Self::Comma, b',' | b':' | b'}') => Err(Expected::ElementAfterComma),
            (Self::BetweenValues, b',') => Ok(Some(Self::BetweenValues)),
            (Self::BetweenValues, b']' | b':' | b'}') => Err(Expected::Value),
            (Self::Start | Self::Comma | Self::BetweenValues, _) => Ok(None),
        }
    }

    /// Returns the state after an element.
    pub(crate) fn after_element(self) -> Self {
        if self == Self::BetweenValues { self } else { Self::AfterElement }
    }
}

/// Finds the end of a JSON value by its brackets and quotes, across buffers. Does not validate the value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ValueEnd {
    depth: u64,
    in_string: bool,
    escaped: bool,
    started: bool,
}

impl ValueEnd {
    /// Finds the end of an object from a position inside it.
    pub(crate) fn inside_object() -> Self {
        Self { depth: 1, started: true, ..Self::default() }
    }

    /// Returns the offset after the value's last byte; `None` if the value does not end in `buffer`.
    pub(crate) fn find(&mut self, buffer: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = buffer.get(at) {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let rest = buffer.get(at..).unwrap_or_default();
                let found = memchr2(b'"', b'\\', rest)?;
                at += found + 1;
                if rest.get(found) == Some(&b'\\') {
                    self.escaped = true;
                } else {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 && self.started => return Some(at),
                _ => {}
            }
            self.started = true;
            at += 1;
        }
        None
    }
}
