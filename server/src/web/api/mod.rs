//! The HTTP API (design, section 5), one file per resource.

use actix_web::web::ServiceConfig;

/// Adds the routes below `/api`.
pub fn configure(config: &mut ServiceConfig) {
    let _ = config;
}
