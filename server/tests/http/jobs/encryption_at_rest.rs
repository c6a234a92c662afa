//! Tests of encryption at rest: files are unreadable without the key, and stay readable after a new secret.

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};
use test_kit::{
    Application, BASE_URL as BASE, Backend, Login, Request, SECRET, TestKit, fast_tenant, hook_claims, job_id,
    management_token, session_claims, sign_token, start_tenant,
};
use uie_core::config::{Purpose, Settings};
use uie_store::Store;

use super::Harness;

const NEW_SECRET: &str = "e07b92d4518c3fa66f2d0b9ec8471a35";

/// Returns all files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    found
}

#[track_caller]
fn assert_contains_none_of(directory: &Path, marks: &[&str]) {
    for path in files(directory) {
        let bytes = std::fs::read(&path).expect("a file");
        for mark in marks {
            let found = bytes.windows(mark.len()).any(|part| part == mark.as_bytes());
            assert!(!found, "{} holds {mark}", path.display());
        }
    }
}

/// Starts a job that has files of every kind on disk: an import with valid and invalid rows, for which the tenant is
/// unavailable.
async fn waiting_import(harness: &Harness) -> Value {
    let control = harness.tenant.control();
    control.add(Fault::new("/jobs/users-imports", FaultKind::Unavailable).method("POST").times(1000));
    let users = json!([
        {"email": "marked-good@example.com", "user_metadata": {"note": "marked-note"}},
        {"email": "marked-bad at example.com"},
    ]);
    let job = harness.request_import(&users.to_string(), &[]).await.json();
    harness.wait_for_job(job_id(&job), |_| harness.request_count("POST", "/jobs/users-imports") > 0).await;
    job
}

#[actix_web::test]
async fn files_are_encrypted_and_readable_by_their_owner_only() {
    let harness = TestKit::with_users(20).in_process().await;
    let control = harness.tenant.control();
    let admin = control.users_by_email("admin@acme.example").pop().expect("the admin of the simulation");
    let export = harness.export(&json!({"format": "csv"})).await;
    assert!(harness.download(&export).await.body.contains("admin@acme.example"));
    waiting_import(&harness).await;

    let kinds =
        ["users.csv", "upload", "chunks/000001.json", "rows/000001.ndjson", "faults/check.ndjson", "inputs.json"];
    let there = harness.program.job_files();
    for kind in kinds {
        assert!(there.iter().any(|file| file.ends_with(kind)), "no {kind} among {there:?}");
    }
    let subject = admin["user_id"].as_str().expect("an id");
    let marks = ["admin@acme.example", subject, "marked-good", "marked-bad", "marked-note"];
    let directory = harness.program.directory().join("jobs");
    assert_contains_none_of(&directory, &marks);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        for path in files(harness.program.directory()) {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        for path in files(&directory) {
            assert_eq!(mode(path.parent().expect("a directory")), 0o700, "{}", path.display());
        }
    }
}

#[actix_web::test]
async fn neither_database_nor_files_contain_tokens_secrets_and_addresses_in_plain_text() {
    let tenant = start_tenant(fast_tenant(20)).await;
    let token = management_token(&tenant).await;
    let kit = TestKit::for_tenant(&tenant).login(Login::Extension).access_token(&token);
    let harness = kit.setting("SECRET_SALT", "marked-secret-of-the-settings").in_process().await;
    // Unfinished jobs store the token of their owner, and their request may contain secrets.
    let waiting = waiting_import(&harness).await;
    let export = json!({"format": "csv", "fields": [
        {"name": "user.email"},
        {"name": "pseudonymize(user.email, \"marked-literal-secret\")", "export_as": "a"},
        {"name": "pseudonymize(user.email, secret(\"SALT\"))", "export_as": "b"},
    ]});
    let export = harness.export(&export).await;
    assert!(harness.download(&export).await.body.contains("admin@acme.example"));
    assert_eq!(export["by"], "ada@example.com", "known, but encrypted: {export}");
    let kept = harness.program.app.store.token("auth0|ada").await.expect("the database");
    assert!(kept.is_some(), "there is a token to look for");
    let signature = token.rsplit('.').next().expect("the end of a token");
    let marks = [
        token.as_str(),
        signature,
        SECRET,
        "marked-secret-of-the-settings",
        "marked-literal-secret",
        "marked-good",
        "marked-bad",
        "marked-note",
        "admin@acme.example",
        "ada@example.com",
    ];
    // This includes the database and its -wal file while both are in use.
    let everything = files(harness.program.directory());
    for name in ["state.sqlite", "state.sqlite-wal", "data.key"] {
        assert!(everything.iter().any(|file| file.ends_with(name)), "no {name} among {everything:?}");
    }
    let database = harness.program.database();
    assert!(
        database.windows(job_id(&waiting).len()).any(|part| part == job_id(&waiting).as_bytes()),
        "plain ids are found"
    );
    assert_contains_none_of(harness.program.directory(), &marks);
}

#[actix_web::test]
async fn files_jobs_and_sessions_stay_usable_after_a_new_secret() {
    let harness = TestKit::with_users(20).in_process().await;
    let export = harness.export(&json!({"format": "csv"})).await;
    let file = harness.download(&export).await.body;
    let import = waiting_import(&harness).await;

    let settings = [("EXTENSION_SECRET", NEW_SECRET), ("EXTENSION_SECRET_PREVIOUS", SECRET)];
    let harness = harness.restart_with(&settings).await;
    harness.tenant.control().clear();
    // The session was signed with the old secret.
    let import = harness.wait_until_finished(job_id(&import)).await;
    assert_eq!((&import["status"], &import["summary"]["inserted"]), (&json!("completed"), &json!(1)), "{import}");
    let again = harness.job(job_id(&export)).await;
    assert_eq!(harness.download(&again).await.body, file);

    // The key was wrapped again: the old secret is no longer needed for the files, nor accepted.
    let harness = harness.restart_with(&[("EXTENSION_SECRET_PREVIOUS", "")]).await;
    let reply = harness.get("/api/history").await;
    reply.expect_error(401, "invalid_token", "invalid signature");
    let files = harness.program.app.store.job_files(job_id(&export));
    let mut read = String::new();
    std::io::Read::read_to_string(&mut files.open("users.csv").expect("the artifact"), &mut read).expect("text");
    assert_eq!(read, file);
}

/// A weak secret that version 3.0.0 accepted.
const WEAK_SECRET: &str = "Sommer2026!Sommer2026";

#[actix_web::test]
async fn a_weak_secret_is_replaced_without_loss_and_never_verifies_tokens() {
    let harness = TestKit::with_users(20).in_process().await;
    let export = harness.export(&json!({"format": "csv"})).await;
    let file = harness.download(&export).await.body;
    // DATA_DIR as left by version 3.0.0 with that secret. This version never wraps a key with it.
    let Harness { tenant, program, mut settings, session: _ } = harness;
    let of_before = Settings {
        extension_secret: Some(SecretString::from(WEAK_SECRET)),
        data_key_secret_previous: Some(SecretString::from(SECRET)),
        data_dir: program.directory().to_owned(),
        ..Settings::clone(&program.app.settings)
    };
    let directory = program.stop().await;
    drop(Store::open_with(&of_before).await.expect("the key is wrapped by the weak secret"));

    let url = tenant.url();
    let environment = |changes: &[(&str, &str)]| {
        let base = [("AUTH0_DOMAIN", url.as_str())];
        let pairs = base.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::parse(Purpose::Serve, pairs.collect::<Vec<_>>(), None)
    };
    let refused = environment(&[("EXTENSION_SECRET", WEAK_SECRET)]).expect_err("it can be guessed");
    assert!(refused.message.contains("EXTENSION_SECRET_PREVIOUS"), "it says how to go on: {}", refused.message);

    let secrets = [("EXTENSION_SECRET", NEW_SECRET), ("EXTENSION_SECRET_PREVIOUS", WEAK_SECRET)];
    settings.extend(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let program = Application::within(directory, BASE, &pairs).await;
    let session = sign_token(&session_claims(BASE), Algorithm::HS256, WEAK_SECRET);
    let harness = Harness { tenant, program, settings, session };
    harness.get("/api/history").await.expect_error(401, "invalid_token", "invalid signature");
    let hook = hook_claims(&harness.tenant.url(), BASE, "/.extensions/on-uninstall");
    let hook = sign_token(&hook, Algorithm::HS256, WEAK_SECRET);
    let hook = harness.program.send(Request::delete("/.extensions/on-uninstall").bearer(&hook)).await;
    assert_eq!(hook.status, 401);
    let read = |harness: &Harness| {
        let files = harness.program.app.store.job_files(job_id(&export));
        let mut read = String::new();
        std::io::Read::read_to_string(&mut files.open("users.csv").expect("the artifact"), &mut read).expect("text");
        read
    };
    assert_eq!(read(&harness), file);

    // The weak secret was needed once.
    let harness = harness.restart_with(&[("EXTENSION_SECRET_PREVIOUS", "")]).await;
    assert_eq!(read(&harness), file);
}

#[actix_web::test]
async fn a_tampered_file_is_not_served() {
    let harness = TestKit::with_users(20).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    let path = harness.program.directory().join("jobs").join(job_id(&job)).join("users.csv");
    let good = std::fs::read(&path).expect("the artifact");
    let mut cut = good.clone();
    cut.pop();
    let mut changed = good.clone();
    changed[100] ^= 1;
    for bytes in [cut, changed, b"user_id,email\nauth0|1,mallory@example.com\n".to_vec()] {
        std::fs::write(&path, bytes).expect("the artifact");
        let reply = harness.download(&job).await;
        assert_eq!((reply.status, &reply.json()["errorCode"]), (500, &json!("storage")), "{}", reply.body);
    }
    std::fs::write(&path, good).expect("the artifact");
    assert_eq!(harness.download(&job).await.status, 200);
}

#[actix_web::test]
async fn the_file_of_one_job_cannot_replace_that_of_another() {
    let harness = TestKit::with_users(20).in_process().await;
    let first = harness.export(&json!({"format": "csv"})).await;
    let second = harness.export(&json!({"format": "csv"})).await;
    let path = |job: &Value| harness.program.directory().join("jobs").join(job_id(job)).join("users.csv");
    std::fs::copy(path(&first), path(&second)).expect("a copy");
    let reply = harness.download(&second).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (500, &json!("storage")), "{}", reply.body);
}

#[actix_web::test]
async fn uninstallation_makes_copies_of_files_unreadable() {
    let harness = TestKit::with_users(20).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    let path = harness.program.directory().join("jobs").join(job_id(&job)).join("users.csv");
    let kept = std::fs::read(&path).expect("the artifact");
    harness.program.app.jobs.uninstall().await.expect("uninstalled");
    let files = harness.program.app.store.create_job_files(job_id(&job)).expect("a directory");
    std::fs::write(&path, kept).expect("put back");
    assert!(files.open("users.csv").is_err(), "its key is gone");
    let database = harness.program.database();
    let found = database.windows(job_id(&job).len()).any(|part| part == job_id(&job).as_bytes());
    assert!(!found, "no trace of the job is left in the database");
}

#[actix_web::test]
async fn files_from_before_encryption_are_reported_as_expired() {
    let harness = TestKit::with_users(20).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    std::fs::remove_file(harness.program.directory().join("data.key")).expect("the key");
    let harness = harness.restart().await;
    assert_eq!(harness.get("/api/history").await.status, 401, "nor can the session be read");
    let session = harness.program.sign_in("auth0|ada", None).await;
    let harness = harness.with_session(session);
    harness.program.app.jobs.clean_up().await.expect("clean");
    assert_eq!(harness.job(job_id(&job)).await["status"], "expired");
    assert_eq!(harness.program.job_files(), Vec::<String>::new());
    let job = harness.export(&json!({"format": "csv"})).await;
    assert_eq!(harness.download(&job).await.status, 200, "the new key serves new jobs");
}

#[actix_web::test]
async fn an_interrupted_download_is_resumed() {
    let harness = TestKit::with_users(200).in_process().await;
    let job = harness.export(&json!({"format": "json"})).await;
    let whole = harness.download(&job).await;
    let tag = whole.header("etag").to_owned();
    let rest = Request::get(&harness.download_path(&job)).header("range", "bytes=1000-").header("if-range", tag);
    let rest = harness.program.send(rest).await;
    assert_eq!((rest.status, rest.body.as_str()), (206, &whole.body[1000..]));
    assert_eq!(rest.header("content-range"), format!("bytes 1000-{}/{}", whole.body.len() - 1, whole.body.len()));
}
