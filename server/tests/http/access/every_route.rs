//! Tests of every operation of the API. The operations are read from the OpenAPI description, so that new ones are
//! included.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value;
use uie_access::Permissions;

use test_kit::{Application, BASE_URL as BASE, endless_body, pending_body, person};

/// Operations without a session: a download needs a ticket, the metrics need their own token.
const OPEN: [(&str, &str); 4] =
    [("GET", "/api/jobs/{id}/download"), ("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/readyz")];

const UNSAFE: [&str; 4] = ["DELETE", "PATCH", "POST", "PUT"];

/// An operation of the description: method, path, and if it needs a session the required permissions.
type Operation = (String, String, Option<Vec<String>>);

async fn server() -> Application {
    Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await
}

async fn operations(server: &Application) -> Vec<Operation> {
    let document = server.get("/ext/api/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("operations").iter().map(|(method, operation)| {
            let permissions =
                |scopes: &Value| -> Vec<String> { serde_json::from_value(scopes.clone()).expect("scopes") };
            let secured = operation["security"][0].get("session").map(permissions);
            (method.to_ascii_uppercase(), path.clone(), secured)
        })
    });
    operations.collect()
}

fn request(method: &str, path: &str) -> TestRequest {
    let path = path.replace("{id}", "job_0000000000000000").replace("{name}", "any");
    assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
    TestRequest::default().method(method.parse::<Method>().expect("a method")).uri(&format!("/ext{path}"))
}

#[actix_web::test]
async fn every_operation_except_the_public_ones_needs_a_session() {
    let server = server().await;
    let operations = operations(&server).await;
    assert!(operations.len() > 20, "{operations:?}");
    let open: BTreeSet<_> = operations.iter().filter(|operation| operation.2.is_none()).collect();
    let open: BTreeSet<_> = open.into_iter().map(|(method, path, _)| (method.as_str(), path.as_str())).collect();
    assert_eq!(open, BTreeSet::from(OPEN));
    for (method, path, _) in operations.iter().filter(|operation| operation.2.is_some()) {
        let reply = server.call(request(method, path)).await;
        assert_eq!(reply.status_and_code(), (401, "credentials_required".to_owned()), "{method} {path}");
        let forged = request(method, path).insert_header(("authorization", "Bearer a.b.c"));
        assert_eq!(server.call(forged).await.status_and_code(), (401, "invalid_token".to_owned()), "{method} {path}");
    }
}

#[actix_web::test]
async fn no_operation_accepts_a_change_from_a_page_of_another_site() {
    let server = server().await;
    let operations = operations(&server).await;
    let token = server.sign_in("auth0|ada", None).await;
    let paths: BTreeSet<&str> = operations.iter().map(|(_, path, _)| path.as_str()).collect();
    let mut tried = 0;
    for path in paths {
        for method in UNSAFE {
            let described = operations.iter().any(|operation| operation.0 == method && operation.1 == path);
            for site in ["cross-site", "same-site"] {
                let request = request(method, path)
                    .insert_header(("authorization", format!("Bearer {token}")))
                    .insert_header(("sec-fetch-site", site));
                let reply = server.call(request).await;
                let expected = if described { (403, "cross_site_request") } else { (405, "method_not_allowed") };
                assert_eq!(reply.status_and_code(), (expected.0, expected.1.to_owned()), "{method} {path} from {site}");
            }
            tried += usize::from(described);
        }
    }
    assert!(tried >= 11, "only {tried} operations change something");
}

/// Routes outside of the description: method, path, and the opener policy of the response.
const OTHERS: [(&str, &str, &str); 18] = [
    ("GET", "/login", "unsafe-none"),
    ("GET", "/login/callback", "unsafe-none"),
    ("POST", "/login/callback", "unsafe-none"),
    ("GET", "/logout", "same-origin"),
    ("POST", "/backchannel-logout", "same-origin"),
    ("GET", "/meta", "same-origin"),
    ("GET", "/.well-known/oauth2-client-configuration", "same-origin"),
    ("POST", "/.extensions/on-install", "same-origin"),
    ("PUT", "/.extensions/on-update", "same-origin"),
    ("DELETE", "/.extensions/on-uninstall", "same-origin"),
    ("GET", "/", "same-origin-allow-popups"),
    ("GET", "/export", "same-origin-allow-popups"),
    ("GET", "/history", "same-origin-allow-popups"),
    ("GET", "/guide/import", "same-origin-allow-popups"),
    ("GET", "/api/openapi.json", "same-origin"),
    ("GET", "/api/nothing-here", "same-origin"),
    ("POST", "/nothing-here", "same-origin"),
    ("GET", "/assets/any/app.css", "same-origin"),
];

#[actix_web::test]
async fn every_response_has_the_security_headers() {
    let server = server().await;
    let token = server.sign_in("auth0|ada", None).await;
    let mut routes: Vec<(String, String, &str)> =
        operations(&server).await.into_iter().map(|(method, path, _)| (method, path, "same-origin")).collect();
    routes.extend(OTHERS.map(|(method, path, opener)| (method.to_owned(), path.to_owned(), opener)));
    for (method, path, opener) in &routes {
        let call = |method: &str| request(method, path);
        let signed_in = |method: &str| call(method).insert_header(("authorization", format!("Bearer {token}")));
        for (attempt, request) in [
            ("as it is", call(method)),
            ("signed in", signed_in(method)),
            ("signed in, with a body that is no JSON", signed_in(method).set_payload("x")),
            ("compressed", call(method).insert_header(("content-encoding", "gzip")).set_payload("x")),
            ("an unknown method", call("PATCH")),
        ] {
            let reply = server.call(request).await;
            let label = format!("{method} {path} {attempt}: {}", reply.status);
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{label}");
            assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{label}");
            let caching = reply.header("cache-control");
            let asset = path.starts_with("/assets/") && reply.status == 200;
            assert!(caching.starts_with("no-store") || (asset && caching == "no-cache"), "{label} {caching}");
            if reply.status == 200 {
                assert_eq!(reply.header("cross-origin-opener-policy"), *opener, "{label}");
            } else {
                assert!(!reply.header("cross-origin-opener-policy").is_empty(), "{label}");
            }
        }
    }
}

#[actix_web::test]
async fn every_route_refuses_a_compressed_body() {
    let server = server().await;
    let token = server.sign_in("auth0|ada", None).await;
    let mut routes: Vec<(String, String)> =
        operations(&server).await.into_iter().map(|(method, path, _)| (method, path)).collect();
    routes.extend(OTHERS.map(|(method, path, _)| (method.to_owned(), path.to_owned())));
    for (method, path) in &routes {
        for encoding in ["gzip", "GZIP", "identity, deflate", "br", "unknown"] {
            for session in [None, Some(&token)] {
                let mut request = request(method, path).insert_header(("content-encoding", encoding));
                if let Some(token) = session {
                    request = request.insert_header(("authorization", format!("Bearer {token}")));
                }
                let reply = server.call_without_body(request).await;
                let expected = (415, "unsupported_content_encoding".to_owned());
                assert_eq!(reply.status_and_code(), expected, "{method} {path} {encoding}");
                assert_eq!(reply.header("accept-encoding"), "identity", "{method} {path}");
            }
        }
    }
    let plain = request("POST", "/api/preview").insert_header(("content-encoding", "identity"));
    assert_eq!(server.call(plain).await.status, 401);
}

#[actix_web::test]
async fn without_a_session_no_operation_reads_a_body() {
    let server = server().await;
    let mut tried = 0;
    for (method, path, _) in operations(&server).await.iter().filter(|operation| operation.2.is_some()) {
        for content_type in ["application/json", "multipart/form-data; boundary=x", "application/wasm"] {
            let (polls, body) = pending_body();
            let request = request(method, path).insert_header(("content-type", content_type));
            let reply = server.call_with_body(request.insert_header(("authorization", "Bearer a.b.c")), body).await;
            assert_eq!((reply.status, polls.get()), (401, 0), "{method} {path} {content_type}");
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[actix_web::test]
async fn every_operation_stops_reading_a_body_that_does_not_end() {
    let server = Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("UPLOAD_LIMIT", "1MiB")]).await;
    let token = server.sign_in("auth0|ada", None).await;
    for (method, path, secured) in &operations(&server).await {
        for content_type in ["application/json", "multipart/form-data; boundary=x", "application/wasm"] {
            let (taken, body) = endless_body(1000);
            let mut request = request(method, path).insert_header(("content-type", content_type));
            if secured.is_some() {
                request = request.insert_header(("authorization", format!("Bearer {token}")));
            }
            let reply = server.call_with_body(request, body).await;
            // The largest limit is that of a transform, 32 MiB: 512 chunks.
            assert!(taken.get() < 520, "{method} {path} {content_type}: {} pieces, {}", taken.get(), reply.status);
            assert!(taken.get() == 0 || (400..500).contains(&reply.status), "{method} {path}: {}", reply.body);
        }
    }
    let (taken, body) = endless_body(1000);
    let form = TestRequest::post().uri("/ext/login/callback");
    let form = form.insert_header(("content-type", "application/x-www-form-urlencoded"));
    let reply = server.call_with_body(form, body).await;
    assert_eq!(reply.status_and_code(), (413, "payload_too_large".to_owned()));
    assert!(taken.get() <= 2, "{}", taken.get());
}

#[actix_web::test]
async fn a_session_without_a_stated_permission_is_refused_by_each_operation() {
    let server = server().await;
    let mut tried = 0;
    for (method, path, permissions) in operations(&server).await {
        let Some(permissions) = permissions else { continue };
        // Exactly the stated permissions are enough. The result of the empty request itself does not matter.
        let exactly =
            server.sign_in_as(&person("auth0|ada", None, Permissions::from_scope(&permissions.join(" ")))).await;
        let end_no_session = path.replace("/sessions/{id}", "/sessions/other");
        let allowed = request(&method, &end_no_session).insert_header(("authorization", format!("Bearer {exactly}")));
        assert_ne!(server.call(allowed).await.status_and_code().1, "insufficient_scope", "{method} {path}");
        for missing in &permissions {
            let others = Permissions::all().names().into_iter().filter(|name| name != missing).collect::<Vec<_>>();
            let token = server.sign_in_as(&person("auth0|ada", None, Permissions::from_scope(&others.join(" ")))).await;
            let request = request(&method, &path).insert_header(("authorization", format!("Bearer {token}")));
            let reply = server.call(request).await;
            let body = reply.json();
            assert_eq!(
                reply.status_and_code(),
                (403, "insufficient_scope".to_owned()),
                "{method} {path} without {missing}"
            );
            assert_eq!(body["error"], "ForbiddenError");
            assert!(body["message"].as_str().is_some_and(|message| message.contains(missing.as_str())), "{body}");
            tried += 1;
        }
    }
    assert!(tried > 25, "only {tried} permissions are stated");
}

#[actix_web::test]
async fn an_unknown_method_is_answered_with_the_described_methods() {
    let server = server().await;
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path, _) in operations(&server).await {
        described.entry(path).or_default().insert(method);
    }
    for (path, methods) in described {
        let reply = server.call(request("PATCH", &path)).await;
        assert_eq!(reply.status_and_code(), (405, "method_not_allowed".to_owned()), "{path}");
        let allowed = reply.header("allow");
        let allowed: BTreeSet<_> = allowed.split(", ").map(str::to_owned).filter(|name| name != "HEAD").collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[actix_web::test]
async fn operation_ids_are_unique() {
    let document = server().await.get("/ext/api/openapi.json").await.json();
    let items = document["paths"].as_object().expect("paths").values();
    let operations = items.flat_map(|item| item.as_object().expect("operations").values());
    let ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().expect("an id")).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}
