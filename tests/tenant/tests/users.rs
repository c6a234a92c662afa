use std::time::Duration;

use serde_json::{Value, json};
use simulated_tenant::{TenantSettings, people};

use crate::support::{Api, settings};

#[tokio::test]
async fn users_come_in_pages_with_totals() {
    let api = Api::start().await;
    let page = api.read("/users?per_page=100&page=2&include_totals=true").await;
    let members: Vec<&String> = page.as_object().unwrap().keys().collect();
    assert_eq!(members, ["start", "limit", "length", "users", "total"]);
    assert_eq!(
        (page["start"].as_u64(), page["length"].as_u64(), page["total"].as_u64()),
        (Some(200), Some(5), Some(205))
    );
    assert_eq!(api.read("/users").await.as_array().unwrap().len(), 50);
    assert_eq!(api.get("/users?per_page=101").await.0, 400);
}

#[tokio::test]
async fn page_ten_of_a_hundred_users_is_refused_and_total_is_capped_at_a_thousand() {
    let api = Api::with(TenantSettings { users: 1200, ..settings() }).await;
    let page = api.read("/users?per_page=100&page=9&include_totals=true").await;
    assert_eq!((page["total"].as_u64(), page["length"].as_u64()), (Some(1000), Some(100)));
    let (status, body) = api.get("/users?per_page=100&page=10").await;
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().starts_with("You can only page through the first 1000 records."));
}

#[tokio::test]
async fn a_search_returns_the_matching_users() {
    let api = Api::start().await;
    let (_, found) =
        api.search(r#"identities.connection:"Username-Password-Authentication" AND email_verified:true"#).await;
    let users = found["users"].as_array().unwrap();
    assert!(users.len() > 20);
    assert!(
        users
            .iter()
            .all(|user| user["email_verified"] == true && user["identities"].to_string().contains("Username-Password"))
    );
    let (_, found) = api.search(&format!("email:\"{}\"", people::ADMIN_EMAIL.to_uppercase())).await;
    assert_eq!(found["total"], 3);
    let (status, body) = api.search("app_metadata.plan:pr*").await;
    assert_eq!((status, body["errorCode"].as_str()), (400, Some("invalid_query_string")));
    assert_eq!(api.get("/users?q=name:x").await.0, 400);
    let (status, body) = api.get("/users?q=name:x&search_engine=v2").await;
    assert_eq!(
        (status, body["message"].as_str()),
        (400, Some("You are not allowed to use search_engine=v2. Use search_engine=v3 instead."))
    );
}

#[tokio::test]
async fn users_are_sorted_by_one_field_but_not_by_metadata() {
    let api = Api::start().await;
    for (order, descending) in [("created_at:1", false), ("created_at:-1", true)] {
        let users = api.read(&format!("/users?per_page=100&sort={order}")).await;
        let dates: Vec<&str> =
            users.as_array().unwrap().iter().map(|user| user["created_at"].as_str().unwrap()).collect();
        assert!(dates.is_sorted_by(|a, b| if descending { a >= b } else { a <= b }));
    }
    assert_eq!(api.get("/users?sort=user_metadata.lang:1").await.0, 400);
    assert_eq!(api.get("/users?sort=name").await.0, 400);
}

#[tokio::test]
async fn fields_include_or_exclude() {
    let api = Api::start().await;
    let users = api.read("/users?fields=user_id,identities&per_page=5").await;
    assert!(users.as_array().unwrap().iter().all(|user| user.as_object().unwrap().len() == 2));
    let users = api.read("/users?fields=identities&include_fields=false&per_page=5").await;
    assert!(users.as_array().unwrap().iter().all(|user| user.get("identities").is_none()));
}

#[tokio::test]
async fn a_slow_search_is_refused_with_503() {
    let api = Api::with(TenantSettings { query_timeout: Duration::from_micros(100), ..settings() }).await;
    let (status, body) = api.search("name:*smith*").await;
    assert_eq!(status, 503);
    assert!(body["message"].as_str().unwrap().starts_with("The query exceeded the timeout."));
    assert_eq!(api.search("name:smith").await.0, 200);
}

#[tokio::test]
async fn a_long_url_is_answered_with_414() {
    let api = Api::start().await;
    assert_eq!(api.search(&format!("name:\"{}\"", "x".repeat(9000))).await.0, 414);
}

#[tokio::test]
async fn a_user_is_read_by_id_and_by_email() {
    let api = Api::start().await;
    let users = api.read("/users?per_page=20").await;
    for user in users.as_array().unwrap() {
        let id = user["user_id"].as_str().unwrap().replace('|', "%7C");
        assert_eq!(&api.read(&format!("/users/{id}")).await, user);
    }
    let (status, body) = api.get("/users/auth0%7Cnobody").await;
    assert_eq!(
        (status, body["message"].as_str(), body["errorCode"].as_str()),
        (404, Some("The user does not exist."), Some("inexistent_user"))
    );
    let same = api.read(&format!("/users-by-email?email={}", people::ADMIN_EMAIL)).await;
    assert_eq!(same.as_array().unwrap().len(), 3);
    let other_case = api.read(&format!("/users-by-email?email={}", people::ADMIN_EMAIL.to_uppercase())).await;
    assert_eq!(other_case, json!([]));
    assert_eq!(api.get("/users-by-email").await.0, 400);
}

#[tokio::test]
async fn a_search_may_lag_behind_while_lookups_do_not() {
    let api = Api::with(TenantSettings { search_lag: Duration::from_secs(30), ..settings() }).await;
    api.control.advance(Duration::from_secs(30));
    api.import_to_end(&json!([{"email": "late@example.com"}]), false).await;
    assert_eq!(api.read("/users-by-email?email=late@example.com").await.as_array().unwrap().len(), 1);
    assert_eq!(api.search("email:late@example.com").await.1["total"], 0);
    api.control.advance(Duration::from_secs(31));
    assert_eq!(api.search("email:late@example.com").await.1["total"], 1);
}

#[tokio::test]
async fn tokens_of_identity_providers_are_not_shown() {
    let api = Api::start().await;
    let users = api.read("/users?per_page=100").await;
    assert!(!users.to_string().contains("ya29."));
    assert!(
        users.as_array().unwrap().iter().all(|user| user
            .as_object()
            .unwrap()
            .values()
            .all(|value| *value != Value::Null))
    );
}
