//! `/metrics` (design, section 5).

use actix_web::test::TestRequest;

use crate::server::Server;

const BASE: &str = "https://tools.example/ext";

async fn server() -> Server {
    Server::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("METRICS_TOKEN", "a token of the tests")]).await
}

fn from(address: &str) -> TestRequest {
    TestRequest::get().uri("/ext/metrics").peer_addr(address.parse().expect("an address"))
}

#[actix_web::test]
async fn requests_are_counted_by_route_and_not_by_path() {
    let server = server().await;
    server.get("/ext/healthz").await;
    server.get("/ext/api/jobs/job_0123456789abcdef").await;
    server.get("/ext/nothing-here-for-ada@example.com").await;
    let reply = server.call(from("127.0.0.1:5000")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.header("content-type").starts_with("text/plain"));
    for line in [
        "user_import_export_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1",
        "user_import_export_http_requests_total{method=\"GET\",route=\"/api/jobs/{id}\",status=\"401\"} 1",
        "user_import_export_running_jobs 0",
    ] {
        assert!(reply.body.contains(line), "no {line} in\n{}", reply.body);
    }
    assert!(!reply.body.contains("ada@") && !reply.body.contains("job_0123"), "{}", reply.body);
}

#[actix_web::test]
async fn metrics_are_for_this_machine_or_with_the_token() {
    let server = server().await;
    let token = |request: TestRequest, token: &str| request.insert_header(("authorization", format!("Bearer {token}")));
    for (number, (request, status)) in [
        (from("127.0.0.1:5000"), 200),
        (from("[::1]:5000"), 200),
        (from("192.0.2.1:5000"), 401),
        (from("127.0.0.1:5000").insert_header(("x-forwarded-for", "192.0.2.1")), 401),
        (token(from("192.0.2.1:5000"), "a token of the tests"), 200),
        (token(from("192.0.2.1:5000"), "another token"), 401),
        (token(from("127.0.0.1:5000"), "another token"), 401),
        (TestRequest::get().uri("/ext/metrics"), 401),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(server.call(request).await.status, status, "request {number}");
    }
}
