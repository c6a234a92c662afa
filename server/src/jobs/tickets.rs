//! Download links that work without a header: a ticket for one job, issued to one session, good for
//! 60 seconds and never longer than the session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::distr::{Alphanumeric, SampleString};

use crate::access::Session;
use crate::error::{Code, Error, Result};

/// As long as Auth0's own links live (docs/auth0/README.md#constants).
const LIFETIME: Duration = Duration::from_mins(1);

/// Letters and digits of a ticket: 190 bits, beyond guessing.
const LENGTH: usize = 32;

#[derive(Debug)]
struct Ticket {
    job: String,
    holder: TicketHolder,
    /// By a clock that nobody sets.
    issued: Instant,
    /// When the session ends.
    ends_at: Timestamp,
}

/// Whom a ticket was issued to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TicketHolder {
    /// The id of the session.
    pub(super) session: String,
    /// The `sub` of its person.
    pub(super) person: String,
}

impl Ticket {
    fn is_good(&self, now: Now) -> bool {
        now.steady.saturating_duration_since(self.issued) < LIFETIME && self.ends_at > now.date
    }
}

/// The present by both clocks.
#[derive(Clone, Copy, Debug)]
struct Now {
    steady: Instant,
    date: Timestamp,
}

impl Now {
    fn read() -> Self {
        Self { steady: Instant::now(), date: Timestamp::now() }
    }
}

/// The tickets that are good now. They live in memory: a restart ends them all.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<HashMap<String, Ticket>>);

impl Tickets {
    /// A new ticket for a job.
    pub(super) fn issue(&self, job: &str, session: &Session) -> String {
        self.issue_at(job, session, Now::read())
    }

    fn issue_at(&self, job: &str, session: &Session, now: Now) -> String {
        let text = Alphanumeric.sample_string(&mut rand::rng(), LENGTH);
        let ticket = Ticket {
            job: job.to_owned(),
            holder: TicketHolder { session: session.id.clone(), person: session.subject.clone() },
            issued: now.steady,
            ends_at: session.expires_at,
        };
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, ticket| ticket.is_good(now));
        tickets.insert(text.clone(), ticket);
        text
    }

    /// Returns whom a ticket for this job was issued to. A ticket may be used again while it
    /// lives: browsers repeat a request to go on with a download that broke.
    pub(super) fn check(&self, text: &str, job: &str) -> Result<TicketHolder> {
        self.check_at(text, job, Now::read())
    }

    fn check_at(&self, text: &str, job: &str, now: Now) -> Result<TicketHolder> {
        let tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = tickets.get(text).filter(|ticket| ticket.job == job && ticket.is_good(now));
        match ticket {
            Some(ticket) => {
                tracing::info!(job, session = ticket.holder.session, "download");
                Ok(ticket.holder.clone())
            }
            None => Err(Error::new(Code::InvalidTicket, "This download link is not valid, or no longer.")),
        }
    }

    /// Ends every ticket.
    pub(super) fn revoke_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Permissions;

    fn session(expires_at: Timestamp) -> Session {
        Session {
            subject: "auth0|ada".into(),
            email: None,
            expires_at,
            id: "s1".into(),
            access_token: None,
            permissions: Permissions::all(),
        }
    }

    #[test]
    fn a_ticket_opens_its_own_job_only() {
        let tickets = Tickets::default();
        let ticket = tickets.issue("job_1", &session(Timestamp::MAX));
        assert_eq!(tickets.check(&ticket, "job_1").unwrap().person, "auth0|ada");
        assert_eq!(tickets.check(&ticket, "job_2").unwrap_err().code, Code::InvalidTicket);
        assert_eq!(tickets.check("guess", "job_1").unwrap_err().code, Code::InvalidTicket);
        tickets.revoke_all();
        assert!(tickets.check(&ticket, "job_1").is_err());
    }

    #[test]
    fn a_ticket_is_good_for_a_minute() {
        let tickets = Tickets::default();
        let issued = Now::read();
        let after = |seconds| Now { steady: issued.steady + Duration::from_secs(seconds), ..issued };
        let ticket = tickets.issue_at("job_1", &session(Timestamp::MAX), issued);
        for (seconds, good) in [(0, true), (30, true), (59, true), (60, false), (61, false), (86_400, false)] {
            assert_eq!(tickets.check_at(&ticket, "job_1", after(seconds)).is_ok(), good, "after {seconds} s");
        }
        tickets.issue_at("job_2", &session(Timestamp::MAX), after(61));
        assert_eq!(tickets.0.lock().unwrap().len(), 1, "the ended one is forgotten");
    }

    #[test]
    fn a_ticket_dies_with_its_session() {
        let tickets = Tickets::default();
        let issued = Now::read();
        let ticket = tickets.issue_at("job_1", &session(issued.date + Duration::from_secs(10)), issued);
        let after = |seconds| {
            let time = Duration::from_secs(seconds);
            Now { steady: issued.steady + time, date: issued.date + time }
        };
        tickets.check_at(&ticket, "job_1", after(9)).unwrap();
        assert_eq!(tickets.check_at(&ticket, "job_1", after(10)).unwrap_err().code, Code::InvalidTicket);
    }

    #[test]
    fn a_clock_that_is_put_back_keeps_no_ticket_alive() {
        let tickets = Tickets::default();
        let issued = Now::read();
        let ticket = tickets.issue_at("job_1", &session(issued.date + Duration::from_hours(1)), issued);
        let back = |seconds| Now {
            steady: issued.steady + Duration::from_secs(seconds),
            date: issued.date - Duration::from_hours(365 * 24),
        };
        tickets.check_at(&ticket, "job_1", back(59)).unwrap();
        assert_eq!(tickets.check_at(&ticket, "job_1", back(61)).unwrap_err().code, Code::InvalidTicket);
        let long_ago = Now { date: Timestamp::MIN, ..back(61) };
        assert!(tickets.check_at(&ticket, "job_1", long_ago).is_err());
    }
}
