//! The tables of jobs, which are also the history, and of the encrypted tokens of their owners.

use std::str::FromStr;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::storage_error::db_error;
use super::store::Store;
use uie_core::encryption::Encryptor;
use uie_core::error::{Code, Error, ErrorBody, Result};
use uie_core::message::{Message, message};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Users from a file into the tenant.
    Import,
    /// Users of the tenant into a file.
    Export,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Queued.
    Pending,
    /// Running, or waiting for Auth0 or for a sign-in.
    Processing,
    /// Done.
    Completed,
    /// Ended with an error.
    Failed,
    /// Canceled by a user.
    Canceled,
    /// Done, and its file has expired and was removed.
    Expired,
}

impl JobState {
    /// Returns whether the job has ended.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing)
    }

    /// Returns the name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for JobState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Pending, Self::Processing, Self::Completed, Self::Failed, Self::Canceled, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::new(Code::Storage, message!("The database holds an unknown job status {text:?}.")))
    }
}

impl FromStr for JobKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Import, Self::Export]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::new(Code::Storage, message!("The database holds an unknown job type {text:?}.")))
    }
}

impl JobKind {
    /// Returns the name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// A job to insert.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// Domain of the tenant.
    pub tenant: String,
    /// What it does.
    pub kind: JobKind,
    /// `sub` of the user who started it.
    pub owner: String,
    /// E-mail address of that user, for display; `None` if it is not known.
    pub author: Option<String>,
    /// Name of the connection; `None` if none was chosen.
    pub connection: Option<String>,
    /// The request, with secrets encrypted.
    pub request: Value,
}

/// A row of the table. The counters of a running job are those that were stored last.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// `job_` and 16 letters or digits.
    pub id: String,
    /// What it does.
    pub kind: JobKind,
    /// Its state.
    pub state: JobState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended; `None` before.
    pub finished_at: Option<Timestamp>,
    /// `sub` of the user who started it.
    pub owner: String,
    /// E-mail address of that user, for display; `None` if it is not known.
    pub author: Option<String>,
    /// Name of the connection; `None` if none was chosen.
    pub connection: Option<String>,
    /// The request, with secrets encrypted.
    pub request: Value,
    /// Rows done.
    pub processed: u64,
    /// Number of rows; `None` while it is not known.
    pub total: Option<u64>,
    /// The counts of the result; `None` before the job has ended.
    pub summary: Option<Value>,
    /// Why it failed; `None` if it did not.
    pub error: Option<ErrorBody>,
    /// Name of the finished file of an export, or of the upload of an import, in the job's directory; `None` if it
    /// does not exist or was removed.
    pub artifact: Option<String>,
    /// When the job's files expire; `None` before the job has ended.
    pub artifact_expires_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, type, status, created_at, finished_at, owner, sealed_author, connection, request, processed, total, \
                       summary, error, artifact, artifact_expires_at";

/// [`COLUMNS`] for lists: of the request, which may be a megabyte long, only the members that lists return or compare.
/// Of a query only the first character, since lists compare only whether there is one.
const LIST_COLUMNS: &str = "id, type, status, created_at, finished_at, owner, sealed_author, connection, \
                            CASE WHEN json_valid(request) THEN json_object('format', request -> '$.format', \
                            'dry_run', request -> '$.dry_run', 'limit', request -> '$.limit', \
                            'query', substr(request ->> '$.query', 1, 1), \
                            'connection_id', request ->> '$.connection_id') ELSE '{}' END AS request, \
                            processed, total, summary, error, artifact, artifact_expires_at";

/// Encryption purpose of the e-mail addresses of jobs. The context is the id of the job.
const AUTHOR_PURPOSE: &str = "author of a job";

/// Reads a job from a row and decrypts the address. An address that cannot be decrypted is treated as unknown.
fn read_job(row: &SqliteRow, authors: &Encryptor) -> Result<JobRecord> {
    let unreadable = |message: Message| Error::new(Code::Storage, message);
    let time = |millisecond: i64| {
        Timestamp::from_millisecond(millisecond)
            .map_err(|_| unreadable(message!("The database holds a job whose date cannot be read.")))
    };
    let count = |value: i64| u64::try_from(value).unwrap_or_default();
    let kind = row.try_get::<&str, _>("type").map_err(db_error)?.parse()?;
    let error: Option<String> = row.try_get("error").map_err(db_error)?;
    let id: String = row.try_get("id").map_err(db_error)?;
    let author: Option<&str> = row.try_get("sealed_author").map_err(db_error)?;
    let author = author.and_then(|sealed| Some(authors.open(&id, sealed)?.expose_secret().to_owned()));
    Ok(JobRecord {
        id,
        kind,
        state: row.try_get::<&str, _>("status").map_err(db_error)?.parse()?,
        created_at: time(row.try_get("created_at").map_err(db_error)?)?,
        finished_at: row.try_get::<Option<i64>, _>("finished_at").map_err(db_error)?.map(time).transpose()?,
        owner: row.try_get("owner").map_err(db_error)?,
        author,
        connection: row.try_get("connection").map_err(db_error)?,
        request: serde_json::from_str(row.try_get("request").map_err(db_error)?)
            .map_err(|_| unreadable(message!("The database holds a job whose request cannot be read.")))?,
        processed: count(row.try_get("processed").map_err(db_error)?),
        total: row.try_get::<Option<i64>, _>("total").map_err(db_error)?.map(count),
        summary: row
            .try_get::<Option<String>, _>("summary")
            .map_err(db_error)?
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| unreadable(message!("The database holds a job whose summary cannot be read.")))?,
        error: error
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| unreadable(message!("The database holds a job whose error cannot be read.")))?,
        artifact: row.try_get("artifact").map_err(db_error)?,
        artifact_expires_at: row
            .try_get::<Option<i64>, _>("artifact_expires_at")
            .map_err(db_error)?
            .map(time)
            .transpose()?,
    })
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Store {
    /// Returns the number of jobs of a tenant by kind and state.
    pub async fn job_counts(&self, tenant: &str) -> Result<Vec<(JobKind, JobState, u64)>> {
        let rows =
            sqlx::query("SELECT type, status, COUNT(*) AS jobs FROM jobs WHERE tenant = ? GROUP BY type, status")
                .bind(tenant)
                .fetch_all(self.pool())
                .await
                .map_err(db_error)?;
        rows.iter()
            .map(|row| {
                let kind = row.try_get::<&str, _>("type").map_err(db_error)?.parse()?;
                let state = row.try_get::<&str, _>("status").map_err(db_error)?.parse()?;
                let jobs: i64 = row.try_get("jobs").map_err(db_error)?;
                Ok((kind, state, u64::try_from(jobs).unwrap_or_default()))
            })
            .collect()
    }

    /// Inserts a job in state `pending`.
    pub async fn insert_job(&self, new: &NewJob) -> Result<()> {
        let mut connection = self.pool().acquire().await.map_err(db_error)?;
        self.insert_job_with(&mut connection, new).await
    }

    /// Inserts a job that imports the failed rows of another one again. Returns `false`, and inserts nothing, if that
    /// job is not completed, if its latest retry is not `latest`, or if its latest retry has not ended.
    pub async fn insert_retry(&self, new: &NewJob, original: &str, latest: Option<&str>) -> Result<bool> {
        let mut transaction = self.pool().begin().await.map_err(db_error)?;
        let claimed = sqlx::query(
            "UPDATE jobs SET retry_job = ?1 WHERE id = ?2 AND status = 'completed' AND retry_job IS ?3 \
             AND NOT EXISTS (SELECT 1 FROM jobs AS latest WHERE latest.id = ?3 \
             AND latest.status IN ('pending', 'processing'))",
        )
        .bind(&new.id)
        .bind(original)
        .bind(latest)
        .execute(&mut *transaction)
        .await
        .map_err(db_error)?;
        if claimed.rows_affected() != 1 {
            return Ok(false);
        }
        self.insert_job_with(&mut transaction, new).await?;
        transaction.commit().await.map_err(db_error)?;
        Ok(true)
    }

    /// Returns the id of the latest job that imports the failed rows of this job again; `None` without one.
    pub async fn latest_retry(&self, id: &str) -> Result<Option<String>> {
        let found: Option<Option<String>> = sqlx::query_scalar("SELECT retry_job FROM jobs WHERE id = ?")
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .map_err(db_error)?;
        Ok(found.flatten())
    }

    async fn insert_job_with(&self, connection: &mut SqliteConnection, new: &NewJob) -> Result<()> {
        let author = match &new.author {
            Some(author) => Some(self.encryptor(AUTHOR_PURPOSE)?.seal(&new.id, author)?),
            None => None,
        };
        sqlx::query(
            "INSERT INTO jobs (id, tenant, type, status, created_at, owner, sealed_author, connection, request) \
             VALUES (?, ?, ?, 'pending', ?, ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(&new.tenant)
        .bind(new.kind.as_str())
        .bind(Timestamp::now().as_millisecond())
        .bind(&new.owner)
        .bind(author)
        .bind(&new.connection)
        .bind(new.request.to_string())
        .execute(connection)
        .await
        .map_err(db_error)?;
        Ok(())
    }

    /// Returns the job of this tenant with this id. Fails with [`Code::JobNotFound`].
    pub async fn job(&self, tenant: &str, id: &str) -> Result<JobRecord> {
        let statement = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE tenant = ? AND id = ?"));
        let row = sqlx::query(statement).bind(tenant).bind(id).fetch_optional(self.pool()).await.map_err(db_error)?;
        match row {
            Some(row) => read_job(&row, &self.encryptor(AUTHOR_PURPOSE)?),
            None => Err(Error::new(Code::JobNotFound, message!("There is no job {id:?}."))),
        }
    }

    fn read_jobs(&self, rows: &[SqliteRow]) -> Result<Vec<JobRecord>> {
        let authors = self.encryptor(AUTHOR_PURPOSE)?;
        rows.iter().map(|row| read_job(row, &authors)).collect()
    }

    /// Encrypts the addresses that an earlier version stored in plaintext.
    pub(super) async fn encrypt_authors(&self) -> Result<()> {
        let plain: Vec<(String, String)> = sqlx::query_as("SELECT id, author FROM jobs WHERE author IS NOT NULL")
            .fetch_all(self.pool())
            .await
            .map_err(db_error)?;
        if plain.is_empty() {
            return Ok(());
        }
        let authors = self.encryptor(AUTHOR_PURPOSE)?;
        let mut transaction = self.pool().begin().await.map_err(db_error)?;
        for (id, author) in plain {
            sqlx::query("UPDATE jobs SET sealed_author = ?, author = NULL WHERE id = ?")
                .bind(authors.seal(&id, &author)?)
                .bind(&id)
                .execute(&mut *transaction)
                .await
                .map_err(db_error)?;
        }
        transaction.commit().await.map_err(db_error)?;
        // The write-ahead log still contains pages with the plaintext.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(self.pool()).await.map_err(db_error)?;
        Ok(())
    }

    /// Returns the latest jobs of a tenant, oldest first, with the parts of their requests that lists need.
    pub async fn history(&self, tenant: &str, limit: u32) -> Result<Vec<JobRecord>> {
        // The limit is part of the text: SQLite compiles a statement whose limit is a parameter again at each use.
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT * FROM (SELECT {LIST_COLUMNS}, rowid AS entry FROM jobs WHERE tenant = ? ORDER BY created_at DESC, entry DESC LIMIT {limit}) \
             ORDER BY created_at, entry"
        ));
        let rows = sqlx::query(statement).bind(tenant).fetch_all(self.pool()).await.map_err(db_error)?;
        self.read_jobs(&rows)
    }

    /// Returns the latest completed exports of a tenant, newest first, with the parts of their requests that lists
    /// need.
    pub async fn completed_exports(&self, tenant: &str, limit: u32) -> Result<Vec<JobRecord>> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {LIST_COLUMNS} FROM jobs WHERE tenant = ? AND type = 'export' AND status IN ('completed', 'expired') \
             ORDER BY created_at DESC, rowid DESC LIMIT {limit}"
        ));
        let rows = sqlx::query(statement).bind(tenant).fetch_all(self.pool()).await.map_err(db_error)?;
        self.read_jobs(&rows)
    }

    /// Returns the jobs that have not ended, oldest first.
    pub async fn unfinished_jobs(&self, tenant: &str) -> Result<Vec<JobRecord>> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM jobs WHERE tenant = ? AND status IN ('pending', 'processing') ORDER BY created_at, rowid"
        ));
        let rows = sqlx::query(statement).bind(tenant).fetch_all(self.pool()).await.map_err(db_error)?;
        self.read_jobs(&rows)
    }

    /// Returns whether a user has jobs that have not ended.
    pub async fn has_unfinished_jobs(&self, tenant: &str, owner: &str) -> Result<bool> {
        let found: i64 = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE tenant = ? AND owner = ? AND status IN ('pending', 'processing'))",
        )
        .bind(tenant)
        .bind(owner)
        .fetch_one(self.pool())
        .await
        .map_err(db_error)?;
        Ok(found == 1)
    }

    /// Sets a job to `processing`. Returns `false`, and changes nothing, if it has ended.
    pub async fn begin_job(&self, id: &str) -> Result<bool> {
        let begun =
            sqlx::query("UPDATE jobs SET status = 'processing' WHERE id = ? AND status IN ('pending', 'processing')")
                .bind(id)
                .execute(self.pool())
                .await
                .map_err(db_error)?;
        Ok(begun.rows_affected() == 1)
    }

    /// Sets a job that failed or was canceled back to `pending` and clears its result. Returns `false` if it is in
    /// another state, or is an import whose files were removed. One of several parallel calls returns `true`.
    pub async fn reopen_job(&self, id: &str) -> Result<bool> {
        let reopened = sqlx::query(
            "UPDATE jobs SET status = 'pending', finished_at = NULL, error = NULL, summary = NULL \
             WHERE id = ? AND status IN ('failed', 'canceled') \
             AND (type = 'export' OR artifact IS NOT NULL OR artifact_expires_at IS NULL)",
        )
        .bind(id)
        .execute(self.pool())
        .await
        .map_err(db_error)?;
        Ok(reopened.rows_affected() == 1)
    }

    /// Stores the counters of a running job.
    pub async fn set_job_progress(&self, id: &str, processed: u64, total: Option<u64>) -> Result<()> {
        sqlx::query("UPDATE jobs SET processed = ?, total = ? WHERE id = ?")
            .bind(integer(processed))
            .bind(total.map(integer))
            .bind(id)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Stores the result of a job: `completed`, `failed` or `canceled`, with its summary, error or file. Returns
    /// `false`, and changes nothing, if the job has already ended.
    ///
    /// Fails if DATA_DIR was moved or replaced, since a restart would not find the result.
    pub async fn finish_job(
        &self,
        id: &str,
        state: JobState,
        summary: Option<&Value>,
        error: Option<&ErrorBody>,
        artifact: Option<(&str, Timestamp)>,
    ) -> Result<bool> {
        self.check_identity()?;
        let error = error.map(|error| error.to_stored().to_string());
        let ended = sqlx::query(
            "UPDATE jobs SET status = ?, finished_at = ?, summary = ?, error = ?, artifact = ?, artifact_expires_at = ? \
             WHERE id = ? AND status IN ('pending', 'processing')",
        )
        .bind(state.as_str())
        .bind(Timestamp::now().as_millisecond())
        .bind(summary.map(ToString::to_string))
        .bind(error)
        .bind(artifact.map(|(name, _)| name))
        .bind(artifact.map(|(_, expires)| expires.as_millisecond()))
        .bind(id)
        .execute(self.pool())
        .await
        .map_err(db_error)?;
        Ok(ended.rows_affected() == 1)
    }

    /// Stores the checkpoint of the Auth0 export job with which an export continues after a restart; `None` removes it.
    pub async fn set_ordered_export(&self, id: &str, ordered: Option<&str>) -> Result<()> {
        sqlx::query("UPDATE jobs SET ordered_export = ? WHERE id = ?")
            .bind(ordered)
            .bind(id)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Returns the stored checkpoint of the Auth0 export job; `None` without one.
    pub async fn ordered_export(&self, id: &str) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT ordered_export FROM jobs WHERE id = ?")
            .bind(id)
            .fetch_one(self.pool())
            .await
            .map_err(db_error)
    }

    /// Returns whether a job with this id exists, for any tenant.
    pub async fn has_job(&self, id: &str) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM jobs WHERE id = ?")
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .map_err(db_error)?;
        Ok(found.is_some())
    }

    /// Returns the ids of ended jobs whose artifact has expired. Excludes resumed jobs, which still need their files.
    pub async fn jobs_with_expired_artifact(&self, now: Timestamp) -> Result<Vec<String>> {
        let statement = "SELECT id FROM jobs WHERE finished_at IS NOT NULL AND artifact IS NOT NULL \
             AND artifact_expires_at <= ?";
        self.ids(statement, now).await
    }

    /// Returns the ids of jobs that ended before a date.
    pub async fn jobs_finished_before(&self, date: Timestamp) -> Result<Vec<String>> {
        self.ids("SELECT id FROM jobs WHERE finished_at <= ?", date).await
    }

    async fn ids(&self, statement: &'static str, date: Timestamp) -> Result<Vec<String>> {
        sqlx::query_scalar(statement).bind(date.as_millisecond()).fetch_all(self.pool()).await.map_err(db_error)
    }

    /// Records that the files of a job were removed. An export becomes `expired`; an import keeps its state, since its
    /// result is still in the history.
    pub async fn expire_artifact(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE jobs SET status = iif(type = 'export', 'expired', status), artifact = NULL WHERE id = ? AND finished_at IS NOT NULL")
            .bind(id)
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Removes a job from the history.
    pub async fn delete_job(&self, id: &str) -> Result<()> {
        sqlx::query("DELETE FROM jobs WHERE id = ?").bind(id).execute(self.pool()).await.map_err(db_error)?;
        Ok(())
    }

    /// Removes every job, preset, token and session, and replaces the data key, so that encrypted data can never be
    /// decrypted again (the uninstall hook).
    pub async fn delete_everything(&self) -> Result<()> {
        for statement in [
            "DELETE FROM jobs",
            "DELETE FROM tokens",
            "DELETE FROM presets",
            "DELETE FROM sessions",
            "DELETE FROM transform_uploads",
        ] {
            sqlx::query(statement).execute(self.pool()).await.map_err(db_error)?;
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(self.pool()).await.map_err(db_error)?;
        self.replace_key()
    }

    /// Expires the files and removes the tokens and sessions that were encrypted under a data key that is lost.
    pub(super) async fn expire_unreadable_data(&self) -> Result<()> {
        for statement in [
            "UPDATE jobs SET artifact_expires_at = 0 WHERE artifact IS NOT NULL",
            "DELETE FROM tokens",
            "DELETE FROM sessions",
        ] {
            sqlx::query(statement).execute(self.pool()).await.map_err(db_error)?;
        }
        Ok(())
    }

    /// Stores the encrypted Management API token of an admin. Replaces an earlier one.
    pub async fn put_token(&self, owner: &str, sealed: &str, expires_at: Timestamp) -> Result<()> {
        sqlx::query("INSERT INTO tokens (owner, sealed, expires_at) VALUES (?, ?, ?) ON CONFLICT (owner) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at")
            .bind(owner)
            .bind(sealed)
            .bind(expires_at.as_millisecond())
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }

    /// Returns the encrypted token of an admin and its expiry; `None` if none is stored.
    pub async fn token(&self, owner: &str) -> Result<Option<(String, Timestamp)>> {
        let row = sqlx::query("SELECT sealed, expires_at FROM tokens WHERE owner = ?")
            .bind(owner)
            .fetch_optional(self.pool())
            .await
            .map_err(db_error)?;
        row.map(|row| {
            let sealed = row.try_get("sealed").map_err(db_error)?;
            let expires: i64 = row.try_get("expires_at").map_err(db_error)?;
            let expires = Timestamp::from_millisecond(expires).map_err(|_| {
                Error::new(Code::Storage, message!("The database holds a token whose date cannot be read."))
            })?;
            Ok((sealed, expires))
        })
        .transpose()
    }

    /// Removes expired tokens.
    pub async fn delete_ended_tokens(&self, now: Timestamp) -> Result<()> {
        sqlx::query("DELETE FROM tokens WHERE expires_at <= ?")
            .bind(now.as_millisecond())
            .execute(self.pool())
            .await
            .map_err(db_error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_job(id: &str, tenant: &str) -> NewJob {
        NewJob {
            id: id.into(),
            tenant: tenant.into(),
            kind: JobKind::Export,
            owner: "auth0|ada".into(),
            author: None,
            connection: None,
            request: serde_json::json!({"format": "csv"}),
        }
    }

    #[tokio::test]
    async fn the_history_is_the_latest_jobs_of_one_tenant_oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        for id in ["job_1", "job_2", "job_3"] {
            store.insert_job(&new_job(id, "acme")).await.unwrap();
        }
        store.insert_job(&new_job("job_4", "other")).await.unwrap();
        let ids: Vec<_> = store.history("acme", 2).await.unwrap().into_iter().map(|job| job.id).collect();
        assert_eq!(ids, ["job_2", "job_3"]);
        assert_eq!(store.job("acme", "job_4").await.unwrap_err().code, Code::JobNotFound);
    }

    #[tokio::test]
    async fn a_job_goes_from_pending_to_expired() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        store.insert_job(&new_job("job_1", "acme")).await.unwrap();
        assert!(store.begin_job("job_1").await.unwrap());
        store.set_job_progress("job_1", 5, Some(10)).await.unwrap();
        assert_eq!(store.unfinished_jobs("acme").await.unwrap().len(), 1);
        store.set_ordered_export("job_1", Some("{}")).await.unwrap();
        assert_eq!(store.ordered_export("job_1").await.unwrap().as_deref(), Some("{}"));
        assert!(store.has_job("job_1").await.unwrap() && !store.has_job("job_2").await.unwrap());
        let summary = serde_json::json!({"rows": 10});
        let now = Timestamp::now();
        store.finish_job("job_1", JobState::Completed, Some(&summary), None, Some(("users.csv", now))).await.unwrap();
        assert!(!store.finish_job("job_1", JobState::Canceled, None, None, None).await.unwrap(), "it has ended");
        assert!(!store.begin_job("job_1").await.unwrap() && !store.reopen_job("job_1").await.unwrap());
        let job = store.job("acme", "job_1").await.unwrap();
        assert_eq!((job.state, job.processed, job.total), (JobState::Completed, 5, Some(10)));
        assert_eq!(job.summary, Some(summary));
        assert_eq!(store.jobs_with_expired_artifact(now).await.unwrap(), ["job_1"]);
        store.expire_artifact("job_1").await.unwrap();
        assert_eq!(store.job("acme", "job_1").await.unwrap().state, JobState::Expired);
        store.delete_everything().await.unwrap();
        assert!(store.history("acme", 200).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn addresses_in_the_database_are_encrypted_and_plain_ones_of_earlier_versions_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let on_disk = |text: &str| {
            ["state.sqlite", "state.sqlite-wal"].iter().any(|name| {
                let bytes = std::fs::read(directory.path().join(name)).unwrap_or_default();
                bytes.windows(text.len()).any(|part| part == text.as_bytes())
            })
        };
        let store = Store::open(directory.path()).await.unwrap();
        let new = NewJob { author: Some("marked-new@example.com".into()), ..new_job("job_1", "acme") };
        store.insert_job(&new).await.unwrap();
        assert_eq!(store.job("acme", "job_1").await.unwrap().author, new.author);
        store.insert_job(&new_job("job_2", "acme")).await.unwrap();
        let old = "marked-old@example.com";
        sqlx::query("UPDATE jobs SET author = ? WHERE id = 'job_2'").bind(old).execute(store.pool()).await.unwrap();
        assert!(on_disk(old) && !on_disk("marked-new"));
        // The lock ends with the last connection.
        store.close().await;
        drop(store);
        let store = Store::open(directory.path()).await.unwrap();
        let authors: Vec<_> =
            store.history("acme", 2).await.unwrap().into_iter().map(|job| job.author.unwrap()).collect();
        assert_eq!(authors, ["marked-new@example.com", old]);
        assert!(!on_disk(old) && !on_disk("marked-new"));
        // An encrypted address is valid for its own job only.
        sqlx::query("UPDATE jobs SET sealed_author = (SELECT sealed_author FROM jobs WHERE id = 'job_1')")
            .execute(store.pool())
            .await
            .unwrap();
        assert_eq!(store.job("acme", "job_2").await.unwrap().author, None);
    }
}
