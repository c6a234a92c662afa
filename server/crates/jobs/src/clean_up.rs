//! Removes expired data while the clock is trusted.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::clock_guard::{ClockGuard, Reading};
use super::job_directory::remove_directory;
use super::jobs::Jobs;
use uie_core::error::Result;
use uie_core::telemetry;
use uie_store::StoredClock;

impl Jobs {
    /// Removes expired artifacts, history entries and tokens.
    pub async fn clean_up(&self) -> Result<()> {
        self.clean_up_at(Timestamp::now()).await
    }

    /// [`Jobs::clean_up`] with `now` as the current time.
    pub async fn clean_up_at(&self, now: Timestamp) -> Result<()> {
        let store = &self.0.store;
        for id in store.jobs_with_expired_artifact(now).await? {
            remove_directory(store.job_directory(&id)).await?;
            store.expire_artifact(&id).await?;
        }
        let lifetime = SignedDuration::try_from(self.0.settings.history_ttl).unwrap_or(SignedDuration::MAX);
        if let Ok(date) = now.checked_sub(lifetime) {
            for id in store.jobs_finished_before(date).await? {
                remove_directory(store.job_directory(&id)).await?;
                store.delete_job(&id).await?;
            }
        }
        store.delete_ended_tokens(now).await
    }

    /// Removes expired data every minute until the server stops, but only while the clock is trusted. Each time,
    /// `clean_up_others` removes what has expired outside of jobs at the given time.
    pub async fn keep_clean(&self, clean_up_others: impl AsyncFn(Timestamp) -> Result<()>) {
        let mut guard = None;
        while !self.0.stopping.is_cancelled() {
            if let Err(error) = self.clean_up_if_trusted(&mut guard, &clean_up_others).await {
                tracing::warn!(error = error.code.as_str(), "clean-up: {}", error.message);
            }
            tokio::select! {
                () = self.0.stopping.cancelled() => {}
                () = tokio::time::sleep(Duration::from_mins(1)) => {}
            }
        }
    }

    /// Checks the clock, and removes expired data unless the clock may have jumped.
    async fn clean_up_if_trusted(
        &self,
        guard: &mut Option<ClockGuard>,
        clean_up_others: &impl AsyncFn(Timestamp) -> Result<()>,
    ) -> Result<()> {
        let tenant = self.0.client_provider.last_date();
        let now = Reading { wall: Timestamp::now(), monotonic: Instant::now(), tenant };
        let guard = match guard {
            Some(guard) => guard,
            None => guard.insert(ClockGuard::new(now, self.0.store.stored_clock().await?)),
        };
        let doubt = guard.observe(now);
        // Before anything is deleted, so that a restart after a jump can compare with the time before it.
        self.0.store.store_clock(StoredClock { at: now.wall, is_trusted: doubt.is_none() }).await?;
        guard.log(doubt);
        telemetry::CLEANUP_SUSPENDED.set(doubt.is_some());
        if doubt.is_some() {
            return Ok(());
        }
        self.clean_up_at(now.wall).await?;
        clean_up_others(now.wall).await
    }
}
