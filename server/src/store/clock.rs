//! The clock as it was seen last, which outlives a restart.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, storage};
use crate::error::{Code, Error, Result};

/// The clock at the last clean-up of this or an earlier process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenClock {
    /// What it said.
    pub at: Timestamp,
    /// Whether it was trusted then.
    pub is_trusted: bool,
}

impl Store {
    /// Returns the clock that was seen last; none before the first clean-up.
    pub async fn seen_clock(&self) -> Result<Option<SeenClock>> {
        let row =
            sqlx::query("SELECT seen_at, is_trusted FROM clock").fetch_optional(self.pool()).await.map_err(storage)?;
        let Some(row) = row else { return Ok(None) };
        let at: i64 = row.try_get("seen_at").map_err(storage)?;
        let at = Timestamp::from_millisecond(at)
            .map_err(|_| Error::new(Code::Storage, "The database holds a time of the clock that cannot be read."))?;
        Ok(Some(SeenClock { at, is_trusted: row.try_get("is_trusted").map_err(storage)? }))
    }

    /// Stores the clock in place of the one that was seen before.
    pub async fn set_seen_clock(&self, seen: SeenClock) -> Result<()> {
        sqlx::query(
            "INSERT INTO clock (id, seen_at, is_trusted) VALUES (1, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, is_trusted = excluded.is_trusted",
        )
        .bind(seen.at.as_millisecond())
        .bind(seen.is_trusted)
        .execute(self.pool())
        .await
        .map_err(storage)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_clock_that_was_seen_last_outlives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        assert_eq!(store.seen_clock().await.unwrap(), None);
        for (millisecond, is_trusted) in [(1_700_000_000_123, true), (1_600_000_000_000, false)] {
            let seen = SeenClock { at: Timestamp::from_millisecond(millisecond).unwrap(), is_trusted };
            store.set_seen_clock(seen).await.unwrap();
            assert_eq!(store.seen_clock().await.unwrap(), Some(seen));
        }
        store.pool().close().await;
        drop(store);
        let store = Store::open(directory.path()).await.unwrap();
        assert!(store.seen_clock().await.unwrap().is_some_and(|seen| !seen.is_trusted));
    }
}
