//! `GET /api/users`: the number of matching users, and the first of them.

use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::web::app::App;
use crate::web::authorization::{Authorized, ReadUsers};
use crate::web::error_response::ApiError;
use crate::web::localized::Localized;
use uie_core::language::Language;
use uie_core::message::Localize;
use uie_query::Remark;

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    connection: Option<String>,
    q: Option<String>,
}

/// The first matching user and the number of matching users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Matches {
    /// Index of the first user.
    start: u64,
    /// Page size.
    limit: u64,
    /// Users on this page.
    length: u64,
    /// At most one user, as returned by Auth0.
    #[schema(value_type = Vec<Object>)]
    users: Vec<Box<RawValue>>,
    /// Number of matching users, as far as it is known.
    total: u64,
    /// True if there may be more users than `total`, otherwise absent: Auth0 stops counting at 1000, and for a query
    /// that this server evaluates only one page of users was searched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    capped: bool,
    /// Remarks on the query: how a part of it was read, and probable typing errors. Empty lists are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<Remark>,
}

impl Localize for Matches {
    fn localize(&mut self, language: Language) {
        self.remarks.localize(language);
    }
}

/// Counts the users that match a query, of one connection or of all. The error for an invalid query shows its position.
#[utoipa::path(get, path = "/api/users", tag = "users",
    params(("connection" = Option<String>, Query, description = "a connection's name"),
           ("q" = Option<String>, Query, description = "a query in Auth0's search syntax v3")),
    responses((status = 200, body = Matches), (status = 400, body = uie_core::error::ErrorBody),
              (status = 401, body = uie_core::error::ErrorBody), (status = 403, body = uie_core::error::ErrorBody)))]
pub(super) async fn count(
    Authorized { session, .. }: Authorized<ReadUsers>,
    app: Data<App>,
    filter: Query<Filter>,
) -> Result<Localized<Matches>, ApiError> {
    let non_empty =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (query, connection) = (non_empty(&filter.q), non_empty(&filter.connection));
    let client = app.jobs.client_provider().for_principal(&session.principal())?;
    let uie_export::Matches { first, total, capped, remarks } =
        uie_export::count_matches(query.as_deref(), connection.as_deref(), &client).await?;
    let users: Vec<_> = first.into_iter().collect();
    Ok(Localized(Matches { start: 0, limit: 1, length: users.len() as u64, users, total, capped, remarks }))
}
