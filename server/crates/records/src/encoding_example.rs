//! Finds an example of text that depends on the encoding of a file, to be shown to a person.

use serde_json::Value;

/// Maximum length of an example, in characters.
const MAX_CHARACTERS: usize = 24;

/// A word with a character that is not ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingExample {
    /// Path of the attribute with the word.
    pub attribute: String,
    /// The word, shortened.
    pub word: String,
}

/// Returns the first word of a row that depends on the encoding; `None` without such a word.
///
/// A person is to compare the word with what they know, so it is taken only from values that consist of words, such as
/// names and addresses. `is_secret` returns whether the value at a path must not be shown.
pub fn find_example(row: &Value, is_secret: &dyn Fn(&str) -> bool) -> Option<EncodingExample> {
    find(row, "", is_secret)
}

fn find(value: &Value, path: &str, is_secret: &dyn Fn(&str) -> bool) -> Option<EncodingExample> {
    if !path.is_empty() && is_secret(path) {
        return None;
    }
    match value {
        Value::String(text) if is_words(text) => {
            let word = word_around_first_character(text)?;
            Some(EncodingExample { attribute: path.to_owned(), word })
        }
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            find(value, &path, is_secret)
        }),
        Value::Array(items) => items.iter().find_map(|item| find(item, path, is_secret)),
        _ => None,
    }
}

/// Returns whether a text has a character that is not ASCII, and otherwise only letters and what occurs in names.
fn is_words(text: &str) -> bool {
    let is_part =
        |c: char| !c.is_ascii() || c.is_ascii_alphabetic() || matches!(c, ' ' | '-' | '\'' | '.' | ',' | '@' | '&');
    !text.is_ascii() && text.chars().all(|c| is_part(c) && !c.is_control() && !c.is_numeric())
}

/// Returns the word with the first character that is not ASCII.
fn word_around_first_character(text: &str) -> Option<String> {
    let word = text.split_whitespace().find(|word| !word.is_ascii())?;
    let first = word.chars().position(|c| !c.is_ascii())?;
    Some(word.chars().skip(first.saturating_sub(MAX_CHARACTERS / 2)).take(MAX_CHARACTERS).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_example_is_a_word_of_a_name_and_no_secret() {
        let is_secret = |path: &str| path.contains("password");
        let example = |row: &Value| find_example(row, &is_secret).map(|found| (found.attribute, found.word));
        let found = |attribute: &str, word: &str| Some((attribute.to_owned(), word.to_owned()));
        let row =
            json!({ "email": "a@b.c", "password": "geheimß", "note": "é1", "address": { "city": "Bad Dürkheim" } });
        assert_eq!(example(&row), found("address.city", "Dürkheim"));
        assert_eq!(example(&json!({ "tags": ["x", "高橋 花子"] })), found("tags", "高橋"));
        assert_eq!(example(&json!({ "a": "abc", "b": "x".repeat(99) })), None);
        let long = example(&json!({ "a": format!("{}é{}", "x".repeat(99), "y".repeat(99)) })).unwrap().1;
        assert_eq!((long.chars().count(), long.contains('é')), (MAX_CHARACTERS, true));
    }
}
