//! The languages in which texts are shown: English, and each language with a directory in `server/locales`.

use std::sync::LazyLock;

use crate::locales::LOCALES;

/// A language of the pages and of the messages of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(&'static str);

/// English first, the others by tag.
static ALL: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let others = LOCALES.keys().map(|tag| Language(tag)).filter(|language| *language != Language::ENGLISH);
    std::iter::once(Language::ENGLISH).chain(others).collect()
});

impl Language {
    /// English, the language in which texts are written.
    pub const ENGLISH: Self = Self("en");

    /// Returns all languages.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// Returns its tag, as in `<html lang>`.
    pub fn tag(self) -> &'static str {
        self.0
    }

    /// Returns its name in the language itself.
    pub fn name(self) -> &'static str {
        LOCALES.get(self.0).map_or(self.0, |locale| locale.name.as_str())
    }

    /// Returns the language of a tag such as `de-AT`; `None` if it is not supported.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::all().iter().copied().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::ENGLISH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_by_tag_and_named_in_themselves() {
        let german = Language::of_tag("de-AT").expect("German");
        assert_eq!((german.tag(), german.name()), ("de", "Deutsch"));
        assert_eq!(Language::of_tag("EN"), Some(Language::ENGLISH));
        assert_eq!(Language::ENGLISH.name(), "English");
        assert_eq!((Language::of_tag("xx"), Language::of_tag("")), (None, None));
        assert_eq!(Language::all().first(), Some(&Language::ENGLISH));
    }
}
