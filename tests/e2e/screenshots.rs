//! Takes the pictures of `docs/pictures`: every page in light, dark and narrow.
//!
//!     cargo test -p end-to-end --test e2e -- --ignored screenshots
//!
//! They are compressed with pngquant if it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use end_to_end::{Browser, ESCAPE, Installation};
use serde_json::json;
use simulated_tenant::TenantSettings;

use crate::actions::{DATABASE, choose_connection, exclusive_browser, good_users, ndjson, sign_in};

/// Name, theme, width and height of each view.
const VIEWS: [(&str, &str, u32, u32); 3] =
    [("light", "light", 1280, 900), ("dark", "dark", 1280, 900), ("narrow", "light", 390, 844)];

/// Saves the current page in every view, scrolled so that the element `top` is at the top.
async fn save_views(browser: &Browser, name: &str, top: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    for (view, theme, width, height) in VIEWS {
        browser.resize(width, height).await;
        browser
            .run(&format!(
                "document.documentElement.dataset.theme = '{theme}';
                 document.activeElement?.blur();
                 const top = document.querySelector({}).getBoundingClientRect().top + scrollY;
                 scrollTo({{ top: Math.max(top - 20, 0), behavior: 'instant' }})",
                json!(top)
            ))
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let path = directory.join(format!("{name}-{view}.png"));
        browser.save_screenshot(&path).await;
        compress_png(&path);
    }
    browser.resize(1280, 900).await;
}

/// Compresses a file in place; prints a note if pngquant fails or is not installed.
fn compress_png(path: &PathBuf) {
    let done =
        Command::new("pngquant").args(["--force", "--speed=1", "--ext=.png", "--quality=80-100"]).arg(path).status();
    if !done.is_ok_and(|status| status.success()) {
        eprintln!("{} is not compressed: pngquant failed or is not installed", path.display());
    }
}

#[tokio::test]
#[ignore = "writes files into the repository"]
async fn screenshots() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve_tenant(TenantSettings { users: 1500, ..TenantSettings::default() }, &[]).await;
    sign_in(&browser, &demo).await;

    let csv = "Mail;Full name;app_metadata.plan;Internal notes;Created At\n\
               ada@customers.example;Ada Lovelace;gold;prefers calls;2024-01-01\n\
               grace@customers.example;Grace Hopper;free;;2024-01-02\n\
               no address;Kim Example;free;;2024-01-03\n\
               edsger@customers.example;Edsger Dijkstra;;met in Eindhoven;2024-02-11\n";
    browser.choose_file("#files", "customers.csv", csv.as_bytes()).await;
    browser.wait_for_text("#content .legend", "can be imported").await;
    choose_connection(&browser, DATABASE).await;
    save_views(&browser, "import", "body").await;
    save_views(&browser, "import-mapping", "#content").await;
    browser.click("Clear").await;

    let mut rows = good_users(180);
    rows.extend((0..12).map(|n| json!({ "name": format!("Customer {n}") })));
    rows.extend((0..7).map(|n| json!({ "email": format!("customer{n} at example.com") })));
    rows.extend((0..3).map(|n| json!({ "email": format!("shoes{n}@example.com"), "shoe_size": 42 })));
    browser.choose_file("#files", "customers.ndjson", ndjson(&rows).as_bytes()).await;
    browser.wait_for_text("#content .legend", "can be imported").await;
    browser.click("Start importing users").await;
    browser.wait_for_text(".report", "Download failed rows").await;
    save_views(&browser, "import-result", "#results").await;

    browser.click("Export").await;
    browser.wait_for_text("#count", "1000+").await;
    for (number, (expression, name)) in [
        ("user.email", "Email"),
        ("user.app_metadata.plan || \"none\"", "Plan"),
        ("title_case(user.nickname)", "Called"),
        ("user.identities.map(i => i.provider).join(\", \")", "Signs in with"),
        ("user.family_name.toUpperCase()", "FAMILY NAME"),
    ]
    .into_iter()
    .enumerate()
    {
        browser.click("Add a column").await;
        let row = format!("#columns > li:nth-child({})", number + 1);
        browser.type_into(&format!("{row} .combo input"), expression).await;
        browser.press(ESCAPE).await;
        browser.type_into(&format!("{row} > input"), name).await;
    }
    browser.click_at("input[name=format][value=csv]").await;
    browser.type_into("#query", "_exists_:app_metadata.plan").await;
    browser.press(ESCAPE).await;
    browser.wait_for_text("#preview-rows th:last-child", "FAMILY NAME").await;
    browser.wait_for_text("#columns > li:last-child .kind", "JavaScript").await;
    save_views(&browser, "export", "body").await;
    save_views(&browser, "export-columns", "#part-columns").await;
    save_views(&browser, "export-preview", "#preview").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "exported").await;

    browser.click("History").await;
    browser.wait_for_text("#history", "180 inserted").await;
    save_views(&browser, "history", "body").await;
    browser.click("Transforms").await;
    browser.wait_for_text("#catalog", "Hides the local part").await;
    browser.click_at("article[aria-label=mask_email] .toggles details:nth-child(2) summary").await;
    browser.element(".tried").await;
    save_views(&browser, "transforms", "#part-catalog").await;

    browser.open(&demo.url("/settings")).await;
    browser.wait_for_text("#sessions", "This session").await;
    save_views(&browser, "settings", "body").await;
}
