//! The HTTP API, one file per resource.

mod about;
mod attributes;
mod connections;
mod download;
mod health;
mod history;
mod jobs;
mod openapi;
mod presets;
mod preview;
mod sessions;
mod transforms;
mod users;

use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::Method;
use actix_web::web::{JsonConfig, QueryConfig, ServiceConfig, scope};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::App;
use super::pace::too_slow;
use super::reply::{ApiError, only, read_only};
use crate::error::{Code, Error};
use crate::sandbox::LARGEST_FILE;
use crate::store::PRESET_LIMIT;

/// Largest JSON body of a request, bytes: room for hundreds of columns with long expressions.
const JSON_LIMIT: usize = 1 << 20;

/// Adds the routes below `/api` and the health checks.
pub fn configure(config: &mut ServiceConfig) {
    config.configure(health::configure).service(
        scope("/api")
            .app_data(json_config(JSON_LIMIT))
            .app_data(QueryConfig::default().error_handler(wrong_query))
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
            .default_service(actix_web::web::to(not_found)),
    );
}

/// Reads JSON bodies of at most `limit` bytes.
fn json_config(limit: usize) -> JsonConfig {
    JsonConfig::default().limit(limit).error_handler(wrong_json)
}

/// The largest body of an operation that reads one, bytes.
pub(super) fn body_limit(method: &Method, pattern: &str, app: &App) -> Option<u64> {
    match (method.as_str(), pattern) {
        // Somewhat more, so that the extractor says what is too large.
        ("POST", "/api/jobs/export" | "/api/preview") => Some(JSON_LIMIT as u64 + (64 << 10)),
        ("PUT", "/api/presets/{name}") => Some(PRESET_LIMIT as u64 + (64 << 10)),
        ("POST", "/api/jobs/import" | "/api/jobs/{id}/retry") => {
            Some(app.settings.upload_limit.saturating_add(jobs::FORM_OVERHEAD))
        }
        ("POST", "/api/import/inspect") => Some(jobs::INSPECT_LIMIT as u64 + jobs::FORM_OVERHEAD),
        // Somewhat more, so that its handler says what is too large.
        ("POST", "/api/transforms") => Some(LARGEST_FILE + (64 << 10)),
        _ => None,
    }
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    ApiError(super::reply::not_found(&request)).error_response()
}

// actix-web hands the error over by value.
#[allow(clippy::needless_pass_by_value)]
fn wrong_json(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    let error = match error {
        JsonPayloadError::OverflowKnownLength { limit, .. } | JsonPayloadError::Overflow { limit } => {
            Error::new(Code::PayloadTooLarge, format!("The JSON body is larger than {limit} bytes."))
                .with_hint("Use fewer or shorter column expressions.")
        }
        JsonPayloadError::Payload(error) if too_slow(&error) => {
            Error::new(Code::RequestTimeout, "The body arrives too slowly.")
        }
        JsonPayloadError::ContentType => Error::new(Code::InvalidBody, "The body is not JSON.")
            .with_hint("Send it with the header Content-Type: application/json."),
        JsonPayloadError::Deserialize(error) => Error::new(Code::InvalidBody, format!("The JSON body: {error}")),
        other => Error::new(Code::InvalidBody, format!("The body could not be read: {other}")),
    };
    ApiError(error).into()
}

// actix-web hands the error over by value.
#[allow(clippy::needless_pass_by_value)]
fn wrong_query(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    ApiError(Error::new(Code::InvalidQuery, format!("The query string: {error}"))).into()
}
