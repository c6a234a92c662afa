//! Imports: detect -> parse -> map -> check -> chunk -> submit -> report (docs/decisions/0008-import-validation.md).
//!
//! The whole file is checked before anything is sent. What a job keeps lies in its directory:
//!
//! ```text
//! upload              the file as it was sent; a directory of files when there were several
//! chunks/000001.json  good rows, as they go to Auth0
//! rows/000001.ndjson  where each row of the chunk came from
//! identities.ndjson   the same of all good rows, where users are looked up and nothing is sent
//! survey.json         what the tenant was asked before anything was sent
//! backup.json         the users that an upsert changes, as they were
//! inputs.json         what was found out about the files
//! faults/             what is wrong: check.ndjson from the check, 000001.ndjson from Auth0 for that chunk
//! ```
//!
//! A file below `faults` is written as a whole and replaces its predecessor, so that a step that runs
//! again after a restart reports nothing twice. Where each chunk stands is in the store.

mod cells;
mod check;
mod chunks;
mod faults;
mod glance;
mod hashes;
mod index;
mod inspect;
mod mapping;
mod path;
mod propose;
mod read;
mod reasons;
mod redact;
mod report;
mod rows;
mod schema;
mod send;
mod survey;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::expression::{Pins, Tools};
use crate::progress::Progress;
use crate::store::Files;
use check::{Checker, Glanced, RowPlace};
pub use chunks::MAX_CHUNK_BYTES;
use chunks::{ChunkWriter, IdentityFile, RowIdentity, WrittenChunk};
pub use faults::faults;
use glance::{Glance, glance};
use hashes::PasswordHashes;
pub use inspect::{Checked, INSPECTED_BYTES, InspectedColumn, InspectedRow, Inspection, inspect};
pub use mapping::MapRule;
use mapping::Mapping;
use read::{RawRow, RowReader};
pub use reasons::{Details, Reason, Reasons, details, summary};
pub use report::{Report, ReportFormat, keep_failed_rows, original_format, write_report};
use rows::{Content, Rows};
pub use send::{Pace, outcome, run, run_at};
pub use survey::{Backup, LookUpBy, LookedUp, Survey, backup_file, survey};

/// Settings of one import, kept with its job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The connection's id; empty for a dry run without a tenant.
    pub connection_id: String,
    /// Update users that exist, matched by e-mail; metadata is replaced.
    #[serde(default)]
    pub upsert: bool,
    /// E-mail the tenant's owners after every chunk.
    #[serde(default)]
    pub send_completion_email: bool,
    /// Text echoed in Auth0's jobs.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Keep `auth0|` at the start of a user_id.
    #[serde(default)]
    pub keep_id_prefix: bool,
    /// Check only, send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Attributes computed from what a row holds.
    #[serde(default)]
    pub map: Vec<MapRule>,
    /// Leave out what Auth0 sets itself (`created_at`, `identities`, `last_login`, …), so that an export of
    /// whole users comes back in.
    #[serde(default)]
    pub drop_read_only: bool,
    /// With `dry_run`: ask the tenant which users exist, and say what would become of the rows.
    #[serde(default)]
    pub look_up: bool,
    /// With `upsert`: before anything is sent keep a back-up of the users that exist.
    #[serde(default)]
    pub backup: bool,
    /// Versions of transforms: the SHA-256 of the file, by name. Others are used as they are now.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub transforms: Pins,
}

/// Settings of an import whose mapping was checked whole: every name, every argument. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    request: Arc<ImportRequest>,
    mapping: Arc<Mapping>,
}

impl ImportSpec {
    /// Takes mappings that are paths only.
    pub fn new(request: &ImportRequest) -> Result<Self> {
        Self::made(request, None)
    }

    /// Takes calls of transforms and JavaScript too. Blocking: compiling an engine that was never used takes
    /// a second or two.
    pub fn with_tools(request: &ImportRequest, tools: &Tools) -> Result<Self> {
        Self::made(request, Some(tools))
    }

    fn made(request: &ImportRequest, tools: Option<&Tools>) -> Result<Self> {
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
        let tools = tools.map(|tools| tools.pinned(&request.transforms));
        let mapping = Mapping::of(request, tools.as_ref())?;
        Ok(Self { request: Arc::new(request.clone()), mapping: Arc::new(mapping) })
    }

    /// The settings.
    pub fn request(&self) -> &ImportRequest {
        &self.request
    }
}

/// Weight of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not imported.
    Error,
    /// The row is imported, perhaps not as meant.
    Warning,
}

/// What is wrong with a row: a line of `--report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowFault {
    /// Physical line where the row starts, from 1; 0 when Auth0 reported a user that is in no row.
    pub line: u64,
    /// Number of the row, from 1, counted through all files of the import; 0 as above, and for what
    /// concerns a file as a whole.
    pub row: u64,
    /// The attribute's path; none for the row as a whole.
    pub attribute: Option<String>,
    /// Stable code: Auth0's own where one fits (docs/auth0/import-schema.md#error-codes), or what Auth0 reported.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The value, secrets hidden.
    pub value: Option<serde_json::Value>,
    /// Error or warning.
    pub severity: Severity,
    /// Name of the file, only when the import has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What was found out about a file by its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InputFormat {
    /// Name of the file, only when the import has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `json`, `ndjson` or `csv`; `password-hashes` for Auth0's export of them.
    pub format: String,
    /// `UTF-8`, `UTF-16LE`, `UTF-16BE` or `windows-1252`.
    pub encoding: String,
    /// What stands between the cells of CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The file is compressed.
    pub gzip: bool,
}

/// What came of an export of password hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinedHashes {
    /// Hashes in the export.
    pub read: u64,
    /// Hashes that found their user.
    pub joined: u64,
}

/// What a check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// Rows read.
    pub total: u64,
    /// Rows without errors.
    pub good: u64,
    /// Rows with errors.
    pub failed: u64,
    /// Warnings, about good and bad rows, and about files.
    pub warnings: u64,
    /// Chunks the good rows fill; 0 when none were asked for.
    pub chunks: u64,
    /// What the files are.
    pub inputs: Vec<InputFormat>,
    /// Set when an export of password hashes was among the files.
    pub hashes: Option<JoinedHashes>,
}

/// Opens a file from its start.
pub type Opener<'a> = Box<dyn FnMut() -> Result<Box<dyn Read + Send>> + Send + 'a>;

/// A file of an import.
pub struct InputFile<'a> {
    /// Its name, told in faults; only when the import has several files.
    pub name: Option<String>,
    /// Its bytes.
    pub open: Opener<'a>,
    /// It can be opened twice, as standard input cannot. Only then it may be an export of password
    /// hashes.
    pub again: bool,
}

/// Checks the rows of `input`, without sending: the dry run, and the first half of [`run`]. Good rows
/// become chunk files (JSON arrays of at most [`MAX_CHUNK_BYTES`]) in `chunks` if given; every fault
/// goes to `fault`. Blocking.
///
/// Fails when the file is empty or is no list of users, when a JSON array is broken, and when the header
/// of a CSV file cannot be understood.
pub fn check(
    spec: &ImportSpec,
    input: Box<dyn Read + Send>,
    chunks: Option<&Path>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<CheckSummary> {
    let mut input = Some(input);
    let open = Box::new(move || input.take().ok_or_else(|| Error::new(Code::Internal, "An input was opened twice.")));
    check_files(spec, vec![InputFile { name: None, open, again: false }], chunks, None, fault, progress)
}

/// [`check()`] over several files that are one import, in their order. A file is opened when its turn comes. Auth0's
/// export of password hashes may be among them, wherever it stands: its hashes are joined to the users by their ids
/// (docs/auth0/jobs.md#password-hash-files). With `identities` what a [`survey()`] asks for is kept there.
pub fn check_files(
    spec: &ImportSpec,
    inputs: Vec<InputFile<'_>>,
    chunks: Option<&Path>,
    identities: Option<&Files>,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    progress: &Progress,
) -> Result<CheckSummary> {
    let outputs = Outputs {
        chunks: chunks.map(|directory| ChunkWriter::new(Files::plain(directory), None)).transpose()?,
        identities: identities.map(IdentityFile::create).transpose()?,
    };
    let (summary, _) = check_rows(spec, inputs, outputs, &std::env::temp_dir(), fault, &mut |summary| {
        progress.add_processed(1);
        // Asking costs more than the check of a row.
        if summary.total % 64 == 1 { progress.check() } else { Ok(()) }
    })?;
    progress.set_total(summary.total);
    Ok(summary)
}

/// What is written of good rows.
#[derive(Default)]
struct Outputs {
    chunks: Option<ChunkWriter>,
    identities: Option<IdentityFile>,
}

impl Outputs {
    /// Keeps a row, which `write` appends as it is sent.
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

/// Holds the rows of a file against the import schema alone: without what a schema cannot say, and without
/// looking for duplicates. `verdict` is told the number of each row, from 1, and whether it is accepted, which
/// it is exactly when a general validator accepts it by the documented schema. Rows that are no JSON are not.
pub fn schema_verdicts(input: Box<dyn Read + Send>, verdict: &mut dyn FnMut(u64, bool)) -> Result<()> {
    let mut reader = RowReader::open(input, &read::Headers::default())?;
    let mut row = RawRow::default();
    let mut number = 0;
    loop {
        if let Some(ahead) = reader.ahead()?
            && let Some((length, accepted)) = schema_verdict(ahead.text, ahead.whole)
        {
            number += 1;
            verdict(number, accepted);
            reader.pass(length)?;
            continue;
        }
        if !reader.next(&mut row)? {
            return Ok(());
        }
        number += 1;
        let glanced = if row.truncated { None } else { schema_verdict(&row.bytes, true) };
        let accepted = match glanced {
            Some((_, accepted)) => accepted,
            None => reader.parse(&row)?.is_ok_and(|value| fits_schema(&value)),
        };
        verdict(number, accepted);
    }
}

/// Whether the schema takes the row at the beginning of a text, and how long the row is; nothing where that has
/// to be parsed first.
fn schema_verdict(text: &[u8], whole: bool) -> Option<(usize, bool)> {
    match glance(text, whole, true)? {
        Glance::Clean(clean) => Some((clean.text.len(), true)),
        Glance::Doubtful(row) => Some((row.text.len(), fits_schema(&row.build()?))),
    }
}

/// An error with the name of the file it is about.
fn in_file(name: Option<&str>) -> impl Fn(Error) -> Error {
    move |error| match name {
        Some(name) => Error { message: format!("{name}: {}", error.message), ..error },
        None => error,
    }
}

/// The check itself; `after_row` is called after every row and may stop it. `scratch` takes what does
/// not fit into memory.
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
    let checker = Checker::new(spec.request.keep_id_prefix, scratch);
    let mut run = Run { checker, outputs, summary, fault, compact: Vec::new() };
    for InputFile { name, mut open, .. } in inputs {
        let in_file = in_file(name.as_deref());
        let reader = RowReader::open(open()?, &headers).map_err(&in_file)?;
        for warning in left_out(&reader, name.as_deref()) {
            run.report(&warning)?;
        }
        let mut rows = Rows::new(reader, &spec.mapping, hashes.is_some());
        loop {
            let row = run.summary.total + 1;
            if let Some(ahead) = rows.ahead().map_err(&in_file)? {
                let place = RowPlace { row, line: ahead.line, file: name.clone() };
                if let Some(length) = run.glance(&place, ahead.text, ahead.whole)? {
                    rows.pass(length).map_err(&in_file)?;
                    after_row(&run.summary)?;
                    continue;
                }
            }
            if !rows.next().map_err(&in_file)? {
                break;
            }
            let taken = rows.row();
            let place = RowPlace { row, line: taken.raw.line, file: name.clone() };
            let unparsed = matches!(taken.content, Content::Text) && !taken.raw.truncated;
            if unparsed && run.glance(&place, &taken.raw.bytes, true)?.is_some() {
                after_row(&run.summary)?;
                continue;
            }
            let row = rows.build().map_err(&in_file)?;
            match std::mem::take(&mut row.content) {
                Content::User(value) if row.raw.number == 1 && hashes::entry(&value).is_some() => {
                    return Err(in_file(lonely_hashes()));
                }
                Content::User(mut value) => {
                    if let Some(hashes) = &mut hashes
                        && let Some(id) = value.get("user_id").and_then(serde_json::Value::as_str).map(str::to_owned)
                    {
                        let id = id.strip_prefix(check::ID_PREFIX).unwrap_or(&id);
                        hashes.join(id, &mut value, &mut row.raw.bytes)?;
                    }
                    run.judge(&place, &value, &row.raw.bytes)?;
                }
                Content::Flawed(flaws) => {
                    for flaw in flaws {
                        run.report(&flaw.fault(&place))?;
                    }
                    run.count(false);
                }
                Content::Text => run.count(false),
            }
            after_row(&run.summary)?;
        }
        run.summary.inputs.push(InputFormat { file: name.clone(), ..rows.reader().format() });
    }
    let Run { outputs, mut summary, .. } = run;
    if let Some(hashes) = hashes {
        summary.hashes = Some(JoinedHashes { read: hashes.count, joined: hashes.joined });
    }
    let written = outputs.finish()?;
    summary.chunks = written.len() as u64;
    Ok((summary, written))
}

/// A check that is under way.
struct Run<'f> {
    checker: Checker,
    outputs: Outputs,
    summary: CheckSummary,
    fault: &'f mut dyn FnMut(&RowFault) -> Result<()>,
    compact: Vec<u8>,
}

impl Run<'_> {
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

    /// Checks the row at the beginning of a text by a glance, and where that leaves a doubt as a value; how
    /// long the row is. Nothing when it is not known whether there is a row.
    fn glance(&mut self, place: &RowPlace, text: &[u8], whole: bool) -> Result<Option<usize>> {
        match self.checker.glance(place, text, whole)? {
            Some(Glanced::Good(good)) => {
                if let Some(warning) = &good.warning {
                    self.report(warning)?;
                }
                self.outputs.push(|output| good.compact(output), || good.identity(place))?;
                self.count(true);
                Ok(Some(good.text().len()))
            }
            Some(Glanced::Doubtful(row)) => match row.build() {
                Some(value) => {
                    self.judge(place, &value, row.text.as_bytes())?;
                    Ok(Some(row.text.len()))
                }
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Checks a row as a value, whose text may hold more in metadata without fault.
    fn judge(&mut self, place: &RowPlace, value: &serde_json::Value, text: &[u8]) -> Result<()> {
        let id = value.get("user_id").and_then(serde_json::Value::as_str);
        let replaced = id.map(|id| self.checker.sent_id(id)).filter(|sent| Some(*sent) != id);
        // Compact it is no larger.
        let mut size = text.len();
        if size > chunks::MAX_ROW_IN_CHUNK {
            chunks::compact(text, replaced, &mut self.compact)?;
            size = self.compact.len();
        }
        let found = self.checker.check(place, value, size)?;
        for found in &found {
            self.report(found)?;
        }
        let good = found.iter().all(|found| found.severity == Severity::Warning);
        if good {
            if self.outputs.chunks.is_some() {
                chunks::compact(text, replaced, &mut self.compact)?;
            }
            let checker = &self.checker;
            let identity = || RowIdentity::new(place, value, |id| checker.sent_id(id).to_owned());
            self.outputs.push(|output| output.extend_from_slice(&self.compact), identity)?;
        }
        self.count(good);
        Ok(())
    }
}

/// Reads the exports of password hashes among several files, and takes them out of the list.
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
        if input.again && hashes::is_export((input.open)()?) {
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
    if inputs.is_empty() { Err(lonely_hashes()) } else { Ok(hashes) }
}

fn lonely_hashes() -> Error {
    Error::new(Code::UsersFileFormat, "The file is Auth0's export of password hashes, which holds no users.")
        .with_hint("Give it together with an export of the users: the hashes are joined to them by user_id.")
}

/// Warnings about columns that are not imported.
fn left_out(reader: &RowReader, file: Option<&str>) -> Vec<RowFault> {
    let (columns, line) = reader.left_out();
    let warning = |column: &read::LeftOutColumn| RowFault {
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

/// Whether the import schema that Auth0 documents takes a row (docs/auth0/import-schema.md), for whoever compares it
/// with a general validator. [`check()`] asks more: what a schema cannot say.
pub fn fits_schema(row: &serde_json::Value) -> bool {
    let mut findings = Vec::new();
    schema::validate(row, &mut findings);
    findings.is_empty()
}

/// How much of an upload [`probe`] reads, in bytes.
const PROBED_BYTES: usize = 8 << 20;

/// Looks into what was uploaded for a job before it starts: a mapping that cannot be, a file that is
/// empty or in no format that can be read? Small files are read whole, so that a broken JSON array is
/// refused at once; of large ones only the beginning is.
pub async fn probe(files: &Files, spec: &ImportSpec) -> Result<()> {
    let (files, spec) = (files.clone(), spec.clone());
    send::blocking(move || {
        let mut inputs = send::uploads(&files)?;
        if inputs.len() > 1 {
            inputs.retain_mut(|input| !(input.open)().is_ok_and(hashes::is_export));
        }
        for InputFile { name, mut open, .. } in inputs {
            let look = |content| {
                let mut reader = RowReader::open(content, &spec.mapping.headers())?;
                let mut row = RawRow::default();
                let mut read = 0;
                while read < PROBED_BYTES && reader.next(&mut row)? {
                    read += row.bytes.len();
                    // What is wrong with single rows is the check's matter.
                    if reader.parse(&row)?.is_ok_and(|value| row.number == 1 && hashes::entry(&value).is_some()) {
                        return Err(lonely_hashes());
                    }
                }
                Ok(())
            };
            look(open()?).map_err(in_file(name.as_deref()))?;
        }
        Ok(())
    })
    .await
}
