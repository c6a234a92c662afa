//! `POST /api/preview`: the first few rows of an export, before it is started.

use actix_web::web::{Data, Json, ServiceConfig};
use serde_json::Value;

use super::super::{ApiError, App, Authorized, ReadUsersAndConnections};
use super::only;
use crate::error::{Code, Error, ErrorBody};
use crate::export::{ExportRequest, Preview};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(only("/preview", "POST").post(preview));
}

/// Shows the first rows of an export: at most 50, 10 unless `limit` says otherwise, in no particular order.
/// A cell that cannot be computed says why. `format` may be left out.
#[utoipa::path(post, path = "/api/preview", tag = "jobs", request_body = ExportRequest,
    responses((status = 200, body = Preview), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 429, body = ErrorBody)),
    security(("session" = ["read:users", "read:connections"])))]
pub(super) async fn preview(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    Json(mut request): Json<Value>,
) -> Result<Json<Preview>, ApiError> {
    // Nothing is encoded, so the format matters only where it decides which columns there are.
    if let Some(members) = request.as_object_mut() {
        members.entry("format").or_insert_with(|| "csv".into());
    }
    let request: ExportRequest = serde_json::from_value(request)
        .map_err(|error| Error::new(Code::InvalidBody, format!("The JSON body: {error}")))?;
    Ok(Json(app.jobs.preview_export(&session, &request).await?))
}
