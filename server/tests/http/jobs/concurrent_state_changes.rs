//! Tests of parallel requests that change the state of a job: only one of them takes effect.

use futures_util::future::join_all;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use uie_store::{JobKind, NewJob};

use super::{Harness, id, valid_users};

/// Number of parallel requests.
const PARALLEL: usize = 24;

/// Sends the same request many times in parallel. Returns the response to the accepted request; the others must have
/// been refused because of the state of the job or the quota of the admin.
async fn send_parallel(harness: &Harness, path: &str) -> Value {
    let replies = join_all((0..PARALLEL).map(|_| harness.post(path))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    for reply in &refused {
        let code = reply.json()["errorCode"].clone();
        assert!(code == "job_state" || code == "too_many_requests", "{}", reply.body);
    }
    assert!(refused.iter().any(|reply| reply.status == 409), "the state refused at least one");
    assert_eq!((accepted.len(), refused.len()), (1, PARALLEL - 1));
    accepted[0].json()
}

#[actix_web::test]
async fn only_one_of_parallel_resumes_runs_the_export() {
    let harness = Harness::new(5).await;
    let users = harness.tenant.control().user_count();
    for round in 0..4 {
        harness
            .tenant
            .control()
            .add(Fault::new("/api/v2/jobs/", FaultKind::JobStatus { status: "processing".into() }).method("GET"));
        let started = harness.export(&json!({"format": "csv"})).await.json();
        harness.poll_until(id(&started), |job| job["status"] == "processing").await;
        let canceled = harness.post(&format!("/api/jobs/{}/cancel", id(&started))).await;
        assert_eq!(canceled.json()["status"], "canceled", "{}", canceled.body);
        harness.tenant.control().clear();
        let resumed = send_parallel(&harness, &format!("/api/jobs/{}/resume", id(&started))).await;
        let job = harness.poll_until_over(id(&resumed)).await;
        assert_eq!(
            (&job["status"], &job["summary"]["rows"]),
            (&json!("completed"), &json!(users)),
            "round {round}: {job}"
        );
        let again = harness.post(&format!("/api/jobs/{}/resume", id(&started))).await;
        assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")));
    }
}

#[actix_web::test]
async fn only_one_of_parallel_resumes_sends_the_rows() {
    let harness = Harness::new(5).await;
    let control = harness.tenant.control();
    let before = control.user_count();
    control.add(Fault::new("/jobs/users-imports", FaultKind::DropBefore).method("POST"));
    let users = serde_json::to_string(&valid_users(20)).expect("JSON");
    let started = harness.import(&harness.database(), &users, &[]).await.json();
    harness.poll_until(id(&started), |job| job["status"] == "processing").await;
    let canceled = harness.post(&format!("/api/jobs/{}/cancel", id(&started))).await;
    assert_eq!(canceled.json()["status"], "canceled", "{}", canceled.body);
    control.clear();
    control.forget_requests();
    let resumed = send_parallel(&harness, &format!("/api/jobs/{}/resume", id(&started))).await;
    let job = harness.poll_until_over(id(&resumed)).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(20)), "{job}");
    assert_eq!(harness.request_count("POST", "/jobs/users-imports"), 1);
    assert_eq!(control.user_count(), before + 20);
}

#[actix_web::test]
async fn only_one_of_parallel_retries_imports_the_failed_rows() {
    let harness = Harness::new(5).await;
    let users = json!([{"email": "good@example.com"}, {"email": "not an address"}]);
    let first = harness.wait_for_end(&harness.import(&harness.database(), &users.to_string(), &[]).await).await;
    assert_eq!(first["summary"]["failed"], 1, "{first}");
    let retry = send_parallel(&harness, &format!("/api/jobs/{}/retry", id(&first))).await;
    harness.poll_until_over(id(&retry)).await;
    let history = harness.get("/api/history").await.json();
    assert_eq!(history["jobs"].as_array().map(Vec::len), Some(2), "{history}");
    // After its end the rows may be imported once more, for example after a change of the connection.
    let later = harness.post(&format!("/api/jobs/{}/retry", id(&first))).await;
    assert_eq!(later.status, 200, "{}", later.body);
}

#[actix_web::test]
async fn only_one_of_parallel_cancels_of_a_job_takes_effect() {
    let harness = Harness::new(5).await;
    let tenant = harness.server.app.settings.tenant().expect("a tenant").host().to_owned();
    let job = NewJob {
        id: "job_0123456789abcdef".into(),
        tenant,
        kind: JobKind::Export,
        owner: "auth0|ada".into(),
        author: None,
        connection: None,
        request: json!({"format": "csv"}),
    };
    harness.server.app.store.insert_job(&job).await.expect("a job");
    let canceled = send_parallel(&harness, &format!("/api/jobs/{}/cancel", job.id)).await;
    assert_eq!(canceled["status"], "canceled", "{canceled}");
}

#[actix_web::test]
async fn the_history_shows_format_and_check_only_without_reading_whole_requests() {
    let harness = Harness::new(5).await;
    let fields: Vec<Value> =
        (0..500).map(|number| json!({"name": "user.email", "export_as": format!("c{number}")})).collect();
    harness
        .wait_for_end(&harness.export(&json!({"format": "ndjson", "fields": fields, "query": "email:*"})).await)
        .await;
    harness
        .wait_for_end(
            &harness.import(&harness.database(), "[{\"email\": \"a@example.com\"}]", &[("dry_run", "true")]).await,
        )
        .await;
    let history = harness.get("/api/history").await.json();
    assert_eq!((&history["jobs"][0]["format"], &history["jobs"][1]["dry_run"]), (&json!("ndjson"), &json!(true)));
    let records =
        harness.server.app.store.history(harness.server.app.settings.tenant().expect("a tenant").host(), 10).await;
    assert!(records.expect("records").iter().all(|record| record.request.to_string().len() < 200));
}
