//! Tests of damaged files of Auth0 export jobs: they are requested again, then the export fails with the reason.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use simulated_tenant::{Fault, FaultKind};
use test_kit::{TestKit, job_id};

/// Number of users of the tenant: more than a search counts.
const USERS: u64 = 1200;

/// Path of the files of export jobs at the tenant.
const FILE: &str = "/exports/";

fn lines(count: usize) -> String {
    let line = |number| format!("{{\"user_id\":\"auth0|{number}\",\"email\":\"user-{number}@example.com\"}}\n");
    (0..count).map(line).collect::<Vec<_>>().concat()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Returns damaged files: description, media type, content, and a part of the expected error message.
fn damaged() -> Vec<(&'static str, &'static str, Vec<u8>, &'static str)> {
    let page = "<!DOCTYPE html><html><body>Bad gateway</body></html>\n";
    let all = lines(USERS as usize);
    let cut = &all[..all.len() - 20];
    let half_gzip = gzip(&all);
    vec![
        ("a page of a proxy", "text/html", page.into(), "text/html instead of the export's file"),
        ("a page under another type", "application/gzip", page.into(), "Row 1 of the tenant's answer is not a user"),
        ("an empty body", "application/gzip", Vec::new(), "file is empty"),
        ("no users", "application/gzip", gzip(""), "ended after 0 users"),
        ("a cut last line", "application/x-ndjson", cut.into(), "Row 1200 of the tenant's answer is not a user"),
        ("a cut last line in gzip", "application/gzip", gzip(cut), "Row 1200 of the tenant's answer is not a user"),
        ("cut gzip", "application/gzip", half_gzip[..half_gzip.len() / 2].to_vec(), "ends in the middle"),
        ("gzip with a page behind it", "application/gzip", [gzip(&all), page.into()].concat(), "damaged"),
        ("users with a page behind them", "application/x-ndjson", format!("{all}{page}").into(), "Row 1201"),
        ("one user of many", "application/gzip", gzip(&lines(1)), "ended after 1 users, but the search counted"),
        ("half of the users", "application/gzip", gzip(&lines(600)), "ended after 600 users"),
    ]
}

fn replaced(content_type: &str, body: &[u8]) -> Fault {
    Fault::new(FILE, FaultKind::ReplaceBody { content_type: Some(content_type.to_owned()), body: body.to_vec() })
}

#[actix_web::test]
async fn an_export_reads_a_file_again_that_was_damaged_once() {
    let harness = TestKit::with_users(USERS).in_process().await;
    let users = harness.tenant.control().user_count();
    for (what, content_type, body, _) in damaged() {
        harness.tenant.control().add(replaced(content_type, &body).once());
        let job = harness.export(&json!({"format": "ndjson", "fields": [{"name": "user_id"}]})).await;
        assert_eq!((&job["status"], &job["summary"]["rows"]), (&json!("completed"), &json!(users)), "{what}: {job}");
        assert_eq!(job["summary"]["faults"], 0, "{what}: {job}");
        let file = harness.download(&job).await;
        assert_eq!(file.body.lines().count() as u64, users, "{what}");
        assert_eq!(harness.tenant.control().faults(), [], "{what}: the file was read");
    }
}

#[actix_web::test]
async fn an_export_fails_with_the_reason_if_the_file_stays_damaged() {
    let harness = TestKit::with_users(USERS).in_process().await;
    for (what, content_type, body, reason) in damaged() {
        harness.tenant.control().add(replaced(content_type, &body));
        let job = harness.export(&json!({"format": "csv", "fields": [{"name": "user_id"}]})).await;
        harness.tenant.control().clear();
        assert_eq!(
            (&job["status"], &job["error"]["errorCode"]),
            (&json!("failed"), &json!("auth0_export_lost")),
            "{what}: {job}"
        );
        assert!(job["error"]["message"].as_str().is_some_and(|message| message.contains(reason)), "{what}: {job}");
        assert!(job["location"].is_null(), "{what}: {job}");
        assert!(!harness.program.job_files().iter().any(|path| path.contains(job_id(&job))), "{what}: no file is left");
    }
}

#[actix_web::test]
async fn an_export_succeeds_if_a_few_users_are_deleted_meanwhile() {
    let harness = TestKit::with_users(USERS).in_process().await;
    harness.tenant.control().add(replaced("application/gzip", &gzip(&lines(950))).once());
    let job = harness.export(&json!({"format": "csv", "fields": [{"name": "user_id"}]})).await;
    assert_eq!((&job["status"], &job["summary"]["rows"]), (&json!("completed"), &json!(950)), "{job}");
}
