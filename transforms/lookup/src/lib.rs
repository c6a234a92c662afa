//! The transform `lookup`.

use transforms_sdk::prelude::*;
use transforms_sdk::serde_json::{Map, Value as Json};

/// Replaces a value by what a table has for it.
///
/// The table is an object: `{"p": "Pro", "f": "Free"}`. The value is a text, or a number or boolean, which is found as
/// JavaScript writes it: `1`, `true`. Capitals and blanks count. What the table does not have, and nothing, gives the
/// default; without a default, nothing.
#[transform(
    example(r#"lookup("p", {"p": "Pro", "f": "Free"})"# => "Pro"),
    example(r#"lookup("x", {"p": "Pro", "f": "Free"}, "other")"# => "other"),
    example(r#"lookup(1, {"0": false, "1": true})"# => true),
)]
pub fn lookup(
    /// What is looked up.
    value: Value,
    /// The table.
    table: &Map<String, Json>,
    /// The result for all other values.
    default: Value,
) -> Result<Value, Fault> {
    let entry = match value {
        Value::Nothing => None,
        Value::Text(text) => table.get(&text),
        Value::Number(number) => table.get(ryu_js::Buffer::new().format(number)),
        Value::Boolean(boolean) => table.get(if boolean { "true" } else { "false" }),
        Value::Json(_) => {
            return Err("`value` is an object or an array; a text, a number or a boolean is expected".into());
        }
    };
    Ok(entry.map_or(default, |entry| entry.clone().into()))
}
