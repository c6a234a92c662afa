//! Limits on request bodies. They apply to every route, before an extractor or handler reads a byte.

use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

use super::app::App;
use super::body_gate::{BodyGate, Failure, GatedBody};
use super::error_response::ApiError;
use super::route_limits::BodyLimits;
use super::slow_requests::{MinRateBody, is_too_slow};
use uie_core::error::{Code, Error};
use uie_core::message::message;

/// Maximum body size in bytes of a route without a limit of its own. Such routes ignore their body.
const DEFAULT_LIMIT: u64 = 64 << 10;

/// Middleware that refuses compressed bodies (RFC 9110, 8.4 and 15.5.16) and bounds all others:
///
/// - A body that exceeds the limit of its route is ended: 413.
/// - A body that arrives too slowly is ended: 408.
/// - Below `/api` no byte of a body is read before the session was validated.
/// - Bodies of other routes come from requests without a session. Together they hold at most the bytes of one
///   [`BodyBudget`](super::body_gate::BodyBudget); beyond that: 503.
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
    let body = GatedBody::new(payload, Rc::clone(&gate));
    let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(body);
    let body = if needs_session {
        MinRateBody::new(Payload::from(body))
    } else {
        MinRateBody::unauthenticated(Payload::from(body))
    };
    let failing_gate = Rc::clone(&gate);
    let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(body.inspect_err(move |error| {
        if is_too_slow(error) {
            failing_gate.set_failure(Failure::TooSlow);
        }
    }));
    request.set_payload(Payload::from(body));
    request.extensions_mut().insert(Rc::clone(&gate));
    let response = next.call(request).await?;
    // A handler may report a body that was ended early as malformed. Its response is kept if the status is the same.
    match gate.failure().map(|failure| error_of(failure, limit)) {
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
            Error::new(Code::PayloadTooLarge, message!("The request body is larger than {limit}."))
                .with_hint(message!("Send a smaller body."))
        }
        Failure::TooSlow => Error::new(Code::RequestTimeout, message!("The request body arrives too slowly.")),
        Failure::Busy => Error::new(Code::Busy, message!("Too many requests without a session are being received.")),
    }
}

/// Returns the maximum body size of a request, and whether the body may only be read with a session.
fn body_rules(request: &ServiceRequest) -> (u64, bool) {
    let pattern = request.match_pattern().unwrap_or_default();
    let limit = request.app_data::<BodyLimits>().and_then(|limits| limits.get(request.method(), &pattern));
    (limit.unwrap_or(DEFAULT_LIMIT), request.path().starts_with("/api/"))
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
        message!("The request has the Content-Encoding {encoding}; compressed request bodies are not accepted."),
    );
    let mut reply = ApiError(error).error_response();
    // The accepted coding (RFC 9110, 12.5.3).
    reply.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    reply
}

#[cfg(test)]
mod tests {
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
}
