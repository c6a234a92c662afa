//! A key of the settings table, and searches in the table.

/// A key of the settings table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The environment variable and TOML key.
    pub name: &'static str,
    /// The expected value, as a phrase after "expected".
    pub expected: &'static str,
    /// The default, in the syntax of the setting; empty without a default.
    pub default: &'static str,
    /// What applies without a value if there is no default, as Markdown; mostly empty.
    pub fallback: &'static str,
    /// The description in the README, as Markdown.
    pub description: &'static str,
    /// Names of settings that begin with this belong to this program; empty for no names. Unknown environment variables
    /// with one of these prefixes are treated as misspelled settings.
    pub prefix: &'static str,
    /// Whether the value is hidden in messages.
    pub secret: bool,
}

impl Key {
    /// A key without texts; the table sets those that a key has.
    pub(super) const EMPTY: Self =
        Self { name: "", expected: "", default: "", fallback: "", description: "", prefix: "", secret: false };
}

/// The keys of the secrets for transforms. Their names are free, so they are not in the table.
pub const NAMED_SECRETS: Key = Key {
    name: "SECRET_<NAME>",
    expected: "a secret for transforms",
    description: "named secrets for transforms",
    secret: true,
    ..Key::EMPTY
};

/// Prefix of [`NAMED_SECRETS`].
pub(super) const NAMED_SECRET_PREFIX: &str = "SECRET_";

/// Suffix of a key whose value is the path of a file.
pub(super) const FILE_SUFFIX: &str = "_FILE";

/// An unknown environment variable is also treated as misspelled if it differs by one letter from a key of at least
/// this length. Shorter keys (`PORT`, `HOST`) are too similar to variables of other programs.
const MIN_TYPO_LENGTH: usize = 8;

/// Returns the row of a key; `None` if the table does not have it.
pub(super) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// Returns whether a key can be set: it is in the table or the key of a secret for transforms.
pub(super) fn is_known(keys: &'static [Key], name: &str) -> bool {
    find(keys, name).is_some() || name.strip_prefix(NAMED_SECRET_PREFIX).is_some_and(|rest| !rest.is_empty())
}

/// Returns whether the value of a key is hidden in messages.
pub(super) fn is_secret(keys: &'static [Key], name: &str) -> bool {
    name.starts_with(NAMED_SECRET_PREFIX) || find(keys, name).is_some_and(|key| key.secret)
}

/// Returns the key whose value is in a file, for a name such as `KEY_FILE`; `None` for other names.
pub(super) fn key_of_file<'name>(keys: &'static [Key], name: &'name str) -> Option<&'name str> {
    let key = name.strip_suffix(FILE_SUFFIX)?;
    is_known(keys, key).then_some(key)
}

/// Returns whether an unknown environment variable is probably a misspelled setting.
pub(super) fn is_probably_misspelled(keys: &'static [Key], name: &str) -> bool {
    let name = name.strip_suffix(FILE_SUFFIX).unwrap_or(name);
    keys.iter().any(|key| {
        let has_prefix = !key.prefix.is_empty() && name.starts_with(key.prefix);
        has_prefix || (key.name.len() >= MIN_TYPO_LENGTH && strsim::damerau_levenshtein(key.name, name) == 1)
    })
}

/// Returns the known name that is most similar to an unknown one; `None` if none is similar.
pub(super) fn nearest_name(keys: &'static [Key], unknown: &str) -> Option<String> {
    let (bare, suffix) = unknown.strip_suffix(FILE_SUFFIX).map_or((unknown, ""), |bare| (bare, FILE_SUFFIX));
    keys.iter()
        .map(|known| (strsim::damerau_levenshtein(known.name, bare), known.name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .map(|(_, name)| format!("{name}{suffix}"))
}

/// Returns the message about a key without a value.
pub(super) fn missing(keys: &'static [Key], name: &str) -> String {
    let expected = find(keys, name).map_or("a value", |key| key.expected);
    format!("{name} is not set: expected {expected}")
}
