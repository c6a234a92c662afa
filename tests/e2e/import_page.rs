//! The Import page and the History page.

use end_to_end::{Installation, has_extension};
use serde_json::{Value, json};

use crate::actions::{
    DATABASE, assert_no_page_errors, choose_connection, exclusive_browser, good_users, ndjson, record_page_errors,
    sign_in,
};

#[tokio::test]
async fn a_csv_file_with_unknown_columns_is_mapped_and_imported() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(20, &[]).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    let csv = "Mail;Full name;app_metadata.plan;Internal notes;Created At\n\
               ada.mapped@example.com;Ada;gold;call back;2024-01-01\n\
               grace.mapped@example.com;Grace;;;2024-01-02\n\
               no address;Kim;free;;2024-01-03\n";
    browser.choose_file("#files", "staff.csv", csv.as_bytes()).await;
    let found = browser.wait_for_text("#file-list", "3 rows").await;
    assert!(found.contains("CSV") && found.contains("semicolon") && found.contains("UTF-8"), "{found}");
    let content = browser.wait_for_text("#content", "Validation").await;
    assert!(content.contains("Skipped: Auth0 sets this itself."), "{content}");
    let becomes = "return [...document.querySelectorAll('#content [data-column]')].map((field) => field.value)";
    let proposed = browser.run(becomes).await;
    assert_eq!(proposed[0], "email");
    assert_eq!(proposed[1], "name");
    assert_eq!(proposed[2], "app_metadata.plan");
    browser.wait_for_text("#content .legend", "2 rows can be imported").await;
    browser.wait_for_text("#content .legend", "1 row with errors").await;

    // The import does not start before every unknown column is mapped or skipped.
    assert_eq!(proposed[3], "");
    browser.click("Start importing users").await;
    browser.wait_for_text("#content", "Map “Internal notes” or skip it.").await;
    assert_eq!(browser.run("return document.activeElement.dataset.column").await, "Internal notes");
    browser.click("Use user_metadata.internal_notes").await;
    let notes = "return document.querySelector(\"#content [data-column='Internal notes']\").value";
    browser.wait_for(notes, &json!("user_metadata.internal_notes")).await;

    // Two columns cannot become the same attribute.
    browser.type_into("#content [data-column='Internal notes']", "name").await;
    browser.wait_for_text("#content", "“Full name” is already mapped to name.").await;

    // An incomplete name is refused, and the form keeps its values.
    browser.type_into("#content [data-column='Internal notes']", "user_metadata.").await;
    browser.wait_for_text("#content .notice.error", "user_metadata.").await;
    browser.wait_for(notes, &json!("user_metadata.")).await;
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    browser.wait_for("return document.activeElement.dataset.column", &json!("Mail")).await;
    assert_eq!(browser.text("#results").await, "", "nothing was sent");
    browser.type_into("#content [data-column='Internal notes']", "user_metadata.notes").await;
    browser.wait_for("return document.querySelectorAll('#content .notice.error').length", &json!(0)).await;
    browser.wait_for("return document.querySelectorAll('#content [aria-invalid]').length", &json!(0)).await;
    browser.click("Start importing users").await;
    let result = browser.wait_for_text("#results", "Download failed rows").await;
    assert!(result.contains("2 users inserted") && result.contains("1 row failed"), "{result}");
    let ada = demo.control().user_by_email("ada.mapped@example.com").expect("Ada was imported");
    assert_eq!(ada["name"], "Ada");
    assert_eq!(ada["app_metadata"], json!({ "plan": "gold" }));
    assert_eq!(ada["user_metadata"], json!({ "notes": "call back" }));
    assert_eq!(ada.get("Mail"), None);

    // The failed rows are in the format of the upload.
    browser.click("Download failed rows").await;
    let (name, failed) = browser.next_download().await;
    assert!(has_extension(&name, "csv"), "{name}");
    let failed = String::from_utf8(failed).unwrap();
    assert_eq!(
        failed.lines().collect::<Vec<_>>(),
        ["Mail;Full name;app_metadata.plan;Internal notes;Created At", "no address;Kim;free;;2024-01-03"]
    );

    // Import the corrected rows with the mapping of the first import.
    let corrected = failed.replace("no address", "kim.mapped@example.com");
    browser.choose_file(".retry input[type=file]", "corrected.csv", corrected.as_bytes()).await;
    browser.wait_for_text("#results", "1 user inserted").await;
    assert_eq!(demo.control().user_by_email("kim.mapped@example.com").expect("Kim was imported")["name"], "Kim");
    assert_no_page_errors(&browser, "import").await;
}

#[tokio::test]
async fn several_files_form_one_import() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(10, &[]).await;
    sign_in(&browser, &demo).await;
    let users = good_users(8);
    browser.choose_file("#files", "one.ndjson", ndjson(&users[..5]).as_bytes()).await;
    browser.wait_for_text("#file-list", "5 rows").await;
    // The last user of the second file is a duplicate of one in the first file.
    let second = [&users[5..], &users[4..5]].concat();
    browser.choose_file("#files", "two.json", Value::Array(second).to_string().as_bytes()).await;
    browser.wait_for_text("#file-list", "4 rows").await;
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    let result = browser.wait_for_text("#results", "Download failed rows").await;
    assert!(result.contains("Import of 2 files"), "{result}");
    assert!(result.contains("8 users inserted") && result.contains("1 row failed"), "{result}");
    browser.wait_for_text(".faults tbody", "two.json").await;
}

#[tokio::test]
async fn files_with_different_headers_are_mapped_each_by_its_own() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(10, &[]).await;
    sign_in(&browser, &demo).await;
    browser.choose_file("#files", "one.ndjson", b"{\"email\":\"one.file@example.com\",\"name\":\"One\"}\n").await;
    browser.choose_file("#files", "two.csv", b"E-Mail;Full name\ntwo.file@example.com;Two\n").await;
    browser.choose_file("#files", "three.csv", b"Mail,Nickname\nthree.file@example.com,Three\n").await;
    browser.wait_for("return document.querySelectorAll('#content .checked').length", &json!(3)).await;
    let becomes = "return Object.fromEntries([...document.querySelectorAll('#content [data-column]')].map((field) => [field.dataset.column, field.value]))";
    let proposed = json!({ "email": "email", "name": "name", "E-Mail": "email", "Full name": "name", "Mail": "email", "Nickname": "nickname" });
    browser.wait_for(becomes, &proposed).await;
    browser.wait_for("return document.querySelectorAll('#content .notice').length", &json!(0)).await;
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    let result = browser.wait_for_text("#results", "Import of 3 files").await;
    assert!(result.contains("3 users inserted"), "{result}");
    for (email, attribute, value) in [
        ("one.file@example.com", "name", "One"),
        ("two.file@example.com", "name", "Two"),
        ("three.file@example.com", "nickname", "Three"),
    ] {
        assert_eq!(demo.control().user_by_email(email).expect(email)[attribute], value, "{email}");
    }
}

#[tokio::test]
async fn options_of_the_files_are_inspected_kept_and_reset() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    // Records the parts of the last inspection.
    let record = "const send = window.fetch;
        window.fetch = (url, options) => {
          if (String(url).endsWith('import/inspect')) window.parts = [...options.body].filter(([, value]) => typeof value === 'string');
          return send(url, options);
        };";
    browser.run(record).await;
    browser.choose_file("#files", "users.csv", "email;name\nada@example.com;Zoë\n".as_bytes()).await;
    browser.wait_for_text("#content .legend", "row can be imported").await;
    browser.wait_for_text("#encoding-preview", "Zoë").await;
    browser.element("#encoding").await.select_by_value("windows-1252").await.unwrap();
    browser.element("#source").await.select_by_value("none").await.unwrap();
    browser.type_into("#null-texts", "NULL, N/A").await;
    browser.click_at("#drop-empty").await;
    browser.click_at("#upsert").await;
    let options =
        "return (window.parts ?? []).filter(([name]) => !['map', 'partial', 'keep_id_prefix'].includes(name))";
    let expected = json!([
        ["upsert", "true"],
        ["drop_empty", "true"],
        ["drop_unknown", "false"],
        ["drop_read_only", "false"],
        ["source", "none"],
        ["encoding", "windows-1252"],
        ["null", "NULL"],
        ["null", "N/A"]
    ]);
    browser.wait_for(options, &expected).await;
    browser.check_themes_and_widths("options of an import").await;

    let values = "return ['source', 'encoding', 'null-texts', 'query'].map((id) => document.getElementById(id).value)";
    browser.open(&demo.url("/import")).await;
    browser.element("#connection:enabled").await;
    assert_eq!(browser.run(values).await, json!(["none", "windows-1252", "NULL, N/A", ""]));
    assert_eq!(browser.run("return document.getElementById('drop-empty').checked").await, true);
    browser.choose_file("#files", "users.json", br#"[{"email":"ada@example.com"}]"#).await;
    browser.wait_for_text("#content .legend", "row can be imported").await;
    browser.click("Clear").await;
    assert_eq!(browser.run(values).await, json!(["", "", "", ""]));
    assert_no_page_errors(&browser, "options of an import").await;
}

#[tokio::test]
async fn a_file_that_cannot_be_imported_prevents_the_start() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;
    browser.choose_file("#files", "header.csv", b"email,name\n").await;
    browser.choose_file("#files", "broken.json", b"[{\"email\":\"a@example.com\"},{\"email\" 1}]").await;
    let files = browser.wait_for_text("#file-list", "JSON · Cannot be imported").await;
    assert!(files.contains("CSV · Cannot be imported") && !files.contains("rows"), "{files}");
    let content = browser.wait_for_text("#content", "The users file contains no users.").await;
    assert!(!content.contains("matched"), "{content}");
    for start in ["Start importing users", "Check only"] {
        browser.click(start).await;
        browser.wait_for_text("#files-error", "header.csv: This file cannot be imported.").await;
        assert_eq!(browser.run("return document.activeElement.title").await, "Remove header.csv");
        assert_eq!(browser.text("#results").await, "", "nothing was sent");
    }
    assert_no_page_errors(&browser, "unusable files").await;
}

#[tokio::test]
async fn an_import_without_imported_users_has_failed() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    sign_in(&browser, &demo).await;
    let rows: Vec<Value> = (0..12).map(|n| json!({ "email": format!("{n} at example.com") })).collect();
    browser.choose_file("#files", "wrong.json", Value::Array(rows).to_string().as_bytes()).await;
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    browser.wait_for_text(".job-head", "Failed, no user was imported").await;
    browser.wait_for_text(".faults tbody tr:nth-child(2)", "row 2").await;
    browser.click("Retry failed rows").await;
    browser.wait_for_text(".job-head", "Import of failed rows of wrong.json").await;
    browser.click("History").await;
    browser.wait_for_text("#history .status.error", "Failed, no user was imported").await;
    browser.element("#filter-status").await.select_by_label("Failed").await.unwrap();
    assert_eq!(browser.run("return document.querySelectorAll('#history tbody tr').length").await, 2);
}

#[tokio::test]
async fn an_export_of_whole_users_is_imported_without_read_only_attributes() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(10, &[]).await;
    sign_in(&browser, &demo).await;
    let user = json!({ "email": "back@example.com", "created_at": "2024-01-01T00:00:00.000Z", "logins_count": 3 });
    browser.choose_file("#files", "whole.json", json!([user]).to_string().as_bytes()).await;
    browser.wait_for_text("#content", "created_at, logins_count").await;
    browser.click("Skip them").await;
    browser.wait_for_text("#content .legend", "1 row can be imported").await;
    assert_eq!(browser.run("return document.getElementById('drop-read-only').checked").await, true);
    choose_connection(&browser, DATABASE).await;
    browser.click("Start importing users").await;
    browser.wait_for_text("#results", "1 user inserted").await;
}

#[tokio::test]
async fn an_upsert_backs_up_the_users_it_changes() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::serve(30, &[]).await;
    let email = "gold@example.com";
    let user = json!({
        "user_id": "auth0|gold", "email": email, "app_metadata": { "plan": "gold" },
        "identities": [{ "connection": DATABASE, "provider": "auth0", "user_id": "gold", "isSocial": false }],
    });
    demo.control().put_user(&user).unwrap();
    sign_in(&browser, &demo).await;
    let rows = json!([
        { "email": email, "app_metadata": { "plan": "free" } },
        { "email": "fresh@example.com" },
    ]);
    browser.choose_file("#files", "users.json", rows.to_string().as_bytes()).await;
    choose_connection(&browser, DATABASE).await;
    browser.click_at("#upsert").await;
    browser.wait_for_text("#backup-choice", "An update cannot be undone").await;
    assert_eq!(browser.run("return document.getElementById('backup').checked").await, true);
    // The start must be confirmed; a change of the form removes the question.
    browser.click("Start importing users").await;
    browser.wait_for_text("#form-error", "This cannot be undone; a backup is made first.").await;
    assert_eq!(browser.run("return document.activeElement.innerText").await, "Cancel");
    browser.click_at("#backup").await;
    assert_eq!(browser.text("#form-error").await, "");
    browser.click("Start importing users").await;
    browser.wait_for_text("#form-error", "no backup is made").await;
    browser.click_at("#form-error .button:not(.primary)").await;
    assert_eq!(browser.text("#results").await, "", "nothing was sent");
    browser.click_at("#backup").await;
    browser.click("Start importing users").await;
    browser.click("Update existing users").await;
    let result = browser.wait_for_text("#results", "One existing user was backed up before the update.").await;
    assert!(result.contains("1 user inserted") && result.contains("1 user updated"), "{result}");
    let plan = || demo.control().user_by_email(email).expect("the user is there")["app_metadata"]["plan"].clone();
    assert_eq!(plan(), "free");
    // The next import may be an unrelated one.
    browser.wait_for("return document.getElementById('upsert').checked", &json!(false)).await;

    browser.click("Download backup").await;
    let (name, copy) = browser.next_download().await;
    assert!(has_extension(&name, "json"), "{name}");
    let users: Vec<Value> = serde_json::from_slice(&copy).unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!((&users[0]["email"], &users[0]["app_metadata"]), (&json!(email), &json!({ "plan": "gold" })));

    // The history describes the backup, and importing it restores the users.
    browser.click("History").await;
    browser.click("Details").await;
    browser.wait_for_text("#details", "One existing user was backed up before the update.").await;
    browser.open(&demo.url("/import")).await;
    choose_connection(&browser, DATABASE).await;
    browser.choose_file("#files", "copy.json", &copy).await;
    browser.click_at("#upsert").await;
    browser.click("Start importing users").await;
    browser.click("Update existing users").await;
    browser.wait_for_text("#results", "0 users inserted").await;
    assert_eq!(plan(), "gold");
}

#[tokio::test]
async fn row_errors_are_grouped_history_is_filtered_and_jobs_can_be_repeated() {
    let Some((_lock, browser)) = exclusive_browser().await else { return };
    let demo = Installation::demo(10).await;
    record_page_errors(&browser).await;
    sign_in(&browser, &demo).await;

    let mut rows = good_users(5);
    rows.extend((0..60).map(|n| json!({ "name": format!("No address {n}") })));
    rows.extend((0..3).map(|n| json!({ "email": format!("shoe-{n}@example.com"), "shoe_size": 42 })));
    browser.choose_file("#files", "users.json", json!(rows).to_string().as_bytes()).await;
    // The page suggests a metadata key for an unknown attribute, and uses it only after a click.
    browser.wait_for_text("#content .legend", "63 rows with errors").await;
    browser.click("Use user_metadata.shoe_size").await;
    browser.wait_for_text("#content .legend", "60 rows with errors").await;
    browser.type_into("#content [data-column='shoe_size']", "shoe_size").await;
    browser.wait_for_text("#content .notice.error", "shoe_size").await;
    browser.click("Clear").await;
    browser.choose_file("#files", "users.json", Value::Array(rows).to_string().as_bytes()).await;
    browser.wait_for_text("#content .legend", "63 rows with errors").await;
    choose_connection(&browser, DATABASE).await;
    browser.click_at("#upsert").await;
    browser.click("Start importing users").await;
    browser.click("Update existing users").await;
    browser.wait_for_text(".pager", "1 to 50 of 63").await;
    let counts = browser
        .run("return [...document.querySelectorAll('.report .reason strong')].map((count) => count.innerText)")
        .await;
    assert_eq!(counts, json!(["63", "60", "3"]));
    browser.click_at(".report .reason:nth-child(3)").await;
    browser.wait_for_text(".pager", "3 rows shown").await;
    assert_eq!(browser.run("return document.querySelectorAll('.report tbody tr').length").await, 3);
    browser.click_at(".report .reason:nth-child(1)").await;
    browser.type_into(".report .search input", "address 17").await;
    browser.wait_for_text(".pager", "1 row shown").await;
    // The file has one line, so the row number is shown.
    browser.wait_for_text(".faults tbody", "row 23").await;
    // The connection is kept when the page is opened again, the update of existing users is not. The result is above
    // the form with its rows folded, and can be dismissed.
    browser.click_at("#upsert").await;
    browser.open(&demo.url("/import")).await;
    browser.element("#connection:enabled").await;
    assert_ne!(browser.run("return document.getElementById('connection').value").await, "");
    assert_eq!(browser.run("return document.getElementById('upsert').checked").await, false);
    browser.wait_for_text("#results", "Import of users.json").await;
    browser.element("#results details.more").await;
    assert_eq!(browser.run("return document.querySelectorAll('#results .faults').length").await, 0);
    browser.click("Dismiss").await;
    assert_eq!(browser.text("#results").await, "");

    browser.open(&demo.url("/export")).await;
    browser.type_into("#query", "_exists_:email").await;
    browser.press(end_to_end::ESCAPE).await;
    browser.click_at("#start:enabled").await;
    browser.wait_for_text("#results", "users exported").await;
    browser.click("Reset the form").await;

    browser.click("History").await;
    browser.wait_for_text("#history", "5 inserted, 63 failed").await;
    browser.wait_for_text("#history", "by admin@acme.example").await;
    let types =
        "return [...document.querySelectorAll('#history tbody tr strong')].map((what) => what.innerText.trim())";
    assert_eq!(browser.run(types).await, json!(["Export", "Import"]));
    let exact = browser.run("return document.querySelector('#history time').title").await;
    assert!(exact.as_str().is_some_and(|exact| exact.contains(':') && exact.len() > 20), "{exact}");
    browser.element("#filter-status").await.select_by_label("Completed with errors").await.unwrap();
    assert_eq!(browser.run(types).await, json!(["Import"]));
    browser.element("#filter-status").await.select_by_label("Failed").await.unwrap();
    browser.wait_for_text("#history", "No matching jobs.").await;
    browser.click("Show all jobs").await;
    browser.element("#filter-by").await.select_by_label("admin@acme.example").await.unwrap();
    assert_eq!(browser.run(types).await, json!(["Export", "Import"]));
    browser.element("#filter-type").await.select_by_label("Export").await.unwrap();
    browser.click("Details").await;
    browser.wait_for_text("#details", "_exists_:email").await;
    browser.click_at("#details button").await;
    assert_eq!(browser.run("return document.activeElement.innerText").await, "Details");
    browser.click("Use these settings").await;
    browser.wait_for_address(&demo.url("/export")).await;
    browser.wait_for_text("#count", "match").await;
    assert_eq!(browser.run("return document.getElementById('query').value").await, "_exists_:email");
    // The result of the earlier export would look like that of these settings.
    browser.wait_for_text("#arrival", "are loaded; nothing is running.").await;
    assert_eq!(browser.text("#results").await, "");
    browser.click("History").await;
    browser.element("#filter-type").await.select_by_label("Import").await.unwrap();
    browser.click("Use these settings").await;
    browser.wait_for_text("#arrival", "That import updated existing users: this option is off now.").await;
    assert_eq!(browser.run("return document.getElementById('upsert').checked").await, false);
    assert_no_page_errors(&browser, "history").await;
}
