//! What a running job tells the outside, and how the outside stops it. Shared by the pipelines, the
//! job runner and the command line; knows none of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};

/// Counters of one job and its cancellation. Cheap to read and write from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    processed: AtomicU64,
    total: AtomicU64,
    total_known: AtomicBool,
    details: Mutex<Option<String>>,
    cancel: CancellationToken,
}

impl Progress {
    /// Counts rows that are done.
    pub fn add_processed(&self, rows: u64) {
        self.processed.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets the number of rows that are done, for example when a step starts again.
    pub fn set_processed(&self, rows: u64) {
        self.processed.store(rows, Ordering::Relaxed);
    }

    /// Rows done so far.
    pub fn processed(&self) -> u64 {
        self.processed.load(Ordering::Relaxed)
    }

    /// Says how many rows there will be.
    pub fn set_total(&self, rows: u64) {
        self.total.store(rows, Ordering::Relaxed);
        self.total_known.store(true, Ordering::Release);
    }

    /// How many rows there will be, once that is known.
    pub fn total(&self) -> Option<u64> {
        self.total_known.load(Ordering::Acquire).then(|| self.total.load(Ordering::Relaxed))
    }

    /// Says in plain words what the job is doing or waiting for; `None` when it simply works.
    pub fn set_details(&self, details: Option<String>) {
        *self.details.lock().unwrap_or_else(PoisonError::into_inner) = details;
    }

    /// What the job is doing or waiting for.
    pub fn details(&self) -> Option<String> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether the job was asked to stop.
    pub fn is_canceled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Fails with [`Code::Canceled`] once the job was asked to stop: call it between rows and requests.
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() { Err(Error::new(Code::Canceled, "The job was canceled.")) } else { Ok(()) }
    }

    /// Runs a future until it ends or the job is canceled, whichever comes first.
    pub async fn or_canceled<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::new(Code::Canceled, "The job was canceled.")),
            result = future => result,
        }
    }
}
