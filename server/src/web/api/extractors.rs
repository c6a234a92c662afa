//! The configuration of the extractors for JSON bodies and query strings, and their errors.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::web::{Json, JsonConfig, QueryConfig};
use actix_web::{FromRequest, HttpRequest};
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::web::error_response::ApiError;
use crate::web::slow_requests::is_too_slow;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Configures the extractor for JSON bodies of at most `limit` bytes.
pub(super) fn json_config(limit: usize) -> JsonConfig {
    JsonConfig::default().limit(limit).error_handler(json_error)
}

/// Configures the extractor for query strings.
pub(super) fn query_config() -> QueryConfig {
    QueryConfig::default().error_handler(query_error)
}

/// A JSON body. Unlike [`Json`], an error names the field.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for JsonBody<T> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Json::<Box<RawValue>>::from_request(request, payload);
        Box::pin(async move {
            let Json(text) = body.await?;
            let value = deserialize_body(&mut serde_json::Deserializer::from_str(text.get())).map_err(ApiError)?;
            Ok(Self(value))
        })
    }
}

/// Deserializes a JSON body or a part of it. An error names the field: `fields[2].name`.
pub(super) fn deserialize_body<'de, T: DeserializeOwned, D: Deserializer<'de, Error = serde_json::Error>>(
    body: D,
) -> Result<T> {
    serde_path_to_error::deserialize(body).map_err(|error| {
        let field = error.path().to_string();
        let message = message!("The JSON body is invalid: {error}", error = error.inner());
        let invalid = Error::new(Code::InvalidBody, message);
        // The path of the whole body.
        if field == "." { invalid } else { invalid.with_field(field) }
    })
}

// actix-web passes the error by value.
#[allow(clippy::needless_pass_by_value)]
fn json_error(error: JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    let error = match error {
        JsonPayloadError::OverflowKnownLength { limit, .. } | JsonPayloadError::Overflow { limit } => {
            Error::new(Code::PayloadTooLarge, message!("The JSON body is larger than {limit} bytes."))
                .with_hint(message!("Use fewer or shorter column expressions."))
        }
        JsonPayloadError::Payload(error) if is_too_slow(&error) => {
            Error::new(Code::RequestTimeout, message!("The body arrives too slowly."))
        }
        JsonPayloadError::ContentType => Error::new(Code::InvalidBody, message!("The body is not JSON."))
            .with_hint(message!("Send it with the header Content-Type: application/json.")),
        JsonPayloadError::Deserialize(error) => {
            Error::new(Code::InvalidBody, message!("The JSON body is invalid: {error}"))
        }
        other => Error::new(Code::InvalidBody, message!("The body could not be read: {error}", error = other)),
    };
    ApiError(error).into()
}

// actix-web passes the error by value.
#[allow(clippy::needless_pass_by_value)]
fn query_error(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    ApiError(Error::new(Code::InvalidQuery, message!("The query string is invalid: {error}"))).into()
}
