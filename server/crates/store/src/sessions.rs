//! The tables of sessions and of used tokens.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::storage_error::db_error;
use super::store::Store;
use uie_core::encryption::Encryptor;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Encryption purpose of the e-mail addresses of sessions. The context is the id of the session.
const EMAIL_PURPOSE: &str = "email of a session";

/// Encryption purpose of admissions. The context is the id of the session.
const ADMISSION_PURPOSE: &str = "admission of a session";

/// Maximum number of used tokens without an expiry that are stored.
const MAX_TOKENS_WITHOUT_EXPIRY: u32 = 1024;

/// A row of the table of sessions.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// `jti` of the session token.
    pub id: String,
    /// The tenant (`AUTH0_DOMAIN`) at the sign-in.
    pub tenant: String,
    /// `extension` or `tenant`.
    pub login: String,
    /// `sub` of the user.
    pub subject: String,
    /// E-mail address of the user; `None` if it is not known.
    pub email: Option<String>,
    /// Why the user was admitted, as JSON.
    pub admission: String,
    /// Permissions, separated by spaces.
    pub permissions: String,
    /// The session at the login tenant; `None` if the id_token has no `sid`.
    pub sid: Option<String>,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When the session was last used, with a precision of one minute.
    pub last_seen_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was revoked; `None` if it was not.
    pub revoked_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, tenant, login, subject, sealed_email, sealed_admission, permissions, sid, created_at, \
                       last_seen_at, expires_at, revoked_at";

/// Which sessions to revoke.
#[derive(Clone, Copy, Debug)]
pub enum SessionSelection<'a> {
    /// The session with this id.
    Id(&'a str),
    /// All sessions of the user with this `sub`.
    Subject(&'a str),
    /// The sessions that belong to this session at the login tenant. With a `sub`: only sessions of that user, and also
    /// those without a known session at the login tenant.
    Sid(&'a str, Option<&'a str>),
}

impl Store {
    /// Inserts a session.
    pub async fn insert_session(&self, session: &SessionRecord) -> Result<()> {
        let email = match &session.email {
            Some(email) => Some(self.encryptor(EMAIL_PURPOSE)?.seal(&session.id, email)?),
            None => None,
        };
        let statement = sqlx::AssertSqlSafe(format!(
            "INSERT INTO sessions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ));
        sqlx::query(statement)
            .bind(&session.id)
            .bind(&session.tenant)
            .bind(&session.login)
            .bind(&session.subject)
            .bind(email)
            .bind(self.encryptor(ADMISSION_PURPOSE)?.seal(&session.id, &session.admission)?)
            .bind(&session.permissions)
            .bind(&session.sid)
            .bind(session.created_at.as_millisecond())
            .bind(session.last_seen_at.as_millisecond())
            .bind(session.expires_at.as_millisecond())
            .bind(session.revoked_at.map(Timestamp::as_millisecond))
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Returns the session with this id; `None` if it is unknown or cannot be decrypted with the data key.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRecord>> {
        let statement = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM sessions WHERE id = ?"));
        let row = sqlx::query(statement).bind(id).fetch_optional(self.pool()).await.map_err(db_error)?;
        let encryptors = (self.encryptor(EMAIL_PURPOSE)?, self.encryptor(ADMISSION_PURPOSE)?);
        row.map_or(Ok(None), |row| read_session(&row, &encryptors))
    }

    /// Returns the sessions of a tenant and a login method that are neither revoked nor expired, newest first.
    pub async fn sessions(&self, tenant: &str, login: &str, now: Timestamp) -> Result<Vec<SessionRecord>> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM sessions WHERE tenant = ? AND login = ? AND revoked_at IS NULL AND expires_at > ? \
             ORDER BY created_at DESC, rowid DESC"
        ));
        let rows = sqlx::query(statement)
            .bind(tenant)
            .bind(login)
            .bind(now.as_millisecond())
            .fetch_all(self.pool())
            .await
            .map_err(db_error)?;
        let encryptors = (self.encryptor(EMAIL_PURPOSE)?, self.encryptor(ADMISSION_PURPOSE)?);
        let sessions: Result<Vec<_>> = rows.iter().map(|row| read_session(row, &encryptors)).collect();
        Ok(sessions?.into_iter().flatten().collect())
    }

    /// Stores when a session was last used.
    pub async fn set_session_seen(&self, id: &str, now: Timestamp) -> Result<()> {
        sqlx::query("UPDATE sessions SET last_seen_at = ? WHERE id = ?")
            .bind(now.as_millisecond())
            .bind(id)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Revokes sessions of a tenant and a login method. Returns the ids of those that were not revoked before.
    pub async fn revoke_sessions(
        &self,
        (tenant, login): (&str, &str),
        selection: SessionSelection<'_>,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let (condition, first, second) = match selection {
            SessionSelection::Id(id) => ("id = ?1 AND ?2 IS NULL", id, None),
            SessionSelection::Subject(subject) => ("subject = ?1 AND ?2 IS NULL", subject, None),
            SessionSelection::Sid(sid, None) => ("sid = ?1 AND ?2 IS NULL", sid, None),
            SessionSelection::Sid(sid, subject) => ("subject = ?2 AND (sid = ?1 OR sid IS NULL)", sid, subject),
        };
        let statement = sqlx::AssertSqlSafe(format!(
            "UPDATE sessions SET revoked_at = ?3 WHERE {condition} AND tenant = ?4 AND login = ?5 AND revoked_at IS NULL \
             RETURNING id"
        ));
        sqlx::query_scalar(statement)
            .bind(first)
            .bind(second)
            .bind(now.as_millisecond())
            .bind(tenant)
            .bind(login)
            .fetch_all(self.pool())
            .await
            .map_err(db_error)
    }

    /// Revokes the sessions of a user except the `keep` most recently used. Returns their ids.
    pub async fn revoke_excess_sessions(
        &self,
        (tenant, login): (&str, &str),
        subject: &str,
        keep: u32,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "UPDATE sessions SET revoked_at = ?5 WHERE id IN (SELECT id FROM sessions WHERE tenant = ?1 AND login = ?2 \
             AND subject = ?3 AND revoked_at IS NULL ORDER BY last_seen_at DESC, rowid DESC LIMIT -1 OFFSET ?4) \
             RETURNING id",
        )
        .bind(tenant)
        .bind(login)
        .bind(subject)
        .bind(keep)
        .bind(now.as_millisecond())
        .fetch_all(self.pool())
        .await
        .map_err(db_error)
    }

    /// Returns whether the token with this digest was used.
    pub async fn is_token_used(&self, digest: &str) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM used_tokens WHERE digest = ?)")
            .bind(digest)
            .fetch_one(self.pool())
            .await
            .map_err(db_error)
    }

    /// Removes sessions that are revoked, expired, or were not used since `unused_since`; and expired used tokens.
    pub async fn delete_ended_sessions(&self, now: Timestamp, unused_since: Timestamp) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE revoked_at IS NOT NULL OR expires_at <= ? OR last_seen_at < ?")
            .bind(now.as_millisecond())
            .bind(unused_since.as_millisecond())
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        sqlx::query("DELETE FROM used_tokens WHERE expires_at <= ?")
            .bind(now.as_millisecond())
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Records that the token with this digest was used. Returns whether this was the first time. Tokens with an expiry
    /// are stored until then; of the tokens without one, the latest 1024 are stored.
    pub async fn use_token(&self, digest: &str, expires_at: Option<Timestamp>, now: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO used_tokens (digest, used_at, expires_at) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest)
        .bind(now.as_millisecond())
        .bind(expires_at.map(Timestamp::as_millisecond))
        .execute(self.pool())
        .await
        .map_err(db_error)?;
        if expires_at.is_none() {
            sqlx::query(
                "DELETE FROM used_tokens WHERE expires_at IS NULL AND rowid NOT IN \
                 (SELECT rowid FROM used_tokens WHERE expires_at IS NULL ORDER BY rowid DESC LIMIT ?)",
            )
            .bind(MAX_TOKENS_WITHOUT_EXPIRY)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        }
        Ok(done.rows_affected() == 1)
    }
}

/// Reads a session from a row. `None` if it cannot be decrypted.
fn read_session(row: &SqliteRow, (emails, admissions): &(Encryptor, Encryptor)) -> Result<Option<SessionRecord>> {
    let text = |name: &str| row.try_get::<String, _>(name).map_err(db_error);
    let time = |millisecond: i64| {
        Timestamp::from_millisecond(millisecond)
            .map_err(|_| Error::new(Code::Storage, message!("The database holds a session whose date cannot be read.")))
    };
    let date = |name: &str| time(row.try_get(name).map_err(db_error)?);
    let id = text("id")?;
    let Some(admission) = admissions.open(&id, &text("sealed_admission")?) else { return Ok(None) };
    let email: Option<String> = row.try_get("sealed_email").map_err(db_error)?;
    let email = email.and_then(|sealed| Some(emails.open(&id, &sealed)?.expose_secret().to_owned()));
    Ok(Some(SessionRecord {
        tenant: text("tenant")?,
        login: text("login")?,
        subject: text("subject")?,
        email,
        admission: admission.expose_secret().to_owned(),
        permissions: text("permissions")?,
        sid: row.try_get("sid").map_err(db_error)?,
        created_at: date("created_at")?,
        last_seen_at: date("last_seen_at")?,
        expires_at: date("expires_at")?,
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at").map_err(db_error)?.map(time).transpose()?,
        id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, subject: &str, sid: Option<&str>) -> SessionRecord {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        SessionRecord {
            id: id.into(),
            tenant: "acme".into(),
            login: "tenant".into(),
            subject: subject.into(),
            email: Some(format!("{id}-marked@example.com")),
            admission: "{}".into(),
            permissions: "read:users".into(),
            sid: sid.map(str::to_owned),
            created_at: now,
            last_seen_at: now,
            expires_at: now + std::time::Duration::from_hours(1),
            revoked_at: None,
        }
    }

    #[tokio::test]
    async fn sessions_are_revoked_by_id_subject_and_session_of_the_login_tenant() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        for (id, subject, sid) in [
            ("1", "ada", Some("x")),
            ("2", "ada", None),
            ("3", "bob", Some("x")),
            ("4", "bob", Some("y")),
            ("5", "bob", None),
        ] {
            store.insert_session(&record(id, subject, sid)).await.unwrap();
        }
        let now = Timestamp::from_second(1_800_000_060).unwrap();
        let revoke = async |selection| {
            let mut ids = store.revoke_sessions(("acme", "tenant"), selection, now).await.unwrap();
            ids.sort();
            ids
        };
        assert_eq!(revoke(SessionSelection::Sid("x", Some("ada"))).await, ["1", "2"]);
        assert_eq!(revoke(SessionSelection::Id("1")).await, Vec::<String>::new(), "it is revoked already");
        assert_eq!(revoke(SessionSelection::Sid("y", None)).await, ["4"]);
        assert_eq!(store.sessions("acme", "tenant", now).await.unwrap().len(), 2);
        assert!(store.sessions("acme", "extension", now).await.unwrap().is_empty());
        assert_eq!(revoke(SessionSelection::Subject("bob")).await, ["3", "5"]);
        assert!(store.session("3").await.unwrap().unwrap().revoked_at.is_some());
        store.delete_ended_sessions(now, Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(store.session("3").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn addresses_of_sessions_are_encrypted() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        store.insert_session(&record("1", "ada", None)).await.unwrap();
        assert_eq!(store.session("1").await.unwrap().unwrap().email.as_deref(), Some("1-marked@example.com"));
        for name in ["state.sqlite", "state.sqlite-wal"] {
            let bytes = std::fs::read(directory.path().join(name)).unwrap_or_default();
            assert!(!bytes.windows(8).any(|part| part == b"1-marked"), "{name}");
        }
        store.delete_everything().await.unwrap();
        assert!(store.session("1").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_hook_token_can_be_used_once_also_after_uninstalling() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let end = now + std::time::Duration::from_mins(1);
        assert!(store.use_token("a", None, now).await.unwrap());
        assert!(store.use_token("b", Some(end), now).await.unwrap());
        store.delete_everything().await.unwrap();
        assert!(!store.use_token("a", None, now).await.unwrap());
        assert!(!store.use_token("b", Some(end), now).await.unwrap());
        store.delete_ended_sessions(end, Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(store.use_token("b", Some(end), now).await.unwrap(), "expired, so the token check refuses it");
        for number in 0..MAX_TOKENS_WITHOUT_EXPIRY {
            assert!(store.use_token(&number.to_string(), None, now).await.unwrap());
        }
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM used_tokens WHERE expires_at IS NULL")
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(kept, i64::from(MAX_TOKENS_WITHOUT_EXPIRY));
    }
}
