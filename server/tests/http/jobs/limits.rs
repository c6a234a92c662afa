//! What one person may ask for: everything beyond is refused with the reason, and others are not
//! disturbed.

use actix_web::test::TestRequest;
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
    assert_eq!(desk.call(preset.set_payload(settings)).await.status, 400);
    let parts = [("connection_id", None, "con_0000000000000000"), ("map", None, deep.as_str())];
    assert_eq!(desk.form("/api/jobs/import", &parts).await.status, 400);
}
