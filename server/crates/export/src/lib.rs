//! Exports: plan -> source -> filter -> columns -> sort -> encode -> artifact.

pub mod attributes;
mod csv_columns;
mod encode;
mod format;
mod input;
mod pipeline;
mod plan;
mod prepare;
mod preview;
mod request;
mod row_messages;
mod run;
mod sort;
mod source;
mod spec;
mod summary;

pub use format::Format;
pub use input::{InputFile, Opener};
pub use plan::{EvaluatedBy, Filtering, Plan, PlanLine, PlanView, PreviousRun, Source, SourceKind, UserCount};
pub use prepare::PreparedExport;
pub use preview::{
    MAX_PREVIEW_ROWS, Matches, Preview, PreviewCell, PreviewColumn, count_matches, preview, preview_limit,
};
pub use request::{ExportRequest, FieldRequest, OnError, Preset, SortRequest};
pub use run::{run, run_file, run_files};
pub use source::ExportCheckpoint;
pub use spec::{ExportSpec, Reading};
pub use summary::ExportSummary;
pub use uie_records::{ReadOptions, TextEncoding};

#[cfg(test)]
mod tests;
