//! The Settings page: permissions, sessions, and the limits of the server.

use end_to_end::{Installation, sign_in as program_sign_in};
use simulated_tenant::people::{ADMIN_EMAIL, EDITOR_EMAIL, Person, people};

use crate::actions::{assert_no_page_errors, exclusive_browser, record_page_errors, sign_in};

fn editor() -> Person {
    people().into_iter().find(|person| person.email == EDITOR_EMAIL).expect("the editor")
}

/// Returns the status of a request to the history with a session token.
async fn history_status(demo: &Installation, token: &str) -> u16 {
    let request = reqwest::Client::new().get(demo.url("/api/history")).bearer_auth(token);
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn own_and_other_sessions_can_be_ended_on_the_settings_page() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(20, &[]).await;
    record_page_errors(&browser).await;
    // Sign the browser in first, because the tenant asks for consent only once.
    sign_in(&browser, &demo).await;
    let base = demo.url("");
    let own = program_sign_in(&base, &people()[0]).await;
    let others = [program_sign_in(&base, &editor()).await, program_sign_in(&base, &editor()).await];
    browser.open(&demo.url("/settings")).await;
    browser.wait_for_text("#permissions", "Import users").await;
    let server = browser.wait_for_text("#server", "Largest file for an import").await;
    assert!(
        server.contains(env!("CARGO_PKG_VERSION")) && server.contains("2 GiB") && server.contains("7 days"),
        "{server}"
    );
    let table = browser.wait_for_text("#sessions", "This session").await;
    assert!(table.contains("Also yours") && table.contains(EDITOR_EMAIL), "{table}");
    browser.check_themes_and_widths("settings with sessions").await;

    browser.click_at(&format!("#sessions button[aria-label^='End the session of {ADMIN_EMAIL}']")).await;
    browser.wait_for_text("#announcer", "The session was ended.").await;
    assert_eq!(history_status(&demo, &own).await, 401);
    assert_eq!(history_status(&demo, &others[0]).await, 200);

    browser.click_at(&format!("#sessions button[aria-label='End all sessions of {EDITOR_EMAIL}']")).await;
    browser.wait_for_text("dialog[open]", "They have to sign in again on every device.").await;
    browser.check_themes_and_widths("the confirmation before sessions are ended").await;
    browser.click_at("dialog[open] button.primary").await;
    browser.wait_for_text("#announcer", "All sessions of").await;
    for token in &others {
        assert_eq!(history_status(&demo, token).await, 401);
    }
    let table = browser.text("#sessions").await;
    assert!(!table.contains(EDITOR_EMAIL) && table.contains("This session"), "{table}");
    assert_no_page_errors(&browser, "settings").await;

    browser.click_at("#sessions button[aria-label='Log out and end all your sessions']").await;
    browser.wait_for_address(&format!("{}/", demo.tenant())).await;
}
