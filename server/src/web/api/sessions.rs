//! `/api/sessions`: lists and ends sessions.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::app::App;
use crate::web::authorization::{AnySession, Authorized};
use crate::web::error_response::ApiError;
use uie_access::SessionInfo;
use uie_core::error::ErrorBody;

/// Sessions that can be used now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionList {
    /// The admin's own sessions first, then the newest first.
    sessions: Vec<SessionInfo>,
}

/// Which sessions to end.
#[derive(Debug, Deserialize)]
pub(super) struct EndQuery {
    #[serde(default)]
    everywhere: bool,
}

/// Returns all sessions of this server that can be used now, the admin's own sessions first.
#[utoipa::path(get, path = "/api/sessions", tag = "sessions",
    responses((status = 200, body = SessionList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    Authorized { session, .. }: Authorized<AnySession>,
    app: Data<App>,
) -> Result<Json<SessionList>, ApiError> {
    Ok(Json(SessionList { sessions: app.access.sessions(&session).await? }))
}

/// Ends a session and its download links at once. `everywhere` ends all sessions of its admin. Running jobs are not
/// canceled.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "the id of a session, or `current`"),
           ("everywhere" = Option<bool>, Query, description = "end all sessions of this admin")),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn end(
    Authorized { session, .. }: Authorized<AnySession>,
    app: Data<App>,
    id: Path<String>,
    query: Query<EndQuery>,
) -> Result<HttpResponse, ApiError> {
    let id = if *id == "current" { session.id.as_str() } else { id.as_str() };
    app.access.end_session(id, query.everywhere).await?;
    tracing::info!(session = session.id, everywhere = query.everywhere, "a session was ended");
    Ok(HttpResponse::NoContent().finish())
}
