//! A borrowed value.

use serde_json::Value as JsonValue;
use transforms_sdk::Value;

/// A borrowed [`Value`]: the result of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Absent.
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(&'a str),
    /// An object or an array.
    Json(&'a JsonValue),
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Nothing => Self::Nothing,
            ValueRef::Boolean(boolean) => Self::Boolean(boolean),
            ValueRef::Number(number) => Self::Number(number),
            ValueRef::Text(text) => Self::Text(text.to_owned()),
            ValueRef::Json(json) => Self::Json(json.clone()),
        }
    }
}
