//! The host of an Auth0 tenant.

use url::Url;

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

/// Returns whether the host of a URL is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
