//! Limits on request bodies. They apply to every route, before an extractor or handler reads a byte.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

use super::slow_requests::{MinRateBody, is_too_slow};
use super::{ApiError, App, api, auth0_extension};
use crate::error::{Code, Error};

/// Maximum body size in bytes of a route without a limit of its own. Such routes ignore their body.
const DEFAULT_LIMIT: u64 = 64 << 10;

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
enum Failure {
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
    fn new(limit: u64, needs_session: bool, budget: BodyBudget) -> Self {
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

    fn fail(&self, failure: Failure) -> PayloadError {
        self.failure.set(Some(failure));
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
struct GatedBody {
    body: Payload,
    gate: Rc<BodyGate>,
    received: u64,
    ended: bool,
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

/// Middleware that refuses compressed bodies (RFC 9110, 8.4 and 15.5.16) and bounds all others:
///
/// - A body that exceeds the limit of its route is ended: 413.
/// - A body that arrives too slowly is ended: 408.
/// - Below `/api` no byte of a body is read before the session was validated.
/// - Bodies of other routes come from requests without a session. Together they hold at most
///   [`UNAUTHENTICATED_BYTES`]; beyond that: 503.
pub(super) async fn limit_body<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if let Some(encoding) = foreign_encoding(request.headers()) {
        let reply = unsupported_encoding(&encoding);
        return Ok(request.into_response(reply).map_into_right_body());
    }
    // actix-web decompresses bodies according to this header. Without it, no extractor decompresses.
    request.headers_mut().remove(CONTENT_ENCODING);
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let (limit, needs_session) = body_rules(&request);
    let budget = request.app_data::<Data<App>>().map(|app| app.bodies.clone()).unwrap_or_default();
    let gate = Rc::new(BodyGate::new(limit, needs_session, budget));
    let body = GatedBody { body: payload, gate: Rc::clone(&gate), received: 0, ended: false };
    let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(body);
    let body = if needs_session {
        MinRateBody::new(Payload::from(body))
    } else {
        MinRateBody::unauthenticated(Payload::from(body))
    };
    let failing_gate = Rc::clone(&gate);
    let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(body.inspect_err(move |error| {
        if is_too_slow(error) {
            failing_gate.failure.set(Some(Failure::TooSlow));
        }
    }));
    request.set_payload(Payload::from(body));
    request.extensions_mut().insert(Rc::clone(&gate));
    let response = next.call(request).await?;
    // A handler may report a body that was ended early as malformed. Its response is kept if the status is the same.
    match gate.failure.get().map(|failure| error_of(failure, limit)) {
        Some(error) if error.status() != response.status().as_u16() => {
            let (request, _) = response.into_parts();
            Ok(ServiceResponse::new(request, ApiError(error).error_response()).map_into_right_body())
        }
        _ => Ok(response.map_into_left_body()),
    }
}

fn error_of(failure: Failure, limit: u64) -> Error {
    match failure {
        Failure::TooLarge => {
            let limit = bytesize::ByteSize(limit);
            Error::new(Code::PayloadTooLarge, format!("The request body is larger than {limit}."))
                .with_hint("Send a smaller body.")
        }
        Failure::TooSlow => Error::new(Code::RequestTimeout, "The request body arrives too slowly."),
        Failure::Busy => Error::new(Code::Busy, "Too many requests without a session are being received."),
    }
}

/// Returns the maximum body size of a request, and whether the body may only be read with a session.
fn body_rules(request: &ServiceRequest) -> (u64, bool) {
    let app = request.app_data::<Data<App>>();
    let pattern = request.match_pattern().unwrap_or_default();
    let limit = app.and_then(|app| body_limit(request.method(), &pattern, app));
    (limit.unwrap_or(DEFAULT_LIMIT), request.path().starts_with("/api/"))
}

/// Returns the maximum body size of a route in bytes; `None` if it reads no body.
fn body_limit(method: &Method, pattern: &str, app: &App) -> Option<u64> {
    api::body_limit(method, pattern, app).or_else(|| auth0_extension::body_limit(method, pattern))
}

/// Returns the first content coding that is not `identity`; `None` if the body is not compressed.
fn foreign_encoding(headers: &HeaderMap) -> Option<String> {
    let codings = headers.get_all(CONTENT_ENCODING).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings
        .map(<[u8]>::trim_ascii)
        .find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
        .map(|coding| String::from_utf8_lossy(coding).chars().filter(char::is_ascii_graphic).take(20).collect())
}

fn unsupported_encoding(encoding: &str) -> HttpResponse {
    let error = Error::new(
        Code::UnsupportedContentEncoding,
        format!("The request has the Content-Encoding {encoding}; compressed request bodies are not accepted."),
    );
    let mut reply = ApiError(error).error_response();
    // The accepted coding (RFC 9110, 12.5.3).
    reply.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    reply
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn every_coding_except_identity_is_refused() {
        for accepted in [&[][..], &[""], &["identity"], &["Identity, identity"], &["identity", " identity "]] {
            assert_eq!(foreign_encoding(&headers(accepted)), None, "{accepted:?}");
        }
        for refused in
            [&["gzip"][..], &["GZIP"], &["identity, gzip"], &["identity", "br"], &["x"], &["deflate"], &["zstd, gzip"]]
        {
            assert!(foreign_encoding(&headers(refused)).is_some(), "{refused:?}");
        }
    }

    /// Returns how many of `chunks` chunks of 1 KiB are passed on, and why no more.
    async fn pass_chunks(gate: &Rc<BodyGate>, chunks: usize) -> (usize, Option<Failure>) {
        let chunks = stream::iter((0..chunks).map(|_| Ok(Bytes::from_static(&[0; 1024]))));
        let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(chunks);
        let body = GatedBody { body: Payload::from(body), gate: Rc::clone(gate), received: 0, ended: false };
        let count = body.try_fold(0, async |count, _| Ok(count + 1)).await;
        (count.unwrap_or_default(), gate.failure.get())
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
