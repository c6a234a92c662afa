//! A large export under rate limits and faults, whose file must be complete and correct, and the CPU cost of a large
//! import.
//!
//! `EXPORT_USERS` sets how many users the tenant has (default 5,000). A million, with CPU and memory figures:
//!
//! ```text
//! cargo build --release
//! PRODUCT_BINARY=$PWD/target/release/user-import-export EXPORT_USERS=1000000 \
//!     cargo test --release -p end-to-end --test e2e large:: -- --nocapture
//! ```
//!
//! `IMPORT_USERS` sets how many users the import has (default 2,000).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use end_to_end::TestServer;
use serde_json::{Value, json};
use simulated_tenant::generate::{export_user, import_user, user_id};
use simulated_tenant::{Fault, FaultKind, RateLimits, TenantSettings};

const SEED: u64 = 42;

fn users() -> u64 {
    std::env::var("EXPORT_USERS").map_or(5000, |text| text.parse().expect("EXPORT_USERS is a number"))
}

/// Clock ticks per second in /proc (`USER_HZ`), 100 on every common Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns CPU seconds (user and system) and peak memory in MiB of a process. `None` without /proc.
fn process_stats(process: u32) -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
    Some((ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND, peak / 1024.0))
}

/// Adds rate limits and faults of every kind, spread over the whole export of about `size` bytes.
fn add_faults(server: &TestServer, size: u64) {
    let control = server.tenant.control();
    control.limit(RateLimits::ESSENTIALS);
    let fault = |path: &str, kind: FaultKind, after: u32, times: u32| {
        control.add(Fault::new(path, kind).after(after).times(times));
    };
    let limit = FaultKind::RateLimit { reset_after: 1, retry_after: true };
    fault("/users", limit.clone(), 0, 1);
    fault("/users", FaultKind::Unavailable, 0, 1);
    fault("/jobs/users-exports", FaultKind::ServerError, 0, 1);
    fault("/jobs/job_", FaultKind::Unavailable, 1, 1);
    fault("/jobs/job_", limit, 2, 1);
    fault("/jobs/job_", FaultKind::ExpireTokens, 3, 1);
    fault("/jobs/job_", FaultKind::DropAfter, 4, 1);
    fault("/exports/", FaultKind::ExpiredLink, 0, 1);
    // Downloads break early, in the middle, before the first byte, and where the server has to start again because
    // the range is ignored.
    for (number, share) in [20, 3, 0, 5, 4].into_iter().enumerate() {
        let bytes = size.checked_div(share).unwrap_or_default();
        fault("/exports/", FaultKind::Truncate { bytes }, 1 + number as u32, 1);
    }
    fault("/exports/", FaultKind::IgnoreRange, 4, 1);
    fault("/exports/", FaultKind::ServerError, 6, 1);
    fault("/exports/", FaultKind::ExpiredLink, 7, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_under_limits_and_faults_is_complete_and_correct() {
    let users = users();
    let settings =
        TenantSettings { users, seed: SEED, export_duration: Duration::from_secs(3), ..TenantSettings::default() };
    let server = TestServer::start(settings, |_| ()).await;
    let idle = process_stats(server.program.id());
    add_faults(&server, users * 60);
    let fields = json!([
        {"name": "user.user_id"}, {"name": "user.email"}, {"name": "user.email_verified"},
        {"name": "identities[0].connection"}, {"name": "user.app_metadata.name || user.name"},
        {"name": "app_metadata.tenant.limits.seats"}, {"name": "user.created_at"},
    ]);
    for sort in [Value::Null, json!({"by": "user.created_at", "descending": true})] {
        let started = Instant::now();
        let mut request = json!({"format": "csv", "raw_cells": true, "fields": fields});
        if !sort.is_null() {
            request["sort"] = sort.clone();
        }
        let job = server.wait_until_finished(&server.start_export(&request).await).await;
        assert_eq!(job["status"], "completed", "{job}");
        let wall = started.elapsed();
        if let (Some((cpu_before, at_rest)), Some((cpu, peak))) = (idle, process_stats(server.program.id())) {
            println!(
                "{users} users{}: {:.1} s, {:.1} s CPU of the server so far, {peak:.0} MiB at its peak ({at_rest:.0} MiB before)",
                if sort.is_null() { "" } else { ", sorted" },
                wall.as_secs_f64(),
                cpu - cpu_before,
            );
        }
        assert_complete(&server, &job, users, !sort.is_null()).await;
    }
    assert_eq!(server.tenant.control().faults(), [], "every fault was used");
    assert_eq!(server.tenant.control().violations(), Vec::<String>::new());
}

/// Asserts that the file has every user once, with correct cells.
async fn assert_complete(server: &TestServer, job: &Value, users: u64, sorted: bool) {
    let mut left: HashMap<String, u64> = (0..users).map(|index| (user_id(index, SEED), index)).collect();
    let people = server.tenant.control().people().len() as u64;
    let mut others = 0;
    let file = server.download_bytes(job).await;
    let mut reader = csv::Reader::from_reader(&file[..]);
    let mut before = None::<String>;
    for row in reader.records() {
        let row = row.unwrap();
        if sorted {
            assert!(before.as_deref().is_none_or(|before| before >= &row[6]), "{before:?} comes before {row:?}");
            before = Some(row[6].to_owned());
        }
        let Some(index) = left.remove(&row[0]) else {
            assert!(
                server.tenant.control().people().iter().any(|person| person.user_id == row[0]),
                "duplicate: {row:?}"
            );
            others += 1;
            continue;
        };
        let user: Value = serde_json::from_str(&export_user(index, SEED)).unwrap();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        assert_eq!(row[1], text(&user["email"]), "{row:?}");
        assert_eq!(row[2], text(&user["email_verified"]), "{row:?}");
        assert_eq!(row[3], text(&user["identities"][0]["connection"]), "{row:?}");
        let custom = text(&user["app_metadata"]["name"]);
        assert_eq!(row[4], if custom.is_empty() { text(&user["name"]) } else { custom }, "{row:?}");
        let seats = &user["app_metadata"]["tenant"]["limits"]["seats"];
        assert_eq!(row[5].parse::<f64>().ok(), seats.as_f64(), "{row:?}");
        assert_eq!(row[6], text(&user["created_at"]), "{row:?}");
    }
    assert!(left.is_empty(), "{} users are missing", left.len());
    assert_eq!(others, people);
    assert_eq!(job["summary"]["rows"], users + people);
}

/// The import rate measured at Auth0, in users per hour.
const AUTH0_USERS_PER_HOUR: f64 = 400_000.0;

/// Imports a file. Returns the finished job and the CPU seconds of the server (`None` without /proc).
async fn import(server: &TestServer, content: &str, dry_run: bool) -> (Value, Option<f64>) {
    let before = process_stats(server.program.id());
    let job = server.import(content, &[("dry_run", if dry_run { "true" } else { "false" })]).await;
    let after = process_stats(server.program.id());
    (job, before.zip(after).map(|((before, _), (after, _))| after - before))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_import_is_complete_and_prints_its_cpu_cost() {
    let users = std::env::var("IMPORT_USERS").map_or(2000, |text| text.parse().expect("IMPORT_USERS is a number"));
    let settings =
        TenantSettings { users: 0, import_duration: Duration::from_millis(500), ..TenantSettings::default() };
    let server = TestServer::start(settings, |_| ()).await;
    let before = server.tenant.control().user_count();
    let content = (0..users).fold(String::new(), |content, index| content + import_user(index, SEED).trim_end() + "\n");

    let (checked, checking) = import(&server, &content, true).await;
    assert_eq!(checked["status"], "completed", "{checked}");
    assert_eq!(server.tenant.control().user_count(), before);
    let (sent, all) = import(&server, &content, false).await;
    assert_eq!(sent["status"], "completed", "{sent}");

    let count = |job: &Value, name: &str| job["summary"][name].as_u64().expect("a count");
    let good = users - count(&checked, "failed");
    assert_eq!((count(&sent, "total"), count(&sent, "inserted"), count(&sent, "updated")), (users, good, 0));
    assert_eq!(server.tenant.control().user_count() - before, good);
    if let (Some(checking), Some(all)) = (checking, all) {
        let sending = (all - checking) * 100_000.0 / users as f64;
        println!(
            "{users} users: {checking:.2} s CPU of the server to receive and check them, {all:.2} s with sending: {sending:.2} s \
             for 100,000 users, {:.2} % of a core at {AUTH0_USERS_PER_HOUR} users per hour",
            sending * AUTH0_USERS_PER_HOUR / 100_000.0 / 36.0,
        );
    }
    assert!(server.tenant.control().job_counts().most_active_imports <= 2);
    assert_eq!(server.tenant.control().violations(), Vec::<String>::new());
}
