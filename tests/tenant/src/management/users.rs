//! `/users`, `/users/{id}`, `/users-by-email` (docs/auth0/management-api.md#users,
//! docs/auth0/management-api.md#one-user).

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use super::query::{Query, invalid};
use super::{Caller, authorize};
use crate::directory::Handle;
use crate::export::without_idp_tokens;
use crate::reply::{ApiError, ApiResult, ok};
use crate::search;
use crate::state::{SearchResult, State};

/// Maximum number of results of a search.
const MAX_REACHABLE: u64 = 1000;
/// Maximum length of a URL. Auth0 does not publish its limit (docs/auth0/search-syntax.md#limits).
const MAX_URL_LENGTH: usize = 8 * 1024;
/// Maximum number of cached search results.
const MAX_CACHED: usize = 64;

/// Valid names for `fields` of `GET /users/{id}` and `GET /users-by-email`
/// (docs/auth0/management-api.md#value-patterns).
const FIELDS: &[&str] = &[
    "phone_number",
    "email",
    "email_verified",
    "picture",
    "username",
    "user_id",
    "name",
    "nickname",
    "created_at",
    "identities",
    "app_metadata",
    "user_metadata",
    "last_ip",
    "last_login",
    "logins_count",
    "updated_at",
    "blocked",
    "family_name",
    "given_name",
];

pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let caller = authorize(&request, &state, &["read:users"])?;
    if request.uri().to_string().len() > MAX_URL_LENGTH {
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, None, "Request-URI Too Long"));
    }
    let query = Query::of(&request);
    let engine = query.get("search_engine");
    match engine {
        None | Some("v3") => {}
        Some(old @ ("v1" | "v2")) => {
            return Err(ApiError::query(format!(
                "You are not allowed to use search_engine={old}. Use search_engine=v3 instead."
            )));
        }
        Some(other) => return Err(invalid("search_engine", &format!("No enum match for: {other}"))),
    }
    let q = query.get("q").filter(|q| !q.trim().is_empty());
    if q.is_some() && engine.is_none() {
        return Err(ApiError::query("The 'q' parameter is available only if you specify 'search_engine=v2|v3'."));
    }
    let limit = query.integer("per_page", 0, 100)?.unwrap_or(50);
    let start = query.integer("page", 0, u64::from(u32::MAX))?.unwrap_or(0) * limit;
    if start >= MAX_REACHABLE {
        return Err(ApiError::bad_request(
            "invalid_paging",
            "You can only page through the first 1000 records. See https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation",
        ));
    }
    query.boolean("primary_order")?;
    let totals = query.boolean("include_totals")?.unwrap_or(false);
    let sort = query.get("sort").map(sort_order).transpose()?;
    let (fields, include) = query.fields(None)?;
    let parsed = q
        .map(search::Query::parse)
        .transpose()
        .map_err(|refused| invalid("q", &format!("The query is not valid: {refused}")))?;
    state.jobs.settle(state.clock.now());
    let cost = parsed.as_ref().map_or(0, search::Query::cost).saturating_mul(state.searchable().into());
    if u128::from(cost) > state.settings.query_timeout.as_nanos() {
        return Err(slow_query());
    }

    let key = format!("{}\n{}\n{}", q.unwrap_or_default(), query.get("sort").unwrap_or_default(), state.searchable());
    let worker = state.clone().into_inner();
    let found = web::block(move || find(&worker, key, parsed.as_ref(), sort.as_ref()))
        .await
        .map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, None, "Internal error."))?;

    let users: Vec<Value> = found
        .iter()
        .skip(start as usize)
        .take(limit as usize)
        .filter_map(|handle| state.directory.get(*handle))
        .map(|user| select_fields(user, &caller, fields.as_deref(), include))
        .collect();
    if !totals {
        return Ok(ok(&users.into()));
    }
    Ok(ok(&json!({
        "start": start,
        "limit": limit,
        "length": users.len(),
        "users": users,
        "total": found.len(),
    })))
}

/// The 503 of a search that exceeds its time limit (docs/auth0/management-api.md#users).
pub(crate) fn slow_query() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        None,
        "The query exceeded the timeout. Please try refining your search criteria. See https://auth0.com/docs/best-practices/search-best-practices.",
    )
}

/// Returns the first 1000 users that match a search, in order.
fn find(state: &State, key: String, query: Option<&search::Query>, sort: Option<&(Vec<String>, bool)>) -> SearchResult {
    let version = state.directory.version();
    let mut kept = state.searches.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, found)) = kept.get(&key)
        && *of == version
    {
        return Arc::clone(found);
    }
    drop(kept);
    let visible = state.searchable();
    let candidates: Box<dyn Iterator<Item = Handle>> = match query {
        Some(query) if query.only_email().is_some() => {
            Box::new(state.directory.by_email(&query.only_email().unwrap_or_default()).into_iter())
        }
        Some(query) if query.only_user_id().is_some() => {
            Box::new(state.directory.by_user_id(query.only_user_id().unwrap_or_default()).into_iter())
        }
        _ => Box::new(0..visible),
    };
    let mut matching = candidates.filter(|handle| *handle < visible).filter_map(|handle| {
        if query.is_none() && sort.is_none() {
            return Some((Value::Null, handle));
        }
        let user = state.directory.get(handle)?;
        if query.is_some_and(|query| !query.matches(&user)) {
            return None;
        }
        let key = sort.and_then(|(path, _)| path.iter().try_fold(&user, |value, name| value.get(name)).cloned());
        Some((key.unwrap_or_default(), handle))
    });
    let found: Vec<Handle> = match sort {
        None => matching.take(MAX_REACHABLE as usize).map(|(_, handle)| handle).collect(),
        Some((_, descending)) => {
            let mut first: Vec<(Value, Handle)> = Vec::new();
            let compare = |a: &(Value, Handle), b: &(Value, Handle)| {
                let by_value = compare(&a.0, &b.0);
                let by_value =
                    if *descending && !a.0.is_null() && !b.0.is_null() { by_value.reverse() } else { by_value };
                by_value.then(a.1.cmp(&b.1))
            };
            // Only the first 1000 are stored.
            loop {
                let before = first.len();
                first.extend(matching.by_ref().take(8 * MAX_REACHABLE as usize));
                if first.len() == before {
                    break;
                }
                first.sort_by(compare);
                first.truncate(MAX_REACHABLE as usize);
            }
            first.into_iter().map(|(_, handle)| handle).collect()
        }
    };
    let found = Arc::new(found);
    kept = state.searches.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_CACHED {
        kept.clear();
    }
    kept.insert(key, (version, Arc::clone(&found)));
    found
}

/// Compares two values; missing values are last in both directions.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => a.to_string().cmp(&b.to_string()),
    }
}

/// Parses `field:1` or `field:-1`; metadata fields are refused.
fn sort_order(text: &str) -> Result<(Vec<String>, bool), ApiError> {
    let mismatch = || invalid("sort", "String does not match pattern ^(([a-zA-Z0-9_\\\\.]+))\\:(1|-1)$");
    let (field, direction) = text.rsplit_once(':').ok_or_else(mismatch)?;
    let named = !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric() || "_\\.".contains(c));
    if !named || !matches!(direction, "1" | "-1") {
        return Err(mismatch());
    }
    let path: Vec<String> = field.split('.').map(str::to_owned).collect();
    if path.first().is_some_and(|root| root == "app_metadata" || root == "user_metadata") {
        return Err(ApiError::query("Sorting by app_metadata or user_metadata is not supported."));
    }
    Ok((path, direction == "-1"))
}

/// Restricts a user to what this caller may read and to the requested fields.
fn select_fields(user: Value, caller: &Caller, fields: Option<&[&str]>, include: bool) -> Value {
    let user = if caller.has("read:user_idp_tokens") { user } else { without_idp_tokens(user) };
    let (Some(fields), Value::Object(members)) = (fields, &user) else { return user };
    members
        .iter()
        .filter(|(name, _)| fields.iter().any(|field| field.split('.').next() == Some(name)) == include)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

pub(super) async fn get(request: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> ApiResult {
    let caller = authorize(&request, &state, &["read:users", "read:current_user", "read:user_idp_tokens"])?;
    let query = Query::of(&request);
    let (fields, include) = query.fields(Some(FIELDS))?;
    state.jobs.settle(state.clock.now());
    let user = state
        .directory
        .by_user_id(&id)
        .and_then(|handle| state.directory.get(handle))
        .ok_or_else(|| ApiError::not_found("inexistent_user", "The user does not exist."))?;
    Ok(ok(&select_fields(user, &caller, fields.as_deref(), include)))
}

pub(super) async fn by_email(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    let caller = authorize(&request, &state, &["read:users"])?;
    let query = Query::of(&request);
    let (fields, include) = query.fields(Some(FIELDS))?;
    let email = query
        .get("email")
        .ok_or_else(|| ApiError::query("Query validation error: 'Missing required property: email'"))?;
    state.jobs.settle(state.clock.now());
    let users: Vec<Value> = state
        .directory
        .by_email(email)
        .into_iter()
        .filter_map(|handle| state.directory.get(handle))
        .map(|user| select_fields(user, &caller, fields.as_deref(), include))
        .collect();
    Ok(ok(&users.into()))
}
