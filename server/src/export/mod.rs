//! Exports: plan -> source -> filter -> columns -> sort -> encode -> artifact.

mod encode;
mod input;
mod pipeline;
mod plan;
mod preview;
pub mod sample;
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

pub use plan::{Before, Decider, Expected, Filtering, Plan, PlanLine, PlanView, Source, SourceKind};
pub use preview::{MOST_PREVIEWED, Matches, Preview, PreviewCell, PreviewColumn, count, preview, previewed};
pub use source::Note;
pub use spec::ExportSpec;

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180 with a header.
    Csv,
    /// One valid JSON array, a user a line.
    Json,
    /// One user a line.
    Ndjson,
}

impl Format {
    /// Extension of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }

    /// Media type of the file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// What becomes of a row whose cell cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The cell stays empty and is counted.
    #[default]
    Empty,
    /// The job stops.
    Fail,
}

/// How lines are read. What comes out is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// By an index of all tokens of many lines, made in one pass; lines for which that cannot be done are
    /// scanned.
    #[default]
    Index,
    /// From byte to byte, line by line.
    Scan,
}

/// A ready-made set of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// A JSON array that can be imported into another tenant as it is: only importable attributes under their own
    /// names, `auth0|` removed from `user_id`, users without an e-mail address left out and counted. Given columns
    /// replace attributes of the same name, or are added.
    Import,
}

/// A column as it was asked for; `name` is an expression.
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
    /// Largest first; missing values stay last.
    #[serde(default)]
    pub descending: bool,
}

/// The body of `POST /api/jobs/export`; also what the command line builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Output format.
    pub format: Format,
    /// Only users of this connection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_id: Option<String>,
    /// Columns; none means whole users, or the default columns in CSV.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fields: Option<Vec<FieldRequest>>,
    /// A ready-made set of columns; `fields` then change it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preset: Option<Preset>,
    /// Only users that match this Lucene query.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub query: Option<String>,
    /// Order of rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sort: Option<SortRequest>,
    /// At most this many users.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// CSV: one ASCII character between cells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delimiter: Option<String>,
    /// CSV: start with a byte-order mark.
    #[serde(default)]
    pub bom: bool,
    /// CSV: do not guard cells that spreadsheets would take for formulas.
    #[serde(default)]
    pub raw_cells: bool,
    /// Compress the file.
    #[serde(default)]
    pub gzip: bool,
    /// What becomes of a row whose cell cannot be computed.
    #[serde(default)]
    pub on_error: OnError,
    /// Versions of transforms: the SHA-256 of the file, by name. Others are used as they are now.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub transforms: Pins,
}

/// What an export came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSummary {
    /// Rows written.
    pub rows: u64,
    /// Cells or rows that could not be computed or read.
    pub faults: u64,
    /// Those of the faults that are single cells: they are empty, and their rows were written.
    #[serde(default)]
    pub cells: u64,
    /// The first few faults in words.
    pub first_faults: Vec<String>,
}

/// Exports a file of users (JSON array, NDJSON, gzip of either; found by content). Blocking.
pub fn run_file(
    spec: &ExportSpec,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<ExportSummary> {
    pipeline::run(&spec.for_file()?, input, pipeline::Origin::File, output, progress)
}

/// Exports a tenant's users. A job of the server has a `note`, with which it goes on where an earlier
/// process stopped. When the job is canceled, threads that still compute are left to end by themselves.
pub async fn run(
    spec: Arc<ExportSpec>,
    client: ManagementClient,
    output: Box<dyn Write + Send>,
    progress: Arc<Progress>,
    note: Option<Note>,
) -> Result<ExportSummary> {
    source::run(spec, client, output, progress, note, source::Pace::default()).await
}

#[cfg(test)]
mod tests;
