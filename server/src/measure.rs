//! What this process counts for whoever watches it. Rooms that do the work count here; the web room shows
//! it at `/metrics`. Counts only grow, and hold no names.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A count that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts a time, in microseconds.
    pub fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more, until what this returns is dropped.
    pub fn enter(&'static self) -> Inside {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(self)
    }

    /// How many there are.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts in a [`Gauge`] while it lives.
#[derive(Debug)]
pub struct Inside(&'static Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Something that is so or is not.
#[derive(Debug)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Says whether it is so.
    pub fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Whether it is so.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by HTTP status.
#[derive(Debug)]
pub struct ByStatus([Counter; 500]);

impl ByStatus {
    /// Counts an answer; statuses that are none are left out.
    pub fn add(&self, status: u16) {
        if let Some(counter) = status.checked_sub(100).and_then(|at| self.0.get(usize::from(at))) {
            counter.add(1);
        }
    }

    /// The statuses that were counted, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        (100..).zip(&self.0).map(|(status, counter)| (status, counter.get())).filter(|(_, count)| *count > 0)
    }
}

/// Users written by exports.
pub static EXPORTED_ROWS: Counter = Counter::new();
/// Rows of imports that were dealt with, sent or refused.
pub static IMPORTED_ROWS: Counter = Counter::new();
/// Users and cells that exports could not read or compute.
pub static EXPORT_FAULTS: Counter = Counter::new();
/// Rows that imports did not import.
pub static IMPORT_FAULTS: Counter = Counter::new();
/// Jobs that wait for their turn.
pub static QUEUED_JOBS: Gauge = Gauge::new();
/// Whether deleting what has expired waits because the clock is not trusted.
pub static CLEANUP_SUSPENDED: Flag = Flag(AtomicBool::new(false));
/// Answers of Auth0, by status.
pub static AUTH0_ANSWERS: ByStatus = ByStatus([const { Counter::new() }; 500]);
/// Requests to Auth0 that were never answered.
pub static AUTH0_SILENCE: Counter = Counter::new();
/// Times that Auth0 asked to wait, because there were too many requests.
pub static RATE_LIMIT_WAITS: Counter = Counter::new();
/// How long was waited because of that, in microseconds.
pub static RATE_LIMIT_WAITED: Counter = Counter::new();
/// Time computed in sandboxes, in microseconds.
pub static SANDBOX_TIME: Counter = Counter::new();
/// Batches and rows whose computation broke down: traps, time, memory.
pub static SANDBOX_TRAPS: Counter = Counter::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_apart_and_nonsense_is_left_out() {
        static ANSWERS: ByStatus = ByStatus([const { Counter::new() }; 500]);
        for status in [200, 429, 200, 599, 0, 99, 600, u16::MAX] {
            ANSWERS.add(status);
        }
        assert_eq!(ANSWERS.counts().collect::<Vec<_>>(), [(200, 2), (429, 1), (599, 1)]);
    }

    #[test]
    fn a_gauge_knows_who_left() {
        static INSIDE: Gauge = Gauge::new();
        let first = INSIDE.enter();
        let second = INSIDE.enter();
        assert_eq!(INSIDE.get(), 2);
        drop((first, second));
        assert_eq!(INSIDE.get(), 0);
    }
}
