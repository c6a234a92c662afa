//! Reads the body of a request as far as its limit, its session and the memory budget allow.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

/// Maximum number of bytes of all bodies of requests without a session that are held at the same time.
const UNAUTHENTICATED_BYTES: usize = 16 << 20;

/// Memory budget for the bodies of requests without a session, shared by all connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<AtomicUsize>);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(UNAUTHENTICATED_BYTES)))
    }
}

impl BodyBudget {
    /// Takes `bytes` from the budget. Returns `false` if fewer are left.
    fn reserve(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(bytes)).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why a body was ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is larger than the route allows.
    TooLarge,
    /// It arrives too slowly.
    TooSlow,
    /// Too many bodies of requests without a session arrive at once.
    Busy,
}

/// Controls the body of one request; kept in the extensions of the request.
#[derive(Debug)]
pub(super) struct BodyGate {
    /// Maximum number of bytes that are passed on.
    limit: u64,
    /// Whether the route needs a session. Then nothing is read before [`BodyGate::admit`].
    needs_session: bool,
    admitted: Cell<bool>,
    /// Wakes the reader of the body once it is admitted.
    waker: RefCell<Option<Waker>>,
    failure: Cell<Option<Failure>>,
    budget: BodyBudget,
    /// Bytes taken from the budget.
    reserved: Cell<usize>,
}

impl BodyGate {
    /// Creates the control of a body of at most `limit` bytes.
    pub(super) fn new(limit: u64, needs_session: bool, budget: BodyBudget) -> Self {
        Self {
            limit,
            needs_session,
            admitted: Cell::new(false),
            waker: RefCell::new(None),
            failure: Cell::new(None),
            budget,
            reserved: Cell::new(0),
        }
    }

    /// Allows reading the body, after the session of the request was validated.
    pub(super) fn admit(&self) {
        self.admitted.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Returns why the body was ended early; `None` if it was not.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.get()
    }

    /// Records why the body is ended early.
    pub(super) fn set_failure(&self, failure: Failure) {
        self.failure.set(Some(failure));
    }

    fn fail(&self, failure: Failure) -> PayloadError {
        self.set_failure(failure);
        PayloadError::Overflow
    }

    fn check(&self, received: u64, bytes: usize) -> Result<(), PayloadError> {
        if received > self.limit {
            return Err(self.fail(Failure::TooLarge));
        }
        if !self.admitted.get() {
            if !self.budget.reserve(bytes) {
                return Err(self.fail(Failure::Busy));
            }
            self.reserved.set(self.reserved.get() + bytes);
        }
        Ok(())
    }
}

impl Drop for BodyGate {
    fn drop(&mut self) {
        self.budget.release(self.reserved.get());
    }
}

/// A body that is read as far as its gate allows.
pub(super) struct GatedBody {
    body: Payload,
    gate: Rc<BodyGate>,
    received: u64,
    ended: bool,
}

impl GatedBody {
    /// Wraps the body of the request that `gate` controls.
    pub(super) fn new(body: Payload, gate: Rc<BodyGate>) -> Self {
        Self { body, gate, received: 0, ended: false }
    }
}

impl Stream for GatedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.gate.needs_session && !self.gate.admitted.get() {
            self.gate.waker.replace(Some(context.waker().clone()));
            return Poll::Pending;
        }
        let Poll::Ready(next) = Pin::new(&mut self.body).poll_next(context) else { return Poll::Pending };
        let Some(Ok(bytes)) = next else { return Poll::Ready(next) };
        self.received += bytes.len() as u64;
        match self.gate.check(self.received, bytes.len()) {
            Ok(()) => Poll::Ready(Some(Ok(bytes))),
            Err(error) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{TryStreamExt, stream};

    use super::*;

    /// Returns how many of `chunks` chunks of 1 KiB are passed on, and why no more.
    async fn pass_chunks(gate: &Rc<BodyGate>, chunks: usize) -> (usize, Option<Failure>) {
        let chunks = stream::iter((0..chunks).map(|_| Ok(Bytes::from_static(&[0; 1024]))));
        let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(chunks);
        let body = GatedBody::new(Payload::from(body), Rc::clone(gate));
        let count = body.try_fold(0, async |count, _| Ok(count + 1)).await;
        (count.unwrap_or_default(), gate.failure())
    }

    #[actix_web::test]
    async fn a_body_is_ended_at_its_limit() {
        let gate = |limit| Rc::new(BodyGate::new(limit, false, BodyBudget::default()));
        assert_eq!(pass_chunks(&gate(4096), 4).await, (4, None));
        assert_eq!(pass_chunks(&gate(4095), 4).await, (0, Some(Failure::TooLarge)));
    }

    #[actix_web::test]
    async fn bodies_without_a_session_share_one_budget() {
        let budget = BodyBudget(Arc::new(AtomicUsize::new(6 << 10)));
        let gate = || Rc::new(BodyGate::new(u64::MAX, false, budget.clone()));
        let first = gate();
        assert_eq!(pass_chunks(&first, 4).await, (4, None));
        assert_eq!(pass_chunks(&gate(), 4).await, (0, Some(Failure::Busy)));
        let admitted = gate();
        admitted.admit();
        assert_eq!(pass_chunks(&admitted, 4).await, (4, None), "a body with a session does not use the budget");
        drop(first);
        assert_eq!(pass_chunks(&gate(), 4).await, (4, None), "the bytes of an answered request are released");
        assert_eq!(budget.0.load(Ordering::Relaxed), 6 << 10);
    }

    #[actix_web::test]
    async fn a_body_that_needs_a_session_is_not_read_before_it_is_validated() {
        let gate = Rc::new(BodyGate::new(u64::MAX, true, BodyBudget(Arc::default())));
        let mut reading = std::pin::pin!(pass_chunks(&gate, 4));
        assert!(futures_util::poll!(reading.as_mut()).is_pending());
        gate.admit();
        assert_eq!(reading.await, (4, None));
    }
}
