//! Texts of the server in the language of the request.

use serde_json::{Value, json};
use test_kit::{Harness, Request, TestKit};

/// Returns the JSON body of a response in a language.
async fn read(harness: &Harness<test_kit::Application>, request: Request, language: &str) -> Value {
    harness.send(request.header("accept-language", language)).await.json()
}

#[actix_web::test]
async fn errors_are_in_the_language_of_the_request() {
    let harness = TestKit::with_users(5).in_process().await;
    let request = || Request::get("/api/users?q=name:(ada");
    let english = read(&harness, request(), "en").await;
    let german = read(&harness, request(), "de-AT, en;q=0.5").await;
    assert!(
        english["message"].as_str().is_some_and(|text| text.starts_with("The query cannot be read: ")),
        "{english}"
    );
    assert!(
        german["message"].as_str().is_some_and(|text| text.starts_with("Die Suche kann nicht gelesen")),
        "{german}"
    );
    assert_ne!(english["hint"], german["hint"]);
    // What programs read is the same.
    for member in ["statusCode", "error", "errorCode"] {
        assert_eq!(english[member], german[member]);
    }
    assert_eq!(harness.send(request()).await.json(), english, "the default is English");
    let unknown = read(&harness, Request::get("/api/jobs/job_0000000000000000"), "de").await;
    assert_eq!(unknown["hint"], "Der Verlauf listet die vorhandenen Aufträge auf.");
}

#[actix_web::test]
async fn results_of_an_import_are_in_the_language_of_the_request() {
    let harness = TestKit::with_users(5).in_process().await;
    let users = r#"[{"email": "ada@example.com"}, {"email": "no address"}, {"emial": "b@example.com"}]"#;
    let job = harness.import(users, &[("dry_run", "true")]).await;
    let path = format!("/api/jobs/{}", test_kit::job_id(&job));
    let reasons = |job: &Value| -> Vec<String> {
        let reasons = job["summary"]["reasons"].as_array().expect("reasons");
        reasons.iter().map(|reason| reason["message"].as_str().expect("a text").to_owned()).collect()
    };
    let german = read(&harness, Request::get(&path), "de").await;
    let (english, german) = (reasons(&job), reasons(&german));
    assert!(
        !english.is_empty() && english.iter().zip(&german).all(|(english, german)| english != german),
        "{german:?}"
    );
    let history = read(&harness, Request::get("/api/history"), "de").await;
    assert_eq!(reasons(&history["jobs"][0]), german);
    let report = read(&harness, Request::get(&format!("{path}/report")), "de").await;
    let message = &report[0]["errors"][0]["message"];
    assert!(german.iter().any(|text| message == text.as_str()), "{message} is not one of {german:?}");
}

#[actix_web::test]
async fn the_plan_of_an_export_is_in_the_language_of_the_request() {
    let harness = TestKit::with_users(5).in_process().await;
    let request = || Request::post("/api/preview").json(&json!({"query": "name:a and email:b*"}));
    let english = read(&harness, request(), "en").await;
    let german = read(&harness, request(), "de").await;
    let lines = |preview: &Value| preview["plan"]["lines"].as_array().expect("lines").clone();
    let (english, german) = (lines(&english), lines(&german));
    assert_eq!((english[0]["title"].as_str(), german[0]["title"].as_str()), (Some("Source"), Some("Quelle")));
    assert_eq!(english.len(), german.len());
    assert!(english.iter().zip(&german).any(|(english, german)| english["text"] != german["text"]));
}

#[actix_web::test]
async fn remarks_on_expressions_are_in_the_language_of_the_request() {
    let harness = TestKit::with_users(5).in_process().await;
    let request = json!({"sort": {"by": "user.emailVerified"}, "fields": [{"name": "user.roles"}]});
    let preview = read(&harness, Request::post("/api/preview").json(&request), "de").await;
    assert_eq!(
        preview["sort_remarks"],
        json!(["Das Benutzerprofil von Auth0 hat kein Attribut `emailVerified`. Meinten Sie user.email_verified?"])
    );
    let remark = preview["columns"][0]["remarks"][0].as_str().expect("a remark");
    assert!(remark.starts_with("`roles` gehört nicht zum Benutzerprofil von Auth0"), "{remark}");
}
