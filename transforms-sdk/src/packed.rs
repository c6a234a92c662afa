//! The packed ABI of a transform: a batch as one sequence of bytes.
//!
//! The contract's function (`wit/transform.wit`) takes lists of lists of values. A host that calls it allocates
//! guest memory for every text that it passes in, and copies every result separately. For a simple transform
//! that is most of the cost. So a transform that is built with this SDK has two more exports: [`ROOM`]
//! allocates memory for a number of bytes, and [`APPLY`] computes the batch that was written there and returns
//! address and length of the results. Both ABIs call the same function; a host may use either, and it uses the
//! contract's for transforms without the packed ABI.
//!
//! A batch is the number of literals and each of them (or [`Item::Row`] if rows have the argument), then
//! for each row the number of values and each of them. Results are one item per row. Numbers are little
//! endian, lengths and counts have four bytes; an item is a byte with its kind, followed by its content.

use crate::{Arguments, Fault, Given, Transform, Value};

/// The export that allocates memory: takes a length, returns an address.
pub const ROOM: &str = "user-import-export:packed-room@1";

/// The export that computes: takes the length of the batch, returns the address of the results, and their
/// length in the upper half.
pub const APPLY: &str = "user-import-export:packed-apply@1";

const NOTHING: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
const JSON: u8 = 5;
const FAULT: u8 = 6;
const ROW: u8 = 7;

/// An item of a batch or of results. Texts should be UTF-8; the reader has to check that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// Absent, `null` or `undefined`.
    Nothing,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(&'a [u8]),
    /// An object or an array.
    Json(&'a [u8]),
    /// Why a row has no result.
    Fault(&'a [u8]),
    /// In place of a literal: each row has its own value.
    Row,
}

impl Item<'_> {
    /// Appends the item.
    #[inline]
    pub fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::Nothing => to.push(NOTHING),
            Self::Boolean(boolean) => to.push(if boolean { TRUE } else { FALSE }),
            Self::Number(number) => {
                to.push(NUMBER);
                to.extend_from_slice(&number.to_le_bytes());
            }
            Self::Text(text) => write_bytes(TEXT, text, to),
            Self::Json(text) => write_bytes(JSON, text, to),
            Self::Fault(text) => write_bytes(FAULT, text, to),
            Self::Row => to.push(ROW),
        }
    }
}

#[inline]
fn write_bytes(kind: u8, bytes: &[u8], to: &mut Vec<u8>) {
    let [a, b, c, d] = length(bytes.len());
    to.extend_from_slice(&[kind, a, b, c, d]);
    to.extend_from_slice(bytes);
}

/// Converts a length to its form in a batch. Longer data does not fit into the memory of a guest.
#[inline]
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Appends a count.
#[inline]
pub fn write_count(count: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(&length(count));
}

/// Appends an item whose text `write` writes, as JSON if `json` is set. Returns the offset of the text.
#[inline]
pub fn write_made(json: bool, to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    to.extend_from_slice(&[if json { JSON } else { TEXT }, 0, 0, 0, 0]);
    let start = to.len();
    write(to);
    let length = length(to.len() - start);
    if let Some(place) = to.get_mut(start - 4..start) {
        place.copy_from_slice(&length);
    }
    start
}

/// Reads items in order.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Returns a reader at the start of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a count. `None` at the end of the bytes.
    #[inline]
    pub fn count(&mut self) -> Option<usize> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes) as usize)
    }

    /// Reads the next item. `None`, without reading anything, if it is incomplete or invalid.
    #[inline]
    pub fn item(&mut self) -> Option<Item<'a>> {
        let mut ahead = *self;
        let item = ahead.take()?;
        *self = ahead;
        Some(item)
    }

    #[inline]
    fn take(&mut self) -> Option<Item<'a>> {
        let (kind, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match *kind {
            NOTHING => Item::Nothing,
            FALSE => Item::Boolean(false),
            TRUE => Item::Boolean(true),
            NUMBER => {
                let (bytes, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Item::Number(f64::from_le_bytes(*bytes))
            }
            TEXT => Item::Text(self.bytes()?),
            JSON => Item::Json(self.bytes()?),
            FAULT => Item::Fault(self.bytes()?),
            ROW => Item::Row,
            _ => return None,
        })
    }

    #[inline]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Computes a batch and appends the results. A truncated batch has fewer results than rows.
pub fn apply<T: Transform>(batch: &[u8], results: &mut Vec<u8>) {
    let mut from = Reader::new(batch);
    let Some(literals) = literals::<T>(&mut from) else { return };
    while let Some(count) = from.count() {
        // Few values need no allocation.
        let result = match count {
            0 => few::<T, 0>(&literals, &mut from),
            1 => few::<T, 1>(&literals, &mut from),
            2 => few::<T, 2>(&literals, &mut from),
            3 => few::<T, 3>(&literals, &mut from),
            count => many::<T>(count, &literals, &mut from),
        };
        let Some(result) = result else { return };
        write(result, results);
    }
}

/// The arguments that are the same for every row, or why no row can be computed.
type Literals = Result<Vec<Option<Value>>, Fault>;

/// Reads the literals of a batch. `None` if it is truncated.
fn literals<T: Transform>(from: &mut Reader<'_>) -> Option<Literals> {
    let count = from.count()?;
    let items: Vec<Item<'_>> = (0..count).map(|_| from.item()).collect::<Option<_>>()?;
    Some(if count > T::PARAMETERS {
        Err(crate::fault!("{count} arguments are given; {} are taken", T::PARAMETERS))
    } else {
        let literal = |item: &Item<'_>| match item {
            Item::Row => Ok(None),
            Item::Json(text) => json(text).map(|json| Some(Value::from(json))),
            item => given(*item, &mut [].iter()).map(|given| Some(Value::from(given))),
        };
        items.iter().map(literal).collect()
    })
}

/// Computes the next row, which has this many values. `None` if it is truncated.
#[inline]
fn few<T: Transform, const N: usize>(literals: &Literals, from: &mut Reader<'_>) -> Option<Result<Value, Fault>> {
    let mut items = [Item::Nothing; N];
    for item in &mut items {
        *item = from.item()?;
    }
    Some(literals.as_ref().map_err(Clone::clone).and_then(|literals| {
        let parsed = parsed(&items)?;
        let mut parsed = parsed.iter();
        let mut values = [Given::Nothing; N];
        for (value, item) in values.iter_mut().zip(items) {
            *value = given(item, &mut parsed)?;
        }
        T::call(&Arguments::given(literals, &values))
    }))
}

/// The same for any number of values. The count comes from the host and may exceed the number of items.
fn many<T: Transform>(count: usize, literals: &Literals, from: &mut Reader<'_>) -> Option<Result<Value, Fault>> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(from.item()?);
    }
    Some(literals.as_ref().map_err(Clone::clone).and_then(|literals| {
        let parsed = parsed(&items)?;
        let mut parsed = parsed.iter();
        let values: Vec<Given<'_>> =
            items.into_iter().map(|item| given(item, &mut parsed)).collect::<Result<_, _>>()?;
        T::call(&Arguments::given(literals, &values))
    }))
}

/// Parses the JSON items. Allocates only if there are any.
fn parsed(items: &[Item<'_>]) -> Result<Vec<serde_json::Value>, Fault> {
    let texts = items.iter().filter_map(|item| match item {
        Item::Json(text) => Some(json(text)),
        _ => None,
    });
    texts.collect()
}

fn given<'a>(item: Item<'a>, parsed: &mut std::slice::Iter<'a, serde_json::Value>) -> Result<Given<'a>, Fault> {
    Ok(match item {
        Item::Boolean(boolean) => Given::Boolean(boolean),
        Item::Number(number) => Given::Number(number),
        Item::Text(text) => Given::Text(text_of(text)?),
        Item::Json(_) => parsed.next().map_or(Given::Nothing, Given::from),
        Item::Nothing | Item::Fault(_) | Item::Row => Given::Nothing,
    })
}

fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| crate::fault!("an argument is not text: {error}"))
}

fn json(bytes: &[u8]) -> Result<serde_json::Value, Fault> {
    serde_json::from_str(text_of(bytes)?).map_err(|error| crate::fault!("an argument is not JSON: {error}"))
}

fn write(result: Result<Value, Fault>, to: &mut Vec<u8>) {
    // JSON that is neither an object nor an array is passed as its own kind.
    let result = result.map(|value| match value {
        Value::Json(json) => Value::from(json),
        other => other,
    });
    match &result {
        Ok(Value::Nothing) => Item::Nothing.write(to),
        Ok(Value::Boolean(boolean)) => Item::Boolean(*boolean).write(to),
        Ok(Value::Number(number)) => Item::Number(*number).write(to),
        Ok(Value::Text(text)) => Item::Text(text.as_bytes()).write(to),
        Ok(Value::Json(json)) => {
            // Writing to memory cannot fail: keys are texts.
            write_made(true, to, |to| drop(serde_json::to_writer(to, json)));
        }
        Err(fault) => Item::Fault(fault.message().as_bytes()).write(to),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns its arguments as an array; fails for the text `refuse`.
    struct Echo;

    impl Transform for Echo {
        const MANIFEST: &'static str = "";
        const PARAMETERS: usize = 10;

        fn call(arguments: &Arguments<'_>) -> Result<Value, Fault> {
            let all: Vec<serde_json::Value> =
                (0..arguments.count()).map(|at| Value::from(arguments.value(at)).into()).collect();
            match all.as_slice() {
                [one] if one == "refuse" => Err(crate::fault!("refused")),
                [one] => Ok(Value::Json(one.clone())),
                _ => Ok(Value::Json(all.into())),
            }
        }
    }

    fn batch(literals: &[Item<'_>], rows: &[&[Item<'_>]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for items in [literals].iter().chain(rows) {
            write_count(items.len(), &mut bytes);
            items.iter().for_each(|item| item.write(&mut bytes));
        }
        bytes
    }

    fn results(batch: &[u8]) -> Vec<String> {
        let mut bytes = Vec::new();
        apply::<Echo>(batch, &mut bytes);
        let mut reader = Reader::new(&bytes);
        let mut all = Vec::new();
        while let Some(item) = reader.item() {
            all.push(match item {
                Item::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
                Item::Json(text) => format!("json {}", String::from_utf8_lossy(text)),
                Item::Fault(text) => format!("fault {}", String::from_utf8_lossy(text)),
                other => format!("{other:?}"),
            });
        }
        assert!(reader.is_at_end());
        all
    }

    #[test]
    fn values_of_every_kind_go_in_and_come_back() {
        let one = |item| batch(&[Item::Row], &[&[item]]);
        for (item, expected) in [
            (Item::Nothing, "Nothing"),
            (Item::Boolean(true), "Boolean(true)"),
            (Item::Boolean(false), "Boolean(false)"),
            (Item::Number(-0.5), "Number(-0.5)"),
            (Item::Text("Zoë".as_bytes()), "text Zoë"),
            (Item::Text(b""), "text "),
            (Item::Json(br#"{"a":[1,null]}"#), r#"json {"a":[1,null]}"#),
            (Item::Json(b" 5 "), "Number(5.0)"),
            (Item::Text(b"refuse"), "fault refused"),
            (Item::Json(b"{"), "fault an argument is not JSON: EOF while parsing an object at line 1 column 1"),
            (Item::Text(b"\xff"), "fault an argument is not text: invalid utf-8 sequence of 1 bytes from index 0"),
        ] {
            assert_eq!(results(&one(item)), [expected], "{item:?}");
        }
    }

    #[test]
    fn literals_and_rows_come_together_in_any_number() {
        let literals = [Item::Text(b"a"), Item::Row, Item::Json(b"[1]"), Item::Row];
        let rows: [&[Item<'_>]; 2] =
            [&[Item::Number(1.0), Item::Json(b"{}")], &[Item::Json(b"[2]"), Item::Json(b"[3]")]];
        assert_eq!(results(&batch(&literals, &rows)), [r#"json ["a",1,[1],{}]"#, r#"json ["a",[2],[1],[3]]"#]);
        let many = [Item::Row; 10];
        let row = [Item::Json(b"[9]"); 10];
        assert_eq!(results(&batch(&many, &[&row])), [format!("json {}", json!(vec![[9]; 10]))]);
        assert_eq!(results(&batch(&[Item::Row; 11], &[&[], &[]])), ["fault 11 arguments are given; 10 are taken"; 2]);
        assert_eq!(results(&batch(&[Item::Row], &[])), [""; 0]);
    }

    #[test]
    fn a_batch_that_is_cut_off_has_fewer_results() {
        let whole = batch(&[Item::Row], &[&[Item::Text(b"abc")], &[Item::Number(1.0)]]);
        for length in 0..whole.len() {
            assert!(results(&whole[..length]).len() < 2, "{length}");
        }
        assert!(results(&[255; 40]).is_empty());
    }
}
