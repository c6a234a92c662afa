//! Names and texts that want to be markup or scripts, in every place that shows something of somebody else.

use end_to_end::{Browser, Installation};
use serde_json::{Value, json};

use crate::people::{DATABASE, browser_in_turn, no_problems, sign_in, watch};

/// What an attacker would try. Each would set `window.attacked`, or leave an element behind.
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

/// Nothing of an attack has become an element or has run, and the policy had nothing to stop.
async fn unharmed(browser: &Browser, state: &str) {
    let found = browser
        .run(
            "return [window.attacked ?? null,
                     document.querySelectorAll('#page img, #page script, #page iframe, #page svg[onload], #page style, base, [onerror], [onfocus], [href^=\"javascript:\"]').length]",
        )
        .await;
    assert_eq!(found, json!([null, 0]), "{state}");
    no_problems(browser, state).await;
}

/// A tenant whose newest users are called like attacks, in names, addresses and metadata.
async fn infested() -> Installation {
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
async fn users_columns_searches_and_presets_are_text() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = infested().await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Export").await;
    // The newest users, who would come after all others.
    browser.type_into("#query", "created_at:[2030-01-01 TO *]").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.wait_for_text("#preview-rows", "onerror").await;
    unharmed(&browser, "whole users").await;
    browser.click("Choose attributes").await;
    // Whole lists of them, and the one that is looked for.
    browser.wait_for_text("#picker-list", "<style>").await;
    unharmed(&browser, "attributes").await;
    browser.type_into("#picker-search", "onerror").await;
    browser.wait_for_text("#picker-list code", "onerror").await;
    unharmed(&browser, "an attribute").await;
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
    unharmed(&browser, "column names").await;
    browser.type_into("#columns > li:first-child .combo input", ATTACKS[0]).await;
    browser.press(end_to_end::ESCAPE).await;
    browser.wait_for_text("#columns > li:first-child .field-error", "img").await;
    unharmed(&browser, "an expression with an error").await;
    // A parenthesis that is not closed; the error shows what was typed.
    browser.type_into("#query", &format!("email:({}", ATTACKS[1])).await;
    browser.press(end_to_end::ESCAPE).await;
    browser.element("#query[aria-invalid]").await;
    browser.wait_for_text("#query-error", ATTACKS[1]).await;
    unharmed(&browser, "a search with an error").await;

    for attack in &ATTACKS[..3] {
        browser.type_into("#columns > li:first-child .combo input", "user.name").await;
        browser.press(end_to_end::ESCAPE).await;
        browser.click("Save these settings").await;
        browser.type_into("#preset-name", attack).await;
        browser.click("Save").await;
        browser.wait_for_text("#preset-note", &format!("Saved as “{attack}”")).await;
    }
    unharmed(&browser, "names of presets").await;
}

#[tokio::test]
async fn files_faults_and_the_history_are_text() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = infested().await;
    watch(&browser).await;
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
    browser.wait_for_text("#content", "What the check says").await;
    let list = browser.text("#file-list").await;
    assert!(list.contains(name), "{list}");
    unharmed(&browser, "what is in a file").await;
    browser.click("Check only").await;
    let result = browser.wait_for_text("#results", "Download failed rows").await;
    assert!(result.contains(ATTACKS[0]) && result.contains(name), "{result}");
    unharmed(&browser, "faults").await;

    let csv = format!("\"{}\",email\nx,b@example.com\n", ATTACKS[2].replace('"', "\"\""));
    browser.click("Clear").await;
    browser.choose_file("#files", "names.csv", csv.as_bytes()).await;
    let content = browser.wait_for_text("#content .mapping", "svg").await;
    assert!(content.contains(ATTACKS[2]), "{content}");
    unharmed(&browser, "columns of a file").await;

    browser.click("History").await;
    browser.wait_for_text("#history", "Check").await;
    browser.click("Report").await;
    browser.wait_for_text("#details", "onerror").await;
    unharmed(&browser, "a report").await;
}

/// A file that holds nothing but a manifest.
fn wasm(manifest: &Value) -> Vec<u8> {
    fn length(value: usize, out: &mut Vec<u8>) {
        let mut rest = value;
        while rest >= 0x80 {
            out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    let name = b"user-import-export:manifest";
    let mut content = Vec::new();
    length(name.len(), &mut content);
    content.extend_from_slice(name);
    content.extend_from_slice(manifest.to_string().as_bytes());
    let mut file = b"\0asm\x01\0\0\0".to_vec();
    file.push(0);
    length(content.len(), &mut file);
    file.extend(content);
    file
}

#[tokio::test]
async fn what_a_transform_says_of_itself_is_text() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    browser.click("Transforms").await;
    browser.element("#catalog .transform").await;
    for attack in ATTACKS {
        let manifest = json!({
            "name": attack, "version": attack, "summary": attack, "documentation": attack,
            "parameters": [{ "name": attack, "type": attack, "description": attack }, 5, null],
            "examples": [{ "call": attack, "gives": { attack: attack } }, "no example"],
        });
        browser.choose_file("#file", "odd.wasm", &wasm(&manifest)).await;
        let found = browser.wait_for_text("#found", "Found in odd.wasm").await;
        assert!(found.contains(attack), "{found}");
        unharmed(&browser, attack).await;
    }
    // Members of the wrong type are no reason to fall.
    browser
        .choose_file(
            "#file",
            "odder.wasm",
            &wasm(&json!({ "name": "odd", "parameters": "x", "examples": 7, "summary": {} })),
        )
        .await;
    browser.wait_for_text("#found", "Found in odder.wasm").await;
    browser.click("Add this transform").await;
    browser.wait_for_text("#take-note", "Error code").await;
    unharmed(&browser, "a refused transform").await;
}

#[tokio::test]
async fn addresses_carry_nothing_into_a_page() {
    let Some((_turn, browser)) = browser_in_turn().await else { return };
    let demo = Installation::demo(10).await;
    watch(&browser).await;
    sign_in(&browser, &demo).await;
    let encoded = "%3Cimg%20src=x%20onerror=%22window.attacked=1%22%3E%22%3E";
    for query in
        [format!("theme={encoded}"), format!("embed={encoded}&x={encoded}"), format!("lang={encoded}#{encoded}")]
    {
        browser.open(&demo.url(&format!("/history?{query}"))).await;
        browser.element("#history .blank").await;
        unharmed(&browser, &query).await;
    }
}
