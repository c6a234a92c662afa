//! Waiting with a timeout, so that a test fails with a message instead of hanging.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// The timeout of one wait, a whole job included, on a busy machine.
pub const TIMEOUT: Duration = Duration::from_mins(5);

/// Pause between two attempts of [`poll`].
const PAUSE: Duration = Duration::from_millis(20);

/// Awaits a future.
///
/// # Panics
///
/// If it takes longer than [`TIMEOUT`]. The message contains `description`.
pub async fn wait_for<T>(description: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(TIMEOUT, future).await;
    result.unwrap_or_else(|_| panic!("after {} s there is still no {description}", TIMEOUT.as_secs()))
}

/// Repeats an attempt until it succeeds, and returns its value.
///
/// # Panics
///
/// If it does not succeed within [`TIMEOUT`], with the last error.
pub async fn poll<T, E: Display>(attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    poll_for(TIMEOUT, attempt).await
}

/// Repeats an attempt until it succeeds, and returns its value.
///
/// # Panics
///
/// If it does not succeed in this time, with the last error.
pub async fn poll_for<T, E: Display>(time: Duration, mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + time;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "after {} s: {error}", time.as_secs()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
