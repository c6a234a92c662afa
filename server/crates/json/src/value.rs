//! JSON values with the semantics of JavaScript, and how they are written: numbers are 64-bit floating point, only own
//! properties count, strings are indexed by UTF-16 code unit.

use std::borrow::Cow;

use serde_json::Value as JsonValue;
use transforms_sdk::Value;

use crate::simd::find_escape;

/// A JSON value of a user; strings without escapes borrow from the text.
///
/// Members have the order of JavaScript: keys that are array indices first, in numeric order, then the others in the
/// order of the text. Of a key that occurs twice, the last value is at the position of the first.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`; also an item of an array that was not selected.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string; an unpaired surrogate is U+FFFD.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// Writes compact JSON, like `JSON.stringify`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Boolean(boolean) => out.extend_from_slice(if *boolean { b"true" } else { b"false" }),
            Self::Number(number) => write_json_number(*number, out),
            Self::Text(text) => write_json_text(text, out),
            Self::Array(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_json_text(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

impl From<Value> for Json<'static> {
    /// Converts the value. A number that JSON cannot represent is kept.
    fn from(value: Value) -> Self {
        match value {
            Value::Nothing => Self::Null,
            Value::Boolean(boolean) => Self::Boolean(boolean),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(Cow::Owned(text)),
            Value::Json(json) => Self::from(json),
        }
    }
}

impl From<JsonValue> for Json<'static> {
    fn from(json: JsonValue) -> Self {
        match json {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(boolean) => Self::Boolean(boolean),
            JsonValue::Number(number) => number.as_f64().map_or(Self::Null, Self::Number),
            JsonValue::String(text) => Self::Text(Cow::Owned(text)),
            JsonValue::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            JsonValue::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (Cow::Owned(name), Self::from(value))).collect())
            }
        }
    }
}

impl From<&Json<'_>> for JsonValue {
    fn from(json: &Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Boolean(boolean) => Self::Bool(*boolean),
            Json::Number(number) => Value::Number(*number).into(),
            Json::Text(text) => Self::String(text.clone().into_owned()),
            Json::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Json::Object(members) => {
                Self::Object(members.iter().map(|(name, value)| (name.clone().into_owned(), value.into())).collect())
            }
        }
    }
}

/// The value of an expression for a row: a [`Value`] that borrows from the row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Absent, `null`, `undefined`, or a function (which a cell cannot hold).
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An object or an array.
    Json(&'a Json<'a>),
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Nothing => Self::Nothing,
            Cell::Boolean(boolean) => Self::Boolean(boolean),
            Cell::Number(number) => Self::Number(number),
            Cell::Text(text) => Self::Text(text.into_owned()),
            Cell::Json(json) => Self::Json(json.into()),
        }
    }
}

impl<'a> From<&'a Json<'a>> for Cell<'a> {
    fn from(json: &'a Json<'a>) -> Self {
        match json {
            Json::Null => Self::Nothing,
            Json::Boolean(boolean) => Self::Boolean(*boolean),
            Json::Number(number) => Self::Number(*number),
            Json::Text(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }
}

impl Cell<'_> {
    /// Writes the cell as JSON; [`Cell::Nothing`] is `null`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => out.extend_from_slice(b"null"),
            Self::Boolean(boolean) => out.extend_from_slice(if *boolean { b"true" } else { b"false" }),
            Self::Number(number) => write_json_number(*number, out),
            Self::Text(text) => write_json_text(text, out),
            Self::Json(json) => json.write(out),
        }
    }
}

/// Writes a number like `String(number)` in JavaScript.
pub fn write_number(number: f64, out: &mut Vec<u8>) {
    // Fast path for integers up to 2^53, whose digits are already the shortest form.
    let whole = number as i64;
    if whole.unsigned_abs() < 1 << 53 && (whole as f64).to_bits() == number.to_bits() {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        return;
    }
    out.extend_from_slice(ryu_js::Buffer::new().format(number).as_bytes());
}

/// Like [`write_number`], but `null` for numbers that JSON cannot represent.
fn write_json_number(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        write_number(number, out);
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Writes a string in quotes, with the escapes of `JSON.stringify`.
pub fn write_json_text(text: &str, out: &mut Vec<u8>) {
    const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut written = 0;
    loop {
        let at = find_escape(bytes, written);
        out.extend_from_slice(bytes.get(written..at).unwrap_or_default());
        let Some(byte) = bytes.get(at).copied() else { break };
        written = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[
                    HEXADECIMAL[usize::from(byte >> 4) & 0xf],
                    HEXADECIMAL[usize::from(byte & 0xf)],
                ]);
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(number: f64) -> String {
        let mut out = Vec::new();
        write_number(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_like_in_javascript() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (698e-3, "0.698"),
            (5.0, "5"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (f64::INFINITY, "Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    proptest! {
        #[test]
        fn written_text_is_read_back(text in "\\PC*|[\\x00-\\x7f]*") {
            let mut out = Vec::new();
            write_json_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
