//! What a transform author imports: the value model shared by columns and transforms.

pub mod manifest;

use serde_json::Value as JsonValue;

/// What an expression gives and what a transform takes and returns (design, section 8).
///
/// The cell of a column is made from it: nothing is an empty cell in CSV and `null` in JSON; a boolean
/// is `true` or `false`; a number is written the way JavaScript writes it (`0`, `0.698`, `1e+21`); a
/// text stands as it is; JSON is compact JSON in CSV and itself in JSON (design, section 6).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Absent, `null` or `undefined`.
    #[default]
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number as JavaScript knows it: 64-bit floating point.
    Number(f64),
    /// Unicode text. What is half a surrogate pair in JavaScript is U+FFFD here.
    Text(String),
    /// An object or an array.
    Json(JsonValue),
}

impl From<JsonValue> for Value {
    /// The value of a piece of JSON; integers beyond 2^53 become the nearest number JavaScript has.
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
    /// The value as a cell of a JSON file. A number that JSON cannot hold (NaN, the infinities) is
    /// `null`, as `JSON.stringify` has it; a whole number has no fraction (`5`, not `5.0`).
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
