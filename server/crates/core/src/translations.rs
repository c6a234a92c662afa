//! The translations of `server/locales`: one directory per language, with one file for each crate. A file is a JSON
//! object of translations by English template.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::language::Language;

/// The files of a language.
macro_rules! files {
    ($language:literal: $($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../../locales/", $language, "/", $name, ".json"))),*]
    };
}

const GERMAN_FILES: &[&str] = files!(
    "de": "access", "auth0", "core", "export", "expression", "import", "jobs", "pages", "query", "records", "sandbox", "sources", "store", "web"
);

static GERMAN: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let files = GERMAN_FILES.iter();
    files.flat_map(|file| serde_json::from_str::<HashMap<String, String>>(file).unwrap_or_default()).collect()
});

/// Returns the translation of a template; `None` for English and for an untranslated template.
pub fn translation(language: Language, template: &str) -> Option<&'static str> {
    match language {
        Language::English => None,
        Language::German => GERMAN.get(template).map(String::as_str),
    }
}

/// Returns all templates with a translation.
pub fn translated_templates(language: Language) -> Vec<(&'static str, &'static str)> {
    match language {
        Language::English => Vec::new(),
        Language::German => GERMAN.iter().map(|(template, text)| (template.as_str(), text.as_str())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_an_object_of_texts() {
        for file in GERMAN_FILES {
            serde_json::from_str::<HashMap<String, String>>(file).expect("an object of texts");
        }
    }
}
