//! `/api/sessions`: who is signed in, and ending sessions.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query, ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{AnySession, ApiError, App, Authorized};
use super::{only, read_only};
use crate::access::SessionInfo;
use crate::error::ErrorBody;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/sessions", list)).service(only("/sessions/{id}", "DELETE").delete(end));
}

/// Sessions that are usable now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionList {
    /// Own sessions first, then the newest first.
    sessions: Vec<SessionInfo>,
}

/// Which sessions to end.
#[derive(Debug, Deserialize)]
pub(super) struct EndQuery {
    #[serde(default)]
    everywhere: bool,
}

/// Every session of this server that is usable now: own sessions first.
#[utoipa::path(get, path = "/api/sessions", tag = "sessions",
    responses((status = 200, body = SessionList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("session" = [])))]
pub(super) async fn list(
    Authorized { session, .. }: Authorized<AnySession>,
    app: Data<App>,
) -> Result<Json<SessionList>, ApiError> {
    Ok(Json(SessionList { sessions: app.access.sessions(&session).await? }))
}

/// Ends a session at once, and its download links with it. `everywhere` ends all sessions of its person. Jobs that
/// run are not canceled.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "the id of a session, or `current`"),
           ("everywhere" = Option<bool>, Query, description = "end all sessions of this person")),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("session" = [])))]
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
