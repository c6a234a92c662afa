//! The tenant's clock: real time plus an offset that tests can change, so that they need not wait until a link expires
//! or a job is removed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A clock that can be advanced.
#[derive(Debug, Default)]
pub struct Clock {
    offset: AtomicI64,
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        Timestamp::now().as_millisecond().saturating_add(self.offset.load(Ordering::SeqCst))
    }

    /// Seconds since the Unix epoch, as tokens and rate limits count them.
    pub fn seconds(&self) -> i64 {
        self.now().div_euclid(1000)
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        self.offset.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Sets the clock back, for tests with clock skew.
    pub fn set_back(&self, by: Duration) {
        self.offset.fetch_sub(millis(by), Ordering::SeqCst);
    }

    /// Returns the current time in the format of the `Date` header (RFC 9110, section 5.6.7).
    pub(crate) fn http_date(&self) -> String {
        let now = Timestamp::from_second(self.seconds()).unwrap_or(Timestamp::UNIX_EPOCH);
        now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

/// Returns a duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Formats milliseconds since the epoch as Auth0 does: `2023-01-25T17:48:16.543Z`.
pub(crate) fn iso(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map(|timestamp| format!("{timestamp:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_always_carry_three_decimals() {
        assert_eq!(iso(1_674_668_896_500), "2023-01-25T17:48:16.500Z");
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn advancing_moves_now() {
        let clock = Clock::default();
        let before = clock.now();
        clock.advance(Duration::from_hours(1));
        assert!(clock.now() >= before + 3_600_000);
    }
}
