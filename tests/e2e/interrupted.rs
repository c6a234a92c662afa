//! What gets in the way: a page that is left, a session that ends, a network that fails.

use std::time::{Duration, Instant};

use end_to_end::{Browser, Installation, Network, PATIENCE};
use serde_json::json;
use simulated_tenant::TenantSettings;
use simulated_tenant::people::ADMIN_EMAIL;

use crate::people::{DATABASE, browser_in_turn, choose_connection, good_users, ndjson, no_problems, sign_in, watch};

/// A tenant whose jobs end only when its clock is told to go on.
async fn slow_jobs() -> Installation {
    let hours = Duration::from_hours(1);
    let settings =
        TenantSettings { users: 1500, export_duration: hours, import_duration: hours, ..TenantSettings::default() };
    Installation::serve_tenant(settings, &[]).await
}

#[tokio::test]
async fn a_job_that_runs_is_found_again_even_in_another_window() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = slow_jobs().await;
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
    // What this tab remembers is forgotten, as in a new one; the session stays.
    let forget =
        "for (const key of Object.keys(sessionStorage)) if (!key.endsWith(':apiToken')) sessionStorage.removeItem(key)";
    browser.run(forget).await;
    browser.open(&demo.url("/import")).await;
    browser.wait_for_text("#results", &format!("Importing users into {DATABASE}")).await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#results", "In progress").await;
    demo.control().advance(Duration::from_hours(2));
    browser.wait_for_text("#results", "exported").await;
    // What was found is remembered from then on.
    browser.open(&demo.url("/import")).await;
    browser.wait_for_text("#results", "5 users inserted").await;
}

#[tokio::test]
async fn a_lost_connection_is_told_and_the_job_is_followed_on() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = slow_jobs().await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#count", "1000+").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "In progress").await;
    browser.network(Network::Cut).await;
    browser.wait_for_text("#results", "Connection lost.").await;
    // What needs an answer now says what is the matter, and offers to try again.
    browser.type_into("#query", "blocked:true").await;
    browser.wait_for_text("#preview-rows", "The server could not be reached.").await;
    browser.check_accessibility("a lost connection").await;
    browser.network(Network::Usual).await;
    demo.control().advance(Duration::from_hours(2));
    browser.wait_for_text("#results", "exported").await;
    browser.click("Try again").await;
    browser.wait_for_text("#preview-plan", "Reads").await;
    assert_eq!(browser.run("return document.getElementById('query').value").await, "blocked:true");
    no_problems(&browser, "a lost connection").await;
}

#[tokio::test]
async fn a_slow_network_leaves_a_page_that_says_what_it_waits_for() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(50).await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/export")).await;
    browser.element("#preview-rows tbody").await;
    browser.network(Network::Slow).await;
    // Answers come when they are let through, however fast or slow everything else is.
    browser
        .run_first(
            "const asked = window.fetch;
             const opened = new Promise((go) => { window.letThrough = go; });
             window.fetch = async (...request) => { await opened; return asked(...request); };",
        )
        .await;
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#preview-rows", "Looking at the first users…").await;
    browser.wait_for_text("#count", "Counting users…").await;
    // The form is there to be filled in meanwhile.
    browser.click("Add default columns").await;
    browser.wait_for("return document.querySelectorAll('#columns > li').length", &json!(11)).await;
    browser.wait_for_text("#preview-rows", "Looking at the first users…").await;
    browser.run("window.letThrough()").await;
    browser.wait_for("return document.querySelectorAll('#preview-rows th').length", &json!(11)).await;
    no_problems(&browser, "a slow network").await;
}

/// Signs in again in the window that the page opens.
async fn sign_in_in_the_popup(browser: &Browser, demo: &Installation) {
    let page = browser.client.window().await.unwrap();
    browser.click("Sign in").await;
    // The tenant may still have a session, and then asks nothing: the window closes by itself, perhaps before it is
    // found here.
    let login = format!("{}/u/login", demo.tenant());
    let end = Instant::now() + PATIENCE;
    loop {
        let windows = browser.client.windows().await.unwrap();
        let mut address = String::new();
        if let Some(popup) = windows.into_iter().find(|window| *window != page) {
            let switched = browser.client.switch_to_window(popup).await.is_ok();
            if switched && let Ok(url) = browser.client.current_url().await {
                address = url.into();
            }
            if address.starts_with(&login) {
                crate::people::sign_in_at_the_tenant(browser, demo).await;
                break;
            }
        } else {
            browser.client.switch_to_window(page.clone()).await.unwrap();
            if browser.run("return document.querySelector('dialog[open]')").await.is_null() {
                break;
            }
        }
        assert!(Instant::now() < end, "no sign-in in the window at {address:?}: {}", browser.text("body").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    browser.client.switch_to_window(page).await.unwrap();
}

#[tokio::test]
async fn a_session_that_ends_takes_nothing_along() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::serve(20, &[]).await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    browser.choose_file("#files", "users.ndjson", ndjson(&good_users(4)).as_bytes()).await;
    browser.wait_for_text("#file-list", "4 rows").await;
    choose_connection(&browser, DATABASE).await;
    browser.click_at("#upsert").await;

    // A session the server does not accept any more.
    let spoil = "const key = 'user-import-export-extension:apiToken';
        const [head, claims] = sessionStorage.getItem(key).split('.');
        sessionStorage.setItem(key, `${head}.${claims}.${'A'.repeat(43)}`)";
    browser.run(spoil).await;
    browser.click("Start importing users").await;
    browser.wait_for_text("dialog[open]", "Your session has ended").await;
    browser.check_every_look("a session that has ended").await;
    sign_in_in_the_popup(&browser, &demo).await;
    // The import that was asked for goes on: nothing had to be chosen again.
    browser.wait_for_text("#results", "4 users inserted").await;
    browser.wait_for_text("#who", ADMIN_EMAIL).await;
    assert_eq!(browser.run("return document.querySelectorAll('dialog[open]').length").await, 0);
    assert_eq!(browser.run("return document.getElementById('upsert').checked").await, true);
    no_problems(&browser, "a session that has ended").await;
}

#[tokio::test]
async fn logging_out_in_one_tab_ends_the_sessions_of_the_other_tabs() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::serve(20, &[]).await;
    sign_in(&browser, &demo).await;
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap().handle;
    browser.client.switch_to_window(second.clone()).await.unwrap();
    // The tenant still knows who it is.
    browser.open(&demo.url("/export")).await;
    browser.wait_for_text("#who", ADMIN_EMAIL).await;
    let token = browser.run("return sessionStorage.getItem('user-import-export-extension:apiToken')").await;
    let token = token.as_str().expect("a session of its own").to_owned();

    browser.client.switch_to_window(first).await.unwrap();
    browser.click("Log out").await;
    browser.wait_for_address(&format!("{}/", demo.tenant())).await;
    let reply = reqwest::Client::new().get(demo.url("/api/history")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(reply.status(), 401, "also without a page that listens");
    browser.client.switch_to_window(second).await.unwrap();
    browser.wait_for_text("dialog[open]", "Your session has ended").await;
}
