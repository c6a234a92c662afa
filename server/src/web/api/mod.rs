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
mod registration;
mod routes;
mod sessions;
mod transforms;
mod users;

use actix_web::http::Method;
use actix_web::web::{ServiceConfig, scope, to};

use super::error_response::not_found_response;
use super::route_limits::{BodyLimit, JSON_LIMIT};
use extractors::{json_config, query_config};
use routes::ROUTES;

/// The path of the API. Health checks and metrics are outside of it.
const SCOPE: &str = "/api";

/// Adds the routes below `/api`, the health checks and the metrics.
pub fn configure(config: &mut ServiceConfig) {
    let api = scope(SCOPE).app_data(json_config(JSON_LIMIT)).app_data(query_config()).configure(openapi::configure);
    let api = ROUTES.resources_below(SCOPE).fold(api, actix_web::Scope::service);
    config.service(api.default_service(to(not_found_response)));
    for resource in ROUTES.resources_outside(SCOPE) {
        config.service(resource);
    }
}

/// Returns the routes with a body limit of their own.
pub(super) fn body_limits() -> impl Iterator<Item = (Method, &'static str, BodyLimit)> {
    ROUTES.body_limits()
}
