//! Texts for users that are translated where they are shown.
//!
//! The code writes English: `message!("There is no guide {name}.")`. A [`Message`] keeps the template and its values.
//! [`Message::in_language`] replaces the template by its translation (`server/locales`); `Display` is English.

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::language::Language;
use crate::translations::translation;

pub use uie_message_macros::message;

/// Member of a stored message with its template.
const TEMPLATE_MEMBER: &str = "$message";

/// Member of a stored message with its values.
const VALUES_MEMBER: &str = "values";

/// A text for users: an English template with values, or a text that is not translated.
///
/// Serialized as its English text. [`Message::to_stored`] keeps template and values; both forms can be deserialized.
#[derive(Clone)]
pub struct Message(Repr);

#[derive(Clone)]
enum Repr {
    /// A text that is the same in every language.
    Verbatim(Box<str>),
    /// A template without values.
    Template(&'static str),
    /// A template with values, or one that was read from a file. Boxed to keep errors small.
    Filled(Box<Filled>),
}

#[derive(Clone)]
struct Filled {
    template: Cow<'static, str>,
    values: Vec<(Cow<'static, str>, Value)>,
}

/// A value in a message.
#[derive(Clone)]
pub enum Value {
    /// A text that is the same in every language, for example a name or a number.
    Text(String),
    /// A message that is translated with the one that contains it.
    Message(Message),
}

/// A reference to a value of [`message!`]. A message becomes [`Value::Message`], everything else [`Value::Text`].
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a, T: ?Sized>(pub &'a T);

impl Argument<'_, Message> {
    /// Returns the message as a value. An inherent method precedes that of [`DisplayArgument`].
    pub fn value(&self) -> Value {
        Value::Message(self.0.clone())
    }
}

impl Argument<'_, &Message> {
    /// Returns the message as a value.
    pub fn value(&self) -> Value {
        Value::Message(self.0.to_owned().to_owned())
    }
}

/// The value of what is not a message.
pub trait DisplayArgument {
    /// Returns the displayed text as a value.
    fn value(&self) -> Value;
}

impl<T: fmt::Display + ?Sized> DisplayArgument for Argument<'_, T> {
    fn value(&self) -> Value {
        Value::Text(self.0.to_string())
    }
}

impl Message {
    /// Creates a message. Use [`message!`], which names the values of the template.
    pub fn new(template: &'static str, values: Vec<(&'static str, Value)>) -> Self {
        if values.is_empty() && !template.contains(['{', '}']) {
            return Self(Repr::Template(template));
        }
        let values = values.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        Self(Repr::Filled(Box::new(Filled { template: Cow::Borrowed(template), values })))
    }

    /// Creates a message without values from a text of a table, such as the hint of an error code. The text must be in
    /// `server/locales`.
    pub const fn from_table(text: &'static str) -> Self {
        Self(Repr::Template(text))
    }

    /// Creates a message from a text that is the same in every language: from a transform, Auth0 or a library.
    pub fn verbatim(text: impl Into<String>) -> Self {
        Self(Repr::Verbatim(text.into().into_boxed_str()))
    }

    /// Returns the text in a language. Templates without translation stay English.
    pub fn in_language(&self, language: Language) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(language, &mut text);
        text
    }

    /// Returns whether the English text contains a part.
    pub fn contains(&self, part: &str) -> bool {
        self.to_string().contains(part)
    }

    /// Returns a JSON value that keeps template and values, to be translated after it was stored.
    pub fn to_stored(&self) -> serde_json::Value {
        let (template, values): (&str, &[_]) = match &self.0 {
            Repr::Verbatim(text) => return serde_json::Value::String(text.to_string()),
            Repr::Template(template) => (template, &[]),
            Repr::Filled(filled) => (&filled.template, &filled.values),
        };
        let values: serde_json::Map<String, serde_json::Value> = values
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) => serde_json::Value::String(text.clone()),
                    Value::Message(message) => message.to_stored(),
                };
                (name.clone().into_owned(), value)
            })
            .collect();
        let mut stored = serde_json::Map::new();
        stored.insert(TEMPLATE_MEMBER.to_owned(), template.into());
        if !values.is_empty() {
            stored.insert(VALUES_MEMBER.to_owned(), values.into());
        }
        stored.into()
    }

    /// Returns the message of [`Message::to_stored`], or an untranslated one for a string; `None` for other values.
    pub fn from_stored(stored: &serde_json::Value) -> Option<Self> {
        let members = match stored {
            serde_json::Value::String(text) => return Some(Self::verbatim(text.as_str())),
            serde_json::Value::Object(members) => members,
            _ => return None,
        };
        let template = Cow::Owned(members.get(TEMPLATE_MEMBER)?.as_str()?.to_owned());
        let values = members.get(VALUES_MEMBER).and_then(serde_json::Value::as_object);
        let values = values.into_iter().flatten().map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => Value::Text(text.clone()),
                other => Value::Message(Self::from_stored(other)?),
            };
            Some((Cow::Owned(name.clone()), value))
        });
        Some(Self(Repr::Filled(Box::new(Filled { template, values: values.collect::<Option<_>>()? }))))
    }

    fn write(&self, language: Language, out: &mut impl fmt::Write) -> fmt::Result {
        match &self.0 {
            Repr::Verbatim(text) => out.write_str(text),
            Repr::Template(template) => out.write_str(translation(language, template).unwrap_or(template)),
            Repr::Filled(filled) => filled.write(language, out),
        }
    }
}

impl Filled {
    fn write(&self, language: Language, out: &mut impl fmt::Write) -> fmt::Result {
        let mut rest = translation(language, &self.template).unwrap_or(&self.template);
        while let Some((before, from)) = rest.find(['{', '}']).map(|at| rest.split_at(at)) {
            out.write_str(before)?;
            if let Some(after) = from.strip_prefix("{{") {
                out.write_char('{')?;
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                out.write_char('}')?;
                rest = after;
            } else if let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                match self.values.iter().find(|(known, _)| known == name) {
                    Some((_, Value::Text(text))) => out.write_str(text)?,
                    Some((_, Value::Message(message))) => message.write(language, out)?,
                    None => write!(out, "{{{name}}}")?,
                }
                rest = after;
            } else {
                out.write_str(from)?;
                rest = "";
            }
        }
        out.write_str(rest)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(Language::ENGLISH, f)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.in_language(Language::ENGLISH) == other.in_language(Language::ENGLISH)
    }
}

impl Eq for Message {}

impl PartialEq<str> for Message {
    fn eq(&self, other: &str) -> bool {
        self.in_language(Language::ENGLISH) == other
    }
}

impl PartialEq<&str> for Message {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = serde_json::Value::deserialize(deserializer)?;
        Self::from_stored(&stored).ok_or_else(|| D::Error::custom("expected a message"))
    }
}

/// Serializes a message in its stored form: `#[serde(serialize_with = "serialize_stored")]`.
pub fn serialize_stored<S: Serializer>(message: &Message, serializer: S) -> Result<S::Ok, S::Error> {
    message.to_stored().serialize(serializer)
}

/// Serializes an optional message in its stored form.
pub fn serialize_stored_option<S: Serializer>(message: &Option<Message>, serializer: S) -> Result<S::Ok, S::Error> {
    message.as_ref().map(Message::to_stored).serialize(serializer)
}

/// A value with texts that can be shown in another language.
pub trait Localize {
    /// Replaces every message by its text in `language`.
    fn localize(&mut self, language: Language);
}

impl Localize for Message {
    fn localize(&mut self, language: Language) {
        *self = Self::verbatim(self.in_language(language));
    }
}

impl<T: Localize> Localize for Option<T> {
    fn localize(&mut self, language: Language) {
        if let Some(value) = self {
            value.localize(language);
        }
    }
}

impl<T: Localize> Localize for Vec<T> {
    fn localize(&mut self, language: Language) {
        for value in self {
            value.localize(language);
        }
    }
}

/// Replaces the stored messages in a document.
impl Localize for serde_json::Value {
    fn localize(&mut self, language: Language) {
        match self {
            Self::Object(members) if members.contains_key(TEMPLATE_MEMBER) => {
                if let Some(message) = Message::from_stored(self) {
                    *self = Self::String(message.in_language(language));
                }
            }
            Self::Object(members) => members.values_mut().for_each(|value| value.localize(language)),
            Self::Array(items) => items.iter_mut().for_each(|value| value.localize(language)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_displayed_like_a_formatted_text() {
        let (name, count) = ("plan", 3);
        assert_eq!(message!("There is no guide {name}."), "There is no guide plan.");
        assert_eq!(message!("{} of {total} {name:?}, {{x}}", count + 1, total = 7), "4 of 7 \"plan\", {x}");
        assert_eq!(message!("{{}}"), "{}");
        assert_eq!(message!("a {count:>3} b"), "a   3 b");
    }

    #[test]
    fn a_message_in_a_message_is_translated_with_it() {
        let inner = message!("the {text}", text = "value");
        let outer = message!("{inner}: {0}", "x");
        assert_eq!(outer, "the value: x");
        let Repr::Filled(filled) = &outer.0 else { panic!("{outer}") };
        assert!(matches!(filled.values.first(), Some((_, Value::Message(_)))));
    }

    #[test]
    fn a_stored_message_keeps_its_template_and_values() {
        let name = "a {b}";
        let inner = message!("the \"{name}\"");
        for message in [message!("x {inner} {name}"), message!("plain"), Message::verbatim("{as it is}"), inner] {
            let stored = message.to_stored();
            let read: Message = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!((read.to_stored(), read.to_string()), (stored.clone(), message.to_string()));
            assert_eq!(serde_json::to_value(&message).unwrap(), message.to_string());
            let mut document = serde_json::json!({"list": [stored, 1, null]});
            document.localize(Language::ENGLISH);
            assert_eq!(document["list"][0], message.to_string());
        }
    }

    #[test]
    fn texts_are_shown_in_the_language() {
        let hint = crate::error::Code::DiskFull.hint().map(Message::from_table).unwrap();
        let english = hint.to_string();
        assert_ne!(hint.in_language(Language::of_tag("de").expect("German")), english);
        assert_eq!(hint.in_language(Language::ENGLISH), english);
    }
}
