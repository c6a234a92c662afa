use std::time::Duration;

use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use crate::support::{Api, client_credentials};

#[tokio::test]
async fn answers_can_be_429_403_500_and_503() {
    let api = Api::start().await;
    let limit = FaultKind::RateLimit { reset_after: 7, retry_after: true };
    api.control.add(Fault::new("/connections", limit).once());
    let response = api.request(reqwest::Method::GET, "/connections").send().await.unwrap();
    assert_eq!(response.status(), 429);
    let header = |name: &str| response.headers()[name].to_str().unwrap().parse::<i64>().unwrap();
    assert_eq!((header("x-ratelimit-remaining"), header("retry-after")), (0, 7));
    let wait = header("x-ratelimit-reset") - api.control.now() / 1000;
    assert!((6..=7).contains(&wait), "{wait}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["errorCode"], "too_many_requests");
    assert!(body["message"].as_str().unwrap().starts_with("Too many requests."));
    for (kind, status) in [(FaultKind::Forbidden, 403), (FaultKind::ServerError, 500), (FaultKind::Unavailable, 503)] {
        api.control.add(Fault::new("/connections", kind).method("GET").times(2));
        for expected in [status, status, 200] {
            let response = api.request(reqwest::Method::GET, "/connections").send().await.unwrap();
            assert_eq!(response.status(), expected);
        }
    }
}

#[tokio::test]
async fn the_429_of_active_imports_has_no_reset() {
    let api = Api::start().await;
    api.control.add(Fault::new("/jobs/users-imports", FaultKind::ActiveImports).once());
    let connection = api.tenant.database_connection_id();
    let (status, body) = api.import(&connection, &json!([]), false).await;
    assert_eq!(status, 429);
    assert!(body["message"].as_str().unwrap().contains("active import users jobs"));
    assert_eq!(api.import(&connection, &json!([]), false).await.0, 202);
}

#[tokio::test]
async fn a_response_can_be_delayed() {
    let api = Api::start().await;
    api.control.add(Fault::new("/connections", FaultKind::Delay { millis: 600_000 }).once());
    let slow = api.request(reqwest::Method::GET, "/connections").timeout(Duration::from_millis(200)).send().await;
    assert!(slow.unwrap_err().is_timeout());
    assert_eq!(api.get("/connections").await.0, 200);
}

#[tokio::test]
async fn a_connection_dropped_before_the_request_has_no_effect_and_after_it_has() {
    let api = Api::start().await;
    for (kind, jobs) in [(FaultKind::DropBefore, 0), (FaultKind::DropAfter, 1)] {
        api.control.add(Fault::new("/jobs/users-exports", kind).once());
        let request = api.request(reqwest::Method::POST, "/jobs/users-exports").json(&json!({"format": "json"}));
        let error = request.send().await.unwrap_err();
        assert!(!error.is_status(), "{error}");
        assert_eq!(api.control.jobs().len(), jobs);
        let last = api.control.requests().pop().unwrap();
        assert_eq!((last.path.as_str(), last.status), ("/api/v2/jobs/users-exports", 0));
    }
}

#[tokio::test]
async fn a_download_can_be_truncated_or_have_an_expired_link() {
    let api = Api::start().await;
    let (_, job) = api.export(&json!({"format": "json", "fields": [{"name": "user_metadata"}]})).await;
    api.control.advance(Duration::from_mins(1));
    let job = api.read(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
    let link = job["location"].as_str().unwrap();
    api.control.add(Fault::new("/exports/", FaultKind::Truncate { bytes: 1000 }).once());
    let mut response = api.http.get(link).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut received = 0;
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => panic!("the download ended as if it were complete"),
            Err(error) => break error,
        }
    };
    assert!(received <= 1000 && !error.is_timeout(), "{received} {error}");
    api.control.add(Fault::new("/exports/", FaultKind::ExpiredLink).once());
    assert_eq!(api.http.get(link).send().await.unwrap().status(), 403);
    assert_eq!(api.http.get(link).send().await.unwrap().status(), 200);
}

/// The link to the file of a small export.
async fn link(api: &Api) -> String {
    let (_, job) = api.export(&json!({"format": "json", "fields": [{"name": "user_metadata"}]})).await;
    api.control.advance(Duration::from_mins(1));
    let job = api.read(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
    job["location"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_download_can_stall_be_slow_or_end_early() {
    let api = Api::start().await;
    let link = link(&api).await;
    let whole = api.http.get(&link).send().await.unwrap().bytes().await.unwrap();
    api.control.add(Fault::new("/exports/", FaultKind::Shorten { bytes: 1000 }).once());
    let response = api.http.get(&link).send().await.unwrap();
    assert_eq!(response.content_length(), None);
    assert_eq!(response.bytes().await.unwrap(), whole[..1000]);

    api.control.add(Fault::new("/exports/", FaultKind::Stall { bytes: 1000 }).once());
    let mut response = api.http.get(&link).timeout(Duration::from_millis(300)).send().await.unwrap();
    let mut received = 0;
    let error = loop {
        match response.chunk().await {
            Ok(chunk) => received += chunk.expect("no end").len(),
            Err(error) => break error,
        }
    };
    assert!(error.is_timeout() && received <= 1000, "{error} {received}");

    api.control.add(Fault::new("/exports/", FaultKind::SlowBody { millis: 600_000 }).once());
    let slow = api.http.get(&link).timeout(Duration::from_millis(300)).send().await.unwrap().bytes().await;
    assert!(slow.unwrap_err().is_timeout());
    api.control.add(Fault::new("/exports/", FaultKind::SlowBody { millis: 1 }).once());
    assert_eq!(api.http.get(&link).send().await.unwrap().bytes().await.unwrap(), whole);
}

#[tokio::test]
async fn a_range_can_be_ignored() {
    let api = Api::start().await;
    let link = link(&api).await;
    api.control.add(Fault::new("/exports/", FaultKind::IgnoreRange).once());
    let response = api.http.get(&link).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("etag")), (200, None));
    let response = api.http.get(&link).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(response.status(), 206);
}

#[tokio::test]
async fn a_search_can_be_too_slow() {
    let api = Api::start().await;
    api.control.add(Fault::new("/users", FaultKind::SlowQuery).once());
    let (status, body) = api.get("/users").await;
    assert!(status == 503 && body["message"].as_str().unwrap().contains("exceeded the timeout"), "{status} {body}");
    assert_eq!(api.get("/users").await.0, 200);
}

#[tokio::test]
async fn a_job_can_have_any_status_and_be_removed() {
    let api = Api::start().await;
    let (_, job) = api.export(&json!({"format": "json"})).await;
    api.control.advance(Duration::from_mins(1));
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    api.control.add(Fault::new("/jobs/", FaultKind::JobStatus { status: "paused".into() }).once());
    let shown = api.get(&path).await.1;
    assert!(shown["status"] == "paused" && shown.get("location").is_none(), "{shown}");
    assert_eq!(api.read(&path).await["status"], "completed");
    api.control.add(Fault::new("/jobs/", FaultKind::ForgetJob).once());
    assert_eq!((api.get(&path).await.0, api.get(&path).await.0), (404, 404));
}

#[tokio::test]
async fn a_job_can_fail() {
    let api = Api::start().await;
    api.control.add(Fault::new("/jobs/users-exports", FaultKind::FailJob).once());
    let (_, job) = api.export(&json!({"format": "json"})).await;
    api.control.advance(Duration::from_mins(1));
    let id = job["id"].as_str().unwrap();
    let job = api.read(&format!("/jobs/{id}")).await;
    assert_eq!(job["status"], "failed");
    assert!(job["status_details"].is_string() && job.get("location").is_none());
    assert_eq!(api.read(&format!("/jobs/{id}/errors")).await["status"], "failed");
}

#[tokio::test]
async fn a_job_that_hangs_times_out_after_two_hours_for_an_import_and_eight_for_an_export() {
    let api = Api::start().await;
    api.control.add(Fault::new("/jobs/users-", FaultKind::HangJob).times(2));
    let (_, import) = api.import(&api.tenant.database_connection_id(), &json!([]), false).await;
    let (_, export) = api.export(&json!({"format": "json"})).await;
    let status =
        async |job: &Value| api.read(&format!("/jobs/{}", job["id"].as_str().unwrap())).await["status"].clone();
    api.control.advance(Duration::from_hours(1));
    assert_eq!((status(&import).await, status(&export).await), (json!("processing"), json!("processing")));
    api.control.advance(Duration::from_hours(1));
    assert_eq!((status(&import).await, status(&export).await), (json!("failed"), json!("processing")));
    api.control.advance(Duration::from_hours(6));
    assert_eq!(status(&export).await, "failed");
}

#[tokio::test]
async fn tokens_can_expire() {
    let api = Api::start().await;
    api.control.add(Fault::new("/users", FaultKind::ExpireTokens).after(1).once());
    assert_eq!(api.get("/users").await.0, 200);
    let (status, body) = api.get("/users").await;
    assert_eq!((status, body["message"].as_str()), (401, Some("Expired token received for JSON Web Token validation")));
    let fresh = client_credentials(&api.http, &api.tenant).await;
    let again = api.http.get(api.url("/users")).bearer_auth(fresh).send().await.unwrap();
    assert_eq!(again.status(), 200);
}
