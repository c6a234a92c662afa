//! `GET /api/history`: every job that is still known.

use actix_web::web::{Data, Json, ServiceConfig};

use super::super::{ApiError, App, Authorized, ReadUsers};
use super::read_only;
use crate::jobs::HistoryView;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/history", list));
}

/// The newest 200 jobs, oldest of them first (the original's client turns them round).
#[utoipa::path(get, path = "/api/history", tag = "jobs",
    responses((status = 200, body = HistoryView), (status = 401, body = crate::error::ErrorBody), (status = 403, body = crate::error::ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn list(_session: Authorized<ReadUsers>, app: Data<App>) -> Result<Json<HistoryView>, ApiError> {
    Ok(Json(app.jobs.history().await?))
}
