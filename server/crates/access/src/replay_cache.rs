//! Remembers completed logins, so that a login cannot be completed twice.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Maximum number of remembered logins: more than in a day, while their tokens are valid for hours.
const CAPACITY: usize = 4_096;

/// The most recently completed logins, by a key that is unique to each login. Entries are evicted by their order and
/// not by time, so that a clock that is set forward and back does not permit a replay.
#[derive(Debug, Default)]
pub(super) struct ReplayCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    keys: HashSet<String>,
    order: VecDeque<String>,
}

impl ReplayCache {
    /// Records a login. Returns false if it was recorded before.
    pub(super) fn insert_once(&self, login: &str) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.keys.insert(login.to_owned()) {
            return false;
        }
        entries.order.push_back(login.to_owned());
        if entries.order.len() > CAPACITY
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.keys.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_accepted_once() {
        let cache = ReplayCache::default();
        assert!(cache.insert_once("a"));
        assert!(!cache.insert_once("a"));
        assert!(cache.insert_once("b"));
        assert!(!cache.insert_once("a"));
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_the_newest_logins() {
        let cache = ReplayCache::default();
        for number in 0..CAPACITY + 10 {
            assert!(cache.insert_once(&number.to_string()));
        }
        for number in 10..CAPACITY + 10 {
            assert!(!cache.insert_once(&number.to_string()), "{number}");
        }
        let entries = cache.0.lock().unwrap();
        assert_eq!((entries.keys.len(), entries.order.len()), (CAPACITY, CAPACITY));
    }
}
