//! The table of the clock: its value at the last clean-up.

use jiff::Timestamp;
use sqlx::Row;

use super::storage_error::db_error;
use super::store::Store;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// The system clock at the last clean-up of this or an earlier process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredClock {
    /// Its value.
    pub at: Timestamp,
    /// Whether it was trusted.
    pub is_trusted: bool,
}

impl Store {
    /// Returns the stored clock; `None` before the first clean-up.
    pub async fn stored_clock(&self) -> Result<Option<StoredClock>> {
        let row =
            sqlx::query("SELECT seen_at, is_trusted FROM clock").fetch_optional(self.pool()).await.map_err(db_error)?;
        let Some(row) = row else { return Ok(None) };
        let at: i64 = row.try_get("seen_at").map_err(db_error)?;
        let at = Timestamp::from_millisecond(at).map_err(|_| {
            Error::new(Code::Storage, message!("The database holds a time of the clock that cannot be read."))
        })?;
        Ok(Some(StoredClock { at, is_trusted: row.try_get("is_trusted").map_err(db_error)? }))
    }

    /// Replaces the stored clock.
    pub async fn store_clock(&self, clock: StoredClock) -> Result<()> {
        sqlx::query(
            "INSERT INTO clock (id, seen_at, is_trusted) VALUES (1, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, is_trusted = excluded.is_trusted",
        )
        .bind(clock.at.as_millisecond())
        .bind(clock.is_trusted)
        .execute(self.pool())
        .await
        .map_err(db_error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stored_clock_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        assert_eq!(store.stored_clock().await.unwrap(), None);
        for (millisecond, is_trusted) in [(1_700_000_000_123, true), (1_600_000_000_000, false)] {
            let clock = StoredClock { at: Timestamp::from_millisecond(millisecond).unwrap(), is_trusted };
            store.store_clock(clock).await.unwrap();
            assert_eq!(store.stored_clock().await.unwrap(), Some(clock));
        }
        store.close().await;
        drop(store);
        let store = Store::open(directory.path()).await.unwrap();
        assert!(store.stored_clock().await.unwrap().is_some_and(|clock| !clock.is_trusted));
    }
}
