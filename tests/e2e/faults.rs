//! What breaks around the server: each ends in a clear reason, and the server stays up.

use std::sync::Arc;

use end_to_end::test_server::id;
use end_to_end::{TestServer, wait_for};
use rustix::process::Signal;
use serde_json::json;
use simulated_tenant::{Fault, FaultKind, Tenant, TenantSettings};
use tempfile::TempDir;

async fn tenant(users: u64) -> Arc<Tenant> {
    let settings = TenantSettings { users, tls_port: Some(0), ..TenantSettings::default() };
    Arc::new(Tenant::start(settings).await.expect("a tenant"))
}

/// What the server says of a tenant it cannot talk to, and how many requests reached one all the same.
async fn complaint(domain: &str) -> (String, usize) {
    let tenant = tenant(5).await;
    let data = TempDir::new().expect("a directory");
    let domain = match domain {
        "tls" => tenant.tls_url().expect("a TLS address"),
        other => other.to_owned(),
    };
    let server = TestServer::serve_domain(&tenant, data.path(), &domain).await;
    let before = tenant.control().requests().len();
    let (_, job) = server.ask_export(&json!({"format": "csv"})).await;
    let waiting = server.until(id(&job), |job| job["details"].is_string()).await;
    let canceled = server.request("POST", &format!("/api/jobs/{}/cancel", id(&job))).send().await.expect("an answer");
    assert_eq!(canceled.status(), 200);
    assert_eq!(server.until_over(id(&job)).await["status"], "canceled");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            server.anonymous(path).send().await.expect("an answer").status(),
            200,
            "it is not the server's fault"
        );
    }
    (waiting["details"].as_str().expect("a text").to_owned(), tenant.control().requests().len() - before)
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_said_and_waited_for() {
    let (details, _) = complaint("tenant.invalid").await;
    assert!(details.starts_with("Auth0 does not answer"), "{details}");
    assert!(details.contains("lookup") || details.contains("resolve") || details.contains("dns"), "{details}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_said_and_nothing_is_sent() {
    let (details, requests) = complaint("tls").await;
    assert!(details.starts_with("Auth0 does not answer") && details.contains("certificate"), "{details}");
    assert_eq!(requests, 0, "nothing is said to whom one does not trust");
}

#[tokio::test]
async fn readiness_goes_first_and_jobs_go_on_after_the_restart() {
    let tenant = tenant(1500).await;
    let data = TempDir::new().expect("a directory");
    let mut server = TestServer::serve(&tenant, data.path(), |start| {
        start.env("SHUTDOWN_DELAY", "3s");
    })
    .await;
    let processing = FaultKind::JobStatus { status: "processing".into() };
    tenant.control().add(Fault::new("/jobs/job_", processing));
    let (_, job) = server.ask_export(&json!({"format": "csv"})).await;
    server.until(id(&job), |job| job["status"] == "processing").await;
    server.program.signal(Signal::TERM);
    let refused = async {
        loop {
            let reply = server.anonymous("/readyz").send().await.expect("it still answers");
            if reply.status() != 200 {
                return reply;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let reply = wait_for("refusal by /readyz", refused).await;
    assert_eq!((reply.status().as_u16(), &reply.headers()["retry-after"]), (503, &"10".parse().expect("a value")));
    assert_eq!(server.anonymous("/healthz").send().await.expect("it still answers").status(), 200);
    let (status, refused) = server.ask_export(&json!({"format": "csv"})).await;
    assert_eq!((status, &refused["errorCode"]), (503, &json!("server_stopping")), "{refused}");
    assert_eq!(server.program.ended().await.code(), Some(0));

    tenant.control().clear();
    let server = TestServer::serve(&tenant, data.path(), |_| {}).await;
    let job = server.until_over(id(&job)).await;
    assert_eq!((&job["status"], &job["summary"]["rows"]), (&json!("completed"), &json!(tenant.control().user_count())));
}
