//! Session tokens without a browser.

use simulated_tenant::people::Person;

/// Signs a user of the simulated tenant in at the server with this base URL. Returns the session token.
///
/// # Panics
/// If the sign-in fails.
pub async fn sign_in(base_url: &str, person: &Person) -> String {
    simulated_tenant::sign_in(base_url, person).await.unwrap_or_else(|error| panic!("signing in failed: {error}"))
}
