//! Decides whether the system clock is trusted enough to delete expired data.
//!
//! After a jump of the clock, data may look expired that is not, and a deletion cannot be undone. So deletions are
//! suspended until the clock has agreed with the monotonic clock for an hour, or agrees with the `Date` header of
//! the tenant's responses. Meanwhile expired data is not used; it is only deleted later.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use uie_store::StoredClock;

/// Maximum difference between two clocks that agree.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// How long the clock must agree with the monotonic clock before it is trusted.
const AGREEMENT_PERIOD: Duration = Duration::from_hours(1);

/// Maximum age of a response of the tenant whose time is compared.
const MAX_RESPONSE_AGE: Duration = Duration::from_hours(1);

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The system clock.
    pub(super) wall: Timestamp,
    /// The monotonic clock.
    pub(super) monotonic: Instant,
    /// The `Date` header of the tenant's last response, and when it was received; `None` before the first response.
    pub(super) tenant: Option<(Timestamp, Instant)>,
}

/// Why the clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The process started, and no earlier process stored a trusted clock shortly before.
    Unverified,
    /// It jumped by this duration, compared with the monotonic clock or with the stored clock.
    Jumped(SignedDuration),
    /// It differs by this duration from the tenant's clock.
    Differs(SignedDuration),
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unverified => f.write_str("the clock has not been verified since the start"),
            Self::Jumped(by) => write!(f, "the clock jumped by {} s", by.as_secs()),
            Self::Differs(by) => write!(f, "the clock differs from the tenant's by {} s", by.as_secs()),
        }
    }
}

/// Compares the clocks over time.
#[derive(Debug)]
pub(super) struct ClockGuard {
    /// The start of the current agreement with the monotonic clock.
    agrees_since: Instant,
    /// Later readings are compared with this one. At most an hour old, since a clock that is being adjusted drifts.
    anchor: (Timestamp, Instant),
    doubt: Option<Doubt>,
    /// The result that was logged last.
    logged: Option<Doubt>,
}

impl ClockGuard {
    /// Creates a guard at the start of a process. The clock is trusted if an earlier process trusted it shortly before.
    pub(super) fn new(now: Reading, stored: Option<StoredClock>) -> Self {
        let doubt = stored.map_or(Some(Doubt::Unverified), |stored| {
            let passed = now.wall.duration_since(stored.at);
            match (stored.is_trusted, is_close(passed)) {
                (true, true) => None,
                (_, false) => Some(Doubt::Jumped(passed)),
                (false, true) => Some(Doubt::Unverified),
            }
        });
        Self { agrees_since: now.monotonic, anchor: (now.wall, now.monotonic), doubt, logged: None }
    }

    /// Logs the result of [`observe`](Self::observe) if it differs from the one that was logged last.
    pub(super) fn log(&mut self, doubt: Option<Doubt>) {
        if is_change(self.logged, doubt) {
            match doubt {
                Some(Doubt::Unverified) => tracing::info!(
                    "{}: expired data is not deleted until the clock is steady for an hour or agrees with the tenant's",
                    Doubt::Unverified
                ),
                Some(doubt) => tracing::warn!(
                    "{doubt}: expired data is not deleted until the clock is steady for an hour or agrees with the \
                     tenant's"
                ),
                None => tracing::info!("the clock is trusted again: expired data is deleted"),
            }
            self.logged = doubt;
        }
    }

    /// Compares the clocks. Returns why the clock is not trusted; `None` if it is trusted.
    pub(super) fn observe(&mut self, now: Reading) -> Option<Doubt> {
        let (wall, monotonic) = self.anchor;
        let drift = now.wall.duration_since(wall) - passed(monotonic, now.monotonic);
        if !is_close(drift) {
            self.agrees_since = now.monotonic;
            self.anchor = (now.wall, now.monotonic);
            self.doubt = Some(Doubt::Jumped(drift));
        } else if now.monotonic.saturating_duration_since(monotonic) >= AGREEMENT_PERIOD {
            self.anchor = (now.wall, now.monotonic);
        }
        match difference_to_tenant(now) {
            Some(difference) if is_close(difference) => self.doubt = None,
            Some(difference) => {
                self.agrees_since = now.monotonic;
                self.doubt = Some(Doubt::Differs(difference));
            }
            None if now.monotonic.saturating_duration_since(self.agrees_since) >= AGREEMENT_PERIOD => {
                self.doubt = None;
            }
            None => {}
        }
        self.doubt
    }
}

/// Returns whether a result differs enough from the previous one to be logged. The exact difference to the tenant's
/// clock varies between responses, so it alone is not a change.
fn is_change(before: Option<Doubt>, now: Option<Doubt>) -> bool {
    !matches!((before, now), (Some(Doubt::Differs(_)), Some(Doubt::Differs(_)))) && before != now
}

/// Returns how far the clock is ahead of the tenant's; `None` without a recent response of the tenant.
fn difference_to_tenant(now: Reading) -> Option<SignedDuration> {
    let (date, received) = now.tenant?;
    let age = now.monotonic.saturating_duration_since(received);
    (age <= MAX_RESPONSE_AGE).then(|| now.wall.duration_since(date) - passed(received, now.monotonic))
}

fn passed(from: Instant, to: Instant) -> SignedDuration {
    SignedDuration::try_from(to.saturating_duration_since(from)).unwrap_or(SignedDuration::MAX)
}

fn is_close(difference: SignedDuration) -> bool {
    difference.abs() <= TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    /// Clocks that a test sets.
    struct Clocks {
        wall: Timestamp,
        start: Instant,
        monotonic: Duration,
        tenant: Option<(Timestamp, Instant)>,
    }

    impl Clocks {
        fn new() -> Self {
            let wall = Timestamp::from_second(1_800_000_000).unwrap();
            Self { wall, start: Instant::now(), monotonic: Duration::ZERO, tenant: None }
        }

        fn now(&self) -> Reading {
            Reading { wall: self.wall, monotonic: self.start + self.monotonic, tenant: self.tenant }
        }

        fn pass(&mut self, time: Duration) {
            self.monotonic += time;
            self.wall += time;
        }

        fn set(&mut self, by: SignedDuration) {
            self.wall += by;
        }

        /// Lets time pass with one observation per minute; returns the last result.
        fn observe_for(&mut self, guard: &mut ClockGuard, minutes: u32) -> Option<Doubt> {
            let mut doubt = guard.observe(self.now());
            for _ in 0..minutes {
                self.pass(Duration::from_mins(1));
                doubt = guard.observe(self.now());
            }
            doubt
        }

        fn trusting_guard(&self) -> ClockGuard {
            ClockGuard::new(self.now(), Some(StoredClock { at: self.wall, is_trusted: true }))
        }
    }

    #[test]
    fn after_the_first_start_the_clock_is_trusted_after_an_hour_of_agreement() {
        let mut clocks = Clocks::new();
        let mut guard = ClockGuard::new(clocks.now(), None);
        assert_eq!(clocks.observe_for(&mut guard, 59), Some(Doubt::Unverified));
        assert_eq!(clocks.observe_for(&mut guard, 1), None);
    }

    #[test]
    fn a_jump_suspends_deletion_until_the_clock_has_agreed_for_an_hour() {
        for days in [100, -100, 1, -1] {
            let mut clocks = Clocks::new();
            let mut guard = clocks.trusting_guard();
            assert_eq!(clocks.observe_for(&mut guard, 10), None);
            clocks.set(DAY * days);
            assert_eq!(clocks.observe_for(&mut guard, 3), Some(Doubt::Jumped(DAY * days)));
            clocks.set(DAY * -days);
            assert_eq!(clocks.observe_for(&mut guard, 59), Some(Doubt::Jumped(DAY * -days)));
            assert_eq!(clocks.observe_for(&mut guard, 1), None);
        }
    }

    #[test]
    fn small_steps_within_an_hour_add_up() {
        let mut clocks = Clocks::new();
        let mut guard = clocks.trusting_guard();
        for _ in 0..5 {
            clocks.set(SignedDuration::from_mins(1));
            assert_eq!(clocks.observe_for(&mut guard, 1), None);
        }
        clocks.set(SignedDuration::from_mins(1));
        assert!(matches!(clocks.observe_for(&mut guard, 1), Some(Doubt::Jumped(_))));
    }

    #[test]
    fn a_clock_that_is_adjusted_slowly_stays_trusted() {
        let mut clocks = Clocks::new();
        let mut guard = clocks.trusting_guard();
        // 500 ppm, the maximum rate of NTP.
        for _ in 0..24 * 30 {
            clocks.set(SignedDuration::from_millis(1800));
            assert_eq!(clocks.observe_for(&mut guard, 60), None);
        }
    }

    #[test]
    fn a_clock_stays_trusted_across_a_restart_but_not_across_a_long_pause_or_a_jump() {
        let clocks = Clocks::new();
        let stored = |at: Timestamp, is_trusted: bool| Some(StoredClock { at, is_trusted });
        let doubt = |stored| ClockGuard::new(clocks.now(), stored).observe(clocks.now());
        let wall = clocks.wall;
        assert_eq!(doubt(stored(wall - SignedDuration::from_mins(4), true)), None);
        assert_eq!(doubt(stored(wall - SignedDuration::from_mins(4), false)), Some(Doubt::Unverified));
        for jump in [DAY * 100, DAY, SignedDuration::from_mins(6), DAY * -100] {
            assert_eq!(doubt(stored(wall - jump, true)), Some(Doubt::Jumped(jump)));
        }
    }

    #[test]
    fn a_matching_tenant_clock_restores_trust_and_a_different_one_prevents_it() {
        let mut clocks = Clocks::new();
        let mut guard = ClockGuard::new(clocks.now(), None);
        assert_eq!(clocks.observe_for(&mut guard, 2), Some(Doubt::Unverified));
        clocks.tenant = Some((clocks.wall, clocks.now().monotonic));
        assert_eq!(clocks.observe_for(&mut guard, 2), None, "the machine was off, and its clock is right");

        clocks.set(DAY * 100);
        for _ in 0..5 {
            // The tenant responds sometimes.
            clocks.tenant = Some((clocks.wall - DAY * 100, clocks.now().monotonic));
            assert_eq!(clocks.observe_for(&mut guard, 50), Some(Doubt::Differs(DAY * 100)));
        }
        clocks.set(DAY * -100);
        assert_eq!(clocks.observe_for(&mut guard, 1), None, "they agree again");
    }

    #[test]
    fn an_old_response_of_the_tenant_is_ignored() {
        let mut clocks = Clocks::new();
        let mut guard = clocks.trusting_guard();
        clocks.tenant = Some((clocks.wall, clocks.now().monotonic));
        assert_eq!(clocks.observe_for(&mut guard, 70), None);
        clocks.set(DAY);
        assert_eq!(clocks.observe_for(&mut guard, 1), Some(Doubt::Jumped(DAY)));
    }
}
