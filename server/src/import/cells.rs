//! What the text of a cell means at its place in a user.

use std::io;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::schema::Target;

/// The most digits of a number that every JSON parser reads exactly. Longer ones are rather ids.
const MOST_DIGITS: usize = 15;

/// Characters before which an export puts an apostrophe, so that no spreadsheet takes the text for a formula
/// (docs/decisions/0018-csv-cells.md; docs/auth0/jobs.md#export-files).
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The text of a cell without the apostrophe that an export put before it, and whether there was one.
/// `always`: the file is one of Auth0's own, where every text has it.
pub(super) fn without_guard(cell: &str, target: Target, always: bool) -> (&str, bool) {
    match cell.strip_prefix('\'') {
        Some(text) if always || needs_guard(text.trim_start_matches('\''), target) => (text, true),
        _ => (cell, false),
    }
}

/// A text as a cell: guarded where it would otherwise be taken for a formula, or come back as something
/// else than text.
pub(super) fn guarded(text: &str, target: Option<Target>) -> String {
    if needs_guard(text.trim_start_matches('\''), target.unwrap_or(Target::Text)) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn needs_guard(text: &str, target: Target) -> bool {
    text.starts_with(FORMULA) || (target == Target::Free && guess(text) != Guess::Text)
}

/// What a cell looks like where anything may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Boolean(bool),
    /// A number or JSON, to be taken as it is written.
    Json,
    Text,
}

fn guess(text: &str) -> Guess {
    match text.as_bytes().first() {
        Some(b'{' | b'[') if is_json(text) => Guess::Json,
        Some(b't' | b'T' | b'f' | b'F') => boolean(text).map_or(Guess::Text, Guess::Boolean),
        Some(b'-' | b'0'..=b'9') if is_plain_number(text) => Guess::Json,
        _ => Guess::Text,
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A number as JSON writes it: no plus, no leading zeros, no more digits than are kept exactly.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && digits.len() <= MOST_DIGITS
        && text != "-0"
}

/// Writes a cell that is not empty as JSON. Text that does not fit its place stays text, so that the
/// check names it.
pub(super) fn write(cell: &str, target: Target, always_guarded: bool, output: &mut Vec<u8>) -> io::Result<()> {
    let (text, is_text) = without_guard(cell, target, always_guarded);
    let plain = text.trim();
    let boolean_text = |value: bool| if value { "true" } else { "false" };
    let json = match target {
        Target::Boolean => match plain {
            "1" => Some("true"),
            "0" => Some("false"),
            plain => boolean(plain).or_else(|| yes_or_no(plain)).map(boolean_text),
        },
        Target::Integer if is_plain_number(plain) => Some(plain),
        Target::Json if plain.starts_with(['{', '[']) && is_json(plain) => Some(plain),
        Target::Free if !is_text => match guess(text) {
            Guess::Boolean(value) => Some(boolean_text(value)),
            Guess::Json => Some(text),
            Guess::Text => None,
        },
        _ => None,
    };
    match json {
        Some(json) => {
            output.extend_from_slice(json.as_bytes());
            Ok(())
        }
        None => Ok(serde_json::to_writer(output, text)?),
    }
}

fn yes_or_no(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("yes") {
        Some(true)
    } else if text.eq_ignore_ascii_case("no") {
        Some(false)
    } else {
        None
    }
}

/// A value of a foreign file as its new place wants it: `"true"` becomes true where a boolean belongs,
/// a number text where text belongs. What does not fit stays as it is, so that the check names it.
pub(super) fn fitted(value: Value, target: Target) -> Value {
    match (target, &value) {
        (Target::Text, Value::Number(number)) => Value::from(number.to_string()),
        (Target::Boolean, Value::Number(number)) => match number.as_u64() {
            Some(0) => Value::from(false),
            Some(1) => Value::from(true),
            _ => value,
        },
        (Target::Boolean | Target::Integer | Target::Json, Value::String(text)) => {
            let mut json = Vec::new();
            match write(text, target, false, &mut json) {
                Ok(()) => serde_json::from_slice(&json).unwrap_or(value),
                Err(_) => value,
            }
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(cell: &str, target: Target) -> Value {
        let mut json = Vec::new();
        write(cell, target, false, &mut json).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn cells_become_what_their_place_wants() {
        for (cell, target, value) in [
            ("TRUE", Target::Boolean, json!(true)),
            ("0", Target::Boolean, json!(false)),
            (" yes ", Target::Boolean, json!(true)),
            ("maybe", Target::Boolean, json!("maybe")),
            ("64", Target::Integer, json!(64)),
            ("many", Target::Integer, json!("many")),
            ("42", Target::Text, json!("42")),
            ("'+12125550001", Target::Text, json!("+12125550001")),
            ("'s-Gravenhage", Target::Text, json!("'s-Gravenhage")),
            ("{\"plan\":\"pro\"}", Target::Json, json!({ "plan": "pro" })),
            ("{plan", Target::Json, json!("{plan")),
            ("42", Target::Free, json!(42)),
            ("-1.5", Target::Free, json!(-1.5)),
            ("01067", Target::Free, json!("01067")),
            ("1234567890123456", Target::Free, json!("1234567890123456")),
            ("True", Target::Free, json!(true)),
            ("[1,\n2]", Target::Free, json!([1, 2])),
            ("'42", Target::Free, json!("42")),
            ("[1", Target::Free, json!("[1")),
            ("fun", Target::Free, json!("fun")),
        ] {
            assert_eq!(read(cell, target), value, "{cell}");
        }
    }

    #[test]
    fn mapped_values_fit_their_new_place_or_stay_for_the_check() {
        assert_eq!(fitted(json!("true"), Target::Boolean), json!(true));
        assert_eq!(fitted(json!(1), Target::Boolean), json!(true));
        assert_eq!(fitted(json!(4711), Target::Text), json!("4711"));
        assert_eq!(fitted(json!("[]"), Target::Json), json!([]));
        assert_eq!(fitted(json!("x"), Target::Integer), json!("x"));
        assert_eq!(fitted(json!("42"), Target::Free), json!("42"));
    }

    proptest! {
        #[test]
        fn a_guarded_text_comes_back_as_the_same_text(text in "['=+@0-9a-f\\[\\]{}\"., -]{1,9}|true|false|.*", free in any::<bool>()) {
            prop_assume!(!text.is_empty());
            let target = if free { Target::Free } else { Target::Text };
            prop_assert_eq!(read(&guarded(&text, Some(target)), target), Value::from(text));
        }
    }
}
