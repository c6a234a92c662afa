//! Judges whether the clock can be trusted to delete what has expired.
//!
//! A clock that jumps ahead makes everything look expired. Deleting cannot be undone, so it waits until the
//! clock has agreed with the monotonic clock for an hour, or agrees with the `Date` header of the tenant's
//! answers. Expired things are not used meanwhile; they are only deleted later.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::store::SeenClock;

/// By how much two clocks may differ.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// How long the clock must agree with the monotonic clock before it is trusted.
const AGREEMENT: Duration = Duration::from_hours(1);

/// How old an answer of the tenant may be whose time is compared.
const FRESH: Duration = Duration::from_hours(1);

/// One look at the clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The clock of the machine.
    pub(super) wall: Timestamp,
    /// The monotonic clock.
    pub(super) steady: Instant,
    /// The `Date` header of the tenant's last answer, and when it came.
    pub(super) tenant: Option<(Timestamp, Instant)>,
}

/// Why the clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The process has started, and the clock was not seen shortly before.
    Started,
    /// It jumped by so much, compared with the monotonic clock or with the last one that was seen.
    Jumped(SignedDuration),
    /// It differs by so much from the tenant's.
    Differs(SignedDuration),
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started => f.write_str("the clock was not seen shortly before this start"),
            Self::Jumped(by) => write!(f, "the clock jumped by {} s", by.as_secs()),
            Self::Differs(by) => write!(f, "the clock differs from the tenant's by {} s", by.as_secs()),
        }
    }
}

/// What is known about the clock.
#[derive(Debug)]
pub(super) struct ClockGuard {
    /// The start of the current agreement with the monotonic clock.
    since: Instant,
    /// What later readings are compared with; at most an hour old, since a clock that is being adjusted drifts.
    anchor: (Timestamp, Instant),
    doubt: Option<Doubt>,
    /// The judgement that was logged last.
    logged: Option<Doubt>,
}

impl ClockGuard {
    /// A guard at the start of a process. A clock that was trusted a moment ago, by an earlier process, still is.
    pub(super) fn new(now: Reading, seen: Option<SeenClock>) -> Self {
        let doubt = seen.map_or(Some(Doubt::Started), |seen| {
            let passed = now.wall.duration_since(seen.at);
            match (seen.is_trusted, is_close(passed)) {
                (true, true) => None,
                (_, false) => Some(Doubt::Jumped(passed)),
                (false, true) => Some(Doubt::Started),
            }
        });
        Self { since: now.steady, anchor: (now.wall, now.steady), doubt, logged: None }
    }

    /// Logs a judgement where it differs from the one that was logged last.
    pub(super) fn log(&mut self, doubt: Option<Doubt>) {
        if is_news(self.logged, doubt) {
            match doubt {
                Some(Doubt::Started) => tracing::info!(
                    "{}: nothing expired is deleted until it has run evenly for an hour, or agrees with the tenant's",
                    Doubt::Started
                ),
                Some(doubt) => tracing::warn!(
                    "{doubt}: nothing expired is deleted until it has run evenly for an hour, or agrees with the tenant's"
                ),
                None => tracing::info!("the clock is trusted again: what has expired is deleted"),
            }
            self.logged = doubt;
        }
    }

    /// Takes a look at the clocks. Returns why the clock is not trusted, if it is not.
    pub(super) fn observe(&mut self, now: Reading) -> Option<Doubt> {
        let (wall, steady) = self.anchor;
        let drift = now.wall.duration_since(wall) - passed(steady, now.steady);
        if !is_close(drift) {
            self.since = now.steady;
            self.anchor = (now.wall, now.steady);
            self.doubt = Some(Doubt::Jumped(drift));
        } else if now.steady.saturating_duration_since(steady) >= AGREEMENT {
            self.anchor = (now.wall, now.steady);
        }
        match difference_to_tenant(now) {
            Some(difference) if is_close(difference) => self.doubt = None,
            Some(difference) => {
                self.since = now.steady;
                self.doubt = Some(Doubt::Differs(difference));
            }
            None if now.steady.saturating_duration_since(self.since) >= AGREEMENT => self.doubt = None,
            None => {}
        }
        self.doubt
    }
}

/// Whether a judgement is worth a line after the one before. The distance to the tenant's clock varies by itself.
fn is_news(before: Option<Doubt>, now: Option<Doubt>) -> bool {
    !matches!((before, now), (Some(Doubt::Differs(_)), Some(Doubt::Differs(_)))) && before != now
}

/// How far the clock is ahead of the tenant's, if the tenant has answered lately.
fn difference_to_tenant(now: Reading) -> Option<SignedDuration> {
    let (date, received) = now.tenant?;
    let age = now.steady.saturating_duration_since(received);
    (age <= FRESH).then(|| now.wall.duration_since(date) - passed(received, now.steady))
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

    /// Clocks that tests move.
    struct Clocks {
        wall: Timestamp,
        start: Instant,
        steady: Duration,
        tenant: Option<(Timestamp, Instant)>,
    }

    impl Clocks {
        fn new() -> Self {
            let wall = Timestamp::from_second(1_800_000_000).unwrap();
            Self { wall, start: Instant::now(), steady: Duration::ZERO, tenant: None }
        }

        fn now(&self) -> Reading {
            Reading { wall: self.wall, steady: self.start + self.steady, tenant: self.tenant }
        }

        fn pass(&mut self, time: Duration) {
            self.steady += time;
            self.wall += time;
        }

        fn set(&mut self, by: SignedDuration) {
            self.wall += by;
        }

        /// Time passes with a look a minute; the last judgement.
        fn watch(&mut self, guard: &mut ClockGuard, minutes: u32) -> Option<Doubt> {
            let mut doubt = guard.observe(self.now());
            for _ in 0..minutes {
                self.pass(Duration::from_mins(1));
                doubt = guard.observe(self.now());
            }
            doubt
        }

        fn trusted(&self) -> ClockGuard {
            ClockGuard::new(self.now(), Some(SeenClock { at: self.wall, is_trusted: true }))
        }
    }

    #[test]
    fn a_first_start_is_trusted_after_an_hour_of_agreement() {
        let mut clocks = Clocks::new();
        let mut guard = ClockGuard::new(clocks.now(), None);
        assert_eq!(clocks.watch(&mut guard, 59), Some(Doubt::Started));
        assert_eq!(clocks.watch(&mut guard, 1), None);
    }

    #[test]
    fn a_jump_suspends_deletion_until_the_clock_has_agreed_for_an_hour_again() {
        for days in [100, -100, 1, -1] {
            let mut clocks = Clocks::new();
            let mut guard = clocks.trusted();
            assert_eq!(clocks.watch(&mut guard, 10), None);
            clocks.set(DAY * days);
            assert_eq!(clocks.watch(&mut guard, 3), Some(Doubt::Jumped(DAY * days)));
            clocks.set(DAY * -days);
            assert_eq!(clocks.watch(&mut guard, 59), Some(Doubt::Jumped(DAY * -days)));
            assert_eq!(clocks.watch(&mut guard, 1), None);
        }
    }

    #[test]
    fn small_steps_within_an_hour_add_up() {
        let mut clocks = Clocks::new();
        let mut guard = clocks.trusted();
        for _ in 0..5 {
            clocks.set(SignedDuration::from_mins(1));
            assert_eq!(clocks.watch(&mut guard, 1), None);
        }
        clocks.set(SignedDuration::from_mins(1));
        assert!(matches!(clocks.watch(&mut guard, 1), Some(Doubt::Jumped(_))));
    }

    #[test]
    fn a_clock_that_is_adjusted_slowly_stays_trusted() {
        let mut clocks = Clocks::new();
        let mut guard = clocks.trusted();
        // 500 parts in a million, the most that NTP adjusts.
        for _ in 0..24 * 30 {
            clocks.set(SignedDuration::from_millis(1800));
            assert_eq!(clocks.watch(&mut guard, 60), None);
        }
    }

    #[test]
    fn a_restart_keeps_the_trust_and_a_long_pause_or_a_jump_in_between_ends_it() {
        let clocks = Clocks::new();
        let seen = |at: Timestamp, is_trusted: bool| Some(SeenClock { at, is_trusted });
        let doubt = |seen| ClockGuard::new(clocks.now(), seen).observe(clocks.now());
        let wall = clocks.wall;
        assert_eq!(doubt(seen(wall - SignedDuration::from_mins(4), true)), None);
        assert_eq!(doubt(seen(wall - SignedDuration::from_mins(4), false)), Some(Doubt::Started));
        for jump in [DAY * 100, DAY, SignedDuration::from_mins(6), DAY * -100] {
            assert_eq!(doubt(seen(wall - jump, true)), Some(Doubt::Jumped(jump)));
        }
    }

    #[test]
    fn the_tenant_confirms_a_clock_at_once_and_contradicts_it_for_as_long_as_they_differ() {
        let mut clocks = Clocks::new();
        let mut guard = ClockGuard::new(clocks.now(), None);
        assert_eq!(clocks.watch(&mut guard, 2), Some(Doubt::Started));
        clocks.tenant = Some((clocks.wall, clocks.now().steady));
        assert_eq!(clocks.watch(&mut guard, 2), None, "the machine was off for a while, and its clock is right");

        clocks.set(DAY * 100);
        for _ in 0..5 {
            // The tenant answers now and then.
            clocks.tenant = Some((clocks.wall - DAY * 100, clocks.now().steady));
            assert_eq!(clocks.watch(&mut guard, 50), Some(Doubt::Differs(DAY * 100)));
        }
        clocks.set(DAY * -100);
        assert_eq!(clocks.watch(&mut guard, 1), None, "they agree again");
    }

    #[test]
    fn an_old_answer_of_the_tenant_says_nothing() {
        let mut clocks = Clocks::new();
        let mut guard = clocks.trusted();
        clocks.tenant = Some((clocks.wall, clocks.now().steady));
        assert_eq!(clocks.watch(&mut guard, 70), None);
        clocks.set(DAY);
        assert_eq!(clocks.watch(&mut guard, 1), Some(Doubt::Jumped(DAY)));
    }
}
