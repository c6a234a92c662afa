//! Tests of the client against a tenant that fails in every documented way.

mod openapi_conformance;
mod scripted_tenant;
mod signing_keys;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Connection, ExportField, ExportJobRequest, ImportJobRequest, JobErrors, JobFormat, JobStatus, ManagementClient,
    PartialDownload, Timeouts, UserSearch, is_import_limit, may_have_happened,
};
use scripted_tenant::{RecordedRequest, Reply, Tenant, json_reply, quick, rate_limited};
use uie_core::config::{ClientCredentials, TenantHost};
use uie_core::error::{Code, Error};
use uie_core::language::Language;
use uie_core::message::{Localize as _, Message};
use uie_core::progress::Progress;

const JOB: &str = "job_0123456789abcdef";

fn job(status: &str) -> Value {
    json!({"id": JOB, "type": "users_import", "status": status, "connection": "Users"})
}

fn refusal(status: u16, message: &str, code: &str) -> Reply {
    json_reply(status, &json!({"statusCode": status, "error": "Reason", "message": message, "errorCode": code}))
}

fn import() -> ImportJobRequest {
    ImportJobRequest {
        connection_id: "con_0123456789abcdef".into(),
        users: r#"[{"email":"ada@example.com"}]"#.into(),
        upsert: true,
        external_id: Some("chunk 1".into()),
        send_completion_email: false,
    }
}

/// Waits until a job reports why it waits.
async fn wait_for_details(progress: &Progress) -> String {
    loop {
        if let Some(details) = progress.details() {
            return details.to_string();
        }
        tokio::task::yield_now().await;
    }
}

/// Returns what a job reports while a reply makes it wait. Then cancels the job, which must stop at once.
async fn progress_while_waiting(reply: fn() -> Reply) -> String {
    let tenant = Tenant::start(move |_| Some(reply())).await;
    let progress = Arc::new(Progress::default());
    let client = tenant.admin().for_job(progress.clone());
    let waiting = tokio::spawn(async move { client.job(JOB).await });
    let details = wait_for_details(&progress).await;
    progress.cancel();
    let error = waiting.await.expect("no panic").expect_err("canceled");
    assert_eq!(error.code, Code::Canceled);
    assert_eq!(progress.details(), None, "the job does not wait any more");
    assert_eq!(tenant.requests().len(), 1);
    details
}

#[tokio::test]
async fn the_client_waits_for_a_rate_limit_as_long_as_auth0_asks() {
    let details = progress_while_waiting(|| rate_limited("retry-after", 120)).await;
    assert_eq!(details, "Auth0 asks to wait 120 s (rate limit)");
}

#[tokio::test]
async fn the_client_waits_for_a_rate_limit_with_a_date() {
    // The date is in the past, but it is compared with the `Date` of the response.
    let details = progress_while_waiting(|| {
        let headers = vec![
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
            ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT".to_owned()),
        ];
        Reply::Answer(429, headers, Vec::new())
    })
    .await;
    assert_eq!(details, "Auth0 asks to wait 90 s (rate limit)");
}

#[tokio::test]
async fn the_client_waits_for_a_rate_limit_with_a_reset_time() {
    let details = progress_while_waiting(|| {
        let headers = vec![
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
            ("x-ratelimit-reset", (784_111_777 + 40).to_string()),
        ];
        Reply::Answer(429, headers, Vec::new())
    })
    .await;
    assert_eq!(details, "Auth0 asks to wait 40 s (rate limit)");
}

#[tokio::test]
async fn the_client_waits_for_the_end_of_maintenance() {
    let details = progress_while_waiting(|| {
        Reply::Answer(503, vec![("retry-after", "30".into())], b"<html>down</html>".to_vec())
    })
    .await;
    assert_eq!(details, "Auth0 answers 503 Service Unavailable; trying again in 30 s");
}

#[tokio::test]
async fn a_request_succeeds_after_rate_limits() {
    let tenant = Tenant::start(|request| match request.attempt {
        1 => Some(rate_limited("retry-after", 0)),
        2 => Some(rate_limited("x-ratelimit-reset", Timestamp::now().as_second())),
        3 => Some(rate_limited("x-other", 0)),
        _ => Some(json_reply(200, &job("completed"))),
    })
    .await;
    let progress = Arc::new(Progress::default());
    let job = tenant.admin().for_job(progress.clone()).job(JOB).await.expect("the fourth attempt succeeds");
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(tenant.requests().len(), 4);
    assert_eq!(progress.details(), None);
}

#[tokio::test]
async fn an_interactive_request_fails_at_once_when_the_wait_would_be_long() {
    let tenant = Tenant::start(|_| Some(rate_limited("retry-after", 12))).await;
    let error = tenant.admin().job(JOB).await.expect_err("12 s exceed the retry timeout of an interactive request");
    assert_eq!((error.code, error.status()), (Code::Auth0Refused, 429));
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("12 s")), "{error}");
    assert_eq!(tenant.requests().len(), 1);
}

#[tokio::test]
async fn the_limit_of_two_import_jobs_is_not_a_rate_limit() {
    let tenant = Tenant::start(|_| {
        Some(json_reply(
            429,
            &json!({"statusCode": 429, "error": "Too Many Requests", "message":
            "There are 2 active import users jobs, please wait until some of them are finished and try again"}),
        ))
    })
    .await;
    let client = tenant.admin().for_job(Arc::default());
    let error = client.create_import_job(&import()).await.expect_err("two jobs are running");
    assert!(is_import_limit(&error) && !may_have_happened(&error), "{error}");
    assert_eq!(tenant.requests().len(), 1, "the caller knows when a job ends");

    let tenant = Tenant::start(|_| Some(rate_limited("retry-after", 60))).await;
    let error = tenant.admin().create_import_job(&import()).await.expect_err("limited");
    assert!(!is_import_limit(&error) && !may_have_happened(&error), "{error}");
}

#[tokio::test]
async fn a_job_is_created_once_after_a_rate_limit() {
    let tenant = Tenant::start(|request| match request.attempt {
        1 => Some(rate_limited("retry-after", 0)),
        _ => Some(json_reply(202, &job("pending"))),
    })
    .await;
    let created = tenant.admin().create_import_job(&import()).await.expect("the second try");
    assert_eq!((created.id.as_str(), created.status), (JOB, JobStatus::Pending));
    assert_eq!(tenant.requests().len(), 2);
}

#[tokio::test]
async fn an_import_is_sent_in_the_documented_format() {
    let tenant = Tenant::start(|_| Some(json_reply(202, &job("pending")))).await;
    tenant.client().create_import_job(&import()).await.expect("accepted");
    let request = tenant.requests().remove(0);
    assert_eq!(request.line, "POST /api/v2/jobs/users-imports");
    assert!(request.headers["content-type"].starts_with("multipart/form-data; boundary="));
    let places: Vec<_> = [
        "name=\"connection_id\"\r\n\r\ncon_0123456789abcdef\r\n",
        "name=\"upsert\"\r\n\r\ntrue\r\n",
        "name=\"external_id\"\r\n\r\nchunk 1\r\n",
        "name=\"send_completion_email\"\r\n\r\nfalse\r\n",
        "name=\"users\"; filename=\"users.json\"\r\nContent-Type: application/json\r\n\r\n[{\"email\":\"ada@example.com\"}]\r\n",
    ]
    .iter()
    .map(|part| request.body.find(part).unwrap_or_else(|| panic!("{part} is missing in {}", request.body)))
    .collect();
    assert!(places.is_sorted(), "{}", request.body);
}

#[tokio::test]
async fn an_export_request_contains_format_and_fields() {
    let tenant = Tenant::start(|_| Some(json_reply(200, &job("pending")))).await;
    let request = ExportJobRequest {
        connection_id: None,
        format: JobFormat::Json,
        limit: None,
        fields: vec![ExportField { name: "app_metadata".into(), export_as: None }],
    };
    tenant.client().create_export_job(&request).await.expect("accepted");
    let request = tenant.requests().remove(0);
    assert_eq!(request.line, "POST /api/v2/jobs/users-exports");
    let body: Value = serde_json::from_str(&request.body).expect("JSON");
    assert_eq!(body, json!({"format": "json", "fields": [{"name": "app_metadata"}]}));
}

#[tokio::test]
async fn a_job_whose_response_was_lost_is_not_created_again() {
    let replies: [fn() -> Reply; 5] = [
        || Reply::CloseConnection,
        || Reply::NoResponse,
        || Reply::Truncated(b"{\"id\":".to_vec()),
        || Reply::Answer(202, Vec::new(), b"<html>".to_vec()),
        || json_reply(202, &json!({"unexpected": true})),
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        let tenant = Tenant::start(move |_| Some(reply())).await;
        let client = tenant
            .admin()
            .for_job(Arc::default())
            .with_timeouts(Timeouts { request: Duration::from_millis(200), ..Timeouts::default() });
        let error = client.create_import_job(&import()).await.expect_err("lost");
        assert_eq!(error.code, Code::Auth0AnswerLost, "case {number}: {error}");
        assert!(may_have_happened(&error), "case {number}");
        assert_eq!(tenant.requests().len(), 1, "case {number}");
    }
}

#[tokio::test]
async fn a_job_is_not_created_again_after_a_server_error() {
    for status in [408, 500, 502, 503] {
        let tenant = Tenant::start(move |_| Some(refusal(status, "Internal error.", "internal"))).await;
        let error = tenant.admin().for_job(Arc::default()).create_import_job(&import()).await.expect_err("refused");
        assert!(may_have_happened(&error), "{error}");
        assert_eq!((error.status(), tenant.requests().len()), (status, 1));
    }
    for status in [400, 403, 413] {
        let tenant = Tenant::start(move |_| Some(refusal(status, "No.", "no"))).await;
        let error = tenant.admin().for_job(Arc::default()).create_import_job(&import()).await.expect_err("refused");
        assert!(!may_have_happened(&error), "{error}");
    }
}

/// Returns a host without a listener.
async fn unreachable_host() -> TenantHost {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    TenantHost::parse(&format!("http://{}", listener.local_addr().expect("an address"))).expect("a loopback host")
}

#[tokio::test]
async fn a_job_that_was_not_sent_is_sent_again() {
    let host = unreachable_host().await;
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    let client = quick(&ManagementClient::with_token(&host, SecretString::from("t"), end).expect("a client"))
        .with_retry_timeout(Duration::from_millis(500));
    let error = client.create_import_job(&import()).await.expect_err("unreachable");
    assert_eq!(error.code, Code::Auth0Unreachable);
    assert!(!may_have_happened(&error));
    assert!(error.message.contains("connection refused (tried "), "{error}");
    assert!(error.message.contains(host.host()), "{error}");
}

#[tokio::test]
async fn a_job_reports_that_the_tenant_is_unreachable() {
    let host = unreachable_host().await;
    let credentials = ClientCredentials { id: "id".into(), secret: SecretString::from("secret") };
    let progress = Arc::new(Progress::default());
    let client =
        ManagementClient::with_client_credentials(&host, &credentials).expect("a client").for_job(progress.clone());
    let waiting = tokio::spawn(async move { client.job(JOB).await });
    assert_eq!(wait_for_details(&progress).await, "Auth0 does not answer; trying again in 1 s: connection refused");
    progress.cancel();
    assert_eq!(waiting.await.expect("no panic").expect_err("canceled").code, Code::Canceled);
    assert_eq!(progress.details(), None);
}

#[tokio::test]
async fn a_job_fails_with_the_last_error_after_the_retry_timeout() {
    let tenant = Tenant::start(|_| Some(refusal(503, "Under maintenance.", "down"))).await;
    let progress = Arc::new(Progress::default());
    let client = tenant.admin().for_job(progress.clone()).with_retry_timeout(Duration::from_millis(500));
    let error = client.job(JOB).await.expect_err("it stays down");
    assert_eq!((error.code, error.status()), (Code::Auth0Refused, 503));
    assert_eq!(error.message, "Under maintenance.");
    assert!(tenant.requests().len() > 1);
    assert_eq!(progress.details(), None);
}

#[tokio::test]
async fn a_slow_search_is_retried_only_twice() {
    let tenant = Tenant::start(|_| {
        Some(refusal(503, "The query exceeded the timeout. Please try refining your search criteria.", "slow"))
    })
    .await;
    let error = tenant.admin().for_job(Arc::default()).users(&UserSearch::default()).await.expect_err("too slow");
    assert_eq!(error.status(), 503);
    assert_eq!(tenant.requests().len(), 3);
}

#[tokio::test]
async fn read_requests_are_retried_after_temporary_failures() {
    let tenant = Tenant::start(|request| match request.attempt {
        1 => Some(Reply::CloseConnection),
        2 => Some(Reply::Truncated(b"{\"id\":".to_vec())),
        3 => Some(refusal(500, "Internal error.", "internal")),
        4 => Some(Reply::Answer(502, Vec::new(), b"<html>".to_vec())),
        5 => Some(refusal(408, "Timeout.", "timeout")),
        6 => Some(Reply::NoResponse),
        _ => Some(json_reply(200, &job("processing"))),
    })
    .await;
    let client = tenant.admin().with_timeouts(Timeouts { request: Duration::from_millis(200), ..Timeouts::default() });
    assert_eq!(client.job(JOB).await.expect("the seventh attempt").status, JobStatus::Processing);
    assert_eq!(tenant.requests().len(), 7);
}

#[tokio::test]
async fn auth0s_errors_are_passed_on() {
    let tenant = Tenant::start(|_| Some(refusal(400, "Connection must be enabled.", "connection_is_disabled"))).await;
    let error = tenant.client().job(JOB).await.expect_err("refused");
    let body = error.body();
    assert_eq!((body.status_code, body.error.as_str()), (400, "Reason"));
    assert_eq!(
        (body.message.to_string().as_str(), body.error_code.as_str()),
        ("Connection must be enabled.", "connection_is_disabled")
    );
    assert_eq!(tenant.requests().len(), 1, "a refused request is not retried");
}

#[tokio::test]
async fn an_error_response_that_is_not_json_keeps_its_status() {
    let html =
        Tenant::start(|_| Some(Reply::Answer(414, Vec::new(), b"<html>Request-URI Too Large</html>".to_vec()))).await;
    let error = html.client().job(JOB).await.expect_err("refused");
    assert_eq!((error.code, error.status()), (Code::Auth0Refused, 414));
    assert!(error.message.contains("414") && !error.message.contains("<html>"), "{error}");

    let text = Tenant::start(|_| {
        Some(Reply::Answer(407, vec![("content-type", "text/plain".into())], b"Ask the proxy first\n".to_vec()))
    })
    .await;
    assert_eq!(text.client().job(JOB).await.expect_err("refused").message, "Ask the proxy first");
}

#[tokio::test]
async fn an_undocumented_response_is_reported_without_quoting_it() {
    for body in ["<html>ada@example.com", r#"{"id": "ada@example.com"}"#, r#"["ada@example.com"]"#, ""] {
        let tenant = Tenant::start(move |_| Some(Reply::Answer(200, Vec::new(), body.into()))).await;
        let error = tenant.client().job(JOB).await.expect_err(body);
        assert_eq!(error.code, Code::Auth0Answer, "{body}");
        assert!(error.message.contains("GET /jobs/{id}") && !error.message.contains("ada@"), "{error}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Tenant::start(|_| Some(json_reply(200, &job("completed")))).await;
    let target = other.host.url("/other");
    let tenant = Tenant::start(move |_| Some(Reply::Answer(302, vec![("location", target.clone())], Vec::new()))).await;
    let error = tenant.admin().job(JOB).await.expect_err("a redirect");
    assert_eq!(error.code, Code::Auth0Answer);
    assert!(other.requests().is_empty(), "the token must not be sent to another host");
}

#[tokio::test]
async fn a_token_is_fetched_once_and_shared() {
    let tenant = Tenant::start(|_| Some(json_reply(200, &job("pending")))).await;
    let client = tenant.client();
    let clones: Vec<_> = (0..20).map(|_| client.clone()).collect();
    futures_util::future::try_join_all(clones.iter().map(|client| client.job(JOB))).await.expect("all succeed");
    client.for_job(Arc::default()).job(JOB).await.expect("a job's client shares it too");
    assert_eq!(tenant.tokens(), 1);
    for request in tenant.requests() {
        assert_eq!(request.headers["authorization"], "Bearer token-1");
        assert_eq!(request.headers["user-agent"], concat!("user-import-export/", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn the_token_request_names_the_audience_of_the_management_api() {
    let body = Arc::new(std::sync::Mutex::new(Value::Null));
    let tenant = Tenant::with_tokens({
        let body = body.clone();
        move |request| {
            if request.line == "POST /oauth/token" {
                *body.lock().expect("lock") = serde_json::from_str(&request.body).expect("JSON");
                return None;
            }
            Some(json_reply(200, &job("pending")))
        }
    })
    .await;
    tenant.client().job(JOB).await.expect("an answer");
    let expected = json!({"grant_type": "client_credentials", "client_id": "the-client", "client_secret": "the-secret",
        "audience": format!("{}/api/v2/", tenant.host.origin())});
    assert_eq!(*body.lock().expect("lock"), expected);
}

#[tokio::test]
async fn a_token_is_renewed_shortly_before_it_expires() {
    let tenant = Tenant::with_tokens(|request| match request.line.as_str() {
        "POST /oauth/token" => {
            Some(json_reply(200, &json!({"access_token": format!("token-{}", request.attempt), "expires_in": 0})))
        }
        _ => Some(json_reply(200, &job("pending"))),
    })
    .await;
    let client = tenant.client();
    for number in 1..=3 {
        client.job(JOB).await.expect("an answer");
        let request = tenant.requests().pop().expect("a request");
        assert_eq!(request.headers["authorization"], format!("Bearer token-{number}"));
    }
}

#[tokio::test]
async fn a_token_with_the_maximum_lifetime_is_cached() {
    let tenant = Tenant::with_tokens(|request| match request.line.as_str() {
        "POST /oauth/token" => Some(json_reply(200, &json!({"access_token": "token", "expires_in": u64::MAX}))),
        _ => Some(json_reply(200, &job("pending"))),
    })
    .await;
    let client = tenant.client();
    client.job(JOB).await.expect("an answer");
    client.job(JOB).await.expect("an answer");
    assert_eq!(tenant.tokens(), 1);
}

fn unauthorized(message: &str) -> Reply {
    json_reply(
        401,
        &json!({"statusCode": 401, "error": "Unauthorized", "message": message, "attributes": {"error": message}}),
    )
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_request_is_retried() {
    let expired = |request: &RecordedRequest| match request.headers.get("authorization").map(String::as_str) {
        Some("Bearer token-1") => Some(unauthorized("Expired token received for JSON Web Token validation")),
        _ => Some(json_reply(200, &job("pending"))),
    };
    let tenant = Tenant::start(expired).await;
    tenant.client().create_import_job(&import()).await.expect("the second token is accepted");
    assert_eq!((tenant.tokens(), tenant.requests().len()), (2, 2));

    let tenant = Tenant::start(expired).await;
    let client = tenant.client();
    futures_util::future::try_join_all((0..10).map(|_| client.job(JOB))).await.expect("all succeed");
    assert_eq!(tenant.tokens(), 2, "many refusals of one token fetch one new token");
}

#[tokio::test]
async fn a_request_fails_when_a_new_token_is_refused_too() {
    let tenant = Tenant::start(|_| Some(unauthorized("Invalid token"))).await;
    let error = tenant.client().for_job(Arc::default()).job(JOB).await.expect_err("refused");
    assert_eq!(error.code, Code::Auth0Credentials);
    assert_eq!(error.status(), 502, "a session must not end because of the server's own credentials");
    assert!(error.message.contains("Invalid token"), "{error}");
    assert_eq!((tenant.tokens(), tenant.requests().len()), (2, 2));
}

#[tokio::test]
async fn invalid_client_credentials_are_reported_without_the_secret() {
    for status in [401, 403] {
        let tenant = Tenant::with_tokens(move |_| {
            Some(json_reply(status, &json!({"error": "access_denied", "error_description": "Unauthorized"})))
        })
        .await;
        let error = tenant.client().for_job(Arc::default()).job(JOB).await.expect_err("refused");
        assert_eq!(error.code, Code::Auth0Credentials);
        for part in ["the-client", "Unauthorized", "access_denied"] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(!error.to_string().contains("the-secret"), "{error}");
        assert_eq!((tenant.tokens(), tenant.requests().len()), (1, 0));
    }
}

#[tokio::test]
async fn an_unavailable_token_endpoint_is_not_an_answer_about_the_job() {
    let tenant = Tenant::with_tokens(|request| match request.attempt {
        1 => Some(rate_limited("retry-after", 0)),
        _ => Some(refusal(503, "Under maintenance.", "down")),
    })
    .await;
    let client = tenant.client().with_retry_timeout(Duration::from_millis(500));
    let error = client.create_import_job(&import()).await.expect_err("no token");
    assert_eq!(error.code, Code::Auth0Unreachable);
    assert!(!may_have_happened(&error) && error.message.contains("Under maintenance."), "{error}");
    assert!(tenant.tokens() > 1 && tenant.requests().is_empty());
}

#[tokio::test]
async fn an_undocumented_token_response_is_not_quoted() {
    for body in [r#"{"token": "secret-token"}"#, r#"{"access_token": "secret\ntoken", "expires_in": 60}"#, "secret"] {
        let tenant = Tenant::with_tokens(move |_| Some(Reply::Answer(200, Vec::new(), body.into()))).await;
        let error = tenant.client().job(JOB).await.expect_err(body);
        assert_eq!(error.code, Code::Auth0Answer, "{body}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn an_admins_own_token_is_used_until_it_expires() {
    let tenant = Tenant::start(|request| match request.attempt {
        1 => Some(json_reply(200, &job("pending"))),
        _ => Some(unauthorized("Expired token received for JSON Web Token validation")),
    })
    .await;
    let client = tenant.admin();
    client.job(JOB).await.expect("still good");
    let error = client.for_job(Arc::default()).job(JOB).await.expect_err("ended");
    assert_eq!((error.code, error.status()), (Code::Auth0TokenEnded, 401));
    assert_eq!((tenant.tokens(), tenant.requests().len()), (0, 2));

    let past = Timestamp::now() - SignedDuration::from_secs(1);
    let client = ManagementClient::with_token(&tenant.host, SecretString::from("t"), past).expect("a client");
    assert_eq!(client.job(JOB).await.expect_err("ended").code, Code::Auth0TokenEnded);
    assert_eq!(tenant.requests().len(), 2, "a token that has ended is not sent");
}

#[tokio::test]
async fn debug_output_contains_no_secrets() {
    let tenant = Tenant::start(|_| Some(json_reply(200, &job("pending")))).await;
    let client = tenant.client();
    client.job(JOB).await.expect("an answer");
    let shown = format!("{client:?} {:?}", tenant.admin());
    for secret in ["the-secret", "the-token", "token-1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Starts a tenant with connections that responds like Auth0: at most `max_page` per page, page numbers for the first
/// 1000, checkpoints without a limit.
async fn tenant_with_connections(count: usize, max_page: usize, totals: bool) -> Tenant {
    Tenant::start(move |request| {
        if request.line != "GET /api/v2/connections" {
            return None;
        }
        let all: Vec<Value> = (0..count)
            .map(|n| json!({"id": format!("con_{n:016}"), "name": format!("connection-{n}"), "strategy": "auth0"}))
            .collect();
        let number = |name: &str| request.parameter(name).and_then(|text| text.parse::<usize>().ok());
        if let Some(take) = number("take") {
            let from = number("from").unwrap_or(0);
            let end = (from + take.min(max_page)).min(count);
            let mut body = json!({"connections": all[from..end]});
            if end < count {
                body["next"] = end.to_string().into();
            }
            return Some(json_reply(200, &body));
        }
        let (page, size) = (number("page")?, number("per_page")?.min(max_page));
        let (start, end) = ((page * size).min(count), ((page + 1) * size).min(count));
        if start >= 1000 {
            return Some(refusal(400, "You can only page through the first 1000 records.", "invalid_paging"));
        }
        let rows = &all[start..end];
        Some(json_reply(
            200,
            &if totals {
                json!({"start": start, "limit": size, "total": count.min(1000), "connections": rows})
            } else {
                json!(rows)
            },
        ))
    })
    .await
}

#[tokio::test]
async fn connections_are_read_from_all_pages() {
    for (count, max_page, totals, expected_requests) in [
        (0, 100, true, 1),
        (3, 100, true, 1),
        (100, 100, true, 1),
        (250, 100, true, 3),
        (120, 50, true, 3),
        (0, 100, false, 1),
        (250, 100, false, 3),
        (200, 100, false, 3),
        // Page numbers address the first 1000; more need checkpoints.
        (999, 100, true, 10),
        (1150, 100, true, 10 + 12),
        (1150, 100, false, 10 + 12),
    ] {
        let tenant = tenant_with_connections(count, max_page, totals).await;
        let found = tenant.client().connections(Some("auth0")).await.expect("connections");
        let names: std::collections::HashSet<_> = found.iter().map(|connection| &connection.name).collect();
        assert_eq!((found.len(), names.len()), (count, count), "{count} in pages of {max_page}");
        let requests = tenant.requests();
        assert_eq!(requests.len(), expected_requests, "{count} in pages of {max_page}, totals: {totals}");
        assert!(requests.iter().all(|request| request.parameter("strategy").as_deref() == Some("auth0")));
    }
}

#[tokio::test]
async fn a_repeated_checkpoint_ends_with_an_error() {
    let tenant = Tenant::start(|request| {
        if request.parameter("take").is_some() {
            return Some(json_reply(200, &json!({"connections": [], "next": "same"})));
        }
        let page = request.parameter("page").unwrap_or_default();
        let rows: Vec<_> = (0..100)
            .map(|n| json!({"id": format!("{page}-{n}"), "name": format!("{page}-{n}"), "strategy": "auth0"}))
            .collect();
        Some(json_reply(200, &json!({"total": 1000, "start": 0, "limit": 100, "connections": rows})))
    })
    .await;
    assert_eq!(tenant.client().connections(None).await.expect_err("a repeated checkpoint").code, Code::Auth0Answer);
}

#[tokio::test]
async fn connections_have_the_reason_why_they_are_unusable_and_no_options() {
    let tenant = Tenant::start(|request| {
        (request.line == "GET /api/v2/connections").then(|| {
            json_reply(200, &json!({"total": 5, "start": 0, "limit": 100, "connections": [
                {"id": "con_1", "name": "plain", "strategy": "auth0", "options": {"import_mode": false}, "realms": ["plain"]},
                {"id": "con_2", "name": "custom", "strategy": "auth0",
                 "options": {"enabledDatabaseCustomization": true, "customScripts": {"login": "password = 'hunter2'"}}},
                {"id": "con_3", "name": "migrating", "strategy": "auth0",
                 "options": {"enabledDatabaseCustomization": true, "import_mode": true}},
                {"id": "con_4", "name": "google", "strategy": "google-oauth2", "options": {"client_secret": "hunter2"}},
                {"id": "con_5", "name": "bare", "strategy": "auth0", "options": null},
            ]}))
        })
    })
    .await;
    let found = tenant.client().connections(None).await.expect("connections");
    let reason = |name: &str| {
        let connection = found.iter().find(|connection| connection.name == name).expect(name);
        connection.unusable.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    for usable in ["plain", "migrating", "bare"] {
        assert_eq!(reason(usable), "");
    }
    assert!(reason("custom").contains("Import Users to Auth0"));
    assert!(reason("google").contains("google-oauth2"));
    let mut german = found.clone();
    german.localize(Language::of_tag("de").expect("German"));
    let reasons: Vec<_> = german.iter().filter_map(|connection| connection.unusable.as_ref()).collect();
    assert!(reasons[0].contains("Schalten Sie") && reasons[1].contains("\"google-oauth2\". Wählen Sie"), "{reasons:?}");
    assert!(!format!("{found:?}").contains("hunter2"));
    assert_eq!(tenant.requests()[0].parameter("fields").as_deref(), Some("id,name,strategy,options"));
}

#[tokio::test]
async fn a_connection_is_found_by_id_or_name() {
    let tenant = Tenant::start(|request| {
        let row = json!({"id": "con_0123456789abcdef", "name": "Users", "strategy": "auth0"});
        match request.line.as_str() {
            "GET /api/v2/connections/con_0123456789abcdef" => Some(json_reply(200, &row)),
            "GET /api/v2/connections/con_fedcba9876543210" => {
                Some(refusal(404, "The connection does not exist", "inexistent_connection"))
            }
            "GET /api/v2/connections" => {
                let found = request.parameter("name").as_deref() == Some("Users");
                Some(json_reply(200, &json!(if found { vec![row] } else { vec![] })))
            }
            _ => None,
        }
    })
    .await;
    let client = tenant.client();
    for wanted in ["Users", "con_0123456789abcdef"] {
        assert_eq!(client.connection(wanted).await.expect(wanted).id, "con_0123456789abcdef");
    }
    for missing in ["users", "con_fedcba9876543210", "../jobs", ""] {
        let error = client.connection(missing).await.expect_err(missing);
        assert_eq!(error.code, Code::ConnectionNotFound, "{missing}");
        assert!(error.message.contains(&format!("{missing:?}")), "{error}");
    }
}

#[tokio::test]
async fn a_connection_without_applications_is_not_importable() {
    let tenant = Tenant::start(|request| match request.line.as_str() {
        "GET /api/v2/connections/con_used/clients" => Some(json_reply(200, &json!({"clients": [{"client_id": "x"}]}))),
        "GET /api/v2/connections/con_idle/clients" => Some(json_reply(200, &json!({"clients": []}))),
        "GET /api/v2/connections/con_hidden/clients" => {
            Some(refusal(403, "Insufficient scope, expected any of: read:connections", "insufficient_scope"))
        }
        _ => None,
    })
    .await;
    let client = tenant.client();
    let connection = |id: &str, unusable: Option<&str>| Connection {
        id: id.into(),
        name: "Users".into(),
        strategy: "auth0".into(),
        unusable: unusable.map(Message::verbatim),
    };
    for usable in ["con_used", "con_hidden", "con_of_an_old_tenant"] {
        assert_eq!(client.importable(&connection(usable, None)).await.expect(usable), None);
    }
    let reason = client.importable(&connection("con_idle", None)).await.expect("an answer").expect("a reason");
    assert!(reason.contains("Authentication > Database > Users > Applications"), "{reason}");
    let known = client.importable(&connection("con_idle", Some("known"))).await.expect("no request");
    assert_eq!(known.expect("a reason"), "known");
}

#[tokio::test]
async fn a_search_preserves_every_character_of_query_and_users() {
    let user = r#"{"user_id":"auth0|1","n":1.50,"big":12345678901234567890,"s":"\u00e9"}"#;
    let tenant = Tenant::start(move |request| {
        let body = format!(r#"{{"start":200,"limit":100,"length":1,"users":[{user}],"total":1000}}"#);
        (request.line == "GET /api/v2/users").then(|| Reply::Answer(200, Vec::new(), body.into_bytes()))
    })
    .await;
    let q = r#"email:"a+b&c=d%@example.com" AND name:Zoë* OR x:#?/"#;
    let search = UserSearch {
        q: q.into(),
        sort: Some(("created_at".into(), true)),
        page: 2,
        per_page: 500,
        fields: vec!["user_id".into(), "app_metadata".into()],
    };
    let page = tenant.client().users(&search).await.expect("a page");
    assert_eq!((page.start, page.length, page.total), (200, 1, 1000));
    assert_eq!(page.users[0].get(), user);
    let request = tenant.requests().remove(0);
    for (name, value) in [
        ("q", q),
        ("search_engine", "v3"),
        ("sort", "created_at:-1"),
        ("page", "2"),
        ("per_page", "100"),
        ("include_totals", "true"),
        ("fields", "user_id,app_metadata"),
        ("include_fields", "true"),
    ] {
        assert_eq!(request.parameter(name).as_deref(), Some(value), "{}", request.query);
    }
    assert!(!request.query.contains('+'), "a space is %20, because servers interpret `+` differently");

    let all = UserSearch { per_page: 100, ..UserSearch::default() };
    tenant.client().users(&all).await.expect("a page");
    assert_eq!(tenant.requests().remove(1).parameter("q"), None);
}

#[tokio::test]
async fn a_search_with_a_too_long_url_is_not_sent() {
    let tenant = Tenant::start(|_| None).await;
    let search = UserSearch { q: "ä".repeat(2000), per_page: 100, ..UserSearch::default() };
    let error = tenant.client().users(&search).await.expect_err("too long");
    assert_eq!(error.code, Code::InvalidSearch);
    assert_eq!((tenant.tokens(), tenant.requests().len()), (0, 0));
}

#[tokio::test]
async fn users_are_read_by_id_and_by_email_address() {
    let tenant = Tenant::start(|request| match request.line.as_str() {
        "GET /api/v2/users/auth0%7C1%2F2%3F" => Some(json_reply(200, &json!({"user_id": "auth0|1/2?"}))),
        "GET /api/v2/users-by-email" if request.parameter("email").as_deref() == Some("ada+1@example.com") => {
            Some(json_reply(200, &json!([{"user_id": "auth0|1"}])))
        }
        _ => Some(refusal(404, "The user does not exist.", "inexistent_user")),
    })
    .await;
    let client = tenant.client();
    assert_eq!(client.user("auth0|1/2?").await.expect("a user")["user_id"], "auth0|1/2?");
    assert_eq!(client.users_by_email("ada+1@example.com").await.expect("users").len(), 1);
    let error: Error = client.user("auth0|missing").await.expect_err("no such user");
    assert_eq!((error.code, error.status()), (Code::Auth0Refused, 404));
}

#[tokio::test]
async fn jobs_with_unknown_statuses_are_read() {
    let tenant = Tenant::start(|request| {
        let id = request.line.strip_prefix("GET /api/v2/jobs/")?;
        Some(json_reply(
            200,
            &json!({"id": id, "type": "users_export", "status": id, "percentage_done": 40,
            "summary": {"failed": 1, "total": 3}, "location": "https://x.example/y", "surprise": [1]}),
        ))
    })
    .await;
    let client = tenant.client();
    for (id, status) in [
        ("expired", JobStatus::Expired),
        ("failed", JobStatus::Failed),
        ("hibernating", JobStatus::Other("hibernating".into())),
    ] {
        let job = client.job(id).await.expect(id);
        assert_eq!(job.status, status);
        assert_eq!(job.percentage_done, Some(40.0));
        let summary = job.summary.expect("counts");
        assert_eq!((summary.failed, summary.inserted, summary.total), (1, 0, 3));
    }
}

#[tokio::test]
async fn the_errors_of_a_job_have_three_shapes() {
    let tenant = Tenant::start(|request| match request.line.as_str() {
        "GET /api/v2/jobs/clean/errors" => Some(Reply::Answer(204, Vec::new(), Vec::new())),
        "GET /api/v2/jobs/users/errors" => Some(json_reply(200, &json!([{"user": {"email": "ada@example.com", "password_hash": "*****"},
            "errors": [{"code": "DUPLICATED_USER", "message": "The user already exist and upsert parameter is false"}]}]))),
        "GET /api/v2/jobs/failed/errors" => Some(json_reply(200, &json!({"id": JOB, "type": "users_import", "status": "failed",
            "status_details": "Failed to parse users file"}))),
        _ => None,
    })
    .await;
    let client = tenant.client();
    assert!(matches!(client.job_errors("clean").await.expect("204"), JobErrors::None));
    match client.job_errors("users").await.expect("an array") {
        JobErrors::Users(users) => assert_eq!(users[0].errors[0]["code"], "DUPLICATED_USER"),
        other => panic!("{other:?}"),
    }
    match client.job_errors("failed").await.expect("an object") {
        JobErrors::Job(job) => assert_eq!(job.status_details.as_deref(), Some("Failed to parse users file")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_download_sends_no_token() {
    let tenant = Tenant::start(|request| match (request.line.as_str(), request.attempt) {
        ("GET /file.json.gz", 1) => Some(Reply::CloseConnection),
        ("GET /file.json.gz", 2) => Some(refusal(503, "Slow down.", "slow")),
        ("GET /file.json.gz", _) => {
            Some(Reply::Answer(200, vec![("content-encoding", "gzip".into())], b"\x1f\x8bpretend".to_vec()))
        }
        _ => None,
    })
    .await;
    let stream = tenant.client().download(&tenant.host.url("/file.json.gz?Signature=s")).await.expect("a stream");
    let chunks: Vec<_> = stream.bytes.try_collect().await.expect("a whole file");
    assert_eq!(chunks.concat(), b"\x1f\x8bpretend", "the body is not decompressed");
    assert_eq!(tenant.tokens(), 0);
    assert!(tenant.requests().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[tokio::test]
async fn an_interrupted_download_is_an_error() {
    let tenant = Tenant::start(|_| Some(Reply::Truncated(b"half a file".to_vec()))).await;
    let download = tenant.client().download(&tenant.host.url("/file?Signature=signed")).await.expect("a stream");
    assert_eq!((download.from, download.length), (0, Some(11 + 1000)));
    let mut stream = download.bytes;
    let mut received = 0;
    let error = loop {
        match stream.next().await.expect("the stream must not end without an error") {
            Ok(bytes) => received += bytes.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((received, error.code), (11, Code::Auth0Unreachable));
    assert!(error.message.contains("after 11 bytes") && !error.message.contains("signed"), "{error}");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    const FILE: &[u8] = b"the whole file";
    let tenant = Tenant::start(|request| {
        let tag = request.headers.get("if-range").map(String::as_str);
        let range = request.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()?;
        let headers = |range: String| vec![("content-range", range), ("etag", "\"one\"".to_owned())];
        Some(match (tag, range) {
            (Some("\"one\""), range) if range < FILE.len() => {
                let shown = format!("bytes {range}-{}/{}", FILE.len() - 1, FILE.len());
                Reply::Answer(206, headers(shown), FILE[range..].to_vec())
            }
            (Some("\"one\""), _) => Reply::Answer(416, headers(format!("bytes */{}", FILE.len())), b"gone".to_vec()),
            // The client has another version, or sent no tag.
            _ => Reply::Answer(200, vec![("etag", "W/\"weak\"".to_owned())], FILE.to_vec()),
        })
    })
    .await;
    let rest = async |bytes: u64, tag: Option<&str>| {
        let received = PartialDownload { bytes, tag: tag.map(str::to_owned) };
        let download = tenant.client().download_rest(&tenant.host.url("/file"), &received).await?;
        let pieces: Vec<_> = download.bytes.try_collect().await?;
        Ok::<_, Error>((download.from, download.length, pieces.concat()))
    };
    let one = Some("\"one\"");
    assert_eq!(rest(4, one).await.expect("the rest"), (4, Some(14), b"whole file".to_vec()));
    assert_eq!(rest(14, one).await.expect("nothing is missing"), (14, Some(14), Vec::new()));
    assert_eq!(rest(20, one).await.expect_err("a shorter file").code, Code::Auth0ExportLost);
    assert_eq!(rest(4, None).await.expect("everything again"), (0, Some(14), FILE.to_vec()));
    assert_eq!(rest(4, Some("\"two\"")).await.expect("everything again"), (0, Some(14), FILE.to_vec()));
}

#[tokio::test]
async fn the_rest_of_another_file_is_refused() {
    for (range, tag) in [("bytes 3-9/10", "\"one\""), ("bytes 4-9/10", "\"two\""), ("nonsense", "\"one\"")] {
        let tenant = Tenant::start(move |_| {
            let headers = vec![("content-range", range.to_owned()), ("etag", tag.to_owned())];
            Some(Reply::Answer(206, headers, b"rest".to_vec()))
        })
        .await;
        let received = PartialDownload { bytes: 4, tag: Some("\"one\"".to_owned()) };
        let error = tenant.client().download_rest(&tenant.host.url("/file"), &received).await.err().expect(range);
        assert_eq!(error.code, Code::Auth0ExportLost, "{range} {tag}");
    }
}

#[tokio::test]
async fn a_download_without_a_response_is_an_error() {
    let tenant = Tenant::start(|_| Some(Reply::NoResponse)).await;
    let timeouts = Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() };
    let client = tenant.client().with_timeouts(timeouts).with_retry_timeout(Duration::from_millis(50));
    let error = client.download(&tenant.host.url("/file")).await.err().expect("no response");
    assert_eq!(error.code, Code::Auth0Unreachable);
}

#[tokio::test]
async fn an_expired_link_is_reported_as_such() {
    for status in [403, 404, 410] {
        let tenant = Tenant::start(move |_| {
            Some(Reply::Answer(status, Vec::new(), b"<Error>Request has expired</Error>".to_vec()))
        })
        .await;
        let error = tenant.client().download(&tenant.host.url("/file")).await.err().expect("expired");
        assert_eq!(error.code, Code::Auth0LinkExpired);
        assert_eq!(tenant.requests().len(), 1);
    }
}

#[tokio::test]
async fn links_to_other_schemes_are_refused() {
    let tenant = Tenant::start(|_| None).await;
    for link in ["file:///etc/passwd", "ftp://x.example/y", "", "/relative"] {
        let error = tenant.client().download(link).await.err().expect(link);
        assert_eq!(error.code, Code::Auth0Answer, "{link}");
    }
}

#[tokio::test]
async fn a_canceled_job_sends_nothing() {
    let tenant = Tenant::start(|_| Some(json_reply(200, &job("pending")))).await;
    let progress = Arc::new(Progress::default());
    progress.cancel();
    let client = tenant.admin().for_job(progress);
    assert_eq!(client.create_import_job(&import()).await.expect_err("canceled").code, Code::Canceled);
    assert_eq!(client.job(JOB).await.expect_err("canceled").code, Code::Canceled);
    assert!(tenant.requests().is_empty());
}
