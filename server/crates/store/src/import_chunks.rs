//! The tables of checked imports and their chunks.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::storage_error::db_error;
use super::store::Store;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// The result of checking the file of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckedImport {
    /// Rows in the file.
    pub total: u64,
    /// Rows with errors, which are not sent.
    pub refused: u64,
    /// Warnings about rows that are sent.
    pub warnings: u64,
}

/// The state of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// Not sent, or the request certainly had no effect.
    Pending,
    /// The request is about to be sent or was sent, without a response yet. After a restart: the response was lost.
    Sending,
    /// Auth0 is processing it as the job with this id.
    Sent(String),
    /// Auth0 has finished it.
    Done,
    /// Rejected or failed as a whole; all its rows are failed.
    Failed,
}

/// A chunk of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportChunk {
    /// From 1, in the order of rows.
    pub number: u32,
    /// Rows in it.
    pub rows: u64,
    /// Its state.
    pub state: ChunkState,
    /// Requests that may have had an effect. More than one: a response was lost.
    pub attempts: u32,
    /// When the first of them was sent.
    pub first_sent_at: Option<Timestamp>,
    /// The result of its rows; zero before it is done or failed.
    pub outcome: ChunkOutcome,
}

/// The result of the rows of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkOutcome {
    /// Users created.
    pub inserted: u64,
    /// Users changed.
    pub updated: u64,
    /// Users refused.
    pub failed: u64,
}

impl Store {
    /// Stores, in one transaction, the result of checking an import and its chunks. `chunks` is the number of rows of
    /// each chunk.
    pub async fn register_import(&self, job: &str, checked: CheckedImport, chunks: &[u64]) -> Result<()> {
        let mut transaction = self.pool().begin().await.map_err(db_error)?;
        sqlx::query("INSERT INTO imports (job_id, total, refused, warnings) VALUES (?, ?, ?, ?)")
            .bind(job)
            .bind(to_integer(checked.total))
            .bind(to_integer(checked.refused))
            .bind(to_integer(checked.warnings))
            .execute(&mut *transaction)
            .await
            .map_err(db_error)?;
        for (number, rows) in (1_u32..).zip(chunks) {
            sqlx::query("INSERT INTO import_chunks (job_id, number, rows, state) VALUES (?, ?, ?, 'pending')")
                .bind(job)
                .bind(number)
                .bind(to_integer(*rows))
                .execute(&mut *transaction)
                .await
                .map_err(db_error)?;
        }
        transaction.commit().await.map_err(db_error)
    }

    /// Returns the result of checking an import; `None` until the check is complete.
    pub async fn checked_import(&self, job: &str) -> Result<Option<CheckedImport>> {
        let row = sqlx::query("SELECT total, refused, warnings FROM imports WHERE job_id = ?")
            .bind(job)
            .fetch_optional(self.pool())
            .await
            .map_err(db_error)?;
        row.map(|row| {
            Ok(CheckedImport {
                total: count(&row, "total")?,
                refused: count(&row, "refused")?,
                warnings: count(&row, "warnings")?,
            })
        })
        .transpose()
    }

    /// Returns all chunks of an import, in the order of rows.
    pub async fn import_chunks(&self, job: &str) -> Result<Vec<ImportChunk>> {
        let rows = sqlx::query(
            "SELECT number, rows, state, attempts, first_sent_at, auth0_job_id, inserted, updated, failed
             FROM import_chunks WHERE job_id = ? ORDER BY number",
        )
        .bind(job)
        .fetch_all(self.pool())
        .await
        .map_err(db_error)?;
        rows.iter().map(read_chunk).collect()
    }

    /// Records that a chunk is about to be sent.
    pub async fn mark_chunk_sending(&self, job: &str, number: u32, now: Timestamp) -> Result<()> {
        let query = sqlx::query(
            "UPDATE import_chunks SET state = 'sending', auth0_job_id = NULL, attempts = attempts + 1,
             first_sent_at = coalesce(first_sent_at, ?) WHERE job_id = ? AND number = ?",
        );
        self.change_chunk(query.bind(now.as_millisecond()).bind(job).bind(number)).await
    }

    /// Records that the last request had no effect.
    pub async fn mark_chunk_unsent(&self, job: &str, number: u32) -> Result<()> {
        let query = sqlx::query(
            "UPDATE import_chunks SET state = 'pending', attempts = attempts - 1,
             first_sent_at = CASE WHEN attempts > 1 THEN first_sent_at END WHERE job_id = ? AND number = ?",
        );
        self.change_chunk(query.bind(job).bind(number)).await
    }

    /// Records that Auth0 accepted the chunk.
    pub async fn mark_chunk_sent(&self, job: &str, number: u32, auth0_job: &str) -> Result<()> {
        let query =
            sqlx::query("UPDATE import_chunks SET state = 'sent', auth0_job_id = ? WHERE job_id = ? AND number = ?");
        self.change_chunk(query.bind(auth0_job).bind(job).bind(number)).await
    }

    /// Records that the Auth0 job of the chunk does not exist any more, so that the chunk has to be sent again.
    pub async fn mark_chunk_lost(&self, job: &str, number: u32) -> Result<()> {
        let query = sqlx::query(
            "UPDATE import_chunks SET state = 'pending', auth0_job_id = NULL WHERE job_id = ? AND number = ?",
        );
        self.change_chunk(query.bind(job).bind(number)).await
    }

    /// Stores the result of a chunk. With a reason, the chunk failed as a whole.
    pub async fn finish_chunk(
        &self,
        job: &str,
        number: u32,
        outcome: ChunkOutcome,
        reason: Option<&str>,
    ) -> Result<()> {
        let query = sqlx::query(
            "UPDATE import_chunks SET state = ?, inserted = ?, updated = ?, failed = ?, reason = ?
             WHERE job_id = ? AND number = ?",
        )
        .bind(if reason.is_some() { "failed" } else { "done" })
        .bind(to_integer(outcome.inserted))
        .bind(to_integer(outcome.updated))
        .bind(to_integer(outcome.failed))
        .bind(reason);
        self.change_chunk(query.bind(job).bind(number)).await
    }

    /// Replaces, in one transaction, a chunk that was rejected as a whole by two new ones, given as number and rows.
    /// Both inherit whether an earlier request may have had an effect.
    pub async fn split_chunk(&self, job: &str, number: u32, parts: [(u32, u64); 2], reason: &str) -> Result<()> {
        let mut transaction = self.pool().begin().await.map_err(db_error)?;
        for (part, rows) in parts {
            sqlx::query(
                "INSERT INTO import_chunks (job_id, number, rows, state, attempts, first_sent_at)
                 SELECT job_id, ?, ?, 'pending', min(attempts, 1), first_sent_at FROM import_chunks
                 WHERE job_id = ? AND number = ?",
            )
            .bind(part)
            .bind(to_integer(rows))
            .bind(job)
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(db_error)?;
        }
        sqlx::query(
            "UPDATE import_chunks SET state = 'done', rows = 0, auth0_job_id = NULL, reason = ?
             WHERE job_id = ? AND number = ?",
        )
        .bind(reason)
        .bind(job)
        .bind(number)
        .execute(&mut *transaction)
        .await
        .map_err(db_error)?;
        transaction.commit().await.map_err(db_error)
    }

    async fn change_chunk(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<()> {
        let changed = query.execute(self.pool()).await.map_err(db_error)?.rows_affected();
        if changed == 1 {
            Ok(())
        } else {
            Err(Error::new(Code::Storage, message!("The chunk is not in the database.")))
        }
    }
}

fn read_chunk(row: &SqliteRow) -> Result<ImportChunk> {
    let state: String = row.try_get("state").map_err(db_error)?;
    let auth0_job: Option<String> = row.try_get("auth0_job_id").map_err(db_error)?;
    let first_sent_at: Option<i64> = row.try_get("first_sent_at").map_err(db_error)?;
    let state = match (state.as_str(), auth0_job) {
        ("pending", _) => ChunkState::Pending,
        ("sent", Some(id)) => ChunkState::Sent(id),
        ("done", _) => ChunkState::Done,
        ("failed", _) => ChunkState::Failed,
        _ => ChunkState::Sending,
    };
    Ok(ImportChunk {
        number: row.try_get("number").map_err(db_error)?,
        rows: count(row, "rows")?,
        state,
        attempts: row.try_get("attempts").map_err(db_error)?,
        first_sent_at: first_sent_at.and_then(|time| Timestamp::from_millisecond(time).ok()),
        outcome: ChunkOutcome {
            inserted: count(row, "inserted")?,
            updated: count(row, "updated")?,
            failed: count(row, "failed")?,
        },
    })
}

/// Converts a count to SQLite's signed integer.
fn to_integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(row: &SqliteRow, column: &str) -> Result<u64> {
    let count: i64 = row.try_get(column).map_err(db_error)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jobs::{JobKind, NewJob};

    async fn store() -> (Store, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let job = NewJob {
            id: "job".into(),
            tenant: "acme.auth0.com".into(),
            kind: JobKind::Import,
            owner: "auth0|ada".into(),
            author: None,
            connection: None,
            request: json!({}),
        };
        store.insert_job(&job).await.unwrap();
        let checked = CheckedImport { total: 7, refused: 2, warnings: 1 };
        store.register_import("job", checked, &[3, 2]).await.unwrap();
        assert_eq!(store.checked_import("job").await.unwrap(), Some(checked));
        (store, directory)
    }

    async fn first(store: &Store) -> ImportChunk {
        store.import_chunks("job").await.unwrap().swap_remove(0)
    }

    #[tokio::test]
    async fn only_requests_that_may_have_had_an_effect_are_counted() {
        let (store, _directory) = store().await;
        let times = [1000, 2000, 3000].map(|time| Timestamp::from_millisecond(time).unwrap());
        store.mark_chunk_sending("job", 1, times[0]).await.unwrap();
        store.mark_chunk_unsent("job", 1).await.unwrap();
        let chunk = first(&store).await;
        assert_eq!((chunk.state, chunk.attempts, chunk.first_sent_at), (ChunkState::Pending, 0, None));
        store.mark_chunk_sending("job", 1, times[1]).await.unwrap();
        store.mark_chunk_sending("job", 1, times[2]).await.unwrap();
        let chunk = first(&store).await;
        assert_eq!((chunk.state, chunk.attempts, chunk.first_sent_at), (ChunkState::Sending, 2, Some(times[1])));
        store.mark_chunk_unsent("job", 1).await.unwrap();
        assert_eq!(first(&store).await.first_sent_at, Some(times[1]));
    }

    #[tokio::test]
    async fn the_auth0_job_and_the_outcome_of_a_chunk_are_stored() {
        let (store, _directory) = store().await;
        store.mark_chunk_sending("job", 1, Timestamp::UNIX_EPOCH).await.unwrap();
        store.mark_chunk_sent("job", 1, "job_0123456789abcdef").await.unwrap();
        assert_eq!(first(&store).await.state, ChunkState::Sent("job_0123456789abcdef".into()));
        store.mark_chunk_lost("job", 1).await.unwrap();
        assert_eq!((first(&store).await.state, first(&store).await.attempts), (ChunkState::Pending, 1));
        let outcome = ChunkOutcome { inserted: 1, updated: 1, failed: 1 };
        store.finish_chunk("job", 1, outcome, None).await.unwrap();
        store.finish_chunk("job", 2, outcome, Some("reason")).await.unwrap();
        let chunks = store.import_chunks("job").await.unwrap();
        let ends: Vec<_> = chunks.iter().map(|chunk| (chunk.rows, &chunk.state, chunk.outcome)).collect();
        assert_eq!(ends, [(3, &ChunkState::Done, outcome), (2, &ChunkState::Failed, outcome)]);
    }

    #[tokio::test]
    async fn the_parts_of_a_split_chunk_inherit_its_rows_and_attempts() {
        let (store, _directory) = store().await;
        let time = Timestamp::from_millisecond(1000).unwrap();
        for _ in 0..3 {
            store.mark_chunk_sending("job", 1, time).await.unwrap();
        }
        store.split_chunk("job", 1, [(3, 1), (4, 2)], "refused").await.unwrap();
        let chunks = store.import_chunks("job").await.unwrap();
        let seen: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.number, chunk.rows, chunk.state.clone(), chunk.attempts, chunk.first_sent_at))
            .collect();
        assert_eq!(
            seen,
            [
                (1, 0, ChunkState::Done, 3, Some(time)),
                (2, 2, ChunkState::Pending, 0, None),
                (3, 1, ChunkState::Pending, 1, Some(time)),
                (4, 2, ChunkState::Pending, 1, Some(time)),
            ]
        );
        assert!(store.split_chunk("job", 2, [(3, 1), (5, 1)], "refused").await.is_err(), "the number is taken");
        assert_eq!(store.import_chunks("job").await.unwrap().len(), 4);
    }

    #[tokio::test]
    async fn an_unknown_chunk_is_an_error_and_deleting_a_job_deletes_its_chunks() {
        let (store, _directory) = store().await;
        assert_eq!(store.mark_chunk_lost("job", 3).await.unwrap_err().code, Code::Storage);
        store.delete_job("job").await.unwrap();
        assert_eq!(store.checked_import("job").await.unwrap(), None);
        assert_eq!(store.import_chunks("job").await.unwrap(), []);
    }
}
