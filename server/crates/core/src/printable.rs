//! Makes untrusted text, such as the description of a transform, safe to print.
//!
//! Control characters can move the cursor of a terminal and forge log lines; bidirectional and invisible characters
//! can make a text look different from its content (CVE-2021-42574, Unicode TR 36). Such characters are either
//! rejected with [`first_hidden`], or escaped with [`line()`] and [`lines()`].

use std::borrow::Cow;
use std::fmt::Write;

/// Returns whether a character is invisible or changes how its neighbors are displayed: control and bidirectional
/// characters, line and paragraph separators, and zero-width characters.
///
/// The two joiners (U+200C, U+200D) and variation selectors are not hidden: Persian and emoji need them.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Returns the first hidden character of a single-line text.
pub fn first_hidden(text: &str) -> Option<char> {
    text.chars().find(|character| is_hidden(*character))
}

/// Returns the first hidden character of a text that may contain line breaks and tabs.
pub fn first_hidden_in_lines(text: &str) -> Option<char> {
    text.chars().find(|character| is_hidden(*character) && !is_layout(*character))
}

/// Returns the text as one line: replaces line breaks and tabs by spaces and escapes other hidden characters, as in
/// `\u{202e}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |character| is_layout(character).then_some(' '))
}

/// Returns the text with its line breaks and tabs, and other hidden characters escaped, as in `\u{202e}`.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| matches!(character, '\n' | '\t').then_some(character))
}

fn is_layout(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\t')
}

fn escape(text: &str, replacement: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if first_hidden(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !is_hidden(character) {
            escaped.push(character);
        } else if let Some(character) = replacement(character) {
            escaped.push(character);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters_are_escaped() {
        for (text, shown) in [
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\u{202e}b\u{2069}", "a\\u{202e}b\\u{2069}"),
            ("a\r\nb\tc", "a  b c"),
            ("a\u{2028}b\u{2029}c\u{85}d\u{7f}", "a\\u{2028}b\\u{2029}c\\u{85}d\\u{7f}"),
            ("a\u{61c}\u{200e}\u{200f}\u{200b}\u{feff}\u{ad}", "a\\u{61c}\\u{200e}\\u{200f}\\u{200b}\\u{feff}\\u{ad}"),
            ("x\u{e0041}", "x\\u{e0041}"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(lines("a\r\n\tb\u{1b}"), "a\\u{d}\n\tb\\u{1b}");
    }

    #[test]
    fn text_in_any_language_is_unchanged() {
        for text in ["", "Zoë 👩‍🚀 ❤️", "می‌خواهم", "שלום", "مرحبا", "日本語", "e\u{301}"]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_hidden_characters(text in any::<String>(), more in proptest::collection::vec(prop::char::range('\0', '\u{2070}'), 0..50)) {
            let text: String = text.chars().chain(more).collect();
            prop_assert_eq!(first_hidden(&line(&text)), None);
            prop_assert_eq!(first_hidden_in_lines(&lines(&text)), None);
            prop_assert!(!lines(&text).contains('\r'));
            if first_hidden(&text).is_none() {
                prop_assert_eq!(&*line(&text), text.as_str());
            }
        }
    }
}
