//! Counters and gauges of this process. The crates that do the work update them; `web::metrics` exposes them
//! at `/metrics`. They hold no names or other personal data.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A count that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the count.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Adds a duration in microseconds.
    pub fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// Adds one until the returned guard is dropped.
    pub fn inc_guard(&'static self) -> GaugeGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(self)
    }

    /// Returns the current value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts in a [`Gauge`] until dropped.
#[derive(Debug)]
pub struct GaugeGuard(&'static Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A value that is true or false.
#[derive(Debug)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Sets the value.
    pub fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Returns the value.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for each HTTP status from 100 to 599.
#[derive(Debug)]
pub struct StatusCounters([Counter; 500]);

impl StatusCounters {
    /// Counts a response. Ignores a number that is not an HTTP status.
    pub fn add(&self, status: u16) {
        if let Some(counter) = status.checked_sub(100).and_then(|at| self.0.get(usize::from(at))) {
            counter.add(1);
        }
    }

    /// Returns the statuses that occurred, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        (100..).zip(&self.0).map(|(status, counter)| (status, counter.get())).filter(|(_, count)| *count > 0)
    }
}

/// Users written by exports.
pub static EXPORTED_ROWS: Counter = Counter::new();
/// Rows that imports have sent or rejected.
pub static IMPORTED_ROWS: Counter = Counter::new();
/// Users and cells that exports could not read or compute.
pub static EXPORT_ERRORS: Counter = Counter::new();
/// Rows that imports did not import.
pub static IMPORT_ERRORS: Counter = Counter::new();
/// Jobs that wait for another job to finish.
pub static QUEUED_JOBS: Gauge = Gauge::new();
/// Whether the removal of expired data is suspended because the clock is not trusted.
pub static CLEANUP_SUSPENDED: Flag = Flag(AtomicBool::new(false));
/// Responses of Auth0, by status.
pub static AUTH0_RESPONSES: StatusCounters = StatusCounters([const { Counter::new() }; 500]);
/// Requests to Auth0 without a response.
pub static AUTH0_NO_RESPONSE: Counter = Counter::new();
/// Waits because Auth0's rate limit was reached.
pub static RATE_LIMIT_WAITS: Counter = Counter::new();
/// Total duration of those waits, in microseconds.
pub static RATE_LIMIT_WAIT_MICROS: Counter = Counter::new();
/// Time computed in sandboxes, in microseconds.
pub static SANDBOX_MICROS: Counter = Counter::new();
/// Batches and rows whose computation was aborted: traps, time limit, memory limit.
pub static SANDBOX_TRAPS: Counter = Counter::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_separately_and_invalid_ones_are_ignored() {
        static RESPONSES: StatusCounters = StatusCounters([const { Counter::new() }; 500]);
        for status in [200, 429, 200, 599, 0, 99, 600, u16::MAX] {
            RESPONSES.add(status);
        }
        assert_eq!(RESPONSES.counts().collect::<Vec<_>>(), [(200, 2), (429, 1), (599, 1)]);
    }

    #[test]
    fn dropping_a_guard_decrements_the_gauge() {
        static GAUGE: Gauge = Gauge::new();
        let first = GAUGE.inc_guard();
        let second = GAUGE.inc_guard();
        assert_eq!(GAUGE.get(), 2);
        drop((first, second));
        assert_eq!(GAUGE.get(), 0);
    }
}
