//! `GET /api/attributes`: the attributes of a sample of the tenant's users.

use actix_web::web::{Data, Json, Query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsers};
use crate::web::error_response::ApiError;
use uie_auth0::{UserSearch, connection_query};
use uie_core::error::ErrorBody;
use uie_export::attributes::{Attribute, discover_attributes};

/// Number of users in the sample: one page of a search.
const SAMPLE_SIZE: u32 = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    connection: Option<String>,
}

/// The attributes of a sample of users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attributes {
    /// Number of users in the sample, which are the newest.
    users: usize,
    /// Their attributes, in the order of the original extension's columns, then by the number of users that have them.
    attributes: Vec<Attribute>,
}

/// Returns the attribute paths of the newest users, each with its type, the share of users that have it, and an
/// example.
#[utoipa::path(get, path = "/api/attributes", tag = "users",
    params(("connection" = Option<String>, Query, description = "a connection's name")),
    responses((status = 200, body = Attributes), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    filter: Query<Filter>,
) -> Result<Json<Attributes>, ApiError> {
    let connection = filter.connection.as_deref().filter(|name| !name.is_empty());
    let search = UserSearch {
        q: connection.map(connection_query).unwrap_or_default(),
        per_page: SAMPLE_SIZE,
        sort: Some(("created_at".to_owned(), true)),
        ..UserSearch::default()
    };
    let page = app.jobs.client_provider().for_principal(&session.principal())?.users(&search).await?;
    let users = page.users.iter().filter_map(|user| serde_json::from_str(user.get()).ok()).collect::<Vec<_>>();
    Ok(Json(Attributes { users: users.len(), attributes: discover_attributes(&users) }))
}
