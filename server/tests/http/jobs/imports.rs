//! Tests of imports.

use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use test_kit::{Part, Request, TestKit, job_id, valid_users};

use crate::snapshots::{assert_json, status_and_body};

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
    let harness = TestKit::with_users(5).in_process().await;
    let control = harness.tenant.control();
    let before = control.user_count();
    let lines: Vec<String> = mixed().iter().map(Value::to_string).collect();
    let job = harness.import(&lines.join("\n"), &[]).await;
    // Rows refused here count as failed.
    assert_json!(job);
    assert_eq!(control.user_count(), before + 5);
    for user in valid_users(5) {
        let stored = control.user_by_email(user["email"].as_str().unwrap()).expect("imported");
        assert_eq!(stored["app_metadata"], user["app_metadata"]);
    }
    assert_eq!(control.violations(), Vec::<String>::new());

    let report = harness.get(&format!("/api/jobs/{}/report", job_id(&job))).await;
    assert_json!(report.json());
    assert!(!report.body.contains("secretsecret"), "secrets are hidden: {}", report.body);

    let file = harness.get(&format!("/api/jobs/{}/report?format=ndjson", job_id(&job))).await;
    assert!(file.header("content-disposition").starts_with("attachment"), "{}", file.header("content-disposition"));
    assert_eq!(file.body.lines().count(), 3);
    let csv = harness.get(&format!("/api/jobs/{}/report?format=csv", job_id(&job))).await;
    assert!(csv.header("content-type").starts_with("text/csv"));

    assert_json!(harness.history().await);
}

#[actix_web::test]
async fn a_dry_run_checks_and_sends_nothing() {
    let harness = TestKit::with_users(5).in_process().await;
    let before = harness.tenant.control().user_count();
    let job = harness.import(&text(&mixed()), &[("dry_run", "true")]).await;
    assert_json!(job);
    assert_eq!(harness.request_count("POST", "/jobs/users-imports"), 0);
    assert_eq!(harness.tenant.control().user_count(), before);
    assert_eq!(harness.history().await[0]["dry_run"], true);
}

#[actix_web::test]
async fn existing_users_are_updated_only_with_upsert() {
    let harness = TestKit::with_users(5).in_process().await;
    let first = harness.import(&text(&valid_users(3)), &[]).await;
    let again = harness.import(&text(&valid_users(4)), &[("upsert", "false")]).await;
    let upsert = harness.import(&text(&valid_users(4)), &[("upsert", "true")]).await;
    assert_json!([&first["summary"], &again["summary"], &upsert["summary"]]);
    // Auth0's errors are joined to the rows.
    assert_json!(harness.get(&format!("/api/jobs/{}/report", job_id(&again))).await.json());
}

#[actix_web::test]
async fn an_invalid_upload_is_refused_with_the_reason_and_leaves_no_files() {
    let harness = TestKit::with_users(5).settings(&[("UPLOAD_LIMIT", "10KiB")]).in_process().await;
    let control = harness.tenant.control();
    let named = |name: &str| control.connection_id(name).unwrap_or_else(|| panic!("no connection {name}"));
    let database = harness.tenant.database_connection_id();
    let good = text(&valid_users(1));
    let large = text(&valid_users(500));
    let mut refused = Vec::new();
    for (connection, users) in [
        (database.as_str(), None),
        (&database, Some("")),
        (&database, Some("  \n ")),
        (&database, Some("<html>no users</html>")),
        (&database, Some(large.as_str())),
        ("", Some(&good)),
        ("con_0000000000000000", Some(&good)),
        (&named(simulated_tenant::connections::DISABLED), Some(&good)),
        (&named("google-oauth2"), Some(&good)),
        (&named(simulated_tenant::connections::CUSTOM_REMOTE), Some(&good)),
    ] {
        refused.push(harness.upload(&[("connection_id", connection)], users).await);
    }
    assert_json!(status_and_body(&refused));
    assert_eq!(harness.request_count("POST", "/jobs/users-imports"), 0, "nothing was sent");
    assert_eq!(harness.program.job_files(), Vec::<String>::new(), "nothing was kept");
    assert_eq!(harness.history().await, json!([]));
}

#[actix_web::test]
async fn a_canceled_import_is_resumed_where_it_stopped() {
    let harness = TestKit::with_users(5).in_process().await;
    let control = harness.tenant.control();
    let before = control.user_count();
    // Auth0 never finishes the chunk, and the admin cancels the import.
    control.add(Fault::new("/jobs/users-imports", FaultKind::HangJob).method("POST").once());
    let job = harness.start_import(&text(&valid_users(20)), &[]).await;
    harness.wait_for_job(&job, |_| harness.request_count("POST", "/jobs/users-imports") == 1).await;
    let canceled = harness.cancel(&job).await;
    assert_eq!(canceled.status, 200, "{}", canceled.body);
    // Auth0 jobs cannot be canceled; they disappear after a day.
    control.clear();
    control.advance(std::time::Duration::from_hours(25));
    assert_eq!(harness.wait_until_finished(&job).await["status"], "canceled");
    let resumed = harness.wait_until_finished(&harness.resume(&job).await.job_id()).await;
    assert_eq!(resumed["status"], "completed", "{resumed}");
    assert_eq!(resumed["summary"]["total"], 20);
    assert_eq!(control.user_count(), before + 20, "none lost, none twice: {resumed}");
    let again = harness.resume(&job).await;
    assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")));
}

#[actix_web::test]
async fn an_import_waits_for_a_tenant_that_is_down() {
    let harness = TestKit::with_users(5).in_process().await;
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(2));
    let reply = harness.request_import(&text(&valid_users(3)), &[]).await;
    let waiting = harness.wait_for_job(&reply.job_id(), |job| job["details"].is_string()).await;
    assert!(waiting["details"].as_str().is_some_and(|details| !details.is_empty()), "{waiting}");
    let job = harness.wait_until_finished(&reply.job_id()).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(3)), "{job}");
}

#[actix_web::test]
async fn a_file_is_inspected_before_an_import() {
    let harness = TestKit::with_users(1).in_process().await;
    let staff = "Mail;Vorname;Shoe size\nada@example.com;Ada;38\nnobody;Bob;39\n";
    let look = async |parts: &[Part<'_>]| {
        let mut found = harness.form("/api/import/inspect", parts).await.accepted();
        // Grows with every source.
        assert!(found["sources"].take().is_array());
        found.as_object_mut().expect("an object").shift_remove("sources");
        found
    };
    let found = look(&[("users", Some("staff.csv"), staff)]).await;
    assert_json!(found);

    let map = found["proposed_map"].to_string();
    let mapped = look(&[("users", Some("staff.csv"), staff), ("map", None, &map)]).await;
    assert_json!(mapped);
    let computed = r#"{"email": "user.Mail.toUpperCase()", "given_name": "title_case(user.Vorname)", "user_metadata.size": "user[\"Shoe size\"]"}"#;
    let computed = look(&[("map", None, computed), ("users", Some("staff.csv"), staff)]).await;
    assert_eq!(computed["checked"]["users"][0]["email"], "ADA@EXAMPLE.COM");

    for (parts, code) in [
        (vec![("map", None, "{}")], "users_file_missing"),
        (vec![("users", Some("a"), "<html>")], "users_file_format"),
        (vec![("users", Some("a"), staff), ("map", None, "{\"email\":\"nope(user)\"}")], "invalid_expression"),
    ] {
        harness.form("/api/import/inspect", &parts).await.expect_code(400, code);
    }
    let stranger = harness.program.call(actix_web::test::TestRequest::post().uri("/ext/api/import/inspect")).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(harness.program.job_files(), Vec::<String>::new(), "nothing is kept");
}

#[actix_web::test]
async fn an_inspection_names_a_guessed_encoding_and_tries_another_one() {
    let harness = TestKit::with_users(1).in_process().await;
    // ISO-2022-JP, which is a text for the form.
    let users = ("users", Some("users.csv"), "email,name\na@example.com,\u{1b}$B9b66\u{1b}(B\n");
    let guessed = harness.form("/api/import/inspect", &[users]).await.accepted();
    assert_eq!(guessed["input"]["encoding"], "ISO-2022-JP");
    assert_eq!(guessed["input"]["encoding_guessed"], true);
    assert_eq!(guessed["checked"]["users"][0]["name"], "高橋");
    let warning = &guessed["checked"]["faults"][0];
    assert_eq!((&warning["code"], &warning["line"]), (&json!("ENCODING_GUESSED"), &json!(2)), "{warning}");
    assert!(warning["message"].as_str().unwrap().contains("name in line 2 contains \"高橋\""), "{warning}");

    let named = harness.form("/api/import/inspect", &[users, ("encoding", None, "jis")]).await;
    named.expect_code(400, "invalid_body");
    let named = harness.form("/api/import/inspect", &[users, ("encoding", None, "iso-2022-jp")]).await.accepted();
    assert_eq!(named["input"]["encoding_guessed"], json!(null));
    assert_eq!(named["checked"]["warnings"], 0);
    let other = harness.form("/api/import/inspect", &[users, ("encoding", None, "utf8")]).await.accepted();
    assert_eq!(other["input"]["encoding"], "UTF-8");

    let parts = [("dry_run", "true"), ("encoding", "iso-2022-jp")];
    let job = harness.upload(&parts, Some(users.2)).await.job_id();
    let done = harness.wait_until_finished(&job).await;
    assert_eq!(done["summary"]["inputs"][0]["encoding"], "ISO-2022-JP", "{done}");
}

#[actix_web::test]
async fn what_an_upsert_does_is_in_the_inspection_and_in_the_summary_in_both_languages() {
    let harness = TestKit::with_users(1).in_process().await;
    let users = r#"[{"email": "ada@example.com", "blocked": true, "user_id": "google-oauth2|1"}]"#;
    let codes = |reasons: &Value| -> Vec<(String, String)> {
        let reasons = reasons.as_array().expect("reasons").iter();
        let text = |reason: &Value, name: &str| reason[name].as_str().unwrap_or_default().to_owned();
        reasons.map(|reason| (text(reason, "code"), text(reason, "attribute"))).collect()
    };
    let expected = [
        ("ID_PREFIX", "user_id"),
        ("OTHER_PROVIDER", "user_id"),
        ("UPSERT_UNCHANGED", "blocked"),
        ("UPSERT_UNCHANGED", "user_id"),
    ]
    .map(|(code, attribute)| (code.to_owned(), attribute.to_owned()));
    let inspected =
        harness.form("/api/import/inspect", &[("users", Some("u.json"), users), ("upsert", None, "true")]).await;
    assert_eq!(codes(&inspected.accepted()["checked"]["reasons"]), expected);
    let without = harness.form("/api/import/inspect", &[("users", Some("u.json"), users)]).await.accepted();
    assert_eq!(codes(&without["checked"]["reasons"]), expected[..2]);

    let job = harness.import(users, &[("dry_run", "true"), ("upsert", "true")]).await;
    assert_eq!(codes(&job["summary"]["reasons"]), expected);
    let request = Request::get(&format!("/api/jobs/{}", job_id(&job))).header("accept-language", "de");
    let german = harness.send(request).await.json();
    let messages: Vec<&str> = german["summary"]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|reason| reason["message"].as_str())
        .collect();
    assert_eq!(
        messages[2],
        "Eine Aktualisierung ändert blocked von bestehenden Benutzern nie; 1 Zeile enthält das Attribut."
    );
    assert!(messages[1].starts_with("1 Benutzer gehört zu einem anderen Anbieter (google-oauth2)"), "{messages:?}");
}

#[actix_web::test]
async fn mappings_compute_and_secrets_in_them_stay_secret() {
    const KEY: &str = "a key that must stay secret";
    let harness = TestKit::with_users(1).in_process().await;
    let map = json!({
        "email": "user.mail.toLowerCase()",
        "name": "title_case(user.who)",
        "app_metadata.pseudonym": format!("pseudonymize(user.mail, \"{KEY}\")"),
    });
    let users = "{\"mail\":\"Ada@Example.com\",\"who\":\"ada lovelace\"}\n{\"who\":\"without address\"}\n";
    let reply = harness.request_import(users, &[("map", &map.to_string())]).await;
    let job = harness.wait_until_finished(&reply.job_id()).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!((&job["summary"]["inserted"], &job["summary"]["failed"]), (&json!(1), &json!(1)), "{job}");
    assert!(!job.to_string().contains(KEY) && job["settings"].to_string().contains("***"), "{job}");
    let ada = harness.tenant.control().user_by_email("ada@example.com").expect("imported");
    assert_eq!(ada["name"], "Ada Lovelace");
    assert!(ada["app_metadata"]["pseudonym"].as_str().is_some_and(|text| text.len() >= 32), "{ada}");
    let report = harness.get(&format!("/api/jobs/{}/report", job_id(&job))).await.json();
    assert_eq!((&report[0]["line"], &report[0]["errors"][0]["code"]), (&json!(2), &json!("MAPPING")), "{report}");

    let settings = json!({"type": "import", "map": map});
    let preset = actix_web::test::TestRequest::put().uri("/ext/api/presets/staff").set_json(&settings);
    let kept = harness.call(preset).await;
    assert!(kept.status == 200 && kept.body.contains("***") && !kept.body.contains(KEY), "{}", kept.body);

    // A retry computes with the same secret.
    let corrected = [("users", Some("corrected"), "{\"mail\":\"Bob@Example.com\",\"who\":\"bob\"}")];
    let again = harness.form(&format!("/api/jobs/{}/retry", job_id(&job)), &corrected).await;
    assert_eq!(harness.wait_until_finished(&again.job_id()).await["summary"]["inserted"], 1);
    let bob = harness.tenant.control().user_by_email("bob@example.com").expect("imported");
    assert_ne!(bob["app_metadata"]["pseudonym"], ada["app_metadata"]["pseudonym"]);
    let harness = harness.restart().await;
    assert!(!harness.program.database().windows(KEY.len()).any(|window| window == KEY.as_bytes()));
}

#[actix_web::test]
async fn a_dry_run_looks_up_users_and_an_upsert_stores_a_backup() {
    let harness = TestKit::with_users(1).in_process().await;
    harness.import(&text(&valid_users(3)), &[]).await;
    let parts = [("dry_run", "true"), ("look_up", "true"), ("upsert", "true")];
    let dry = harness.import(&text(&valid_users(5)), &parts).await;
    assert_json!(dry);
    let none = harness.get(&format!("/api/jobs/{}/backup", job_id(&dry))).await;
    assert_eq!((none.status, &none.json()["errorCode"]), (409, &json!("job_state")));

    let parts = [("upsert", "true"), ("backup", "true")];
    let job = harness.import(&text(&valid_users(5)), &parts).await;
    assert_json!(job["summary"]);
    let backup = harness.get(&format!("/api/jobs/{}/backup", job_id(&job))).await;
    assert!(backup.header("content-disposition").starts_with("attachment"), "{}", backup.header("content-disposition"));
    let users: Vec<Value> = serde_json::from_str(&backup.body).expect("a JSON array");
    assert_eq!(users.len(), 3);
    assert_eq!(users[0]["app_metadata"], json!({"number": 0}));
    let refused = harness.request_import(&text(&valid_users(1)), &[("backup", "true")]).await;
    assert_eq!((refused.status, &refused.json()["errorCode"]), (400, &json!("invalid_body")), "{}", refused.body);
}
