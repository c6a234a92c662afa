//! Ends request bodies that arrive too slowly, so that a client cannot occupy a connection and its handler without a
//! time limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::rt::time::{Instant, Sleep, sleep_until};
use bytes::Bytes;
use futures_util::Stream;

/// Time allowed for a body of any size.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

/// Time allowed for a body of a request without a session, which has a few KiB.
const UNAUTHENTICATED_GRACE_PERIOD: Duration = Duration::from_secs(10);

/// Minimum average rate in bytes per second of a body that takes longer.
const MIN_RATE: u64 = 1024;

/// Returns whether a body was ended because it arrived too slowly.
pub(super) fn is_too_slow(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// A body that ends with an error if it arrives too slowly.
pub(super) struct MinRateBody {
    body: Payload,
    /// Time by which more bytes must arrive.
    deadline: Pin<Box<Sleep>>,
    start: Instant,
    grace_period: Duration,
    min_rate: u64,
    size: u64,
}

impl MinRateBody {
    /// Wraps the body of a request with a session.
    pub(super) fn new(body: Payload) -> Self {
        Self::with(body, GRACE_PERIOD, MIN_RATE)
    }

    /// Wraps the body of a request without a session.
    pub(super) fn unauthenticated(body: Payload) -> Self {
        Self::with(body, UNAUTHENTICATED_GRACE_PERIOD, MIN_RATE)
    }

    fn with(body: Payload, grace_period: Duration, min_rate: u64) -> Self {
        let start = Instant::now();
        Self { body, deadline: Box::pin(sleep_until(start + grace_period)), start, grace_period, min_rate, size: 0 }
    }
}

impl Stream for MinRateBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.size += bytes.len() as u64;
                let deadline = self.start + self.grace_period + Duration::from_secs(self.size / self.min_rate);
                self.deadline.as_mut().reset(deadline);
                return Poll::Ready(Some(Ok(bytes)));
            }
            Poll::Ready(end) => return Poll::Ready(end),
            Poll::Pending => {}
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => {
                let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the body arrives too slowly");
                Poll::Ready(Some(Err(PayloadError::Io(error))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    type Chunk = Result<Bytes, PayloadError>;
    type Body = Pin<Box<dyn Stream<Item = Chunk>>>;

    fn chunk(size: usize) -> Bytes {
        Bytes::from(vec![0; size])
    }

    /// Pieces that arrive at once.
    fn chunks(sizes: &[usize]) -> impl Stream<Item = Chunk> + use<> {
        stream::iter(sizes.iter().copied().map(|size| Ok(chunk(size))).collect::<Vec<_>>())
    }

    /// One chunk at once, another one after a moment.
    fn two_chunks(first: usize) -> Body {
        let second = async {
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
            Ok(chunk(1))
        };
        Box::pin(chunks(&[first]).chain(stream::once(second)))
    }

    /// Returns how many chunks arrive, and whether the body is complete.
    async fn receive(body: Body, grace_period: Duration, min_rate: u64) -> (usize, bool) {
        let mut limited = MinRateBody::with(Payload::from(body), grace_period, min_rate);
        let mut count = 0;
        while let Some(chunk) = limited.next().await {
            match chunk {
                Ok(_) => count += 1,
                Err(error) => {
                    assert!(is_too_slow(&error), "{error}");
                    return (count, false);
                }
            }
        }
        (count, true)
    }

    #[actix_web::test]
    async fn a_body_without_an_end_is_ended() {
        assert_eq!(receive(Box::pin(stream::pending()), Duration::from_millis(1), 1).await, (0, false));
        let stuck = Box::pin(chunks(&[9, 9]).chain(stream::pending()));
        assert_eq!(receive(stuck, Duration::from_millis(1), u64::MAX).await, (2, false));
    }

    #[actix_web::test]
    async fn received_bytes_extend_the_deadline_at_the_minimum_rate() {
        assert_eq!(receive(two_chunks(1 << 20), Duration::ZERO, 1).await, (2, true));
        assert_eq!(receive(two_chunks(1), Duration::from_hours(1), 1024).await, (2, true));
        let drop = Box::pin(chunks(&[1]).chain(stream::pending()));
        assert_eq!(receive(drop, Duration::ZERO, 1024).await, (1, false));
    }
}
