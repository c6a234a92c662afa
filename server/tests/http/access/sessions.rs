//! Tests of session tokens and sessions at the API (docs/auth0/login.md#session-token,
//! docs/auth0/login.md#bearer-tokens-and-error-answers).

use actix_web::test::TestRequest;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use uie_access::{Admission, Permissions, SignIn};

use super::extension_login::{Callback, payload, session, setup};
use test_kit::{Application, BASE_URL as BASE, Reply, SECRET, hook_claims, now, person, session_claims, sign_token};

use crate::snapshots::assert_json;

const AUDIENCE: &str = "urn:user-import-export-extension";
const TENANT: &[(&str, &str)] = &[
    ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
    ("LOGIN", "tenant"),
    ("AUTH0_CLIENT_ID", "id"),
    ("AUTH0_CLIENT_SECRET", "secret"),
    ("ADMIN_SUBJECTS", "auth0|ada"),
];

fn claims() -> Value {
    session_claims(BASE)
}

fn changed(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    sign_token(&claims, Algorithm::HS256, SECRET)
}

/// Sends a request to a route that needs a session and no tenant.
async fn request_history(authorization: Option<&str>) -> Reply {
    let server = server().await;
    let mut request = TestRequest::get().uri("/api/history");
    if let Some(authorization) = authorization {
        request = request.insert_header(("authorization", authorization));
    }
    server.call(request).await
}

async fn request_with(token: &str) -> Reply {
    request_history(Some(&format!("Bearer {token}"))).await
}

async fn server() -> Application {
    Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await
}

/// Sends a request with a session.
async fn send(server: &Application, token: &str, request: TestRequest) -> Reply {
    server.call(request.insert_header(("authorization", format!("Bearer {token}")))).await
}

async fn history(server: &Application, token: &str) -> Reply {
    send(server, token, TestRequest::get().uri("/api/history")).await
}

#[actix_web::test]
async fn a_session_is_accepted() {
    let server = server().await;
    let token = server.sign_in("auth0|ada", None).await;
    let reply = history(&server, &token).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[actix_web::test]
async fn a_correctly_signed_token_without_a_session_is_refused() {
    let reply = request_with(&sign_token(&claims(), Algorithm::HS256, SECRET)).await;
    reply.expect_error(401, "invalid_token", "The session is not known to this server.");
}

#[actix_web::test]
async fn a_session_of_another_tenant_or_kind_of_login_is_refused_after_a_restart() {
    let server = server().await;
    let token = server.sign_in("auth0|ada", Some("management-token")).await;
    assert_eq!(history(&server, &token).await.status, 200);
    let mut directory = server.stop().await;
    for changes in [
        &[("AUTH0_DOMAIN", "other.eu.auth0.com")][..],
        TENANT,
        &[TENANT, &[("AUTH0_DOMAIN", "other.eu.auth0.com")]].concat(),
    ] {
        let server = Application::within(directory, BASE, changes).await;
        let reply = history(&server, &token).await;
        assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (401, Some("invalid_token")), "{changes:?}");
        directory = server.stop().await;
    }
    let server = Application::within(directory, BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await;
    assert_eq!(history(&server, &token).await.status, 200, "with the settings of before it is good again");
}

#[actix_web::test]
async fn an_admin_removed_from_the_settings_is_refused_at_the_next_request() {
    let server = Application::new(BASE, TENANT).await;
    let token = server.sign_in("auth0|ada", None).await;
    assert_eq!(history(&server, &token).await.status, 200);
    let settings = [TENANT, &[("ADMIN_SUBJECTS", "auth0|grace")]].concat();
    let server = Application::within(server.stop().await, BASE, &settings).await;
    let reply = history(&server, &token).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (403, Some("not_an_admin")));
}

#[actix_web::test]
async fn an_ended_session_is_refused_at_once_and_after_a_restart() {
    let server = Application::new(BASE, TENANT).await;
    let (first, second) = (server.sign_in("auth0|ada", None).await, server.sign_in("auth0|ada", None).await);
    let end = |uri: &str| TestRequest::delete().uri(uri);
    assert_eq!(send(&server, &first, end("/api/sessions/current")).await.status, 204);
    history(&server, &first).await.expect_error(401, "invalid_token", "The session was ended.");
    assert_eq!(history(&server, &second).await.status, 200, "the other session goes on");
    let server = Application::within(server.stop().await, BASE, TENANT).await;
    assert_eq!(history(&server, &first).await.status, 401);

    let third = server.sign_in("auth0|ada", None).await;
    let reply = send(&server, &third, end("/api/sessions/0123")).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (404, Some("inexistent_session")));
    assert_eq!(send(&server, &third, end("/api/sessions/current?everywhere=true")).await.status, 204);
    for token in [&second, &third] {
        assert_eq!(history(&server, token).await.status, 401);
    }
}

#[actix_web::test]
async fn an_admin_has_at_most_a_hundred_sessions() {
    let settings = [TENANT, &[("ADMIN_SUBJECTS", "auth0|ada,auth0|grace")]].concat();
    let server = Application::new(BASE, &settings).await;
    let grace = server.sign_in("auth0|grace", None).await;
    let mut tokens = Vec::new();
    for _ in 0..101 {
        tokens.push(server.sign_in("auth0|ada", None).await);
    }
    assert_eq!(history(&server, &tokens[0]).await.status, 401, "the oldest has ended");
    for token in [&tokens[1], &tokens[100], &grace] {
        assert_eq!(history(&server, token).await.status, 200);
    }
    let reply = send(&server, &grace, TestRequest::get().uri("/api/sessions")).await;
    assert_eq!(reply.json()["sessions"].as_array().map(Vec::len), Some(101), "{}", reply.body);
}

#[actix_web::test]
async fn all_sessions_are_listed_and_can_be_ended() {
    let settings = [TENANT, &[("ADMIN_SUBJECTS", "auth0|ada,auth0|grace")]].concat();
    let server = Application::new(BASE, &settings).await;
    let (ada, grace) = (server.sign_in("auth0|ada", None).await, server.sign_in("auth0|grace", None).await);
    let list = || TestRequest::get().uri("/api/sessions");
    let listed = send(&server, &ada, list()).await.json();
    let shown = |listed: &Value| -> Vec<(String, bool)> {
        let sessions = listed["sessions"].as_array().expect("sessions");
        sessions.iter().map(|one| (one["subject"].as_str().unwrap().to_owned(), one["current"] == true)).collect()
    };
    assert_eq!(shown(&listed), [("auth0|ada".to_owned(), true), ("auth0|grace".to_owned(), false)]);
    assert_eq!(listed["sessions"][0]["id"], payload(&ada)["jti"]);
    assert_json!(listed);
    let other = format!("/api/sessions/{}", listed["sessions"][1]["id"].as_str().expect("an id"));
    assert_eq!(send(&server, &ada, TestRequest::delete().uri(&other)).await.status, 204);
    assert_eq!(history(&server, &grace).await.status, 401);
    assert_eq!(shown(&send(&server, &ada, list()).await.json()), [("auth0|ada".to_owned(), true)]);
    assert_eq!(send(&server, &ada, TestRequest::delete().uri(&other)).await.status, 404);
}

#[actix_web::test]
async fn uninstallation_ends_every_session() {
    let server = server().await;
    let token = server.sign_in("auth0|ada", None).await;
    assert_eq!(history(&server, &token).await.status, 200);
    let hook = hook_claims("https://acme.eu.auth0.com", BASE, "/.extensions/on-uninstall");
    let hook = sign_token(&hook, Algorithm::HS256, SECRET);
    let reply = send(&server, &hook, TestRequest::delete().uri("/.extensions/on-uninstall")).await;
    assert_eq!(reply.status, 204, "{}", reply.body);
    assert_eq!(history(&server, &token).await.status, 401);
}

#[actix_web::test]
async fn about_describes_the_server_and_the_permissions_of_the_session() {
    let server = Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("UPLOAD_LIMIT", "1MiB")]).await;
    let few = Permissions::from_scope("read:users read:connections");
    let token = server.sign_in_as(&person("auth0|ada", None, few)).await;
    let about = send(&server, &token, TestRequest::get().uri("/api/about")).await.json();
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["session"]["id"], payload(&token)["jti"]);
    assert_json!(about);
}

#[actix_web::test]
async fn a_login_without_the_required_permissions_is_refused() {
    let (tenant, server) = setup().await;
    for (scope, missing) in [
        (json!("openid profile"), "read:users, read:connections"),
        (json!("openid read:users create:users"), "read:connections"),
        (json!("read:connections"), "read:users"),
        (json!(["read:users", "read:connections"]), "read:users, read:connections"),
        (Value::Null, "read:users, read:connections"),
    ] {
        let mut callback = Callback::new(&tenant);
        callback.access["scope"] = scope.clone();
        let reply = callback.send(&server).await;
        reply.expect_error(403, "ForbiddenError", &format!("This sign-in does not permit {missing}."));
        assert_eq!(reply.json()["errorCode"], "insufficient_scope", "{scope}");
        assert!(reply.json()["hint"].as_str().is_some_and(|hint| hint.contains("Sign in again")));
    }
    let mut callback = Callback::new(&tenant);
    callback.access["scope"] = json!("openid read:users read:connections");
    let token = session(&callback.send(&server).await);
    assert_eq!(payload(&token)["scope"], "read:users read:connections");
    let import = TestRequest::post().uri("/api/jobs/job_0000000000000000/retry");
    assert_eq!(send(&server, &token, import).await.status, 404);
    assert_eq!(history(&server, &token).await.status, 200);
}

#[actix_web::test]
async fn a_session_stores_the_role_that_admitted_its_admin() {
    let roles = [("ADMIN_SUBJECTS", ""), ("ADMIN_ROLES", "admin"), ("ADMIN_ROLES_CLAIM", "https://acme.example/roles")];
    let settings = [TENANT, &roles].concat();
    let server = Application::new(BASE, &settings).await;
    let admission = Admission::Role { claim: "https://acme.example/roles".to_owned(), roles: vec!["admin".to_owned()] };
    let grace = SignIn { admission, ..person("auth0|grace", None, Permissions::all()) };
    let token = server.sign_in_as(&grace).await;
    assert_eq!(history(&server, &token).await.status, 200);
    let server = Application::within(server.stop().await, BASE, &settings).await;
    assert_eq!(history(&server, &token).await.status, 200);
    let changed = [TENANT, &roles, &[("ADMIN_ROLES", "owner")]].concat();
    let server = Application::within(server.stop().await, BASE, &changed).await;
    assert_eq!(history(&server, &token).await.status, 403);
}

#[actix_web::test]
async fn no_header_is_credentials_required() {
    request_history(None).await.expect_error(401, "credentials_required", "No authorization token was found");
}

#[actix_web::test]
async fn a_header_that_is_not_two_words_is_credentials_bad_format() {
    for header in ["Bearer", "token", "Bearer a b"] {
        let reply = request_history(Some(header)).await;
        reply.expect_error(401, "credentials_bad_format", "Format is Authorization: Bearer [token]");
    }
}

#[actix_web::test]
async fn another_scheme_is_credentials_bad_scheme() {
    let reply = request_history(Some("Basic YWRhOnNlY3JldA==")).await;
    reply.expect_error(401, "credentials_bad_scheme", "Format is Authorization: Bearer [token]");
}

#[actix_web::test]
async fn an_expired_session_is_jwt_expired() {
    request_with(&changed("exp", json!(now() - 1))).await.expect_error(401, "invalid_token", "jwt expired");
}

#[actix_web::test]
async fn another_secret_is_invalid_signature() {
    let reply = request_with(&sign_token(&claims(), Algorithm::HS256, "a secret of another server")).await;
    reply.expect_error(401, "invalid_token", "invalid signature");
}

#[actix_web::test]
async fn another_audience_is_jwt_audience_invalid() {
    let reply = request_with(&changed("aud", json!("urn:another-extension"))).await;
    reply.expect_error(401, "invalid_token", &format!("jwt audience invalid. expected: {AUDIENCE}"));
}

#[actix_web::test]
async fn a_session_of_another_base_url_is_jwt_issuer_invalid() {
    let reply = request_with(&changed("iss", json!("https://other.example"))).await;
    reply.expect_error(401, "invalid_token", &format!("jwt issuer invalid. expected: {BASE}"));
}

#[actix_web::test]
async fn something_else_is_jwt_malformed() {
    for token in ["abc", "a.b", "a.b.c", "a.b.c.d", "..", "eyJhbGciOiJIUzI1NiJ9.e30"] {
        request_with(token).await.expect_error(401, "invalid_token", "jwt malformed");
    }
}

#[actix_web::test]
async fn only_hs256_is_accepted() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let reply = request_with(&sign_token(&claims(), algorithm, SECRET)).await;
        reply.expect_error(401, "invalid_token", "invalid algorithm");
    }
    let signed = sign_token(&claims(), Algorithm::HS256, SECRET);
    let body = signed.split('.').nth(1).expect("three parts");
    // {"alg":"none"}
    let reply = request_with(&format!("eyJhbGciOiJub25lIn0.{body}.")).await;
    reply.expect_error(401, "invalid_token", "jwt signature is required");
}

#[actix_web::test]
async fn a_tampered_session_is_invalid_signature() {
    let ours = sign_token(&claims(), Algorithm::HS256, SECRET);
    let other = changed("sub", json!("auth0|another-admin"));
    let (Some((_, signature)), Some((unsigned, _))) = (ours.rsplit_once('.'), other.rsplit_once('.')) else {
        panic!("tokens have three parts")
    };
    request_with(&format!("{unsigned}.{signature}")).await.expect_error(401, "invalid_token", "invalid signature");
}

#[actix_web::test]
async fn a_hook_token_is_not_accepted_as_a_session() {
    let mut hook = hook_claims("https://acme.eu.auth0.com", BASE, "/.extensions/on-install");
    hook["exp"] = json!(now() + 60);
    let reply = request_with(&sign_token(&hook, Algorithm::HS256, SECRET)).await;
    reply.expect_error(401, "invalid_token", &format!("jwt audience invalid. expected: {AUDIENCE}"));
}

#[actix_web::test]
async fn a_page_of_another_site_cannot_change_anything_even_with_a_session() {
    let server = server().await;
    let token = server.sign_in("auth0|ada", None).await;
    let cancel = |site: &'static str| {
        TestRequest::post()
            .uri("/api/jobs/job_0000000000000000/cancel")
            .insert_header(("authorization", format!("Bearer {token}")))
            .insert_header(("sec-fetch-site", site))
    };
    let reply = server.call(cancel("cross-site")).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (403, Some("cross_site_request")));
    let reply = server.call(cancel("same-origin")).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (404, Some("inexistent_job")));
}
