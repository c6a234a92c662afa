//! Full disks, file size limits and unusable directories.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use end_to_end::{SECRET, TestServer, command};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use simulated_tenant::generate::export_user;
use simulated_tenant::{Fault, FaultKind, TenantSettings};
use tempfile::TempDir;

/// Settings of a tenant whose full export is larger than any disk of these tests.
fn tenant() -> TenantSettings {
    TenantSettings { users: 6000, export_duration: Duration::from_millis(50), ..TenantSettings::default() }
}

/// An export of all users, which does not fit on the disk.
fn large_export() -> Value {
    json!({"format": "ndjson"})
}

/// An export that fits on the disk.
fn small_export() -> Value {
    json!({"format": "csv", "limit": 10, "fields": [{"name": "user.email", "export_as": "email"}]})
}

/// A small tmpfs, unmounted when dropped. Mounting needs root, or `sudo` without a password.
struct Disk(TempDir);

/// Runs a command as root, directly or with `sudo`. Returns whether it succeeded.
fn run_as_root(program: &str, arguments: &[&str], last: &Path) -> bool {
    let run = |mut command: Command| {
        let status = command.args(arguments).arg(last).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    run(Command::new(program)) || run(sudo)
}

impl Disk {
    fn new(size: &str) -> Option<Self> {
        Self::mount(&format!("size={size}"))
    }

    /// Mounts a tmpfs with these options. `None` if that is not possible.
    ///
    /// # Panics
    /// If it is not possible and `E2E_DISKS=required` is set.
    fn mount(options: &str) -> Option<Self> {
        let directory = TempDir::new().expect("a temporary directory");
        let owner = std::fs::metadata(directory.path()).expect("the directory").uid();
        let options = format!("{options},uid={owner},mode=700");
        if run_as_root("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], directory.path()) {
            return Some(Self(directory));
        }
        let required = std::env::var("E2E_DISKS").is_ok_and(|value| value == "required");
        assert!(!required, "E2E_DISKS=required, but no disk can be mounted here");
        eprintln!("skipped: no disk can be mounted here");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn enlarge(&self, size: &str) {
        assert!(run_as_root("mount", &["-o", &format!("remount,size={size}")], self.path()), "a larger disk");
    }

    /// Fills the disk with a file, and returns its path.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("a file");
        let error = std::io::copy(&mut std::io::repeat(0), &mut file).expect_err("the disk becomes full");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazy, because a process that a failed test left running may still use it.
        run_as_root("umount", &["--lazy"], self.0.path());
    }
}

/// Asserts that the server is ready and completes a small export.
async fn assert_exports_work(server: &TestServer) {
    assert_eq!(server.get("/readyz").await.status, 200);
    let id = server.start_export(&small_export()).await;
    let job = server.wait_until_finished(&id).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(server.download(&job).await.body.lines().count(), 11);
}

#[tokio::test]
async fn a_full_disk_fails_the_job_and_the_server_keeps_running() {
    let Some(disk) = Disk::new("3m") else { return };
    let data = disk.path().join("data");
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", &data);
    })
    .await;
    let job = server.wait_until_finished(&server.start_export(&large_export()).await).await;
    assert_eq!((&job["status"], &job["error"]["errorCode"]), (&json!("failed"), &json!("disk_full")), "{job}");
    assert!(job["error"]["message"].as_str().is_some_and(|message| message.contains("No space left")), "{job}");
    assert!(job.get("location").is_none(), "{job}");
    assert_exports_work(&server).await;

    // On a full disk a new job is refused. Once space is freed, exports work again.
    let kept = server.keep_write_ahead_log().await;
    let filler = disk.fill();
    server.request_export(&small_export()).await.expect_code(507, "disk_full");
    assert_eq!(server.get("/healthz").await.status, 200);
    drop(kept);
    std::fs::remove_file(&filler).unwrap();
    assert_exports_work(&server).await;
}

#[tokio::test]
async fn a_full_disk_or_broken_database_fails_readiness_with_the_reason() {
    let Some(disk) = Disk::new("3m") else { return };
    let data = disk.path().join("data");
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", &data);
    })
    .await;
    assert_eq!(server.get("/readyz").await.status, 200);
    let filler = disk.fill();
    let (status, reply) = server.get("/readyz").await.into_parts();
    assert_eq!((status, &reply["errorCode"]), (503, &json!("not_ready")), "{reply}");
    assert!(reply["message"].as_str().is_some_and(|message| message.contains("No space left")), "{reply}");
    assert_eq!(server.get("/healthz").await.status, 200, "a restart would not help");
    std::fs::remove_file(&filler).unwrap();
    assert_exports_work(&server).await;

    // The database is missing, then restored, then overwritten.
    let assert_not_ready = async || {
        let (status, reply) = server.get("/readyz").await.into_parts();
        assert_eq!((status, &reply["errorCode"]), (503, &json!("not_ready")), "{reply}");
        assert!(reply["message"].as_str().is_some_and(|message| message.contains("The database")), "{reply}");
        assert_eq!(server.get("/healthz").await.status, 200);
    };
    let database = data.join("state.sqlite");
    std::fs::rename(&database, data.join("moved")).unwrap();
    assert_not_ready().await;
    std::fs::rename(data.join("moved"), &database).unwrap();
    assert_exports_work(&server).await;
    for name in ["state.sqlite", "state.sqlite-wal"] {
        let file = data.join(name);
        let length = std::fs::metadata(&file).map_or(0, |file| file.len());
        let file = File::options().write(true).open(&file).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(b'x'), length), &mut &file).unwrap();
    }
    assert_not_ready().await;
    let log = server.program.log();
    assert_eq!(log.matches("code=\"not_ready\"").count(), 3, "{log}");
}

/// Returns valid users as NDJSON, about one kilobyte each.
fn users(count: u64) -> String {
    let padding = "x".repeat(950);
    (0..count).fold(String::new(), |text, index| {
        let user = json!({"email": format!("user{index}@example.com"), "user_metadata": {"text": padding}});
        text + &user.to_string() + "\n"
    })
}

#[tokio::test]
async fn an_import_larger_than_the_disk_fails_and_can_be_resumed_later() {
    let Some(disk) = Disk::new("4m") else { return };
    let data = disk.path().join("data");
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", &data);
    })
    .await;
    let before = server.tenant.control().user_count();

    // The upload does not fit.
    let (status, refused) = server.request_import(&users(8000), &[]).await.into_parts();
    assert_eq!((status, &refused["errorCode"]), (507, &json!("disk_full")), "{refused}");
    assert_exports_work(&server).await;

    // The upload fits, but the prepared chunks do not.
    let id = server.start_import(&users(2200), &[]).await;
    let job = server.wait_until_finished(&id).await;
    assert_eq!((&job["status"], &job["error"]["errorCode"]), (&json!("failed"), &json!("disk_full")), "{job}");
    assert_eq!(server.tenant.control().user_count(), before, "nothing is sent before all is checked");

    disk.enlarge("40m");
    let (status, said) = server.resume(&id).await.into_parts();
    assert_eq!(status, 200, "{said}");
    let job = server.wait_until_finished(&id).await;
    assert_eq!((&job["status"], &job["summary"]["inserted"]), (&json!("completed"), &json!(2200)), "{job}");
    assert_eq!(server.tenant.control().user_count() - before, 2200);
}

#[tokio::test]
async fn the_final_state_of_a_job_is_stored_after_space_is_freed() {
    let Some(disk) = Disk::new("3m") else { return };
    let data = disk.path().join("data");
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", &data);
    })
    .await;
    server.tenant.control().add(Fault::new("/jobs/users-exports", FaultKind::HangJob).once());
    let id = server.start_export(&large_export()).await;
    server.wait_for_job(&id, |job| !job["details"].is_null()).await;
    let filler = disk.fill();
    let (status, job) = server.cancel(&id).await.into_parts();
    assert_eq!(status, 200, "{job}");
    std::fs::remove_file(&filler).unwrap();
    let job = server.wait_until_finished(&id).await;
    assert_eq!(job["status"], "canceled", "{job}");
    assert_exports_work(&server).await;
}

#[tokio::test]
async fn a_file_size_limit_fails_the_job_and_not_the_server() {
    let server = TestServer::start(tenant(), |_| ()).await;
    let process = Pid::from_raw(i32::try_from(server.program.id()).unwrap());
    let limit = Some(2 << 20);
    prlimit(process, Resource::Fsize, Rlimit { current: limit, maximum: limit }).expect("a limit of our own child");
    let job = server.wait_until_finished(&server.start_export(&large_export()).await).await;
    assert_eq!((&job["status"], &job["error"]["errorCode"]), (&json!("failed"), &json!("storage")), "{job}");
    assert!(job["error"]["message"].as_str().is_some_and(|message| message.contains("File too large")), "{job}");
    assert_exports_work(&server).await;
}

#[tokio::test]
async fn an_unusable_job_directory_is_named_in_the_error() {
    let server = TestServer::start(tenant(), |_| ()).await;
    let jobs = server.data().join("jobs");
    std::fs::remove_dir(&jobs).unwrap();
    std::fs::write(&jobs, "in the way").unwrap();
    let (status, reply) = server.post("/api/jobs/export", &small_export()).await.into_parts();
    assert_eq!((status, &reply["errorCode"]), (500, &json!("storage")), "{reply}");
    assert!(reply["message"].as_str().is_some_and(|message| message.contains("jobs/job_")), "{reply}");
    assert_eq!(server.history().await, json!([]), "nothing began");
    std::fs::remove_file(&jobs).unwrap();
    assert_exports_work(&server).await;
}

#[test]
fn a_read_only_data_directory_stops_the_start_with_the_reason() {
    let Some(disk) = Disk::mount("ro") else { return };
    let directory = TempDir::new().unwrap();
    let mut serve = command(directory.path());
    serve.arg("serve").env("DATA_DIR", disk.path()).env("AUTH0_DOMAIN", "acme.eu.auth0.com").env("PORT", "0");
    serve.env("EXTENSION_SECRET", SECRET);
    let output = serve.output().expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("DATA_DIR") && errors.contains("Read-only"), "{errors}");
}

#[test]
fn the_command_line_names_the_unwritable_file_and_leaves_no_partial_file() {
    let directory = TempDir::new().unwrap();
    let users: String = (0..3000).map(|index| export_user(index, 1) + "\n").collect();
    std::fs::write(directory.path().join("users.ndjson"), users).unwrap();
    let export = |output: &str, stdout: Stdio| {
        let arguments = ["export", "--from", "users.ndjson", "--format", "ndjson", "--output", output];
        let output = command(directory.path()).args(arguments).stdout(stdout).output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let (status, said) = export("-", full.into());
    assert!(status == Some(3) && said.contains("No space left"), "{status:?} {said}");

    let (status, said) = export("missing/users.ndjson", Stdio::null());
    assert!(status == Some(3) && said.contains("missing/users.ndjson"), "{status:?} {said}");

    let Some(disk) = Disk::new("1m") else { return };
    let target = disk.path().join("users.ndjson");
    let (status, said) = export(target.to_str().unwrap(), Stdio::null());
    assert!(status == Some(3) && said.contains("No space left"), "{status:?} {said}");
    assert_eq!(disk.path().read_dir().unwrap().count(), 0, "no partial file is left");
}
