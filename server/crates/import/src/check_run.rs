//! Runs the check over all files of an import: reads and maps each row, checks it, and writes it to a chunk or reports
//! its errors.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::{Checker, FastChecked};
use super::chunks::{ChunkWriter, IdentityFile, WrittenChunk};
use super::compact_row::{MAX_ROW_IN_CHUNK, compact};
use super::hashes::{self, JoinedHashes, PasswordHashes, hashes_without_users};
use super::input_file::{InputFile, InputFormat, in_file};
use super::read::{IgnoredColumn, RowReader};
use super::row_content::Content;
use super::row_fault::{RowFault, RowLocation, Severity};
use super::row_identity::{ID_PREFIX, RowIdentity};
use super::rows::Rows;
use super::spec::ImportSpec;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;
use uie_store::Files;

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

/// Checks the rows of `input` without sending them: the dry run, and the first half of [`run`](crate::run). Writes
/// valid rows as chunk files (JSON arrays of at most [`MAX_CHUNK_BYTES`](crate::MAX_CHUNK_BYTES)) to the directory
/// `chunks` if given, and calls `fault` for every row error and warning. Blocking.
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
        input
            .take()
            .ok_or_else(|| Error::new(Code::Internal, message!("An input that can be opened once was opened twice.")))
    });
    check_files(spec, vec![InputFile { name: None, open, reopenable: false }], chunks, None, fault, progress)
}

/// Like [`check()`], for several files that form one import, in order. Each file is opened when the previous one is
/// finished. One of them, at any position, may be Auth0's export of password hashes: its hashes are joined to the
/// users by id (docs/auth0/jobs.md#password-hash-files). With `identities`, writes the identities of valid rows there
/// for [`find_existing_users`](crate::find_existing_users).
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
pub(super) struct Outputs {
    pub(super) chunks: Option<ChunkWriter>,
    pub(super) identities: Option<IdentityFile>,
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

/// Checks all rows; calls `after_row` after every row, which may stop the check by an error. `scratch` is the
/// directory for data that does not fit into memory.
pub(super) fn check_rows(
    spec: &ImportSpec,
    mut inputs: Vec<InputFile<'_>>,
    outputs: Outputs,
    scratch: &Path,
    fault: &mut dyn FnMut(&RowFault) -> Result<()>,
    after_row: &mut dyn FnMut(&CheckSummary) -> Result<()>,
) -> Result<(CheckSummary, Vec<WrittenChunk>)> {
    let headers = spec.mapping().headers();
    let mut summary = CheckSummary::default();
    let mut hashes = join_hashes(&mut inputs, scratch, &mut summary)?;
    let dropped = spec.mapping().dropped_by_text().unwrap_or_default();
    let checker = Checker::new(spec.request().keep_id_prefix, scratch).dropping(dropped);
    let mut run = CheckRun { checker, outputs, summary, fault, compact: Vec::new() };
    for InputFile { name, mut open, .. } in inputs {
        let in_file = in_file(name.as_deref());
        let reader = RowReader::open(open()?, &headers).map_err(&in_file)?;
        for warning in ignored_columns(&reader, name.as_deref()) {
            run.report(&warning)?;
        }
        let mut rows = Rows::new(reader, spec.mapping(), hashes.is_some());
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
                        let id = id.strip_prefix(ID_PREFIX).unwrap_or(&id);
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
        if size > MAX_ROW_IN_CHUNK {
            compact(text, replaced, &mut self.compact)?;
            size = self.compact.len();
        }
        let faults = self.checker.check(location, value, size)?;
        for fault in &faults {
            self.report(fault)?;
        }
        let good = faults.iter().all(|fault| fault.severity == Severity::Warning);
        if good {
            if self.outputs.chunks.is_some() {
                compact(text, replaced, &mut self.compact)?;
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

/// Returns a warning for each column that is not imported.
pub(super) fn ignored_columns(reader: &RowReader, file: Option<&str>) -> Vec<RowFault> {
    let (columns, line) = reader.ignored_columns();
    let warning = |column: &IgnoredColumn| RowFault {
        line,
        row: 0,
        attribute: Some(column.attribute.to_owned()),
        code: "COLUMN_LEFT_OUT".to_owned(),
        message: message!(
            "The column {column:?} is left out: Auth0 sets {attribute} itself.",
            column = column.header,
            attribute = column.attribute
        ),
        hint: None,
        value: None,
        severity: Severity::Warning,
        file: file.map(str::to_owned),
    };
    columns.iter().map(warning).collect()
}
