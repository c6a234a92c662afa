//! Converts CSV cells to JSON values: infers their types, and removes or adds apostrophe guards.

use std::io;

use serde::de::IgnoredAny;

/// The kind of value that is expected at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A string.
    Text,
    /// A string without white space and invisible characters around it.
    TrimmedText,
    /// An object or an array.
    Json,
    /// Any value, as inside metadata.
    Free,
}

/// Maximum number of digits of an inferred number: every JSON parser reads these exactly. Longer ones are probably ids.
const MAX_DIGITS: usize = 15;

/// An export writes an apostrophe before these characters, so that a spreadsheet does not evaluate the text as a
/// formula (docs/decisions/0018-csv-cells.md; docs/auth0/jobs.md#export-files).
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Returns the text of a cell without the apostrophe guard of an export, and whether there was one. With `always` the
/// file is an export of Auth0 itself, where every text has a guard.
fn strip_guard(cell: &str, target: Target, always: bool) -> (&str, bool) {
    match cell.strip_prefix('\'') {
        Some(text) if always || needs_guard(text.trim_start_matches('\''), target) => (text, true),
        _ => (cell, false),
    }
}

/// Returns a text as a cell, with an apostrophe guard if it would otherwise be a formula, or be imported as another
/// type than text.
pub fn guard(text: &str, target: Option<Target>) -> String {
    if needs_guard(text.trim_start_matches('\''), target.unwrap_or(Target::Text)) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn needs_guard(text: &str, target: Target) -> bool {
    text.starts_with(FORMULA_STARTS) || (target == Target::Free && infer_type(text) != InferredType::Text)
}

/// The inferred type of a cell for a path that accepts any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InferredType {
    Boolean(bool),
    /// A number, an object or an array, used as written.
    Json,
    Text,
}

fn infer_type(text: &str) -> InferredType {
    match text.as_bytes().first() {
        Some(b'{' | b'[') if is_json(text) => InferredType::Json,
        Some(b't' | b'T' | b'f' | b'F') => parse_boolean(text).map_or(InferredType::Text, InferredType::Boolean),
        Some(b'-' | b'0'..=b'9') if is_plain_number(text) => InferredType::Json,
        _ => InferredType::Text,
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Returns whether `text` is a JSON number without exponent that is represented exactly.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && digits.len() <= MAX_DIGITS
        && text != "-0"
}

/// Appends the JSON of a cell that is not empty. Text that does not fit `target` stays text, so that the check reports
/// it.
pub fn write_cell(cell: &str, target: Target, always_guarded: bool, output: &mut Vec<u8>) -> io::Result<()> {
    let (text, is_text) = strip_guard(cell, target, always_guarded);
    let plain = text.trim();
    let boolean_text = |value: bool| if value { "true" } else { "false" };
    let json = match target {
        Target::Boolean => parse_boolean_word(plain).map(boolean_text),
        Target::Integer if is_plain_number(plain) => Some(plain),
        Target::Json if plain.starts_with(['{', '[']) && is_json(plain) => Some(plain),
        Target::Free if !is_text => match infer_type(text) {
            InferredType::Boolean(value) => Some(boolean_text(value)),
            InferredType::Json => Some(text),
            InferredType::Text => None,
        },
        _ => None,
    };
    match json {
        Some(json) => {
            output.extend_from_slice(json.as_bytes());
            Ok(())
        }
        None if target == Target::TrimmedText => Ok(serde_json::to_writer(output, trim_invisible(text))?),
        None => Ok(serde_json::to_writer(output, text)?),
    }
}

/// The words for true and false that a boolean cell may have, in lower case. No word has both meanings.
pub const BOOLEAN_WORDS: &[(&str, &str)] = &[
    ("true", "false"),
    ("yes", "no"),
    ("1", "0"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    // German, French, Spanish, Italian, Portuguese, Dutch, Polish.
    ("ja", "nein"),
    ("j", "n"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("o", "n"),
    ("vrai", "faux"),
    ("v", "f"),
    ("sí", "no"),
    ("si", "no"),
    ("s", "n"),
    ("verdadero", "falso"),
    ("sì", "no"),
    ("vero", "falso"),
    ("sim", "não"),
    ("sim", "nao"),
    ("verdadeiro", "falso"),
    ("ja", "nee"),
    ("waar", "onwaar"),
    ("tak", "nie"),
    ("prawda", "fałsz"),
];

/// Returns the meaning of one of the [`BOOLEAN_WORDS`], in any case.
pub fn parse_boolean_word(text: &str) -> Option<bool> {
    // The usual words first.
    if let Some(value) = parse_boolean(text) {
        return Some(value);
    }
    let word = text.to_lowercase();
    BOOLEAN_WORDS.iter().find_map(|(yes, no)| if word == *yes { Some(true) } else { (word == *no).then_some(false) })
}

/// Returns whether a character is white space, or has no width and no meaning at the end of a text: the no-break space,
/// the zero-width space, the byte order mark and similar ones.
pub fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Returns the text without white space and invisible characters around it.
pub fn trim_invisible(text: &str) -> &str {
    text.trim_matches(is_invisible)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(cell: &str, target: Target) -> Value {
        let mut json = Vec::new();
        write_cell(cell, target, false, &mut json).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn cells_are_converted_to_the_type_of_their_target() {
        for (cell, target, value) in [
            ("TRUE", Target::Boolean, json!(true)),
            ("0", Target::Boolean, json!(false)),
            (" yes ", Target::Boolean, json!(true)),
            ("Ja", Target::Boolean, json!(true)),
            ("NEIN", Target::Boolean, json!(false)),
            ("Sí", Target::Boolean, json!(true)),
            ("não", Target::Boolean, json!(false)),
            ("FAŁSZ", Target::Boolean, json!(false)),
            ("maybe", Target::Boolean, json!("maybe")),
            ("\u{feff} ada@example.com\u{a0}\u{200b}", Target::TrimmedText, json!("ada@example.com")),
            (" Ada  Lovelace ", Target::TrimmedText, json!("Ada  Lovelace")),
            (" Ada ", Target::Text, json!(" Ada ")),
            ("'+12125550001 ", Target::TrimmedText, json!("+12125550001")),
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
    fn no_word_means_both_true_and_false() {
        for (yes, no) in BOOLEAN_WORDS {
            assert_eq!((parse_boolean_word(yes), parse_boolean_word(no)), (Some(true), Some(false)), "{yes}, {no}");
            assert!(!BOOLEAN_WORDS.iter().any(|(other, _)| other == no), "{no}");
        }
        for text in ["", "2", "maybe", "n/a", "x"] {
            assert_eq!(parse_boolean_word(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn guarded_text_is_read_as_the_same_text(text in "['=+@0-9a-f\\[\\]{}\"., -]{1,9}|true|false|.*", free in any::<bool>()) {
            prop_assume!(!text.is_empty());
            let target = if free { Target::Free } else { Target::Text };
            prop_assert_eq!(read(&guard(&text, Some(target)), target), Value::from(text));
        }
    }
}
