//! Gives failed rows back: with their reasons, or as a file that can be imported again (design,
//! section 5).

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chunks::{compact, named};
use super::faults;
use super::read::{RawRow, RowReader};
use super::schema::member;
use super::send::uploads;
use super::{InputFile, RowFault, Severity, redact};
use crate::error::Result;

/// Format of the file with failed rows (design, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    /// One JSON array.
    Json,
    /// One row a line.
    Ndjson,
    /// Dotted headers, `app_metadata.plan`.
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

/// Writes the failed rows of the job in `directory`, in the order of rows: without a format
/// `[{user, errors: [{code, message}], line}]` with secrets hidden (contract, 4.7), with one a file of
/// rows that can be imported again. Blocking.
///
/// The files hold secrets as they came, since the file goes back to whoever sent it. Rows that
/// are not valid JSON can stand in NDJSON only, and rows too large to be held in none.
pub fn write_report(directory: &Path, format: Option<ReportFormat>, output: &mut dyn Write) -> Result<()> {
    match format {
        None => write_array(output, |element| for_each_failed_row(directory, &mut |row| element(&row.report()))),
        Some(ReportFormat::Json) => {
            let mut buffer = Vec::new();
            let mut first = true;
            for_each_failed_row(directory, &mut |row| {
                let Some(Row { bytes, value: Some(_) }) = row.row else { return Ok(()) };
                compact(bytes, None, &mut buffer)?;
                output.write_all(if first { b"[\n" } else { b",\n" })?;
                first = false;
                Ok(output.write_all(&buffer)?)
            })?;
            Ok(output.write_all(if first { b"[]\n" } else { b"\n]\n" })?)
        }
        Some(ReportFormat::Ndjson) => {
            let mut buffer = Vec::new();
            for_each_failed_row(directory, &mut |row| {
                match row.row {
                    // An element of an array may stand on several lines.
                    Some(Row { bytes, value: Some(_) }) => compact(bytes, None, &mut buffer)?,
                    Some(Row { bytes, value: None }) => {
                        buffer.clear();
                        buffer.extend(bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
                    }
                    None => return Ok(()),
                }
                buffer.push(b'\n');
                Ok(output.write_all(&buffer)?)
            })
        }
        Some(ReportFormat::Csv) => write_csv(directory, output),
    }
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
    /// None when the row is not valid JSON.
    value: Option<Value>,
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
    files: Vec<(PathBuf, BufReader<File>)>,
}

impl FaultIndex {
    fn read(directory: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            row: u64,
            severity: Severity,
        }
        let mut index = Self { places: Vec::new(), files: Vec::new() };
        for path in faults::files(directory)? {
            let file = File::open(&path).map_err(|error| named(error, &path))?;
            let mut reader = BufReader::new(file);
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

/// Goes through the uploaded file once more and hands over every row that has an error.
fn for_each_failed_row(directory: &Path, action: &mut dyn FnMut(FailedRow<'_>) -> Result<()>) -> Result<()> {
    let mut index = FaultIndex::read(directory)?;
    let mut at = 0;
    let mut number = 0;
    if index.places.is_empty() {
        return Ok(());
    }
    for upload in uploads(directory)? {
        let InputFile { content, .. } = upload?;
        let mut reader = RowReader::open(content)?;
        let mut raw = RawRow::default();
        while index.places.get(at).is_some_and(|place| place.row != 0) && reader.next(&mut raw)? {
            number += 1;
            let mut errors = Vec::new();
            while index.places.get(at).is_some_and(|place| place.row == number) {
                errors.extend(index.load(at)?);
                at += 1;
            }
            if !errors.is_empty() {
                let row =
                    if raw.truncated { None } else { Some(Row { bytes: &raw.bytes, value: reader.parse(&raw)?.ok() }) };
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

/// Two passes: the columns are only known when every row was seen.
fn write_csv(directory: &Path, output: &mut dyn Write) -> Result<()> {
    let mut columns = Vec::new();
    let mut known = HashSet::new();
    for_each_failed_row(directory, &mut |row| {
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
    for_each_failed_row(directory, &mut |row| {
        if let Some(Row { value: Some(value @ Value::Object(_)), .. }) = &row.row {
            let mut cells = std::collections::HashMap::new();
            flatten(value, "", &mut |path, value| {
                cells.insert(path.to_owned(), cell(value));
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

/// A cell as the export writes it (design, section 6): nothing for null, strings guarded against being
/// taken for formulas, arrays and objects as compact JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn csv_error(error: csv::Error) -> crate::error::Error {
    io::Error::from(error).into()
}
