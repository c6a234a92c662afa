//! The translations of the server's messages, and the texts of the scripts, from `server/locales`.

use serde_json::Value;

use crate::language::Language;
use crate::locales::LOCALES;

/// Returns the translation of a template; `None` for English and for an untranslated template.
pub fn translation(language: Language, template: &str) -> Option<&'static str> {
    if language == Language::ENGLISH {
        return None;
    }
    LOCALES.get(language.tag())?.templates.get(template).map(String::as_str)
}

/// Returns all templates with a translation.
pub fn translated_templates(language: Language) -> Vec<(&'static str, &'static str)> {
    let locale = LOCALES.get(language.tag()).into_iter();
    locale.flat_map(|locale| &locale.templates).map(|(template, text)| (template.as_str(), text.as_str())).collect()
}

/// Returns the texts of the scripts by key: texts, their plural forms (an object with the member `other`), and groups
/// of these.
pub fn script_texts(language: Language) -> &'static Value {
    LOCALES.get(language.tag()).map_or(&Value::Null, |locale| &locale.scripts)
}
