//! Login with `LOGIN=extension`: dashboard admins sign in at the root tenant, with this server's base URL as client id
//! (docs/auth0/login.md#start-of-a-login, docs/auth0/login.md#callback).

use aws_lc_rs::hmac;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::admins::Admission;
use super::jwt::{self, Claims};
use super::login::{CookieKind, LoginCookie, LoginDone, LoginStart, SCOPES, login_refused, with_query};
use super::login_token::{undecodable_token, verify_login_token};
use super::replay_cache::ReplayCache;
use super::secrets::Secrets;
use super::session::{MAX_LIFETIME, Sessions, SignIn};
use uie_auth0::Oidc;
use uie_core::config::TenantHost;
use uie_core::encryption::{constant_time_eq, hex, hmac_key, random};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::permissions::{Permission, Permissions};

/// The cookies of this flow (docs/auth0/login.md#start-of-a-login).
pub(super) const COOKIES: &[(&str, CookieKind)] = &[
    ("state", CookieKind::CrossSite),
    ("nonce", CookieKind::CrossSite),
    ("state_compat", CookieKind::Compat),
    ("nonce_compat", CookieKind::Compat),
];

/// Suffix of the state of a login in a popup.
const POPUP_SUFFIX: &str = ".popup";

/// The form that the root tenant makes the browser post (docs/auth0/login.md#callback).
#[derive(Clone, Default, Deserialize)]
pub struct ExtensionCallback {
    /// The id_token of the admin.
    pub id_token: Option<String>,
    /// The Management API token.
    pub access_token: Option<String>,
    /// The state from the start of the login.
    pub state: Option<String>,
    /// Error code, instead of the tokens.
    pub error: Option<String>,
    /// Description of the error.
    pub error_description: Option<String>,
}

impl ExtensionCallback {
    /// Returns whether the login runs in a popup according to the state, which is not verified here.
    pub fn popup(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.ends_with(POPUP_SUFFIX))
    }
}

pub(super) struct Flow {
    oidc: Oidc,
    client_id: String,
    audience: String,
    keys: Vec<hmac::Key>,
    completed_logins: ReplayCache,
}

impl Flow {
    pub(super) fn new(
        (secret, previous): Secrets<'_>,
        rta: &TenantHost,
        tenant: &TenantHost,
        base_url: &str,
    ) -> Result<Self> {
        let keys = [Some(secret), previous].into_iter().flatten().map(|secret| hmac_key(secret, "login"));
        Ok(Self {
            oidc: Oidc::new(rta)?,
            client_id: base_url.to_owned(),
            audience: tenant.management_audience(),
            keys: keys.collect::<Result<_>>()?,
            completed_logins: ReplayCache::default(),
        })
    }

    pub(super) fn oidc(&self) -> &Oidc {
        &self.oidc
    }

    pub(super) fn host(&self) -> &TenantHost {
        self.oidc.host()
    }

    /// Creates a nonce: random bytes and their HMAC, which proves that the login was started by this server without
    /// storing every started login.
    fn nonce(&self) -> Result<String> {
        let random = hex(&random::<8>()?);
        let key =
            self.keys.first().ok_or_else(|| Error::new(Code::Internal, message!("There is no key for logins.")))?;
        Ok(format!("{random}{}", hex_hmac(key, "nonce", &random, 8)))
    }

    /// Returns the state that belongs to a nonce of this server, with the current or the previous secret; `None` for
    /// any other nonce.
    fn state_of(&self, nonce: &str) -> Option<String> {
        let (random, proof) = nonce.split_at_checked(16)?;
        let key = self.keys.iter().find(|key| constant_time_eq(proof, &hex_hmac(key, "nonce", random, 8)))?;
        Some(hex_hmac(key, "state", nonce, 16))
    }

    pub(super) fn start(&self, popup: bool) -> Result<LoginStart> {
        let nonce = self.nonce()?;
        let mut state = self.state_of(&nonce).unwrap_or_default();
        if popup {
            state.push_str(POPUP_SUFFIX);
        }
        let location = with_query(
            &self.host().url("/authorize"),
            &[
                ("client_id", &self.client_id),
                ("response_type", "token id_token"),
                ("response_mode", "form_post"),
                ("scope", &format!("openid name email {SCOPES}")),
                ("expiration", &MAX_LIFETIME.as_secs().to_string()),
                ("redirect_uri", &format!("{}/login/callback", self.client_id)),
                ("audience", &self.audience),
                ("nonce", &nonce),
                ("state", &state),
            ],
        );
        let cookies = COOKIES.iter().map(|&(name, kind)| {
            let value = if name.starts_with("state") { &state } else { &nonce };
            LoginCookie { name, value: value.clone(), kind }
        });
        Ok(LoginStart { location, cookies: cookies.collect() })
    }

    /// Checks the callback in the order of docs/auth0/login.md#callback; the first failure is the error.
    pub(super) async fn finish<'a>(
        &self,
        form: &ExtensionCallback,
        cookie: impl Fn(&str) -> Option<&'a str>,
        sessions: &Sessions,
        now: Timestamp,
    ) -> Result<LoginDone> {
        let failed = |message: Message| Error::new(Code::LoginValidation, message);
        let unauthorized = |message: Message| Error::new(Code::LoginUnauthorized, message);
        let state = form.state.as_deref();
        let state_matches = cookies_match([cookie("state"), cookie("state_compat")], state);
        if let Some(error) = form.error.as_deref().filter(|_| form.id_token.is_none()) {
            // Show the error only in the browser that started the login: another site may have posted the form.
            return Err(if state_matches {
                login_refused(error, form.error_description.as_deref())
            } else {
                failed(message!("Login failed. State mismatch."))
            });
        }
        let unverified = form.id_token.as_deref().and_then(jwt::read);
        let (_, unverified) = unverified.ok_or_else(|| failed(message!("Login failed. Invalid token.")))?;
        let nonce = unverified.text("nonce");
        if !cookies_match([cookie("nonce"), cookie("nonce_compat")], nonce) {
            return Err(failed(message!("Login failed. Nonce mismatch.")));
        }
        if !state_matches {
            return Err(failed(message!("Login failed. State mismatch.")));
        }
        let id_token = required("id_token", form.id_token.as_deref())?;
        let access_token = required("access_token", form.access_token.as_deref())?;
        jwt::read(access_token).ok_or_else(undecodable_token)?;

        let id_claims = verify_login_token(&self.oidc, id_token, now).await?;
        if !id_claims.is_for(&self.client_id) {
            return Err(unauthorized(message!("Audience mismatch for: {audience}", audience = self.client_id)));
        }
        let access_claims = verify_login_token(&self.oidc, access_token, now).await?;
        if !access_claims.is_for(&self.audience) {
            return Err(unauthorized(message!("Audience mismatch for: {audience}", audience = self.audience)));
        }
        if access_claims.text("azp") != Some(self.client_id.as_str()) {
            return Err(unauthorized(message!("The access_token's azp does not match the id_token")));
        }
        if id_claims.text("sub").is_none() || id_claims.text("sub") != access_claims.text("sub") {
            return Err(unauthorized(message!("Subjects don't match")));
        }
        let permissions = granted_permissions(&access_claims)?;
        // The nonce identifies the login, because it is part of the signed id_token, while an attacker with the tokens
        // can choose state and cookies. A login that this server did not start (another secret, another server) is
        // protected by the cookies only, as in docs/auth0/login.md#callback.
        if let (Some(state), Some(nonce)) = (state, nonce)
            && let Some(expected_state) = self.state_of(nonce)
        {
            if !constant_time_eq(state.strip_suffix(POPUP_SUFFIX).unwrap_or(state), &expected_state) {
                return Err(failed(message!("Login failed. State mismatch.")));
            }
            if !self.completed_logins.insert_once(nonce) {
                return Err(failed(message!("Login failed. This login was completed before.")));
            }
        }
        let mut sign_in = SignIn::new(&id_claims, permissions, Admission::Token)?;
        sign_in.access_token = Some(SecretString::from(access_token));
        // A session cannot be used without its access token.
        if let Some(end) = access_claims.expiry() {
            sign_in.expires_at = sign_in.expires_at.min(end);
        }
        let (token, session) = sessions.issue(&sign_in, now).await?;
        Ok(LoginDone { token, session, popup: form.popup() })
    }
}

/// Returns the permissions of an access token (its `scope` claim: RFC 9068, 2.2.3). Fails with
/// [`Code::InsufficientScope`] unless they include reading users and connections.
fn granted_permissions(claims: &Claims) -> Result<Permissions> {
    let permissions = Permissions::from_scope(claims.text("scope").unwrap_or_default());
    permissions.require(&[Permission::ReadUsers, Permission::ReadConnections]).map_err(|error| {
        error.with_hint(message!(
            "Sign in again and accept every permission that Auth0 asks for. Where it does not ask, your role in the \
             Auth0 dashboard does not include them: ask an administrator of the tenant."
        ))
    })?;
    Ok(permissions)
}

/// Returns the first `bytes` bytes of an HMAC of a label and a value, in hexadecimal.
fn hex_hmac(key: &hmac::Key, label: &str, value: &str, bytes: usize) -> String {
    let tag = hmac::sign(key, format!("{label} {value}").as_bytes());
    hex(tag.as_ref().get(..bytes).unwrap_or_default())
}

/// Returns whether at least one cookie of a pair is present and all present ones match. The original extension accepted
/// missing cookies, so that an attacker could complete a login in another user's browser
/// (docs/auth0/login.md#weaknesses-of-the-original-callback).
fn cookies_match(cookies: [Option<&str>; 2], expected: Option<&str>) -> bool {
    let Some(expected) = expected.filter(|expected| !expected.is_empty()) else { return false };
    cookies.iter().any(Option::is_some)
        && cookies.into_iter().flatten().all(|cookie| constant_time_eq(cookie, expected))
}

/// Returns a required parameter. Fails with [`Code::LoginArgument`] if it is absent or empty
/// (docs/auth0/login.md#callback, step 4).
fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str> {
    match value {
        None => Err(Error::new(Code::LoginArgument, message!("Must provide an {name}"))),
        Some("") => Err(Error::new(Code::LoginArgument, message!("The provided {name} is invalid: "))),
        Some(value) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(secret: &str, previous: Option<&str>) -> Flow {
        let host = TenantHost::parse("acme.eu.auth0.com").unwrap();
        let (secret, previous) = (SecretString::from(secret), previous.map(SecretString::from));
        Flow::new((&secret, previous.as_ref()), &host, &host, "https://tools.example").unwrap()
    }

    #[test]
    fn the_state_is_derived_from_the_servers_own_nonces_only() {
        let before = flow("the secret of last year", None);
        let nonce = before.nonce().unwrap();
        let state = before.state_of(&nonce).expect("its own nonce");
        assert_ne!(before.nonce().unwrap(), nonce);
        assert_eq!((nonce.len(), state.len()), (32, 32));
        let both = flow("the secret of today", Some("the secret of last year"));
        assert_eq!(both.state_of(&nonce), Some(state), "a started login stays valid after a new secret");
        assert_eq!(flow("the secret of today", None).state_of(&nonce), None);
        for foreign in
            ["", "the-nonce", "0123456789abcdef0123456789abcdef", &nonce[..31], &format!("{nonce}0"), "éééééééé"]
        {
            assert_eq!(before.state_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn one_cookie_of_a_pair_is_enough_and_every_one_must_match() {
        let right = Some("right");
        for (cookies, expected) in [
            ([right, right], true),
            ([right, None], true),
            ([None, right], true),
            ([None, None], false),
            ([right, Some("wrong")], false),
            ([Some("wrong"), right], false),
            ([right, Some("")], false),
        ] {
            assert_eq!(cookies_match(cookies, right), expected, "{cookies:?}");
        }
        assert!(!cookies_match([Some(""), None], Some("")), "an empty value never matches");
        assert!(!cookies_match([right, right], None));
    }
}
