//! DNS failures, untrusted certificates and shutdown: jobs report the reason, and the server keeps running.

use end_to_end::{TestServer, job_id, poll, start_tenant};
use rustix::process::Signal;
use serde_json::json;
use simulated_tenant::{Fault, FaultKind, Tenant, TenantSettings};
use tempfile::TempDir;

async fn tenant(users: u64) -> Tenant {
    start_tenant(TenantSettings { users, tls_port: Some(0), ..TenantSettings::default() }).await
}

/// Starts an export against a domain that the server cannot use (`tls`: the tenant's own untrusted certificate).
/// Returns the job's details and the number of requests that reached the tenant.
async fn export_from_unusable_domain(domain: &str) -> (String, usize) {
    let tenant = tenant(5).await;
    let data = TempDir::new().expect("a directory");
    let domain = match domain {
        "tls" => tenant.tls_url().expect("a TLS address"),
        other => other.to_owned(),
    };
    let server = TestServer::start_for_domain(&tenant, data.path(), &domain).await;
    let before = tenant.control().requests().len();
    let job = server.request_export(&json!({"format": "csv"})).await.accepted();
    let waiting = server.wait_for_job(job_id(&job), |job| job["details"].is_string()).await;
    let canceled = server.cancel(job_id(&job)).await;
    assert_eq!(canceled.status, 200, "{}", canceled.body);
    assert_eq!(server.wait_until_finished(job_id(&job)).await["status"], "canceled");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            server.anonymous(path).send().await.expect("an answer").status(),
            200,
            "the server itself is healthy"
        );
    }
    (waiting["details"].as_str().expect("a text").to_owned(), tenant.control().requests().len() - before)
}

#[tokio::test]
async fn an_unresolvable_domain_is_reported_and_retried() {
    let (details, _) = export_from_unusable_domain("tenant.invalid").await;
    assert!(details.starts_with("Auth0 does not answer"), "{details}");
    assert!(details.contains("failed to lookup address information"), "{details}");
}

#[tokio::test]
async fn an_untrusted_certificate_is_reported_and_no_request_is_sent() {
    let (details, requests) = export_from_unusable_domain("tls").await;
    assert!(details.starts_with("Auth0 does not answer") && details.contains("certificate"), "{details}");
    assert_eq!(requests, 0, "nothing is sent over an untrusted connection");
}

#[tokio::test]
async fn shutdown_fails_readiness_first_and_jobs_resume_after_a_restart() {
    let tenant = tenant(1500).await;
    let data = TempDir::new().expect("a directory");
    let mut server = TestServer::start_for_tenant(&tenant, data.path(), |start| {
        start.env("SHUTDOWN_DELAY", "3s");
    })
    .await;
    let processing = FaultKind::JobStatus { status: "processing".into() };
    tenant.control().add(Fault::new("/jobs/job_", processing));
    let job = server.request_export(&json!({"format": "csv"})).await.accepted();
    server.wait_for_job(job_id(&job), |job| job["status"] == "processing").await;
    server.program.signal(Signal::TERM);
    let reply = poll(async || {
        let reply = server.get("/readyz").await;
        if reply.status == 200 { Err("/readyz still succeeds") } else { Ok(reply) }
    })
    .await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "10"));
    assert_eq!(server.anonymous("/healthz").send().await.expect("it still answers").status(), 200);
    let (status, refused) = server.request_export(&json!({"format": "csv"})).await.into_parts();
    assert_eq!((status, &refused["errorCode"]), (503, &json!("server_stopping")), "{refused}");
    assert_eq!(server.program.wait_for_exit().await.code(), Some(0));

    tenant.control().clear();
    let server = TestServer::start_for_tenant(&tenant, data.path(), |_| {}).await;
    let job = server.wait_until_finished(job_id(&job)).await;
    assert_eq!((&job["status"], &job["summary"]["rows"]), (&json!("completed"), &json!(tenant.control().user_count())));
}
