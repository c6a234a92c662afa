//! Tests of retention: restarts, expiry of files and history, uninstallation.

use std::path::Path;
use std::time::Duration;

use actix_web::test::TestRequest;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use super::job_tokens::token;
use super::{BASE, Harness, id, tenant, valid_users};
use crate::test_server::{SECRET, Server};

#[actix_web::test]
async fn a_restarted_server_continues_its_jobs() {
    let harness = Harness::new(1500).await;
    let control = harness.tenant.control();
    let before = control.user_count();
    control.add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }));
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(1000));
    let export = harness.export(&json!({"format": "csv"})).await.json();
    let users = Value::from(valid_users(30)).to_string();
    let import = harness.import(&harness.database(), &users, &[]).await.json();
    harness.poll_until(id(&export), |_| harness.request_count("POST", "/jobs/users-exports") == 1).await;
    harness.poll_until(id(&import), |_| harness.request_count("POST", "/jobs/users-imports") >= 1).await;

    let harness = harness.restart().await;
    control.clear();
    let import = harness.poll_until_over(id(&import)).await;
    assert_eq!((&import["status"], &import["summary"]["inserted"]), (&json!("completed"), &json!(30)), "{import}");
    let export = harness.poll_until_over(id(&export)).await;
    assert_eq!(export["status"], "completed", "{export}");
    let file = harness.download(&export).await.body;
    let rows = csv::Reader::from_reader(file.as_bytes()).records().count() as u64;
    assert!((before..=before + 30).contains(&rows), "{rows}");
    assert_eq!(control.user_count(), before + 30);
}

#[actix_web::test]
async fn a_restarted_server_continues_the_same_auth0_job() {
    let harness = Harness::new(1500).await;
    let control = harness.tenant.control();
    let processing = FaultKind::JobStatus { status: "processing".into() };
    control.add(Fault::new("/jobs/job_", processing));
    let export = harness.export(&json!({"format": "ndjson"})).await.json();
    harness.poll_until(id(&export), |_| harness.request_count("GET", "/jobs/job_") >= 1).await;
    // The files that a process leaves when it is killed during an upload.
    let orphan = harness.server.app.store.create_job_files("job_cut_off").expect("a directory");
    orphan.write("upload", b"[]", true).expect("a file");

    let harness = harness.restart().await;
    assert!(
        harness.server.job_files().iter().all(|file| file.contains(id(&export))),
        "{:?}",
        harness.server.job_files()
    );
    control.clear();
    let export = harness.poll_until_over(id(&export)).await;
    assert_eq!((&export["status"], &export["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())));
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 1, "no second one was ordered");

    // A day later the Auth0 job does not exist any more.
    control.add(Fault::new("/jobs/users-exports", FaultKind::HangJob).once());
    let export = harness.export(&json!({"format": "ndjson", "fields": [{"name": "user.email"}]})).await.json();
    harness
        .poll_until(id(&export), |job| job["details"].as_str().is_some_and(|said| said.contains("is preparing")))
        .await;
    control.advance(std::time::Duration::from_hours(25));
    let export = harness.poll_until_over(id(&export)).await;
    assert_eq!((&export["status"], &export["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())));
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 3);
}

#[actix_web::test]
async fn an_artifact_expires_and_its_history_entry_stays() {
    let harness = Harness::with(5, &[("ARTIFACT_TTL", "1ms")]).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    harness.server.app.jobs.clean_up().await.expect("clean");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    let reply = harness.get(&format!("/api/jobs/{}", id(&job))).await.json();
    assert_eq!((&reply["status"], reply.get("location")), (&json!("expired"), None), "{reply}");
    if let Some(link) = job["location"].as_str() {
        let gone = harness.server.get(link.strip_prefix("https://tools.example").expect("our link")).await;
        assert_eq!((gone.status, &gone.json()["errorCode"]), (410, &json!("artifact_expired")), "{}", gone.body);
    }
    assert_eq!(harness.get("/api/history").await.json()["jobs"][0]["status"], "expired");
}

#[actix_web::test]
async fn uninstallation_removes_all_data() {
    let harness = Harness::new(5).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    assert!(!harness.server.job_files().is_empty());
    harness.server.app.jobs.uninstall().await.expect("uninstalled");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    assert_eq!(harness.get("/api/history").await.json()["jobs"], json!([]));
    assert_eq!(harness.get(&format!("/api/jobs/{}", id(&job))).await.status, 404);
    assert_eq!(harness.download(&job).await.status, 401, "its link ended too");
}

#[actix_web::test]
async fn the_file_of_an_import_expires_and_its_summary_stays() {
    let harness = Harness::with(5, &[("ARTIFACT_TTL", "1ms")]).await;
    let users = Value::from(valid_users(3)).to_string();
    let job = harness.wait_for_end(&harness.import(&harness.database(), &users, &[]).await).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(harness.server.job_files().iter().any(|file| file.ends_with("upload")), "{:?}", harness.server.job_files());
    tokio::time::sleep(Duration::from_millis(5)).await;
    harness.server.app.jobs.clean_up().await.expect("clean");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    let after = harness.get(&format!("/api/jobs/{}", id(&job))).await.json();
    assert_eq!((&after["status"], &after["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{after}");
    let report = harness.get(&format!("/api/jobs/{}/report", id(&job))).await;
    assert_eq!((report.status, &report.json()["errorCode"]), (410, &json!("artifact_expired")), "{}", report.body);
}

#[actix_web::test]
async fn history_entries_expire_except_those_of_running_jobs() {
    let harness = Harness::with(5, &[("HISTORY_TTL", "1ms")]).await;
    let over = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let processing = FaultKind::JobStatus { status: "processing".into() };
    harness.tenant.control().add(Fault::new("/jobs/job_", processing));
    let runs = harness.export(&json!({"format": "csv"})).await.json();
    harness.poll_until(id(&runs), |job| job["status"] == "processing").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    harness.server.app.jobs.clean_up().await.expect("clean");

    let history = harness.get("/api/history").await.json();
    let ids: Vec<&Value> = history["jobs"].as_array().expect("jobs").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&runs["id"]]);
    assert_eq!(harness.get(&format!("/api/jobs/{}", id(&over))).await.status, 404);
    assert!(!harness.server.directory().join("jobs").join(id(&over)).exists(), "its files went with it");
    harness.tenant.control().clear();
    assert_eq!(harness.poll_until_over(id(&runs)).await["status"], "completed");
}

#[actix_web::test]
async fn a_stored_token_is_removed_when_it_expires() {
    let harness = Harness::new(5).await;
    let (store, now) = (&harness.server.app.store, Timestamp::now());
    store.put_token("auth0|ended", "encrypted-and-expired", now).await.expect("kept");
    store.put_token("auth0|later", "encrypted-for-later", now + SignedDuration::from_mins(5)).await.expect("kept");
    harness.server.app.jobs.clean_up().await.expect("clean");
    assert!(store.token("auth0|ended").await.expect("an answer").is_none());
    assert!(store.token("auth0|later").await.expect("an answer").is_some());
    harness.server.app.jobs.clean_up_at(now + SignedDuration::from_mins(5)).await.expect("clean");
    assert!(store.token("auth0|later").await.expect("an answer").is_none());
}

#[actix_web::test]
async fn setting_the_clock_back_neither_deletes_too_early_nor_keeps_forever() {
    let harness = Harness::with(5, &[("ARTIFACT_TTL", "1h"), ("HISTORY_TTL", "2h")]).await;
    let jobs = &harness.server.app.jobs;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let now = Timestamp::now();
    harness.server.app.store.put_token("auth0|ada", "sealed", now + SignedDuration::from_hours(1)).await.expect("kept");
    let year = SignedDuration::from_hours(365 * 24);
    for date in [now, now - year, Timestamp::MIN, Timestamp::UNIX_EPOCH, now + SignedDuration::from_mins(59)] {
        jobs.clean_up_at(date).await.expect("clean");
        assert_eq!(harness.download(&job).await.status, 200, "{date}");
        assert!(harness.server.app.store.token("auth0|ada").await.expect("an answer").is_some(), "{date}");
    }
    jobs.clean_up_at(now + SignedDuration::from_mins(61)).await.expect("clean");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    assert!(harness.server.app.store.token("auth0|ada").await.expect("an answer").is_none());
    assert_eq!(harness.get("/api/history").await.json()["jobs"][0]["status"], "expired");
    jobs.clean_up_at(now + SignedDuration::from_mins(121)).await.expect("clean");
    assert_eq!(harness.get("/api/history").await.json()["jobs"], json!([]));
}

#[actix_web::test]
async fn a_resumed_job_keeps_its_files_longer() {
    let harness = Harness::with(5, &[("ARTIFACT_TTL", "1h")]).await;
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(1000));
    let users = Value::from(valid_users(3)).to_string();
    let job = harness.import(&harness.database(), &users, &[]).await.json();
    harness.poll_until(id(&job), |_| harness.request_count("POST", "/jobs/users-imports") > 0).await;
    assert_eq!(harness.post(&format!("/api/jobs/{}/cancel", id(&job))).await.json()["status"], "canceled");
    assert_eq!(harness.post(&format!("/api/jobs/{}/resume", id(&job))).await.status, 200);

    let later = Timestamp::now() + SignedDuration::from_hours(2);
    harness.server.app.jobs.clean_up_at(later).await.expect("clean");
    assert!(harness.server.job_files().iter().any(|file| file.ends_with("upload")), "it still needs its file");
    control.clear();
    let job = harness.poll_until_over(id(&job)).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{job}");
    harness.server.app.jobs.clean_up_at(later + SignedDuration::from_hours(1)).await.expect("clean");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
}

/// Returns a shipped transform under another name, for an upload.
fn upload() -> Vec<u8> {
    let mut bytes = include_bytes!("../../../../transforms/prebuilt/mask_email.wasm").to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, "mask_email").collect();
    for at in places {
        bytes[at..at + 10].copy_from_slice(b"mask_other");
    }
    bytes
}

fn compiled_of(directory: &Path, sha256: &str) -> usize {
    let entries = std::fs::read_dir(directory.join("compiled")).into_iter().flatten();
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(sha256)))
        .count()
}

#[actix_web::test]
async fn the_uninstall_hook_removes_all_kinds_of_data() {
    let tenant = tenant(5).await;
    let url = tenant.url();
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_owned();
    let data_dir = data.display().to_string();
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("LOGIN", "extension"), ("DATA_DIR", &data_dir)];
    let server = Server::within(directory, BASE, &settings).await;
    let session = server.sign_in("auth0|ada", Some(&token(&tenant).await)).await;
    let harness = Harness { tenant, server, settings: Vec::new(), session };
    let store = &harness.server.app.store;

    let export = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    assert_eq!(export["status"], "completed", "{export}");
    let users = Value::from(valid_users(3)).to_string();
    let import = harness.wait_for_end(&harness.import(&harness.database(), &users, &[]).await).await;
    assert_eq!(import["status"], "completed", "{import}");
    let preset = TestRequest::put().uri("/ext/api/presets/marked-preset").set_json(json!({"format": "csv"}));
    let preset = harness.call(preset).await;
    assert_eq!(preset.status, 200, "{}", preset.body);
    let transform = TestRequest::post().uri("/ext/api/transforms").insert_header(("content-type", "application/wasm"));
    let transform = harness.call(transform.set_payload(upload())).await;
    assert_eq!(transform.status, 201, "{}", transform.body);
    let transform = transform.json();
    let sha256 = transform["sha256"].as_str().expect("a hash");

    let marks = [id(&export), id(&import), "marked-preset", "auth0|ada", sha256];
    let traces = || {
        let database = harness.server.database();
        let found = |mark: &&&str| memchr::memmem::find(&database, mark.as_bytes()).is_some();
        marks.iter().filter(found).copied().collect::<Vec<&str>>()
    };
    assert!(store.token("auth0|ada").await.expect("an answer").is_some(), "the token of the jobs is kept");
    assert_eq!(traces(), marks);
    for (job, file) in [(&export, "users.csv"), (&import, "upload")] {
        assert!(data.join("jobs").join(id(job)).join(file).is_file(), "{file}");
    }
    assert!(data.join("transforms/mask_other.wasm").is_file());
    assert_ne!(compiled_of(&data, sha256), 0, "it was compiled to try its examples");
    let key = std::fs::read(data.join("data.key")).expect("a key");

    let claims = json!({"iss": url, "aud": format!("{BASE}/.extensions/on-uninstall")});
    let hook =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes()));
    let hook = format!("Bearer {}", hook.expect("a token"));
    let hook = TestRequest::delete().uri("/ext/.extensions/on-uninstall").insert_header(("authorization", hook));
    let reply = harness.server.call(hook).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));

    assert!(store.token("auth0|ada").await.expect("an answer").is_none());
    assert_eq!(traces(), Vec::<&str>::new(), "no trace is left in the database");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    assert!(!data.join("transforms").exists());
    assert_eq!(compiled_of(&data, sha256), 0);
    assert!(!data.join("compiled/catalog.json").exists(), "the cached manifests were deleted");
    assert_ne!(std::fs::read(data.join("data.key")).expect("a key"), key, "copies cannot be read any more");
    let left: Vec<String> = std::fs::read_dir(&data)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("state.sqlite"))
        .collect();
    assert!(left.iter().all(|name| matches!(name.as_str(), "data.key" | "lock" | "jobs" | "compiled")), "{left:?}");

    assert_eq!(harness.get("/api/history").await.status, 401, "the session ended");
    let session = harness.server.sign_in("auth0|ada", Some(&token(&harness.tenant).await)).await;
    let harness = Harness { session, ..harness };
    assert_eq!(harness.get("/api/history").await.json()["jobs"], json!([]));
    assert_eq!(harness.get("/api/presets").await.json()["presets"], json!([]));
    assert_eq!(harness.get(&format!("/api/jobs/{}", id(&export))).await.status, 404);
    assert_eq!(harness.download(&export).await.status, 401, "its link ended too");
    let transforms = harness.get("/api/transforms").await.json();
    assert!(!transforms.to_string().contains("mask_other") && transforms.to_string().contains("mask_email"));
    let again = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    assert_eq!(harness.download(&again).await.status, 200, "a new installation can begin at once");
}

#[actix_web::test]
async fn the_history_is_oldest_first() {
    let harness = Harness::new(5).await;
    let first = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let second = harness.wait_for_end(&harness.export(&json!({"format": "json", "gzip": true})).await).await;
    let history = harness.get("/api/history").await.json();
    let ids: Vec<&Value> = history["jobs"].as_array().expect("jobs").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&first["id"], &second["id"]]);
    assert_eq!(history["jobs"][1]["format"], "json");
    assert!(history["jobs"][1]["date"].is_string() && history["jobs"][1]["summary"]["rows"].is_u64(), "{history}");
}
