//! Hints for texts that do not have the form of their attribute: what is wrong with them, and how they are corrected.
//! The hints never contain the text.

use super::shell::quoted;
use super::spreadsheet::is_scientific;
use uie_core::message::{Message, message};
use uie_records::{BOOLEAN_WORDS, is_invisible, parse_boolean_word, trim_invisible};

/// Returns the rule of the mapping that computes an attribute from itself, as an argument of a command.
fn rule(expression: &str, path: &str) -> String {
    quoted(&format!("{expression}={path}"))
}

/// Returns the expression that reads an attribute, so that a method can be called on it: in rows without the attribute
/// it gives `undefined`.
fn access(path: &str) -> String {
    if path == "email" {
        return "user.email".to_owned();
    }
    let mut expression = "user.".to_owned();
    for character in path.chars() {
        match character {
            '.' => expression.push_str("?."),
            '[' => expression.push_str("?.["),
            other => expression.push(other),
        }
    }
    expression.push('?');
    expression
}

/// Returns the name of a character that is not visible, or not at this place.
fn character_name(character: char) -> Message {
    match character {
        ' ' => message!("a space"),
        '\t' => message!("a tab"),
        '\n' | '\r' => message!("a line break"),
        '\u{a0}' => message!("a no-break space (U+00A0)"),
        '\u{ad}' => message!("a soft hyphen (U+00AD)"),
        '\u{200b}' => message!("a zero-width space (U+200B)"),
        '\u{feff}' => message!("a byte order mark (U+FEFF)"),
        other => message!("the invisible character U+{code}", code = format!("{:04X}", u32::from(other))),
    }
}

/// Returns why a text with an invisible character is not an address, and how it is corrected; `None` if it has none.
fn invisible(text: &str, path: &str) -> Option<(Message, Message)> {
    let at_start = text.chars().next().filter(|character| is_invisible(*character));
    let at_end = text.chars().next_back().filter(|character| is_invisible(*character));
    let message = if let Some(character) = at_end {
        message!("{path} has {character} at its end.", character = character_name(character))
    } else if let Some(character) = at_start {
        message!("{path} has {character} at its start.", character = character_name(character))
    } else {
        // Spaces between words are visible: the text is something else than an address.
        let character = text.chars().find(|character| is_invisible(*character) && *character != ' ')?;
        message!("{path} contains {character}.", character = character_name(character))
    };
    let expression = if trim_invisible(text).chars().any(is_invisible) {
        format!("{access}.replace(/[\\s\\xAD\\u200B-\\u200F\\u2060\\uFEFF]/g, \"\")", access = access(path))
    } else {
        // The mapping removes invisible characters around addresses.
        format!("{}.trim()", access(path))
    };
    Some((message, message!("Remove it, or map the attribute: --map {rule}.", rule = rule(&expression, path))))
}

/// Returns the message for a text that is not an e-mail address, and a hint.
pub(super) fn email(text: &str, path: &str) -> (Message, Option<Message>) {
    if let Some((message, hint)) = invisible(text, path) {
        return (message, Some(hint));
    }
    let foreign = text.chars().find(|character| !character.is_ascii());
    let message = match foreign {
        Some(_) if text.matches('@').count() == 1 => {
            message!(
                "{path} is not an e-mail address for Auth0: it contains a letter with an accent or of another alphabet."
            )
        }
        _ => message!("{path} is not an e-mail address."),
    };
    let is_domain = foreign.is_some_and(|_| text.rsplit_once('@').is_some_and(|(local, _)| local.is_ascii()));
    let hint = if is_domain {
        Some(message!("Write the domain in its ASCII form, which starts with xn--."))
    } else if foreign.is_some() {
        Some(message!("Auth0 imports addresses of ASCII characters only: correct the address, or leave the user out."))
    } else if text.contains([';', ',']) {
        Some(message!("Write one address; others can be kept in user_metadata."))
    } else if text.contains('<') && text.contains('>') {
        let expression = format!("{}.replace(/^.*<|>.*$/g, \"\")", access(path));
        Some(message!("Write the address without the name, or map it: --map {rule}.", rule = rule(&expression, path)))
    } else {
        None
    };
    (message, hint)
}

/// Returns the hint for a text that is not a phone number in E.164 form.
pub(super) fn phone(text: &str, path: &str) -> Message {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if is_scientific(text) {
        return message!(
            "A spreadsheet has shortened the number, and its last digits are lost: format the column as text in the \
             spreadsheet, and enter the numbers again."
        );
    }
    if let Some((_, hint)) = invisible(text, path).filter(|_| trim_invisible(text).len() < text.len()) {
        return hint;
    }
    if text.starts_with("00") && digits == text.len() {
        let expression = format!("{}.replace(/^00/, \"+\")", access(path));
        return message!("Write + in place of 00, or map it: --map {rule}.", rule = rule(&expression, path));
    }
    if text.starts_with('0') {
        return message!(
            "The number is a national one: write it as + with the code of its country and at most 15 digits, for \
             example +12125550001."
        );
    }
    if digits == text.len() && (7..=15).contains(&digits) {
        let expression = format!("{}.replace(/^/, \"+\")", access(path));
        return message!(
            "The + is missing, which spreadsheets remove unless the column is formatted as text. If the numbers start \
             with the code of their country, map them: --map {rule}.",
            rule = rule(&expression, path)
        );
    }
    if text.starts_with('+') && (7..=15).contains(&digits) {
        let expression = format!("{}.replace(/[^+0-9]/g, \"\")", access(path));
        return message!(
            "Write it as + and at most 15 digits without spaces and punctuation, or map it: --map {rule}.",
            rule = rule(&expression, path)
        );
    }
    message!("Write it as + and at most 15 digits, for example +12125550001.")
}

/// Returns the hint for a text in place of true or false.
pub(super) fn boolean(text: &str, path: &str) -> Message {
    if parse_boolean_word(text.trim()).is_some() {
        return message!(
            "Write true or false without quotes, or let the mapping convert it: --map {rule}.",
            rule = rule(&format!("user.{path}"), path)
        );
    }
    let mut words: Vec<String> = Vec::new();
    for (yes, no) in BOOLEAN_WORDS.iter().filter(|(yes, _)| yes.len() > 1 || !yes.starts_with(char::is_alphabetic)) {
        words.push(format!("{yes}/{no}"));
    }
    message!("Cells and mapped values may be {words}.", words = words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_of_addresses_are_named_with_the_rule_that_removes_them() {
        for (text, named, map) in [
            ("ada@example.com ", "a space at its end", "'user.email.trim()=email'"),
            ("\u{a0}ada@example.com", "a no-break space (U+00A0) at its start", "'user.email.trim()=email'"),
            ("ada@example.com\u{200b}", "a zero-width space (U+200B) at its end", "'user.email.trim()=email'"),
            ("ada@exa\u{200d}mple.com", "contains the invisible character U+200D", ".replace(/[\\s"),
        ] {
            let (message, hint) = email(text, "email");
            assert!(message.contains(named), "{message}");
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(map)), "{hint:?}");
        }
    }

    #[test]
    fn accents_and_other_forms_of_addresses_are_explained() {
        for (text, part) in [
            ("josé@example.com", "ASCII characters only"),
            ("jose@exämple.com", "xn--"),
            ("a@b.c; d@e.f", "one address"),
            ("Ada <ada@example.com>", "without the name"),
        ] {
            let (message, hint) = email(text.replace(' ', "").as_str(), "email");
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(part)), "{text}: {message} {hint:?}");
        }
        assert!(email("josé@example.com", "email").0.contains("accent"));
        assert_eq!(email("ada", "email").1, None);
        let (message, hint) = email("no address", "email");
        assert_eq!((message.to_string().as_str(), hint), ("email is not an e-mail address.", None));
    }

    #[test]
    fn damaged_phone_numbers_are_explained() {
        for (text, part) in [
            ("4.91711E+11", "spreadsheet has shortened"),
            ("491711234567", "The + is missing"),
            ("0171 1234567", "national"),
            ("00491711234567", "in place of 00"),
            ("+49 171 1234567", "without spaces"),
            ("+12125550001 ", "user.phone_number?.trim()"),
            ("none", "at most 15 digits"),
        ] {
            assert!(phone(text, "phone_number").contains(part), "{text}: {}", phone(text, "phone_number"));
        }
    }

    #[test]
    fn attributes_are_read_so_that_rows_without_them_have_no_error() {
        assert_eq!(access("phone_number"), "user.phone_number?");
        assert_eq!(access("mfa_factors[0].phone.value"), "user.mfa_factors?.[0]?.phone?.value?");
    }

    #[test]
    fn accepted_words_are_listed() {
        assert!(boolean("maybe", "blocked").contains("true/false, yes/no, 1/0, on/off, ja/nein"));
        assert!(boolean("Ja", "blocked").contains("--map 'user.blocked=blocked'"));
    }
}
