//! Actions that browser tests share: signing in, choosing a connection, preparing import files.

use end_to_end::{Browser, Installation, browser};
use serde_json::Value;
use simulated_tenant::generate::import_user;
use simulated_tenant::people::ADMIN_EMAIL;
use tokio::sync::{Mutex, MutexGuard};

/// Held by the test that uses the browser. Browser tests run one at a time, because parallel browsers time out.
static BROWSER_LOCK: Mutex<()> = Mutex::const_new(());

/// Waits for the lock and starts a browser. `None` if no browser is installed.
pub async fn exclusive_browser() -> Option<(MutexGuard<'static, ()>, Browser)> {
    let lock = BROWSER_LOCK.lock().await;
    browser().await.map(|browser| (lock, browser))
}

/// Signs the tenant's admin in on the login page that the browser is on, and gives consent.
pub async fn sign_in_at_tenant(browser: &Browser, demo: &Installation) {
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
    sign_in_at_tenant(browser, demo).await;
    browser.wait_for_text("#who", ADMIN_EMAIL).await;
}

/// Returns `count` generated users that the tenant accepts, without those the generator spoils on purpose. Their
/// indexes start above those of the tenant's own users, so that they are all new.
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

/// The database connection of the simulated tenant that imports go to.
pub const DATABASE: &str = "Username-Password-Authentication";

/// Records script errors, CSP violations and layout shifts of every page that is opened afterwards.
pub async fn record_page_errors(browser: &Browser) {
    browser.run_on_new_pages(include_str!("record_page_errors.js")).await;
}

/// Asserts that no script error and no CSP violation was recorded since the page was opened.
pub async fn assert_no_page_errors(browser: &Browser, state: &str) {
    assert_eq!(browser.run("return window.problems").await, serde_json::json!([]), "{state}");
}

/// Chooses a connection by its name, once the list is loaded.
pub async fn choose_connection(browser: &Browser, name: &str) {
    browser.element("#connection:enabled").await;
    browser.wait_for_text("#connection", name).await;
    let select = browser.element("#connection").await;
    select.select_by_label(name).await.unwrap_or_else(|error| panic!("{name} cannot be chosen: {error}"));
}

/// Returns the rows as newline-delimited JSON.
pub fn ndjson(rows: &[Value]) -> String {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}
