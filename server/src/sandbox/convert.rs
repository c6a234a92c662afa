//! Values on their way into a guest and back.

use std::ops::Range;

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

/// A value of a row that waits to be handed over.
#[derive(Clone, Copy, Debug)]
enum Slot<'a> {
    Nothing,
    Boolean(bool),
    Number(f64),
    Text(&'a str),
    /// A text made for the call: where it stands among the made ones.
    MadeText(usize, usize),
    /// The same of JSON.
    MadeJson(usize, usize),
    /// JSON that is nested deeper than allowed. The row it is in is not handed over.
    TooDeep,
}

/// Rows of arguments for a transform. Texts are borrowed from where they are, so that handing them over
/// copies them once: into the guest. JSON is written for the call, one text after the other.
#[derive(Clone, Debug, Default)]
pub struct Rows<'a> {
    slots: Vec<Slot<'a>>,
    /// Where each row ends in `slots`.
    ends: Vec<usize>,
    made: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// No rows yet; room for so many with so many values each.
    pub fn with_capacity(rows: usize, values: usize) -> Self {
        let slots = Vec::with_capacity(rows.saturating_mul(values));
        Self { slots, ends: Vec::with_capacity(rows), made: Vec::new() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Ends a row: what was pushed since the last end are its values.
    pub fn end_row(&mut self) {
        self.ends.push(self.slots.len());
    }

    /// Drops what was pushed since the last end of a row.
    pub fn drop_row(&mut self) {
        self.slots.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// A value without text: nothing, a boolean or a number.
    pub fn push_nothing(&mut self) {
        self.slots.push(Slot::Nothing);
    }

    /// A boolean.
    pub fn push_boolean(&mut self, boolean: bool) {
        self.slots.push(Slot::Boolean(boolean));
    }

    /// A number.
    pub fn push_number(&mut self, number: f64) {
        self.slots.push(Slot::Number(number));
    }

    /// Text that lives as long as the rows.
    pub fn push_text(&mut self, text: &'a str) {
        self.slots.push(Slot::Text(text));
    }

    /// Text that `write` writes; it must be UTF-8.
    pub fn push_made_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        self.slots.push(Slot::MadeText(start, self.made.len()));
    }

    /// An object or an array, whose JSON `write` writes; it must be UTF-8.
    pub fn push_json(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        if too_deep(self.made.get(start..).unwrap_or_default()) {
            self.made.truncate(start);
            self.slots.push(Slot::TooDeep);
        } else {
            self.slots.push(Slot::MadeJson(start, self.made.len()));
        }
    }

    /// A value.
    pub fn push(&mut self, value: &'a Value) {
        match value {
            Value::Text(text) => self.push_text(text),
            other => self.push_copied(other),
        }
    }

    /// A value, of which nothing is borrowed.
    pub(super) fn push_copied(&mut self, value: &Value) {
        match value {
            Value::Nothing => self.push_nothing(),
            Value::Boolean(boolean) => self.push_boolean(*boolean),
            Value::Number(number) => self.push_number(*number),
            Value::Text(text) => self.push_made_text(|made| made.extend_from_slice(text.as_bytes())),
            // Writing into memory cannot fail: keys are texts and numbers finite.
            Value::Json(json) => self.push_json(|made| drop(serde_json::to_writer(made, json))),
        }
    }

    /// The rows of values, each with its own.
    pub fn of(rows: &'a [Vec<Value>]) -> Self {
        let mut all = Self::with_capacity(rows.len(), rows.first().map_or(0, Vec::len));
        for row in rows {
            row.iter().for_each(|value| all.push(value));
            all.end_row();
        }
        all
    }

    fn row(&self, row: usize) -> &[Slot<'a>] {
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(row).and_then(|end| self.slots.get(start..*end)).unwrap_or_default()
    }

    /// Bytes of text in a row.
    pub(super) fn size(&self, row: usize) -> usize {
        let sizes = self.row(row).iter().map(|slot| match slot {
            Slot::Text(text) => text.len(),
            Slot::MadeText(start, end) | Slot::MadeJson(start, end) => end - start,
            _ => 0,
        });
        sizes.sum()
    }

    /// Whether a row holds JSON that is nested deeper than allowed.
    pub(super) fn is_too_deep(&self, row: usize) -> bool {
        self.row(row).iter().any(|slot| matches!(slot, Slot::TooDeep))
    }

    /// The values of some rows, one after the other, in the contract's form.
    pub(super) fn lower(&self, rows: Range<usize>) -> Vec<In<'_>> {
        let made = simdutf8::basic::from_utf8(&self.made).unwrap_or_default();
        let part = |start: usize, end: usize| made.get(start..end).unwrap_or_default();
        let start = rows.start.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = rows.end.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(start);
        let slots = self.slots.get(start..end).unwrap_or_default();
        slots
            .iter()
            .map(|slot| match *slot {
                Slot::Nothing | Slot::TooDeep => In::Nothing,
                Slot::Boolean(boolean) => In::Boolean(boolean),
                Slot::Number(number) => In::Number(number),
                Slot::Text(text) => In::Text(text),
                Slot::MadeText(start, end) => In::Text(part(start, end)),
                Slot::MadeJson(start, end) => In::Json(part(start, end)),
            })
            .collect()
    }

    /// Cuts the values of some rows, as [`Rows::lower`] gives them, into rows.
    pub(super) fn cut<'v>(&self, rows: Range<usize>, mut values: &'v [In<'v>]) -> Vec<&'v [In<'v>]> {
        rows.map(|row| {
            let (row, rest) = values.split_at_checked(self.row(row).len()).unwrap_or((values, &[]));
            values = rest;
            row
        })
        .collect()
    }
}

/// Whether JSON text is nested deeper than allowed.
fn too_deep(text: &[u8]) -> bool {
    // Nearly no text has so many brackets at all, and counting them is quick.
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > DEEPEST && measure(text).0 > DEEPEST
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
        let deeper = Value::Json(json!([JsonValue::from(deepest.clone())]));
        let rows = [vec![Value::Nothing, deepest], vec![deeper, Value::Boolean(true)]];
        let rows = Rows::of(&rows);
        assert_eq!((rows.is_too_deep(0), rows.is_too_deep(1)), (false, true));
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
            let mut rows = Rows::default();
            values.iter().for_each(|value| rows.push(value));
            rows.end_row();
            rows.push(&Value::Boolean(false));
            rows.drop_row();
            values.iter().for_each(|value| rows.push_copied(value));
            rows.end_row();
            let lowered = rows.lower(0..2);
            prop_assert_eq!(rows.cut(0..2, &lowered).iter().map(|row| row.len()).collect::<Vec<_>>(), [6, 6]);
            prop_assert_eq!(lowered.len(), rows.lower(0..1).len() + rows.lower(1..2).len());
            for (value, lowered) in values.iter().chain(&values).zip(lowered) {
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
