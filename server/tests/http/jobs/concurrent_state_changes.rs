//! Tests of parallel requests that change the state of a job: only one of them takes effect.

use futures_util::future::join_all;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use test_kit::{Backend, Request, TestKit, job_id, valid_users};
use uie_store::{JobKind, NewJob};

use super::Harness;

/// Admins who send requests, each within the quota for their own requests.
const ADMINS: usize = 6;

/// Parallel requests of each admin.
const EACH: usize = 4;

/// Starts a tenant with several admins.
async fn start() -> Harness {
    let admins = ["auth0|ada".to_owned()].into_iter().chain((1..ADMINS).map(subject)).collect::<Vec<_>>();
    TestKit::with_users(5).setting("ADMIN_SUBJECTS", &admins.join(",")).in_process().await
}

fn subject(number: usize) -> String {
    format!("auth0|admin{number}")
}

/// Sends the same request many times in parallel. Returns the response to the accepted request; the others must have
/// been refused because of the state of the job.
async fn send_parallel(harness: &Harness, path: &str) -> Value {
    let mut sessions = vec![harness.session.clone()];
    for number in 1..ADMINS {
        sessions.push(harness.program.sign_in(&subject(number), None).await);
    }
    let senders = sessions.iter().flat_map(|session| [session; EACH]);
    let replies = join_all(senders.map(|session| harness.program.send(Request::post(path).bearer(session)))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((accepted.len(), refused.len()), (1, ADMINS * EACH - 1));
    for reply in &refused {
        reply.expect_code(409, "job_state");
    }
    accepted[0].json()
}

#[actix_web::test]
async fn only_one_of_parallel_resumes_runs_the_export() {
    let harness = start().await;
    let users = harness.tenant.control().user_count();
    for round in 0..4 {
        harness
            .tenant
            .control()
            .add(Fault::new("/api/v2/jobs/", FaultKind::JobStatus { status: "processing".into() }).method("GET"));
        let started = harness.request_export(&json!({"format": "csv"})).await.json();
        harness.wait_for_job(job_id(&started), |job| job["status"] == "processing").await;
        let canceled = harness.cancel(job_id(&started)).await;
        assert_eq!(canceled.json()["status"], "canceled", "{}", canceled.body);
        harness.tenant.control().clear();
        let resumed = send_parallel(&harness, &format!("/api/jobs/{}/resume", job_id(&started))).await;
        let job = harness.wait_until_finished(job_id(&resumed)).await;
        assert_eq!(
            (&job["status"], &job["summary"]["rows"]),
            (&json!("completed"), &json!(users)),
            "round {round}: {job}"
        );
        let again = harness.resume(job_id(&started)).await;
        assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")));
    }
}

#[actix_web::test]
async fn only_one_of_parallel_resumes_sends_the_rows() {
    let harness = start().await;
    let control = harness.tenant.control();
    let before = control.user_count();
    control.add(Fault::new("/jobs/users-imports", FaultKind::DropBefore).method("POST"));
    let users = serde_json::to_string(&valid_users(20)).expect("JSON");
    let started = harness.request_import(&users, &[]).await.json();
    harness.wait_for_job(job_id(&started), |job| job["status"] == "processing").await;
    let canceled = harness.cancel(job_id(&started)).await;
    assert_eq!(canceled.json()["status"], "canceled", "{}", canceled.body);
    control.clear();
    control.forget_requests();
    let resumed = send_parallel(&harness, &format!("/api/jobs/{}/resume", job_id(&started))).await;
    let job = harness.wait_until_finished(job_id(&resumed)).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(20)), "{job}");
    assert_eq!(harness.request_count("POST", "/jobs/users-imports"), 1);
    assert_eq!(control.user_count(), before + 20);
}

#[actix_web::test]
async fn only_one_of_parallel_retries_imports_the_failed_rows() {
    let harness = start().await;
    let control = harness.tenant.control();
    let users = |count| serde_json::to_string(&valid_users(count)).expect("JSON");
    harness.import(&users(1), &[]).await;
    // The user exists, but the row passes the check: the retry sends it to Auth0 and runs until Auth0's job ends.
    let first = harness.import(&users(2), &[]).await;
    assert_eq!(first["summary"]["failed"], 1, "{first}");
    control.add(Fault::new("/api/v2/jobs/", FaultKind::JobStatus { status: "processing".into() }).method("GET"));
    let retry = send_parallel(&harness, &format!("/api/jobs/{}/retry", job_id(&first))).await;
    control.clear();
    harness.wait_until_finished(job_id(&retry)).await;
    let history = harness.get("/api/history").await.json();
    assert_eq!(history["jobs"].as_array().map(Vec::len), Some(3), "{history}");
    // After its end the rows may be imported once more, for example after a change of the connection.
    let later = harness.retry(job_id(&first)).await;
    assert_eq!(later.status, 200, "{}", later.body);
}

#[actix_web::test]
async fn only_one_of_parallel_cancels_of_a_job_takes_effect() {
    let harness = start().await;
    let tenant = harness.program.app.settings.tenant().expect("a tenant").host().to_owned();
    let job = NewJob {
        id: "job_0123456789abcdef".into(),
        tenant,
        kind: JobKind::Export,
        owner: "auth0|ada".into(),
        author: None,
        connection: None,
        request: json!({"format": "csv"}),
    };
    harness.program.app.store.insert_job(&job).await.expect("a job");
    let canceled = send_parallel(&harness, &format!("/api/jobs/{}/cancel", job.id)).await;
    assert_eq!(canceled["status"], "canceled", "{canceled}");
}

#[actix_web::test]
async fn the_history_shows_format_and_check_only_without_reading_whole_requests() {
    let harness = start().await;
    let fields: Vec<Value> =
        (0..500).map(|number| json!({"name": "user.email", "export_as": format!("c{number}")})).collect();
    harness.export(&json!({"format": "ndjson", "fields": fields, "query": "email:*"})).await;
    harness.import("[{\"email\": \"a@example.com\"}]", &[("dry_run", "true")]).await;
    let history = harness.get("/api/history").await.json();
    assert_eq!((&history["jobs"][0]["format"], &history["jobs"][1]["dry_run"]), (&json!("ndjson"), &json!(true)));
    let records =
        harness.program.app.store.history(harness.program.app.settings.tenant().expect("a tenant").host(), 10).await;
    assert!(records.expect("records").iter().all(|record| record.request.to_string().len() < 200));
}
