//! The extension contract: manifest, client configuration, login, logout, lifecycle hooks.

use actix_web::web::ServiceConfig;

/// Adds the routes of the extension contract.
pub fn configure(config: &mut ServiceConfig) {
    let _ = config;
}
