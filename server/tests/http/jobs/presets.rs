//! Presets and the picker of attributes (design, section 5).

use actix_web::test::TestRequest;
use serde_json::json;

use super::{DATABASE, Desk, session_of};

#[actix_web::test]
async fn a_preset_comes_back_as_it_was_saved() {
    let desk = Desk::new(5).await;
    let settings =
        json!({"format": "csv", "fields": [{"name": "user.email", "export_as": "E-mail"}], "query": "blocked:true"});
    let put =
        |settings: &serde_json::Value| TestRequest::put().uri("/ext/api/presets/Blocked%20users").set_json(settings);
    assert_eq!(desk.call(put(&settings)).await.status, 200);
    let other = Desk { session: session_of("auth0|grace", None), ..desk };
    assert_eq!(other.get("/api/presets/Blocked%20users").await.json(), settings, "admins of a tenant share them");
    let list = other.get("/api/presets").await.json();
    assert_eq!((&list["presets"][0]["name"], &list["presets"][0]["type"]), (&json!("Blocked users"), &json!("export")));

    let changed = json!({"type": "import", "upsert": true});
    assert_eq!(other.call(put(&changed)).await.status, 200);
    assert_eq!(other.get("/api/presets/Blocked%20users").await.json(), changed);
    let delete = || TestRequest::delete().uri("/ext/api/presets/Blocked%20users");
    assert_eq!(other.call(delete()).await.status, 204);
    assert_eq!(other.get("/api/presets").await.json(), json!({"presets": []}));
    for reply in [other.call(delete()).await, other.get("/api/presets/Blocked%20users").await] {
        assert_eq!((reply.status, &reply.json()["errorCode"]), (404, &json!("inexistent_preset")));
    }
}

#[actix_web::test]
async fn a_preset_that_no_export_understands_is_refused() {
    let desk = Desk::new(5).await;
    for (path, body) in [
        ("good", json!({"format": "xml"})),
        ("good", json!({"format": "csv", "colour": "red"})),
        ("good", json!({"type": "backup"})),
        ("good", json!([1])),
        ("%20", json!({"format": "csv"})),
        ("two%0Alines", json!({"format": "csv"})),
    ] {
        let reply = desk.call(TestRequest::put().uri(&format!("/ext/api/presets/{path}")).set_json(&body)).await;
        assert_eq!(reply.status, 400, "{path} {body}: {}", reply.body);
    }
    assert_eq!(desk.get("/api/presets").await.json(), json!({"presets": []}));
}

#[actix_web::test]
async fn attributes_are_sampled_from_real_users() {
    let desk = Desk::new(400).await;
    let found = desk.get(&format!("/api/attributes?connection={DATABASE}")).await.json();
    assert_eq!(found["users"], 100);
    let attributes = found["attributes"].as_array().expect("attributes");
    let of = |path: &str| {
        attributes.iter().find(|attribute| attribute["path"] == path).unwrap_or_else(|| panic!("no {path}"))
    };
    assert_eq!((&of("user.user_id")["type"], &of("user.user_id")["share"]), (&json!("string"), &json!(1.0)));
    assert_eq!(of("user.identities[0].connection")["example"], DATABASE);
    assert_eq!(of("user.created_at")["type"], "date");
    assert!(
        attributes
            .iter()
            .any(|attribute| attribute["path"].as_str().is_some_and(|path| path.starts_with("user.app_metadata.")))
    );
}
