//! Runs the check over all files of an import: reads and maps each row, checks it, and writes it to a chunk or reports
//! its errors.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::Checker;
use super::chunks::{ChunkWriter, IdentityFile, WrittenChunk};
use super::consequences::Consequences;
use super::encoding_notes::EncodingNotes;
use super::hashes::{self, JoinedHashes, PasswordHashes};
use super::input_file::{InputFile, InputFormat, in_file};
use super::read::{IgnoredColumn, RowReader};
use super::row::{Checked, Failed, Read, Row, Valid};
use super::row_fault::{RowFault, Severity};
use super::rows::Rows;
use super::source_choice::{SourceChoice, choice_of_users, is_hash_export, open_users};
use super::spec::ImportSpec;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;
use uie_records::SkippedLine;
use uie_store::Files;

/// Result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// Rows read, except those that are left out.
    pub total: u64,
    /// Rows without errors.
    pub good: u64,
    /// Rows with errors.
    pub failed: u64,
    /// Warnings about rows (valid or not) and files.
    pub warnings: u64,
    /// Rows that the query does not match.
    #[serde(default)]
    pub left_out: u64,
    /// Chunks written; 0 if the caller requested none.
    pub chunks: u64,
    /// Formats of the files.
    pub inputs: Vec<InputFormat>,
    /// Set when an export of password hashes was among the files.
    pub hashes: Option<JoinedHashes>,
    /// Numbers of these files, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hash_files: Vec<usize>,
}

impl CheckSummary {
    /// Returns the number of rows that were read.
    pub fn rows(&self) -> u64 {
        self.total + self.left_out
    }
}

/// Checks the rows of `input` without sending them: the dry run, and the first half of [`run`](crate::run). Writes
/// valid rows as chunk files (JSON arrays of at most [`MAX_CHUNK_BYTES`](crate::MAX_CHUNK_BYTES)) to the directory
/// `chunks` if given, and calls `fault` for every row error and warning. Blocking.
///
/// Fails if the file is empty, is not a list of users, contains a malformed JSON array, or has a CSV header that
/// cannot be mapped to attributes.
pub fn check(
    spec: &ImportSpec,
    input: Box<dyn io::Read + Send>,
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
        if summary.rows() % 64 == 1 { progress.check() } else { Ok(()) }
    })?;
    progress.set_total(summary.rows());
    Ok(summary)
}

/// Outputs for valid rows.
#[derive(Default)]
pub(super) struct Outputs {
    pub(super) chunks: Option<ChunkWriter>,
    pub(super) identities: Option<IdentityFile>,
}

impl Outputs {
    /// Writes a valid row.
    fn push(&mut self, row: &Row<Valid<'_>>) -> Result<()> {
        if let Some(identities) = &mut self.identities {
            identities.push(&row.identity())?;
        }
        match &mut self.chunks {
            Some(chunks) => chunks.push(row),
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
    let headers = spec.headers();
    let mut summary = CheckSummary::default();
    let mut hashes = join_hashes(spec.source(), &mut inputs, scratch, &mut summary)?;
    let choice = choice_of_users(spec.source(), hashes.is_some());
    let several = inputs.len() > 1 || hashes.is_some();
    let removal = spec.mapping().text_removal().unwrap_or_default();
    let checker = Checker::new(spec.request().keep_id_prefix, scratch).removing(removal);
    let consequences = Consequences::new(spec.request().upsert);
    let mut run = CheckRun { checker, outputs, consequences, summary, fault };
    for InputFile { name, mut open, reopenable } in inputs {
        let in_file = in_file(name.as_deref());
        let (reader, source) = open_users(open()?, &headers, choice).map_err(&in_file)?;
        if several && !reopenable && source.is_some_and(|source| source.name == hashes::SOURCE) {
            return Err(hashes::export_cannot_be_reopened());
        }
        for warning in ignored_columns(&reader, name.as_deref()) {
            run.report(&warning)?;
        }
        let watch = reader.watch();
        let mut rows = Rows::new(reader, spec.mapping(), hashes.is_some())
            .located(name.as_deref(), run.summary.rows())
            .of_source(source, spec.mapping());
        let mut notes = EncodingNotes::new(name.as_deref());
        loop {
            // Reading ahead may have detected the encoding.
            if let Some(row) = rows.peek().map_err(&in_file)?
                && !notes.wants_rows(watch.format())
                && let Some(length) = run.check_text(row)?
            {
                rows.advance(length).map_err(&in_file)?;
                after_row(&run.summary)?;
                continue;
            }
            if !rows.next().map_err(&in_file)? {
                break;
            }
            let format = watch.format();
            if notes.wants_rows(format)
                && let Some(warning) = notes.observe(rows.raw().line, &rows.raw().bytes, format)
            {
                run.report(&warning)?;
            }
            if let Some(row) = rows.text()
                && run.check_text(row)?.is_some()
            {
                after_row(&run.summary)?;
                continue;
            }
            rows.parse().map_err(&in_file)?;
            if rows.is_left_out() {
                run.summary.left_out += 1;
                after_row(&run.summary)?;
                continue;
            }
            if let Some(hashes) = &mut hashes {
                rows.join(hashes)?;
            }
            let has_hash = rows.has_hash();
            let checked = match rows.take() {
                Ok(row) => run.checker.check(row)?,
                Err(row) => Checked::Failed(row),
            };
            run.finish_row(&checked)?;
            if let (Some(hashes), Checked::Valid(row), false) = (&mut hashes, &checked, has_hash)
                && let Some(warning) = hashes.count_user_without_hash(&row.location)
            {
                run.report(&warning)?;
            }
            after_row(&run.summary)?;
        }
        for warning in notes.finish(watch.format()) {
            run.report(&warning)?;
        }
        for line in rows.take_skipped() {
            run.report(&skipped_line(&line, name.as_deref()))?;
        }
        let removed = run.checker.take_unknown_names();
        for warning in rows.take_warnings(removed) {
            run.report(&warning)?;
        }
        let source = source.map(|source| source.name.to_owned());
        run.summary.inputs.push(InputFormat { file: name.clone(), source, ..rows.reader().format() });
        for warning in rows.into_remarks().into_faults(name.as_deref()) {
            run.report(&warning)?;
        }
    }
    if let Some(hashes) = hashes {
        run.summary.hashes = Some(hashes.finish(&mut |warning| run.report(warning))?);
    }
    for warning in run.consequences.warnings() {
        run.report(&warning)?;
    }
    let CheckRun { outputs, mut summary, .. } = run;
    let written = outputs.finish()?;
    summary.chunks = written.len() as u64;
    Ok((summary, written))
}

/// State of a running check.
struct CheckRun<'f> {
    checker: Checker,
    outputs: Outputs,
    consequences: Consequences,
    summary: CheckSummary,
    fault: &'f mut dyn FnMut(&RowFault) -> Result<()>,
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

    /// Checks a row by its text, and writes or reports it. Returns the length of the row; `None` if the text must go
    /// through the reader's parser first.
    fn check_text(&mut self, row: Row<Read<'_>>) -> Result<Option<usize>> {
        let Some((length, checked)) = self.checker.check_text(row)? else { return Ok(None) };
        self.finish_row(&checked)?;
        Ok(Some(length))
    }

    /// Writes a valid row to the outputs, and reports the errors and warnings of a row.
    fn finish_row(&mut self, checked: &Checked<'_>) -> Result<()> {
        let (faults, good) = match checked {
            Checked::Valid(row) => (&row.state.warnings, true),
            Checked::Failed(Row { state: Failed(faults), .. }) => (faults, false),
        };
        for fault in faults {
            self.report(fault)?;
        }
        if let Checked::Valid(row) = checked {
            self.consequences.add(&row.location, || row.counted_attributes(), row.other_provider());
            self.outputs.push(row)?;
        }
        self.count(good);
        Ok(())
    }
}

/// Reads the exports of password hashes among several files and removes them from `inputs`. `None` if no file is
/// such an export, or all are: then they are imported as users.
fn join_hashes(
    choice: SourceChoice,
    inputs: &mut Vec<InputFile<'_>>,
    scratch: &Path,
    summary: &mut CheckSummary,
) -> Result<Option<PasswordHashes>> {
    let mut hashes = None;
    if inputs.len() < 2 {
        return Ok(None);
    }
    let is_export = inputs.iter_mut().map(|input| is_hash_export(choice, input)).collect::<Result<Vec<bool>>>()?;
    if !is_export.contains(&false) {
        return Ok(None);
    }
    let mut users = Vec::with_capacity(inputs.len());
    for (number, (mut input, is_export)) in inputs.drain(..).zip(is_export).enumerate() {
        if is_export {
            summary.hash_files.push(number);
            let hashes = match &mut hashes {
                Some(hashes) => hashes,
                None => hashes.insert(PasswordHashes::new(scratch)?),
            };
            let format = hashes.read((input.open)()?, input.name.as_deref())?;
            summary.inputs.push(InputFormat { file: input.name, format: hashes::FORMAT.to_owned(), ..format });
        } else {
            users.push(input);
        }
    }
    *inputs = users;
    Ok(hashes)
}

/// Returns the warning about a line that was skipped.
pub(super) fn skipped_line(line: &SkippedLine, file: Option<&str>) -> RowFault {
    RowFault::file_warning("LINE_SKIPPED", line.line, line.describe(), file)
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
