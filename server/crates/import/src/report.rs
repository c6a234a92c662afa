//! The report of failed rows: with their errors, or as a file that can be imported again.

use std::collections::HashSet;
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compact_row::compact;
use super::detected_inputs::{DetectedInputs, read_inputs};
use super::faults;
use super::hashes;
use super::input_file::{InputFile, InputFormat};
use super::io_error::with_path;
use super::read::{HeaderPolicy, RawRow, RowReader};
use super::redact;
use super::row::Row;
use super::row_fault::{RowFault, RowLocation, Severity};
use super::schema;
use super::source_choice::{SourceChoice, is_hash_export, open_users};
use super::upload::{UPLOAD, uploads};
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::message;
use uie_records::{Step, TextEncoding, guard, member, parse_path};
use uie_sources::Source;
use uie_store::{FileReader, Files};

/// Marks a text as UTF-8.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// Format of the file with failed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    /// One JSON array.
    Json,
    /// One row per line.
    Ndjson,
    /// With the header of the uploaded file; for rows of JSON with paths such as `app_metadata.plan`.
    Csv,
}

impl ReportFormat {
    /// Returns the file name extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Returns the format of the uploaded file of a job; NDJSON for several files of different formats.
pub fn original_format(files: &Files) -> Result<ReportFormat> {
    if common_header(files)?.is_some() {
        return Ok(ReportFormat::Csv);
    }
    let mut formats = Vec::new();
    for upload in user_files(files)? {
        formats.push(open(upload)?.format().format);
    }
    Ok(if formats == ["json"] { ReportFormat::Json } else { ReportFormat::Ndjson })
}

/// Writes the [`Report`] of the job in this directory, with English texts. Blocking.
pub fn write_report(files: &Files, format: Option<ReportFormat>, output: &mut dyn Write) -> Result<()> {
    let mut report = Report::open(files, format, Language::ENGLISH)?;
    let mut row = Vec::new();
    while report.write_next(&mut row)? {
        output.write_all(&row)?;
        row.clear();
    }
    Ok(())
}

/// Writes the failed rows of a job one by one, in the order of rows.
///
/// Without a format the report is `[{user, errors: [{code, message}], line}]` with secrets hidden. With a format it is
/// a file of rows that can be imported again; it contains secrets unchanged, since it returns to the user who uploaded
/// them. Rows that are not valid users are written in their original format only, rows that are too large never. CSV
/// rows are written to CSV unchanged; a mapping is not applied.
pub struct Report {
    layout: ReportLayout,
    rows: FailedRows,
    /// A byte order mark is to be written before the first row.
    wants_mark: bool,
    /// Whether a row was written.
    started: bool,
    ended: bool,
}

/// The layout of a report.
enum ReportLayout {
    /// A JSON array of rows with their errors in this language.
    Errors(Language),
    /// A JSON array of rows.
    Json,
    /// One row per line.
    Lines,
    /// CSV records under their original header.
    Records(Vec<u8>),
    /// Rows of JSON as CSV with these columns.
    Columns(Vec<String>),
}

impl Report {
    /// Opens the files of a job. Errors are written in `language`. For rows of JSON as CSV, reads all failed rows once
    /// to find the columns. Blocking.
    pub fn open(files: &Files, format: Option<ReportFormat>, language: Language) -> Result<Self> {
        let layout = match format {
            None => ReportLayout::Errors(language),
            Some(ReportFormat::Json) => ReportLayout::Json,
            Some(ReportFormat::Ndjson) => ReportLayout::Lines,
            Some(ReportFormat::Csv) if faults::file_names(files)?.is_empty() => ReportLayout::Columns(Vec::new()),
            Some(ReportFormat::Csv) => match common_header(files)? {
                Some(header) => ReportLayout::Records(header),
                None => ReportLayout::Columns(columns(files)?),
            },
        };
        let ended = matches!(&layout, ReportLayout::Columns(columns) if columns.is_empty());
        // The rows are UTF-8. The mark says so for a retry, which has the encoding that was given for the original
        // files.
        let is_other = |input: &InputFormat| input.encoding != "UTF-8" && !input.encoding_guessed;
        let wants_mark = format.is_some() && read_inputs(files).inputs.iter().any(is_other);
        Ok(Self { layout, rows: FailedRows::open(files)?, wants_mark, started: false, ended })
    }

    /// Appends the next row to `output`; `false` if no row is left and nothing was appended. Blocking.
    pub fn write_next(&mut self, output: &mut Vec<u8>) -> Result<bool> {
        let length = output.len();
        while !self.ended && output.len() == length {
            if let Some(row) = self.rows.next()? {
                self.started |= write_row(&self.layout, row, self.started, output)?;
            } else {
                self.ended = true;
                if matches!(self.layout, ReportLayout::Errors(_) | ReportLayout::Json) {
                    output.extend_from_slice(if self.started { b"\n]\n" } else { b"[]\n" });
                }
            }
        }
        if output.len() > length && std::mem::take(&mut self.wants_mark) {
            output.splice(length..length, BYTE_ORDER_MARK.bytes());
        }
        Ok(output.len() > length)
    }
}

/// Appends a row to `output`; `false` if the row cannot be written in this form.
fn write_row(layout: &ReportLayout, row: Row<Reported<'_>>, started: bool, output: &mut Vec<u8>) -> Result<bool> {
    let separator: &[u8] = if started { b",\n" } else { b"[\n" };
    if let ReportLayout::Errors(language) = layout {
        output.extend_from_slice(separator);
        serde_json::to_writer(output, &report(row, *language)).map_err(io::Error::from)?;
        return Ok(true);
    }
    match (layout, row.state.upload) {
        (ReportLayout::Json, Some(UploadedRow { bytes, value: Some(_), .. })) => {
            output.extend_from_slice(separator);
            compact(bytes, None, output)?;
        }
        (ReportLayout::Lines, Some(UploadedRow { bytes, value: Some(_), .. })) => {
            // An element of a JSON array may span several lines.
            compact(bytes, None, output)?;
            output.push(b'\n');
        }
        (ReportLayout::Lines, Some(UploadedRow { bytes, value: None, .. })) if !bytes.is_empty() => {
            output.extend(bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
            output.push(b'\n');
        }
        (ReportLayout::Records(header), Some(UploadedRow { source, .. })) => {
            if !started && !header.is_empty() {
                output.extend_from_slice(header);
                output.push(b'\n');
            }
            output.extend_from_slice(source);
            output.push(b'\n');
        }
        (ReportLayout::Columns(columns), Some(UploadedRow { value: Some(value @ Value::Object(_)), .. })) => {
            let mut cells = std::collections::HashMap::new();
            flatten(&value, "", &mut |path, value| {
                cells.insert(path.to_owned(), cell(path, value));
            });
            let mut writer = csv::Writer::from_writer(output);
            if !started {
                writer.write_record(columns).map_err(csv_error)?;
            }
            let record = columns.iter().map(|column| cells.get(column).map_or("", String::as_str));
            writer.write_record(record).map_err(csv_error)?;
            writer.flush()?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Writes the failed rows of the job `failed`, in their original format, as the upload of the job `files`, with the
/// exports of password hashes that were joined to them. Fails if no row failed. Blocking.
pub fn keep_failed_rows(failed: &Files, files: &Files) -> Result<()> {
    let format = original_format(failed)?;
    let hash_files = read_inputs(failed).hash_files.unwrap_or_default();
    let (files, name) = if hash_files.is_empty() {
        (files.clone(), UPLOAD.to_owned())
    } else {
        let several = files.subdirectory(UPLOAD);
        several.create_directory().map_err(|error| with_path(error, several.directory()))?;
        (several, format!("{:06}-failed.{}", 1, format.extension()))
    };
    let path = files.path(&name);
    let mut output = files.create(&name).map_err(|error| with_path(error, &path))?;
    write_report(failed, Some(format), &mut output)?;
    output.finish(true).map_err(|error| with_path(error, &path))?;
    if files.open(&name).and_then(|file| file.length()).map_err(|error| with_path(error, &path))?
        <= (BYTE_ORDER_MARK.len() + "[]\n".len()) as u64
    {
        return Err(Error::new(Code::JobState, message!("The import has no failed rows that can be imported again.")));
    }
    for (number, mut hashes) in uploads(failed)?.into_iter().enumerate().filter(|(at, _)| hash_files.contains(at)) {
        let name = format!("{:06}-{}", number + 2, hashes.name.as_deref().unwrap_or("hashes"));
        let path = files.path(&name);
        let mut copy = files.create(&name).map_err(|error| with_path(error, &path))?;
        io::copy(&mut (hashes.open)()?, &mut copy)?;
        copy.finish(true).map_err(|error| with_path(error, &path))?;
    }
    Ok(())
}

/// A row of the uploaded file.
struct UploadedRow<'a> {
    bytes: &'a [u8],
    /// `None` if the row is not valid JSON or not a valid CSV record.
    value: Option<Value>,
    /// The text of the CSV record.
    source: &'a [u8],
}

/// State of a row that was not imported, when it is read again.
struct Reported<'a> {
    /// `None` if Auth0 reported a user that matches no row, or if the row is too large.
    upload: Option<UploadedRow<'a>>,
    errors: Vec<RowFault>,
}

/// Returns the element of the report in a language, in the format of the original extension with line and row added.
fn report(row: Row<Reported<'_>>, language: Language) -> Value {
    let Row { location: RowLocation { row: number, line, file }, state: Reported { upload, errors } } = row;
    // Clients of the original extension read members of `user`, so it must be an object.
    let user = match upload {
        Some(UploadedRow { value: Some(value @ Value::Object(_)), .. }) => redact::redact_user(value),
        None if number == 0 => errors.first().and_then(|fault| fault.value.clone()).unwrap_or_else(|| json!({})),
        _ => json!({}),
    };
    let errors: Vec<Value> = errors
        .into_iter()
        .map(|fault| {
            let mut error = json!({ "code": fault.code, "message": fault.message.in_language(language) });
            if let Some(path) = fault.attribute {
                error["path"] = path.into();
            }
            if let Some(hint) = fault.hint {
                error["hint"] = hint.in_language(language).into();
            }
            error
        })
        .collect();
    let mut entry = json!({ "user": user, "errors": errors, "line": line, "row": number });
    if let Some(file) = file {
        entry["file"] = (&*file).into();
    }
    entry
}

/// Location of a row error on disk. Only locations are in memory: 24 MB for a million.
struct FaultLocation {
    row: u64,
    file: u32,
    offset: u64,
}

/// Errors of a job by row.
struct FaultIndex {
    locations: Vec<FaultLocation>,
    files: Vec<(PathBuf, FileReader)>,
}

impl FaultIndex {
    fn build(files: &Files) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            row: u64,
            severity: Severity,
        }
        let mut index = Self { locations: Vec::new(), files: Vec::new() };
        let names = faults::file_names(files)?;
        let files = files.subdirectory(faults::DIRECTORY);
        for name in names {
            let path = files.path(&name);
            let mut reader = files.open(&name).map_err(|error| with_path(error, &path))?;
            let mut offset = 0;
            let mut line = String::new();
            loop {
                line.clear();
                let length = reader.read_line(&mut line).map_err(|error| with_path(error, &path))?;
                if length == 0 {
                    break;
                }
                let head: Head = serde_json::from_str(&line).map_err(|error| with_path(error.into(), &path))?;
                if head.severity == Severity::Error {
                    index.locations.push(FaultLocation { row: head.row, file: index.files.len() as u32, offset });
                }
                offset += length as u64;
            }
            index.files.push((path, reader));
        }
        // Errors without a row come last; the sort is stable, so errors of one row keep their order.
        index.locations.sort_by_key(|location| if location.row == 0 { u64::MAX } else { location.row });
        Ok(index)
    }

    fn load(&mut self, at: usize) -> Result<Option<RowFault>> {
        let Some(location) = self.locations.get(at) else { return Ok(None) };
        let Some((path, reader)) = self.files.get_mut(location.file as usize) else { return Ok(None) };
        let mut line = String::new();
        reader
            .seek(SeekFrom::Start(location.offset))
            .and_then(|_| reader.read_line(&mut line))
            .map_err(|error| with_path(error, path))?;
        faults::parse(&line, path).map(Some)
    }
}

/// An uploaded file of users.
struct UserFile {
    file: InputFile<'static>,
    /// The source as which the check has read it.
    source: Option<&'static Source>,
    /// The encoding in which the check has read it.
    encoding: Option<TextEncoding>,
}

/// Returns the uploaded files except exports of password hashes.
fn user_files(files: &Files) -> Result<Vec<UserFile>> {
    let mut uploads = uploads(files)?;
    let DetectedInputs { inputs, hash_files, .. } = read_inputs(files);
    let is_export: Vec<bool> = match hash_files {
        Some(numbers) => (0..uploads.len()).map(|number| numbers.contains(&number)).collect(),
        // The check was made by an earlier version.
        None if uploads.len() > 1 => {
            uploads.iter_mut().map(|file| is_hash_export(SourceChoice::Detect, file).unwrap_or(false)).collect()
        }
        None => vec![false],
    };
    let mut inputs = inputs.into_iter().filter(|input| input.format != hashes::FORMAT);
    let users = uploads.into_iter().zip(is_export).filter(|(_, is_export)| !is_export);
    let user_file = |file: InputFile<'static>| {
        let input = inputs.next().unwrap_or_default();
        let encoding = TextEncoding::parse(&input.encoding, Code::Internal).ok();
        UserFile { file, source: input.source.and_then(|name| uie_sources::find(&name)), encoding }
    };
    Ok(users.map(|(file, _)| file).map(user_file).collect())
}

/// Opens a file of the job as it was checked.
fn open(UserFile { mut file, source, encoding }: UserFile) -> Result<RowReader> {
    let headers = HeaderPolicy { accept_any: true, encoding, ..HeaderPolicy::default() };
    let choice = source.map_or(SourceChoice::Off, SourceChoice::Of);
    Ok(open_users((file.open)()?, &headers, choice)?.0)
}

/// Returns the common header of all files; empty for lists of addresses without a header. `None` if a file is not CSV
/// or has another header or delimiter.
fn common_header(files: &Files) -> Result<Option<Vec<u8>>> {
    let mut common: Option<(Vec<u8>, Option<String>)> = None;
    for file in user_files(files)? {
        let reader = open(file)?;
        let Some(header) = reader.header() else { return Ok(None) };
        let found = (header.to_vec(), reader.format().delimiter);
        if common.as_ref().is_some_and(|common| *common != found) {
            return Ok(None);
        }
        common = Some(found);
    }
    Ok(common.map(|(header, _)| header))
}

/// Reads the uploaded files again and returns the rows with errors.
struct FailedRows {
    index: FaultIndex,
    /// Position in the index.
    at: usize,
    /// Number of the row that was read last.
    number: u64,
    /// Files that are not yet open.
    uploads: std::vec::IntoIter<UserFile>,
    reader: Option<RowReader>,
    raw: RawRow,
}

impl FailedRows {
    fn open(files: &Files) -> Result<Self> {
        let index = FaultIndex::build(files)?;
        // Without errors the uploaded files are not needed; they may have been deleted.
        let uploads = if index.locations.is_empty() { Vec::new() } else { user_files(files)? };
        Ok(Self { index, at: 0, number: 0, uploads: uploads.into_iter(), reader: None, raw: RawRow::default() })
    }

    /// Returns the next row with its errors; after all rows, each error without a row.
    fn next(&mut self) -> Result<Option<Row<Reported<'_>>>> {
        while self.index.locations.get(self.at).is_some_and(|location| location.row != 0) {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => match self.uploads.next() {
                    Some(upload) => self.reader.insert(open(upload)?),
                    None => break,
                },
            };
            if !reader.next(&mut self.raw)? {
                self.reader = None;
                continue;
            }
            self.number += 1;
            let mut errors = Vec::new();
            while self.index.locations.get(self.at).is_some_and(|location| location.row == self.number) {
                errors.extend(self.index.load(self.at)?);
                self.at += 1;
            }
            if let Some(location) = errors.first().map(RowLocation::of) {
                let value = if self.raw.truncated { None } else { reader.parse(&self.raw)?.ok() };
                let raw = &self.raw;
                let upload = (!raw.truncated).then_some(UploadedRow { bytes: &raw.bytes, value, source: &raw.source });
                return Ok(Some(Row { location, state: Reported { upload, errors } }));
            }
        }
        let fault = self.index.load(self.at)?;
        self.at += 1;
        Ok(fault.map(|fault| Row {
            location: RowLocation::of(&fault),
            state: Reported { upload: None, errors: vec![fault] },
        }))
    }
}

/// Returns the columns of all failed rows of JSON, in the order of their first occurrence.
fn columns(files: &Files) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    let mut known = HashSet::new();
    let mut rows = FailedRows::open(files)?;
    while let Some(row) = rows.next()? {
        if let Some(UploadedRow { value: Some(value @ Value::Object(_)), .. }) = &row.state.upload {
            flatten(value, "", &mut |path, _| {
                if !known.contains(path) {
                    known.insert(path.to_owned());
                    columns.push(path.to_owned());
                }
            });
        }
    }
    Ok(columns)
}

/// Calls `action` with path and value of every value that is not an object, and of empty objects.
fn flatten(value: &Value, path: &str, action: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(members) if path.is_empty() || !members.is_empty() => {
            for (name, value) in members {
                flatten(value, &member(path, name), action);
            }
        }
        value => action(path, value),
    }
}

/// Returns a value as a CSV cell that an import reads as the same value: null is empty, strings have an apostrophe
/// guard if necessary, arrays and objects are compact JSON.
fn cell(path: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let steps: Option<Vec<Step>> = parse_path(path);
            guard(text, steps.and_then(|steps| schema::target(&steps)))
        }
        other => other.to_string(),
    }
}

fn csv_error(error: csv::Error) -> Error {
    io::Error::from(error).into()
}
