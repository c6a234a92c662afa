//! Tests of manifest, client configuration, logout, base URL and base path (docs/auth0/extension.md#manifest,
//! docs/auth0/extension.md#client-configuration-document, docs/auth0/login.md#logout,
//! docs/auth0/login.md#base-url-and-base-path).

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::json;

use test_kit::Application;

use crate::snapshots::assert_json;

const BASE: &str = "https://tools.example/api/run/logintest";

async fn server() -> Application {
    Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("AUTH0_RTA", "rta.example")]).await
}

#[actix_web::test]
async fn the_manifest_is_served_for_any_method() {
    let server = server().await;
    let mut manifests = Vec::new();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let reply = server.call(TestRequest::default().method(method.clone()).uri("/meta")).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{method}");
        manifests.push(reply.json());
    }
    manifests.dedup();
    assert_json!(manifests);
}

#[actix_web::test]
async fn the_client_configuration_contains_the_base_url() {
    let server = server().await;
    let reply = server.get("/.well-known/oauth2-client-configuration").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(
        reply.json(),
        json!({
            "redirect_uris": [format!("{BASE}/login/callback")],
            "client_name": "User Import / Export Extension",
            "post_logout_redirect_uris": [BASE],
        })
    );
}

#[actix_web::test]
async fn a_route_answers_with_and_without_the_path_prefix_of_the_proxy() {
    let server = server().await;
    for path in ["/meta", "/api/run/logintest/meta"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/api/run/logintest/login").await.status, 302);
    assert_eq!(server.get("/api/run/other/meta").await.status, 404);
}

#[actix_web::test]
async fn an_unknown_path_is_404_as_json_or_as_a_page_for_browsers() {
    let server = server().await;
    for path in ["/nowhere", "/api/nowhere", "/imports", "/app/main.js"] {
        let reply = server.get(path).await;
        let error = reply.json();
        assert_eq!(
            (reply.status, &error["statusCode"], &error["error"], &error["errorCode"]),
            (404, &json!(404), &json!("Not Found"), &json!("not_found")),
            "{path}"
        );
        assert_eq!(error["message"], format!("Not found: GET {path}."));
    }
    let browser = |path: &str| TestRequest::get().uri(path).insert_header(("accept", "text/html,*/*;q=0.8"));
    let reply = server.call(browser("/nowhere/%3Cscript%3E")).await;
    assert_eq!((reply.status, reply.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(reply.body.contains("href=\"/api/run/logintest/\"") && !reply.body.contains("<script"), "{}", reply.body);
    assert!(reply.header("content-security-policy").starts_with("default-src 'none';"));
    // A guide that does not exist is a page that does not exist.
    let reply = server.call(browser("/guide/nothing")).await;
    assert_eq!((reply.status, reply.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(reply.body.contains("There is no guide `nothing`."), "{}", reply.body);
    assert_eq!(server.get("/guide/nothing").await.json()["message"], "There is no guide `nothing`.");
    assert_eq!(server.call(browser("/guide/sources/nothing")).await.status, 404);
}

#[actix_web::test]
async fn guides_of_a_directory_are_pages_that_the_guide_of_the_directory_links_to() {
    let server = server().await;
    let page = async |path: &str| {
        let reply = server.call(TestRequest::get().uri(path).insert_header(("accept", "text/html"))).await;
        assert_eq!(reply.status, 200, "{path}");
        reply.body
    };
    let list = page("/guide/sources").await;
    assert!(list.contains("<h1>Sources</h1>") && list.contains("href=\"sources/django\""), "{list}");
    let guide = page("/guide/sources/django").await;
    assert!(guide.contains("<h1>Django</h1>") && guide.contains("<code>bcrypt_sha256</code>"), "{guide}");
    // The list of guides has one entry for all of them.
    assert!(guide.contains("guide/sources\"") && !guide.contains("guide/sources/laravel"), "{guide}");
}

#[actix_web::test]
async fn pages_and_errors_outside_the_api_are_in_the_language_of_the_browser() {
    let server = server().await;
    let german = |request: TestRequest, accept: &str| {
        request.insert_header(("accept-language", "de")).insert_header(("accept", accept))
    };
    for (path, text) in
        [("/nowhere", "<p>Nicht gefunden: GET &#x2F;nowhere.</p>"), ("/logout", "<h1>Sie sind abgemeldet</h1>")]
    {
        let reply = server.call(german(TestRequest::get().uri(path), "text/html")).await;
        let body = reply.body.replace("GET /", "GET &#x2F;");
        assert!(body.contains("<html lang=\"de\">") && body.contains(text), "{body}");
        let english = server.call(TestRequest::get().uri(path).insert_header(("accept", "text/html"))).await;
        assert!(english.body.contains("<html lang=\"en\">"), "{}", english.body);
    }
    let failed = || german(TestRequest::post().uri("/login/callback"), "text/html");
    let reply = server.call(failed()).await;
    for text in [
        "<html lang=\"de\">",
        "<h1>Anmeldung fehlgeschlagen</h1>",
        "Das Token ist ungültig.",
        "Öffnen Sie die Anmeldeseite erneut",
        ">Erneut anmelden</a>",
    ] {
        assert!(reply.body.contains(text), "{text}: {}", reply.body);
    }
    let chosen = failed().insert_header(("cookie", "user-import-export-language=en"));
    let reply = server.call(chosen).await;
    assert!(reply.body.contains("Login failed. Invalid token."), "{}", reply.body);
    let reply = server.call(german(TestRequest::get().uri("/nowhere"), "*/*")).await;
    assert_eq!(reply.json()["message"], "Nicht gefunden: GET /nowhere.");
    assert_eq!(reply.json()["errorCode"], "not_found");
}

#[actix_web::test]
async fn the_host_header_is_ignored() {
    let server = server().await;
    let forged = |path: &str| {
        TestRequest::get()
            .uri(path)
            .insert_header(("host", "evil.example"))
            .insert_header(("x-forwarded-host", "evil.example"))
            .insert_header(("forwarded", "host=evil.example"))
    };
    for path in ["/login", "/logout", "/.well-known/oauth2-client-configuration"] {
        let reply = server.call(forged(path)).await;
        assert!(!reply.body.contains("evil.example") && !reply.header("location").contains("evil.example"), "{path}");
    }
}

#[actix_web::test]
async fn logout_removes_the_token_and_continues_at_the_login_tenant() {
    let reply = server().await.get("/logout").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"));
    let base = "https%3A%2F%2Ftools.example%2Fapi%2Frun%2Flogintest";
    let next = format!("https://rta.example/v2/logout/?returnTo={base}&amp;client_id={base}");
    assert!(reply.body.contains(&next), "{}", reply.body);
    assert!(reply.body.contains("sessionStorage.removeItem"));
    assert!(reply.body.contains("data-key=\"user-import-export-extension:apiToken\""));
    let cookies = reply.cookies();
    insta::assert_json_snapshot!(cookies);
}

#[actix_web::test]
async fn with_login_tenant_the_logout_url_has_its_client_id() {
    let settings = [
        ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
        ("AUTH0_LOGIN_DOMAIN", "login.acme.example"),
        ("AUTH0_CLIENT_ID", "m2m"),
        ("AUTH0_CLIENT_SECRET", "secret"),
        ("LOGIN_CLIENT_ID", "web client"),
        ("LOGIN_CLIENT_SECRET", "secret"),
        ("LOGIN", "tenant"),
    ];
    let reply = Application::new("https://tools.example", &settings).await.get("/logout").await;
    let next = "https://login.acme.example/v2/logout?returnTo=https%3A%2F%2Ftools.example&amp;client_id=web%20client";
    assert!(reply.body.contains(next), "{}", reply.body);
}

#[actix_web::test]
async fn other_methods_are_refused_with_the_allowed_ones() {
    let server = server().await;
    for (method, path, allowed) in [
        (Method::POST, "/login", "GET"),
        (Method::GET, "/login/callback", "POST"),
        (Method::PUT, "/login/callback", "GET, POST"),
        (Method::POST, "/logout", "GET"),
        (Method::GET, "/.extensions/on-install", "POST"),
        (Method::GET, "/.extensions/on-update", "PUT, POST"),
        (Method::POST, "/.extensions/on-uninstall", "DELETE"),
        (Method::PUT, "/api/history", "GET, HEAD"),
        (Method::GET, "/api/jobs/export", "POST"),
        (Method::DELETE, "/api/jobs/job_0000000000000000", "GET, HEAD"),
        (Method::GET, "/api/preview", "POST"),
        (Method::POST, "/api/presets/mine", "GET, HEAD, PUT, DELETE"),
        (Method::PUT, "/api/transforms", "GET, HEAD, POST"),
        (Method::DELETE, "/import", "GET, HEAD"),
        (Method::POST, "/healthz", "GET, HEAD"),
    ] {
        let reply = server.call(TestRequest::default().method(method.clone()).uri(path)).await;
        assert_eq!((reply.status, reply.header("allow")), (405, allowed), "{method} {path}");
        assert_eq!(reply.json()["errorCode"], "method_not_allowed");
    }
}

#[actix_web::test]
async fn every_page_of_the_login_runs_only_its_own_script() {
    let server = server().await;
    let html = |request: TestRequest| request.insert_header(("accept", "text/html,application/xhtml+xml"));
    let mut nonces = Vec::new();
    for request in [
        TestRequest::get().uri("/logout"),
        html(TestRequest::get().uri("/logout")),
        html(TestRequest::post().uri("/login/callback")),
    ] {
        let reply = server.call(request).await;
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
        assert!(policy.contains("base-uri 'none'") && policy.contains("frame-ancestors "), "{policy}");
        let (_, rest) = policy.split_once("'nonce-").expect("a nonce");
        let (nonce, _) = rest.split_once('\'').expect("a nonce");
        for tag in ["<script", "<style"] {
            for part in reply.body.split(tag).skip(1) {
                let unescaped = part.replace("&#x2F;", "/");
                assert!(unescaped.starts_with(&format!(" nonce=\"{nonce}\"")), "{part}");
            }
        }
        nonces.push(nonce.to_owned());
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 3, "a nonce is used once");
}
