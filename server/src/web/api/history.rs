//! `GET /api/history`: the jobs in the history.

use actix_web::web::{Data, Json, ServiceConfig};

use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsers};
use crate::web::error_response::ApiError;
use crate::web::resource::get_resource;
use uie_jobs::HistoryView;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(get_resource("/history", list));
}

/// Returns the newest 200 jobs, the oldest of them first, because the original extension's client reverses the list.
#[utoipa::path(get, path = "/api/history", tag = "jobs",
    responses((status = 200, body = HistoryView), (status = 401, body = uie_core::error::ErrorBody), (status = 403, body = uie_core::error::ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn list(_session: Authorized<ReadUsers>, app: Data<App>) -> Result<Json<HistoryView>, ApiError> {
    Ok(Json(app.jobs.history().await?))
}
