//! The faults of rows: one kind and message per cause, so that an author knows what to fix.

use std::fmt;
use std::sync::Arc;

use uie_core::message::Message;
use uie_core::printable;

/// Maximum length of a guest's text in a message, in characters.
const MAX_TEXT_CHARS: usize = 1000;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The transform refused the row with a message.
    Refused,
    /// An argument cannot be passed to the transform.
    Argument,
    /// The row took longer than allowed.
    Time,
    /// The row took more memory than allowed.
    Memory,
    /// The transform's call stack is full.
    Stack,
    /// The transform panicked.
    Panic,
    /// The transform stopped with another trap.
    Trap,
    /// The transform returned invalid UTF-8 or JSON, or a wrong number of results.
    BadResult,
    /// The result is larger than allowed.
    TooLarge,
    /// The transform was disabled for the rest of the job, because its failing rows used too much time, or was stopped.
    GivenUp,
}

/// Why one row has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// The kind of the fault.
    pub kind: FaultKind,
    /// Name and version of the transform, `mask_email@1.0.0`.
    pub transform: Arc<str>,
    /// Why the row has no result. May contain data of the row: for the report, never for the log.
    pub message: Message,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.transform, self.message)
    }
}

impl std::error::Error for RowFault {}

/// Makes a guest's text safe to display: one line of limited length, without hidden characters.
pub(super) fn shown(text: &str) -> String {
    // Cut first: escaping makes text longer.
    let text = text.trim();
    let cut: String = text.chars().take(MAX_TEXT_CHARS).collect();
    let mut shown = printable::line(&cut).into_owned();
    if cut.len() < text.len() {
        shown.push('…');
    }
    shown
}
