use std::time::Duration;

use serde_json::{Value, json};
use simulated_tenant::TenantSettings;

use crate::support::{Api, settings};

#[tokio::test]
async fn an_export_is_gzipped_ndjson_of_the_fields_asked_for() {
    let api = Api::start().await;
    let fields =
        json!([{"name": "user_id", "export_as": "Id"}, {"name": "app_metadata"}, {"name": "identities[0].connection"}]);
    let (status, job) = api.export(&json!({"format": "json", "fields": fields})).await;
    assert_eq!((status, job["type"].as_str(), job["status"].as_str()), (200, Some("users_export"), Some("pending")));
    assert_eq!(job["fields"], fields);
    let text = api.exported(&json!({"format": "json", "fields": fields})).await;
    let users: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(users.len(), 205);
    assert!(users.iter().all(|user| user["Id"].is_string() && user["identities[0].connection"].is_string()));
    assert!(users.iter().any(|user| user["app_metadata"]["tenant"]["limits"].is_object()));
    assert!(users.iter().any(|user| user.get("app_metadata").is_none()));
}

#[tokio::test]
async fn csv_strings_have_a_leading_quote_and_doubled_quotation_marks() {
    let api = Api::start().await;
    api.import_to_end(&json!([{"email": "quote@example.com", "name": "a\"b, c", "email_verified": true}]), false).await;
    let connection = api.tenant.database_connection_id();
    let fields = json!([{"name": "email"}, {"name": "name", "export_as": "Full Name"}, {"name": "email_verified"}, {"name": "created_at"}, {"name": "logins_count"}]);
    let text = api.exported(&json!({"format": "csv", "connection_id": connection, "fields": fields})).await;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("email,Full Name,email_verified,created_at,logins_count"));
    let row = lines.find(|line| line.starts_with("\"'quote@")).unwrap();
    assert!(row.starts_with("\"'quote@example.com\",\"'a\"\"b, c\",true,20") && row.ends_with("Z,"));
}

#[tokio::test]
async fn an_export_respects_its_connection_and_limit() {
    let api = Api::start().await;
    let connection = api.control.connection_id("google-oauth2").unwrap();
    let all =
        api.exported(&json!({"format": "json", "connection_id": connection, "fields": [{"name": "identities"}]})).await;
    assert!(all.lines().count() > 20 && all.lines().all(|line| line.contains("google-oauth2")));
    let some = api.exported(&json!({"format": "json", "limit": 7, "fields": [{"name": "email"}]})).await;
    assert_eq!(some.lines().count(), 7);
    let default = api.exported(&json!({"limit": 1})).await;
    assert!(serde_json::from_str::<Value>(&default).unwrap()["user_id"].is_string());
}

#[tokio::test]
async fn csv_takes_at_most_30_fields_and_no_whole_metadata() {
    let api = Api::start().await;
    let fields =
        |count: usize| (0..count).map(|index| json!({"name": format!("app_metadata.f{index}")})).collect::<Vec<_>>();
    assert_eq!(api.export(&json!({"format": "csv", "fields": fields(30)})).await.0, 200);
    assert_eq!(api.export(&json!({"format": "csv", "fields": fields(31)})).await.0, 400);
    assert_eq!(api.export(&json!({"format": "json", "fields": fields(31)})).await.0, 200);
    for name in ["app_metadata", "user_metadata"] {
        assert_eq!(api.export(&json!({"format": "csv", "fields": [{"name": name}]})).await.0, 400);
    }
}

#[tokio::test]
async fn export_requests_are_checked() {
    let api = Api::start().await;
    for body in [
        json!({"format": "xml"}),
        json!({"limit": 0}),
        json!({"limit": "5"}),
        json!({"colour": 1}),
        json!({"fields": {}}),
        json!({"fields": [{"export_as": "x"}]}),
        json!({"fields": [{"name": "x".repeat(101)}]}),
        json!({"connection_id": "x"}),
        json!({"connection_id": "con_0000000000000000"}),
        json!([]),
    ] {
        assert_eq!(api.export(&body).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn a_link_expires_after_a_minute_and_the_job_has_a_new_one() {
    let api = Api::start().await;
    let (_, job) = api.export(&json!({"format": "json", "limit": 1})).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    assert!(api.read(&path).await.get("location").is_none());
    api.control.advance(Duration::from_mins(1));
    let link = api.read(&path).await["location"].as_str().unwrap().to_owned();
    assert!(link.contains("/simulated-tenant.json.gz?Expires=") && link.contains("&Signature="));
    let status = async |link: String| api.http.get(link).send().await.unwrap().status().as_u16();
    assert_eq!(status(link.clone()).await, 200);
    assert_eq!(status(link.replace("Signature=", "Signature=x")).await, 403);
    assert_eq!(status(link.split('?').next().unwrap().to_owned()).await, 403);
    api.control.advance(Duration::from_secs(61));
    assert_eq!(status(link).await, 403);
    let fresh = api.read(&path).await["location"].as_str().unwrap().to_owned();
    assert_eq!(status(fresh).await, 200);
}

#[tokio::test]
async fn a_download_can_resume_in_the_middle() {
    let api = Api::start().await;
    let (_, job) = api.export(&json!({"format": "json", "fields": [{"name": "user_id"}]})).await;
    api.control.advance(Duration::from_mins(1));
    let job = api.read(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
    let get = async |headers: &[(&str, &str)]| {
        let request = api.http.get(job["location"].as_str().unwrap());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, range, tag) = (response.status().as_u16(), header("content-range"), header("etag"));
        (status, range, tag.unwrap_or_default(), response.bytes().await.unwrap())
    };
    let (status, _, tag, whole) = get(&[]).await;
    let length = whole.len();
    assert_eq!((status, tag.as_str()), (200, format!("\"{}\"", job["id"].as_str().unwrap()).as_str()));
    let (status, range, _, rest) = get(&[("range", "bytes=100-"), ("if-range", &tag)]).await;
    assert_eq!((status, rest), (206, whole.slice(100..)));
    assert_eq!(range.unwrap(), format!("bytes 100-{}/{length}", length - 1));
    let (status, _, _, part) = get(&[("range", "bytes=100-199")]).await;
    assert_eq!((status, part), (206, whole.slice(100..200)));
    let (status, range, ..) = get(&[("range", &format!("bytes={length}-"))]).await;
    assert_eq!((status, range.unwrap()), (416, format!("bytes */{length}")));
    let (status, _, _, everything) = get(&[("range", "bytes=100-"), ("if-range", "\"another\"")]).await;
    assert_eq!((status, everything), (200, whole.clone()));
    let (status, ..) = get(&[("range", "bytes=0-1,5-6")]).await;
    assert_eq!(status, 200, "several ranges are not worth the trouble");
}

#[tokio::test]
async fn a_job_is_removed_after_a_day() {
    let token_lifetime = Duration::from_hours(48);
    let api = Api::with(TenantSettings { token_lifetime, ..settings() }).await;
    let (_, job) = api.export(&json!({"format": "json"})).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    api.control.advance(Duration::from_hours(24) - Duration::from_secs(5));
    assert_eq!(api.read(&path).await["status"], "completed");
    api.control.advance(Duration::from_secs(5));
    let (status, body) = api.get(&path).await;
    assert_eq!((status, body["errorCode"].as_str()), (404, Some("inexistent_job")));
    assert_eq!(api.get("/jobs/nonsense").await.0, 400);
    assert_eq!(api.get("/jobs/job_0000000000000000/errors").await.0, 404);
}
