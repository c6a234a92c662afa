//! Exports of a file: format detection, gzip, rows, columns, filter, sort and encoding.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use uie_core::progress::Progress;
use uie_export::{
    ExportRequest, ExportSpec, ExportSummary, FieldRequest, Format, OnError, Preset, SortRequest, run_file,
};

use crate::fixture::{ChunkedReader, assert_displayable};
use crate::records::assert_row_readers_agree;

/// Options of the export, one per byte at the start of the input.
#[derive(Clone, Copy, Debug)]
struct Options {
    format: u8,
    columns: u8,
    query: u8,
    sort: u8,
    delimiter: u8,
    /// Flags of the output: byte order mark, raw cells, gzip, stop at row errors, descending.
    flags: u8,
    /// Maximum number of rows; 0 means all.
    limit: u8,
    /// Low two bits: 1 compresses the file, 2 compresses it as two gzip members, otherwise it is not changed. High six
    /// bits: bytes per read.
    source: u8,
}

const COLUMNS: [&[(&str, &str)]; 7] = [
    &[],
    &[("email", "E-mail"), ("user.name", "=Name"), ("logins_count", "n")],
    &[("user", "all"), ("app_metadata", "app"), ("user_metadata.x || user_metadata['0'] ?? name", "x")],
    &[("identities[0].connection", "c"), ("identities", "i"), ("name.length", "l"), ("name[0]", "first")],
    &[("email", "a"), ("user_id", "a"), ("blocked", "b;\"\n,")],
    &[("logins_count ?? 'none'", "-n"), ("'literal'", "+")],
    &[("a", "a"), ("b", "b")],
];

const QUERIES: [&str; 6] = [
    "",
    "email:*@example.com",
    "NOT _exists_:logins_count OR logins_count:[1 TO *]",
    "created_at:[2024 TO 2025} AND identities.connection:\"db\"",
    "app_metadata.roles:admin",
    "name:a?a* -blocked:true",
];

const SORTS: [&str; 4] = ["", "logins_count", "user_metadata.x || email", "app_metadata"];

/// Input: eight bytes of `Options`, then a file of users.
///
/// Invariants: rows are read alike one at a time and in chunks; the output is a JSON array, JSON lines, or CSV with rows of equal length, and has as many rows as the
/// summary; CSV cells equal those of the same export as JSON; exporting exported users again changes nothing; the size
/// of the reads makes no difference.
pub fn export(data: &[u8]) {
    let Some((&[format, columns, query, sort, delimiter, flags, limit, source], file)) = data.split_first_chunk()
    else {
        return;
    };
    let options = Options { format, columns, query, sort, delimiter, flags, limit, source };
    let file = compress(source & 3, file);
    assert_row_readers_agree(&file, usize::from(source >> 2));
    let request = request(options);
    let Ok(spec) = ExportSpec::new(&request, 1 << 20) else { return };
    let spec = spec.with_threads(1);
    let step = usize::from(options.source >> 2);
    let (bytes, summary) = match run(&spec, &file, step) {
        Ok(done) => done,
        Err(error) => {
            assert!(run(&spec, &file, 0).is_err(), "the result depends on the size of the reads: {error}");
            return assert_displayable(&error);
        }
    };
    assert_eq!(summary.first_faults.len() as u64, summary.faults.min(20));
    if step > 0 {
        assert_eq!(run(&spec, &file, 0).expect("as before"), (bytes.clone(), summary.clone()));
    }
    let plain = if request.gzip { decompress(&bytes) } else { bytes };
    match request.format {
        Format::Json => {
            let rows: Vec<&RawValue> = serde_json::from_slice(&plain).expect("a JSON array");
            for row in &rows {
                assert_object(row.get().as_bytes(), &request);
            }
            assert_eq!(rows.len() as u64, summary.rows);
        }
        Format::Ndjson => {
            let lines = lines(&plain);
            for line in &lines {
                assert_object(line, &request);
            }
            assert_eq!(lines.len() as u64, summary.rows);
            if request.fields.is_none() {
                let all = ExportRequest { query: None, sort: None, limit: None, gzip: false, ..request };
                let all = ExportSpec::new(&all, 1 << 20).expect("less").with_threads(1);
                let (again, twice) = run(&all, &plain, 0).expect("what was written can be read");
                assert_eq!((again, twice.rows, twice.faults), (plain, summary.rows, 0), "users changed by an export");
            }
        }
        Format::Csv => {
            let rows = parse_csv(&plain, &request);
            assert_eq!(rows.len() as u64, summary.rows + 1, "rows and a header");
            if request.fields.is_some() {
                assert_same_cells(&rows, &file, &request);
            }
        }
    }
}

fn request(options: Options) -> ExportRequest {
    let format = [Format::Csv, Format::Json, Format::Ndjson][usize::from(options.format % 3)];
    let csv = format == Format::Csv;
    let flag = |bit: u8| options.flags & (1 << bit) != 0;
    let columns = COLUMNS[usize::from(options.columns) % COLUMNS.len()];
    let column = |(name, export_as): &(&str, &str)| FieldRequest {
        name: (*name).to_owned(),
        export_as: Some((*export_as).to_owned()),
    };
    let sort = SORTS[usize::from(options.sort) % SORTS.len()];
    let importable = format == Format::Json && columns.is_empty() && options.columns >= 128;
    ExportRequest {
        format,
        connection_id: (options.query >= 192).then(|| "db".to_owned()),
        fields: (!columns.is_empty()).then(|| columns.iter().map(column).collect()),
        preset: importable.then_some(Preset::Import),
        query: Some(QUERIES[usize::from(options.query) % QUERIES.len()].to_owned()),
        sort: (!sort.is_empty()).then(|| SortRequest { by: sort.to_owned(), descending: flag(4) }),
        limit: (options.limit > 0).then_some(options.limit.into()),
        delimiter: csv.then(|| char::from(options.delimiter).to_string()).filter(|_| options.delimiter != 0),
        bom: csv && flag(0),
        raw_cells: csv && flag(1),
        gzip: flag(2),
        on_error: if flag(3) { OnError::Fail } else { OnError::Empty },
        transforms: std::collections::BTreeMap::new(),
    }
}

fn compress(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let gzip = |part: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(part).expect("memory");
        encoder.finish().expect("memory")
    };
    match kind {
        1 => gzip(bytes),
        2 => {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            [gzip(first), gzip(second)].concat()
        }
        _ => bytes.to_vec(),
    }
}

fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    plain
}

/// An output whose bytes can be read after the export.
#[derive(Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one writer").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn run(spec: &ExportSpec, file: &[u8], step: usize) -> uie_core::error::Result<(Vec<u8>, ExportSummary)> {
    let output = SharedBuffer::default();
    let input = Box::new(ChunkedReader::new(file, step));
    let summary = run_file(spec, input, Box::new(output.clone()), &Progress::default())?;
    let bytes = std::mem::take(&mut *output.0.lock().expect("one writer"));
    Ok((bytes, summary))
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    assert!(text.is_empty() || text.ends_with(b"\n"));
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// Asserts that a row is a JSON object. Selected columns must be accepted by every parser. Whole users are copied
/// verbatim and may contain lone surrogates, which `serde_json` cannot represent but JSON allows.
fn assert_object(text: &[u8], request: &ExportRequest) {
    assert!(text.starts_with(b"{"));
    if request.fields.is_some() {
        serde_json::from_slice::<Value>(text).expect("JSON");
    } else {
        serde_json::from_slice::<IgnoredAny>(text).expect("JSON");
    }
}

/// Parses CSV; all rows must have the same number of cells.
fn parse_csv(bytes: &[u8], request: &ExportRequest) -> Vec<csv::StringRecord> {
    let delimiter = request.delimiter.as_deref().map_or(b',', |text| text.as_bytes()[0]);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(bytes);
    // The reader is not flexible: a row of another length is an error.
    reader.records().map(|row| row.expect("rows of equal length")).collect()
}

/// Asserts that the cells equal those of the same export as JSON.
fn assert_same_cells(rows: &[csv::StringRecord], file: &[u8], request: &ExportRequest) {
    let fields = request.fields.as_deref().unwrap_or_default();
    let name = |at: usize| format!("c{at}");
    let renamed =
        fields.iter().enumerate().map(|(at, field)| FieldRequest { export_as: Some(name(at)), ..field.clone() });
    let json = ExportRequest {
        format: Format::Ndjson,
        fields: Some(renamed.collect()),
        delimiter: None,
        bom: false,
        raw_cells: false,
        gzip: false,
        ..request.clone()
    };
    let spec = ExportSpec::new(&json, 1 << 20).expect("the same columns").with_threads(1);
    let (json, _) = run(&spec, file, 0).expect("the same rows");
    let expected: Vec<Value> =
        lines(&json).into_iter().map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect();
    assert_eq!(rows.len(), expected.len() + 1);
    for (row, user) in rows.iter().skip(1).zip(&expected) {
        for (at, cell) in row.iter().enumerate() {
            let text = match &user[&name(at)] {
                Value::Null => String::new(),
                Value::String(text) if !request.raw_cells && text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
                    format!("'{text}")
                }
                Value::String(text) => text.clone(),
                // Copied verbatim to CSV; parsing could change their notation.
                Value::Number(_) | Value::Array(_) | Value::Object(_) => continue,
                boolean @ Value::Bool(_) => boolean.to_string(),
            };
            assert_eq!(cell, text, "column {at}");
        }
    }
}
