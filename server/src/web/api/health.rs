//! `/healthz` and `/readyz`, for load balancers and service managers.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::web::app::App;
use crate::web::authorization::PublicAccess;
use crate::web::error_response::ApiError;
use uie_core::error::{Code, Error};
use uie_core::message::message;

/// Reports that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200)))]
pub(super) async fn alive(_access: PublicAccess) -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Reports whether the process is ready: the database answers, DATA_DIR is writable, and the server is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200), (status = 503, body = uie_core::error::ErrorBody)))]
pub(super) async fn ready(_access: PublicAccess, app: Data<App>) -> Result<HttpResponse, ApiError> {
    if app.jobs.is_stopping() {
        return Err(Error::new(Code::Stopping, message!("The server is stopping.")).into());
    }
    app.store.check().await.map_err(|error| error.with_code(Code::NotReady))?;
    Ok(HttpResponse::Ok().json(json!({"status": "ok"})))
}
