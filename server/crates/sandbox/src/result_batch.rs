//! The results of a transform for many rows, in few allocations.

use std::sync::Arc;

use serde_json::Value as JsonValue;
use transforms_sdk::Value;
use transforms_sdk::manifest::Type;
use transforms_sdk::packed::Item;

use super::fault::{FaultKind, RowFault, shown};
use super::value_ref::ValueRef;
use super::wit_values::{self, BadResult, NotResults};
use uie_core::message::{Message, message};

/// The results of a sequence of rows, one per row, in order.
#[derive(Debug, Default)]
pub struct ResultBatch {
    slots: Vec<Slot>,
    /// All texts, concatenated.
    texts: String,
    /// Size of the largest result, in bytes.
    largest: usize,
}

/// The result of one row, or its fault.
#[derive(Debug)]
enum Slot {
    Nothing,
    Boolean(bool),
    Number(f64),
    /// Start and end of the text in [`ResultBatch::texts`].
    Text(usize, usize),
    Json(Box<JsonValue>),
    Fault(Box<RowFault>),
}

/// The rules for every result of a transform.
#[derive(Clone, Debug)]
pub(super) struct ResultRules {
    /// Maximum size of a result, in bytes.
    pub(super) limit: u64,
    /// The output type that the manifest declares.
    pub(super) output: Type,
    /// Name and version of the transform.
    pub(super) label: Arc<str>,
}

/// A position in a [`ResultBatch`], to count or drop the results after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchMark {
    slots: usize,
    texts: usize,
}

impl ResultBatch {
    /// Returns an empty batch with capacity for this many rows.
    pub(super) fn with_capacity(rows: usize) -> Self {
        /// Estimated bytes per text: an e-mail address.
        const TEXT_BYTES: usize = 32;
        let texts = String::with_capacity(rows.saturating_mul(TEXT_BYTES));
        Self { slots: Vec::with_capacity(rows), texts, largest: 0 }
    }

    /// The number of results.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the result of a row, or its fault. `None` beyond the last row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<Result<ValueRef<'_>, &RowFault>> {
        Some(Ok(match self.slots.get(row)? {
            Slot::Nothing => ValueRef::Nothing,
            Slot::Boolean(boolean) => ValueRef::Boolean(*boolean),
            Slot::Number(number) => ValueRef::Number(*number),
            Slot::Text(start, end) => ValueRef::Text(self.texts.get(*start..*end).unwrap_or_default()),
            Slot::Json(json) => ValueRef::Json(json),
            Slot::Fault(fault) => return Some(Err(fault)),
        }))
    }

    /// Returns all results, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<ValueRef<'_>, &RowFault>> {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    /// Inserts the faults of rows that were not computed. Each comes with the row's index in the returned batch; the
    /// indexes must be in ascending order.
    #[must_use]
    pub fn with_faults(self, faults: Vec<(usize, RowFault)>) -> Self {
        if faults.is_empty() {
            return self;
        }
        let Self { slots, texts, largest } = self;
        let mut merged = Vec::with_capacity(slots.len() + faults.len());
        let mut slots = slots.into_iter();
        for (row, fault) in faults {
            merged.extend(slots.by_ref().take(row.saturating_sub(merged.len())));
            merged.push(Slot::Fault(Box::new(fault)));
        }
        merged.extend(slots);
        Self { slots: merged, texts, largest }
    }

    /// Size of the largest result so far, in bytes.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Returns the current end.
    pub(super) fn mark(&self) -> BatchMark {
        BatchMark { slots: self.slots.len(), texts: self.texts.len() }
    }

    /// Returns the number of results after a mark.
    pub(super) fn count_since(&self, mark: BatchMark) -> usize {
        self.slots.len().saturating_sub(mark.slots)
    }

    /// Drops the results after a mark.
    pub(super) fn truncate(&mut self, mark: BatchMark) {
        self.slots.truncate(mark.slots);
        self.texts.truncate(mark.texts);
    }

    /// Returns the faults after a mark.
    pub(super) fn faults_since(&self, mark: BatchMark) -> impl Iterator<Item = &RowFault> {
        self.slots.iter().skip(mark.slots).filter_map(|slot| match slot {
            Slot::Fault(fault) => Some(&**fault),
            _ => None,
        })
    }

    /// Adds the fault of a row.
    pub(super) fn push_fault(&mut self, fault: RowFault) {
        self.slots.push(Slot::Fault(Box::new(fault)));
    }

    /// Adds a result that a guest returned. A result that is too large, or of another type than declared, becomes a
    /// fault of its row.
    ///
    /// Fails if the item is not a result at all.
    #[inline]
    pub(super) fn push_item(&mut self, item: Item<'_>, rules: &ResultRules) -> Result<(), NotResults> {
        let ResultRules { limit, output, label } = rules;
        let (limit, texts) = (*limit, self.texts.len());
        let slot = match item {
            Item::Nothing => Slot::Nothing,
            Item::Boolean(boolean) => Slot::Boolean(boolean),
            Item::Number(number) => Slot::Number(number),
            Item::Text(bytes) => {
                let text = text(bytes)?;
                self.largest = self.largest.max(text.len());
                if text.len() as u64 > limit {
                    bad_result(&BadResult::TooLarge, limit, label)
                } else {
                    let start = self.texts.len();
                    self.texts.push_str(text);
                    Slot::Text(start, self.texts.len())
                }
            }
            Item::Json(bytes) => {
                let text = text(bytes)?;
                self.largest = self.largest.max(text.len());
                match wit_values::lift_json(text, limit) {
                    Ok(Value::Nothing) => Slot::Nothing,
                    Ok(Value::Boolean(boolean)) => Slot::Boolean(boolean),
                    Ok(Value::Number(number)) => Slot::Number(number),
                    Ok(Value::Text(text)) => {
                        let start = self.texts.len();
                        self.texts.push_str(&text);
                        Slot::Text(start, self.texts.len())
                    }
                    Ok(Value::Json(json)) => Slot::Json(Box::new(json)),
                    Err(what) => bad_result(&what, limit, label),
                }
            }
            Item::Fault(bytes) => {
                let reason = shown(text(bytes)?);
                let message = if reason.is_empty() {
                    message!("it refused the row without a reason")
                } else {
                    Message::verbatim(reason)
                };
                fault(FaultKind::Refused, message, label)
            }
            Item::Row => return Err(NotResults::NotAResult),
        };
        let slot = match slot.type_mismatch(*output) {
            None => slot,
            Some(actual) => {
                self.texts.truncate(texts);
                fault(FaultKind::BadResult, type_mismatch_message(actual, *output), label)
            }
        };
        self.slots.push(slot);
        Ok(())
    }
}

impl Slot {
    /// Returns the result's type if it is not the declared one. `Nothing` is of every type.
    #[inline]
    fn type_mismatch(&self, output: Type) -> Option<Type> {
        let actual = match self {
            _ if output == Type::Any => return None,
            Self::Nothing | Self::Fault(_) => return None,
            Self::Boolean(_) => Type::Boolean,
            Self::Number(_) => Type::Number,
            Self::Text(..) => Type::Text,
            Self::Json(json) if output == Type::User && json.is_object() => return None,
            Self::Json(_) => Type::Json,
        };
        (actual != output).then_some(actual)
    }
}

fn text(bytes: &[u8]) -> Result<&str, NotResults> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| NotResults::NotUtf8)
}

/// Returns the message of a result whose type is not the declared one.
#[cold]
fn type_mismatch_message(actual: Type, declared: Type) -> Message {
    let declared = declared.as_str();
    match actual {
        Type::Boolean => message!("it gave a boolean, but its output is declared as {declared}"),
        Type::Number => message!("it gave a number, but its output is declared as {declared}"),
        Type::Text => message!("it gave text, but its output is declared as {declared}"),
        Type::Json | Type::User | Type::Any => message!("it gave JSON, but its output is declared as {declared}"),
    }
}

#[cold]
fn fault(kind: FaultKind, message: Message, label: &Arc<str>) -> Slot {
    Slot::Fault(Box::new(RowFault { kind, transform: Arc::clone(label), message }))
}

#[cold]
fn bad_result(what: &BadResult, limit: u64, label: &Arc<str>) -> Slot {
    match what {
        BadResult::TooLarge => fault(FaultKind::TooLarge, wit_values::too_large(limit), label),
        BadResult::Invalid(message) => fault(FaultKind::BadResult, message.clone(), label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str) -> RowFault {
        RowFault { kind: FaultKind::Refused, transform: "t@1".into(), message: Message::verbatim(message) }
    }

    #[test]
    fn faults_of_rows_that_were_not_computed_are_inserted_at_their_index() {
        let mut results = ResultBatch::with_capacity(3);
        let rules = ResultRules { limit: 10, output: Type::Any, label: "t@1".into() };
        for item in [Item::Text(b"a"), Item::Number(1.0), Item::Text(b"b")] {
            results.push_item(item, &rules).expect("a result");
        }
        let faults = [0, 1, 3, 6].map(|row| (row, refusal(&row.to_string()))).to_vec();
        let results = results.with_faults(faults);
        let shown: Vec<String> = results
            .iter()
            .map(|result| result.map_or_else(|fault| fault.message.to_string(), |value| format!("{value:?}")))
            .collect();
        assert_eq!(shown, ["0", "1", "Text(\"a\")", "3", "Number(1.0)", "Text(\"b\")", "6"]);
    }
}
