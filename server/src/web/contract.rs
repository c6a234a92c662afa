//! The extension contract: manifest, client configuration, login, logout, lifecycle hooks.

mod hooks;
mod login;
mod manifest;

use actix_web::http::header::{ALLOW, HeaderName};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource, ResponseError};

use super::ApiError;
use crate::error::{Code, Error};

/// Adds the routes of the extension contract.
pub fn configure(config: &mut ServiceConfig) {
    manifest::configure(config);
    login::configure(config);
    hooks::configure(config);
}

/// A resource that answers 405 to every method its routes don't take (RFC 9110, 15.5.6).
fn only(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { method_not_allowed(allowed) }))
}

fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let error = Error::new(Code::MethodNotAllowed, format!("This address takes {allowed} only."));
    let mut reply = ApiError(error).error_response();
    reply.headers_mut().insert(ALLOW, actix_web::http::header::HeaderValue::from_static(allowed));
    reply
}

/// What every answer of these routes carries: nothing here may be kept by a cache, guessed to be
/// another type, or named to another site.
const PRIVATE: [(HeaderName, &str); 3] = [
    (actix_web::http::header::CACHE_CONTROL, "no-store"),
    (actix_web::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (actix_web::http::header::REFERRER_POLICY, "no-referrer"),
];
