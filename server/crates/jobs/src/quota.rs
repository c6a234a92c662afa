//! Limits how much one user may run at the same time, so that one user, or a stolen session, cannot use up
//! the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

/// Jobs of one user that are queued, waiting or running.
pub const JOBS: Limit = Limit { max: 10, counted: Counted::Jobs };

/// Uploads of one user, files and transforms, that are being received or checked.
pub const UPLOADS: Limit = Limit { max: 4, counted: Counted::Uploads };

/// Previews and file inspections of one user that are being computed.
pub const PREVIEWS: Limit = Limit { max: 4, counted: Counted::Previews };

/// Reports, back-ups and exported files that one user is downloading.
pub const READS: Limit = Limit { max: 6, counted: Counted::Reads };

/// A limit per user, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    max: usize,
    counted: Counted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Jobs,
    Uploads,
    Previews,
    Reads,
}

impl Limit {
    /// Returns how many one user may have at the same time.
    pub fn max(self) -> usize {
        self.max
    }

    /// Returns the message for a user who has this many and wants one more.
    fn exceeded_message(self, count: usize) -> Message {
        let max = self.max;
        match self.counted {
            Counted::Jobs => {
                message!("You have {count} unfinished jobs; at most {max} are allowed at the same time.")
            }
            Counted::Uploads => {
                message!("You have {count} uploads in progress; at most {max} are allowed at the same time.")
            }
            Counted::Previews => {
                message!("You have {count} previews in progress; at most {max} are allowed at the same time.")
            }
            Counted::Reads => message!(
                "You have {count} downloads and reports in progress; at most {max} are allowed at the same time."
            ),
        }
    }
}

type Counts = HashMap<(Limit, String), usize>;

/// Counts what each user runs now. Cheap to clone; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct ConcurrencyQuota(Arc<Mutex<Counts>>);

impl ConcurrencyQuota {
    /// Counts one more for this user until the guard is dropped. Fails with [`Code::TooManyRequests`] at the limit.
    pub(super) fn acquire(&self, limit: Limit, user: &str) -> Result<QuotaGuard> {
        let mut counts = self.lock();
        let count = counts.entry((limit, user.to_owned())).or_default();
        if *count >= limit.max {
            return Err(Error::new(Code::TooManyRequests, limit.exceeded_message(*count)));
        }
        *count += 1;
        Ok(self.guard(limit, user))
    }

    /// As [`acquire`](Self::acquire) without the limit, for jobs that were admitted before a restart.
    pub(super) fn acquire_unchecked(&self, limit: Limit, user: &str) -> QuotaGuard {
        *self.lock().entry((limit, user.to_owned())).or_default() += 1;
        self.guard(limit, user)
    }

    fn guard(&self, limit: Limit, user: &str) -> QuotaGuard {
        QuotaGuard { quota: self.clone(), key: (limit, user.to_owned()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts against a quota of a user until dropped. The default value counts against nothing.
#[derive(Debug)]
pub struct QuotaGuard {
    quota: ConcurrencyQuota,
    key: (Limit, String),
}

impl Default for QuotaGuard {
    fn default() -> Self {
        Self { quota: ConcurrencyQuota::default(), key: (READS, String::new()) }
    }
}

impl Drop for QuotaGuard {
    fn drop(&mut self) {
        let mut counts = self.quota.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_and_limit_is_counted_separately_and_dropped_guards_are_not_counted() {
        let quota = ConcurrencyQuota::default();
        let mut guards: Vec<QuotaGuard> = (0..4).map(|_| quota.acquire(UPLOADS, "ada").unwrap()).collect();
        let error = quota.acquire(UPLOADS, "ada").unwrap_err();
        assert_eq!(error.code, Code::TooManyRequests);
        assert!(error.message.contains("4 uploads"), "{}", error.message);
        let _others = (quota.acquire(UPLOADS, "bob").unwrap(), quota.acquire(JOBS, "ada").unwrap());
        guards.pop();
        guards.push(quota.acquire(UPLOADS, "ada").unwrap());
        guards.push(quota.acquire_unchecked(UPLOADS, "ada"));
        guards.pop();
        assert!(quota.acquire(UPLOADS, "ada").is_err());
        guards.clear();
        quota.acquire(UPLOADS, "ada").unwrap();
    }
}
