//! Imports of exports of other systems.

use serde_json::{Value, json};
use test_kit::{Part, TestKit, job_id};

/// Users of Amazon Cognito, of which the second one cannot be imported.
fn cognito() -> String {
    let user = |email: &str| {
        json!({
            "Username": email.replace('@', "-"), "Enabled": true, "UserStatus": "CONFIRMED", "UserCreateDate": 1.5,
            "Attributes": [{ "Name": "email", "Value": email }, { "Name": "custom:plan", "Value": "pro" }],
        })
    };
    format!("{}\n{}\n", user("cognito-1@example.com"), user("no address"))
}

#[actix_web::test]
async fn a_source_is_recognized_and_its_rows_are_converted() {
    let harness = TestKit::with_users(5).in_process().await;
    let job = harness.import(&cognito(), &[]).await;
    assert_eq!(job["summary"]["inputs"][0]["source"], "cognito", "{job}");
    assert_eq!((&job["summary"]["inserted"], &job["summary"]["failed"]), (&json!(1), &json!(1)));
    let user = harness.tenant.control().user_by_email("cognito-1@example.com").expect("imported");
    assert_eq!(user["app_metadata"], json!({ "plan": "pro" }));
}

#[actix_web::test]
async fn a_retry_and_the_report_use_the_source_of_the_import() {
    let harness = TestKit::with_users(5).in_process().await;
    // Only one name is typical, so this is not recognized.
    let users = "Username,email\nada,source-1@example.com\nbob,no address\n";
    let job = harness.import(users, &[("source", "cognito")]).await;
    assert_eq!(job["summary"]["inputs"][0]["source"], "cognito", "{job}");
    let stored = harness.tenant.control().user_by_email("source-1@example.com").expect("imported");
    assert_eq!(stored["user_id"], "auth0|ada");
    let file = harness.get(&format!("/api/jobs/{}/report?format=original", job_id(&job))).await;
    assert_eq!(file.body, "Username,email\nbob,no address\n");
    let retry = harness.retry(job_id(&job)).await;
    assert_eq!(retry.status, 200, "{}", retry.body);
    let retried = harness.wait_until_finished(&retry.job_id()).await;
    assert_eq!(retried["summary"]["inputs"][0]["source"], "cognito", "{retried}");
    assert_eq!((&retried["summary"]["total"], &retried["summary"]["failed"]), (&json!(1), &json!(1)));
}

#[actix_web::test]
async fn a_retry_joins_the_password_hashes_again() {
    let harness = TestKit::with_users(5).in_process().await;
    let users = "{\"user_id\":\"auth0|h1\",\"email\":\"hash-1@example.com\"}\n{\"user_id\":\"auth0|h2\",\"email\":\"no address\"}\n";
    let hash = "$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
    let line = |id: &str| json!({ "_id": { "$oid": "5dea9f9c82dd7c0e76e4ec93" }, "alt_id": id, "passwordHash": hash, "tenant": "t", "connection": "c" });
    let hashes = format!("{}\n{}\n", line("h1"), line("h2"));
    let connection = harness.tenant.database_connection_id();
    let parts = [
        ("connection_id", None, connection.as_str()),
        ("users", Some("users.ndjson"), users),
        ("users", Some("hashes.ndjson"), &hashes),
    ];
    let started = harness.form("/api/jobs/import", &parts).await;
    let job = harness.wait_until_finished(&started.job_id()).await;
    assert_eq!(job["summary"]["hashes"]["joined"], 2, "{job}");
    let retry = harness.retry(job_id(&job)).await;
    assert_eq!(retry.status, 200, "{}", retry.body);
    let retried = harness.wait_until_finished(&retry.job_id()).await;
    assert_eq!(retried["summary"]["hashes"]["joined"], 1, "{retried}");
}

#[actix_web::test]
async fn an_inspection_names_the_source_and_what_its_columns_become() {
    let harness = TestKit::with_users(1).in_process().await;
    let users =
        "cognito:username,email,email_verified,cognito:mfa_enabled,custom:tier\nada,ada@example.com,TRUE,FALSE,7\n";
    let look = async |parts: &[Part<'_>]| harness.form("/api/import/inspect", parts).await.accepted();
    let found = look(&[("users", Some("users.csv"), users)]).await;
    assert_eq!(found["source"], json!({ "name": "cognito", "title": "Amazon Cognito" }), "{found}");
    assert!(found["sources"].as_array().is_some_and(|all| all.contains(&found["source"])), "{found}");
    assert_eq!(found["columns"][2]["attribute"], "email_verified");
    assert_eq!(found["proposed_map"], json!({}));
    assert_eq!(
        found["checked"]["users"],
        json!([{ "email": "ada@example.com", "email_verified": true, "app_metadata": { "tier": "7" }, "user_id": "ada" }])
    );
    let off = look(&[("users", Some("users.csv"), users), ("source", None, "none")]).await;
    assert_eq!((off.get("source"), &off["problem"]["errorCode"]), (None, &json!("users_file_columns")), "{off}");
}

#[actix_web::test]
async fn an_unknown_source_is_refused_with_the_field() {
    let harness = TestKit::with_users(5).in_process().await;
    let refused = harness.request_import(&cognito(), &[("source", "cognitoo")]).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!(body["field"], "source");
}
