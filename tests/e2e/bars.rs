//! What the pages weigh, that nothing in them moves by itself, and that long lists stay short documents.

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};

use crate::people::{browser_in_turn, no_problems, sign_in, watch};

/// All that may come over the wire for the first view of a page, bytes: the page, its assets, its data.
const FIRST_VIEW: u64 = 100_000;

/// What may move, as the share of the view that the browser counts: less than a line of text.
const UNNOTICED: f64 = 0.01;

/// The share at the start of a shift's description.
fn share(shift: &str) -> f64 {
    shift.split(':').next().and_then(|share| share.parse().ok()).expect("a share")
}

/// A page and what shows that its first view is complete.
const PAGES: [(&str, &str); 5] = [
    ("import", "#connection:enabled"),
    ("export", "#preview-rows tbody"),
    ("history", "#history tbody"),
    ("transforms", "#catalog .transform"),
    ("settings", "#sessions tbody"),
];

/// Elements of the document.
async fn elements(browser: &Browser) -> u64 {
    browser.run("return document.querySelectorAll('*').length").await.as_u64().unwrap()
}

#[tokio::test]
async fn the_first_view_of_a_page_is_light_and_nothing_in_it_moves() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(200).await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    // Something for the history.
    browser.open(&demo.url("/export")).await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "exported").await;
    browser.run("sessionStorage.removeItem('user-import-export-extension:export-job')").await;

    for (width, height) in [(1280, 900), (320, 700)] {
        browser.resize(width, height).await;
        for (page, filled) in PAGES {
            browser.forget_cache().await;
            browser.open(&demo.url(&format!("/{page}"))).await;
            browser.element(filled).await;
            // Late answers come too.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let weight = "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
                return [all.reduce((sum, { transferSize }) => sum + transferSize, 0), all.length]";
            let weight = browser.run(weight).await;
            let (bytes, requests) = (weight[0].as_u64().unwrap(), weight[1].as_u64().unwrap());
            assert!(requests > 10, "{page}: {requests} requests are not all there are");
            assert!(bytes > 10_000, "{page}: nothing was loaded anew");
            assert!(bytes <= FIRST_VIEW, "{page}: {bytes} bytes in {requests} requests");
            let shifts = browser.run("return window.shifts").await;
            let moved: f64 = shifts.as_array().unwrap().iter().map(|shift| share(shift.as_str().unwrap())).sum();
            assert!(moved < UNNOTICED, "{page} at {width} pixels: {shifts}");
            no_problems(&browser, page).await;
        }
    }
}

#[tokio::test]
async fn assets_are_asked_for_once() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    browser.open(&demo.url("/history")).await;
    browser.element("#history .blank").await;
    browser.open(&demo.url("/history")).await;
    browser.element("#history .blank").await;
    let again = "return performance.getEntriesByType('resource').filter(({ name, transferSize }) => name.includes('/assets/') && transferSize > 0).map(({ name }) => name)";
    assert_eq!(browser.run(again).await, json!([]));
}

#[tokio::test]
async fn ten_thousand_faults_are_a_short_document() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    let rows: String = (0..12_000).map(|n| json!({ "name": format!("Nobody {n}") }).to_string() + "\n").collect();
    browser.choose_file("#files", "many.ndjson", rows.as_bytes()).await;
    browser.click("Check only").await;
    browser.wait_for_text(".pager", "1 to 50 of 10,000").await;
    browser.wait_for_text("#results", "The first 10,000 of 12,000 rows are listed here.").await;
    assert!(elements(&browser).await < 2000, "{} elements", elements(&browser).await);
    browser.click("Next").await;
    browser.wait_for_text(".pager", "51 to 100 of 10,000").await;
    browser.type_into(".report .search input", "nobody 9876").await;
    // By its name, and by the number of its line.
    browser.wait_for_text(".pager", "2 rows shown").await;
    let lines = "return [...document.querySelectorAll('.faults tbody tr')].map((row) => row.cells[0].innerText)";
    assert_eq!(browser.run(lines).await, json!(["9,876", "9,877"]));
    no_problems(&browser, "faults").await;
}

#[tokio::test]
async fn five_hundred_attributes_are_a_short_document() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::serve(10, &[]).await;
    let keys = (0..470).map(|n| (format!("key_{n}"), Value::from(n)));
    let user = json!({
        "user_id": "auth0|many", "email": "many@example.com", "created_at": "2030-01-01T00:00:00.000Z",
        "identities": [{ "connection": crate::people::DATABASE, "provider": "auth0", "user_id": "many", "isSocial": false }],
        "user_metadata": keys.collect::<serde_json::Map<_, _>>(),
    });
    demo.control().put_user(&user).unwrap();
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.element("#preview-rows tbody").await;
    browser.click("Choose attributes").await;
    browser.wait_for_text("#picker-more", "Show more").await;
    assert!(elements(&browser).await < 2000, "{} elements", elements(&browser).await);
    browser.type_into("#picker-search", "key_469").await;
    browser.wait_for("return document.querySelectorAll('#picker-list li').length", &json!(1)).await;
    browser.press(end_to_end::ENTER).await;
    browser.element("#columns > li").await;
    let expression = browser.run("return document.querySelector('#columns input').value").await;
    assert_eq!(expression, "user.user_metadata.key_469");
    no_problems(&browser, "the picker").await;
}
