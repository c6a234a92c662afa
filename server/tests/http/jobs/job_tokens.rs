//! Tests of the token that a job uses with `LOGIN=extension` (docs/decisions/0014-token-of-a-job.md).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulated_tenant::TenantSettings;
use test_kit::{Login, TestKit, fast_tenant, job_id, management_token, person, start_tenant};
use uie_access::{Permissions, SignIn};

/// Returns whether a job waits until its owner signs in again.
fn waits_for_sign_in(job: &Value) -> bool {
    job["details"].as_str().is_some_and(|details| details.contains("next sign-in"))
}

#[actix_web::test]
async fn a_job_whose_token_ended_waits_for_the_next_sign_in() {
    let tenant = start_tenant(fast_tenant(1500)).await;
    let first = management_token(&tenant).await;
    let harness = TestKit::for_tenant(&tenant).login(Login::Extension).access_token(&first).in_process().await;
    assert_eq!(harness.get("/api/users").await.status, 200, "the admin's own token is used");

    tenant.control().expire_tokens();
    let id = harness.start_export(&json!({"format": "csv"})).await;
    harness.wait_for_job(&id, waits_for_sign_in).await;

    let renewed = harness.program.sign_in("auth0|ada", Some(&management_token(&tenant).await)).await;
    let signed_in =
        harness.program.app.access.session(Some(&format!("Bearer {renewed}")), false).await.expect("a session");
    harness.program.app.jobs.handle_sign_in(&signed_in.principal()).await;
    let job = harness.wait_until_finished(&id).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(job["summary"]["rows"], tenant.control().user_count());
}

#[actix_web::test]
async fn a_session_without_a_token_has_to_sign_in_again() {
    let harness = TestKit::with_users(5).login(Login::Extension).in_process().await;
    let reply = harness.get("/api/connections").await;
    assert_eq!(reply.status, 401, "{}", reply.body);
    assert!(reply.json()["message"].as_str().is_some_and(|message| message.contains("token")), "{}", reply.body);
}

#[actix_web::test]
async fn client_credentials_do_not_continue_a_job_whose_owners_token_auth0_refused() {
    let tenant = start_tenant(fast_tenant(20)).await;
    let first = management_token(&tenant).await;
    let kit = TestKit::for_tenant(&tenant).login(Login::ExtensionWithClient).setting("JOBS_USE_CLIENT", "true");
    let harness = kit.access_token(&first).in_process().await;
    tenant.control().expire_tokens();
    let id = harness.start_export(&json!({"format": "csv"})).await;
    harness.wait_for_job(&id, waits_for_sign_in).await;
    let harness = harness.restart().await;
    harness.wait_for_job(&id, waits_for_sign_in).await;
}

#[actix_web::test]
async fn client_credentials_continue_a_job_whose_owners_token_ends_while_it_runs() {
    let slow = TenantSettings { export_duration: Duration::from_secs(4), ..fast_tenant(20) };
    for takes_over in [true, false] {
        let tenant = start_tenant(slow.clone()).await;
        let own = management_token(&tenant).await;
        let kit = TestKit::for_tenant(&tenant).login(Login::ExtensionWithClient).signed_out();
        let harness = kit.setting("JOBS_USE_CLIENT", &takes_over.to_string()).in_process().await;
        let expires_at = Timestamp::now() + SignedDuration::from_secs(3);
        let ada = SignIn { expires_at, ..person("auth0|ada", Some(&own), Permissions::all()) };
        let session = harness.program.sign_in_as(&ada).await;
        let harness = harness.with_session(session);
        let id = harness.start_export(&json!({"format": "csv"})).await;
        let session = harness.program.sign_in("auth0|bob", Some(&own)).await;
        let harness = harness.with_session(session);
        if takes_over {
            assert_eq!(harness.wait_until_finished(&id).await["status"], "completed");
        } else {
            harness.wait_for_job(&id, waits_for_sign_in).await;
        }
    }
}

#[actix_web::test]
async fn a_403_for_an_admins_own_token_applies_to_later_jobs() {
    let settings = TenantSettings { grants: vec!["read:connections".to_owned()], ..fast_tenant(5) };
    let tenant = start_tenant(settings).await;
    let own = management_token(&tenant).await;
    let harness = TestKit::for_tenant(&tenant).login(Login::Extension).access_token(&own).in_process().await;
    let access = &harness.program.app.access;
    let session = access.session(Some(&format!("Bearer {}", harness.session)), false).await.expect("a session");
    let principal = session.principal();
    assert!(!harness.program.app.jobs.client_provider().rights(&principal).refused);
    assert_eq!(harness.get("/api/connections").await.status, 200);
    assert!(!harness.program.app.jobs.client_provider().rights(&principal).refused);
    assert_eq!(harness.get("/api/users").await.status, 403);
    assert!(harness.program.app.jobs.client_provider().rights(&principal).refused);
}

#[actix_web::test]
async fn an_import_needs_the_permission_to_create_users_and_a_dry_run_does_not() {
    let harness = TestKit::with_users(20).in_process().await;
    let users = r#"[{"email": "new@example.com"}]"#;
    let imported = harness.import(users, &[]).await;
    let failed = harness.request_import("[{\"email\": \"x\"}]", &[]).await;
    assert_eq!((imported["status"].as_str(), failed.status), (Some("completed"), 200));
    let checked = harness.wait_until_finished(&failed.job_id()).await;

    let few = Permissions::from_scope("read:users read:connections");
    let session = harness.program.sign_in_as(&person("auth0|ada", None, few)).await;
    let harness = harness.with_session(session);
    let reply = harness.request_import(users, &[]).await;
    reply.expect_error(403, "ForbiddenError", "This sign-in does not permit create:users.");
    let reply = harness.retry(job_id(&checked)).await;
    reply.expect_error(403, "ForbiddenError", "This sign-in does not permit create:users.");
    let dry = harness.request_import(users, &[("dry_run", "true")]).await;
    assert_eq!(dry.status, 200, "{}", dry.body);
    assert_eq!(harness.wait_until_finished(&dry.job_id()).await["status"], "completed");
    assert_eq!(harness.export(&json!({"format": "csv"})).await["status"], "completed");
}

#[actix_web::test]
async fn a_download_link_ends_with_its_session() {
    let harness = TestKit::with_users(5).in_process().await;
    let job = harness.export(&json!({"format": "csv"})).await;
    assert_eq!(harness.download(&job).await.status, 200);
    assert_eq!(harness.delete("/api/sessions/current").await.status, 204);
    harness.download(&job).await.expect_code(401, "invalid_ticket");
}
