//! Other users of the machine cannot read or replace the keys, memory and files of a server.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use end_to_end::{SECRET, TestServer, command, job_id, renamed_transform};
use rustix::process::geteuid;
use serde_json::json;
use simulated_tenant::{Fault, FaultKind, TenantSettings};
use tempfile::TempDir;

/// The id of the user and group without privileges on Debian.
const UNPRIVILEGED_ID: u32 = 65534;

fn tenant() -> TenantSettings {
    TenantSettings { users: 20, export_duration: Duration::from_millis(20), ..TenantSettings::default() }
}

/// Returns whether this test runs as root and the unprivileged user can start the binary.
fn can_start_unprivileged() -> bool {
    let directory = TempDir::new().unwrap();
    let mut version = command(directory.path());
    version.arg("--version").current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    geteuid().is_root()
        && version.uid(UNPRIVILEGED_ID).gid(UNPRIVILEGED_ID).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn server_memory_is_not_dumped_or_readable_and_transforms_still_compile() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let transforms = directory.path().join("transforms");
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&transforms).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // A renamed built-in transform is not recognized as built-in, so a child process compiles it.
    std::fs::write(transforms.join("mask_other.wasm"), renamed_transform("mask_email", "mask_other")).unwrap();
    // Root may read any memory, so the server must not run as root here.
    let unprivileged = can_start_unprivileged();
    if unprivileged {
        chown(&data, Some(UNPRIVILEGED_ID), Some(UNPRIVILEGED_ID)).unwrap();
    }
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", &data).env("TRANSFORMS_DIR", &transforms).current_dir("/");
        if unprivileged {
            command.uid(UNPRIVILEGED_ID).gid(UNPRIVILEGED_ID);
        }
    })
    .await;
    let process = Path::new("/proc").join(server.program.id().to_string());
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    assert_eq!(cores.split_whitespace().rev().take(3).collect::<Vec<_>>(), ["bytes", "0", "0"], "{cores}");
    if unprivileged || !geteuid().is_root() {
        assert_eq!(std::fs::metadata(process.join("mem")).unwrap().uid(), 0, "its own user cannot attach to it");
    }
    let fields = json!([{"name": "mask_other(user.email)", "export_as": "masked"}]);
    let job = server.wait_until_finished(&server.start_export(&json!({"format": "csv", "fields": fields})).await).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(server.download(&job).await.body.contains("***"), "{job}");
}

#[tokio::test]
async fn no_job_completes_while_the_data_directory_is_moved_away() {
    let server = TestServer::start(tenant(), |_| ()).await;
    let request = json!({"format": "ndjson"});
    let moved = server.data().with_extension("moved");
    let control = server.tenant.control();
    control.add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }));
    let running = server.start_export(&request).await;
    server.wait_for_job(&running, |job| job["status"] == "processing").await;

    std::fs::rename(server.data(), &moved).unwrap();
    let (status, reply) = server.get("/readyz").await.into_parts();
    assert_eq!(status, 503, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("was moved"), "{reply}");
    let (status, reply) = server.request_export(&request).await.into_parts();
    assert_eq!((status, &reply["errorCode"]), (500, &json!("storage")), "{reply}");
    assert!(!server.data().exists(), "no new directory takes its place");
    control.clear();
    let job = server
        .wait_for_job(&running, |job| job["details"].as_str().is_some_and(|text| text.contains("was moved")))
        .await;
    assert_ne!(job["status"], "completed", "{job}");

    std::fs::rename(&moved, server.data()).unwrap();
    let job = server.wait_until_finished(&running).await;
    // The job failed because its directory was missing. It can be resumed.
    assert_eq!(job["status"], "failed", "{job}");
    let (status, reply) = server.resume(&running).await.into_parts();
    assert_eq!((status, job_id(&reply)), (200, running.as_str()), "{reply}");
    let job = server.wait_until_finished(&running).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(server.download(&job).await.body.lines().count() as u64, control.user_count());
    assert_eq!(server.get("/readyz").await.status, 200);
}

/// Runs `serve` with this data directory, asserts that it ends with this status, and returns its standard error.
fn start_error(data: &Path, status: i32, prepare: impl FnOnce(&mut Command)) -> String {
    let directory = TempDir::new().unwrap();
    let mut serve = command(directory.path());
    serve.arg("serve").env("DATA_DIR", data).env("AUTH0_DOMAIN", "acme.eu.auth0.com").env("PORT", "0");
    serve.env("EXTENSION_SECRET", SECRET).stdin(Stdio::null());
    prepare(&mut serve);
    let output = serve.output().expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert!(!errors.contains(SECRET), "{errors}");
    errors
}

#[tokio::test]
async fn a_data_directory_writable_by_others_stops_the_start() {
    let data = TempDir::new().unwrap();
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let errors = start_error(data.path(), 3, |_| ());
    assert!(errors.contains(data.path().to_str().unwrap()) && errors.contains("chmod 700"), "{errors}");
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let target = TempDir::new().unwrap();
    symlink(target.path(), data.path().join("jobs")).unwrap();
    let errors = start_error(data.path(), 3, |_| ());
    assert!(errors.contains(data.path().join("jobs").to_str().unwrap()), "{errors}");
    assert!(errors.contains("symbolic link"), "{errors}");
}

#[tokio::test]
async fn a_plain_data_key_stops_the_start_unless_it_is_accepted() {
    let data = TempDir::new().unwrap();
    let key = data.path().join("data.key");
    let planted = format!("{{\"plain\":\"{}\"}}", "00".repeat(32));
    std::fs::write(&key, &planted).unwrap();
    let errors = start_error(data.path(), 2, |_| ());
    assert!(errors.contains("data.key") && errors.contains("ACCEPT_PLAIN_DATA_KEY=true"), "{errors}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), planted);
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", data.path()).env("ACCEPT_PLAIN_DATA_KEY", "true");
    })
    .await;
    assert!(server.program.log().contains("it is now wrapped by EXTENSION_SECRET"), "{}", server.program.log());
    assert!(std::fs::read_to_string(&key).unwrap().contains("wrapped"));
}

#[tokio::test]
async fn a_guessable_secret_stops_the_start_and_is_not_printed() {
    let data = TempDir::new().unwrap();
    for weak in ["Sommer2026!Sommer2026", "companyname-export-secret", "correcthorsebatterystaple"] {
        let errors = start_error(data.path(), 2, |serve| {
            serve.env("EXTENSION_SECRET", weak);
        });
        assert!(errors.contains("EXTENSION_SECRET can be guessed with about 2^"), "{errors}");
        assert!(errors.contains("openssl rand -hex 32") && !errors.contains(weak), "{errors}");
    }
}

#[tokio::test]
async fn the_secret_is_read_from_a_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let server = TestServer::start(tenant(), |command| {
        command.env_remove("EXTENSION_SECRET").env("EXTENSION_SECRET_FILE", &file);
    })
    .await;
    assert_eq!(server.get("/api/history").await.status, 200, "a session signed with that secret");
    assert!(!server.program.log().contains("EXTENSION_SECRET_FILE"), "no warning: {}", server.program.log());
}
