//! Imports: read -> map -> check -> send -> report (docs/decisions/0008-import-validation.md).
//!
//! The whole file is checked before anything is sent. The directory of a job holds:
//!
//! ```text
//! upload              the uploaded file; a directory if several files were uploaded
//! chunks/000001.json  valid rows, as they are sent to Auth0
//! rows/000001.ndjson  identity and origin (file, line) of each row of that chunk
//! identities.ndjson   the same for all valid rows of a dry run that looks users up
//! survey.json         result of looking up existing users
//! backup.json         the users that an upsert changes, before the change
//! inputs.json         detected formats of the uploaded files
//! faults/             row errors: check.ndjson from the check, 000001.ndjson from Auth0 for that chunk
//! ```
//!
//! A file in `faults` is written completely and then replaces the previous one, so a step that runs again after a
//! restart reports no error twice. The store holds the state of each chunk.

mod attribute_path;
mod attribute_rules;
mod bcrypt;
mod check;
mod check_run;
mod chunks;
mod cleanup;
mod compact_row;
mod consequences;
mod custom_password_hash;
mod dedup_index;
mod detected_inputs;
mod encoding_notes;
mod fast_check;
mod faults;
mod format_hints;
mod hash_encoding;
mod hash_warnings;
mod hashes;
mod input_file;
mod inspect;
mod io_error;
mod lookup;
mod map_rule;
mod mapping;
mod polling;
mod prepare;
mod proposals;
mod read;
mod redact;
mod report;
mod request;
mod row;
mod row_fault;
mod row_filter;
mod row_identity;
mod rows;
mod schema;
mod schema_verdicts;
mod secret_hints;
mod secret_value;
mod send;
mod shell;
mod source_choice;
mod spec;
mod spreadsheet;
mod staged_check;
mod suggest;
mod summary;
#[cfg(test)]
mod tests;
mod type_inference;
mod unknown_attributes;
mod upload;

pub use check_run::{CheckSummary, check, check_files};
pub use compact_row::MAX_CHUNK_BYTES;
pub use faults::faults;
pub use hashes::JoinedHashes;
pub use input_file::{InputFile, InputFormat, Opener};
pub use inspect::{Checked, INSPECTED_BYTES, InspectedColumn, InspectedRow, Inspection, inspect};
pub use lookup::{Backup, ExistingUsers, LookUpBy, LookedUp, backup_file, find_existing_users};
pub use map_rule::MapRule;
pub use polling::PollPolicy;
pub use prepare::{PreparedImport, require_import_permission};
pub use report::{Report, ReportFormat, keep_failed_rows, original_format, write_report};
pub use request::ImportRequest;
pub use row_fault::{RowFault, Severity};
pub use schema_verdicts::{fits_schema, schema_verdicts};
pub use send::{check_job, outcome, run, run_with_policy};
pub use spec::ImportSpec;
pub use summary::{Details, Reason, ReasonCounter, details, summary};
pub use uie_query::Remark;
pub use uie_records::TextEncoding;
pub use unknown_attributes::unknown_attributes_hint;
pub use upload::validate_upload;
