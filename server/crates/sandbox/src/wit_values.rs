//! Lowers arguments into a guest and lifts its results: the WIT types `value` and `fault`, and the packed ABI.

use std::ops::Range;

use serde_json::Value as JsonValue;
use transforms_sdk::Value;
use transforms_sdk::packed::{self, Item, Reader};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::value_ref::ValueRef;
use uie_core::message::{Message, message};

/// Maximum nesting of JSON in arguments and results. Guests written with the SDK read it with `serde_json`, which has
/// the same limit.
pub const MAX_JSON_DEPTH: usize = 127;

/// Bytes that each element of JSON counts in a result's size: its minimum size in memory.
const ELEMENT_BYTES: u64 = 64;

/// The WIT type `value`, as an argument.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(variant)]
pub(super) enum LoweredValue<'a> {
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

/// The WIT type `value`, as a result.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum LiftedValue {
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

/// Converts a result of the component ABI to an item of the packed ABI.
pub(super) fn item(outcome: &Result<LiftedValue, LiftedFault>) -> Item<'_> {
    match outcome {
        Ok(LiftedValue::Nothing) => Item::Nothing,
        Ok(LiftedValue::Boolean(boolean)) => Item::Boolean(*boolean),
        Ok(LiftedValue::Number(number)) => Item::Number(*number),
        Ok(LiftedValue::Text(text)) => Item::Text(text.as_bytes()),
        Ok(LiftedValue::Json(text)) => Item::Json(text.as_bytes()),
        Err(fault) => Item::Fault(fault.message.as_bytes()),
    }
}

/// The WIT type `fault`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct LiftedFault {
    pub(super) message: String,
}

/// Rows of arguments for a transform, encoded for the packed ABI ([`transforms_sdk::packed`]).
/// `Rows::lower` decodes them for the component ABI.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Encoded rows: the number of values, then the values. The last four bytes are reserved for the number of values
    /// of the row that is being built.
    bytes: Vec<u8>,
    /// The end of each row in `bytes`.
    ends: Vec<usize>,
    /// Number of values of the row that is being built.
    values: usize,
    /// Whether the row that is being built has JSON that is nested too deeply.
    row_is_too_deep: bool,
    /// Indexes of the rows with such JSON, in order. They are not passed to the guest.
    too_deep: Vec<usize>,
}

/// Size of the number of values before a row, in bytes.
const COUNT_BYTES: usize = 4;

impl Rows {
    /// Returns an empty sequence with capacity for this many rows of this many values.
    pub fn with_capacity(rows: usize, values: usize) -> Self {
        /// Estimated bytes per value: an e-mail address with its header.
        const VALUE_BYTES: usize = 40;
        let mut bytes =
            Vec::with_capacity(rows.saturating_mul(values.saturating_mul(VALUE_BYTES).saturating_add(COUNT_BYTES)));
        packed::write_count(0, &mut bytes);
        Self { bytes, ends: Vec::with_capacity(rows), values: 0, row_is_too_deep: false, too_deep: Vec::new() }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// Ends a row: its values are those pushed since the last end.
    pub fn end_row(&mut self) {
        let start = self.start(self.ends.len());
        let count = u32::try_from(self.values).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start..start + COUNT_BYTES) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        if std::mem::take(&mut self.row_is_too_deep) {
            self.too_deep.push(self.ends.len());
        }
        self.values = 0;
        self.ends.push(self.bytes.len());
        packed::write_count(0, &mut self.bytes);
    }

    /// Drops the values pushed since the last end of a row.
    pub fn drop_row(&mut self) {
        self.bytes.truncate(self.start(self.ends.len()) + COUNT_BYTES);
        self.values = 0;
        self.row_is_too_deep = false;
    }

    fn push_item(&mut self, item: Item<'_>) {
        item.write(&mut self.bytes);
        self.values += 1;
    }

    /// Adds an absent value.
    pub fn push_nothing(&mut self) {
        self.push_item(Item::Nothing);
    }

    /// In the row of literals: adds the placeholder of an argument whose value is in the rows.
    pub(super) fn push_placeholder(&mut self) {
        self.push_item(Item::Row);
    }

    /// Adds a boolean.
    pub fn push_boolean(&mut self, boolean: bool) {
        self.push_item(Item::Boolean(boolean));
    }

    /// Adds a number.
    pub fn push_number(&mut self, number: f64) {
        self.push_item(Item::Number(number));
    }

    /// Adds text.
    pub fn push_text(&mut self, text: &str) {
        self.push_item(Item::Text(text.as_bytes()));
    }

    /// Adds the text that `write` writes; it must be UTF-8.
    pub fn push_text_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        packed::write_made(false, &mut self.bytes, write);
        self.values += 1;
    }

    /// Adds an object or an array, whose JSON `write` writes; it must be UTF-8.
    pub fn push_json(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = packed::write_made(true, &mut self.bytes, write);
        self.values += 1;
        self.row_is_too_deep |= is_too_deep(self.bytes.get(start..).unwrap_or_default());
    }

    /// Adds a value.
    pub fn push(&mut self, value: &Value) {
        self.push_ref(match value {
            Value::Nothing => ValueRef::Nothing,
            Value::Boolean(boolean) => ValueRef::Boolean(*boolean),
            Value::Number(number) => ValueRef::Number(*number),
            Value::Text(text) => ValueRef::Text(text),
            Value::Json(json) => ValueRef::Json(json),
        });
    }

    /// Adds a borrowed value: the result of another transform.
    pub fn push_ref(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Nothing => self.push_nothing(),
            ValueRef::Boolean(boolean) => self.push_boolean(boolean),
            ValueRef::Number(number) => self.push_number(number),
            ValueRef::Text(text) => self.push_text(text),
            // Writing into memory cannot fail: keys are texts and numbers finite.
            ValueRef::Json(json) => self.push_json(|bytes| drop(serde_json::to_writer(bytes, json))),
        }
    }

    /// Encodes rows of values.
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

    /// Size of an encoded row, in bytes.
    pub(super) fn size(&self, row: usize) -> usize {
        self.ends.get(row).map_or(0, |end| end.saturating_sub(self.start(row)))
    }

    /// Whether one of these rows has JSON that is nested deeper than [`MAX_JSON_DEPTH`].
    pub(super) fn are_too_deep(&self, rows: &Range<usize>) -> bool {
        self.too_deep.iter().any(|row| rows.contains(row))
    }

    /// Returns some rows encoded for the packed ABI.
    pub(super) fn packed(&self, rows: &Range<usize>) -> &[u8] {
        let end = rows.end.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.bytes.get(self.start(rows.start)..end).unwrap_or_default()
    }

    /// Decodes some rows for the component ABI: all their values, and the number of values of each row.
    pub(super) fn lower(&self, rows: &Range<usize>) -> (Vec<LoweredValue<'_>>, Vec<usize>) {
        let mut reader = Reader::new(self.packed(rows));
        let (mut values, mut counts) = (Vec::new(), Vec::with_capacity(rows.len()));
        while let Some(count) = reader.count() {
            values.extend((0..count).map_while(|_| reader.item()).map(LoweredValue::from));
            counts.push(count);
        }
        (values, counts)
    }
}

/// Splits the values of [`Rows::lower`] into rows.
pub(super) fn split_rows<'v>(mut values: &'v [LoweredValue<'v>], counts: &[usize]) -> Vec<&'v [LoweredValue<'v>]> {
    counts
        .iter()
        .map(|count| {
            let (row, rest) = values.split_at_checked(*count).unwrap_or((values, &[]));
            values = rest;
            row
        })
        .collect()
}

impl<'a> From<Item<'a>> for LoweredValue<'a> {
    fn from(item: Item<'a>) -> Self {
        // The text was written as UTF-8 and is not changed.
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

/// What a guest returned instead of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotResults {
    /// Text that is not valid UTF-8.
    NotUtf8,
    /// Bytes that are not a result.
    NotAResult,
    /// An address outside of its memory.
    OutsideMemory,
    /// More results than rows.
    TooMany,
}

impl NotResults {
    /// Returns the message of a fault.
    pub(super) fn message(self) -> Message {
        match self {
            Self::NotUtf8 => message!("it gave text that is not UTF-8"),
            Self::NotAResult => message!("it gave something that is not a result"),
            Self::OutsideMemory => message!("it gave an address outside of its memory"),
            Self::TooMany => message!("it gave more results than rows"),
        }
    }
}

/// Whether JSON text is nested deeper than [`MAX_JSON_DEPTH`].
fn is_too_deep(text: &[u8]) -> bool {
    // Few texts have that many brackets, and counting them is fast.
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > MAX_JSON_DEPTH && measure(text).0 > MAX_JSON_DEPTH
}

/// Why a result is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadResult {
    /// It is larger than allowed.
    TooLarge,
    /// It is not valid, for this reason.
    Invalid(Message),
}

/// Parses JSON text that a guest returned.
///
/// Fails if it is not JSON, is nested deeper than [`MAX_JSON_DEPTH`], or is larger than `limit` bytes, where each
/// element counts [`ELEMENT_BYTES`] in addition to the text.
pub(super) fn lift_json(text: &str, limit: u64) -> Result<Value, BadResult> {
    let (depth, elements) = measure(text.as_bytes());
    if (text.len() as u64).saturating_add(elements.saturating_mul(ELEMENT_BYTES)) > limit {
        return Err(BadResult::TooLarge);
    }
    if depth > MAX_JSON_DEPTH {
        return Err(BadResult::Invalid(message!(
            "it gave JSON that is nested {depth} levels deep; {limit} are allowed",
            limit = MAX_JSON_DEPTH
        )));
    }
    match serde_json::from_str::<JsonValue>(text) {
        Ok(json) => Ok(Value::from(json)),
        Err(error) => Err(BadResult::Invalid(message!("it gave something that is not JSON: {error}"))),
    }
}

/// Returns the message of a fault for a result that is larger than `limit` bytes.
pub(super) fn too_large(limit: u64) -> Message {
    message!("its result is larger than the {limit} allowed", limit = bytesize::ByteSize(limit))
}

/// Returns the nesting depth of JSON text and its number of elements: brackets and commas outside strings.
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
    use super::super::result_batch::{ResultBatch, ResultRules};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn json_of_the_maximum_depth_passes_in_both_directions_and_deeper_json_is_refused() {
        let deepest = lift_json(&nested(MAX_JSON_DEPTH), 1 << 20).expect("the deepest that is allowed");
        let deeper = Value::Json(json!([JsonValue::from(deepest.clone())]));
        let rows = [vec![Value::Nothing, deepest], vec![deeper, Value::Boolean(true)]];
        let rows = Rows::of(&rows);
        assert_eq!(
            (rows.are_too_deep(&(0..1)), rows.are_too_deep(&(1..2)), rows.are_too_deep(&(0..2))),
            (false, true, true)
        );
        let error = lift_json(&nested(MAX_JSON_DEPTH + 1), 1 << 20).expect_err("one deeper");
        assert!(matches!(error, BadResult::Invalid(text) if text.contains("128 levels")));
    }

    #[test]
    fn short_json_with_many_elements_is_refused() {
        let text = format!("[{}0]", "[],".repeat(20_000));
        assert!(text.len() < 1 << 16);
        assert_eq!(lift_json(&text, 1 << 20), Err(BadResult::TooLarge));
    }

    fn rules() -> ResultRules {
        ResultRules { limit: 1 << 20, output: transforms_sdk::manifest::Type::Any, label: "guest".into() }
    }

    proptest! {
        #[test]
        fn lifting_any_text_does_not_panic(text in "[\\[\\]{},:\"\\\\0-9a-z ]{0,60}") {
            let _ = lift_json(&text, 1 << 20);
        }

        #[test]
        fn values_survive_a_round_trip(text in ".{0,20}", number in any::<f64>(), keys in proptest::collection::vec(".{0,5}", 0..4)) {
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
            prop_assert_eq!(split_rows(&lowered, &counts).iter().map(|row| row.len()).collect::<Vec<_>>(), [6, 6]);
            prop_assert_eq!(lowered.len(), rows.lower(&(0..1)).0.len() + rows.lower(&(1..2)).0.len());
            prop_assert_eq!(rows.packed(&(0..2)).len(), rows.size(0) + rows.size(1));
            let results = [&rows.packed(&(0..1))[COUNT_BYTES..], &rows.packed(&(1..2))[COUNT_BYTES..]].concat();
            let mut reader = Reader::new(&results);
            let mut batch = ResultBatch::with_capacity(12);
            while let Some(item) = reader.item() {
                batch.push_item(item, &rules()).expect("a result");
            }
            let same = |back: Value, value: &Value| &back == value || matches!(value, Value::Number(number) if number.is_nan());
            for (value, result) in values.iter().chain(&values).zip(batch.iter()) {
                prop_assert!(same(result.expect("no fault").into(), value));
            }
            prop_assert_eq!(batch.len(), 12);
            for (value, lowered) in values.iter().chain(&values).zip(lowered) {
                let out = Ok(match lowered {
                    LoweredValue::Nothing => LiftedValue::Nothing,
                    LoweredValue::Boolean(boolean) => LiftedValue::Boolean(boolean),
                    LoweredValue::Number(number) => LiftedValue::Number(number),
                    LoweredValue::Text(text) => LiftedValue::Text(text.to_owned()),
                    LoweredValue::Json(text) => LiftedValue::Json(text.to_owned()),
                });
                let mut results = ResultBatch::default();
                results.push_item(item(&out), &rules()).expect("a result");
                let back = results.get(0).expect("one").expect("what went in is small and valid");
                prop_assert!(same(back.into(), value));
            }
        }
    }
}
