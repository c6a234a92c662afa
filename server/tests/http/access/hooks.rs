//! Tests of lifecycle hooks (docs/auth0/extension.md#lifecycle-hooks).

use actix_web::http::Method;
use actix_web::test::TestRequest;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use test_kit::{Application, BASE_URL as BASE, Reply, SECRET, hook_claims, now, sign_token};

const INSTALL: &str = "/.extensions/on-install";
const UPDATE: &str = "/.extensions/on-update";
const UNINSTALL: &str = "/.extensions/on-uninstall";

async fn server() -> Application {
    Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await
}

fn claims(path: &str) -> Value {
    hook_claims("https://acme.eu.auth0.com", BASE, path)
}

fn token(claims: &Value) -> String {
    sign_token(claims, Algorithm::HS256, SECRET)
}

async fn call(server: &Application, method: Method, path: &str, authorization: Option<String>) -> Reply {
    let mut request = TestRequest::default().method(method).uri(path);
    if let Some(authorization) = authorization {
        request = request.insert_header(("authorization", authorization));
    }
    server.call(request).await
}

async fn expect_invalid(claims: &Value) {
    let reply = call(&server().await, Method::DELETE, UNINSTALL, Some(format!("Bearer {}", token(claims)))).await;
    reply.expect_error(401, "HookTokenError", "Invalid hook token");
}

#[actix_web::test]
async fn every_hook_answers_204_without_a_body_to_its_token() {
    let server = server().await;
    for (method, path, claims) in [
        (Method::POST, INSTALL, claims(INSTALL)),
        (Method::POST, INSTALL, claims(INSTALL)),
        (Method::PUT, UPDATE, claims(UPDATE)),
        (Method::POST, UPDATE, claims(UPDATE)),
        (Method::DELETE, UNINSTALL, claims(UNINSTALL)),
    ] {
        let reply = call(&server, method, path, Some(format!("Bearer {}", token(&claims)))).await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{path}: {}", reply.body);
    }
}

#[actix_web::test]
async fn a_token_of_a_destructive_hook_works_once_even_after_a_restart() {
    let server = server().await;
    let settings = [("AUTH0_DOMAIN", "acme.eu.auth0.com")];
    let mut timed = claims(UNINSTALL);
    timed["exp"] = json!(now() + 600);
    let tokens = [token(&claims(UNINSTALL)), token(&timed)];
    for token in &tokens {
        let reply = call(&server, Method::DELETE, UNINSTALL, Some(format!("Bearer {token}"))).await;
        assert_eq!(reply.status, 204, "{}", reply.body);
    }
    let server = Application::within(server.stop().await, BASE, &settings).await;
    for token in &tokens {
        let reply = call(&server, Method::DELETE, UNINSTALL, Some(format!("Bearer {token}"))).await;
        reply.expect_error(401, "HookTokenError", "Invalid hook token");
        // The last character of a signature has several equivalent forms, which must count as the same token.
        let (kept, last) = token.split_at(token.len() - 1);
        for other in ('A'..='Z').chain('a'..='z').chain('0'..='9').filter(|other| !last.starts_with(*other)) {
            let reply = call(&server, Method::DELETE, UNINSTALL, Some(format!("Bearer {kept}{other}"))).await;
            assert_eq!(reply.status, 401);
        }
    }
}

#[actix_web::test]
async fn a_token_with_an_expiry_works_once_for_each_hook() {
    let server = server().await;
    for (method, path) in [(Method::POST, INSTALL), (Method::PUT, UPDATE), (Method::DELETE, UNINSTALL)] {
        let mut timed = claims(path);
        // With a fraction, so that the record of the used token must not expire before the token.
        timed["exp"] = json!(now() as f64 + 600.5);
        let authorization = format!("Bearer {}", token(&timed));
        assert_eq!(call(&server, method.clone(), path, Some(authorization.clone())).await.status, 204);
        let reply = call(&server, method, path, Some(authorization)).await;
        reply.expect_error(401, "HookTokenError", "Invalid hook token");
    }
}

#[actix_web::test]
async fn a_token_without_an_expiry_deletes_nothing_an_hour_after_its_date_of_issue() {
    let mut dated = claims(UNINSTALL);
    for (issued, status) in [(now() - 3500, 204), (now() - 3700, 401), (now() + 300, 401)] {
        dated["iat"] = json!(issued);
        let reply = call(&server().await, Method::DELETE, UNINSTALL, Some(format!("Bearer {}", token(&dated)))).await;
        assert_eq!(reply.status, status, "{issued}: {}", reply.body);
    }
    let mut dated = claims(INSTALL);
    dated["iat"] = json!(now() - 86_400);
    let reply = call(&server().await, Method::POST, INSTALL, Some(format!("Bearer {}", token(&dated)))).await;
    assert_eq!(reply.status, 204, "installing deletes nothing: {}", reply.body);
}

#[actix_web::test]
async fn a_call_without_token_names_the_hook() {
    let server = server().await;
    for (method, path) in [(Method::POST, INSTALL), (Method::PUT, UPDATE), (Method::DELETE, UNINSTALL)] {
        let reply = call(&server, method, path, None).await;
        reply.expect_error(401, "HookTokenError", &format!("Hook token missing for the call to: {path}"));
    }
}

#[actix_web::test]
async fn the_scheme_is_compared_exactly() {
    let server = server().await;
    for scheme in ["bearer", "BEARER", "Basic", ""] {
        let header = format!("{scheme} {}", token(&claims(UNINSTALL)));
        let reply = call(&server, Method::DELETE, UNINSTALL, Some(header)).await;
        reply.expect_error(401, "HookTokenError", &format!("Hook token missing for the call to: {UNINSTALL}"));
    }
}

#[actix_web::test]
async fn a_token_of_another_hook_is_invalid() {
    expect_invalid(&claims(INSTALL)).await;
}

#[actix_web::test]
async fn a_token_for_another_base_url_is_invalid() {
    expect_invalid(&json!({"iss": "https://acme.eu.auth0.com", "aud": format!("https://other.example{UNINSTALL}")}))
        .await;
}

#[actix_web::test]
async fn a_token_of_another_tenant_is_invalid() {
    for iss in ["https://evil.eu.auth0.com", "https://acme.eu.auth0.com/", "acme.eu.auth0.com"] {
        expect_invalid(&json!({"iss": iss, "aud": format!("{BASE}{UNINSTALL}")})).await;
    }
}

#[actix_web::test]
async fn a_token_without_issuer_or_audience_is_invalid() {
    expect_invalid(&json!({"aud": format!("{BASE}{UNINSTALL}")})).await;
    expect_invalid(&json!({"iss": "https://acme.eu.auth0.com"})).await;
}

#[actix_web::test]
async fn times_are_checked_where_they_are_present() {
    let mut timed = claims(UNINSTALL);
    timed["exp"] = json!(now() + 60);
    timed["nbf"] = json!(now());
    let reply = call(&server().await, Method::DELETE, UNINSTALL, Some(format!("Bearer {}", token(&timed)))).await;
    assert_eq!(reply.status, 204);
    timed["exp"] = json!(now() - 1);
    expect_invalid(&timed).await;
    timed["exp"] = json!(now() + 600);
    timed["nbf"] = json!(now() + 300);
    expect_invalid(&timed).await;
}

#[actix_web::test]
async fn only_hs256_with_the_extension_secret_is_accepted() {
    let server = server().await;
    for token in [
        sign_token(&claims(UNINSTALL), Algorithm::HS384, SECRET),
        sign_token(&claims(UNINSTALL), Algorithm::HS512, SECRET),
        sign_token(&claims(UNINSTALL), Algorithm::HS256, "another secret"),
        "eyJhbGciOiJub25lIn0.e30.".to_owned(),
        "not a token".to_owned(),
    ] {
        let reply = call(&server, Method::DELETE, UNINSTALL, Some(format!("Bearer {token}"))).await;
        reply.expect_error(401, "HookTokenError", "Invalid hook token");
    }
}

#[actix_web::test]
async fn a_loopback_tenant_keeps_its_scheme_in_the_issuer() {
    let server = Application::new(BASE, &[("AUTH0_DOMAIN", "http://127.0.0.1:3001")]).await;
    let claims = hook_claims("http://127.0.0.1:3001", BASE, INSTALL);
    let reply = call(&server, Method::POST, INSTALL, Some(format!("Bearer {}", token(&claims)))).await;
    assert_eq!(reply.status, 204);
}
