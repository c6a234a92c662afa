//! A server that is killed at random moments, while it exports, receives an upload, or runs an upsert.
//!
//! `KILLS` sets the number of kills (default 6), `KILL_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

use end_to_end::TestServer;
use flate2::read::GzDecoder;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use simulated_tenant::generate::export_user;
use simulated_tenant::{Fault, FaultKind, TenantSettings};

const USERS: u64 = 4000;
const SEED: u64 = 11;

/// Returns a number from the environment, or `default` if it is not set.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

/// Returns export requests of every kind, and whether each exports only users with a verified address.
fn exports() -> Vec<(Value, bool)> {
    let fields = json!([
        {"name": "user.user_id", "export_as": "id"}, {"name": "user.email", "export_as": "email"},
        {"name": "user.app_metadata.name || user.name", "export_as": "name"},
    ]);
    let sort = json!({"by": "user.email", "descending": true});
    vec![
        (json!({"format": "csv", "fields": fields, "sort": sort, "raw_cells": true}), false),
        (json!({"format": "ndjson", "fields": fields, "gzip": true}), false),
        (json!({"format": "json", "fields": fields, "query": "email_verified:true"}), true),
        (json!({"format": "json", "fields": fields, "sort": sort, "gzip": true}), false),
        (
            json!({"format": "csv", "fields": fields, "raw_cells": true, "query": "email_verified:true AND _exists_:app_metadata.plan"}),
            true,
        ),
    ]
}

/// Id, address and name of a user.
type Row = (String, String, String);

/// Returns the rows that the file must have, by user id: all users, or those that match the query.
fn expected(server: &TestServer, request: &Value, verified: bool) -> BTreeMap<String, Row> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let generated = (0..USERS).map(|index| serde_json::from_str::<Value>(&export_user(index, SEED)).unwrap());
    let people = server.tenant.control().people().into_iter();
    let people = people.filter_map(|person| server.tenant.control().user(&person.user_id));
    let with_plan = request["query"].as_str().is_some_and(|query| query.contains("plan"));
    generated
        .chain(people)
        .filter(|user| !verified || user["email_verified"] == true)
        .filter(|user| !with_plan || user["app_metadata"]["plan"].is_string())
        .map(|user| {
            let custom = text(&user["app_metadata"]["name"]);
            let name = if custom.is_empty() { text(&user["name"]) } else { custom };
            let id = text(&user["user_id"]);
            (id.clone(), (id, text(&user["email"]), name))
        })
        .collect()
}

/// Parses the rows of an exported file.
fn rows(request: &Value, file: &[u8]) -> Vec<Row> {
    let mut text = String::new();
    if request["gzip"] == true {
        GzDecoder::new(file).read_to_string(&mut text).expect("a whole gzip file");
    } else {
        text = String::from_utf8(file.to_vec()).expect("UTF-8");
    }
    let parse = |row: &Value| {
        let cell = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (cell("id"), cell("email"), cell("name"))
    };
    match request["format"].as_str() {
        Some("csv") => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            assert_eq!(reader.headers().unwrap(), vec!["id", "email", "name"]);
            reader.records().map(|row| row.unwrap()).map(|row| (row[0].into(), row[1].into(), row[2].into())).collect()
        }
        Some("json") => serde_json::from_str::<Vec<Value>>(&text).expect("a JSON array").iter().map(parse).collect(),
        _ => text.lines().map(|line| parse(&serde_json::from_str(line).expect("a user a line"))).collect(),
    }
}

/// Asserts that an export completed with exactly the expected rows, in order if it is sorted.
async fn verify(server: &TestServer, job: &Value, request: &Value, verified: bool) {
    assert_eq!(job["status"], "completed", "{job}");
    let file = server.download_bytes(job).await;
    let rows = rows(request, &file);
    assert_eq!(job["summary"]["rows"], rows.len(), "{job}");
    if request.get("sort").is_some() {
        let emails = rows.iter().map(|(_, email, _)| email).filter(|email| !email.is_empty());
        assert!(emails.is_sorted_by(|a, b| a >= b), "the rows are not sorted");
    }
    let mut expected = expected(server, request, verified);
    for row in rows {
        let expected_row = expected.remove(&row.0).unwrap_or_else(|| panic!("{row:?} is a duplicate or unexpected"));
        assert_eq!(row, expected_row);
    }
    assert!(expected.is_empty(), "{} users are missing", expected.len());
}

#[tokio::test]
async fn a_killed_server_completes_every_export_with_the_right_rows() {
    let kills = setting("KILLS", 6);
    let seed = setting("KILL_SEED", rand::random_range(0..u64::from(u32::MAX)));
    println!("KILLS={kills} KILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let settings = TenantSettings {
        users: USERS,
        seed: SEED,
        export_duration: Duration::from_millis(300),
        ..TenantSettings::default()
    };
    let mut server = TestServer::start(settings, |_| ()).await;
    let control = server.tenant.control();
    // Slow downloads down, so that kills hit them too.
    control.add(Fault::new("/exports/", FaultKind::SlowBody { millis: 100 }));
    let kinds = exports();
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut started = 0;
    for kill in 0..kills {
        while open.len() < 3 {
            let kind = random.random_range(0..kinds.len());
            open.push((server.start_export(&kinds[kind].0).await, kind));
            started += 1;
        }
        if random.random_bool(0.3) {
            let bytes = random.random_range(0..100_000);
            control.add(Fault::new("/exports/", FaultKind::Truncate { bytes }).once());
        }
        let moment = Duration::from_millis(random.random_range(0..1500));
        tokio::time::sleep(moment).await;
        server.program.kill();
        server.assert_database_intact().await;
        server.program.restart().await;
        let mut unfinished = Vec::new();
        for (id, kind) in open {
            let job = server.job(&id).await;
            match job["status"].as_str() {
                Some("completed") => verify(&server, &job, &kinds[kind].0, kinds[kind].1).await,
                Some("pending" | "processing") => {
                    assert!(job.get("location").is_none(), "an incomplete file is offered: {job}");
                    unfinished.push((id, kind));
                }
                _ => panic!("kill {kill} after {moment:?}: {job}"),
            }
        }
        open = unfinished;
    }
    control.clear();
    for (id, kind) in open {
        verify(&server, &server.wait_until_finished(&id).await, &kinds[kind].0, kinds[kind].1).await;
    }
    // Only the finished files are left.
    for job in std::fs::read_dir(server.data().join("jobs")).unwrap() {
        let job = job.unwrap().path();
        let files: Vec<String> =
            job.read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert!(matches!(files.as_slice(), [file] if file.starts_with("users.")), "{}: {files:?}", job.display());
    }
    // Each kill repeats at most the one request for an Auth0 job that was in flight.
    let created = control.job_counts().exports;
    assert!(created <= started + kills, "{created} Auth0 jobs for {started} exports and {kills} kills");
    assert_eq!(control.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_server_keeps_nothing_of_an_unfinished_upload() {
    let mut server = TestServer::start(TenantSettings { users: 10, ..TenantSettings::default() }, |_| ()).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body = Body::wrap_stream(futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|part| (part, receiver))
    }));
    let form = Form::new()
        .text("connection_id", server.tenant.database_connection_id())
        .part("users", Part::stream(body).file_name("users.ndjson"));
    let upload = tokio::spawn(server.request("POST", "/api/jobs/import").multipart(form).send());
    for _ in 0..20 {
        sender.send(Ok(vec![b'x'; 64 * 1024])).await.expect("the file is read");
    }
    server.program.kill();
    assert!(upload.await.expect("the request ends").is_err(), "the server is dead");
    server.assert_database_intact().await;
    server.program.restart().await;
    assert_eq!(server.history().await, json!([]), "no job was created");
    let left: Vec<_> = std::fs::read_dir(server.data().join("jobs")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let job = server.import("{\"email\":\"ada@example.com\"}", &[]).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(1)), "{job}");
}

#[tokio::test]
async fn a_killed_server_completes_a_backup_and_its_upsert() {
    const ROWS: u64 = 300;
    let mut server = TestServer::start(
        TenantSettings { users: 0, import_duration: Duration::from_millis(150), ..TenantSettings::default() },
        |_| (),
    )
    .await;
    let rows = |plan: &str| -> String {
        let row = |number| json!({"email": format!("user{number}@example.com"), "app_metadata": {"plan": plan}});
        (0..ROWS).map(|number| row(number).to_string() + "\n").collect()
    };
    assert_eq!(server.import(&rows("old"), &[]).await["summary"]["inserted"], ROWS);

    let id = server.start_import(&rows("new"), &[("upsert", "true"), ("backup", "true")]).await;
    let seed = setting("KILL_SEED", rand::random_range(0..u64::from(u32::MAX)));
    println!("KILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..setting("KILLS", 6) {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..600))).await;
        server.program.kill();
        server.assert_database_intact().await;
        server.program.restart().await;
    }
    let job = server.wait_until_finished(&id).await;
    assert_eq!((&job["status"], &job["summary"]["failed"]), (&json!("completed"), &json!(0)), "{job}");
    let (status, backup) = server.get(&format!("/api/jobs/{id}/backup")).await.into_parts();
    assert_eq!(status, 200, "{backup}");
    let backup = backup.as_array().expect("users");
    let emails: BTreeSet<&str> = backup.iter().filter_map(|user| user["email"].as_str()).collect();
    assert_eq!((backup.len() as u64, emails.len() as u64), (ROWS, ROWS), "every user once");
    assert!(backup.iter().all(|user| user["app_metadata"]["plan"] == "old"), "as they were before");
    for number in 0..ROWS {
        let users = server.tenant.control().users_by_email(&format!("user{number}@example.com"));
        assert_eq!(users.len(), 1, "user {number}");
        assert_eq!(users[0]["app_metadata"]["plan"], "new", "user {number}");
    }
}
