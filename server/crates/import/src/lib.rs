//! Imports: detect -> parse -> map -> check -> chunk -> submit -> report (docs/decisions/0008-import-validation.md).
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

mod check;
mod chunks;
mod dedup_index;
mod fast_check;
mod faults;
mod hashes;
mod inspect;
mod lookup;
mod mapping;
mod path;
mod read;
mod redact;
mod report;
mod rows;
mod schema;
mod send;
mod suggest;
mod summary;
#[cfg(test)]
mod tests;
mod type_inference;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use check::{Checker, FastChecked, RowLocation};
pub use chunks::MAX_CHUNK_BYTES;
use chunks::{ChunkWriter, IdentityFile, RowIdentity, WrittenChunk};
use fast_check::{FastCheck, fast_check};
pub use faults::faults;
use hashes::PasswordHashes;
pub use inspect::{Checked, INSPECTED_BYTES, InspectedColumn, InspectedRow, Inspection, inspect};
pub use lookup::{Backup, ExistingUsers, LookUpBy, LookedUp, backup_file, find_existing_users};
pub use mapping::MapRule;
use mapping::Mapping;
use read::{RawRow, RowReader};
pub use report::{Report, ReportFormat, keep_failed_rows, original_format, write_report};
use rows::{Content, Rows};
pub use send::{PollPolicy, outcome, run, run_with_policy};
pub use summary::{Details, Reason, ReasonCounter, details, summary};
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, Result};
use uie_core::progress::Progress;
use uie_expression::{Pins, TransformContext};
use uie_store::Files;

/// Settings of one import, stored with its job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The connection's id; empty for a dry run without a tenant.
    pub connection_id: String,
    /// Update existing users, matched by e-mail; their metadata is replaced.
    #[serde(default)]
    pub upsert: bool,
    /// E-mail the tenant's owners after every chunk.
    #[serde(default)]
    pub send_completion_email: bool,
    /// Text that Auth0 stores with its jobs and returns.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Keep the prefix `auth0|` of a `user_id`.
    #[serde(default)]
    pub keep_id_prefix: bool,
    /// Only check the file; send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Attributes computed from the contents of a row.
    #[serde(default)]
    pub map: Vec<MapRule>,
    /// Drop attributes that Auth0 sets itself (`created_at`, `identities`, `last_login`, …), so that an export of
    /// complete users can be imported.
    #[serde(default)]
    pub drop_read_only: bool,
    /// With `dry_run`: look up which users exist and count the rows that would be inserted, updated or refused.
    #[serde(default)]
    pub look_up: bool,
    /// With `upsert`: back up the existing users before anything is sent.
    #[serde(default)]
    pub backup: bool,
    /// Pinned versions of transforms: name to SHA-256 of the file. Transforms that are not listed use the current file.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub transforms: Pins,
}

/// Validated settings of an import, with the compiled mapping. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    request: Arc<ImportRequest>,
    mapping: Arc<Mapping>,
}

impl ImportSpec {
    /// Validates settings whose mapping uses paths only; fails for transform calls and JavaScript.
    pub fn new(request: &ImportRequest) -> Result<Self> {
        Self::build(request, None)
    }

    /// Validates settings whose mapping may also call transforms and use JavaScript. Blocking: compiling an engine
    /// for the first time takes one or two seconds.
    pub fn with_tools(request: &ImportRequest, tools: &TransformContext) -> Result<Self> {
        Self::build(request, Some(tools))
    }

    fn build(request: &ImportRequest, tools: Option<&TransformContext>) -> Result<Self> {
        let wrong = |message: &str| Error::new(Code::InvalidBody, message);
        if request.look_up && !request.dry_run {
            return Err(wrong("Users are looked up in a dry run only.")
                .with_hint("Set dry_run (--dry-run) too, or leave look_up (--look-up) out."));
        }
        if request.look_up && request.connection_id.is_empty() {
            return Err(wrong("Looking users up needs a connection.")
                .with_hint("Name the connection they would be imported into."));
        }
        if request.backup && (request.dry_run || !request.upsert) {
            return Err(wrong("There is something to back up only in an import with upsert.")
                .with_hint("Leave backup out; only an upsert that is no dry run changes users."));
        }
        let tools = tools.map(|tools| tools.with_pins(&request.transforms));
        let mapping = Mapping::from_request(request, tools.as_ref())?;
        Ok(Self { request: Arc::new(request.clone()), mapping: Arc::new(mapping) })
    }

    /// The settings.
    pub fn request(&self) -> &ImportRequest {
        &self.request
    }
}

/// Severity of a row error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not imported.
    Error,
    /// The row is imported, but the result may not be what the user intended.
    Warning,
}

/// What is wrong with a row: a line of `--report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RowFault {
    /// Physical line where the row starts, from 1; 0 if Auth0 reported a user that matches no row.
    pub line: u64,
    /// Number of the row, from 1, counted through all files of the import; 0 as above, and for problems of a whole
    /// file.
    pub row: u64,
    /// The attribute's path; `None` if the whole row is affected.
    pub attribute: Option<String>,
    /// Stable code: Auth0's own where one fits (docs/auth0/import-schema.md#error-codes), or what Auth0 reported.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// The value; secrets are replaced by asterisks.
    pub value: Option<serde_json::Value>,
    /// Error or warning.
    pub severity: Severity,
    /// Name of the file; present only if the import has several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Format of a file, detected from its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InputFormat {
    /// Name of the file; present only if the import has several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `json`, `ndjson` or `csv`; `password-hashes` for Auth0's export of them.
    pub format: String,
    /// `UTF-8`, `UTF-16LE`, `UTF-16BE` or `windows-1252`.
    pub encoding: String,
    /// The delimiter of a CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The file is compressed.
    pub gzip: bool,
}

/// Result of joining an export of password hashes to the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedHashes {
    /// Hashes in the export.
    pub read: u64,
    /// Hashes whose user is in the import.
    pub joined: u64,
}

/// Result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// Rows read.
    pub total: u64,
    /// Rows without errors.
    pub good: u64,
    /// Rows with errors.
    pub failed: u64,
    /// Warnings about rows (valid or not) and files.
    pub warnings: u64,
    /// Chunks written; 0 if the caller requested none.
    pub chunks: u64,
    /// Formats of the files.
    pub inputs: Vec<InputFormat>,
    /// Set when an export of password hashes was among the files.
    pub hashes: Option<JoinedHashes>,
}

/// Opens a file from its start.
pub type Opener<'a> = Box<dyn FnMut() -> Result<Box<dyn Read + Send>> + Send + 'a>;

/// A file of an import.
pub struct InputFile<'a> {
    /// Its name, shown in row errors; `None` if the import has one file.
    pub name: Option<String>,
    /// Opens it.
    pub open: Opener<'a>,
    /// Whether it can be opened twice (standard input cannot). Only such a file may be an export of password hashes.
    pub reopenable: bool,
}

/// Checks the rows of `input` without sending them: the dry run, and the first half of [`run`]. Writes valid rows
/// as chunk files (JSON arrays of at most [`MAX_CHUNK_BYTES`]) to the directory `chunks` if given, and calls `fault`
/// for every row error and warning. Blocking.
///
/// Fails if the file is empty, is not a list of users, contains a malformed JSON array, or has a CSV header that
/// cannot be mapped to attributes.
pub fn check(
    spec: &ImportSpec,
    input: Box<dyn Read + Send>,
    chunks: Option<&Path>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<CheckSummary> {
    let mut input = Some(input);
    let open = Box::new(move || {
        input.take().ok_or_else(|| Error::new(Code::Internal, "An input that can be opened once was opened twice."))
    });
    check_files(spec, vec![InputFile { name: None, open, reopenable: false }], chunks, None, fault, progress)
}

/// Like [`check()`], for several files that form one import, in order. Each file is opened when the previous one is
/// finished. One of them, at any position, may be Auth0's export of password hashes: its hashes are joined to the
/// users by id (docs/auth0/jobs.md#password-hash-files). With `identities`, writes the identities of valid rows there
/// for [`find_existing_users`].
pub fn check_files(
    spec: &ImportSpec,
    inputs: Vec<InputFile<'_>>,
    chunks: Option<&Path>,
    identities: Option<&Files>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<CheckSummary> {
    let outputs = Outputs {
        chunks: chunks.map(|directory| ChunkWriter::new(Files::plaintext(directory), None)).transpose()?,
        identities: identities.map(IdentityFile::create).transpose()?,
    };
    let (summary, _) = check_rows(spec, inputs, outputs, &std::env::temp_dir(), fault, &mut |summary| {
        progress.add_processed(1);
        // Checking for cancelation costs more than checking a row.
        if summary.total % 64 == 1 { progress.check() } else { Ok(()) }
    })?;
    progress.set_total(summary.total);
    Ok(summary)
}

/// Outputs for valid rows.
#[derive(Default)]
struct Outputs {
    chunks: Option<ChunkWriter>,
    identities: Option<IdentityFile>,
}

impl Outputs {
    /// Writes a valid row; `write` appends the row as compact JSON to the buffer that it is given.
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>), identity: impl Fn() -> RowIdentity) -> Result<()> {
        if let Some(identities) = &mut self.identities {
            identities.push(&identity())?;
        }
        match &mut self.chunks {
            Some(chunks) => chunks.push(write, identity),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<Vec<WrittenChunk>> {
        self.identities.map(IdentityFile::finish).transpose()?;
        Ok(self.chunks.map(ChunkWriter::finish).transpose()?.unwrap_or_default())
    }
}

/// Validates the rows of a file against the import schema only: no semantic rules, no search for duplicates. Calls
/// `verdict` with the number of each row, from 1, and whether it is accepted. A row is accepted exactly if a general
/// JSON Schema validator accepts it by the documented schema; rows that are not valid JSON are rejected.
pub fn schema_verdicts(input: Box<dyn Read + Send>, verdict: &mut dyn FnMut(u64, bool)) -> Result<()> {
    let mut reader = RowReader::open(input, &read::HeaderPolicy::default())?;
    let mut row = RawRow::default();
    let mut number = 0;
    loop {
        if let Some(peeked) = reader.peek()?
            && let Some((length, accepted)) = schema_verdict(peeked.text, peeked.is_whole)
        {
            number += 1;
            verdict(number, accepted);
            reader.advance(length)?;
            continue;
        }
        if !reader.next(&mut row)? {
            return Ok(());
        }
        number += 1;
        let checked = if row.truncated { None } else { schema_verdict(&row.bytes, true) };
        let accepted = match checked {
            Some((_, accepted)) => accepted,
            None => reader.parse(&row)?.is_ok_and(|value| fits_schema(&value)),
        };
        verdict(number, accepted);
    }
}

/// Returns the length of the row at the start of `text` and whether the schema accepts it; `None` if the row must be
/// parsed first.
fn schema_verdict(text: &[u8], is_whole: bool) -> Option<(usize, bool)> {
    match fast_check(text, is_whole, true, &[])? {
        FastCheck::Valid(row) => Some((row.text.len(), true)),
        FastCheck::NeedsFullCheck(row) => Some((row.text.len(), fits_schema(&row.build()?))),
    }
}

/// Returns a function that prefixes an error's message with the name of the file, if there is one.
fn in_file(name: Option<&str>) -> impl Fn(Error) -> Error {
    move |error| match name {
        Some(name) => error.with_context(name),
        None => error,
    }
}

/// Checks all rows; calls `after_row` after every row, which may stop the check by an error. `scratch` is the
/// directory for data that does not fit into memory.
fn check_rows(
    spec: &ImportSpec,
    mut inputs: Vec<InputFile<'_>>,
    outputs: Outputs,
    scratch: &Path,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    after_row: &mut dyn FnMut(&CheckSummary) -> Result<()>,
) -> Result<(CheckSummary, Vec<WrittenChunk>)> {
    let headers = spec.mapping.headers();
    let mut summary = CheckSummary::default();
    let mut hashes = join_hashes(&mut inputs, scratch, &mut summary)?;
    let dropped = spec.mapping.dropped_by_text().unwrap_or_default();
    let checker = Checker::new(spec.request.keep_id_prefix, scratch).dropping(dropped);
    let mut run = CheckRun { checker, outputs, summary, fault, compact: Vec::new() };
    for InputFile { name, mut open, .. } in inputs {
        let in_file = in_file(name.as_deref());
        let reader = RowReader::open(open()?, &headers).map_err(&in_file)?;
        for warning in ignored_columns(&reader, name.as_deref()) {
            run.report(&warning)?;
        }
        let mut rows = Rows::new(reader, &spec.mapping, hashes.is_some());
        loop {
            let row = run.summary.total + 1;
            if let Some(peeked) = rows.peek().map_err(&in_file)? {
                let location = RowLocation { row, line: peeked.line, file: name.clone() };
                if let Some(length) = run.check_text(&location, peeked.text, peeked.is_whole)? {
                    rows.advance(length).map_err(&in_file)?;
                    after_row(&run.summary)?;
                    continue;
                }
            }
            if !rows.next().map_err(&in_file)? {
                break;
            }
            let current = rows.row();
            let location = RowLocation { row, line: current.raw.line, file: name.clone() };
            let unparsed = matches!(current.content, Content::Text) && !current.raw.truncated;
            if unparsed && run.check_text(&location, &current.raw.bytes, true)?.is_some() {
                after_row(&run.summary)?;
                continue;
            }
            let row = rows.build().map_err(&in_file)?;
            match std::mem::take(&mut row.content) {
                Content::User(value) if row.raw.number == 1 && hashes::parse_entry(&value).is_some() => {
                    return Err(in_file(hashes_without_users()));
                }
                Content::User(mut value) => {
                    if let Some(hashes) = &mut hashes
                        && let Some(id) = value.get("user_id").and_then(serde_json::Value::as_str).map(str::to_owned)
                    {
                        let id = id.strip_prefix(check::ID_PREFIX).unwrap_or(&id);
                        hashes.join(id, &mut value, &mut row.raw.bytes)?;
                    }
                    run.check_value(&location, &value, &row.raw.bytes)?;
                }
                Content::Invalid(row_errors) => {
                    for row_error in row_errors {
                        run.report(&row_error.into_fault(&location))?;
                    }
                    run.count(false);
                }
                Content::Text => run.count(false),
            }
            after_row(&run.summary)?;
        }
        run.summary.inputs.push(InputFormat { file: name.clone(), ..rows.reader().format() });
    }
    let CheckRun { outputs, mut summary, .. } = run;
    if let Some(hashes) = hashes {
        summary.hashes = Some(JoinedHashes { read: hashes.count, joined: hashes.joined });
    }
    let written = outputs.finish()?;
    summary.chunks = written.len() as u64;
    Ok((summary, written))
}

/// State of a running check.
struct CheckRun<'f> {
    checker: Checker,
    outputs: Outputs,
    summary: CheckSummary,
    fault: &'f mut dyn FnMut(&RowFault) -> Result<()>,
    compact: Vec<u8>,
}

impl CheckRun<'_> {
    fn report(&mut self, fault: &RowFault) -> Result<()> {
        self.summary.warnings += u64::from(fault.severity == Severity::Warning);
        (self.fault)(fault)
    }

    fn count(&mut self, good: bool) {
        self.summary.total += 1;
        if good {
            self.summary.good += 1;
        } else {
            self.summary.failed += 1;
        }
    }

    /// Checks the row at the start of `text` with the fast check, and as a parsed value if that is not sufficient.
    /// Returns the length of the row; `None` if the text must go through the reader's parser first.
    fn check_text(&mut self, location: &RowLocation, text: &[u8], is_whole: bool) -> Result<Option<usize>> {
        match self.checker.check_text(location, text, is_whole)? {
            Some(FastChecked::Valid(row)) => {
                if let Some(warning) = &row.warning {
                    self.report(warning)?;
                }
                self.outputs.push(|output| row.write_compact(output), || row.identity(location))?;
                self.count(true);
                Ok(Some(row.text().len()))
            }
            Some(FastChecked::NeedsFullCheck(row)) => match row.build() {
                Some(value) => {
                    self.check_value(location, &value, &row.text_to_check())?;
                    Ok(Some(row.text.len()))
                }
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Runs the full check on a parsed row. `text` is the complete row; `value` may lack metadata that is known to be
    /// valid.
    fn check_value(&mut self, location: &RowLocation, value: &serde_json::Value, text: &[u8]) -> Result<()> {
        let id = value.get("user_id").and_then(serde_json::Value::as_str);
        let replaced = id.map(|id| self.checker.sent_id(id)).filter(|sent| Some(*sent) != id);
        // The compact form is never larger than the text.
        let mut size = text.len();
        if size > chunks::MAX_ROW_IN_CHUNK {
            chunks::compact(text, replaced, &mut self.compact)?;
            size = self.compact.len();
        }
        let faults = self.checker.check(location, value, size)?;
        for fault in &faults {
            self.report(fault)?;
        }
        let good = faults.iter().all(|fault| fault.severity == Severity::Warning);
        if good {
            if self.outputs.chunks.is_some() {
                chunks::compact(text, replaced, &mut self.compact)?;
            }
            let checker = &self.checker;
            let identity = || RowIdentity::new(location, value, |id| checker.sent_id(id).to_owned());
            self.outputs.push(|output| output.extend_from_slice(&self.compact), identity)?;
        }
        self.count(good);
        Ok(())
    }
}

/// Reads the exports of password hashes among several files and removes them from `inputs`. `None` if no file is
/// such an export.
fn join_hashes(
    inputs: &mut Vec<InputFile<'_>>,
    scratch: &Path,
    summary: &mut CheckSummary,
) -> Result<Option<PasswordHashes>> {
    let mut hashes = None;
    if inputs.len() < 2 {
        return Ok(None);
    }
    let mut users = Vec::with_capacity(inputs.len());
    for mut input in inputs.drain(..) {
        if input.reopenable && hashes::is_export((input.open)()?) {
            let hashes = match &mut hashes {
                Some(hashes) => hashes,
                None => hashes.insert(PasswordHashes::new(scratch)?),
            };
            let format = hashes.read((input.open)()?)?;
            summary.inputs.push(InputFormat { file: input.name, format: "password-hashes".to_owned(), ..format });
        } else {
            users.push(input);
        }
    }
    *inputs = users;
    if inputs.is_empty() { Err(hashes_without_users()) } else { Ok(hashes) }
}

fn hashes_without_users() -> Error {
    Error::new(Code::UsersFileFormat, "The file is Auth0's export of password hashes, which contains no users.")
        .with_hint("Upload it together with an export of the users: the hashes are joined to them by user_id.")
}

/// Returns a warning for each column that is not imported.
fn ignored_columns(reader: &RowReader, file: Option<&str>) -> Vec<RowFault> {
    let (columns, line) = reader.ignored_columns();
    let warning = |column: &read::IgnoredColumn| RowFault {
        line,
        row: 0,
        attribute: Some(column.attribute.to_owned()),
        code: "COLUMN_LEFT_OUT".to_owned(),
        message: format!("The column {:?} is left out: Auth0 sets {} itself.", column.header, column.attribute),
        hint: None,
        value: None,
        severity: Severity::Warning,
        file: file.map(str::to_owned),
    };
    columns.iter().map(warning).collect()
}

/// Returns whether a row is valid by the import schema that Auth0 documents (docs/auth0/import-schema.md). Used to
/// compare with a general JSON Schema validator; [`check()`] also applies rules that a schema cannot express.
pub fn fits_schema(row: &serde_json::Value) -> bool {
    let mut findings = Vec::new();
    schema::validate(row, &mut findings);
    findings.is_empty()
}

/// Bytes of each uploaded file that [`validate_upload`] reads.
const VALIDATED_BYTES: usize = 8 << 20;

/// Checks the uploaded files of a job before it starts. Fails if a file is empty, has an unknown format, or has a
/// header that does not fit the mapping. Reads small files completely, so that a malformed JSON array is refused at
/// once, and only the beginning of large ones.
pub async fn validate_upload(files: &Files, spec: &ImportSpec) -> Result<()> {
    let (files, spec) = (files.clone(), spec.clone());
    run_blocking(move || {
        let mut inputs = send::uploads(&files)?;
        if inputs.len() > 1 {
            inputs.retain_mut(|input| !(input.open)().is_ok_and(hashes::is_export));
        }
        for InputFile { name, mut open, .. } in inputs {
            let validate = |content| {
                let mut reader = RowReader::open(content, &spec.mapping.headers())?;
                let mut row = RawRow::default();
                let mut read = 0;
                while read < VALIDATED_BYTES && reader.next(&mut row)? {
                    read += row.bytes.len();
                    // The check reports errors of single rows later.
                    if reader.parse(&row)?.is_ok_and(|value| row.number == 1 && hashes::parse_entry(&value).is_some()) {
                        return Err(hashes_without_users());
                    }
                }
                Ok(())
            };
            validate(open()?).map_err(in_file(name.as_deref()))?;
        }
        Ok(())
    })
    .await
}
