//! Attacks on the login with `LOGIN=extension` that are not in the tables of docs/auth0/login.md.

use actix_web::test::TestRequest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::extension_login::{BASE, Callback, session, setup};
use crate::login_tenant::{KEY, public, public_der, sign};

#[actix_web::test]
async fn a_public_key_is_not_accepted_as_an_hmac_secret() {
    let (tenant, server) = setup().await;
    let callback = Callback::new(&tenant);
    let modulus = public(&KEY, "k1")["n"].as_str().expect("a modulus").to_owned();
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let lines: Vec<String> = STANDARD.encode(public_der()).as_bytes().chunks(64).map(text).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    for secret in [
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(&modulus).expect("base64"),
        public_der(),
        pem.clone().into_bytes(),
        format!("{pem}\n").into_bytes(),
        pem.replace('\n', "\r\n").into_bytes(),
        public(&KEY, "k1").to_string().into_bytes(),
    ] {
        let token = jsonwebtoken::encode(&header, &callback.id, &EncodingKey::from_secret(&secret)).expect("a token");
        let forged = Callback { id_token: Some(token), ..Callback::new(&tenant) };
        forged.send(&server).await.expect_error(401, "UnauthorizedError", "invalid algorithm");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[actix_web::test]
async fn an_unsigned_token_is_refused() {
    let (tenant, server) = setup().await;
    let callback = Callback::new(&tenant);
    let body = URL_SAFE_NO_PAD.encode(callback.id.to_string());
    for alg in ["none", "None", "nOnE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "k1"}).to_string());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{body}.{signature}");
            let forged = Callback { id_token: Some(token), ..Callback::new(&tenant) };
            forged.send(&server).await.expect_error(401, "UnauthorizedError", "invalid algorithm");
        }
    }
    assert_eq!(tenant.key_reads(), 0, "no request is spent on them");
}

#[actix_web::test]
async fn a_token_of_another_kind_is_not_accepted_as_the_id_token() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    // The access token with the right nonce: right issuer and key, wrong audience.
    callback.access["nonce"] = json!("the-nonce");
    callback.id_token = Some(sign(&callback.access, &KEY, Some("k1")));
    let text = format!("Audience mismatch for: {BASE}");
    callback.send(&server).await.expect_error(401, "UnauthorizedError", &text);
}

#[actix_web::test]
async fn unknown_keys_cause_ten_fetches_per_minute_and_known_keys_still_work() {
    let (tenant, server) = setup().await;
    for kid in ["x1", "x2", "x3", "x4"].into_iter().cycle().take(40) {
        let callback = Callback { kid: Some(kid), ..Callback::new(&tenant) };
        assert_eq!(callback.send(&server).await.status, 401);
    }
    assert_eq!(tenant.key_reads(), 10);
    session(&Callback::new(&tenant).send(&server).await);
    assert_eq!(tenant.key_reads(), 10);
}

#[actix_web::test]
async fn unknown_keys_at_the_same_time_cause_no_more_fetches() {
    let (tenant, server) = setup().await;
    let strangers = (0..60).map(|number| {
        let mut callback = Callback::new(&tenant);
        callback.id_token = Some(sign(&callback.id, &KEY, Some(&format!("x{number}"))));
        let server = &server;
        async move { callback.send(server).await.status }
    });
    assert!(join_all(strangers).await.into_iter().all(|status| status == 401));
    assert_eq!(tenant.key_reads(), 10);
    let known = (0..20).map(|_| {
        let callback = Callback::new(&tenant);
        let server = &server;
        async move { callback.send(server).await.status }
    });
    assert!(join_all(known).await.into_iter().all(|status| status == 200));
    assert_eq!(tenant.key_reads(), 10);
}

#[actix_web::test]
async fn a_tenant_that_is_down_is_not_requested_more_often() {
    let (tenant, server) = setup().await;
    *tenant.state.down.lock().unwrap() = true;
    for _ in 0..15 {
        assert_eq!(Callback::new(&tenant).send(&server).await.status, 502);
    }
    assert_eq!(tenant.key_reads(), 10);
}

#[actix_web::test]
async fn the_id_of_an_unknown_key_is_truncated_and_escaped() {
    let (tenant, server) = setup().await;
    let mut callback = Callback { accept: "text/html", ..Callback::new(&tenant) };
    let name = format!("<script>alert(1)</script>{}", "x".repeat(10_000));
    callback.id_token = Some(sign(&callback.id, &KEY, Some(&name)));
    let reply = callback.send(&server).await;
    assert_eq!(reply.status, 401);
    assert!(!reply.body.contains("<script>alert") && reply.body.len() < 5_000, "{}", reply.body);
    assert!(reply.body.contains("&lt;script&gt;alert(1)"), "{}", reply.body);
}

#[actix_web::test]
async fn claims_cannot_inject_into_the_page() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    let attack = "\"></p></script><script>alert(1)</script>";
    callback.id["email"] = json!(attack);
    callback.id["name"] = json!(attack);
    callback.id["sub"] = json!(attack);
    callback.access["sub"] = json!(attack);
    let reply = callback.send(&server).await;
    session(&reply);
    assert!(!reply.body.contains("alert(1)"), "{}", reply.body);
}

#[actix_web::test]
async fn a_login_is_completed_once() {
    let (tenant, server) = setup().await;
    let (_, query) = server.get("/login").await.location();
    let value = |name: &str| query.iter().find(|(found, _)| found == name).expect("a parameter").1.clone();
    let mut callback = Callback::new(&tenant);
    callback.state = value("state");
    callback.id["nonce"] = json!(value("nonce"));
    callback.cookies = vec![("state", value("state")), ("nonce", value("nonce"))];
    session(&callback.send(&server).await);
    let replayed = callback.send(&server).await;
    replayed.expect_error(400, "ValidationError", "Login failed. This login was completed before.");
}

#[actix_web::test]
async fn tokens_of_a_login_are_only_accepted_with_its_state() {
    // An attacker with a stolen form can set their own cookies and choose the state, which is not signed.
    let (tenant, server) = setup().await;
    for (popup, completed) in [("", false), ("", true), (".popup", true)] {
        let (_, query) = server.get(if popup.is_empty() { "/login" } else { "/login?popup=1" }).await.location();
        let value = |name: &str| query.iter().find(|(found, _)| found == name).expect("a parameter").1.clone();
        assert!(value("state").ends_with(popup), "{query:?}");
        let mut callback = Callback::new(&tenant);
        callback.id["nonce"] = json!(value("nonce"));
        if completed {
            callback.state = value("state");
            callback.cookies = vec![("state", callback.state.clone()), ("nonce", value("nonce"))];
            session(&callback.send(&server).await);
        }
        callback.state = "chosen-by-the-thief".to_owned();
        callback.cookies = vec![("state", callback.state.clone()), ("nonce", value("nonce"))];
        callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. State mismatch.");
        callback.state = value("state").replace(".popup", "");
        callback.cookies = vec![("state", callback.state.clone()), ("nonce", value("nonce"))];
        let again = callback.send(&server).await;
        if completed {
            again.expect_error(400, "ValidationError", "Login failed. This login was completed before.");
        } else {
            session(&again);
        }
    }
}

#[actix_web::test]
async fn a_form_of_another_site_cannot_sign_in_an_admin_as_an_attacker() {
    // Login CSRF: a hostile page posts the attacker's own valid tokens from the victim's browser,
    // which has no cookies of that login, or cookies of another login.
    let (tenant, server) = setup().await;
    let names = ["state", "nonce", "state_compat", "nonce_compat"];
    let none = Callback::new(&tenant).without_cookies(&names);
    assert_eq!(none.send(&server).await.status, 400);
    let mut foreign = Callback::new(&tenant).without_cookies(&names);
    foreign.cookies = names.iter().map(|name| (*name, "of-the-victims-own-login".to_owned())).collect();
    assert_eq!(foreign.send(&server).await.status, 400);
}

#[actix_web::test]
async fn no_parameter_changes_the_redirect() {
    let (tenant, server) = setup().await;
    let evil = "https%3A%2F%2Fevil.example";
    let parameters = format!("returnTo={evil}&return_to={evil}&redirect_uri={evil}&next={evil}&state={evil}");
    for path in ["/login", "/logout"] {
        let reply = server.get(&format!("{path}?{parameters}")).await;
        assert!(!reply.header("location").contains("evil"), "{path}");
        assert!(!reply.body.contains("evil"), "{path}");
    }
    let request = Callback::new(&tenant).request().uri(&format!("/login/callback?{parameters}"));
    let reply = server.call(request).await;
    session(&reply);
    assert!(!reply.body.contains("evil"));
}

#[actix_web::test]
async fn cookies_of_another_server_on_the_same_host_are_ignored() {
    let (tenant, server) = setup().await;
    // Browsers send the cookie with the longer path first; the other server's cookie has the path `/`.
    let mut callback = Callback::new(&tenant);
    callback.cookies.push(("state", "of-the-neighbour".to_owned()));
    callback.cookies.push(("nonce", "of-the-neighbour".to_owned()));
    callback.cookies.insert(0, ("odd", "\"%zz; =; no pair".to_owned()));
    session(&callback.send(&server).await);
}

#[actix_web::test]
async fn a_too_large_or_malformed_form_is_refused() {
    let (_tenant, server) = setup().await;
    let huge = "x".repeat(200_000);
    for request in [
        TestRequest::post().uri("/login/callback").set_form([("id_token", huge.as_str())]),
        TestRequest::post().uri("/login/callback").set_json(json!({"id_token": "a.b.c"})),
        TestRequest::post().uri("/login/callback").set_form([("id_token", "a.b.c"), ("id_token", "d.e.f")]),
        TestRequest::post().uri("/login/callback").set_payload("\u{0}%%%=;&&&"),
    ] {
        let reply = server.call(request).await;
        reply.expect_error(400, "ValidationError", "Login failed. Invalid token.");
    }
}
