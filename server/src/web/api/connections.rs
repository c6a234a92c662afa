//! `GET /api/connections`: the connections of the tenant.

use actix_web::web::{Data, Query};
use serde::Deserialize;

use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadConnections};
use crate::web::error_response::ApiError;
use crate::web::localized::Localized;
use uie_auth0::Connection;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    strategy: Option<String>,
}

/// Returns all connections of the tenant, sorted by name.
///
/// Any non-empty `strategy` means `auth0`, as in the original extension (docs/auth0/original-extension.md#routes).
#[utoipa::path(get, path = "/api/connections", tag = "connections",
    params(("strategy" = Option<String>, Query, description = "`auth0`: databases only")),
    responses((status = 200, body = Vec<Connection>), (status = 401, body = uie_core::error::ErrorBody), (status = 403, body = uie_core::error::ErrorBody)))]
pub(super) async fn list(
    Authorized { session, .. }: Authorized<ReadConnections>,
    app: Data<App>,
    filter: Query<Filter>,
) -> Result<Localized<Vec<Connection>>, ApiError> {
    let strategy = filter.strategy.as_deref().filter(|strategy| !strategy.is_empty()).map(|_| "auth0");
    let mut connections = app.jobs.client_provider().for_principal(&session.principal())?.connections(strategy).await?;
    connections.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Localized(connections))
}
