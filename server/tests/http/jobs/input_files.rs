//! Tests of realistic input files: CSV with mapped columns, several files, retries with corrected rows.

use serde_json::{Value, json};
use test_kit::{Part, Reply, TestKit, job_id};

use super::Harness;
use crate::snapshots::{assert_json, status_and_body};

async fn import(harness: &Harness, parts: &[Part<'_>]) -> Reply {
    let connection = harness.tenant.database_connection_id();
    harness.form("/api/jobs/import", &[&[("connection_id", None, connection.as_str())], parts].concat()).await
}

fn has(harness: &Harness, email: &str) -> bool {
    harness.tenant.control().user_by_email(email).is_some()
}

fn counts(job: &Value) -> (u64, u64, u64) {
    let count = |name: &str| job["summary"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {job}"));
    (count("total"), count("inserted"), count("failed"))
}

#[actix_web::test]
async fn files_are_mapped_and_corrected_rows_are_imported_again() {
    let harness = TestKit::with_users(0).in_process().await;
    let csv = "Mail;Full name\r\nada@example.com;Ada\r\nno-address;Bob\r\n";
    let map = r#"{"email": "user.Mail", "name": "user[\"Full name\"]"}"#;
    let job = harness
        .wait_until_finished(&import(&harness, &[("map", None, map), ("users", Some("staff.csv"), csv)]).await.job_id())
        .await;
    assert_json!(job);
    assert!(has(&harness, "ada@example.com"));

    let id = job["id"].as_str().expect("an id");
    let failed = harness.get(&format!("/api/jobs/{id}/report?format=original")).await;
    assert!(failed.header("content-disposition").contains(".csv"), "{:?}", failed.headers);
    assert_eq!(failed.body, "Mail;Full name\nno-address;Bob\n");

    let uncorrected = harness.wait_until_finished(&harness.retry(id).await.job_id()).await;
    assert_eq!(counts(&uncorrected), (1, 0, 1));
    assert_ne!(uncorrected["id"], job["id"]);
    let corrected = failed.body.replace("no-address", "bob@example.com");
    let job = harness
        .wait_until_finished(
            &harness
                .form(&format!("/api/jobs/{id}/retry"), &[("users", Some("corrected.csv"), &corrected)])
                .await
                .job_id(),
        )
        .await;
    assert_eq!(counts(&job), (1, 1, 0));
    assert_eq!(harness.tenant.control().user_by_email("bob@example.com").expect("Bob")["name"], "Bob");

    let nothing = harness.retry(job_id(&job)).await;
    assert_eq!((nothing.status, nothing.json()["errorCode"].as_str()), (409, Some("job_state")), "{}", nothing.body);
    let unknown = harness.retry("job_0000000000000000").await;
    assert_eq!(unknown.status, 404);
}

#[actix_web::test]
async fn values_and_rows_are_left_out_and_a_retry_keeps_the_options() {
    let harness = TestKit::with_users(0).in_process().await;
    let csv = "Mail,given_name,email_verified,Shoe size,user_metadata.city\n\
               ada@example.com,NULL,yes,40,\\N\nbob@example.com,Bob,no,41,Paris\nno-address,NULL,ja,42,Rome\n";
    let parts = [
        ("map", None, r#"{"email": "user.Mail", "user_metadata.given": "user.given_name || ''"}"#),
        ("null", None, "NULL"),
        ("null", None, "\\N"),
        ("drop_empty", None, "true"),
        ("drop_unknown", None, "true"),
        ("query", None, "email_verified:true"),
    ];
    let file = [("users", Some("staff.csv"), csv)];
    let inspected = harness.form("/api/import/inspect", &[&parts[..], &file].concat()).await.json();
    let checked = &inspected["checked"];
    assert_eq!(
        (&checked["good"], &checked["failed"], &checked["left_out"]),
        (&json!(1), &json!(1), &json!(1)),
        "{inspected}"
    );
    assert_eq!(checked["users"][0], json!({ "email": "ada@example.com", "email_verified": true }));

    let job = harness.wait_until_finished(&import(&harness, &[&parts[..], &file].concat()).await.job_id()).await;
    assert_eq!((counts(&job), &job["summary"]["left_out"]), ((2, 1, 1), &json!(1)));
    let codes: Vec<&str> = job["summary"]["reasons"]
        .as_array()
        .expect("reasons")
        .iter()
        .filter_map(|reason| reason["code"].as_str())
        .collect();
    assert_eq!(codes, ["FORMAT", "COLUMN_LEFT_OUT"]);
    let ada = harness.tenant.control().user_by_email("ada@example.com").expect("Ada");
    assert!(ada.get("given_name").is_none() && ada.get("user_metadata").is_none(), "{ada}");
    assert!(!has(&harness, "bob@example.com"));

    let corrected = "Mail,given_name,email_verified,Shoe size,user_metadata.city\n\
                     eve@example.com,NULL,ja,42,Rome\ndan@example.com,Dan,no,43,Oslo\n";
    let reply =
        harness.form(&format!("/api/jobs/{}/retry", job_id(&job)), &[("users", Some("again.csv"), corrected)]).await;
    let again = harness.wait_until_finished(&reply.job_id()).await;
    assert_eq!((counts(&again), &again["summary"]["left_out"]), ((1, 1, 0), &json!(1)));
    assert!(harness.tenant.control().user_by_email("eve@example.com").expect("Eve").get("given_name").is_none());

    let invalid =
        import(&harness, &[("query", None, "email:("), ("users", Some("a.csv"), "email\na@example.com\n")]).await;
    assert_eq!((invalid.status, invalid.json()["field"].as_str()), (400, Some("query")), "{}", invalid.body);
}

#[actix_web::test]
async fn several_files_are_one_import() {
    let harness = TestKit::with_users(0).in_process().await;
    let reply = import(
        &harness,
        &[
            ("users", Some("one.json"), r#"[{"email":"ada@example.com"}]"#),
            ("users", Some("../two.csv"), "email\nbob@example.com\n"),
            ("users", Some("three.ndjson"), "{\"email\":\"ADA@example.com\"}\n"),
        ],
    )
    .await;
    let job = harness.wait_until_finished(&reply.job_id()).await;
    assert_eq!(counts(&job), (3, 2, 1));
    assert!(has(&harness, "ada@example.com") && has(&harness, "bob@example.com"));
    let report = harness.get(&format!("/api/jobs/{}/report", job["id"].as_str().expect("an id"))).await.json();
    assert_json!(report);
    assert_json!(job["summary"]["inputs"]);
}

#[actix_web::test]
async fn files_that_cannot_be_imported_are_refused_with_the_reason() {
    let harness = TestKit::with_users(0).in_process().await;
    let mut refused = Vec::new();
    for parts in [
        vec![("users", Some("a.csv"), "email,Emial\na@example.com,x\n")],
        vec![("users", Some("a.csv"), "")],
        vec![("map", None, "{"), ("users", Some("a.csv"), "email\n")],
        vec![("map", None, r#"{"emial":"user.mail"}"#), ("users", Some("a.json"), "[{}]")],
        vec![("users", Some("a.json"), "[{\"email\":\"a@example.com\"}]"), ("users", Some("b.csv"), "shoe size\n42\n")],
    ] {
        refused.push(import(&harness, &parts).await);
    }
    assert_json!(status_and_body(&refused));
    assert_eq!(harness.history().await, json!([]));
}
