//! Previews of an export: its first rows, computed by the same stages, without a file.

use serde::Serialize;
use serde_json::Value as JsonValue;
use serde_json::value::RawValue;

use super::encode::ComputedRow;
use super::plan::{Filtering, PAGE, PlanView, Probe, SEARCH_CAP, combine, refusal_reason};
use super::request::ExportRequest;
use super::spec::ExportSpec;
use uie_auth0::{ManagementClient, UserSearch};
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::{Localize, Message, message};
use uie_expression::{Evaluator, ExpressionRemark, Formula, Kind, RowValues};
use uie_json::{Json, Path, ProjectionMask, parse_row};
use uie_query::{Query, Remark};
use uie_records::describe_parse_error;

/// Maximum number of users in a preview.
pub const MAX_PREVIEW_ROWS: u64 = 50;

/// Number of users in a preview without a limit.
const DEFAULT_PREVIEW_ROWS: u64 = 10;

/// The first few rows of an export.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Preview {
    /// The columns; a single one named `user` if whole users are exported.
    pub columns: Vec<PreviewColumn>,
    /// A row for each user, with a cell for each column.
    pub rows: Vec<Vec<PreviewCell>>,
    /// Number of users that match; Auth0 stops counting at 1000.
    pub users: u64,
    /// Remarks about the sort expression; absent without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, required = false))]
    pub sort_remarks: Vec<Message>,
    /// How the export would be carried out.
    pub plan: PlanView,
}

/// A column of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewColumn {
    /// Its name.
    pub name: String,
    /// Kind of its expression.
    pub kind: Kind,
    /// Remarks about its expression, such as an attribute that no user has; absent without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, required = false))]
    pub remarks: Vec<Message>,
}

/// A cell of a preview.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PreviewCell {
    /// Its value; `null` if it is empty.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    Value(JsonValue),
    /// Why it cannot be computed.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    Error(Message),
}

impl Localize for Preview {
    fn localize(&mut self, language: Language) {
        self.plan.localize(language);
        self.sort_remarks.localize(language);
        for column in &mut self.columns {
            column.remarks.localize(language);
        }
        for cell in self.rows.iter_mut().flatten() {
            if let PreviewCell::Error(message) = cell {
                message.localize(language);
            }
        }
    }
}

/// Returns the number of users in a preview. Fails if the request's limit is 0 or more than [`MAX_PREVIEW_ROWS`].
pub fn preview_limit(request: &ExportRequest) -> Result<u64> {
    match request.limit.unwrap_or(DEFAULT_PREVIEW_ROWS) {
        limit @ 1..=MAX_PREVIEW_ROWS => Ok(limit),
        limit => Err(Error::new(
            Code::InvalidBody,
            message!("The limit of a preview is {limit}; expected 1 to {max}.", max = MAX_PREVIEW_ROWS),
        )),
    }
}

/// Number of users that this program filters itself if Auth0 cannot evaluate the query: one page.
const LOCAL_FILTER_USERS: u32 = PAGE;

/// Previews an export of a tenant's users, using only the requests that its plan needs.
///
/// Rows are not sorted, because that would need all users. If Auth0 cannot evaluate the query, the preview has the
/// matching users of one page. Cells are computed while the permit that `permit` returns is held.
pub async fn preview<T: Send + 'static>(
    mut spec: ExportSpec,
    limit: u64,
    client: &ManagementClient,
    permit: impl Future<Output = Result<T>>,
) -> Result<Preview> {
    // `limit` is the limit of the preview, not of the export that is planned.
    spec.limit = None;
    let matching = u32::try_from(limit).unwrap_or(u32::MAX);
    let probe = Probe { matching, unfiltered: LOCAL_FILTER_USERS, whole: true };
    let (mut plan, page) = Box::pin(spec.plan_with_probe(client, probe)).await?;
    let mut users: Vec<String> = page.users.iter().map(|user| user.get().to_owned()).collect();
    let mut total = page.total;
    if matches!(plan.filtering, Filtering::Here { because: Some(_), .. }) {
        spec = spec.with_local_filter()?;
        users.retain(|user| spec.matches_filter(user.as_bytes()));
        total = users.len() as u64;
    }
    users.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let unfounded = unfounded_remarks(&spec, &page.users);
    plan.remarks.retain(|remark| !unfounded.contains(remark));
    let sort_remarks = spec.sort.as_ref().map(|sort| founded_remarks(&sort.formula, &unfounded)).unwrap_or_default();
    let permit = permit.await?;
    // Transforms may take long. The permit is released after the computation, even if the caller has gone away.
    let computing = tokio::task::spawn_blocking(move || {
        let rows = rows(&spec, &users, &unfounded);
        drop(permit);
        rows
    });
    let (columns, rows) = computing.await.map_err(Error::internal)?;
    Ok(Preview { columns, rows, users: total, sort_remarks, plan: PlanView::from(&plan) })
}

/// The number of users that match a query, found with one or two requests.
#[derive(Clone, Debug)]
pub struct Matches {
    /// The first matching user, as Auth0 returned it. `None` if no user matches.
    pub first: Option<Box<RawValue>>,
    /// Number of users found.
    pub total: u64,
    /// Whether there may be more.
    pub capped: bool,
    /// Remarks on the query.
    pub remarks: Vec<Remark>,
}

/// Counts the users that match a query, in one connection or in all. Auth0 stops counting at 1000. If it cannot
/// evaluate the query, the matching users of one page are counted.
///
/// Fails if the query cannot be parsed; the error shows the position.
pub async fn count_matches(
    query: Option<&str>,
    connection: Option<&str>,
    client: &ManagementClient,
) -> Result<Matches> {
    let query = query.map(Query::parse).transpose()?;
    let remarks = query.as_ref().map(|query| query.remarks().to_vec()).unwrap_or_default();
    let search = async |q: String, per_page| client.users(&UserSearch { q, per_page, ..UserSearch::default() }).await;
    let refused = match &query {
        Some(query) if query.unsupported_by_auth0().is_some() => None,
        _ => match search(combine(query.as_ref().map(Query::source), connection), 1).await {
            Ok(page) => {
                let capped = page.total >= SEARCH_CAP;
                return Ok(Matches { first: page.users.into_iter().next(), total: page.total, capped, remarks });
            }
            Err(error) if query.is_some() && refusal_reason(&error).is_some() => Some(error),
            Err(error) => return Err(error),
        },
    };
    let filter = match query.as_ref().map(Query::filter) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => return Err(refused.unwrap_or(error)),
        None => return Err(Error::new(Code::Internal, message!("Auth0 refused a search without a query."))),
    };
    let wanted = filter.extend_mask(ProjectionMask::new([]));
    let page = search(combine(None, connection), LOCAL_FILTER_USERS).await?;
    let capped = page.total > page.users.len() as u64;
    let matches = |user: &RawValue| parse_row(user.get().as_bytes(), &wanted).is_ok_and(|user| filter.matches(&user));
    let mut matching = page.users.into_iter().filter(|user| matches(user));
    let first = matching.next();
    let total = u64::from(first.is_some()) + matching.count() as u64;
    Ok(Matches { first, total, capped, remarks })
}

/// Returns the remarks about attributes that one of these users has: a user of Auth0 may have attributes of an identity
/// provider that are not documented.
fn unfounded_remarks(spec: &ExportSpec, users: &[Box<RawValue>]) -> Vec<Message> {
    let remarks = spec.formulas().flat_map(Formula::remarks);
    let is_unfounded = |remark: &&ExpressionRemark| {
        let Some(attribute) = remark.attribute.as_deref() else { return false };
        let mask = ProjectionMask::new([&Path::attribute(attribute)]);
        users.iter().any(|user| match parse_row(user.get().as_bytes(), &mask) {
            Ok(Json::Object(members)) => members.iter().any(|(name, _)| name == attribute),
            _ => false,
        })
    };
    remarks.filter(is_unfounded).map(|remark| remark.message.clone()).collect()
}

/// Returns the remarks on a formula without the unfounded ones.
fn founded_remarks(formula: &Formula, unfounded: &[Message]) -> Vec<Message> {
    let messages = formula.remarks().iter().map(|remark| &remark.message);
    messages.filter(|message| !unfounded.contains(message)).cloned().collect()
}

fn rows(spec: &ExportSpec, users: &[String], unfounded: &[Message]) -> (Vec<PreviewColumn>, Vec<Vec<PreviewCell>>) {
    let columns = spec.encoder.shape.columns();
    if columns.is_empty() {
        let rows = users.iter().map(|user| {
            let value = serde_json::from_str(user);
            let unreadable = |error: serde_json::Error| PreviewCell::Error(Message::verbatim(error.to_string()));
            vec![value.map_or_else(unreadable, PreviewCell::Value)]
        });
        return (
            vec![PreviewColumn { name: "user".to_owned(), kind: Kind::Path, remarks: Vec::new() }],
            rows.collect(),
        );
    }
    let titles = columns.iter().map(|column| PreviewColumn {
        name: column.name.clone(),
        kind: column.formula.kind(),
        remarks: founded_remarks(&column.formula, unfounded),
    });
    let titles = titles.collect();
    let read: Vec<_> = users.iter().map(|user| spec.encoder.read(user.as_bytes(), &spec.wanted, false)).collect();
    let good: Vec<RowValues<'_, '_>> =
        read.iter().filter_map(|read| read.as_ref().ok().map(|(_, user)| RowValues::Tree(user))).collect();
    let computed = Evaluator::new(spec.formulas()).compute(&good);
    let mut row = 0;
    let rows = read.iter().map(|read| match read {
        Err(unreadable) => {
            let message = describe_parse_error(unreadable);
            columns.iter().map(|_| PreviewCell::Error(message.clone())).collect()
        }
        Ok((_, user)) => {
            let computed = ComputedRow { cells: &computed, row };
            row += 1;
            columns
                .iter()
                .map(|column| match column.fault(computed) {
                    Some(fault) => PreviewCell::Error(fault),
                    None => PreviewCell::Value(transforms_sdk::Value::from(column.cell(user, computed)).into()),
                })
                .collect()
        }
    });
    (titles, rows.collect())
}
