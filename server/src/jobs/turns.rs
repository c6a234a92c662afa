//! Turns of what computes while somebody waits for the answer.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Code, Error, Result};

/// Only so much computes at once. A person has all turns but one: what they ask for beyond that waits in a line
/// of their own, so that guests that never end keep nobody waiting but those who sent them.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// What one person may have of them.
    each: usize,
    lines: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _common: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Turns {
    /// So many turns for each person, and one more for all together.
    pub(super) fn new(each: NonZeroUsize) -> Self {
        let each = each.get();
        Self { all: Arc::new(Semaphore::new(each + 1)), each, lines: Mutex::default() }
    }

    /// Waits for a person's turn.
    pub(super) async fn take(&self, person: &str) -> Result<Turn> {
        let own = taken(self.line(person)).await?;
        // Only with a turn of one's own into the common line: nobody fills that alone.
        Ok(Turn { _common: taken(Arc::clone(&self.all)).await?, _own: own })
    }

    fn line(&self, person: &str) -> Arc<Semaphore> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(person).and_then(Weak::upgrade) {
            return line;
        }
        // Turns and those who wait for one keep their line.
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Semaphore::new(self.each));
        lines.insert(person.to_owned(), Arc::downgrade(&line));
        line
    }
}

async fn taken(turns: Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    turns.acquire_owned().await.map_err(|error| Error::new(Code::Internal, error.to_string()))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn turns(each: usize) -> Turns {
        Turns::new(NonZeroUsize::new(each).unwrap())
    }

    /// A turn, where it is to be had without waiting.
    fn now(turns: &Turns, person: &str) -> Option<Turn> {
        turns.take(person).now_or_never().map(Result::unwrap)
    }

    #[test]
    fn nobody_has_all_turns() {
        for each in 1..6 {
            let turns = turns(each);
            let adas: Vec<Turn> = std::iter::from_fn(|| now(&turns, "ada")).collect();
            assert_eq!(adas.len(), each);
            assert!(now(&turns, "bob").is_some(), "{each}");
        }
    }

    #[test]
    fn those_who_wait_for_their_own_turns_are_not_before_others() {
        let turns = turns(1);
        let first = now(&turns, "ada").unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.take("ada"))).collect();
        assert!(waiting.iter_mut().all(|take| take.now_or_never().is_none()));
        for _ in 0..3 {
            assert!(now(&turns, "bob").is_some());
        }
        let bobs = now(&turns, "bob").unwrap();
        let mut carol = Box::pin(turns.take("carol"));
        assert!((&mut carol).now_or_never().is_none(), "two turns are taken");
        drop(first);
        let second = (&mut waiting[0]).now_or_never();
        assert!(second.is_none(), "carol has stood in the common line for longer");
        let carols = carol.now_or_never().unwrap().unwrap();
        drop(bobs);
        assert!((&mut waiting[0]).now_or_never().is_some());
        drop(carols);
    }

    #[test]
    fn whoever_stops_waiting_leaves_nothing_behind() {
        let turns = turns(1);
        let first = now(&turns, "ada").unwrap();
        let mut waiting = Box::pin(turns.take("ada"));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        drop(first);
        assert!(now(&turns, "ada").is_some());
        assert!(now(&turns, "bob").is_some());
        assert_eq!(turns.lines.lock().unwrap().len(), 1, "ada's line is gone");
    }
}
