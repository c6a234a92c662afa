//! The choice of the language for a request, and the texts of the templates.
//!
//! Templates contain English texts between double brackets, `[[Log out]]`; `locales/<language>/pages.json` has their
//! translations.

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptLanguage, Header, Preference};

use uie_core::language::Language;
use uie_core::translations::translation;

/// Cookie with the user's choice, which the pages' scripts write.
const COOKIE: &str = "user-import-export-language";

/// Returns the user's choice, or else the browser's preference, or else English.
pub(super) fn requested_language(request: &HttpRequest) -> Language {
    let chosen = request.cookie(COOKIE).and_then(|cookie| Language::of_tag(cookie.value()));
    chosen.or_else(|| preferred_language(request)).unwrap_or_default()
}

/// Returns the language of an API request, which is that of the page that sends it, or English.
pub(super) fn accepted_language(request: &HttpRequest) -> Language {
    preferred_language(request).unwrap_or_default()
}

fn preferred_language(request: &HttpRequest) -> Option<Language> {
    let accepted = AcceptLanguage::parse(request).ok()?;
    accepted.ranked().into_iter().find_map(|preference| match preference {
        Preference::Specific(tag) => Language::of_tag(tag.as_str()),
        Preference::Any => Some(Language::default()),
    })
}

/// Returns the translation of a text of the templates, or the English text if it is not translated.
pub(super) fn translate_text(language: Language, english: &str) -> &str {
    translation(language, english).unwrap_or(english)
}

/// Returns a template with its texts in a language.
pub(super) fn translate_template(language: Language, template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("[[") {
        let Some((text, after)) = after.split_once("]]") else { break };
        out.push_str(before);
        out.push_str(translate_text(language, text));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use actix_web::cookie::Cookie;
    use actix_web::http::header::ACCEPT_LANGUAGE;
    use actix_web::test::TestRequest;

    use super::*;

    fn german() -> Language {
        Language::of_tag("de").expect("German")
    }

    /// Returns the translations of the templates, by language.
    fn translations() -> Vec<(Language, BTreeMap<String, String>)> {
        let others = Language::all().iter().filter(|language| **language != Language::ENGLISH);
        let texts = |language: Language| {
            let file = format!("{}/locales/{}/pages.json", env!("CARGO_MANIFEST_DIR"), language.tag());
            serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("an object of texts")
        };
        others.map(|language| (*language, texts(*language))).collect()
    }

    fn language_of(cookie: Option<&str>, accepted: Option<&str>) -> Language {
        let mut request = TestRequest::get();
        if let Some(value) = cookie {
            request = request.cookie(Cookie::new(COOKIE, value.to_owned()));
        }
        if let Some(value) = accepted {
            request = request.insert_header((ACCEPT_LANGUAGE, value));
        }
        requested_language(&request.to_http_request())
    }

    #[test]
    fn the_users_choice_precedes_the_browsers_preference_and_english_is_the_default() {
        assert_eq!(language_of(None, None), Language::ENGLISH);
        assert_eq!(language_of(None, Some("de-AT,en;q=0.5")), german());
        assert_eq!(language_of(None, Some("fr, de;q=0.4, en;q=0.7")), Language::ENGLISH);
        assert_eq!(language_of(None, Some("fr, de;q=0.4, *;q=0.1")), german());
        assert_eq!(language_of(None, Some("fr")), Language::ENGLISH);
        assert_eq!(language_of(Some("en"), Some("de")), Language::ENGLISH);
        assert_eq!(language_of(Some("de"), Some("en")), german());
        assert_eq!(language_of(Some("<b>"), Some("de")), german());
    }

    /// Returns the texts between double brackets of all templates.
    fn template_texts() -> Vec<String> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "html") {
                let template = std::fs::read_to_string(&path).unwrap();
                let parts = template.split("[[").skip(1);
                texts.extend(parts.map(|part| part.split_once("]]").unwrap().0.to_owned()));
            }
        }
        texts
    }

    #[test]
    fn every_template_text_is_translated_and_no_translation_is_unused() {
        let in_templates = template_texts();
        assert!(in_templates.len() > 100);
        // The labels of the menu are in the code.
        let menu = ["Import", "Export", "History", "Transforms"];
        for (language, texts) in translations() {
            for text in in_templates.iter().map(String::as_str).chain(menu) {
                assert!(texts.contains_key(text), "{text:?} is not translated to {language:?}");
            }
            for text in texts.keys() {
                assert!(in_templates.contains(text) || menu.contains(&text.as_str()), "{text:?} is not in a template");
            }
        }
    }

    #[test]
    fn markup_and_values_of_a_text_are_the_same_in_every_language() {
        let parts = |text: &str, open: char, close: char| {
            let mut parts: Vec<String> =
                text.split(open).skip(1).filter_map(|part| Some(part.split_once(close)?.0.to_owned())).collect();
            parts.sort();
            parts
        };
        for (english, text) in translations().iter().flat_map(|(_, texts)| texts) {
            assert_eq!(parts(english, '<', '>'), parts(text, '<', '>'), "{english}");
            assert_eq!(parts(english, '{', '}'), parts(text, '{', '}'), "{english}");
        }
    }
}
