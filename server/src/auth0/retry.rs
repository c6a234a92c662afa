//! When to try again, and how long to wait before (docs/auth0/rate-limits.md#retries): what Auth0 asks for first, else
//! exponential back-off with jitter, until patience ends.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;

use super::request::{Cause, Trouble};
use crate::error::{Error, Result};
use crate::measure;
use crate::progress::Progress;

/// Longest wait that `x-ratelimit-reset` can ask for; a clock that is wrong by hours must not stop a
/// job for hours. `Retry-After` is obeyed as it is.
const LONGEST_RESET: Duration = Duration::from_mins(1);

/// Longest time any of the clocks here is asked to add, so that no value from outside overflows them.
pub(super) const FAR: Duration = Duration::from_hours(24 * 30);

/// The delays between tries when Auth0 does not say how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try; doubled for every further one, give or take 10 %.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
}

impl Default for Backoff {
    /// One second, doubled up to one minute: what the official clients do.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(1) }
    }
}

impl Backoff {
    /// The delay after a number of failed tries, without jitter.
    fn after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// How long an answer asks to wait: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), else, for
/// a rate limit, `x-ratelimit-reset` in seconds since 1970. Both are compared with the answer's own
/// `Date`, since clocks differ.
pub(super) fn asked(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let now = headers.get(DATE).and_then(date).unwrap_or(now);
    let until = |then: Timestamp| Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(value) = headers.get(RETRY_AFTER) {
        let delay = seconds(value).map(Duration::from_secs).or_else(|| date(value).map(until));
        if delay.is_some() {
            return delay.map(|delay| delay.min(FAR));
        }
    }
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let reset = headers.get("x-ratelimit-reset").and_then(seconds)?;
    let reset = Timestamp::from_second(i64::try_from(reset).ok()?).ok()?;
    Some(until(reset).min(LONGEST_RESET))
}

/// The time in a header such as `Date`.
pub(super) fn date(value: &HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok().map(|date| date.timestamp())
}

/// The tries of one request: counts them, waits between them, tells a job's progress what for, and
/// gives up when patience ends.
#[derive(Debug)]
pub(super) struct Effort {
    backoff: Backoff,
    deadline: Instant,
    failures: u32,
    progress: Option<Arc<Progress>>,
    announced: bool,
}

impl Effort {
    /// Starts the clock.
    pub(super) fn begin(backoff: Backoff, patience: Duration, progress: Option<Arc<Progress>>) -> Self {
        Self { backoff, deadline: Instant::now() + patience.min(FAR), failures: 0, progress, announced: false }
    }

    /// Waits until the next try is due. Fails with the trouble's error when that would be too late, and
    /// at once when the job is canceled.
    pub(super) async fn wait(&mut self, trouble: Trouble) -> Result<()> {
        self.failures += 1;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let usual = self.backoff.after(self.failures);
        // Never earlier than asked, and never at once: an answer that asks for 0 seconds again and
        // again must not become a busy loop.
        let asked = trouble.wait.map(|asked| asked.max(self.backoff.first));
        let delay = match asked {
            Some(asked) => asked.mul_f64(rand::random_range(1.0..=1.1)),
            None => usual.mul_f64(rand::random_range(0.9..=1.1)),
        };
        if delay > left || (trouble.cause == Cause::SlowQuery && self.failures > 2) {
            return Err(self.give_up(trouble));
        }
        if trouble.cause == Cause::RateLimit {
            measure::RATE_LIMIT_WAITS.add(1);
            measure::RATE_LIMIT_WAITED.add_time(delay);
        }
        tracing::debug!(failures = self.failures, delay_ms = delay.as_millis() as u64, "waiting before the next try");
        let Some(progress) = &self.progress else {
            tokio::time::sleep(delay).await;
            return Ok(());
        };
        progress.set_trouble(words(&trouble.cause, asked.unwrap_or(usual)));
        self.announced = true;
        progress
            .or_canceled(async {
                tokio::time::sleep(delay).await;
                Ok(())
            })
            .await
    }

    fn give_up(&self, trouble: Trouble) -> Error {
        let mut error = trouble.error;
        if self.failures > 1 && error.upstream.is_none() {
            error.message = format!("{} (tried {} times)", error.message, self.failures);
        }
        if let (Cause::RateLimit, Some(asked)) = (&trouble.cause, trouble.wait) {
            error = error.with_hint(format!("Auth0 asks to wait {} s; try again then.", whole_seconds(asked)));
        }
        error
    }
}

impl Drop for Effort {
    /// However the request ended, nothing is waited for any more.
    fn drop(&mut self) {
        if let (true, Some(progress)) = (self.announced, &self.progress) {
            progress.set_details(None);
        }
    }
}

/// What a job waits for, in plain words.
fn words(cause: &Cause, delay: Duration) -> String {
    let seconds = whole_seconds(delay);
    match cause {
        Cause::RateLimit => format!("Auth0 asks to wait {seconds} s (rate limit)"),
        Cause::Answer(status) => format!("Auth0 answers {status}; trying again in {seconds} s"),
        Cause::SlowQuery => format!("The search took Auth0 too long; trying again in {seconds} s"),
        Cause::Silence(reason) => format!("Auth0 does not answer; trying again in {seconds} s: {reason}"),
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn now() -> Timestamp {
        jiff::fmt::rfc2822::parse(NOW).expect("a date").timestamp()
    }

    fn asks(status: u16, headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (reqwest::header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
            })
            .collect();
        asked(StatusCode::from_u16(status).expect("a status"), &headers, now())
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        assert_eq!(asks(429, &[("retry-after", "12")]), Some(Duration::from_secs(12)));
        assert_eq!(asks(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(asks(429, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_wins_over_the_reset_header() {
        let reset = (now().as_second() + 40).to_string();
        let headers = [("retry-after", "5"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(asks(429, &headers), Some(Duration::from_secs(5)));
    }

    #[test]
    fn the_reset_header_counts_for_rate_limits_only_and_never_for_hours() {
        let reset = |seconds: i64| (now().as_second() + seconds).to_string();
        assert_eq!(asks(429, &[("x-ratelimit-reset", &reset(40))]), Some(Duration::from_secs(40)));
        assert_eq!(asks(429, &[("x-ratelimit-reset", &reset(-40))]), Some(Duration::ZERO));
        assert_eq!(asks(429, &[("x-ratelimit-reset", &reset(86_400))]), Some(LONGEST_RESET));
        assert_eq!(asks(503, &[("x-ratelimit-reset", &reset(40))]), None);
    }

    #[test]
    fn dates_are_compared_with_the_clock_of_the_answer() {
        let reset = (now().as_second() + 300 + 7).to_string();
        let headers = [("date", "Sun, 06 Nov 1994 08:54:37 GMT"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(asks(429, &headers), Some(Duration::from_secs(7)));
    }

    #[test]
    fn headers_that_make_no_sense_are_as_good_as_none() {
        for value in ["", "soon", "-1", "1e9", "99999999999999999999"] {
            assert_eq!(asks(429, &[("retry-after", value)]), None, "{value}");
            assert_eq!(asks(429, &[("x-ratelimit-reset", value)]), None, "{value}");
        }
        assert_eq!(asks(429, &[("retry-after", "18446744073709551615")]), Some(FAR));
        assert_eq!(asks(429, &[("x-ratelimit-reset", "18446744073709551615")]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_header_asks_for_more_than_a_month(status in 400_u16..600, after in "[ -~]{0,40}|[0-9]{1,20}", reset in "[ -~]{0,20}|[0-9]{1,20}") {
            let delay = asks(status, &[("retry-after", &after), ("x-ratelimit-reset", &reset)]);
            proptest::prop_assert!(delay.unwrap_or_default() <= FAR);
        }
    }

    #[test]
    fn back_off_doubles_up_to_its_longest_delay() {
        let seconds: Vec<u64> =
            (1..=8).chain([33, u32::MAX]).map(|failures| Backoff::default().after(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }
}
