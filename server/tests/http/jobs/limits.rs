//! What one person may ask for: everything beyond is refused with the reason, and others are not
//! disturbed.

use actix_web::test::TestRequest;
use futures_util::future::select_all;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use super::{Desk, id};

#[actix_web::test]
async fn nobody_has_more_than_ten_jobs_going() {
    let desk = Desk::new(5).await;
    desk.tenant.control().add(Fault::new("/api/v2/users", FaultKind::Delay { millis: 60_000 }));
    let mut jobs = Vec::new();
    for _ in 0..10 {
        let reply = desk.export(&json!({"format": "csv"})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        jobs.push(reply.json());
    }
    let reply = desk.export(&json!({"format": "csv"})).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (429, &json!("too_many_requests")), "{}", reply.body);
    assert_eq!(reply.header("retry-after"), "5");
    assert_eq!(desk.get("/api/history").await.json()["jobs"].as_array().map(Vec::len), Some(10));

    let other = super::session_of("auth0|bob", None);
    let request = TestRequest::post().uri("/ext/api/jobs/export").set_json(json!({"format": "csv"}));
    let reply = desk.server.call(request.insert_header(("authorization", format!("Bearer {other}")))).await;
    assert_eq!(reply.status, 200, "somebody else is not concerned: {}", reply.body);

    let canceled = desk.post(&format!("/api/jobs/{}/cancel", id(&jobs[0]))).await;
    assert_eq!(canceled.json()["status"], "canceled", "{}", canceled.body);
    assert_eq!(desk.export(&json!({"format": "csv"})).await.status, 200);
}

#[actix_web::test]
async fn columns_and_expressions_are_bounded() {
    let desk = Desk::new(5).await;
    let columns = |count: usize, expression: &str| -> Value {
        (0..count).map(|number| json!({"name": expression, "export_as": format!("c{number}")})).collect()
    };
    for (fields, status) in [
        (columns(1000, "user.email"), 200),
        (columns(1001, "user.email"), 400),
        (json!([{"name": format!("user.{}", "a".repeat(70_000))}]), 400),
        (json!([{"name": format!("{}1{}", "(".repeat(3000), ")".repeat(3000))}]), 400),
    ] {
        let reply = desk.export(&json!({"format": "csv", "fields": fields})).await;
        assert_eq!(reply.status, status, "{:.300}", reply.body);
    }
}

#[actix_web::test]
async fn what_is_computed_is_bounded_with_calls_inside_of_calls() {
    const MANY: &str = "More than 100 values are computed by transforms or JavaScript, nested calls included.";
    let desk = Desk::new(5).await;
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
        let previewed = desk.call(TestRequest::post().uri("/ext/api/preview").set_json(&request)).await;
        if accepted {
            assert_eq!(previewed.status, 200, "{:.300}", previewed.body);
            continue;
        }
        for reply in [previewed, desk.export(&request).await] {
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
        let inspected = desk.form("/api/import/inspect", &parts).await;
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
        for reply in [inspected, desk.form("/api/jobs/import", &dry_run).await] {
            assert_eq!((reply.status, &reply.json()["message"]), (400, &json!(MANY)), "{:.300}", reply.body);
            assert_eq!(reply.json()["errorCode"], "invalid_mapping");
            assert!(reply.json()["hint"].as_str().is_some_and(|hint| hint.starts_with("Use paths")), "{}", reply.body);
        }
    }
    assert_eq!(desk.get("/api/history").await.json()["jobs"], json!([]));
}

#[actix_web::test]
async fn whoever_looks_into_much_or_uploads_much_at_once_is_told_to_wait() {
    let desk = Desk::new(5).await;
    let bob = super::session_of("auth0|bob", None);
    let inspection = || Desk::form_of("/api/import/inspect", &[("users", Some("a.csv"), "email\na@example.com\n")]);
    let upload = || TestRequest::post().uri("/ext/api/transforms").set_payload("no transform");
    // What each of them answers where it is let in.
    let requests: [(&dyn Fn() -> TestRequest, u16); 2] = [(&inspection, 200), (&upload, 400)];
    for (request, let_in) in requests {
        let of = |session: &str| request().insert_header(("authorization", format!("Bearer {session}")));
        let underway = (0..5).map(|_| Box::pin(desk.server.call_without_body(of(&desk.session))));
        // Four wait for their bodies; the first answer there is goes to one too many.
        let (refused, _, waiting) = select_all(underway).await;
        assert_eq!((refused.status, &refused.json()["errorCode"]), (429, &json!("too_many_requests")));
        assert!(refused.json()["message"].as_str().is_some_and(|text| text.contains(" 4 ")), "{}", refused.body);
        assert_eq!(refused.header("retry-after"), "5");
        assert_eq!(desk.server.call(of(&bob)).await.status, let_in, "somebody else is not concerned");
        drop(waiting);
        assert_eq!(desk.server.call(of(&desk.session)).await.status, let_in, "the places have come back");
    }
}

#[actix_web::test]
async fn looks_into_files_and_previews_share_their_places() {
    let desk = Desk::new(5).await;
    desk.tenant.control().add(Fault::new("/api/v2/users", FaultKind::Delay { millis: 60_000 }));
    let preview = || desk.call(TestRequest::post().uri("/ext/api/preview").set_json(json!({"format": "csv"})));
    let (refused, _, waiting) = select_all((0..5).map(|_| Box::pin(preview()))).await;
    assert_eq!(refused.status, 429);
    let parts = [("users", Some("a.csv"), "email\na@example.com\n")];
    assert_eq!(desk.form("/api/import/inspect", &parts).await.status, 429);
    drop(waiting);
    assert_eq!(desk.form("/api/import/inspect", &parts).await.status, 200);
}

#[actix_web::test]
async fn a_body_that_is_too_large_or_too_deep_is_refused() {
    let desk = Desk::new(5).await;
    let send = |body: String| {
        let request =
            TestRequest::post().uri("/ext/api/jobs/export").insert_header(("content-type", "application/json"));
        desk.call(request.set_payload(body))
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let reply = send(deep.clone()).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (400, &json!("invalid_body")), "{:.300}", reply.body);
    let reply = send(format!("{{\"format\":\"csv\",\"query\":\"{}\"}}", "a".repeat(2 << 20))).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (413, &json!("payload_too_large")), "{:.300}", reply.body);
    let settings = format!("{{\"type\":\"import\",\"deep\":{deep}}}");
    let preset = TestRequest::put().uri("/ext/api/presets/deep").insert_header(("content-type", "application/json"));
    assert_eq!(desk.call(preset.set_payload(settings)).await.status, 413, "a preset has at most 64 KiB");
    let deep = deep.replace(&"[".repeat(90_000), "").replace(&"]".repeat(90_000), "");
    let settings = format!("{{\"type\":\"import\",\"deep\":{deep}}}");
    let preset = TestRequest::put().uri("/ext/api/presets/deep").insert_header(("content-type", "application/json"));
    assert_eq!(desk.call(preset.set_payload(settings)).await.status, 400);
    let parts = [("connection_id", None, "con_0000000000000000"), ("map", None, deep.as_str())];
    assert_eq!(desk.form("/api/jobs/import", &parts).await.status, 400);
}
