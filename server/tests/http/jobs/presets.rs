//! Tests of presets and of the list of attributes.

use actix_web::test::TestRequest;
use serde_json::json;
use test_kit::{DATABASE, TestKit};

use crate::snapshots::assert_json;

#[actix_web::test]
async fn a_preset_is_returned_as_it_was_saved() {
    let harness = TestKit::with_users(5).in_process().await;
    let settings =
        json!({"format": "csv", "fields": [{"name": "user.email", "export_as": "E-mail"}], "query": "blocked:true"});
    let put =
        |settings: &serde_json::Value| TestRequest::put().uri("/ext/api/presets/Blocked%20users").set_json(settings);
    assert_eq!(harness.call(put(&settings)).await.status, 200);
    let session = harness.program.sign_in("auth0|grace", None).await;
    let other = harness.with_session(session);
    assert_eq!(other.get("/api/presets/Blocked%20users").await.json(), settings, "admins of a tenant share them");
    assert_json!(other.get("/api/presets").await.json());

    let changed = json!({"type": "import", "upsert": true});
    assert_eq!(other.call(put(&changed)).await.status, 200);
    assert_eq!(other.get("/api/presets/Blocked%20users").await.json(), changed);
    let delete = || TestRequest::delete().uri("/ext/api/presets/Blocked%20users");
    assert_eq!(other.call(delete()).await.status, 204);
    assert_eq!(other.get("/api/presets").await.json(), json!({"presets": []}));
    for reply in [other.call(delete()).await, other.get("/api/presets/Blocked%20users").await] {
        assert_eq!((reply.status, &reply.json()["errorCode"]), (404, &json!("inexistent_preset")));
    }
}

#[actix_web::test]
async fn an_invalid_preset_is_refused() {
    let harness = TestKit::with_users(5).in_process().await;
    for (path, body) in [
        ("good", json!({"format": "xml"})),
        ("good", json!({"format": "csv", "colour": "red"})),
        ("good", json!({"type": "backup"})),
        ("good", json!({"type": "import", "junk": ["x"]})),
        ("good", json!({"type": "import", "upsert": "yes"})),
        ("good", json!({"type": "import", "map": {"name": "unknown_transform(user.name)"}})),
        ("good", json!([1])),
        ("%20", json!({"format": "csv"})),
        ("two%0Alines", json!({"format": "csv"})),
    ] {
        let reply = harness.put(&format!("/api/presets/{path}"), &body).await;
        assert_eq!(reply.status, 400, "{path} {body}: {}", reply.body);
    }
    assert_eq!(harness.get("/api/presets").await.json(), json!({"presets": []}));
}

#[actix_web::test]
async fn attributes_are_sampled_from_real_users() {
    let harness = TestKit::with_users(400).in_process().await;
    let found = harness.get(&format!("/api/attributes?connection={DATABASE}")).await.json();
    assert_eq!(found["users"], 100);
    let attributes = found["attributes"].as_array().expect("attributes");
    let of = |path: &str| {
        attributes.iter().find(|attribute| attribute["path"] == path).unwrap_or_else(|| panic!("no {path}"))
    };
    assert_eq!((&of("user.user_id")["type"], &of("user.user_id")["share"]), (&json!("string"), &json!(1.0)));
    assert_eq!(of("user.identities[0].connection")["example"], DATABASE);
    assert_eq!(of("user.created_at")["type"], "date");
    assert!(
        attributes
            .iter()
            .any(|attribute| attribute["path"].as_str().is_some_and(|path| path.starts_with("user.app_metadata.")))
    );
}

#[actix_web::test]
async fn every_part_of_an_imports_form_can_be_saved() {
    let harness = TestKit::with_users(5).in_process().await;
    let settings = json!({
        "type": "import", "connection_id": harness.tenant.database_connection_id(), "upsert": true, "send_completion_email": false,
        "external_id": "nightly", "keep_id_prefix": true, "drop_read_only": true, "drop_empty": true,
        "drop_unknown": false, "null": ["NULL", "\\N"], "query": "email_verified:true", "dry_run": false, "look_up": false,
        "backup": true, "map": {"name": "user[\"Full name\"]"},
    });
    let reply = harness.put("/api/presets/all", &settings).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(harness.get("/api/presets/all").await.json(), settings);
}

#[actix_web::test]
async fn presets_are_limited_and_large_ones_of_earlier_versions_stay_on_disk() {
    let harness = TestKit::with_users(5).in_process().await;
    let junk = json!({"type": "import", "external_id": "x".repeat(70_000)});
    let reply = harness.put("/api/presets/large", &junk).await;
    assert_eq!(reply.status, 413, "{}", reply.body);
    assert_eq!(harness.get("/api/presets").await.json(), json!({"presets": []}));

    // 500 presets of a megabyte, as an earlier version accepted them.
    let database = format!("sqlite://{}", harness.program.directory().join("state.sqlite").display());
    let pool = sqlx::SqlitePool::connect(&database).await.expect("the database");
    let tenant = harness.program.app.settings.tenant().expect("a tenant").host().to_owned();
    sqlx::query(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500) \
         INSERT INTO presets SELECT ?, 'old ' || n, 'import', '[' || replace(hex(zeroblob(250000)), '0000', '\"x\",') || '0]', 0 \
         FROM numbers",
    )
    .bind(tenant)
    .execute(&pool)
    .await
    .expect("rows");
    let before = resident_bytes();
    let list = harness.get("/api/presets").await;
    assert_eq!(list.json()["presets"].as_array().map(Vec::len), Some(500), "{:.300}", list.body);
    let read = harness.get("/api/presets/old%207").await;
    assert_eq!((read.status, &read.json()["errorCode"]), (413, &json!("preset_too_large")), "{:.300}", read.body);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "reading lists grew the process by {grown} bytes");
    let quota = harness.put("/api/presets/new", &json!({"format": "csv"})).await;
    assert_eq!((quota.status, &quota.json()["errorCode"]), (409, &json!("preset_quota")), "{}", quota.body);
    assert_eq!(harness.delete("/api/presets/old%207").await.status, 204);
    assert_eq!(harness.put("/api/presets/new", &json!({"format": "csv"})).await.status, 200);
}

/// Returns the memory of this process in bytes. Other tests run in parallel, so only large differences are significant.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("statm");
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
}
