//! Tokens in download links, which work without an Authorization header. A token is for one job and one session,
//! and expires after 60 seconds or with the session, whichever is first. The API calls it a ticket.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::distr::{Alphanumeric, SampleString};

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::principal::Principal;

/// Same lifetime as Auth0's download links (docs/auth0/README.md#constants).
const LIFETIME: Duration = Duration::from_mins(1);

/// Length in letters and digits: 190 bits of entropy.
const LENGTH: usize = 32;

#[derive(Debug)]
struct DownloadToken {
    job: String,
    holder: TokenHolder,
    /// Monotonic, so that changing the system clock does not extend the lifetime.
    issued_at: Instant,
    session_expires_at: Timestamp,
}

/// The session to which a token was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenHolder {
    /// The id of the session.
    pub(super) session: String,
    /// The `sub` of its user.
    pub(super) subject: String,
}

impl DownloadToken {
    fn is_valid(&self, now: Now) -> bool {
        now.monotonic.saturating_duration_since(self.issued_at) < LIFETIME && self.session_expires_at > now.date
    }
}

/// The current time of the monotonic and the system clock.
#[derive(Clone, Copy, Debug)]
struct Now {
    monotonic: Instant,
    date: Timestamp,
}

impl Now {
    fn read() -> Self {
        Self { monotonic: Instant::now(), date: Timestamp::now() }
    }
}

/// The valid tokens. They are in memory only: a restart invalidates them.
#[derive(Debug, Default)]
pub(super) struct DownloadTokens(Mutex<HashMap<String, DownloadToken>>);

impl DownloadTokens {
    /// Creates a token for a job, bound to the session of `principal`.
    pub(super) fn issue(&self, job: &str, principal: &Principal) -> String {
        self.issue_at(job, principal, Now::read())
    }

    fn issue_at(&self, job: &str, principal: &Principal, now: Now) -> String {
        let text = Alphanumeric.sample_string(&mut rand::rng(), LENGTH);
        let token = DownloadToken {
            job: job.to_owned(),
            holder: TokenHolder { session: principal.session.clone(), subject: principal.subject.clone() },
            issued_at: now.monotonic,
            session_expires_at: principal.expires_at,
        };
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.is_valid(now));
        tokens.insert(text.clone(), token);
        text
    }

    /// Returns the session to which the token was issued. Fails with [`Code::InvalidTicket`] if it is expired or for
    /// another job. A token can be used repeatedly: browsers send the request again to resume a broken download.
    pub(super) fn check(&self, text: &str, job: &str) -> Result<TokenHolder> {
        self.check_at(text, job, Now::read())
    }

    fn check_at(&self, text: &str, job: &str, now: Now) -> Result<TokenHolder> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(text).filter(|token| token.job == job && token.is_valid(now));
        match token {
            Some(token) => {
                tracing::info!(job, session = token.holder.session, "download");
                Ok(token.holder.clone())
            }
            None => Err(Error::new(Code::InvalidTicket, message!("This download link is not valid or has expired."))),
        }
    }

    /// Invalidates every token.
    pub(super) fn revoke_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uie_core::permissions::Permissions;

    fn principal(expires_at: Timestamp) -> Principal {
        Principal {
            subject: "auth0|ada".into(),
            email: None,
            permissions: Permissions::all(),
            access_token: None,
            expires_at,
            session: "s1".into(),
        }
    }

    #[test]
    fn a_token_is_valid_for_its_own_job_only() {
        let tokens = DownloadTokens::default();
        let token = tokens.issue("job_1", &principal(Timestamp::MAX));
        assert_eq!(tokens.check(&token, "job_1").unwrap().subject, "auth0|ada");
        assert_eq!(tokens.check(&token, "job_2").unwrap_err().code, Code::InvalidTicket);
        assert_eq!(tokens.check("guess", "job_1").unwrap_err().code, Code::InvalidTicket);
        tokens.revoke_all();
        assert!(tokens.check(&token, "job_1").is_err());
    }

    #[test]
    fn a_token_expires_after_a_minute() {
        let tokens = DownloadTokens::default();
        let issued = Now::read();
        let after = |seconds| Now { monotonic: issued.monotonic + Duration::from_secs(seconds), ..issued };
        let token = tokens.issue_at("job_1", &principal(Timestamp::MAX), issued);
        for (seconds, valid) in [(0, true), (30, true), (59, true), (60, false), (61, false), (86_400, false)] {
            assert_eq!(tokens.check_at(&token, "job_1", after(seconds)).is_ok(), valid, "after {seconds} s");
        }
        tokens.issue_at("job_2", &principal(Timestamp::MAX), after(61));
        assert_eq!(tokens.0.lock().unwrap().len(), 1, "the expired token was removed");
    }

    #[test]
    fn a_token_expires_with_its_session() {
        let tokens = DownloadTokens::default();
        let issued = Now::read();
        let token = tokens.issue_at("job_1", &principal(issued.date + Duration::from_secs(10)), issued);
        let after = |seconds| {
            let time = Duration::from_secs(seconds);
            Now { monotonic: issued.monotonic + time, date: issued.date + time }
        };
        tokens.check_at(&token, "job_1", after(9)).unwrap();
        assert_eq!(tokens.check_at(&token, "job_1", after(10)).unwrap_err().code, Code::InvalidTicket);
    }

    #[test]
    fn setting_the_clock_back_does_not_extend_the_lifetime_of_a_token() {
        let tokens = DownloadTokens::default();
        let issued = Now::read();
        let token = tokens.issue_at("job_1", &principal(issued.date + Duration::from_hours(1)), issued);
        let back = |seconds| Now {
            monotonic: issued.monotonic + Duration::from_secs(seconds),
            date: issued.date - Duration::from_hours(365 * 24),
        };
        tokens.check_at(&token, "job_1", back(59)).unwrap();
        assert_eq!(tokens.check_at(&token, "job_1", back(61)).unwrap_err().code, Code::InvalidTicket);
        let long_ago = Now { date: Timestamp::MIN, ..back(61) };
        assert!(tokens.check_at(&token, "job_1", long_ago).is_err());
    }
}
