//! Tests of `/metrics`.

use actix_web::test::TestRequest;

use test_kit::{Application, BASE_URL as BASE};

async fn server() -> Application {
    Application::new(BASE, &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("METRICS_TOKEN", "a token of the tests")]).await
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

const TOKEN: &str = "a token of the tests";

fn with_token(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {token}")))
}

#[actix_web::test]
async fn without_a_public_url_metrics_need_a_local_request_or_the_token() {
    let server = server().await;
    let local = || from("127.0.0.1:5000");
    for (number, (request, status)) in vec![
        (local(), 200),
        (from("[::1]:5000"), 200),
        (from("192.0.2.1:5000"), 401),
        (with_token(from("192.0.2.1:5000"), TOKEN), 200),
        (with_token(from("192.0.2.1:5000"), "another token"), 401),
        (with_token(local(), "another token"), 401),
        (TestRequest::get().uri("/ext/metrics"), 401),
        // Through a proxy.
        (local().insert_header(("x-forwarded-for", "192.0.2.1")), 401),
        (local().insert_header(("x-forwarded-host", "tools.example")), 401),
        (local().insert_header(("x-forwarded-proto", "https")), 401),
        (local().insert_header(("x-real-ip", "127.0.0.1")), 401),
        (local().insert_header(("forwarded", "for=127.0.0.1")), 401),
        (local().insert_header(("via", "1.1 proxy")), 401),
        (with_token(local().insert_header(("x-forwarded-for", "192.0.2.1")), TOKEN), 200),
        // With a foreign host name, as in DNS rebinding.
        (local().insert_header(("host", "127.0.0.1:3000")), 200),
        (local().insert_header(("host", "[::1]:3000")), 200),
        (local().insert_header(("host", "localhost:3000")), 200),
        (local().insert_header(("host", "rebound.example:3000")), 401),
        (local().insert_header(("host", "127.0.0.1.rebound.example")), 401),
        (local().insert_header(("host", "")), 401),
        (local().uri("http://rebound.example/ext/metrics").insert_header(("host", "127.0.0.1")), 401),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(server.call(request).await.status, status, "request {number}");
    }
}

#[actix_web::test]
async fn with_a_public_url_metrics_always_need_the_token() {
    for variable in ["PUBLIC_WT_URL", "WT_URL"] {
        let common = [("AUTH0_DOMAIN", "acme.eu.auth0.com"), (variable, BASE)];
        let closed = Application::new(BASE, &common).await;
        let open = Application::new(BASE, &[&common[..], &[("METRICS_TOKEN", TOKEN)]].concat()).await;
        for address in ["127.0.0.1:5000", "192.0.2.1:5000"] {
            for request in [from(address), with_token(from(address), TOKEN)] {
                let reply = closed.call(request).await;
                assert_eq!((reply.status, &reply.json()["errorCode"]), (404, &"not_found".into()), "{}", reply.body);
            }
            assert_eq!(open.call(from(address)).await.status, 401);
            assert_eq!(open.call(with_token(from(address), "another token")).await.status, 401);
            assert_eq!(open.call(with_token(from(address), TOKEN)).await.status, 200);
        }
    }
}
