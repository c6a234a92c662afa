//! The texts of the scripts (`server/locales/<language>/scripts.json`) are complete in every language, and all are used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uie_core::language::Language;
use uie_core::translations::script_texts;

use crate::files::root;
use crate::messages::placeholders;

/// The names of plural forms (Unicode CLDR).
const PLURAL_FORMS: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];

/// A text.
struct Text {
    /// The only form, or the plural forms by name.
    forms: Vec<(String, String)>,
    is_plural: bool,
}

impl Text {
    /// Returns the placeholders. Every text with plural forms has `count`, which a form may leave out.
    fn placeholders(&self) -> BTreeSet<String> {
        let names = self.forms.iter().flat_map(|(_, form)| placeholders(form));
        names.chain(self.is_plural.then(|| "count".to_owned())).collect()
    }
}

/// Adds the texts of a group to `found`, by key.
fn collect(value: &Value, key: &str, found: &mut BTreeMap<String, Text>) {
    match value {
        Value::String(text) => {
            found.insert(key.to_owned(), Text { forms: vec![(String::new(), text.clone())], is_plural: false });
        }
        Value::Object(members) if members.get("other").is_some_and(Value::is_string) => {
            let forms = members.iter().map(|(name, form)| (name.clone(), form.as_str().unwrap_or_default().to_owned()));
            found.insert(key.to_owned(), Text { forms: forms.collect(), is_plural: true });
        }
        Value::Object(members) => {
            for (name, inner) in members {
                collect(inner, &if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, found);
            }
        }
        _ => panic!("{key} is not a text: {value}"),
    }
}

/// Returns the texts of a language by key.
fn texts(language: Language) -> BTreeMap<String, Text> {
    let mut found = BTreeMap::new();
    collect(script_texts(language), "", &mut found);
    found
}

/// Returns the keys that a script uses: what follows `texts.`.
fn used_keys(source: &str) -> Vec<String> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let code = source.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])).collect::<Vec<_>>().join("\n");
    let mut keys = Vec::new();
    for (at, word) in code.match_indices("texts") {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let is_member = after.starts_with('.') && after[1..].starts_with(is_name);
        if before.ends_with(|last| is_name(last) || "./".contains(last)) || !is_member {
            continue;
        }
        let key: String = after[1..].chars().take_while(|next| is_name(*next) || *next == '.').collect();
        keys.push(key.trim_end_matches('.').to_owned());
    }
    keys
}

/// Returns the keys that all scripts use.
fn keys_of_the_scripts() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("server/assets/js")).expect("the scripts") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name != "texts.js") {
            keys.extend(used_keys(&std::fs::read_to_string(path).expect("a script")));
        }
    }
    keys
}

#[test]
fn every_language_has_the_same_script_texts_with_the_same_values() {
    let english = texts(Language::ENGLISH);
    assert!(english.len() > 300);
    for language in Language::all() {
        let others = texts(*language);
        let keys = |texts: &BTreeMap<String, Text>| texts.keys().cloned().collect::<BTreeSet<_>>();
        let different: Vec<_> = keys(&english).symmetric_difference(&keys(&others)).cloned().collect();
        assert!(different.is_empty(), "in one of en and {} only: {different:#?}", language.tag());
        for (key, text) in &others {
            assert_eq!(text.is_plural, english[key].is_plural, "{key} has plural forms in one language only");
            assert_eq!(text.placeholders(), english[key].placeholders(), "{key}");
            for (name, form) in &text.forms {
                assert!(!form.trim().is_empty(), "{key} is empty");
                assert!(!text.is_plural || PLURAL_FORMS.contains(&name.as_str()), "{key}: {name} is no plural form");
            }
        }
    }
}

#[test]
fn scripts_use_every_text_and_no_other() {
    let (english, used) = (texts(Language::ENGLISH), keys_of_the_scripts());
    // Members of a group may be selected by a value, but not members of the whole section of a page.
    let is_group = |key: &str| key.contains('.') && english.keys().any(|name| name.starts_with(&format!("{key}.")));
    let unknown: Vec<_> = used.iter().filter(|key| !english.contains_key(*key) && !is_group(key)).collect();
    assert!(unknown.is_empty(), "not in server/locales/en/scripts.json: {unknown:#?}");
    let is_used =
        |name: &String| used.iter().any(|key| name == key || (is_group(key) && name.starts_with(&format!("{key}."))));
    let unused: Vec<_> = english.keys().filter(|name| !is_used(name)).collect();
    assert!(unused.is_empty(), "in server/locales, but not in a script: {unused:#?}");
}

#[test]
fn keys_are_found_in_code() {
    let source =
        "import { texts } from './texts.js';\n// texts.a.b\nf(texts.job.status[x], texts.time.now)\ng(mytexts.a.c)";
    assert_eq!(used_keys(source), ["job.status", "time.now"]);
}
