//! Values on their way into a guest and back.

use serde_json::Value as JsonValue;
use transforms_sdk::Value;
use wasmtime::component::{ComponentType, Lift, Lower};

/// How deep JSON may be nested on the way in and out. Guests written with the SDK read it with `serde_json`,
/// which takes no more.
pub const DEEPEST: usize = 127;

/// What an element of JSON counts in a result's size, bytes: what it takes in memory at least.
const ELEMENT: u64 = 64;

/// The contract's `value` on the way in.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(variant)]
pub(super) enum In<'a> {
    #[component(name = "nothing")]
    Nothing,
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "number")]
    Number(f64),
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "json")]
    Json(&'a str),
}

/// The contract's `value` on the way out.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Out {
    #[component(name = "nothing")]
    Nothing,
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "number")]
    Number(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "json")]
    Json(String),
}

/// The contract's `fault`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct OutFault {
    pub(super) message: String,
}

/// The JSON texts of some values, one after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes of all values that were taken up, other texts included.
    pub(super) size: usize,
}

impl Texts {
    /// Takes up values: writes the JSON among them.
    pub(super) fn add<'v>(&mut self, values: impl IntoIterator<Item = &'v Value>) {
        for value in values {
            match value {
                Value::Json(json) => {
                    let start = self.text.len();
                    // Writing into memory cannot fail: keys are texts and numbers finite.
                    let _ = serde_json::to_writer(&mut self.text, json);
                    self.size += self.text.len() - start;
                    self.ends.push(self.text.len());
                }
                Value::Text(text) => self.size += text.len(),
                _ => {}
            }
        }
    }

    /// The values in the contract's form; the same values in the same order as they were taken up.
    pub(super) fn lower<'a>(&'a self, values: impl IntoIterator<Item = &'a Value>) -> Vec<In<'a>> {
        let all = simdutf8::basic::from_utf8(&self.text).unwrap_or_default();
        let mut start = 0;
        let mut ends = self.ends.iter();
        values
            .into_iter()
            .map(|value| match value {
                Value::Nothing => In::Nothing,
                Value::Boolean(boolean) => In::Boolean(*boolean),
                Value::Number(number) => In::Number(*number),
                Value::Text(text) => In::Text(text),
                Value::Json(_) => {
                    let end = ends.next().copied().unwrap_or(start);
                    let text = all.get(start..end).unwrap_or_default();
                    start = end;
                    In::Json(text)
                }
            })
            .collect()
    }
}

/// Whether a value is nested deeper than allowed.
pub(super) fn too_deep(value: &Value) -> bool {
    fn deeper(json: &JsonValue, left: usize) -> bool {
        match json {
            JsonValue::Array(items) => left == 0 || items.iter().any(|item| deeper(item, left - 1)),
            JsonValue::Object(members) => left == 0 || members.values().any(|member| deeper(member, left - 1)),
            _ => false,
        }
    }
    matches!(value, Value::Json(json) if deeper(json, DEEPEST))
}

/// What is wrong with a result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadResult {
    /// It is larger than allowed.
    TooLarge,
    /// It is not what it says it is.
    Invalid(String),
}

/// The value a guest gave; at most `limit` bytes, where each element of JSON counts as 64.
pub(super) fn raise(out: Out, limit: u64) -> Result<Value, BadResult> {
    match out {
        Out::Nothing => Ok(Value::Nothing),
        Out::Boolean(boolean) => Ok(Value::Boolean(boolean)),
        Out::Number(number) => Ok(Value::Number(number)),
        Out::Text(text) if text.len() as u64 > limit => Err(BadResult::TooLarge),
        Out::Text(text) => Ok(Value::Text(text)),
        Out::Json(text) => {
            let (depth, elements) = measure(text.as_bytes());
            if (text.len() as u64).saturating_add(elements.saturating_mul(ELEMENT)) > limit {
                return Err(BadResult::TooLarge);
            }
            if depth > DEEPEST {
                return Err(BadResult::Invalid(format!(
                    "JSON that is nested {depth} levels deep; {DEEPEST} are allowed"
                )));
            }
            match serde_json::from_str::<JsonValue>(&text) {
                Ok(json) => Ok(Value::from(json)),
                Err(error) => Err(BadResult::Invalid(format!("something that is not JSON: {error}"))),
            }
        }
    }
}

/// How deep JSON text is nested, and how many elements it has: brackets and commas outside strings.
fn measure(text: &[u8]) -> (usize, u64) {
    let (mut depth, mut deepest, mut elements) = (0_usize, 0, 1);
    let mut in_string = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                elements += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => elements += 1,
            _ => {}
        }
    }
    (deepest, elements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn json_of_the_deepest_kind_passes_both_ways_and_deeper_is_refused() {
        let deepest = raise(Out::Json(nested(DEEPEST)), 1 << 20).expect("the deepest that is allowed");
        assert!(!too_deep(&deepest));
        assert!(too_deep(&Value::Json(json!([JsonValue::from(deepest)]))));
        let error = raise(Out::Json(nested(DEEPEST + 1)), 1 << 20).expect_err("one deeper");
        assert!(matches!(error, BadResult::Invalid(text) if text.contains("128 levels")));
    }

    #[test]
    fn small_texts_that_are_large_in_memory_are_refused() {
        let text = format!("[{}0]", "[],".repeat(20_000));
        assert!(text.len() < 1 << 16);
        assert_eq!(raise(Out::Json(text), 1 << 20), Err(BadResult::TooLarge));
    }

    proptest! {
        #[test]
        fn every_text_is_measured_and_raised_without_panic(text in "[\\[\\]{},:\"\\\\0-9a-z ]{0,60}") {
            let _ = raise(Out::Json(text), 1 << 20);
        }

        #[test]
        fn values_come_back_as_they_went_in(text in ".{0,20}", number in any::<f64>(), keys in proptest::collection::vec(".{0,5}", 0..4)) {
            let values = vec![
                Value::Text(text), Value::Number(number), Value::Json(json!({"keys": keys})), Value::Nothing,
                Value::Json(json!([1, [2]])), Value::Boolean(true),
            ];
            let mut texts = Texts::default();
            texts.add(&values);
            for (value, lowered) in values.iter().zip(texts.lower(&values)) {
                let out = match lowered {
                    In::Nothing => Out::Nothing,
                    In::Boolean(boolean) => Out::Boolean(boolean),
                    In::Number(number) => Out::Number(number),
                    In::Text(text) => Out::Text(text.to_owned()),
                    In::Json(text) => Out::Json(text.to_owned()),
                };
                let back = raise(out, 1 << 20).expect("what went in is small and valid");
                prop_assert!(&back == value || matches!(value, Value::Number(number) if number.is_nan()));
            }
        }
    }
}
