//! Tests of the token that a job uses with `LOGIN=extension` (docs/decisions/0014-token-of-a-job.md).

use serde_json::{Value, json};
use simulated_tenant::{Tenant, TenantSettings};
use uie_access::Permissions;

use super::{Harness, id, tenant};
use crate::test_server::person;

/// Returns a Management API token, as from an admin's login.
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
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("AUTH0_RTA", url.as_str()), ("LOGIN", "extension")];
    let harness = Harness::start(tenant.clone(), &settings, Some(&first)).await;
    assert_eq!(harness.get("/api/users").await.status, 200, "the admin's own token is used");

    tenant.control().expire_tokens();
    let reply = harness.export(&json!({"format": "csv"})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let waiting = harness.poll_until(id(&reply.json()), |job| job["details"].is_string()).await;
    assert!(waiting["details"].as_str().is_some_and(|details| details.contains("next sign-in")), "{waiting}");

    let renewed = harness.server.sign_in("auth0|ada", Some(&token(&tenant).await)).await;
    let signed_in =
        harness.server.app.access.session(Some(&format!("Bearer {renewed}")), false).await.expect("a session");
    harness.server.app.jobs.handle_sign_in(&signed_in.principal()).await;
    let job = harness.wait_for_end(&reply).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["summary"]["rows"], tenant.control().user_count());
}

#[actix_web::test]
async fn a_session_without_a_token_has_to_sign_in_again() {
    let tenant = tenant(5).await;
    let url = tenant.url();
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("AUTH0_RTA", url.as_str()), ("LOGIN", "extension")];
    let harness = Harness::start(tenant, &settings, None).await;
    let reply = harness.get("/api/connections").await;
    assert_eq!(reply.status, 401, "{}", reply.body);
    assert!(reply.json()["message"].as_str().is_some_and(|message| message.contains("token")), "{}", reply.body);
}

#[actix_web::test]
async fn client_credentials_do_not_continue_a_job_whose_owners_token_auth0_refused() {
    let tenant = tenant(20).await;
    let url = tenant.url();
    let settings = [
        ("AUTH0_DOMAIN", url.as_str()),
        ("AUTH0_RTA", url.as_str()),
        ("LOGIN", "extension"),
        ("JOBS_USE_CLIENT", "true"),
        ("AUTH0_CLIENT_ID", tenant.client_id()),
        ("AUTH0_CLIENT_SECRET", tenant.client_secret()),
    ];
    let first = token(&tenant).await;
    let harness = Harness::start(tenant.clone(), &settings, Some(&first)).await;
    tenant.control().expire_tokens();
    let reply = harness.export(&json!({"format": "csv"})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let waiting = harness
        .poll_until(id(&reply.json()), |job| {
            job["details"].is_string() || job["status"] != "processing" && job["status"] != "pending"
        })
        .await;
    assert!(waiting["details"].as_str().is_some_and(|details| details.contains("next sign-in")), "{waiting}");
    let harness = harness.restart().await;
    let waiting = harness
        .poll_until(id(&reply.json()), |job| {
            job["details"].is_string() || job["status"] != "processing" && job["status"] != "pending"
        })
        .await;
    assert!(waiting["details"].as_str().is_some_and(|details| details.contains("next sign-in")), "{waiting}");
}

#[actix_web::test]
async fn client_credentials_continue_a_job_whose_owners_token_ends_while_it_runs() {
    let slow =
        TenantSettings { users: 20, export_duration: std::time::Duration::from_secs(4), ..TenantSettings::default() };
    for takes_over in [true, false] {
        let tenant = Tenant::start(slow.clone()).await.expect("a tenant");
        let url = tenant.url();
        let settings = [
            ("AUTH0_DOMAIN", url.as_str()),
            ("AUTH0_RTA", url.as_str()),
            ("LOGIN", "extension"),
            ("JOBS_USE_CLIENT", if takes_over { "true" } else { "false" }),
            ("AUTH0_CLIENT_ID", tenant.client_id()),
            ("AUTH0_CLIENT_SECRET", tenant.client_secret()),
        ];
        let own = token(&tenant).await;
        let harness = Harness::start(tenant.clone(), &settings, Some(&own)).await;
        let mut ada = person("auth0|ada", Some(&own), Permissions::all());
        ada.expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
        let short = Harness { session: harness.server.sign_in_as(&ada).await, ..harness };
        let reply = short.export(&json!({"format": "csv"})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let session = short.server.sign_in("auth0|bob", Some(&own)).await;
        let harness = Harness { session, ..short };
        if takes_over {
            assert_eq!(harness.wait_for_end(&reply).await["status"], "completed");
        } else {
            let waits = |job: &Value| job["details"].as_str().is_some_and(|details| details.contains("next sign-in"));
            harness.poll_until(id(&reply.json()), waits).await;
        }
    }
}

#[actix_web::test]
async fn a_403_for_an_admins_own_token_applies_to_later_jobs() {
    let settings =
        TenantSettings { users: 5, grants: vec!["read:connections".to_owned()], ..TenantSettings::default() };
    let tenant = Tenant::start(settings).await.expect("a tenant");
    let url = tenant.url();
    let settings = [("AUTH0_DOMAIN", url.as_str()), ("AUTH0_RTA", url.as_str()), ("LOGIN", "extension")];
    let own = token(&tenant).await;
    let harness = Harness::start(tenant, &settings, Some(&own)).await;
    let access = &harness.server.app.access;
    let session = access.session(Some(&format!("Bearer {}", harness.session)), false).await.expect("a session");
    let principal = session.principal();
    assert!(!harness.server.app.jobs.client_provider().rights(&principal).refused);
    assert_eq!(harness.get("/api/connections").await.status, 200);
    assert!(!harness.server.app.jobs.client_provider().rights(&principal).refused);
    assert_eq!(harness.get("/api/users").await.status, 403);
    assert!(harness.server.app.jobs.client_provider().rights(&principal).refused);
}

#[actix_web::test]
async fn an_import_needs_the_permission_to_create_users_and_a_dry_run_does_not() {
    let harness = Harness::new(20).await;
    let users = r#"[{"email": "new@example.com"}]"#;
    let imported = harness.wait_for_end(&harness.import(&harness.database(), users, &[]).await).await;
    let failed = harness.import(&harness.database(), "[{\"email\": \"x\"}]", &[]).await;
    assert_eq!((imported["status"].as_str(), failed.status), (Some("completed"), 200));
    let checked = harness.wait_for_end(&failed).await;

    let few = Permissions::from_scope("read:users read:connections");
    let session = harness.server.sign_in_as(&person("auth0|ada", None, few)).await;
    let harness = Harness { session, ..harness };
    let reply = harness.import(&harness.database(), users, &[]).await;
    reply.expect_error(403, "ForbiddenError", "This sign-in does not permit create:users.");
    let reply = harness.post(&format!("/api/jobs/{}/retry", id(&checked))).await;
    reply.expect_error(403, "ForbiddenError", "This sign-in does not permit create:users.");
    let dry = harness.import(&harness.database(), users, &[("dry_run", "true")]).await;
    assert_eq!(dry.status, 200, "{}", dry.body);
    assert_eq!(harness.wait_for_end(&dry).await["status"], "completed");
    assert_eq!(harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await["status"], "completed");
}

#[actix_web::test]
async fn a_download_link_ends_with_its_session() {
    let harness = Harness::new(5).await;
    let job = harness.wait_for_end(&harness.export(&json!({"format": "csv"})).await).await;
    let location = job["location"].as_str().expect("a link").to_owned();
    let path = location.strip_prefix("https://tools.example").expect("of this server");
    assert_eq!(harness.server.get(path).await.status, 200);
    let session = actix_web::test::TestRequest::delete().uri("/ext/api/sessions/current");
    assert_eq!(harness.call(session).await.status, 204);
    let reply = harness.server.get(path).await;
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (401, Some("invalid_ticket")));
}
