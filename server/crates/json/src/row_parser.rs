//! Reads the parts of a user that a mask selects: with a fast reader if possible, else with the slow parser, which also
//! reports what is wrong with a row.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::cursor::Cursor;
use super::object_builder::ObjectBuilder;
use super::projection_mask::{MaskSeed, ProjectionMask};
use super::token_source::{MAX_DEPTH, TokenSource};
use super::tokenizer;
use super::value::Json;

/// Why a row is not a user. Contains no data of the row itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowParseError {
    /// The row is not UTF-8 from this byte on (counted from 1).
    NotUtf8(usize),
    /// The row is not JSON; the byte of the error (counted from 1).
    NotJson(usize),
    /// The row is JSON, but contains a number beyond 64-bit floating point; the byte of the error (counted from 1).
    NumberTooLarge(usize),
    /// The row is JSON, but not an object.
    NotAnObject,
    /// The row is nested deeper than this many levels.
    TooDeep(usize),
}

/// Reads the parts that `mask` selects from the JSON text of one user.
///
/// The whole text is checked. Unpaired surrogates become U+FFFD.
pub fn parse_row<'a>(row: &'a [u8], mask: &ProjectionMask) -> Result<Json<'a>, RowParseError> {
    parse_row_with_text(row, mask).map(|(_, user)| user)
}

/// Like [`parse_row`], and also returns the row as text.
pub fn parse_row_with_text<'a>(row: &'a [u8], mask: &ProjectionMask) -> Result<(&'a str, Json<'a>), RowParseError> {
    let text = decode_utf8(row)?;
    let user = match tokenizer::parse_fast(text, mask.seed()) {
        Some(user @ Json::Object(_)) => user,
        _ => check_shape(text).and_then(|()| parse_slow(text, mask))?,
    };
    Ok((text, user))
}

impl ProjectionMask {
    /// Reads the selected parts of the user in the line that starts at offset `at`.
    ///
    /// Returns the user and the offset of the line end; `None` if the slow parser is needed or the line is not a user.
    pub fn parse_line<'a>(&self, text: &'a str, at: usize) -> Option<(Json<'a>, usize)> {
        tokenizer::parse_line_fast(text, at, self.seed())
    }

    /// Reads the selected parts of a user that is the whole of `text`; `None` if the slow parser is needed.
    pub fn parse_whole<'a>(&self, text: &'a str) -> Option<Json<'a>> {
        tokenizer::parse_fast(text, self.seed()).filter(|user| matches!(user, Json::Object(_)))
    }

    /// Like [`parse_line`](Self::parse_line), for an indexed text. `at` must not be before the cursor.
    pub fn parse_indexed_line<'a>(&self, cursor: &mut Cursor<'a, '_>, at: usize) -> Option<(Json<'a>, usize)> {
        (cursor.seek_line(at) && cursor.peek() == b'{').then_some(())?;
        let user = cursor.parse_value(self.seed())?;
        cursor.line_end().map(|end| (user, end))
    }

    /// Reads the selected parts of the user at `start` in an indexed text, which ends at `end`. `start` must not be
    /// before the cursor. `None` if the slow parser is needed or the value is not a user.
    pub fn parse_indexed_element<'a>(&self, cursor: &mut Cursor<'a, '_>, start: usize, end: usize) -> Option<Json<'a>> {
        (cursor.seek_line(start) && cursor.peek() == b'{').then_some(())?;
        let user = cursor.parse_value(self.seed())?;
        (cursor.token_end() == end).then_some(user)
    }
}

/// The results of the fast parser (`None` if it cannot read the row) and of the slow parser.
pub type FastAndSlow<'a> = (Option<Json<'a>>, Result<Json<'a>, RowParseError>);

/// Reads a row with the fast and the slow parser, for tests that compare them; [`parse_row`] is for production code.
///
/// Fails if neither parser is used: the row is not UTF-8, not an object, or nested too deeply.
pub fn parse_row_both_ways<'a>(row: &'a [u8], mask: &ProjectionMask) -> Result<FastAndSlow<'a>, RowParseError> {
    let text = decode_utf8(row)?;
    check_shape(text)?;
    Ok((tokenizer::parse_fast(text, mask.seed()), parse_slow(text, mask)))
}

/// Reads with the general parser, which is slower but reports what is wrong.
pub(super) fn parse_slow<'a>(text: &'a str, mask: &ProjectionMask) -> Result<Json<'a>, RowParseError> {
    build(text, mask.seed())
}

fn build<'a>(text: &'a str, seed: MaskSeed<'_>) -> Result<Json<'a>, RowParseError> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    let user = seed.deserialize(&mut deserializer).and_then(|user| deserializer.end().map(|()| user));
    user.map_err(|error| {
        let at = error_byte(&error, text);
        // JSON does not limit numbers, so the text may be valid even if a number is too large for `f64`.
        if check_json(text).is_ok() { RowParseError::NumberTooLarge(at) } else { RowParseError::NotJson(at) }
    })
}

/// Returns the byte of an error, counted from 1. The parser's own message is not used: it quotes the text around the
/// error, which may be personal data.
fn error_byte(error: &sonic_rs::Error, text: &str) -> usize {
    if error.is_eof() { text.len() + 1 } else { error.offset().min(text.len()) + 1 }
}

/// Checks that a text is JSON, without building it.
fn check_json(text: &str) -> sonic_rs::Result<()> {
    let mut deserializer = sonic_rs::Deserializer::from_str(text).utf8_lossy();
    deserializer.deserialize::<IgnoredAny>().and_then(|_| deserializer.end())
}

/// Checks that a row is a JSON object; returns it as text.
pub fn check_row(row: &[u8]) -> Result<&str, RowParseError> {
    let text = decode_utf8(row)?;
    if tokenizer::is_object(text) {
        return Ok(text);
    }
    check_shape(text)?;
    if let Err(error) = check_json(text) {
        // Reports the same byte as `parse_row` does.
        build(text, ProjectionMask::everything())?;
        return Err(RowParseError::NotJson(error_byte(&error, text)));
    }
    Ok(text)
}

fn decode_utf8(row: &[u8]) -> Result<&str, RowParseError> {
    simdutf8::compat::from_utf8(row).map_err(|error| RowParseError::NotUtf8(error.valid_up_to() + 1))
}

/// Checks that a row is an object and not nested too deeply, before a recursive parser reads it.
fn check_shape(text: &str) -> Result<(), RowParseError> {
    if !text.trim_ascii_start().starts_with('{') {
        let json = serde_json::from_str::<IgnoredAny>(text);
        return Err(
            json.map_or_else(|error| RowParseError::NotJson(error.column().max(1)), |_| RowParseError::NotAnObject)
        );
    }
    if nesting_depth(text.as_bytes()) > MAX_DEPTH {
        return Err(RowParseError::TooDeep(MAX_DEPTH));
    }
    Ok(())
}

/// Returns how deep a row is nested; brackets in strings do not count.
fn nesting_depth(row: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in row {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_text = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

impl<'de> DeserializeSeed<'de> for MaskSeed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MaskSeed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Json<'de>, E> {
        Ok(Json::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut array = Vec::new();
        loop {
            let item = match self.item(array.len()) {
                Some(seed) => items.next_element_seed(seed)?,
                // A placeholder keeps later indices and the length correct.
                None => items.next_element::<IgnoredAny>()?.map(|_| Json::Null),
            };
            match item {
                Some(item) => array.push(item),
                None => return Ok(Json::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = ObjectBuilder::with_capacity(self.breadth());
        while let Some(name) = members.next_key_seed(MemberName)? {
            match self.member(&name) {
                Some(seed) => {
                    let value = members.next_value_seed(seed)?;
                    object.put(name, value);
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(object.finish())
    }
}

/// Deserializes a member name; borrowed if it has no escapes.
struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::{Node, Path};

    #[test]
    fn unreadable_rows_report_the_reason() {
        let mask = ProjectionMask::new([&Path::attribute("a")]);
        let reason = |row: &[u8]| parse_row(row, &mask).unwrap_err();
        assert_eq!(reason(b"[1]"), RowParseError::NotAnObject);
        assert_eq!(reason(b"null"), RowParseError::NotAnObject);
        assert_eq!(reason(b"\"{}\""), RowParseError::NotAnObject);
        assert_eq!(reason(b"{\"a\":\"\xff\"}"), RowParseError::NotUtf8(7));
        for broken in [
            &b"{"[..],
            b"{}}",
            b"{} x",
            b"{\"a\":}",
            b"{\"a\":1,}",
            b"{\"b\":tru}",
            b"{\"b\":01}",
            b"{\"b\":\"\n\"}",
            b"{\"b\":\"\\q\"}",
            b"{'a':1}",
            b"{\"b\":[1 2]}",
            b"x",
            b"{\"a\":\"\0\"}",
            b"{\"b\":NaN}",
        ] {
            assert!(matches!(reason(broken), RowParseError::NotJson(_)), "{}", String::from_utf8_lossy(broken));
        }
        let deep = |levels: usize| format!("{{\"b\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(reason(deep(10_000_000).as_bytes()), RowParseError::TooDeep(MAX_DEPTH));
        assert!(parse_row(deep(MAX_DEPTH - 1).as_bytes(), &mask).is_ok());
        let brackets = format!("{{\"b\":\"{}\"}}", "[".repeat(10_000));
        assert!(parse_row(brackets.as_bytes(), &mask).is_ok(), "brackets in strings do not nest");
    }

    proptest! {
        #[test]
        fn rows_are_accepted_if_and_only_if_they_are_json_objects(text in "[{}\\[\\]\":,a0-9e.\\\\ utrnlf-]{0,24}") {
            let expected = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
            let mask = ProjectionMask::new([&Path::attribute("a")]);
            prop_assert_eq!(parse_row(text.as_bytes(), &mask).is_ok(), expected, "{}", text);
            prop_assert_eq!(check_row(text.as_bytes()).is_ok(), expected, "{}", text);
        }

        #[test]
        fn reading_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mask = ProjectionMask::new([&Path::attribute("a"), &Path(Node::Access(Vec::new()))]);
            let _ = parse_row(&bytes, &mask);
            let mut object = b"{\"a\":".to_vec();
            object.extend_from_slice(&bytes);
            object.push(b'}');
            let _ = parse_row(&object, &mask);
        }
    }
}
