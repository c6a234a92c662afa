//! Timeouts of tests, so that a test fails with a message instead of hanging.

use std::time::Duration;

/// The timeout of one wait, a whole job included, on a busy machine.
pub const TIMEOUT: Duration = Duration::from_mins(5);

/// Awaits a future.
///
/// # Panics
///
/// If it takes longer than [`TIMEOUT`]. The message contains `description`.
pub async fn wait_for<T>(description: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(TIMEOUT, future).await;
    result.unwrap_or_else(|_| panic!("after {} s there is still no {description}", TIMEOUT.as_secs()))
}
