//! `/logs` and `/logs/{id}` (docs/auth0/logs.md#reading-logs): search by pages, or reading from a checkpoint.

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::authorize;
use super::query::{Query, invalid};
use crate::reply::{ApiError, ApiResult, json_body, ok};
use crate::search;
use crate::state::State;

const SCOPES: &[&str] = &["read:logs", "read:logs_users"];
/// Maximum number of results of a search.
const MAX_REACHABLE: usize = 1000;

/// Valid names for `fields` and `sort` (docs/auth0/management-api.md#value-patterns).
const FIELDS: &[&str] = &[
    "date",
    "connection",
    "client_id",
    "client_name",
    "ip",
    "user_id",
    "user_name",
    "description",
    "user_agent",
    "type",
    "details",
    "strategy",
    "strategy_type",
];

pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    authorize(&request, &state, SCOPES)?;
    state.jobs.settle(state.clock.now());
    let query = Query::of(&request);
    if query.get("from").is_some() || query.get("take").is_some() {
        return read_from_checkpoint(&request, &state, &query);
    }
    let limit = query.integer("per_page", 0, 100)?.unwrap_or(50) as usize;
    let start = query.integer("page", 0, u64::from(u32::MAX))?.unwrap_or(0) as usize * limit;
    if start >= MAX_REACHABLE {
        return Err(ApiError::bad_request(
            "invalid_paging",
            "You can only page through the first 1000 records. See https://auth0.com/docs/logs/retrieve-log-events-using-mgmt-api",
        ));
    }
    let totals = query.boolean("include_totals")?.unwrap_or(false);
    let (fields, include) = query.fields(Some(FIELDS))?;
    let wanted = query
        .get("q")
        .filter(|q| !q.trim().is_empty())
        .map(search::Query::parse)
        .transpose()
        .map_err(|refused| invalid("q", &format!("The query is not valid: {refused}")))?;
    let mut found = state.logs.all();
    found.retain(|entry| wanted.as_ref().is_none_or(|wanted| wanted.matches(entry)));
    let (field, descending) = order(query.get("sort").unwrap_or("date:-1"))?;
    found.sort_by(|a, b| {
        let order = a[field].to_string().cmp(&b[field].to_string());
        if descending { order.reverse() } else { order }
    });
    found.truncate(MAX_REACHABLE);
    let total = found.len();
    let logs: Vec<Value> = found
        .into_iter()
        .skip(start)
        .take(limit)
        .map(|entry| select_fields(entry, fields.as_deref(), include))
        .collect();
    if totals {
        return Ok(ok(&json!({"start": start, "limit": limit, "length": logs.len(), "total": total, "logs": logs})));
    }
    Ok(ok(&logs.into()))
}

/// Returns the entries after a checkpoint, without other filters, and a `Link` header to the next ones. At the end, the
/// list is empty and the link does not change.
fn read_from_checkpoint(request: &HttpRequest, state: &State, query: &Query) -> ApiResult {
    let take = query.integer("take", 1, 100)?.unwrap_or(50);
    let from = query.get("from").unwrap_or_default();
    let logs = state.logs.after(from, take as usize);
    let next = logs.last().and_then(|entry| entry["log_id"].as_str()).unwrap_or(from);
    let parameters = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("from", next)
        .append_pair("take", &take.to_string())
        .finish();
    let link = format!("<{}/api/v2/logs?{parameters}>; rel=\"next\"", state.origin(request));
    let mut reply = actix_web::HttpResponse::Ok();
    reply.insert_header((header::LINK, link));
    Ok(json_body(&mut reply, &logs.into()))
}

fn order(sort: &str) -> Result<(&str, bool), ApiError> {
    match sort.rsplit_once(':') {
        Some((field, direction @ ("1" | "-1"))) if FIELDS.contains(&field) => Ok((field, direction == "-1")),
        _ => {
            let one = FIELDS.iter().map(|name| format!("({name})")).collect::<Vec<_>>().join("|");
            Err(invalid("sort", &format!("String does not match pattern ^({one})\\:(1|-1)$")))
        }
    }
}

/// Restricts an entry to the requested fields.
fn select_fields(entry: Value, fields: Option<&[&str]>, include: bool) -> Value {
    let (Some(fields), Value::Object(members)) = (fields, &entry) else { return entry };
    members
        .iter()
        .filter(|(name, _)| fields.contains(&name.as_str()) == include)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

pub(super) async fn get(request: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> ApiResult {
    authorize(&request, &state, SCOPES)?;
    state.jobs.settle(state.clock.now());
    let entry = state.logs.get(&id).ok_or_else(|| ApiError::not_found("inexistent_log", "Log not found."))?;
    Ok(ok(&entry))
}
