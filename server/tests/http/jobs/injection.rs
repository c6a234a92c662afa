//! Tests of injection: values that look like code have no effect in SQL, searches, headers, paths, files and cells.

use actix_web::test::TestRequest;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use test_kit::{Request, TestKit};

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Values that would exploit missing escaping.
const ATTACKS: &[&str] = &[
    "' OR 1=1 --",
    "'; DROP TABLE jobs; --",
    "\"; DELETE FROM presets; --",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "x\r\nset-cookie: mallory=1",
    "x\nERROR forged line",
    "\u{0}",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "=cmd|' /C calc'!A0",
];

#[actix_web::test]
async fn ids_and_names_are_only_compared() {
    let harness = TestKit::with_users(5).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    for attack in ATTACKS {
        for (route, status, code) in [
            ("/api/jobs/{}", 404, "inexistent_job"),
            ("/api/jobs/{}/report", 404, "inexistent_job"),
            ("/api/jobs/{}/download?ticket=x", 401, "invalid_ticket"),
            ("/api/presets/{}", 404, "inexistent_preset"),
        ] {
            let reply = harness.get(&route.replace("{}", &encoded(attack))).await;
            reply.expect_code(status, code);
            assert!(reply.header("set-cookie").is_empty(), "{attack}");
            assert!(!reply.body.contains("root:"), "{attack}");
        }
        for route in ["/api/jobs/{}/cancel", "/api/jobs/{}/resume", "/api/jobs/{}/retry"] {
            let reply = harness.send(Request::post(&route.replace("{}", &encoded(attack)))).await;
            assert_eq!(reply.status, 404, "{attack} at {route}: {}", reply.body);
        }
        let request = TestRequest::delete().uri(&format!("/ext/api/transforms/{}", encoded(attack)));
        assert_eq!(harness.call(request).await.status, 404, "{attack}");
    }
    assert_eq!(harness.history().await[0]["id"], job["id"], "everything is still there");
}

#[actix_web::test]
async fn a_preset_is_returned_under_its_exact_name_only() {
    let harness = TestKit::with_users(5).in_process().await;
    for attack in ATTACKS {
        let path = format!("/api/presets/{}", encoded(attack));
        let saved = harness.put(&path, &json!({"format": "csv", "query": attack})).await;
        if attack.chars().any(char::is_control) {
            saved.expect_code(400, "invalid_body");
            continue;
        }
        saved.accepted();
        assert_eq!(harness.get(&path).await.json()["query"], *attack);
        assert_eq!(harness.get("/api/presets").await.json()["presets"].as_array().map(Vec::len), Some(1));
        assert_eq!(harness.delete(&path).await.status, 204);
    }
}

#[actix_web::test]
async fn the_name_of_a_connection_cannot_widen_a_search() {
    let harness = TestKit::with_users(5).in_process().await;
    let name = "x\" OR email:*@* OR name:\"";
    harness.get(&format!("/api/users?connection={}", encoded(name))).await;
    harness.get(&format!("/api/attributes?connection={}", encoded(name))).await;
    let requests = harness.tenant.control().requests();
    let searches: Vec<_> = requests.iter().filter(|request| request.path == "/api/v2/users").collect();
    assert_eq!(searches.len(), 2);
    for search in searches {
        let query =
            url::form_urlencoded::parse(search.query.as_bytes()).find(|(name, _)| name == "q").expect("a query");
        let expected = "identities.connection:\"x\\\" OR email:*@* OR name:\\\"\"";
        assert_eq!(query.1, expected);
    }
}

#[actix_web::test]
async fn the_name_of_an_uploaded_file_cannot_leave_its_directory() {
    let harness = TestKit::with_users(5).in_process().await;
    let connection = harness.tenant.database_connection_id();
    let users = "[{\"email\":\"a@example.com\"}]";
    let more = "[{\"email\":\"b@example.com\"}]";
    for name in ["../../../escape", "/etc/escape", "..", ".", "a/b", "a\\b", "-", "\u{202e}gnp"] {
        let parts = [
            ("connection_id", None, connection.as_str()),
            ("dry_run", None, "true"),
            ("users", Some(name), users),
            ("users", Some(name), more),
        ];
        let reply = harness.form("/api/jobs/import", &parts).await;
        let job = harness.wait_until_finished(&reply.job_id()).await;
        assert_eq!((&job["status"], &job["summary"]["total"]), (&json!("completed"), &json!(2)), "{name}: {job}");
    }
    let outside = std::fs::read_dir(harness.program.directory()).expect("a directory");
    let outside: Vec<_> = outside.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(!outside.iter().any(|name| name.to_string_lossy().contains("escape")), "{outside:?}");
    assert!(
        harness.program.job_files().iter().all(|file| file.starts_with("jobs/job_")),
        "{:?}",
        harness.program.job_files()
    );
}

#[actix_web::test]
async fn archives_and_decompression_bombs_are_refused() {
    use std::io::Write;
    let harness = TestKit::with_users(5).in_process().await;
    let connection = harness.tenant.database_connection_id();
    let send = |content: Vec<u8>| {
        const BOUNDARY: &str = "----boundary";
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"connection_id\"\r\n\r\n{connection}\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"users\"; filename=\"users\"\r\n\r\n"
        )
        .into_bytes();
        body.extend(content);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
        let request = TestRequest::post().uri("/ext/api/jobs/import");
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        harness.call(request.insert_header(("content-type", kind)).set_payload(body))
    };
    let reply = send(b"PK\x03\x04users.json".to_vec()).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (400, &json!("users_file_format")), "{}", reply.body);

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let row = format!("{{\"email\":\"a@example.com\",\"name\":\"{}\"}}\n", " ".repeat(1 << 20));
    for _ in 0..120 {
        bomb.write_all(row.as_bytes()).expect("a row");
    }
    let reply = send(bomb.finish().expect("gzip")).await;
    let error = harness.wait_until_finished(&reply.job_id()).await["error"].take();
    assert_eq!((&error["errorCode"], &error["statusCode"]), (&json!("payload_too_large"), &json!(413)), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("200 times")), "{error}");
}
