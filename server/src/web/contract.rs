//! The routes of the extensions gallery: manifest, client configuration, login, logout, lifecycle hooks.

mod hooks;
mod login;
mod manifest;

use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use actix_web::web::ServiceConfig;

use super::reply::{method_not_allowed, only};

/// Adds the routes of the extensions gallery.
pub fn configure(config: &mut ServiceConfig) {
    manifest::configure(config);
    login::configure(config);
    hooks::configure(config);
}

/// The largest body of a route, where it reads one, bytes.
pub(super) fn body_limit(method: &Method, pattern: &str) -> Option<u64> {
    (method == Method::POST && pattern == login::CALLBACK).then_some(login::LARGEST_FORM as u64)
}

/// What every answer of these routes carries: nothing here may be kept by a cache, guessed to be
/// another type, or named to another site.
const PRIVATE: [(HeaderName, &str); 3] = [
    (actix_web::http::header::CACHE_CONTROL, "no-store"),
    (actix_web::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (actix_web::http::header::REFERRER_POLICY, "no-referrer"),
];
