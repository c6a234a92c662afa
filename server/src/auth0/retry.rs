//! Retries of requests (docs/auth0/rate-limits.md#retries): the delay that Auth0 asks for, or else exponential backoff
//! with jitter, until the retry timeout.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;

use super::request::{Cause, Retryable};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::telemetry;

/// Maximum delay from `x-ratelimit-reset`, so that a clock that is wrong by hours does not stop a job for hours.
/// `Retry-After` has no such limit.
const MAX_RESET_DELAY: Duration = Duration::from_mins(1);

/// Maximum duration added to an `Instant`, so that no external value causes an overflow.
pub(super) const MAX_DURATION: Duration = Duration::from_hours(24 * 30);

/// The delays between attempts if Auth0 does not ask for a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay before the second attempt; doubled for each further one, with 10 % jitter.
    pub first: Duration,
    /// Maximum delay.
    pub longest: Duration,
}

impl Default for Backoff {
    /// One second, doubled up to one minute, as in the official clients.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(1) }
    }
}

impl Backoff {
    /// Returns the delay after a number of failed attempts, without jitter.
    fn delay_after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// Returns the delay that a response asks for: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or else, for a
/// rate limit, `x-ratelimit-reset` in seconds since 1970. Dates are compared with the response's own `Date`, because
/// clocks differ. `None` if there is no valid header.
pub(super) fn retry_after(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let now = headers.get(DATE).and_then(parse_http_date).unwrap_or(now);
    let until = |then: Timestamp| Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(value) = headers.get(RETRY_AFTER) {
        let delay = seconds(value).map(Duration::from_secs).or_else(|| parse_http_date(value).map(until));
        if delay.is_some() {
            return delay.map(|delay| delay.min(MAX_DURATION));
        }
    }
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let reset = headers.get("x-ratelimit-reset").and_then(seconds)?;
    let reset = Timestamp::from_second(i64::try_from(reset).ok()?).ok()?;
    Some(until(reset).min(MAX_RESET_DELAY))
}

/// Parses the time in a header such as `Date`.
pub(super) fn parse_http_date(value: &HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok().map(|date| date.timestamp())
}

/// The attempts of one request: counts failures, waits between attempts, reports the reason in a job's progress, and
/// fails at the deadline.
#[derive(Debug)]
pub(super) struct RetryState {
    backoff: Backoff,
    deadline: Instant,
    failures: u32,
    progress: Option<Arc<Progress>>,
    reported: bool,
}

impl RetryState {
    /// Starts the timeout.
    pub(super) fn new(backoff: Backoff, timeout: Duration, progress: Option<Arc<Progress>>) -> Self {
        Self { backoff, deadline: Instant::now() + timeout.min(MAX_DURATION), failures: 0, progress, reported: false }
    }

    /// Waits until the next attempt. Fails at once with the error of `retryable` if that would be after the deadline,
    /// and with `Code::Canceled` when the job is canceled.
    pub(super) async fn wait(&mut self, retryable: Retryable) -> Result<()> {
        self.failures += 1;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let backoff = self.backoff.delay_after(self.failures);
        // Never earlier than requested, and never at once, so that responses that ask for 0 seconds do not cause a busy
        // loop.
        let requested = retryable.wait.map(|requested| requested.max(self.backoff.first));
        let delay = match requested {
            Some(requested) => requested.mul_f64(rand::random_range(1.0..=1.1)),
            None => backoff.mul_f64(rand::random_range(0.9..=1.1)),
        };
        if delay > left || (retryable.cause == Cause::SlowQuery && self.failures > 2) {
            return Err(self.final_error(retryable));
        }
        if retryable.cause == Cause::RateLimit {
            telemetry::RATE_LIMIT_WAITS.add(1);
            telemetry::RATE_LIMIT_WAIT_MICROS.add_time(delay);
        }
        tracing::debug!(
            failures = self.failures,
            delay_ms = delay.as_millis() as u64,
            "waiting before the next attempt"
        );
        let Some(progress) = &self.progress else {
            tokio::time::sleep(delay).await;
            return Ok(());
        };
        progress.set_warning(describe_wait(&retryable.cause, requested.unwrap_or(backoff)));
        self.reported = true;
        progress
            .or_canceled(async {
                tokio::time::sleep(delay).await;
                Ok(())
            })
            .await
    }

    /// Returns the error of the last attempt, with the number of attempts or the requested delay.
    fn final_error(&self, retryable: Retryable) -> Error {
        let mut error = retryable.error;
        if self.failures > 1 && error.upstream.is_none() {
            error.message = format!("{} (tried {} times)", error.message, self.failures);
        }
        if let (Cause::RateLimit, Some(requested)) = (&retryable.cause, retryable.wait) {
            error = error.with_hint(format!("Auth0 asks to wait {} s; try again then.", whole_seconds(requested)));
        }
        error
    }
}

impl Drop for RetryState {
    /// Clears the reported reason, however the request ended.
    fn drop(&mut self) {
        if let (true, Some(progress)) = (self.reported, &self.progress) {
            progress.set_details(None);
        }
    }
}

/// Describes for a job's progress why it waits and how long.
fn describe_wait(cause: &Cause, delay: Duration) -> String {
    let seconds = whole_seconds(delay);
    match cause {
        Cause::RateLimit => format!("Auth0 asks to wait {seconds} s (rate limit)"),
        Cause::Answer(status) => format!("Auth0 answers {status}; trying again in {seconds} s"),
        Cause::SlowQuery => format!("The search took Auth0 too long; trying again in {seconds} s"),
        Cause::NoResponse(reason) => format!("Auth0 does not answer; trying again in {seconds} s: {reason}"),
    }
}

/// Returns the seconds of a duration, rounded up.
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

    fn requested_delay(status: u16, headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (reqwest::header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
            })
            .collect();
        retry_after(StatusCode::from_u16(status).expect("a status"), &headers, now())
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        assert_eq!(requested_delay(429, &[("retry-after", "12")]), Some(Duration::from_secs(12)));
        assert_eq!(
            requested_delay(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(requested_delay(429, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_wins_over_the_reset_header() {
        let reset = (now().as_second() + 40).to_string();
        let headers = [("retry-after", "5"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(requested_delay(429, &headers), Some(Duration::from_secs(5)));
    }

    #[test]
    fn the_reset_header_applies_to_rate_limits_only_and_is_capped() {
        let reset = |seconds: i64| (now().as_second() + seconds).to_string();
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", &reset(40))]), Some(Duration::from_secs(40)));
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", &reset(-40))]), Some(Duration::ZERO));
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", &reset(86_400))]), Some(MAX_RESET_DELAY));
        assert_eq!(requested_delay(503, &[("x-ratelimit-reset", &reset(40))]), None);
    }

    #[test]
    fn dates_are_compared_with_the_date_of_the_response() {
        let reset = (now().as_second() + 300 + 7).to_string();
        let headers = [("date", "Sun, 06 Nov 1994 08:54:37 GMT"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(requested_delay(429, &headers), Some(Duration::from_secs(7)));
    }

    #[test]
    fn invalid_headers_are_ignored() {
        for value in ["", "soon", "-1", "1e9", "99999999999999999999"] {
            assert_eq!(requested_delay(429, &[("retry-after", value)]), None, "{value}");
            assert_eq!(requested_delay(429, &[("x-ratelimit-reset", value)]), None, "{value}");
        }
        assert_eq!(requested_delay(429, &[("retry-after", "18446744073709551615")]), Some(MAX_DURATION));
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", "18446744073709551615")]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_header_causes_a_delay_of_more_than_30_days(status in 400_u16..600, after in "[ -~]{0,40}|[0-9]{1,20}", reset in "[ -~]{0,20}|[0-9]{1,20}") {
            let delay = requested_delay(status, &[("retry-after", &after), ("x-ratelimit-reset", &reset)]);
            proptest::prop_assert!(delay.unwrap_or_default() <= MAX_DURATION);
        }
    }

    #[test]
    fn backoff_doubles_up_to_the_maximum_delay() {
        let seconds: Vec<u64> =
            (1..=8).chain([33, u32::MAX]).map(|failures| Backoff::default().delay_after(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }
}
