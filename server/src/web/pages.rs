//! The pages and their assets: shells without data, filled through the API.

use actix_web::web::ServiceConfig;

/// Adds the pages and their assets.
pub fn configure(config: &mut ServiceConfig) {
    let _ = config;
}
