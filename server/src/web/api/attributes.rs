//! `GET /api/attributes`: what the tenant's users hold, sampled from real ones.

use actix_web::web::{Data, Json, Query, ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{ApiError, App, Authorized, ReadUsers};
use super::read_only;
use crate::auth0::{UserSearch, connection_query};
use crate::error::ErrorBody;
use crate::export::sample::{self, Attribute};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/attributes", list));
}

/// Users that are looked at: one page of a search.
const SAMPLE: u32 = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    connection: Option<String>,
}

/// The attributes of a sample of users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attributes {
    /// Users that were looked at: the newest.
    users: usize,
    /// Their attributes, in the order of the original's columns, then by how many users have them.
    attributes: Vec<Attribute>,
}

/// Attribute paths of the newest users, with type, share of users that have it, and an example.
#[utoipa::path(get, path = "/api/attributes", tag = "users",
    params(("connection" = Option<String>, Query, description = "a connection's name")),
    responses((status = 200, body = Attributes), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("session" = ["read:users"])))]
pub(super) async fn list(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    filter: Query<Filter>,
) -> Result<Json<Attributes>, ApiError> {
    let connection = filter.connection.as_deref().filter(|name| !name.is_empty());
    let search = UserSearch {
        q: connection.map(connection_query).unwrap_or_default(),
        per_page: SAMPLE,
        sort: Some(("created_at".to_owned(), true)),
        ..UserSearch::default()
    };
    let page = app.jobs.clients().for_session(&session)?.users(&search).await?;
    let users = page.users.iter().filter_map(|user| serde_json::from_str(user.get()).ok()).collect::<Vec<_>>();
    Ok(Json(Attributes { users: users.len(), attributes: sample::attributes(&users) }))
}
