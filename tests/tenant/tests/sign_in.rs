use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use simulated_tenant::{TenantSettings, people};
use url::Url;

use crate::support::{Api, client_credentials, settings};

/// Serves an extension: an address with a client configuration. Returns its URL.
fn extension() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let configuration = json!({
        "redirect_uris": [format!("{base}/login/callback")],
        "client_name": "User Import / Export Extension",
        "post_logout_redirect_uris": [base],
    });
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            HttpServer::new(move || {
                let configuration = configuration.clone();
                App::new().route(
                    "/.well-known/oauth2-client-configuration",
                    web::get().to(move || {
                        let configuration = configuration.clone();
                        async move { HttpResponse::Ok().json(configuration) }
                    }),
                )
            })
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run()
            .await
        })
    });
    base
}

fn authorize(api: &Api, base: &str, more: &[(&str, &str)]) -> String {
    let mut url = Url::parse(&format!("{}/authorize", api.tenant.url())).unwrap();
    let mut parameters = vec![
        ("client_id", base.to_owned()),
        ("response_type", "token id_token".to_owned()),
        ("response_mode", "form_post".to_owned()),
        ("scope", "openid name email create:users read:users read:connections".to_owned()),
        ("expiration", "36000".to_owned()),
        ("redirect_uri", format!("{base}/login/callback")),
        ("audience", format!("{}/api/v2/", api.tenant.url())),
        ("nonce", "the-nonce".to_owned()),
        ("state", "the-state".to_owned()),
    ];
    for (name, value) in more {
        parameters.retain(|(known, _)| known != name);
        parameters.push((name, (*value).to_owned()));
    }
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

/// A browser that keeps the session cookie and does not follow redirects.
#[derive(Default)]
struct Browser {
    cookie: String,
}

struct Page {
    status: u16,
    location: Option<String>,
    policy: String,
    html: String,
}

impl Browser {
    async fn send(&mut self, api: &Api, request: reqwest::RequestBuilder) -> Page {
        let request = if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) };
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        if let Some(cookie) = header("set-cookie") {
            cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        let location = header("location").map(|location| {
            if location.starts_with('/') { format!("{}{location}", api.tenant.url()) } else { location }
        });
        let policy = header("content-security-policy").unwrap_or_default();
        Page { status: response.status().as_u16(), location, policy, html: response.text().await.unwrap() }
    }

    async fn get(&mut self, api: &Api, url: &str) -> Page {
        let request = api.http.get(url);
        self.send(api, request).await
    }

    async fn post(&mut self, api: &Api, path: &str, form: &[(&str, &str)]) -> Page {
        let request = api.http.post(format!("{}{path}", api.tenant.url())).form(form);
        self.send(api, request).await
    }
}

fn state_of(location: &str) -> String {
    Url::parse(location).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

fn field(html: &str, name: &str) -> String {
    let from = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {html}"));
    from.split('"').next().unwrap().to_owned()
}

/// Verifies a token with the published keys. Returns its claims.
async fn verified(api: &Api, token: &str) -> Value {
    let keys: JwkSet =
        api.http.get(format!("{}/.well-known/jwks.json", api.tenant.url())).send().await.unwrap().json().await.unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

async fn sign_in(api: &Api, browser: &mut Browser, url: &str, email: &str, connection: &str) -> Page {
    let page = browser.get(api, url).await;
    assert_eq!(page.status, 303);
    let location = page.location.unwrap();
    let state = state_of(&location);
    let login = browser.get(api, &location).await;
    assert!(login.html.contains("id=\"email\"") && login.html.contains("id=\"sign-in\""));
    browser.post(api, "/u/login", &[("state", &state), ("email", email), ("connection", connection)]).await
}

#[tokio::test]
async fn an_admin_signs_in_to_an_extension_and_consents_once() {
    let api = Api::start().await;
    let base = extension();
    let mut browser = Browser::default();
    let url = authorize(&api, &base, &[]);
    let page = sign_in(&api, &mut browser, &url, people::ADMIN_EMAIL, "Username-Password-Authentication").await;
    let location = page.location.unwrap();
    assert!(location.contains("/u/consent"));
    let consent = browser.get(&api, &location).await;
    for line in [
        "<strong>Users</strong>: create and read your users",
        "<strong>Connections</strong>: read your connections",
        "<strong>Profile</strong>: access to your profile",
        "id=\"accept\"",
        "id=\"decline\"",
    ] {
        assert!(consent.html.contains(line), "{line}\n{}", consent.html);
    }
    let done = browser.post(&api, "/u/consent", &[("state", &state_of(&location)), ("decision", "accept")]).await;
    assert_eq!(done.status, 200);
    assert!(done.html.contains(&format!("action=\"{base}/login/callback\"")), "{}", done.html);
    assert!(done.policy.contains(&format!("form-action 'self' {base}")) && done.policy.contains("default-src 'none'"));
    assert_eq!(field(&done.html, "state"), "the-state");

    let id_token = verified(&api, &field(&done.html, "id_token")).await;
    let access_token = field(&done.html, "access_token");
    let access = verified(&api, &access_token).await;
    let issuer = format!("{}/", api.tenant.url());
    assert_eq!(
        (&id_token["iss"], &id_token["aud"], &id_token["nonce"]),
        (&json!(issuer), &json!(base), &json!("the-nonce"))
    );
    assert_eq!(
        (&id_token["email"], &id_token["email_verified"], &id_token["name"]),
        (&json!(people::ADMIN_EMAIL), &json!(true), &json!("Ada Admin"))
    );
    assert_eq!((&access["azp"], &access["sub"]), (&json!(base), &id_token["sub"]));
    assert!(access["aud"].as_array().unwrap().contains(&json!(format!("{}/api/v2/", api.tenant.url()))));
    let answer = api.http.get(api.url("/users")).bearer_auth(&access_token).send().await.unwrap();
    assert_eq!(answer.status(), 200);

    let again = browser.get(&api, &url).await;
    assert!(again.status == 200 && again.html.contains("id=\"form-post\""));
    let fresh = browser.get(&api, &authorize(&api, &base, &[("prompt", "login")])).await;
    assert_eq!(fresh.status, 303);
}

#[tokio::test]
async fn declining_sends_access_denied() {
    let api = Api::start().await;
    let base = extension();
    let mut browser = Browser::default();
    let page = sign_in(
        &api,
        &mut browser,
        &authorize(&api, &base, &[]),
        people::EDITOR_EMAIL,
        "Username-Password-Authentication",
    )
    .await;
    let state = state_of(&page.location.unwrap());
    let page = browser.post(&api, "/u/consent", &[("state", &state), ("decision", "decline")]).await;
    assert_eq!(
        (field(&page.html, "error").as_str(), field(&page.html, "state").as_str()),
        ("access_denied", "the-state")
    );
}

#[tokio::test]
async fn untrusted_authorization_requests_get_an_error_page_and_invalid_ones_a_redirect() {
    let api = Api::start().await;
    let base = extension();
    let mut browser = Browser::default();
    for (name, value) in [
        ("client_id", "unknown"),
        ("client_id", "http://198.51.100.1"),
        ("client_id", "http://127.0.0.1:1"),
        ("redirect_uri", "http://127.0.0.1:1/evil"),
    ] {
        let page = browser.get(&api, &authorize(&api, &base, &[(name, value)])).await;
        assert!(page.status == 400 && page.location.is_none(), "{name}={value}");
    }
    for (name, value) in [
        ("response_type", "code"),
        ("response_mode", "query"),
        ("nonce", ""),
        ("audience", "https://other.example/api/v2/"),
        ("scope", "email"),
        ("connection", "Disabled-Database"),
    ] {
        let page = browser.get(&api, &authorize(&api, &base, &[(name, value)])).await;
        let location = page.location.unwrap_or_default();
        assert!(
            location.starts_with(&base)
                && location.contains("error=invalid_request")
                && location.contains("state=the-state"),
            "{name}: {location}"
        );
    }
    let silent = browser.get(&api, &authorize(&api, &base, &[("prompt", "none")])).await;
    assert!(silent.location.unwrap().contains("error=login_required"));
}

#[tokio::test]
async fn markup_in_a_request_does_not_reach_a_page() {
    let api = Api::start().await;
    let base = extension();
    let mut browser = Browser::default();
    let page =
        browser.get(&api, &authorize(&api, &base, &[("redirect_uri", "http://x/\"><script>alert(1)</script>")])).await;
    assert!(!page.html.contains("<script>alert"));
    let page =
        sign_in(&api, &mut browser, &authorize(&api, &base, &[]), "\"><script>alert(1)</script>", "Partners").await;
    assert!(page.status == 400 && !page.html.contains("<script>alert"));
}

#[tokio::test]
async fn logging_out_ends_the_session_and_redirects_only_to_allowed_urls() {
    let api = Api::start().await;
    let base = extension();
    let mut browser = Browser::default();
    let url = authorize(&api, &base, &[]);
    sign_in(&api, &mut browser, &url, people::ADMIN_EMAIL, "Username-Password-Authentication").await;
    let logout = |target: &str| format!("{}/v2/logout/?client_id={base}&returnTo={target}", api.tenant.url());
    assert_eq!(browser.get(&api, &logout("http://evil.example")).await.status, 400);
    sign_in(&api, &mut Browser::default(), &url, people::ADMIN_EMAIL, "Username-Password-Authentication").await;
    let page = browser.get(&api, &logout(&base)).await;
    assert_eq!((page.status, page.location.as_deref()), (302, Some(base.as_str())));
    assert!(browser.get(&api, &url).await.location.unwrap().contains("/u/login"));
}

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXkabcdefg";
const CALLBACK: &str = "http://127.0.0.1:9/login/callback";

fn code_request(api: &Api, more: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()));
    let mut parameters = vec![
        ("response_type", "code"),
        ("response_mode", "query"),
        ("scope", "openid profile email"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    parameters.extend_from_slice(more);
    authorize(api, api.tenant.login_client_id(), &parameters)
}

async fn code(api: &Api, email: &str, connection: &str) -> String {
    let page = sign_in(api, &mut Browser::default(), &code_request(api, &[]), email, connection).await;
    let location = Url::parse(&page.location.unwrap()).unwrap();
    assert!(location.as_str().starts_with(CALLBACK));
    location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

async fn exchange(api: &Api, code: &str, more: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", api.tenant.login_client_id()),
        ("client_secret", api.tenant.login_client_secret()),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", CALLBACK),
    ];
    for (name, value) in more {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    let response = api.http.post(format!("{}/oauth/token", api.tenant.url())).form(&form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn the_code_flow_signs_in_the_chosen_person() {
    let api = Api::start().await;
    let mut subjects = std::collections::HashSet::new();
    for person in api.control.people() {
        let code = code(&api, &person.email, &person.connection).await;
        let (status, tokens) = exchange(&api, &code, &[]).await;
        assert_eq!(status, 200, "{tokens}");
        let claims = verified(&api, tokens["id_token"].as_str().unwrap()).await;
        assert_eq!(
            (&claims["email"], &claims["email_verified"], &claims["nonce"]),
            (&json!(person.email), &json!(person.email_verified), &json!("the-nonce"))
        );
        let roles = claims.get(people::ROLES_CLAIM).cloned();
        assert_eq!(roles, (person.email == people::EDITOR_EMAIL).then(|| json!([people::EDITOR_ROLE])));
        let user = api.control.user(claims["sub"].as_str().unwrap()).unwrap();
        assert_eq!(user["identities"][0]["connection"], person.connection);
        let info = api
            .http
            .get(format!("{}/userinfo", api.tenant.url()))
            .bearer_auth(tokens["access_token"].as_str().unwrap());
        assert_eq!(info.send().await.unwrap().json::<Value>().await.unwrap()["sub"], claims["sub"]);
        let denied = api.http.get(api.url("/users")).bearer_auth(tokens["access_token"].as_str().unwrap());
        assert_eq!(denied.send().await.unwrap().status(), 403);
        subjects.insert(claims["sub"].to_string());
    }
    assert_eq!(subjects.len(), 5);
}

#[tokio::test]
async fn a_code_is_good_once_for_a_minute_and_with_its_verifier() {
    let api = Api::start().await;
    let database = "Username-Password-Authentication";
    let used = code(&api, people::USER_EMAIL, database).await;
    assert_eq!(exchange(&api, &used, &[]).await.0, 200);
    assert_eq!(exchange(&api, &used, &[]).await.1["error"], "invalid_grant");
    for wrong in [("code_verifier", "wrong"), ("redirect_uri", "http://127.0.0.1:9/other")] {
        let code = code(&api, people::USER_EMAIL, database).await;
        assert_eq!(exchange(&api, &code, &[wrong]).await.1["error"], "invalid_grant");
        assert_eq!(exchange(&api, &code, &[]).await.0, 403);
    }
    let code_of_someone = code(&api, people::USER_EMAIL, database).await;
    assert_eq!(exchange(&api, &code_of_someone, &[("client_secret", "wrong")]).await.0, 401);
    api.control.advance(Duration::from_mins(1));
    assert_eq!(exchange(&api, &code_of_someone, &[]).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn the_code_flow_needs_pkce_and_honours_the_connection() {
    let api = Api::start().await;
    let mut browser = Browser::default();
    for wrong in [("code_challenge", ""), ("code_challenge_method", "plain"), ("response_type", "token id_token")] {
        let page = browser.get(&api, &code_request(&api, &[wrong])).await;
        assert!(page.location.unwrap().contains("error=invalid_request"), "{wrong:?}");
    }
    assert_eq!(browser.get(&api, &code_request(&api, &[("redirect_uri", "https://evil.example/")])).await.status, 400);
    let partners = code_request(&api, &[("connection", "Partners")]);
    let page = sign_in(&api, &mut browser, &partners, people::EDITOR_EMAIL, "Username-Password-Authentication").await;
    assert_eq!(page.status, 400);
    let page = sign_in(&api, &mut browser, &partners, people::ADMIN_EMAIL, "Username-Password-Authentication").await;
    assert!(page.location.unwrap().starts_with(CALLBACK));
    // The session of the other connection does not count.
    let page = browser.get(&api, &code_request(&api, &[("connection", "google-oauth2")])).await;
    assert_eq!(page.status, 303);
}

#[tokio::test]
async fn only_listed_callbacks_are_allowed_when_there_is_a_list() {
    let api = Api::with(TenantSettings { callbacks: vec![CALLBACK.to_owned()], ..settings() }).await;
    let mut browser = Browser::default();
    assert_eq!(browser.get(&api, &code_request(&api, &[])).await.status, 303);
    assert_eq!(browser.get(&api, &code_request(&api, &[("redirect_uri", "http://127.0.0.1:9/")])).await.status, 400);
}

#[tokio::test]
async fn generated_users_of_a_database_can_sign_in_too() {
    let api = Api::start().await;
    let (_, found) =
        api.search(r#"identities.connection:"Username-Password-Authentication" AND email_verified:true"#).await;
    let email = found["users"][0]["email"].as_str().unwrap();
    let code = code(&api, email, "Username-Password-Authentication").await;
    let (_, tokens) = exchange(&api, &code, &[]).await;
    assert_eq!(verified(&api, tokens["id_token"].as_str().unwrap()).await["sub"], found["users"][0]["user_id"]);
}

#[tokio::test]
async fn client_credentials_come_as_json_form_or_basic() {
    let api = Api::start().await;
    let url = format!("{}/oauth/token", api.tenant.url());
    let (id, secret) = (api.tenant.client_id(), api.tenant.client_secret());
    let audience = format!("{}/api/v2/", api.tenant.url());
    let form =
        [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("audience", &audience)];
    let body: Value = api.http.post(&url).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(86_400), &json!("Bearer")));
    assert_eq!(body["scope"], "read:users create:users read:connections");
    let claims = verified(&api, body["access_token"].as_str().unwrap()).await;
    assert_eq!(
        (&claims["gty"], &claims["sub"], &claims["aud"]),
        (&json!("client-credentials"), &json!(format!("{id}@clients")), &json!(audience))
    );
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let answer = api.http.post(&url).header("authorization", basic).form(&[form[0], form[3]]).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for (name, value, status, error) in [
        ("client_secret", "wrong", 401, "access_denied"),
        ("client_id", "wrong", 401, "access_denied"),
        ("audience", "https://other.example/api/v2/", 403, "access_denied"),
        ("grant_type", "password", 400, "unsupported_grant_type"),
    ] {
        let mut form = form.to_vec();
        form.retain(|(known, _)| *known != name);
        form.push((name, value));
        let answer = api.http.post(&url).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], error);
    }
}

#[tokio::test]
async fn rotated_keys_are_published_and_withdrawn_ones_are_not() {
    let api = Api::start().await;
    let keys = async || {
        let url = format!("{}/.well-known/jwks.json", api.tenant.url());
        api.http.get(url).send().await.unwrap().json::<Value>().await.unwrap()["keys"].as_array().unwrap().clone()
    };
    let first = keys().await;
    assert!(first[0]["n"].is_string() && first[0]["alg"] == "RS256" && first[0]["use"] == "sig");
    api.control.rotate_signing_key(false).unwrap();
    assert_eq!(keys().await.len(), 2);
    let token = client_credentials(&api.http, &api.tenant).await;
    assert_ne!(jsonwebtoken::decode_header(&token).unwrap().kid.as_deref(), first[0]["kid"].as_str());
    api.control.rotate_signing_key(true).unwrap();
    assert_eq!(keys().await.len(), 1);
    let configuration: Value = api
        .http
        .get(format!("{}/.well-known/openid-configuration", api.tenant.url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(configuration["issuer"], format!("{}/", api.tenant.url()));
}
