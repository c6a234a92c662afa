//! From login through consent to files, and back in.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulated_tenant::people::people;

use crate::people::{DATABASE, browser_in_turn, choose_connection, good_users, ndjson, sign_in};
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

/// The ids of everybody in a demo's tenant, from the tenant's own generator.
fn everybody() -> BTreeSet<String> {
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

/// Starts the export that is set up, waits for its end and takes the download.
async fn export(browser: &Browser) -> (String, Vec<u8>) {
    browser.click_at("#start:enabled").await;
    let result = browser.wait_for_text("#results", "users exported").await;
    let count = everybody().len();
    assert!(result.contains(&format!("{},{:03} users exported", count / 1000, count % 1000)), "{result}");
    browser.click("Download").await;
    browser.downloaded().await
}

#[tokio::test]
async fn an_admin_signs_in_exports_everybody_imports_a_file_and_finds_it_all_in_the_history() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
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
    assert_eq!(ids.len(), everybody().len());
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), everybody());

    // JSON with whole profiles.
    browser.click("Reset the form").await;
    assert_eq!(browser.run("return document.querySelectorAll('#columns li').length").await, 0);
    browser.click_at("input[name=format][value=json]").await;
    let (name, json) = export(&browser).await;
    assert_eq!(extension(&name), "json");
    let users: Vec<Value> = serde_json::from_slice(&json).unwrap();
    assert_eq!(users.len(), everybody().len());
    assert!(users.iter().all(|user| user["identities"][0]["connection"].is_string()));
    let ids: BTreeSet<String> = users.iter().map(|user| user["user_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, everybody());

    // 480 good rows and 20 bad ones: refused here, and refused by Auth0.
    let mut rows = good_users(480);
    for n in 0..5 {
        rows.insert(n * 90, json!({ "name": format!("No address {n}") }));
        rows.insert(n * 90 + 20, json!({ "email": format!("not-an-address-{n}") }));
        rows.insert(
            n * 90 + 40,
            json!({ "email": format!("forbidden-key-{n}@example.com"), "app_metadata": { "clientID": n } }),
        );
    }
    let taken = users.iter().filter(|user| user["identities"][0]["connection"] == DATABASE);
    let taken = taken.filter_map(|user| user["email"].as_str()).take(5);
    rows.extend(taken.map(|email| json!({ "email": email })));
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

    // The failed rows in the form they came in, to be imported again.
    browser.click("Download failed rows").await;
    let (_, failed) = browser.downloaded().await;
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
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.click("Log out").await;
    browser.wait_for_address(&format!("{}/", demo.tenant())).await;

    browser.open(&demo.url("/history")).await;
    browser.wait_for_address(&format!("{}/u/login", demo.tenant())).await;
    browser.element("#sign-in").await;
}

#[tokio::test]
async fn after_signing_in_one_is_where_one_wanted_to_be() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    browser.open(&demo.url("/history?theme=dark")).await;
    crate::people::sign_in_at_the_tenant(&browser, &demo).await;
    browser.wait_for_text("#history", "There are no jobs available.").await;
    browser.wait_for_address(&demo.url("/history?theme=dark")).await;
}
