//! `/connections` (docs/auth0/management-api.md#connections).

use actix_web::{HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::authorize;
use super::query::{Query, invalid};
use crate::connections::Connection;
use crate::reply::{ApiError, ApiResult, ok};
use crate::state::State;

/// Valid names for `fields` (docs/auth0/management-api.md#value-patterns).
const FIELDS: &[&str] = &[
    "name",
    "display_name",
    "strategy",
    "options",
    "id",
    "provisioning_ticket_url",
    "metadata",
    "show_as_button",
    "clients",
    "authentication",
    "connected_accounts",
    "cross_app_access_requesting_app",
    "cross_app_access_resource_app",
    "enabled_clients",
];

const STRATEGIES: &[&str] = &[
    "ad",
    "adfs",
    "amazon",
    "apple",
    "dropbox",
    "bitbucket",
    "auth0-oidc",
    "auth0",
    "baidu",
    "bitly",
    "box",
    "custom",
    "daccount",
    "dwolla",
    "email",
    "evernote-sandbox",
    "evernote",
    "exact",
    "facebook",
    "fitbit",
    "github",
    "google-apps",
    "google-oauth2",
    "instagram",
    "ip",
    "line",
    "linkedin",
    "oauth1",
    "oauth2",
    "office365",
    "oidc",
    "okta",
    "paypal",
    "paypal-sandbox",
    "pingfederate",
    "planningcenter",
    "salesforce-community",
    "salesforce-sandbox",
    "salesforce",
    "samlp",
    "sharepoint",
    "shopify",
    "shop",
    "sms",
    "soundcloud",
    "thirtysevensignals",
    "twitter",
    "untappd",
    "vkontakte",
    "waad",
    "weibo",
    "windowslive",
    "wordpress",
    "yahoo",
    "yandex",
    "auth0-adldap",
];

/// Maximum number of connections for offset paging.
const MAX_REACHABLE: u64 = 1000;
/// The default page size.
const PAGE: u64 = 50;

pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> ApiResult {
    authorize(&request, &state, &["read:connections"])?;
    let query = Query::of(&request);
    let (fields, include) = query.fields(Some(FIELDS))?;
    let strategies = query.all("strategy");
    if let Some(unknown) = strategies.iter().find(|strategy| !STRATEGIES.contains(strategy)) {
        return Err(invalid("strategy", &format!("No enum match for: {unknown}")));
    }
    let name = query.get("name");
    let found: Vec<&Connection> = state
        .connections
        .iter()
        .filter(|connection| strategies.is_empty() || strategies.contains(&connection.strategy.as_str()))
        .filter(|connection| name.is_none_or(|name| connection.name == name))
        .collect();
    let page_of = |start: u64, length: u64| -> Vec<Value> {
        found
            .iter()
            .skip(usize::try_from(start).unwrap_or(usize::MAX))
            .take(usize::try_from(length).unwrap_or(usize::MAX))
            .map(|connection| connection.to_json(fields.as_deref(), include))
            .collect()
    };

    if query.get("take").is_some() || query.get("from").is_some() {
        let take = query.integer("take", 1, 100)?.unwrap_or(PAGE);
        let start = match query.get("from") {
            None => 0,
            Some(from) => checkpoint(from, &found).ok_or_else(|| invalid("from", "The checkpoint is not valid"))?,
        };
        let mut answer = json!({"connections": page_of(start, take)});
        if start + take < found.len() as u64
            && let Some(last) = found.get((start + take - 1) as usize)
        {
            answer["next"] = URL_SAFE_NO_PAD.encode(&last.id).into();
        }
        return Ok(ok(&answer));
    }

    let limit = query.integer("per_page", 1, 100)?.unwrap_or(PAGE);
    let page = query.integer("page", 0, u64::from(u32::MAX))?.unwrap_or(0);
    let start = page * limit;
    if start >= MAX_REACHABLE {
        return Err(ApiError::bad_request(
            "invalid_paging",
            "You can only page through the first 1000 records. See https://auth0.com/docs/api/management/v2/connections/get-connections",
        ));
    }
    let connections = page_of(start, limit.min(MAX_REACHABLE - start));
    if query.boolean("include_totals")?.unwrap_or(false) {
        return Ok(ok(&json!({"total": found.len(), "start": start, "limit": limit, "connections": connections})));
    }
    Ok(ok(&connections.into()))
}

/// Finds a checkpoint, which is the last connection of the previous page.
fn checkpoint(from: &str, found: &[&Connection]) -> Option<u64> {
    let id = URL_SAFE_NO_PAD.decode(from).ok()?;
    found.iter().position(|connection| connection.id.as_bytes() == id).map(|at| at as u64 + 1)
}

fn one<'a>(state: &'a State, id: &str) -> Result<&'a Connection, ApiError> {
    state.connection(id).ok_or_else(|| ApiError::not_found("inexistent_connection", "The connection does not exist"))
}

pub(super) async fn get(request: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> ApiResult {
    authorize(&request, &state, &["read:connections"])?;
    let query = Query::of(&request);
    let (fields, include) = query.fields(Some(FIELDS))?;
    Ok(ok(&one(&state, &id)?.to_json(fields.as_deref(), include)))
}

pub(super) async fn clients(request: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> ApiResult {
    authorize(&request, &state, &["read:connections"])?;
    let query = Query::of(&request);
    let take = query.integer("take", 1, 1000)?.unwrap_or(PAGE);
    let connection = one(&state, &id)?;
    let all: Vec<&str> = if connection.enabled { vec![crate::CLIENT_ID, crate::LOGIN_CLIENT_ID] } else { Vec::new() };
    let start = match query.get("from") {
        None => 0,
        Some(from) => all
            .iter()
            .position(|client| URL_SAFE_NO_PAD.encode(client) == from)
            .map(|at| at + 1)
            .ok_or_else(|| invalid("from", "The checkpoint is not valid"))?,
    };
    let page: Vec<&str> = all.iter().skip(start).take(take as usize).copied().collect();
    let clients: Vec<Value> = page.iter().map(|id| json!({"client_id": id})).collect();
    let mut answer = json!({"clients": clients});
    if start + page.len() < all.len()
        && let Some(last) = page.last()
    {
        answer["next"] = URL_SAFE_NO_PAD.encode(last).into();
    }
    Ok(ok(&answer))
}
