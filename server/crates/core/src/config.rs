//! The settings (docs/decisions/0011-settings-table.md). `table.rs` has one entry for each.
//!
//! Settings come from the environment and from a TOML file with the same keys; the environment has precedence. In
//! both, `KEY_FILE` names a file that holds the value of `KEY`. A missing, unknown or invalid setting stops the
//! start. One error lists all of them, each with its key, its value (secrets are hidden) and what is expected.

mod check;
mod key;
mod listing;
mod loader;
mod parse;
mod secret_strength;
mod settings_macro;
mod table;
mod tenant_host;
#[cfg(test)]
mod tests;
mod types;
mod value_file;

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Code, Error, Result};
use crate::message::Message;
use loader::SettingsLoader;
use secret_strength::MIN_SECRET_LENGTH;
use tenant_host::is_loopback;

pub use key::{Key, NAMED_SECRETS};
pub use listing::{ListedSetting, Source};
pub use table::{KEYS, Settings};
pub use tenant_host::TenantHost;
pub use types::{Admins, ClientCredentials, LogFormat, Login, Purpose, SecretUser};

impl Settings {
    /// Reads the settings from the environment of the process and an optional TOML file.
    pub fn load(purpose: Purpose, file: Option<&Path>) -> Result<Self> {
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let Some(path) = file else {
            return Self::parse(purpose, environment, None);
        };
        let name = path.display().to_string();
        let failed = |error: std::io::Error| {
            Error::new(Code::InvalidSettings, Message::verbatim(format!("--config {name}: {error}")))
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let is_exposed = value_file::is_accessible_to_others(&std::fs::metadata(path).map_err(failed)?);
        let mut settings = Self::parse(purpose, environment, Some((&name, &text)))?;
        let holds_secret = |line: &str| {
            let key = line.split('=').next().unwrap_or_default().trim().trim_matches('"');
            key::is_secret(KEYS, key)
        };
        if is_exposed && text.lines().any(holds_secret) {
            settings.notices.push(value_file::exposure_warning(&format!("--config {name}")));
        }
        Ok(settings)
    }

    /// Reads the settings from the given variables and an optional TOML file as (name, text).
    pub fn parse(
        purpose: Purpose,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<(&str, &str)>,
    ) -> Result<Self> {
        let mut loader = SettingsLoader::new(KEYS);
        if let Some((name, text)) = file {
            loader.read_toml(name, text)?;
        }
        loader.read_environment(environment);
        loader.read_value_files();
        let mut settings = Self::read(&mut loader);
        check::check(&mut settings, purpose, &mut loader);
        loader.finish()?;
        Ok(settings)
    }

    /// Returns a message for each setting that is allowed but probably a mistake.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.notices.clone();
        let no_admins =
            self.admins.emails.is_empty() && self.admins.subjects.is_empty() && self.admins.roles.is_empty();
        if self.login == Login::Tenant && no_admins {
            warnings.push(
                "LOGIN is tenant, but none of ADMIN_EMAILS, ADMIN_SUBJECTS and ADMIN_ROLES is set: no user can sign in"
                    .into(),
            );
        }
        if self.base_url.as_ref().is_some_and(|url| url.scheme() == "http" && !is_loopback(url)) {
            warnings.push(
                "PUBLIC_WT_URL is http: browsers refuse the login cookies, and tokens are sent unencrypted".into(),
            );
        }
        if self.metrics_token.as_ref().is_some_and(|token| token.expose_secret().len() < MIN_SECRET_LENGTH) {
            warnings.push(
                "METRICS_TOKEN is short enough to be guessed: use a random string of at least 16 bytes, such as the \
                 output of `openssl rand -hex 32`"
                    .into(),
            );
        }
        warnings
    }

    /// Returns the tenant. Fails with an error that names the setting if it is not set.
    pub fn tenant(&self) -> Result<&TenantHost> {
        self.domain.as_ref().ok_or_else(|| missing("AUTH0_DOMAIN"))
    }

    /// Returns `EXTENSION_SECRET`, and the earlier secret while both are accepted. Fails if it is not set.
    pub fn extension_secrets(&self) -> Result<(&SecretString, Option<&SecretString>)> {
        let current = self.extension_secret.as_ref().ok_or_else(|| missing("EXTENSION_SECRET"))?;
        Ok((current, self.extension_secret_previous.as_ref()))
    }

    /// Returns the public base URL without a trailing slash. `listening_port` is used if no URL is set.
    pub fn base_url(&self, listening_port: u16) -> String {
        match &self.base_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", SocketAddr::new(self.host, listening_port)),
        }
    }
}

fn missing(name: &str) -> Error {
    Error::new(Code::InvalidSettings, Message::verbatim(key::missing(KEYS, name)))
}
