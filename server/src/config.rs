//! Every setting once (docs/decisions/0011-settings-table.md): its key, what is expected, its default.
//!
//! Settings come from the environment and, for the same keys, from a TOML file; the environment wins.
//! A missing, unknown or wrong setting stops the start; all of them are named at once, each with its
//! key, its value (secrets hidden) and what is expected.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::{Code, Error, Result};

/// A key of the settings table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The environment variable and TOML key.
    pub name: &'static str,
    /// What is expected, in words that finish "expected …".
    pub expected: &'static str,
    /// The default, as it would be written; empty where there is none.
    pub default: &'static str,
    /// The value is never shown.
    pub secret: bool,
}

const fn key(name: &'static str, default: &'static str, expected: &'static str) -> Key {
    Key { name, expected, default, secret: false }
}

const fn secret(name: &'static str, expected: &'static str) -> Key {
    Key { name, expected, default: "", secret: true }
}

const HOST_EXPECTED: &str = "a bare host such as acme.eu.auth0.com (http:// only for a loopback host)";

/// Every setting. The table in the README is checked against this one by a test.
pub const KEYS: &[Key] = &[
    key("AUTH0_DOMAIN", "", HOST_EXPECTED),
    key("AUTH0_RTA", "auth0.auth0.com", HOST_EXPECTED),
    key("AUTH0_LOGIN_DOMAIN", "", HOST_EXPECTED),
    key("AUTH0_CLIENT_ID", "", "the client id of a machine-to-machine application"),
    secret("AUTH0_CLIENT_SECRET", "the client secret of that application"),
    key("AUTH0_MANAGE_URL", "https://manage.auth0.com", "the URL of the Auth0 dashboard"),
    secret("EXTENSION_SECRET", "a random string of at least 16 bytes"),
    secret("EXTENSION_SECRET_PREVIOUS", "the EXTENSION_SECRET before the current one, no weaker than that"),
    key("WT_URL", "", "the public base URL of this server, path prefix included"),
    key("PUBLIC_WT_URL", "", "the public base URL of this server; wins over WT_URL"),
    key("HOST", "127.0.0.1", "an IP address to listen on"),
    key("PORT", "3000", "a port number from 0 to 65535"),
    key("DATA_DIR", "./data", "a directory this process may write to"),
    key("TRANSFORMS_DIR", "", "a directory of .wasm transforms"),
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

/// Keys the extension platform or the tools around it set, which mean nothing here
/// (docs/auth0/extension.md#configuration-values).
const FOREIGN: &[&str] = &["AUTH0_SCOPES", "AUTH0_CUSTOM_DOMAIN", "EXTENSION_CLIENT_ID"];

/// An unknown environment variable counts as a misspelt setting when it starts like one of ours…
const FAMILIES: &[&str] = &[
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
];

/// … or when it is one letter away from a name of at least this length. Shorter names (`PORT`, `HOST`) are
/// too close to variables of other programs.
const TELLING: usize = 8;

/// An Auth0 host and the scheme to speak to it: https, or http for a loopback host so that simulated
/// tenants can be used. Every URL derived from it keeps the scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantHost {
    origin: String,
}

impl TenantHost {
    /// Reads `acme.eu.auth0.com`, `https://acme.eu.auth0.com/` or `http://127.0.0.1:3001`.
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

    /// `https://host`, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host without its scheme, with its port: what people call the domain.
    pub fn host(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, host)| host)
    }

    /// The issuer of tokens: the origin with a trailing slash (docs/auth0/login.md#callback, step 8).
    pub fn issuer(&self) -> String {
        format!("{}/", self.origin)
    }

    /// The audience of the Management API, with a trailing slash (docs/auth0/README.md#constants).
    pub fn management_audience(&self) -> String {
        format!("{}/api/v2/", self.origin)
    }

    /// An absolute URL below this host; `path` starts with a slash.
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

/// How people sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Login at the root tenant, as in the extensions gallery (docs/auth0/login.md).
    Extension,
    /// Authorization code + PKCE against the own tenant.
    Tenant,
}

impl Login {
    /// The value of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Tenant => "tenant",
        }
    }
}

/// Who may enter with `LOGIN=tenant`; with all of it empty nobody enters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admins {
    /// E-mail addresses in lower case; each counts only when verified and from `connection`.
    pub emails: Vec<String>,
    /// `sub` values.
    pub subjects: Vec<String>,
    /// Roles, looked up in `roles_claim`.
    pub roles: Vec<String>,
    /// The id_token claim that lists roles.
    pub roles_claim: Option<String>,
    /// The connection whose e-mail addresses count.
    pub connection: Option<String>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the settings are for; decides which of them must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `serve` and `validate-config`.
    Serve,
    /// `export` and `import` against a tenant.
    Tenant,
    /// A command that needs no tenant, such as `export --from` or `import --dry-run`.
    Local,
}

/// All settings, checked.
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
    /// The application people sign in with when `LOGIN=tenant`.
    pub login_client: Option<ClientCredentials>,
    /// The dashboard: where logging out leads when embedded.
    pub manage_url: Url,
    /// Key of session and hook tokens: its raw bytes.
    pub extension_secret: Option<SecretString>,
    /// The one before it, accepted beside it while a new one takes its place.
    pub extension_secret_previous: Option<SecretString>,
    /// Public base URL, without a trailing slash. Absent: derived from the listening address.
    pub base_url: Option<Url>,
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Where the database and the artifacts are.
    pub data_dir: PathBuf,
    /// Where an operator's transforms are.
    pub transforms_dir: Option<PathBuf>,
    /// How people sign in.
    pub login: Login,
    /// Who may enter with `LOGIN=tenant`.
    pub admins: Admins,
    /// Value of the `frame-ancestors` directive.
    pub frame_ancestors: String,
    /// How long artifacts are kept.
    pub artifact_ttl: Duration,
    /// How long history is kept.
    pub history_ttl: Duration,
    /// Named secrets for transforms (`SECRET_<NAME>`).
    pub secrets: BTreeMap<String, SecretString>,
    /// Reads /metrics.
    pub metrics_token: Option<SecretString>,
    /// Where /metrics is served alone.
    pub metrics_address: Option<SocketAddr>,
    /// Memory of one sandboxed guest, bytes.
    pub sandbox_memory: u64,
    /// Guest work allowed for one row.
    pub sandbox_timeout: Duration,
    /// Log filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// A session that is unused for this long ends.
    pub session_idle_timeout: Duration,
    /// With `LOGIN=extension`, lets jobs use client credentials when the admin's token ends.
    pub jobs_use_client: bool,
    /// Largest upload accepted, bytes.
    pub upload_limit: u64,
    /// How long a server that was asked to stop still takes requests, so that a load balancer notices.
    pub shutdown_delay: Duration,
}

impl Settings {
    /// Settings from the process environment and, if given, a TOML file.
    pub fn load(purpose: Purpose, file: Option<&Path>) -> Result<Self> {
        let file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Error::new(Code::InvalidSettings, format!("--config {}: {error}", path.display()))
                })?;
                Some((path.display().to_string(), text))
            }
            None => None,
        };
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        Self::parse(
            purpose,
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
            file,
        )
    }

    /// Settings from given variables and the text of a TOML file (name, text).
    pub fn parse(
        purpose: Purpose,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<(&str, &str)>,
    ) -> Result<Self> {
        let mut raw = Raw::default();
        if let Some((name, text)) = file {
            raw.read_toml(name, text)?;
        }
        raw.read_environment(environment);
        let settings = raw.settings(purpose);
        match (settings, raw.problems.is_empty()) {
            (Some(settings), true) => Ok(settings),
            _ => Err(Error::new(Code::InvalidSettings, raw.problems.join("\n"))),
        }
    }

    /// What is allowed but probably not meant, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let nobody = self.admins.emails.is_empty() && self.admins.subjects.is_empty() && self.admins.roles.is_empty();
        if self.login == Login::Tenant && nobody {
            warnings.push(
                "LOGIN is tenant, but none of ADMIN_EMAILS, ADMIN_SUBJECTS and ADMIN_ROLES is set: nobody can enter"
                    .into(),
            );
        }
        if self.base_url.as_ref().is_some_and(|url| url.scheme() == "http" && !is_loopback(url)) {
            warnings
                .push("PUBLIC_WT_URL is http: browsers refuse the login cookies, and tokens travel in the open".into());
        }
        if self.metrics_token.as_ref().is_some_and(|token| token.expose_secret().len() < SHORTEST_SECRET) {
            warnings.push(
                "METRICS_TOKEN is short enough to be guessed: better a random string of at least 16 bytes, such as \
                 `openssl rand -hex 32` gives"
                    .into(),
            );
        }
        warnings
    }

    /// The tenant; an error that names the setting where there is none.
    pub fn tenant(&self) -> Result<&TenantHost> {
        self.domain.as_ref().ok_or_else(|| missing("AUTH0_DOMAIN"))
    }

    /// `EXTENSION_SECRET`, and the one before it while both are accepted.
    pub fn extension_secrets(&self) -> Result<(&SecretString, Option<&SecretString>)> {
        let current = self.extension_secret.as_ref().ok_or_else(|| missing("EXTENSION_SECRET"))?;
        Ok((current, self.extension_secret_previous.as_ref()))
    }

    /// The public base URL as text without a trailing slash, given the address the server listens on.
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

#[derive(Default)]
struct Raw {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Raw {
    fn read_toml(&mut self, name: &str, text: &str) -> Result<()> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::new(Code::InvalidSettings, format!("{name}: {}", error.to_string().trim_end()))
        })?;
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
            if known(&key) {
                self.values.insert(key, value);
            } else {
                self.unknown(&key, &format!(" in {name}"));
            }
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        for (key, value) in environment {
            if known(&key) {
                self.values.insert(key, value);
            } else if misspelt(&key) && !FOREIGN.contains(&key.as_str()) {
                self.unknown(&key, "");
            }
        }
    }

    fn unknown(&mut self, key: &str, place: &str) {
        let nearest = KEYS
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known.name, key), known.name))
            .min()
            .filter(|(distance, name)| *distance <= name.len() / 3)
            .map(|(_, name)| format!("; did you mean {name}?"))
            .unwrap_or_default();
        self.problems.push(format!("{key}{place} is not a setting{nearest}"));
    }

    /// The value of a key: set and not empty, else its default, else none.
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

    fn settings(&mut self, purpose: Purpose) -> Option<Settings> {
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
                "METRICS_TOKEN is not set, but METRICS_ADDRESS is {address} and not a loopback address, so anybody in that network could read the metrics: expected a token, such as `openssl rand -hex 32` gives"
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
        if let Some(why) = extension_secret.as_ref().and_then(|secret| weakness(secret.expose_secret())) {
            self.problems.push(format!(
                "EXTENSION_SECRET {why}: expected a random string of at least 16 bytes, such as `openssl rand -hex 32` gives"
            ));
        }
        let extension_secret_previous = self.secret("EXTENSION_SECRET_PREVIOUS");
        // Whoever guesses it signs sessions and hooks as well as with the current one.
        if let Some(why) = extension_secret_previous.as_ref().and_then(|secret| weakness(secret.expose_secret())) {
            self.problems.push(format!(
                "EXTENSION_SECRET_PREVIOUS {why}: sessions and hook tokens that it signed would still be accepted, so a weak secret cannot be kept for a while; leave EXTENSION_SECRET_PREVIOUS unset, and everybody signs in once more"
            ));
        }
        if let (Some(current), Some(previous)) = (&extension_secret, &extension_secret_previous)
            && current.expose_secret() == previous.expose_secret()
        {
            self.problems.push(
                "EXTENSION_SECRET_PREVIOUS is EXTENSION_SECRET itself: expected the secret before it, or nothing"
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
            self.problems.push("ADMIN_CONNECTION is not set, but ADMIN_EMAILS is: anybody may register an e-mail address in another connection, so an address counts only together with its connection".into());
        }
        if !admins.roles.is_empty() && admins.roles_claim.is_none() && login == Some(Login::Tenant) {
            self.problems.push("ADMIN_ROLES_CLAIM is not set, but ADMIN_ROLES is: expected the name of the id_token claim that lists roles".into());
        }
        let mut require = |name: &str, there: bool| {
            let mentioned = self.problems.iter().any(|problem| problem.starts_with(name));
            if !there && !mentioned {
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
            let given = ["PUBLIC_WT_URL", "WT_URL"].iter().any(|name| self.text(name).is_some());
            if let Some(host) = host.filter(|host| !host.is_loopback() && !given) {
                self.problems.push(format!(
                    "PUBLIC_WT_URL is not set: expected the public base URL of this server, since HOST is {host} and not a loopback address"
                ));
            }
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
        })
    }
}

fn known(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name) || name.strip_prefix("SECRET_").is_some_and(|rest| !rest.is_empty())
}

/// Bytes of a secret that nobody guesses, at least.
const SHORTEST_SECRET: usize = 16;

/// What stands in examples and templates instead of a secret; compared without case and punctuation.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "yoursecret",
    "mysecret",
    "supersecret",
    "extensionsecret",
    "secretsecret",
    "testsecret",
    "placeholder",
    "example",
    "password",
    "0123456789",
    "1234567890",
    "abcdefgh",
    "qwerty",
];

/// Why a secret is none: too short, or one that people who have read a manual would try first.
fn weakness(secret: &str) -> Option<&'static str> {
    if secret.len() < SHORTEST_SECRET {
        return Some("is too short");
    }
    let plain: String = secret.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|placeholder| plain.contains(placeholder)) {
        return Some("is an example and no secret");
    }
    let different: std::collections::BTreeSet<u8> = secret.bytes().collect();
    (different.len() < 8).then_some("repeats a few characters")
}

fn misspelt(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
        || KEYS.iter().any(|key| key.name.len() >= TELLING && strsim::damerau_levenshtein(key.name, name) == 1)
}

/// An http(s) URL without query, fragment or credentials; the trailing slash is dropped by readers.
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

/// Origins for the `frame-ancestors` directive. They become part of a header, so nothing but origins
/// (and the two keywords of CSP) is let through.
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
    fn defaults_are_those_of_the_table() {
        let settings = with(&[]).expect("minimal settings are enough on loopback");
        assert_eq!(settings.rta.issuer(), "https://auth0.auth0.com/");
        assert_eq!(settings.tenant().unwrap().management_audience(), "https://acme.eu.auth0.com/api/v2/");
        assert_eq!(settings.base_url(settings.port), "http://127.0.0.1:3000");
        assert_eq!(settings.artifact_ttl.as_secs(), 7 * 24 * 3600);
        assert_eq!(settings.upload_limit, 2 << 30);
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_value_and_what_is_expected() {
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
        with(&[("HOSTS", "x"), ("XDG_DATA_DIRS", "x"), ("LOGNAME", "ada")]).expect("names of other programs");
        with(&[("PATH", "/bin"), ("AUTH0_SCOPES", "read:users")]).expect("foreign variables are ignored");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "PORT = 4000\nDATA_DIR = \"/srv/data\"\n";
        let settings =
            Settings::parse(Purpose::Local, environment(&[("PORT", "5000")]), Some(("settings.toml", file))).unwrap();
        assert_eq!((settings.port, settings.data_dir.as_path()), (5000, Path::new("/srv/data")));
    }

    #[test]
    fn secrets_never_show() {
        let error = with(&[("EXTENSION_SECRET", "hunter2")]).unwrap_err();
        assert!(error.message.contains("EXTENSION_SECRET") && !error.message.contains("hunter2"), "{}", error.message);
        let settings = with(&[("SECRET_KEY", "very-secret-value"), ("METRICS_TOKEN", "very-secret-value")]).unwrap();
        assert!(!format!("{settings:?}").contains("very-secret-value"));
    }

    const WEAK: &[(&str, &str)] = &[
        ("fifteen-bytes-1", "too short"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats"),
        ("abcabcabcabcabcabcabc", "repeats"),
        ("Change-Me! Change-Me!", "example"),
        ("0123456789abcdef0123456789abcdef", "example"),
        ("your-secret-goes-here", "example"),
    ];

    #[test]
    fn a_secret_that_is_none_stops_the_start() {
        for &(secret, why) in WEAK {
            let error = with(&[("EXTENSION_SECRET", secret)]).unwrap_err();
            assert!(error.message.contains(why) && !error.message.contains(secret), "{}", error.message);
        }
        with(&[("EXTENSION_SECRET", "9d1f6c2e8b7a4d5f")]).expect("16 random digits are enough");
    }

    #[test]
    fn a_weak_secret_cannot_stay_as_the_previous_one() {
        for &(secret, why) in WEAK {
            let error = with(&[("EXTENSION_SECRET_PREVIOUS", secret)]).unwrap_err();
            let text = &error.message;
            assert!(text.starts_with("EXTENSION_SECRET_PREVIOUS ") && text.contains(why), "{text}");
            assert!(text.contains("leave EXTENSION_SECRET_PREVIOUS unset") && !text.contains(secret), "{text}");
        }
        with(&[("EXTENSION_SECRET_PREVIOUS", "9d1f6c2e8b7a4d5f")]).expect("a good one may stay");
        with(&[("EXTENSION_SECRET_PREVIOUS", "")]).expect("none is needed");
    }

    #[test]
    fn a_metrics_token_that_can_be_guessed_is_warned_about() {
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
    fn the_previous_secret_is_another_one() {
        let error = with(&[("EXTENSION_SECRET_PREVIOUS", MINIMAL[1].1)]).unwrap_err();
        assert!(error.message.contains("EXTENSION_SECRET_PREVIOUS is EXTENSION_SECRET itself"), "{}", error.message);
        let settings = with(&[("EXTENSION_SECRET_PREVIOUS", "the one of last year")]).unwrap();
        assert!(settings.extension_secrets().unwrap().1.is_some());
        assert!(!format!("{settings:?}").contains("last year"));
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
    fn an_email_counts_only_with_its_connection() {
        let tenant = [("LOGIN", "tenant"), ("AUTH0_CLIENT_ID", "id"), ("AUTH0_CLIENT_SECRET", "s")];
        let mut pairs = tenant.to_vec();
        pairs.push(("ADMIN_EMAILS", "ada@example.com"));
        let error = with(&pairs).unwrap_err();
        assert!(error.message.contains("ADMIN_CONNECTION"), "{}", error.message);
    }

    #[test]
    fn loopback_tenants_may_speak_http() {
        for host in ["http://127.0.0.1:3001", "http://localhost:3001", "http://[::1]:3001"] {
            assert_eq!(TenantHost::parse(host).expect(host).origin(), host);
        }
        assert_eq!(TenantHost::parse("https://acme.auth0.com/").unwrap().host(), "acme.auth0.com");
        for host in ["", "ftp://acme.auth0.com", "user@acme.auth0.com", "acme.auth0.com?x", "http://acme.auth0.com"] {
            assert_eq!(TenantHost::parse(host), None, "{host}");
        }
    }
}
