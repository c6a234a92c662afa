//! Tests with hostile transforms in the real server: it stays responsive and releases their resources.

use std::fmt::Write;
use std::time::Duration;

use futures_util::future::{Either, select, select_all};
use serde_json::{Value, json};

use crate::server_process::{HOSTILE, ServerProcess, hostile_columns, hostile_transforms};

/// Returns the first rows of valid columns, one for each kind of transform.
async fn valid_preview(server: &ServerProcess) -> Value {
    let fields = ["mask_email(user.email)", "[user.email].map(x => x).length", "compatibility(\"kind\", user.email)"];
    let fields: Vec<Value> = fields.iter().map(|name| json!({ "name": name })).collect();
    let request = server.post("/api/preview").json(&json!({"format": "csv", "limit": 5, "fields": fields}));
    let reply = request.send().await.expect("an answer");
    assert_eq!(reply.status(), 200);
    let preview: Value = reply.json().await.expect("JSON");
    let rows = preview["rows"].as_array().expect("rows");
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row[1]["value"] == 1 && row[2]["value"].is_string()),
        "{preview}"
    );
    preview["rows"].clone()
}

#[actix_web::test]
async fn hostile_transforms_do_not_block_the_server_and_leave_no_memory() {
    let transforms = hostile_transforms();
    let directory = transforms.path().display().to_string();
    let server = ServerProcess::start(60, &[("TRANSFORMS_DIR", &directory), ("SANDBOX_TIMEOUT", "100ms")]).await;
    let before = valid_preview(&server).await;
    let memory_before = server.memory();
    let columns = hostile_columns();
    let export = server.post("/api/jobs/export").json(&columns).send().await.expect("an answer");
    assert_eq!(export.status(), 200);
    let export: Value = export.json().await.expect("a job");
    let previews: Vec<_> = (0..4).map(|_| tokio::spawn(server.post("/api/preview").json(&columns).send())).collect();
    // Rows with endless loops take seconds in each preview. If they blocked the server, it would answer after them.
    for _ in 0..30 {
        assert!(server.is_healthy().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(previews.iter().any(|preview| !preview.is_finished()), "all previews were over before health was asked");
    for preview in previews {
        let reply = preview.await.expect("no panic").expect("an answer");
        assert_eq!(reply.status(), 200);
        let preview: Value = reply.json().await.expect("JSON");
        let rows = preview["rows"].as_array().expect("rows");
        assert!(!rows.is_empty());
        for row in rows {
            let cells = row.as_array().expect("cells");
            assert_eq!(cells.len(), HOSTILE.len());
            assert!(cells.iter().all(|cell| cell["error"].is_string()), "{row}");
        }
    }
    let id = export["id"].as_str().expect("an id");
    let job = loop {
        let job = server.get(&format!("/api/jobs/{id}")).await;
        if !matches!(job["status"].as_str(), Some("pending" | "processing")) {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(valid_preview(&server).await, before);
    if let Some((before, after)) = memory_before.zip(server.memory()) {
        // A single leaked instance would exceed this: several instances grow to 64 MiB each.
        assert!(after < before + (48 << 20), "{before} bytes before, {after} after");
    }
}

#[actix_web::test]
async fn endless_previews_of_one_user_do_not_delay_those_of_another() {
    // Five rows with this timeout take most of a minute, so the hostile previews run longer than this test.
    let server = ServerProcess::start(20, &[("SANDBOX_TIMEOUT", "10s")]).await;
    let good = json!({"format": "csv", "limit": 5, "fields": [{"name": "user.email.toLowerCase()"}]});
    let endless = json!({"format": "csv", "limit": 5, "fields": [{"name": "(() => { while (true) {} })()"}]});
    let preview = |person: usize, request: &Value| server.post_of(person, "/api/preview").json(request).send();
    // Compile the engine before the measurement.
    assert_eq!(preview(1, &good).await.expect("an answer").status(), 200);
    // Four are accepted and hold all permits of one user. The first response is the rejection of the fifth.
    let (refused, _, running) = select_all((0..5).map(|_| Box::pin(preview(0, &endless)))).await;
    assert_eq!(refused.expect("an answer").status(), 429);
    let mut running = select_all(running);
    for _ in 0..10 {
        let reply = match select(Box::pin(preview(1, &good)), &mut running).await {
            Either::Left((reply, _)) => reply.expect("an answer"),
            Either::Right(_) => panic!("a preview that never ends was over before a good one"),
        };
        assert_eq!(reply.status(), 200);
        let preview: Value = reply.json().await.expect("JSON");
        let rows = preview["rows"].as_array().expect("rows");
        assert!(rows.iter().all(|row| row[0].get("error").is_none()), "{preview}");
        assert_eq!(rows.len(), 5);
    }
}

/// The module that [`guests`] imports from its parent.
mod validate {
    use transforms_sdk::manifest::Manifest;

    pub fn with_manifest(bytes: &[u8], manifest: &Manifest) -> Vec<u8> {
        uie_sandbox::with_manifest("guest", bytes, manifest).expect("a transform")
    }
}

#[allow(dead_code)] // written for the tests of the sandbox, which use all of it
#[path = "../../crates/sandbox/src/tests/guests.rs"]
mod guests;

/// Returns a transform whose compilation takes too long: many blocks are targets of one branch, and thousands of values
/// are live in all of them.
fn endless_to_compile() -> Vec<u8> {
    const VALUES: usize = 4000;
    const BLOCKS: usize = 4000;
    let mut text = String::from("(func $row (param $from i32) (param $to i32)");
    for value in 0..VALUES {
        let _ = write!(text, "(local $v{value} i64)");
    }
    text.push_str("(loop $again");
    text.push_str(&"(block ".repeat(BLOCKS));
    text.push_str("(br_table");
    for block in 0..BLOCKS {
        let _ = write!(text, " {block}");
    }
    text.push_str(" (local.get $from))");
    for block in 0..BLOCKS {
        let (one, other) = ((block * 7) % VALUES, (block * 13 + 1) % VALUES);
        let _ = write!(text, ")(local.set $v{one} (i64.add (local.get $v{one}) (local.get $v{other})))");
        let _ = write!(text, "(br_if $again (i64.eqz (local.get $v{one})))");
    }
    text.push_str("))");
    guests::Guest::new(text).module()
}

#[actix_web::test]
async fn a_file_that_takes_too_long_to_compile_is_refused_without_delaying_others() {
    let server = ServerProcess::start(20, &[]).await;
    let module = endless_to_compile();
    assert!(module.len() < 1 << 20, "small files can do it: {}", module.len());
    let upload = server.post("/api/transforms").header("content-type", "application/wasm").body(module);
    let mut upload = std::pin::pin!(upload.send());
    let mut asked = 0;
    let reply = loop {
        tokio::select! {
            reply = &mut upload => break reply.expect("an answer"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                assert!(server.is_healthy().await);
                if asked == 0 {
                    // Meanwhile, shipped transforms are compiled and used.
                    let fields = json!({"format": "csv", "fields": [{"name": "mask_email(user.email)"}]});
                    let reply = server.post("/api/preview").json(&fields).send().await.expect("an answer");
                    assert_eq!(reply.status(), 200);
                }
                asked += 1;
            }
        }
    };
    assert!(asked > 0, "it was refused before anything else could be asked for");
    assert_eq!(reply.status(), 400);
    let error: Value = reply.json().await.expect("JSON");
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with("guest@1.0.0 cannot be compiled: that takes more than "), "{message}");
}
