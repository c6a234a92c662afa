//! Tests of imports.

use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use super::{Harness, id, valid_users};

fn text(users: &[Value]) -> String {
    serde_json::to_string(users).expect("JSON")
}

/// Returns valid users and three invalid ones: without an e-mail address, with an invalid one, with an unknown
/// attribute.
fn mixed() -> Vec<Value> {
    let mut users = valid_users(5);
    users.push(json!({"name": "No Address"}));
    users.insert(1, json!({"email": "not an address", "password_hash": "$2b$10$secretsecretsecretsecretse"}));
    users.push(json!({"email": "odd@example.com", "favourite": 1}));
    users
}

#[actix_web::test]
async fn valid_rows_are_imported_and_invalid_ones_reported() {
    let harness = Harness::new(5).await;
    let control = harness.tenant.control();
    let before = control.user_count();
    let lines: Vec<String> = mixed().iter().map(Value::to_string).collect();
    let reply = harness.import(&harness.database(), &lines.join("\n"), &[]).await;
    let started = reply.json();
    assert_eq!(
        (&started["type"], &started["connection"]),
        (&json!("users_import"), &json!("Username-Password-Authentication"))
    );
    let job = harness.wait_for_end(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    let summary = &job["summary"];
    assert_eq!(
        (&summary["total"], &summary["inserted"], &summary["updated"], &summary["failed"]),
        (&json!(8), &json!(5), &json!(0), &json!(3)),
        "rows refused here count as failed: {job}"
    );
    assert_eq!(control.user_count(), before + 5);
    for user in valid_users(5) {
        let stored = control.user_by_email(user["email"].as_str().unwrap()).expect("imported");
        assert_eq!(stored["app_metadata"], user["app_metadata"]);
    }
    assert_eq!(control.violations(), Vec::<String>::new());

    let report = harness.get(&format!("/api/jobs/{}/report", id(&job))).await;
    let rows = report.json();
    let lines: Vec<u64> = rows.as_array().unwrap().iter().filter_map(|row| row["line"].as_u64()).collect();
    assert_eq!(lines, [2, 7, 8]);
    for row in rows.as_array().unwrap() {
        assert!(row["user"].is_object(), "{row}");
        assert!(row["errors"][0]["code"].is_string() && row["errors"][0]["message"].is_string(), "{row}");
    }
    assert!(!report.body.contains("secretsecret"), "secrets are hidden: {}", report.body);

    let file = harness.get(&format!("/api/jobs/{}/report?format=ndjson", id(&job))).await;
    assert!(file.header("content-disposition").starts_with("attachment"), "{}", file.header("content-disposition"));
    assert_eq!(file.body.lines().count(), 3);
    let csv = harness.get(&format!("/api/jobs/{}/report?format=csv", id(&job))).await;
    assert!(csv.header("content-type").starts_with("text/csv"));

    let history = harness.get("/api/history").await.json();
    assert_eq!(history["jobs"][0]["type"], "import");
    assert_eq!(history["jobs"][0]["summary"]["failed"], 3);
}

#[actix_web::test]
async fn a_dry_run_checks_and_sends_nothing() {
    let harness = Harness::new(5).await;
    let before = harness.tenant.control().user_count();
    let reply = harness.import(&harness.database(), &text(&mixed()), &[("dry_run", "true")]).await;
    let job = harness.wait_for_end(&reply).await;
    assert_eq!((&job["status"], &job["dry_run"]), (&json!("completed"), &json!(true)), "{job}");
    assert_eq!((&job["summary"]["total"], &job["summary"]["failed"]), (&json!(8), &json!(3)), "{job}");
    assert_eq!(harness.request_count("POST", "/jobs/users-imports"), 0);
    assert_eq!(harness.tenant.control().user_count(), before);
    assert_eq!(harness.get("/api/history").await.json()["jobs"][0]["dry_run"], true);
}

#[actix_web::test]
async fn existing_users_are_updated_only_with_upsert() {
    let harness = Harness::new(5).await;
    let first = harness.wait_for_end(&harness.import(&harness.database(), &text(&valid_users(3)), &[]).await).await;
    assert_eq!(first["summary"]["inserted"], 3);
    let again = harness
        .wait_for_end(&harness.import(&harness.database(), &text(&valid_users(4)), &[("upsert", "false")]).await)
        .await;
    assert_eq!((&again["summary"]["inserted"], &again["summary"]["failed"]), (&json!(1), &json!(3)), "{again}");
    let report = harness.get(&format!("/api/jobs/{}/report", id(&again))).await.json();
    assert_eq!(report[0]["line"], 1, "Auth0's errors are joined to the rows: {report}");
    let upsert = harness
        .wait_for_end(&harness.import(&harness.database(), &text(&valid_users(4)), &[("upsert", "true")]).await)
        .await;
    assert_eq!((&upsert["summary"]["updated"], &upsert["summary"]["failed"]), (&json!(4), &json!(0)), "{upsert}");
}

#[actix_web::test]
async fn an_invalid_upload_is_refused_with_the_reason_and_leaves_no_files() {
    let harness = Harness::with(5, &[("UPLOAD_LIMIT", "10KiB")]).await;
    let control = harness.tenant.control();
    let named = |name: &str| control.connection_id(name).unwrap_or_else(|| panic!("no connection {name}"));
    let database = harness.database();
    let good = text(&valid_users(1));
    let large = text(&valid_users(500));
    for (connection, users, status, words) in [
        (database.as_str(), None, 400, "Must provide 'users' file as multipart part."),
        (&database, Some(""), 400, "Users file must not be empty."),
        (&database, Some("  \n "), 400, "no content"),
        (&database, Some("<html>no users</html>"), 400, ""),
        (&database, Some(large.as_str()), 413, "10.0 KiB"),
        ("", Some(&good), 400, "connection_id"),
        ("con_0000000000000000", Some(&good), 400, "does not exist"),
        (&named(simulated_tenant::connections::DISABLED), Some(&good), 400, "Connection must be enabled."),
        (&named("google-oauth2"), Some(&good), 400, "must be a database connection"),
        (&named(simulated_tenant::connections::CUSTOM_REMOTE), Some(&good), 400, "without import mode"),
    ] {
        let reply = harness.upload(&[("connection_id", connection)], users).await;
        let error = reply.json();
        let about =
            format!("{connection} {:?}: {error}", users.map(|users| users.chars().take(20).collect::<String>()));
        assert_eq!(reply.status / 100, 4, "{about}");
        assert!(reply.status == status || status == 400, "{about}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(words) && !message.is_empty(), "{about}");
        if connection.starts_with("con_") && connection != database {
            let hint = error["hint"].as_str().unwrap_or_default();
            assert!(!hint.is_empty(), "what to change is said: {about}");
        }
        if words == "without import mode" {
            assert!(error["hint"].as_str().unwrap_or_default().contains("Import Users to Auth0"), "{about}");
        }
    }
    assert_eq!(harness.request_count("POST", "/jobs/users-imports"), 0, "nothing was sent");
    assert_eq!(harness.server.job_files(), Vec::<String>::new(), "nothing was kept");
    assert_eq!(harness.get("/api/history").await.json()["jobs"], json!([]));
}

#[actix_web::test]
async fn a_canceled_import_is_resumed_where_it_stopped() {
    let harness = Harness::new(5).await;
    let control = harness.tenant.control();
    let before = control.user_count();
    // Auth0 never finishes the chunk, and the admin cancels the import.
    control.add(Fault::new("/jobs/users-imports", FaultKind::HangJob).method("POST").once());
    let reply = harness.import(&harness.database(), &text(&valid_users(20)), &[]).await;
    let job = id(&reply.json()).to_owned();
    harness.poll_until(&job, |_| harness.request_count("POST", "/jobs/users-imports") == 1).await;
    let canceled = harness.post(&format!("/api/jobs/{job}/cancel")).await;
    assert_eq!(canceled.status, 200, "{}", canceled.body);
    // Auth0 jobs cannot be canceled; they disappear after a day.
    control.clear();
    control.advance(std::time::Duration::from_hours(25));
    assert_eq!(harness.poll_until_over(&job).await["status"], "canceled");
    let resumed = harness.wait_for_end(&harness.post(&format!("/api/jobs/{job}/resume")).await).await;
    assert_eq!(resumed["status"], "completed", "{resumed}");
    assert_eq!(resumed["summary"]["total"], 20);
    assert_eq!(control.user_count(), before + 20, "none lost, none twice: {resumed}");
    let again = harness.post(&format!("/api/jobs/{job}/resume")).await;
    assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")));
}

#[actix_web::test]
async fn an_import_waits_for_a_tenant_that_is_down() {
    let harness = Harness::new(5).await;
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(2));
    let reply = harness.import(&harness.database(), &text(&valid_users(3)), &[]).await;
    let waiting = harness.poll_until(id(&reply.json()), |job| job["details"].is_string()).await;
    assert!(waiting["details"].as_str().is_some_and(|details| !details.is_empty()), "{waiting}");
    let job = harness.wait_for_end(&reply).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{job}");
}

#[actix_web::test]
async fn a_file_is_inspected_before_an_import() {
    let harness = Harness::new(1).await;
    let staff = "Mail;Vorname;Shoe size\nada@example.com;Ada;38\nnobody;Bob;39\n";
    let look = async |parts: &[(&str, Option<&str>, &str)]| {
        let reply = harness.form("/api/import/inspect", parts).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let found = look(&[("users", Some("staff.csv"), staff)]).await;
    assert_eq!(
        (&found["input"]["format"], &found["input"]["delimiter"], &found["rows"]),
        (&json!("csv"), &json!(";"), &json!(2))
    );
    assert_eq!(found["columns"][0]["proposal"], "email");
    assert_eq!(found["columns"][1]["proposal"], "given_name");
    assert_eq!(found["sample"][0]["values"], json!(["ada@example.com", "Ada", "38"]));
    assert_eq!(found["problem"]["errorCode"], "users_file_columns");

    let map = found["proposed_map"].to_string();
    let mapped = look(&[("users", Some("staff.csv"), staff), ("map", None, &map)]).await;
    assert_eq!((&mapped["checked"]["good"], &mapped["checked"]["failed"]), (&json!(1), &json!(1)), "{mapped}");
    assert_eq!(mapped["checked"]["faults"][0]["line"], 3);
    assert_eq!(
        mapped["checked"]["users"][0],
        json!({"email": "ada@example.com", "given_name": "Ada", "user_metadata": {"shoe_size": 38}})
    );
    let computed = r#"{"email": "user.Mail.toUpperCase()", "given_name": "title_case(user.Vorname)", "user_metadata.size": "user[\"Shoe size\"]"}"#;
    let computed = look(&[("map", None, computed), ("users", Some("staff.csv"), staff)]).await;
    assert_eq!(computed["checked"]["users"][0]["email"], "ADA@EXAMPLE.COM");

    for (parts, code) in [
        (vec![("map", None, "{}")], "users_file_missing"),
        (vec![("users", Some("a"), "<html>")], "users_file_format"),
        (vec![("users", Some("a"), staff), ("map", None, "{\"email\":\"nope(user)\"}")], "invalid_expression"),
    ] {
        let refused = harness.form("/api/import/inspect", &parts).await;
        assert_eq!((refused.status, &refused.json()["errorCode"]), (400, &json!(code)), "{}", refused.body);
    }
    let stranger = harness.server.call(actix_web::test::TestRequest::post().uri("/ext/api/import/inspect")).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(harness.server.job_files(), Vec::<String>::new(), "nothing is kept");
}

#[actix_web::test]
async fn mappings_compute_and_secrets_in_them_stay_secret() {
    const KEY: &str = "a key that must stay secret";
    let harness = Harness::new(1).await;
    let map = json!({
        "email": "user.mail.toLowerCase()",
        "name": "title_case(user.who)",
        "app_metadata.pseudonym": format!("pseudonymize(user.mail, \"{KEY}\")"),
    });
    let users = "{\"mail\":\"Ada@Example.com\",\"who\":\"ada lovelace\"}\n{\"who\":\"without address\"}\n";
    let reply = harness.import(&harness.database(), users, &[("map", &map.to_string())]).await;
    let job = harness.wait_for_end(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!((&job["summary"]["inserted"], &job["summary"]["failed"]), (&json!(1), &json!(1)), "{job}");
    assert!(!job.to_string().contains(KEY) && job["settings"].to_string().contains("***"), "{job}");
    let ada = harness.tenant.control().user_by_email("ada@example.com").expect("imported");
    assert_eq!(ada["name"], "Ada Lovelace");
    assert!(ada["app_metadata"]["pseudonym"].as_str().is_some_and(|text| text.len() >= 32), "{ada}");
    let report = harness.get(&format!("/api/jobs/{}/report", id(&job))).await.json();
    assert_eq!((&report[0]["line"], &report[0]["errors"][0]["code"]), (&json!(2), &json!("MAPPING")), "{report}");

    let settings = json!({"type": "import", "map": map});
    let preset = actix_web::test::TestRequest::put().uri("/ext/api/presets/staff").set_json(&settings);
    let kept = harness.call(preset).await;
    assert!(kept.status == 200 && kept.body.contains("***") && !kept.body.contains(KEY), "{}", kept.body);

    // A retry computes with the same secret.
    let corrected = [("users", Some("corrected"), "{\"mail\":\"Bob@Example.com\",\"who\":\"bob\"}")];
    let again = harness.form(&format!("/api/jobs/{}/retry", id(&job)), &corrected).await;
    assert_eq!(harness.wait_for_end(&again).await["summary"]["inserted"], 1);
    let bob = harness.tenant.control().user_by_email("bob@example.com").expect("imported");
    assert_ne!(bob["app_metadata"]["pseudonym"], ada["app_metadata"]["pseudonym"]);
    let harness = harness.restart().await;
    assert!(!harness.server.database().windows(KEY.len()).any(|window| window == KEY.as_bytes()));
}

#[actix_web::test]
async fn a_dry_run_looks_up_users_and_an_upsert_stores_a_backup() {
    let harness = Harness::new(1).await;
    harness.wait_for_end(&harness.import(&harness.database(), &text(&valid_users(3)), &[]).await).await;
    let parts = [("dry_run", "true"), ("look_up", "true"), ("upsert", "true")];
    let dry = harness.wait_for_end(&harness.import(&harness.database(), &text(&valid_users(5)), &parts).await).await;
    assert_eq!(dry["summary"]["look_up"], json!({"by": "email", "inserted": 2, "updated": 3, "refused": 0}), "{dry}");
    let none = harness.get(&format!("/api/jobs/{}/backup", id(&dry))).await;
    assert_eq!((none.status, &none.json()["errorCode"]), (409, &json!("job_state")));

    let parts = [("upsert", "true"), ("backup", "true")];
    let job = harness.wait_for_end(&harness.import(&harness.database(), &text(&valid_users(5)), &parts).await).await;
    assert_eq!((&job["summary"]["updated"], &job["summary"]["backup"]["users"]), (&json!(3), &json!(3)), "{job}");
    let backup = harness.get(&format!("/api/jobs/{}/backup", id(&job))).await;
    assert!(backup.header("content-disposition").starts_with("attachment"), "{}", backup.header("content-disposition"));
    let users: Vec<Value> = serde_json::from_str(&backup.body).expect("a JSON array");
    assert_eq!(users.len(), 3);
    assert_eq!(users[0]["app_metadata"], json!({"number": 0}));
    let refused = harness.import(&harness.database(), &text(&valid_users(1)), &[("backup", "true")]).await;
    assert_eq!((refused.status, &refused.json()["errorCode"]), (400, &json!("invalid_body")), "{}", refused.body);
}
