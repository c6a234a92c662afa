//! Gives failed rows back: with their reasons, or as a file that can be imported again.

use std::collections::HashSet;
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chunks::{compact, named};
use super::faults;
use super::path::{Step, steps};
use super::read::{Headers, RawRow, RowReader};
use super::schema::{self, member};
use super::send::{UPLOAD, uploads};
use super::{InputFile, RowFault, Severity, cells, hashes, redact};
use crate::error::{Code, Error, Result};
use crate::store::{FileReader, Files};

/// Format of the file with failed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    /// One JSON array.
    Json,
    /// One row a line.
    Ndjson,
    /// With the header the rows came under, or else dotted ones, `app_metadata.plan`.
    Csv,
}

impl ReportFormat {
    /// Extension of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    /// Media type of the file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// The form in which the rows of a job came: that of its file. Several files that differ are best put
/// together as NDJSON.
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

/// Writes the failed rows of the job with these files, as [`Report`] gives them. Blocking.
pub fn write_report(files: &Files, format: Option<ReportFormat>, output: &mut dyn Write) -> Result<()> {
    let mut report = Report::open(files, format)?;
    let mut row = Vec::new();
    while report.write_next(&mut row)? {
        output.write_all(&row)?;
        row.clear();
    }
    Ok(())
}

/// Gives the failed rows of a job one by one, in the order of rows.
///
/// Without a format they are `[{user, errors: [{code, message}], line}]` with secrets hidden; with one they are a
/// file of rows that can be imported again. That file holds secrets as they came, since it goes back to whoever sent
/// it. Rows that are no users can stand only in the form they came in, and rows too large to be held in none. Rows of
/// CSV go back into CSV as they were; a mapping is not applied.
pub struct Report {
    form: Form,
    rows: FailedRows,
    /// Something was written.
    started: bool,
    ended: bool,
    /// Scratch space.
    buffer: Vec<u8>,
}

/// How a report is written.
enum Form {
    /// A JSON array of rows with their errors.
    Errors,
    /// A JSON array of rows.
    Json,
    /// One row a line.
    Lines,
    /// Records of CSV under the header they came with.
    Records(Vec<u8>),
    /// Rows of JSON under these columns.
    Columns(Vec<String>),
}

impl Report {
    /// Opens the files of a job. For rows of JSON as CSV, all failed rows are read once to find the columns. Blocking.
    pub fn open(files: &Files, format: Option<ReportFormat>) -> Result<Self> {
        let form = match format {
            None => Form::Errors,
            Some(ReportFormat::Json) => Form::Json,
            Some(ReportFormat::Ndjson) => Form::Lines,
            Some(ReportFormat::Csv) if faults::names(files)?.is_empty() => Form::Columns(Vec::new()),
            Some(ReportFormat::Csv) => match common_header(files)? {
                Some(header) => Form::Records(header),
                None => Form::Columns(columns(files)?),
            },
        };
        let ended = matches!(&form, Form::Columns(columns) if columns.is_empty());
        Ok(Self { form, rows: FailedRows::open(files)?, started: false, ended, buffer: Vec::new() })
    }

    /// Adds the next row to `output`; `false` when there was none and nothing was added. Blocking.
    pub fn write_next(&mut self, output: &mut Vec<u8>) -> Result<bool> {
        let length = output.len();
        while !self.ended && output.len() == length {
            if let Some(row) = self.rows.next()? {
                self.started |= write_row(&self.form, row, self.started, &mut self.buffer, output)?;
            } else {
                self.ended = true;
                if matches!(self.form, Form::Errors | Form::Json) {
                    output.extend_from_slice(if self.started { b"\n]\n" } else { b"[]\n" });
                }
            }
        }
        Ok(output.len() > length)
    }
}

/// Adds a row to `output` where it can stand in this form; `false` where it cannot.
fn write_row(
    form: &Form,
    row: FailedRow<'_>,
    started: bool,
    buffer: &mut Vec<u8>,
    output: &mut Vec<u8>,
) -> Result<bool> {
    let separator: &[u8] = if started { b",\n" } else { b"[\n" };
    match (form, row.row) {
        (Form::Errors, found) => {
            output.extend_from_slice(separator);
            let row = FailedRow { row: found, errors: row.errors };
            serde_json::to_writer(output, &row.report()).map_err(io::Error::from)?;
        }
        (Form::Json, Some(Row { bytes, value: Some(_), .. })) => {
            compact(bytes, None, buffer)?;
            output.extend_from_slice(separator);
            output.extend_from_slice(buffer);
        }
        (Form::Lines, Some(Row { bytes, value: Some(_), .. })) => {
            // An element of an array may stand on several lines.
            compact(bytes, None, buffer)?;
            output.extend_from_slice(buffer);
            output.push(b'\n');
        }
        (Form::Lines, Some(Row { bytes, value: None, .. })) if !bytes.is_empty() => {
            output.extend(bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
            output.push(b'\n');
        }
        (Form::Records(header), Some(Row { source, .. })) => {
            if !started && !header.is_empty() {
                output.extend_from_slice(header);
                output.push(b'\n');
            }
            output.extend_from_slice(source);
            output.push(b'\n');
        }
        (Form::Columns(columns), Some(Row { value: Some(value @ Value::Object(_)), .. })) => {
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

/// Makes the failed rows of one job, in the form they came in, the upload of another. Blocking.
pub fn keep_failed_rows(failed: &Files, files: &Files) -> Result<()> {
    let format = original_format(failed)?;
    let path = files.path(UPLOAD);
    let mut output = files.create(UPLOAD).map_err(|error| named(error, &path))?;
    write_report(failed, Some(format), &mut output)?;
    output.finish(true).map_err(|error| named(error, &path))?;
    if files.open(UPLOAD).and_then(|file| file.length()).map_err(|error| named(error, &path))? <= "[]\n".len() as u64 {
        return Err(Error::new(Code::JobState, "No row of this import failed that could be imported again."));
    }
    Ok(())
}

/// A row as it stands in the file.
struct Row<'a> {
    bytes: &'a [u8],
    /// None when the row is no valid JSON, or no record of CSV.
    value: Option<Value>,
    /// The record of CSV.
    source: &'a [u8],
}

/// A row that was not imported.
struct FailedRow<'a> {
    /// None when Auth0 reported a user that is in no row, or the row was too large to be held.
    row: Option<Row<'a>>,
    errors: Vec<RowFault>,
}

impl FailedRow<'_> {
    /// The element of the original's report, with line and row added.
    fn report(self) -> Value {
        let first = self.errors.first();
        let (line, row) = first.map_or((0, 0), |fault| (fault.line, fault.row));
        let file = first.and_then(|fault| fault.file.clone());
        // The original's client reads members of `user`, so it must be an object.
        let user = match self.row {
            Some(Row { value: Some(value @ Value::Object(_)), .. }) => redact::user(value),
            None if row == 0 => first.and_then(|fault| fault.value.clone()).unwrap_or_else(|| json!({})),
            _ => json!({}),
        };
        let errors: Vec<Value> = self
            .errors
            .into_iter()
            .map(|fault| {
                let mut error = json!({ "code": fault.code, "message": fault.message });
                if let Some(path) = fault.attribute {
                    error["path"] = path.into();
                }
                if let Some(hint) = fault.hint {
                    error["hint"] = hint.into();
                }
                error
            })
            .collect();
        let mut entry = json!({ "user": user, "errors": errors, "line": line, "row": row });
        if let Some(file) = file {
            entry["file"] = file.into();
        }
        entry
    }
}

/// Where a fault lies on disk. A million of them take 24 MB; the faults themselves are not held.
struct FaultPlace {
    row: u64,
    file: u32,
    offset: u64,
}

/// Errors of a job by row.
struct FaultIndex {
    places: Vec<FaultPlace>,
    files: Vec<(PathBuf, FileReader)>,
}

impl FaultIndex {
    fn read(files: &Files) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            row: u64,
            severity: Severity,
        }
        let mut index = Self { places: Vec::new(), files: Vec::new() };
        let names = faults::names(files)?;
        let files = files.below(faults::DIRECTORY);
        for name in names {
            let path = files.path(&name);
            let mut reader = files.open(&name).map_err(|error| named(error, &path))?;
            let mut offset = 0;
            let mut line = String::new();
            loop {
                line.clear();
                let length = reader.read_line(&mut line).map_err(|error| named(error, &path))?;
                if length == 0 {
                    break;
                }
                let head: Head = serde_json::from_str(&line).map_err(|error| named(error.into(), &path))?;
                if head.severity == Severity::Error {
                    index.places.push(FaultPlace { row: head.row, file: index.files.len() as u32, offset });
                }
                offset += length as u64;
            }
            index.files.push((path, reader));
        }
        // Faults of no row come last; within a row the order stays as found.
        index.places.sort_by_key(|place| if place.row == 0 { u64::MAX } else { place.row });
        Ok(index)
    }

    fn load(&mut self, at: usize) -> Result<Option<RowFault>> {
        let Some(place) = self.places.get(at) else { return Ok(None) };
        let Some((path, reader)) = self.files.get_mut(place.file as usize) else { return Ok(None) };
        let mut line = String::new();
        reader
            .seek(SeekFrom::Start(place.offset))
            .and_then(|_| reader.read_line(&mut line))
            .map_err(|error| named(error, path))?;
        faults::parse(&line, path).map(Some)
    }
}

/// The uploaded files that hold users.
fn user_files(files: &Files) -> Result<Vec<InputFile<'static>>> {
    let mut uploads = uploads(files)?;
    if uploads.len() > 1 {
        uploads.retain_mut(|file| !(file.open)().is_ok_and(hashes::is_export));
    }
    Ok(uploads)
}

fn open(mut file: InputFile<'_>) -> Result<RowReader> {
    RowReader::open((file.open)()?, &Headers { any: true, ..Headers::default() })
}

/// The header that all files share, if all are CSV; empty for lists of addresses without one.
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

/// Reads the uploaded files once more and gives the rows that have an error.
struct FailedRows {
    index: FaultIndex,
    /// The next entry of the index.
    at: usize,
    /// The number of the row that was read last.
    number: u64,
    /// Files that were not opened yet.
    uploads: std::vec::IntoIter<InputFile<'static>>,
    reader: Option<RowReader>,
    raw: RawRow,
}

impl FailedRows {
    fn open(files: &Files) -> Result<Self> {
        let index = FaultIndex::read(files)?;
        // Without faults no file has to be there.
        let uploads = if index.places.is_empty() { Vec::new() } else { user_files(files)? };
        Ok(Self { index, at: 0, number: 0, uploads: uploads.into_iter(), reader: None, raw: RawRow::default() })
    }

    /// The next row with its errors. Errors of no row come last, each for itself.
    fn next(&mut self) -> Result<Option<FailedRow<'_>>> {
        while self.index.places.get(self.at).is_some_and(|place| place.row != 0) {
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
            while self.index.places.get(self.at).is_some_and(|place| place.row == self.number) {
                errors.extend(self.index.load(self.at)?);
                self.at += 1;
            }
            if !errors.is_empty() {
                let value = if self.raw.truncated { None } else { reader.parse(&self.raw)?.ok() };
                let raw = &self.raw;
                let row = (!raw.truncated).then_some(Row { bytes: &raw.bytes, value, source: &raw.source });
                return Ok(Some(FailedRow { row, errors }));
            }
        }
        let fault = self.index.load(self.at)?;
        self.at += 1;
        Ok(fault.map(|fault| FailedRow { row: None, errors: vec![fault] }))
    }
}

/// The columns of all failed rows of JSON, in the order in which they appear.
fn columns(files: &Files) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    let mut known = HashSet::new();
    let mut rows = FailedRows::open(files)?;
    while let Some(row) = rows.next()? {
        if let Some(Row { value: Some(value @ Value::Object(_)), .. }) = &row.row {
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

/// Hands over every value that is no object, with its dotted path; empty objects count as values.
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

/// A cell as the import reads it: nothing for null, strings guarded where they would come back as
/// something else, arrays and objects as compact JSON.
fn cell(path: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let steps: Option<Vec<Step>> = steps(path);
            cells::guarded(text, steps.and_then(|steps| schema::target(&steps)))
        }
        other => other.to_string(),
    }
}

fn csv_error(error: csv::Error) -> Error {
    io::Error::from(error).into()
}
