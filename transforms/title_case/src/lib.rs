//! The transform `title_case`.

use icu_casemap::TitlecaseMapper;
use icu_locale_core::LanguageIdentifier;
use transforms_sdk::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

/// Writes each word with a capital and the rest of it in small letters.
///
/// Words and letters are Unicode's, for every script that has capitals: `ǆ` becomes `ǅ`, `ß` at the start `Ss`.
/// A hyphen divides words, an apostrophe within one does not: `jean-luc o'neil` becomes `Jean-Luc O'neil`. The
/// rules of single languages (the Turkish dotted i, the Dutch ij) are not applied. Nothing gives nothing.
#[transform(
    example(r#"title_case("ada LOVELACE")"# => "Ada Lovelace"),
    example(r#"title_case("jean-luc")"# => "Jean-Luc"),
)]
pub fn title_case(
    /// The text.
    text: Option<&str>,
) -> Option<String> {
    let text = text?;
    let mapper = TitlecaseMapper::new();
    let mut written = String::with_capacity(text.len());
    for word in text.split_word_bounds() {
        written.push_str(&mapper.titlecase_segment_to_string(word, &LanguageIdentifier::UNKNOWN, Default::default()));
    }
    Some(written)
}
