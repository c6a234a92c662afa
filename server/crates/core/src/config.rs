//! The table of settings (docs/decisions/0011-settings-table.md): key, expected value and default of each.
//!
//! Settings come from the environment and from a TOML file with the same keys; the environment has precedence. In
//! both, `KEY_FILE` names a file that holds the value of `KEY`. A missing, unknown or invalid setting stops the
//! start. One error lists all of them, each with its key, its value (secrets are hidden) and what is expected.

mod secret_strength;
mod value_file;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::{Code, Error, Result};
use secret_strength::guess_bits;

/// A key of the settings table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The environment variable and TOML key.
    pub name: &'static str,
    /// The expected value, as a phrase after "expected".
    pub expected: &'static str,
    /// The default, in the syntax of the setting; empty without a default.
    pub default: &'static str,
    /// Whether the value is hidden in messages.
    pub secret: bool,
}

const fn key(name: &'static str, default: &'static str, expected: &'static str) -> Key {
    Key { name, expected, default, secret: false }
}

const fn secret(name: &'static str, expected: &'static str) -> Key {
    Key { name, expected, default: "", secret: true }
}

const HOST_EXPECTED: &str = "a bare host such as acme.eu.auth0.com (http:// only for a loopback host)";

/// Every setting. A test compares this table with the one in the README.
pub const KEYS: &[Key] = &[
    key("AUTH0_DOMAIN", "", HOST_EXPECTED),
    key("AUTH0_RTA", "auth0.auth0.com", HOST_EXPECTED),
    key("AUTH0_LOGIN_DOMAIN", "", HOST_EXPECTED),
    key("AUTH0_CLIENT_ID", "", "the client id of a machine-to-machine application"),
    secret("AUTH0_CLIENT_SECRET", "the client secret of that application"),
    key("AUTH0_MANAGE_URL", "https://manage.auth0.com", "the URL of the Auth0 dashboard"),
    secret("EXTENSION_SECRET", "a random string of at least 16 bytes"),
    secret("EXTENSION_SECRET_PREVIOUS", "the EXTENSION_SECRET before the current one"),
    key("ACCEPT_PLAIN_DATA_KEY", "false", "`true` or `false`"),
    key("WT_URL", "", "the public base URL of this server, path prefix included"),
    key("PUBLIC_WT_URL", "", "the public base URL of this server; wins over WT_URL"),
    key("HOST", "127.0.0.1", "an IP address to listen on"),
    key("PORT", "3000", "a port number from 0 to 65535"),
    key("DATA_DIR", "./data", "a directory this process may write to"),
    key("TRANSFORMS_DIR", "", "a directory of .wasm transforms"),
    key("TRANSFORM_UPLOADS", "true", "`true` or `false`"),
    key(
        "TRANSFORM_SECRETS",
        "",
        "pairs such as SALT=pseudonymize (a transform that is part of this program) or SALT=sha256:<64 hexadecimal \
         digits> (the file of another), separated by commas",
    ),
    key("LOGIN", "extension", "`extension` or `tenant`"),
    key("LOGIN_CLIENT_ID", "", "the client id of a Regular Web Application"),
    secret("LOGIN_CLIENT_SECRET", "the client secret of that application"),
    key("ADMIN_EMAILS", "", "e-mail addresses, separated by commas"),
    key("ADMIN_SUBJECTS", "", "user ids such as auth0|5f7c8ec7c33c6c004bbafe82, separated by commas"),
    key("ADMIN_ROLES", "", "role names, separated by commas"),
    key("ADMIN_ROLES_CLAIM", "", "the name of the id_token claim that lists a user's roles"),
    key("ADMIN_CONNECTION", "", "the name of the connection whose e-mail addresses count"),
    key(
        "FRAME_ANCESTORS",
        "https://manage.auth0.com",
        "origins that may embed the pages, separated by spaces, or 'none'",
    ),
    key("ARTIFACT_TTL", "7d", "a duration such as 7d or 12h"),
    key("HISTORY_TTL", "90d", "a duration such as 90d"),
    secret("METRICS_TOKEN", "a token that reads /metrics"),
    key("METRICS_ADDRESS", "", "an address and port such as 127.0.0.1:9464, where only /metrics is served"),
    key("SANDBOX_MEMORY", "64MiB", "a size such as 64MiB"),
    key("SANDBOX_TIMEOUT", "500ms", "a duration such as 500ms"),
    key("LOG", "info,actix_server=warn", "a filter such as info or user_import_export=debug,warn"),
    key("LOG_FORMAT", "text", "`text` or `json`"),
    key("SESSION_IDLE_TIMEOUT", "2h", "a duration such as 30m or 2h, longer than 0"),
    key("JOBS_USE_CLIENT", "false", "`true` or `false`"),
    key("UPLOAD_LIMIT", "2GiB", "a size such as 2GiB"),
    key("SHUTDOWN_DELAY", "0s", "a duration such as 5s"),
];

/// Keys that the extension platform or its tools set and that this server does not use
/// (docs/auth0/extension.md#configuration-values).
const IGNORED_KEYS: &[&str] = &["AUTH0_SCOPES", "AUTH0_CUSTOM_DOMAIN", "EXTENSION_CLIENT_ID"];

/// An unknown environment variable with one of these prefixes is treated as a misspelled setting.
const PREFIXES: &[&str] = &[
    "AUTH0_",
    "EXTENSION_",
    "ADMIN_",
    "LOGIN_",
    "SANDBOX_",
    "ARTIFACT_",
    "HISTORY_",
    "METRICS_",
    "JOBS_",
    "UPLOAD_",
    "SHUTDOWN_",
    "ACCEPT_PLAIN_",
    "TRANSFORM_",
];

/// An unknown environment variable is also treated as misspelled if it differs by one letter from a key of at least
/// this length. Shorter keys (`PORT`, `HOST`) are too similar to variables of other programs.
const MIN_TYPO_LENGTH: usize = 8;

/// An Auth0 host and its scheme: https, or http for the loopback host of a simulated tenant. Every derived URL has
/// this scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantHost {
    origin: String,
}

impl TenantHost {
    /// Parses `acme.eu.auth0.com`, `https://acme.eu.auth0.com/` or `http://127.0.0.1:3001`. `None` if the text is not a
    /// bare host, or is http and not a loopback host.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
            Some(_) => return None,
            None => ("https", text),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let url = Url::parse(&format!("{scheme}://{host}")).ok()?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare || host.is_empty() || (scheme == "http" && !is_loopback(&url)) {
            return None;
        }
        Some(Self { origin: url.as_str().trim_end_matches('/').to_owned() })
    }

    /// Returns `https://host`, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the host and port without the scheme, which Auth0 calls the domain.
    pub fn host(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, host)| host)
    }

    /// Returns the issuer of tokens: the origin with a trailing slash (docs/auth0/login.md#callback, step 8).
    pub fn issuer(&self) -> String {
        format!("{}/", self.origin)
    }

    /// Returns the audience of the Management API, with a trailing slash (docs/auth0/README.md#constants).
    pub fn management_audience(&self) -> String {
        format!("{}/api/v2/", self.origin)
    }

    /// Returns an absolute URL of this host. `path` starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// A client of an Auth0 tenant.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: SecretString,
}

/// How admins sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Login at the root tenant, as in the extensions gallery (docs/auth0/login.md).
    Extension,
    /// Authorization code with PKCE at the own tenant.
    Tenant,
}

impl Login {
    /// Returns the value of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Tenant => "tenant",
        }
    }
}

/// Who may sign in with `LOGIN=tenant`. If all lists are empty, no user may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admins {
    /// E-mail addresses in lower case. An address must be verified and from `connection`.
    pub emails: Vec<String>,
    /// `sub` values.
    pub subjects: Vec<String>,
    /// Roles, looked up in `roles_claim`.
    pub roles: Vec<String>,
    /// The id_token claim that lists roles.
    pub roles_claim: Option<String>,
    /// The connection whose e-mail addresses are accepted.
    pub connection: Option<String>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable text.
    Text,
    /// One JSON object per line.
    Json,
}

/// What the settings are for, which decides which of them are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `serve` and `validate-config`.
    Serve,
    /// `export` and `import` against a tenant.
    Tenant,
    /// A command without a tenant, such as `export --from` or `import --dry-run`.
    Local,
}

/// A transform that may have a named secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretUser {
    /// The shipped transform of this name.
    Shipped(String),
    /// The transform whose file has this SHA-256, in lower-case hexadecimal digits.
    Sha256(String),
}

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tenant whose users are exported and imported; absent only for [`Purpose::Local`].
    pub domain: Option<TenantHost>,
    /// The root tenant that signs dashboard admins in.
    pub rta: TenantHost,
    /// A custom domain to sign in at; the issuer of id_tokens with `LOGIN=tenant`.
    pub login_domain: Option<TenantHost>,
    /// Client credentials for the Management API.
    pub client: Option<ClientCredentials>,
    /// The application for signing in with `LOGIN=tenant`.
    pub login_client: Option<ClientCredentials>,
    /// The dashboard: the target of logging out if the pages are embedded.
    pub manage_url: Url,
    /// The secret whose raw bytes are the key of session and hook tokens.
    pub extension_secret: Option<SecretString>,
    /// The earlier secret, also accepted while the secret is rotated. `None` if it is too weak.
    pub extension_secret_previous: Option<SecretString>,
    /// `EXTENSION_SECRET_PREVIOUS` as it was set. It may be weak, so it is used only to unwrap `data.key`.
    pub data_key_secret_previous: Option<SecretString>,
    /// Whether an unprotected `data.key` is accepted although `EXTENSION_SECRET` is set. It is then wrapped.
    pub accept_plain_data_key: bool,
    /// Public base URL, without a trailing slash. `None`: derived from the listening address.
    pub base_url: Option<Url>,
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 for any free port.
    pub port: u16,
    /// Directory of the database and the artifacts.
    pub data_dir: PathBuf,
    /// Directory of the operator's transforms.
    pub transforms_dir: Option<PathBuf>,
    /// How admins sign in.
    pub login: Login,
    /// Who may sign in with `LOGIN=tenant`.
    pub admins: Admins,
    /// Value of the `frame-ancestors` directive.
    pub frame_ancestors: String,
    /// How long artifacts are kept.
    pub artifact_ttl: Duration,
    /// How long history is kept.
    pub history_ttl: Duration,
    /// Named secrets for transforms (`SECRET_<NAME>`).
    pub secrets: BTreeMap<String, SecretString>,
    /// The transforms that may use a secret, by the name of the secret. A secret that is not listed is available to all
    /// transforms except uploaded ones.
    pub secret_users: BTreeMap<String, Vec<SecretUser>>,
    /// Whether admins may upload transforms, and whether uploaded ones are used.
    pub transform_uploads: bool,
    /// The token for /metrics.
    pub metrics_token: Option<SecretString>,
    /// An additional address that serves only /metrics.
    pub metrics_address: Option<SocketAddr>,
    /// Memory limit of one sandbox instance, in bytes.
    pub sandbox_memory: u64,
    /// Time limit of a transform for one row.
    pub sandbox_timeout: Duration,
    /// Log filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// A session expires if it is not used for this long.
    pub session_idle_timeout: Duration,
    /// With `LOGIN=extension`, whether jobs may use client credentials after the admin's token has expired.
    pub jobs_use_client: bool,
    /// Maximum size of an upload, in bytes.
    pub upload_limit: u64,
    /// How long a stopping server still accepts requests, so that a load balancer can detect the stop.
    pub shutdown_delay: Duration,
    /// Warnings from reading the settings; part of [`Settings::warnings`].
    pub notices: Vec<String>,
}

impl Settings {
    /// Reads the settings from the environment of the process and an optional TOML file.
    pub fn load(purpose: Purpose, file: Option<&Path>) -> Result<Self> {
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let Some(path) = file else {
            return Self::parse(purpose, environment, None);
        };
        let name = path.display().to_string();
        let failed = |error: std::io::Error| Error::new(Code::InvalidSettings, format!("--config {name}: {error}"));
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let is_exposed = value_file::is_accessible_to_others(&std::fs::metadata(path).map_err(failed)?);
        let mut settings = Self::parse(purpose, environment, Some((&name, &text)))?;
        let holds_secret = |line: &str| {
            let key = line.split('=').next().unwrap_or_default().trim().trim_matches('"');
            is_secret(key)
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
        let mut loader = SettingsLoader::default();
        if let Some((name, text)) = file {
            loader.read_toml(name, text)?;
        }
        loader.read_environment(environment);
        loader.read_value_files();
        let settings = loader.build(purpose);
        match (settings, loader.problems.is_empty()) {
            (Some(settings), true) => Ok(settings),
            _ => Err(Error::new(Code::InvalidSettings, loader.problems.join("\n"))),
        }
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
    let expected = KEYS.iter().find(|key| key.name == name).map_or("a value", |key| key.expected);
    Error::new(Code::InvalidSettings, format!("{name} is not set: expected {expected}"))
}

/// Collects the values of all sources, and what is wrong with them.
#[derive(Default)]
struct SettingsLoader {
    values: BTreeMap<String, String>,
    /// Path of the value by key, for values that are in a file.
    value_files: BTreeMap<String, PathBuf>,
    problems: Vec<String>,
    notices: Vec<String>,
}

/// Suffix of a key whose value is the path of a file.
const FILE_SUFFIX: &str = "_FILE";

/// Returns the key whose value is in a file, for a name such as `KEY_FILE`; `None` for other names.
fn key_of_file(name: &str) -> Option<&str> {
    let key = name.strip_suffix(FILE_SUFFIX)?;
    is_known(key).then_some(key)
}

impl SettingsLoader {
    fn read_toml(&mut self, name: &str, text: &str) -> Result<()> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::new(Code::InvalidSettings, format!("{name}: {}", error.to_string().trim_end()))
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
            if is_known(&key) || key_of_file(&key).is_some() {
                read.push((key, value));
            } else {
                self.report_unknown(&key, &format!(" in {name}"));
            }
        }
        self.insert(read, &format!(" in {name}"));
        Ok(())
    }

    fn read_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        let mut read = Vec::new();
        for (key, value) in environment {
            if is_known(&key) || key_of_file(&key).is_some() {
                read.push((key, value));
            } else if is_probably_misspelled(&key) && !IGNORED_KEYS.contains(&key.as_str()) {
                self.report_unknown(&key, "");
            }
        }
        self.insert(read, "");
    }

    /// Adds the values of one source. Each replaces the value or file of the same key from an earlier source. `place`
    /// is added to error messages.
    fn insert(&mut self, read: Vec<(String, String)>, place: &str) {
        let (files, values): (Vec<_>, Vec<_>) = read.into_iter().partition(|(key, _)| key_of_file(key).is_some());
        let is_set = |value: &str| !value.trim().is_empty();
        for (name, path) in &files {
            let Some(key) = key_of_file(name) else { continue };
            if is_set(path) && values.iter().any(|(other, value)| other == key && is_set(value)) {
                self.problems.push(format!("{key} and {name} are both set{place}: expected one of them"));
            }
        }
        for (key, value) in values {
            self.value_files.remove(&key);
            self.values.insert(key, value);
        }
        for (name, path) in files {
            if let Some(key) = key_of_file(&name).filter(|_| is_set(&path)) {
                self.values.remove(key);
                self.value_files.insert(key.to_owned(), PathBuf::from(path.trim()));
            }
        }
    }

    fn read_value_files(&mut self) {
        for (key, path) in std::mem::take(&mut self.value_files) {
            let name = format!("{key}{FILE_SUFFIX}");
            // The path may be a secret that was set here by mistake, so it is not logged.
            let shown = if is_secret(&key) { name.clone() } else { format!("{name} {}", path.display()) };
            match value_file::read(&path) {
                Ok(value) => {
                    if value.is_accessible_to_others && is_secret(&key) {
                        self.notices.push(value_file::exposure_warning(&name));
                    }
                    self.values.insert(key, value.text);
                }
                Err(why) => self.problems.push(format!("{shown}: {why}")),
            }
        }
    }

    fn report_unknown(&mut self, key: &str, place: &str) {
        let (bare, suffix) = key.strip_suffix(FILE_SUFFIX).map_or((key, ""), |bare| (bare, FILE_SUFFIX));
        let nearest = KEYS
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known.name, bare), known.name))
            .min()
            .filter(|(distance, name)| *distance <= name.len() / 3)
            .map(|(_, name)| format!("; did you mean {name}{suffix}?"))
            .unwrap_or_default();
        self.problems.push(format!("{key}{place} is not a setting{nearest}"));
    }

    /// Returns the trimmed value of a key, or its default if it is empty or not set; `None` without a default.
    fn text(&self, name: &str) -> Option<String> {
        let set = self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let default =
            || KEYS.iter().find(|key| key.name == name).map(|key| key.default).filter(|value| !value.is_empty());
        set.or_else(default).map(str::to_owned)
    }

    fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            let key = KEYS.iter().find(|key| key.name == name);
            let shown = if key.is_some_and(|key| key.secret) { "(hidden)".to_owned() } else { format!("{text:?}") };
            let expected = key.map_or("another value", |key| key.expected);
            self.problems.push(format!("{name} is {shown}: expected {expected}"));
        }
        parsed
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    fn secret(&self, name: &str) -> Option<SecretString> {
        // Not trimmed: the key is the raw bytes.
        self.values.get(name).filter(|value| !value.is_empty()).map(|value| SecretString::from(value.clone()))
    }

    fn client(&mut self, id: &str, secret: &str) -> Option<ClientCredentials> {
        match (self.text(id), self.secret(secret)) {
            (Some(id), Some(secret)) => Some(ClientCredentials { id, secret }),
            (None, None) => None,
            (Some(_), None) => {
                self.problems.push(format!("{secret} is not set, but {id} is: expected both or neither"));
                None
            }
            (None, Some(_)) => {
                self.problems.push(format!("{id} is not set, but {secret} is: expected both or neither"));
                None
            }
        }
    }

    /// Parses and validates all values. `None` if a required value is missing or invalid; see `problems`.
    fn build(&mut self, purpose: Purpose) -> Option<Settings> {
        let domain = self.read("AUTH0_DOMAIN", TenantHost::parse);
        let rta = self.read("AUTH0_RTA", TenantHost::parse);
        let login_domain = self.read("AUTH0_LOGIN_DOMAIN", TenantHost::parse);
        let manage_url = self.read("AUTH0_MANAGE_URL", web_url);
        let public = self.read("PUBLIC_WT_URL", web_url);
        let private = self.read("WT_URL", web_url);
        let host: Option<IpAddr> =
            self.read(
                "HOST",
                |text| if text == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { text.parse().ok() },
            );
        let port = self.read("PORT", |text| text.parse().ok());
        let metrics_token = self.secret("METRICS_TOKEN");
        let metrics_address: Option<SocketAddr> = self.read("METRICS_ADDRESS", |text| {
            text.strip_prefix("localhost:")
                .map_or_else(|| text.parse().ok(), |port| format!("127.0.0.1:{port}").parse().ok())
        });
        if let Some(address) = metrics_address.filter(|address| !address.ip().is_loopback() && metrics_token.is_none())
        {
            self.problems.push(format!(
                "METRICS_TOKEN is not set, but METRICS_ADDRESS is {address} and not a loopback address, so every host in that network could read the metrics: expected a token, such as the output of `openssl rand -hex 32`"
            ));
        }
        let login = self.read("LOGIN", |text| match text {
            "extension" => Some(Login::Extension),
            "tenant" => Some(Login::Tenant),
            _ => None,
        });
        let artifact_ttl = self.read("ARTIFACT_TTL", |text| humantime::parse_duration(text).ok());
        let history_ttl = self.read("HISTORY_TTL", |text| humantime::parse_duration(text).ok());
        let sandbox_memory = self.read("SANDBOX_MEMORY", size);
        let sandbox_timeout =
            self.read("SANDBOX_TIMEOUT", |text| humantime::parse_duration(text).ok().filter(|time| !time.is_zero()));
        let log =
            self.read("LOG", |text| tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned()));
        let log_format = self.read("LOG_FORMAT", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let session_idle_timeout = self
            .read("SESSION_IDLE_TIMEOUT", |text| humantime::parse_duration(text).ok().filter(|time| !time.is_zero()));
        let jobs_use_client = self.read("JOBS_USE_CLIENT", |text| text.parse().ok());
        let upload_limit = self.read("UPLOAD_LIMIT", size);
        let shutdown_delay = self.read("SHUTDOWN_DELAY", |text| humantime::parse_duration(text).ok());
        let frame_ancestors = self.read("FRAME_ANCESTORS", frame_ancestors);
        let extension_secret = self.secret("EXTENSION_SECRET");
        let accept_plain_data_key = self.read("ACCEPT_PLAIN_DATA_KEY", |text| text.parse().ok());
        let weak = |name: &str, secret: &SecretString, more: &str| {
            let why = weak_secret_reason(secret.expose_secret())?;
            Some(format!("{name} {why}: {more}"))
        };
        if let Some(problem) = extension_secret.as_ref().and_then(|secret| {
            let expected =
                "expected a random string of at least 16 bytes, such as the output of `openssl rand -hex 32`. To \
                 replace the current secret, set it as EXTENSION_SECRET_PREVIOUS beside the new one for one start";
            weak("EXTENSION_SECRET", secret, expected)
        }) {
            self.problems.push(problem);
        }
        let data_key_secret_previous = self.secret("EXTENSION_SECRET_PREVIOUS");
        let notice = data_key_secret_previous.as_ref().and_then(|secret| {
            let used =
                "it is used only to decrypt data.key, and sessions and hook tokens that it signed are refused. Remove \
                 it after this start";
            weak("EXTENSION_SECRET_PREVIOUS", secret, used)
        });
        // An attacker who guesses it could sign session and hook tokens.
        let extension_secret_previous = data_key_secret_previous.clone().filter(|_| notice.is_none());
        self.notices.extend(notice);
        if let (Some(current), Some(previous)) = (&extension_secret, &data_key_secret_previous)
            && current.expose_secret() == previous.expose_secret()
        {
            self.problems.push(
                "EXTENSION_SECRET_PREVIOUS is the same as EXTENSION_SECRET: expected the earlier secret, or no value"
                    .into(),
            );
        }
        let client = self.client("AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET");
        let login_client = self.client("LOGIN_CLIENT_ID", "LOGIN_CLIENT_SECRET").or_else(|| client.clone());
        let admins = Admins {
            emails: self.list("ADMIN_EMAILS").into_iter().map(|email| email.to_lowercase()).collect(),
            subjects: self.list("ADMIN_SUBJECTS"),
            roles: self.list("ADMIN_ROLES"),
            roles_claim: self.text("ADMIN_ROLES_CLAIM"),
            connection: self.text("ADMIN_CONNECTION"),
        };
        if !admins.emails.is_empty() && admins.connection.is_none() && login == Some(Login::Tenant) {
            self.problems.push("ADMIN_CONNECTION is not set, but ADMIN_EMAILS is: expected the connection whose e-mail addresses are accepted, since any user may register an address in another connection".into());
        }
        if !admins.roles.is_empty() && admins.roles_claim.is_none() && login == Some(Login::Tenant) {
            self.problems.push("ADMIN_ROLES_CLAIM is not set, but ADMIN_ROLES is: expected the name of the id_token claim that lists roles".into());
        }
        let mut require = |name: &str, is_set: bool| {
            let mentioned = self.problems.iter().any(|problem| problem.starts_with(name));
            if !is_set && !mentioned {
                self.problems.push(missing(name).message);
            }
        };
        if purpose != Purpose::Local {
            require("AUTH0_DOMAIN", domain.is_some());
        }
        if purpose == Purpose::Tenant || (purpose == Purpose::Serve && login == Some(Login::Tenant)) {
            require("AUTH0_CLIENT_ID", client.is_some());
            require("AUTH0_CLIENT_SECRET", client.is_some());
        }
        if purpose == Purpose::Serve {
            require("EXTENSION_SECRET", extension_secret.is_some());
            let has_public_url = ["PUBLIC_WT_URL", "WT_URL"].iter().any(|name| self.text(name).is_some());
            if let Some(host) = host.filter(|host| !host.is_loopback() && !has_public_url) {
                self.problems.push(format!(
                    "PUBLIC_WT_URL is not set: expected the public base URL of this server, since HOST is {host} and not a loopback address"
                ));
            }
        }
        let transform_uploads = self.read("TRANSFORM_UPLOADS", |text| text.parse().ok());
        let secret_users = if self.text("TRANSFORM_SECRETS").is_some() {
            self.read("TRANSFORM_SECRETS", secret_users)?
        } else {
            BTreeMap::new()
        };
        // A misspelled name would make the secret available to all transforms.
        for name in secret_users.keys().filter(|name| !self.values.contains_key(&format!("SECRET_{name}"))) {
            self.problems.push(format!("TRANSFORM_SECRETS names {name}, but SECRET_{name} is not set"));
        }
        let secrets = self
            .values
            .iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix("SECRET_")?.to_owned(), SecretString::from(value.clone())))
            })
            .collect();
        Some(Settings {
            domain,
            rta: rta?,
            login_domain,
            client,
            login_client,
            manage_url: manage_url?,
            extension_secret,
            extension_secret_previous,
            data_key_secret_previous,
            accept_plain_data_key: accept_plain_data_key?,
            base_url: public.or(private),
            host: host?,
            port: port?,
            data_dir: PathBuf::from(self.text("DATA_DIR")?),
            transforms_dir: self.text("TRANSFORMS_DIR").map(PathBuf::from),
            login: login?,
            admins,
            frame_ancestors: frame_ancestors?,
            artifact_ttl: artifact_ttl?,
            history_ttl: history_ttl?,
            secrets,
            secret_users,
            transform_uploads: transform_uploads?,
            metrics_token,
            metrics_address,
            sandbox_memory: sandbox_memory?,
            sandbox_timeout: sandbox_timeout?,
            log: log?,
            log_format: log_format?,
            session_idle_timeout: session_idle_timeout?,
            jobs_use_client: jobs_use_client?,
            upload_limit: upload_limit?,
            shutdown_delay: shutdown_delay?,
            notices: std::mem::take(&mut self.notices),
        })
    }
}

/// Parses `SALT=pseudonymize,SALT=sha256:12ab…`. `None` if the syntax is not valid.
fn secret_users(text: &str) -> Option<BTreeMap<String, Vec<SecretUser>>> {
    let mut users: BTreeMap<String, Vec<SecretUser>> = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (secret, user) = pair.split_once('=')?;
        let (secret, user) = (secret.trim(), user.trim());
        let secret = secret.strip_prefix("SECRET_").unwrap_or(secret);
        let user = match user.strip_prefix("sha256:") {
            Some(digest) if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                SecretUser::Sha256(digest.to_ascii_lowercase())
            }
            None if !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                SecretUser::Shipped(user.to_owned())
            }
            _ => return None,
        };
        if secret.is_empty() {
            return None;
        }
        users.entry(secret.to_owned()).or_default().push(user);
    }
    Some(users)
}

fn is_known(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name) || name.strip_prefix("SECRET_").is_some_and(|rest| !rest.is_empty())
}

/// Returns whether the value of a key is hidden in messages.
fn is_secret(name: &str) -> bool {
    name.starts_with("SECRET_") || KEYS.iter().any(|key| key.name == name && key.secret)
}

/// Minimum length of a secret in bytes.
const MIN_SECRET_LENGTH: usize = 16;

/// Minimum strength of a secret: the base-2 logarithm of the number of attempts to guess it. 16 random bytes are far
/// above it in every notation.
const MIN_GUESS_BITS: f64 = 60.0;

/// Returns why a secret is too weak for signatures that an attacker can test offline; `None` if it is strong enough.
fn weak_secret_reason(secret: &str) -> Option<String> {
    if secret.len() < MIN_SECRET_LENGTH {
        return Some(format!("is too short ({} of {MIN_SECRET_LENGTH} bytes)", secret.len()));
    }
    let bits = guess_bits(secret);
    (bits < MIN_GUESS_BITS)
        .then(|| format!("can be guessed with about 2^{bits:.0} attempts, fewer than 2^{MIN_GUESS_BITS:.0}"))
}

fn is_probably_misspelled(name: &str) -> bool {
    let name = name.strip_suffix(FILE_SUFFIX).unwrap_or(name);
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || KEYS.iter().any(|key| key.name.len() >= MIN_TYPO_LENGTH && strsim::damerau_levenshtein(key.name, name) == 1)
}

/// Parses an http(s) URL without query, fragment or credentials. Users of the URL remove its trailing slash.
fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then_some(url)
}

fn size(text: &str) -> Option<u64> {
    text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()).filter(|bytes| *bytes > 0)
}

/// Parses the sources of the `frame-ancestors` directive. Accepts only origins and the two CSP keywords, since the
/// result becomes part of a header.
fn frame_ancestors(text: &str) -> Option<String> {
    if matches!(text, "none" | "'none'") {
        return Some("'none'".to_owned());
    }
    let mut sources = Vec::new();
    for source in text.split([' ', ',']).filter(|source| !source.is_empty()) {
        if matches!(source, "'self'" | "self") {
            sources.push("'self'".to_owned());
            continue;
        }
        let url = web_url(source).filter(|url| url.path() == "/")?;
        sources.push(url.origin().ascii_serialization());
    }
    (!sources.is_empty()).then(|| sources.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    const MINIMAL: &[(&str, &str)] = &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("EXTENSION_SECRET", "5f2b9c0e71d84a36")];

    fn with(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::parse(Purpose::Serve, environment(MINIMAL).into_iter().chain(environment(pairs)), None)
    }

    #[test]
    fn defaults_come_from_the_table() {
        let settings = with(&[]).expect("minimal settings are enough on loopback");
        assert_eq!(settings.rta.issuer(), "https://auth0.auth0.com/");
        assert_eq!(settings.tenant().unwrap().management_audience(), "https://acme.eu.auth0.com/api/v2/");
        assert_eq!(settings.base_url(settings.port), "http://127.0.0.1:3000");
        assert_eq!(settings.artifact_ttl.as_secs(), 7 * 24 * 3600);
        assert_eq!(settings.upload_limit, 2 << 30);
    }

    #[test]
    fn an_invalid_setting_is_reported_with_its_value_and_what_is_expected() {
        for (key, value) in [
            ("PORT", "70000"),
            ("HOST", "nowhere"),
            ("LOGIN", "maybe"),
            ("AUTH0_DOMAIN", "http://acme.eu.auth0.com"),
            ("AUTH0_DOMAIN", "acme.eu.auth0.com/path"),
            ("WT_URL", "not a url"),
            ("ARTIFACT_TTL", "soon"),
            ("SANDBOX_MEMORY", "much"),
            ("LOG_FORMAT", "xml"),
            ("FRAME_ANCESTORS", "https://a.example; script-src *"),
            ("METRICS_ADDRESS", "9464"),
        ] {
            let error = with(&[(key, value)]).expect_err(key);
            assert!(error.message.contains(key) && error.message.contains(value), "{}", error.message);
            assert!(error.message.contains("expected "), "{}", error.message);
        }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let error = Settings::parse(Purpose::Serve, environment(&[("PORT", "x"), ("LOGIN", "y")]), None).unwrap_err();
        for key in ["PORT", "LOGIN", "AUTH0_DOMAIN", "EXTENSION_SECRET"] {
            assert!(error.message.contains(key), "{key} is missing in {}", error.message);
        }
    }

    #[test]
    fn unknown_settings_are_refused_with_the_nearest_name() {
        let error = with(&[("AUTH0_DOMIAN", "x")]).unwrap_err();
        assert!(
            error.message.contains("AUTH0_DOMIAN is not a setting; did you mean AUTH0_DOMAIN?"),
            "{}",
            error.message
        );
        let error = Settings::parse(Purpose::Local, [], Some(("settings.toml", "SHOE_SIZE = 42"))).unwrap_err();
        assert!(error.message.contains("SHOE_SIZE in settings.toml"), "{}", error.message);
        for name in ["FRAME_ANCESTOR", "PUBLIC_WTURL", "TRANSFORM_DIR", "DATA_DIRR", "LOG_FORMATT"] {
            let error = with(&[(name, "x")]).expect_err(name);
            assert!(error.message.contains(&format!("{name} is not a setting; did you mean ")), "{}", error.message);
        }
        with(&[("HOSTS", "x"), ("XDG_DATA_DIRS", "x"), ("LOGNAME", "ada")]).expect("variables of other programs");
        with(&[("PATH", "/bin"), ("AUTH0_SCOPES", "read:users")]).expect("unrelated variables are ignored");
    }

    #[test]
    fn the_environment_has_precedence_over_the_file() {
        let file = "PORT = 4000\nDATA_DIR = \"/srv/data\"\n";
        let settings =
            Settings::parse(Purpose::Local, environment(&[("PORT", "5000")]), Some(("settings.toml", file))).unwrap();
        assert_eq!((settings.port, settings.data_dir.as_path()), (5000, Path::new("/srv/data")));
    }

    #[test]
    fn secrets_are_bound_to_transforms() {
        let digest = "AB".repeat(32);
        let bindings = format!("SALT=pseudonymize, SALT=sha256:{digest}, SECRET_KEY=sha256:{digest}");
        let parse = |bindings: &str| {
            let variables = [("SECRET_SALT", "x"), ("SECRET_KEY", "y"), ("TRANSFORM_SECRETS", bindings)];
            Settings::parse(Purpose::Local, variables.map(|(key, value)| (key.to_owned(), value.to_owned())), None)
        };
        let by_digest = SecretUser::Sha256("ab".repeat(32));
        let settings = parse(&bindings).unwrap();
        assert_eq!(settings.secret_users["SALT"], [SecretUser::Shipped("pseudonymize".into()), by_digest.clone()]);
        assert_eq!(settings.secret_users["KEY"], [by_digest]);
        assert!(parse("").unwrap().secret_users.is_empty());
        for wrong in ["SALT", "SALT=", "=pseudonymize", "SALT=sha256:12", "SALT=a b", "SALT=sha512:00"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.message.contains("TRANSFORM_SECRETS"), "{wrong}: {}", error.message);
        }
        let error = parse("SLAT=pseudonymize").unwrap_err();
        assert!(
            error.message.contains("TRANSFORM_SECRETS names SLAT, but SECRET_SLAT is not set"),
            "{}",
            error.message
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let error = with(&[("EXTENSION_SECRET", "hunter2")]).unwrap_err();
        assert!(error.message.contains("EXTENSION_SECRET") && !error.message.contains("hunter2"), "{}", error.message);
        let settings = with(&[("SECRET_KEY", "very-secret-value"), ("METRICS_TOKEN", "very-secret-value")]).unwrap();
        assert!(!format!("{settings:?}").contains("very-secret-value"));
    }

    const WEAK: &[(&str, &str)] = &[
        ("fifteen-bytes-1", "is too short (15 of 16 bytes)"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "can be guessed"),
        ("Change-Me! Change-Me!", "can be guessed"),
        ("Sommer2026!Sommer2026", "can be guessed with about 2^2"),
        ("companyname-export-secret", "can be guessed"),
        ("correcthorsebatterystaple", "can be guessed"),
    ];

    #[test]
    fn a_weak_secret_stops_the_start() {
        for &(secret, why) in WEAK {
            let error = with(&[("EXTENSION_SECRET", secret)]).unwrap_err();
            assert!(error.message.starts_with(&format!("EXTENSION_SECRET {why}")), "{}", error.message);
            assert!(error.message.contains("openssl rand -hex 32"), "{}", error.message);
            assert!(!error.message.contains(secret), "{}", error.message);
        }
        with(&[("EXTENSION_SECRET", "9d1f6c2e8b7a4d5f")]).expect("16 random digits are enough");
    }

    #[test]
    fn a_weak_previous_secret_is_accepted_for_the_data_key_only() {
        for &(secret, why) in WEAK {
            let settings = with(&[("EXTENSION_SECRET_PREVIOUS", secret)]).expect("it is accepted for the data key");
            assert!(settings.extension_secrets().unwrap().1.is_none(), "{secret}");
            assert_eq!(settings.data_key_secret_previous.as_ref().map(ExposeSecret::expose_secret), Some(secret));
            let warnings = settings.warnings().join("\n");
            assert!(warnings.starts_with(&format!("EXTENSION_SECRET_PREVIOUS {why}")), "{warnings}");
            assert!(!warnings.contains(secret), "{warnings}");
        }
        let settings = with(&[("EXTENSION_SECRET_PREVIOUS", "9d1f6c2e8b7a4d5f")]).expect("it is strong enough");
        assert!(settings.extension_secrets().unwrap().1.is_some() && settings.data_key_secret_previous.is_some());
        assert_eq!(settings.warnings(), Vec::<String>::new());
        with(&[("EXTENSION_SECRET_PREVIOUS", "")]).expect("it is optional");
    }

    fn file(directory: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    #[test]
    fn every_setting_can_be_read_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let secret = file(&directory, "secret", "2b7e151628aed2a6abf7158809cf4f3c\n");
        let port = file(&directory, "port", "4000\r\n");
        let key = file(&directory, "key", "two\nlines\n");
        let settings = Settings::parse(
            Purpose::Serve,
            environment(&[
                ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
                ("EXTENSION_SECRET_FILE", &secret),
                ("SECRET_SALT_FILE", &key),
                ("PORT", ""),
            ]),
            Some(("settings.toml", &format!("PORT_FILE = {port:?}\nEXTENSION_SECRET = \"Sommer2026!Sommer2026\"\n"))),
        );
        let settings = settings.unwrap();
        let (current, _) = settings.extension_secrets().unwrap();
        assert_eq!(current.expose_secret(), "2b7e151628aed2a6abf7158809cf4f3c");
        assert_eq!(settings.secrets["SALT"].expose_secret(), "two\nlines");
        assert!(!settings.secrets.contains_key("SALT_FILE"));
        // An empty variable replaces the value of the file, as it does for values that are not in files.
        assert_eq!(settings.port, 3000);
    }

    #[test]
    fn the_environment_has_precedence_also_for_values_in_files() {
        let directory = tempfile::tempdir().unwrap();
        let port = file(&directory, "port", "4000");
        let parse = |variable: (&str, &str), text: &str| {
            Settings::parse(Purpose::Local, environment(&[variable]), Some(("settings.toml", text))).unwrap().port
        };
        assert_eq!(parse(("PORT_FILE", &port), "PORT = 5000"), 4000);
        assert_eq!(parse(("PORT", "5000"), &format!("PORT_FILE = {port:?}")), 5000);
    }

    #[test]
    fn a_setting_and_its_file_cannot_both_be_set() {
        let error = with(&[("EXTENSION_SECRET_FILE", "/run/secret")]).unwrap_err();
        assert!(error.message.contains("EXTENSION_SECRET and EXTENSION_SECRET_FILE are both set"), "{}", error.message);
        let text = "SECRET_KEY = \"a\"\nSECRET_KEY_FILE = \"b\"\n";
        let error = Settings::parse(Purpose::Local, [], Some(("settings.toml", text))).unwrap_err();
        assert!(error.message.contains("SECRET_KEY and SECRET_KEY_FILE are both set in settings.toml"));
    }

    #[test]
    fn an_unusable_value_file_is_reported_without_the_path_of_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let large = file(&directory, "large", vec![b'a'; 65 * 1024]);
        let binary = file(&directory, "binary", [0xff, 0xfe]);
        let empty = file(&directory, "empty", "\n");
        let folder = directory.path().display().to_string();
        for (path, why) in [
            ("/nowhere/at-all", "No such file"),
            (large.as_str(), "larger than 64 KiB"),
            (binary.as_str(), "not UTF-8"),
            (empty.as_str(), "is empty"),
            (folder.as_str(), "not a regular file"),
            ("/dev/zero", "not a regular file"),
        ] {
            let error = with(&[("AUTH0_CLIENT_ID_FILE", path)]).unwrap_err();
            let start = format!("AUTH0_CLIENT_ID_FILE {path}: ");
            assert!(error.message.contains(&start) && error.message.contains(why), "{path}: {}", error.message);
            let error = with(&[("METRICS_TOKEN_FILE", path)]).unwrap_err();
            assert!(error.message.contains("METRICS_TOKEN_FILE: ") && error.message.contains(why), "{}", error.message);
            assert!(!error.message.contains(path), "{}", error.message);
        }
        let error = with(&[("AUTH0_DOMIAN_FILE", "x")]).unwrap_err();
        assert!(error.message.contains("did you mean AUTH0_DOMAIN_FILE?"), "{}", error.message);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_file_that_other_users_can_read_causes_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let token = file(&directory, "token", "2b7e151628aed2a6abf7158809cf4f3c");
        for (mode, warned) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o602, 1)] {
            std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
            let warnings = with(&[("METRICS_TOKEN_FILE", &token)]).unwrap().warnings();
            assert_eq!(warnings.iter().filter(|text| text.contains("METRICS_TOKEN_FILE")).count(), warned, "{mode:o}");
        }
    }

    #[test]
    fn a_weak_metrics_token_causes_a_warning() {
        let warned = |token: &str| {
            let warnings = with(&[("METRICS_TOKEN", token)]).expect("it is allowed").warnings();
            assert!(warnings.iter().all(|warning| !warning.contains(token)), "{warnings:?}");
            warnings.iter().any(|warning| warning.starts_with("METRICS_TOKEN "))
        };
        assert!(warned("fifteen-bytes-1"));
        assert!(!warned("9d1f6c2e8b7a4d5f"));
    }

    #[test]
    fn metrics_outside_of_loopback_need_a_token() {
        for address in ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464"] {
            let error = with(&[("METRICS_ADDRESS", address)]).expect_err(address);
            assert!(error.message.starts_with("METRICS_TOKEN is not set"), "{}", error.message);
            with(&[("METRICS_ADDRESS", address), ("METRICS_TOKEN", "9d1f6c2e8b7a4d5f")]).expect(address);
        }
        for address in ["127.0.0.1:9464", "localhost:9464", "[::1]:9464"] {
            assert_eq!(with(&[("METRICS_ADDRESS", address)]).expect(address).metrics_address.unwrap().port(), 9464);
        }
    }

    #[test]
    fn the_previous_secret_must_differ_from_the_current_one() {
        let error = with(&[("EXTENSION_SECRET_PREVIOUS", MINIMAL[1].1)]).unwrap_err();
        let message = "EXTENSION_SECRET_PREVIOUS is the same as EXTENSION_SECRET";
        assert!(error.message.contains(message), "{}", error.message);
        let settings = with(&[("EXTENSION_SECRET_PREVIOUS", "9d1f6c2e8b7a4d5f")]).unwrap();
        assert!(settings.extension_secrets().unwrap().1.is_some());
        assert!(!format!("{settings:?}").contains("9d1f6c2e"));
    }

    #[test]
    fn a_public_address_needs_its_public_url() {
        let error = with(&[("HOST", "0.0.0.0")]).unwrap_err();
        assert!(error.message.contains("PUBLIC_WT_URL"), "{}", error.message);
        let error = with(&[("HOST", "0.0.0.0"), ("WT_URL", "nope")]).unwrap_err();
        assert!(error.message.starts_with("WT_URL is \"nope\"") && !error.message.contains("PUBLIC_WT_URL"));
        let settings = with(&[("HOST", "0.0.0.0"), ("PUBLIC_WT_URL", "https://tools.example/ext/")]).unwrap();
        assert_eq!(settings.base_url(80), "https://tools.example/ext");
    }

    #[test]
    fn admin_emails_require_a_connection() {
        let tenant = [("LOGIN", "tenant"), ("AUTH0_CLIENT_ID", "id"), ("AUTH0_CLIENT_SECRET", "s")];
        let mut pairs = tenant.to_vec();
        pairs.push(("ADMIN_EMAILS", "ada@example.com"));
        let error = with(&pairs).unwrap_err();
        assert!(error.message.contains("ADMIN_CONNECTION"), "{}", error.message);
    }

    #[test]
    fn loopback_tenants_may_use_http() {
        for host in ["http://127.0.0.1:3001", "http://localhost:3001", "http://[::1]:3001"] {
            assert_eq!(TenantHost::parse(host).expect(host).origin(), host);
        }
        assert_eq!(TenantHost::parse("https://acme.auth0.com/").unwrap().host(), "acme.auth0.com");
        for host in ["", "ftp://acme.auth0.com", "user@acme.auth0.com", "acme.auth0.com?x", "http://acme.auth0.com"] {
            assert_eq!(TenantHost::parse(host), None, "{host}");
        }
    }
}
