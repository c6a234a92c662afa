//! `GET /api/users`: how many users match, and the first of them.

use actix_web::web::{Data, Json, Query, ServiceConfig};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::{ApiError, App, SignedIn};
use super::read_only;
use crate::auth0::{UserSearch, connection_query};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(read_only("/users", count));
}

/// Auth0 stops counting here (contract, 4.4).
const COUNTED: u64 = 1000;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    connection: Option<String>,
    q: Option<String>,
}

/// The first matching user and how many there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Matches {
    /// Index of the first user.
    start: u64,
    /// Page size.
    limit: u64,
    /// Users on this page.
    length: u64,
    /// At most one user, as Auth0 has it.
    #[schema(value_type = Vec<Object>)]
    users: Vec<Box<RawValue>>,
    /// How many users match; 1000 at most.
    total: u64,
    /// There, and true, when Auth0 stopped counting: there may be more than `total`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    capped: bool,
}

/// Counts the users that match a query, of one connection or of all.
#[utoipa::path(get, path = "/api/users", tag = "users",
    params(("connection" = Option<String>, Query, description = "a connection's name"),
           ("q" = Option<String>, Query, description = "a query in Auth0's search syntax v3")),
    responses((status = 200, body = Matches), (status = 400, body = crate::error::ErrorBody),
              (status = 401, body = crate::error::ErrorBody)),
    security(("session" = [])))]
pub(super) async fn count(
    SignedIn(session): SignedIn,
    app: Data<App>,
    filter: Query<Filter>,
) -> Result<Json<Matches>, ApiError> {
    let connection = filter.connection.as_deref().filter(|name| !name.is_empty()).map(connection_query);
    let query = filter.q.as_deref().map(str::trim).filter(|query| !query.is_empty());
    let q = match (connection, query) {
        (Some(connection), Some(query)) => format!("{connection} AND ({query})"),
        (Some(connection), None) => connection,
        (None, Some(query)) => query.to_owned(),
        (None, None) => String::new(),
    };
    let search = UserSearch { q, per_page: 1, ..UserSearch::default() };
    let page = app.jobs.clients().for_session(&session)?.users(&search).await?;
    Ok(Json(Matches {
        start: page.start,
        limit: page.limit,
        length: page.users.len() as u64,
        users: page.users,
        total: page.total,
        capped: page.total >= COUNTED,
    }))
}
