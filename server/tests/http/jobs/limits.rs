//! Tests of limits per admin: requests beyond them are refused with the reason, and other admins are not affected.

use std::pin::Pin;

use actix_web::body::MessageBody as _;
use actix_web::test::TestRequest;
use futures_util::future::select_all;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use test_kit::{Request, TestKit, job_id};

use super::Harness;
use crate::snapshots::assert_json;

#[actix_web::test]
async fn one_admin_has_at_most_ten_unfinished_jobs() {
    let harness = TestKit::with_users(5).in_process().await;
    harness.tenant.control().add(Fault::new("/api/v2/users", FaultKind::Delay { millis: 60_000 }));
    let mut jobs = Vec::new();
    for _ in 0..10 {
        let reply = harness.request_export(&json!({"format": "csv"})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        jobs.push(reply.json());
    }
    let reply = harness.request_export(&json!({"format": "csv"})).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "5"));
    assert_json!(reply.json());
    let waiting = harness.wait_for_job(job_id(&jobs[9]), |job| job["details"].is_string()).await;
    assert_json!(waiting);
    assert_eq!(harness.history().await.as_array().map(Vec::len), Some(10));

    let other = harness.program.sign_in("auth0|bob", None).await;
    let request = TestRequest::post().uri("/ext/api/jobs/export").set_json(json!({"format": "csv"}));
    let reply = harness.program.call(request.insert_header(("authorization", format!("Bearer {other}")))).await;
    assert_eq!(reply.status, 200, "another admin is not affected: {}", reply.body);

    let canceled = harness.cancel(job_id(&jobs[0])).await;
    assert_eq!(canceled.json()["status"], "canceled", "{}", canceled.body);
    assert_eq!(harness.request_export(&json!({"format": "csv"})).await.status, 200);
}

#[actix_web::test]
async fn columns_and_expressions_are_limited() {
    let harness = TestKit::with_users(5).in_process().await;
    let columns = |count: usize, expression: &str| -> Value {
        (0..count).map(|number| json!({"name": expression, "export_as": format!("c{number}")})).collect()
    };
    for (fields, status) in [
        (columns(1000, "user.email"), 200),
        (columns(1001, "user.email"), 400),
        (json!([{"name": format!("user.{}", "a".repeat(70_000))}]), 400),
        (json!([{"name": format!("{}1{}", "(".repeat(3000), ")".repeat(3000))}]), 400),
    ] {
        let reply = harness.request_export(&json!({"format": "csv", "fields": fields})).await;
        assert_eq!(reply.status, status, "{:.300}", reply.body);
    }
}

#[actix_web::test]
async fn nested_transform_calls_are_limited() {
    const MANY: &str = "More than 100 values are computed by transforms or JavaScript, nested calls included.";
    let harness = TestKit::with_users(5).in_process().await;
    let columns = |count: usize, expression: &str| -> Value {
        (0..count).map(|number| json!({"name": expression, "export_as": format!("c{number}")})).collect()
    };
    let export = |fields: Value, by: &str| json!({"format": "csv", "fields": fields, "sort": {"by": by}});
    for (request, accepted) in [
        (export(columns(100, "mask_email(user.email)"), "user.email"), true),
        (export(columns(101, "mask_email(user.email)"), "user.email"), false),
        (export(columns(101, "user.email.length + 1"), "user.email"), false),
        (export(columns(50, "title_case(mask_email(user.email))"), "user.email"), true),
        (export(columns(51, "title_case(mask_email(user.email))"), "user.email"), false),
        (export(columns(100, "mask_email(user.email)"), "mask_email(user.email)"), false),
        // A secret runs nothing.
        (export(columns(100, "pseudonymize(user.email, \"a key of some length\")"), "user.email"), true),
    ] {
        let previewed = harness.preview(&request).await;
        if accepted {
            assert_eq!(previewed.status, 200, "{:.300}", previewed.body);
            continue;
        }
        for reply in [previewed, harness.request_export(&request).await] {
            assert_eq!((reply.status, &reply.json()["message"]), (400, &json!(MANY)), "{:.300}", reply.body);
            assert_eq!(reply.json()["errorCode"], "invalid_body");
            assert!(reply.json()["hint"].as_str().is_some_and(|hint| hint.starts_with("Use paths")), "{}", reply.body);
        }
    }

    let rules = |count: usize, expression: &str| -> String {
        let rules = (0..count).map(|number| (format!("user_metadata.c{number}"), json!(expression)));
        Value::Object(rules.collect()).to_string()
    };
    for (map, accepted) in [
        (rules(1000, "user.email"), true),
        (rules(100, "mask_email(user.email)"), true),
        (rules(101, "mask_email(user.email)"), false),
        (rules(101, "user.email.length + 1"), false),
        (rules(51, "title_case(mask_email(user.email))"), false),
    ] {
        let parts = [("users", Some("a.json"), "[{\"email\":\"a@example.com\"}]"), ("map", None, map.as_str())];
        let inspected = harness.form("/api/import/inspect", &parts).await;
        if accepted {
            assert_eq!(
                (inspected.status, &inspected.json()["checked"]["good"]),
                (200, &json!(1)),
                "{}",
                inspected.body
            );
            continue;
        }
        let dry_run = [parts[0], parts[1], ("dry_run", None, "true")];
        for reply in [inspected, harness.form("/api/jobs/import", &dry_run).await] {
            assert_eq!((reply.status, &reply.json()["message"]), (400, &json!(MANY)), "{:.300}", reply.body);
            assert_eq!(reply.json()["errorCode"], "invalid_mapping");
            assert!(reply.json()["hint"].as_str().is_some_and(|hint| hint.starts_with("Use paths")), "{}", reply.body);
        }
    }
    assert_eq!(harness.history().await, json!([]));
}

#[actix_web::test]
async fn concurrent_inspections_and_uploads_of_one_admin_are_limited() {
    let harness = TestKit::with_users(5).in_process().await;
    let bob = harness.program.sign_in("auth0|bob", None).await;
    let inspection = || {
        let users = ("users", Some("a.csv"), "email\na@example.com\n");
        TestRequest::from(Request::post("/api/import/inspect").form(&[users]))
    };
    let upload = || TestRequest::post().uri("/ext/api/transforms").set_payload("no transform");
    // The status of each request if it is accepted.
    let requests: [(&dyn Fn() -> TestRequest, u16); 2] = [(&inspection, 200), (&upload, 400)];
    for (request, accepted) in requests {
        let of = |session: &str| request().insert_header(("authorization", format!("Bearer {session}")));
        let underway = (0..5).map(|_| Box::pin(harness.program.call_without_body(of(&harness.session))));
        // Four are accepted and wait for their bodies. The first response is the rejection of the fifth.
        let (refused, _, waiting) = select_all(underway).await;
        assert_eq!((refused.status, &refused.json()["errorCode"]), (429, &json!("too_many_requests")));
        assert!(refused.json()["message"].as_str().is_some_and(|text| text.contains(" 4 ")), "{}", refused.body);
        assert_eq!(refused.header("retry-after"), "5");
        assert_eq!(harness.program.call(of(&bob)).await.status, accepted, "another admin is not affected");
        drop(waiting);
        assert_eq!(harness.program.call(of(&harness.session)).await.status, accepted, "the quota was released");
    }
}

/// Runs a dry run in which every row fails. Its report is larger than the buffers of a connection.
async fn failed_import(harness: &Harness) -> Value {
    let rows: Vec<String> = (0..2000).map(|number| format!("{{\"email\":\"no address {number:0>100}\"}}\n")).collect();
    harness.wait_until_finished(&harness.upload(&[("dry_run", "true")], Some(&rows.concat())).await.job_id()).await
}

fn report_of(job: &Value, session: &str) -> TestRequest {
    TestRequest::get()
        .uri(&format!("/ext/api/jobs/{}/report", job_id(job)))
        .insert_header(("authorization", format!("Bearer {session}")))
}

#[actix_web::test]
async fn concurrent_downloads_of_one_admin_are_limited() {
    let harness = TestKit::with_users(50).in_process().await;
    let bob = harness.program.sign_in("auth0|bob", None).await;
    let import = failed_import(&harness).await;
    let export = harness.export(&json!({"format": "ndjson"})).await;
    let link = export["location"].as_str().expect("a link").replace("https://tools.example", "");
    let download = || TestRequest::get().uri(&link);
    let mut reading = Vec::new();
    for request in (0..3).flat_map(|_| [report_of(&import, &harness.session), download()]) {
        let (status, body) = harness.program.open(request).await;
        assert_eq!(status, 200);
        reading.push(body);
    }
    let backup = TestRequest::get().uri(&format!("/ext/api/jobs/{}/backup", job_id(&import)));
    for request in [report_of(&import, &harness.session), backup] {
        let refused = harness.call(request).await;
        assert_eq!((refused.status, &refused.json()["errorCode"]), (429, &json!("too_many_requests")));
        assert_eq!(refused.header("retry-after"), "5");
    }
    let refused = harness.program.call(download()).await;
    assert_eq!(refused.status, 429, "a download counts for the person who got its link: {}", refused.body);
    assert_eq!(harness.program.open(report_of(&import, &bob)).await.0, 200, "another admin is not affected");
    assert_eq!(harness.get("/api/history").await.status, 200);
    reading.pop();
    let again = harness.program.call(download()).await;
    assert_eq!(again.status, 200, "the quota was released: {}", again.body);
    assert!(again.body.lines().count() >= 50, "the whole file: {}", again.body);
}

#[actix_web::test]
async fn stalled_readers_occupy_no_thread() {
    // More than the 512 threads for blocking work.
    const PEOPLE: usize = 100;
    const EACH: usize = 6;
    let people: Vec<String> = (0..PEOPLE).map(|number| format!("auth0|reader{number}")).collect();
    let admins = format!("auth0|ada,{}", people.join(","));
    let harness = TestKit::with_users(5).settings(&[("ADMIN_SUBJECTS", &admins)]).in_process().await;
    let import = failed_import(&harness).await;
    let mut reading = Vec::new();
    for person in &people {
        let session = harness.program.sign_in(person, None).await;
        for _ in 0..EACH {
            let (status, mut body) = harness.program.open(report_of(&import, &session)).await;
            assert_eq!(status, 200);
            // The first chunk is read, and no other.
            let piece = std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await;
            assert!(piece.is_some_and(|piece| piece.is_ok_and(|bytes| !bytes.is_empty())));
            reading.push(body);
        }
    }
    assert_eq!(reading.len(), PEOPLE * EACH);
    // Both read files on threads for blocking work.
    assert_eq!(harness.get("/api/transforms").await.status, 200);
    let report = harness.get(&format!("/api/jobs/{}/report", job_id(&import))).await;
    assert_eq!((report.status, report.json().as_array().map(Vec::len)), (200, Some(2000)));
}

#[actix_web::test]
async fn parts_of_a_form_that_are_not_files_are_limited() {
    let harness = TestKit::with_users(5).in_process().await;
    let users = ("users", Some("a.json"), "[{\"email\":\"a@example.com\"}]");
    let large = "x".repeat(70_000);
    let half = "x".repeat(40_000);
    for path in ["/api/import/inspect", "/api/jobs/import"] {
        let dry_run = ("dry_run", None, "true");
        let accepted = harness.form(path, &[("unknown", None, half.as_str()), dry_run, users]).await;
        assert_eq!(accepted.status, 200, "{}", accepted.body);
        for parts in [
            vec![("unknown", None, large.as_str()), users],
            vec![("one", None, half.as_str()), ("two", None, half.as_str()), users],
        ] {
            let refused = harness.form(path, &parts).await;
            assert_eq!((refused.status, &refused.json()["errorCode"]), (413, &json!("payload_too_large")));
        }
        let refused = harness.form(path, &[vec![("unknown", None, "x"); 101], vec![users]].concat()).await;
        assert_eq!((refused.status, &refused.json()["errorCode"]), (400, &json!("invalid_body")), "{}", refused.body);
    }
    let job = harness
        .wait_until_finished(&harness.upload(&[("dry_run", "true")], Some("[{\"email\":1}]")).await.job_id())
        .await;
    let retried =
        harness.form(&format!("/api/jobs/{}/retry", job_id(&job)), &[("unknown", None, large.as_str()), users]).await;
    assert_eq!(retried.status, 413, "{}", retried.body);
}

#[actix_web::test]
async fn inspections_and_previews_share_a_quota() {
    let harness = TestKit::with_users(5).in_process().await;
    harness.tenant.control().add(Fault::new("/api/v2/users", FaultKind::Delay { millis: 60_000 }));
    let preview = || harness.call(TestRequest::post().uri("/ext/api/preview").set_json(json!({"format": "csv"})));
    let (refused, _, waiting) = select_all((0..5).map(|_| Box::pin(preview()))).await;
    assert_eq!(refused.status, 429);
    let parts = [("users", Some("a.csv"), "email\na@example.com\n")];
    assert_eq!(harness.form("/api/import/inspect", &parts).await.status, 429);
    drop(waiting);
    assert_eq!(harness.form("/api/import/inspect", &parts).await.status, 200);
}

#[actix_web::test]
async fn a_body_that_is_too_large_or_too_deep_is_refused() {
    let harness = TestKit::with_users(5).in_process().await;
    let send = |body: String| {
        let request =
            TestRequest::post().uri("/ext/api/jobs/export").insert_header(("content-type", "application/json"));
        harness.call(request.set_payload(body))
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let reply = send(deep.clone()).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (400, &json!("invalid_body")), "{:.300}", reply.body);
    let reply = send(format!("{{\"format\":\"csv\",\"query\":\"{}\"}}", "a".repeat(2 << 20))).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (413, &json!("payload_too_large")), "{:.300}", reply.body);
    let settings = format!("{{\"type\":\"import\",\"deep\":{deep}}}");
    let preset = TestRequest::put().uri("/ext/api/presets/deep").insert_header(("content-type", "application/json"));
    assert_eq!(harness.call(preset.set_payload(settings)).await.status, 413, "a preset has at most 64 KiB");
    let deep = deep.replace(&"[".repeat(90_000), "").replace(&"]".repeat(90_000), "");
    let settings = format!("{{\"type\":\"import\",\"deep\":{deep}}}");
    let preset = TestRequest::put().uri("/ext/api/presets/deep").insert_header(("content-type", "application/json"));
    assert_eq!(harness.call(preset.set_payload(settings)).await.status, 400);
    let parts = [("connection_id", None, "con_0000000000000000"), ("map", None, deep.as_str())];
    assert_eq!(harness.form("/api/jobs/import", &parts).await.status, 400);
}
