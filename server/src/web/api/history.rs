//! `GET /api/history`: the jobs in the history.

use actix_web::web::Data;

use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsers};
use crate::web::error_response::ApiError;
use crate::web::localized::Localized;
use uie_jobs::HistoryView;

/// Returns the newest 200 jobs, the oldest of them first, because the original extension's client reverses the list.
#[utoipa::path(get, path = "/api/history", tag = "jobs",
    responses((status = 200, body = HistoryView), (status = 401, body = uie_core::error::ErrorBody), (status = 403, body = uie_core::error::ErrorBody)))]
pub(super) async fn list(_session: Authorized<ReadUsers>, app: Data<App>) -> Result<Localized<HistoryView>, ApiError> {
    Ok(Localized(app.jobs.history().await?))
}
