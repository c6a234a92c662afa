//! Access control: login flows, token checks, sessions, permissions, hook tokens, back-channel logout
//! (docs/auth0/extension.md#lifecycle-hooks, docs/auth0/login.md;
//! docs/decisions/0012-session-token-of-the-extension.md).

mod admins;
mod backchannel_logout;
mod extension_login;
mod jwt;
mod lifecycle_hooks;
mod permissions;
mod replay_cache;
mod session;
mod tenant_login;

use std::fmt;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth0::Oidc;
use crate::config::{self, Settings};
use crate::error::{Code, Error, Result};
use crate::store::{SessionSelection, Store};

pub use admins::Admission;
pub use extension_login::ExtensionCallback;
pub use permissions::{Permission, Permissions};
pub use session::SignIn;
pub use tenant_login::TenantCallback;

/// The scopes requested at login and in the manifest: the minimum that the product needs
/// (docs/auth0/extension.md#manifest).
pub const SCOPES: &str = "create:users read:users read:connections";

/// The audience of session tokens (docs/auth0/README.md#constants).
pub const SESSION_AUDIENCE: &str = "urn:user-import-export-extension";

/// Key of the session token in the browser's local storage (docs/auth0/README.md#constants).
pub const STORAGE_KEY: &str = "user-import-export-extension:apiToken";

/// The session of a signed-in admin.
#[derive(Clone, Debug)]
pub struct Session {
    /// `sub` of the id_token.
    pub subject: String,
    /// E-mail, for display.
    pub email: Option<String>,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// Id of this session, from which its token cannot be derived. Download tickets are bound to it.
    pub id: String,
    /// The admin's own Management API token (`LOGIN=extension`), decrypted; `None` with `LOGIN=tenant`.
    pub access_token: Option<SecretString>,
    /// What the session may do.
    pub permissions: Permissions,
}

/// A session in the API's list of sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionInfo {
    /// Id of the session, which is not its token.
    pub id: String,
    /// `sub` of the admin.
    pub subject: String,
    /// E-mail address, if known.
    pub email: Option<String>,
    /// How the admin signed in: `extension` or `tenant`.
    pub login: String,
    /// What the session may do: scopes of the Management API.
    pub permissions: Vec<&'static str>,
    /// When the admin signed in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the session was last used, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// When the session expires at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whether it is the session of this request.
    pub current: bool,
}

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

/// `EXTENSION_SECRET` and, if set, the previous secret, whose signatures and ciphertexts are still accepted.
type Secrets<'a> = (&'a SecretString, Option<&'a SecretString>);

/// Checks sessions, logins and hook tokens.
pub struct Access {
    base_url: String,
    sessions: session::Sessions,
    hook_tokens: lifecycle_hooks::HookTokens,
    flow: Flow,
    store: Store,
}

enum Flow {
    Extension(Box<extension_login::Flow>),
    Tenant(Box<tenant_login::Flow>),
}

impl Access {
    /// Creates the access control for the settings, with sessions in `store`. `base_url` has no trailing slash.
    pub fn new(settings: &Settings, base_url: &str, store: Store) -> Result<Self> {
        let secrets = settings.extension_secrets()?;
        let tenant = settings.tenant()?;
        let flow = match settings.login {
            config::Login::Extension => {
                Flow::Extension(Box::new(extension_login::Flow::new(secrets, &settings.rta, tenant, base_url)?))
            }
            config::Login::Tenant => {
                Flow::Tenant(Box::new(tenant_login::Flow::new(settings, secrets, tenant, base_url)?))
            }
        };
        Ok(Self {
            base_url: base_url.to_owned(),
            sessions: session::Sessions::new(settings, base_url, store.clone())?,
            hook_tokens: lifecycle_hooks::HookTokens::new(secrets, tenant, base_url, store.clone()),
            flow,
            store,
        })
    }

    /// Checks the `Authorization` header of an API request (docs/auth0/login.md#bearer-tokens-and-error-answers). A
    /// `background` request does not count as use of the session, so that a polling page does not keep an idle session
    /// alive.
    pub async fn session(&self, authorization: Option<&str>, background: bool) -> Result<Session> {
        self.sessions.check(authorization, background, Timestamp::now()).await
    }

    /// Opens a session after a verified sign-in. Returns its token and the session.
    pub async fn open_session(&self, sign_in: &SignIn) -> Result<(SecretString, Session)> {
        self.sessions.issue(sign_in, Timestamp::now()).await
    }

    /// Returns whether the session with this id can be used now.
    pub async fn is_live(&self, id: &str) -> Result<bool> {
        self.sessions.is_live(id, Timestamp::now()).await
    }

    /// Returns all usable sessions, those of `session`'s admin first.
    pub async fn sessions(&self, session: &Session) -> Result<Vec<SessionInfo>> {
        self.sessions.list(session, Timestamp::now()).await
    }

    /// Ends the session with this id, or with `everywhere` all sessions of its admin. Fails with
    /// [`Code::SessionNotFound`] if no usable session has this id.
    pub async fn end_session(&self, id: &str, everywhere: bool) -> Result<()> {
        self.sessions.end(id, everywhere, Timestamp::now()).await
    }

    /// Removes all sessions from memory, after their rows were deleted.
    pub async fn forget_sessions(&self) {
        self.sessions.forget().await;
    }

    /// Ends the sessions that a logout token of the login tenant names (OpenID Connect Back-Channel Logout 1.0).
    /// Returns the number of ended sessions.
    pub async fn end_by_logout_token(&self, token: &str) -> Result<usize> {
        let now = Timestamp::now();
        let (oidc, client_id) = match &self.flow {
            Flow::Extension(flow) => (flow.oidc(), self.base_url.as_str()),
            Flow::Tenant(flow) => (flow.oidc(), flow.client_id()),
        };
        let claims = verify_login_token(oidc, token, now).await?;
        let token = backchannel_logout::check(&claims, client_id, now)?;
        let digest = jwt::digest(&format!("logout token {}", token.id));
        if self.store.is_token_used(&digest).await? {
            return Err(Error::new(Code::LoginUnauthorized, "The logout token was used before."));
        }
        let selection = match (&token.sid, &token.subject) {
            (Some(sid), subject) => SessionSelection::Sid(sid, subject.as_deref()),
            (None, Some(subject)) => SessionSelection::Subject(subject),
            (None, None) => return Ok(0),
        };
        // Record the token as used after it took effect, so that the login tenant can repeat a failed call.
        let ended = self.sessions.revoke(selection, now).await?;
        self.store.use_token(&digest, claims.expiry(), now).await?;
        Ok(ended)
    }

    /// Checks the `Authorization` header of a lifecycle hook (docs/auth0/extension.md#lifecycle-hooks) and records the
    /// use of its token; `path` is the hook's path below the base URL, for example `/.extensions/on-uninstall`.
    /// `destructive` hooks delete something, so their tokens are checked more strictly.
    pub async fn hook(&self, authorization: Option<&str>, path: &str, destructive: bool) -> Result<()> {
        self.hook_tokens.check(authorization, path, destructive, Timestamp::now()).await
    }

    /// Starts a login (docs/auth0/login.md#start-of-a-login).
    pub fn start_login(&self, popup: bool) -> Result<LoginStart> {
        match &self.flow {
            Flow::Extension(flow) => flow.start(popup),
            Flow::Tenant(flow) => flow.start(popup, Timestamp::now()),
        }
    }

    /// Completes a login with `LOGIN=extension`. `form` is the login tenant's form; `cookie` returns the value of a
    /// login cookie by name.
    pub async fn finish_extension_login<'a>(
        &self,
        form: &ExtensionCallback,
        cookie: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<LoginDone> {
        match &self.flow {
            Flow::Extension(flow) => flow.finish(form, cookie, &self.sessions, Timestamp::now()).await,
            Flow::Tenant(_) => Err(Error::new(Code::MethodNotAllowed, "With LOGIN=tenant a login ends with GET.")),
        }
    }

    /// Completes a login with `LOGIN=tenant`. `query` is the login tenant's query; `cookie` returns the value of a
    /// login cookie by name.
    pub async fn finish_tenant_login<'a>(
        &self,
        query: &TenantCallback,
        cookie: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<LoginDone> {
        match &self.flow {
            Flow::Extension(_) => {
                Err(Error::new(Code::MethodNotAllowed, "With LOGIN=extension a login ends with POST."))
            }
            Flow::Tenant(flow) => flow.finish(query, cookie, &self.sessions, Timestamp::now()).await,
        }
    }

    /// Returns the cookies of a login, which are cleared at its end (docs/auth0/login.md#answer-to-the-callback).
    pub fn login_cookies(&self) -> &'static [(&'static str, CookieKind)] {
        match &self.flow {
            Flow::Extension(_) => extension_login::COOKIES,
            Flow::Tenant(_) => tenant_login::COOKIES,
        }
    }

    /// Returns the logout URL of the login tenant, which then redirects back to this server
    /// (docs/auth0/login.md#logout).
    pub fn logout_url(&self) -> String {
        let base = encode(&self.base_url);
        match &self.flow {
            Flow::Extension(flow) => format!("{}?returnTo={base}&client_id={base}", flow.host().url("/v2/logout/")),
            Flow::Tenant(flow) => {
                format!("{}?returnTo={base}&client_id={}", flow.host().url("/v2/logout"), encode(flow.client_id()))
            }
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("base_url", &self.base_url).finish_non_exhaustive()
    }
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
fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// Appends a query to a URL, with the parameters in the given order.
fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{url}?{}", query.join("&"))
}

/// Checks a token of the login tenant as both kinds of login do: format, key, RS256 signature, times and issuer
/// (docs/auth0/login.md#callback, steps 5 to 8). Returns its claims.
async fn verify_login_token(oidc: &Oidc, token: &str, now: Timestamp) -> Result<jwt::Claims> {
    let unauthorized = |error: jwt::TokenError| Error::new(Code::LoginUnauthorized, error.message());
    let (header, _) = jwt::read(token).ok_or_else(undecodable_token)?;
    // Before the key is looked up, so that an invalid token causes no request.
    if header.alg != "RS256" {
        return Err(unauthorized(jwt::TokenError::Algorithm).with_hint(
            "The login tenant has to sign its tokens with RS256: in the application's advanced settings under OAuth.",
        ));
    }
    let key = oidc.signing_key(header.kid.as_deref()).await?;
    let claims = jwt::verify(token, &key, jsonwebtoken::Algorithm::RS256).map_err(unauthorized)?;
    claims.check_times(now).map_err(unauthorized)?;
    let issuer = oidc.host().issuer();
    if claims.text("iss") != Some(issuer.as_str()) {
        let found = claims.text("iss").unwrap_or("undefined");
        return Err(Error::new(Code::LoginUnauthorized, format!("Invalid issuer: {found}")));
    }
    Ok(claims)
}

/// The error for a text that is not a JWT (docs/auth0/login.md#callback, step 5; the wording is the original's).
fn undecodable_token() -> Error {
    Error::new(Code::LoginValidation, "Unable to decoded the token.")
}

/// The error for the login tenant's error response (RFC 6749, 4.1.2.1).
fn login_refused(error: &str, description: Option<&str>) -> Error {
    let description = description.unwrap_or("the login tenant gave no reason");
    Error::new(Code::LoginUnauthorized, format!("Login failed. {error}: {description}"))
}
