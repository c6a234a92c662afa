//! Progress counters and cancellation of a running job, shared by the export and import pipelines, the job runner
//! and the command line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};
use crate::message::{Message, message};

/// How long to wait for the threads of a canceled job before they are abandoned.
const CANCEL_GRACE_PERIOD: Duration = Duration::from_millis(500);

/// What a job is doing or waiting for.
#[derive(Debug, Default)]
struct Details {
    text: Option<Message>,
    /// Whether the text is a warning, such as that Auth0 does not respond.
    is_warning: bool,
}

/// The rate is computed over this number of samples, one per second. An import advances by whole chunks, so the
/// window has to be long.
const MAX_SAMPLES: usize = 120;

/// Counters of one job and its cancellation. Cheap to read and write from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    processed: AtomicU64,
    total: AtomicU64,
    total_known: AtomicBool,
    /// Bytes of the source that were read, for sources with an unknown number of rows.
    bytes_read: AtomicU64,
    /// Bytes of the source; 0 while unknown.
    bytes_total: AtomicU64,
    clock_started_at: Mutex<Option<Instant>>,
    details: Mutex<Details>,
    samples: Mutex<VecDeque<(Instant, u64)>>,
    cancel: CancellationToken,
}

impl Progress {
    /// Adds to the number of rows that are done.
    pub fn add_processed(&self, rows: u64) {
        self.processed.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets the number of rows that are done, for example when a step starts again.
    pub fn set_processed(&self, rows: u64) {
        self.processed.store(rows, Ordering::Relaxed);
    }

    /// Sets the number of rows that were done before: by an earlier run, or by an earlier step. They do not count for
    /// the rate.
    pub fn resume_at(&self, rows: u64) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        self.set_processed(rows);
        samples.clear();
    }

    /// Returns the number of rows that are done.
    pub fn processed(&self) -> u64 {
        self.processed.load(Ordering::Relaxed)
    }

    /// Sets the number of rows of the job.
    pub fn set_total(&self, rows: u64) {
        self.total.store(rows, Ordering::Relaxed);
        self.total_known.store(true, Ordering::Release);
    }

    /// Returns the number of rows of the job; `None` while it is not known.
    pub fn total(&self) -> Option<u64> {
        self.total_known.load(Ordering::Acquire).then(|| self.total.load(Ordering::Relaxed))
    }

    /// Sets how many bytes of its source the job has read, for a source whose number of rows is not known.
    pub fn set_bytes_read(&self, read: u64, total: u64) {
        self.bytes_read.store(read, Ordering::Relaxed);
        self.bytes_total.store(total, Ordering::Relaxed);
    }

    /// Returns the fraction that is done, 0 to 1, of the rows or, if their number is not known, of the bytes; `None`
    /// while neither is known.
    pub fn share(&self) -> Option<f64> {
        let (done, total) = match self.total() {
            Some(total) => (self.processed(), total),
            None => (self.bytes_read.load(Ordering::Relaxed), self.bytes_total.load(Ordering::Relaxed)),
        };
        (total > 0).then(|| (done as f64 / total as f64).clamp(0.0, 1.0))
    }

    /// Marks the start of reading rows. The remaining time is estimated from the rate since then if the number of rows
    /// is not known.
    pub fn start_clock(&self) {
        *self.clock_started_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns when [`start_clock`](Self::start_clock) was called; `None` if it was not.
    pub fn clock_started_at(&self) -> Option<Instant> {
        *self.clock_started_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples the number of rows for the rate. To be called about once per second.
    pub fn sample(&self, now: Instant) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let processed = self.processed();
        // A restarted step counts from 0.
        if samples.back().is_some_and(|(_, before)| *before > processed) {
            samples.clear();
        }
        if samples.len() >= MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back((now, processed));
    }

    /// Returns the rows per second over the recent samples; `None` without progress.
    pub fn rate(&self) -> Option<f64> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let ((since, before), (until, after)) = (samples.front()?, samples.back()?);
        let seconds = until.duration_since(*since).as_secs_f64();
        (after > before && seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }

    /// Estimates the remaining time from the recent rate; `None` without a rate.
    pub fn time_left(&self) -> Option<Duration> {
        let seconds = if let Some(total) = self.total() {
            total.saturating_sub(self.processed()) as f64 / self.rate()?
        } else {
            let share = self.share().filter(|share| *share > 0.0)?;
            self.clock_started_at()?.elapsed().as_secs_f64() * (1.0 - share) / share
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Sets the text that informs users what the job is doing or waiting for; `None` while it makes progress.
    pub fn set_details(&self, details: Option<Message>) {
        self.put_details(Details { text: details, is_warning: false });
    }

    /// Sets a text that informs users what prevents progress.
    pub fn set_warning(&self, text: impl Into<Message>) {
        self.put_details(Details { text: Some(text.into()), is_warning: true });
    }

    fn put_details(&self, details: Details) {
        *self.details.lock().unwrap_or_else(PoisonError::into_inner) = details;
    }

    /// Returns what the job is doing or waiting for; `None` while it makes progress.
    pub fn details(&self) -> Option<Message> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// Returns what prevents progress; `None` if nothing does.
    pub fn warning(&self) -> Option<Message> {
        let details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        details.text.clone().filter(|_| details.is_warning)
    }

    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Returns whether the job was asked to stop.
    pub fn is_canceled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Fails with [`Code::Canceled`] if the job was asked to stop. Call it between rows and requests.
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() { Err(Error::new(Code::Canceled, message!("The job was canceled."))) } else { Ok(()) }
    }

    /// Runs a future until it ends or the job is canceled, whichever is first. Drops the future on cancellation.
    pub async fn or_canceled<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::new(Code::Canceled, message!("The job was canceled."))),
            result = future => result,
        }
    }

    /// As [`or_canceled`](Self::or_canceled), but gives the future a grace period after the cancellation. For work on
    /// threads, which check for the cancellation themselves and cannot be stopped from outside.
    pub async fn or_abandon<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let canceled = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(CANCEL_GRACE_PERIOD).await;
            self.check()
        };
        tokio::select! {
            biased;
            result = future => result,
            Err(error) = canceled => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_counts_new_rows_only_and_not_those_of_an_earlier_run() {
        let progress = Progress::default();
        progress.set_total(1000);
        progress.set_processed(500);
        let start = Instant::now();
        progress.sample(start);
        assert_eq!((progress.rate(), progress.time_left()), (None, None));
        progress.add_processed(100);
        progress.sample(start + Duration::from_secs(10));
        assert_eq!(progress.rate(), Some(10.0));
        assert_eq!(progress.time_left(), Some(Duration::from_secs(40)));
        progress.set_processed(0);
        progress.sample(start + Duration::from_secs(11));
        assert_eq!(progress.rate(), None, "another step has started");
    }

    #[test]
    fn rows_of_an_earlier_run_do_not_count_for_the_remaining_time() {
        let progress = Progress::default();
        progress.set_total(325_000);
        let start = Instant::now();
        // The job runner samples before the job knows where it continues.
        progress.sample(start);
        progress.resume_at(33_000);
        progress.sample(start + Duration::from_secs(1));
        assert_eq!((progress.rate(), progress.time_left()), (None, None));
        progress.add_processed(2_000);
        progress.sample(start + Duration::from_secs(2));
        assert_eq!(progress.rate(), Some(2_000.0));
        assert_eq!(progress.time_left(), Some(Duration::from_secs(145)));
    }

    #[test]
    fn the_rate_of_a_stalled_job_falls_and_old_samples_are_dropped() {
        let progress = Progress::default();
        progress.set_total(1000);
        let start = Instant::now();
        progress.sample(start);
        progress.add_processed(100);
        for second in 1..=100 {
            progress.sample(start + Duration::from_secs(second));
        }
        assert_eq!(progress.rate(), Some(1.0));
        for second in 101..=300 {
            progress.sample(start + Duration::from_secs(second));
        }
        assert_eq!(progress.rate(), None);
    }
}
