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
    broken.truncate(broken.len() / 2);
    browser.choose_file("#file", "half.wasm", &broken).await;
    browser.wait_for_text("#found", "Found in half.wasm").await;
    browser.click("Add this transform").await;
    let said = browser.wait_for_text("#take-note", "Error code").await;
    assert!(said.contains("It is a damaged WASM file"), "{said}");
}
