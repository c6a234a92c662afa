//! Access control: login flows, token checks, sessions, permissions, hook tokens, back-channel log-out
//! (docs/auth0/extension.md#lifecycle-hooks, docs/auth0/login.md;
//! docs/decisions/0012-session-token-of-the-extension.md).

mod admins;
mod backchannel;
mod extension;
mod hook;
mod permissions;
mod replay;
mod session;
mod tenant;
mod token;

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
pub use extension::ExtensionCallback;
pub use permissions::{Permission, Permissions};
pub use session::SignIn;
pub use tenant::TenantCallback;

/// What an admin consents to at login, and what the manifest asks for: the least the product needs
/// (docs/auth0/extension.md#manifest).
pub const SCOPES: &str = "create:users read:users read:connections";

/// The audience of session tokens (docs/auth0/README.md#constants).
pub const SESSION_AUDIENCE: &str = "urn:user-import-export-extension";

/// Where the browser keeps the session token (docs/auth0/README.md#constants).
pub const STORAGE_KEY: &str = "user-import-export-extension:apiToken";

/// A signed-in person, as the session token says.
#[derive(Clone, Debug)]
pub struct Session {
    /// `sub` of the id_token.
    pub subject: String,
    /// E-mail, for display.
    pub email: Option<String>,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// Names this session without revealing its token: download tickets are bound to it.
    pub id: String,
    /// The admin's own Management API token (`LOGIN=extension`), decrypted; none with `LOGIN=tenant`.
    pub access_token: Option<SecretString>,
    /// What the session may do.
    pub permissions: Permissions,
}

/// A session as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionInfo {
    /// Names the session; it is not its token.
    pub id: String,
    /// `sub` of the person.
    pub subject: String,
    /// E-mail address, where it is known.
    pub email: Option<String>,
    /// How the person signed in: `extension` or `tenant`.
    pub login: String,
    /// What the session may do: scopes of the Management API.
    pub permissions: Vec<&'static str>,
    /// When the person signed in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the session was used last, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whether it is the session of this request.
    pub current: bool,
}

/// How a cookie of a login travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieKind {
    /// `Secure; SameSite=None`: comes along with a form posted by another site.
    CrossSite,
    /// Without either, for browsers that reject `SameSite=None` (docs/auth0/login.md#start-of-a-login).
    Compat,
    /// `SameSite=Lax`: comes along when a link or redirect of another site leads here.
    Lax,
}

/// A cookie that lives while somebody signs in. All of them are `HttpOnly` and end with the browser.
#[derive(Clone)]
pub struct LoginCookie {
    /// Its name.
    pub name: &'static str,
    /// Its value; nothing that needs quoting.
    pub value: String,
    /// How it travels.
    pub kind: CookieKind,
}

/// The beginning of a login: where the browser goes, and what it carries.
#[derive(Clone)]
pub struct LoginStart {
    /// URL at the login tenant.
    pub location: String,
    /// Cookies to set.
    pub cookies: Vec<LoginCookie>,
}

/// The end of a login.
#[derive(Clone, Debug)]
pub struct LoginDone {
    /// The session token, for the browser's storage.
    pub token: SecretString,
    /// The session it stands for.
    pub session: Session,
    /// The login ran in a popup of a framed page.
    pub popup: bool,
}

/// `EXTENSION_SECRET`, and the one before it: what was signed or sealed with that is still accepted.
type Secrets<'a> = (&'a SecretString, Option<&'a SecretString>);

/// Checks everything that asks to come in.
pub struct Access {
    base_url: String,
    sessions: session::Sessions,
    hooks: hook::Hooks,
    flow: Flow,
    store: Store,
}

enum Flow {
    Extension(Box<extension::Flow>),
    Tenant(Box<tenant::Flow>),
}

impl Access {
    /// Access as the settings say, with its sessions in `store`; `base_url` has no trailing slash.
    pub fn new(settings: &Settings, base_url: &str, store: Store) -> Result<Self> {
        let secrets = settings.extension_secrets()?;
        let tenant = settings.tenant()?;
        let flow = match settings.login {
            config::Login::Extension => {
                Flow::Extension(Box::new(extension::Flow::new(secrets, &settings.rta, tenant, base_url)?))
            }
            config::Login::Tenant => Flow::Tenant(Box::new(tenant::Flow::new(settings, secrets, tenant, base_url)?)),
        };
        Ok(Self {
            base_url: base_url.to_owned(),
            sessions: session::Sessions::new(settings, base_url, store.clone())?,
            hooks: hook::Hooks::new(secrets, tenant, base_url, store.clone()),
            flow,
            store,
        })
    }

    /// Checks the `Authorization` header of an API request (docs/auth0/login.md#bearer-tokens-and-error-answers).
    /// A `background` request does not count as use of the session, so that a page that polls does not keep an idle
    /// session alive.
    pub async fn session(&self, authorization: Option<&str>, background: bool) -> Result<Session> {
        self.sessions.check(authorization, background, Timestamp::now()).await
    }

    /// Opens a session for a person whose sign-in was checked.
    pub async fn open_session(&self, person: &SignIn) -> Result<(SecretString, Session)> {
        self.sessions.issue(person, Timestamp::now()).await
    }

    /// Whether the session with this id is usable now.
    pub async fn is_live(&self, id: &str) -> Result<bool> {
        self.sessions.is_live(id, Timestamp::now()).await
    }

    /// Every usable session, those of `session`'s person first.
    pub async fn sessions(&self, session: &Session) -> Result<Vec<SessionInfo>> {
        self.sessions.list(session, Timestamp::now()).await
    }

    /// Ends the session with this id, or with `everywhere` all sessions of its person; at once. Fails with
    /// [`Code::SessionNotFound`] when no usable session has this id.
    pub async fn end_session(&self, id: &str, everywhere: bool) -> Result<()> {
        self.sessions.end(id, everywhere, Timestamp::now()).await
    }

    /// Forgets the sessions in memory, after their rows were deleted.
    pub async fn forget_sessions(&self) {
        self.sessions.forget().await;
    }

    /// Ends the sessions that a logout token of the login tenant names (OpenID Connect Back-Channel Logout 1.0).
    /// Returns how many.
    pub async fn end_by_logout_token(&self, token: &str) -> Result<usize> {
        let now = Timestamp::now();
        let (oidc, client_id) = match &self.flow {
            Flow::Extension(flow) => (flow.oidc(), self.base_url.as_str()),
            Flow::Tenant(flow) => (flow.oidc(), flow.client_id()),
        };
        let claims = verified(oidc, token, now).await?;
        let token = backchannel::check(&claims, client_id, now)?;
        let digest = token::digest(&format!("logout token {}", token.id));
        if self.store.is_token_used(&digest).await? {
            return Err(Error::new(Code::LoginUnauthorized, "The logout token was used before."));
        }
        let selection = match (&token.sid, &token.subject) {
            (Some(sid), subject) => SessionSelection::Sid(sid, subject.as_deref()),
            (None, Some(subject)) => SessionSelection::Subject(subject),
            (None, None) => return Ok(0),
        };
        // The token counts as used only when it took effect, so that the login tenant can repeat a call that failed.
        let ended = self.sessions.revoke(selection, now).await?;
        self.store.use_token(&digest, claims.expiry(), now).await?;
        Ok(ended)
    }

    /// Checks the `Authorization` header of a lifecycle hook (docs/auth0/extension.md#lifecycle-hooks) and records the use
    /// of its token; `path` is the hook's path below the base URL, for example `/.extensions/on-uninstall`.
    /// `destructive` hooks delete something, so their tokens are checked more strictly.
    pub async fn hook(&self, authorization: Option<&str>, path: &str, destructive: bool) -> Result<()> {
        self.hooks.check(authorization, path, destructive, Timestamp::now()).await
    }

    /// Begins a login (docs/auth0/login.md#start-of-a-login).
    pub fn start_login(&self, popup: bool) -> Result<LoginStart> {
        match &self.flow {
            Flow::Extension(flow) => flow.start(popup),
            Flow::Tenant(flow) => flow.start(popup, Timestamp::now()),
        }
    }

    /// Ends a login with `LOGIN=extension`: the form the login tenant posted, and the value of each of
    /// our cookies by its name.
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

    /// Ends a login with `LOGIN=tenant`: the query the login tenant sent, and the value of each of our
    /// cookies by its name.
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

    /// The cookies of a login, to be cleared at its end (docs/auth0/login.md#answer-to-the-callback).
    pub fn login_cookies(&self) -> &'static [(&'static str, CookieKind)] {
        match &self.flow {
            Flow::Extension(_) => extension::COOKIES,
            Flow::Tenant(_) => tenant::COOKIES,
        }
    }

    /// Where logging out goes on, at the login tenant, which then leads back here (docs/auth0/login.md#logout).
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

/// Everything but what ECMAScript's `encodeURIComponent` leaves alone, which the original's URLs are made with.
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

/// A text as a component of a URL.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// A URL with a query, its parameters in the order given.
fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{url}?{}", query.join("&"))
}

/// Checks what both kinds of login check in every token of the login tenant: that it can be read, key, RS256 signature,
/// times and issuer (docs/auth0/login.md#callback, steps 5 to 8).
async fn verified(oidc: &Oidc, token: &str, now: Timestamp) -> Result<token::Claims> {
    let unauthorized = |fault: token::TokenFault| Error::new(Code::LoginUnauthorized, fault.text());
    let (header, _) = token::read(token).ok_or_else(undecodable)?;
    // Before the key is looked up: no request is spent on a token that can't be right.
    if header.alg != "RS256" {
        return Err(unauthorized(token::TokenFault::Algorithm).with_hint(
            "The login tenant has to sign its tokens with RS256: in the application's advanced settings under OAuth.",
        ));
    }
    let key = oidc.signing_key(header.kid.as_deref()).await?;
    let claims = token::verify(token, &key, jsonwebtoken::Algorithm::RS256).map_err(unauthorized)?;
    claims.check_times(now).map_err(unauthorized)?;
    let issuer = oidc.host().issuer();
    if claims.text("iss") != Some(issuer.as_str()) {
        let found = claims.text("iss").unwrap_or("undefined");
        return Err(Error::new(Code::LoginUnauthorized, format!("Invalid issuer: {found}")));
    }
    Ok(claims)
}

/// The answer to a token that is none (docs/auth0/login.md#callback, step 5; the wording is the original's).
fn undecodable() -> Error {
    Error::new(Code::LoginValidation, "Unable to decoded the token.")
}

/// What the login tenant said instead of signing somebody in (RFC 6749, 4.1.2.1).
fn refused(error: &str, description: Option<&str>) -> Error {
    let description = description.unwrap_or("the login tenant gave no reason");
    Error::new(Code::LoginUnauthorized, format!("Login failed. {error}: {description}"))
}
