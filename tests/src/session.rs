//! Sessions for programs: what signing in hands to the browser.

use simulated_tenant::people::Person;

/// The token of a new session of this person at the server with this base URL, by a sign-in at the simulated tenant.
///
/// # Panics
/// When the server does not let the person in.
pub async fn sign_in(base_url: &str, person: &Person) -> String {
    simulated_tenant::sign_in(base_url, person).await.unwrap_or_else(|error| panic!("signing in failed: {error}"))
}
