//! The HTTP API, one file per resource.

mod about;
mod attributes;
mod connections;
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

use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::Method;
use actix_web::web::{JsonConfig, QueryConfig, ServiceConfig, scope};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::App;
use super::reply::{ApiError, get_resource, resource};
use super::slow_requests::is_too_slow;
use crate::error::{Code, Error};
use crate::sandbox::LARGEST_FILE;
use crate::store::PRESET_LIMIT;

/// Maximum size in bytes of a JSON body: enough for hundreds of columns with long expressions.
const JSON_LIMIT: usize = 1 << 20;

/// Adds the routes below `/api` and the health checks.
pub fn configure(config: &mut ServiceConfig) {
    config.configure(health::configure).service(
        scope("/api")
            .app_data(json_config(JSON_LIMIT))
            .app_data(QueryConfig::default().error_handler(query_error))
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

/// Configures the extractor for JSON bodies of at most `limit` bytes.
fn json_config(limit: usize) -> JsonConfig {
    JsonConfig::default().limit(limit).error_handler(json_error)
}

/// Returns the maximum body size of an operation in bytes; `None` if it reads no body.
pub(super) fn body_limit(method: &Method, pattern: &str, app: &App) -> Option<u64> {
    match (method.as_str(), pattern) {
        // More than the extractor's limit, so that the extractor reports a body that is too large.
        ("POST", "/api/jobs/export" | "/api/preview") => Some(JSON_LIMIT as u64 + (64 << 10)),
        ("PUT", "/api/presets/{name}") => Some(PRESET_LIMIT as u64 + (64 << 10)),
        ("POST", "/api/jobs/import" | "/api/jobs/{id}/retry") => {
            Some(app.settings.upload_limit.saturating_add(jobs::FORM_OVERHEAD))
        }
        ("POST", "/api/import/inspect") => Some(jobs::INSPECT_LIMIT as u64 + jobs::FORM_OVERHEAD),
        // More than the handler's limit, so that the handler reports a file that is too large.
        ("POST", "/api/transforms") => Some(LARGEST_FILE + (64 << 10)),
        _ => None,
    }
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    ApiError(super::reply::not_found(&request)).error_response()
}

// actix-web passes the error by value.
#[allow(clippy::needless_pass_by_value)]
fn json_error(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    let error = match error {
        JsonPayloadError::OverflowKnownLength { limit, .. } | JsonPayloadError::Overflow { limit } => {
            Error::new(Code::PayloadTooLarge, format!("The JSON body is larger than {limit} bytes."))
                .with_hint("Use fewer or shorter column expressions.")
        }
        JsonPayloadError::Payload(error) if is_too_slow(&error) => {
            Error::new(Code::RequestTimeout, "The body arrives too slowly.")
        }
        JsonPayloadError::ContentType => Error::new(Code::InvalidBody, "The body is not JSON.")
            .with_hint("Send it with the header Content-Type: application/json."),
        JsonPayloadError::Deserialize(error) => {
            Error::new(Code::InvalidBody, format!("The JSON body is invalid: {error}"))
        }
        other => Error::new(Code::InvalidBody, format!("The body could not be read: {other}")),
    };
    ApiError(error).into()
}

// actix-web passes the error by value.
#[allow(clippy::needless_pass_by_value)]
fn query_error(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    ApiError(Error::new(Code::InvalidQuery, format!("The query string is invalid: {error}"))).into()
}
