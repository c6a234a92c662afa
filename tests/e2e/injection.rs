//! Markup and script injection: hostile texts in every place where pages show data.

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};

use crate::actions::{DATABASE, assert_no_page_errors, exclusive_browser, record_page_errors, sign_in};

/// Hostile texts. If one is interpreted, it sets `window.attacked` or adds an element.
const ATTACKS: [&str; 8] = [
    "<img src=x onerror=\"window.attacked=1\">",
    "<script>window.attacked=1</script>",
    "\"><svg onload=window.attacked=1>",
    "</textarea></title><iframe srcdoc='<script>parent.attacked=1</script>'></iframe>",
    "javascript:window.attacked=1//",
    "${window.attacked=1}{{window.attacked=1}}",
    "<a href='javascript:window.attacked=1' autofocus onfocus=window.attacked=1>x</a>",
    "<style>*{display:none}</style><base href=//evil.example>",
];

/// Asserts that no attack was interpreted and that the CSP blocked nothing.
async fn assert_not_injected(browser: &Browser, state: &str) {
    let found = browser
        .run(
            "return [window.attacked ?? null,
                     document.querySelectorAll('#page img, #page script, #page iframe, #page svg[onload], #page style, base, [onerror], [onfocus], [href^=\"javascript:\"]').length]",
        )
        .await;
    assert_eq!(found, json!([null, 0]), "{state}");
    assert_no_page_errors(browser, state).await;
}

/// Starts a server whose tenant has users with attacks in names, ids and metadata.
async fn server_with_hostile_users() -> Installation {
    let demo = Installation::serve(5, &[]).await;
    for (number, attack) in ATTACKS.iter().enumerate() {
        let user = json!({
            "user_id": format!("auth0|{number}{attack}"), "email": format!("e{number}@example.com"), "name": attack, "nickname": attack,
            "created_at": format!("2030-01-0{}T00:00:00.000Z", number + 1),
            "identities": [{ "connection": DATABASE, "provider": "auth0", "user_id": format!("{number}{attack}"), "isSocial": false }],
            "user_metadata": { *attack: attack },
        });
        demo.control().put_user(&user).unwrap();
    }
    demo
}

#[tokio::test]
async fn hostile_users_columns_searches_and_presets_are_shown_as_text() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = server_with_hostile_users().await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    // Only the hostile users, which would be last.
    browser.type_into("#query", "created_at:[2030-01-01 TO *]").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.wait_for_text("#preview-rows", "onerror").await;
    assert_not_injected(&browser, "whole users").await;
    browser.click("Choose attributes").await;
    // The full list, and the filtered list.
    browser.wait_for_text("#picker-list", "<style>").await;
    assert_not_injected(&browser, "attributes").await;
    browser.type_into("#picker-search", "onerror").await;
    browser.wait_for_text("#picker-list code", "onerror").await;
    assert_not_injected(&browser, "an attribute").await;
    browser.click("Choose attributes").await;

    for (number, attack) in ATTACKS.iter().enumerate() {
        browser.click("Add a column").await;
        let row = format!("#columns > li:nth-child({})", number + 1);
        browser.type_into(&format!("{row} .combo input"), "user.name").await;
        browser.press(end_to_end::ESCAPE).await;
        browser.type_into(&format!("{row} > input"), attack).await;
    }
    let titles = "return [...document.querySelectorAll('#preview-rows th')].map((head) => head.textContent.trim())";
    browser.wait_for(titles, &json!(ATTACKS)).await;
    assert_not_injected(&browser, "column names").await;
    browser.type_into("#columns > li:first-child .combo input", ATTACKS[0]).await;
    browser.press(end_to_end::ESCAPE).await;
    browser.wait_for_text("#columns > li:first-child .field-error", "img").await;
    assert_not_injected(&browser, "an expression with an error").await;
    // An unclosed parenthesis; the error quotes the query.
    browser.type_into("#query", &format!("email:({}", ATTACKS[1])).await;
    browser.press(end_to_end::ESCAPE).await;
    browser.element("#query[aria-invalid]").await;
    browser.wait_for_text("#query-error", ATTACKS[1]).await;
    assert_not_injected(&browser, "a search with an error").await;

    for attack in &ATTACKS[..3] {
        browser.type_into("#columns > li:first-child .combo input", "user.name").await;
        browser.press(end_to_end::ESCAPE).await;
        browser.click("Save preset…").await;
        browser.type_into("#preset-name", attack).await;
        browser.click("Save").await;
        browser.wait_for_text("#preset-note", &format!("Saved as “{attack}”")).await;
    }
    assert_not_injected(&browser, "names of presets").await;
}

#[tokio::test]
async fn hostile_files_row_errors_and_jobs_are_shown_as_text() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = server_with_hostile_users().await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    let rows: Vec<Value> = ATTACKS
        .iter()
        .flat_map(|attack| {
            [
                json!({ "name": attack }),
                json!({ "email": attack }),
                json!({ "email": "a@example.com", *attack: attack }),
            ]
        })
        .collect();
    let name = "<img src=x onerror=attacked=1>.json";
    browser.choose_file("#files", name, Value::Array(rows).to_string().as_bytes()).await;
    browser.wait_for_text("#content", "Validation").await;
    let list = browser.text("#file-list").await;
    assert!(list.contains(name), "{list}");
    assert_not_injected(&browser, "the contents of a file").await;
    browser.click("Check only").await;
    let result = browser.wait_for_text("#results", "Download failed rows").await;
    assert!(result.contains(ATTACKS[0]) && result.contains(name), "{result}");
    assert_not_injected(&browser, "row errors").await;

    let csv = format!("\"{}\",email\nx,b@example.com\n", ATTACKS[2].replace('"', "\"\""));
    browser.click("Clear").await;
    browser.choose_file("#files", "names.csv", csv.as_bytes()).await;
    let content = browser.wait_for_text("#content .mapping", "svg").await;
    assert!(content.contains(ATTACKS[2]), "{content}");
    assert_not_injected(&browser, "columns of a file").await;

    browser.click("History").await;
    browser.wait_for_text("#history", "Check").await;
    browser.click("Report").await;
    browser.wait_for_text("#details", "onerror").await;
    assert_not_injected(&browser, "a report").await;
}

/// Encodes a WebAssembly module that has only a manifest section.
fn wasm_with_manifest(manifest: &Value) -> Vec<u8> {
    /// Appends an unsigned LEB128 number.
    fn write_leb128(value: usize, out: &mut Vec<u8>) {
        let mut rest = value;
        while rest >= 0x80 {
            out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    let name = b"user-import-export:manifest";
    let mut content = Vec::new();
    write_leb128(name.len(), &mut content);
    content.extend_from_slice(name);
    content.extend_from_slice(manifest.to_string().as_bytes());
    let mut file = b"\0asm\x01\0\0\0".to_vec();
    file.push(0);
    write_leb128(content.len(), &mut file);
    file.extend(content);
    file
}

#[tokio::test]
async fn hostile_transform_manifests_are_shown_as_text() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Transforms").await;
    browser.element("#catalog .transform").await;
    for attack in ATTACKS {
        let manifest = json!({
            "name": attack, "version": attack, "summary": attack, "documentation": attack,
            "parameters": [{ "name": attack, "type": attack, "description": attack }, 5, null],
            "examples": [{ "call": attack, "gives": { attack: attack } }, "no example"],
        });
        browser.choose_file("#file", "odd.wasm", &wasm_with_manifest(&manifest)).await;
        let found = browser.wait_for_text("#found", "Found in odd.wasm").await;
        assert!(found.contains(attack), "{found}");
        assert_not_injected(&browser, attack).await;
    }
    // Members of the wrong type do not break the page.
    browser
        .choose_file(
            "#file",
            "odder.wasm",
            &wasm_with_manifest(&json!({ "name": "odd", "parameters": "x", "examples": 7, "summary": {} })),
        )
        .await;
    browser.wait_for_text("#found", "Found in odder.wasm").await;
    browser.click("Add this transform").await;
    browser.wait_for_text("#take-note", "Error code").await;
    assert_not_injected(&browser, "a refused transform").await;
}

#[tokio::test]
async fn query_parameters_are_not_injected_into_pages() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    let encoded = "%3Cimg%20src=x%20onerror=%22window.attacked=1%22%3E%22%3E";
    for query in
        [format!("theme={encoded}"), format!("embed={encoded}&x={encoded}"), format!("lang={encoded}#{encoded}")]
    {
        browser.open(&demo.url(&format!("/history?{query}"))).await;
        browser.element("#history .blank").await;
        assert_not_injected(&browser, &query).await;
    }
}
