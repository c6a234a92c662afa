//! How errors leave, and how a handler states the session and the permissions that it needs.

use std::marker::PhantomData;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Resource, Responder, ResponseError};
use futures_util::future::LocalBoxFuture;

use super::body::BodyGate;
use super::{App, fetch_metadata};
use crate::access::{Permission, Session};
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

/// Requests with this header do not count as use of a session: pages send it when they poll.
pub(super) const BACKGROUND: HeaderName = HeaderName::from_static("x-background");

/// The permissions that an operation needs, as a type.
pub trait Requirement {
    /// All of them.
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

/// A session with the permissions that `R` names. A handler that takes this answers 401 without a usable session,
/// and 403 without the permissions.
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
            let app = request
                .app_data::<Data<App>>()
                .ok_or_else(|| Error::new(Code::Internal, "The application is not assembled."))?;
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
