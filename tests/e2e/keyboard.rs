//! Every flow with nothing but a keyboard: elements are reached by the Tab key, never clicked.

use end_to_end::{Browser, DOWN, ENTER, ESCAPE, Installation, SPACE};
use serde_json::json;

use crate::people::{DATABASE, browser_in_turn, good_users, ndjson, sign_in};

/// Goes to an element and presses a key there.
async fn key(browser: &Browser, css: &str, keys: &str) {
    browser.tab_to(css).await;
    browser.press(keys).await;
}

#[tokio::test]
async fn an_export() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(30).await;
    sign_in(&browser, &demo).await;
    key(&browser, ".menu a[href$='/export']", ENTER).await;
    browser.element("#preview-rows tbody").await;

    key(&browser, "#query", "logins_count:[1 TO *]").await;
    browser.press(ESCAPE).await;
    key(&browser, "#pick", ENTER).await;
    browser.wait_for("return document.activeElement.id", &json!("picker-search")).await;
    browser.press("user.email").await;
    browser.element("#picker-list input[value='user.email']").await;
    key(&browser, "#picker-list input[value='user.email']", SPACE).await;
    browser.press(ESCAPE).await;
    browser.wait_for("return document.activeElement.id", &json!("pick")).await;
    key(&browser, "#add-column", ENTER).await;
    browser.press("mask").await;
    browser.wait_for_text("#columns > li:last-child .suggestions", "mask_email").await;
    browser.press(DOWN).await;
    browser.press(ENTER).await;
    browser.press(ESCAPE).await;
    key(&browser, "#columns > li:last-child > input", "Hidden").await;
    key(&browser, "#columns > li:last-child .tools button:first-child", ENTER).await;
    let names = "return [...document.querySelectorAll('#columns > li > input')].map((field) => field.value)";
    assert_eq!(browser.run(names).await, json!(["Hidden", "Email"]));
    browser.tab_to("input[name=format]").await;
    browser.press("\u{e012}").await;
    assert_eq!(browser.run("return document.querySelector('input[name=format]:checked').value").await, "csv");
    key(&browser, "#start:enabled", ENTER).await;
    browser.wait_for_text("#results", "exported").await;
    // Told to those who cannot see it.
    browser.wait_for_text("#announcer", "Export: Completed").await;
    key(&browser, "#results .button.primary", ENTER).await;
    let (_, csv) = browser.downloaded().await;
    assert!(String::from_utf8(csv).unwrap().starts_with("Hidden,Email\n"));

    // Saved under a name.
    key(&browser, "#preset-save", ENTER).await;
    browser.press("By hand").await;
    browser.press(ENTER).await;
    browser.wait_for_text("#preset-note", "Saved as “By hand”").await;
}

#[tokio::test]
async fn an_import_its_report_and_the_history() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.element("#connection:enabled").await;
    // The file dialog is the browser's own: that the field is reached is what the page can do.
    browser.tab_to("#files").await;
    let mut rows = good_users(3);
    rows.push(json!({ "name": "No address" }));
    browser.choose_file("#files", "users.ndjson", ndjson(&rows).as_bytes()).await;
    browser.wait_for_text("#announcer", "1 file added").await;
    key(&browser, "#check", ENTER).await;
    browser.wait_for_text("#results", "3 rows can be imported").await;
    browser.tab_to("#connection:enabled").await;
    browser.press(DATABASE).await;
    let chosen = "return document.getElementById('connection').selectedOptions[0].textContent";
    browser.wait_for(chosen, &json!(DATABASE)).await;
    key(&browser, "#start:enabled", ENTER).await;
    browser.wait_for_text("#results", "3 users inserted").await;
    browser.wait_for_text("#announcer", "Import of users.ndjson: Completed, 1 failed").await;
    key(&browser, ".report-head button", ENTER).await;
    browser.downloaded().await;

    key(&browser, ".menu a[href$='/history']", ENTER).await;
    browser.wait_for_text("#history", "3 inserted, 1 failed").await;
    key(&browser, "#history tbody tr:first-child button:last-child", ENTER).await;
    browser.wait_for_text("dialog[open]", "Rows with faults").await;
    // The focus is in the dialog, stays there, and comes back.
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
async fn a_transform_is_tried() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    key(&browser, ".skip", ENTER).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    key(&browser, ".menu a[href$='/transforms']", ENTER).await;
    browser.wait_for_text("#catalog", "Hides the local part").await;
    key(&browser, "#find", "mask_email").await;
    key(&browser, "article[aria-label=mask_email] .toggles details:nth-child(2) summary", ENTER).await;
    browser.element(".tried").await;
    browser.tab_to("article[aria-label=mask_email] .combo input").await;
}
