//! Gives failed rows back: with their reasons, or as a file that can be imported again (design,
//! section 5).

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

/// Format of the file with failed rows (design, section 5).
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

/// Writes the failed rows of the job with these files, in the order of rows: without a format
/// `[{user, errors: [{code, message}], line}]` with secrets hidden (contract, 4.7), with one a file of
/// rows that can be imported again. Blocking.
///
/// The files hold secrets as they came, since the file goes back to whoever sent it. Rows that
/// are no users can stand only in the form they came in, and rows too large to be held in none. Rows of
/// CSV go back into CSV as they were; a mapping is not applied.
pub fn write_report(files: &Files, format: Option<ReportFormat>, output: &mut dyn Write) -> Result<()> {
    match format {
        None => write_array(output, |element| for_each_failed_row(files, &mut |row| element(&row.report()))),
        Some(ReportFormat::Json) => {
            let mut buffer = Vec::new();
            let mut first = true;
            for_each_failed_row(files, &mut |row| {
                let Some(Row { bytes, value: Some(_), .. }) = row.row else { return Ok(()) };
                compact(bytes, None, &mut buffer)?;
                output.write_all(if first { b"[\n" } else { b",\n" })?;
                first = false;
                Ok(output.write_all(&buffer)?)
            })?;
            Ok(output.write_all(if first { b"[]\n" } else { b"\n]\n" })?)
        }
        Some(ReportFormat::Ndjson) => {
            let mut buffer = Vec::new();
            for_each_failed_row(files, &mut |row| {
                match row.row {
                    // An element of an array may stand on several lines.
                    Some(Row { bytes, value: Some(_), .. }) => compact(bytes, None, &mut buffer)?,
                    Some(Row { bytes, value: None, .. }) if !bytes.is_empty() => {
                        buffer.clear();
                        buffer.extend(bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
                    }
                    _ => return Ok(()),
                }
                buffer.push(b'\n');
                Ok(output.write_all(&buffer)?)
            })
        }
        Some(ReportFormat::Csv) => write_csv(files, output),
    }
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

/// Writes a JSON array whose elements `fill` hands over one by one.
fn write_array(
    output: &mut dyn Write,
    fill: impl FnOnce(&mut dyn FnMut(&Value) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let mut first = true;
    fill(&mut |element| {
        output.write_all(if first { b"[\n" } else { b",\n" })?;
        first = false;
        Ok(serde_json::to_writer(&mut *output, element).map_err(io::Error::from)?)
    })?;
    Ok(output.write_all(if first { b"[]\n" } else { b"\n]\n" })?)
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

/// Goes through the uploaded file once more and hands over every row that has an error.
fn for_each_failed_row(files: &Files, action: &mut dyn FnMut(FailedRow<'_>) -> Result<()>) -> Result<()> {
    let mut index = FaultIndex::read(files)?;
    let mut at = 0;
    let mut number = 0;
    if index.places.is_empty() {
        return Ok(());
    }
    for upload in user_files(files)? {
        let mut reader = open(upload)?;
        let mut raw = RawRow::default();
        while index.places.get(at).is_some_and(|place| place.row != 0) && reader.next(&mut raw)? {
            number += 1;
            let mut errors = Vec::new();
            while index.places.get(at).is_some_and(|place| place.row == number) {
                errors.extend(index.load(at)?);
                at += 1;
            }
            if !errors.is_empty() {
                let value = if raw.truncated { None } else { reader.parse(&raw)?.ok() };
                let row = (!raw.truncated).then_some(Row { bytes: &raw.bytes, value, source: &raw.source });
                action(FailedRow { row, errors })?;
            }
        }
    }
    while let Some(fault) = index.load(at)? {
        action(FailedRow { row: None, errors: vec![fault] })?;
        at += 1;
    }
    Ok(())
}

/// Rows of JSON take two passes: the columns are only known when every row was seen.
fn write_csv(files: &Files, output: &mut dyn Write) -> Result<()> {
    if faults::names(files)?.is_empty() {
        return Ok(());
    }
    if let Some(header) = common_header(files)? {
        let mut first = !header.is_empty();
        return for_each_failed_row(files, &mut |row| {
            let Some(Row { source, .. }) = row.row else { return Ok(()) };
            if std::mem::take(&mut first) {
                output.write_all(&header)?;
                output.write_all(b"\n")?;
            }
            output.write_all(source)?;
            Ok(output.write_all(b"\n")?)
        });
    }
    let mut columns = Vec::new();
    let mut known = HashSet::new();
    for_each_failed_row(files, &mut |row| {
        if let Some(Row { value: Some(value @ Value::Object(_)), .. }) = &row.row {
            flatten(value, "", &mut |path, _| {
                if !known.contains(path) {
                    known.insert(path.to_owned());
                    columns.push(path.to_owned());
                }
            });
        }
        Ok(())
    })?;
    if columns.is_empty() {
        return Ok(());
    }
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(&columns).map_err(csv_error)?;
    for_each_failed_row(files, &mut |row| {
        if let Some(Row { value: Some(value @ Value::Object(_)), .. }) = &row.row {
            let mut cells = std::collections::HashMap::new();
            flatten(value, "", &mut |path, value| {
                cells.insert(path.to_owned(), cell(path, value));
            });
            let record = columns.iter().map(|column| cells.get(column).map_or("", String::as_str));
            writer.write_record(record).map_err(csv_error)?;
        }
        Ok(())
    })?;
    Ok(writer.flush()?)
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
