//! A long run with random faults of the tenant: no row is lost or duplicated, and memory, open files and threads do
//! not grow.
//!
//!     cargo test --release -p end-to-end --test soak -- --minutes 20
//!
//! Without arguments it runs for ten seconds, as part of all tests. `--seed` repeats the random choices, but their
//! effects also depend on timing.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use end_to_end::{ResourceUsage, TestServer, job_id};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use simulated_tenant::{Control, Fault, FaultKind, TenantSettings};

/// Number of users in the tenant at the start.
const USERS: u64 = 1500;

/// Number of rows of one import.
const ROWS: u64 = 120;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut length, mut seed) = (Duration::from_secs(10), rand::random());
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok()).expect("a number");
        match argument.as_str() {
            "--minutes" => length = Duration::from_mins(number()),
            "--seconds" => length = Duration::from_secs(number()),
            "--seed" => seed = number(),
            // Arguments that `cargo test` passes to every test.
            _ => {}
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(soak(length, seed));
}

/// Returns the resource usage of the server.
fn usage(server: &TestServer) -> ResourceUsage {
    server.program.resource_usage().expect("the process runs")
}

/// Counts of operations and their results.
#[derive(Debug, Default)]
struct Tally {
    exports: u64,
    imports: u64,
    previews: u64,
    cancels: u64,
    failures: u64,
    resumes: u64,
    rows_out: u64,
    rows_in: u64,
    faults: u64,
}

async fn soak(length: Duration, seed: u64) {
    println!("soak: {length:?}, seed {seed}");
    let settings = TenantSettings {
        users: USERS,
        import_duration: Duration::from_millis(300),
        export_duration: Duration::from_millis(300),
        strict: false,
        ..TenantSettings::default()
    };
    let server = TestServer::start(settings, |start| {
        // Short lifetimes, or a long run would fill the disk.
        start.env("ARTIFACT_TTL", "30s").env("HISTORY_TTL", "10m");
    })
    .await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let (start, mut reported) = (Instant::now(), Instant::now());
    let mut samples: Vec<ResourceUsage> = Vec::new();
    let mut round = 0;
    while start.elapsed() < length || round < 4 {
        add_random_faults(&server.tenant.control(), &mut random, &mut tally);
        // Four rounds cover every kind of operation.
        match round % 4 {
            0 => import(&server, round, &mut tally).await,
            1 | 3 => export(&server, &mut random, &mut tally).await,
            _ => preview_read_and_cancel(&server, &mut random, &mut tally).await,
        }
        round += 1;
        if reported.elapsed() > Duration::from_mins(1) || round == 8 {
            let now = usage(&server);
            println!(
                "{:>5} s: {} MiB, {} files, {} threads; {tally:?}",
                start.elapsed().as_secs(),
                now.memory >> 20,
                now.files,
                now.threads
            );
            samples.push(now);
            reported = Instant::now();
        }
    }
    server.tenant.control().clear();
    let end = wait_until_idle(&server).await;
    println!("at the end, idle: {} MiB, {} files, {} threads", end.memory >> 20, end.files, end.threads);
    println!("{tally:?}");
    assert_eq!(server.anonymous("/readyz").send().await.expect("an answer").status(), 200);
    assert!(tally.exports > 0 && tally.imports > 0, "{tally:?}");
    // Compare with the maximum of the first samples, because the process is still warming up then.
    let baseline = samples.iter().take(3).map(|usage| usage.memory >> 20).max();
    if let Some(baseline) = baseline.filter(|_| samples.len() > 6) {
        assert!(
            end.memory >> 20 <= baseline + baseline / 2 + 64,
            "memory grew from {baseline} to {} MiB",
            end.memory >> 20
        );
        let files = samples.iter().take(3).map(|usage| usage.files).max().unwrap_or_default();
        assert!(end.files <= files + 16, "open files grew from {files} to {}", end.files);
        let threads = samples.iter().take(3).map(|usage| usage.threads).max().unwrap_or_default();
        assert!(end.threads <= threads + 8, "threads grew from {threads} to {}", end.threads);
    }
    println!("1 passed, 0 failed");
}

/// Waits until no job runs and open files and threads are stable. Returns the resource usage.
async fn wait_until_idle(server: &TestServer) -> ResourceUsage {
    loop {
        let metrics = server.anonymous("/metrics").send().await.expect("an answer").text().await.expect("text");
        if metrics.lines().any(|line| line == "user_import_export_running_jobs 0") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Idle connections and worker threads end after a while.
    let mut last = usage(server);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = usage(server);
        if (now.files, now.threads) == (last.files, last.threads) && now.files < 64 {
            break;
        }
        last = now;
    }
    usage(server)
}

/// Replaces the faults of the tenant by up to three random ones.
fn add_random_faults(control: &Control, random: &mut StdRng, tally: &mut Tally) {
    control.clear();
    for _ in 0..random.random_range(0..4) {
        let kind = match random.random_range(0..12) {
            0 => FaultKind::Delay { millis: random.random_range(1..2000) },
            1 => FaultKind::RateLimit { reset_after: 1, retry_after: random.random() },
            2 => FaultKind::ActiveImports,
            3 => FaultKind::ServerError,
            4 => FaultKind::Unavailable,
            5 => FaultKind::DropBefore,
            6 | 7 => FaultKind::DropAfter,
            8 => FaultKind::Truncate { bytes: random.random_range(0..20_000) },
            9 => FaultKind::ExpiredLink,
            10 => FaultKind::FailJob,
            _ => FaultKind::ExpireTokens,
        };
        let paths = [
            "/api/v2/users",
            "/jobs/users-exports",
            "/jobs/users-imports",
            "/api/v2/jobs/",
            "/exports/",
            "/oauth/token",
            "",
        ];
        let path = match kind {
            FaultKind::ActiveImports => "/jobs/users-imports",
            FaultKind::ExpiredLink => "/exports/",
            FaultKind::FailJob => {
                paths.choose(random).copied().filter(|path| path.starts_with("/jobs/")).unwrap_or("/jobs/users-exports")
            }
            _ => paths.choose(random).copied().unwrap_or_default(),
        };
        control.add(Fault::new(path, kind).after(random.random_range(0..3)).times(random.random_range(1..4)));
        tally.faults += 1;
    }
}

/// Waits until a job is completed; resumes it up to ten times if it fails.
async fn wait_until_completed(server: &TestServer, control: &Control, job: &Value, tally: &mut Tally) -> Value {
    for _ in 0..10 {
        let job = server.wait_until_finished(job_id(job)).await;
        if job["status"] == "completed" {
            return job;
        }
        assert_eq!(job["status"], "failed", "{job}");
        assert!(job["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "no clear reason: {job}");
        tally.failures += 1;
        control.clear();
        tally.resumes += 1;
        assert_eq!(server.resume(job_id(&job)).await.status, 200, "{job}");
    }
    panic!("job {} is not completed after ten attempts", job_id(job));
}

/// Imports new users, some of them invalid. Asserts that each valid one exists exactly once.
async fn import(server: &TestServer, round: u64, tally: &mut Tally) {
    let control = server.tenant.control();
    let before = control.user_count();
    let email = |number: u64| format!("soak-{round}-{number}@example.com");
    let is_invalid = |number: u64| number.is_multiple_of(17);
    let rows: Vec<String> = (0..ROWS)
        .map(|number| {
            let email = if is_invalid(number) { format!("soak-{round}-{number}") } else { email(number) };
            format!("{}\n", json!({"email": email, "app_metadata": {"round": round, "text": "x".repeat(8000)}}))
        })
        .collect();
    let (status, job) = server.request_import(&rows.concat(), &[]).await.into_parts();
    if status >= 500 || status == 429 {
        // A fault hit the check of the connection; no job was started.
        assert!(job["message"].is_string(), "{job}");
        tally.failures += 1;
        return;
    }
    assert_eq!(status, 200, "{job}");
    let job = wait_until_completed(server, &control, &job, tally).await;
    let valid: Vec<u64> = (0..ROWS).filter(|number| !is_invalid(*number)).collect();
    let counts: Vec<usize> = valid.iter().map(|number| control.users_by_email(&email(*number)).len()).collect();
    assert!(counts.iter().all(|count| *count == 1), "a user is missing or duplicated: {counts:?}");
    let inserted = counts.iter().sum::<usize>() as u64;
    let summary = &job["summary"];
    assert_eq!(summary["total"], ROWS, "{job}");
    assert_eq!(summary["inserted"].as_u64(), Some(inserted), "the summary matches the tenant: {job}");
    assert_eq!(summary["failed"].as_u64(), Some(ROWS - inserted), "{job}");
    assert_eq!(control.user_count(), before + inserted);
    let report = server.get(&format!("/api/jobs/{}/report", job_id(&job))).await.json();
    assert_eq!(report.as_array().map(Vec::len), Some((ROWS - inserted) as usize), "every failed row has a reason");
    tally.imports += 1;
    tally.rows_in += inserted;
}

/// Exports all users. Asserts that the file has each exactly once.
async fn export(server: &TestServer, random: &mut StdRng, tally: &mut Tally) {
    let control = server.tenant.control();
    let users = control.user_count();
    let format = *["csv", "json", "ndjson"].choose(random).expect("a format");
    let mut request = json!({"format": format});
    if format == "csv" {
        let columns = ["user.user_id", "user.email", "mask_email(user.email)", "user.email.length + 1"];
        request["fields"] = columns.iter().map(|column| json!({"name": column})).collect();
        request["sort"] = json!({"by": "user.email", "descending": random.random::<bool>()});
    }
    let job = server.request_export(&request).await.accepted();
    let job = wait_until_completed(server, &control, &job, tally).await;
    assert_eq!(job["summary"]["rows"], users, "{job}");
    let file = server.download_bytes(&job).await;
    let ids: Vec<String> = match format {
        "csv" => {
            csv::Reader::from_reader(file.as_slice()).records().map(|row| row.expect("a row")[0].to_owned()).collect()
        }
        "json" => {
            let users: Vec<Value> = serde_json::from_slice(&file).expect("an array");
            users.iter().map(|user| user["user_id"].as_str().expect("an id").to_owned()).collect()
        }
        _ => {
            let lines = file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let user = |line| serde_json::from_slice::<Value>(line).expect("a user");
            lines.map(|line| user(line)["user_id"].as_str().expect("an id").to_owned()).collect()
        }
    };
    let unique: HashSet<&String> = ids.iter().collect();
    assert_eq!((ids.len() as u64, unique.len() as u64), (users, users), "a row is missing or duplicated");
    tally.exports += 1;
    tally.rows_out += users;
}

/// Requests a preview and several pages, then starts an export and cancels it.
async fn preview_read_and_cancel(server: &TestServer, random: &mut StdRng, tally: &mut Tally) {
    let preview = json!({"format": "csv", "fields": [{"name": "user.email"}, {"name": "user.email.at(0)"}]});
    let reply = server.request("POST", "/api/preview").json(&preview).send().await.expect("an answer");
    assert!(reply.status() == 200 || reply.status() == 429 || reply.status().is_server_error(), "{}", reply.status());
    tally.previews += 1;
    for path in ["/api/history", "/api/transforms", "/api/presets", "/export", "/healthz"] {
        let reply = server.request("GET", path).send().await.expect("an answer");
        assert_eq!(reply.status(), 200, "{path}");
    }
    let job = server.request_export(&json!({"format": "csv"})).await.accepted();
    tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
    let canceled = server.cancel(job_id(&job)).await;
    assert!(canceled.status == 200 || canceled.status == 409, "{}", canceled.body);
    let job = server.wait_until_finished(job_id(&job)).await;
    assert!(matches!(job["status"].as_str(), Some("canceled" | "completed" | "failed")), "{job}");
    tally.cancels += 1;
}
