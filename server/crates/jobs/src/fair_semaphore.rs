//! Limits interactive computations (previews, file inspections) fairly between users.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use uie_core::error::{Error, Result};

/// A semaphore with a limit per user and a global limit.
///
/// Each user may hold `per_user` permits; all users together may hold `per_user + 1`. A user who needs more waits
/// behind their own requests only, so transforms of one user that never end do not delay the other users.
#[derive(Debug)]
pub(super) struct FairSemaphore {
    global: Arc<Semaphore>,
    per_user: usize,
    /// Semaphores of users who hold a permit or wait for one, by `sub`.
    by_user: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Holds one permit until dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _global: OwnedSemaphorePermit,
    _user: OwnedSemaphorePermit,
}

impl FairSemaphore {
    /// Creates a semaphore with `per_user` permits for each user and one more in total.
    pub(super) fn new(per_user: NonZeroUsize) -> Self {
        let per_user = per_user.get();
        Self { global: Arc::new(Semaphore::new(per_user + 1)), per_user, by_user: Mutex::default() }
    }

    /// Waits for a permit for this user. Dropping the future gives up the place in the queue.
    pub(super) async fn acquire(&self, user: &str) -> Result<Permit> {
        // First the user's permit, so that one user cannot fill the global queue.
        let user_permit = acquire_owned(self.user_semaphore(user)).await?;
        Ok(Permit { _global: acquire_owned(Arc::clone(&self.global)).await?, _user: user_permit })
    }

    fn user_semaphore(&self, user: &str) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = by_user.get(user).and_then(Weak::upgrade) {
            return semaphore;
        }
        // Permits and waiters hold a strong reference; the other entries are unused.
        by_user.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.per_user));
        by_user.insert(user.to_owned(), Arc::downgrade(&semaphore));
        semaphore
    }
}

async fn acquire_owned(semaphore: Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    semaphore.acquire_owned().await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn semaphore(per_user: usize) -> FairSemaphore {
        FairSemaphore::new(NonZeroUsize::new(per_user).unwrap())
    }

    /// Returns a permit, or `None` if `user` would have to wait.
    fn try_acquire(semaphore: &FairSemaphore, user: &str) -> Option<Permit> {
        semaphore.acquire(user).now_or_never().map(Result::unwrap)
    }

    #[test]
    fn one_user_cannot_take_all_permits() {
        for per_user in 1..6 {
            let semaphore = semaphore(per_user);
            let permits_of_ada: Vec<Permit> = std::iter::from_fn(|| try_acquire(&semaphore, "ada")).collect();
            assert_eq!(permits_of_ada.len(), per_user);
            assert!(try_acquire(&semaphore, "bob").is_some(), "{per_user}");
        }
    }

    #[test]
    fn users_at_their_own_limit_do_not_queue_before_others() {
        let semaphore = semaphore(1);
        let permit_of_ada = try_acquire(&semaphore, "ada").unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(semaphore.acquire("ada"))).collect();
        assert!(waiting.iter_mut().all(|acquire| acquire.now_or_never().is_none()));
        for _ in 0..3 {
            assert!(try_acquire(&semaphore, "bob").is_some());
        }
        let permit_of_bob = try_acquire(&semaphore, "bob").unwrap();
        let mut carol = Box::pin(semaphore.acquire("carol"));
        assert!((&mut carol).now_or_never().is_none(), "two permits are taken");
        drop(permit_of_ada);
        let second = (&mut waiting[0]).now_or_never();
        assert!(second.is_none(), "carol has waited longer in the global queue");
        let permit_of_carol = carol.now_or_never().unwrap().unwrap();
        drop(permit_of_bob);
        assert!((&mut waiting[0]).now_or_never().is_some());
        drop(permit_of_carol);
    }

    #[test]
    fn dropping_a_waiter_frees_its_entry() {
        let semaphore = semaphore(1);
        let permit_of_ada = try_acquire(&semaphore, "ada").unwrap();
        let mut waiting = Box::pin(semaphore.acquire("ada"));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        drop(permit_of_ada);
        assert!(try_acquire(&semaphore, "ada").is_some());
        assert!(try_acquire(&semaphore, "bob").is_some());
        assert_eq!(semaphore.by_user.lock().unwrap().len(), 1, "the entry of ada was removed");
    }
}
