//! `POST /api/preview`: the first rows of an export, before it is started.

use actix_web::web::{Data, Json};
use serde_json::Value;

use super::extractors::deserialize_body;
use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsersAndConnections};
use crate::web::error_response::ApiError;
use crate::web::localized::Localized;
use uie_core::error::ErrorBody;
use uie_export::{ExportRequest, Preview};

/// Returns the first rows of an export: 10, or with `limit` up to 50, in no particular order. A cell that cannot be
/// computed has an error. `format` is optional.
#[utoipa::path(post, path = "/api/preview", tag = "jobs", request_body = ExportRequest,
    responses((status = 200, body = Preview), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
              (status = 429, body = ErrorBody)))]
pub(super) async fn compute(
    Authorized { session, .. }: Authorized<ReadUsersAndConnections>,
    app: Data<App>,
    Json(mut request): Json<Value>,
) -> Result<Localized<Preview>, ApiError> {
    // Nothing is encoded. The format only matters if it determines the columns.
    if let Some(members) = request.as_object_mut() {
        members.entry("format").or_insert_with(|| "csv".into());
    }
    let request: ExportRequest = deserialize_body(request)?;
    Ok(Localized(app.jobs.preview_export(&session.principal(), &request).await?))
}
