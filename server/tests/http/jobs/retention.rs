//! Tests of retention: restarts, expiry of files and history, uninstallation.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use test_kit::{
    Application, BASE_URL as BASE, Backend, Request, SECRET, TestKit, fast_tenant, hook_claims, job_id,
    management_token, poll, renamed_transform, sign_token, start_tenant, valid_users,
};

use super::Harness;
use crate::snapshots::assert_json;

#[actix_web::test]
async fn a_restarted_server_continues_its_jobs() {
    let harness = TestKit::with_users(1500).in_process().await;
    let control = harness.tenant.control();
    let before = control.user_count();
    control.add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }));
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(1000));
    let export = harness.request_export(&json!({"format": "csv"})).await.json();
    let users = Value::from(valid_users(30)).to_string();
    let import = harness.request_import(&users, &[]).await.json();
    harness.wait_for_job(job_id(&export), |_| harness.request_count("POST", "/jobs/users-exports") == 1).await;
    harness.wait_for_job(job_id(&import), |_| harness.request_count("POST", "/jobs/users-imports") >= 1).await;

    // The tenant has written the file of the export before the import changes its users.
    let is_written = || control.jobs().iter().any(|job| job["type"] == "users_export" && job["status"] == "completed");
    poll(async || is_written().then_some(()).ok_or("the export job does not end")).await;

    let harness = harness.restart().await;
    control.clear();
    let import = harness.wait_until_finished(job_id(&import)).await;
    assert_eq!((&import["status"], &import["summary"]["inserted"]), (&json!("completed"), &json!(30)), "{import}");
    let export = harness.wait_until_finished(job_id(&export)).await;
    assert_eq!(export["status"], "completed", "{export}");
    let file = harness.download(&export).await.body;
    let rows = csv::Reader::from_reader(file.as_bytes()).records().count() as u64;
    assert_eq!(rows, before);
    assert_eq!(control.user_count(), before + 30);
}

#[actix_web::test]
async fn a_restarted_server_continues_the_same_auth0_job() {
    let harness = TestKit::with_users(1500).in_process().await;
    let control = harness.tenant.control();
    let processing = FaultKind::JobStatus { status: "processing".into() };
    control.add(Fault::new("/jobs/job_", processing));
    let export = harness.request_export(&json!({"format": "ndjson"})).await.json();
    harness.wait_for_job(job_id(&export), |_| harness.request_count("GET", "/jobs/job_") >= 1).await;
    // The files that a process leaves when it is killed during an upload.
    let orphan = harness.program.app.store.create_job_files("job_cut_off").expect("a directory");
    orphan.write("upload", b"[]", true).expect("a file");

    let harness = harness.restart().await;
    assert!(
        harness.program.job_files().iter().all(|file| file.contains(job_id(&export))),
        "{:?}",
        harness.program.job_files()
    );
    control.clear();
    let export = harness.wait_until_finished(job_id(&export)).await;
    assert_eq!((&export["status"], &export["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())));
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 1, "no second one was ordered");

    // A day later the Auth0 job does not exist any more.
    control.add(Fault::new("/jobs/users-exports", FaultKind::HangJob).once());
    let export = harness.request_export(&json!({"format": "ndjson", "fields": [{"name": "user.email"}]})).await.json();
    harness
        .wait_for_job(job_id(&export), |job| job["details"].as_str().is_some_and(|said| said.contains("is preparing")))
        .await;
    control.advance(std::time::Duration::from_hours(25));
    let export = harness.wait_until_finished(job_id(&export)).await;
    assert_eq!((&export["status"], &export["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())));
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 3);
}

#[actix_web::test]
async fn an_artifact_expires_and_its_history_entry_stays() {
    let harness = TestKit::with_users(5).settings(&[("ARTIFACT_TTL", "1ms")]).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    harness.program.app.jobs.clean_up_at(Timestamp::now() + SignedDuration::from_secs(1)).await.expect("clean");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    assert_json!(harness.job(job_id(&job)).await);
    harness.download(&job).await.expect_code(410, "artifact_expired");
    assert_eq!(harness.history().await[0]["status"], "expired");
}

#[actix_web::test]
async fn uninstallation_removes_all_data() {
    let harness = TestKit::with_users(5).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    assert!(!harness.program.job_files().is_empty());
    harness.program.app.jobs.uninstall().await.expect("uninstalled");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    assert_eq!(harness.history().await, json!([]));
    assert_eq!(harness.get(&format!("/api/jobs/{}", job_id(&job))).await.status, 404);
    assert_eq!(harness.download(&job).await.status, 401, "its link ended too");
}

#[actix_web::test]
async fn the_file_of_an_import_expires_and_its_summary_stays() {
    let harness = TestKit::with_users(5).settings(&[("ARTIFACT_TTL", "1ms")]).in_process().await;
    let users = Value::from(valid_users(3)).to_string();
    let job = harness.import(&users, &[]).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(
        harness.program.job_files().iter().any(|file| file.ends_with("upload")),
        "{:?}",
        harness.program.job_files()
    );
    harness.program.app.jobs.clean_up_at(Timestamp::now() + SignedDuration::from_secs(1)).await.expect("clean");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    let after = harness.job(job_id(&job)).await;
    assert_eq!((&after["status"], &after["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{after}");
    let report = harness.get(&format!("/api/jobs/{}/report", job_id(&job))).await;
    assert_eq!((report.status, &report.json()["errorCode"]), (410, &json!("artifact_expired")), "{}", report.body);
}

#[actix_web::test]
async fn history_entries_expire_except_those_of_running_jobs() {
    let harness = TestKit::with_users(5).settings(&[("HISTORY_TTL", "1ms")]).in_process().await;
    let over = harness.export(&json!({"format": "csv"})).await;
    let processing = FaultKind::JobStatus { status: "processing".into() };
    harness.tenant.control().add(Fault::new("/jobs/job_", processing));
    let runs = harness.request_export(&json!({"format": "csv"})).await.json();
    harness.wait_for_job(job_id(&runs), |job| job["status"] == "processing").await;
    harness.program.app.jobs.clean_up_at(Timestamp::now() + SignedDuration::from_secs(1)).await.expect("clean");

    let history = harness.get("/api/history").await.json();
    let ids: Vec<&Value> = history["jobs"].as_array().expect("jobs").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&runs["id"]]);
    assert_eq!(harness.get(&format!("/api/jobs/{}", job_id(&over))).await.status, 404);
    assert!(!harness.program.directory().join("jobs").join(job_id(&over)).exists(), "its files went with it");
    harness.tenant.control().clear();
    assert_eq!(harness.wait_until_finished(job_id(&runs)).await["status"], "completed");
}

#[actix_web::test]
async fn a_stored_token_is_removed_when_it_expires() {
    let harness = TestKit::with_users(5).in_process().await;
    let (store, now) = (&harness.program.app.store, Timestamp::now());
    store.put_token("auth0|ended", "encrypted-and-expired", now).await.expect("kept");
    store.put_token("auth0|later", "encrypted-for-later", now + SignedDuration::from_mins(5)).await.expect("kept");
    harness.program.app.jobs.clean_up().await.expect("clean");
    assert!(store.token("auth0|ended").await.expect("an answer").is_none());
    assert!(store.token("auth0|later").await.expect("an answer").is_some());
    harness.program.app.jobs.clean_up_at(now + SignedDuration::from_mins(5)).await.expect("clean");
    assert!(store.token("auth0|later").await.expect("an answer").is_none());
}

#[actix_web::test]
async fn setting_the_clock_back_neither_deletes_too_early_nor_keeps_forever() {
    let harness = TestKit::with_users(5).settings(&[("ARTIFACT_TTL", "1h"), ("HISTORY_TTL", "2h")]).in_process().await;
    let jobs = &harness.program.app.jobs;
    let job = harness.export(&json!({"format": "csv"})).await;
    let now = Timestamp::now();
    harness
        .program
        .app
        .store
        .put_token("auth0|ada", "sealed", now + SignedDuration::from_hours(1))
        .await
        .expect("kept");
    let year = SignedDuration::from_hours(365 * 24);
    for date in [now, now - year, Timestamp::MIN, Timestamp::UNIX_EPOCH, now + SignedDuration::from_mins(59)] {
        jobs.clean_up_at(date).await.expect("clean");
        assert_eq!(harness.download(&job).await.status, 200, "{date}");
        assert!(harness.program.app.store.token("auth0|ada").await.expect("an answer").is_some(), "{date}");
    }
    jobs.clean_up_at(now + SignedDuration::from_mins(61)).await.expect("clean");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    assert!(harness.program.app.store.token("auth0|ada").await.expect("an answer").is_none());
    assert_eq!(harness.history().await[0]["status"], "expired");
    jobs.clean_up_at(now + SignedDuration::from_mins(121)).await.expect("clean");
    assert_eq!(harness.history().await, json!([]));
}

#[actix_web::test]
async fn a_resumed_job_keeps_its_files_longer() {
    let harness = TestKit::with_users(5).settings(&[("ARTIFACT_TTL", "1h")]).in_process().await;
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(1000));
    let users = Value::from(valid_users(3)).to_string();
    let job = harness.request_import(&users, &[]).await.json();
    harness.wait_for_job(job_id(&job), |_| harness.request_count("POST", "/jobs/users-imports") > 0).await;
    assert_eq!(harness.cancel(job_id(&job)).await.json()["status"], "canceled");
    assert_eq!(harness.resume(job_id(&job)).await.status, 200);

    let later = Timestamp::now() + SignedDuration::from_hours(2);
    harness.program.app.jobs.clean_up_at(later).await.expect("clean");
    assert!(harness.program.job_files().iter().any(|file| file.ends_with("upload")), "it still needs its file");
    control.clear();
    let job = harness.wait_until_finished(job_id(&job)).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{job}");
    harness.program.app.jobs.clean_up_at(later + SignedDuration::from_hours(1)).await.expect("clean");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
}

fn compiled_of(directory: &Path, sha256: &str) -> usize {
    let entries = std::fs::read_dir(directory.join("compiled")).into_iter().flatten();
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(sha256)))
        .count()
}

#[actix_web::test]
async fn the_uninstall_hook_removes_all_kinds_of_data() {
    let tenant = start_tenant(fast_tenant(5)).await;
    let url = tenant.url();
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_owned();
    let data_dir = data.display().to_string();
    // Compiled transforms too are in this directory.
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("LOGIN", "extension"), ("DATA_DIR", &data_dir)];
    let program = Application::within(directory, BASE, &settings).await;
    let session = program.sign_in("auth0|ada", Some(&management_token(&tenant).await)).await;
    let harness = Harness { tenant, program, settings: Vec::new(), session };
    let store = &harness.program.app.store;

    let export = harness.export(&json!({"format": "csv"})).await;
    assert_eq!(export["status"], "completed", "{export}");
    let users = Value::from(valid_users(3)).to_string();
    let import = harness.import(&users, &[]).await;
    assert_eq!(import["status"], "completed", "{import}");
    let preset = harness.put("/api/presets/marked-preset", &json!({"format": "csv"})).await;
    assert_eq!(preset.status, 200, "{}", preset.body);
    let transform = renamed_transform("mask_email", "mask_other");
    let transform = harness.send(Request::post("/api/transforms").body("application/wasm", transform)).await;
    assert_eq!(transform.status, 201, "{}", transform.body);
    let transform = transform.json();
    let sha256 = transform["sha256"].as_str().expect("a hash");

    let marks = [job_id(&export), job_id(&import), "marked-preset", "auth0|ada", sha256];
    let traces = || {
        let database = harness.program.database();
        let found = |mark: &&&str| memchr::memmem::find(&database, mark.as_bytes()).is_some();
        marks.iter().filter(found).copied().collect::<Vec<&str>>()
    };
    assert!(store.token("auth0|ada").await.expect("an answer").is_some(), "the token of the jobs is kept");
    assert_eq!(traces(), marks);
    for (job, file) in [(&export, "users.csv"), (&import, "upload")] {
        assert!(data.join("jobs").join(job_id(job)).join(file).is_file(), "{file}");
    }
    assert!(data.join("transforms/mask_other.wasm").is_file());
    assert_ne!(compiled_of(&data, sha256), 0, "it was compiled to try its examples");
    let key = std::fs::read(data.join("data.key")).expect("a key");

    let hook = sign_token(&hook_claims(&url, BASE, "/.extensions/on-uninstall"), Algorithm::HS256, SECRET);
    let reply = harness.program.send(Request::delete("/.extensions/on-uninstall").bearer(&hook)).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));

    assert!(store.token("auth0|ada").await.expect("an answer").is_none());
    assert_eq!(traces(), Vec::<&str>::new(), "no trace is left in the database");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    assert!(!data.join("transforms").exists());
    assert_eq!(compiled_of(&data, sha256), 0);
    assert!(!data.join("compiled/catalog.json").exists(), "the cached manifests were deleted");
    assert_ne!(std::fs::read(data.join("data.key")).expect("a key"), key, "copies cannot be read any more");
    let mut left: Vec<String> = std::fs::read_dir(&data)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("state.sqlite"))
        .collect();
    left.sort();
    assert_eq!(left, ["compiled", "data.key", "jobs", "lock"]);

    assert_eq!(harness.get("/api/history").await.status, 401, "the session ended");
    let session = harness.program.sign_in("auth0|ada", Some(&management_token(&harness.tenant).await)).await;
    let harness = harness.with_session(session);
    assert_eq!(harness.history().await, json!([]));
    assert_eq!(harness.get("/api/presets").await.json()["presets"], json!([]));
    assert_eq!(harness.get(&format!("/api/jobs/{}", job_id(&export))).await.status, 404);
    assert_eq!(harness.download(&export).await.status, 401, "its link ended too");
    let transforms = harness.get("/api/transforms").await.json();
    assert!(!transforms.to_string().contains("mask_other") && transforms.to_string().contains("mask_email"));
    let again = harness.export(&json!({"format": "csv"})).await;
    assert_eq!(harness.download(&again).await.status, 200, "a new installation can begin at once");
}

#[actix_web::test]
async fn the_history_is_oldest_first() {
    let harness = TestKit::with_users(5).in_process().await;
    let first = harness.export(&json!({"format": "csv"})).await;
    let second = harness.export(&json!({"format": "json", "gzip": true})).await;
    let history = harness.get("/api/history").await.json();
    let ids: Vec<&Value> = history["jobs"].as_array().expect("jobs").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&first["id"], &second["id"]]);
    assert_json!(history);
}
