//! Tests of `/api/transforms`: list, upload, activation, removal.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

use test_kit::{Application, BASE_URL as BASE, Reply, renamed_transform};

use crate::snapshots::assert_json;

const SHIPPED: &[u8] = include_bytes!("../../../transforms/prebuilt/mask_email.wasm");

/// Starts a server with a separate directory for uploads.
async fn server() -> (Application, TempDir) {
    let data = tempfile::tempdir().expect("a directory");
    (server_with(&data, &[]).await, data)
}

/// Starts a server with these settings and this directory for uploads.
async fn server_with(data: &TempDir, more: &[(&str, &str)]) -> Application {
    let data_dir = data.path().display().to_string();
    let settings = [("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("DATA_DIR", data_dir.as_str())];
    let settings: Vec<_> = settings.iter().chain(more).copied().collect();
    Application::new(BASE, &settings).await
}

/// Uploads a transform and returns the digest of its file.
async fn uploaded(server: &Application, bytes: Vec<u8>) -> String {
    let reply = upload(server, bytes).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()["sha256"].as_str().expect("a digest").to_owned()
}

/// Returns `mask_other` in two versions; the second one has an additional empty custom section.
fn versions() -> [Vec<u8>; 2] {
    let first = renamed_transform("mask_email", "mask_other");
    let mut second = first.clone();
    second.extend_from_slice(&[0, 2, 1, b'x']);
    [first, second]
}

/// Returns `pseudonymize`, whose parameter `key` is a secret, under another name of the same length.
fn with_a_secret() -> Vec<u8> {
    renamed_transform("pseudonymize", "pseudonymizx")
}

async fn save_preset(server: &Application, settings: &Value) -> Reply {
    call(server, TestRequest::put().uri("/api/presets/mine").set_json(settings)).await
}

async fn call(server: &Application, request: TestRequest) -> Reply {
    let token = server.sign_in("auth0|ada", None).await;
    server.call(request.insert_header(("authorization", format!("Bearer {token}")))).await
}

async fn list(server: &Application) -> Value {
    let reply = call(server, TestRequest::get().uri("/api/transforms")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

async fn upload(server: &Application, bytes: Vec<u8>) -> Reply {
    let request = TestRequest::post().uri("/api/transforms").insert_header(("content-type", "application/wasm"));
    call(server, request.set_payload(bytes)).await
}

async fn remove(server: &Application, name: &str) -> Reply {
    call(server, TestRequest::delete().uri(&format!("/api/transforms/{name}"))).await
}

fn names(list: &Value) -> Vec<&str> {
    let transforms = list["transforms"].as_array().expect("an array");
    transforms.iter().filter_map(|transform| transform["name"].as_str()).collect()
}

#[actix_web::test]
async fn the_list_describes_each_transform() {
    let (server, _data) = server().await;
    let list = list(&server).await;
    assert!(names(&list).contains(&"mask_email"), "{list}");
    let mask = list["transforms"]
        .as_array()
        .and_then(|transforms| transforms.iter().find(|transform| transform["name"] == "mask_email"))
        .expect("shipped");
    assert_json!(mask);
    assert_json!([&list["limits"], &list["problems"]]);
}

#[actix_web::test]
async fn every_operation_needs_a_session() {
    let (server, _data) = server().await;
    for request in [
        TestRequest::get().uri("/api/transforms"),
        TestRequest::post().uri("/api/transforms").set_payload(SHIPPED),
        TestRequest::delete().uri("/api/transforms/mask_email"),
    ] {
        assert_eq!(server.call(request).await.status, 401);
    }
}

#[actix_web::test]
async fn an_upload_is_stored_replaced_and_removed() {
    let (server, data) = server().await;
    let reply = upload(&server, renamed_transform("mask_email", "mask_other")).await;
    assert_eq!((reply.status, reply.json()["origin"].as_str()), (201, Some("upload")), "{}", reply.body);
    assert!(names(&list(&server).await).contains(&"mask_other"));
    assert!(data.path().join("transforms/mask_other.wasm").is_file());
    assert_eq!(upload(&server, renamed_transform("mask_email", "mask_other")).await.status, 201);
    let of_now = list(&server).await;
    let other = of_now["transforms"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "mask_other"));
    assert_eq!(other.and_then(|other| other["versions"].as_array()).map(Vec::len), Some(1), "the same file again");

    let reply = remove(&server, "mask_other").await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert!(!names(&list(&server).await).contains(&"mask_other"));
    assert_eq!(remove(&server, "mask_other").await.status, 404);
    assert_eq!(remove(&server, "..%2f..%2fetc").await.status, 404);
}

#[actix_web::test]
async fn shipped_transforms_can_be_neither_replaced_nor_removed() {
    let (server, _data) = server().await;
    for reply in [upload(&server, SHIPPED.to_vec()).await, remove(&server, "mask_email").await] {
        assert_eq!(
            (reply.status, reply.json()["errorCode"].as_str()),
            (409, Some("transform_exists")),
            "{}",
            reply.body
        );
    }
}

#[actix_web::test]
async fn a_transform_whose_examples_fail_is_not_stored() {
    let (server, data) = server().await;
    let mut bytes = renamed_transform("mask_email", "mask_other");
    // In the manifest: the transform's data contains the same text.
    let section = memchr::memmem::find(&bytes, b"user-import-export:manifest").expect("a manifest");
    let expected = memchr::memmem::find(&bytes[section..], b"\"gives\":\"").expect("an example") + 9;
    bytes[section + expected] = b'?';
    let reply = upload(&server, bytes).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (400, Some("invalid_transform")));
    let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("The examples of mask_other@1.0.0 fail on this server: mask_other("), "{message}");
    assert!(!data.path().join("transforms").exists());
}

#[actix_web::test]
async fn an_invalid_or_too_large_file_is_refused() {
    let (server, data) = server().await;
    let reply = upload(&server, b"not wasm".to_vec()).await;
    assert_eq!(reply.status, 400);
    assert!(reply.json()["message"].as_str().is_some_and(|text| text.contains("It is not a WASM file")));
    assert_eq!(upload(&server, Vec::new()).await.status, 400);
    let reply = upload(&server, vec![0; 100 << 20]).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (413, Some("payload_too_large")));
    assert!(!data.path().join("transforms").exists());
}

#[actix_web::test]
async fn a_broken_file_is_reported_without_its_path() {
    let (server, data) = server().await;
    std::fs::create_dir(data.path().join("transforms")).expect("a directory");
    std::fs::write(data.path().join("transforms/broken.wasm"), "nothing").expect("a file");
    let list = list(&server).await;
    assert_eq!(list["problems"][0]["file"], "broken.wasm");
}

#[actix_web::test]
async fn an_upload_with_a_used_name_is_a_new_version_and_earlier_ones_stay() {
    let (server, _data) = server().await;
    let [first, second] = versions();
    let (first, second) = (uploaded(&server, first).await, uploaded(&server, second).await);
    assert_ne!(first, second);
    let versions = async |server: &Application| {
        let list = list(server).await;
        let other = list["transforms"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "mask_other"));
        let other = other.expect("there").clone();
        let versions = other["versions"].as_array().expect("versions").clone();
        let mut shown: Vec<_> = versions
            .iter()
            .map(|version| (version["sha256"].as_str().unwrap_or_default().to_owned(), version["active"] == true))
            .collect();
        assert!(versions.iter().all(|version| version["uploaded_by"] == "ada@example.com"), "{versions:?}");
        assert!(versions.iter().all(|version| version["uploaded_at"].is_string()), "{versions:?}");
        shown.sort_by_key(|(_, active)| *active);
        (other["sha256"].as_str().unwrap_or_default().to_owned(), shown)
    };
    assert_eq!(versions(&server).await, (second.clone(), vec![(first.clone(), false), (second.clone(), true)]));
    let database = server.database();
    assert!(memchr::memmem::find(&database, b"ada@example.com").is_none(), "addresses are encrypted");

    let active = |sha256: &str| {
        let request = TestRequest::put().uri("/api/transforms/mask_other/active").set_json(json!({"sha256": sha256}));
        call(&server, request)
    };
    assert_eq!(remove(&server, &format!("mask_other?sha256={second}")).await.json()["errorCode"], "transform_active");
    let reply = active(&first).await;
    assert_eq!((reply.status, reply.json()["sha256"].as_str()), (200, Some(first.as_str())), "{}", reply.body);
    assert_eq!(remove(&server, &format!("mask_other?sha256={second}")).await.status, 204);
    assert_eq!(versions(&server).await, (first, vec![(reply.json()["sha256"].as_str().unwrap().to_owned(), true)]));
    assert_eq!(active(&second).await.status, 404);
    assert_eq!(remove(&server, &format!("mask_other?sha256={second}")).await.status, 404);
}

#[actix_web::test]
async fn presets_keep_the_versions_they_were_saved_with() {
    let (server, _data) = server().await;
    let [first, second] = versions();
    let first = uploaded(&server, first).await;
    let settings = json!({"format": "csv", "fields": [{"name": "mask_other(user.email)", "export_as": "M"}]});
    let saved = save_preset(&server, &settings).await;
    assert_eq!((saved.status, &saved.json()["transforms"]), (200, &json!({"mask_other": first})), "{}", saved.body);
    let import = json!({"type": "import", "map": {"email": "mask_other(user.mail)"}});
    assert_eq!(save_preset(&server, &import).await.json()["transforms"], json!({"mask_other": first}));

    let second = uploaded(&server, second).await;
    // Saving the returned settings keeps the pinned version.
    assert_eq!(save_preset(&server, &saved.json()).await.json()["transforms"], json!({"mask_other": first}));
    // Saving settings without a version pins the active version.
    assert_eq!(save_preset(&server, &settings).await.json()["transforms"], json!({"mask_other": second}));
    // Neither shipped transforms nor paths are pinned.
    let plain = json!({"format": "csv", "fields": [{"name": "mask_email(user.email)", "export_as": "M"}]});
    assert_eq!(save_preset(&server, &plain).await.json().get("transforms"), None);

    // A version that was deleted is not replaced by another upload.
    assert_eq!(remove(&server, &format!("mask_other?sha256={first}")).await.status, 204);
    let reply = call(&server, TestRequest::post().uri("/api/preview").set_json(saved.json())).await;
    let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("the saved version of `mask_other` was deleted"), "{message}");
}

#[actix_web::test]
async fn an_upload_can_use_a_secret_only_if_it_is_bound_to_it() {
    let data = tempfile::tempdir().expect("a directory");
    let use_it = async |server: &Application, expression: &str| {
        let settings = json!({"format": "csv", "fields": [{"name": expression, "export_as": "P"}]});
        let reply = call(server, TestRequest::post().uri("/api/preview").set_json(settings)).await;
        reply.json()["message"].as_str().unwrap_or_default().to_owned()
    };
    let server = server_with(&data, &[("SECRET_SALT", "the salt of salts")]).await;
    let sha256 = uploaded(&server, with_a_secret()).await;
    let by_name = r#"pseudonymizx(user.email, secret("SALT"))"#;
    let message = use_it(&server, by_name).await;
    assert!(message.contains("the transform `pseudonymizx` may not have the secret \"SALT\""), "{message}");
    assert!(message.contains(&sha256), "{message}");
    for call in [r#"pseudonymize(user.email, secret("SALT"))"#, r#"pseudonymizx(user.email, "typed by the user")"#] {
        let message = use_it(&server, call).await;
        assert!(!message.contains("may not have"), "{call}: {message}");
    }
    drop(server);

    let bound = format!("SALT=sha256:{sha256}");
    let server = server_with(&data, &[("SECRET_SALT", "the salt of salts"), ("TRANSFORM_SECRETS", &bound)]).await;
    assert!(!use_it(&server, by_name).await.contains("may not have"));
    // A secret bound to one transform is not available to another.
    assert!(use_it(&server, r#"pseudonymize(user.email, secret("SALT"))"#).await.contains("may not have the secret"));
    // Another file with the bound name.
    let mut other = with_a_secret();
    other.extend_from_slice(&[0, 2, 1, b'x']);
    uploaded(&server, other).await;
    assert!(use_it(&server, by_name).await.contains("may not have the secret"));
}

#[actix_web::test]
async fn uploads_can_be_switched_off() {
    let data = tempfile::tempdir().expect("a directory");
    let on = server_with(&data, &[]).await;
    assert_eq!(list(&on).await["uploads"], true);
    let sha256 = uploaded(&on, versions()[0].clone()).await;
    drop(on);
    let off = server_with(&data, &[("TRANSFORM_UPLOADS", "false")]).await;
    let shown = list(&off).await;
    assert_eq!(shown["uploads"], false);
    assert!(!names(&shown).contains(&"mask_other"), "{shown}");
    let active = TestRequest::put().uri("/api/transforms/mask_other/active").set_json(json!({"sha256": sha256}));
    for reply in [upload(&off, versions()[1].clone()).await, remove(&off, "mask_other").await, call(&off, active).await]
    {
        assert_eq!(
            (reply.status, &reply.json()["errorCode"]),
            (403, &json!("transform_uploads_off")),
            "{}",
            reply.body
        );
    }
}

#[actix_web::test]
async fn hidden_characters_in_an_upload_are_refused_with_the_field() {
    let (server, data) = server().await;
    let mut bytes = renamed_transform("mask_email", "mask_other");
    let section = memchr::memmem::find(&bytes, b"user-import-export:manifest").expect("a manifest");
    let at = section + memchr::memmem::find(&bytes[section..], b"\"summary\":\"").expect("a summary") + 11;
    // U+202E, right-to-left override, in place of the first letters.
    bytes[at..at + 3].copy_from_slice("\u{202e}".as_bytes());
    let reply = upload(&server, bytes).await;
    assert_eq!((reply.status, &reply.json()["errorCode"]), (400, &json!("invalid_transform")));
    assert!(reply.body.contains("Its summary contains the character U+202E"), "{}", reply.body);
    assert!(!data.path().join("transforms").exists());
}
