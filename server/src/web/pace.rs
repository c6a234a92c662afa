//! Ends request bodies that arrive too slowly, so that a client cannot hold a connection, and what waits for the
//! body, for as long as it likes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::rt::time::{Instant, Sleep, sleep_until};
use bytes::Bytes;
use futures_util::Stream;

/// How long a body may take whatever its size.
const GRACE: Duration = Duration::from_secs(30);

/// The same for requests without a session: their bodies are a few KiB.
const UNAUTHENTICATED_GRACE: Duration = Duration::from_secs(10);

/// Bytes per second that a longer body must reach on average.
const SLOWEST: u64 = 1024;

/// Whether a body was broken off because it came too slowly.
pub(super) fn too_slow(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// A body that ends with an error when it arrives too slowly.
pub(super) struct Paced {
    body: Payload,
    /// When what has come so far is too little.
    end: Pin<Box<Sleep>>,
    start: Instant,
    grace: Duration,
    slowest: u64,
    size: u64,
}

impl Paced {
    /// The body of a request with a session.
    pub(super) fn new(body: Payload) -> Self {
        Self::with(body, GRACE, SLOWEST)
    }

    /// The body of a request without a session.
    pub(super) fn unauthenticated(body: Payload) -> Self {
        Self::with(body, UNAUTHENTICATED_GRACE, SLOWEST)
    }

    fn with(body: Payload, grace: Duration, slowest: u64) -> Self {
        let start = Instant::now();
        Self { body, end: Box::pin(sleep_until(start + grace)), start, grace, slowest, size: 0 }
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.size += bytes.len() as u64;
                let end = self.start + self.grace + Duration::from_secs(self.size / self.slowest);
                self.end.as_mut().reset(end);
                return Poll::Ready(Some(Ok(bytes)));
            }
            Poll::Ready(end) => return Poll::Ready(end),
            Poll::Pending => {}
        }
        match self.end.as_mut().poll(context) {
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

    type Piece = Result<Bytes, PayloadError>;
    type Body = Pin<Box<dyn Stream<Item = Piece>>>;

    fn piece(size: usize) -> Bytes {
        Bytes::from(vec![0; size])
    }

    /// Pieces that arrive at once.
    fn pieces(sizes: &[usize]) -> impl Stream<Item = Piece> + use<> {
        stream::iter(sizes.iter().copied().map(|size| Ok(piece(size))).collect::<Vec<_>>())
    }

    /// One piece at once, another one after a moment.
    fn two_pieces(first: usize) -> Body {
        let second = async {
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
            Ok(piece(1))
        };
        Box::pin(pieces(&[first]).chain(stream::once(second)))
    }

    /// How many pieces arrive, and whether all of the body did.
    async fn arrived(body: Body, grace: Duration, slowest: u64) -> (usize, bool) {
        let mut paced = Paced::with(Payload::from(body), grace, slowest);
        let mut count = 0;
        while let Some(piece) = paced.next().await {
            match piece {
                Ok(_) => count += 1,
                Err(error) => {
                    assert!(too_slow(&error), "{error}");
                    return (count, false);
                }
            }
        }
        (count, true)
    }

    #[actix_web::test]
    async fn a_body_that_does_not_come_to_its_end_is_broken_off() {
        assert_eq!(arrived(Box::pin(stream::pending()), Duration::from_millis(1), 1).await, (0, false));
        let stuck = Box::pin(pieces(&[9, 9]).chain(stream::pending()));
        assert_eq!(arrived(stuck, Duration::from_millis(1), u64::MAX).await, (2, false));
    }

    #[actix_web::test]
    async fn what_has_come_buys_time_and_drops_buy_too_little() {
        assert_eq!(arrived(two_pieces(1 << 20), Duration::ZERO, 1).await, (2, true));
        assert_eq!(arrived(two_pieces(1), Duration::from_hours(1), 1024).await, (2, true));
        let drop = Box::pin(pieces(&[1]).chain(stream::pending()));
        assert_eq!(arrived(drop, Duration::ZERO, 1024).await, (1, false));
    }
}
