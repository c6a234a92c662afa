//! A jump of the system clock must not delete jobs. Runs the real binary under libfaketime.

use std::path::{Path, PathBuf};
use std::time::Duration;

use end_to_end::TestServer;
use serde_json::{Value, json};
use simulated_tenant::TenantSettings;
use tempfile::TempDir;

/// Returns the path of libfaketime, or `None` if it is not installed.
///
/// # Panics
/// If it is not installed and `E2E_FAKETIME=required` is set.
fn libfaketime() -> Option<PathBuf> {
    let directories = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let found = directories
        .chain([PathBuf::from("/usr/lib")])
        .map(|directory| directory.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists());
    if found.is_none() {
        let required = std::env::var("E2E_FAKETIME").is_ok_and(|value| value == "required");
        assert!(!required, "E2E_FAKETIME=required, but libfaketime is not installed");
        eprintln!("skipped: libfaketime is not installed");
    }
    found
}

/// The fake system clock of a server.
struct FakeClock {
    library: PathBuf,
    directory: TempDir,
}

impl FakeClock {
    fn new() -> Option<Self> {
        let clock = Self { library: libfaketime()?, directory: TempDir::new().expect("a temporary directory") };
        clock.set("+0");
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("time")
    }

    /// Sets the offset from the true time, `+100d` for instance. Replaces the file atomically, because the server may
    /// read it at any time.
    fn set(&self, offset: &str) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{offset}\n")).expect("a file");
        std::fs::rename(new, self.file()).expect("a file");
    }

    /// Starts a server with this clock. Its monotonic clock is not changed, so its clean-up, which sets and checks the
    /// clock, runs once a minute as always.
    async fn start(&self) -> TestServer {
        let tenant =
            TenantSettings { users: 20, export_duration: Duration::from_millis(20), ..TenantSettings::default() };
        TestServer::start(tenant, |command| {
            command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", self.file());
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command.env("DONT_FAKE_MONOTONIC", "1");
        })
        .await
    }
}

/// Runs an export and returns the completed job.
async fn run_export(server: &TestServer) -> Value {
    let request = json!({"format": "csv", "fields": [{"name": "user.email", "export_as": "email"}]});
    let job = server.wait_until_finished(&server.start_export(&request).await).await;
    assert_eq!(job["status"], "completed", "{job}");
    job
}

/// Asserts that the job is in the history and that its file can be downloaded.
async fn assert_available(server: &TestServer, job: &Value) {
    let (status, history) = server.get("/api/history").await.into_parts();
    assert_eq!((status, &history["jobs"][0]["id"]), (200, &job["id"]), "{history}");
    let job = server.job(job["id"].as_str().expect("an id")).await;
    assert_eq!(job["status"], "completed", "{job}");
    let lines = server.download(&job).await.body.lines().count();
    assert_eq!(lines as u64, server.tenant.control().user_count() + 1, "a header and every user");
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[tokio::test]
async fn starting_with_a_clock_ahead_deletes_nothing() {
    let Some(clock) = FakeClock::new() else { return };
    let mut server = clock.start().await;
    let job = run_export(&server).await;
    for _ in 0..2 {
        server.program.kill();
        clock.set("+100d");
        let from = server.program.log().len();
        server.program.restart().await;
        server.program.wait_for_log(from, "the clock jumped by 86").await;
        server.program.kill();
        assert!(!is_empty(&server.data().join("jobs")), "the files are there");
        clock.set("+0");
        let from = server.program.log().len();
        server.program.restart().await;
        server.program.wait_for_log(from, "the clock jumped by -86").await;
        assert_available(&server, &job).await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_while_the_server_runs_deletes_nothing() {
    let Some(clock) = FakeClock::new() else { return };
    let server = clock.start().await;
    let job = run_export(&server).await;
    let suspended = async || {
        let metrics = server.anonymous("/metrics").send().await.expect("an answer").text().await.expect("text");
        let line = metrics.lines().find(|line| line.starts_with("user_import_export_cleanup_suspended "));
        line.expect("the metric").ends_with(" 1")
    };
    let from = server.program.log().len();
    clock.set("+100d");
    // The server knows the tenant's time from earlier responses.
    server.program.wait_for_log(from, "the clock differs from the tenant's by 86").await;
    assert!(suspended().await);
    assert!(!is_empty(&server.data().join("jobs")), "the files are there");
    let from = server.program.log().len();
    clock.set("+0");
    server.program.wait_for_log(from, "the clock is trusted again").await;
    assert!(!suspended().await);
    assert_available(&server, &job).await;
}
