//! The Transforms page.

use end_to_end::{Installation, renamed_transform};
use serde_json::json;

use crate::actions::{assert_no_page_errors, exclusive_browser, record_page_errors, sign_in};

#[tokio::test]
async fn a_transform_is_inspected_added_tried_used_and_deleted() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Transforms").await;
    browser.wait_for_text("#catalog", "Hides the local part").await;

    browser.choose_file("#file", "text.wasm", b"not a module").await;
    browser.wait_for_text("#file-error", "text.wasm: This is not a WebAssembly file.").await;
    browser.choose_file("#file", "mask.wasm", &renamed_transform("mask_email", "mask_email")).await;
    browser.wait_for_text("#found", "an upload cannot replace it").await;
    browser.click("Cancel").await;
    browser.choose_file("#file", "loud.wasm", &renamed_transform("title_case", "title_loud")).await;
    let found = browser.wait_for_text("#found", "title_loud(").await;
    for fact in ["SHA-256", "Size", "Limits", "Examples"] {
        assert!(found.contains(fact), "{fact}: {found}");
    }
    browser.check_themes_and_widths("the contents of a file").await;
    browser.click("Add this transform").await;
    browser.wait_for_text("#found", "was added.").await;

    browser.type_into("#find", "title_loud").await;
    browser.wait_for_text("#found-count", "1 transform.").await;
    let card = "article[aria-label='title_loud']";
    browser.click_at(&format!("{card} .toggles details:nth-child(2) summary")).await;
    let tried = format!("return document.querySelectorAll({}).length", json!(format!("{card} .tried tbody tr")));
    browser.wait_for(&tried, &json!(5)).await;
    browser.type_into(&format!("{card} .combo input"), "title_loud(user.nickname").await;
    browser.wait_for_text(&format!("{card} .notice.error"), "^").await;
    browser.type_into(&format!("{card} .combo input"), "title_loud(user.nickname)").await;
    browser.element(&format!("{card} .tried")).await;
    browser.press(end_to_end::ESCAPE).await;
    browser.click_at(&format!("{card} .toggles details:nth-child(1) summary")).await;
    browser.check_themes_and_widths("a transform that is tried out").await;

    browser.click_at(&format!("{card} button[aria-label='Use in an export: title_loud']")).await;
    browser.element("#columns > li").await;
    let expression = browser.run("return document.querySelector('#columns input').value").await;
    assert_eq!(expression, "title_loud(user.email)");
    browser.wait_for_text("#preview-rows th", "Transform").await;

    browser.click("Transforms").await;
    browser.click_at("button[aria-label='Delete: title_loud']").await;
    browser.wait_for_text(&format!("{card} .notice"), "for all users?").await;
    browser.check_themes_and_widths("a confirmation").await;
    browser.click_at(&format!("{card} .notice button")).await;
    browser.wait_for(&format!("return document.querySelectorAll(\"{card}\").length"), &json!(0)).await;
    assert_no_page_errors(&browser, "transforms").await;
}

#[tokio::test]
async fn a_refused_upload_shows_the_reason() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/transforms")).await;
    browser.wait_for_text("#catalog", "Hides the local part").await;
    let mut broken = renamed_transform("title_case", "title_loud");
    // The page reads the manifest, which is intact; the server validates the code.
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xff);
    browser.choose_file("#file", "damaged.wasm", &broken).await;
    browser.wait_for_text("#found", "Found in damaged.wasm").await;
    browser.click("Add this transform").await;
    let said = browser.wait_for_text("#take-note", "Error code").await;
    assert!(said.contains("title_loud@1.0.0: Its interface is broken"), "{said}");
}

#[tokio::test]
async fn a_file_without_a_manifest_is_not_offered_and_the_name_of_a_transform_stays_in_view() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.click("Transforms").await;
    browser.element("#catalog .transform").await;
    browser.choose_file("#file", "empty.wasm", b"\0asm\x01\0\0\0").await;
    browser.wait_for_text("#found", "This file has no transform manifest.").await;
    let buttons = "return [...document.querySelectorAll('#found button')].map((button) => button.innerText)";
    assert_eq!(browser.run(buttons).await, json!(["Cancel"]));

    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../transforms/prebuilt/mask_email.wasm");
    browser.choose_file("#file", "mask_email.wasm", &std::fs::read(shipped).unwrap()).await;
    browser.wait_for_text("#found h3", "Found in mask_email.wasm").await;
    assert_eq!(browser.run("return document.activeElement.innerText").await, "Found in mask_email.wasm");
    let layout = browser
        .run(
            "const box = (selector) => document.querySelector(selector).getBoundingClientRect();
             return [box('#found h3').top, innerHeight, box('#drop').height]",
        )
        .await;
    let [top, window, drop] = [0, 1, 2].map(|index| layout[index].as_f64().unwrap());
    assert!(top >= 0.0 && top < window, "the name is at {top} of {window}");
    assert!(drop < 300.0, "the drop area has {drop} pixels");

    // A column that is added from here is shown and has the focus.
    browser.click_at("article[aria-label=mask_email] .actions .button:last-child").await;
    browser.wait_for_address(&demo.url("/export")).await;
    browser.wait_for("return document.activeElement.value", &json!("mask_email(user.email)")).await;
    let announced = "return document.getElementById('announcer').textContent";
    browser.wait_for(announced, &json!("“mask_email” is the last column now.")).await;
    browser.open(&demo.url("/transforms")).await;
    browser.click_at("article[aria-label=mask_email] .actions .button:last-child").await;
    browser.wait_for(announced, &json!("“mask_email 2” is the last column now.")).await;
}
