//! The second door into a transform: a batch as one run of bytes.
//!
//! The contract's function (`wit/transform.wit`) takes lists of lists of values, and a host that calls it asks
//! the guest for a piece of memory for every text on the way in, and copies every result by itself on the way
//! out. For a transform that does little per row that is most of its cost. So a transform made with this SDK
//! has two exports more, beside the contract's: [`ROOM`] gives memory for so many bytes, and [`APPLY`] computes
//! the batch that was written there and gives the place and length of the results. Both doors lead to the same
//! function; a host may use either, and what has no second door is called by the first.
//!
//! A batch is the number of literals and each of them (or [`Item::Row`] where rows bring the argument), then
//! row for row the number of values and each of them. Results are one item for each row. Numbers are little
//! endian, lengths and counts have four bytes; an item is a byte that says what it is, and what belongs to it.

use crate::{Arguments, Fault, Given, Transform, Value};

/// The export that gives memory: length to address.
pub const ROOM: &str = "user-import-export:packed-room@1";

/// The export that computes: length of the batch to the address of the results, and their length in the upper
/// half.
pub const APPLY: &str = "user-import-export:packed-apply@1";

const NOTHING: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
const JSON: u8 = 5;
const FAULT: u8 = 6;
const ROW: u8 = 7;

/// An item of a batch or of results. Texts should be UTF-8; whoever reads them finds out.
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
    /// In place of a literal: each row has a value of its own.
    Row,
}

impl Item<'_> {
    /// Adds the item at the end.
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

/// A length as it stands in a batch. What is longer has no place in the memory of a guest.
#[inline]
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Adds a count at the end.
#[inline]
pub fn write_count(count: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(&length(count));
}

/// Adds an item whose text `write` writes; `json` says what kind of text it is. Gives where the text starts.
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

/// Reads items one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the start of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// A count; nothing where there is none.
    #[inline]
    pub fn count(&mut self) -> Option<usize> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes) as usize)
    }

    /// The next item; nothing, and nothing is taken, where there is none that is whole.
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

/// Computes a batch; the results are added at the end. A batch that is cut off has fewer results than rows.
pub fn apply<T: Transform>(batch: &[u8], results: &mut Vec<u8>) {
    let mut from = Reader::new(batch);
    let Some(literals) = literals::<T>(&mut from) else { return };
    while let Some(count) = from.count() {
        // Few values need no list.
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

/// What is the same for every row, or why nothing can be computed.
type Literals = Result<Vec<Option<Value>>, Fault>;

/// The literals of a batch; nothing where it is cut off.
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

/// Computes the next row, which has so many values; nothing where it is cut off.
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

/// The same for any number of values. The count is what the host says; items are what there are.
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

/// The JSON among the items. Without any nothing is allocated.
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
    // What is no object and no array goes as what it is.
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
            // Writing into memory cannot fail: keys are texts.
            write_made(true, to, |to| drop(serde_json::to_writer(to, json)));
        }
        Err(fault) => Item::Fault(fault.message().as_bytes()).write(to),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Gives its arguments as an array; a text `refuse` is refused.
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
