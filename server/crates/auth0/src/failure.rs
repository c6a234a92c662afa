//! Why a request was not successful, and whether it can be sent again.

use std::time::Duration;

use reqwest::StatusCode;

use uie_core::error::{Error, Upstream};
use uie_core::message::Message;

/// Why a request was not successful.
#[derive(Debug)]
pub(super) enum Failure {
    /// A retry would not help, or could repeat an effect.
    Final(Error),
    /// The request had no effect; a retry may succeed.
    Retry(Retryable),
    /// Auth0 answered 401, so it does not accept the token. The request had no effect.
    Unauthorized(Upstream),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// A failure after which the request can be sent again.
#[derive(Debug)]
pub(super) struct Retryable {
    /// The error to return if there is no time for a retry.
    pub(super) error: Error,
    /// The reason for the retry.
    pub(super) cause: Cause,
    /// The delay that Auth0 asks for; `None` if it asks for none.
    pub(super) wait: Option<Duration>,
}

/// Why a request is retried.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Too many requests.
    RateLimit,
    /// A search took longer than Auth0 allows (docs/auth0/management-api.md#users). A retry rarely succeeds.
    SlowQuery,
    /// A status that reports a temporary problem of Auth0.
    Answer(StatusCode),
    /// No complete response, with the reason.
    NoResponse(Message),
}
