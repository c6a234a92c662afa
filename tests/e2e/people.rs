//! What people do in the browser, in the words of the pages.

use end_to_end::{Browser, Installation, browser};
use serde_json::Value;
use simulated_tenant::generate::import_user;
use simulated_tenant::people::ADMIN_EMAIL;
use tokio::sync::{Mutex, MutexGuard};

/// Browser tests run one after another: side by side they only starve each other.
static TURN: Mutex<()> = Mutex::const_new(());

/// A browser and the right to use it; none where there is no browser.
pub async fn browser_in_turn() -> Option<(MutexGuard<'static, ()>, Browser)> {
    let turn = TURN.lock().await;
    browser().await.map(|browser| (turn, browser))
}

/// Signs the tenant's admin in, from the tenant's login page on, and agrees where consent is asked for.
pub async fn sign_in_at_the_tenant(browser: &Browser, demo: &Installation) {
    browser.wait_for_address(&format!("{}/u/login", demo.tenant())).await;
    browser.type_into("#email", ADMIN_EMAIL).await;
    browser.element("#sign-in").await.click().await.expect("the sign-in button can be clicked");
    let permissions = browser.element("#permissions").await.text().await.expect("the permissions");
    for line in
        ["Users: create and read your users", "Connections: read your connections", "Profile: access to your profile"]
    {
        assert!(permissions.contains(line), "consent does not name {line:?}: {permissions}");
    }
    browser.element("#accept").await.click().await.expect("the consent can be given");
}

/// Signs in and waits for the first page.
pub async fn sign_in(browser: &Browser, demo: &Installation) {
    browser.open(&demo.url("/")).await;
    sign_in_at_the_tenant(browser, demo).await;
    browser.wait_for_text("#who", ADMIN_EMAIL).await;
}

/// Users whom the tenant takes: generated ones, without those that are bad on purpose. Their numbers
/// start beyond the tenant's own users, so that none exists already.
pub fn good_users(count: usize) -> Vec<Value> {
    let importable = |user: &Value| {
        let text = user.to_string();
        let hash = user.get("password_hash").and_then(Value::as_str);
        user["email"].is_string()
            && !text.contains(":null")
            && user.get("unknown_key").is_none()
            && user["nickname"] != ""
            && !user["user_id"].as_str().unwrap_or_default().contains('|')
            && hash.is_none_or(|hash| hash.len() == 60)
    };
    (1_000_000..)
        .filter_map(|index| serde_json::from_str(&import_user(index, 42)).ok())
        .filter(importable)
        .take(count)
        .collect()
}

/// The database connection of the simulated tenant that takes imports.
pub const DATABASE: &str = "Username-Password-Authentication";

/// Watches every page opened from now on: what goes wrong in it, and what moves by itself.
pub async fn watch(browser: &Browser) {
    browser.run_first(include_str!("watch.js")).await;
}

/// Nothing went wrong in the page since it was opened.
pub async fn no_problems(browser: &Browser, state: &str) {
    assert_eq!(browser.run("return window.problems").await, serde_json::json!([]), "{state}");
}

/// Chooses a connection by its name.
pub async fn choose_connection(browser: &Browser, name: &str) {
    browser.element("#connection:enabled").await;
    browser.wait_for_text("#connection", name).await;
    let select = browser.element("#connection").await;
    select.select_by_label(name).await.unwrap_or_else(|error| panic!("{name} cannot be chosen: {error}"));
}

/// A file with one row per line.
pub fn ndjson(rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}
