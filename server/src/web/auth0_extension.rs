//! The routes of an Auth0 extension: manifest, client configuration, login, logout, lifecycle hooks.

mod hooks;
mod login;
mod manifest;

use actix_web::http::Method;
use actix_web::web::ServiceConfig;

use super::route_limits::BodyLimit;

/// Adds the routes of an Auth0 extension.
pub fn configure(config: &mut ServiceConfig) {
    manifest::configure(config);
    login::configure(config);
    hooks::configure(config);
}

/// Returns the routes with a body limit of their own.
pub(super) fn body_limits() -> impl Iterator<Item = (Method, &'static str, BodyLimit)> {
    [login::BODY_LIMIT].into_iter()
}
