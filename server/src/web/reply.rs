//! Error responses, resources with a method guard, and the extractor for a session with the required permissions.

use std::marker::PhantomData;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Resource, Responder, ResponseError};
use futures_util::future::LocalBoxFuture;

use super::body_limits::BodyGate;
use super::{App, fetch_metadata};
use crate::access::{Permission, Session};
use crate::error::{Code, Error};

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
        // The log has the code and not the message.
        reply.extensions_mut().insert(self.0.code);
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

/// Creates a resource that answers 405 to every method without a route (RFC 9110, 15.5.6).
pub(super) fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { method_not_allowed(allowed) }))
}

/// Creates a resource with a handler for GET and HEAD.
pub(super) fn get_resource<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path, "GET, HEAD").get(handler.clone()).head(handler)
}

/// Returns the response 405 with the allowed methods.
pub(super) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let error = Error::new(Code::MethodNotAllowed, format!("This path accepts only {allowed}."));
    let mut reply = ApiError(error).error_response();
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// Returns the error 404 for a request without a route.
pub(super) fn not_found(request: &HttpRequest) -> Error {
    Error::new(Code::NotFound, format!("Not found: {} {}.", request.method(), request.path()))
}

/// Requests with this header do not count as use of a session. Pages send it when they poll.
pub(super) const BACKGROUND: HeaderName = HeaderName::from_static("x-background");

/// The permissions required by an operation, as a type.
pub trait Requirement {
    /// The required permissions.
    const PERMISSIONS: &'static [Permission];
}

/// Needs a session and no permission.
#[derive(Debug)]
pub struct AnySession;

/// Needs `read:users`.
#[derive(Debug)]
pub struct ReadUsers;

/// Needs `read:connections`.
#[derive(Debug)]
pub struct ReadConnections;

/// Needs `read:users` and `read:connections`.
#[derive(Debug)]
pub struct ReadUsersAndConnections;

impl Requirement for AnySession {
    const PERMISSIONS: &'static [Permission] = &[];
}

impl Requirement for ReadUsers {
    const PERMISSIONS: &'static [Permission] = &[Permission::ReadUsers];
}

impl Requirement for ReadConnections {
    const PERMISSIONS: &'static [Permission] = &[Permission::ReadConnections];
}

impl Requirement for ReadUsersAndConnections {
    const PERMISSIONS: &'static [Permission] = &[Permission::ReadUsers, Permission::ReadConnections];
}

/// Extracts a session with the permissions of `R`. Answers 401 without a usable session, and 403 without the
/// permissions.
#[derive(Debug)]
pub struct Authorized<R> {
    /// The session.
    pub session: Session,
    requirement: PhantomData<R>,
}

impl<R: Requirement> FromRequest for Authorized<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            fetch_metadata::check(&request)?;
            let app = request.app_data::<Data<App>>().ok_or_else(|| {
                Error::new(Code::Internal, "Internal error: `App` is missing in the application data.")
            })?;
            let header = request.headers().get(AUTHORIZATION).map(HeaderValue::to_str).transpose();
            let header = header
                .map_err(|_| Error::new(Code::CredentialsBadFormat, "Format is Authorization: Bearer [token]"))?;
            let background = request.headers().contains_key(BACKGROUND);
            let session = app.access.session(header, background).await?;
            session.permissions.require(R::PERMISSIONS)?;
            if let Some(gate) = request.extensions().get::<Rc<BodyGate>>() {
                gate.admit();
            }
            Ok(Self { session, requirement: PhantomData })
        })
    }
}
