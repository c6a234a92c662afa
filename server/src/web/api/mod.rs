//! The HTTP API, one file per resource.

mod about;
mod attributes;
mod connections;
mod extractors;
mod file_response;
mod health;
mod history;
mod jobs;
mod openapi;
mod presets;
mod preview;
mod sessions;
mod transforms;
mod users;

use actix_web::web::{ServiceConfig, scope, to};

use super::error_response::not_found_response;
use super::route_limits::JSON_LIMIT;
use extractors::{json_config, query_config};

/// Adds the routes below `/api` and the health checks.
pub fn configure(config: &mut ServiceConfig) {
    config.configure(health::configure).service(
        scope("/api")
            .app_data(json_config(JSON_LIMIT))
            .app_data(query_config())
            .configure(openapi::configure)
            .configure(connections::configure)
            .configure(users::configure)
            .configure(jobs::configure)
            .configure(history::configure)
            .configure(presets::configure)
            .configure(attributes::configure)
            .configure(transforms::configure)
            .configure(preview::configure)
            .configure(sessions::configure)
            .configure(about::configure)
            .default_service(to(not_found_response)),
    );
}
