//! `/healthz` and `/readyz`, for load balancers and service managers.

use actix_web::HttpResponse;
use actix_web::web::{Data, ServiceConfig};
use serde_json::json;

use super::super::{ApiError, App};
use super::read_only;
use crate::error::{Code, Error};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/healthz", alive)).service(read_only("/readyz", ready));
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200)))]
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The process can do its work: its database answers, DATA_DIR can be written to, and it is not about to
/// stop.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200), (status = 503, body = crate::error::ErrorBody)))]
pub(super) async fn ready(app: Data<App>) -> Result<HttpResponse, ApiError> {
    if app.jobs.is_stopping() {
        return Err(Error::new(Code::Stopping, "The server is stopping.").into());
    }
    app.store.check().await.map_err(|error| Error { code: Code::NotReady, ..error })?;
    Ok(HttpResponse::Ok().json(json!({"status": "ok"})))
}
