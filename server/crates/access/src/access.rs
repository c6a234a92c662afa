//! [`Access`]: the entry point of the access control.

use std::fmt;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;

use super::extension_login::{self, ExtensionCallback};
use super::lifecycle_hooks::HookTokens;
use super::login::{CookieKind, LoginDone, LoginStart, encode};
use super::login_token::verify_login_token;
use super::session::{Session, SessionInfo, Sessions, SignIn};
use super::tenant_login::{self, TenantCallback};
use super::{backchannel_logout, jwt};
use uie_core::config::{Login, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_store::{SessionSelection, Store};

/// Checks sessions, logins and hook tokens.
pub struct Access {
    base_url: String,
    sessions: Sessions,
    hook_tokens: HookTokens,
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
            Login::Extension => {
                Flow::Extension(Box::new(extension_login::Flow::new(secrets, &settings.rta, tenant, base_url)?))
            }
            Login::Tenant => Flow::Tenant(Box::new(tenant_login::Flow::new(settings, secrets, tenant, base_url)?)),
        };
        Ok(Self {
            base_url: base_url.to_owned(),
            sessions: Sessions::new(settings, base_url, store.clone())?,
            hook_tokens: HookTokens::new(secrets, tenant, base_url, store.clone()),
            flow,
            store,
        })
    }

    /// Checks the `Authorization` header of an API request (docs/auth0/login.md#bearer-tokens-and-error-answers). A
    /// `background` request does not count as use of the session, so that a polling page does not keep an idle session
    /// alive.
    pub fn session<'a>(&'a self, authorization: Option<&'a str>, background: bool) -> BoxFuture<'a, Result<Session>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        self.sessions.check(authorization, background, Timestamp::now()).boxed()
    }

    /// Opens a session after a verified sign-in. Returns its token and the session.
    pub fn open_session<'a>(&'a self, sign_in: &'a SignIn) -> BoxFuture<'a, Result<(SecretString, Session)>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        self.sessions.issue(sign_in, Timestamp::now()).boxed()
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

    /// Removes the rows of sessions that have ended at `now`, and of used tokens that have expired.
    pub async fn delete_ended_sessions(&self, now: Timestamp) -> Result<()> {
        self.sessions.delete_ended(now).await
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
            return Err(Error::new(Code::LoginUnauthorized, message!("The logout token was used before.")));
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
            Flow::Tenant(_) => {
                Err(Error::new(Code::MethodNotAllowed, message!("With LOGIN=tenant a login ends with GET.")))
            }
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
                Err(Error::new(Code::MethodNotAllowed, message!("With LOGIN=extension a login ends with POST.")))
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
