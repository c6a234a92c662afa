//! CSV: finds out how it is written and what its columns mean, and turns records into users.
//!
//! A record becomes the JSON of a user, so that everything after reading knows one form only. The
//! text of the record is kept beside it, for the file of failed rows.

use std::fmt::Write as _;
use std::io::{BufRead, Read};

use csv_core::ReadRecordResult;

use super::{Flaw, MAX_ROW_BYTES, Place, RawRow, format_error, keep, read_error, too_large};
use crate::error::{Code, Error, Result};
use crate::import::cells;
use crate::import::path::{MOST_ELEMENTS, Step, steps};
use crate::import::propose;
use crate::import::schema::{self, Target, is_email, member};
use crate::user;

/// How much of a file is looked at to find out how it is written, in bytes.
pub(super) const SAMPLE: usize = 64 << 10;

/// Records of the sample that are compared with the header.
const SAMPLED_RECORDS: usize = 100;

/// Delimiters that are recognised; the first one stands for a file of one column.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The most columns. Auth0's own exports have at most 30 (docs/auth0/README.md#constants).
const MOST_COLUMNS: usize = 10_000;

/// Which columns are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::import) struct Headers {
    /// Names that need not be attributes, since a mapping reads them.
    pub(in crate::import) read: Vec<String>,
    /// Columns the person leaves out.
    pub(in crate::import) dropped: Vec<String>,
    /// A mapping says where the e-mail comes from.
    pub(in crate::import) email_is_mapped: bool,
    /// Any name is: the file was checked before, or the mapping reads everything.
    pub(in crate::import) any: bool,
    /// Nothing about the header stops: the file is only looked at, by its cells.
    pub(in crate::import) lenient: bool,
}

/// How a file of cells is written.
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

    /// What fits a sample best. Known names in the header count most, then rows as long as it.
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
        let mut found = Self { delimiter: b',', quote: b'"' };
        for dialect in candidates {
            let records = dialect.records(sample);
            let Some((header, rows)) = records.split_first() else { continue };
            let known = header
                .iter()
                .filter(|cell| {
                    std::str::from_utf8(cell).is_ok_and(|cell| {
                        matches!(meaning(cell, &Headers::default()), Meaning::Attribute(..) | Meaning::LeftOut(_))
                    })
                })
                .count();
            // The last one may be cut by the end of the sample.
            let rows = rows.split_last().map_or(rows, |(_, rest)| if rest.is_empty() { rows } else { rest });
            let even = rows.iter().filter(|row| row.len() == header.len()).count() * 100 / rows.len().max(1);
            let score = (known, if header.len() > 1 { even } else { 0 }, header.len());
            if score > best {
                best = score;
                found = dialect;
            }
        }
        found
    }
}

/// What a column is.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    Attribute(Vec<Step>, Target),
    /// Something a mapping reads, under this name.
    Source(String),
    /// Nothing that can be imported; with the attribute that it is.
    LeftOut(Option<&'static str>),
    /// Without a name.
    Unnamed,
    Unknown,
}

fn meaning(header: &str, headers: &Headers) -> Meaning {
    let header = header.trim();
    let header = header.strip_prefix('\'').unwrap_or(header);
    if header.is_empty() {
        return Meaning::Unnamed;
    }
    if headers.dropped.iter().any(|name| name == header) {
        return Meaning::LeftOut(None);
    }
    // An export names a column by its expression, unless it was given a name.
    let of_path = |text: &str| steps(text.strip_prefix("user.").unwrap_or(text)).map(|steps| of_steps(&steps));
    match of_path(header) {
        Some(Meaning::Unknown) | None => {}
        Some(known) => return known,
    }
    if headers.any || headers.read.iter().any(|name| name == header) {
        return Meaning::Source(header.to_owned());
    }
    let title = user::DEFAULT_COLUMNS.iter().find(|(_, title)| title.eq_ignore_ascii_case(header));
    let path = title.map_or_else(|| header.to_ascii_lowercase().replace(' ', "_"), |(path, _)| (*path).to_owned());
    of_path(&path).unwrap_or(Meaning::Unknown)
}

fn of_steps(steps: &[Step]) -> Meaning {
    let Some(Step::Member(root)) = steps.first() else { return Meaning::Unknown };
    match (schema::target(steps), user::find(root)) {
        (Some(target), _) => Meaning::Attribute(steps.to_vec(), target),
        (None, Some(attribute)) if !attribute.importable => Meaning::LeftOut(Some(attribute.name)),
        _ => Meaning::Unknown,
    }
}

/// A column as the header names it, and what it is without a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Column {
    pub(in crate::import) name: String,
    /// Path of the attribute it becomes.
    pub(in crate::import) attribute: Option<String>,
    /// The attribute it is, when Auth0 sets that itself.
    pub(in crate::import) read_only: Option<&'static str>,
}

impl Column {
    fn new(name: &str) -> Self {
        let (attribute, read_only) = match meaning(name, &Headers::default()) {
            Meaning::Attribute(steps, _) => (Some(super::super::path::text(&steps)), None),
            Meaning::LeftOut(attribute) => (None, attribute),
            Meaning::Source(_) | Meaning::Unnamed | Meaning::Unknown => (None, None),
        };
        Self { name: name.to_owned(), attribute, read_only }
    }
}

/// A warning about a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct LeftOutColumn {
    pub(in crate::import) header: String,
    pub(in crate::import) attribute: &'static str,
}

/// Where the cells of a record go.
#[derive(Debug)]
enum Tree {
    Cell(usize, Target),
    /// Names as JSON writes them.
    Object(Vec<(Vec<u8>, Tree)>),
    Array(Vec<Tree>),
}

impl Tree {
    /// Makes room for a column; `false` when another one is in the way.
    fn add(&mut self, steps: &[Step], column: usize, target: Target) -> bool {
        let Some((first, rest)) = steps.split_first() else { return false };
        let fresh = || match rest.first() {
            None => Tree::Cell(column, target),
            Some(Step::Member(_)) => Tree::Object(Vec::new()),
            Some(Step::Index(_)) => Tree::Array(Vec::new()),
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
            (Self::Array(items), Step::Index(index)) if *index < MOST_ELEMENTS => {
                let is_new = *index >= items.len();
                while items.len() < *index {
                    // Filled when its column comes; written only if it is.
                    items.push(Tree::Array(Vec::new()));
                }
                if is_new {
                    items.push(fresh());
                }
                let empty = matches!(items.get(*index), Some(Tree::Array(children)) if children.is_empty());
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

    /// Writes what is there; `false`, and nothing, when no cell has a value.
    fn write<'c>(&self, cell: &dyn Fn(usize) -> &'c str, guarded: bool, output: &mut Vec<u8>) -> std::io::Result<bool> {
        let start = output.len();
        let mut any = false;
        match self {
            Self::Cell(column, target) => {
                let text = cell(*column);
                if text.is_empty() || (guarded && text == "'") {
                    return Ok(false);
                }
                cells::write(text, *target, guarded, output)?;
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
    /// What the header names; a single `email` for a bare list of addresses.
    pub(super) names: Vec<Column>,
    unnamed: Vec<usize>,
    pub(super) left_out: Vec<LeftOutColumn>,
    tree: Tree,
    /// Every text has an apostrophe before it, as in Auth0's own exports (docs/auth0/jobs.md#export-files).
    guarded: bool,
    /// Lines end with CR alone.
    carriage_returns: bool,
    /// The header as it stands in the file; empty when there is none.
    pub(super) header: Vec<u8>,
    /// Physical line of the header.
    pub(super) header_line: u64,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

/// A record that was read.
struct Record {
    cells: usize,
    /// The file ends inside a quoted cell.
    unclosed: bool,
    too_large: bool,
}

impl Csv {
    /// Finds out how the file is written, of which `sample` is the beginning, and reads its header.
    pub(super) fn open(
        sample: &[u8],
        input: &mut dyn BufRead,
        place: &mut Place,
        headers: &Headers,
        gzip: bool,
    ) -> Result<Self> {
        let (dialect, told) = match told_delimiter(sample) {
            Some((delimiter, length)) => (Dialect { delimiter, quote: b'"' }, length),
            None => (Dialect::detect(sample), 0),
        };
        if told > 0 {
            place.advance(sample.get(..told).unwrap_or_default());
            let skipped = std::io::copy(&mut (&mut *input).take(told as u64), &mut std::io::sink());
            skipped.map_err(|error| read_error(error, gzip))?;
        }
        let sample = sample.get(told..).unwrap_or_default();
        let mut csv = Self {
            dialect,
            parser: csv_core::ReaderBuilder::new().delimiter(dialect.delimiter).quote(dialect.quote).build(),
            columns: 1,
            names: vec![Column::new("email")],
            unnamed: Vec::new(),
            left_out: Vec::new(),
            tree: Tree::Object(Vec::new()),
            guarded: false,
            carriage_returns: sample.contains(&b'\r') && !sample.contains(&b'\n'),
            header: Vec::new(),
            header_line: place.line,
            cells: vec![0; 4096],
            ends: vec![0; 64],
        };
        let records = dialect.records(sample);
        let only = records.first().filter(|record| record.len() == 1).and_then(|record| record.get(0));
        if only.and_then(|cell| std::str::from_utf8(cell).ok()).is_some_and(|cell| is_email(cell.trim())) {
            // Nothing but a list of addresses (docs/auth0/original-extension.md#requests-of-users).
            let email = [Step::Member("email".to_owned())];
            csv.tree.add(&email, 0, Target::Text);
            return Ok(csv);
        }
        let mut row = RawRow::default();
        if csv.record(input, place, &mut row, gzip)?.is_none() {
            return Err(super::empty_error("The users file has no content."));
        }
        csv.header_line = row.line;
        let names = csv.names(&row)?;
        csv.header = row.source;
        csv.names = names.iter().map(|name| Column::new(name)).collect();
        if headers.lenient {
            csv.columns = names.len();
            return Ok(csv);
        }
        let identifying = csv.understand(&names, headers)?;
        let mut texts = records
            .iter()
            .skip(1)
            .filter_map(|record| record.get(identifying))
            .filter(|cell| !cell.is_empty())
            .peekable();
        csv.guarded = texts.peek().is_some() && texts.all(|cell| cell.starts_with(b"'"));
        Ok(csv)
    }

    fn names(&self, row: &RawRow) -> Result<Vec<String>> {
        if row.truncated {
            return Err(format_error("The header of the users file is too long to be one.".to_owned()));
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

    /// The cells of the record that was read last.
    pub(super) fn texts(&self, count: usize) -> Vec<String> {
        (0..count).map(|column| String::from_utf8_lossy(self.cell(column)).into_owned()).collect()
    }

    /// Finds what the columns mean; which one tells users apart.
    fn understand(&mut self, names: &[String], headers: &Headers) -> Result<usize> {
        self.columns = names.len();
        let mut unknown = Vec::new();
        let mut placed: Vec<(Vec<Step>, usize)> = Vec::new();
        for (column, name) in names.iter().enumerate() {
            let (steps, target) = match meaning(name, headers) {
                Meaning::Attribute(steps, target) => (steps, target),
                Meaning::Source(name) => (vec![Step::Member(name)], Target::Free),
                Meaning::LeftOut(attribute) => {
                    let named = attribute.map(|attribute| LeftOutColumn { header: name.clone(), attribute });
                    self.left_out.extend(named);
                    continue;
                }
                Meaning::Unnamed => {
                    self.unnamed.push(column);
                    continue;
                }
                Meaning::Unknown => {
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
                    "Column {} ({name:?}) of the users file does not go together with the columns before it.",
                    column + 1
                ))
                .with_hint("Elements of an array are counted from 0."));
            }
            placed.push((steps, column));
        }
        if !unknown.is_empty() && !headers.any {
            return Err(unknown_columns(&unknown));
        }
        let find = |root: &str| {
            placed.iter().find(|(steps, _)| *steps == [Step::Member(root.to_owned())]).map(|(_, column)| *column)
        };
        match find("email") {
            Some(column) => Ok(column),
            None if headers.email_is_mapped || headers.any => Ok(find("user_id").unwrap_or(usize::MAX)),
            None => Err(columns_error(
                "No column of the users file is named email, which every user needs.".to_owned(),
            )
            .with_hint(
                "The first line of a CSV file names the attributes: email,given_name,app_metadata.plan and so on.",
            )),
        }
    }

    /// The next record, as the JSON of a user.
    pub(super) fn next(
        &mut self,
        input: &mut dyn BufRead,
        place: &mut Place,
        row: &mut RawRow,
        gzip: bool,
    ) -> Result<bool> {
        loop {
            let Some(record) = self.record(input, place, row, gzip)? else { return Ok(false) };
            // Spreadsheets leave rows of nothing but delimiters behind.
            let blank = !record.too_large
                && (0..record.cells).all(|column| self.cell(column).iter().all(u8::is_ascii_whitespace));
            if !blank {
                row.flaw = self.convert(&record, row)?;
                return Ok(true);
            }
        }
    }

    fn convert(&self, record: &Record, row: &mut RawRow) -> Result<Option<Flaw>> {
        row.bytes.clear();
        if record.unclosed {
            return Ok(Some(Flaw::new(
                "OPEN_QUOTE",
                "The file ends inside a quoted cell of this row.".to_owned(),
                "Close the quotes; a quote inside a quoted cell is written twice.",
            )));
        }
        if record.too_large {
            return Ok(Some(too_large()));
        }
        if record.cells != self.columns {
            let cells = if record.cells == 1 { "cell" } else { "cells" };
            return Ok(Some(Flaw::new(
                "RAGGED_ROW",
                format!("The row has {} {cells}; the header has {}.", record.cells, self.columns),
                "Put cells that hold the delimiter or a line break into quotes.",
            )));
        }
        let cells = self.cells.get(..self.ends_of(record.cells).last().copied().unwrap_or(0)).unwrap_or_default();
        let Ok(text) = std::str::from_utf8(cells) else {
            return Ok(Some(Flaw::new(
                "ENCODING",
                "The row holds bytes that are not UTF-8, while the text before is.".to_owned(),
                "Save the file as UTF-8.",
            )));
        };
        let cell = |column: usize| {
            let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
            self.ends.get(column).and_then(|end| text.get(start..*end)).unwrap_or_default()
        };
        if let Some(column) = self.unnamed.iter().find(|column| !cell(**column).trim().is_empty()) {
            return Ok(Some(Flaw::new(
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

    /// Reads one record into `cells` and `ends`, its text into the row; none at the end of the file.
    fn record(
        &mut self,
        input: &mut dyn BufRead,
        place: &mut Place,
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
            self.advance(place, buffer.get(..skipped).unwrap_or_default());
            input.consume(skipped);
            if !more {
                break;
            }
        }
        row.line = place.line;
        row.column = place.column;
        let (mut written, mut ended) = (0, 0);
        let (mut unclosed, mut too_large) = (false, false);
        loop {
            let buffer = input.fill_buf().map_err(|error| read_error(error, gzip))?;
            let at_end = buffer.is_empty();
            // After a record that is complete a line end completes it; inside quotes it does not.
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
                keep(&mut row.source, &mut row.truncated, taken);
                self.advance(place, taken);
                input.consume(read);
            }
            match result {
                ReadRecordResult::InputEmpty => unclosed = at_end,
                ReadRecordResult::OutputFull if self.cells.len() < MAX_ROW_BYTES => {
                    self.cells.resize(self.cells.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MOST_COLUMNS => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                // Its rest is read and forgotten.
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

    fn advance(&self, place: &mut Place, bytes: &[u8]) {
        place.advance(bytes);
        if self.carriage_returns {
            place.line += memchr::memchr_iter(b'\r', bytes).count() as u64;
        }
    }
}

/// The delimiter in a first line `sep=;`, as Excel reads and writes it, and the length of that line.
fn told_delimiter(sample: &[u8]) -> Option<(u8, usize)> {
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
        if let Some(nearest) = propose::nearest(name) {
            let _ = write!(text, " (did you mean {nearest}?)");
        }
    }
    if names.len() > SHOWN {
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    let message = if let [_] = names {
        format!("The users file, read as CSV, has a column that is no attribute of an import: {text}.")
    } else {
        format!("The users file, read as CSV, has columns that are no attributes of an import: {text}.")
    };
    let example = names.first().map_or("", |name| name);
    let key = member("user", example);
    let target = propose::attribute(example);
    columns_error(message).with_hint(format!(
        "Rename a column to the attribute it holds, map it (--map '{key}={target}'), or leave it out (--map \
         'null={example}')."
    ))
}
