//! The simulated tenant of a test, its people and its tokens.

use std::time::Duration;

use serde_json::{Value, json};
use simulated_tenant::people::{Person, people};
use simulated_tenant::{Tenant, TenantSettings};

/// The database connection of the simulated tenant that imports go to.
pub const DATABASE: &str = simulated_tenant::connections::DATABASE;

/// Returns settings of a tenant with this many generated users and fast jobs.
pub fn fast_tenant(users: u64) -> TenantSettings {
    TenantSettings {
        users,
        import_duration: Duration::from_millis(20),
        export_duration: Duration::from_millis(20),
        ..TenantSettings::default()
    }
}

/// Starts a tenant.
pub async fn start_tenant(settings: TenantSettings) -> Tenant {
    Tenant::start(settings).await.expect("the simulated tenant starts")
}

/// Returns the user who is signed in at a [`Program`](crate::Program): an administrator of the simulated tenant.
pub fn admin() -> Person {
    people().swap_remove(0)
}

/// Signs a user of the simulated tenant in at the server with this base URL, without a browser. Returns the session
/// token.
///
/// # Panics
/// If the sign-in fails.
pub async fn sign_in(base_url: &str, person: &Person) -> String {
    simulated_tenant::sign_in(base_url, person).await.unwrap_or_else(|error| panic!("signing in failed: {error}"))
}

/// Returns a Management API token, as from an admin's login.
pub async fn management_token(tenant: &Tenant) -> String {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let request = client.post(format!("{}/oauth/token", tenant.url())).json(&json!({
        "grant_type": "client_credentials", "client_id": tenant.client_id(),
        "client_secret": tenant.client_secret(), "audience": format!("{}/api/v2/", tenant.url()),
    }));
    let reply: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    reply["access_token"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

/// Returns valid users.
pub fn valid_users(count: u32) -> Vec<Value> {
    (0..count)
        .map(|number| json!({"email": format!("new-{number}@example.com"), "app_metadata": {"number": number}}))
        .collect()
}
