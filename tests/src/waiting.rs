//! Deadlines for what a test waits for: a test that fails says more than one that hangs.

use std::time::Duration;

/// How long one thing may take on a busy machine, jobs included.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// The value of a future.
///
/// # Panics
///
/// With the description of what was waited for, if the future takes longer than [`PATIENCE`].
pub async fn wait_for<T>(description: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("after {} s there is still no {description}", PATIENCE.as_secs()))
}
