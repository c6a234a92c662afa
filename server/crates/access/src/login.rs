//! What both kinds of login share: scopes, cookies, start and result of a login, URLs, and the error response of the
//! login tenant.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;

use super::session::Session;
use uie_core::error::{Code, Error};
use uie_core::message::message;

/// The scopes requested at login and in the manifest: the minimum that the product needs
/// (docs/auth0/extension.md#manifest).
pub const SCOPES: &str = "create:users read:users read:connections";

/// When the browser sends a cookie of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieKind {
    /// `Secure; SameSite=None`: also with a form posted by another site.
    CrossSite,
    /// Without both attributes, for browsers that reject `SameSite=None` (docs/auth0/login.md#start-of-a-login).
    Compat,
    /// `SameSite=Lax`: also when the user follows a link or redirect from another site.
    Lax,
}

/// A cookie that exists during a login. All of them are `HttpOnly` and end with the browser session.
#[derive(Clone)]
pub struct LoginCookie {
    /// The name.
    pub name: &'static str,
    /// The value, which needs no quoting.
    pub value: String,
    /// When the browser sends it.
    pub kind: CookieKind,
}

/// The start of a login: the redirect and its cookies.
#[derive(Clone)]
pub struct LoginStart {
    /// URL of the login tenant's authorization page.
    pub location: String,
    /// Cookies to set.
    pub cookies: Vec<LoginCookie>,
}

/// The result of a successful login.
#[derive(Clone, Debug)]
pub struct LoginDone {
    /// The session token, for the browser's storage.
    pub token: SecretString,
    /// The session of the token.
    pub session: Session,
    /// Whether the login ran in a popup of a framed page.
    pub popup: bool,
}

/// All characters that ECMAScript's `encodeURIComponent` encodes. The original extension builds its URLs with it.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Encodes a text as a component of a URL.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// Appends a query to a URL, with the parameters in the given order.
pub(super) fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{url}?{}", query.join("&"))
}

/// The error for the login tenant's error response (RFC 6749, 4.1.2.1).
pub(super) fn login_refused(error: &str, description: Option<&str>) -> Error {
    let message = if let Some(description) = description {
        message!("Login failed. {error}: {description}")
    } else {
        message!("Login failed. {error}: the login tenant gave no reason")
    };
    Error::new(Code::LoginUnauthorized, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uie_core::permissions::Permissions;

    #[test]
    fn permissions_are_the_scopes_that_the_login_requests() {
        assert_eq!(Permissions::all().to_string(), SCOPES);
        assert_eq!(Permissions::from_scope(SCOPES), Permissions::all());
    }
}
