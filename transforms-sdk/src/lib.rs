//! The SDK for transforms, and the types that host and transforms share: values, manifest, contract.
//!
//! ```
//! use transforms_sdk::prelude::*;
//!
//! /// The part of an e-mail address after the last `@`.
//! #[transform(example(r#"domain("ada@example.com")"# => "example.com"))]
//! pub fn domain(email: Option<&str>) -> Option<String> {
//!     Some(email?.rsplit_once('@')?.1.to_lowercase())
//! }
//! ```
//!
//! This is a complete transform: [`macro@transform`] generates the manifest and exports the function,
//! [`Argument`] and [`Output`] define the types of parameters and results, a [`Fault`] explains why a row has
//! no result, and [`testing`] runs the examples and `cases/*.json` natively.

#[doc(hidden)]
pub mod build;
pub mod last_panic;
pub mod manifest;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(any(test, target_arch = "wasm32"))]
#[allow(unsafe_code, clippy::cast_ptr_alignment)] // an allocator; every pointer that is cast is aligned to the unit
mod allocator;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
#[doc(hidden)]
pub mod packed;

mod argument;
mod fault;
mod output;
mod user;

use serde_json::Value as JsonValue;

pub use argument::{Argument, Arguments, Given, Mismatch};
pub use fault::Fault;
pub use output::Output;
pub use serde_json;
pub use transforms_sdk_macros::transform;
pub use user::User;

/// The imports of a transform: `use transforms_sdk::prelude::*;`
pub mod prelude {
    pub use crate::{Fault, User, Value, fault, transform};
}

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: allocator::Allocator<std::alloc::System> = allocator::Allocator::new(std::alloc::System);

/// A transform. `#[transform]` implements it for a type with the function's name.
pub trait Transform {
    /// The manifest, as JSON.
    const MANIFEST: &'static str;
    /// The number of parameters.
    const PARAMETERS: usize;

    /// Computes the result of one row.
    fn call(arguments: &Arguments<'_>) -> Result<Value, Fault>;
}

/// The value of an expression, and an argument or result of a transform (docs/transforms.md#the-contract).
///
/// As a cell, nothing is empty in CSV and `null` in JSON; a boolean is `true` or `false`; a number is written as
/// in JavaScript (`0`, `0.698`, `1e+21`); a text is copied unchanged; JSON is compact JSON in CSV and itself in
/// JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Absent, `null` or `undefined`.
    #[default]
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number as in JavaScript: 64-bit floating point.
    Number(f64),
    /// Unicode text. A lone surrogate of JavaScript is U+FFFD here.
    Text(String),
    /// An object or an array.
    Json(JsonValue),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

impl From<JsonValue> for Value {
    /// Converts JSON to a value; integers beyond 2^53 become the nearest 64-bit floating point number.
    fn from(json: JsonValue) -> Self {
        match json {
            JsonValue::Null => Self::Nothing,
            JsonValue::Bool(boolean) => Self::Boolean(boolean),
            JsonValue::Number(number) => number.as_f64().map_or(Self::Nothing, Self::Number),
            JsonValue::String(text) => Self::Text(text),
            json @ (JsonValue::Array(_) | JsonValue::Object(_)) => Self::Json(json),
        }
    }
}

impl From<Value> for JsonValue {
    /// Converts the value to a cell of a JSON file. A number that JSON cannot represent (NaN, infinity) is
    /// `null`, as with `JSON.stringify`; a whole number has no fraction (`5`, not `5.0`).
    fn from(value: Value) -> Self {
        /// 2^53: up to here every whole number is exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match value {
            Value::Nothing => Self::Null,
            Value::Boolean(boolean) => Self::Bool(boolean),
            #[allow(clippy::cast_possible_truncation)] // whole and within 2^53
            Value::Number(number) if number.fract() == 0.0 && number.abs() <= EXACT => Self::from(number as i64),
            Value::Number(number) => serde_json::Number::from_f64(number).map_or(Self::Null, Self::Number),
            Value::Text(text) => Self::String(text),
            Value::Json(json) => json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_becomes_a_value_and_a_value_a_cell() {
        for json in [json!(null), json!(true), json!(5), json!(0.698), json!("x"), json!([1, {"a": null}])] {
            assert_eq!(JsonValue::from(Value::from(json.clone())), json);
        }
    }

    #[test]
    fn numbers_are_those_of_javascript() {
        assert_eq!(Value::from(json!(12_345_678_901_234_567_890_u64)), Value::Number(12_345_678_901_234_567_000.0));
        assert_eq!(JsonValue::from(Value::Number(5.0)).to_string(), "5");
        assert_eq!(JsonValue::from(Value::Number(-0.0)).to_string(), "0");
        assert_eq!(JsonValue::from(Value::Number(f64::NAN)), JsonValue::Null);
    }
}
