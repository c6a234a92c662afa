//! Responses of the Management API; errors are `{statusCode, error, message, errorCode?}`
//! (docs/auth0/management-api.md#error-answers).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

/// An error response.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    code: Option<&'static str>,
    /// The message as `error_description` too, as the token endpoint names it.
    described: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The result of a handler of the Management API.
pub(crate) type ApiResult = Result<HttpResponse, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into(), code, described: false, headers: Vec::new() }
    }

    /// 400 with a code.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, Some(code), message)
    }

    /// 400 for a query parameter.
    pub(crate) fn query(message: impl Into<String>) -> Self {
        ApiError::bad_request("invalid_query_string", message)
    }

    /// 400 for a body.
    pub(crate) fn body(message: impl Into<String>) -> Self {
        ApiError::bad_request("invalid_body", message)
    }

    /// 401.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::UNAUTHORIZED, None, message)
    }

    /// 404 with a code.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, Some(code), message)
    }

    /// 429.
    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, Some("too_many_requests"), message)
    }

    pub(crate) fn with_description(mut self) -> Self {
        self.described = true;
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut body = json!({
            "statusCode": self.status.as_u16(),
            "error": self.status.canonical_reason().unwrap_or_default(),
            "message": self.message,
        });
        if self.status == StatusCode::UNAUTHORIZED {
            body["attributes"] = json!({"error": self.message});
        }
        if let Some(code) = self.code {
            body["errorCode"] = code.into();
        }
        if self.described {
            body["error_description"] = self.message.as_str().into();
        }
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        json_body(&mut response, &body)
    }
}

/// Returns a JSON response with Auth0's content type.
pub(crate) fn json_body(response: &mut actix_web::HttpResponseBuilder, body: &Value) -> HttpResponse {
    response.content_type("application/json; charset=utf-8").body(body.to_string())
}

/// 200 with JSON.
pub(crate) fn ok(body: &Value) -> HttpResponse {
    json_body(&mut HttpResponse::Ok(), body)
}
