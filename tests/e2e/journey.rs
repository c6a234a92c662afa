//! The main user journey: sign-in and consent, exports, an import, the history and the log-out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulated_tenant::people::people;

use crate::actions::{DATABASE, choose_connection, exclusive_browser, good_users, ndjson, sign_in};
use end_to_end::{Browser, Installation};

const USERS: u64 = 2000;
const DEFAULT_COLUMNS: [&str; 11] = [
    "Id",
    "Given Name",
    "Family Name",
    "Nickname",
    "Name",
    "Email",
    "Email Verified",
    "Picture",
    "Connection",
    "Created At",
    "Updated At",
];

/// Returns the ids of all users in the demo tenant, from the generator of the simulated tenant.
fn all_user_ids() -> BTreeSet<String> {
    let people = people();
    let generated = (0..USERS - people.len() as u64).map(|index| {
        let user: Value = serde_json::from_str(&simulated_tenant::generate::export_user(index, 42)).unwrap();
        user["user_id"].as_str().unwrap().to_owned()
    });
    generated.chain(people.into_iter().map(|person| person.user_id)).collect()
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Starts the configured export, waits until it ends and returns name and content of the download.
async fn export(browser: &Browser) -> (String, Vec<u8>) {
    browser.click_at("#start:enabled").await;
    let result = browser.wait_for_text("#results", "users exported").await;
    let count = all_user_ids().len();
    assert!(result.contains(&format!("{},{:03} users exported", count / 1000, count % 1000)), "{result}");
    browser.click("Download").await;
    browser.next_download().await
}

#[tokio::test]
async fn an_admin_exports_all_users_imports_a_file_and_sees_both_in_the_history() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(USERS).await;
    sign_in(&browser, &demo).await;

    // CSV with the default columns.
    browser.click("Export").await;
    browser.wait_for_text("#start", "Export 1000+ users").await;
    browser.click("Add default columns").await;
    browser.click_at("input[name=format][value=csv]").await;
    let (name, csv) = export(&browser).await;
    assert_eq!(extension(&name), "csv");
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), DEFAULT_COLUMNS);
    let ids: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
    assert_eq!(ids.len(), all_user_ids().len());
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), all_user_ids());

    // JSON with whole profiles.
    browser.click("Reset the form").await;
    assert_eq!(browser.run("return document.querySelectorAll('#columns li').length").await, 0);
    browser.click_at("input[name=format][value=json]").await;
    let (name, json) = export(&browser).await;
    assert_eq!(extension(&name), "json");
    let users: Vec<Value> = serde_json::from_slice(&json).unwrap();
    assert_eq!(users.len(), all_user_ids().len());
    assert!(users.iter().all(|user| user["identities"][0]["connection"].is_string()));
    let ids: BTreeSet<String> = users.iter().map(|user| user["user_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, all_user_ids());

    // 480 valid rows and 20 invalid ones, some rejected by this server, some by Auth0.
    let mut rows = good_users(480);
    for n in 0..5 {
        rows.insert(n * 90, json!({ "name": format!("No address {n}") }));
        rows.insert(n * 90 + 20, json!({ "email": format!("not-an-address-{n}") }));
        rows.insert(
            n * 90 + 40,
            json!({ "email": format!("forbidden-key-{n}@example.com"), "app_metadata": { "clientID": n } }),
        );
    }
    let existing = users.iter().filter(|user| user["identities"][0]["connection"] == DATABASE);
    let existing = existing.filter_map(|user| user["email"].as_str()).take(5);
    rows.extend(existing.map(|email| json!({ "email": email })));
    assert_eq!(rows.len(), 500);

    browser.click("Import").await;
    browser.choose_file("#files", "users.ndjson", ndjson(&rows).as_bytes()).await;
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    let result = browser.wait_for_text("#results", "Download failed rows").await;
    for outcome in ["480 users inserted", "0 users updated", "20 rows failed"] {
        assert!(result.contains(outcome), "{outcome}: {result}");
    }
    let faults = browser.run("return [...document.querySelectorAll('.report tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))").await;
    let faults = faults.as_array().unwrap();
    assert_eq!(faults.len(), 20);
    let lines: BTreeSet<&str> = faults.iter().map(|row| row[0].as_str().unwrap().trim()).collect();
    let bad = rows.iter().enumerate().filter(|(index, row)| {
        row.get("email").is_none()
            || row["email"].as_str().is_some_and(|email| !email.contains('@'))
            || row.get("app_metadata").is_some_and(|metadata| metadata.get("clientID").is_some())
            || *index >= 495
    });
    let expected: Vec<String> = bad.map(|(index, _)| (index + 1).to_string()).collect();
    assert_eq!(lines, expected.iter().map(String::as_str).collect());
    assert!(faults.iter().all(|row| row[2].as_str().is_some_and(|reason| reason.len() > 10)), "{faults:?}");

    // The failed rows are in the format of the upload.
    browser.click("Download failed rows").await;
    let (_, failed) = browser.next_download().await;
    let failed = serde_json::Deserializer::from_slice(&failed).into_iter::<Value>();
    let failed: Vec<Value> = failed.collect::<Result<_, _>>().unwrap();
    assert_eq!(failed.len(), 20);

    browser.click("History").await;
    browser.wait_for_text("#history", "480 inserted, 20 failed").await;
    let history = browser
        .run("return [...document.querySelectorAll('#history tbody tr')].map((row) => row.cells[0].innerText.trim().split('\\n')[0])")
        .await;
    assert_eq!(history, json!(["Import", "Export", "Export"]));
}

#[tokio::test]
async fn logging_out_ends_the_session_here_and_at_the_tenant() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.click("Log out").await;
    browser.wait_for_address(&format!("{}/", demo.tenant())).await;

    browser.open(&demo.url("/history")).await;
    browser.wait_for_address(&format!("{}/u/login", demo.tenant())).await;
    browser.element("#sign-in").await;
}

#[tokio::test]
async fn signing_in_returns_to_the_requested_page() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    browser.open(&demo.url("/history?theme=dark")).await;
    crate::actions::sign_in_at_tenant(&browser, &demo).await;
    browser.wait_for_text("#history", "No jobs yet.").await;
    browser.wait_for_address(&demo.url("/history?theme=dark")).await;
}

#[tokio::test]
async fn the_login_page_of_the_demo_says_who_may_enter() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    browser.open(&demo.url("/")).await;
    browser.wait_for_address(&format!("{}/u/login", demo.tenant())).await;
    let note = browser.text("#note").await;
    assert!(note.starts_with("Every account may enter this demo") && note.contains("ADMIN_SUBJECTS"), "{note}");
}
