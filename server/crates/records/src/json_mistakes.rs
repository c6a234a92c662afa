//! Names frequent mistakes in texts that are meant to be JSON.

use uie_core::message::{Message, message};

/// Words of Python, JavaScript and MongoDB that are not JSON.
const FOREIGN_WORDS: [(&str, &str); 12] = [
    ("True", "Python"),
    ("False", "Python"),
    ("None", "Python"),
    ("NaN", "JavaScript"),
    ("Infinity", "JavaScript"),
    ("undefined", "JavaScript"),
    ("new ", "JavaScript"),
    ("ObjectId(", "MongoDB"),
    ("ISODate(", "MongoDB"),
    ("NumberLong(", "MongoDB"),
    ("NumberInt(", "MongoDB"),
    ("BinData(", "MongoDB"),
];

/// Returns what is wrong with a text that is not JSON at this offset, as a part of a sentence, and a hint; `None` if it
/// is no frequent mistake.
pub fn describe_mistake(text: &[u8], offset: usize) -> Option<(Message, Message)> {
    // Parsers report the byte that is wrong, or the one after it.
    (offset.saturating_sub(1)..=offset).rev().find_map(|at| describe_at(text, at))
}

fn describe_at(text: &[u8], at: usize) -> Option<(Message, Message)> {
    let rest = text.get(at..)?;
    let end = rest.len().min(16);
    let next = match std::str::from_utf8(rest.get(..end)?) {
        Ok(next) => next,
        Err(error) => std::str::from_utf8(rest.get(..error.valid_up_to())?).ok()?,
    };
    let first = next.chars().next()?;
    let before = text.get(..at).unwrap_or_default().trim_ascii_end().last().copied();
    if let Some((word, language)) = FOREIGN_WORDS.iter().find(|(word, _)| next.starts_with(word)) {
        let word = word.trim_end_matches([' ', '(']);
        let hint = match *language {
            "Python" => message!("In Python, json.dumps writes JSON; str and print do not."),
            "JavaScript" => message!("In JavaScript, JSON.stringify writes JSON."),
            _ => message!("Export the users with mongoexport, which writes JSON."),
        };
        return Some((message!("`{word}` is {language}, not JSON"), hint));
    }
    match first {
        '“' | '”' | '„' | '‟' | '«' | '»' | '‘' | '’' | '‚' => Some((
            message!("the quotes are typographic ({first}) instead of straight"),
            message!("Replace them by straight double quotes (\"); a word processor has changed them."),
        )),
        '\'' => Some((
            message!("a text is in single quotes"),
            message!("Write names and texts in double quotes; in Python, json.dumps does it."),
        )),
        '/' if next.starts_with("//") || next.starts_with("/*") => {
            Some((message!("there is a comment, which JSON does not have"), message!("Remove the comments.")))
        }
        '}' | ']' if before == Some(b',') => {
            Some((message!("a comma is followed by `{first}`"), message!("Remove the comma after the last member.")))
        }
        first if (first.is_alphabetic() || first == '_') && matches!(before, Some(b'{' | b',')) => Some((
            message!("a name is not in quotes"),
            message!("Write names and texts in double quotes; in JavaScript, JSON.stringify does it."),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn frequent_mistakes_are_named() {
        for (text, part) in [
            ("{“email”: “a@b.c”}", "typographic"),
            ("{\"email\": “a@b.c”}", "typographic"),
            ("{'email': 'a@b.c'}", "single quotes"),
            ("{\"a\": 'a@b.c'}", "single quotes"),
            ("{\"a\": True}", "`True` is Python"),
            ("{\"a\": None}", "`None` is Python"),
            ("{\"a\": NaN}", "`NaN` is JavaScript"),
            ("{\"_id\": ObjectId(\"5f\")}", "`ObjectId` is MongoDB"),
            ("{email: \"a@b.c\"}", "a name is not in quotes"),
            ("{\"a\":1,}", "a comma is followed by `}`"),
            ("{\"a\":[1,]}", "a comma is followed by `]`"),
            ("{\"a\":1, // note\n\"b\":2}", "comment"),
        ] {
            let error = serde_json::from_str::<Value>(text).unwrap_err();
            let offset = text.lines().take(error.line() - 1).map(|line| line.len() + 1).sum::<usize>() + error.column();
            let (mistake, _) = describe_mistake(text.as_bytes(), offset.saturating_sub(1)).expect(text);
            assert!(mistake.contains(part), "{text}: {mistake}");
        }
        assert!(describe_mistake(b"{\"a\":1 1}", 7).is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..30), offset in 0_usize..40) {
            let _ = describe_mistake(&text, offset);
        }
    }
}
