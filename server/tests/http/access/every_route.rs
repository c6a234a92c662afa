//! What holds for every operation of the API: read from its own description, so that a new one is tried too.

use std::collections::BTreeSet;
use std::path::Path;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::server::{Reply, SECRET, Server};
use crate::tenant::now;

const BASE: &str = "https://tools.example/ext";

/// What can be read without a session: a download has its ticket, the metrics ask for their own token.
const OPEN: [(&str, &str); 4] =
    [("GET", "/api/jobs/{id}/download"), ("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/readyz")];

const UNSAFE: [&str; 4] = ["DELETE", "PATCH", "POST", "PUT"];

/// An operation of the description: its method, its path, whether it needs a session.
type Operation = (String, String, bool);

async fn server() -> Server {
    Server::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com")]).await
}

async fn operations(server: &Server) -> Vec<Operation> {
    let document = server.get("/ext/api/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("operations").iter().map(|(method, operation)| {
            let secured = operation["security"] == json!([{"session": []}]);
            (method.to_ascii_uppercase(), path.clone(), secured)
        })
    });
    operations.collect()
}

fn session() -> String {
    let claims = json!({
        "sub": "auth0|ada", "email": "ada@example.com", "iss": BASE, "aud": "urn:user-import-export-extension",
        "iat": now(), "exp": now() + 3600,
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token")
}

fn request(method: &str, path: &str) -> TestRequest {
    let path = path.replace("{id}", "job_0000000000000000").replace("{name}", "any");
    assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
    TestRequest::default().method(method.parse::<Method>().expect("a method")).uri(&format!("/ext{path}"))
}

fn said(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["errorCode"].as_str().unwrap_or_default().to_owned())
}

#[actix_web::test]
async fn every_operation_but_the_open_ones_needs_a_session() {
    let server = server().await;
    let operations = operations(&server).await;
    assert!(operations.len() > 20, "{operations:?}");
    let open: BTreeSet<_> = operations.iter().filter(|operation| !operation.2).collect();
    let open: BTreeSet<_> = open.into_iter().map(|(method, path, _)| (method.as_str(), path.as_str())).collect();
    assert_eq!(open, BTreeSet::from(OPEN));
    for (method, path, _) in operations.iter().filter(|operation| operation.2) {
        let reply = server.call(request(method, path)).await;
        assert_eq!(said(&reply), (401, "credentials_required".to_owned()), "{method} {path}");
        let forged = request(method, path).insert_header(("authorization", "Bearer a.b.c"));
        assert_eq!(said(&server.call(forged).await), (401, "invalid_token".to_owned()), "{method} {path}");
    }
}

#[actix_web::test]
async fn another_sites_page_changes_nothing_by_any_operation() {
    let server = server().await;
    let operations = operations(&server).await;
    let token = session();
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
                assert_eq!(said(&reply), (expected.0, expected.1.to_owned()), "{method} {path} from {site}");
            }
            tried += usize::from(described);
        }
    }
    assert!(tried >= 11, "only {tried} operations change something");
}

/// A route that is left out of the description would escape the tests above.
#[actix_web::test]
async fn every_route_of_the_api_is_described() {
    let described: BTreeSet<_> =
        operations(&server().await).await.into_iter().map(|(method, path, _)| (method, path)).collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/api");
    let mut routes = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("the source") {
        let source = std::fs::read_to_string(entry.expect("an entry").path()).expect("a source file");
        assert!(!source.contains("web::resource(") && !source.contains(".route("), "routes are made by only()");
        // only("/presets/{name}", "GET, HEAD, PUT") and read_only("/presets", …)
        for (at, mark) in source.match_indices("only(\"") {
            let mut texts = source[at + mark.len()..].split('"');
            let (path, methods) = (texts.next().expect("a path"), texts.nth(1).unwrap_or_default());
            let reads = source[..at].ends_with("read_");
            let methods = if reads { "GET" } else { methods };
            let prefix = if matches!(path, "/healthz" | "/readyz") { "" } else { "/api" };
            for method in methods.split(", ").filter(|method| *method != "HEAD") {
                routes.insert((method.to_owned(), format!("{prefix}{path}")));
            }
        }
    }
    routes.remove(&("GET".to_owned(), "/api/openapi.json".to_owned()));
    routes.insert(("GET".to_owned(), "/metrics".to_owned()));
    assert_eq!(routes, described);
}
