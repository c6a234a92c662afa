//! What the pages can do, state by state, each of them checked for accessibility.

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};

use crate::people::{browser_in_turn, choose_connection, good_users, sign_in};

const STUBS: &str = include_str!("stubs.js");
const DATABASE: &str = "Username-Password-Authentication";
const PAGES: [&str; 4] = ["import", "export", "history", "transforms"];

async fn no_problems(browser: &Browser, state: &str) {
    assert_eq!(browser.run("return window.problems").await, json!([]), "{state}");
}

/// What the first input of every column holds.
async fn expressions(browser: &Browser) -> Value {
    browser
        .run("return [...document.querySelectorAll('#columns li')].map((row) => row.querySelector('input').value)")
        .await
}

/// Chooses the attribute of this path in the open picker.
async fn pick(browser: &Browser, path: &str) {
    browser.element(&format!("#picker-list input[value='{path}']")).await.click().await.unwrap();
}

#[tokio::test]
async fn every_page_is_accessible_and_fits_in_every_look() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(50).await;
    browser.run_first(STUBS).await;
    sign_in(&browser, &demo).await;
    for width in [1280, 320] {
        browser.resize(width, 900).await;
        for look in ["theme=light", "theme=dark", "theme=dark&embed=1"] {
            for page in PAGES {
                let state = format!("{page}?{look} at {width} pixels");
                browser.open(&demo.url(&format!("/{page}?{look}"))).await;
                let filled = match page {
                    "import" => "#connection:enabled",
                    "export" => "#preview-rows tbody",
                    "history" => "#history .blank",
                    _ => "#catalog .transform",
                };
                browser.element(filled).await;
                assert_eq!(browser.run("return document.querySelectorAll('h1').length").await, 1, "{state}");
                let over = browser.run("return document.documentElement.scrollWidth - innerWidth").await;
                assert!(over.as_i64().is_some_and(|pixels| pixels <= 0), "{state} is {over} pixels too wide");
                browser.check_accessibility(&state).await;
                no_problems(&browser, &state).await;
            }
        }
    }
}

#[tokio::test]
async fn columns_are_picked_previewed_put_in_order_and_kept() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(50).await;
    browser.run_first(STUBS).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;

    browser.click("Choose attributes").await;
    browser.wait_for_text("#picker-status", "of your newest users").await;
    browser.type_into("#picker-search", "email").await;
    pick(&browser, "user.email").await;
    pick(&browser, "mask_email(user.email)").await;
    browser.click("Add a column").await;
    browser.type_into("#columns li:nth-child(3) input", "user.name + 1").await;
    browser.element("#columns li:nth-child(3) input + input").await.send_keys("Sum").await.unwrap();
    assert_eq!(expressions(&browser).await, json!(["user.email", "mask_email(user.email)", "user.name + 1"]));
    let preview = browser.wait_for_text("#preview", "TypeError: there is no name").await;
    assert!(preview.contains("Email 1") && preview.contains("Sum 3"), "{preview}");
    let kinds =
        browser.run("return [...document.querySelectorAll('#columns .kind')].map((kind) => kind.innerText)").await;
    assert_eq!(kinds, json!(["Attribute", "Transform", "JavaScript"]));
    browser.check_accessibility("columns with a preview").await;

    // By keyboard, the focus staying with the column; then by dragging the first behind the last.
    let second = browser.element("#columns li:nth-child(2) input").await;
    second.send_keys("\u{e00a}\u{e013}\u{e000}").await.unwrap();
    assert_eq!(expressions(&browser).await, json!(["mask_email(user.email)", "user.email", "user.name + 1"]));
    assert_eq!(browser.run("return document.activeElement.value").await, "mask_email(user.email)");
    browser
        .run(
            "const rows = document.querySelectorAll('#columns li');
             const dataTransfer = new DataTransfer();
             const fire = (element, type, y) => element.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true, clientY: y }));
             fire(rows[0].querySelector('.grip'), 'dragstart', 0);
             const below = rows[2].getBoundingClientRect().bottom - 1;
             fire(rows[2], 'dragover', below);
             fire(rows[2], 'drop', below);",
        )
        .await;
    let order = json!(["user.email", "user.name + 1", "mask_email(user.email)"]);
    assert_eq!(expressions(&browser).await, order);

    // An error stands at its column.
    browser.type_into("#columns li:nth-child(2) input", "nothing_like_this(1)").await;
    browser.wait_for_text("#columns li:nth-child(2) .field-error", "Did you mean mask_email?").await;
    browser.check_accessibility("a column with an error").await;
    browser.type_into("#columns li:nth-child(2) input", "user.name + 1").await;
    browser.wait_for_text("#preview", "Sum 3").await;
    assert_eq!(browser.text("#columns li:nth-child(2) .field-error").await, "");

    // Saved, lost, loaded, deleted.
    browser.click("Save these settings").await;
    browser.type_into("#preset-name", "Mine <b>").await;
    browser.click("Save").await;
    browser.wait_for_text("#preset-note", "Saved as “Mine <b>”").await;
    browser.click("Reset the form").await;
    assert_eq!(expressions(&browser).await, json!([]));
    browser.element("#preset").await.select_by_label("Import-ready").await.unwrap();
    assert_eq!(browser.run("return document.getElementById('import-ready').checked").await, true);
    browser.element("#preset").await.select_by_label("Mine <b>").await.unwrap();
    browser.element("#columns li:nth-child(3)").await;
    assert_eq!(expressions(&browser).await, order);
    assert_eq!(browser.run("return document.getElementById('import-ready').checked").await, false);

    // Nothing is lost when the page is left.
    browser.open(&demo.url("/history")).await;
    browser.open(&demo.url("/export")).await;
    browser.element("#columns li:nth-child(3)").await;
    assert_eq!(expressions(&browser).await, order);
    browser.wait_for_text("#preset", "Mine <b>").await;
    browser.element("#preset").await.select_by_label("Mine <b>").await.unwrap();
    browser.click("Delete").await;
    browser.wait_for_text("#preset-note", "for everybody?").await;
    browser.element("#preset-note button").await.click().await.unwrap();
    browser.wait_for_text("#preset-note", "“Mine <b>” was deleted.").await;
    no_problems(&browser, "export").await;
}

#[tokio::test]
async fn a_preset_is_shared_as_a_file() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.click("Add default columns").await;
    browser.type_into("#query", "blocked:true").await;
    browser.click("Save as a file").await;
    let (name, content) = browser.downloaded().await;
    assert!(name.ends_with(".preset.json"), "{name}");
    let saved: Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(saved["fields"].as_array().unwrap().len(), 11);

    browser.click("Reset the form").await;
    browser.choose_file("#preset-file", "other.json", b"[1]").await;
    browser.wait_for_text("#preset-note", "other.json: This is not a preset.").await;
    browser.choose_file("#preset-file", "shared.preset.json", &content).await;
    browser.element("#columns li:nth-child(11)").await;
    assert_eq!(browser.run("return document.getElementById('query').value").await, "blocked:true");
}

/// A file that holds nothing but a manifest.
fn wasm(manifest: &str) -> Vec<u8> {
    fn length(value: usize, out: &mut Vec<u8>) {
        let mut rest = value;
        while rest >= 0x80 {
            out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    let name = b"user-import-export:manifest";
    let mut content = Vec::new();
    length(name.len(), &mut content);
    content.extend_from_slice(name);
    content.extend_from_slice(manifest.as_bytes());
    let mut file = b"\0asm\x01\0\0\0".to_vec();
    file.push(0);
    length(content.len(), &mut file);
    file.extend(content);
    file
}

#[tokio::test]
async fn a_transform_is_looked_into_before_it_is_added_and_can_be_deleted() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    browser.run_first(STUBS).await;
    sign_in(&browser, &demo).await;
    browser.click("Transforms").await;
    browser.wait_for_text("#catalog", "What mask_email does.").await;

    browser.choose_file("#file", "text.wasm", b"not a module").await;
    browser.wait_for_text("#file-error", "text.wasm: This is not a WebAssembly file.").await;
    let attack = "Loud <img src=x onerror=window.attacked=1>";
    let manifest =
        |name: &str| json!({ "name": name, "version": "0.1.0", "summary": attack, "parameters": [{ "name": "text" }] });
    browser.choose_file("#file", "mask.wasm", &wasm(&manifest("mask_email").to_string())).await;
    browser.wait_for_text("#found", "which an upload cannot replace").await;
    browser.click("Cancel").await;
    browser.choose_file("#file", "shout.wasm", &wasm(&manifest("shout").to_string())).await;
    let found = browser.wait_for_text("#found", "shout(text) 0.1.0").await;
    assert!(found.contains(attack), "{found}");
    browser.check_accessibility("what is in a file").await;
    browser.click("Add this transform").await;
    browser.wait_for_text("#found", "shout 1.0.0 was added.").await;

    browser.click("Try it on your users").await;
    browser.click("Try").await;
    browser.wait_for_text(".tried", "result 1").await;
    browser.element("button[aria-label='Delete: shout']").await.click().await.unwrap();
    browser.check_accessibility("a question").await;
    browser.element(".notice button").await.click().await.unwrap();
    browser.wait_for_text("#found-count", "1 transform.").await;

    // As a column.
    browser.click("Use in an export").await;
    browser.element("#columns li").await;
    assert_eq!(expressions(&browser).await, json!(["mask_email(user.email)"]));
    no_problems(&browser, "transforms").await;
}

#[tokio::test]
async fn faults_are_grouped_the_history_filtered_and_a_job_run_again_with_its_settings() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    browser.run_first(STUBS).await;
    sign_in(&browser, &demo).await;

    let mut rows = good_users(5);
    rows.extend((0..60).map(|n| json!({ "name": format!("No address {n}") })));
    rows.extend((0..3).map(|n| json!({ "email": format!("shoe-{n}@example.com"), "shoe_size": 42 })));
    browser.choose_file("#files", "users.json", Value::Array(rows).to_string().as_bytes()).await;
    choose_connection(&browser, DATABASE).await;
    browser.element("#upsert").await.click().await.unwrap();
    browser.click("Start importing users").await;
    browser.wait_for_text(".pager", "1 to 50 of 63").await;
    browser.check_accessibility("the end of an import").await;
    let counts =
        browser.run("return [...document.querySelectorAll('.reason strong')].map((count) => count.innerText)").await;
    assert_eq!(counts, json!(["63", "60", "3"]));
    browser.element(".reason:nth-child(3)").await.click().await.unwrap();
    browser.wait_for_text(".pager", "3 rows shown").await;
    assert_eq!(browser.run("return document.querySelectorAll('.report tbody tr').length").await, 3);
    // What was chosen is still chosen.
    browser.open(&demo.url("/import")).await;
    browser.element("#connection:enabled").await;
    assert_eq!(browser.run("return document.getElementById('upsert').checked").await, true);

    browser.open(&demo.url("/export")).await;
    browser.type_into("#query", "_exists_:email").await;
    browser.element("#start:enabled").await.click().await.unwrap();
    browser.wait_for_text("#results", "users exported").await;
    browser.click("Reset the form").await;

    browser.click("History").await;
    browser.wait_for_text("#history", "5 inserted, 63 failed").await;
    let types =
        "return [...document.querySelectorAll('#history tbody tr')].map((row) => row.cells[0].innerText.trim())";
    assert_eq!(browser.run(types).await, json!(["Export", "Import"]));
    browser.element("#filter-status").await.select_by_label("Completed with faults").await.unwrap();
    assert_eq!(browser.run(types).await, json!(["Import"]));
    browser.check_accessibility("a filtered history").await;
    browser.element("#filter-status").await.select_by_label("Failed").await.unwrap();
    browser.wait_for_text("#history", "No job fits the filters.").await;
    browser.click("Show all jobs").await;
    browser.element("#filter-type").await.select_by_label("Export").await.unwrap();
    browser.click("Details").await;
    browser.wait_for_text("#details", "_exists_:email").await;
    browser.check_accessibility("a job's details").await;
    browser.element("#details button").await.click().await.unwrap();
    browser.click("Run again").await;
    browser.wait_for_address(&demo.url("/export")).await;
    browser.wait_for_text("#count", "match").await;
    assert_eq!(browser.run("return document.getElementById('query').value").await, "_exists_:email");
    no_problems(&browser, "history").await;
}
