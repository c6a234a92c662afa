//! The table of sessions, and the table of used tokens.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, storage};
use crate::error::{Code, Error, Result};
use crate::seal::Sealer;

/// The purpose for which e-mail addresses of sessions are sealed; the context is the session.
const EMAIL: &str = "email of a session";

/// The purpose for which admissions are sealed; the context is the session.
const ADMISSION: &str = "admission of a session";

/// Most used tokens without an expiry that are remembered.
const ENDLESS_TOKENS: u32 = 1024;

/// A session as the database knows it.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// `jti` of its token.
    pub id: String,
    /// The tenant (`AUTH0_DOMAIN`) at the sign-in.
    pub tenant: String,
    /// `extension` or `tenant`.
    pub login: String,
    /// `sub` of the person.
    pub subject: String,
    /// Their e-mail address, where it is known.
    pub email: Option<String>,
    /// What admitted the person, as JSON.
    pub admission: String,
    /// Permissions, separated by spaces.
    pub permissions: String,
    /// The session at the login tenant, where the id_token names one.
    pub sid: Option<String>,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// When the session was used last, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, tenant, login, subject, sealed_email, sealed_admission, permissions, sid, created_at, \
                       last_seen_at, expires_at, revoked_at";

/// Which sessions to revoke.
#[derive(Clone, Copy, Debug)]
pub enum SessionSelection<'a> {
    /// The session with this id.
    Id(&'a str),
    /// All sessions of the person with this `sub`.
    Subject(&'a str),
    /// The sessions that belong to this session at the login tenant. With a `sub`, also those of that person for
    /// which no such session is known, and no others' sessions.
    Sid(&'a str, Option<&'a str>),
}

impl Store {
    /// Adds a session.
    pub async fn insert_session(&self, session: &SessionRecord) -> Result<()> {
        let email = match &session.email {
            Some(email) => Some(self.sealer(EMAIL)?.seal(&session.id, email)?),
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
            .bind(self.sealer(ADMISSION)?.seal(&session.id, &session.admission)?)
            .bind(&session.permissions)
            .bind(&session.sid)
            .bind(session.created_at.as_millisecond())
            .bind(session.last_seen_at.as_millisecond())
            .bind(session.expires_at.as_millisecond())
            .bind(session.revoked_at.map(Timestamp::as_millisecond))
            .execute(self.pool())
            .await
            .map_err(storage)?;
        Ok(())
    }

    /// The session with this id; none where it is unknown, or where its row cannot be opened with the data key.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRecord>> {
        let statement = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM sessions WHERE id = ?"));
        let row = sqlx::query(statement).bind(id).fetch_optional(self.pool()).await.map_err(storage)?;
        let sealers = (self.sealer(EMAIL)?, self.sealer(ADMISSION)?);
        row.map_or(Ok(None), |row| session(&row, &sealers))
    }

    /// The sessions of a tenant and a way of signing in that are neither revoked nor expired, newest first.
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
            .map_err(storage)?;
        let sealers = (self.sealer(EMAIL)?, self.sealer(ADMISSION)?);
        let sessions: Result<Vec<_>> = rows.iter().map(|row| session(row, &sealers)).collect();
        Ok(sessions?.into_iter().flatten().collect())
    }

    /// Notes that a session was used.
    pub async fn set_session_seen(&self, id: &str, now: Timestamp) -> Result<()> {
        sqlx::query("UPDATE sessions SET last_seen_at = ? WHERE id = ?")
            .bind(now.as_millisecond())
            .bind(id)
            .execute(self.pool())
            .await
            .map_err(storage)?;
        Ok(())
    }

    /// Revokes sessions of a tenant and a way of signing in; returns the ids of those that were not revoked before.
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
            .map_err(storage)
    }

    /// Revokes the sessions of a person beyond the `keep` that were used last; returns their ids.
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
        .map_err(storage)
    }

    /// Whether a token was used, by its digest.
    pub async fn is_token_used(&self, digest: &str) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM used_tokens WHERE digest = ?)")
            .bind(digest)
            .fetch_one(self.pool())
            .await
            .map_err(storage)
    }

    /// Removes sessions that are revoked, expired, or were not used since `unused_since`.
    pub async fn delete_ended_sessions(&self, now: Timestamp, unused_since: Timestamp) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE revoked_at IS NOT NULL OR expires_at <= ? OR last_seen_at < ?")
            .bind(now.as_millisecond())
            .bind(unused_since.as_millisecond())
            .execute(self.pool())
            .await
            .map_err(storage)?;
        sqlx::query("DELETE FROM used_tokens WHERE expires_at <= ?")
            .bind(now.as_millisecond())
            .execute(self.pool())
            .await
            .map_err(storage)?;
        Ok(())
    }

    /// Records that a token was used, by its digest. Returns whether this was the first time. Tokens with an expiry
    /// are remembered until then, of those without one the newest 1024.
    pub async fn use_token(&self, digest: &str, expires_at: Option<Timestamp>, now: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO used_tokens (digest, used_at, expires_at) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest)
        .bind(now.as_millisecond())
        .bind(expires_at.map(Timestamp::as_millisecond))
        .execute(self.pool())
        .await
        .map_err(storage)?;
        if expires_at.is_none() {
            sqlx::query(
                "DELETE FROM used_tokens WHERE expires_at IS NULL AND rowid NOT IN \
                 (SELECT rowid FROM used_tokens WHERE expires_at IS NULL ORDER BY rowid DESC LIMIT ?)",
            )
            .bind(ENDLESS_TOKENS)
            .execute(self.pool())
            .await
            .map_err(storage)?;
        }
        Ok(done.rows_affected() == 1)
    }
}

/// A session with what is sealed in it opened; none where it was sealed under a key that is lost.
fn session(row: &SqliteRow, (emails, admissions): &(Sealer, Sealer)) -> Result<Option<SessionRecord>> {
    let text = |name: &str| row.try_get::<String, _>(name).map_err(storage);
    let time = |millisecond: i64| {
        Timestamp::from_millisecond(millisecond)
            .map_err(|_| Error::new(Code::Storage, "The database holds a session whose date cannot be read."))
    };
    let date = |name: &str| time(row.try_get(name).map_err(storage)?);
    let id = text("id")?;
    let Some(admission) = admissions.open(&id, &text("sealed_admission")?) else { return Ok(None) };
    let email: Option<String> = row.try_get("sealed_email").map_err(storage)?;
    let email = email.and_then(|sealed| Some(emails.open(&id, &sealed)?.expose_secret().to_owned()));
    Ok(Some(SessionRecord {
        tenant: text("tenant")?,
        login: text("login")?,
        subject: text("subject")?,
        email,
        admission: admission.expose_secret().to_owned(),
        permissions: text("permissions")?,
        sid: row.try_get("sid").map_err(storage)?,
        created_at: date("created_at")?,
        last_seen_at: date("last_seen_at")?,
        expires_at: date("expires_at")?,
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at").map_err(storage)?.map(time).transpose()?,
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
    async fn addresses_of_sessions_are_sealed() {
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
    async fn a_hook_token_is_used_once_and_uninstalling_does_not_forget_it() {
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
        assert!(store.use_token("b", Some(end), now).await.unwrap(), "expired, so it is refused elsewhere");
        for number in 0..ENDLESS_TOKENS {
            assert!(store.use_token(&number.to_string(), None, now).await.unwrap());
        }
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM used_tokens WHERE expires_at IS NULL")
            .fetch_one(store.pool())
            .await
            .unwrap();
        assert_eq!(kept, i64::from(ENDLESS_TOKENS));
    }
}
