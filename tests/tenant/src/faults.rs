//! Faults that tests inject into responses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault, and the requests that it affects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests with this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose path contains this; empty for every request.
    #[serde(default)]
    pub path: String,
    /// The number of requests that it affects; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The number of matching requests that pass before it starts.
    #[serde(default)]
    pub after: u32,
    /// The kind of fault.
    pub kind: FaultKind,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The response is delayed.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// 429 with the rate limit headers.
    RateLimit {
        /// Seconds until the limit resets.
        reset_after: u32,
        /// Whether `Retry-After` is sent, as in newer responses.
        retry_after: bool,
    },
    /// 429 as for a third concurrent import job.
    ActiveImports,
    /// 500.
    ServerError,
    /// 503.
    Unavailable,
    /// 403, as for a token without the scope.
    Forbidden,
    /// 403 with this text, which may contain anything, as `message` and as `error_description`.
    Refuse {
        /// The text.
        message: String,
    },
    /// The connection breaks before the request has any effect.
    DropBefore,
    /// The request takes effect, but the connection breaks before the response.
    DropAfter,
    /// The body of the response is sent in parts, with a pause before each.
    SlowBody {
        /// Milliseconds.
        millis: u64,
    },
    /// The body of the response is truncated, and the connection breaks.
    Truncate {
        /// The number of bytes that are sent.
        bytes: u64,
    },
    /// The body of the response ends early and looks complete, as behind a proxy that loses its upstream.
    Shorten {
        /// The number of bytes that are sent.
        bytes: u64,
    },
    /// The body of the response stalls, and the connection stays open.
    Stall {
        /// The number of bytes that are sent.
        bytes: u64,
    },
    /// 200 with this body instead of the response, as from a proxy or a broken store.
    ReplaceBody {
        /// The media type, if any.
        content_type: Option<String>,
        /// The bytes.
        body: Vec<u8>,
    },
    /// A download link is treated as expired.
    ExpiredLink,
    /// A download ignores the requested range and starts from the beginning.
    IgnoreRange,
    /// 503, as for a search that exceeds its time limit.
    SlowQuery,
    /// A requested job has this status and no link.
    JobStatus {
        /// The status, which may be an unknown one.
        status: String,
    },
    /// A requested job does not exist, as a day after it was created.
    ForgetJob,
    /// The job that this request creates fails.
    FailJob,
    /// 400 for every file of users that contains this text.
    RefuseUsers {
        /// What the file must contain.
        containing: String,
    },
    /// 400 as for a connection that does not exist.
    RefuseConnection,
    /// The job fails as a whole when its file of users contains this text.
    FailUsers {
        /// What the file must contain.
        containing: String,
    },
    /// The job that this request creates never ends.
    HangJob,
    /// Every token issued before this request is treated as expired.
    ExpireTokens,
}

impl Fault {
    /// Returns a fault that affects every request whose path contains `path`.
    pub fn new(path: &str, kind: FaultKind) -> Self {
        Fault { method: None, path: path.to_owned(), count: None, after: 0, kind }
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only the next `count` requests.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Only the next request.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Returns the duration of a delay. `None` for other kinds.
    pub(crate) fn delay(kind: &FaultKind) -> Option<Duration> {
        match kind {
            FaultKind::Delay { millis } => Some(Duration::from_millis(*millis)),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn pending(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the faults that affect this request, and counts them down.
    pub(crate) fn hit(&self, method: &str, path: &str) -> Vec<FaultKind> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hits = Vec::new();
        for fault in faults.iter_mut() {
            let matches = fault.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && path.contains(&fault.path);
            if !matches || fault.count == Some(0) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            if let Some(count) = &mut fault.count {
                *count -= 1;
            }
            hits.push(fault.kind.clone());
        }
        faults.retain(|fault| fault.count != Some(0));
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_match_start_late_and_end() {
        let faults = Faults::default();
        faults.add(Fault::new("/jobs", FaultKind::ServerError).method("post").after(1).once());
        assert!(faults.hit("GET", "/api/v2/jobs/x").is_empty());
        assert!(faults.hit("POST", "/api/v2/jobs/x").is_empty());
        assert_eq!(faults.hit("POST", "/api/v2/jobs/x"), [FaultKind::ServerError]);
        assert!(faults.hit("POST", "/api/v2/jobs/x").is_empty() && faults.pending().is_empty());
        faults.add(Fault::new("", FaultKind::Unavailable));
        assert_eq!(faults.hit("GET", "/").len() + faults.hit("GET", "/x").len(), 2);
    }
}
