//! Tests of exports.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use super::{DATABASE, Harness, id};

#[actix_web::test]
async fn a_completed_export_can_be_downloaded_with_a_link() {
    let harness = Harness::new(50).await;
    let reply = harness
        .export(&json!({"format": "csv", "fields": [
            {"name": "user.email", "export_as": "E-mail"}, {"name": "user.app_metadata.plan || 'none'", "export_as": "Plan"},
        ]}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let started = reply.json();
    assert_eq!(started["type"], "users_export");
    assert_eq!(started["format"], "csv");
    assert!(matches!(started["status"].as_str(), Some("pending" | "processing")), "{started}");

    let job = harness.wait_for_end(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    let users = harness.tenant.control().user_count();
    assert_eq!(
        (&job["percentage_done"], &job["processed"], &job["total"]),
        (&json!(100), &json!(users), &json!(users))
    );
    assert_eq!(job["summary"]["rows"], users);

    let file = harness.download(&job).await;
    assert_eq!(file.status, 200);
    assert!(file.header("content-type").starts_with("text/csv"), "{}", file.header("content-type"));
    assert!(file.header("content-disposition").starts_with("attachment; filename=\"127.0.0.1"));
    assert_eq!(file.header("cache-control"), "no-store, private");
    let mut rows = csv::Reader::from_reader(file.body.as_bytes());
    assert_eq!(rows.headers().expect("a header"), vec!["E-mail", "Plan"]);
    assert_eq!(rows.records().count() as u64, users);
}

#[actix_web::test]
async fn a_search_is_sorted_and_limited_as_requested() {
    let harness = Harness::new(300).await;
    let request = json!({
        "format": "json", "query": "email_verified:true", "sort": {"by": "user.email", "descending": true}, "limit": 7,
        "fields": [{"name": "user.email", "export_as": "email"}, {"name": "user.email_verified", "export_as": "verified"}],
    });
    let job = harness.wait_for_end(&harness.export(&request).await).await;
    let users: Vec<Value> = serde_json::from_str(&harness.download(&job).await.body).expect("a JSON array");
    assert_eq!(users.len(), 7);
    assert!(users.iter().all(|user| user["verified"] == true));
    let emails: Vec<&str> = users.iter().filter_map(|user| user["email"].as_str()).collect();
    assert!(emails.is_sorted_by(|a, b| a >= b), "{emails:?}");
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 0, "so few are searched");
}

#[actix_web::test]
async fn every_user_of_a_connection_is_exported_completely() {
    let harness = Harness::new(2500).await;
    let request = json!({"format": "ndjson", "connection_id": harness.database()});
    let reply = harness.export(&request).await;
    assert_eq!(reply.json()["connection"], DATABASE);
    let job = harness.wait_for_end(&reply).await;
    let file = harness.download(&job).await.body;
    let users: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("a user a line")).collect();
    assert!(users.len() > 1000, "more than a search gives: {}", users.len());
    for user in &users {
        let stored =
            harness.tenant.control().user(user["user_id"].as_str().expect("an id")).expect("a user of the tenant");
        assert_eq!(user["app_metadata"], stored["app_metadata"]);
        assert_eq!(user["identities"][0]["connection"], DATABASE);
    }
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 1);
    assert_eq!(harness.tenant.control().violations(), Vec::<String>::new());
}

#[actix_web::test]
async fn an_invalid_export_is_refused_before_it_starts() {
    let harness = Harness::new(5).await;
    for (request, code, words) in [
        (json!({"format": "xml"}), "invalid_body", "xml"),
        (json!({"format": "csv", "limit": 0}), "invalid_body", "limit"),
        (json!({"format": "csv", "fields": [{"name": "user..email"}]}), "invalid_expression", "^"),
        (json!({"format": "csv", "delimiter": "ab"}), "invalid_body", "delimiter"),
        (json!({"format": "csv", "connection_id": "con_0000000000000000"}), "", "con_0000000000000000"),
    ] {
        let reply = harness.export(&request).await;
        let error = reply.json();
        assert!((400..500).contains(&reply.status), "{request}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{request}: {error}");
        assert!(code.is_empty() || error["errorCode"] == code, "{request}: {error}");
    }
    assert_eq!(harness.get("/api/history").await.json()["jobs"], json!([]));
}

#[actix_web::test]
async fn a_download_link_is_valid_for_its_own_job_only() {
    let harness = Harness::new(5).await;
    let first = harness.wait_for_end(&harness.export(&json!({"format": "json"})).await).await;
    let second = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let ticket = first["location"].as_str().and_then(|link| link.split_once("ticket=")).expect("a ticket").1;
    for path in [
        format!("/ext/api/jobs/{}/download?ticket={ticket}", id(&second)),
        format!("/ext/api/jobs/{}/download?ticket=guess", id(&first)),
        format!("/ext/api/jobs/{}/download", id(&first)),
    ] {
        let reply = harness.server.get(&path).await;
        assert_eq!((reply.status, &reply.json()["errorCode"]), (401, &json!("invalid_ticket")), "{path}");
    }
}

#[actix_web::test]
async fn an_interrupted_download_from_auth0_is_resumed() {
    let harness = Harness::new(1500).await;
    let control = harness.tenant.control();
    let truncate = |bytes| FaultKind::Truncate { bytes };
    control.add(Fault::new("/exports/", truncate(20_000)).once());
    let job = harness
        .wait_for_end(&harness.export(&json!({"format": "ndjson", "fields": [{"name": "user.user_id"}]})).await)
        .await;
    assert_eq!(job["status"], "completed", "{job}");
    let file = harness.download(&job).await.body;
    let mut ids: Vec<&str> = file.lines().collect();
    let rows = ids.len() as u64;
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((rows, ids.len() as u64), (control.user_count(), control.user_count()), "none lost, none twice");
    assert_eq!(control.faults(), [], "the fault happened");
}

#[actix_web::test]
async fn an_export_that_auth0_fails_has_the_reason_and_can_be_resumed() {
    let harness = Harness::new(1500).await;
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-exports", FaultKind::FailJob));
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    if job["status"] == "failed" {
        assert!(job["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{job}");
        control.clear();
        let reply = harness.post(&format!("/api/jobs/{}/resume", id(&job))).await;
        let job = harness.wait_for_end(&reply).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["summary"]["rows"], control.user_count());
    } else {
        // The export was completed with searches instead of the Auth0 job.
        assert_eq!(job["summary"]["rows"], control.user_count());
    }
}

#[actix_web::test]
async fn a_canceled_export_stops_at_once_and_leaves_no_files() {
    let harness = Harness::new(1500).await;
    harness.tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::HangJob));
    let reply = harness.export(&json!({"format": "csv"})).await;
    let job = harness.poll_until(id(&reply.json()), |job| job["status"] == "processing").await;
    let canceled = harness.post(&format!("/api/jobs/{}/cancel", id(&job))).await;
    assert_eq!((canceled.status, &canceled.json()["status"]), (200, &json!("canceled")), "{}", canceled.body);
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    let again = harness.post(&format!("/api/jobs/{}/cancel", id(&job))).await;
    assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")), "{}", again.body);
}

#[actix_web::test]
async fn jobs_cannot_be_read_without_a_session() {
    let harness = Harness::new(5).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    for path in ["", "/report"] {
        let path = format!("/ext/api/jobs/{}{path}", id(&job));
        assert_eq!(harness.server.call(TestRequest::get().uri(&path)).await.status, 401);
    }
    let session = harness.server.sign_in("auth0|grace", None).await;
    let other = Harness { session, ..harness };
    assert_eq!(other.get(&format!("/api/jobs/{}", id(&job))).await.status, 200, "admins of a tenant share its history");
}

#[actix_web::test]
async fn matching_users_are_counted() {
    let harness = Harness::new(1500).await;
    let all = harness.get("/api/users").await.json();
    assert_eq!((&all["total"], &all["capped"], &all["limit"]), (&json!(1000), &json!(true), &json!(1)), "{all}");
    let one = harness.get("/api/users?q=email:%22admin%40acme.example%22").await.json();
    assert_eq!(
        (&one["capped"], &one["start"], &one["users"][0]["email"]),
        (&Value::Null, &json!(0), &json!("admin@acme.example"))
    );
    let wrong = harness.get("/api/users?q=email:(").await;
    assert_eq!((wrong.status, &wrong.json()["errorCode"]), (400, &json!("invalid_search")), "{}", wrong.body);
    assert!(wrong.json()["message"].as_str().is_some_and(|message| message.contains('^')), "{}", wrong.body);
    let no_match = harness.get(&format!("/api/users?connection={DATABASE}&q=email:unmatched")).await.json();
    assert_eq!((&no_match["total"], &no_match["length"]), (&json!(0), &json!(0)));
}

#[actix_web::test]
async fn a_locally_evaluated_search_is_counted_as_far_as_known() {
    let harness = Harness::new(1500).await;
    let count = async |q: &str| {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let reply = harness.get(&format!("/api/users?q={q}")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let range = count("app_metadata.tenant.limits.seats:[1 TO *]").await;
    assert_eq!((&range["capped"], &range["limit"], &range["start"]), (&json!(true), &json!(1), &json!(0)), "{range}");
    let found = range["total"].as_u64().expect("a number");
    assert!((1..=100).contains(&found), "{range}");
    assert!(range["users"][0]["app_metadata"]["tenant"]["limits"]["seats"].as_f64().is_some_and(|seats| seats >= 1.0));
    let no_match = count("user_metadata.nothing:a*").await;
    assert_eq!((&no_match["total"], &no_match["capped"], &no_match["users"]), (&json!(0), &json!(true), &json!([])));
    // A query that Auth0 refuses, although the server expected Auth0 to support it.
    let refused = FaultKind::SlowQuery;
    harness.tenant.control().add(Fault::new("/users", refused).times(3));
    let slow = count("name:*a*da*").await;
    assert_eq!(slow["capped"], true, "{slow}");
    // A term without a field is searched by Auth0 only.
    assert_eq!(count("ada").await["capped"], Value::Null);

    // If all users fit on one page, the count is exact.
    let harness = Harness::new(50).await;
    let all = harness.get("/api/users?q=user_id:%3F*").await.json();
    assert_eq!((&all["total"], &all["capped"]), (&json!(harness.tenant.control().user_count()), &Value::Null), "{all}");
}

#[actix_web::test]
async fn a_preview_contains_the_plan_of_the_export() {
    let harness = Harness::new(1500).await;
    let preview = async |request: &Value| {
        let reply = harness.call(TestRequest::post().uri("/ext/api/preview").set_json(request)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["plan"].clone()
    };
    let line = |plan: &Value, title: &str| {
        let lines = plan["lines"].as_array().expect("lines").iter();
        let text = lines.filter(|line| line["title"] == title).map(|line| line["text"].as_str().unwrap_or_default());
        text.collect::<Vec<_>>().join("; ")
    };
    let job = preview(&json!({"format": "csv", "limit": 3, "sort": {"by": "user.email"}})).await;
    assert_eq!((&job["source"], &job["users"], &job["capped"]), (&json!("job"), &json!(1000), &json!(true)), "{job}");
    assert_eq!((&job["filtered"], &job["sorted"], &job["requests"]), (&Value::Null, &json!("here"), &json!(4)));
    assert_eq!(line(&job, "Source"), "an export job inside Auth0, then its file");
    assert!(line(&job, "Otherwise").contains("where the tenant allows no export jobs or the job fails"), "{job}");
    assert_eq!(line(&job, "Limit"), "", "the limit is the preview's own");

    harness.tenant.control().forget_requests();
    let few = preview(&json!({"format": "csv", "query": "email_verified:false AND blocked:true"})).await;
    assert_eq!((&few["source"], &few["filtered"], &few["capped"]), (&json!("search"), &json!("auth0"), &Value::Null));
    assert_eq!(harness.request_count("GET", "/users"), 1, "rows and plan come from one search");

    let here = preview(&json!({"format": "csv", "query": "user_metadata.theme:d*"})).await;
    assert_eq!((&here["source"], &here["filtered"]), (&json!("job"), &json!("here")), "{here}");
    assert!(line(&here, "Filter").contains("Auth0 has no wildcards on metadata"), "{here}");

    // The plan contains the result of an earlier export only if all users will be read.
    assert_eq!(here["before"], Value::Null);
    let all = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    harness.wait_for_end(&harness.export(&json!({"format": "csv", "limit": 10})).await).await;
    let here = preview(&json!({"format": "csv", "query": "user_metadata.theme:d*"})).await;
    assert_eq!(here["before"]["users"], all["summary"]["rows"]);
    assert!(here["before"]["seconds"].is_u64(), "{here}");
    let few = preview(&json!({"format": "csv", "query": "email_verified:false AND blocked:true"})).await;
    assert_eq!(few["before"], Value::Null);

    let wrong = json!({"format": "csv", "query": "email:(a OR"});
    let wrong = harness.call(TestRequest::post().uri("/ext/api/preview").set_json(&wrong)).await;
    assert_eq!((wrong.status, &wrong.json()["errorCode"]), (400, &json!("invalid_search")), "{}", wrong.body);
    assert!(wrong.json()["message"].as_str().is_some_and(|message| message.contains('^')), "{}", wrong.body);
}

#[actix_web::test]
async fn an_export_whose_file_is_lost_starts_again() {
    let harness = Harness::new(3000).await;
    let control = harness.tenant.control();
    let truncate = FaultKind::Truncate { bytes: 20_000 };
    control.add(Fault::new("/exports/", truncate).once());
    // For the second download the link has expired, and then the Auth0 job does not exist.
    control.add(Fault::new("/exports/", FaultKind::ExpiredLink).after(1).times(100));
    let reply = harness.export(&json!({"format": "ndjson", "fields": [{"name": "user.user_id"}]})).await;
    let end = std::time::Instant::now() + crate::test_server::TIMEOUT;
    while !control.requests().iter().any(|request| request.path.contains("/exports/") && request.status == 403) {
        assert!(std::time::Instant::now() < end, "the link does not expire");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    control.clear();
    control.add(Fault::new("/jobs/job_", FaultKind::ForgetJob).once());
    let job = harness.wait_for_end(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    let file = harness.download(&job).await.body;
    let mut ids: Vec<&str> = file.lines().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len() as u64, file.lines().count() as u64), (control.user_count(), control.user_count()));
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 2);
}

#[actix_web::test]
async fn progress_and_remaining_time_are_reported_while_a_file_is_read() {
    let harness = Harness::new(3000).await;
    harness.tenant.control().add(Fault::new("/exports/", FaultKind::Stall { bytes: 70_000 }));
    let reply = harness.export(&json!({"format": "ndjson"})).await;
    let job = harness.poll_until(id(&reply.json()), |job| job["percentage_done"].is_u64()).await;
    assert!(job["percentage_done"].as_u64().is_some_and(|percent| percent < 100), "{job}");
    assert!(job["total"].is_null() && job["time_left_seconds"].is_u64(), "{job}");
    let canceled = harness.post(&format!("/api/jobs/{}/cancel", id(&job))).await.json();
    assert_eq!(canceled["status"], "canceled", "{canceled}");
}

#[actix_web::test]
async fn connections_are_listed_without_their_secrets() {
    let harness = Harness::new(5).await;
    let reply = harness.get("/api/connections?strategy=auth0").await;
    let connections = reply.json();
    let list = connections.as_array().expect("an array");
    assert!(list.iter().any(|connection| connection["name"] == DATABASE));
    assert!(list.iter().all(|connection| connection["strategy"] == "auth0"), "{connections}");
    assert!(!reply.body.contains("DATABASE_PASSWORD") && !reply.body.contains("function login"), "{connections}");
}

#[actix_web::test]
async fn the_api_describes_itself() {
    let harness = Harness::new(1).await;
    let document = harness.server.get("/ext/api/openapi.json").await.json();
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    insta::assert_json_snapshot!(paths);
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let refusal = &operation["responses"]["default"]["content"]["application/json"]["schema"];
            assert_eq!(refusal["$ref"], "#/components/schemas/ErrorBody", "{method} {path}");
        }
    }
    for limited in
        ["import/inspect", "jobs/export", "jobs/import", "jobs/{id}/resume", "jobs/{id}/retry", "preview", "transforms"]
    {
        let answers = &document["paths"][format!("/api/{limited}")]["post"]["responses"];
        assert!(answers["429"].is_object(), "{limited}: {answers}");
    }
}

#[actix_web::test]
async fn columns_are_computed_and_secrets_in_them_stay_secret() {
    const KEY: &str = "a key that must stay secret";
    let harness = Harness::new(20).await;
    let fields = json!([
        {"name": "user.email", "export_as": "email"},
        {"name": "mask_email(user.email)", "export_as": "masked"},
        {"name": format!("pseudonymize(user.user_id, \"{KEY}\")"), "export_as": "pseudonym"},
        {"name": "user.email ? user.email.split('@')[1].toUpperCase() : null", "export_as": "domain"},
    ]);
    let request = json!({"format": "json", "fields": fields, "sort": {"by": "user.email.length", "descending": false}});
    let reply = harness.export(&request).await;
    let job = harness.wait_for_end(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(!job.to_string().contains(KEY), "{job}");
    assert!(job["settings"]["fields"][2]["name"].as_str().is_some_and(|name| name.contains("***")), "{job}");
    let rows: Vec<Value> = serde_json::from_str(&harness.download(&job).await.body).expect("a JSON array");
    assert_eq!(rows.len() as u64, harness.tenant.control().user_count());
    for row in &rows {
        if let Some((_, domain)) = row["email"].as_str().and_then(|email| email.split_once('@')) {
            assert_eq!(row["domain"], domain.to_uppercase());
            assert!(row["masked"].as_str().is_some_and(|masked| masked.ends_with(domain)), "{row}");
        }
        assert!(row["pseudonym"].as_str().is_some_and(|text| text.len() >= 32), "{row}");
    }

    // Neither the database nor a preset contains it.
    let preset = TestRequest::put().uri("/ext/api/presets/pseudonyms").set_json(&request);
    assert!(!harness.call(preset).await.body.contains(KEY));
    let harness = harness.restart().await;
    assert!(!harness.server.database().windows(KEY.len()).any(|window| window == KEY.as_bytes()));
}

#[actix_web::test]
async fn a_preview_shows_cells_and_their_errors() {
    let harness = Harness::new(20).await;
    let request = json!({"format": "csv", "limit": 3, "fields": [
        {"name": "user.email", "export_as": "email"},
        {"name": "title_case(user.nickname)", "export_as": "title"},
        {"name": "(() => { throw new Error('no luck') })()", "export_as": "thrown"},
    ]});
    let reply = harness.call(TestRequest::post().uri("/ext/api/preview").set_json(&request)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let preview = reply.json();
    let kinds: Vec<&Value> =
        preview["columns"].as_array().expect("columns").iter().map(|column| &column["kind"]).collect();
    assert_eq!(kinds, ["path", "transform", "javascript"]);
    assert_eq!(preview["rows"].as_array().map(Vec::len), Some(3));
    for row in preview["rows"].as_array().expect("rows") {
        assert!(row[0].get("value").is_some() && row[1].get("value").is_some(), "{row}");
        assert!(row[2]["error"].as_str().is_some_and(|error| error.contains("no luck")), "{row}");
    }
    assert!(preview["users"].as_u64().is_some_and(|users| users >= 20), "{preview}");
    let bare = json!({"limit": 1, "fields": [{"name": "email"}]});
    let reply = harness.call(TestRequest::post().uri("/ext/api/preview").set_json(&bare)).await;
    assert_eq!(reply.status, 200, "a preview has no format: {}", reply.body);
    let many = json!({"format": "csv", "limit": 51});
    let refused = harness.call(TestRequest::post().uri("/ext/api/preview").set_json(&many)).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}
