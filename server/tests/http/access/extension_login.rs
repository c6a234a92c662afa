//! Tests of `LOGIN=extension` (docs/auth0/login.md): the redirect, and each row of the callback's table.

use actix_web::test::TestRequest;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use uie_store::{JobKind, NewJob};

use test_kit::{Application, Reply, SECRET, now};

use crate::login_tenant::{KEY, OTHER_KEY, Tenant, public, sign};

pub use test_kit::BASE_URL as BASE;

/// Returns the name of a login cookie of a server at [`BASE`].
pub fn cookie_name(name: &str) -> String {
    match name {
        "state" | "nonce" | "state_compat" | "nonce_compat" => format!("__Host-{name}-a7e7e2f5"),
        other => other.to_owned(),
    }
}
const MANAGEMENT: &str = "https://acme.eu.auth0.com/api/v2/";

/// A valid login callback, in which a test changes one part.
pub struct Callback {
    pub id: Value,
    pub access: Value,
    pub kid: Option<&'static str>,
    pub cookies: Vec<(&'static str, String)>,
    pub state: String,
    /// Replaces the signed id_token.
    pub id_token: Option<String>,
    /// Replaces the signed access_token.
    pub access_token: Option<String>,
    /// Omits the access_token.
    pub no_access_token: bool,
    pub accept: &'static str,
}

impl Callback {
    pub fn new(tenant: &Tenant) -> Self {
        let iss = format!("{}/", tenant.origin);
        let pair = |name, compat, value: &str| [(name, value.to_owned()), (compat, value.to_owned())];
        Self {
            id: json!({
                "iss": iss, "sub": "auth0|ada", "aud": BASE, "nonce": "the-nonce",
                "email": "ada@example.com", "name": "Ada", "iat": now(), "exp": now() + 36_000,
            }),
            access: json!({
                "iss": iss, "sub": "auth0|ada", "aud": [MANAGEMENT, format!("{iss}userinfo")], "azp": BASE,
                "iat": now(), "exp": now() + 36_000, "scope": "openid create:users read:users read:connections",
            }),
            kid: Some("k1"),
            cookies: [pair("nonce", "nonce_compat", "the-nonce"), pair("state", "state_compat", "the-state")].concat(),
            state: "the-state".to_owned(),
            id_token: None,
            access_token: None,
            no_access_token: false,
            accept: "*/*",
        }
    }

    pub fn without_cookies(mut self, names: &[&str]) -> Self {
        self.cookies.retain(|(name, _)| !names.contains(name));
        self
    }

    pub fn request(&self) -> TestRequest {
        let id_token = self.id_token.clone().unwrap_or_else(|| sign(&self.id, &KEY, self.kid));
        let access_token = self.access_token.clone().unwrap_or_else(|| sign(&self.access, &KEY, Some("k1")));
        let mut form = vec![("id_token", id_token), ("state", self.state.clone())];
        if !self.no_access_token {
            form.push(("access_token", access_token));
        }
        let mut request =
            TestRequest::post().uri("/login/callback").set_form(form).insert_header(("accept", self.accept));
        if !self.cookies.is_empty() {
            let pair = |(name, value): &(&'static str, String)| format!("{}={value}", cookie_name(name));
            let cookies: Vec<String> = self.cookies.iter().map(pair).collect();
            request = request.insert_header(("cookie", cookies.join("; ")));
        }
        request
    }

    pub async fn send(&self, server: &Application) -> Reply {
        server.call(self.request()).await
    }
}

pub async fn setup() -> (Tenant, Application) {
    let tenant = Tenant::start();
    let server = Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("AUTH0_RTA", &tenant.origin)]).await;
    (tenant, server)
}

/// Returns the session token in the page at the end of a login.
pub fn session(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let (_, rest) = reply.body.split_once("data-token=\"").expect("a token");
    rest.split_once('"').expect("a token").0.to_owned()
}

pub fn payload(token: &str) -> Value {
    let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
    validation.set_audience(&["urn:user-import-export-extension"]);
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode(token, &key, &validation).expect("a session").claims
}

#[actix_web::test]
async fn login_redirects_to_the_root_tenant_with_the_documented_parameters() {
    let (tenant, server) = setup().await;
    let reply = server.get("/login").await;
    assert_eq!(reply.status, 302);
    assert!(reply.header("location").contains("&response_type=token%20id_token&"), "spaces are %20, not +");
    let (url, query) = reply.location();
    assert_eq!(url, format!("{}/authorize", tenant.origin));
    let expected = [
        ("client_id", BASE),
        ("response_type", "token id_token"),
        ("response_mode", "form_post"),
        ("scope", "openid name email create:users read:users read:connections"),
        ("expiration", "36000"),
        ("redirect_uri", "https://tools.example/ext/login/callback"),
        ("audience", MANAGEMENT),
    ];
    let found: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found.get(..7), Some(&expected[..]));
    let names: Vec<_> = found.iter().skip(7).map(|(name, _)| *name).collect();
    assert_eq!(names, ["nonce", "state"]);
    for (name, value) in found.iter().skip(7) {
        let hex = value.len() == 32 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(hex, "{name} is {value}");
    }
}

#[actix_web::test]
async fn login_sets_both_pairs_of_cookies() {
    let (_tenant, server) = setup().await;
    let reply = server.get("/login").await;
    let (_, query) = reply.location();
    let value = |name: &str| query.iter().find(|(found, _)| found == name).expect("a parameter").1.clone();
    let (state, nonce) = (value("state"), value("nonce"));
    assert_eq!(
        reply.cookies(),
        [
            format!("{}={state}; HttpOnly; SameSite=None; Secure; Path=/", cookie_name("state")),
            format!("{}={nonce}; HttpOnly; SameSite=None; Secure; Path=/", cookie_name("nonce")),
            format!("{}={state}; HttpOnly; Secure; Path=/", cookie_name("state_compat")),
            format!("{}={nonce}; HttpOnly; Secure; Path=/", cookie_name("nonce_compat")),
        ]
    );
    let (_, again) = server.get("/login").await.location();
    assert!(query.iter().filter(|pair| again.contains(pair)).count() == 7, "state and nonce are new every time");
}

#[actix_web::test]
async fn with_http_the_cookies_have_the_documented_names_and_attributes() {
    let server = Application::new("http://127.0.0.1:3000/ext", &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await;
    let cookies = server.get("/login").await.cookies();
    let without_value = |cookie: &String| {
        let (name, rest) = cookie.split_once('=').expect("a cookie");
        format!("{name}{}", rest.find(';').map_or("", |at| &rest[at..]))
    };
    assert_eq!(
        cookies.iter().map(without_value).collect::<Vec<_>>(),
        [
            "state; HttpOnly; SameSite=None; Secure; Path=/ext/",
            "nonce; HttpOnly; SameSite=None; Secure; Path=/ext/",
            "state_compat; HttpOnly; Path=/ext/",
            "nonce_compat; HttpOnly; Path=/ext/",
        ]
    );
}

#[actix_web::test]
async fn a_cookie_that_another_host_could_set_is_ignored() {
    // Another host of the domain can set `state` and `__Secure-state` for the whole domain, but no `__Host-` cookie.
    let (tenant, server) = setup().await;
    for prefix in ["", "__Secure-"] {
        let callback = Callback::new(&tenant).without_cookies(&["state", "nonce", "state_compat", "nonce_compat"]);
        let planted = format!("{prefix}state={}; {prefix}nonce=the-nonce", callback.state);
        let reply = server.call(callback.request().insert_header(("cookie", planted))).await;
        reply.expect_error(400, "ValidationError", "Login failed. Nonce mismatch.");
    }
    // They do not affect a login of this server either.
    let mut callback = Callback::new(&tenant);
    callback.cookies.insert(0, ("__Secure-state", "planted".to_owned()));
    callback.cookies.insert(0, ("__Secure-nonce", "planted".to_owned()));
    session(&callback.send(&server).await);
}

#[actix_web::test]
async fn a_login_ends_with_a_page_that_stores_the_token_and_opens_the_base_url() {
    let (tenant, server) = setup().await;
    let reply = Callback::new(&tenant).send(&server).await;
    let token = session(&reply);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.body.contains("data-key=\"user-import-export-extension:apiToken\""));
    assert!(reply.body.contains(&format!("data-next=\"{BASE}\"")), "{}", reply.body);
    assert!(reply.body.contains("sessionStorage.setItem(key, token)"));
    let claims = payload(&token);
    assert_eq!((claims["sub"].as_str(), claims["email"].as_str()), (Some("auth0|ada"), Some("ada@example.com")));
    assert_eq!((claims["iss"].as_str(), claims["name"].as_str()), (Some(BASE), Some("Ada")));
    assert!(claims["exp"].as_u64().expect("exp") <= now() + 36_000);
    let cookies = reply.cookies();
    assert_eq!(cookies.len(), 4);
    assert!(cookies.iter().all(|cookie| cookie.contains("=; ") && cookie.contains("Max-Age=0")), "{cookies:?}");
    let history = TestRequest::get().uri("/api/history").insert_header(("authorization", format!("Bearer {token}")));
    assert_eq!(server.call(history).await.status, 200);
}

#[actix_web::test]
async fn the_management_token_in_the_session_token_is_encrypted() {
    use secrecy::ExposeSecret;
    let (tenant, server) = setup().await;
    let reply = Callback::new(&tenant).send(&server).await;
    let management = sign(&Callback::new(&tenant).access, &KEY, Some("k1"));
    let token = session(&reply);
    let session = server.app.access.session(Some(&format!("Bearer {token}")), false).await.expect("a session");
    let read_back = session.access_token.expect("a token").expose_secret().to_owned();
    assert_eq!(read_back.split('.').count(), 3);
    assert_eq!(read_back.split('.').next(), management.split('.').next());
    assert!(!reply.body.contains(&read_back) && !payload(&token).to_string().contains(&read_back));
}

#[actix_web::test]
async fn row_1_an_id_token_that_cannot_be_read_is_an_invalid_token() {
    let (tenant, server) = setup().await;
    for broken in ["", "abc", "a.b.c"] {
        let callback = Callback { id_token: Some(broken.to_owned()), ..Callback::new(&tenant) };
        callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. Invalid token.");
    }
    let empty = server.call(TestRequest::post().uri("/login/callback")).await;
    empty.expect_error(400, "ValidationError", "Login failed. Invalid token.");
}

#[actix_web::test]
async fn row_2_a_nonce_cookie_that_differs_is_a_nonce_mismatch() {
    let (tenant, server) = setup().await;
    for name in ["nonce", "nonce_compat"] {
        let mut callback = Callback::new(&tenant).without_cookies(&[name]);
        callback.cookies.push((name, "another".to_owned()));
        callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. Nonce mismatch.");
    }
}

#[actix_web::test]
async fn row_2_without_any_nonce_cookie_it_is_a_nonce_mismatch() {
    let (tenant, server) = setup().await;
    let callback = Callback::new(&tenant).without_cookies(&["nonce", "nonce_compat"]);
    callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. Nonce mismatch.");
}

#[actix_web::test]
async fn row_2_an_id_token_without_nonce_is_a_nonce_mismatch() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.id["nonce"] = Value::Null;
    callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. Nonce mismatch.");
}

#[actix_web::test]
async fn row_3_a_state_cookie_that_differs_is_a_state_mismatch() {
    let (tenant, server) = setup().await;
    for name in ["state", "state_compat"] {
        let mut callback = Callback::new(&tenant).without_cookies(&[name]);
        callback.cookies.push((name, "another".to_owned()));
        callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. State mismatch.");
    }
}

#[actix_web::test]
async fn row_3_without_any_state_cookie_it_is_a_state_mismatch() {
    let (tenant, server) = setup().await;
    let callback = Callback::new(&tenant).without_cookies(&["state", "state_compat"]);
    callback.send(&server).await.expect_error(400, "ValidationError", "Login failed. State mismatch.");
}

#[actix_web::test]
async fn rows_2_and_3_one_cookie_of_each_pair_is_enough() {
    let (tenant, server) = setup().await;
    for missing in [["nonce", "state"], ["nonce_compat", "state_compat"], ["nonce", "state_compat"]] {
        session(&Callback::new(&tenant).without_cookies(&missing).send(&server).await);
    }
}

#[actix_web::test]
async fn row_4_both_tokens_must_be_there() {
    let (tenant, server) = setup().await;
    let missing = Callback { no_access_token: true, ..Callback::new(&tenant) };
    missing.send(&server).await.expect_error(400, "ArgumentError", "Must provide an access_token");
    let empty = Callback { access_token: Some(String::new()), ..Callback::new(&tenant) };
    empty.send(&server).await.expect_error(400, "ArgumentError", "The provided access_token is invalid: ");
}

#[actix_web::test]
async fn row_5_an_access_token_that_cannot_be_read_is_refused() {
    let (tenant, server) = setup().await;
    let opaque = Callback { access_token: Some("opaque".to_owned()), ..Callback::new(&tenant) };
    opaque.send(&server).await.expect_error(400, "ValidationError", "Unable to decoded the token.");
    assert_eq!(tenant.key_reads(), 0);
}

#[actix_web::test]
async fn row_6_an_unknown_key_is_unauthorized() {
    let (tenant, server) = setup().await;
    let unknown = Callback { kid: Some("k2"), ..Callback::new(&tenant) };
    let text = "Unable to find a signing key that matches 'k2'";
    unknown.send(&server).await.expect_error(401, "UnauthorizedError", text);
}

#[actix_web::test]
async fn row_6_a_token_that_names_no_key_is_unauthorized() {
    let (tenant, server) = setup().await;
    let nameless = Callback { kid: None, ..Callback::new(&tenant) };
    assert_eq!(nameless.send(&server).await.status, 401);
    assert_eq!(tenant.key_reads(), 0);
}

#[actix_web::test]
async fn row_6_unavailable_keys_are_a_bad_gateway() {
    let (tenant, server) = setup().await;
    *tenant.state.down.lock().unwrap() = true;
    let reply = Callback::new(&tenant).send(&server).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (502, Some("login_unavailable")));
    *tenant.state.down.lock().unwrap() = false;
    session(&Callback::new(&tenant).send(&server).await);
}

#[actix_web::test]
async fn row_7_a_forged_signature_is_unauthorized() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.id_token = Some(sign(&callback.id, &OTHER_KEY, Some("k1")));
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "invalid signature");
    let mut callback = Callback::new(&tenant);
    callback.access_token = Some(sign(&callback.access, &OTHER_KEY, Some("k1")));
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "invalid signature");
}

#[actix_web::test]
async fn row_7_an_expired_token_is_unauthorized() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.id["exp"] = json!(now() - 1);
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "jwt expired");
    let mut callback = Callback::new(&tenant);
    callback.access["exp"] = json!(now() - 1);
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "jwt expired");
}

#[actix_web::test]
async fn row_7_a_token_that_is_not_yet_valid_is_unauthorized_beyond_a_small_skew() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.id["nbf"] = json!(now() + 300);
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "jwt not active");
    callback.id["nbf"] = json!(now() + 10);
    session(&callback.send(&server).await);
}

#[actix_web::test]
async fn row_8_another_issuer_is_unauthorized() {
    let (tenant, server) = setup().await;
    for issuer in ["https://evil.example/".to_owned(), tenant.origin.clone()] {
        let mut callback = Callback::new(&tenant);
        callback.id["iss"] = json!(issuer);
        let text = format!("Invalid issuer: {issuer}");
        callback.send(&server).await.expect_error(401, "UnauthorizedError", &text);
    }
}

#[actix_web::test]
async fn row_9_an_id_token_for_another_client_is_unauthorized() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.id["aud"] = json!("https://other.example");
    let text = format!("Audience mismatch for: {BASE}");
    callback.send(&server).await.expect_error(401, "UnauthorizedError", &text);
}

#[actix_web::test]
async fn row_9_an_access_token_for_another_api_is_unauthorized() {
    let (tenant, server) = setup().await;
    for audience in [json!("https://other.eu.auth0.com/api/v2/"), json!([]), json!(BASE), Value::Null] {
        let mut callback = Callback::new(&tenant);
        callback.access["aud"] = audience;
        let text = format!("Audience mismatch for: {MANAGEMENT}");
        callback.send(&server).await.expect_error(401, "UnauthorizedError", &text);
    }
}

#[actix_web::test]
async fn row_9_an_audience_may_be_a_string_or_an_array() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.id["aud"] = json!([BASE]);
    callback.access["aud"] = json!(MANAGEMENT);
    session(&callback.send(&server).await);
}

#[actix_web::test]
async fn row_10_an_access_token_of_another_client_is_unauthorized() {
    let (tenant, server) = setup().await;
    for azp in [json!("https://other.example"), Value::Null] {
        let mut callback = Callback::new(&tenant);
        callback.access["azp"] = azp;
        let text = "The access_token's azp does not match the id_token";
        callback.send(&server).await.expect_error(401, "UnauthorizedError", text);
    }
}

#[actix_web::test]
async fn row_11_tokens_of_two_people_are_unauthorized() {
    let (tenant, server) = setup().await;
    let mut callback = Callback::new(&tenant);
    callback.access["sub"] = json!("auth0|bob");
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "Subjects don't match");
    callback.id["sub"] = Value::Null;
    callback.access["sub"] = Value::Null;
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "Subjects don't match");
}

#[actix_web::test]
async fn login_errors_are_pages_for_browsers_and_json_for_others() {
    let (tenant, server) = setup().await;
    let browser = Callback {
        accept: "text/html,application/xhtml+xml,*/*;q=0.8",
        ..Callback::new(&tenant).without_cookies(&["nonce", "nonce_compat"])
    };
    let reply = browser.send(&server).await;
    assert_eq!((reply.status, reply.header("content-type")), (400, "text/html; charset=utf-8"));
    assert!(reply.body.contains("Login failed. Nonce mismatch."));
    assert!(reply.body.contains(&format!("href=\"{BASE}/login\"")), "{}", reply.body);
}

#[actix_web::test]
async fn the_root_tenants_error_is_shown_only_in_the_browser_that_started_the_login() {
    let (_tenant, server) = setup().await;
    let refusal = |state: &str| {
        let cookie = format!("{}={state}", cookie_name("state"));
        TestRequest::post().uri("/login/callback").insert_header(("cookie", cookie)).set_form([
            ("error", "access_denied"),
            ("error_description", "User did not authorize the request"),
            ("state", "the-state"),
        ])
    };
    let reply = server.call(refusal("the-state")).await;
    reply.expect_error(401, "UnauthorizedError", "Login failed. access_denied: User did not authorize the request");
    let reply = server.call(refusal("another")).await;
    reply.expect_error(400, "ValidationError", "Login failed. State mismatch.");
}

#[actix_web::test]
async fn a_login_in_a_popup_sends_the_token_to_its_opener_of_the_same_origin() {
    let (tenant, server) = setup().await;
    let (_, query) = server.get("/login?popup=1").await.location();
    let state = query.iter().find(|(name, _)| name == "state").expect("a state").1.clone();
    let mut callback = Callback::new(&tenant).without_cookies(&["state", "state_compat"]);
    callback.cookies.push(("state", state.clone()));
    callback.state = state;
    let reply = callback.send(&server).await;
    session(&reply);
    assert!(reply.body.contains("data-popup=\"true\"") && reply.body.contains("data-origin=\"https://tools.example\""));
    assert!(reply.body.contains("postMessage({ type: 'user-import-export:session', token }, origin)"));
    let without = Callback::new(&tenant).send(&server).await;
    assert!(without.body.contains("data-popup=\"false\""));
}

#[actix_web::test]
async fn keys_are_fetched_once_and_again_after_a_rotation() {
    let (tenant, server) = setup().await;
    for _ in 0..3 {
        session(&Callback::new(&tenant).send(&server).await);
    }
    assert_eq!(tenant.key_reads(), 1);
    *tenant.state.keys.lock().unwrap() = vec![public(&OTHER_KEY, "k2"), public(&KEY, "k1")];
    let mut rotated = Callback::new(&tenant);
    rotated.id_token = Some(sign(&rotated.id, &OTHER_KEY, Some("k2")));
    session(&rotated.send(&server).await);
    assert_eq!(tenant.key_reads(), 2);
}

#[actix_web::test]
async fn a_key_set_may_hold_keys_of_other_kinds() {
    let (tenant, server) = setup().await;
    let others = [json!({"kty": "XYZ", "kid": "k1"}), json!({"kty": "oct", "kid": "k0", "k": "AAAA"}), json!(7)];
    let mut keys = tenant.state.keys.lock().unwrap().clone();
    keys.extend(others);
    keys.rotate_left(1);
    *tenant.state.keys.lock().unwrap() = keys;
    session(&Callback::new(&tenant).send(&server).await);
}

#[actix_web::test]
async fn hs256_tokens_are_refused_even_with_a_shared_secret() {
    let (tenant, server) = setup().await;
    let callback = Callback::new(&tenant);
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let id_token =
        jsonwebtoken::encode(&header, &callback.id, &EncodingKey::from_secret(SECRET.as_bytes())).expect("a token");
    let callback = Callback { id_token: Some(id_token), ..callback };
    callback.send(&server).await.expect_error(401, "UnauthorizedError", "invalid algorithm");
}

#[actix_web::test]
async fn waiting_jobs_of_an_admin_continue_with_the_token_of_a_new_login() {
    let (tenant, server) = setup().await;
    let job = NewJob {
        id: "job_0000000000000000".to_owned(),
        kind: JobKind::Export,
        tenant: "acme.eu.auth0.com".to_owned(),
        owner: "auth0|ada".to_owned(),
        author: None,
        connection: None,
        request: json!({}),
    };
    server.app.store.insert_job(&job).await.expect("a job");
    assert!(server.app.store.token("auth0|ada").await.expect("the database").is_none());
    let callback = Callback::new(&tenant);
    let token = sign(&callback.access, &KEY, Some("k1"));
    session(&callback.send(&server).await);
    let (sealed, ends) = server.app.store.token("auth0|ada").await.expect("the database").expect("a token");
    assert!(ends.as_second() as u64 > now());
    let database = server.database();
    let holds = |text: &str| database.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&sealed) && !token.split('.').any(holds), "sealed, not as it is, nor in parts");
}
