//! Interruptions: reloaded pages, ended sessions, slow and lost networks.

use std::time::Duration;

use end_to_end::{Installation, Network};
use serde_json::json;
use simulated_tenant::TenantSettings;
use simulated_tenant::people::ADMIN_EMAIL;

use crate::actions::{
    DATABASE, assert_no_page_errors, choose_connection, exclusive_browser, good_users, ndjson, record_page_errors,
    sign_in,
};

/// Starts a server whose Auth0 jobs end only when the test advances the tenant's clock.
async fn server_with_slow_jobs() -> Installation {
    let hours = Duration::from_hours(1);
    let settings =
        TenantSettings { users: 1500, export_duration: hours, import_duration: hours, ..TenantSettings::default() };
    Installation::serve_tenant(settings, &[]).await
}

#[tokio::test]
async fn a_running_job_is_found_again_in_another_tab() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = server_with_slow_jobs().await;
    sign_in(&browser, &demo).await;
    browser.choose_file("#files", "users.ndjson", ndjson(&good_users(5)).as_bytes()).await;
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.click("Export").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "In progress").await;

    browser.click("Import").await;
    browser.wait_for_text("#results", "Importing users.ndjson").await;
    // Clear the state of this tab, as in a new tab, but keep the session.
    let forget =
        "for (const key of Object.keys(sessionStorage)) if (!key.endsWith(':apiToken')) sessionStorage.removeItem(key)";
    browser.run(forget).await;
    browser.open(&demo.url("/import")).await;
    browser.wait_for_text("#results", &format!("Importing users into {DATABASE}")).await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#results", "In progress").await;
    demo.control().advance(Duration::from_hours(2));
    browser.wait_for_text("#results", "exported").await;
    // The page stores the job it found.
    browser.open(&demo.url("/import")).await;
    browser.wait_for_text("#results", "5 users inserted").await;
}

#[tokio::test]
async fn a_lost_connection_is_reported_and_polling_resumes() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = server_with_slow_jobs().await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#count", "1000+").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.set_network(Network::Offline).await;
    browser.wait_for_text("#results", "Connection lost.").await;
    // A request that fails shows the reason and a button to try again.
    browser.type_into("#query", "blocked:true").await;
    browser.wait_for_text("#preview-rows", "The server could not be reached.").await;
    browser.check_accessibility("a lost connection").await;
    browser.set_network(Network::Normal).await;
    demo.control().advance(Duration::from_hours(2));
    browser.wait_for_text("#results", "exported").await;
    browser.click("Try again").await;
    browser.wait_for_text("#preview-plan", "Reads").await;
    assert_eq!(browser.run("return document.getElementById('query').value").await, "blocked:true");
    assert_no_page_errors(&browser, "a lost connection").await;
}

#[tokio::test]
async fn pages_show_loading_messages_on_a_slow_network() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/export")).await;
    browser.element("#preview-rows tbody").await;
    browser.set_network(Network::Slow).await;
    // Hold every response until the test releases it, so that timing does not matter.
    browser
        .run_on_new_pages(
            "const originalFetch = window.fetch;
             const released = new Promise((resolve) => { window.releaseResponses = resolve; });
             window.fetch = async (...request) => { await released; return originalFetch(...request); };",
        )
        .await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#preview-rows", "Loading the first users…").await;
    browser.wait_for_text("#count", "Counting users…").await;
    // The form can be filled in meanwhile.
    browser.click("Add default columns").await;
    browser.wait_for("return document.querySelectorAll('#columns > li').length", &json!(11)).await;
    browser.wait_for_text("#preview-rows", "Loading the first users…").await;
    browser.run("window.releaseResponses()").await;
    browser.wait_for("return document.querySelectorAll('#preview-rows th').length", &json!(11)).await;
    assert_no_page_errors(&browser, "a slow network").await;
}

#[tokio::test]
async fn form_contents_survive_the_end_of_a_session() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(20, &[]).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.choose_file("#files", "users.ndjson", ndjson(&good_users(4)).as_bytes()).await;
    browser.wait_for_text("#file-list", "4 rows").await;
    choose_connection(&browser, DATABASE).await;
    browser.click_at("#send-completion-email").await;

    // Break the signature of the session token.
    let break_token = "const key = 'user-import-export-extension:apiToken';
        const [head, claims] = sessionStorage.getItem(key).split('.');
        sessionStorage.setItem(key, `${head}.${claims}.${'A'.repeat(43)}`)";
    browser.run(break_token).await;
    browser.click("Start importing users").await;
    browser.wait_for_text("dialog[open]", "Your session has ended").await;
    browser.check_themes_and_widths("a session that has ended").await;
    // The tenant still has a session, so its popup closes without showing the login page.
    browser.click("Sign in").await;
    browser.wait_for("return document.querySelectorAll('dialog[open]').length", &json!(0)).await;
    // The import starts with the choices made before.
    browser.wait_for_text("#results", "4 users inserted").await;
    browser.wait_for_text("#who", ADMIN_EMAIL).await;
    assert_eq!(browser.run("return document.querySelectorAll('dialog[open]').length").await, 0);
    assert_eq!(browser.run("return document.getElementById('send-completion-email').checked").await, true);
    assert_no_page_errors(&browser, "a session that has ended").await;
}

#[tokio::test]
async fn logging_out_in_one_tab_ends_the_sessions_of_the_other_tabs() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(20, &[]).await;
    sign_in(&browser, &demo).await;
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap().handle;
    browser.client.switch_to_window(second.clone()).await.unwrap();
    // The tenant's session signs the second tab in without a login page.
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#who", ADMIN_EMAIL).await;
    let token = browser.run("return sessionStorage.getItem('user-import-export-extension:apiToken')").await;
    let token = token.as_str().expect("a session of its own").to_owned();

    browser.client.switch_to_window(first).await.unwrap();
    browser.click("Log out").await;
    browser.wait_for_address(&format!("{}/", demo.tenant())).await;
    let reply = reqwest::Client::new().get(demo.url("/api/history")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(reply.status(), 401, "the server ended the session");
    browser.client.switch_to_window(second).await.unwrap();
    browser.wait_for_text("dialog[open]", "Your session has ended").await;
}
