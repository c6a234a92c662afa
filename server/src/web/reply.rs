//! How errors leave, and how a handler says that it needs a session.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Resource, Responder, ResponseError};

use super::body::BodyGate;
use super::{App, fetch_metadata};
use crate::access::Session;
use crate::error::{Code, Error};

/// An error on its way out, in the shape of docs/decisions/0013-http-errors.md.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
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
        let mut reply = reply.json(self.0.body());
        // For the log, which says which row of the table it was and not the text.
        reply.extensions_mut().insert(self.0.code);
        reply
    }
}

/// When it is worth trying again, in seconds, where that is ours to say.
fn retry_after(code: Code) -> Option<u32> {
    match code {
        Code::TooManyRequests | Code::Busy => Some(5),
        Code::Stopping | Code::NotReady => Some(10),
        _ => None,
    }
}

/// A resource that answers 405 to every method its routes don't take (RFC 9110, 15.5.6).
pub(super) fn only(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { method_not_allowed(allowed) }))
}

/// A resource that can be read and nothing else.
pub(super) fn read_only<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    only(path, "GET, HEAD").get(handler.clone()).head(handler)
}

/// 405, with what the address takes.
pub(super) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let error = Error::new(Code::MethodNotAllowed, format!("This address takes {allowed} only."));
    let mut reply = ApiError(error).error_response();
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// 404 for an address that leads nowhere.
pub(super) fn not_found(request: &HttpRequest) -> Error {
    Error::new(Code::NotFound, format!("There is nothing at {} {}.", request.method(), request.path()))
}

/// A handler that takes this can only be reached with a valid session.
#[derive(Debug)]
pub struct SignedIn(pub Session);

impl FromRequest for SignedIn {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = match request.app_data::<Data<App>>() {
            Some(app) => {
                let header = request.headers().get(AUTHORIZATION);
                match header.map(|value| value.to_str()) {
                    Some(Err(_)) => {
                        Err(Error::new(Code::CredentialsBadFormat, "Format is Authorization: Bearer [token]"))
                    }
                    Some(Ok(value)) => app.access.session(Some(value)),
                    None => app.access.session(None),
                }
            }
            None => Err(Error::new(Code::Internal, "The application is not assembled.")),
        };
        let session = fetch_metadata::check(request).and(session);
        if session.is_ok()
            && let Some(gate) = request.extensions().get::<Rc<BodyGate>>()
        {
            gate.admit();
        }
        ready(session.map(SignedIn).map_err(ApiError))
    }
}
