//! Keys, memory and files of a running server are kept from others.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use end_to_end::test_server::{SECRET, id};
use end_to_end::{TestServer, command};
use rustix::process::geteuid;
use serde_json::json;
use simulated_tenant::{Fault, FaultKind, TenantSettings};
use tempfile::TempDir;

/// `nobody` on Debian.
const NOBODY: u32 = 65534;

fn tenant() -> TenantSettings {
    TenantSettings { users: 20, export_duration: Duration::from_millis(20), ..TenantSettings::default() }
}

/// Whether this test runs as root, and `nobody` can start the binary.
fn can_start_as_nobody() -> bool {
    let directory = TempDir::new().unwrap();
    let mut version = command(directory.path());
    version.arg("--version").current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    geteuid().is_root() && version.uid(NOBODY).gid(NOBODY).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn the_memory_of_a_server_is_neither_dumped_nor_readable_and_it_compiles_transforms_all_the_same() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let transforms = directory.path().join("transforms");
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&transforms).unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // A shipped transform under another name counts as a foreign one, which a process of its own compiles.
    let mut foreign = include_bytes!("../../transforms/prebuilt/mask_email.wasm").to_vec();
    while let Some(at) = foreign.windows(10).position(|part| part == b"mask_email") {
        foreign[at..at + 10].copy_from_slice(b"mask_other");
    }
    std::fs::write(transforms.join("mask_other.wasm"), foreign).unwrap();
    // Root may do everything, so that nothing would be shown.
    let nobody = can_start_as_nobody();
    if nobody {
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", &data).env("TRANSFORMS_DIR", &transforms).current_dir("/");
        if nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
    })
    .await;
    let process = Path::new("/proc").join(server.program.id().to_string());
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    assert_eq!(cores.split_whitespace().rev().take(3).collect::<Vec<_>>(), ["bytes", "0", "0"], "{cores}");
    if nobody || !geteuid().is_root() {
        assert_eq!(std::fs::metadata(process.join("mem")).unwrap().uid(), 0, "its own user cannot attach to it");
    }
    let fields = json!([{"name": "mask_other(user.email)", "export_as": "masked"}]);
    let job = server.until_over(&server.export(&json!({"format": "csv", "fields": fields})).await).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(server.download(&job).await.text().await.unwrap().contains("***"), "{job}");
}

#[tokio::test]
async fn a_data_directory_that_is_moved_away_completes_nothing_until_it_is_back() {
    let server = TestServer::start(tenant(), |_| ()).await;
    let request = json!({"format": "ndjson"});
    let elsewhere = server.data().with_extension("moved");
    let control = server.tenant.control();
    control.add(Fault::new("/jobs/job_", FaultKind::JobStatus { status: "processing".into() }));
    let running = server.export(&request).await;
    server.until(&running, |job| job["status"] == "processing").await;

    std::fs::rename(server.data(), &elsewhere).unwrap();
    let (status, reply) = server.get("/readyz").await;
    assert_eq!(status, 503, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("was moved"), "{reply}");
    let (status, reply) = server.ask_export(&request).await;
    assert_eq!((status, &reply["errorCode"]), (500, &json!("storage")), "{reply}");
    assert!(!server.data().exists(), "no new directory takes its place");
    control.clear();
    let job =
        server.until(&running, |job| job["details"].as_str().is_some_and(|text| text.contains("was moved"))).await;
    assert_ne!(job["status"], "completed", "{job}");

    std::fs::rename(&elsewhere, server.data()).unwrap();
    let job = server.until_over(&running).await;
    // It could not be completed while its directory was gone. That is known now, and it can be resumed.
    assert_eq!(job["status"], "failed", "{job}");
    let (status, reply) = server.post(&format!("/api/jobs/{running}/resume"), &json!({})).await;
    assert_eq!((status, id(&reply)), (200, running.as_str()), "{reply}");
    let job = server.until_over(&running).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(server.download(&job).await.text().await.unwrap().lines().count() as u64, control.user_count());
    assert_eq!(server.get("/readyz").await.0, 200);
}

/// `serve` with this directory, which must not start: what it said.
fn refused(data: &Path, prepare: impl FnOnce(&mut Command)) -> String {
    let directory = TempDir::new().unwrap();
    let mut serve = command(directory.path());
    serve.arg("serve").env("DATA_DIR", data).env("AUTH0_DOMAIN", "acme.eu.auth0.com").env("PORT", "0");
    serve.env("EXTENSION_SECRET", SECRET).stdin(Stdio::null());
    prepare(&mut serve);
    let output = serve.output().expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(2 | 3)), "{:?} {errors}", output.status);
    assert!(!errors.contains(SECRET), "{errors}");
    errors
}

#[tokio::test]
async fn a_data_directory_that_others_can_change_refuses_the_start_and_is_named() {
    let data = TempDir::new().unwrap();
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let errors = refused(data.path(), |_| ());
    assert!(errors.contains(data.path().to_str().unwrap()) && errors.contains("chmod 700"), "{errors}");
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let elsewhere = TempDir::new().unwrap();
    symlink(elsewhere.path(), data.path().join("jobs")).unwrap();
    let errors = refused(data.path(), |_| ());
    assert!(errors.contains(data.path().join("jobs").to_str().unwrap()), "{errors}");
    assert!(errors.contains("symbolic link"), "{errors}");
}

#[tokio::test]
async fn a_planted_data_key_refuses_the_start_and_one_of_commands_is_accepted_in_words() {
    let data = TempDir::new().unwrap();
    let key = data.path().join("data.key");
    let planted = format!("{{\"plain\":\"{}\"}}", "00".repeat(32));
    std::fs::write(&key, &planted).unwrap();
    let errors = refused(data.path(), |_| ());
    assert!(errors.contains("data.key") && errors.contains("ACCEPT_PLAIN_DATA_KEY=true"), "{errors}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), planted);
    let server = TestServer::start(tenant(), |command| {
        command.env("DATA_DIR", data.path()).env("ACCEPT_PLAIN_DATA_KEY", "true");
    })
    .await;
    assert!(server.program.log().contains("is wrapped by EXTENSION_SECRET from now on"), "{}", server.program.log());
    assert!(std::fs::read_to_string(&key).unwrap().contains("wrapped"));
}

#[tokio::test]
async fn a_secret_that_can_be_guessed_refuses_the_start_and_is_not_shown() {
    let data = TempDir::new().unwrap();
    for weak in ["Sommer2026!Sommer2026", "companyname-export-secret", "correcthorsebatterystaple"] {
        let errors = refused(data.path(), |serve| {
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
    assert_eq!(server.get("/api/history").await.0, 200, "a session signed with that secret");
    assert!(!server.program.log().contains("EXTENSION_SECRET_FILE"), "no warning: {}", server.program.log());
}
