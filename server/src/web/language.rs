//! The languages of the pages, and the choice of the language for a request.
//!
//! Templates contain English texts between double brackets, `[[Log out]]`; `templates/de.json` has their German
//! translations. The texts of the scripts are in `assets/js/texts.en.js` and `texts.de.js`. Error messages of the
//! server are English.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptLanguage, Header, Preference};

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    /// English, the language of the templates.
    #[default]
    English,
    /// German.
    German,
}

/// Cookie with the user's choice, which the pages' scripts write.
const COOKIE: &str = "user-import-export-language";

/// German translations by English text.
static GERMAN: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../templates/de.json")).unwrap_or_default());

impl Language {
    /// All languages.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Returns its tag, as in `<html lang>`.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// Returns its name in the language itself.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Returns the language of a tag such as `de-AT`; `None` if it is not supported.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// Returns the user's choice, or else the browser's preference, or else English.
    pub(super) fn of_request(request: &HttpRequest) -> Self {
        let chosen = request.cookie(COOKIE).and_then(|cookie| Self::of_tag(cookie.value()));
        chosen.or_else(|| Self::preferred(request)).unwrap_or_default()
    }

    fn preferred(request: &HttpRequest) -> Option<Self> {
        let accepted = AcceptLanguage::parse(request).ok()?;
        accepted.ranked().into_iter().find_map(|preference| match preference {
            Preference::Specific(tag) => Self::of_tag(tag.as_str()),
            Preference::Any => Some(Self::default()),
        })
    }

    /// Returns the translation of a text of the templates, or the English text if it is not translated.
    pub(super) fn text(self, english: &str) -> &str {
        match self {
            Self::English => english,
            Self::German => GERMAN.get(english).map_or(english, String::as_str),
        }
    }

    /// Returns a template with its texts in this language.
    pub(super) fn translate(self, template: &str) -> String {
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("[[") {
            let Some((text, after)) = after.split_once("]]") else { break };
            out.push_str(before);
            out.push_str(self.text(text));
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use actix_web::cookie::Cookie;
    use actix_web::http::header::ACCEPT_LANGUAGE;
    use actix_web::test::TestRequest;

    use super::*;

    fn language_of(cookie: Option<&str>, accepted: Option<&str>) -> Language {
        let mut request = TestRequest::get();
        if let Some(value) = cookie {
            request = request.cookie(Cookie::new(COOKIE, value.to_owned()));
        }
        if let Some(value) = accepted {
            request = request.insert_header((ACCEPT_LANGUAGE, value));
        }
        Language::of_request(&request.to_http_request())
    }

    #[test]
    fn the_users_choice_precedes_the_browsers_preference_and_english_is_the_default() {
        assert_eq!(language_of(None, None), Language::English);
        assert_eq!(language_of(None, Some("de-AT,en;q=0.5")), Language::German);
        assert_eq!(language_of(None, Some("fr, de;q=0.4, en;q=0.7")), Language::English);
        assert_eq!(language_of(None, Some("fr, de;q=0.4, *;q=0.1")), Language::German);
        assert_eq!(language_of(None, Some("fr")), Language::English);
        assert_eq!(language_of(Some("en"), Some("de")), Language::English);
        assert_eq!(language_of(Some("de"), Some("en")), Language::German);
        assert_eq!(language_of(Some("<b>"), Some("de")), Language::German);
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
        for text in in_templates.iter().map(String::as_str).chain(menu) {
            assert!(GERMAN.contains_key(text), "{text:?} is not translated");
        }
        for text in GERMAN.keys() {
            assert!(in_templates.contains(text) || menu.contains(&text.as_str()), "{text:?} is not in a template");
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
        for (english, german) in GERMAN.iter() {
            assert_eq!(parts(english, '<', '>'), parts(german, '<', '>'), "{english}");
            assert_eq!(parts(english, '{', '}'), parts(german, '{', '}'), "{english}");
        }
    }
}
