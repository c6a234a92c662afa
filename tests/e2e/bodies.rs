//! Request bodies that are made to cost the server memory.

use std::io::Write;

use end_to_end::TestServer;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use reqwest::Client;
use simulated_tenant::TenantSettings;

/// Requests for each operation.
const REQUESTS: usize = 300;

/// Requests at a time.
const AT_ONCE: usize = 100;

/// What all of them may add to the peak of the server's memory, KiB. One of these bodies grows to 60,547 KiB.
const MOST_GROWTH: u64 = 48 << 10;

/// Routes of the extension contract, which the OpenAPI document does not have, and of the pages.
const OTHERS: [(&str, &str); 12] = [
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

/// 62 MB of one letter, which gzip makes 63 kB of.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let piece = vec![b'a'; 1 << 16];
    for _ in 0..946 {
        encoder.write_all(&piece).expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}

/// The peak of a process' resident memory, KiB.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the state of a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn compressed_bodies_are_refused_everywhere_and_cost_no_memory() {
    let server = TestServer::start(TenantSettings { users: 5, ..TenantSettings::default() }, |_| {}).await;
    let (status, document) = server.get("/api/openapi.json").await;
    assert_eq!(status, 200);
    let mut routes: Vec<(String, String)> =
        OTHERS.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "job_0000000000000000").replace("{name}", "any");
        routes.extend(operations.as_object().expect("operations").keys().map(|m| (m.to_uppercase(), path.clone())));
    }
    assert!(routes.len() > 30, "{routes:?}");

    let client = Client::builder().no_proxy().build().expect("an HTTP client");
    let bomb = bytes_of(bomb());
    let before = peak_memory(server.program.id());
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
        for batch in 0..REQUESTS / AT_ONCE {
            for reply in join_all((0..AT_ONCE).map(|number| send(batch * AT_ONCE + number))).await {
                let reply = reply.unwrap_or_else(|error| panic!("{method} {path} is not answered: {error:?}"));
                assert_eq!(reply.status(), 415, "{method} {path}");
                answers += 1;
            }
        }
    }
    let growth = peak_memory(server.program.id()) - before;
    eprintln!("{answers} compressed bodies: the peak of memory grew from {before} KiB by {growth} KiB");
    assert!(growth < MOST_GROWTH, "the peak of memory grew by {growth} KiB");
    assert_eq!(server.anonymous("/readyz").send().await.expect("an answer").status(), 200);
}

fn bytes_of(body: Vec<u8>) -> &'static [u8] {
    // Shared by all requests of the one test here.
    Box::leak(body.into_boxed_slice())
}
