//! The routes of an Auth0 extension: manifest, client configuration, login, logout, lifecycle hooks.

mod hooks;
mod login;
mod manifest;

use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use actix_web::web::ServiceConfig;

use super::reply::{method_not_allowed, resource};

/// Adds the routes of an Auth0 extension.
pub fn configure(config: &mut ServiceConfig) {
    manifest::configure(config);
    login::configure(config);
    hooks::configure(config);
}

/// Returns the maximum body size of a route in bytes; `None` if it reads no body.
pub(super) fn body_limit(method: &Method, pattern: &str) -> Option<u64> {
    (method == Method::POST && pattern == login::CALLBACK).then_some(login::MAX_FORM_BYTES as u64)
}

/// Headers of every response of these routes, against caching, content sniffing, and referrers to other sites.
const PRIVATE_HEADERS: [(HeaderName, &str); 3] = [
    (actix_web::http::header::CACHE_CONTROL, "no-store"),
    (actix_web::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (actix_web::http::header::REFERRER_POLICY, "no-referrer"),
];
