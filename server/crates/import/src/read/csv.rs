//! CSV: detects delimiter and quotes, maps columns to attributes, and converts records to users.
//!
//! A record is converted to the JSON of a user, so that all later steps handle JSON only. The text of the record is
//! kept for the file of failed rows.

use std::fmt::Write as _;
use std::io::{BufRead, Read};

use csv_core::ReadRecordResult;

use super::{MAX_ROW_BYTES, Position, RawRow, RowError, append_limited, format_error, read_error, row_too_large};
use crate::path::{MAX_ELEMENTS, Step, format_path, parse_path};
use crate::schema::{self, Target, is_email, member};
use crate::{suggest, type_inference};
use uie_core::error::{Code, Error, Result};
use uie_core::user;

/// Size of the sample from which the dialect is detected, in bytes.
pub(super) const SAMPLE_BYTES: usize = 64 << 10;

/// Maximum number of records of the sample that are compared with the header.
const SAMPLED_RECORDS: usize = 100;

/// Delimiters that are recognized; the first one is used for files with one column.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Maximum number of columns. Auth0's own exports have at most 30 (docs/auth0/README.md#constants).
const MAX_COLUMNS: usize = 10_000;

/// Which column names are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderPolicy {
    /// Names that a mapping reads; they need not be attributes.
    pub(crate) mapped: Vec<String>,
    /// Columns that the user excludes.
    pub(crate) dropped: Vec<String>,
    /// A mapping provides the e-mail address, so no column must.
    pub(crate) email_is_mapped: bool,
    /// Accept any name: the file was checked before, or the mapping reads the whole row.
    pub(crate) accept_any: bool,
    /// Never fail because of the header: only the names and cells are needed.
    pub(crate) lenient: bool,
}

/// The CSV dialect of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
}

impl Dialect {
    fn records(self, sample: &[u8]) -> Vec<csv::ByteRecord> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .quote(self.quote)
            .from_reader(sample);
        reader.byte_records().take(SAMPLED_RECORDS).map_while(std::result::Result::ok).collect()
    }

    /// Detects the dialect that fits a sample best: by the number of known names in the header, then by the number of
    /// rows with as many cells as the header.
    fn detect(sample: &[u8]) -> Self {
        let first_line = sample.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let candidates = DELIMITERS.iter().map(|delimiter| {
            let single = first_line.starts_with(b"'")
                && !first_line.contains(&b'"')
                && first_line
                    .split(|byte| byte == delimiter)
                    .all(|cell| cell.len() > 1 && cell.starts_with(b"'") && cell.ends_with(b"'"));
            Self { delimiter: *delimiter, quote: if single { b'\'' } else { b'"' } }
        });
        let mut best = (0, 0, 1);
        let mut detected = Self { delimiter: b',', quote: b'"' };
        for dialect in candidates {
            let records = dialect.records(sample);
            let Some((header, rows)) = records.split_first() else { continue };
            let known = header
                .iter()
                .filter(|cell| {
                    std::str::from_utf8(cell).is_ok_and(|cell| {
                        matches!(
                            classify_header(cell, &HeaderPolicy::default()),
                            ColumnKind::Attribute(..) | ColumnKind::Ignored(_)
                        )
                    })
                })
                .count();
            // The last record may be truncated by the end of the sample.
            let rows = rows.split_last().map_or(rows, |(_, rest)| if rest.is_empty() { rows } else { rest });
            let even = rows.iter().filter(|row| row.len() == header.len()).count() * 100 / rows.len().max(1);
            let score = (known, if header.len() > 1 { even } else { 0 }, header.len());
            if score > best {
                best = score;
                detected = dialect;
            }
        }
        detected
    }
}

/// The meaning of a column name.
#[derive(Clone, Debug, PartialEq)]
enum ColumnKind {
    Attribute(Vec<Step>, Target),
    /// Read by a mapping, under this name.
    Source(String),
    /// Not imported; with its attribute, if it is one that Auth0 sets itself.
    Ignored(Option<&'static str>),
    /// Without a name.
    Unnamed,
    Unknown,
}

fn classify_header(header: &str, headers: &HeaderPolicy) -> ColumnKind {
    let header = header.trim();
    let header = header.strip_prefix('\'').unwrap_or(header);
    if header.is_empty() {
        return ColumnKind::Unnamed;
    }
    if headers.dropped.iter().any(|name| name == header) {
        return ColumnKind::Ignored(None);
    }
    // An export uses the expression as the name of a column, unless the user chose another one.
    let classify =
        |text: &str| parse_path(text.strip_prefix("user.").unwrap_or(text)).map(|steps| classify_path(&steps));
    match classify(header) {
        Some(ColumnKind::Unknown) | None => {}
        Some(known) => return known,
    }
    if headers.accept_any || headers.mapped.iter().any(|name| name == header) {
        return ColumnKind::Source(header.to_owned());
    }
    let title = user::DEFAULT_COLUMNS.iter().find(|(_, title)| title.eq_ignore_ascii_case(header));
    let path = title.map_or_else(|| header.to_ascii_lowercase().replace(' ', "_"), |(path, _)| (*path).to_owned());
    classify(&path).unwrap_or(ColumnKind::Unknown)
}

fn classify_path(steps: &[Step]) -> ColumnKind {
    let Some(Step::Member(root)) = steps.first() else { return ColumnKind::Unknown };
    match (schema::target(steps), user::find(root)) {
        (Some(target), _) => ColumnKind::Attribute(steps.to_vec(), target),
        (None, Some(attribute)) if !attribute.importable => ColumnKind::Ignored(Some(attribute.name)),
        _ => ColumnKind::Unknown,
    }
}

/// A column of the header, and its attribute without a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Path of its attribute; `None` if it has none.
    pub(crate) attribute: Option<String>,
    /// Its attribute, if it is one that Auth0 sets itself.
    pub(crate) read_only: Option<&'static str>,
}

impl Column {
    fn new(name: &str) -> Self {
        let (attribute, read_only) = match classify_header(name, &HeaderPolicy::default()) {
            ColumnKind::Attribute(steps, _) => (Some(format_path(&steps)), None),
            ColumnKind::Ignored(attribute) => (None, attribute),
            ColumnKind::Source(_) | ColumnKind::Unnamed | ColumnKind::Unknown => (None, None),
        };
        Self { name: name.to_owned(), attribute, read_only }
    }
}

/// A column that is ignored because Auth0 sets its attribute itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IgnoredColumn {
    pub(crate) header: String,
    pub(crate) attribute: &'static str,
}

/// The JSON structure of a user, with column numbers as leaves.
#[derive(Debug)]
enum CellTree {
    Cell(usize, Target),
    /// Members; names are JSON strings with quotes.
    Object(Vec<(Vec<u8>, CellTree)>),
    Array(Vec<CellTree>),
}

impl CellTree {
    /// Adds a leaf for a column; `false` if it conflicts with another column.
    fn add(&mut self, steps: &[Step], column: usize, target: Target) -> bool {
        let Some((first, rest)) = steps.split_first() else { return false };
        let fresh = || match rest.first() {
            None => CellTree::Cell(column, target),
            Some(Step::Member(_)) => CellTree::Object(Vec::new()),
            Some(Step::Index(_)) => CellTree::Array(Vec::new()),
        };
        let (child, is_new) = match (self, first) {
            (Self::Object(members), Step::Member(name)) => {
                let name = serde_json::Value::from(name.as_str()).to_string().into_bytes();
                let at = members.iter().position(|(known, _)| *known == name);
                if at.is_none() {
                    members.push((name, fresh()));
                }
                let last = members.len().saturating_sub(1);
                (members.get_mut(at.unwrap_or(last)).map(|(_, child)| child), at.is_none())
            }
            (Self::Array(items), Step::Index(index)) if *index < MAX_ELEMENTS => {
                let is_new = *index >= items.len();
                while items.len() < *index {
                    // A placeholder until the column of this element is added; not written if it is never added.
                    items.push(CellTree::Array(Vec::new()));
                }
                if is_new {
                    items.push(fresh());
                }
                let empty = matches!(items.get(*index), Some(CellTree::Array(children)) if children.is_empty());
                if let (true, Some(item)) = (empty, items.get_mut(*index)) {
                    *item = fresh();
                }
                (items.get_mut(*index), is_new || empty)
            }
            _ => return false,
        };
        match child {
            Some(_) if is_new && rest.is_empty() => true,
            Some(child) if !rest.is_empty() => child.add(rest, column, target),
            _ => false,
        }
    }

    /// Appends the JSON of all cells that have a value; appends nothing and returns `false` if no
    /// cell has a value.
    fn write<'c>(&self, cell: &dyn Fn(usize) -> &'c str, guarded: bool, output: &mut Vec<u8>) -> std::io::Result<bool> {
        let start = output.len();
        let mut any = false;
        match self {
            Self::Cell(column, target) => {
                let text = cell(*column);
                if text.is_empty() || (guarded && text == "'") {
                    return Ok(false);
                }
                type_inference::write_cell(text, *target, guarded, output)?;
                return Ok(true);
            }
            Self::Object(members) => {
                for (name, child) in members {
                    let before = output.len();
                    output.push(if any { b',' } else { b'{' });
                    output.extend_from_slice(name);
                    output.push(b':');
                    if child.write(cell, guarded, output)? {
                        any = true;
                    } else {
                        output.truncate(before);
                    }
                }
                output.push(b'}');
            }
            Self::Array(items) => {
                for child in items {
                    let before = output.len();
                    output.push(if any { b',' } else { b'[' });
                    if child.write(cell, guarded, output)? {
                        any = true;
                    } else {
                        output.truncate(before);
                    }
                }
                output.push(b']');
            }
        }
        if !any {
            output.truncate(start);
        }
        Ok(any)
    }
}

/// Reads the records of one file.
pub(super) struct Csv {
    pub(super) dialect: Dialect,
    parser: csv_core::Reader,
    columns: usize,
    /// The columns of the header; a single `email` for a list of addresses without a header.
    pub(super) names: Vec<Column>,
    unnamed: Vec<usize>,
    pub(super) ignored_columns: Vec<IgnoredColumn>,
    tree: CellTree,
    /// Every text starts with an apostrophe, as in Auth0's own exports (docs/auth0/jobs.md#export-files).
    guarded: bool,
    /// Lines end with CR alone.
    carriage_returns: bool,
    /// The text of the header; empty if the file has no header.
    pub(super) header: Vec<u8>,
    /// Physical line of the header.
    pub(super) header_line: u64,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

/// Properties of a record that was read into [`Csv::cells`].
struct Record {
    cells: usize,
    /// The file ends inside a quoted cell.
    unclosed: bool,
    too_large: bool,
}

impl Csv {
    /// Detects the dialect from `sample`, the beginning of the file, and reads the header. Fails if the header is not
    /// acceptable.
    pub(super) fn open(
        sample: &[u8],
        input: &mut dyn BufRead,
        position: &mut Position,
        headers: &HeaderPolicy,
        gzip: bool,
    ) -> Result<Self> {
        let (dialect, declaration_length) = match declared_delimiter(sample) {
            Some((delimiter, length)) => (Dialect { delimiter, quote: b'"' }, length),
            None => (Dialect::detect(sample), 0),
        };
        if declaration_length > 0 {
            position.advance(sample.get(..declaration_length).unwrap_or_default());
            let skipped = std::io::copy(&mut (&mut *input).take(declaration_length as u64), &mut std::io::sink());
            skipped.map_err(|error| read_error(error, gzip))?;
        }
        let sample = sample.get(declaration_length..).unwrap_or_default();
        let mut csv = Self {
            dialect,
            parser: csv_core::ReaderBuilder::new().delimiter(dialect.delimiter).quote(dialect.quote).build(),
            columns: 1,
            names: vec![Column::new("email")],
            unnamed: Vec::new(),
            ignored_columns: Vec::new(),
            tree: CellTree::Object(Vec::new()),
            guarded: false,
            carriage_returns: sample.contains(&b'\r') && !sample.contains(&b'\n'),
            header: Vec::new(),
            header_line: position.line,
            cells: vec![0; 4096],
            ends: vec![0; 64],
        };
        let records = dialect.records(sample);
        let only = records.first().filter(|record| record.len() == 1).and_then(|record| record.get(0));
        if only.and_then(|cell| std::str::from_utf8(cell).ok()).is_some_and(|cell| is_email(cell.trim())) {
            // A list of addresses without a header (docs/auth0/original-extension.md#requests-of-users).
            let email = [Step::Member("email".to_owned())];
            csv.tree.add(&email, 0, Target::Text);
            return Ok(csv);
        }
        let mut row = RawRow::default();
        if csv.record(input, position, &mut row, gzip)?.is_none() {
            return Err(super::empty_error("The users file has no content."));
        }
        csv.header_line = row.line;
        let names = csv.parse_header(&row)?;
        csv.header = row.source;
        csv.names = names.iter().map(|name| Column::new(name)).collect();
        if headers.lenient {
            csv.columns = names.len();
            return Ok(csv);
        }
        let identifying = csv.assign_columns(&names, headers)?;
        let mut texts = records
            .iter()
            .skip(1)
            .filter_map(|record| record.get(identifying))
            .filter(|cell| !cell.is_empty())
            .peekable();
        csv.guarded = texts.peek().is_some() && texts.all(|cell| cell.starts_with(b"'"));
        Ok(csv)
    }

    fn parse_header(&self, row: &RawRow) -> Result<Vec<String>> {
        if row.truncated {
            return Err(format_error("The header of the users file is too long.".to_owned()));
        }
        (0..self.ends_of(row.cells).len())
            .map(|column| match std::str::from_utf8(self.cell(column)) {
                Ok(name) => Ok(name.trim().to_owned()),
                Err(_) => Err(format_error(format!("The name of column {} is not UTF-8.", column + 1))),
            })
            .collect()
    }

    fn ends_of(&self, count: usize) -> &[usize] {
        self.ends.get(..count).unwrap_or_default()
    }

    fn cell(&self, column: usize) -> &[u8] {
        let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(column).copied().unwrap_or(start);
        self.cells.get(start..end).unwrap_or_default()
    }

    /// Returns the first `count` cells of the record that was read last.
    pub(super) fn texts(&self, count: usize) -> Vec<String> {
        (0..count).map(|column| String::from_utf8_lossy(self.cell(column)).into_owned()).collect()
    }

    /// Assigns the columns to attributes; returns the column that identifies users. Fails if a name is not acceptable.
    fn assign_columns(&mut self, names: &[String], headers: &HeaderPolicy) -> Result<usize> {
        self.columns = names.len();
        let mut unknown = Vec::new();
        let mut placed: Vec<(Vec<Step>, usize)> = Vec::new();
        for (column, name) in names.iter().enumerate() {
            let (steps, target) = match classify_header(name, headers) {
                ColumnKind::Attribute(steps, target) => (steps, target),
                ColumnKind::Source(name) => (vec![Step::Member(name)], Target::Free),
                ColumnKind::Ignored(attribute) => {
                    let ignored = attribute.map(|attribute| IgnoredColumn { header: name.clone(), attribute });
                    self.ignored_columns.extend(ignored);
                    continue;
                }
                ColumnKind::Unnamed => {
                    self.unnamed.push(column);
                    continue;
                }
                ColumnKind::Unknown => {
                    unknown.push(name.as_str());
                    continue;
                }
            };
            let other = placed.iter().find(|(other, _)| {
                let shared = other.len().min(steps.len());
                other.get(..shared) == steps.get(..shared)
            });
            if let Some((_, other)) = other {
                let (one, two) = (other + 1, column + 1);
                let first = names.get(*other).map_or("", String::as_str);
                return Err(columns_error(format!(
                    "Columns {one} ({first:?}) and {two} ({name:?}) of the users file mean the same attribute."
                ))
                .with_hint("Rename or remove one of them."));
            }
            if !self.tree.add(&steps, column, target) {
                return Err(columns_error(format!(
                    "Column {} ({name:?}) of the users file conflicts with the columns before it.",
                    column + 1
                ))
                .with_hint("Elements of an array are counted from 0."));
            }
            placed.push((steps, column));
        }
        if !unknown.is_empty() && !headers.accept_any {
            return Err(unknown_columns(&unknown));
        }
        let find = |root: &str| {
            placed.iter().find(|(steps, _)| *steps == [Step::Member(root.to_owned())]).map(|(_, column)| *column)
        };
        match find("email") {
            Some(column) => Ok(column),
            None if headers.email_is_mapped || headers.accept_any => Ok(find("user_id").unwrap_or(usize::MAX)),
            None => Err(columns_error(
                "No column of the users file is named email, which every user needs.".to_owned(),
            )
            .with_hint(
                "The first line of a CSV file names the attributes: email,given_name,app_metadata.plan and so on.",
            )),
        }
    }

    /// Reads the next record and converts it to the JSON of a user; `false` at the end of the file.
    pub(super) fn next(
        &mut self,
        input: &mut dyn BufRead,
        position: &mut Position,
        row: &mut RawRow,
        gzip: bool,
    ) -> Result<bool> {
        loop {
            let Some(record) = self.record(input, position, row, gzip)? else { return Ok(false) };
            // Spreadsheets write empty rows as rows of delimiters; skip them.
            let blank = !record.too_large
                && (0..record.cells).all(|column| self.cell(column).iter().all(u8::is_ascii_whitespace));
            if !blank {
                row.row_error = self.convert(&record, row)?;
                return Ok(true);
            }
        }
    }

    fn convert(&self, record: &Record, row: &mut RawRow) -> Result<Option<RowError>> {
        row.bytes.clear();
        if record.unclosed {
            return Ok(Some(RowError::new(
                "OPEN_QUOTE",
                "The file ends inside a quoted cell of this row.".to_owned(),
                "Close the quotes; a quote inside a quoted cell is written twice.",
            )));
        }
        if record.too_large {
            return Ok(Some(row_too_large()));
        }
        if record.cells != self.columns {
            let cells = if record.cells == 1 { "cell" } else { "cells" };
            return Ok(Some(RowError::new(
                "RAGGED_ROW",
                format!("The row has {} {cells}; the header has {}.", record.cells, self.columns),
                "Put cells that hold the delimiter or a line break into quotes.",
            )));
        }
        let cells = self.cells.get(..self.ends_of(record.cells).last().copied().unwrap_or(0)).unwrap_or_default();
        let Ok(text) = std::str::from_utf8(cells) else {
            return Ok(Some(RowError::new(
                "ENCODING",
                "The row contains bytes that are not UTF-8, but the text before it is UTF-8.".to_owned(),
                "Save the file as UTF-8.",
            )));
        };
        let cell = |column: usize| {
            let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
            self.ends.get(column).and_then(|end| text.get(start..*end)).unwrap_or_default()
        };
        if let Some(column) = self.unnamed.iter().find(|column| !cell(**column).trim().is_empty()) {
            return Ok(Some(RowError::new(
                "UNNAMED_COLUMN",
                format!("The row has a value in column {}, which has no name.", column + 1),
                "Name the column in the header, or empty the cell.",
            )));
        }
        if !self.tree.write(&cell, self.guarded, &mut row.bytes)? {
            row.bytes.extend_from_slice(b"{}");
        }
        Ok(None)
    }

    /// Reads one record into `cells` and `ends`, and its text into the row; `None` at the end of the file.
    fn record(
        &mut self,
        input: &mut dyn BufRead,
        position: &mut Position,
        row: &mut RawRow,
        gzip: bool,
    ) -> Result<Option<Record>> {
        row.source.clear();
        row.truncated = false;
        loop {
            let buffer = input.fill_buf().map_err(|error| read_error(error, gzip))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let skipped = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(buffer.len());
            let more = skipped == buffer.len();
            self.advance(position, buffer.get(..skipped).unwrap_or_default());
            input.consume(skipped);
            if !more {
                break;
            }
        }
        row.line = position.line;
        row.column = position.column;
        let (mut written, mut ended) = (0, 0);
        let (mut unclosed, mut too_large) = (false, false);
        loop {
            let buffer = input.fill_buf().map_err(|error| read_error(error, gzip))?;
            let at_end = buffer.is_empty();
            // At the end of the file, a line end completes the last record, unless a quote is open.
            let bytes = match (at_end, unclosed) {
                (false, _) => buffer,
                (true, false) => b"\n",
                (true, true) => b"",
            };
            let output = self.cells.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(ended..).unwrap_or_default();
            let (result, read, cells, fields) = self.parser.read_record(bytes, output, ends);
            written += cells;
            ended += fields;
            if !at_end {
                let taken = buffer.get(..read).unwrap_or_default();
                append_limited(&mut row.source, &mut row.truncated, taken);
                self.advance(position, taken);
                input.consume(read);
            }
            match result {
                ReadRecordResult::InputEmpty => unclosed = at_end,
                ReadRecordResult::OutputFull if self.cells.len() < MAX_ROW_BYTES => {
                    self.cells.resize(self.cells.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_COLUMNS => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                // Read and discard the rest of the record.
                ReadRecordResult::OutputFull => (too_large, written) = (true, 0),
                ReadRecordResult::OutputEndsFull => (too_large, ended) = (true, 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        while matches!(row.source.last(), Some(b'\r' | b'\n')) && !unclosed {
            row.source.pop();
        }
        row.cells = ended;
        row.truncated |= too_large;
        Ok(Some(Record { cells: ended, unclosed, too_large: row.truncated }))
    }

    fn advance(&self, position: &mut Position, bytes: &[u8]) {
        position.advance(bytes);
        if self.carriage_returns {
            position.line += memchr::memchr_iter(b'\r', bytes).count() as u64;
        }
    }
}

/// Returns the delimiter declared in a first line `sep=;`, as Excel reads and writes it, and the length of that line.
fn declared_delimiter(sample: &[u8]) -> Option<(u8, usize)> {
    let rest = sample.strip_prefix(b"sep=").or_else(|| sample.strip_prefix(b"SEP="))?;
    let (delimiter, rest) = rest.split_first()?;
    let end = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => return None,
    };
    (delimiter.is_ascii() && !delimiter.is_ascii_alphanumeric() && !matches!(delimiter, b'"' | b'\r' | b'\n'))
        .then_some((*delimiter, 5 + end))
}

fn columns_error(message: String) -> Error {
    Error::new(Code::UsersFileColumns, message)
}

fn unknown_columns(names: &[&str]) -> Error {
    const SHOWN: usize = 10;
    let mut text = String::new();
    for name in names.iter().take(SHOWN) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let shown: String = name.chars().take(60).collect();
        let _ = write!(text, "{shown:?}");
        if let Some(nearest) = suggest::nearest_attribute(name) {
            let _ = write!(text, " (did you mean {nearest}?)");
        }
    }
    if names.len() > SHOWN {
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    let message = if let [_] = names {
        format!("The users file, read as CSV, has a column that is not an attribute of an import: {text}.")
    } else {
        format!("The users file, read as CSV, has columns that are not attributes of an import: {text}.")
    };
    let example = names.first().map_or("", |name| name);
    let key = member("user", example);
    let target = suggest::suggest_attribute(example);
    columns_error(message).with_hint(format!(
        "Rename a column to the attribute it holds, map it (--map '{key}={target}'), or leave it out (--map \
         'null={example}')."
    ))
}
