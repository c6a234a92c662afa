//! Tests of realistic input files: CSV with mapped columns, several files, retries with corrected rows.

use serde_json::{Value, json};

use super::{Harness, Part};
use crate::test_server::Reply;

async fn import(harness: &Harness, parts: &[Part<'_>]) -> Reply {
    let connection = harness.database();
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
    let harness = Harness::new(0).await;
    let csv = "Mail;Full name\r\nada@example.com;Ada\r\nno-address;Bob\r\n";
    let map = r#"{"email": "user.Mail", "name": "user[\"Full name\"]"}"#;
    let job =
        harness.wait_for_end(&import(&harness, &[("map", None, map), ("users", Some("staff.csv"), csv)]).await).await;
    assert_eq!((job["status"].as_str(), counts(&job)), (Some("completed"), (2, 1, 1)), "{job}");
    let summary = &job["summary"];
    assert_eq!((&summary["inputs"][0]["format"], &summary["inputs"][0]["delimiter"]), (&json!("csv"), &json!(";")));
    assert_eq!(
        summary["reasons"],
        json!([{
            "code": "FORMAT", "attribute": "email", "severity": "error", "count": 1,
            "message": "email is not an e-mail address.", "lines": [3],
        }])
    );
    assert!(has(&harness, "ada@example.com"));

    let id = job["id"].as_str().expect("an id");
    let failed = harness.get(&format!("/api/jobs/{id}/report?format=original")).await;
    assert!(failed.header("content-disposition").contains(".csv"), "{:?}", failed.headers);
    assert_eq!(failed.body, "Mail;Full name\nno-address;Bob\n");

    let path = format!("/api/jobs/{id}/retry");
    let uncorrected = harness.wait_for_end(&harness.post(&path).await).await;
    assert_eq!(counts(&uncorrected), (1, 0, 1));
    assert_ne!(uncorrected["id"], job["id"]);
    let corrected = failed.body.replace("no-address", "bob@example.com");
    let job = harness.wait_for_end(&harness.form(&path, &[("users", Some("corrected.csv"), &corrected)]).await).await;
    assert_eq!(counts(&job), (1, 1, 0));
    assert_eq!(harness.tenant.control().user_by_email("bob@example.com").expect("Bob")["name"], "Bob");

    let path = format!("/api/jobs/{}/retry", job["id"].as_str().expect("an id"));
    let nothing = harness.post(&path).await;
    assert_eq!((nothing.status, nothing.json()["errorCode"].as_str()), (409, Some("job_state")), "{}", nothing.body);
    let unknown = harness.post("/api/jobs/job_0000000000000000/retry").await;
    assert_eq!(unknown.status, 404);
}

#[actix_web::test]
async fn several_files_are_one_import() {
    let harness = Harness::new(0).await;
    let reply = import(
        &harness,
        &[
            ("users", Some("one.json"), r#"[{"email":"ada@example.com"}]"#),
            ("users", Some("../two.csv"), "email\nbob@example.com\n"),
            ("users", Some("three.ndjson"), "{\"email\":\"ADA@example.com\"}\n"),
        ],
    )
    .await;
    let job = harness.wait_for_end(&reply).await;
    assert_eq!(counts(&job), (3, 2, 1));
    assert!(has(&harness, "ada@example.com") && has(&harness, "bob@example.com"));
    let report = harness.get(&format!("/api/jobs/{}/report", job["id"].as_str().expect("an id"))).await.json();
    assert_eq!((&report[0]["file"], &report[0]["line"]), (&json!("three.ndjson"), &json!(1)));
    let files: Vec<_> = job["summary"]["inputs"].as_array().expect("inputs").iter().map(|file| &file["file"]).collect();
    assert_eq!(files, [&json!("one.json"), &json!(".._two.csv"), &json!("three.ndjson")]);
}

#[actix_web::test]
async fn files_that_cannot_be_imported_are_refused_with_the_reason() {
    let harness = Harness::new(0).await;
    for (parts, code, part) in [
        (vec![("users", Some("a.csv"), "email,Emial\na@example.com,x\n")], "users_file_columns", "did you mean email?"),
        (vec![("users", Some("a.csv"), "")], "users_file_empty", "must not be empty"),
        (vec![("map", None, "{"), ("users", Some("a.csv"), "email\n")], "invalid_mapping", "not valid JSON"),
        (
            vec![("map", None, r#"{"emial":"user.mail"}"#), ("users", Some("a.json"), "[{}]")],
            "invalid_mapping",
            "\"emial\"",
        ),
        (
            vec![
                ("users", Some("a.json"), "[{\"email\":\"a@example.com\"}]"),
                ("users", Some("b.csv"), "shoe size\n42\n"),
            ],
            "users_file_columns",
            "b.csv: ",
        ),
    ] {
        let reply = import(&harness, &parts).await;
        let body = reply.json();
        assert_eq!((reply.status, body["errorCode"].as_str()), (400, Some(code)), "{body}");
        assert!(body["message"].as_str().expect("a message").contains(part), "{body}");
    }
    assert_eq!(harness.get("/api/history").await.json()["jobs"], json!([]));
}
