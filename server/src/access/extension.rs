//! `LOGIN=extension`: dashboard admins sign in at the root tenant, to which this server's base URL is the client id
//! (docs/auth0/login.md#start-of-a-login, docs/auth0/login.md#callback).

use aws_lc_rs::hmac;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::admins::Admission;
use super::permissions::{Permission, Permissions};
use super::replay::Used;
use super::session::{LONGEST, Sessions, SignIn};
use super::token::Claims;
use super::{
    CookieKind, LoginCookie, LoginDone, LoginStart, SCOPES, Secrets, refused, token, undecodable, verified, with_query,
};
use crate::auth0::Oidc;
use crate::config::TenantHost;
use crate::error::{Code, Error, Result};
use crate::seal::{equal, hex, mac_key, random};

/// The cookies of this flow (docs/auth0/login.md#start-of-a-login).
pub(super) const COOKIES: &[(&str, CookieKind)] = &[
    ("state", CookieKind::CrossSite),
    ("nonce", CookieKind::CrossSite),
    ("state_compat", CookieKind::Compat),
    ("nonce_compat", CookieKind::Compat),
];

/// Ends a state whose login runs in a popup.
const POPUP: &str = ".popup";

/// The form the root tenant lets the browser post (docs/auth0/login.md#callback).
#[derive(Clone, Default, Deserialize)]
pub struct ExtensionCallback {
    /// Who signed in.
    pub id_token: Option<String>,
    /// The Management API token.
    pub access_token: Option<String>,
    /// The state the login began with.
    pub state: Option<String>,
    /// Why nobody was signed in, instead of the tokens.
    pub error: Option<String>,
    /// The same in words.
    pub error_description: Option<String>,
}

impl ExtensionCallback {
    /// Whether the login runs in a popup, as far as the unchecked state says.
    pub fn popup(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.ends_with(POPUP))
    }
}

pub(super) struct Flow {
    oidc: Oidc,
    client_id: String,
    audience: String,
    keys: Vec<hmac::Key>,
    used: Used,
}

impl Flow {
    pub(super) fn new(
        (secret, previous): Secrets<'_>,
        rta: &TenantHost,
        tenant: &TenantHost,
        base_url: &str,
    ) -> Result<Self> {
        let keys = [Some(secret), previous].into_iter().flatten().map(|secret| mac_key(secret, "login"));
        Ok(Self {
            oidc: Oidc::new(rta)?,
            client_id: base_url.to_owned(),
            audience: tenant.management_audience(),
            keys: keys.collect::<Result<_>>()?,
            used: Used::default(),
        })
    }

    pub(super) fn oidc(&self) -> &Oidc {
        &self.oidc
    }

    pub(super) fn host(&self) -> &TenantHost {
        self.oidc.host()
    }

    /// A new nonce. To everybody without the secret it is random; to us it says that the login began here,
    /// without remembering every login that was begun.
    fn nonce(&self) -> Result<String> {
        let random = hex(&random::<8>()?);
        let key = self.keys.first().ok_or_else(|| Error::new(Code::Internal, "There is no key for logins."))?;
        Ok(format!("{random}{}", derived(key, "nonce", &random, 8)))
    }

    /// The state that belongs to a nonce of ours, by the current secret or the one before; none for any other
    /// nonce.
    fn state_of(&self, nonce: &str) -> Option<String> {
        let (random, proof) = nonce.split_at_checked(16)?;
        let key = self.keys.iter().find(|key| equal(proof, &derived(key, "nonce", random, 8)))?;
        Some(derived(key, "state", nonce, 16))
    }

    pub(super) fn start(&self, popup: bool) -> Result<LoginStart> {
        let nonce = self.nonce()?;
        let mut state = self.state_of(&nonce).unwrap_or_default();
        if popup {
            state.push_str(POPUP);
        }
        let location = with_query(
            &self.host().url("/authorize"),
            &[
                ("client_id", &self.client_id),
                ("response_type", "token id_token"),
                ("response_mode", "form_post"),
                ("scope", &format!("openid name email {SCOPES}")),
                ("expiration", &LONGEST.as_secs().to_string()),
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
        let failed = |message: &str| Error::new(Code::LoginValidation, message);
        let unauthorized = |message: String| Error::new(Code::LoginUnauthorized, message);
        let state = form.state.as_deref();
        let state_matches = matches([cookie("state"), cookie("state_compat")], state);
        if let Some(error) = form.error.as_deref().filter(|_| form.id_token.is_none()) {
            // Only who began this login is told what somebody else's form says.
            return Err(if state_matches {
                refused(error, form.error_description.as_deref())
            } else {
                failed("Login failed. State mismatch.")
            });
        }
        let unverified = form.id_token.as_deref().and_then(token::read);
        let (_, unverified) = unverified.ok_or_else(|| failed("Login failed. Invalid token."))?;
        let nonce = unverified.text("nonce");
        if !matches([cookie("nonce"), cookie("nonce_compat")], nonce) {
            return Err(failed("Login failed. Nonce mismatch."));
        }
        if !state_matches {
            return Err(failed("Login failed. State mismatch."));
        }
        let id_token = required("id_token", form.id_token.as_deref())?;
        let access_token = required("access_token", form.access_token.as_deref())?;
        token::read(access_token).ok_or_else(undecodable)?;

        let person = verified(&self.oidc, id_token, now).await?;
        if !person.is_for(&self.client_id) {
            return Err(unauthorized(format!("Audience mismatch for: {}", self.client_id)));
        }
        let grant = verified(&self.oidc, access_token, now).await?;
        if !grant.is_for(&self.audience) {
            return Err(unauthorized(format!("Audience mismatch for: {}", self.audience)));
        }
        if grant.text("azp") != Some(self.client_id.as_str()) {
            return Err(unauthorized("The access_token's azp does not match the id_token".to_owned()));
        }
        if person.text("sub").is_none() || person.text("sub") != grant.text("sub") {
            return Err(unauthorized("Subjects don't match".to_owned()));
        }
        let permissions = granted(&grant)?;
        // The nonce is what a signature holds fast, so it names the login: whoever has its tokens may choose state and
        // cookies. A login that did not begin here (with another secret, or on another server) is protected by the
        // cookies alone, as in docs/auth0/login.md#callback.
        if let (Some(state), Some(nonce)) = (state, nonce)
            && let Some(ours) = self.state_of(nonce)
        {
            if !equal(state.strip_suffix(POPUP).unwrap_or(state), &ours) {
                return Err(failed("Login failed. State mismatch."));
            }
            if !self.used.consume(nonce) {
                return Err(failed("Login failed. This login was completed before."));
            }
        }
        let mut person = SignIn::new(&person, permissions, Admission::Token)?;
        person.access_token = Some(SecretString::from(access_token));
        // A session is of no use without its access token.
        if let Some(end) = grant.expiry() {
            person.expires_at = person.expires_at.min(end);
        }
        let (token, session) = sessions.issue(&person, now).await?;
        Ok(LoginDone { token, session, popup: form.popup() })
    }
}

/// The permissions of an access token (its `scope` claim: RFC 9068, 2.2.3). Fails with
/// [`Code::InsufficientScope`] unless they include reading users and connections.
fn granted(grant: &Claims) -> Result<Permissions> {
    let permissions = Permissions::from_scope(grant.text("scope").unwrap_or_default());
    permissions.require(&[Permission::ReadUsers, Permission::ReadConnections]).map_err(|error| {
        error.with_hint(
            "Sign in again and accept every permission that Auth0 asks for. Where it does not ask, your role in the \
             Auth0 dashboard does not include them: ask an administrator of the tenant.",
        )
    })?;
    Ok(permissions)
}

/// So many bytes, in hexadecimal, that only who has the key can tell.
fn derived(key: &hmac::Key, what: &str, from: &str, bytes: usize) -> String {
    let tag = hmac::sign(key, format!("{what} {from}").as_bytes());
    hex(tag.as_ref().get(..bytes).unwrap_or_default())
}

/// Whether at least one cookie of a pair is there and every one that is there matches. The original let missing cookies
/// pass, so that anybody could complete a login in somebody else's browser
/// (docs/auth0/login.md#weaknesses-of-the-original-callback).
fn matches(cookies: [Option<&str>; 2], expected: Option<&str>) -> bool {
    let Some(expected) = expected.filter(|expected| !expected.is_empty()) else { return false };
    cookies.iter().any(Option::is_some) && cookies.into_iter().flatten().all(|cookie| equal(cookie, expected))
}

/// A parameter that must be a text with something in it (docs/auth0/login.md#callback, step 4).
fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str> {
    match value {
        None => Err(Error::new(Code::LoginArgument, format!("Must provide an {name}"))),
        Some("") => Err(Error::new(Code::LoginArgument, format!("The provided {name} is invalid: "))),
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
    fn a_nonce_of_ours_says_which_state_belongs_to_it() {
        let before = flow("the secret of last year", None);
        let nonce = before.nonce().unwrap();
        let state = before.state_of(&nonce).expect("ours");
        assert_ne!(before.nonce().unwrap(), nonce);
        assert_eq!((nonce.len(), state.len()), (32, 32));
        let both = flow("the secret of today", Some("the secret of last year"));
        assert_eq!(both.state_of(&nonce), Some(state), "a login under way outlives a new secret");
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
            assert_eq!(matches(cookies, right), expected, "{cookies:?}");
        }
        assert!(!matches([Some(""), None], Some("")), "nothing matches nothing");
        assert!(!matches([right, right], None));
    }
}
