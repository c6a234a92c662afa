//! `/api/transforms`: list, upload, removal.

use actix_web::test::TestRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Reply, Server};

const BASE: &str = "https://tools.example/ext";
const SHIPPED: &[u8] = include_bytes!("../../../transforms/prebuilt/mask_email.wasm");

/// A server whose uploads go to a directory of their own.
async fn server() -> (Server, TempDir) {
    let data = tempfile::tempdir().expect("a directory");
    let data_dir = data.path().display().to_string();
    let settings = [("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("DATA_DIR", data_dir.as_str())];
    (Server::new(BASE, &settings).await, data)
}

async fn call(server: &Server, request: TestRequest) -> Reply {
    let token = server.sign_in("auth0|ada", None).await;
    server.call(request.insert_header(("authorization", format!("Bearer {token}")))).await
}

async fn list(server: &Server) -> Value {
    let reply = call(server, TestRequest::get().uri("/api/transforms")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

async fn upload(server: &Server, bytes: Vec<u8>) -> Reply {
    let request = TestRequest::post().uri("/api/transforms").insert_header(("content-type", "application/wasm"));
    call(server, request.set_payload(bytes)).await
}

async fn remove(server: &Server, name: &str) -> Reply {
    call(server, TestRequest::delete().uri(&format!("/api/transforms/{name}"))).await
}

fn names(list: &Value) -> Vec<&str> {
    let transforms = list["transforms"].as_array().expect("an array");
    transforms.iter().filter_map(|transform| transform["name"].as_str()).collect()
}

/// A shipped transform under another name of the same length.
fn renamed(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = SHIPPED.to_vec();
    let places: Vec<_> = memchr::memmem::find_iter(SHIPPED, from).collect();
    assert!(!places.is_empty(), "{from}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[actix_web::test]
async fn the_list_says_all_that_a_caller_needs() {
    let (server, _data) = server().await;
    let list = list(&server).await;
    assert!(names(&list).contains(&"mask_email"), "{list}");
    let mask = list["transforms"]
        .as_array()
        .and_then(|transforms| transforms.iter().find(|transform| transform["name"] == "mask_email"))
        .expect("shipped");
    assert_eq!(mask["origin"], "shipped");
    assert_eq!(mask["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(mask["parameters"][0]["type"], "text");
    assert!(mask["examples"][0]["call"].as_str().is_some_and(|call| call.starts_with("mask_email(")), "{mask}");
    assert_eq!(list["limits"]["time_ms"], 500);
    assert_eq!(list["problems"], json!([]));
}

#[actix_web::test]
async fn nobody_comes_in_without_a_session() {
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
async fn an_upload_is_kept_replaced_and_removed() {
    let (server, data) = server().await;
    let reply = upload(&server, renamed("mask_email", "mask_other")).await;
    assert_eq!((reply.status, reply.json()["origin"].as_str()), (201, Some("upload")), "{}", reply.body);
    assert!(names(&list(&server).await).contains(&"mask_other"));
    assert!(data.path().join("transforms/mask_other.wasm").is_file());
    assert_eq!(upload(&server, renamed("mask_email", "mask_other")).await.status, 201);

    let reply = remove(&server, "mask_other").await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert!(!names(&list(&server).await).contains(&"mask_other"));
    assert_eq!(remove(&server, "mask_other").await.status, 404);
    assert_eq!(remove(&server, "..%2f..%2fetc").await.status, 404);
}

#[actix_web::test]
async fn what_is_shipped_can_be_neither_replaced_nor_removed() {
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
async fn what_does_not_hold_its_own_examples_is_not_kept() {
    let (server, data) = server().await;
    let mut bytes = renamed("mask_email", "mask_other");
    // In the manifest: the same text stands among the transform's data too.
    let section = memchr::memmem::find(&bytes, b"user-import-export:manifest").expect("a manifest");
    let expected = memchr::memmem::find(&bytes[section..], b"\"gives\":\"").expect("an example") + 9;
    bytes[section + expected] = b'?';
    let reply = upload(&server, bytes).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (400, Some("invalid_transform")));
    let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("The examples of mask_other@1.0.0 do not hold here: mask_other("), "{message}");
    assert!(!data.path().join("transforms").exists());
}

#[actix_web::test]
async fn what_is_no_transform_or_too_large_is_refused() {
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
async fn a_broken_file_is_named_without_its_place() {
    let (server, data) = server().await;
    std::fs::create_dir(data.path().join("transforms")).expect("a directory");
    std::fs::write(data.path().join("transforms/broken.wasm"), "nothing").expect("a file");
    let list = list(&server).await;
    assert_eq!(list["problems"][0]["file"], "broken.wasm");
}
