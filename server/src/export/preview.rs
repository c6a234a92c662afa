//! What an export would give for the first few users: its own stages, without a file.

use serde::Serialize;
use serde_json::Value as JsonValue;
use serde_json::value::RawValue;

use super::encode::Given;
use super::plan::{Filtering, PAGE, PlanView, SEARCH_CAP, Sample, combine, why_refused};
use super::{ExportRequest, ExportSpec};
use crate::auth0::{ManagementClient, UserSearch};
use crate::error::{Code, Error, Result};
use crate::expression::{Attributes, Evaluator, Kind, Wanted, read};
use crate::query::Query;

/// At most so many users are previewed.
pub const MOST_PREVIEWED: u64 = 50;

/// Without a limit so many are.
const USUAL: u64 = 10;

/// The first few rows of an export.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Preview {
    /// The columns; one, named `user`, where whole users are exported.
    pub columns: Vec<PreviewColumn>,
    /// A row for each user, with a cell for each column.
    pub rows: Vec<Vec<PreviewCell>>,
    /// How many users match; Auth0 stops counting at 1000.
    pub users: u64,
    /// How the export would be carried out.
    pub plan: PlanView,
}

/// A column of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PreviewColumn {
    /// Its name.
    pub name: String,
    /// What its expression is.
    pub kind: Kind,
}

/// A cell of a preview.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PreviewCell {
    /// What it holds; `null` where it is empty.
    #[schema(value_type = Value)]
    Value(JsonValue),
    /// Why it cannot be computed.
    Error(String),
}

/// How many users a request for a preview asks for. More than [`MOST_PREVIEWED`] are refused.
pub fn previewed(request: &ExportRequest) -> Result<u64> {
    match request.limit.unwrap_or(USUAL) {
        limit @ 1..=MOST_PREVIEWED => Ok(limit),
        limit => Err(Error::new(
            Code::InvalidBody,
            format!("The limit of a preview is {limit}; expected 1 to {MOST_PREVIEWED}."),
        )),
    }
}

/// Users that are looked through where Auth0 cannot search and we do: one page.
const LOOKED_THROUGH: u32 = PAGE;

/// Previews an export of a tenant's users, with the requests that its plan needs. Rows are not sorted, since
/// all users would have to be read for that. Where Auth0 cannot carry out the query, the users are those
/// among one page that match.
///
/// Nothing is computed before there is a `turn`, which is held until that is done.
pub async fn preview<T: Send + 'static>(
    mut spec: ExportSpec,
    limit: u64,
    client: &ManagementClient,
    turn: impl Future<Output = Result<T>>,
) -> Result<Preview> {
    // The limit is the preview's own.
    spec.limit = None;
    let matching = u32::try_from(limit).unwrap_or(u32::MAX);
    let sample = Sample { matching, others: LOOKED_THROUGH, whole: true };
    let (plan, page) = Box::pin(spec.plan_and_look(client, sample)).await?;
    let mut users: Vec<String> = page.users.iter().map(|user| user.get().to_owned()).collect();
    let mut total = page.total;
    if matches!(plan.filtering, Filtering::Here { because: Some(_), .. }) {
        spec = spec.filtered()?;
        users.retain(|user| spec.finds(user.as_bytes()));
        total = users.len() as u64;
    }
    users.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let internal = |error: &dyn std::fmt::Display| Error::new(Code::Internal, error.to_string());
    let turn = turn.await?;
    // Transforms may take their time. The turn ends with the computing, even when nobody waits for it any more.
    let computing = tokio::task::spawn_blocking(move || {
        let rows = rows(&spec, &users);
        drop(turn);
        rows
    });
    let (columns, rows) = computing.await.map_err(|error| internal(&error))?;
    Ok(Preview { columns, rows, users: total, plan: PlanView::from(&plan) })
}

/// How many users match a query, as far as one or two requests can tell.
#[derive(Clone, Debug)]
pub struct Matches {
    /// The first of them, if there is one, as Auth0 has it.
    pub first: Option<Box<RawValue>>,
    /// How many were found.
    pub total: u64,
    /// Whether there may be more.
    pub capped: bool,
}

/// Counts the users of a connection, or of all, that match a query. Auth0 stops at 1000; where it cannot
/// search at all, the matching ones among one page are counted. The error of a query that cannot be read
/// shows the place.
pub async fn count(query: Option<&str>, connection: Option<&str>, client: &ManagementClient) -> Result<Matches> {
    let query = query.map(Query::parse).transpose()?;
    let found = async |q: String, per_page| client.users(&UserSearch { q, per_page, ..UserSearch::default() }).await;
    let refused = match &query {
        Some(query) if query.beyond_auth0().is_some() => None,
        _ => match found(combine(query.as_ref().map(Query::source), connection), 1).await {
            Ok(page) => {
                let capped = page.total >= SEARCH_CAP;
                return Ok(Matches { first: page.users.into_iter().next(), total: page.total, capped });
            }
            Err(error) if query.is_some() && why_refused(&error).is_some() => Some(error),
            Err(error) => return Err(error),
        },
    };
    let filter = match query.as_ref().map(Query::filter) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => return Err(refused.unwrap_or(error)),
        None => return Err(Error::new(Code::Internal, "All users were refused as if they were a query.")),
    };
    let wanted = filter.wanted(Wanted::new([]));
    let page = found(combine(None, connection), LOOKED_THROUGH).await?;
    let capped = page.total > page.users.len() as u64;
    let matches = |user: &RawValue| read(user.get().as_bytes(), &wanted).is_ok_and(|user| filter.matches(&user));
    let mut matching = page.users.into_iter().filter(|user| matches(user));
    let first = matching.next();
    let total = u64::from(first.is_some()) + matching.count() as u64;
    Ok(Matches { first, total, capped })
}

fn rows(spec: &ExportSpec, users: &[String]) -> (Vec<PreviewColumn>, Vec<Vec<PreviewCell>>) {
    let columns = spec.encoder.shape.columns();
    if columns.is_empty() {
        let rows = users.iter().map(|user| {
            let value = serde_json::from_str(user).map_err(|error| error.to_string());
            vec![value.map_or_else(PreviewCell::Error, PreviewCell::Value)]
        });
        return (vec![PreviewColumn { name: "user".to_owned(), kind: Kind::Path }], rows.collect());
    }
    let titles =
        columns.iter().map(|column| PreviewColumn { name: column.name.clone(), kind: column.formula.kind() }).collect();
    let read: Vec<_> = users.iter().map(|user| spec.encoder.read(user.as_bytes(), &spec.wanted, false)).collect();
    let good: Vec<Attributes<'_, '_>> =
        read.iter().filter_map(|read| read.as_ref().ok().map(|(_, user)| Attributes::Tree(user))).collect();
    let computed = Evaluator::new(spec.formulas()).compute(&good);
    let mut place = 0;
    let rows = read.iter().map(|read| match read {
        Err(unreadable) => columns.iter().map(|_| PreviewCell::Error(unreadable.to_string())).collect(),
        Ok((_, user)) => {
            let given = Given { computed: &computed, row: place };
            place += 1;
            columns
                .iter()
                .map(|column| match column.fault(given) {
                    Some(why) => PreviewCell::Error(why),
                    None => PreviewCell::Value(transforms_sdk::Value::from(column.cell(user, given)).into()),
                })
                .collect()
        }
    });
    (titles, rows.collect())
}
