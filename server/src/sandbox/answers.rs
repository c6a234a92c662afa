//! What a transform gave for many rows, in few pieces of memory.

use std::sync::Arc;

use serde_json::Value as JsonValue;
use transforms_sdk::Value;
use transforms_sdk::manifest::Type;
use transforms_sdk::packed::Item;

use super::convert::{self, BadResult, NO_RESULT, NOT_UTF8};
use super::fault::{FaultKind, RowFault, shown};

/// Results of rows, one for each, in order.
#[derive(Debug, Default)]
pub struct Answers {
    all: Vec<Kept>,
    /// All texts, one after the other.
    texts: String,
    /// The longest result, bytes.
    largest: usize,
}

#[derive(Debug)]
enum Kept {
    Nothing,
    Boolean(bool),
    Number(f64),
    /// Where it starts and ends in the texts.
    Text(usize, usize),
    Json(Box<JsonValue>),
    Fault(Box<RowFault>),
}

/// A result of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    /// Absent.
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(&'a str),
    /// An object or an array.
    Json(&'a JsonValue),
}

impl From<Answer<'_>> for Value {
    fn from(answer: Answer<'_>) -> Self {
        match answer {
            Answer::Nothing => Self::Nothing,
            Answer::Boolean(boolean) => Self::Boolean(boolean),
            Answer::Number(number) => Self::Number(number),
            Answer::Text(text) => Self::Text(text.to_owned()),
            Answer::Json(json) => Self::Json(json.clone()),
        }
    }
}

/// What holds for every result of a transform.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// What a result may have, bytes.
    pub(super) limit: u64,
    /// What the manifest declares.
    pub(super) output: Type,
    /// Name and version of the transform.
    pub(super) label: Arc<str>,
}

/// Where answers end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    all: usize,
    texts: usize,
}

impl Answers {
    /// None yet; room for so many.
    pub(super) fn with_capacity(rows: usize) -> Self {
        /// A guess: an e-mail address.
        const TEXT: usize = 32;
        let texts = String::with_capacity(rows.saturating_mul(TEXT));
        Self { all: Vec::with_capacity(rows), texts, largest: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The result of a row, or why it has none. Nothing beyond the last.
    #[inline]
    pub fn get(&self, row: usize) -> Option<Result<Answer<'_>, &RowFault>> {
        Some(Ok(match self.all.get(row)? {
            Kept::Nothing => Answer::Nothing,
            Kept::Boolean(boolean) => Answer::Boolean(*boolean),
            Kept::Number(number) => Answer::Number(*number),
            Kept::Text(start, end) => Answer::Text(self.texts.get(*start..*end).unwrap_or_default()),
            Kept::Json(json) => Answer::Json(json),
            Kept::Fault(fault) => return Some(Err(fault)),
        }))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Answer<'_>, &RowFault>> {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    /// The same with the faults of rows that were not among them; each says which row it is then.
    #[must_use]
    pub fn with_faults(self, faults: Vec<(usize, RowFault)>) -> Self {
        if faults.is_empty() {
            return self;
        }
        let Self { all, texts, largest } = self;
        let mut merged = Vec::with_capacity(all.len() + faults.len());
        let mut all = all.into_iter();
        for (row, fault) in faults {
            merged.extend(all.by_ref().take(row.saturating_sub(merged.len())));
            merged.push(Kept::Fault(Box::new(fault)));
        }
        merged.extend(all);
        Self { all: merged, texts, largest }
    }

    /// The longest result so far, bytes.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Where they end now.
    pub(super) fn end(&self) -> End {
        End { all: self.all.len(), texts: self.texts.len() }
    }

    /// How many there are since.
    pub(super) fn since(&self, end: End) -> usize {
        self.all.len().saturating_sub(end.all)
    }

    /// Forgets what there is since.
    pub(super) fn truncate(&mut self, end: End) {
        self.all.truncate(end.all);
        self.texts.truncate(end.texts);
    }

    /// The faults there are since.
    pub(super) fn faults_since(&self, end: End) -> impl Iterator<Item = &RowFault> {
        self.all.iter().skip(end.all).filter_map(|kept| match kept {
            Kept::Fault(fault) => Some(&**fault),
            _ => None,
        })
    }

    /// Adds a fault.
    pub(super) fn push_fault(&mut self, fault: RowFault) {
        self.all.push(Kept::Fault(Box::new(fault)));
    }

    /// Adds what a guest gave. What is too large, or of another type than declared, is a fault of its row. Fails
    /// where the item says nothing about a row at all.
    #[inline]
    pub(super) fn take(&mut self, item: Item<'_>, terms: &Terms) -> Result<(), &'static str> {
        let Terms { limit, output, label } = terms;
        let (limit, texts) = (*limit, self.texts.len());
        let kept = match item {
            Item::Nothing => Kept::Nothing,
            Item::Boolean(boolean) => Kept::Boolean(boolean),
            Item::Number(number) => Kept::Number(number),
            Item::Text(bytes) => {
                let text = text(bytes)?;
                self.largest = self.largest.max(text.len());
                if text.len() as u64 > limit {
                    bad(&BadResult::TooLarge, limit, label)
                } else {
                    let start = self.texts.len();
                    self.texts.push_str(text);
                    Kept::Text(start, self.texts.len())
                }
            }
            Item::Json(bytes) => {
                let text = text(bytes)?;
                self.largest = self.largest.max(text.len());
                match convert::raise(text, limit) {
                    Ok(Value::Nothing) => Kept::Nothing,
                    Ok(Value::Boolean(boolean)) => Kept::Boolean(boolean),
                    Ok(Value::Number(number)) => Kept::Number(number),
                    Ok(Value::Text(text)) => {
                        let start = self.texts.len();
                        self.texts.push_str(&text);
                        Kept::Text(start, self.texts.len())
                    }
                    Ok(Value::Json(json)) => Kept::Json(Box::new(json)),
                    Err(what) => bad(&what, limit, label),
                }
            }
            Item::Fault(bytes) => {
                let message = shown(text(bytes)?);
                let message = if message.is_empty() { "it refused the row without a reason".into() } else { message };
                fault(FaultKind::Refused, message, label)
            }
            Item::Row => return Err(NO_RESULT),
        };
        let kept = match kept.other_type_than(*output) {
            None => kept,
            Some(given) => {
                self.texts.truncate(texts);
                let message = format!("it gave {given}, but its output is declared as {}", output.as_str());
                fault(FaultKind::BadResult, message, label)
            }
        };
        self.all.push(kept);
        Ok(())
    }
}

impl Kept {
    /// Its type, where that is not the declared one. Nothing is of every type.
    #[inline]
    fn other_type_than(&self, output: Type) -> Option<&'static str> {
        let (given, kind) = match self {
            _ if output == Type::Any => return None,
            Self::Nothing | Self::Fault(_) => return None,
            Self::Boolean(_) => ("a boolean", Type::Boolean),
            Self::Number(_) => ("a number", Type::Number),
            Self::Text(..) => ("text", Type::Text),
            Self::Json(json) if output == Type::User && json.is_object() => return None,
            Self::Json(_) => ("JSON", Type::Json),
        };
        (kind != output).then_some(given)
    }
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

#[cold]
fn fault(kind: FaultKind, message: String, label: &Arc<str>) -> Kept {
    Kept::Fault(Box::new(RowFault { kind, transform: Arc::clone(label), message }))
}

#[cold]
fn bad(what: &BadResult, limit: u64, label: &Arc<str>) -> Kept {
    match what {
        BadResult::TooLarge => fault(FaultKind::TooLarge, convert::too_large(limit), label),
        BadResult::Invalid(what) => fault(FaultKind::BadResult, format!("it gave {what}"), label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str) -> RowFault {
        RowFault { kind: FaultKind::Refused, transform: "t@1".into(), message: message.into() }
    }

    #[test]
    fn faults_of_other_rows_are_put_in_their_places() {
        let mut answers = Answers::with_capacity(3);
        let terms = Terms { limit: 10, output: Type::Any, label: "t@1".into() };
        for item in [Item::Text(b"a"), Item::Number(1.0), Item::Text(b"b")] {
            answers.take(item, &terms).expect("an answer");
        }
        let faults = [0, 1, 3, 6].map(|row| (row, refusal(&row.to_string()))).to_vec();
        let answers = answers.with_faults(faults);
        let shown: Vec<String> = answers
            .iter()
            .map(|answer| answer.map_or_else(|fault| fault.message.clone(), |answer| format!("{answer:?}")))
            .collect();
        assert_eq!(shown, ["0", "1", "Text(\"a\")", "3", "Number(1.0)", "Text(\"b\")", "6"]);
    }
}
