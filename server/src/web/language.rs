//! The languages of the pages, and which one a reader wants.
//!
//! Templates hold English texts between double brackets, `[[Log out]]`; `templates/de.json` says each in
//! German. What the scripts say stands in `assets/js/texts.en.js` and `texts.de.js`. What the server says of
//! errors is English.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptLanguage, Header, Preference};

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Language {
    /// What everything is written in first.
    #[default]
    English,
    /// German.
    German,
}

/// Where the choice of a reader is kept; the pages' scripts write it.
const COOKIE: &str = "user-import-export-language";

/// German texts by the English ones.
static GERMAN: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../templates/de.json")).unwrap_or_default());

impl Language {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its tag, as in `<html lang>`.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What it calls itself.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// The language of a tag such as `de-AT`.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// What a reader has chosen, or else what their browser prefers.
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

    /// A text of the templates in this language; the English one where nobody has translated it.
    pub(super) fn text(self, english: &str) -> &str {
        match self {
            Self::English => english,
            Self::German => GERMAN.get(english).map_or(english, String::as_str),
        }
    }

    /// A template with its texts in this language.
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

    fn wanted(cookie: Option<&str>, accepted: Option<&str>) -> Language {
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
    fn a_choice_wins_over_what_the_browser_prefers_and_english_is_for_everybody_else() {
        assert_eq!(wanted(None, None), Language::English);
        assert_eq!(wanted(None, Some("de-AT,en;q=0.5")), Language::German);
        assert_eq!(wanted(None, Some("fr, de;q=0.4, en;q=0.7")), Language::English);
        assert_eq!(wanted(None, Some("fr, de;q=0.4, *;q=0.1")), Language::German);
        assert_eq!(wanted(None, Some("fr")), Language::English);
        assert_eq!(wanted(Some("en"), Some("de")), Language::English);
        assert_eq!(wanted(Some("de"), Some("en")), Language::German);
        assert_eq!(wanted(Some("<b>"), Some("de")), Language::German);
    }

    /// The texts between brackets of every template.
    fn marked() -> Vec<String> {
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
    fn every_text_of_the_templates_is_translated_and_no_translation_is_left_over() {
        let marked = marked();
        assert!(marked.len() > 100);
        // The menu's, which stand in the code.
        let menu = ["Import", "Export", "History", "Transforms"];
        for text in marked.iter().map(String::as_str).chain(menu) {
            assert!(GERMAN.contains_key(text), "{text:?} is not translated");
        }
        for text in GERMAN.keys() {
            assert!(marked.contains(text) || menu.contains(&text.as_str()), "{text:?} is in no template");
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
