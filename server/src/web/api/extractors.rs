//! The configuration of the extractors for JSON bodies and query strings, and their errors.

use actix_web::HttpRequest;
use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::web::{JsonConfig, QueryConfig};

use crate::web::error_response::ApiError;
use crate::web::slow_requests::is_too_slow;
use uie_core::error::{Code, Error};

/// Configures the extractor for JSON bodies of at most `limit` bytes.
pub(super) fn json_config(limit: usize) -> JsonConfig {
    JsonConfig::default().limit(limit).error_handler(json_error)
}

/// Configures the extractor for query strings.
pub(super) fn query_config() -> QueryConfig {
    QueryConfig::default().error_handler(query_error)
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
