//! The Export page.

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};

use crate::actions::{assert_no_page_errors, exclusive_browser, record_page_errors, sign_in};

/// Returns the expression of every column.
async fn expressions(browser: &Browser) -> Value {
    browser
        .run("return [...document.querySelectorAll('#columns > li')].map((row) => row.querySelector('input').value)")
        .await
}

/// Selects an attribute in the open picker.
async fn pick(browser: &Browser, path: &str) {
    browser.click_at(&format!("#picker-list input[value='{path}']")).await;
}

/// Returns a selector for an input of a column: its name, or its expression.
fn column(number: usize, name: bool) -> String {
    let part = if name { " > input" } else { " .combo input" };
    format!("#columns > li:nth-child({number}){part}")
}

#[tokio::test]
async fn columns_can_be_picked_previewed_reordered_and_saved() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;

    browser.click("Choose attributes").await;
    browser.wait_for_text("#picker-status", "of your newest users").await;
    browser.type_into("#picker-search", "email").await;
    pick(&browser, "user.email").await;
    pick(&browser, "mask_email(user.email)").await;
    browser.click("Choose attributes").await;
    browser.click("Add a column").await;
    browser.type_into(&column(3, false), "user.nothing.trim()").await;
    browser.type_into(&column(3, true), "Sum").await;
    let chosen = json!(["user.email", "mask_email(user.email)", "user.nothing.trim()"]);
    assert_eq!(expressions(&browser).await, chosen);
    let preview = browser.wait_for_text("#preview-rows", "TypeError").await;
    assert!(preview.contains('@') && preview.contains("**"), "{preview}");
    let kinds =
        browser.run("return [...document.querySelectorAll('#columns .kind')].map((kind) => kind.innerText)").await;
    assert_eq!(kinds, json!(["Attribute", "Transform", "JavaScript"]));

    // Move a column with the keyboard, which keeps the focus; then drag the first column behind the last.
    let second = browser.element(&column(2, false)).await;
    second.send_keys("\u{e00a}\u{e013}\u{e000}").await.unwrap();
    assert_eq!(expressions(&browser).await, json!(["mask_email(user.email)", "user.email", "user.nothing.trim()"]));
    assert_eq!(browser.run("return document.activeElement.value").await, "mask_email(user.email)");
    browser
        .run(
            "const rows = document.querySelectorAll('#columns > li');
             const dataTransfer = new DataTransfer();
             const fire = (element, type, y) => element.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true, clientY: y }));
             fire(rows[0].querySelector('.grip'), 'dragstart', 0);
             const below = rows[2].getBoundingClientRect().bottom - 1;
             fire(rows[2], 'dragover', below);
             fire(rows[2], 'drop', below);",
        )
        .await;
    let order = json!(["user.email", "user.nothing.trim()", "mask_email(user.email)"]);
    assert_eq!(expressions(&browser).await, order);

    // An error is shown at its column.
    browser.type_into(&column(2, false), "mask_mail(user.email)").await;
    browser.wait_for_text("#columns > li:nth-child(2) .field-error", "mask_email").await;
    browser.type_into(&column(2, false), "user.nothing.trim()").await;
    browser.wait_for_text("#preview-rows", "TypeError").await;
    assert_eq!(browser.text("#columns > li:nth-child(2) .field-error").await, "");

    // Save the preset, reset the form, load the preset.
    browser.click("Save preset…").await;
    browser.type_into("#preset-name", "Mine <b>").await;
    browser.click("Save").await;
    browser.wait_for_text("#preset-note", "Saved as “Mine <b>”").await;
    browser.click("Reset the form").await;
    assert_eq!(expressions(&browser).await, json!([]));
    browser.element("#preset").await.select_by_label("Import-ready").await.unwrap();
    assert_eq!(browser.run("return document.getElementById('import-ready').checked").await, true);
    browser.element("#preset").await.select_by_label("Mine <b>").await.unwrap();
    browser.element("#columns > li:nth-child(3)").await;
    assert_eq!(expressions(&browser).await, order);
    assert_eq!(browser.run("return document.getElementById('import-ready').checked").await, false);

    // The form is kept when the page is left.
    browser.open(&demo.url("/history")).await;
    browser.open(&demo.url("/export")).await;
    browser.element("#columns > li:nth-child(3)").await;
    assert_eq!(expressions(&browser).await, order);
    browser.wait_for_text("#preset", "Mine <b>").await;
    browser.element("#preset").await.select_by_label("Mine <b>").await.unwrap();
    browser.click("Delete").await;
    browser.wait_for_text("#preset-note", "for all users?").await;
    browser.click_at("#preset-note button").await;
    browser.wait_for_text("#preset-note", "“Mine <b>” was deleted.").await;
    assert_no_page_errors(&browser, "export").await;
}

#[tokio::test]
async fn expression_fields_complete_attributes_and_transforms_with_help() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.element("#preview-rows tbody").await;
    browser.click("Add a column").await;
    let field = column(1, false);
    browser.type_into(&field, "mask").await;
    browser.wait_for_text("#columns .suggestions", "mask_email(email?)").await;
    browser.press(end_to_end::DOWN).await;
    let help = browser.wait_for_text("#columns .suggestions-help", "returns").await;
    assert!(help.contains("Hides the local part"), "{help}");
    assert_eq!(browser.run("return document.activeElement.getAttribute('aria-expanded')").await, "true");
    browser.press(end_to_end::ENTER).await;
    assert_eq!(expressions(&browser).await, json!(["mask_email(user.email)"]));
    // The argument is selected, so that typing replaces it, and its description is shown.
    browser.press("user.nick").await;
    assert_eq!(expressions(&browser).await, json!(["mask_email(user.nick)"]));
    browser.wait_for_text("#columns .suggestions-help", "The address").await;
    browser.press(end_to_end::DOWN).await;
    browser.press(end_to_end::ENTER).await;
    assert_eq!(expressions(&browser).await, json!(["mask_email(user.nickname)"]));
    browser.press(end_to_end::ESCAPE).await;

    // The search completes attribute names and values.
    browser.type_into("#query", "email_ver").await;
    browser.wait_for_text("#query ~ .suggestions", "email_verified").await;
    browser.press(end_to_end::DOWN).await;
    browser.press(end_to_end::ENTER).await;
    browser.wait_for_text("#query ~ .suggestions", "true").await;
    browser.press(end_to_end::DOWN).await;
    browser.press(end_to_end::ENTER).await;
    let query = browser.run("return document.getElementById('query').value").await;
    assert_eq!(query, "email_verified:true");
    browser.wait_for_text("#count", "match").await;
    assert_no_page_errors(&browser, "completion").await;
}

#[tokio::test]
async fn the_plan_is_shown_and_searches_that_auth0_cannot_run_are_accepted() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(1200).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.wait_for_text("#preview-plan", "with an Auth0 export job").await;
    browser.wait_for_text("#count", "1000+").await;

    browser.type_into("#query", "email:*@example.com AND user_metadata.phone:?49*").await;
    browser.wait_for_text("#preview-plan", "filtered on this server").await;
    assert_eq!(browser.text("#query-error").await, "");
    assert_eq!(browser.run("return document.getElementById('query').getAttribute('aria-invalid')").await, Value::Null);

    browser.type_into("#query", "email:(").await;
    browser.wait_for_text("#query-error", "^").await;
    assert_eq!(browser.run("return document.getElementById('query').getAttribute('aria-invalid')").await, "true");
    assert_no_page_errors(&browser, "the plan").await;
}

#[tokio::test]
async fn a_preset_can_be_saved_and_loaded_as_a_file() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.click("Add default columns").await;
    browser.type_into("#query", "blocked:true").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.click("Download preset").await;
    let (name, content) = browser.next_download().await;
    assert!(name.ends_with(".preset.json"), "{name}");
    let saved: Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(saved["fields"].as_array().unwrap().len(), 11);

    browser.click("Reset the form").await;
    browser.choose_file("#preset-file", "other.json", b"[1]").await;
    browser.wait_for_text("#preset-note", "other.json: This is not a preset.").await;
    browser.choose_file("#preset-file", "shared.preset.json", &content).await;
    browser.element("#columns > li:nth-child(11)").await;
    assert_eq!(browser.run("return document.getElementById('query').value").await, "blocked:true");
}

/// Top and bottom of an element in the window.
async fn edges(browser: &Browser, selector: &str) -> (f64, f64) {
    let script = format!(
        "const box = document.querySelector({}).getBoundingClientRect(); return [box.top, box.bottom]",
        json!(selector)
    );
    let edges = browser.run(&script).await;
    (edges[0].as_f64().unwrap(), edges[1].as_f64().unwrap())
}

#[tokio::test]
async fn remarks_are_shown_at_their_fields_and_a_wider_search_must_be_confirmed() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.element("#preview-rows tbody").await;

    browser.type_into("#query", "emial:x").await;
    browser.wait_for_text("#query-remark", "Auth0 documents no attribute `emial`; did you mean email?").await;
    browser.type_into("#query", "created_at:[2024-13-01 TO *]").await;
    browser.wait_for_text("#query-remark", "`2024-13-01` is not a date").await;
    browser.type_into("#sort", "creatd_at").await;
    browser.wait_for_text("#sort-remark", "Did you mean user.created_at?").await;
    browser.press(end_to_end::ESCAPE).await;
    // The preview is not sorted, and does not claim to be.
    browser.type_into("#query", "").await;
    browser.wait_for_text("#preview-rows", "only the file is sorted").await;
    browser.type_into("#sort", "").await;
    browser.wait_for("return document.getElementById('sort-remark').innerText", &json!("")).await;
    browser.click("Add a column").await;
    browser.type_into(&column(1, false), "user.emial").await;
    browser.wait_for_text("#columns .field-remark", "Did you mean user.email?").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.type_into(&column(1, false), "user.roles").await;
    browser.wait_for_text("#columns .field-remark", "`roles` is not part of Auth0's user profile").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.type_into(&column(1, false), "new Date(user.last_login).toLocaleString('de')").await;
    browser.wait_for_text("#columns .field-remark", "For a date, use format_date(user.last_login").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.click_at("#columns li:last-child .tools button:last-child").await;

    // A search with an operator in lower case finds more users than meant.
    browser.type_into("#query", "_exists_:email and email:zzzz*").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.wait_for_text("#query-remark", "`and` in lower case is a word to search for; the operator is AND.").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#form-error", "probably finds more users than you want").await;
    browser.click("Change the search").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "query");
    assert_eq!(browser.text("#results").await, "", "nothing was started");
    browser.click_at("#start:enabled").await;
    browser.click("Export anyway").await;
    browser.wait_for_text("#results", "exported").await;
    assert_no_page_errors(&browser, "remarks").await;
}

#[tokio::test]
async fn suggestions_do_not_cover_the_error_of_their_field() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.element("#preview-rows tbody").await;
    browser.type_into("#query", "blocked:true AND (").await;
    browser.wait_for_text("#query-error", "not closed").await;
    browser.element("#query ~ .suggestions [role=option]").await;
    let covered = "const error = document.getElementById('query-error').getBoundingClientRect();
        return document.querySelector('#query ~ .suggestions').getBoundingClientRect().top < error.bottom";
    browser.wait_for(covered, &json!(false)).await;
    let (_, bottom) = edges(&browser, "#query-error").await;
    let (top, _) = edges(&browser, "#query ~ .suggestions").await;
    assert!(top - bottom < 20.0, "the list is {} pixels below the error", top - bottom);
}

#[tokio::test]
async fn a_column_is_chosen_once_and_names_are_unique() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.element("#preview-rows tbody").await;
    browser.click("Add default columns").await;
    browser.click("Choose attributes").await;
    browser.element("#picker-list input[value='user.user_id']:checked").await;
    pick(&browser, "user.user_id").await;
    browser.wait_for("return document.querySelectorAll('#columns > li').length", &json!(10)).await;
    browser.type_into(&column(1, true), "Email").await;
    browser.wait_for_text("#columns .field-remark", "Another column is called “Email” too.").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#columns .field-error", "Another column is called “Email” too.").await;
    assert_eq!(browser.text("#results").await, "", "nothing was started");
}

#[tokio::test]
async fn a_running_export_is_visible_at_once_after_a_reload_and_in_a_second_tab() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let settings = simulated_tenant::TenantSettings {
        users: 1500,
        export_duration: std::time::Duration::from_hours(1),
        ..simulated_tenant::TenantSettings::default()
    };
    let demo = Installation::serve_tenant(settings, &[]).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/export")).await;
    browser.element("#preview-rows tbody").await;
    browser.click("Add default columns").await;
    browser.wait_for_text("#start", "Export 1000+ users").await;
    // The server answers late.
    browser
        .run(
            "const send = window.fetch;
             window.fetch = async (url, options) => {
               if (String(url).endsWith('jobs/export')) await new Promise((resolve) => { window.answer = resolve; });
               return send(url, options);
             };",
        )
        .await;
    browser.click_at("#start:enabled").await;
    let visible = "const card = document.querySelector('#results .job')?.getBoundingClientRect();
        return Boolean(card) && card.top >= 0 && card.top < innerHeight";
    browser.wait_for(visible, &json!(true)).await;
    browser.wait_for_text("#results", "Starting…").await;
    browser.run("window.answer()").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.wait_for_text("#start-note", "An export is running.").await;
    let details = browser.wait_for_text("#results", "Auth0 is preparing the export").await;
    assert!(!details.contains("s left"), "{details}");

    browser.run("document.getElementById('start').scrollIntoView({ behavior: 'instant' })").await;
    browser.run("location.reload()").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.wait_for(visible, &json!(true)).await;
    // A second tab has a storage and a session of its own. The tenant knows the admin and does not ask again.
    let tab = browser.client.new_window(true).await.expect("a tab");
    browser.client.switch_to_window(tab.handle).await.expect("the tab");
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#results", "In progress").await;
    browser.wait_for(visible, &json!(true)).await;
    browser.wait_for_text("#start-note", "An export is running.").await;
}
