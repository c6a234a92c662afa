//! An import with random faults: the tenant loses responses, limits requests, breaks connections and fails jobs, and
//! the server is killed at random moments. Every valid row must be in the tenant exactly once, every invalid row must
//! be reported with its line.
//!
//! The short form runs with all tests. The long one:
//!
//! ```text
//! IMPORT_SOAK_USERS=1000000 IMPORT_SOAK_KILLS=20 \
//!     cargo test --release -p end-to-end --test e2e soak -- --nocapture
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use end_to_end::test_server::{job_id, send};
use end_to_end::{TIMEOUT, TestServer};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use simulated_tenant::generate::import_user;
use simulated_tenant::{Control, Fault, FaultKind, TenantSettings};
use tempfile::TempDir;

/// Returns a number from the environment, or `default` if it is not set.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

/// Returns whether the import schema rejects a generated user, by the defects that the generator adds.
fn is_invalid(user: &Value) -> bool {
    let members = user.as_object().expect("a user");
    let hash = members.get("password_hash").and_then(Value::as_str);
    !members.get("email").is_some_and(Value::is_string)
        || members.values().any(|value| value.is_null() || value == "")
        || members.contains_key("unknown_key")
        || hash.is_some_and(|hash| hash.len() != "$2b$10$".len() + 53)
}

/// Writes generated users to a file. Returns the line numbers of the invalid ones.
fn write_users(path: &Path, users: u64, seed: u64) -> BTreeSet<u64> {
    let mut output = BufWriter::new(File::create(path).expect("a file"));
    let mut bad = BTreeSet::new();
    for index in 0..users {
        let text = import_user(index, seed);
        let text = text.trim_end();
        if is_invalid(&serde_json::from_str(text).expect("JSON")) {
            bad.insert(index + 1);
        }
        writeln!(output, "{text}").expect("written");
    }
    output.flush().expect("written");
    bad
}

/// Starts an import of a file, streamed from disk, and returns the job's id.
async fn import(server: &TestServer, users: &Path) -> String {
    let file = tokio::fs::File::open(users).await.expect("the users");
    let form = reqwest::multipart::Form::new()
        .text("connection_id", server.tenant.database_connection_id())
        .part("users", reqwest::multipart::Part::stream(file).file_name("users.ndjson"));
    let (status, job) = send(server.request("POST", "/api/jobs/import").multipart(form)).await.into_parts();
    assert_eq!(status, 200, "{job}");
    job_id(&job).to_owned()
}

/// Returns a random fault that happens once.
fn random_fault(random: &mut StdRng) -> Fault {
    const POST: &str = "/jobs/users-imports";
    let post = |kind| Fault::new(POST, kind).method("POST").once();
    let get = |kind| Fault::new("/api/v2/jobs/", kind).method("GET").once();
    let kinds = [
        post(FaultKind::DropAfter),
        post(FaultKind::DropBefore),
        post(FaultKind::ServerError),
        post(FaultKind::Unavailable),
        post(FaultKind::ActiveImports),
        post(FaultKind::Truncate { bytes: 20 }),
        post(FaultKind::RateLimit { reset_after: 1, retry_after: true }),
        post(FaultKind::FailJob),
        get(FaultKind::DropAfter),
        get(FaultKind::ServerError),
        get(FaultKind::Truncate { bytes: 30 }),
        get(FaultKind::RateLimit { reset_after: 1, retry_after: false }),
        Fault::new("/users-by-email", FaultKind::Unavailable).once(),
        Fault::new("/api/v2", FaultKind::ExpireTokens).once(),
    ];
    kinds.choose(random).expect("a fault").clone()
}

/// Adds random faults, at most two at a time, until it is dropped.
async fn inject_faults(control: &Control, mut random: StdRng) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        if control.faults().len() < 2 {
            control.add(random_fault(&mut random));
        }
        // Keeps memory small: a million users need many requests.
        control.forget_requests();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_survives_faults_and_repeated_kills() {
    let users = setting("IMPORT_SOAK_USERS", 4000);
    let kills = setting("IMPORT_SOAK_KILLS", 3);
    let seed = setting("IMPORT_SOAK_SEED", 7);
    let longest = setting("IMPORT_SOAK_LONGEST_LIFE_MILLIS", 2500 + users / 100);
    let mut random = StdRng::seed_from_u64(seed);
    let started = Instant::now();

    let settings = TenantSettings {
        users: 0,
        import_duration: Duration::from_millis(150),
        strict: false,
        ..TenantSettings::default()
    };
    let mut server = TestServer::start(settings, |start| {
        start.env("UPLOAD_LIMIT", "100GiB");
    })
    .await;
    let control = server.tenant.control();
    let before = control.user_count();
    let files = TempDir::new().expect("a directory");
    let path = files.path().join("users.ndjson");
    let bad = write_users(&path, users, seed);

    let id = import(&server, &path).await;
    let (mut killed, mut resumed) = (0, 0);
    let mut seen = (0, Instant::now());
    let faults = inject_faults(&control, StdRng::seed_from_u64(seed + 1));
    tokio::pin!(faults);
    let job = loop {
        let life = Duration::from_millis(random.random_range(100..longest));
        let pause = if killed < kills { life } else { Duration::from_millis(500) };
        tokio::select! {
            () = &mut faults => {}
            () = tokio::time::sleep(pause) => {}
        }
        let job = server.job(&id).await;
        match job["status"].as_str() {
            Some("completed") => break job,
            // Too many responses were lost in a row: resume, as a user would.
            Some("failed") => {
                resumed += 1;
                assert!(resumed < 50, "{job}");
                let (status, said) = server.resume(&id).await.into_parts();
                assert_eq!(status, 200, "{said}");
            }
            _ if killed < kills => {
                server.program.kill();
                server.assert_database_intact().await;
                server.program.restart().await;
                killed += 1;
            }
            _ => {}
        }
        let processed = job["processed"].as_u64().unwrap_or_default();
        if processed != seen.0 {
            seen = (processed, Instant::now());
        }
        assert!(seen.1.elapsed() < TIMEOUT, "nothing advances: {job}\n{}", server.program.log());
    };
    control.clear();

    // Every valid row is in the tenant exactly once …
    let summary = &job["summary"];
    let good = users - bad.len() as u64;
    let counts = ["total", "inserted", "updated", "failed"].map(|name| summary[name].as_u64().expect("a count"));
    assert_eq!(counts, [users, good, 0, bad.len() as u64], "{summary}");
    assert_eq!(control.user_count() - before, good);
    for (number, line) in (1..).zip(BufReader::new(File::open(&path).expect("the users")).lines()) {
        let user: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let Some(email) = user["email"].as_str() else { continue };
        let times = control.users_by_email(&email.to_lowercase()).len();
        assert_eq!(times, usize::from(!bad.contains(&number)), "line {number}");
    }
    // … and every invalid row is reported with its line.
    let (status, report) = server.get(&format!("/api/jobs/{id}/report")).await.into_parts();
    assert_eq!(status, 200, "{report}");
    let report = report.as_array().expect("a list of failed rows");
    let reported: Vec<u64> = report.iter().map(|row| row["line"].as_u64().expect("a line")).collect();
    assert_eq!(reported, bad.iter().copied().collect::<Vec<_>>());
    assert!(report.iter().all(|row| row["errors"].as_array().is_some_and(|errors| !errors.is_empty())));

    let jobs = control.job_counts();
    println!(
        "{users} users, {} bad: killed {killed} times, resumed {resumed} times, {} import jobs, most at once {}, {:.0} s",
        bad.len(),
        jobs.imports,
        jobs.most_active_imports,
        started.elapsed().as_secs_f64()
    );
    assert!(jobs.most_active_imports <= 2);
    assert_eq!(jobs.completion_emails, 0);
}
