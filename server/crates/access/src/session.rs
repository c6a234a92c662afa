//! Session tokens (HS256 with the raw bytes of `EXTENSION_SECRET`) and their sessions. A token is only valid together
//! with the row of its session in the database (docs/auth0/login.md#session-token,
//! docs/auth0/login.md#bearer-tokens-and-error-answers; docs/decisions/0012-session-token-of-the-extension.md).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use super::admins::{Admission, still_admitted};
use super::jwt::{self, Claims};
use super::secrets::Secrets;
use uie_core::config::{Admins, Login, Settings};
use uie_core::encryption::{Encryptor, hex, random};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::permissions::Permissions;
use uie_core::principal::Principal;
use uie_store::{SessionRecord, SessionSelection, Store};

/// The audience of session tokens (docs/auth0/README.md#constants).
pub const SESSION_AUDIENCE: &str = "urn:user-import-export-extension";

/// Key of the session token in the browser's local storage (docs/auth0/README.md#constants).
pub const STORAGE_KEY: &str = "user-import-export-extension:apiToken";

/// Maximum lifetime of a session, which is also the lifetime requested at login
/// (docs/auth0/login.md#start-of-a-login).
pub(super) const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(10);

/// Encryption purpose of the Management API tokens inside session tokens.
const PURPOSE: &str = "session access token";

/// Maximum number of concurrent sessions of one admin. A new session ends the least recently used one.
const MAX_SESSIONS_PER_ADMIN: u32 = 100;

/// Minimum interval between two writes of a session's last use to the database.
const SEEN_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// Upper bound of the delay with which the last use of a session is stored.
const LAST_SEEN_DELAY: SignedDuration = SignedDuration::from_mins(2);

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

impl Session {
    /// Returns the admin as the user on whose behalf the server acts.
    pub fn principal(&self) -> Principal {
        Principal {
            subject: self.subject.clone(),
            email: self.email.clone(),
            permissions: self.permissions,
            access_token: self.access_token.clone(),
            expires_at: self.expires_at,
            session: self.id.clone(),
        }
    }
}

/// A session in the API's list of sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When the session was last used, to the minute.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_seen_at: Timestamp,
    /// When the session expires at the latest.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// Whether it is the session of this request.
    pub current: bool,
}

/// A verified sign-in of an admin.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// `sub` of the id_token.
    pub subject: String,
    /// E-mail address, for display.
    pub email: Option<String>,
    /// Name, for display.
    pub name: Option<String>,
    /// When the id_token expires, or with `LOGIN=extension` the access token if it expires earlier.
    pub expires_at: Timestamp,
    /// The admin's own Management API token (`LOGIN=extension`).
    pub access_token: Option<SecretString>,
    /// What the session may do.
    pub permissions: Permissions,
    /// Why the admin was admitted.
    pub admission: Admission,
    /// The session at the login tenant (`sid` of the id_token).
    pub sid: Option<String>,
}

impl SignIn {
    /// Creates a sign-in from the claims of a verified id_token. Fails with [`Code::LoginUnauthorized`] if it has no
    /// subject or expiry.
    pub(super) fn new(claims: &Claims, permissions: Permissions, admission: Admission) -> Result<Self> {
        let invalid = |message: Message| Error::new(Code::LoginUnauthorized, message);
        let subject = claims.text("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| invalid(message!("The id_token names no subject (sub).")))?;
        let expires_at = claims.expiry().ok_or_else(|| invalid(message!("The id_token has no expiry (exp).")))?;
        Ok(Self {
            subject: subject.to_owned(),
            email: claims.text("email").map(str::to_owned),
            name: claims.text("name").map(str::to_owned),
            expires_at,
            access_token: None,
            permissions,
            admission,
            sid: claims.text("sid").map(str::to_owned),
        })
    }
}

/// A session in memory.
#[derive(Clone, Debug)]
struct CachedSession {
    record: SessionRecord,
    admission: Admission,
    permissions: Permissions,
    /// The last use written to the database.
    written: Timestamp,
    /// The monotonic time of the last use in this process, or of reading the session from the database.
    used: Instant,
}

/// Issues, checks and revokes sessions.
pub(super) struct Sessions {
    issuer: String,
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
    encryptor: Encryptor,
    store: Store,
    tenant: String,
    login: Login,
    admins: Admins,
    idle_timeout: SignedDuration,
    /// Sessions that were read from the database or written to it, by id.
    cache: Mutex<HashMap<String, CachedSession>>,
    /// Held while rows and `cache` are read or written together, so that no revocation is lost.
    rows: tokio::sync::Mutex<()>,
}

impl Sessions {
    pub(super) fn new(settings: &Settings, issuer: &str, store: Store) -> Result<Self> {
        let (secret, previous): Secrets<'_> = settings.extension_secrets()?;
        let bytes = |secret: &SecretString| secret.expose_secret().as_bytes().to_vec();
        let verifying = [Some(secret), previous].into_iter().flatten();
        Ok(Self {
            issuer: issuer.to_owned(),
            signing: EncodingKey::from_secret(&bytes(secret)),
            verifying: verifying.map(|secret| DecodingKey::from_secret(&bytes(secret))).collect(),
            encryptor: Encryptor::new(secret, PURPOSE)?.with_previous(previous, PURPOSE)?,
            store,
            tenant: settings.tenant()?.host().to_owned(),
            login: settings.login,
            admins: settings.admins.clone(),
            idle_timeout: SignedDuration::try_from(settings.session_idle_timeout).unwrap_or(SignedDuration::MAX),
            cache: Mutex::default(),
            rows: tokio::sync::Mutex::default(),
        })
    }

    /// Opens a session. Returns its token and the session, which expires with the id_token, after ten hours at the
    /// latest.
    pub(super) async fn issue(&self, sign_in: &SignIn, now: Timestamp) -> Result<(SecretString, Session)> {
        let end = sign_in.expires_at.as_second().min(now.as_second().saturating_add(MAX_LIFETIME.as_secs()));
        let expires_at = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
        let id = hex(&random::<16>()?);
        let mut claims = Map::new();
        claims.insert("sub".into(), sign_in.subject.as_str().into());
        for (name, value) in [("email", &sign_in.email), ("name", &sign_in.name)] {
            if let Some(value) = value {
                claims.insert(name.into(), value.as_str().into());
            }
        }
        if let Some(access_token) = &sign_in.access_token {
            claims.insert("access_token".into(), self.encryptor.seal(&id, access_token.expose_secret())?.into());
        }
        claims.insert("exp".into(), end.into());
        claims.insert("iat".into(), now.as_second().into());
        claims.insert("iss".into(), self.issuer.as_str().into());
        claims.insert("aud".into(), SESSION_AUDIENCE.into());
        claims.insert("jti".into(), id.as_str().into());
        claims.insert("tenant".into(), self.tenant.as_str().into());
        claims.insert("login".into(), self.login.as_str().into());
        claims.insert("scope".into(), sign_in.permissions.to_string().into());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &Value::Object(claims), &self.signing)
            .map_err(|_| Error::new(Code::Internal, message!("The session token cannot be signed.")))?;
        let admission = serde_json::to_string(&sign_in.admission).map_err(Error::internal)?;
        let record = SessionRecord {
            id: id.clone(),
            tenant: self.tenant.clone(),
            login: self.login.as_str().to_owned(),
            subject: sign_in.subject.clone(),
            email: sign_in.email.clone(),
            admission,
            permissions: sign_in.permissions.to_string(),
            sid: sign_in.sid.clone(),
            created_at: now,
            last_seen_at: now,
            expires_at,
            revoked_at: None,
        };
        let _rows = self.rows.lock().await;
        self.store.insert_session(&record).await?;
        let cached = CachedSession {
            admission: sign_in.admission.clone(),
            permissions: sign_in.permissions,
            written: record.last_seen_at,
            used: Instant::now(),
            record,
        };
        let owner = (self.tenant.as_str(), self.login.as_str());
        let excess = self.store.revoke_excess_sessions(owner, &sign_in.subject, MAX_SESSIONS_PER_ADMIN, now).await?;
        let mut sessions = self.lock_cache();
        sessions.retain(|id, cached| cached.record.expires_at > now && !excess.contains(id));
        sessions.insert(id.clone(), cached);
        drop(sessions);
        let session = Session {
            subject: sign_in.subject.clone(),
            email: sign_in.email.clone(),
            expires_at,
            id,
            access_token: sign_in.access_token.clone(),
            permissions: sign_in.permissions,
        };
        Ok((SecretString::from(token), session))
    }

    /// Checks the `Authorization` header of an API request, in the order and with the messages of
    /// docs/auth0/login.md#bearer-tokens-and-error-answers. `background` requests do not count as use.
    ///
    /// Fails with [`Code::InvalidToken`] for an invalid token, and with [`Code::NotAnAdmin`] if the settings no longer
    /// admit the admin.
    pub(super) async fn check(&self, authorization: Option<&str>, background: bool, now: Timestamp) -> Result<Session> {
        let token = bearer_token(authorization)?;
        let invalid = |message: Message| Error::new(Code::InvalidToken, message);
        let claims =
            jwt::verify_with_any(token, &self.verifying, Algorithm::HS256).map_err(|error| invalid(error.message()))?;
        claims.check_times(now).map_err(|error| invalid(error.message()))?;
        if !claims.is_for(SESSION_AUDIENCE) {
            return Err(invalid(message!("jwt audience invalid. expected: {audience}", audience = SESSION_AUDIENCE)));
        }
        if claims.text("iss") != Some(self.issuer.as_str()) {
            return Err(invalid(message!("jwt issuer invalid. expected: {issuer}", issuer = self.issuer)));
        }
        // Every token of this server has an expiry, a subject and a session.
        if claims.number("exp").is_none() {
            return Err(invalid(message!("jwt has no expiry")));
        }
        let subject = claims.text("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| invalid(message!("jwt names no subject")))?;
        let id = claims.text("jti").ok_or_else(|| invalid(message!("jwt names no session")))?;
        let matches_settings =
            claims.text("tenant") == Some(&self.tenant) && claims.text("login") == Some(self.login.as_str());
        if !matches_settings {
            return Err(invalid(message!(
                "The session was opened for another tenant or kind of login than the current settings."
            )));
        }
        let cached = self.find_live(id, now).await?;
        if cached.record.subject != subject {
            return Err(invalid(unknown_session()));
        }
        if !background {
            self.record_use(id, now).await;
        }
        Ok(Session {
            subject: cached.record.subject,
            email: cached.record.email,
            expires_at: cached.record.expires_at,
            access_token: claims.text("access_token").and_then(|encrypted| self.encryptor.open(id, encrypted)),
            permissions: cached.permissions,
            id: cached.record.id,
        })
    }

    /// Returns the session with this id if it can be used now: it exists, is not revoked, expired or idle, matches the
    /// current settings, and they still admit its admin. Fails with [`Code::InvalidToken`] or [`Code::NotAnAdmin`].
    async fn find_live(&self, id: &str, now: Timestamp) -> Result<CachedSession> {
        let cached = self.find(id).await?;
        let invalid = |message: Message| Error::new(Code::InvalidToken, message);
        let cached = cached.ok_or_else(|| invalid(unknown_session()))?;
        if cached.record.revoked_at.is_some() {
            return Err(invalid(message!("The session was ended.")));
        }
        if cached.record.expires_at <= now {
            return Err(invalid(jwt::TokenError::Expired.message()));
        }
        if cached.record.tenant != self.tenant || cached.record.login != self.login.as_str() {
            return Err(invalid(unknown_session()));
        }
        if self.is_idle(&cached.record, Some(cached.used), now) {
            let limit = humantime::format_duration(self.idle_timeout.unsigned_abs());
            return Err(invalid(message!("session idle for longer than {limit}")).with_hint(message!(
                "Sign in again at /login; SESSION_IDLE_TIMEOUT sets how long a session may be idle."
            )));
        }
        if self.login == Login::Tenant
            && !still_admitted(&self.admins, &cached.admission, &cached.record.subject, cached.record.email.as_deref())
        {
            return Err(Error::new(Code::NotAnAdmin, message!("The settings of this server no longer admit you.")));
        }
        Ok(cached)
    }

    /// Returns whether a session was unused for too long according to the system clock or the monotonic clock, because
    /// the system clock may be set back.
    fn is_idle(&self, record: &SessionRecord, used: Option<Instant>, now: Timestamp) -> bool {
        now.duration_since(record.last_seen_at) > self.idle_timeout
            || used.is_some_and(|used| used.elapsed() > self.idle_timeout.unsigned_abs())
    }

    async fn find(&self, id: &str) -> Result<Option<CachedSession>> {
        if let Some(cached) = self.lock_cache().get(id) {
            return Ok(Some(cached.clone()));
        }
        let _rows = self.rows.lock().await;
        if let Some(cached) = self.lock_cache().get(id) {
            return Ok(Some(cached.clone()));
        }
        let Some(record) = self.store.session(id).await? else { return Ok(None) };
        let Ok(admission) = serde_json::from_str(&record.admission) else { return Ok(None) };
        let cached = CachedSession {
            admission,
            permissions: Permissions::from_scope(&record.permissions),
            written: record.last_seen_at,
            used: Instant::now(),
            record,
        };
        self.lock_cache().insert(id.to_owned(), cached.clone());
        Ok(Some(cached))
    }

    /// Records that a session was used. If that cannot be stored, logs the failure and lets the request continue.
    async fn record_use(&self, id: &str, now: Timestamp) {
        let due = {
            let mut sessions = self.lock_cache();
            let Some(cached) = sessions.get_mut(id) else { return };
            cached.record.last_seen_at = now;
            cached.used = Instant::now();
            let due = now.duration_since(cached.written).abs() >= SEEN_INTERVAL;
            if due {
                cached.written = now;
            }
            due
        };
        if due && let Err(error) = self.store.set_session_seen(id, now).await {
            tracing::warn!(
                error = error.code.as_str(),
                "the last use of a session could not be stored: {}",
                error.message
            );
        }
    }

    /// Returns whether the session with this id can be used now.
    pub(super) async fn is_live(&self, id: &str, now: Timestamp) -> Result<bool> {
        match self.find_live(id, now).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code, Code::InvalidToken | Code::NotAnAdmin) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns all usable sessions: first those of `session`'s admin, then the newest first.
    pub(super) async fn list(&self, session: &Session, now: Timestamp) -> Result<Vec<SessionInfo>> {
        let mut records = self.store.sessions(&self.tenant, self.login.as_str(), now).await?;
        let sessions = self.lock_cache();
        records.retain_mut(|record| {
            let cached = sessions.get(&record.id);
            if let Some(cached) = cached {
                record.last_seen_at = cached.record.last_seen_at;
            }
            !self.is_idle(record, cached.map(|cached| cached.used), now)
        });
        drop(sessions);
        records.sort_by_key(|record| record.subject != session.subject);
        let info = |record: SessionRecord| SessionInfo {
            current: record.id == session.id,
            id: record.id,
            subject: record.subject,
            email: record.email,
            login: record.login,
            permissions: Permissions::from_scope(&record.permissions).names(),
            created_at: record.created_at,
            last_seen_at: record.last_seen_at,
            expires_at: record.expires_at,
        };
        Ok(records.into_iter().map(info).collect())
    }

    /// Ends one session, or with `everywhere` all sessions of its admin. Fails with [`Code::SessionNotFound`] if there
    /// is no usable session with this id.
    pub(super) async fn end(&self, id: &str, everywhere: bool, now: Timestamp) -> Result<()> {
        let not_found = || Error::new(Code::SessionNotFound, message!("There is no session {id:?}."));
        let cached = match self.find(id).await? {
            Some(CachedSession { record, .. })
                if record.tenant == self.tenant
                    && record.login == self.login.as_str()
                    && record.revoked_at.is_none()
                    && record.expires_at > now =>
            {
                record
            }
            _ => return Err(not_found()),
        };
        let selection =
            if everywhere { SessionSelection::Subject(&cached.subject) } else { SessionSelection::Id(&cached.id) };
        self.revoke(selection, now).await?;
        Ok(())
    }

    /// Revokes sessions, in the database first. Returns their number.
    pub(super) async fn revoke(&self, selection: SessionSelection<'_>, now: Timestamp) -> Result<usize> {
        let _rows = self.rows.lock().await;
        let ids = self.store.revoke_sessions((&self.tenant, self.login.as_str()), selection, now).await?;
        let mut sessions = self.lock_cache();
        for id in &ids {
            if let Some(cached) = sessions.get_mut(id) {
                cached.record.revoked_at = Some(now);
            }
        }
        Ok(ids.len())
    }

    /// Removes the rows of sessions that are revoked, expired or idle, and of used tokens that have expired.
    pub(super) async fn delete_ended(&self, now: Timestamp) -> Result<()> {
        let idle = self.idle_timeout.saturating_add(LAST_SEEN_DELAY);
        self.store.delete_ended_sessions(now, now.checked_sub(idle).unwrap_or(Timestamp::MIN)).await
    }

    /// Removes all sessions from memory, after their rows were deleted.
    pub(super) async fn forget(&self) {
        let _rows = self.rows.lock().await;
        self.lock_cache().clear();
    }

    fn lock_cache(&self) -> std::sync::MutexGuard<'_, HashMap<String, CachedSession>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the message for a session without a row in the database.
fn unknown_session() -> Message {
    message!("The session is not known to this server.")
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Returns the token of an `Authorization` header. The scheme is case-insensitive (RFC 9110, 11.1).
fn bearer_token(authorization: Option<&str>) -> Result<&str> {
    let missing = || Error::new(Code::CredentialsRequired, message!("No authorization token was found"));
    let header = authorization.ok_or_else(missing)?;
    let mut parts = header.split(' ');
    let (Some(scheme), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::new(Code::CredentialsBadFormat, message!("Format is Authorization: Bearer [token]")));
    };
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Error::new(Code::CredentialsBadScheme, message!("Format is Authorization: Bearer [token]")));
    }
    if token.is_empty() { Err(missing()) } else { Ok(token) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use uie_core::config::Purpose;

    const BASE: &str = "https://tools.example/ext";
    const SECRET: &str = "5f2b9c0e71d84a36";
    const EXTENSION: &[(&str, &str)] = &[("AUTH0_DOMAIN", "acme.eu.auth0.com")];
    const TENANT: &[(&str, &str)] = &[
        ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
        ("LOGIN", "tenant"),
        ("AUTH0_CLIENT_ID", "id"),
        ("AUTH0_CLIENT_SECRET", "secret"),
        ("ADMIN_SUBJECTS", "auth0|ada"),
    ];

    struct TestSessions {
        directory: TempDir,
        store: Store,
        sessions: Sessions,
    }

    impl TestSessions {
        async fn new(settings: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path()).await.unwrap();
            let sessions = sessions_with(settings, &[], &store);
            Self { directory, store, sessions }
        }

        /// Opens the same database with other settings, as after a restart.
        fn restart(&mut self, settings: &[(&str, &str)], changes: &[(&str, &str)]) {
            self.sessions = sessions_with(settings, changes, &self.store);
        }

        async fn sign_in(&self, sign_in: SignIn) -> (String, Session) {
            let (token, session) = self.sessions.issue(&sign_in, now()).await.unwrap();
            (token.expose_secret().to_owned(), session)
        }

        async fn check_at(&self, token: &str, at: Timestamp) -> Result<Session> {
            self.sessions.check(Some(&format!("Bearer {token}")), false, at).await
        }

        async fn check(&self, token: &str) -> Result<Session> {
            self.check_at(token, now()).await
        }
    }

    fn sessions_with(settings: &[(&str, &str)], changes: &[(&str, &str)], store: &Store) -> Sessions {
        let all = [("EXTENSION_SECRET", SECRET)];
        let all = all.iter().chain(settings).chain(changes);
        let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::parse(Purpose::Serve, all, None).unwrap();
        Sessions::new(&settings, BASE, store.clone()).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    fn admin(admission: Admission) -> SignIn {
        SignIn {
            subject: "auth0|ada".into(),
            email: Some("ada@example.com".into()),
            name: None,
            expires_at: now() + seconds(3600),
            access_token: None,
            permissions: Permissions::all(),
            admission,
            sid: None,
        }
    }

    fn ada() -> SignIn {
        SignIn { access_token: Some("management-token".into()), ..admin(Admission::Token) }
    }

    fn mint(claims: &Value, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    fn claims_of(token: &str) -> Value {
        Value::Object(jwt::read(token).unwrap().1.0)
    }

    #[tokio::test]
    async fn a_session_contains_the_admin_who_signed_in() {
        let bench = TestSessions::new(EXTENSION).await;
        let (token, issued) = bench.sign_in(ada()).await;
        let session = bench.check(&token).await.unwrap();
        assert_eq!((session.subject.as_str(), session.email.as_deref()), ("auth0|ada", Some("ada@example.com")));
        assert_eq!(session.expires_at, now() + seconds(3600));
        assert_eq!(session.access_token.unwrap().expose_secret(), "management-token");
        assert_eq!((session.id, session.permissions), (issued.id, Permissions::all()));
    }

    #[tokio::test]
    async fn a_session_token_names_tenant_login_and_scope_and_hides_the_management_token() {
        let bench = TestSessions::new(EXTENSION).await;
        let read_only = Permissions::from_scope("read:users read:connections");
        let (token, _) = bench.sign_in(SignIn { permissions: read_only, ..ada() }).await;
        let claims = claims_of(&token);
        assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some(BASE), Some(SESSION_AUDIENCE)));
        assert_eq!(claims["iat"], now().as_second());
        assert_eq!(claims["tenant"], "acme.eu.auth0.com");
        assert_eq!(claims["login"], "extension");
        assert_eq!(claims["scope"], "read:users read:connections");
        assert!(!claims.to_string().contains("management-token"));
        assert_eq!(bench.check(&token).await.unwrap().permissions, read_only);
    }

    #[tokio::test]
    async fn no_session_lasts_longer_than_ten_hours() {
        let bench = TestSessions::new(EXTENSION).await;
        let (_, session) = bench.sign_in(SignIn { expires_at: Timestamp::MAX, ..ada() }).await;
        assert_eq!(session.expires_at.as_second(), now().as_second() + 36_000);
    }

    #[tokio::test]
    async fn setting_the_clock_back_does_not_change_the_expiry_of_sessions() {
        let bench = TestSessions::new(EXTENSION).await;
        let (token, _) = bench.sign_in(ada()).await;
        let end = now() + seconds(3600);
        for at in [now() - SignedDuration::from_hours(24 * 365), Timestamp::UNIX_EPOCH] {
            let session = bench.sessions.check(Some(&format!("Bearer {token}")), true, at).await.unwrap();
            assert_eq!(session.expires_at, end, "the expiry is unchanged");
        }
        for at in [end, Timestamp::MAX] {
            assert_eq!(bench.check_at(&token, at).await.unwrap_err().message, "jwt expired");
        }
        bench
            .check_at(&token, end - seconds(1))
            .await
            .expect("with the right time the session is valid until its expiry");
        // A login while the clock is wrong: ten hours by that clock, or until the id_token expires.
        for at in [Timestamp::UNIX_EPOCH, now() - SignedDuration::from_hours(30)] {
            let (_, session) = bench.sessions.issue(&ada(), at).await.unwrap();
            assert_eq!(session.expires_at.as_second(), at.as_second() + 36_000);
        }
        assert_eq!(bench.sessions.issue(&ada(), Timestamp::MAX).await.unwrap().1.expires_at, end);
    }

    #[test]
    fn an_id_token_without_subject_or_expiry_opens_no_session() {
        for claims in [json!({"exp": 9_000_000_000_i64}), json!({"sub": "", "exp": 1}), json!({"sub": "ada"})] {
            let claims = Claims(claims.as_object().cloned().unwrap());
            assert!(SignIn::new(&claims, Permissions::all(), Admission::Subject).is_err(), "{claims:?}");
        }
    }

    #[tokio::test]
    async fn a_token_without_a_session_in_the_database_is_refused() {
        let bench = TestSessions::new(EXTENSION).await;
        let (token, _) = bench.sign_in(ada()).await;
        let claims = claims_of(&token);
        let changed = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            mint(&claims, SECRET)
        };
        bench.check(&changed("name", json!("Ada"))).await.expect("signed with the secret, and of a session");
        for (token, text) in [
            (changed("jti", json!("0123456789abcdef0123456789abcdef")), unknown_session()),
            (changed("jti", Value::Null), message!("jwt names no session")),
            (changed("sub", json!("auth0|mallory")), unknown_session()),
        ] {
            let error = bench.check(&token).await.unwrap_err();
            assert_eq!((error.code, error.message), (Code::InvalidToken, text));
        }
        // As issued by version 3.0.0.
        let mut old = claims.clone();
        old.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "tenant" | "login" | "scope"));
        assert_eq!(bench.check(&mint(&old, SECRET)).await.unwrap_err().code, Code::InvalidToken);
    }

    #[tokio::test]
    async fn a_session_is_only_valid_for_its_tenant_and_kind_of_login() {
        let mut bench = TestSessions::new(EXTENSION).await;
        let (token, session) = bench.sign_in(ada()).await;
        bench.restart(EXTENSION, &[]);
        bench.check(&token).await.expect("a restart ends no session");
        for (settings, changes) in [
            (EXTENSION, &[("AUTH0_DOMAIN", "other.eu.auth0.com")][..]),
            (TENANT, &[]),
            (TENANT, &[("AUTH0_DOMAIN", "other.eu.auth0.com")]),
        ] {
            bench.restart(settings, changes);
            assert_eq!(bench.check(&token).await.unwrap_err().code, Code::InvalidToken);
            assert!(!bench.sessions.is_live(&session.id, now()).await.unwrap());
            // Also with claims changed to match the settings.
            let mut claims = claims_of(&token);
            claims["tenant"] = bench.sessions.tenant.as_str().into();
            claims["login"] = bench.sessions.login.as_str().into();
            assert_eq!(bench.check(&mint(&claims, SECRET)).await.unwrap_err().code, Code::InvalidToken);
        }
    }

    #[tokio::test]
    async fn an_admin_removed_from_the_settings_is_refused_at_the_next_request() {
        let mut bench = TestSessions::new(TENANT).await;
        let (token, session) = bench.sign_in(admin(Admission::Subject)).await;
        bench.check(&token).await.unwrap();
        bench.restart(TENANT, &[("ADMIN_SUBJECTS", "auth0|grace")]);
        let error = bench.check(&token).await.unwrap_err();
        assert_eq!((error.code, error.status()), (Code::NotAnAdmin, 403));
        assert!(!bench.sessions.is_live(&session.id, now()).await.unwrap(), "its download links end too");
    }

    #[tokio::test]
    async fn a_revoked_session_is_refused_at_once_and_after_a_restart() {
        let mut bench = TestSessions::new(TENANT).await;
        let (first, session) = bench.sign_in(admin(Admission::Subject)).await;
        let (second, _) = bench.sign_in(admin(Admission::Subject)).await;
        bench.check(&first).await.unwrap();
        bench.sessions.end(&session.id, false, now()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(bench.check(&first).await.unwrap_err().message, "The session was ended.");
            bench.check(&second).await.expect("the other session is still valid");
            bench.restart(TENANT, &[]);
        }
        assert_eq!(bench.sessions.end(&session.id, false, now()).await.unwrap_err().code, Code::SessionNotFound);
        assert_eq!(bench.sessions.end("unknown", true, now()).await.unwrap_err().code, Code::SessionNotFound);
        let (third, session) = bench.sign_in(admin(Admission::Subject)).await;
        bench.sessions.end(&session.id, true, now()).await.unwrap();
        for token in [&second, &third] {
            assert_eq!(bench.check(token).await.unwrap_err().code, Code::InvalidToken);
        }
        bench.store.delete_ended_sessions(now(), Timestamp::UNIX_EPOCH).await.unwrap();
        bench.restart(TENANT, &[]);
        assert_eq!(
            bench.check(&third).await.unwrap_err().message,
            unknown_session(),
            "cleanup does not make a revoked session valid"
        );
    }

    #[tokio::test]
    async fn a_cached_session_needs_no_database() {
        let bench = TestSessions::new(TENANT).await;
        let (token, _) = bench.sign_in(admin(Admission::Subject)).await;
        bench.store.close().await;
        bench.check(&token).await.unwrap();
        bench.check_at(&token, now() + seconds(120)).await.expect("a failure to store the last use is not an error");
        assert!(bench.directory.path().exists());
    }

    #[tokio::test]
    async fn an_idle_session_ends_and_background_requests_do_not_extend_it() {
        let mut bench = TestSessions::new(EXTENSION).await;
        bench.restart(EXTENSION, &[("SESSION_IDLE_TIMEOUT", "10m")]);
        let (token, session) = bench.sign_in(ada()).await;
        let background = async |bench: &TestSessions, at: i64| {
            bench.sessions.check(Some(&format!("Bearer {token}")), true, now() + seconds(at)).await.map(|_| ())
        };
        bench.check_at(&token, now() + seconds(500)).await.unwrap();
        bench.check_at(&token, now() + seconds(1000)).await.expect("use extends it");
        bench.restart(EXTENSION, &[("SESSION_IDLE_TIMEOUT", "10m")]);
        background(&bench, 1500).await.expect("a restart does not shorten it");
        let listed = bench.sessions.list(&session, now() + seconds(1500)).await.unwrap();
        assert_eq!(listed[0].last_seen_at, now() + seconds(1000));
        background(&bench, 1600).await.unwrap();
        let error = background(&bench, 1601).await.unwrap_err();
        assert_eq!(
            (error.code, error.message.to_string().as_str()),
            (Code::InvalidToken, "session idle for longer than 10m")
        );
        assert!(bench.sessions.list(&session, now() + seconds(1601)).await.unwrap().is_empty());
        assert!(
            bench.check_at(&token, now() + seconds(1602)).await.is_err(),
            "a later request does not make it valid again"
        );
    }

    #[tokio::test]
    async fn own_sessions_are_listed_first() {
        let bench = TestSessions::new(EXTENSION).await;
        let (_, mine) = bench.sign_in(ada()).await;
        let (_, _) = bench.sign_in(SignIn { subject: "auth0|grace".into(), email: None, ..ada() }).await;
        let listed = bench.sessions.list(&mine, now()).await.unwrap();
        let shown: Vec<_> = listed.iter().map(|info| (info.subject.as_str(), info.current)).collect();
        assert_eq!(shown, [("auth0|ada", true), ("auth0|grace", false)]);
        assert_eq!(listed[0].email.as_deref(), Some("ada@example.com"));
        assert_eq!(listed[0].permissions, Permissions::all().names());
    }

    #[tokio::test]
    async fn a_session_stays_valid_while_its_secret_is_the_previous_one() {
        let mut bench = TestSessions::new(EXTENSION).await;
        let (token, _) = bench.sign_in(ada()).await;
        let new = "c2a91be07f5d4836";
        bench.restart(EXTENSION, &[("EXTENSION_SECRET", new), ("EXTENSION_SECRET_PREVIOUS", SECRET)]);
        let session = bench.check(&token).await.unwrap();
        assert_eq!(session.access_token.unwrap().expose_secret(), "management-token");
        let (issued, _) = bench.sign_in(ada()).await;
        bench.restart(EXTENSION, &[("EXTENSION_SECRET", new)]);
        assert_eq!(bench.check(&token).await.unwrap_err().message, "invalid signature");
        bench.check(&issued).await.expect("new sessions are signed with the new secret");
    }

    #[tokio::test]
    async fn an_encrypted_management_token_cannot_be_moved_to_another_session() {
        let bench = TestSessions::new(EXTENSION).await;
        let (token, _) = bench.sign_in(ada()).await;
        let (other, _) = bench.sign_in(ada()).await;
        let mut claims = claims_of(&token);
        claims["access_token"] = claims_of(&other)["access_token"].clone();
        assert!(bench.check(&mint(&claims, SECRET)).await.unwrap().access_token.is_none());
    }

    #[tokio::test]
    async fn foreign_tokens_are_refused_with_the_original_messages() {
        let bench = TestSessions::new(EXTENSION).await;
        let (token, _) = bench.sign_in(ada()).await;
        let valid = claims_of(&token);
        let with = |name: &str, value: Value| {
            let mut claims = valid.clone();
            claims[name] = value;
            mint(&claims, SECRET)
        };
        bench.check(&mint(&valid, SECRET)).await.unwrap();
        for (token, text) in [
            (with("exp", json!(now().as_second())), "jwt expired"),
            (with("nbf", json!(now().as_second() + 300)), "jwt not active"),
            (with("aud", json!("urn:other")), "jwt audience invalid. expected: urn:user-import-export-extension"),
            (with("iss", json!("https://other.example")), "jwt issuer invalid. expected: https://tools.example/ext"),
            (with("exp", Value::Null), "invalid exp value"),
            (with("sub", json!("")), "jwt names no subject"),
            (mint(&valid, "fedcba9876543210"), "invalid signature"),
            ("abc".to_owned(), "jwt malformed"),
            ("a.b.c".to_owned(), "jwt malformed"),
        ] {
            let error = bench.check(&token).await.unwrap_err();
            assert_eq!((error.code, error.message.to_string().as_str()), (Code::InvalidToken, text));
        }
    }

    #[test]
    fn the_authorization_header_is_parsed_like_the_original() {
        for (header, code) in [
            (None, Code::CredentialsRequired),
            (Some("Bearer "), Code::CredentialsRequired),
            (Some("Bearer"), Code::CredentialsBadFormat),
            (Some(""), Code::CredentialsBadFormat),
            (Some("Bearer a b"), Code::CredentialsBadFormat),
            (Some("Basic abc"), Code::CredentialsBadScheme),
        ] {
            assert_eq!(bearer_token(header).unwrap_err().code, code, "{header:?}");
        }
        assert_eq!(bearer_token(Some("bearer abc")).unwrap(), "abc");
    }
}
