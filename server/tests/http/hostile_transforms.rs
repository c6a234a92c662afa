//! Tests with hostile transforms in the real server: it stays responsive and releases their resources.

use std::fmt::Write;
use std::time::Duration;

use futures_util::future::{Either, select, select_all};
use serde_json::{Value, json};
use simulated_tenant::people::people;
use test_kit::{HOSTILE, Program, TestKit, TestServer, hostile_columns, hostile_transforms, sign_in};

/// Returns whether `/healthz` reports that the server is healthy.
async fn is_healthy(server: &Program) -> bool {
    let reply = server.client.get(format!("{}/healthz", server.address())).send().await;
    reply.is_ok_and(|reply| reply.status().is_success())
}

/// Returns the first rows of valid columns, one for each kind of transform.
async fn valid_preview(server: &TestServer) -> Value {
    let fields = ["mask_email(user.email)", "[user.email].map(x => x).length", "compatibility(\"kind\", user.email)"];
    let fields: Vec<Value> = fields.iter().map(|name| json!({ "name": name })).collect();
    let preview = server.preview(&json!({"format": "csv", "limit": 5, "fields": fields})).await.accepted();
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
    let settings = [("TRANSFORMS_DIR", directory.as_str()), ("SANDBOX_TIMEOUT", "100ms")];
    let server = TestKit::with_users(60).settings(&settings).process().await;
    let before = valid_preview(&server).await;
    let usage_before = server.program.resource_usage();
    let columns = hostile_columns();
    let export = server.start_export(&columns).await;
    let preview = || server.request("POST", "/api/preview").json(&columns).send();
    let previews: Vec<_> = (0..4).map(|_| tokio::spawn(preview())).collect();
    // Rows with endless loops take seconds in each preview. If they blocked the server, it would answer after them.
    for _ in 0..30 {
        assert!(is_healthy(&server.program).await);
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
    let job = server.wait_until_finished(&export).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(valid_preview(&server).await, before);
    if let Some((before, after)) = usage_before.zip(server.program.resource_usage()) {
        // A single leaked instance would exceed this: several instances grow to 64 MiB each.
        assert!(after.memory < before.memory + (48 << 20), "{before:?}, then {after:?}");
    }
}

#[actix_web::test]
async fn endless_previews_of_one_user_do_not_delay_those_of_another() {
    // Five rows with this timeout take most of a minute, so the hostile previews run longer than this test.
    let [one, other] = [0, 1].map(|number| people().swap_remove(number));
    let admins = format!("{},{}", one.user_id, other.user_id);
    let settings = [("SANDBOX_TIMEOUT", "10s"), ("ADMIN_SUBJECTS", admins.as_str())];
    let server = TestKit::with_users(20).settings(&settings).process().await;
    let other = sign_in(server.program.address(), &other).await;
    let sessions = [&server.session, &other];
    let good = json!({"format": "csv", "limit": 5, "fields": [{"name": "user.email.toLowerCase()"}]});
    let endless = json!({"format": "csv", "limit": 5, "fields": [{"name": "(() => { while (true) {} })()"}]});
    let url = format!("{}/api/preview", server.program.address());
    let preview = |person: usize, request: &Value| {
        server.program.client.post(&url).bearer_auth(sessions[person]).json(request).send()
    };
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
    let server = TestKit::with_users(20).process().await;
    let module = endless_to_compile();
    assert!(module.len() < 1 << 20, "small files can do it: {}", module.len());
    let upload = server.request("POST", "/api/transforms").header("content-type", "application/wasm").body(module);
    let mut upload = std::pin::pin!(upload.send());
    let mut asked = 0;
    let reply = loop {
        tokio::select! {
            reply = &mut upload => break reply.expect("an answer"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                assert!(is_healthy(&server.program).await);
                if asked == 0 {
                    // Meanwhile, shipped transforms are compiled and used.
                    let fields = json!({"format": "csv", "fields": [{"name": "mask_email(user.email)"}]});
                    server.preview(&fields).await.accepted();
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
