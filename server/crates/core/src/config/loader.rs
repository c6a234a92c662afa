//! Collects the values of settings from their sources, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::key::{self, FILE_SUFFIX, Key, NAMED_SECRET_PREFIX};
use super::listing::{ListedSetting, Source};
use super::value_file;
use crate::error::{Code, Error, Result};
use crate::message::Message;

/// Keys that the extension platform or its tools set and that this server does not use
/// (docs/auth0/extension.md#configuration-values).
const IGNORED_KEYS: &[&str] = &["AUTH0_SCOPES", "AUTH0_CUSTOM_DOMAIN", "EXTENSION_CLIENT_ID"];

/// A value and where it is from.
struct Value {
    text: String,
    source: Source,
}

/// Collects the values of all sources, and what is wrong with them.
pub(super) struct SettingsLoader {
    keys: &'static [Key],
    values: BTreeMap<String, Value>,
    /// Path of the value by key, for values that are in a file.
    value_files: BTreeMap<String, PathBuf>,
    problems: Vec<String>,
    notices: Vec<String>,
}

impl SettingsLoader {
    /// Returns a loader for the keys of a table.
    pub(super) fn new(keys: &'static [Key]) -> Self {
        Self { keys, values: BTreeMap::new(), value_files: BTreeMap::new(), problems: Vec::new(), notices: Vec::new() }
    }

    /// Adds the values of a TOML file. Fails if it is not TOML.
    pub(super) fn read_toml(&mut self, name: &str, text: &str) -> Result<()> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let message = Message::verbatim(format!("{name}: {}", error.to_string().trim_end()));
            Error::new(Code::InvalidSettings, message)
        })?;
        let mut read = Vec::new();
        for (key, value) in table {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(boolean) => boolean.to_string(),
                toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
                    items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(",")
                }
                _ => {
                    self.problems.push(format!("{key} in {name}: expected a string, a number or a boolean"));
                    continue;
                }
            };
            if self.is_known_or_file(&key) {
                read.push((key, value));
            } else {
                self.report_unknown(&key, &format!(" in {name}"));
            }
        }
        self.insert(read, &Source::Toml(name.to_owned()));
        Ok(())
    }

    /// Adds the settings among the variables.
    pub(super) fn read_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        let mut read = Vec::new();
        for (key, value) in environment {
            if self.is_known_or_file(&key) {
                read.push((key, value));
            } else if key::is_probably_misspelled(self.keys, &key) && !IGNORED_KEYS.contains(&key.as_str()) {
                self.report_unknown(&key, "");
            }
        }
        self.insert(read, &Source::Environment);
    }

    fn is_known_or_file(&self, name: &str) -> bool {
        key::is_known(self.keys, name) || key::key_of_file(self.keys, name).is_some()
    }

    fn report_unknown(&mut self, key: &str, place: &str) {
        let hint = key::nearest_name(self.keys, key).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        self.problems.push(format!("{key}{place} is not a setting{hint}"));
    }

    /// Adds the values of one source. Each replaces the value or file of the same key from an earlier source.
    fn insert(&mut self, read: Vec<(String, String)>, source: &Source) {
        let place = match source {
            Source::Toml(name) => format!(" in {name}"),
            _ => String::new(),
        };
        let keys = self.keys;
        let (files, values): (Vec<_>, Vec<_>) =
            read.into_iter().partition(|(name, _)| key::key_of_file(keys, name).is_some());
        let is_set = |value: &str| !value.trim().is_empty();
        for (name, path) in &files {
            let Some(key) = key::key_of_file(keys, name) else { continue };
            if is_set(path) && values.iter().any(|(other, value)| other == key && is_set(value)) {
                self.problems.push(format!("{key} and {name} are both set{place}: expected one of them"));
            }
        }
        for (key, text) in values {
            self.value_files.remove(&key);
            self.values.insert(key, Value { text, source: source.clone() });
        }
        for (name, path) in files {
            if let Some(key) = key::key_of_file(keys, &name).filter(|_| is_set(&path)) {
                self.values.remove(key);
                self.value_files.insert(key.to_owned(), PathBuf::from(path.trim()));
            }
        }
    }

    /// Reads the values that are in files. Called after all sources.
    pub(super) fn read_value_files(&mut self) {
        for (key, path) in std::mem::take(&mut self.value_files) {
            let name = format!("{key}{FILE_SUFFIX}");
            let is_secret = key::is_secret(self.keys, &key);
            // The path may be a secret that was set here by mistake, so it is not logged.
            let shown = if is_secret { name.clone() } else { format!("{name} {}", path.display()) };
            match value_file::read(&path) {
                Ok(value) => {
                    if value.is_accessible_to_others && is_secret {
                        self.notices.push(value_file::exposure_warning(&name));
                    }
                    self.values.insert(key, Value { text: value.text, source: Source::ValueFile(name) });
                }
                Err(why) => self.problems.push(format!("{shown}: {why}")),
            }
        }
    }

    /// Returns the parsed value, or the default if it is not set. Reports an invalid value and returns the default.
    pub(super) fn with_default<T>(&mut self, key: &Key, parse: impl Fn(&str) -> Option<T>) -> T {
        let default = || parse(key.default).unwrap_or_else(|| panic!("the default of {} is not valid", key.name));
        self.optional(key, &parse).unwrap_or_else(default)
    }

    /// Returns the parsed value. `None` if it is not set, or is invalid, which is reported.
    pub(super) fn optional<T>(&mut self, key: &Key, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(key)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let shown = if key.secret { "(hidden)".to_owned() } else { format!("{text:?}") };
            self.problems.push(format!("{} is {shown}: expected {}", key.name, key.expected));
        }
        parsed
    }

    /// Returns the items of a value that is separated by commas.
    pub(super) fn list(&mut self, key: &Key) -> Vec<String> {
        let text = self.text(key).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// Returns a secret; `None` if it is empty or not set.
    pub(super) fn secret(&mut self, key: &Key) -> Option<SecretString> {
        self.text(key).map(SecretString::from)
    }

    /// Returns the secrets for transforms by name.
    pub(super) fn named_secrets(&self) -> BTreeMap<String, SecretString> {
        self.set_named_secrets()
            .map(|(name, value)| (name.to_owned(), SecretString::from(value.text.as_str())))
            .collect()
    }

    /// Returns the settings that are set or have a default, and all secrets.
    pub(super) fn listing(&self) -> Vec<ListedSetting> {
        let source = |name: &str| self.values.get(name).map(|value| value.source.clone());
        let of_table = self.keys.iter().filter_map(|key| {
            let name = key.name.to_owned();
            match self.text(key) {
                text if key.secret => {
                    let value = if text.is_some() { "(set)" } else { "(not set)" };
                    let source = text.and_then(|_| source(key.name));
                    Some(ListedSetting { name, value: value.to_owned(), source })
                }
                Some(text) => Some(ListedSetting { name, value: text.to_owned(), source: source(key.name) }),
                None if key.default.is_empty() => None,
                None => Some(ListedSetting { name, value: key.default.to_owned(), source: Some(Source::Default) }),
            }
        });
        let named_secrets = self.set_named_secrets().map(|(name, value)| ListedSetting {
            name: format!("{NAMED_SECRET_PREFIX}{name}"),
            value: "(set)".to_owned(),
            source: Some(value.source.clone()),
        });
        of_table.chain(named_secrets).collect()
    }

    fn set_named_secrets(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().filter_map(|(key, value)| Some((key.strip_prefix(NAMED_SECRET_PREFIX)?, value)))
    }

    /// Returns whether a key of the table is set, to a valid value or not.
    pub(super) fn is_set(&self, name: &str) -> bool {
        key::find(self.keys, name).is_some_and(|key| self.text(key).is_some())
    }

    /// Returns the value of a key, trimmed unless it is a secret, whose raw bytes count. `None` if it is empty or not
    /// set.
    fn text(&self, key: &Key) -> Option<&str> {
        let text = self.values.get(key.name)?.text.as_str();
        Some(if key.secret { text } else { text.trim() }).filter(|text| !text.is_empty())
    }

    /// Adds a message about values that do not fit together.
    pub(super) fn report(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Reports a required setting without a value, unless its value is already reported.
    pub(super) fn require(&mut self, name: &str, is_set: bool) {
        let is_reported = self.problems.iter().any(|problem| problem.starts_with(name));
        if !is_set && !is_reported {
            self.problems.push(key::missing(self.keys, name));
        }
    }

    /// Returns the warnings about files so far, and forgets them.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Fails with all problems if there are any.
    pub(super) fn finish(self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Error::new(Code::InvalidSettings, Message::verbatim(self.problems.join("\n"))))
    }
}
