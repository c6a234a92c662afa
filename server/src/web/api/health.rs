//! `/healthz` and `/readyz`, for load balancers and service managers.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig};
use serde_json::json;

use super::super::{ApiError, App};
use super::read_only;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/healthz", alive)).service(read_only("/readyz", ready));
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200)))]
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The process can do its work: its database answers.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200), (status = 500, body = crate::error::ErrorBody)))]
pub(super) async fn ready(app: Data<App>) -> Result<HttpResponse, ApiError> {
    app.store.ping().await?;
    Ok(HttpResponse::Ok().json(json!({"status": "ok"})))
}
