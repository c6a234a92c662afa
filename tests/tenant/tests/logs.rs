//! The tenant's log (docs/auth0/logs.md#reading-logs).

use std::time::Duration;

use serde_json::json;
use simulated_tenant::{Fault, FaultKind, TenantSettings, connections::DATABASE};

use crate::support::{Api, client_credentials, settings};

async fn reader() -> Api {
    let grants = ["create:users", "read:users", "read:connections", "read:logs"].map(str::to_owned).to_vec();
    Api::with(TenantSettings { grants, ..settings() }).await
}

/// Follows the `Link` headers of checkpoints to the end. Returns the ids, the page sizes, and whether the last link
/// repeats.
async fn read_on(api: &Api, take: usize) -> (Vec<String>, Vec<usize>, bool) {
    let mut path = format!("/logs?take={take}&sort=nonsense&q=ignored");
    let (mut ids, mut pages) = (Vec::new(), Vec::new());
    loop {
        let reply = api.request(reqwest::Method::GET, &path).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let link = reply.headers()["link"].to_str().unwrap().to_owned();
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        let next = next.strip_prefix(&api.url("")).unwrap().to_owned();
        let page: Vec<serde_json::Value> = reply.json().await.unwrap();
        pages.push(page.len());
        ids.extend(page.iter().map(|entry| entry["log_id"].as_str().unwrap().to_owned()));
        if page.is_empty() {
            return (ids, pages, next == path);
        }
        path = next;
    }
}

#[tokio::test]
async fn the_log_is_read_from_a_checkpoint_to_its_end() {
    let api = reader().await;
    for _ in 0..119 {
        client_credentials(&api.http, &api.tenant).await;
    }
    let (ids, pages, same) = read_on(&api, 50).await;
    assert_eq!(pages, [50, 50, 20, 0]);
    assert!(same, "at the end the link is the one just followed");
    assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 56 && id.starts_with("900")));
    client_credentials(&api.http, &api.tenant).await;
    let last = ids.last().unwrap();
    assert_eq!(api.read(&format!("/logs?from={last}")).await.as_array().unwrap().len(), 1);
    assert_eq!(api.get("/logs?take=101").await.0, 400);
}

#[tokio::test]
async fn an_import_that_ends_is_written_as_a_success_or_a_failure() {
    let api = reader().await;
    api.import_to_end(&json!([{"email": "good@example.com"}, {"email": "bad"}]), false).await;
    api.control.add(Fault::new("/jobs/users-imports", FaultKind::FailJob));
    api.import(&api.tenant.database_connection_id(), &json!([{"email": "b@example.com"}]), false).await;
    api.control.advance(Duration::from_mins(1));
    let found = api.read("/logs?include_totals=true&per_page=2").await;
    let kinds: Vec<_> = found["logs"].as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["fui", "sui"], "the newest first");
    let success = &found["logs"][1];
    assert_eq!(success["details"], json!({"tenant": "simulated-tenant", "connection": DATABASE}));
    assert_eq!(success["connection_id"], api.tenant.database_connection_id());
    let id = success["log_id"].as_str().unwrap();
    assert_eq!(&api.read(&format!("/logs/{id}")).await, success);
    assert_eq!(api.get("/logs/900").await.0, 404);
}

#[tokio::test]
async fn a_search_of_the_log_is_paged_filtered_and_sorted_and_reaches_a_thousand_entries() {
    let api = reader().await;
    api.import_to_end(&json!([{"email": "good@example.com"}]), false).await;
    let found = api.read("/logs?q=type:sui&fields=type,connection").await;
    assert_eq!(found, json!([{"type": "sui", "connection": DATABASE}]));
    let oldest = api.read("/logs?sort=date:1&per_page=1").await;
    assert_eq!(oldest[0]["type"], "seccft");
    for refused in ["per_page=101", "per_page=100&page=10", "sort=colour:1", "fields=colour"] {
        assert_eq!(api.get(&format!("/logs?{refused}")).await.0, 400, "{refused}");
    }
}

#[tokio::test]
async fn the_log_needs_its_own_scope() {
    let api = Api::start().await;
    let (status, body) = api.get("/logs").await;
    assert_eq!(status, 403);
    assert_eq!(body["message"], "Insufficient scope, expected any of: read:logs,read:logs_users");
}
