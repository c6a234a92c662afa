//! The limits of transforms.

use std::time::Duration;

use super::engine;
use uie_core::config::Settings;

/// Maximum size of the result of a row, in bytes.
const MAX_RESULT_BYTES: u64 = 1 << 20;

/// Rows per call. Larger batches are not faster: `cargo bench --bench sandbox` measures several sizes.
const MAX_BATCH_ROWS: usize = 256;

/// The limits of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one instance, in bytes (`SANDBOX_MEMORY`).
    pub memory: u64,
    /// CPU time of one row (`SANDBOX_TIMEOUT`).
    pub time: Duration,
    /// Size of one result, in bytes. Each element of JSON counts 64 bytes in addition to its text.
    pub result: u64,
    /// Stack, in bytes.
    pub stack: u64,
    /// Maximum number of rows per call.
    pub batch: usize,
}

impl Limits {
    /// Returns the limits of the settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            memory: settings.sandbox_memory,
            time: settings.sandbox_timeout,
            result: MAX_RESULT_BYTES,
            stack: engine::STACK as u64,
            batch: MAX_BATCH_ROWS,
        }
    }
}
