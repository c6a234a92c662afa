//! The files of `server/locales`: a directory per language, named by its tag.
//!
//! `language.json` has the name of the language, `scripts.json` the texts of the scripts by key. Every other file, one
//! per crate, is an object of translations by English template. English has no such files: its templates are in the
//! code.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use rust_embed::Embed;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(Embed)]
#[folder = "../../locales/"]
struct Files;

/// The texts of a language.
#[derive(Debug, Default)]
pub(crate) struct Locale {
    /// The name of the language in the language itself.
    pub(crate) name: String,
    /// The texts of the scripts.
    pub(crate) scripts: Value,
    /// Translations by English template.
    pub(crate) templates: HashMap<String, String>,
}

impl Locale {
    /// Adds the texts of a file. Ignores a file that is not as described above; tests find it.
    fn add(&mut self, file: &str, text: &[u8]) {
        match file {
            "language.json" => {
                let facts: BTreeMap<String, String> = parse(text);
                self.name = facts.get("name").cloned().unwrap_or_default();
            }
            "scripts.json" => self.scripts = parse(text),
            _ => self.templates.extend(parse::<HashMap<String, String>>(text)),
        }
    }
}

fn parse<T: DeserializeOwned + Default>(text: &[u8]) -> T {
    serde_json::from_slice(text).unwrap_or_default()
}

/// The texts of all languages by tag.
pub(crate) static LOCALES: LazyLock<BTreeMap<String, Locale>> = LazyLock::new(|| {
    let mut locales: BTreeMap<String, Locale> = BTreeMap::new();
    for path in Files::iter() {
        if let (Some((tag, name)), Some(file)) = (path.split_once('/'), Files::get(&path)) {
            locales.entry(tag.to_owned()).or_default().add(name, &file.data);
        }
    }
    locales
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_texts_of_a_language() {
        assert!(LOCALES.len() > 1);
        for path in Files::iter() {
            let file = Files::get(&path).expect("a listed file");
            let (_, name) = path.split_once('/').expect("a file in the directory of a language");
            if name == "scripts.json" {
                assert!(serde_json::from_slice::<Value>(&file.data).expect("JSON").is_object(), "{path}");
            } else {
                serde_json::from_slice::<HashMap<String, String>>(&file.data).expect("an object of texts");
            }
        }
        for (tag, locale) in &*LOCALES {
            assert!(!locale.name.is_empty() && locale.scripts.is_object(), "{tag}");
        }
    }
}
