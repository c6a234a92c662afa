//! Converts mapped values to the types of their targets.

use serde_json::Value;
use uie_records::{Target, trim_invisible, write_cell};

/// Converts a mapped value to the type of its target: `"true"` becomes `true` for a boolean, a number becomes text for
/// a string, and texts such as addresses lose the white space around them. A value that does not fit is unchanged, so
/// that the check reports it.
pub(super) fn coerce(value: Value, target: Target) -> Value {
    match (target, &value) {
        (Target::Text | Target::TrimmedText, Value::Number(number)) => Value::from(number.to_string()),
        (Target::TrimmedText, Value::String(text)) => Value::from(trim_invisible(text)),
        (Target::Boolean, Value::Number(number)) => match number.as_u64() {
            Some(0) => Value::from(false),
            Some(1) => Value::from(true),
            _ => value,
        },
        (Target::Boolean | Target::Integer | Target::Json, Value::String(text)) => {
            let mut json = Vec::new();
            match write_cell(text, target, false, &mut json) {
                Ok(()) => serde_json::from_slice(&json).unwrap_or(value),
                Err(_) => value,
            }
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mapped_values_are_converted_or_left_for_the_check() {
        assert_eq!(coerce(json!("true"), Target::Boolean), json!(true));
        assert_eq!(coerce(json!(1), Target::Boolean), json!(true));
        assert_eq!(coerce(json!(4711), Target::Text), json!("4711"));
        assert_eq!(coerce(json!("nein"), Target::Boolean), json!(false));
        assert_eq!(coerce(json!(4711), Target::TrimmedText), json!("4711"));
        assert_eq!(coerce(json!(" a@b.c\u{a0}"), Target::TrimmedText), json!("a@b.c"));
        assert_eq!(coerce(json!(" x"), Target::Text), json!(" x"));
        assert_eq!(coerce(json!("[]"), Target::Json), json!([]));
        assert_eq!(coerce(json!("x"), Target::Integer), json!("x"));
        assert_eq!(coerce(json!("42"), Target::Free), json!("42"));
    }
}
