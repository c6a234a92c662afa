//! A record of the requests to the tenant, for assertions.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

/// The kind of client that sent a request, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// The Management API.
    Management,
    /// Sign-in pages, tokens, keys.
    Login,
    /// The file of an export.
    Download,
    /// The control API of the simulator.
    Control,
}

impl Client {
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/api/v2/") {
            Client::Management
        } else if path.starts_with("/exports/") {
            Client::Download
        } else if path.starts_with("/control") {
            Client::Control
        } else {
            Client::Login
        }
    }
}

/// A request that the tenant received, with the status of the response.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// The tenant's clock, milliseconds since the epoch.
    pub at: i64,
    /// Method.
    pub method: String,
    /// Path as sent, without the query.
    pub path: String,
    /// Query as sent.
    pub query: String,
    /// The kind of client.
    pub client: Client,
    /// Status of the response; 0 if the connection was dropped instead.
    pub status: u16,
    /// Whether an Authorization header was sent.
    pub authorized: bool,
    /// `User-Agent`, if any.
    pub user_agent: String,
    /// `Range`, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// The body of a request that creates a job. For an import: its text parts, and the number of bytes
    /// of `users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Violations of the OpenAPI description, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<String>,
}

/// The body of a request, stored by its handler for the record.
#[derive(Clone, Debug)]
pub(crate) struct RecordedBody(pub(crate) Value);

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Recorded>>);

/// Maximum number of recorded requests, because a tenant may run for weeks.
const MAX_RECORDED: usize = 20_000;

impl Log {
    pub(crate) fn push(&self, recorded: Recorded) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() >= MAX_RECORDED {
            log.drain(..MAX_RECORDED / 2);
        }
        log.push(recorded);
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
