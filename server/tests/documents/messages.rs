//! Every text of the server for users is translated to every language, and no translation is unused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use uie_core::error::Code;
use uie_core::language::Language;
use uie_core::translations::translated_templates;

use crate::files::root;

/// Returns the template of each `message!` in a source file, as the macro passes it on: placeholders have a name and
/// no format.
fn templates(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some((_, after)) = rest.split_once("message!(") {
        rest = after;
        if let Some(literal) = string_literal(after.trim_start()) {
            found.push(normalize(&literal));
        }
    }
    found
}

/// Returns the value of the string literal at the start of a source text; `None` if it starts with something else.
fn string_literal(source: &str) -> Option<String> {
    if let Some(raw) = source.strip_prefix("r#\"") {
        return raw.split_once("\"#").map(|(text, _)| text.to_owned());
    }
    let mut rest = source.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(value),
            '\\' => match rest.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                '\n' => rest = rest.as_str().trim_start().chars(),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

fn normalize(template: &str) -> String {
    let (mut out, mut rest, mut next) = (String::new(), template, 0);
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            out.push_str(&brace[..2]);
            rest = &brace[2..];
            continue;
        }
        let (inner, after) = brace[1..].split_once('}').expect("a closed brace");
        let name = inner.split(':').next().unwrap_or_default();
        if name.is_empty() {
            out.extend(["{", &next.to_string(), "}"]);
            next += 1;
        } else {
            out.extend(["{", name, "}"]);
        }
        rest = after;
    }
    out + rest
}

/// Returns the placeholders of a template, sorted.
pub(crate) fn placeholders(template: &str) -> Vec<String> {
    let text = template.replace("{{", "").replace("}}", "");
    let mut names: Vec<String> =
        text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

/// Returns whether a template has words of its own.
fn has_words(template: &str) -> bool {
    let mut text = template.to_owned();
    for name in placeholders(template) {
        text = text.replace(&format!("{{{name}}}"), "");
    }
    text.chars().any(char::is_alphabetic)
}

/// Directories whose texts are shown in a terminal only: the command line is English.
const ENGLISH_ONLY: &[&str] = &["server/src/cli", "server/crates/core/src/config", "server/crates/message-macros"];

fn collect(directory: &Path, found: &mut BTreeSet<String>) {
    if ENGLISH_ONLY.iter().any(|path| directory == root().join(path)) {
        return;
    }
    for entry in std::fs::read_dir(directory).expect("the source can be read") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "tests" {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            let source = std::fs::read_to_string(&path).expect("a source file");
            let shipped = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code: Vec<&str> = shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            found.extend(templates(&code.join("\n")).into_iter().filter(|template| has_words(template)));
        }
    }
}

/// Returns every text of the server that needs a translation.
fn texts_of_the_server() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(&root().join("server/src"), &mut found);
    collect(&root().join("server/crates"), &mut found);
    found.extend(Code::ALL.iter().filter_map(|code| code.hint()).map(str::to_owned));
    found
}

/// Returns the languages other than English.
fn other_languages() -> Vec<Language> {
    let others: Vec<_> = Language::all().iter().copied().filter(|language| *language != Language::ENGLISH).collect();
    assert!(!others.is_empty());
    others
}

fn translations(language: Language, file: &str) -> BTreeMap<String, String> {
    let path = root().join("server/locales").join(language.tag()).join(file);
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("an object of texts")
}

#[test]
fn every_message_is_translated_and_no_translation_is_unused() {
    let texts = texts_of_the_server();
    for language in other_languages() {
        let (tag, known) = (language.tag(), translated_templates(language));
        let known: BTreeSet<&str> = known.into_iter().map(|(template, _)| template).collect();
        let missing: Vec<&String> = texts.iter().filter(|text| !known.contains(text.as_str())).collect();
        assert!(missing.is_empty(), "not translated, add them to server/locales/{tag}: {missing:#?}");
        let pages = translations(language, "pages.json");
        let unused: Vec<&&str> =
            known.iter().filter(|text| !texts.contains(**text) && !pages.contains_key(**text)).collect();
        assert!(unused.is_empty(), "in server/locales/{tag}, but not in the code: {unused:#?}");
    }
}

#[test]
fn a_translation_has_the_placeholders_of_its_template() {
    for (template, text) in other_languages().into_iter().flat_map(translated_templates) {
        assert_eq!(placeholders(template), placeholders(text), "{template}");
    }
}

#[test]
fn files_of_a_language_do_not_contradict_each_other() {
    for language in other_languages() {
        let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
        for entry in std::fs::read_dir(root().join("server/locales").join(language.tag())).expect("the directory") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if ["language.json", "scripts.json"].contains(&name.as_str()) {
                continue;
            }
            for (template, text) in translations(language, &name) {
                if let Some((file, other)) = seen.get(&template) {
                    assert_eq!(*other, text, "{template} is translated differently in {file} and {name}");
                }
                seen.insert(template, (name.clone(), text));
            }
        }
    }
}

#[test]
fn templates_are_found_as_the_macro_sees_them() {
    let source = "message!(\"a {} {name:?} {{}} \\\n        b\") + message!(\n  r#\"\"c\"\"#)";
    assert_eq!(templates(source), ["a {0} {name} {{}} b", "\"c\""]);
    assert!(!has_words("{context}: {message}"));
}
