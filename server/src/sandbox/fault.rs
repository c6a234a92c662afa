//! Why a row has no result: one message for each cause, so that an author knows what to mend.

use std::fmt;
use std::sync::Arc;

use crate::printable;

/// Longest text of a guest's own that is passed on, characters.
const LONGEST_TEXT: usize = 1000;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The transform itself refused the row, in its own words.
    Refused,
    /// An argument cannot be handed over.
    Argument,
    /// The row took longer than allowed.
    Time,
    /// The row took more memory than allowed.
    Memory,
    /// The transform called itself too deeply.
    Stack,
    /// The transform panicked.
    Panic,
    /// The transform broke off by another trap.
    Trap,
    /// What came back is not a result: invalid UTF-8 or JSON, or a wrong number of results.
    BadResult,
    /// The result is larger than allowed.
    TooLarge,
    /// The transform was given up for the rest of the job: its faults had cost too much time.
    GivenUp,
}

/// Why one row has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// Name and version of the transform, `mask_email@1.0.0`.
    pub transform: Arc<str>,
    /// What is wrong. May hold data of the row: for the report, never for the log.
    pub message: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.transform, self.message)
    }
}

impl std::error::Error for RowFault {}

/// A guest's own text as it may be shown: one line without hidden characters, and not endless.
pub(super) fn shown(text: &str) -> String {
    // Cut first: what is escaped grows.
    let text = text.trim();
    let cut: String = text.chars().take(LONGEST_TEXT).collect();
    let mut shown = printable::line(&cut).into_owned();
    if cut.len() < text.len() {
        shown.push('…');
    }
    shown
}
