//! Session tokens at the API (docs/auth0/login.md#session-token, docs/auth0/login.md#bearer-tokens-and-error-answers).

use actix_web::test::TestRequest;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::server::{Reply, SECRET, Server};
use crate::tenant::now;

const BASE: &str = "https://tools.example/ext";
const AUDIENCE: &str = "urn:user-import-export-extension";

fn claims() -> Value {
    json!({
        "sub": "auth0|ada", "email": "ada@example.com", "iss": BASE, "aud": AUDIENCE,
        "iat": now(), "exp": now() + 3600,
    })
}

fn mint(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("a token")
}

fn changed(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    mint(&claims, Algorithm::HS256, SECRET)
}

/// Asks a route that needs a session and no tenant.
async fn ask(authorization: Option<&str>) -> Reply {
    let server = Server::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await;
    let mut request = TestRequest::get().uri("/api/history");
    if let Some(authorization) = authorization {
        request = request.insert_header(("authorization", authorization));
    }
    server.call(request).await
}

async fn ask_with(token: &str) -> Reply {
    ask(Some(&format!("Bearer {token}"))).await
}

#[actix_web::test]
async fn a_session_comes_in() {
    let reply = ask_with(&mint(&claims(), Algorithm::HS256, SECRET)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[actix_web::test]
async fn no_header_is_credentials_required() {
    ask(None).await.expect_error(401, "credentials_required", "No authorization token was found");
}

#[actix_web::test]
async fn a_header_that_is_not_two_words_is_credentials_bad_format() {
    for header in ["Bearer", "token", "Bearer a b"] {
        let reply = ask(Some(header)).await;
        reply.expect_error(401, "credentials_bad_format", "Format is Authorization: Bearer [token]");
    }
}

#[actix_web::test]
async fn another_scheme_is_credentials_bad_scheme() {
    let reply = ask(Some("Basic YWRhOnNlY3JldA==")).await;
    reply.expect_error(401, "credentials_bad_scheme", "Format is Authorization: Bearer [token]");
}

#[actix_web::test]
async fn an_expired_session_is_jwt_expired() {
    ask_with(&changed("exp", json!(now() - 1))).await.expect_error(401, "invalid_token", "jwt expired");
}

#[actix_web::test]
async fn another_secret_is_invalid_signature() {
    let reply = ask_with(&mint(&claims(), Algorithm::HS256, "a secret of somebody else")).await;
    reply.expect_error(401, "invalid_token", "invalid signature");
}

#[actix_web::test]
async fn another_audience_is_jwt_audience_invalid() {
    let reply = ask_with(&changed("aud", json!("urn:another-extension"))).await;
    reply.expect_error(401, "invalid_token", &format!("jwt audience invalid. expected: {AUDIENCE}"));
}

#[actix_web::test]
async fn a_session_of_another_base_url_is_jwt_issuer_invalid() {
    let reply = ask_with(&changed("iss", json!("https://other.example"))).await;
    reply.expect_error(401, "invalid_token", &format!("jwt issuer invalid. expected: {BASE}"));
}

#[actix_web::test]
async fn something_else_is_jwt_malformed() {
    for token in ["abc", "a.b", "a.b.c", "a.b.c.d", "..", "eyJhbGciOiJIUzI1NiJ9.e30"] {
        ask_with(token).await.expect_error(401, "invalid_token", "jwt malformed");
    }
}

#[actix_web::test]
async fn only_hs256_is_accepted() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let reply = ask_with(&mint(&claims(), algorithm, SECRET)).await;
        reply.expect_error(401, "invalid_token", "invalid algorithm");
    }
    let signed = mint(&claims(), Algorithm::HS256, SECRET);
    let body = signed.split('.').nth(1).expect("three parts");
    // {"alg":"none"}
    let reply = ask_with(&format!("eyJhbGciOiJub25lIn0.{body}.")).await;
    reply.expect_error(401, "invalid_token", "jwt signature is required");
}

#[actix_web::test]
async fn a_tampered_session_is_invalid_signature() {
    let ours = mint(&claims(), Algorithm::HS256, SECRET);
    let other = changed("sub", json!("auth0|somebody-else"));
    let (Some((_, signature)), Some((unsigned, _))) = (ours.rsplit_once('.'), other.rsplit_once('.')) else {
        panic!("tokens have three parts")
    };
    ask_with(&format!("{unsigned}.{signature}")).await.expect_error(401, "invalid_token", "invalid signature");
}

#[actix_web::test]
async fn a_hook_token_is_no_session() {
    let hook = json!({
        "iss": "https://acme.eu.auth0.com", "aud": format!("{BASE}/.extensions/on-install"), "exp": now() + 60,
    });
    let reply = ask_with(&mint(&hook, Algorithm::HS256, SECRET)).await;
    reply.expect_error(401, "invalid_token", &format!("jwt audience invalid. expected: {AUDIENCE}"));
}

#[actix_web::test]
async fn another_sites_page_changes_nothing_even_with_a_session() {
    let server = Server::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await;
    let token = mint(&claims(), Algorithm::HS256, SECRET);
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
