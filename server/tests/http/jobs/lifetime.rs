//! Restarts, the end of artifacts, and uninstalling.

use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use super::{Desk, good_users, id};

#[actix_web::test]
async fn a_restarted_server_goes_on_with_its_jobs() {
    let desk = Desk::new(1500).await;
    let control = desk.tenant.control();
    let before = control.user_count();
    control.add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }));
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(1000));
    let export = desk.export(&json!({"format": "csv"})).await.json();
    let users = Value::from(good_users(30)).to_string();
    let import = desk.import(&desk.database(), &users, &[]).await.json();
    desk.until(id(&export), |_| desk.asked("POST", "/jobs/users-exports") == 1).await;
    desk.until(id(&import), |_| desk.asked("POST", "/jobs/users-imports") >= 1).await;

    let desk = desk.restarted().await;
    control.clear();
    let import = desk.until_over(id(&import)).await;
    assert_eq!((&import["status"], &import["summary"]["inserted"]), (&json!("completed"), &json!(30)), "{import}");
    let export = desk.until_over(id(&export)).await;
    assert_eq!(export["status"], "completed", "{export}");
    let file = desk.download(&export).await.body;
    let rows = csv::Reader::from_reader(file.as_bytes()).records().count() as u64;
    assert!((before..=before + 30).contains(&rows), "{rows}");
    assert_eq!(control.user_count(), before + 30);
}

#[actix_web::test]
async fn a_restarted_server_goes_on_with_the_same_job_inside_auth0() {
    let desk = Desk::new(1500).await;
    let control = desk.tenant.control();
    let processing = FaultKind::JobStatus { status: "processing".into() };
    control.add(Fault::new("/jobs/job_", processing));
    let export = desk.export(&json!({"format": "ndjson"})).await.json();
    desk.until(id(&export), |_| desk.asked("GET", "/jobs/job_") >= 1).await;
    // What a process leaves that is killed while it takes an upload.
    let orphan = desk.server.app.store.create_job_files("job_cut_off").expect("a directory");
    orphan.write("upload", b"[]", true).expect("a file");

    let desk = desk.restarted().await;
    assert!(desk.server.job_files().iter().all(|file| file.contains(id(&export))), "{:?}", desk.server.job_files());
    control.clear();
    let export = desk.until_over(id(&export)).await;
    assert_eq!((&export["status"], &export["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())));
    assert_eq!(desk.asked("POST", "/jobs/users-exports"), 1, "no second one was ordered");

    // A day later its job inside Auth0 is gone.
    control.add(Fault::new("/jobs/users-exports", FaultKind::HangJob).once());
    let export = desk.export(&json!({"format": "ndjson", "fields": [{"name": "user.email"}]})).await.json();
    desk.until(id(&export), |job| job["details"].as_str().is_some_and(|said| said.contains("prepares"))).await;
    control.advance(std::time::Duration::from_hours(25));
    let export = desk.until_over(id(&export)).await;
    assert_eq!((&export["status"], &export["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())));
    assert_eq!(desk.asked("POST", "/jobs/users-exports"), 3);
}

#[actix_web::test]
async fn an_artifact_ends_with_its_lifetime_and_the_history_stays() {
    let desk = Desk::with(5, &[("ARTIFACT_TTL", "1ms")]).await;
    let job = desk.finished(&desk.export(&json!({"format": "csv"})).await).await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    desk.server.app.jobs.clean_up().await.expect("clean");
    assert_eq!(desk.server.job_files(), Vec::<String>::new());
    let reply = desk.get(&format!("/api/jobs/{}", id(&job))).await.json();
    assert_eq!((&reply["status"], reply.get("location")), (&json!("expired"), None), "{reply}");
    if let Some(link) = job["location"].as_str() {
        let gone = desk.server.get(link.strip_prefix("https://tools.example").expect("our link")).await;
        assert_eq!((gone.status, &gone.json()["errorCode"]), (410, &json!("artifact_expired")), "{}", gone.body);
    }
    assert_eq!(desk.get("/api/history").await.json()["jobs"][0]["status"], "expired");
}

#[actix_web::test]
async fn uninstalling_removes_everything() {
    let desk = Desk::new(5).await;
    let job = desk.finished(&desk.export(&json!({"format": "csv"})).await).await;
    assert!(!desk.server.job_files().is_empty());
    desk.server.app.jobs.uninstall().await.expect("uninstalled");
    assert_eq!(desk.server.job_files(), Vec::<String>::new());
    assert_eq!(desk.get("/api/history").await.json()["jobs"], json!([]));
    assert_eq!(desk.get(&format!("/api/jobs/{}", id(&job))).await.status, 404);
    assert_eq!(desk.download(&job).await.status, 401, "its link ended too");
}

#[actix_web::test]
async fn the_history_is_oldest_first() {
    let desk = Desk::new(5).await;
    let first = desk.finished(&desk.export(&json!({"format": "csv"})).await).await;
    let second = desk.finished(&desk.export(&json!({"format": "json", "gzip": true})).await).await;
    let history = desk.get("/api/history").await.json();
    let ids: Vec<&Value> = history["jobs"].as_array().expect("jobs").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&first["id"], &second["id"]]);
    assert_eq!(history["jobs"][1]["format"], "json");
    assert!(history["jobs"][1]["date"].is_string() && history["jobs"][1]["summary"]["rows"].is_u64(), "{history}");
}
