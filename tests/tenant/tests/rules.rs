//! Rules for every endpoint (tokens, scopes, rate limits), and the control API.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_tenant::{FaultKind, RateLimits, Tenant, TenantSettings, generate, openapi};

use crate::support::{Api, client_credentials, settings};

#[tokio::test]
async fn invalid_tokens_are_refused_with_auth0s_messages() {
    let api = Api::start().await;
    let refused = async |token: Option<&str>| {
        let request = api.http.get(api.url("/users"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["attributes"]["error"], body["message"]);
        body["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(None).await, "Missing authentication");
    assert_eq!(refused(Some("nonsense")).await, "Invalid token");
    let foreign = Tenant::start(settings()).await.unwrap();
    let foreign = client_credentials(&api.http, &foreign).await;
    assert_eq!(refused(Some(&foreign)).await, "Invalid signature received for JSON Web Token validation");
    api.control.advance(Duration::from_hours(24));
    assert_eq!(refused(Some(&api.token)).await, "Expired token received for JSON Web Token validation");
}

#[tokio::test]
async fn scopes_are_enforced() {
    let api = Api::with(TenantSettings { grants: vec!["read:connections".to_owned()], ..settings() }).await;
    assert_eq!(api.get("/connections").await.0, 200);
    for (path, scopes) in [
        ("/users", "read:users"),
        ("/users-by-email?email=x", "read:users"),
        ("/users/x", "read:users,read:current_user,read:user_idp_tokens"),
        ("/jobs/job_0000000000000000", "create:users,read:users"),
    ] {
        let (status, body) = api.get(path).await;
        assert_eq!((status, body["errorCode"].as_str()), (403, Some("insufficient_scope")));
        assert_eq!(body["message"], format!("Insufficient scope, expected any of: {scopes}"));
    }
    assert_eq!(api.import(&api.tenant.database_connection_id(), &json!([]), false).await.0, 403);
    assert_eq!(api.export(&json!({})).await.0, 403);
}

#[tokio::test]
async fn identity_provider_tokens_need_a_special_scope() {
    let grants = ["read:users", "read:user_idp_tokens"].map(str::to_owned).to_vec();
    let api = Api::with(TenantSettings { grants, ..settings() }).await;
    assert!(api.read("/users?per_page=100").await.to_string().contains("ya29."));
}

#[tokio::test]
async fn rate_limits_have_headers_and_refill_with_time() {
    let api = Api::with(TenantSettings { rate_limits: RateLimits::ESSENTIALS, ..settings() }).await;
    for remaining in (0..5).rev() {
        let response = api.request(reqwest::Method::GET, "/connections").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-ratelimit-limit"], "5");
        assert_eq!(response.headers()["x-ratelimit-remaining"], remaining.to_string().as_str());
    }
    let response = api.request(reqwest::Method::GET, "/connections").send().await.unwrap();
    assert_eq!(response.status(), 429);
    let reset: i64 = response.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!(reset > api.control.now() / 1000 - 1);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(api.get("/users").await.0, 200);
    api.control.advance(Duration::from_secs(2));
    assert_eq!(api.get("/connections").await.0, 200);
    api.control.limit(RateLimits::UNLIMITED);
    let response = api.request(reqwest::Method::GET, "/connections").send().await.unwrap();
    assert!(!response.headers().contains_key("x-ratelimit-limit"));
}

#[tokio::test]
async fn requests_are_recorded_with_their_violations_of_the_description() {
    let api = Api::start().await;
    api.read("/users?per_page=1&page=0").await;
    api.export(&json!({"format": "csv", "fields": [{"name": "email"}]})).await;
    api.import(&api.tenant.database_connection_id(), &json!([]), true).await;
    assert!(api.control.violations().is_empty());
    for request in api.control.requests().iter().filter(|request| request.path.starts_with("/api/v2/")) {
        let mut body = request.body.clone();
        // Parts of a form are texts; the description uses typed values.
        for name in ["upsert", "send_completion_email"] {
            if let Some(part) = body.as_mut().and_then(|body| body.get_mut(name)) {
                *part = serde_json::from_str(part.as_str().unwrap()).unwrap();
            }
        }
        if let Some(users) = body.as_mut().and_then(|body| body.get_mut("users")) {
            *users = users.to_string().into();
        }
        openapi::validate_request(&request.method, &request.path, &request.query, body.as_ref()).unwrap();
        assert!(request.authorized);
    }
    api.read("/users?limit=5").await;
    assert_eq!(api.control.violations(), ["GET /api/v2/users: query parameter limit is not described"]);
}

#[tokio::test]
async fn the_control_api_is_available_over_http() {
    let api = Api::start().await;
    let url = |path: &str| format!("{}/control{path}", api.tenant.url());
    let state: Value = api.http.get(url("/state")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&state["client_id"], &state["users"]), (&json!(api.tenant.client_id()), &json!(205)));
    let fault = json!({"method": "GET", "path": "/users", "count": 1, "kind": {"type": "rate_limit", "reset_after": 3, "retry_after": false}});
    assert_eq!(api.http.post(url("/faults")).json(&fault).send().await.unwrap().status(), 204);
    assert_eq!(api.control.faults()[0].kind, FaultKind::RateLimit { reset_after: 3, retry_after: false });
    assert_eq!(api.get("/users").await.0, 429);
    let before = api.control.now();
    api.http.post(url("/clock")).json(&json!({"advance_ms": 86_400_000})).send().await.unwrap();
    assert!(api.control.now() >= before + 86_400_000);
    assert_eq!(api.get("/users").await.0, 401);
    assert_eq!(
        api.http.post(url("/keys/rotate")).json(&json!({"withdraw_old": true})).send().await.unwrap().status(),
        204
    );
    assert_eq!(api.http.post(url("/tokens/expire")).send().await.unwrap().status(), 204);
    let user = json!({"user_id": "auth0|put", "email": "put@example.com", "identities": [{"connection": "Partners", "user_id": "put", "provider": "auth0", "isSocial": false}]});
    assert_eq!(api.http.put(url("/users")).json(&user).send().await.unwrap().status(), 204);
    let found: Value = api.http.get(url("/users?email=put@example.com")).send().await.unwrap().json().await.unwrap();
    assert_eq!(found, json!([user]));
    let mut other = user.clone();
    other["email"] = "other@example.com".into();
    assert_eq!(api.http.put(url("/users")).json(&other).send().await.unwrap().status(), 400);
    let requests: Value = api.http.get(url("/requests")).send().await.unwrap().json().await.unwrap();
    assert!(
        requests
            .as_array()
            .unwrap()
            .iter()
            .any(|request| request["status"] == 429 && request["client"] == "management")
    );
    assert_eq!(api.http.put(url("/limits")).json(&RateLimits::FREE).send().await.unwrap().status(), 204);
    assert_eq!(api.http.put(url("/users")).json(&json!({})).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_tls_client_sees_a_tenant_with_an_https_issuer() {
    let tenant = Tenant::start(TenantSettings { tls_port: Some(0), ..settings() }).await.unwrap();
    let certificate = reqwest::Certificate::from_pem(tenant.certificate().unwrap().as_bytes()).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
    let url = tenant.tls_url().unwrap();
    for url in [url.clone(), url.replace("127.0.0.1", "localhost")] {
        let configuration: Value =
            http.get(format!("{url}/.well-known/openid-configuration")).send().await.unwrap().json().await.unwrap();
        assert_eq!(configuration["issuer"], format!("{url}/"));
    }
}

#[tokio::test]
async fn a_tenant_stops_with_its_last_handle() {
    let tenant = Tenant::start(settings()).await.unwrap();
    let url = tenant.url();
    let clone = tenant.clone();
    drop(tenant);
    assert!(reqwest::get(&url).await.is_ok());
    clone.stop().await;
    assert!(reqwest::get(&url).await.is_err());
}

#[actix_web::test]
async fn a_tenant_starts_inside_an_actix_system_too() {
    let tenant = Tenant::start(settings()).await.unwrap();
    assert_eq!(reqwest::get(tenant.url()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_users_of_a_tenant_are_the_generated_ones() {
    let api = Api::start().await;
    let generated: Value = serde_json::from_str(&generate::export_user(7, 42)).unwrap();
    let id = generated["user_id"].as_str().unwrap();
    let user = api.control.user(id).unwrap();
    assert_eq!(user["created_at"], generated["created_at"]);
    assert_eq!(api.control.user_count(), 205);
}
