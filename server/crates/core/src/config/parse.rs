//! Parsers of single settings. Each returns `None` for a value that is not as expected.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::types::{LogFormat, Login, SecretUser};

/// Accepts any text.
#[expect(clippy::unnecessary_wraps, reason = "a parser returns an Option")]
pub(super) fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Accepts any path.
#[expect(clippy::unnecessary_wraps, reason = "a parser returns an Option")]
pub(super) fn path(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text))
}

/// Parses a number, `true` or `false`.
pub(super) fn from_str<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Parses a duration such as `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// Parses a duration that is longer than 0.
pub(super) fn positive_duration(text: &str) -> Option<Duration> {
    duration(text).filter(|time| !time.is_zero())
}

/// Parses a size such as `64MiB` that is larger than 0.
pub(super) fn size(text: &str) -> Option<u64> {
    text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()).filter(|bytes| *bytes > 0)
}

/// Parses an IP address or `localhost`.
pub(super) fn ip_address(text: &str) -> Option<IpAddr> {
    if text == "localhost" { Some(Ipv4Addr::LOCALHOST.into()) } else { text.parse().ok() }
}

/// Parses an IP address or `localhost`, with a port.
pub(super) fn socket_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse().ok(),
        None => text.parse().ok(),
    }
}

/// Parses an http(s) URL without query, fragment or credentials. Users of the URL remove its trailing slash.
pub(super) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then_some(url)
}

/// Parses `extension` or `tenant`.
pub(super) fn login(text: &str) -> Option<Login> {
    match text {
        "extension" => Some(Login::Extension),
        "tenant" => Some(Login::Tenant),
        _ => None,
    }
}

/// Parses `text` or `json`.
pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

/// Accepts a filter of `tracing_subscriber`.
pub(super) fn log_filter(text: &str) -> Option<String> {
    tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
}

/// Parses the sources of the `frame-ancestors` directive. Accepts only origins and the two CSP keywords, since the
/// result becomes part of a header.
pub(super) fn frame_ancestors(text: &str) -> Option<String> {
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

/// Parses `SALT=pseudonymize,SALT=sha256:12ab…`. `None` if the syntax is not valid.
pub(super) fn secret_users(text: &str) -> Option<BTreeMap<String, Vec<SecretUser>>> {
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
