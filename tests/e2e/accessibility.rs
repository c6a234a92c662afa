//! Checks the accessibility of every page in every theme, width and state.

use std::time::Duration;

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};
use simulated_tenant::TenantSettings;

use crate::actions::{
    DATABASE, assert_no_page_errors, choose_connection, exclusive_browser, good_users, ndjson, record_page_errors,
    sign_in,
};

const PAGES: [&str; 5] = ["import", "export", "history", "transforms", "settings"];
const GUIDES: [&str; 5] = ["import", "query", "expressions", "transforms", "errors"];

/// Returns a selector that matches once a page without jobs is loaded.
fn loaded_selector(page: &str) -> &'static str {
    match page {
        "import" => "#connection:enabled",
        "export" => "#preview-rows tbody",
        "history" => "#history .blank",
        "settings" => "#sessions tbody",
        _ => "#catalog .transform",
    }
}

async fn open(browser: &Browser, demo: &Installation, page: &str, query: &str) {
    browser.open(&demo.url(&format!("/{page}?{query}"))).await;
    browser.element(loaded_selector(page)).await;
}

#[tokio::test]
async fn every_page_is_accessible_in_every_theme_and_width() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    for page in PAGES {
        for query in ["", "embed=1"] {
            open(&browser, &demo, page, query).await;
            let state = format!("{page}?{query}");
            assert_eq!(browser.run("return document.querySelectorAll('h1').length").await, 1, "{state}");
            browser.check_themes_and_widths(&state).await;
            assert_no_page_errors(&browser, &state).await;
        }
    }
    for guide in GUIDES {
        browser.open(&demo.url(&format!("/guide/{guide}"))).await;
        browser.element("article h1").await;
        browser.check_themes_and_widths(&format!("the guide {guide}")).await;
    }
}

#[tokio::test]
async fn the_theme_parameter_sets_the_page_theme() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    for theme in ["light", "dark"] {
        open(&browser, &demo, "history", &format!("theme={theme}")).await;
        let scheme = browser.run("return getComputedStyle(document.documentElement).colorScheme").await;
        assert_eq!(scheme, theme);
    }
}

#[tokio::test]
async fn every_state_of_an_export_is_accessible() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    // More users than a search returns, so that the export needs an Auth0 job. That job ends when the test advances
    // the tenant's clock.
    let settings =
        TenantSettings { users: 1500, export_duration: Duration::from_hours(1), ..TenantSettings::default() };
    let demo = Installation::serve_tenant(settings, &[]).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    open(&browser, &demo, "export", "").await;

    browser.click("Choose attributes").await;
    browser.wait_for_text("#picker-status", "of your newest users").await;
    browser.check_themes_and_widths("the picker").await;
    browser.click("Choose attributes").await;
    browser.click("Add default columns").await;
    browser.click("Add a column").await;
    browser.type_into("#columns li:last-child input", "user.nothing.trim()").await;
    browser.wait_for_text("#preview-rows", "TypeError").await;
    browser.press("\u{e00c}").await;
    browser.check_themes_and_widths("columns with a preview and row errors").await;
    browser.type_into("#columns li:last-child input", "nothing_like_this(1)").await;
    browser.wait_for_text("#columns li:last-child .field-error", "nothing_like_this").await;
    browser.press("\u{e00c}").await;
    browser.check_themes_and_widths("a column with an error").await;
    browser.click_at("#columns li:last-child .tools button:last-child").await;
    browser.type_into("#query", "email:[").await;
    browser.element("#query[aria-invalid]").await;
    browser.press("\u{e00c}").await;
    browser.check_themes_and_widths("a search with an error").await;
    browser.type_into("#query", "name:ada and emial:b*").await;
    browser.wait_for_text("#query-remark", "did you mean email?").await;
    browser.press("\u{e00c}").await;
    browser.check_themes_and_widths("a search with remarks").await;
    browser.type_into("#query", "ema").await;
    browser.element(".suggestions [role=option]").await;
    browser.press("\u{e015}").await;
    browser.check_themes_and_widths("suggestions").await;
    browser.press("\u{e00c}").await;
    browser.element("#query").await.clear().await.unwrap();

    browser.wait_for_text("#start", "Export 1000+ users").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.check_themes_and_widths("a running export").await;
    browser.click("History").await;
    browser.element("#history .progress [role=progressbar]").await;
    browser.check_themes_and_widths("a history with a running job").await;

    demo.control().advance(Duration::from_hours(2));
    browser.wait_for_text("#history", "Completed").await;
    browser.check_themes_and_widths("a history").await;
    browser.click("Details").await;
    browser.element("dialog[open] .facts").await;
    browser.check_themes_and_widths("the details of an export").await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#results", "users exported").await;
    browser.check_themes_and_widths("a completed export").await;
    assert_no_page_errors(&browser, "export").await;
}

#[tokio::test]
async fn every_state_of_an_import_is_accessible() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let settings = TenantSettings { users: 20, import_duration: Duration::from_hours(1), ..TenantSettings::default() };
    let demo = Installation::serve_tenant(settings, &[]).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    open(&browser, &demo, "import", "").await;
    browser.click("Start importing users").await;
    browser.wait_for_text("#files-error", "Please add at least one file.").await;
    browser.check_themes_and_widths("an import without a file").await;

    let csv = "Mail;Full name;Internal notes\nada@example.com;Ada;x\nnot an address;Bea;\n";
    browser.choose_file("#files", "staff.csv", csv.as_bytes()).await;
    browser.wait_for_text("#content", "can be imported").await;
    browser.check_themes_and_widths("the contents of a file").await;
    browser.click("Clear").await;

    let mut rows = good_users(5);
    rows.extend((0..60).map(|n| json!({ "name": format!("No address {n}") })));
    rows.extend((0..3).map(|n| json!({ "email": format!("shoe-{n}@example.com"), "shoe_size": 42 })));
    browser.choose_file("#files", "users.json", Value::Array(rows.clone()).to_string().as_bytes()).await;
    browser.click("Check only").await;
    browser.wait_for_text(".pager", "1 to 50 of 63").await;
    browser.check_themes_and_widths("the result of a check").await;
    browser.click_at("#upsert").await;
    choose_connection(&browser, DATABASE).await;
    browser.wait_for_text("#backup-choice", "An update cannot be undone").await;
    browser.check_themes_and_widths("the backup option").await;
    browser.click("Start importing users").await;
    browser.wait_for_text("#form-error", "This cannot be undone").await;
    browser.check_themes_and_widths("the confirmation of an update").await;
    browser.click("Update existing users").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.check_themes_and_widths("a running import").await;
    demo.control().advance(Duration::from_hours(2));
    browser.wait_for_text(".pager", "1 to 50 of 63").await;
    browser.check_themes_and_widths("the result of an import").await;

    browser.choose_file("#files", "more.ndjson", ndjson(&good_users(3)).as_bytes()).await;
    browser.click("Start importing users").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.click("Cancel").await;
    browser.wait_for_text("#results", "Canceled").await;
    browser.check_themes_and_widths("a canceled import").await;
    browser.click("History").await;
    browser.wait_for_text("#history", "63 failed").await;
    browser.click("Report").await;
    browser.wait_for_text("dialog .pager", "1 to 50 of 63").await;
    browser.check_themes_and_widths("the report of an import").await;
    assert_no_page_errors(&browser, "import").await;
}

#[tokio::test]
async fn pages_are_shown_in_german_when_chosen() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(1500).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/history")).await;
    browser.wait_for_text("h1", "History").await;
    browser.element("#language").await.select_by_label("Deutsch").await.unwrap();
    browser.wait_for_text("h1", "Verlauf").await;
    browser.wait_for_text("#history", "Noch keine Aufträge.").await;
    // The choice is kept on other pages.
    browser.click("Export").await;
    browser.wait_for_text("#start", "1000+ Benutzer exportieren").await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "de");
    for page in PAGES {
        open(&browser, &demo, page, "").await;
        browser.check_themes_and_widths(&format!("{page} in German")).await;
    }
    // `?lang` overrides the choice, and links keep it.
    browser.open(&demo.url("/import?lang=en")).await;
    browser.wait_for_text("h1", "Import users").await;
    browser.click("History").await;
    browser.wait_for_text("h1", "History").await;
    assert_no_page_errors(&browser, "German").await;
}
