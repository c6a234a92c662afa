//! What a running job tells the outside, and how the outside stops it. Shared by the pipelines, the
//! job runner and the command line; knows none of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};

/// How long threads of a canceled job may take to end before nobody waits for them any more.
const GRACE: Duration = Duration::from_millis(500);

/// What a job is doing or waiting for.
#[derive(Debug, Default)]
struct Details {
    text: Option<String>,
    /// Whether something outside is in the way.
    trouble: bool,
}

/// The rate of a job is that of so many last looks at it, which are a second apart: long enough for the steps
/// in which an import advances.
const LOOKS: usize = 120;

/// Counters of one job and its cancellation. Cheap to read and write from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    processed: AtomicU64,
    total: AtomicU64,
    total_known: AtomicBool,
    /// Done and whole of what is read, where rows cannot be counted before; the whole is 0 until known.
    read: AtomicU64,
    to_read: AtomicU64,
    working_since: Mutex<Option<Instant>>,
    details: Mutex<Details>,
    looks: Mutex<VecDeque<(Instant, u64)>>,
    cancel: CancellationToken,
}

impl Progress {
    /// Counts rows that are done.
    pub fn add_processed(&self, rows: u64) {
        self.processed.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets the number of rows that are done, for example when a step starts again.
    pub fn set_processed(&self, rows: u64) {
        self.processed.store(rows, Ordering::Relaxed);
    }

    /// Rows done so far.
    pub fn processed(&self) -> u64 {
        self.processed.load(Ordering::Relaxed)
    }

    /// Says how many rows there will be.
    pub fn set_total(&self, rows: u64) {
        self.total.store(rows, Ordering::Relaxed);
        self.total_known.store(true, Ordering::Release);
    }

    /// How many rows there will be, once that is known.
    pub fn total(&self) -> Option<u64> {
        self.total_known.load(Ordering::Acquire).then(|| self.total.load(Ordering::Relaxed))
    }

    /// Says how much of its source the job has read, in bytes: the measure of a source whose rows nobody
    /// has counted.
    pub fn set_read(&self, done: u64, whole: u64) {
        self.read.store(done, Ordering::Relaxed);
        self.to_read.store(whole, Ordering::Relaxed);
    }

    /// The share that is done, 0 to 1, by rows or else by what was read; none while neither is known.
    pub fn share(&self) -> Option<f64> {
        let (done, whole) = match self.total() {
            Some(total) => (self.processed(), total),
            None => (self.read.load(Ordering::Relaxed), self.to_read.load(Ordering::Relaxed)),
        };
        (whole > 0).then(|| (done as f64 / whole as f64).clamp(0.0, 1.0))
    }

    /// Says that rows are coming from now on: what is left is guessed from the rate since then.
    pub fn start_clock(&self) {
        *self.working_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Since when rows have been coming, where somebody said so.
    pub fn working_since(&self) -> Option<Instant> {
        *self.working_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the counters, so that there is a rate; to be called every second or so.
    pub fn look(&self, now: Instant) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let processed = self.processed();
        // Another step counts from its own beginning.
        if looks.back().is_some_and(|(_, before)| *before > processed) {
            looks.clear();
        }
        if looks.len() >= LOOKS {
            looks.pop_front();
        }
        looks.push_back((now, processed));
    }

    /// Rows a second as of late; none while nothing was seen to advance.
    pub fn rate(&self) -> Option<f64> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let ((since, before), (until, after)) = (looks.front()?, looks.back()?);
        let seconds = until.duration_since(*since).as_secs_f64();
        (after > before && seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }

    /// How long the rest will take at the rate of late; none where there is nothing to guess from.
    pub fn time_left(&self) -> Option<Duration> {
        let seconds = if let Some(total) = self.total() {
            total.saturating_sub(self.processed()) as f64 / self.rate()?
        } else {
            let share = self.share().filter(|share| *share > 0.0)?;
            self.working_since()?.elapsed().as_secs_f64() * (1.0 - share) / share
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Says in plain words what the job is doing or waiting for; `None` when it simply works.
    pub fn set_details(&self, details: Option<String>) {
        self.put_details(Details { text: details, trouble: false });
    }

    /// Says in plain words what is in the way of the job.
    pub fn set_trouble(&self, trouble: String) {
        self.put_details(Details { text: Some(trouble), trouble: true });
    }

    fn put_details(&self, details: Details) {
        *self.details.lock().unwrap_or_else(PoisonError::into_inner) = details;
    }

    /// What the job is doing or waiting for.
    pub fn details(&self) -> Option<String> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// What is in the way of the job, if something is.
    pub fn trouble(&self) -> Option<String> {
        let details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        details.text.clone().filter(|_| details.trouble)
    }

    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether the job was asked to stop.
    pub fn is_canceled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Fails with [`Code::Canceled`] once the job was asked to stop: call it between rows and requests.
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() { Err(Error::new(Code::Canceled, "The job was canceled.")) } else { Ok(()) }
    }

    /// Runs a future until it ends or the job is canceled, whichever comes first.
    pub async fn or_canceled<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::new(Code::Canceled, "The job was canceled.")),
            result = future => result,
        }
    }

    /// As [`or_canceled`](Self::or_canceled) for work on threads that end by themselves soon after: they are
    /// given a moment, and then left behind.
    pub async fn or_left_behind<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let canceled = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
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
    fn the_rate_is_that_of_late_and_not_of_what_an_earlier_run_did() {
        let progress = Progress::default();
        progress.set_total(1000);
        progress.set_processed(500);
        let start = Instant::now();
        progress.look(start);
        assert_eq!((progress.rate(), progress.time_left()), (None, None));
        progress.add_processed(100);
        progress.look(start + Duration::from_secs(10));
        assert_eq!(progress.rate(), Some(10.0));
        assert_eq!(progress.time_left(), Some(Duration::from_secs(40)));
        progress.set_processed(0);
        progress.look(start + Duration::from_secs(11));
        assert_eq!(progress.rate(), None, "another step has begun");
    }

    #[test]
    fn a_job_that_stands_still_gets_slower_and_what_is_long_past_is_forgotten() {
        let progress = Progress::default();
        progress.set_total(1000);
        let start = Instant::now();
        progress.look(start);
        progress.add_processed(100);
        for second in 1..=100 {
            progress.look(start + Duration::from_secs(second));
        }
        assert_eq!(progress.rate(), Some(1.0));
        for second in 101..=300 {
            progress.look(start + Duration::from_secs(second));
        }
        assert_eq!(progress.rate(), None);
    }
}
