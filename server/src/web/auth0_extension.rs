//! The routes of an Auth0 extension: manifest, client configuration, login, logout, lifecycle hooks.

mod hooks;
mod login;
mod manifest;

use actix_web::web::ServiceConfig;

/// Adds the routes of an Auth0 extension.
pub fn configure(config: &mut ServiceConfig) {
    manifest::configure(config);
    login::configure(config);
    hooks::configure(config);
}
