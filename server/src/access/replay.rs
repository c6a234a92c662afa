//! Logins that were completed, so that none is completed twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Most completed logins remembered; each needed a real sign-in, so nobody fills this from outside.
const MOST: usize = 4_096;

/// States of completed logins, each kept until its tokens have ended anyway.
#[derive(Debug, Default)]
pub(super) struct UsedStates(Mutex<HashMap<String, Timestamp>>);

impl UsedStates {
    /// Uses a state up; false when it was used before.
    pub(super) fn consume(&self, state: &str, until: Timestamp, now: Timestamp) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, end| *end > now);
        if used.contains_key(state) {
            return false;
        }
        if used.len() >= MOST {
            let first = used.iter().min_by_key(|(_, end)| **end).map(|(state, _)| state.clone());
            if let Some(first) = first {
                used.remove(&first);
            }
        }
        used.insert(state.to_owned(), until);
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_state_is_good_once_until_its_end() {
        let states = UsedStates::default();
        let now = Timestamp::from_second(1_000).unwrap();
        let end = now + SignedDuration::from_secs(60);
        assert!(states.consume("a", end, now));
        assert!(!states.consume("a", end, now));
        assert!(states.consume("b", end, now));
        assert!(states.consume("a", end, end), "forgotten once its tokens have ended");
    }

    #[test]
    fn memory_is_bounded() {
        let states = UsedStates::default();
        let now = Timestamp::from_second(1_000).unwrap();
        for (number, seconds) in (0..MOST + 10).zip(60..) {
            assert!(states.consume(&number.to_string(), now + SignedDuration::from_secs(seconds), now));
        }
        assert_eq!(states.0.lock().unwrap().len(), MOST);
    }
}
