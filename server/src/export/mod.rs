//! Exports: plan -> source -> filter -> columns -> sort -> encode -> artifact.

pub mod attributes;
mod encode;
mod input;
mod pipeline;
mod plan;
mod preview;
mod sort;
mod source;
mod spec;

use std::io::{Read, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth0::ManagementClient;
use crate::error::Result;
use crate::expression::Pins;
use crate::progress::Progress;

pub use plan::{EvaluatedBy, Filtering, Plan, PlanLine, PlanView, PreviousRun, Source, SourceKind, UserCount};
pub use preview::{
    MAX_PREVIEW_ROWS, Matches, Preview, PreviewCell, PreviewColumn, count_matches, preview, preview_limit,
};
pub use source::ExportCheckpoint;
pub use spec::ExportSpec;

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180 with a header.
    Csv,
    /// One JSON array, one user per line.
    Json,
    /// One user per line.
    Ndjson,
}

impl Format {
    /// Returns the extension of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }

    /// Returns the media type of the file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// What to do with a row if one of its cells cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Leave the cell empty and count it.
    #[default]
    Empty,
    /// Stop the job.
    Fail,
}

/// How lines are read. The result is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// By a structural index of many lines, which is built in one pass. Lines that cannot be indexed are scanned.
    #[default]
    Index,
    /// Byte by byte, line by line.
    Scan,
}

/// A predefined set of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// A JSON array that can be imported into another tenant without changes: only importable attributes under their
    /// own names, without the prefix `auth0|` in `user_id`. Users without an e-mail address are omitted and counted.
    /// Columns of the request replace attributes of the same name, or are added.
    Import,
}

/// A column of a request; `name` is an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldRequest {
    /// The expression.
    pub name: String,
    /// The column's name; the expression itself when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub export_as: Option<String>,
}

/// The order of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SortRequest {
    /// The expression to sort by.
    pub by: String,
    /// Largest first. Missing values are last in both orders.
    #[serde(default)]
    pub descending: bool,
}

/// The body of `POST /api/jobs/export`. The command line creates it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Output format.
    pub format: Format,
    /// Only users of this connection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_id: Option<String>,
    /// Columns; without them whole users are exported, or the default columns in CSV.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fields: Option<Vec<FieldRequest>>,
    /// A predefined set of columns; `fields` change or extend it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preset: Option<Preset>,
    /// Only users that match this Lucene query.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub query: Option<String>,
    /// Order of rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sort: Option<SortRequest>,
    /// Maximum number of users.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// CSV: one ASCII character between cells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delimiter: Option<String>,
    /// CSV: start with a byte-order mark.
    #[serde(default)]
    pub bom: bool,
    /// CSV: do not guard cells that spreadsheets would interpret as formulas.
    #[serde(default)]
    pub raw_cells: bool,
    /// Compress the file.
    #[serde(default)]
    pub gzip: bool,
    /// What to do with a row if one of its cells cannot be computed.
    #[serde(default)]
    pub on_error: OnError,
    /// Versions of transforms: the SHA-256 of the file, by name. Transforms that are not listed use their active
    /// version.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub transforms: Pins,
}

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

/// Exports a file of users: a JSON array or NDJSON, optionally gzip; the format is detected. Blocking.
pub fn run_file(
    spec: &ExportSpec,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<ExportSummary> {
    pipeline::run(&spec.for_file()?, input, pipeline::Origin::File, output, progress)
}

/// Exports a tenant's users. With a `checkpoint`, a job that was interrupted reuses its export job inside Auth0. If the
/// job is canceled, this returns without waiting for threads that still compute.
pub async fn run(
    spec: Arc<ExportSpec>,
    client: ManagementClient,
    output: Box<dyn Write + Send>,
    progress: Arc<Progress>,
    checkpoint: Option<ExportCheckpoint>,
) -> Result<ExportSummary> {
    source::run(spec, client, output, progress, checkpoint, source::PollPolicy::default()).await
}

#[cfg(test)]
mod tests;
