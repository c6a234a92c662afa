//! CSV: detects delimiter and quotes, splits records into cells, and converts them to JSON.
//!
//! The caller assigns columns to attributes. The text of the record is kept for a file of failed rows.

use csv_core::ReadRecordResult;

use super::cells::{Target, trim_invisible, write_cell};
use super::csv_header::{Preamble, SkippedKind, SkippedLine, count_titles, is_user, technical_name};
use super::error::{ReadError, RowProblem};
use super::input::{BYTE_ORDER_MARK, TextInput};
use super::limits::MAX_IMPORTED_ROW_BYTES;
use super::path::{MAX_ELEMENTS, Step};
use super::row_reader::{Record, append_limited};

/// Size of the sample from which the dialect is detected, in bytes.
const SAMPLE_BYTES: usize = 64 << 10;

/// Maximum number of records of the sample that are compared with the header.
const SAMPLED_RECORDS: usize = 100;

/// Delimiters that are recognized; the first one is used for files with one column.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Maximum number of columns. Auth0's own exports have at most 30 (docs/auth0/README.md#constants).
const MAX_COLUMNS: usize = 10_000;

/// The CSV dialect of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The byte between cells.
    pub delimiter: u8,
    /// The quote around cells.
    pub quote: u8,
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
    fn detect(sample: &[u8], is_known: &dyn Fn(&str) -> bool) -> Self {
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
            let table = records.get(count_titles(&records, is_known)..).unwrap_or_default();
            let Some((header, rows)) = table.split_first() else { continue };
            let is_known =
                |cell: &[u8]| std::str::from_utf8(cell).is_ok_and(|cell| is_known(technical_name(cell.trim())));
            let known = header.iter().filter(|cell| is_known(cell)).count();
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

/// The JSON structure of a row, with column numbers as leaves.
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
                if *target == Target::TrimmedText && trim_invisible(text).is_empty() {
                    return Ok(false);
                }
                write_cell(text, *target, guarded, output)?;
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

/// Reads the records of a CSV file.
pub struct CsvReader {
    input: TextInput,
    dialect: Dialect,
    parser: csv_core::Reader,
    /// The first records of the file, while the columns are assigned.
    sampled: Vec<csv::ByteRecord>,
    /// The text of the header; empty if it was not read.
    header: Vec<u8>,
    /// The cells of the header one after the other; empty if it was not read.
    header_cells: Vec<u8>,
    header_line: u64,
    /// The first record is a user.
    is_first_user: bool,
    /// Lines that are neither the header nor a row.
    skipped: Vec<SkippedLine>,
    /// Number of cells of the header.
    columns: usize,
    /// The first record is the header, not a row.
    has_header: bool,
    /// Columns without a name.
    unnamed: Vec<usize>,
    /// The attributes of columns.
    assigned: Vec<(Vec<Step>, usize)>,
    tree: CellTree,
    /// The structure of [`Record::original`]; `None` if it is not written.
    original: Option<CellTree>,
    /// Texts of cells that have no value.
    null_texts: Vec<String>,
    /// Every text starts with an apostrophe, as in Auth0's own exports (docs/auth0/jobs.md#export-files).
    guarded: bool,
    /// Lines end with CR alone.
    carriage_returns: bool,
    cells: Vec<u8>,
    ends: Vec<usize>,
    rows: u64,
}

/// Properties of a record that was read into [`CsvReader::cells`].
struct RecordCells {
    cells: usize,
    /// The file ends inside a quoted cell.
    unclosed: bool,
    too_large: bool,
}

impl CsvReader {
    /// Detects the dialect; `is_known` returns whether the name of a column is that of an attribute. The
    /// next record is the header, if the file has one.
    pub fn open(input: TextInput, is_known: &dyn Fn(&str) -> bool) -> Result<Self, ReadError> {
        let mut input = input;
        let (sample, _) = input.sample(SAMPLE_BYTES);
        let preamble = Preamble::detect(&sample);
        let sample = sample.get(preamble.length..).unwrap_or_default();
        let dialect = match preamble.delimiter {
            Some(delimiter) => Dialect { delimiter, quote: b'"' },
            None => Dialect::detect(sample, is_known),
        };
        let mut sampled = dialect.records(sample);
        let titles = count_titles(&sampled, is_known);
        sampled.drain(..titles);
        let first_line = input.position().line;
        let skipped =
            preamble.skipped.iter().map(|(line, kind)| SkippedLine { line: first_line + line, kind: *kind }).collect();
        let mut reader = Self {
            dialect,
            parser: csv_core::ReaderBuilder::new().delimiter(dialect.delimiter).quote(dialect.quote).build(),
            is_first_user: sampled.first().is_some_and(|record| is_user(record, is_known)),
            sampled,
            header: Vec::new(),
            header_cells: Vec::new(),
            header_line: first_line,
            columns: 1,
            has_header: false,
            skipped,
            unnamed: Vec::new(),
            assigned: Vec::new(),
            tree: CellTree::Object(Vec::new()),
            original: None,
            null_texts: Vec::new(),
            guarded: false,
            carriage_returns: sample.contains(&b'\r') && !sample.contains(&b'\n'),
            cells: vec![0; 4096],
            ends: vec![0; 64],
            rows: 0,
            input,
        };
        reader.input.fill_buf()?;
        reader.advance(preamble.length)?;
        reader.header_line = reader.input.position().line;
        reader.skip_titles(titles)?;
        Ok(reader)
    }

    /// Skips records above the header.
    fn skip_titles(&mut self, titles: usize) -> Result<(), ReadError> {
        let mut record = Record::default();
        for _ in 0..titles {
            if self.record(&mut record)?.is_some() {
                self.skipped.push(SkippedLine { line: record.line, kind: SkippedKind::Title });
            }
        }
        Ok(())
    }

    /// Removes and returns the lines that were skipped so far.
    pub fn take_skipped(&mut self) -> Vec<SkippedLine> {
        std::mem::take(&mut self.skipped)
    }

    /// The dialect of the file.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file.
    pub fn input(&self) -> &TextInput {
        &self.input
    }

    /// Returns whether the file has been read completely.
    pub fn is_exhausted(&mut self) -> bool {
        self.input.is_exhausted()
    }

    /// The text of the header; empty if the file has none.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Physical line of the header.
    pub fn header_line(&self) -> u64 {
        self.header_line
    }

    /// Returns the only cell of the first record; `None` if it has several, or is not UTF-8.
    pub fn single_first_cell(&self) -> Option<&str> {
        let cell = self.sampled.first().filter(|record| record.len() == 1).and_then(|record| record.get(0))?;
        std::str::from_utf8(cell).ok().map(str::trim)
    }

    /// Reads the header and returns the names of the columns, without white space and descriptions around them. Fails
    /// if the file has no records, if a name is not UTF-8, or if the first record is a user instead.
    pub fn read_header(&mut self) -> Result<Vec<String>, ReadError> {
        let mut record = Record::default();
        if self.record(&mut record)?.is_none() {
            return Err(ReadError::NoContent);
        }
        if record.truncated {
            return Err(ReadError::HeaderTooLong);
        }
        self.columns = record.cells;
        if self.is_first_user {
            return Err(ReadError::MissingHeader { line: record.line, columns: record.cells });
        }
        self.has_header = true;
        self.header_cells = self.cells.get(..self.filled(record.cells)).unwrap_or_default().to_vec();
        self.header_line = record.line;
        self.header = record.source;
        (0..self.columns)
            .map(|column| match std::str::from_utf8(self.cell(column)) {
                Ok(name) => Ok(technical_name(name.trim_start_matches('\u{FEFF}').trim()).to_owned()),
                Err(_) => Err(ReadError::HeaderEncoding(column + 1)),
            })
            .collect()
    }

    /// Accepts a header that looks like a user, which is the first row of a file without a header.
    pub fn accept_any_header(&mut self) {
        self.is_first_user = false;
    }

    /// Declares that the file has no header and this number of columns: the next record is a row.
    pub fn set_columns(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// Declares that a column has no name: a row must not have a value in it.
    pub fn set_unnamed(&mut self, column: usize) {
        self.unnamed.push(column);
    }

    /// Assigns a column, from 0, to an attribute.
    ///
    /// Fails with the earlier column that has the same attribute, or one within the other; with `None` if the attribute
    /// conflicts with earlier ones in another way.
    pub fn assign(&mut self, column: usize, steps: Vec<Step>, target: Target) -> Result<(), Option<usize>> {
        let other = self.assigned.iter().find(|(other, _)| {
            let shared = other.len().min(steps.len());
            other.get(..shared) == steps.get(..shared)
        });
        if let Some((_, other)) = other {
            return Err(Some(*other));
        }
        if !self.tree.add(&steps, column, target) {
            return Err(None);
        }
        self.assigned.push((steps, column));
        Ok(())
    }

    /// Declares that [`Record::original`] has a column, from 0, at a path; it has no others. Returns `false` if the
    /// path conflicts with those of earlier columns: the column is then left out of it.
    pub fn assign_original(&mut self, column: usize, steps: &[Step], target: Target) -> bool {
        self.original.get_or_insert_with(|| CellTree::Object(Vec::new())).add(steps, column, target)
    }

    /// Declares that cells with exactly one of these texts have no value.
    pub fn set_null_texts(&mut self, texts: Vec<String>) {
        self.null_texts = texts;
    }

    /// Returns the cells of a column, from 0, in the first rows of the file; empty after
    /// [`detect_guards`](Self::detect_guards).
    pub fn sampled_cells(&self, column: usize) -> impl Iterator<Item = &[u8]> {
        self.sampled.iter().skip(1).filter_map(move |record| record.get(column))
    }

    /// Returns the column that is assigned to a root attribute.
    pub fn column_of(&self, root: &str) -> Option<usize> {
        let is_root = |steps: &[Step]| matches!(steps, [Step::Member(name)] if name == root);
        self.assigned.iter().find(|(steps, _)| is_root(steps)).map(|(_, column)| *column)
    }

    /// Detects the apostrophes of Auth0's own exports by the texts in this column.
    pub fn detect_guards(&mut self, column: usize) {
        let sampled = std::mem::take(&mut self.sampled);
        let rows = sampled.iter().skip(usize::from(self.has_header));
        let mut texts = rows.filter_map(|record| record.get(column)).filter(|cell| !cell.is_empty()).peekable();
        self.guarded = texts.peek().is_some() && texts.all(|cell| cell.starts_with(b"'"));
    }

    fn ends_of(&self, count: usize) -> &[usize] {
        self.ends.get(..count).unwrap_or_default()
    }

    /// Returns a cell, from 0, of the record that was read last; empty if it has fewer cells.
    pub fn cell(&self, column: usize) -> &[u8] {
        let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(column).copied().unwrap_or(start);
        self.cells.get(start..end).unwrap_or_default()
    }

    /// Returns the first `count` cells of the record that was read last.
    pub fn texts(&self, count: usize) -> Vec<String> {
        (0..count).map(|column| String::from_utf8_lossy(self.cell(column)).into_owned()).collect()
    }

    /// Reads the next record that is not empty and converts it to JSON; `false` at the end of the file.
    pub fn next(&mut self, row: &mut Record) -> Result<bool, ReadError> {
        row.clear();
        loop {
            let Some(record) = self.record(row)? else { return Ok(false) };
            // Spreadsheets write empty rows as rows of delimiters; skip them.
            let blank = !record.too_large
                && (0..record.cells).all(|column| self.cell(column).iter().all(u8::is_ascii_whitespace));
            if self.has_header && self.is_header(&record) {
                self.skipped.push(SkippedLine { line: row.line, kind: SkippedKind::RepeatedHeader });
            } else if !blank {
                row.problem = self.convert(&record, row)?;
                self.rows += 1;
                row.number = self.rows;
                return Ok(true);
            }
        }
    }

    /// Returns the length of the first `count` cells.
    fn filled(&self, count: usize) -> usize {
        self.ends_of(count).last().copied().unwrap_or(0)
    }

    /// Returns whether a record is the header again, perhaps after a byte order mark.
    fn is_header(&self, record: &RecordCells) -> bool {
        let cells = self.cells.get(..self.filled(record.cells)).unwrap_or_default();
        let plain = |cells: &[u8]| cells.strip_prefix(BYTE_ORDER_MARK).unwrap_or(cells).len();
        record.cells == self.columns
            && plain(cells) == plain(&self.header_cells)
            && !cells.is_empty()
            && cells.ends_with(self.header_cells.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.header_cells))
    }

    fn convert(&self, record: &RecordCells, row: &mut Record) -> Result<Option<RowProblem>, ReadError> {
        row.bytes.clear();
        if record.unclosed {
            return Ok(Some(RowProblem::OpenQuote));
        }
        if record.too_large {
            return Ok(Some(RowProblem::TooLong(MAX_IMPORTED_ROW_BYTES)));
        }
        if record.cells != self.columns {
            return Ok(Some(RowProblem::Ragged { cells: record.cells, columns: self.columns }));
        }
        let cells = self.cells.get(..self.ends_of(record.cells).last().copied().unwrap_or(0)).unwrap_or_default();
        let Ok(text) = std::str::from_utf8(cells) else { return Ok(Some(RowProblem::Encoding)) };
        let cell = |column: usize| {
            let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
            let cell = self.ends.get(column).and_then(|end| text.get(start..*end)).unwrap_or_default();
            // Files with marks that were put one after the other.
            let cell = if column == 0 { cell.trim_start_matches('\u{FEFF}') } else { cell };
            if !self.null_texts.is_empty() && self.is_null_text(cell) { "" } else { cell }
        };
        if let Some(column) = self.unnamed.iter().find(|column| !cell(**column).trim().is_empty()) {
            return Ok(Some(RowProblem::UnnamedColumn(column + 1)));
        }
        if !self.tree.write(&cell, self.guarded, &mut row.bytes).map_err(ReadError::Source)? {
            row.bytes.extend_from_slice(b"{}");
        }
        if let Some(original) = &self.original
            && !original.write(&cell, self.guarded, &mut row.original).map_err(ReadError::Source)?
        {
            row.original.extend_from_slice(b"{}");
        }
        Ok(None)
    }

    /// Returns whether a cell has the text of one without a value, with or without the apostrophe of Auth0's exports.
    fn is_null_text(&self, cell: &str) -> bool {
        let unguarded = if self.guarded { cell.strip_prefix('\'').unwrap_or(cell) } else { cell };
        self.null_texts.iter().any(|text| text == cell || text == unguarded)
    }

    /// Reads one record into `cells` and `ends`, and its text into the row; `None` at the end of the file.
    fn record(&mut self, row: &mut Record) -> Result<Option<RecordCells>, ReadError> {
        row.source.clear();
        row.truncated = false;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let skipped = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(buffer.len());
            let more = skipped == buffer.len();
            self.advance(skipped)?;
            if !more {
                break;
            }
        }
        let start = self.input.position();
        (row.line, row.column) = (start.line, start.column);
        let (mut written, mut ended) = (0, 0);
        let (mut unclosed, mut too_large) = (false, false);
        loop {
            let buffer = self.input.fill_buf()?;
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
                append_limited(&mut row.source, &mut row.truncated, buffer.get(..read).unwrap_or_default());
                self.advance(read)?;
            }
            match result {
                ReadRecordResult::InputEmpty => unclosed = at_end,
                ReadRecordResult::OutputFull if self.cells.len() < MAX_IMPORTED_ROW_BYTES => {
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
        Ok(Some(RecordCells { cells: ended, unclosed, too_large: row.truncated }))
    }

    /// Consumes bytes of the read buffer. A carriage return is a line end if no line feed is.
    fn advance(&mut self, count: usize) -> Result<(), ReadError> {
        if self.carriage_returns {
            let bytes = self.input.fill_buf()?;
            let lines = memchr::memchr_iter(b'\r', bytes.get(..count).unwrap_or_default()).count() as u64;
            self.input.position_mut().line += lines;
        }
        self.input.advance(count)
    }
}
