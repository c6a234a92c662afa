//! Tests with the requests of the original extension's client, and the members of the responses that it reads
//! (docs/auth0/original-extension.md#routes, docs/auth0/original-extension.md#client-behaviour).

use serde_json::{Value, json};
use test_kit::{DATABASE, TestKit, job_id};

/// The columns of the client's button "Add Default Fields".
const COLUMNS: [(&str, &str); 11] = [
    ("user_id", "Id"),
    ("given_name", "Given Name"),
    ("family_name", "Family Name"),
    ("nickname", "Nickname"),
    ("name", "Name"),
    ("email", "Email"),
    ("email_verified", "Email Verified"),
    ("picture", "Picture"),
    ("identities[0].connection", "Connection"),
    ("created_at", "Created At"),
    ("updated_at", "Updated At"),
];

/// A date with three decimals, as Auth0 writes them.
fn is_date(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == "2023-01-25T17:48:16.543Z".len() && text.ends_with('Z'))
}

#[actix_web::test]
async fn the_original_clients_lists_are_filled() {
    let harness = TestKit::with_users(1200).in_process().await;
    let connections = harness.get("/api/connections?strategy=auth0").await.json();
    let connections = connections.as_array().expect("a flat array");
    assert!(
        connections.iter().any(|one| one["name"] == DATABASE && one["id"] == harness.tenant.database_connection_id())
    );
    assert!(connections.iter().all(|one| one["strategy"] == "auth0"));
    let count = harness.get(&format!("/api/users?connection={DATABASE}")).await.json();
    for member in ["start", "limit", "length", "total"] {
        assert!(count[member].is_u64(), "{member}: {count}");
    }
    assert_eq!(count["users"].as_array().map(Vec::len), Some(1));
}

#[actix_web::test]
async fn the_original_clients_export_runs_and_has_a_download_link() {
    let harness = TestKit::with_users(20).in_process().await;
    let fields: Vec<_> = COLUMNS.iter().map(|(name, title)| json!({"name": name, "export_as": title})).collect();
    // "All connections" is the first entry of the list and has no id.
    for connection in [json!(""), json!(null), json!(harness.tenant.database_connection_id())] {
        let request = json!({"format": "json", "connection_id": connection, "fields": fields});
        let job = harness.export(&request).await;
        assert_eq!((&job["type"], &job["status"]), (&json!("users_export"), &json!("completed")), "{job}");
        assert!(is_date(&job["created_at"]), "{job}");
        let users: Vec<Value> = serde_json::from_str(&harness.download(&job).await.body).expect("users");
        let titles: Vec<&str> = users[0].as_object().expect("a user").keys().map(String::as_str).collect();
        assert_eq!(titles, COLUMNS.map(|(_, title)| title));
    }
}

#[actix_web::test]
async fn the_original_clients_import_runs_and_is_in_the_history() {
    let harness = TestKit::with_users(5).in_process().await;
    let connection = harness.tenant.database_connection_id();
    let bad = json!([{"email": "one@example.com"}, {"email": "two@example.com", "nickname": ""}]).to_string();
    let started = harness.request_import(&bad, &[]).await;
    let first = started.json();
    assert_eq!((&first["type"], &first["connection_id"]), (&json!("users_import"), &json!(connection)), "{first}");
    let job = harness.wait_until_finished(&started.job_id()).await;
    assert_eq!((&job["status"], &job["summary"]["failed"]), (&json!("completed"), &json!(1)));
    let report = harness.get(&format!("/api/jobs/{}/report", job_id(&job))).await.json();
    assert_eq!(report[0]["user"]["email"], "two@example.com");
    assert!(report[0]["errors"][0]["message"].is_string() && report[0]["errors"][0]["code"].is_string());

    let good = json!([{"email": "three@example.com"}]).to_string();
    let clean = harness.import(&good, &[("external_id", "third")]).await;
    assert_eq!(clean["external_id"], "third");
    assert_eq!(
        harness.get(&format!("/api/jobs/{}/report", job_id(&clean))).await.json(),
        json!([]),
        "nothing went wrong"
    );

    let history = harness.get("/api/history").await.json();
    let jobs = history["jobs"].as_array().expect("jobs");
    for (entry, job) in jobs.iter().zip([&job, &clean]) {
        assert_eq!((&entry["id"], &entry["type"], &entry["status"]), (&job["id"], &json!("import"), &job["status"]));
        assert!(is_date(&entry["date"]), "{entry}");
        assert_eq!(entry["summary"]["failed"], job["summary"]["failed"]);
    }
    assert_eq!(jobs.len(), 2);
}
