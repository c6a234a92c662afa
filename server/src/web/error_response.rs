//! Error responses.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use uie_core::error::{Code, Error};
use uie_core::message::message;

/// An error as an HTTP response (docs/decisions/0013-http-errors.md).
#[derive(Debug)]
pub struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.message.fmt(f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut reply = HttpResponse::build(self.status_code());
        if self.status_code() == StatusCode::UNAUTHORIZED {
            reply.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = retry_after(self.0.code) {
            reply.insert_header((RETRY_AFTER, seconds));
        }
        let body = self.0.body();
        let mut reply = reply.json(&body);
        // The log has the code and not the message.
        reply.extensions_mut().insert(self.0.code);
        reply.extensions_mut().insert(body);
        reply
    }
}

/// Returns the value of `Retry-After` in seconds; `None` if the client should not retry.
fn retry_after(code: Code) -> Option<u32> {
    match code {
        Code::TooManyRequests | Code::Busy => Some(5),
        Code::Stopping | Code::NotReady => Some(10),
        _ => None,
    }
}

/// Returns the response 405 with the allowed methods.
pub(super) fn method_not_allowed(allowed: &str) -> HttpResponse {
    let error = Error::new(Code::MethodNotAllowed, message!("This path accepts only {methods}.", methods = allowed));
    let mut reply = ApiError(error).error_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}

/// Returns the error 404 for a request without a route.
pub(super) fn not_found(request: &HttpRequest) -> Error {
    let (method, path) = (request.method(), request.path());
    Error::new(Code::NotFound, message!("Not found: {method} {path}."))
}

/// Answers 404 to a request without a route.
pub(super) async fn not_found_response(request: HttpRequest) -> HttpResponse {
    ApiError(not_found(&request)).error_response()
}
