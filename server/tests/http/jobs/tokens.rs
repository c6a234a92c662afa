//! Whose token a job uses with `LOGIN=extension` (docs/decisions/0014-token-of-a-job.md).

use serde_json::{Value, json};

use super::{Desk, id, session_of, tenant};

/// A Management API token, as an admin's login gives one.
pub(super) async fn token(tenant: &simulated_tenant::Tenant) -> String {
    let reply: Value = reqwest::Client::new()
        .post(format!("{}/oauth/token", tenant.url()))
        .json(&json!({
            "grant_type": "client_credentials", "client_id": tenant.client_id(),
            "client_secret": tenant.client_secret(), "audience": format!("{}/api/v2/", tenant.url()),
        }))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    reply["access_token"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[actix_web::test]
async fn a_job_whose_token_ended_waits_for_the_next_sign_in() {
    let tenant = tenant(1500).await;
    let url = tenant.url();
    let first = token(&tenant).await;
    let session = session_of("auth0|ada", Some(&first));
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("AUTH0_RTA", url.as_str()), ("LOGIN", "extension")];
    let desk = Desk::start(tenant.clone(), &settings, session).await;
    assert_eq!(desk.get("/api/users").await.status, 200, "the admin's own token is used");

    tenant.control().expire_tokens();
    let reply = desk.export(&json!({"format": "csv"})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let waiting = desk.until(id(&reply.json()), |job| job["details"].is_string()).await;
    assert!(waiting["details"].as_str().is_some_and(|details| details.contains("next sign-in")), "{waiting}");

    let renewed = session_of("auth0|ada", Some(&token(&tenant).await));
    let signed_in = desk.server.app.access.session(Some(&format!("Bearer {renewed}"))).expect("a session");
    desk.server.app.jobs.signed_in(&signed_in).await;
    let job = desk.finished(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["summary"]["rows"], tenant.control().user_count());
}

#[actix_web::test]
async fn a_session_without_a_token_is_told_to_sign_in() {
    let tenant = tenant(5).await;
    let url = tenant.url();
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("AUTH0_RTA", url.as_str()), ("LOGIN", "extension")];
    let desk = Desk::start(tenant, &settings, session_of("auth0|ada", None)).await;
    let reply = desk.get("/api/connections").await;
    assert_eq!(reply.status, 401, "{}", reply.body);
    assert!(reply.json()["message"].as_str().is_some_and(|message| message.contains("token")), "{}", reply.body);
}
