//! Imports (design, section 5 and 9).

use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use super::{Desk, good_users, id};

fn text(users: &[Value]) -> String {
    serde_json::to_string(users).expect("JSON")
}

/// Good users and three bad ones: without an e-mail, with one that is none, with an unknown attribute.
fn mixed() -> Vec<Value> {
    let mut users = good_users(5);
    users.push(json!({"name": "Nobody"}));
    users.insert(1, json!({"email": "not an address", "password_hash": "$2b$10$secretsecretsecretsecretse"}));
    users.push(json!({"email": "odd@example.com", "favourite": 1}));
    users
}

#[actix_web::test]
async fn good_rows_arrive_and_bad_ones_are_explained() {
    let desk = Desk::new(5).await;
    let control = desk.tenant.control();
    let before = control.user_count();
    let lines: Vec<String> = mixed().iter().map(Value::to_string).collect();
    let reply = desk.import(&desk.database(), &lines.join("\n"), &[]).await;
    let started = reply.json();
    assert_eq!(
        (&started["type"], &started["connection"]),
        (&json!("users_import"), &json!("Username-Password-Authentication"))
    );
    let job = desk.finished(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    let summary = &job["summary"];
    assert_eq!(
        (&summary["total"], &summary["inserted"], &summary["updated"], &summary["failed"]),
        (&json!(8), &json!(5), &json!(0), &json!(3)),
        "rows refused here count as failed: {job}"
    );
    assert_eq!(control.user_count(), before + 5);
    for user in good_users(5) {
        let stored = control.user_by_email(user["email"].as_str().unwrap()).expect("imported");
        assert_eq!(stored["app_metadata"], user["app_metadata"]);
    }
    assert_eq!(control.violations(), Vec::<String>::new());

    let report = desk.get(&format!("/api/jobs/{}/report", id(&job))).await;
    let rows = report.json();
    let lines: Vec<u64> = rows.as_array().unwrap().iter().filter_map(|row| row["line"].as_u64()).collect();
    assert_eq!(lines, [2, 7, 8]);
    for row in rows.as_array().unwrap() {
        assert!(row["user"].is_object(), "{row}");
        assert!(row["errors"][0]["code"].is_string() && row["errors"][0]["message"].is_string(), "{row}");
    }
    assert!(!report.body.contains("secretsecret"), "secrets are hidden: {}", report.body);

    let file = desk.get(&format!("/api/jobs/{}/report?format=ndjson", id(&job))).await;
    assert!(file.header("content-disposition").starts_with("attachment"), "{}", file.header("content-disposition"));
    assert_eq!(file.body.lines().count(), 3);
    let csv = desk.get(&format!("/api/jobs/{}/report?format=csv", id(&job))).await;
    assert!(csv.header("content-type").starts_with("text/csv"));

    let history = desk.get("/api/history").await.json();
    assert_eq!(history["jobs"][0]["type"], "import");
    assert_eq!(history["jobs"][0]["summary"]["failed"], 3);
}

#[actix_web::test]
async fn a_dry_run_checks_and_sends_nothing() {
    let desk = Desk::new(5).await;
    let before = desk.tenant.control().user_count();
    let reply = desk.import(&desk.database(), &text(&mixed()), &[("dry_run", "true")]).await;
    let job = desk.finished(&reply).await;
    assert_eq!((&job["status"], &job["dry_run"]), (&json!("completed"), &json!(true)), "{job}");
    assert_eq!((&job["summary"]["total"], &job["summary"]["failed"]), (&json!(8), &json!(3)), "{job}");
    assert_eq!(desk.asked("POST", "/jobs/users-imports"), 0);
    assert_eq!(desk.tenant.control().user_count(), before);
    assert_eq!(desk.get("/api/history").await.json()["jobs"][0]["dry_run"], true);
}

#[actix_web::test]
async fn users_that_exist_are_updated_only_with_upsert() {
    let desk = Desk::new(5).await;
    let first = desk.finished(&desk.import(&desk.database(), &text(&good_users(3)), &[]).await).await;
    assert_eq!(first["summary"]["inserted"], 3);
    let again =
        desk.finished(&desk.import(&desk.database(), &text(&good_users(4)), &[("upsert", "false")]).await).await;
    assert_eq!((&again["summary"]["inserted"], &again["summary"]["failed"]), (&json!(1), &json!(3)), "{again}");
    let report = desk.get(&format!("/api/jobs/{}/report", id(&again))).await.json();
    assert_eq!(report[0]["line"], 1, "Auth0's errors are joined to the rows: {report}");
    let upsert =
        desk.finished(&desk.import(&desk.database(), &text(&good_users(4)), &[("upsert", "true")]).await).await;
    assert_eq!((&upsert["summary"]["updated"], &upsert["summary"]["failed"]), (&json!(4), &json!(0)), "{upsert}");
}

#[actix_web::test]
async fn a_wrong_upload_is_refused_with_the_reason_and_leaves_nothing() {
    let desk = Desk::with(5, &[("UPLOAD_LIMIT", "10KiB")]).await;
    let control = desk.tenant.control();
    let named = |name: &str| control.connection_id(name).unwrap_or_else(|| panic!("no connection {name}"));
    let database = desk.database();
    let good = text(&good_users(1));
    let large = text(&good_users(500));
    for (connection, users, status, words) in [
        (database.as_str(), None, 400, "Must provide 'users' file as multipart part."),
        (&database, Some(""), 400, "Users file must not be empty."),
        (&database, Some("  \n "), 400, "no content"),
        (&database, Some("<html>no users</html>"), 400, ""),
        (&database, Some(large.as_str()), 413, "10.0 KiB"),
        ("", Some(&good), 400, "connection_id"),
        ("con_0000000000000000", Some(&good), 400, "does not exist"),
        (&named(simulated_tenant::connections::DISABLED), Some(&good), 400, ""),
        (&named("google-oauth2"), Some(&good), 400, ""),
    ] {
        let reply = desk.upload(&[("connection_id", connection)], users).await;
        let error = reply.json();
        let about =
            format!("{connection} {:?}: {error}", users.map(|users| users.chars().take(20).collect::<String>()));
        assert_eq!(reply.status / 100, 4, "{about}");
        assert!(reply.status == status || status == 400, "{about}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(words) && !message.is_empty(), "{about}");
    }
    assert_eq!(desk.asked("POST", "/jobs/users-imports"), 0, "nothing was sent");
    assert_eq!(desk.server.job_files(), Vec::<String>::new(), "nothing was kept");
    assert_eq!(desk.get("/api/history").await.json()["jobs"], json!([]));
}

#[actix_web::test]
async fn a_canceled_import_is_resumed_where_it_stopped() {
    let desk = Desk::new(5).await;
    let control = desk.tenant.control();
    let before = control.user_count();
    // Auth0 works on the chunk for ever; the person gives up.
    control.add(Fault::new("/jobs/users-imports", FaultKind::HangJob).method("POST").once());
    let reply = desk.import(&desk.database(), &text(&good_users(20)), &[]).await;
    let job = id(&reply.json()).to_owned();
    desk.until(&job, |_| desk.asked("POST", "/jobs/users-imports") == 1).await;
    let canceled = desk.post(&format!("/api/jobs/{job}/cancel")).await;
    assert_eq!(canceled.status, 200, "{}", canceled.body);
    // Jobs that run inside Auth0 cannot be stopped there; they vanish after a day.
    control.clear();
    control.advance(std::time::Duration::from_hours(25));
    assert_eq!(desk.until_over(&job).await["status"], "canceled");
    let resumed = desk.finished(&desk.post(&format!("/api/jobs/{job}/resume")).await).await;
    assert_eq!(resumed["status"], "completed", "{resumed}");
    assert_eq!(resumed["summary"]["total"], 20);
    assert_eq!(control.user_count(), before + 20, "none lost, none twice: {resumed}");
    let again = desk.post(&format!("/api/jobs/{job}/resume")).await;
    assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")));
}

#[actix_web::test]
async fn a_tenant_that_is_down_is_waited_for() {
    let desk = Desk::new(5).await;
    let control = desk.tenant.control();
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(2));
    let reply = desk.import(&desk.database(), &text(&good_users(3)), &[]).await;
    let waiting = desk.until(id(&reply.json()), |job| job["details"].is_string()).await;
    assert!(waiting["details"].as_str().is_some_and(|details| !details.is_empty()), "{waiting}");
    let job = desk.finished(&reply).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{job}");
}
