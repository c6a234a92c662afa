//! The result of an export.

use serde::{Deserialize, Serialize};

/// The result of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSummary {
    /// Rows written.
    pub rows: u64,
    /// Cells or rows that could not be computed or read.
    pub faults: u64,
    /// The faults of single cells: they are empty, and their rows were written.
    #[serde(default)]
    pub cells: u64,
    /// Messages of the first faults.
    pub first_faults: Vec<String>,
}
