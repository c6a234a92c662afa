//! Retries of requests (docs/auth0/rate-limits.md#retries): the delay that Auth0 asks for, or else exponential backoff
//! with jitter, until the retry timeout.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Cause, Retryable};
use super::requested_delay::MAX_DURATION;
use uie_core::error::{Error, Result};
use uie_core::message::{Message, message};
use uie_core::progress::Progress;
use uie_core::telemetry;

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
            error.message = message!("{message} (tried {count} times)", message = error.message, count = self.failures);
        }
        if let (Cause::RateLimit, Some(requested)) = (&retryable.cause, retryable.wait) {
            let seconds = whole_seconds(requested);
            error = error.with_hint(message!("Auth0 asks to wait {seconds} s; try again then."));
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
fn describe_wait(cause: &Cause, delay: Duration) -> Message {
    let seconds = whole_seconds(delay);
    match cause {
        Cause::RateLimit => message!("Auth0 asks to wait {seconds} s (rate limit)"),
        Cause::Answer(status) => message!("Auth0 answers {status}; trying again in {seconds} s"),
        Cause::SlowQuery => message!("The search took Auth0 too long; trying again in {seconds} s"),
        Cause::NoResponse(reason) => message!("Auth0 does not answer; trying again in {seconds} s: {reason}"),
    }
}

/// Returns the seconds of a duration, rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_the_maximum_delay() {
        let seconds: Vec<u64> =
            (1..=8).chain([33, u32::MAX]).map(|failures| Backoff::default().delay_after(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }
}
