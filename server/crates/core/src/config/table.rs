//! The settings: one entry each, in the order of the README. `settings_macro.rs` describes an entry.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::listing::ListedSetting;
use super::parse;
use super::secret_strength::weak_secret_reason;
use super::settings_macro::settings;
use super::tenant_host::TenantHost;
#[cfg(doc)]
use super::types::Purpose;
use super::types::{Admins, ClientCredentials, LogFormat, Login, SecretUser};

const HOST_EXPECTED: &str = "a bare host such as acme.eu.auth0.com (http:// only for a loopback host)";

settings! {
    /// All settings, validated.
    pub struct Settings read from loader;

    /// Every setting, in the order of the table in the README, which is generated from it.
    pub const KEYS;

    // The tenant and the secret of this server.

    /// The tenant whose users are exported and imported; absent only for [`Purpose::Local`].
    domain: Option<TenantHost> {
        AUTH0_DOMAIN: optional(TenantHost::parse) {
            expected: HOST_EXPECTED,
            description: "the tenant's own domain, such as `acme.eu.auth0.com`",
            prefix: "AUTH0_",
        }
    }

    /// Client credentials for the Management API.
    client: Option<ClientCredentials> {
        AUTH0_CLIENT_ID: optional(parse::text) {
            expected: "the client id of a machine-to-machine application",
            description: "client id of the machine-to-machine application for the Management API; needed for \
                          `LOGIN=tenant` and the command line",
        }
        AUTH0_CLIENT_SECRET: secret {
            expected: "the client secret of that application",
            description: "client secret of that application",
        }
        => ClientCredentials::from_parts(AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET)
    }

    /// The secret whose raw bytes are the key of session and hook tokens.
    extension_secret: Option<SecretString> {
        EXTENSION_SECRET: secret {
            expected: "a random string of at least 16 bytes",
            description: "random string of at least 16 bytes, such as the output of `openssl rand -hex 32`; signs \
                          sessions and hook tokens, and wraps the key under which everything in `DATA_DIR` is \
                          encrypted. [A secret that can be guessed](docs/operating.md#which-secrets-are-accepted) \
                          prevents the start",
            prefix: "EXTENSION_",
        }
    }

    /// `EXTENSION_SECRET_PREVIOUS` as it was set. It may be weak, so it is used only to unwrap `data.key`.
    data_key_secret_previous: Option<SecretString> {
        EXTENSION_SECRET_PREVIOUS: secret {
            expected: "the EXTENSION_SECRET before the current one",
            description: "the previous secret, also accepted while you introduce a new one \
                          ([how](docs/operating.md#a-new-extension_secret))",
        }
    }

    /// The earlier secret, also accepted while the secret is rotated. `None` if it is too weak: an attacker who guesses
    /// it could sign session and hook tokens.
    extension_secret_previous: Option<SecretString> {
        => data_key_secret_previous.clone().filter(|secret| weak_secret_reason(secret.expose_secret()).is_none())
    }

    /// Whether an unprotected `data.key` is accepted although `EXTENSION_SECRET` is set. It is then wrapped.
    accept_plain_data_key: bool {
        ACCEPT_PLAIN_DATA_KEY: with_default(parse::from_str) {
            default: "false",
            expected: "`true` or `false`",
            description: "`true` for one start: wraps a `data.key` that was created by commands without \
                          `EXTENSION_SECRET` ([when](docs/operating.md#a-datakey-without-a-secret))",
            prefix: "ACCEPT_PLAIN_",
        }
    }

    // Login.

    /// How admins sign in.
    login: Login {
        LOGIN: with_default(parse::login) {
            default: "extension",
            expected: "`extension` or `tenant`",
            description: "login mode: `extension` or `tenant`",
        }
    }

    /// The application for signing in with `LOGIN=tenant`.
    login_client: Option<ClientCredentials> {
        LOGIN_CLIENT_ID: optional(parse::text) {
            fallback: "`AUTH0_CLIENT_ID`",
            expected: "the client id of a Regular Web Application",
            description: "client id of the Regular Web Application for the sign-in",
            prefix: "LOGIN_",
        }
        LOGIN_CLIENT_SECRET: secret {
            fallback: "`AUTH0_CLIENT_SECRET`",
            expected: "the client secret of that application",
            description: "client secret of that application",
        }
        => ClientCredentials::from_parts(LOGIN_CLIENT_ID, LOGIN_CLIENT_SECRET).or_else(|| client.clone())
    }

    /// A custom domain to sign in at; the issuer of id_tokens with `LOGIN=tenant`.
    login_domain: Option<TenantHost> {
        AUTH0_LOGIN_DOMAIN: optional(TenantHost::parse) {
            fallback: "`AUTH0_DOMAIN`",
            expected: HOST_EXPECTED,
            description: "custom domain for the sign-in",
        }
    }

    /// The root tenant that signs dashboard admins in.
    rta: TenantHost {
        AUTH0_RTA: with_default(TenantHost::parse) {
            default: "auth0.auth0.com",
            expected: HOST_EXPECTED,
            description: "root tenant that signs dashboard admins in",
        }
    }

    /// The dashboard: the target of logging out if the pages are embedded.
    manage_url: Url {
        AUTH0_MANAGE_URL: with_default(parse::web_url) {
            default: "https://manage.auth0.com",
            expected: "the URL of the Auth0 dashboard",
            description: "the dashboard",
        }
    }

    /// A session expires if it is not used for this long.
    session_idle_timeout: Duration {
        SESSION_IDLE_TIMEOUT: with_default(parse::positive_duration) {
            default: "2h",
            expected: "a duration such as 30m or 2h, longer than 0",
            description: "a session that is unused for this long ends; polling does not count as use",
        }
    }

    // Admins.

    /// Who may sign in with `LOGIN=tenant`.
    admins: Admins {
        ADMIN_EMAILS: list {
            expected: "e-mail addresses, separated by commas",
            description: "who may sign in: verified addresses of `ADMIN_CONNECTION`, separated by commas",
            prefix: "ADMIN_",
        }
        ADMIN_CONNECTION: optional(parse::text) {
            expected: "the name of the connection whose e-mail addresses count",
            description: "the one connection whose addresses count for `ADMIN_EMAILS`",
        }
        ADMIN_SUBJECTS: list {
            expected: "user ids such as auth0|5f7c8ec7c33c6c004bbafe82, separated by commas",
            description: "who may sign in: user ids, separated by commas",
        }
        ADMIN_ROLES: list {
            expected: "role names, separated by commas",
            description: "who may sign in: roles, separated by commas",
        }
        ADMIN_ROLES_CLAIM: optional(parse::text) {
            expected: "the name of the id_token claim that lists a user's roles",
            description: "the id_token claim that lists the roles of a user",
        }
        => Admins {
            emails: ADMIN_EMAILS.into_iter().map(|email| email.to_lowercase()).collect(),
            subjects: ADMIN_SUBJECTS,
            roles: ADMIN_ROLES,
            roles_claim: ADMIN_ROLES_CLAIM,
            connection: ADMIN_CONNECTION,
        }
    }

    // Network.

    /// Public base URL, without a trailing slash. `None`: derived from the listening address.
    base_url: Option<Url> {
        PUBLIC_WT_URL: optional(parse::web_url) {
            fallback: "`http://HOST:PORT`",
            expected: "the public base URL of this server; wins over WT_URL",
            description: "public base URL with its path prefix; needed unless `HOST` is a loopback address",
        }
        WT_URL: optional(parse::web_url) {
            expected: "the public base URL of this server, path prefix included",
            description: "the same as `PUBLIC_WT_URL`, which wins if both are set",
        }
        => PUBLIC_WT_URL.or(WT_URL)
    }

    /// Address to listen on.
    host: IpAddr {
        HOST: with_default(parse::ip_address) {
            default: "127.0.0.1",
            expected: "an IP address to listen on",
            description: "address to listen on",
        }
    }

    /// Port to listen on; 0 for any free port.
    port: u16 {
        PORT: with_default(parse::from_str) {
            default: "3000",
            expected: "a port number from 0 to 65535",
            description: "port to listen on",
        }
    }

    /// Value of the `frame-ancestors` directive.
    frame_ancestors: String {
        FRAME_ANCESTORS: with_default(parse::frame_ancestors) {
            default: "https://manage.auth0.com",
            expected: "origins that may embed the pages, separated by spaces, or 'none'",
            description: "origins that may embed the pages",
        }
    }

    /// How long a stopping server still accepts requests, so that a load balancer can detect the stop.
    shutdown_delay: Duration {
        SHUTDOWN_DELAY: with_default(parse::duration) {
            default: "0s",
            expected: "a duration such as 5s",
            description: "how long a server still accepts requests after the signal to stop, so that load balancers \
                          notice",
            prefix: "SHUTDOWN_",
        }
    }

    // Storage.

    /// Directory of the database and the artifacts.
    data_dir: PathBuf {
        DATA_DIR: with_default(parse::path) {
            default: "./data",
            expected: "a directory this process may write to",
            description: "database and files; one process at a time",
        }
    }

    /// How long artifacts are kept.
    artifact_ttl: Duration {
        ARTIFACT_TTL: with_default(parse::duration) {
            default: "7d",
            expected: "a duration such as 7d or 12h",
            description: "how long exported files, uploaded files and reports are kept",
            prefix: "ARTIFACT_",
        }
    }

    /// How long history is kept.
    history_ttl: Duration {
        HISTORY_TTL: with_default(parse::duration) {
            default: "90d",
            expected: "a duration such as 90d",
            description: "how long the history is kept",
            prefix: "HISTORY_",
        }
    }

    // Jobs.

    /// Maximum size of an upload, in bytes.
    upload_limit: u64 {
        UPLOAD_LIMIT: with_default(parse::size) {
            default: "2GiB",
            expected: "a size such as 2GiB",
            description: "largest file to import",
            prefix: "UPLOAD_",
        }
    }

    /// With `LOGIN=extension`, whether jobs may use client credentials after the admin's token has expired.
    jobs_use_client: bool {
        JOBS_USE_CLIENT: with_default(parse::from_str) {
            default: "false",
            expected: "`true` or `false`",
            description: "with `LOGIN=extension`: client credentials continue a job when its owner's token has \
                          expired, if the owner's permissions suffice and Auth0 never rejected the owner's token",
            prefix: "JOBS_",
        }
    }

    // Transforms and their sandbox.

    /// Directory of the operator's transforms.
    transforms_dir: Option<PathBuf> {
        TRANSFORMS_DIR: optional(parse::path) {
            expected: "a directory of .wasm transforms",
            description: "directory of transforms",
        }
    }

    /// Whether admins may upload transforms, and whether uploaded ones are used.
    transform_uploads: bool {
        TRANSFORM_UPLOADS: with_default(parse::from_str) {
            default: "true",
            expected: "`true` or `false`",
            description: "whether admins may upload transforms; `false`: uploaded ones are neither listed nor run",
            prefix: "TRANSFORM_",
        }
    }

    /// The transforms that may use a secret, by the name of the secret. A secret that is not listed is available to all
    /// transforms except uploaded ones.
    secret_users: BTreeMap<String, Vec<SecretUser>> {
        TRANSFORM_SECRETS: optional(parse::secret_users) {
            expected: "pairs such as SALT=pseudonymize (a transform that is part of this program) or SALT=sha256:<64 \
                       hexadecimal digits> (the file of another), separated by commas",
            description: "the only transforms that get a named secret, such as \
                          `SALT=pseudonymize,SALT=sha256:<digest>` ([how](docs/transforms.md#secrets))",
        }
        => TRANSFORM_SECRETS.unwrap_or_default()
    }

    /// Named secrets for transforms (`SECRET_<NAME>`).
    secrets: BTreeMap<String, SecretString> { => loader.named_secrets() }

    /// Memory limit of one sandbox instance, in bytes.
    sandbox_memory: u64 {
        SANDBOX_MEMORY: with_default(parse::size) {
            default: "64MiB",
            expected: "a size such as 64MiB",
            description: "memory limit of sandboxed code",
            prefix: "SANDBOX_",
        }
    }

    /// Time limit of a transform for one row.
    sandbox_timeout: Duration {
        SANDBOX_TIMEOUT: with_default(parse::positive_duration) {
            default: "500ms",
            expected: "a duration such as 500ms",
            description: "time limit of sandboxed code for one row",
        }
    }

    // Metrics and the log.

    /// The token for /metrics.
    metrics_token: Option<SecretString> {
        METRICS_TOKEN: secret {
            expected: "a token that reads /metrics",
            description: "token for `/metrics` (Prometheus); required for metrics on a server with a public URL",
            prefix: "METRICS_",
        }
    }

    /// An additional address that serves only /metrics.
    metrics_address: Option<SocketAddr> {
        METRICS_ADDRESS: optional(parse::socket_address) {
            expected: "an address and port such as 127.0.0.1:9464, where only /metrics is served",
            description: "address and port, such as `127.0.0.1:9464`, of a separate listener for `/metrics`; an \
                          address that is not loopback needs `METRICS_TOKEN`",
        }
    }

    /// Log filter in the syntax of `tracing_subscriber::EnvFilter`.
    log: String {
        LOG: with_default(parse::log_filter) {
            default: "info,actix_server=warn",
            expected: "a filter such as info or user_import_export=debug,warn",
            description: "log filter, such as `info` or `user_import_export=debug,warn`",
        }
    }

    /// Form of log lines.
    log_format: LogFormat {
        LOG_FORMAT: with_default(parse::log_format) {
            default: "text",
            expected: "`text` or `json`",
            description: "`text` or `json`",
        }
    }

    // Not settings, but known after reading them.

    /// The value and the source of each setting; those of secrets are hidden.
    listing: Vec<ListedSetting> { => loader.listing() }

    /// Warnings from reading the settings; part of [`Settings::warnings`].
    notices: Vec<String> { => loader.take_notices() }
}
