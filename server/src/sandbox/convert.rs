//! Values on their way into a guest and back.

use std::ops::Range;

use serde_json::Value as JsonValue;
use transforms_sdk::Value;
use transforms_sdk::packed::{self, Item, Reader};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::answers::Answer;

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

/// A result of the first door as one of the second.
pub(super) fn item(outcome: &Result<Out, OutFault>) -> Item<'_> {
    match outcome {
        Ok(Out::Nothing) => Item::Nothing,
        Ok(Out::Boolean(boolean)) => Item::Boolean(*boolean),
        Ok(Out::Number(number)) => Item::Number(*number),
        Ok(Out::Text(text)) => Item::Text(text.as_bytes()),
        Ok(Out::Json(text)) => Item::Json(text.as_bytes()),
        Err(fault) => Item::Fault(fault.message.as_bytes()),
    }
}

/// The contract's `fault`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct OutFault {
    pub(super) message: String,
}

/// Rows of arguments for a transform, in the form in which they are handed over through its second door
/// ([`transforms_sdk::packed`]); for the first one they are cut up again.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Row for row the number of values and each of them, and at the end room for the number of the row that is
    /// put together.
    bytes: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    /// How many values the row that is put together has.
    values: usize,
    /// Whether there is JSON among them that is nested deeper than allowed.
    deep: bool,
    /// Rows with such JSON, in order; they are not handed over.
    too_deep: Vec<usize>,
}

/// Bytes of the number of values before a row.
const COUNT: usize = 4;

impl Rows {
    /// No rows yet; room for so many with so many values each.
    pub fn with_capacity(rows: usize, values: usize) -> Self {
        /// A guess: an e-mail address and what belongs to it.
        const VALUE: usize = 40;
        let mut bytes = Vec::with_capacity(rows.saturating_mul(values.saturating_mul(VALUE).saturating_add(COUNT)));
        packed::write_count(0, &mut bytes);
        Self { bytes, ends: Vec::with_capacity(rows), values: 0, deep: false, too_deep: Vec::new() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// Ends a row: what was pushed since the last end are its values.
    pub fn end_row(&mut self) {
        let start = self.start(self.ends.len());
        let count = u32::try_from(self.values).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start..start + COUNT) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        if std::mem::take(&mut self.deep) {
            self.too_deep.push(self.ends.len());
        }
        self.values = 0;
        self.ends.push(self.bytes.len());
        packed::write_count(0, &mut self.bytes);
    }

    /// Drops what was pushed since the last end of a row.
    pub fn drop_row(&mut self) {
        self.bytes.truncate(self.start(self.ends.len()) + COUNT);
        self.values = 0;
        self.deep = false;
    }

    fn item(&mut self, item: Item<'_>) {
        item.write(&mut self.bytes);
        self.values += 1;
    }

    /// A value without text: nothing, a boolean or a number.
    pub fn push_nothing(&mut self) {
        self.item(Item::Nothing);
    }

    /// In a row of literals: an argument that rows bring.
    pub(super) fn push_later(&mut self) {
        self.item(Item::Row);
    }

    /// A boolean.
    pub fn push_boolean(&mut self, boolean: bool) {
        self.item(Item::Boolean(boolean));
    }

    /// A number.
    pub fn push_number(&mut self, number: f64) {
        self.item(Item::Number(number));
    }

    /// Text.
    pub fn push_text(&mut self, text: &str) {
        self.item(Item::Text(text.as_bytes()));
    }

    /// Text that `write` writes; it must be UTF-8.
    pub fn push_made_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        packed::write_made(false, &mut self.bytes, write);
        self.values += 1;
    }

    /// An object or an array, whose JSON `write` writes; it must be UTF-8.
    pub fn push_json(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = packed::write_made(true, &mut self.bytes, write);
        self.values += 1;
        self.deep |= too_deep(self.bytes.get(start..).unwrap_or_default());
    }

    /// A value.
    pub fn push(&mut self, value: &Value) {
        self.push_answer(match value {
            Value::Nothing => Answer::Nothing,
            Value::Boolean(boolean) => Answer::Boolean(*boolean),
            Value::Number(number) => Answer::Number(*number),
            Value::Text(text) => Answer::Text(text),
            Value::Json(json) => Answer::Json(json),
        });
    }

    /// What another transform gave.
    pub fn push_answer(&mut self, answer: Answer<'_>) {
        match answer {
            Answer::Nothing => self.push_nothing(),
            Answer::Boolean(boolean) => self.push_boolean(boolean),
            Answer::Number(number) => self.push_number(number),
            Answer::Text(text) => self.push_text(text),
            // Writing into memory cannot fail: keys are texts and numbers finite.
            Answer::Json(json) => self.push_json(|made| drop(serde_json::to_writer(made, json))),
        }
    }

    /// The rows of values, each with its own.
    pub fn of(rows: &[Vec<Value>]) -> Self {
        let mut all = Self::with_capacity(rows.len(), rows.first().map_or(0, Vec::len));
        for row in rows {
            for value in row {
                all.push(value);
            }
            all.end_row();
        }
        all
    }

    /// Bytes of a row.
    pub(super) fn size(&self, row: usize) -> usize {
        self.ends.get(row).map_or(0, |end| end.saturating_sub(self.start(row)))
    }

    /// Whether one of these rows holds JSON that is nested deeper than allowed.
    pub(super) fn are_too_deep(&self, rows: &Range<usize>) -> bool {
        self.too_deep.iter().any(|row| rows.contains(row))
    }

    /// Some rows as the second door takes them.
    pub(super) fn packed(&self, rows: &Range<usize>) -> &[u8] {
        let end = rows.end.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.bytes.get(self.start(rows.start)..end).unwrap_or_default()
    }

    /// Some rows as the first door takes them: the values one after the other, and how many each row has.
    pub(super) fn lower(&self, rows: &Range<usize>) -> (Vec<In<'_>>, Vec<usize>) {
        let mut reader = Reader::new(self.packed(rows));
        let (mut values, mut counts) = (Vec::new(), Vec::with_capacity(rows.len()));
        while let Some(count) = reader.count() {
            values.extend((0..count).map_while(|_| reader.item()).map(In::from));
            counts.push(count);
        }
        (values, counts)
    }
}

/// Cuts values, as [`Rows::lower`] gives them, into rows.
pub(super) fn cut<'v>(mut values: &'v [In<'v>], counts: &[usize]) -> Vec<&'v [In<'v>]> {
    counts
        .iter()
        .map(|count| {
            let (row, rest) = values.split_at_checked(*count).unwrap_or((values, &[]));
            values = rest;
            row
        })
        .collect()
}

impl<'a> From<Item<'a>> for In<'a> {
    fn from(item: Item<'a>) -> Self {
        // What was written as text is text.
        let text = |bytes: &'a [u8]| simdutf8::basic::from_utf8(bytes).unwrap_or_default();
        match item {
            Item::Nothing | Item::Fault(_) | Item::Row => Self::Nothing,
            Item::Boolean(boolean) => Self::Boolean(boolean),
            Item::Number(number) => Self::Number(number),
            Item::Text(bytes) => Self::Text(text(bytes)),
            Item::Json(bytes) => Self::Json(text(bytes)),
        }
    }
}

/// What is said of text that is none.
pub(super) const NOT_UTF8: &str = "text that is not UTF-8";

/// What is said of what is no result at all.
pub(super) const NO_RESULT: &str = "something that is no result";

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

/// The value of JSON text that a guest gave; at most `limit` bytes, where each element counts as 64.
pub(super) fn raise(text: &str, limit: u64) -> Result<Value, BadResult> {
    let (depth, elements) = measure(text.as_bytes());
    if (text.len() as u64).saturating_add(elements.saturating_mul(ELEMENT)) > limit {
        return Err(BadResult::TooLarge);
    }
    if depth > DEEPEST {
        return Err(BadResult::Invalid(format!("JSON that is nested {depth} levels deep; {DEEPEST} are allowed")));
    }
    match serde_json::from_str::<JsonValue>(text) {
        Ok(json) => Ok(Value::from(json)),
        Err(error) => Err(BadResult::Invalid(format!("something that is not JSON: {error}"))),
    }
}

/// What is said of a result that is larger than allowed.
pub(super) fn too_large(limit: u64) -> String {
    format!("its result is larger than the {} allowed", bytesize::ByteSize(limit))
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
    use super::super::answers::{Answers, Terms};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn json_of_the_deepest_kind_passes_both_ways_and_deeper_is_refused() {
        let deepest = raise(&nested(DEEPEST), 1 << 20).expect("the deepest that is allowed");
        let deeper = Value::Json(json!([JsonValue::from(deepest.clone())]));
        let rows = [vec![Value::Nothing, deepest], vec![deeper, Value::Boolean(true)]];
        let rows = Rows::of(&rows);
        assert_eq!(
            (rows.are_too_deep(&(0..1)), rows.are_too_deep(&(1..2)), rows.are_too_deep(&(0..2))),
            (false, true, true)
        );
        let error = raise(&nested(DEEPEST + 1), 1 << 20).expect_err("one deeper");
        assert!(matches!(error, BadResult::Invalid(text) if text.contains("128 levels")));
    }

    #[test]
    fn small_texts_that_are_large_in_memory_are_refused() {
        let text = format!("[{}0]", "[],".repeat(20_000));
        assert!(text.len() < 1 << 16);
        assert_eq!(raise(&text, 1 << 20), Err(BadResult::TooLarge));
    }

    fn terms() -> Terms {
        Terms { limit: 1 << 20, output: transforms_sdk::manifest::Type::Any, label: "guest".into() }
    }

    proptest! {
        #[test]
        fn every_text_is_measured_and_raised_without_panic(text in "[\\[\\]{},:\"\\\\0-9a-z ]{0,60}") {
            let _ = raise(&text, 1 << 20);
        }

        #[test]
        fn values_come_back_as_they_went_in(text in ".{0,20}", number in any::<f64>(), keys in proptest::collection::vec(".{0,5}", 0..4)) {
            let values = vec![
                Value::Text(text), Value::Number(number), Value::Json(json!({"keys": keys})), Value::Nothing,
                Value::Json(json!([1, [2]])), Value::Boolean(true),
            ];
            let mut rows = Rows::with_capacity(2, 6);
            for end in [true, false, true] {
                for value in &values {
                    rows.push(value);
                }
                if end { rows.end_row() } else { rows.drop_row() }
            }
            let (lowered, counts) = rows.lower(&(0..2));
            prop_assert_eq!(cut(&lowered, &counts).iter().map(|row| row.len()).collect::<Vec<_>>(), [6, 6]);
            prop_assert_eq!(lowered.len(), rows.lower(&(0..1)).0.len() + rows.lower(&(1..2)).0.len());
            prop_assert_eq!(rows.packed(&(0..2)).len(), rows.size(0) + rows.size(1));
            let results = [&rows.packed(&(0..1))[COUNT..], &rows.packed(&(1..2))[COUNT..]].concat();
            let mut reader = Reader::new(&results);
            let mut answers = Answers::with_capacity(12);
            while let Some(item) = reader.item() {
                answers.take(item, &terms()).expect("a result");
            }
            let same = |back: Value, value: &Value| &back == value || matches!(value, Value::Number(number) if number.is_nan());
            for (value, answer) in values.iter().chain(&values).zip(answers.iter()) {
                prop_assert!(same(answer.expect("no fault").into(), value));
            }
            prop_assert_eq!(answers.len(), 12);
            for (value, lowered) in values.iter().chain(&values).zip(lowered) {
                let out = Ok(match lowered {
                    In::Nothing => Out::Nothing,
                    In::Boolean(boolean) => Out::Boolean(boolean),
                    In::Number(number) => Out::Number(number),
                    In::Text(text) => Out::Text(text.to_owned()),
                    In::Json(text) => Out::Json(text.to_owned()),
                });
                let mut answers = Answers::default();
                answers.take(item(&out), &terms()).expect("a result");
                let back = answers.get(0).expect("one").expect("what went in is small and valid");
                prop_assert!(same(back.into(), value));
            }
        }
    }
}
