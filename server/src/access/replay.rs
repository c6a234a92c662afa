//! Logins that were completed, so that none is completed twice.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Most completed logins remembered: more than a day of them, while their tokens live for hours.
const MOST: usize = 4_096;

/// The newest completed logins, each by something that only it has. Only their order counts: a clock that is
/// wrong for a while, and then right again, lets nothing in twice.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<Newest>);

#[derive(Debug, Default)]
struct Newest {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Used {
    /// Uses a login up; false when it was used before.
    pub(super) fn consume(&self, login: &str) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.known.insert(login.to_owned()) {
            return false;
        }
        used.order.push_back(login.to_owned());
        if used.order.len() > MOST
            && let Some(oldest) = used.order.pop_front()
        {
            used.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_good_once() {
        let used = Used::default();
        assert!(used.consume("a"));
        assert!(!used.consume("a"));
        assert!(used.consume("b"));
        assert!(!used.consume("a"));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_are_remembered() {
        let used = Used::default();
        for number in 0..MOST + 10 {
            assert!(used.consume(&number.to_string()));
        }
        for number in 10..MOST + 10 {
            assert!(!used.consume(&number.to_string()), "{number}");
        }
        let newest = used.0.lock().unwrap();
        assert_eq!((newest.known.len(), newest.order.len()), (MOST, MOST));
    }
}
