//! Tests of `LOGIN=tenant`: authorization code flow with PKCE, and authorization. The tenant's end users sign in at the
//! same place, so most tests are attacks.

use actix_web::test::TestRequest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use test_kit::{Application, BASE_URL as BASE, Reply, now};

use super::extension_login::{payload, session};
use crate::login_tenant::{KEY, OTHER_KEY, Tenant, sign};

const CLIENT: &str = "web-client";
const EMAILS: &[(&str, &str)] =
    &[("ADMIN_EMAILS", "ada@example.com, Grace@Example.com"), ("ADMIN_CONNECTION", "staff")];
const NOT_AN_ADMIN: &str = "You are signed in, but you are not an admin of this server.";

async fn setup(admins: &[(&str, &str)]) -> (Tenant, Application) {
    let tenant = Tenant::start();
    let server = server(&tenant, admins).await;
    (tenant, server)
}

async fn server(tenant: &Tenant, admins: &[(&str, &str)]) -> Application {
    let mut settings = vec![
        ("LOGIN", "tenant"),
        ("AUTH0_DOMAIN", tenant.origin.as_str()),
        ("AUTH0_CLIENT_ID", "m2m"),
        ("AUTH0_CLIENT_SECRET", "m2m-secret"),
        ("LOGIN_CLIENT_ID", CLIENT),
        ("LOGIN_CLIENT_SECRET", "web-secret"),
    ];
    settings.extend(admins);
    Application::new(BASE, &settings).await
}

/// A started login.
struct StartedLogin {
    cookie: String,
    state: String,
    nonce: String,
    parameters: Vec<(String, String)>,
}

async fn begin(server: &Application, path: &str) -> StartedLogin {
    let reply = server.get(path).await;
    assert_eq!(reply.status, 302, "{}", reply.body);
    let (_, parameters) = reply.location();
    let value = |name: &str| parameters.iter().find(|(found, _)| found == name).expect("a parameter").1.clone();
    let cookies = reply.cookies();
    let cookie = cookies.first().and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    StartedLogin { cookie, state: value("state"), nonce: value("nonce"), parameters: parameters.clone() }
}

async fn send_callback(server: &Application, cookie: &str, query: &str) -> Reply {
    let request = TestRequest::get().uri(&format!("/login/callback?{query}")).insert_header(("cookie", cookie));
    server.call(request).await
}

fn id_token(tenant: &Tenant, nonce: &str) -> Value {
    json!({
        "iss": format!("{}/", tenant.origin), "sub": "auth0|ada", "aud": CLIENT, "nonce": nonce,
        "email": "ada@example.com", "email_verified": true, "name": "Ada", "iat": now(), "exp": now() + 36_000,
    })
}

fn profile(id: &str, email: &str, verified: bool, connection: &str) -> Value {
    json!({
        "user_id": id, "email": email, "email_verified": verified,
        "identities": [{"connection": connection, "provider": "auth0", "user_id": "x", "isSocial": false}],
    })
}

/// Signs in with an id_token that the test changes.
async fn sign_in(tenant: &Tenant, server: &Application, change: impl FnOnce(&mut Value)) -> Reply {
    let begun = begin(server, "/login").await;
    let mut claims = id_token(tenant, &begun.nonce);
    change(&mut claims);
    *tenant.state.id_token.lock().unwrap() = Some(sign(&claims, &KEY, Some("k1")));
    send_callback(server, &begun.cookie, &format!("code=abc&state={}", begun.state)).await
}

fn expect_denied(reply: &Reply) {
    reply.expect_error(403, "ForbiddenError", NOT_AN_ADMIN);
}

#[actix_web::test]
async fn login_redirects_to_the_tenant_with_pkce_and_keeps_its_secrets_in_an_encrypted_cookie() {
    let (tenant, server) = setup(EMAILS).await;
    let reply = server.get("/login").await;
    let (url, query) = reply.location();
    assert_eq!(url, format!("{}/authorize", tenant.origin));
    let value = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!(value("response_type"), Some("code"));
    assert_eq!(value("client_id"), Some(CLIENT));
    assert_eq!(value("redirect_uri"), Some("https://tools.example/ext/login/callback"));
    assert_eq!(value("scope"), Some("openid profile email"));
    assert_eq!(value("code_challenge_method"), Some("S256"));
    assert_eq!(value("connection"), Some("staff"));
    let cookies = reply.cookies();
    assert_eq!(cookies.len(), 1);
    let cookie = cookies.first().expect("a cookie");
    assert!(cookie.starts_with("__Host-user-import-export-login-"), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{cookie}");
    assert!(!cookie.contains(value("state").expect("a state")) && !cookie.contains(value("nonce").expect("a nonce")));
}

#[actix_web::test]
async fn the_code_is_exchanged_with_the_verifier_of_its_challenge() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let begun = begin(&server, "/login").await;
    let claims = id_token(&tenant, &begun.nonce);
    *tenant.state.id_token.lock().unwrap() = Some(sign(&claims, &KEY, Some("k1")));
    let reply = send_callback(&server, &begun.cookie, &format!("code=abc&state={}", begun.state)).await;
    let token = session(&reply);
    let exchange = tenant.state.exchange.lock().unwrap().clone();
    let asked = |name: &str| exchange.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!((asked("client_id"), asked("client_secret"), asked("code")), (CLIENT, "web-secret", "abc"));
    assert_eq!(asked("redirect_uri"), "https://tools.example/ext/login/callback");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, asked("code_verifier").as_bytes());
    let challenge = begun.parameters.iter().find(|(name, _)| name == "code_challenge").expect("a challenge");
    assert_eq!(challenge.1, URL_SAFE_NO_PAD.encode(digest));
    assert!(payload(&token).get("access_token").is_none(), "no Management API token in the session");
    assert_eq!(payload(&token)["iss"], BASE);
    let cleared = reply.cookies();
    assert!(
        cleared.iter().any(|cookie| cookie.starts_with("__Host-user-import-export-login-") && cookie.contains("=; ")),
        "{cleared:?}"
    );
}

#[actix_web::test]
async fn without_settings_access_is_denied() {
    let (tenant, server) = setup(&[]).await;
    expect_denied(&sign_in(&tenant, &server, |_| {}).await);
}

#[actix_web::test]
async fn a_listed_subject_is_admitted_and_others_are_denied() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada, samlp|x|grace")]).await;
    session(&sign_in(&tenant, &server, |_| {}).await);
    session(&sign_in(&tenant, &server, |claims| claims["sub"] = json!("samlp|x|grace")).await);
    expect_denied(&sign_in(&tenant, &server, |claims| claims["sub"] = json!("auth0|mallory")).await);
}

#[actix_web::test]
async fn a_listed_role_is_admitted_by_its_claim() {
    let claim = "https://acme.example/roles";
    let (tenant, server) = setup(&[("ADMIN_ROLES", "user-admin"), ("ADMIN_ROLES_CLAIM", claim)]).await;
    session(&sign_in(&tenant, &server, |claims| claims[claim] = json!(["user-admin"])).await);
    expect_denied(&sign_in(&tenant, &server, |claims| claims[claim] = json!(["user"])).await);
    expect_denied(&sign_in(&tenant, &server, |claims| claims["roles"] = json!(["user-admin"])).await);
}

#[actix_web::test]
async fn a_listed_email_address_is_admitted_if_the_profile_confirms_it() {
    let (tenant, server) = setup(EMAILS).await;
    tenant.state.profiles.lock().unwrap().extend([
        ("auth0|ada".to_owned(), profile("auth0|ada", "ada@example.com", true, "staff")),
        ("auth0|grace".to_owned(), profile("auth0|grace", "grace@example.com", true, "staff")),
    ]);
    session(&sign_in(&tenant, &server, |_| {}).await);
    let grace = |claims: &mut Value| {
        claims["sub"] = json!("auth0|grace");
        claims["email"] = json!("grace@example.com");
    };
    session(&sign_in(&tenant, &server, grace).await);
}

#[actix_web::test]
async fn an_attacker_with_an_admins_unverified_email_address_is_denied() {
    let (tenant, server) = setup(EMAILS).await;
    tenant
        .state
        .profiles
        .lock()
        .unwrap()
        .insert("auth0|mallory".to_owned(), profile("auth0|mallory", "ada@example.com", false, "staff"));
    for verified in [json!(false), json!("true"), Value::Null, json!(true)] {
        let mallory = |claims: &mut Value| {
            claims["sub"] = json!("auth0|mallory");
            claims["email_verified"] = verified.clone();
        };
        expect_denied(&sign_in(&tenant, &server, mallory).await);
    }
}

#[actix_web::test]
async fn an_attacker_with_an_admins_email_address_in_another_connection_is_denied() {
    let (tenant, server) = setup(EMAILS).await;
    tenant
        .state
        .profiles
        .lock()
        .unwrap()
        .insert("google-oauth2|1".to_owned(), profile("google-oauth2|1", "ada@example.com", true, "customers"));
    expect_denied(&sign_in(&tenant, &server, |claims| claims["sub"] = json!("google-oauth2|1")).await);
}

#[actix_web::test]
async fn an_attacker_with_a_linked_identity_of_the_right_connection_is_denied() {
    let (tenant, server) = setup(EMAILS).await;
    let mut linked = profile("auth0|mallory", "ada@example.com", true, "customers");
    linked["identities"] = json!([{"connection": "customers"}, {"connection": "staff"}]);
    tenant.state.profiles.lock().unwrap().insert("auth0|mallory".to_owned(), linked);
    expect_denied(&sign_in(&tenant, &server, |claims| claims["sub"] = json!("auth0|mallory")).await);
}

#[actix_web::test]
async fn a_missing_profile_or_that_of_another_user_confirms_no_address() {
    let (tenant, server) = setup(EMAILS).await;
    tenant
        .state
        .profiles
        .lock()
        .unwrap()
        .insert("auth0|ada".to_owned(), profile("auth0|other", "ada@example.com", true, "staff"));
    expect_denied(&sign_in(&tenant, &server, |_| {}).await);
    tenant.state.profiles.lock().unwrap().clear();
    expect_denied(&sign_in(&tenant, &server, |_| {}).await);
}

#[actix_web::test]
async fn every_claim_of_the_id_token_is_checked() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let foreign = "https://evil.example/";
    for (name, value, status, message) in [
        ("iss", json!(foreign), 401, format!("Invalid issuer: {foreign}")),
        ("iss", json!(tenant.origin), 401, format!("Invalid issuer: {}", tenant.origin)),
        ("aud", json!("another-client"), 401, format!("Audience mismatch for: {CLIENT}")),
        ("aud", json!([CLIENT, "another"]), 401, "The id_token's azp is another client".to_owned()),
        ("azp", json!("another-client"), 401, "The id_token's azp is another client".to_owned()),
        ("nonce", json!("another"), 400, "Login failed. Nonce mismatch.".to_owned()),
        ("nonce", Value::Null, 400, "Login failed. Nonce mismatch.".to_owned()),
        ("exp", json!(now() - 1), 401, "jwt expired".to_owned()),
        ("nbf", json!(now() + 300), 401, "jwt not active".to_owned()),
        ("iat", json!(now() + 300), 401, "jwt not active".to_owned()),
        ("iat", Value::Null, 401, "The id_token has no iat".to_owned()),
    ] {
        let reply = sign_in(&tenant, &server, |claims| claims[name] = value.clone()).await;
        let error = if status == 400 { "ValidationError" } else { "UnauthorizedError" };
        reply.expect_error(status, error, &message);
    }
}

#[actix_web::test]
async fn an_id_token_without_subject_or_expiry_opens_no_session() {
    let (tenant, server) = setup(&[("ADMIN_ROLES", "admin"), ("ADMIN_ROLES_CLAIM", "roles")]).await;
    for missing in ["sub", "exp"] {
        let reply = sign_in(&tenant, &server, |claims| {
            claims["roles"] = json!(["admin"]);
            claims.as_object_mut().expect("claims").remove(missing);
        })
        .await;
        assert_eq!(reply.status, 401, "{missing}: {}", reply.body);
    }
}

#[actix_web::test]
async fn a_forged_signature_is_unauthorized() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let begun = begin(&server, "/login").await;
    let forged = sign(&id_token(&tenant, &begun.nonce), &OTHER_KEY, Some("k1"));
    *tenant.state.id_token.lock().unwrap() = Some(forged);
    let reply = send_callback(&server, &begun.cookie, &format!("code=abc&state={}", begun.state)).await;
    reply.expect_error(401, "UnauthorizedError", "invalid signature");
}

#[actix_web::test]
async fn a_login_can_only_be_completed_in_the_browser_that_started_it() {
    let (_tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let mine = begin(&server, "/login").await;
    let attackers = begin(&server, "/login").await;
    let query = format!("code=abc&state={}", attackers.state);
    for cookie in ["", "__Host-user-import-export-login-a7e7e2f5=forged", mine.cookie.as_str()] {
        let reply = send_callback(&server, cookie, &query).await;
        reply.expect_error(400, "ValidationError", "Login failed. State mismatch.");
    }
    let reply = send_callback(&server, &mine.cookie, "code=abc").await;
    reply.expect_error(400, "ValidationError", "Login failed. State mismatch.");
}

#[actix_web::test]
async fn a_login_is_completed_once() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let begun = begin(&server, "/login").await;
    *tenant.state.id_token.lock().unwrap() = Some(sign(&id_token(&tenant, &begun.nonce), &KEY, Some("k1")));
    let query = format!("code=abc&state={}", begun.state);
    session(&send_callback(&server, &begun.cookie, &query).await);
    let replayed = send_callback(&server, &begun.cookie, &query).await;
    replayed.expect_error(400, "ValidationError", "Login failed. This login was completed before.");
}

#[actix_web::test]
async fn a_code_that_the_tenant_refuses_is_unauthorized() {
    let (_tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let begun = begin(&server, "/login").await;
    let reply = send_callback(&server, &begun.cookie, &format!("code=stolen&state={}", begun.state)).await;
    let text = "The login tenant refused the authorization code: invalid_grant: Invalid authorization code";
    reply.expect_error(401, "UnauthorizedError", text);
}

#[actix_web::test]
async fn a_missing_code_and_an_error_of_the_tenant_are_reported() {
    let (_tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let begun = begin(&server, "/login").await;
    let reply = send_callback(&server, &begun.cookie, &format!("state={}", begun.state)).await;
    reply.expect_error(400, "ArgumentError", "Must provide a code");
    let begun = begin(&server, "/login").await;
    let query = format!("error=access_denied&error_description=Not%20today&state={}", begun.state);
    let reply = send_callback(&server, &begun.cookie, &query).await;
    reply.expect_error(401, "UnauthorizedError", "Login failed. access_denied: Not today");
}

#[actix_web::test]
async fn a_custom_login_domain_is_another_issuer_than_the_management_api() {
    let (management, custom) = (Tenant::start(), Tenant::start());
    let mut settings = vec![("AUTH0_LOGIN_DOMAIN", custom.origin.as_str())];
    settings.extend(EMAILS);
    let server = server(&management, &settings).await;
    management
        .state
        .profiles
        .lock()
        .unwrap()
        .insert("auth0|ada".to_owned(), profile("auth0|ada", "ada@example.com", true, "staff"));
    session(&sign_in(&custom, &server, |_| {}).await);
    let begun = begin(&server, "/login").await;
    *custom.state.id_token.lock().unwrap() = Some(sign(&id_token(&management, &begun.nonce), &KEY, Some("k1")));
    let reply = send_callback(&server, &begun.cookie, &format!("code=abc&state={}", begun.state)).await;
    reply.expect_error(401, "UnauthorizedError", &format!("Invalid issuer: {}/", management.origin));
}

#[actix_web::test]
async fn a_popup_is_remembered_until_the_end() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let begun = begin(&server, "/login?popup=1").await;
    *tenant.state.id_token.lock().unwrap() = Some(sign(&id_token(&tenant, &begun.nonce), &KEY, Some("k1")));
    let reply = send_callback(&server, &begun.cookie, &format!("code=abc&state={}", begun.state)).await;
    session(&reply);
    assert!(reply.body.contains("data-popup=\"true\""));
}

#[actix_web::test]
async fn a_denied_user_sees_a_page_with_a_hint() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|another-admin")]).await;
    let begun = begin(&server, "/login").await;
    *tenant.state.id_token.lock().unwrap() = Some(sign(&id_token(&tenant, &begun.nonce), &KEY, Some("k1")));
    let request = TestRequest::get()
        .uri(&format!("/login/callback?code=abc&state={}", begun.state))
        .insert_header(("cookie", begun.cookie))
        .insert_header(("accept", "text/html"));
    let reply = server.call(request).await;
    assert_eq!((reply.status, reply.header("content-type")), (403, "text/html; charset=utf-8"));
    assert!(reply.body.contains(NOT_AN_ADMIN) && reply.body.contains("ADMIN_EMAILS"), "{}", reply.body);
}

async fn backchannel(server: &Application, body: &str) -> Reply {
    let request = TestRequest::post().uri("/backchannel-logout").set_payload(body.to_owned());
    server.call(request.insert_header(("content-type", "application/x-www-form-urlencoded"))).await
}

fn logout_token(tenant: &Tenant) -> Value {
    json!({
        "iss": format!("{}/", tenant.origin), "aud": CLIENT, "iat": now(), "exp": now() + 120, "jti": "1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

async fn history(server: &Application, token: &str) -> u16 {
    let request = TestRequest::get().uri("/api/history").insert_header(("authorization", format!("Bearer {token}")));
    server.call(request).await.status
}

#[actix_web::test]
async fn a_logout_token_of_the_login_tenant_ends_the_sessions_it_names_once() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada,auth0|grace")]).await;
    let sign_in_with = async |subject: &str, sid: &str| {
        session(
            &sign_in(&tenant, &server, |claims| {
                claims["sub"] = json!(subject);
                claims["sid"] = json!(sid);
            })
            .await,
        )
    };
    let first = sign_in_with("auth0|ada", "s1").await;
    let second = sign_in_with("auth0|ada", "s2").await;
    let grace = sign_in_with("auth0|grace", "s3").await;
    let form = |claims: &Value| format!("logout_token={}", sign(claims, &KEY, Some("k1")));

    let mut by_sid = logout_token(&tenant);
    by_sid["sid"] = json!("s1");
    let reply = backchannel(&server, &form(&by_sid)).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{}", reply.body);
    assert_eq!((history(&server, &first).await, history(&server, &second).await), (401, 200));

    let mut by_subject = logout_token(&tenant);
    by_subject["sub"] = json!("auth0|ada");
    by_subject["jti"] = json!("2");
    assert_eq!(backchannel(&server, &form(&by_subject)).await.status, 200);
    assert_eq!((history(&server, &second).await, history(&server, &grace).await), (401, 200));

    let again = sign_in_with("auth0|ada", "s4").await;
    let reply = backchannel(&server, &form(&by_subject)).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("invalid_request")));
    assert_eq!(history(&server, &again).await, 200, "a token that was used ends nothing");
}

#[actix_web::test]
async fn an_invalid_logout_token_ends_no_session() {
    let (tenant, server) = setup(&[("ADMIN_SUBJECTS", "auth0|ada")]).await;
    let token = session(&sign_in(&tenant, &server, |_| {}).await);
    let mut good = logout_token(&tenant);
    good["sub"] = json!("auth0|ada");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims, &KEY, Some("k1"))
    };
    let mut forms: Vec<String> = [
        with("iss", json!("https://evil.example/")),
        with("aud", json!("another client")),
        with("exp", json!(now() - 1)),
        with("events", json!({})),
        with("nonce", json!("n")),
        with("jti", Value::Null),
        sign(&good, &OTHER_KEY, Some("k1")),
        sign(&id_token(&tenant, "n"), &KEY, Some("k1")),
        "a.b.c".to_owned(),
    ]
    .map(|token| format!("logout_token={token}"))
    .into();
    forms.extend([String::new(), "token=x".to_owned(), format!("logout_token={}", "x".repeat(70_000))]);
    for form in forms {
        let reply = backchannel(&server, &form).await;
        assert_eq!((reply.status, reply.header("cache-control")), (400, "no-store"), "{form}");
        let body = reply.json();
        assert!(body["error"] == "invalid_request" && body["error_description"].is_string(), "{body}");
        assert_eq!(history(&server, &token).await, 200);
    }
}
