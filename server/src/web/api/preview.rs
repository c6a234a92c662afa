//! `POST /api/preview`: the first few rows of an export, before it is started.

use actix_web::web::{Data, Json, ServiceConfig, post};

use super::super::{ApiError, App, SignedIn};
use crate::error::ErrorBody;
use crate::export::{ExportRequest, Preview};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.route("/preview", post().to(preview));
}

/// Shows the first rows of an export: at most 50, 10 unless `limit` says otherwise, in no particular order.
/// A cell that cannot be computed says why.
#[utoipa::path(post, path = "/api/preview", tag = "jobs", request_body = ExportRequest,
    responses((status = 200, body = Preview), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)),
    security(("session" = [])))]
pub(super) async fn preview(
    SignedIn(session): SignedIn,
    app: Data<App>,
    request: Json<ExportRequest>,
) -> Result<Json<Preview>, ApiError> {
    Ok(Json(app.jobs.preview_export(&session, &request).await?))
}
