//! Login with `LOGIN=tenant`: authorization code flow with PKCE at the managed tenant (RFC 6749, RFC 7636, OpenID
//! Connect Core). [`super::admins`] then decides whether the user is an admin.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::admins::{Admission, Decision, authorize, profile_confirms};
use super::jwt::{CLOCK_SKEW_SECONDS, Claims};
use super::login::{CookieKind, LoginCookie, LoginDone, LoginStart, login_refused, with_query};
use super::login_token::verify_login_token;
use super::replay_cache::ReplayCache;
use super::secrets::Secrets;
use super::session::{Sessions, SignIn};
use uie_auth0::{ManagementClient, Oidc};
use uie_core::config::{Admins, ClientCredentials, Settings, TenantHost};
use uie_core::encryption::{Encryptor, constant_time_eq, hex, random};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::permissions::Permissions;

/// Name of the cookie of this flow.
const COOKIE: &str = "user-import-export-login";

/// The cookies of this flow.
pub(super) const COOKIES: &[(&str, CookieKind)] = &[(COOKIE, CookieKind::Lax)];

/// Encryption purpose of the state of a login.
const PURPOSE: &str = "login state";

/// Time limit for a login.
const LOGIN_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);

/// The query of the tenant's redirect to the callback (RFC 6749, 4.1.2).
#[derive(Clone, Default, Deserialize)]
pub struct TenantCallback {
    /// The authorization code.
    pub code: Option<String>,
    /// The state from the start of the login.
    pub state: Option<String>,
    /// Error code, instead of an authorization code.
    pub error: Option<String>,
    /// Description of the error.
    pub error_description: Option<String>,
}

/// The state of a login between its start and the callback, in an encrypted cookie.
#[derive(Serialize, Deserialize)]
struct PendingLogin {
    state: String,
    nonce: String,
    verifier: String,
    popup: bool,
    begun: Timestamp,
}

pub(super) struct Flow {
    oidc: Oidc,
    client: ClientCredentials,
    base_url: String,
    admins: Admins,
    management: Option<ManagementClient>,
    encryptor: Encryptor,
    completed_logins: ReplayCache,
}

impl Flow {
    pub(super) fn new(
        settings: &Settings,
        (secret, previous): Secrets<'_>,
        tenant: &TenantHost,
        base_url: &str,
    ) -> Result<Self> {
        let absent = |name: &str| Error::new(Code::InvalidSettings, message!("{name} is not set"));
        let client = settings.login_client.clone().ok_or_else(|| absent("LOGIN_CLIENT_ID"))?;
        // The user's profile is only needed for admins by e-mail address.
        let management = if settings.admins.emails.is_empty() {
            None
        } else {
            let client = settings.client.as_ref().ok_or_else(|| absent("AUTH0_CLIENT_ID"))?;
            Some(ManagementClient::with_client_credentials(tenant, client)?)
        };
        Ok(Self {
            oidc: Oidc::new(settings.login_domain.as_ref().unwrap_or(tenant))?,
            client,
            base_url: base_url.to_owned(),
            admins: settings.admins.clone(),
            management,
            encryptor: Encryptor::new(secret, PURPOSE)?.with_previous(previous, PURPOSE)?,
            completed_logins: ReplayCache::default(),
        })
    }

    pub(super) fn oidc(&self) -> &Oidc {
        &self.oidc
    }

    pub(super) fn host(&self) -> &TenantHost {
        self.oidc.host()
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client.id
    }

    fn redirect_uri(&self) -> String {
        format!("{}/login/callback", self.base_url)
    }

    pub(super) fn start(&self, popup: bool, now: Timestamp) -> Result<LoginStart> {
        let pending = PendingLogin {
            state: hex(&random::<16>()?),
            nonce: hex(&random::<16>()?),
            verifier: URL_SAFE_NO_PAD.encode(random::<32>()?),
            popup,
            begun: now,
        };
        let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pending.verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let redirect_uri = self.redirect_uri();
        let mut parameters = vec![
            ("client_id", self.client.id.as_str()),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("redirect_uri", &redirect_uri),
            ("nonce", &pending.nonce),
            ("state", &pending.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if let Some(connection) = &self.admins.connection {
            parameters.push(("connection", connection));
        }
        let location = with_query(&self.host().url("/authorize"), &parameters);
        let json = serde_json::to_string(&pending).map_err(|error| {
            Error::new(Code::Internal, message!("The state of the login cannot be serialized: {error}"))
        })?;
        let value = self.encryptor.seal(COOKIE, &json)?;
        Ok(LoginStart { location, cookies: vec![LoginCookie { name: COOKIE, value, kind: CookieKind::Lax }] })
    }

    fn read_pending(&self, cookie: Option<&str>, now: Timestamp) -> Option<PendingLogin> {
        let json = self.encryptor.open(COOKIE, cookie?)?;
        let pending: PendingLogin = serde_json::from_str(json.expose_secret()).ok()?;
        let age = now.duration_since(pending.begun);
        (age <= LOGIN_TIMEOUT && age >= -LOGIN_TIMEOUT).then_some(pending)
    }

    pub(super) async fn finish<'a>(
        &self,
        query: &TenantCallback,
        cookie: impl Fn(&str) -> Option<&'a str>,
        sessions: &Sessions,
        now: Timestamp,
    ) -> Result<LoginDone> {
        let failed = |message: Message| Error::new(Code::LoginValidation, message);
        let pending = self.read_pending(cookie(COOKIE), now);
        let pending = pending.ok_or_else(|| {
            failed(message!("Login failed. State mismatch.")).with_hint(message!(
                "A login has to end in the browser in which it began, within {minutes} minutes. Sign in once more.",
                minutes = LOGIN_TIMEOUT.as_mins()
            ))
        })?;
        if !query.state.as_deref().is_some_and(|state| constant_time_eq(state, &pending.state)) {
            return Err(failed(message!("Login failed. State mismatch.")));
        }
        if !self.completed_logins.insert_once(&pending.state) {
            return Err(failed(message!("Login failed. This login was completed before.")));
        }
        if let Some(error) = &query.error {
            return Err(login_refused(error, query.error_description.as_deref()));
        }
        let code = query.code.as_deref().filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| Error::new(Code::LoginArgument, message!("Must provide a code")))?;
        let id_token = self.oidc.exchange_code(&self.client, code, &self.redirect_uri(), &pending.verifier).await?;
        let claims = verify_login_token(&self.oidc, id_token.expose_secret(), now).await?;
        self.check_id_token(&claims, &pending.nonce, now)?;
        let admission = self.admit(&claims).await?;
        let sign_in = SignIn::new(&claims, Permissions::all(), admission)?;
        let (token, session) = sessions.issue(&sign_in, now).await?;
        Ok(LoginDone { token, session, popup: pending.popup })
    }

    /// Makes the checks of OpenID Connect Core 3.1.3.7 other than signature, times and issuer.
    fn check_id_token(&self, claims: &Claims, nonce: &str, now: Timestamp) -> Result<()> {
        let unauthorized = |message: Message| Error::new(Code::LoginUnauthorized, message);
        if !claims.is_for(&self.client.id) {
            return Err(unauthorized(message!("Audience mismatch for: {audience}", audience = self.client.id)));
        }
        let several = claims.0.get("aud").and_then(serde_json::Value::as_array).is_some_and(|all| all.len() > 1);
        if (several || claims.0.contains_key("azp")) && claims.text("azp") != Some(self.client.id.as_str()) {
            return Err(unauthorized(message!("The id_token's azp is another client")));
        }
        if !claims.text("nonce").is_some_and(|found| constant_time_eq(found, nonce)) {
            return Err(Error::new(Code::LoginValidation, message!("Login failed. Nonce mismatch.")));
        }
        let issued = claims.number("iat").ok_or_else(|| unauthorized(message!("The id_token has no iat")))?;
        if issued > now.as_second() as f64 + CLOCK_SKEW_SECONDS {
            return Err(unauthorized(message!("jwt not active")));
        }
        Ok(())
    }

    async fn admit(&self, claims: &Claims) -> Result<Admission> {
        let denied =
            || Error::new(Code::NotAnAdmin, message!("You are signed in, but you are not an admin of this server."));
        match authorize(&self.admins, claims) {
            Decision::Admit(admission) => Ok(admission),
            Decision::Deny => Err(denied()),
            Decision::CheckProfile { connection } => {
                let (Some(subject), Some(management)) = (claims.text("sub"), &self.management) else {
                    return Err(denied());
                };
                match management.user(subject).await {
                    Ok(profile) if profile_confirms(&self.admins, subject, &profile) => {
                        Ok(Admission::Email { connection })
                    }
                    Ok(_) => Err(denied()),
                    // The user was deleted, or signs in at another tenant than the managed one.
                    Err(error) if error.status() == 404 => Err(denied()),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use uie_core::config::Purpose;
    use uie_store::Store;

    fn settings() -> Settings {
        let settings = [
            ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
            ("LOGIN", "tenant"),
            ("AUTH0_CLIENT_ID", "id"),
            ("AUTH0_CLIENT_SECRET", "secret"),
            ("EXTENSION_SECRET", "5f2b9c0e71d84a36"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::parse(Purpose::Serve, settings, None).unwrap()
    }

    fn flow() -> Flow {
        let settings = settings();
        let secret = SecretString::from("5f2b9c0e71d84a36");
        Flow::new(&settings, (&secret, None), settings.tenant().unwrap(), "https://tools.example").unwrap()
    }

    #[test]
    fn a_login_expires_even_if_the_clock_is_set_back() {
        let flow = flow();
        let begun = Timestamp::from_second(1_800_000_000).unwrap();
        let started = flow.start(false, begun).unwrap();
        let cookie = started.cookies[0].value.as_str();
        let second = SignedDuration::from_secs(1);
        for (now, valid) in [
            (begun, true),
            (begun + LOGIN_TIMEOUT, true),
            (begun + LOGIN_TIMEOUT + second, false),
            (begun - LOGIN_TIMEOUT, true),
            (begun - LOGIN_TIMEOUT - second, false),
            (Timestamp::MIN, false),
            (Timestamp::MAX, false),
        ] {
            assert_eq!(flow.read_pending(Some(cookie), now).is_some(), valid, "{now}");
        }
        assert!(flow.read_pending(None, begun).is_none());
    }

    #[tokio::test]
    async fn a_login_is_not_completed_twice_even_if_the_clock_is_set() {
        let flow = flow();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let sessions = Sessions::new(&settings(), "https://tools.example", store).unwrap();
        let begun = Timestamp::from_second(1_800_000_000).unwrap();
        let started = flow.start(false, begun).unwrap();
        let value = started.cookies[0].value.as_str();
        let query = TenantCallback {
            state: flow.read_pending(Some(value), begun).map(|pending| pending.state),
            error: Some("access_denied".into()),
            ..TenantCallback::default()
        };
        let finish = async |now| {
            let cookie = |name: &str| (name == COOKIE).then_some(value);
            flow.finish(&query, cookie, &sessions, now).await.unwrap_err().message
        };
        assert!(finish(begun).await.contains("access_denied"), "the first callback is processed");
        // Set the clock far ahead, complete another login, then set the clock back.
        for now in [Timestamp::MAX, begun + SignedDuration::from_hours(24), Timestamp::MIN] {
            assert_eq!(finish(now).await, "Login failed. State mismatch.");
        }
        assert!(flow.completed_logins.insert_once("another login"));
        for now in [begun - LOGIN_TIMEOUT, begun, begun + LOGIN_TIMEOUT] {
            assert_eq!(finish(now).await, "Login failed. This login was completed before.");
        }
    }
}
