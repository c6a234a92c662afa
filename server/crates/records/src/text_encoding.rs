//! Encodings by name, as a user writes them.

use encoding_rs::{Encoding, UTF_8};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

/// Names of the encodings that can be read, most used ones first.
const NAMES: [&str; 38] = [
    "UTF-8",
    "UTF-16LE",
    "UTF-16BE",
    "windows-1252",
    "windows-1250",
    "windows-1251",
    "Shift_JIS",
    "EUC-JP",
    "ISO-2022-JP",
    "GBK",
    "gb18030",
    "Big5",
    "EUC-KR",
    "KOI8-R",
    "KOI8-U",
    "macintosh",
    "x-mac-cyrillic",
    "IBM866",
    "windows-874",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "ISO-8859-2",
    "ISO-8859-3",
    "ISO-8859-4",
    "ISO-8859-5",
    "ISO-8859-6",
    "ISO-8859-7",
    "ISO-8859-8",
    "ISO-8859-8-I",
    "ISO-8859-10",
    "ISO-8859-13",
    "ISO-8859-14",
    "ISO-8859-15",
    "ISO-8859-16",
];

/// Usual names that are no labels of the Encoding Standard, in lower case without punctuation, and the encoding.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("cp932", "Shift_JIS"),
    ("windows932", "Shift_JIS"),
    ("cp936", "GBK"),
    ("windows936", "GBK"),
    ("cp949", "EUC-KR"),
    ("uhc", "EUC-KR"),
    ("cp950", "Big5"),
    ("windows950", "Big5"),
    ("cp874", "windows-874"),
    ("macroman", "macintosh"),
    ("maccyrillic", "x-mac-cyrillic"),
    ("utf8sig", "UTF-8"),
    ("utf8bom", "UTF-8"),
    ("latin9", "ISO-8859-15"),
];

/// Maximum number of names that are suggested for an unknown one.
const MAX_SUGGESTIONS: usize = 3;

/// An encoding of text. In JSON it is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextEncoding(&'static Encoding);

impl TextEncoding {
    /// UTF-8.
    pub const UTF_8: Self = Self(UTF_8);

    /// Returns the encoding with this name, which may be any label of the Encoding Standard, such as `sjis` or
    /// `latin1`. Fails for other names with `code` and a hint that lists similar names.
    pub fn parse(name: &str, code: Code) -> Result<Self> {
        Self::find(name).ok_or_else(|| {
            let shown: String = name.trim().chars().take(40).collect();
            Error::new(code, message!("The encoding {shown:?} is unknown.")).with_hint(suggest(name))
        })
    }

    fn find(name: &str) -> Option<Self> {
        let by_label = |label: &str| Encoding::for_label_no_replacement(label.trim().as_bytes());
        let plain = plain_name(name);
        let other = || OTHER_NAMES.iter().find(|(other, _)| *other == plain).map(|(_, name)| *name);
        let similar = || NAMES.iter().copied().find(|known| plain_name(known) == plain);
        let encoding = by_label(name).or_else(|| other().or_else(similar).and_then(by_label))?;
        // For binary data in requests of browsers, not for text.
        (encoding != encoding_rs::X_USER_DEFINED).then_some(Self(encoding))
    }

    /// Returns the name in the Encoding Standard.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn encoding(self) -> &'static Encoding {
        self.0
    }
}

/// Returns a name in lower case without punctuation.
fn plain_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns a hint that names the encodings with the most similar names.
fn suggest(name: &str) -> Message {
    let plain = plain_name(name);
    let distance = |known: &str| strsim::damerau_levenshtein(&plain_name(known), &plain);
    let others = OTHER_NAMES.iter().map(|(other, name)| (distance(other), *name));
    let mut names: Vec<(usize, &str)> = NAMES.iter().map(|name| (distance(name), *name)).chain(others).collect();
    names.sort_by_key(|(distance, _)| *distance);
    let mut nearest: Vec<&str> = Vec::new();
    for (_, name) in names {
        if !nearest.contains(&name) && nearest.len() < MAX_SUGGESTIONS {
            nearest.push(name);
        }
    }
    message!(
        "Similar names: {names}. Every name of the WHATWG Encoding Standard is accepted, such as UTF-8, Shift_JIS, \
         GBK, windows-1251 or macintosh.",
        names = nearest.join(", ")
    )
}

impl Serialize for TextEncoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TextEncoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::find(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown encoding {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_usual_names_are_accepted() {
        for (name, found) in [
            ("UTF-8", "UTF-8"),
            ("utf8", "UTF-8"),
            (" sjis ", "Shift_JIS"),
            ("CP932", "Shift_JIS"),
            ("Shift JIS", "Shift_JIS"),
            ("latin1", "windows-1252"),
            ("windows1251", "windows-1251"),
            ("MacRoman", "macintosh"),
            ("koi8-r", "KOI8-R"),
            ("utf-16", "UTF-16LE"),
        ] {
            assert_eq!(TextEncoding::parse(name, Code::InvalidArgument).unwrap().name(), found, "{name}");
        }
        for name in NAMES.into_iter().chain(OTHER_NAMES.map(|(_, name)| name)) {
            assert_eq!(TextEncoding::parse(name, Code::InvalidArgument).unwrap().name(), name);
        }
    }

    #[test]
    fn unknown_names_are_refused_with_similar_ones() {
        for (name, near) in [("shift-jiss", "Shift_JIS"), ("windows-1521", "windows-1251"), ("koi9", "KOI8-R")] {
            let error = TextEncoding::parse(name, Code::InvalidArgument).unwrap_err();
            assert!(error.message.contains(name), "{}", error.message);
            assert!(error.hint.unwrap().contains(near), "{name}");
        }
        for name in ["", "x-user-defined", "replacement", "hz-gb-2312"] {
            assert!(TextEncoding::parse(name, Code::InvalidArgument).is_err(), "{name}");
        }
    }

    #[test]
    fn encodings_are_stored_by_name() {
        let encoding = TextEncoding::parse("sjis", Code::InvalidArgument).unwrap();
        assert_eq!(serde_json::to_string(&encoding).unwrap(), "\"Shift_JIS\"");
        assert_eq!(serde_json::from_str::<TextEncoding>("\"Shift_JIS\"").unwrap(), encoding);
        assert!(serde_json::from_str::<TextEncoding>("\"no encoding\"").is_err());
    }
}
