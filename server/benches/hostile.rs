//! Measures the response times of a server while malicious transforms run in exports and previews: endless loops,
//! memory bombs, catastrophic regular expressions, recursion, very large results, panics. Run with
//! `cargo bench --bench hostile [-- SECONDS]`. The server is a separate process; the simulated tenant is in this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_kit::{TestKit, TestServer, hostile_columns, hostile_transforms};

/// Number of concurrent previews, repeated until the end.
const PREVIEWS: usize = 4;

/// Number of concurrent exports, repeated until the end.
const EXPORTS: usize = 3;

/// Interval of health checks.
const HEALTH_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Sends health checks for a while and prints their response times.
async fn measure(what: &str, server: &TestServer, time: Duration) {
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        assert_eq!(server.get("/healthz").await.status, 200);
        times.push(began.elapsed());
        tokio::time::sleep(HEALTH_CHECK_INTERVAL).await;
    }
    times.sort();
    let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let usage = server.program.resource_usage();
    let memory = usage.map_or_else(String::new, |usage| format!(", {} MiB", usage.memory >> 20));
    println!(
        "{what:32} p50 {:7.2} ms, p99 {:7.2} ms, slowest {:7.2} ms of {} answers{memory}",
        share(0.5),
        share(0.99),
        share(1.0),
        times.len()
    );
}

async fn preview(server: &TestServer, fields: &Value) {
    server.preview(fields).await.accepted();
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(30);
    let time = Duration::from_secs(seconds);
    let transforms = hostile_transforms();
    let directory = transforms.path().display().to_string();
    let server = Arc::new(TestKit::with_users(2000).setting("TRANSFORMS_DIR", &directory).process().await);
    // Compile the transforms before the measurement.
    let good =
        json!({"format": "csv", "fields": [{"name": "[user.email].length"}, {"name": "compatibility(\"kind\")"}]});
    preview(&server, &good).await;
    measure("nothing runs", &server, Duration::from_secs(3)).await;

    let stop = Arc::new(AtomicBool::new(false));
    let (previews, exports) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut busy = Vec::new();
    for number in 0..PREVIEWS + EXPORTS {
        let (server, stop, previews, exports) =
            (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&previews), Arc::clone(&exports));
        busy.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                if number < PREVIEWS {
                    preview(&server, &hostile_columns()).await;
                    previews.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let id = server.start_export(&hostile_columns()).await;
                let is_finished = |job: &Value| !matches!(job["status"].as_str(), Some("pending" | "processing"));
                while !is_finished(&server.job(&id).await) && !stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                exports.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    measure(&format!("{PREVIEWS} previews, {EXPORTS} exports"), &server, time).await;
    stop.store(true, Ordering::Relaxed);
    for task in busy {
        task.await.expect("no panic");
    }
    // The malicious columns exceed their limits and stop; then other columns are computed as before.
    preview(&server, &good).await;
    measure("afterwards", &server, Duration::from_secs(3)).await;
    println!(
        "{} previews and {} exports finished during the measurement",
        previews.load(Ordering::Relaxed),
        exports.load(Ordering::Relaxed)
    );
}
