//! Budgets of the pages: bytes of the first view, layout shifts, and the number of elements with long lists.

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};

use crate::actions::{assert_no_page_errors, exclusive_browser, record_page_errors, sign_in};

/// Maximum bytes transferred for the first view of a page: document, assets and data.
const MAX_FIRST_VIEW_BYTES: u64 = 100_000;

/// Maximum cumulative layout shift score: less than one line of text moves.
const MAX_LAYOUT_SHIFT: f64 = 0.01;

/// Parses the score at the start of an entry of `window.shifts`.
fn shift_score(shift: &str) -> f64 {
    shift.split(':').next().and_then(|score| score.parse().ok()).expect("a score")
}

/// Each page, and a selector that matches once its first view is complete.
const PAGES: [(&str, &str); 5] = [
    ("import", "#connection:enabled"),
    ("export", "#preview-rows tbody"),
    ("history", "#history tbody"),
    ("transforms", "#catalog .transform"),
    ("settings", "#sessions tbody"),
];

/// Returns the number of elements in the document.
async fn element_count(browser: &Browser) -> u64 {
    browser.run("return document.querySelectorAll('*').length").await.as_u64().unwrap()
}

#[tokio::test]
async fn first_views_stay_within_the_size_and_layout_shift_budgets() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(200).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    // The history page needs a job to show.
    browser.open(&demo.url("/export")).await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "exported").await;
    browser.run("sessionStorage.removeItem('user-import-export-extension:export-job')").await;

    for (width, height) in [(1280, 900), (320, 700)] {
        browser.resize(width, height).await;
        for (page, loaded) in PAGES {
            browser.clear_cache().await;
            browser.open(&demo.url(&format!("/{page}"))).await;
            browser.element(loaded).await;
            // Include late responses.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let weight = "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
                return [all.reduce((sum, { transferSize }) => sum + transferSize, 0), all.length]";
            let weight = browser.run(weight).await;
            let (bytes, requests) = (weight[0].as_u64().unwrap(), weight[1].as_u64().unwrap());
            assert!(requests > 10, "{page}: expected more than {requests} requests");
            assert!(bytes > 10_000, "{page}: the cache was used");
            assert!(bytes <= MAX_FIRST_VIEW_BYTES, "{page}: {bytes} bytes in {requests} requests");
            let shifts = browser.run("return window.shifts").await;
            let moved: f64 = shifts.as_array().unwrap().iter().map(|shift| shift_score(shift.as_str().unwrap())).sum();
            assert!(moved < MAX_LAYOUT_SHIFT, "{page} at {width} pixels: {shifts}");
            assert_no_page_errors(&browser, page).await;
        }
    }
}

/// The browser paints a part of the menu if the rest of the page arrives later.
#[tokio::test]
async fn menu_items_do_not_move_when_later_ones_arrive() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    let places = "return [...document.querySelectorAll('.menu li')].slice(0, 2).map((item) => {
        const { left, top, width, height } = item.getBoundingClientRect();
        return [left, top, width, height];
    })";
    for language in ["en", "de"] {
        for width in [320, 390, 768, 1280] {
            browser.resize(width, 700).await;
            browser.open(&demo.url(&format!("/transforms?lang={language}"))).await;
            browser.element("#catalog .transform").await;
            let complete = browser.run(places).await;
            browser.run("[...document.querySelectorAll('.menu li')].slice(2).forEach((item) => item.remove())").await;
            assert_eq!(browser.run(places).await, complete, "{language} at {width} pixels");
        }
    }
}

/// Tables with buttons fit at every width, and nothing makes the page wider than the window.
#[tokio::test]
async fn no_page_and_no_table_is_wider_than_the_window() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    sign_in(&browser, &demo).await;
    let rows: Vec<Value> = (0..30).map(|n| json!({ "email": format!("{n} at example.com") })).collect();
    browser.choose_file("#files", "wrong.json", Value::Array(rows).to_string().as_bytes()).await;
    crate::actions::choose_connection(&browser, crate::actions::DATABASE).await;
    browser.click("Check only").await;
    browser.wait_for_text(".job-head", "Completed with 30 errors").await;
    browser.open(&demo.url("/export")).await;
    browser.click("Add default columns").await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "exported").await;
    let too_wide = "const wide = (element) => element.scrollWidth > element.clientWidth;
        return [document.documentElement, ...document.querySelectorAll('.table-card, .top')].filter(wide).map(({ className, tagName }) => className || tagName)";
    // The content of a status must not reach into the padding of its card.
    let beyond = "return [...document.querySelectorAll('.table-card .status, .table-card button')].filter((part) => {
        const card = part.closest('.table-card').getBoundingClientRect();
        const { left, right } = part.getBoundingClientRect();
        return left < card.left + 12 || right > card.right - 12;
    }).map(({ innerText }) => innerText)";
    for width in [320, 390, 480, 600, 720, 768, 900, 1024, 1110, 1280] {
        browser.resize(width, 800).await;
        for (page, loaded) in PAGES {
            browser.open(&demo.url(&format!("/{page}"))).await;
            browser.element(loaded).await;
            assert_eq!(browser.run(too_wide).await, json!([]), "{page} at {width} pixels");
            assert_eq!(browser.run(beyond).await, json!([]), "{page} at {width} pixels");
            let header = browser.run("return document.querySelector('.top').offsetHeight").await;
            assert!(header.as_u64().unwrap() < 90, "{page} at {width} pixels: the header has {header} pixels");
        }
        browser.open(&demo.url("/export")).await;
        browser.element("#columns > li").await;
        let fields =
            "return Math.min(...[...document.querySelectorAll('#columns input')].map((input) => input.offsetWidth))";
        let narrowest = browser.run(fields).await.as_u64().unwrap();
        assert!(narrowest >= 130, "a field of a column has {narrowest} pixels at {width} pixels");
    }
}

/// A page that fits into the window has the scrollbar of a longer one: nothing moves when the page grows, and beside the
/// header and the backdrop of a dialog there is no empty strip, as `scrollbar-gutter` leaves it.
#[tokio::test]
async fn short_pages_have_a_scrollbar_and_no_empty_strip() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(50).await;
    sign_in(&browser, &demo).await;
    let shape = "const { clientWidth, scrollHeight, clientHeight } = document.documentElement;
        const { overflowY, scrollbarGutter } = getComputedStyle(document.documentElement);
        const { right } = document.querySelector('.top').getBoundingClientRect();
        return [scrollHeight > clientHeight, right === clientWidth, overflowY, scrollbarGutter, clientWidth]";
    browser.resize(1280, 1200).await;
    browser.open(&demo.url("/history")).await;
    browser.element("#history .blank").await;
    let short = browser.run(shape).await;
    assert_eq!(short, json!([false, true, "scroll", "auto", short[4]]));
    browser.open(&demo.url("/transforms")).await;
    browser.element("#catalog .transform").await;
    assert_eq!(browser.run(shape).await, json!([true, true, "scroll", "auto", short[4]]));
}

#[tokio::test]
async fn cached_assets_are_not_requested_again() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
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
async fn ten_thousand_row_errors_stay_within_the_element_budget() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    let rows: String = (0..12_000).map(|n| json!({ "name": format!("Guest {n}") }).to_string() + "\n").collect();
    browser.choose_file("#files", "many.ndjson", rows.as_bytes()).await;
    browser.click("Check only").await;
    browser.wait_for_text(".pager", "1 to 50 of 10,000").await;
    browser.wait_for_text("#results", "The first 10,000 of 12,000 rows are listed here.").await;
    assert!(element_count(&browser).await < 2000, "{} elements", element_count(&browser).await);
    browser.click("Next").await;
    browser.wait_for_text(".pager", "51 to 100 of 10,000").await;
    browser.type_into(".report .search input", "guest 9876").await;
    // One row matches by its name, the other by its line number.
    browser.wait_for_text(".pager", "2 rows shown").await;
    let lines = "return [...document.querySelectorAll('.faults tbody tr')].map((row) => row.cells[0].innerText)";
    assert_eq!(browser.run(lines).await, json!(["9,876", "9,877"]));
    assert_no_page_errors(&browser, "faults").await;
}

#[tokio::test]
async fn five_hundred_attributes_stay_within_the_element_budget() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(10, &[]).await;
    let keys = (0..470).map(|n| (format!("key_{n}"), Value::from(n)));
    let user = json!({
        "user_id": "auth0|many", "email": "many@example.com", "created_at": "2030-01-01T00:00:00.000Z",
        "identities": [{ "connection": crate::actions::DATABASE, "provider": "auth0", "user_id": "many", "isSocial": false }],
        "user_metadata": keys.collect::<serde_json::Map<_, _>>(),
    });
    demo.control().put_user(&user).unwrap();
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    browser.element("#preview-rows tbody").await;
    browser.click("Choose attributes").await;
    browser.wait_for_text("#picker-more", "Show more").await;
    assert!(element_count(&browser).await < 2000, "{} elements", element_count(&browser).await);
    browser.type_into("#picker-search", "key_469").await;
    browser.wait_for("return document.querySelectorAll('#picker-list li').length", &json!(1)).await;
    browser.press(end_to_end::ENTER).await;
    browser.element("#columns > li").await;
    let expression = browser.run("return document.querySelector('#columns input').value").await;
    assert_eq!(expression, "user.user_metadata.key_469");
    assert_no_page_errors(&browser, "the picker").await;
}
