//! A transform that touches every value of the contract 1.0.0, for the test that old transforms still run.

use transforms_sdk::prelude::*;
use transforms_sdk::serde_json::{Value as Json, json};

/// Gives back what it takes, and says what it was.
///
/// `mode` is `echo` (the value itself), `kind` (its kind as text), `all` (an object of all arguments), `fault`
/// (a fault), `panic` (a panic), `loop` (no end) or `memory` (all there is).
#[transform(
    example(r#"compatibility("echo", "text")"# => "text"),
    example(r#"compatibility("kind", [1])"# => "json"),
    example(r#"compatibility("all", null, true, 0.5, "é", {"a": [null]})"#
        => {"value": null, "boolean": true, "number": 0.5, "text": "é", "json": {"a": [null]}, "secret": false}),
)]
pub fn compatibility(
    /// What to do.
    mode: &str,
    /// Any value.
    value: Value,
    /// A boolean.
    boolean: Option<bool>,
    /// A number.
    number: Option<f64>,
    /// Text.
    text: Option<&str>,
    /// An object or an array.
    json: Option<&Json>,
    /// A secret.
    #[arg(secret)]
    secret: Option<String>,
) -> Result<Value, Fault> {
    match mode {
        "echo" => Ok(value),
        "kind" => Ok(Value::from(match value {
            Value::Nothing => "nothing",
            Value::Boolean(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "text",
            Value::Json(_) => "json",
        })),
        "all" => Ok(Value::from(json!({
            "value": Json::from(value),
            "boolean": boolean,
            "number": number,
            "text": text,
            "json": json,
            "secret": secret.is_some(),
        }))),
        "fault" => Err("a fault, as asked for".into()),
        "panic" => panic!("a panic, as asked for"),
        "loop" => loop {
            std::hint::black_box(());
        },
        "memory" => {
            let mut held = Vec::new();
            loop {
                held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        _ => Err(fault!("`mode` is {mode:?}; such as echo is expected")),
    }
}
