//! The transform `join`.

use transforms_sdk::prelude::*;

/// Joins the items of an array to one text, with a separator between them.
///
/// Items are texts, numbers (written as JavaScript writes them) and booleans; items that are nothing are left
/// out, objects and arrays are refused. An empty array gives an empty text, nothing gives nothing.
#[transform(
    example(r#"join(["auth0", "google-oauth2"], ", ")"# => "auth0, google-oauth2"),
    example(r#"join(["a", null, 1], "|")"# => "a|1"),
)]
pub fn join(
    /// The array.
    items: Option<Vec<Value>>,
    /// What stands between two items.
    separator: &str,
) -> Result<Option<String>, Fault> {
    let Some(items) = items else { return Ok(None) };
    let mut joined = String::new();
    let mut first = true;
    for (item, number) in items.into_iter().zip(1..) {
        if item == Value::Nothing {
            continue;
        }
        if !std::mem::take(&mut first) {
            joined.push_str(separator);
        }
        match item {
            Value::Text(text) => joined.push_str(&text),
            Value::Number(value) => joined.push_str(ryu_js::Buffer::new().format(value)),
            Value::Boolean(value) => joined.push_str(if value { "true" } else { "false" }),
            Value::Json(_) | Value::Nothing => {
                return Err(fault!(
                    "item {number} of `items` is an object or an array; a text, a number or a boolean is expected"
                ));
            }
        }
    }
    Ok(Some(joined))
}
