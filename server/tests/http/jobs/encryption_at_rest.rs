//! Tests of encryption at rest: files are unreadable without the key, and stay readable after a new secret.

use std::path::{Path, PathBuf};

use actix_web::test::TestRequest;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulated_tenant::{Fault, FaultKind};

use uie_core::config::{Purpose, Settings};
use uie_store::Store;

use super::job_tokens::token;
use super::{BASE, Harness, id, tenant};
use crate::test_server::{SECRET, Server};

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
    let job = harness.import(&harness.database(), &users.to_string(), &[]).await.json();
    harness.poll_until(id(&job), |_| harness.request_count("POST", "/jobs/users-imports") > 0).await;
    job
}

#[actix_web::test]
async fn files_are_encrypted_and_readable_by_their_owner_only() {
    let harness = Harness::new(20).await;
    let control = harness.tenant.control();
    let admin = control.users_by_email("admin@acme.example").pop().expect("the admin of the simulation");
    let export = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    assert!(harness.download(&export).await.body.contains("admin@acme.example"));
    waiting_import(&harness).await;

    let kinds =
        ["users.csv", "upload", "chunks/000001.json", "rows/000001.ndjson", "faults/check.ndjson", "inputs.json"];
    let there = harness.server.job_files();
    for kind in kinds {
        assert!(there.iter().any(|file| file.ends_with(kind)), "no {kind} among {there:?}");
    }
    let subject = admin["user_id"].as_str().expect("an id");
    let marks = ["admin@acme.example", subject, "marked-good", "marked-bad", "marked-note"];
    let directory = harness.server.directory().join("jobs");
    assert_contains_none_of(&directory, &marks);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        for path in files(harness.server.directory()) {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        for path in files(&directory) {
            assert_eq!(mode(path.parent().expect("a directory")), 0o700, "{}", path.display());
        }
    }
}

#[actix_web::test]
async fn neither_database_nor_files_contain_tokens_secrets_and_addresses_in_plain_text() {
    let tenant = tenant(20).await;
    let url = tenant.url();
    let token = token(&tenant).await;
    let settings = [
        ("AUTH0_DOMAIN", url.as_str()),
        ("AUTH0_RTA", url.as_str()),
        ("LOGIN", "extension"),
        ("SECRET_SALT", "marked-secret-of-the-settings"),
    ];
    let harness = Harness::start(tenant.clone(), &settings, Some(&token)).await;
    // Unfinished jobs store the token of their owner, and their request may contain secrets.
    let waiting = waiting_import(&harness).await;
    let export = json!({"format": "csv", "fields": [
        {"name": "user.email"},
        {"name": "pseudonymize(user.email, \"marked-literal-secret\")", "export_as": "a"},
        {"name": "pseudonymize(user.email, secret(\"SALT\"))", "export_as": "b"},
    ]});
    let export = harness.wait_for_end(&harness.export(&export).await).await;
    assert!(harness.download(&export).await.body.contains("admin@acme.example"));
    assert_eq!(export["by"], "ada@example.com", "known, but encrypted: {export}");
    let kept = harness.server.app.store.token("auth0|ada").await.expect("the database");
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
    let everything = files(harness.server.directory());
    for name in ["state.sqlite", "state.sqlite-wal", "data.key"] {
        assert!(everything.iter().any(|file| file.ends_with(name)), "no {name} among {everything:?}");
    }
    let database = harness.server.database();
    assert!(database.windows(id(&waiting).len()).any(|part| part == id(&waiting).as_bytes()), "plain ids are found");
    assert_contains_none_of(harness.server.directory(), &marks);
}

#[actix_web::test]
async fn files_jobs_and_sessions_stay_usable_after_a_new_secret() {
    let harness = Harness::new(20).await;
    let export = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let file = harness.download(&export).await.body;
    let import = waiting_import(&harness).await;

    let settings = [("EXTENSION_SECRET", NEW_SECRET), ("EXTENSION_SECRET_PREVIOUS", SECRET)];
    let harness = harness.restart_with(&settings).await;
    harness.tenant.control().clear();
    // The session was signed with the old secret.
    let import = harness.poll_until_over(id(&import)).await;
    assert_eq!((&import["status"], &import["summary"]["inserted"]), (&json!("completed"), &json!(1)), "{import}");
    let again = harness.get(&format!("/api/jobs/{}", id(&export))).await.json();
    assert_eq!(harness.download(&again).await.body, file);

    // The key was wrapped again: the old secret is no longer needed for the files, nor accepted.
    let harness = harness.restart_with(&[("EXTENSION_SECRET_PREVIOUS", "")]).await;
    let reply = harness.get("/api/history").await;
    reply.expect_error(401, "invalid_token", "invalid signature");
    let files = harness.server.app.store.job_files(id(&export));
    let mut read = String::new();
    std::io::Read::read_to_string(&mut files.open("users.csv").expect("the artifact"), &mut read).expect("text");
    assert_eq!(read, file);
}

/// A weak secret that version 3.0.0 accepted.
const WEAK_SECRET: &str = "Sommer2026!Sommer2026";

#[actix_web::test]
async fn a_weak_secret_is_replaced_without_loss_and_never_verifies_tokens() {
    let harness = Harness::new(20).await;
    let export = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let file = harness.download(&export).await.body;
    // DATA_DIR as left by version 3.0.0 with that secret. This version never wraps a key with it.
    let Harness { tenant, server, settings, session: _ } = harness;
    let of_before = Settings {
        extension_secret: Some(SecretString::from(WEAK_SECRET)),
        data_key_secret_previous: Some(SecretString::from(SECRET)),
        data_dir: server.directory().to_owned(),
        ..Settings::clone(&server.app.settings)
    };
    let directory = server.stop().await;
    drop(Store::open_with(&of_before).await.expect("the key is wrapped by the weak secret"));

    let url = tenant.url();
    let environment = |changes: &[(&str, &str)]| {
        let base = [("AUTH0_DOMAIN", url.as_str())];
        let pairs = base.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::parse(Purpose::Serve, pairs.collect::<Vec<_>>(), None)
    };
    let refused = environment(&[("EXTENSION_SECRET", WEAK_SECRET)]).expect_err("it can be guessed");
    assert!(refused.message.contains("EXTENSION_SECRET_PREVIOUS"), "it says how to go on: {}", refused.message);

    let session = |secret: &str| {
        let now = Timestamp::now().as_second();
        let claims = json!({
            "sub": "auth0|ada", "email": "ada@acme.example", "iss": BASE, "aud": "urn:user-import-export-extension",
            "iat": now, "exp": now + 3600, "jti": "0123456789abcdef",
        });
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token")
    };
    let mut pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.extend([("EXTENSION_SECRET", NEW_SECRET), ("EXTENSION_SECRET_PREVIOUS", WEAK_SECRET)]);
    let server = Server::within(directory, BASE, &pairs).await;
    let harness = Harness { tenant, server, settings: Vec::new(), session: session(WEAK_SECRET) };
    harness.get("/api/history").await.expect_error(401, "invalid_token", "invalid signature");
    let hook = json!({"iss": harness.tenant.url(), "aud": format!("{BASE}/.extensions/on-uninstall")});
    let hook =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &hook, &EncodingKey::from_secret(WEAK_SECRET.as_bytes()));
    let hook = format!("Bearer {}", hook.expect("a token"));
    let hook = TestRequest::delete().uri("/ext/.extensions/on-uninstall").insert_header(("authorization", hook));
    assert_eq!(harness.server.call(hook).await.status, 401);
    let read = |harness: &Harness| {
        let files = harness.server.app.store.job_files(id(&export));
        let mut read = String::new();
        std::io::Read::read_to_string(&mut files.open("users.csv").expect("the artifact"), &mut read).expect("text");
        read
    };
    assert_eq!(read(&harness), file);

    // The weak secret was needed once.
    let Harness { tenant, server, settings, session } = harness;
    pairs.pop();
    let server = Server::within(server.stop().await, BASE, &pairs).await;
    let harness = Harness { tenant, server, settings, session };
    assert_eq!(read(&harness), file);
}

#[actix_web::test]
async fn a_tampered_file_is_not_served() {
    let harness = Harness::new(20).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let path = harness.server.directory().join("jobs").join(id(&job)).join("users.csv");
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
    let harness = Harness::new(20).await;
    let first = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let second = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let path = |job: &Value| harness.server.directory().join("jobs").join(id(job)).join("users.csv");
    std::fs::copy(path(&first), path(&second)).expect("a copy");
    let reply = harness.download(&second).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (500, &json!("storage")), "{}", reply.body);
}

#[actix_web::test]
async fn uninstallation_makes_copies_of_files_unreadable() {
    let harness = Harness::new(20).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let path = harness.server.directory().join("jobs").join(id(&job)).join("users.csv");
    let kept = std::fs::read(&path).expect("the artifact");
    harness.server.app.jobs.uninstall().await.expect("uninstalled");
    let files = harness.server.app.store.create_job_files(id(&job)).expect("a directory");
    std::fs::write(&path, kept).expect("put back");
    assert!(files.open("users.csv").is_err(), "its key is gone");
    let database = harness.server.database();
    let found = database.windows(id(&job).len()).any(|part| part == id(&job).as_bytes());
    assert!(!found, "no trace of the job is left in the database");
}

#[actix_web::test]
async fn files_from_before_encryption_are_reported_as_expired() {
    let harness = Harness::new(20).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    std::fs::remove_file(harness.server.directory().join("data.key")).expect("the key");
    let harness = harness.restart().await;
    assert_eq!(harness.get("/api/history").await.status, 401, "nor can the session be read");
    let session = harness.server.sign_in("auth0|ada", None).await;
    let harness = Harness { session, ..harness };
    harness.server.app.jobs.clean_up().await.expect("clean");
    assert_eq!(harness.get(&format!("/api/jobs/{}", id(&job))).await.json()["status"], "expired");
    assert_eq!(harness.server.job_files(), Vec::<String>::new());
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    assert_eq!(harness.download(&job).await.status, 200, "the new key serves new jobs");
}

#[actix_web::test]
async fn an_interrupted_download_is_resumed() {
    let harness = Harness::new(200).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "json"})).await).await;
    let whole = harness.download(&job).await;
    let tag = whole.header("etag").to_owned();
    let path = job["location"].as_str().expect("a link").strip_prefix("https://tools.example").expect("ours");
    let rest = TestRequest::get().uri(path).insert_header(("range", "bytes=1000-")).insert_header(("if-range", tag));
    let rest = harness.server.call(rest).await;
    assert_eq!((rest.status, rest.body.as_str()), (206, &whole.body[1000..]));
    assert_eq!(rest.header("content-range"), format!("bytes 1000-{}/{}", whole.body.len() - 1, whole.body.len()));
}
