//! Bodies of requests from slow or malicious clients.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::{Stream, stream};

/// A streamed request body for [`Application::call_with_body`](crate::Application::call_with_body).
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// Returns a body that never arrives, and a counter of how often it was polled.
pub fn pending_body() -> (Rc<Cell<u32>>, Body) {
    body(0, Poll::Pending)
}

/// Returns a body that ends after `chunks` chunks of 64 KiB, more than a server should read, and a counter of how often
/// it was polled.
pub fn endless_body(chunks: u32) -> (Rc<Cell<u32>>, Body) {
    body(chunks, Poll::Ready(()))
}

/// `end` is returned after the last chunk.
fn body(chunks: u32, end: Poll<()>) -> (Rc<Cell<u32>>, Body) {
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    let body = stream::poll_fn(move |_| {
        counted.set(counted.get() + 1);
        if counted.get() <= chunks { Poll::Ready(Some(Ok(chunk.clone()))) } else { end.map(|()| None) }
    });
    (polls, Box::pin(body))
}
