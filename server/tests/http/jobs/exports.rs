//! Tests of exports.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use test_kit::{DATABASE, TestKit, job_id, poll};

use crate::snapshots::{assert_json, status_and_body};

#[actix_web::test]
async fn a_completed_export_can_be_downloaded_with_a_link() {
    let harness = TestKit::with_users(50).in_process().await;
    let job = harness
        .export(&json!({"format": "csv", "fields": [
            {"name": "user.email", "export_as": "E-mail"}, {"name": "user.app_metadata.plan || 'none'", "export_as": "Plan"},
        ]}))
        .await;
    assert_json!(job);
    let users = harness.tenant.control().user_count();

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
    let harness = TestKit::with_users(300).in_process().await;
    let request = json!({
        "format": "json", "query": "email_verified:true", "sort": {"by": "user.email", "descending": true}, "limit": 7,
        "fields": [{"name": "user.email", "export_as": "email"}, {"name": "user.email_verified", "export_as": "verified"}],
    });
    let job = harness.export(&request).await;
    let users: Vec<Value> = serde_json::from_str(&harness.download(&job).await.body).expect("a JSON array");
    assert_eq!(users.len(), 7);
    assert!(users.iter().all(|user| user["verified"] == true));
    let emails: Vec<&str> = users.iter().filter_map(|user| user["email"].as_str()).collect();
    assert!(emails.is_sorted_by(|a, b| a >= b), "{emails:?}");
    assert_eq!(harness.request_count("POST", "/jobs/users-exports"), 0, "so few are searched");
}

#[actix_web::test]
async fn every_user_of_a_connection_is_exported_completely() {
    let harness = TestKit::with_users(2500).in_process().await;
    let request = json!({"format": "ndjson", "connection_id": harness.tenant.database_connection_id()});
    let reply = harness.request_export(&request).await;
    assert_eq!(reply.json()["connection"], DATABASE);
    let job = harness.wait_until_finished(&reply.job_id()).await;
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
    let harness = TestKit::with_users(5).in_process().await;
    let mut refused = Vec::new();
    for request in [
        json!({"format": "xml"}),
        json!({"format": "csv", "limit": 0}),
        json!({"format": "csv", "fields": [{"name": "user..email"}]}),
        json!({"format": "csv", "delimiter": "ab"}),
        json!({"format": "csv", "connection_id": "con_0000000000000000"}),
    ] {
        refused.push(harness.request_export(&request).await);
    }
    assert_json!(status_and_body(&refused));
    assert_eq!(harness.history().await, json!([]));
}

#[actix_web::test]
async fn a_download_link_is_valid_for_its_own_job_only() {
    let harness = TestKit::with_users(5).in_process().await;
    let first = harness.export(&json!({"format": "json"})).await;
    let second = harness.export(&json!({"format": "csv"})).await;
    let ticket = first["location"].as_str().and_then(|link| link.split_once("ticket=")).expect("a ticket").1;
    for path in [
        format!("/ext/api/jobs/{}/download?ticket={ticket}", job_id(&second)),
        format!("/ext/api/jobs/{}/download?ticket=guess", job_id(&first)),
        format!("/ext/api/jobs/{}/download", job_id(&first)),
    ] {
        let reply = harness.program.get(&path).await;
        assert_eq!((reply.status, &reply.json()["errorCode"]), (401, &json!("invalid_ticket")), "{path}");
    }
}

#[actix_web::test]
async fn an_interrupted_download_from_auth0_is_resumed() {
    let harness = TestKit::with_users(1500).in_process().await;
    let control = harness.tenant.control();
    let truncate = |bytes| FaultKind::Truncate { bytes };
    control.add(Fault::new("/exports/", truncate(20_000)).once());
    let job = harness.export(&json!({"format": "ndjson", "fields": [{"name": "user.user_id"}]})).await;
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
async fn an_export_whose_auth0_job_fails_is_completed_with_searches() {
    let harness = TestKit::with_users(1500).in_process().await;
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-exports", FaultKind::FailJob));
    let job = harness.export(&json!({"format": "csv"})).await;
    assert_eq!((&job["status"], &job["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())), "{job}");
    assert_eq!(harness.request_count("GET", "/exports/"), 0, "no file was there to read");
}

#[actix_web::test]
async fn an_export_that_auth0_fails_has_the_reason_and_can_be_resumed() {
    let harness = TestKit::with_users(1500).in_process().await;
    let control = harness.tenant.control();
    let body = b"<!DOCTYPE html><html><body>Bad gateway</body></html>".to_vec();
    control.add(Fault::new("/exports/", FaultKind::ReplaceBody { content_type: Some("text/html".to_owned()), body }));
    let job = harness.export(&json!({"format": "csv"})).await;
    assert_json!(job);
    control.clear();
    let job = harness.wait_until_finished(&harness.resume(job_id(&job)).await.job_id()).await;
    assert_eq!((&job["status"], &job["summary"]["rows"]), (&json!("completed"), &json!(control.user_count())), "{job}");
}

#[actix_web::test]
async fn a_canceled_export_stops_at_once_and_leaves_no_files() {
    let harness = TestKit::with_users(1500).in_process().await;
    harness.tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::HangJob));
    let reply = harness.request_export(&json!({"format": "csv"})).await;
    let job = harness.wait_for_job(&reply.job_id(), |job| job["status"] == "processing").await;
    let canceled = harness.cancel(job_id(&job)).await;
    assert_eq!((canceled.status, &canceled.json()["status"]), (200, &json!("canceled")), "{}", canceled.body);
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    let again = harness.cancel(job_id(&job)).await;
    assert_eq!((again.status, &again.json()["errorCode"]), (409, &json!("job_state")), "{}", again.body);
}

#[actix_web::test]
async fn jobs_cannot_be_read_without_a_session() {
    let harness = TestKit::with_users(5).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    for path in ["", "/report"] {
        let path = format!("/ext/api/jobs/{}{path}", job_id(&job));
        assert_eq!(harness.program.call(TestRequest::get().uri(&path)).await.status, 401);
    }
    let session = harness.program.sign_in("auth0|grace", None).await;
    let other = harness.with_session(session);
    assert_eq!(
        other.get(&format!("/api/jobs/{}", job_id(&job))).await.status,
        200,
        "admins of a tenant share its history"
    );
}

#[actix_web::test]
async fn matching_users_are_counted() {
    let harness = TestKit::with_users(1500).in_process().await;
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
    assert_eq!(one["remarks"], Value::Null);
    let remarked = harness.get("/api/users?q=name:ada%20and%20emial:b").await.json();
    assert_eq!(
        remarked["remarks"],
        json!([
            { "message": "`and` in lower case is a word to search for; the operator is AND", "widens": true },
            { "message": "Auth0 documents no attribute `emial`; did you mean email?" },
        ])
    );
    let no_match = harness.get(&format!("/api/users?connection={DATABASE}&q=email:unmatched")).await.json();
    assert_eq!((&no_match["total"], &no_match["length"]), (&json!(0), &json!(0)));
}

#[actix_web::test]
async fn a_locally_evaluated_search_is_counted_as_far_as_known() {
    let harness = TestKit::with_users(1500).in_process().await;
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
    let harness = TestKit::with_users(50).in_process().await;
    let all = harness.get("/api/users?q=user_id:%3F*").await.json();
    assert_eq!((&all["total"], &all["capped"]), (&json!(harness.tenant.control().user_count()), &Value::Null), "{all}");
}

#[actix_web::test]
async fn a_preview_contains_the_plan_of_the_export() {
    let harness = TestKit::with_users(1500).in_process().await;
    let preview = async |request: &Value| harness.preview(request).await.accepted()["plan"].take();
    let job = preview(&json!({"format": "csv", "limit": 3, "sort": {"by": "user.email"}})).await;
    // An export job inside Auth0. The limit is the preview's own, and not part of the plan.
    assert_json!(job);

    harness.tenant.control().forget_requests();
    let few = preview(&json!({"format": "csv", "query": "email_verified:false AND blocked:true"})).await;
    assert_json!(few);
    assert_eq!(harness.request_count("GET", "/users"), 1, "rows and plan come from one search");

    let here = preview(&json!({"format": "csv", "query": "user_metadata.theme:d*"})).await;
    assert_json!(here);

    // The plan contains the result of an earlier export only if all users will be read.
    let all = harness.export(&json!({"format": "csv"})).await;
    harness.export(&json!({"format": "csv", "limit": 10})).await;
    let here = preview(&json!({"format": "csv", "query": "user_metadata.theme:d*"})).await;
    assert_eq!(here["before"]["users"], all["summary"]["rows"]);
    assert!(here["before"]["seconds"].is_u64(), "{here}");
    let few = preview(&json!({"format": "csv", "query": "email_verified:false AND blocked:true"})).await;
    assert_eq!(few["before"], Value::Null);

    let wrong = json!({"format": "csv", "query": "email:(a OR"});
    let wrong = harness.preview(&wrong).await;
    assert_eq!((wrong.status, &wrong.json()["errorCode"]), (400, &json!("invalid_search")), "{}", wrong.body);
    assert!(wrong.json()["message"].as_str().is_some_and(|message| message.contains('^')), "{}", wrong.body);
}

#[actix_web::test]
async fn an_export_whose_file_is_lost_starts_again() {
    let harness = TestKit::with_users(3000).in_process().await;
    let control = harness.tenant.control();
    let truncate = FaultKind::Truncate { bytes: 20_000 };
    control.add(Fault::new("/exports/", truncate).once());
    // For the second download the link has expired, and then the Auth0 job does not exist.
    control.add(Fault::new("/exports/", FaultKind::ExpiredLink).after(1).times(100));
    let reply = harness.request_export(&json!({"format": "ndjson", "fields": [{"name": "user.user_id"}]})).await;
    poll(async || {
        let requests = control.requests();
        let mut refused = requests.iter().filter(|request| request.path.contains("/exports/") && request.status == 403);
        refused.next().map(|_| ()).ok_or("the link does not expire")
    })
    .await;
    control.clear();
    control.add(Fault::new("/jobs/job_", FaultKind::ForgetJob).once());
    let job = harness.wait_until_finished(&reply.job_id()).await;
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
    let harness = TestKit::with_users(3000).in_process().await;
    harness.tenant.control().add(Fault::new("/exports/", FaultKind::Stall { bytes: 70_000 }));
    let reply = harness.request_export(&json!({"format": "ndjson"})).await;
    let job = harness.wait_for_job(&reply.job_id(), |job| job["percentage_done"].is_u64()).await;
    assert!(job["percentage_done"].as_u64().is_some_and(|percent| percent < 100), "{job}");
    assert!(job["total"].is_null() && job["time_left_seconds"].is_u64(), "{job}");
    let canceled = harness.cancel(job_id(&job)).await.json();
    assert_eq!(canceled["status"], "canceled", "{canceled}");
}

#[actix_web::test]
async fn connections_are_listed_without_their_secrets() {
    let harness = TestKit::with_users(5).in_process().await;
    let reply = harness.get("/api/connections?strategy=auth0").await;
    let connections = reply.json();
    let list = connections.as_array().expect("an array");
    assert!(list.iter().any(|connection| connection["name"] == DATABASE));
    assert!(list.iter().all(|connection| connection["strategy"] == "auth0"), "{connections}");
    assert!(!reply.body.contains("DATABASE_PASSWORD") && !reply.body.contains("function login"), "{connections}");
}

#[actix_web::test]
async fn the_api_describes_itself() {
    let harness = TestKit::with_users(1).in_process().await;
    let document = harness.program.get("/ext/api/openapi.json").await.json();
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
    let harness = TestKit::with_users(20).in_process().await;
    let fields = json!([
        {"name": "user.email", "export_as": "email"},
        {"name": "mask_email(user.email)", "export_as": "masked"},
        {"name": format!("pseudonymize(user.user_id, \"{KEY}\")"), "export_as": "pseudonym"},
        {"name": "user.email ? user.email.split('@')[1].toUpperCase() : null", "export_as": "domain"},
    ]);
    let request = json!({"format": "json", "fields": fields, "sort": {"by": "user.email.length", "descending": false}});
    let reply = harness.request_export(&request).await;
    let job = harness.wait_until_finished(&reply.job_id()).await;
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
    assert!(!harness.program.database().windows(KEY.len()).any(|window| window == KEY.as_bytes()));
}

#[actix_web::test]
async fn a_preview_shows_cells_and_their_errors() {
    let harness = TestKit::with_users(20).in_process().await;
    let request = json!({"format": "csv", "limit": 3, "fields": [
        {"name": "user.email", "export_as": "email"},
        {"name": "title_case(user.nickname)", "export_as": "title"},
        {"name": "(() => { throw new Error('no luck') })()", "export_as": "thrown"},
    ]});
    let preview = harness.preview(&request).await.accepted();
    assert_json!(preview);
    let bare = json!({"limit": 1, "fields": [{"name": "email"}]});
    let reply = harness.preview(&bare).await;
    assert_eq!(reply.status, 200, "a preview has no format: {}", reply.body);
    let many = json!({"format": "csv", "limit": 51});
    let refused = harness.preview(&many).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[actix_web::test]
async fn a_preview_has_remarks_on_expressions() {
    let harness = TestKit::with_users(20).in_process().await;
    let login = "new Date(user.last_login).toLocaleString('de-DE', {timeZone: 'Europe/Berlin'})";
    let request = json!({"limit": 1, "sort": {"by": "user.emailVerified"}, "fields": [
        {"name": "user.email"}, {"name": "user.roles"}, {"name": login, "export_as": "login"},
    ]});
    let preview = harness.preview(&request).await.accepted();
    let remarks = |preview: &Value, column: usize| preview["columns"][column]["remarks"].clone();
    assert_eq!(remarks(&preview, 0), Value::Null);
    assert!(
        remarks(&preview, 1)[0].as_str().unwrap().contains("roles and permissions are read through other endpoints")
    );
    let call = "format_date(user.last_login, \"%d.%m.%Y %H:%M\", \"Europe/Berlin\")";
    assert!(remarks(&preview, 2)[0].as_str().unwrap().ends_with(&format!("For a date, use {call}.")), "{preview}");
    let sort = "Auth0's user profile has no attribute `emailVerified`. Did you mean user.email_verified?";
    assert_eq!(preview["sort_remarks"], json!([sort]));
    let lines = preview["plan"]["lines"].as_array().unwrap();
    assert_eq!(lines.iter().filter(|line| line["title"] == "Remark").count(), 3, "{lines:?}");
}
