//! The values and sources of settings, for `validate-config`.

use std::fmt;

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The environment of the process.
    Environment,
    /// The TOML file of this name.
    Toml(String),
    /// The file that this setting names, such as `PORT_FILE`.
    ValueFile(String),
    /// The default of the setting.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => formatter.write_str("environment"),
            Self::Toml(name) => write!(formatter, "file {name}"),
            Self::ValueFile(name) => formatter.write_str(name),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A setting with a value, or a secret with or without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSetting {
    /// The key.
    pub name: String,
    /// The value as it is set; `(set)` or `(not set)` for a secret.
    pub value: String,
    /// Where the value is from; `None` without a value.
    pub source: Option<Source>,
}
