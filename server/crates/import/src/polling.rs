//! How jobs in Auth0 are polled: intervals, limits, and the error for a deleted job.

use std::time::Duration;

use uie_core::error::Error;

/// Intervals and limits for polling and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollPolicy {
    /// Interval between the first two polls of a running job, unless earlier jobs predict its duration. Each further
    /// interval is 1.5 times as long.
    pub first_poll: Duration,
    /// Maximum interval between two polls of a running job.
    pub longest_poll: Duration,
    /// Interval between two attempts to send while the tenant runs its maximum number of import jobs.
    pub busy: Duration,
    /// Delay before a chunk is sent again whose response was lost; doubled for each further attempt.
    pub resend: Duration,
    /// Maximum number of attempts per chunk if responses are lost or jobs disappear.
    pub attempts: u32,
    /// Maximum duration of a job in Auth0. Auth0 itself ends an import after two hours.
    pub longest_job: Duration,
    /// How long a canceled import waits for jobs that are already running, to count their rows.
    pub cancel_grace: Duration,
}

impl Default for PollPolicy {
    fn default() -> Self {
        Self {
            first_poll: Duration::from_secs(1),
            longest_poll: Duration::from_secs(5),
            busy: Duration::from_secs(5),
            resend: Duration::from_secs(2),
            attempts: 5,
            longest_job: Duration::from_hours(3),
            cancel_grace: Duration::from_secs(15),
        }
    }
}

/// Returns whether Auth0 has deleted the requested job or its result.
pub(super) fn is_gone(error: &Error) -> bool {
    error.upstream.as_ref().is_some_and(|upstream| upstream.status_code == 404)
}
