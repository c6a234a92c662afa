//! Compressed request bodies (decompression bombs) are refused without being decompressed.

use std::io::Write;

use end_to_end::TestServer;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use reqwest::Client;
use simulated_tenant::TenantSettings;

/// Requests sent to each route.
const REQUESTS_PER_ROUTE: usize = 300;

/// Requests in flight at a time.
const CONCURRENT_REQUESTS: usize = 100;

/// Maximum growth of the server's peak memory, in KiB. A single body would decompress to 60,547 KiB.
const MAX_GROWTH_KIB: u64 = 48 << 10;

/// Routes that are not in the OpenAPI document: those of the Auth0 extension contract, and pages.
const ROUTES_OUTSIDE_OPENAPI: [(&str, &str); 12] = [
    ("GET", "/login"),
    ("GET", "/login/callback"),
    ("POST", "/login/callback"),
    ("GET", "/logout"),
    ("GET", "/meta"),
    ("GET", "/.well-known/oauth2-client-configuration"),
    ("POST", "/.extensions/on-install"),
    ("PUT", "/.extensions/on-update"),
    ("POST", "/.extensions/on-update"),
    ("DELETE", "/.extensions/on-uninstall"),
    ("GET", "/export"),
    ("POST", "/nothing-here"),
];

/// Returns 62 MB of one letter, compressed to 63 kB.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![b'a'; 1 << 16];
    for _ in 0..946 {
        encoder.write_all(&block).expect("writing to memory succeeds");
    }
    encoder.finish().expect("writing to memory succeeds")
}

#[tokio::test]
async fn compressed_bodies_are_refused_on_every_route_without_memory_growth() {
    let server = TestServer::start(TenantSettings { users: 5, ..TenantSettings::default() }, |_| {}).await;
    let (status, document) = server.get("/api/openapi.json").await.into_parts();
    assert_eq!(status, 200);
    let mut routes: Vec<(String, String)> =
        ROUTES_OUTSIDE_OPENAPI.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "job_0000000000000000").replace("{name}", "any");
        routes.extend(operations.as_object().expect("operations").keys().map(|m| (m.to_uppercase(), path.clone())));
    }
    assert!(routes.len() > 30, "{routes:?}");

    let client = Client::builder().no_proxy().build().expect("an HTTP client");
    let bomb = leak(gzip_bomb());
    let peak_memory_kib = || server.program.resource_usage().expect("the state of a process").peak_memory >> 10;
    let before = peak_memory_kib();
    let mut answers = 0;
    for (method, path) in &routes {
        let content_type = match path.as_str() {
            "/login/callback" => "application/x-www-form-urlencoded",
            "/api/jobs/import" | "/api/import/inspect" => "multipart/form-data; boundary=x",
            _ => "application/json",
        };
        let send = |number: usize| {
            let url = format!("{}{path}", server.program.address());
            let mut request = client.request(method.parse().expect("a method"), url).body(bomb);
            if number.is_multiple_of(2) {
                request = request.bearer_auth(&server.session);
            }
            request.header("content-encoding", "gzip").header("content-type", content_type).send()
        };
        for batch in 0..REQUESTS_PER_ROUTE / CONCURRENT_REQUESTS {
            for reply in
                join_all((0..CONCURRENT_REQUESTS).map(|number| send(batch * CONCURRENT_REQUESTS + number))).await
            {
                let reply = reply.unwrap_or_else(|error| panic!("{method} {path} is not answered: {error:?}"));
                assert_eq!(reply.status(), 415, "{method} {path}");
                answers += 1;
            }
        }
    }
    let growth = peak_memory_kib() - before;
    eprintln!("{answers} compressed bodies: the peak of memory grew from {before} KiB by {growth} KiB");
    assert!(growth < MAX_GROWTH_KIB, "the peak of memory grew by {growth} KiB");
    assert_eq!(server.anonymous("/readyz").send().await.expect("an answer").status(), 200);
}

/// Makes the body `'static`, so that all requests share it without copies.
fn leak(body: Vec<u8>) -> &'static [u8] {
    Box::leak(body.into_boxed_slice())
}
