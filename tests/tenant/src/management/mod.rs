//! Management API v2 (docs/auth0/management-api.md).

mod connections;
mod jobs;
mod logs;
mod query;
mod users;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::Value;

use crate::reply::ApiError;
use crate::state::State;

pub(crate) use jobs::{active_imports, download};
pub(crate) use users::slow_query;

/// The client that sent the request, by its access token.
pub(crate) struct Caller {
    scopes: Vec<String>,
}

impl Caller {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// Checks that the token of a request is valid and has one of the scopes. Error messages are those of Auth0
/// (docs/auth0/management-api.md#error-answers).
pub(crate) fn authorize(request: &HttpRequest, state: &State, scopes: &[&str]) -> Result<Caller, ApiError> {
    let header = request.headers().get("authorization").and_then(|header| header.to_str().ok());
    let token = header
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| ApiError::unauthorized("Missing authentication"))?;
    let claims =
        state.keys.verify(token, state.clock.seconds()).map_err(|rejected| ApiError::unauthorized(rejected.0))?;
    let meant_for_us = match &claims["aud"] {
        Value::String(audience) => state.is_own(audience, "/api/v2/"),
        Value::Array(audiences) => {
            audiences.iter().filter_map(Value::as_str).any(|audience| state.is_own(audience, "/api/v2/"))
        }
        _ => false,
    };
    if !meant_for_us {
        return Err(ApiError::unauthorized("Bad audience"));
    }
    let caller =
        Caller { scopes: claims["scope"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect() };
    if scopes.iter().any(|scope| caller.has(scope)) {
        Ok(caller)
    } else {
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            Some("insufficient_scope"),
            format!("Insufficient scope, expected any of: {}", scopes.join(",")),
        ))
    }
}

/// The routes below `/api/v2`.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/connections", web::get().to(connections::list))
        .route("/connections/{id}", web::get().to(connections::get))
        .route("/connections/{id}/clients", web::get().to(connections::clients))
        .route("/users", web::get().to(users::list))
        .route("/users-by-email", web::get().to(users::by_email))
        .route("/users/{id}", web::get().to(users::get))
        .route("/jobs/users-imports", web::post().to(jobs::import))
        .route("/jobs/users-exports", web::post().to(jobs::export))
        .route("/jobs/{id}", web::get().to(jobs::get))
        .route("/jobs/{id}/errors", web::get().to(jobs::errors))
        .route("/logs", web::get().to(logs::list))
        .route("/logs/{id}", web::get().to(logs::get))
        .default_service(web::to(not_found));
}

async fn not_found() -> Result<actix_web::HttpResponse, ApiError> {
    Err(ApiError::new(StatusCode::NOT_FOUND, None, "Not Found"))
}
