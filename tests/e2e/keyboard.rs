//! Every flow with the keyboard alone: elements are reached with the Tab key and never clicked.

use end_to_end::{Browser, DOWN, ENTER, ESCAPE, Installation, SPACE};
use serde_json::json;

use crate::actions::{DATABASE, exclusive_browser, good_users, ndjson, sign_in};

/// Moves the focus to an element with the Tab key, and presses keys there.
async fn press_at(browser: &Browser, css: &str, keys: &str) {
    browser.tab_to(css).await;
    browser.press(keys).await;
}

#[tokio::test]
async fn an_export_works_with_the_keyboard() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(30).await;
    sign_in(&browser, &demo).await;
    press_at(&browser, ".menu a[href$='/export']", ENTER).await;
    browser.element("#preview-rows tbody").await;

    press_at(&browser, "#query", "logins_count:[1 TO *]").await;
    browser.press(ESCAPE).await;
    press_at(&browser, "#pick", ENTER).await;
    browser.wait_for("return document.activeElement.id", &json!("picker-search")).await;
    browser.press("user.email").await;
    browser.element("#picker-list input[value='user.email']").await;
    press_at(&browser, "#picker-list input[value='user.email']", SPACE).await;
    browser.press(ESCAPE).await;
    browser.wait_for("return document.activeElement.id", &json!("pick")).await;
    press_at(&browser, "#add-column", ENTER).await;
    browser.press("mask").await;
    browser.wait_for_text("#columns > li:last-child .suggestions", "mask_email").await;
    browser.press(DOWN).await;
    browser.press(ENTER).await;
    browser.press(ESCAPE).await;
    press_at(&browser, "#columns > li:last-child > input", "Hidden").await;
    press_at(&browser, "#columns > li:last-child .tools button:first-child", ENTER).await;
    let names = "return [...document.querySelectorAll('#columns > li > input')].map((field) => field.value)";
    assert_eq!(browser.run(names).await, json!(["Hidden", "Email"]));
    browser.tab_to("input[name=format]").await;
    browser.press("\u{e012}").await;
    assert_eq!(browser.run("return document.querySelector('input[name=format]:checked').value").await, "csv");
    press_at(&browser, "#start:enabled", ENTER).await;
    browser.wait_for_text("#results", "exported").await;
    // Screen readers announce it.
    browser.wait_for_text("#announcer", "Export: Completed").await;
    press_at(&browser, "#results .button.primary", ENTER).await;
    let (_, csv) = browser.next_download().await;
    assert!(String::from_utf8(csv).unwrap().starts_with("Hidden,Email\n"));

    // Save the settings as a preset.
    press_at(&browser, "#preset-save", ENTER).await;
    browser.press("By hand").await;
    browser.press(ENTER).await;
    browser.wait_for_text("#preset-note", "Saved as “By hand”").await;
}

#[tokio::test]
async fn an_import_its_report_and_the_history_work_with_the_keyboard() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.element("#connection:enabled").await;
    // The file dialog belongs to the browser; the test only checks that the Tab key reaches the field.
    browser.tab_to("#files").await;
    let mut rows = good_users(3);
    rows.push(json!({ "name": "No address" }));
    browser.choose_file("#files", "users.ndjson", ndjson(&rows).as_bytes()).await;
    browser.wait_for_text("#announcer", "1 file added").await;
    press_at(&browser, "#check", ENTER).await;
    browser.wait_for_text("#results", "3 rows can be imported").await;
    browser.tab_to("#connection:enabled").await;
    browser.press(DATABASE).await;
    let chosen = "return document.getElementById('connection').selectedOptions[0].textContent";
    browser.wait_for(chosen, &json!(DATABASE)).await;
    press_at(&browser, "#start:enabled", ENTER).await;
    browser.wait_for_text("#results", "3 users inserted").await;
    browser.wait_for_text("#announcer", "Import of users.ndjson: Completed, 1 failed").await;
    press_at(&browser, ".report-head button", ENTER).await;
    browser.next_download().await;

    press_at(&browser, ".menu a[href$='/history']", ENTER).await;
    browser.wait_for_text("#history", "3 inserted, 1 failed").await;
    press_at(&browser, "#history tbody tr:first-child button:last-child", ENTER).await;
    browser.wait_for_text("dialog[open]", "Rows with errors").await;
    // The dialog keeps the focus until it closes, and the focus returns to the button.
    for _ in 0..12 {
        let inside = "return document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)";
        assert_eq!(browser.run(inside).await, true);
        browser.press(end_to_end::TAB).await;
    }
    browser.press(ESCAPE).await;
    browser.wait_for("return document.querySelector('dialog').open", &json!(false)).await;
    assert_eq!(browser.run("return document.activeElement.innerText").await, "Report");
}

#[tokio::test]
async fn a_transform_can_be_tried_with_the_keyboard() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    press_at(&browser, ".skip", ENTER).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    press_at(&browser, ".menu a[href$='/transforms']", ENTER).await;
    browser.wait_for_text("#catalog", "Hides the local part").await;
    press_at(&browser, "#find", "mask_email").await;
    press_at(&browser, "article[aria-label=mask_email] .toggles details:nth-child(2) summary", ENTER).await;
    browser.element(".tried").await;
    browser.tab_to("article[aria-label=mask_email] .combo input").await;
}
