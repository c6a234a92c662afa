//! An import that everything goes wrong with: the tenant loses answers, limits requests, breaks connections and
//! fails jobs, and the server is killed at random moments. Every good row must be in the tenant exactly once,
//! every bad one must be reported with its line.
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

use end_to_end::test_server::{answer, id};
use end_to_end::{PATIENCE, TestServer};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use simulated_tenant::generate::import_user;
use simulated_tenant::{Control, Fault, FaultKind, TenantSettings};
use tempfile::TempDir;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}")))
}

/// Whether the import schema refuses a generated user, told by what the generator spoils.
fn is_bad(user: &Value) -> bool {
    let members = user.as_object().expect("a user");
    let hash = members.get("password_hash").and_then(Value::as_str);
    !members.get("email").is_some_and(Value::is_string)
        || members.values().any(|value| value.is_null() || value == "")
        || members.contains_key("unknown_key")
        || hash.is_some_and(|hash| hash.len() != "$2b$10$".len() + 53)
}

/// Writes the users; the lines of the bad ones.
fn write_users(path: &Path, users: u64, seed: u64) -> BTreeSet<u64> {
    let mut output = BufWriter::new(File::create(path).expect("a file"));
    let mut bad = BTreeSet::new();
    for index in 0..users {
        let text = import_user(index, seed);
        let text = text.trim_end();
        if is_bad(&serde_json::from_str(text).expect("JSON")) {
            bad.insert(index + 1);
        }
        writeln!(output, "{text}").expect("written");
    }
    output.flush().expect("written");
    bad
}

/// Starts an import of a file, however large, and gives its id.
async fn import(server: &TestServer, users: &Path) -> String {
    let file = tokio::fs::File::open(users).await.expect("the users");
    let form = reqwest::multipart::Form::new()
        .text("connection_id", server.tenant.database_connection_id())
        .part("users", reqwest::multipart::Part::stream(file).file_name("users.ndjson"));
    let (status, job) = answer(server.request("POST", "/api/jobs/import").multipart(form)).await;
    assert_eq!(status, 200, "{job}");
    id(&job).to_owned()
}

/// Something that goes wrong once.
fn fault(random: &mut StdRng) -> Fault {
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

/// Lets things go wrong, one after the other, as long as it is polled.
async fn go_wrong(control: &Control, mut random: StdRng) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        if control.faults().len() < 2 {
            control.add(fault(&mut random));
        }
        // A million users are many requests.
        control.forget_requests();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_of_an_import_with_faults_and_a_server_that_is_killed_again_and_again() {
    let users = setting("IMPORT_SOAK_USERS", 4000);
    let kills = setting("IMPORT_SOAK_KILLS", 3);
    let seed = setting("IMPORT_SOAK_SEED", 7);
    let longest = setting("IMPORT_SOAK_LONGEST_LIFE_MILLIS", 2500 + users / 100);
    let mut random = StdRng::seed_from_u64(seed);
    let began = Instant::now();

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
    let faults = go_wrong(&control, StdRng::seed_from_u64(seed + 1));
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
            // Too many answers were lost in a row: a person goes on with it.
            Some("failed") => {
                resumed += 1;
                assert!(resumed < 50, "{job}");
                let (status, said) = server.post(&format!("/api/jobs/{id}/resume"), &json!({})).await;
                assert_eq!(status, 200, "{said}");
            }
            _ if killed < kills => {
                server.program.kill();
                server.assert_intact().await;
                server.program.start_again().await;
                killed += 1;
            }
            _ => {}
        }
        let processed = job["processed"].as_u64().unwrap_or_default();
        if processed != seen.0 {
            seen = (processed, Instant::now());
        }
        assert!(seen.1.elapsed() < PATIENCE, "nothing advances: {job}\n{}", server.program.log());
    };
    control.clear();

    // Every good row exactly once …
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
    // … and every bad one reported with its line.
    let (status, report) = server.get(&format!("/api/jobs/{id}/report")).await;
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
        began.elapsed().as_secs_f64()
    );
    assert!(jobs.most_active_imports <= 2);
    assert_eq!(jobs.completion_emails, 0);
}
