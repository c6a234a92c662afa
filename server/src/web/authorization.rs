//! The extractors that decide who may call a handler: a session with the required permissions, or public access.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::app::App;
use super::body_gate::BodyGate;
use super::error_response::ApiError;
use super::fetch_metadata;
use uie_access::{Permission, Session};
use uie_core::error::{Code, Error};
use uie_core::message::message;

/// Requests with this header do not count as use of a session. Pages send it when they poll.
const BACKGROUND: HeaderName = HeaderName::from_static("x-background");

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

/// The first argument of a handler of the API that needs no session. The handler checks what else its callers need.
#[derive(Debug)]
pub(super) struct PublicAccess;

impl FromRequest for PublicAccess {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

/// What the callers of a handler need, as its first argument states: [`Authorized`] or [`PublicAccess`].
#[diagnostic::on_unimplemented(
    message = "the first argument of a handler of the API must be `Authorized<R>` or `PublicAccess`"
)]
pub(super) trait AccessRule {
    /// The required permissions; `None` if no session is needed.
    const PERMISSIONS: Option<&'static [Permission]>;
}

impl<R: Requirement> AccessRule for Authorized<R> {
    const PERMISSIONS: Option<&'static [Permission]> = Some(R::PERMISSIONS);
}

impl AccessRule for PublicAccess {
    const PERMISSIONS: Option<&'static [Permission]> = None;
}

/// Implements [`AccessRule`] for the arguments of a handler: the first one decides.
macro_rules! impl_access_rule {
    ($($other:ident),*) => {
        impl<First: AccessRule, $($other),*> AccessRule for (First, $($other,)*) {
            const PERMISSIONS: Option<&'static [Permission]> = First::PERMISSIONS;
        }
    };
}

impl_access_rule!();
impl_access_rule!(B);
impl_access_rule!(B, C);
impl_access_rule!(B, C, D);
impl_access_rule!(B, C, D, E);
impl_access_rule!(B, C, D, E, F);

impl<R: Requirement> FromRequest for Authorized<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            fetch_metadata::check(&request)?;
            let app = request.app_data::<Data<App>>().ok_or_else(|| {
                Error::new(Code::Internal, message!("Internal error: `App` is missing in the application data."))
            })?;
            let header = request.headers().get(AUTHORIZATION).map(HeaderValue::to_str).transpose();
            let header = header.map_err(|_| {
                Error::new(Code::CredentialsBadFormat, message!("Format is Authorization: Bearer [token]"))
            })?;
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
