//! Splits a stream of bytes into chunks of many rows.

use std::io::Read;

use memchr::{memchr, memchr_iter, memrchr};

use uie_json::{Cursor, StructuralIndex};

use super::array::{ArrayState, ValueEnd, is_space};
use super::cells::Target;
use super::csv_header::SkippedLine;
use super::csv_reader::CsvReader;
use super::error::{ReadError, RowProblem};
use super::input::{FileFormat, TextInput};
use super::layout::Layout;
use super::ldif::LdifReader;
use super::limits::MAX_EXPORTED_ROW_BYTES;
use super::path::Step;
use super::position::Position;
use super::read_options::ReadOptions;
use super::row_reader::Record;

/// Size of a chunk, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// A reusable buffer: `bytes` is initialized once, and its first `filled` bytes are the content.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.filled
    }

    fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Makes sure that the buffer can hold this many bytes in total.
    fn reserve_total(&mut self, wanted: usize) {
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }

    /// Removes all bytes, and releases the memory if it is unusually large because of a long row.
    fn clear(&mut self) {
        self.filled = 0;
        if self.bytes.len() > 4 * CHUNK_BYTES {
            self.bytes = Vec::new();
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.reserve_total(self.filled + bytes.len());
        if let Some(free) = self.bytes.get_mut(self.filled..self.filled + bytes.len()) {
            free.copy_from_slice(bytes);
        }
        self.filled += bytes.len();
    }

    /// Moves the bytes of another buffer from `at` on to this one. The other buffer keeps the first `at` bytes.
    fn take_tail(&mut self, other: &mut Self, at: usize) {
        let taken = other.bytes.get(at..other.filled).unwrap_or_default();
        self.clear();
        self.reserve_total(CHUNK_BYTES.max(taken.len()));
        if let Some(start) = self.bytes.get_mut(..taken.len()) {
            start.copy_from_slice(taken);
        }
        self.filled = taken.len();
        other.filled = at.min(other.filled);
    }
}

/// A part of the input with complete rows.
#[derive(Debug, Default)]
pub struct Chunk {
    data: Buffer,
    layout: RowLayout,
    /// The tokens of `data`, if `is_indexed`.
    index: StructuralIndex,
    is_indexed: bool,
}

/// The positions of the rows in a chunk.
#[derive(Debug)]
enum RowLayout {
    /// Rows are lines, from this line number on.
    Lines(u64),
    /// Rows are elements of an array, or records of CSV as JSON.
    Spans(Vec<Span>),
    /// The number of a single line that was too long. The chunk has no data.
    TooLong(u64),
}

impl Default for RowLayout {
    fn default() -> Self {
        Self::Lines(1)
    }
}

/// A row: its bytes in the chunk, the line in which it starts, and why it cannot be read.
#[derive(Clone, Debug)]
struct Span {
    start: usize,
    end: usize,
    line: u64,
    problem: Option<RowProblem>,
}

/// A row of a chunk: the line in which it starts, and its text.
pub type Row<'a> = (u64, Result<&'a [u8], RowProblem>);

impl Chunk {
    /// Returns the rows in order.
    pub fn rows(&self) -> Rows<'_> {
        let data = self.data.filled();
        let next = match &self.layout {
            RowLayout::Lines(first) => NextRow::Line { line: *first, at: 0 },
            RowLayout::Spans(spans) => NextRow::Span(spans),
            RowLayout::TooLong(line) => NextRow::TooLong(Some(*line)),
        };
        Rows { data, text: simdutf8::basic::from_utf8(data).ok(), next }
    }

    /// Returns a cursor over the tokens of the chunk, for [`Peeked::Line`] and [`Peeked::Element`]. `index` is used to
    /// index lines. `None` if the chunk cannot be indexed.
    pub fn cursor<'r, 'i>(&'i self, rows: &Rows<'r>, index: &'i mut StructuralIndex) -> Option<Cursor<'r, 'i>> {
        match rows.peek()? {
            Peeked::Line(text, _) => Cursor::new(text, index),
            Peeked::Element { text, .. } => self.is_indexed.then(|| Cursor::over_elements(text, &self.index)),
        }
    }
}

/// An iterator over the rows of a chunk.
pub struct Rows<'a> {
    data: &'a [u8],
    /// The data, if all of it is UTF-8.
    text: Option<&'a str>,
    next: NextRow<'a>,
}

/// The position of the next row.
enum NextRow<'a> {
    Line { line: u64, at: usize },
    Span(&'a [Span]),
    TooLong(Option<u64>),
}

/// The next row, for a reader that finds the end of a line itself.
#[derive(Clone, Copy, Debug)]
pub enum Peeked<'a> {
    /// The row is the line of the text that starts at this offset.
    Line(&'a str, usize),
    /// The row is a part of the text.
    Element {
        /// The text of the chunk.
        text: &'a str,
        /// The first byte of the row.
        start: usize,
        /// The offset after the row.
        end: usize,
    },
}

impl<'a> Rows<'a> {
    /// Returns the next row without taking it. `None` at the end, if the chunk is not valid UTF-8, or if the row cannot
    /// be read.
    #[inline]
    pub fn peek(&self) -> Option<Peeked<'a>> {
        let text = self.text?;
        match self.next {
            NextRow::Line { at, .. } => (at < text.len()).then_some(Peeked::Line(text, at)),
            NextRow::Span(spans) => {
                let span = spans.first().filter(|span| span.problem.is_none())?;
                Some(Peeked::Element { text, start: span.start, end: span.end })
            }
            NextRow::TooLong(_) => None,
        }
    }

    /// Takes the row that was peeked, which ends at this offset of its text. Returns the line in which it starts.
    #[inline]
    pub fn advance(&mut self, end: usize) -> u64 {
        match &mut self.next {
            NextRow::Line { line, at } => {
                *at = end + 1;
                *line += 1;
                *line - 1
            }
            NextRow::Span(spans) => {
                let line = spans.first().map_or(0, |span| span.line);
                *spans = spans.get(1..).unwrap_or_default();
                line
            }
            NextRow::TooLong(line) => line.take().unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    /// Returns the next row that is not blank.
    fn next(&mut self) -> Option<Row<'a>> {
        loop {
            let (row, end) = match self.next {
                NextRow::Line { at, .. } => {
                    let rest = self.data.get(at..).filter(|rest| !rest.is_empty())?;
                    let length = memchr(b'\n', rest).unwrap_or(rest.len());
                    (Ok(rest.get(..length).unwrap_or_default().trim_ascii()), at + length)
                }
                NextRow::Span(spans) => {
                    let span = spans.first()?;
                    let row = match &span.problem {
                        Some(problem) => Err(problem.clone()),
                        None => Ok(self.data.get(span.start..span.end).unwrap_or_default()),
                    };
                    (row, span.end)
                }
                NextRow::TooLong(line) => {
                    line?;
                    (Err(RowProblem::TooLong(MAX_EXPORTED_ROW_BYTES)), 0)
                }
            };
            let line = self.advance(end);
            if row.as_ref().map_or(true, |row| !row.is_empty()) {
                return Some((line, row));
            }
        }
    }
}

/// Returns the attribute of each column of a CSV file by the names in its header, and its type; `None` for a column
/// without a name.
pub type ColumnAssignment = fn(&[String]) -> Vec<Option<(Vec<Step>, Target)>>;

/// How the rows of the input are separated.
enum Splitter {
    Lines(TextInput),
    Array(TextInput, ArrayScan),
    Csv(Box<CsvReader>),
    Ldif(Box<LdifReader>),
}

/// The state of the scan for the elements of an array, or the values of a sequence.
#[derive(Clone, Copy, Debug)]
struct ArrayScan {
    layout: Layout,
    state: ArrayState,
    /// The element that is incomplete.
    element: Option<IncompleteElement>,
    /// The rest of the object that holds the array, after its end.
    object_rest: Option<ValueEnd>,
}

impl ArrayScan {
    fn new(layout: Layout) -> Self {
        let state = if layout == Layout::Sequence { ArrayState::BetweenValues } else { ArrayState::Start };
        let object_rest = (layout == Layout::Member).then(ValueEnd::inside_object);
        Self { layout, state, element: None, object_rest }
    }
}

/// An element of an array whose end has not been found.
#[derive(Clone, Copy, Debug)]
struct IncompleteElement {
    start: usize,
    line: u64,
    end: ValueEnd,
}

/// Splits a stream of bytes into chunks of rows. An error concerns the rows after those that were returned.
pub struct ChunkReader {
    splitter: Splitter,
    /// Bytes that were read but are not part of a chunk yet.
    rest: Buffer,
    /// Number of bytes of `rest` that were scanned for elements of the array.
    scanned: usize,
    /// Elements of the array that were found in `rest`.
    spans: Vec<Span>,
    line: u64,
    /// Number of rows in all chunks so far, including blank lines.
    rows: u64,
    ended: bool,
    record: Record,
}

impl ChunkReader {
    /// Opens a source and detects its format. Content that is not JSON is read as CSV if `csv` is given, unless it
    /// looks like NDJSON with a damaged first line; otherwise it is read as lines.
    pub fn open(
        source: Box<dyn Read + Send>,
        csv: Option<ColumnAssignment>,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        let mut input = TextInput::open(source, options)?;
        let layout = match input.detect_layout() {
            Err(ReadError::NoContent) => Layout::Lines,
            Err(ReadError::NotRecords { .. }) if csv.is_none() => Layout::Lines,
            layout => layout?,
        };
        let line = input.position().line;
        let splitter = match (layout, csv) {
            (Layout::Array | Layout::Member | Layout::Sequence, _) => Splitter::Array(input, ArrayScan::new(layout)),
            (Layout::Ldif, Some(_)) => Splitter::Ldif(Box::new(LdifReader::new(input))),
            (Layout::Csv, Some(assignment)) => {
                let (sample, _) = input.sample(CHUNK_BYTES);
                if has_json_line(&sample) {
                    Splitter::Lines(input)
                } else {
                    Splitter::Csv(Box::new(open_csv(input, assignment, options)?))
                }
            }
            _ => Splitter::Lines(input),
        };
        Ok(Self {
            splitter,
            rest: Buffer::default(),
            scanned: 0,
            spans: Vec::new(),
            line,
            rows: 0,
            ended: false,
            record: Record::default(),
        })
    }

    /// Returns the number of rows that were read, including blank lines.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the layout.
    pub fn layout(&self) -> Layout {
        match self.splitter {
            Splitter::Lines(_) => Layout::Lines,
            Splitter::Array(_, scan) => scan.layout,
            Splitter::Csv(_) => Layout::Csv,
            Splitter::Ldif(_) => Layout::Ldif,
        }
    }

    /// Returns the format.
    pub fn format(&self) -> FileFormat {
        match &self.splitter {
            Splitter::Lines(input) | Splitter::Array(input, _) => input.format(),
            Splitter::Csv(csv) => csv.input().format(),
            Splitter::Ldif(ldif) => ldif.input().format(),
        }
    }

    /// Removes and returns the lines of a CSV file that were skipped so far.
    pub fn take_skipped(&mut self) -> Vec<SkippedLine> {
        match &mut self.splitter {
            Splitter::Csv(csv) => csv.take_skipped(),
            Splitter::Lines(_) | Splitter::Array(..) | Splitter::Ldif(_) => Vec::new(),
        }
    }

    /// Returns the line that contains the end of what was read, for messages about damaged files.
    pub fn line_at_end(&self) -> u64 {
        let from = if matches!(self.splitter, Splitter::Array(..)) { self.scanned } else { 0 };
        let unread = self.rest.filled().get(from..).unwrap_or_default();
        self.line + memchr_iter(b'\n', unread).count() as u64
    }

    /// Reads the next rows into `chunk`. Returns false at the end.
    pub fn next_chunk(&mut self, chunk: &mut Chunk) -> Result<bool, ReadError> {
        chunk.is_indexed = false;
        match self.splitter {
            Splitter::Lines(_) => self.next_lines(chunk),
            Splitter::Array(_, scan) => self.next_elements(scan, chunk),
            Splitter::Csv(_) | Splitter::Ldif(_) => self.next_records(chunk),
        }
    }

    /// Reads `wanted` more bytes into `rest`, or all that are left.
    fn fill(&mut self, wanted: usize) -> Result<(), ReadError> {
        let target = self.rest.len() + wanted;
        self.rest.reserve_total(target);
        let (Splitter::Lines(input) | Splitter::Array(input, _)) = &mut self.splitter else { return Ok(()) };
        while !self.ended && self.rest.filled < target {
            let Some(room) = self.rest.bytes.get_mut(self.rest.filled..target) else { break };
            let read = input.read(room)?;
            self.rest.filled += read;
            self.ended = read == 0;
        }
        Ok(())
    }

    /// Reads a chunk of complete lines.
    fn next_lines(&mut self, chunk: &mut Chunk) -> Result<bool, ReadError> {
        let mut searched = 0;
        loop {
            let wanted = CHUNK_BYTES.saturating_sub(self.rest.len()).max(if searched == 0 { 0 } else { CHUNK_BYTES });
            self.fill(wanted)?;
            if self.rest.is_empty() && self.ended {
                return Ok(false);
            }
            let end = if self.ended {
                Some(self.rest.len())
            } else {
                let unseen = self.rest.filled().get(searched..).unwrap_or_default();
                memrchr(b'\n', unseen).map(|at| searched + at + 1)
            };
            if let Some(end) = end.filter(|end| *end <= MAX_EXPORTED_ROW_BYTES + CHUNK_BYTES) {
                std::mem::swap(&mut chunk.data, &mut self.rest);
                self.rest.take_tail(&mut chunk.data, end);
                chunk.layout = RowLayout::Lines(self.line);
                let lines = memchr_iter(b'\n', chunk.data.filled()).count() as u64;
                self.line += lines;
                self.rows += lines + u64::from(chunk.data.filled().last().is_some_and(|last| *last != b'\n'));
                return Ok(true);
            }
            if self.rest.len() > MAX_EXPORTED_ROW_BYTES {
                chunk.layout = RowLayout::TooLong(self.line);
                self.rows += 1;
                self.skip_line()?;
                return Ok(true);
            }
            searched = self.rest.len();
        }
    }

    /// Skips the current line.
    fn skip_line(&mut self) -> Result<(), ReadError> {
        loop {
            if let Some(end) = memchr(b'\n', self.rest.filled()) {
                let mut whole = std::mem::take(&mut self.rest);
                self.rest.take_tail(&mut whole, end + 1);
                self.line += 1;
                return Ok(());
            }
            self.rest.clear();
            self.fill(CHUNK_BYTES)?;
            if self.rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads a chunk of complete elements of an array.
    fn next_elements(&mut self, mut scan: ArrayScan, chunk: &mut Chunk) -> Result<bool, ReadError> {
        // Between two elements at the start of a chunk, the elements can be split by the index.
        let mut by_index = scan.element.is_none() && scan.layout != Layout::Sequence;
        loop {
            self.fill(if by_index { CHUNK_BYTES.saturating_sub(self.rest.len()) } else { CHUNK_BYTES })?;
            let indexed = by_index && self.split_by_index(&mut scan, chunk)?;
            by_index = false;
            if indexed && !self.ended {
                chunk.is_indexed = true;
                self.end_chunk(self.scanned, scan, chunk);
                return Ok(true);
            }
            let before = self.spans.len();
            self.scan_elements(&mut scan)?;
            chunk.is_indexed = indexed && self.spans.len() == before;
            // A chunk can end between elements or at the end of the input.
            let Some(element) = scan.element else {
                if self.rest.len() >= CHUNK_BYTES || self.ended {
                    break;
                }
                continue;
            };
            if self.ended {
                return Err(ReadError::UnclosedElement(element.line));
            }
            if self.rest.len() - element.start > MAX_EXPORTED_ROW_BYTES {
                return Err(ReadError::ElementTooLong(element.line));
            }
            if element.start >= CHUNK_BYTES {
                // End the chunk before the current element, which is incomplete.
                self.end_chunk(element.start, scan, chunk);
                return Ok(true);
            }
        }
        if self.ended && self.scanned == self.rest.len() {
            let at = Position { line: self.line, column: 1 };
            match (scan.state, scan.object_rest) {
                (ArrayState::End, Some(_)) => return Err(ReadError::UnclosedObject(at)),
                (ArrayState::End | ArrayState::BetweenValues, _) => {}
                _ => return Err(ReadError::UnclosedArray(at)),
            }
        }
        let more = !self.spans.is_empty() || !self.ended;
        self.end_chunk(self.scanned, scan, chunk);
        Ok(more)
    }

    /// Splits the elements in `rest` by the structural index of the chunk. Returns whether there are complete elements,
    /// and then sets `scanned` to the end of the last one.
    fn split_by_index(&mut self, scan: &mut ArrayScan, chunk: &mut Chunk) -> Result<bool, ReadError> {
        if !self.seek_element(scan)? {
            return Ok(false);
        }
        let bytes = self.rest.filled();
        if !matches!(bytes.get(self.scanned), Some(b'{' | b'[')) {
            return Ok(false);
        }
        let (mut line, mut counted) = (self.line, self.scanned);
        let spans = &mut self.spans;
        let split = chunk.index.split_elements(bytes, self.scanned, |start, end| {
            line += memchr_iter(b'\n', bytes.get(counted..start).unwrap_or_default()).count() as u64;
            counted = start;
            spans.push(Span { start, end, line, problem: None });
        });
        let Some(end) = split.filter(|end| *end > self.scanned) else { return Ok(false) };
        self.line = line + memchr_iter(b'\n', bytes.get(counted..end).unwrap_or_default()).count() as u64;
        self.scanned = end;
        scan.state = scan.state.after_element();
        Ok(true)
    }

    /// Moves the elements found so far, and the bytes up to `end`, to the chunk.
    fn end_chunk(&mut self, end: usize, mut scan: ArrayScan, chunk: &mut Chunk) {
        std::mem::swap(&mut chunk.data, &mut self.rest);
        self.rest.take_tail(&mut chunk.data, end);
        self.scanned -= end;
        self.rows += self.spans.len() as u64;
        chunk.layout = RowLayout::Spans(std::mem::take(&mut self.spans));
        if let Some(element) = &mut scan.element {
            element.start -= end;
        }
        if let Splitter::Array(_, state) = &mut self.splitter {
            *state = scan;
        }
    }

    /// Skips white space, commas, the end of the array and the object that holds it. Returns
    /// whether an element starts at `scanned`.
    fn seek_element(&mut self, scan: &mut ArrayScan) -> Result<bool, ReadError> {
        while let Some(byte) = self.rest.filled().get(self.scanned).copied() {
            if scan.state == ArrayState::End
                && let Some(rest) = &mut scan.object_rest
            {
                let unseen = self.rest.filled().get(self.scanned..).unwrap_or_default();
                let end = rest.find(unseen);
                let taken = end.unwrap_or(unseen.len());
                self.line += memchr_iter(b'\n', unseen.get(..taken).unwrap_or_default()).count() as u64;
                self.scanned += taken;
                if end.is_some() {
                    scan.object_rest = None;
                }
                continue;
            }
            if is_space(byte) {
                self.line += u64::from(byte == b'\n');
            } else {
                let at = Position { line: self.line, column: 1 };
                match scan.state.next(byte) {
                    Ok(None) => return Ok(true),
                    Ok(Some(state)) => scan.state = state,
                    Err(expected) => return Err(ReadError::Unexpected { byte, at, expected }),
                }
            }
            self.scanned += 1;
        }
        Ok(false)
    }

    /// Scans the bytes in `rest` for elements of the array. Fails if they are not an array.
    fn scan_elements(&mut self, scan: &mut ArrayScan) -> Result<(), ReadError> {
        loop {
            let mut element = if let Some(element) = scan.element {
                element
            } else {
                if !self.seek_element(scan)? {
                    return Ok(());
                }
                IncompleteElement { start: self.scanned, line: self.line, end: ValueEnd::default() }
            };
            let unseen = self.rest.filled().get(self.scanned..).unwrap_or_default();
            let found = element.end.find(unseen);
            let taken = found.unwrap_or(unseen.len());
            self.line += memchr_iter(b'\n', unseen.get(..taken).unwrap_or_default()).count() as u64;
            self.scanned += taken;
            if found.is_none() {
                scan.element = Some(element);
                return Ok(());
            }
            scan.element = None;
            scan.state = scan.state.after_element();
            self.spans.push(Span { start: element.start, end: self.scanned, line: element.line, problem: None });
        }
    }

    /// Reads a chunk of records of CSV or LDIF, as JSON.
    fn next_records(&mut self, chunk: &mut Chunk) -> Result<bool, ReadError> {
        chunk.data.clear();
        while chunk.data.len() < CHUNK_BYTES {
            let found = match &mut self.splitter {
                Splitter::Csv(csv) => csv.next(&mut self.record)?,
                Splitter::Ldif(ldif) => ldif.next(&mut self.record)?,
                Splitter::Lines(_) | Splitter::Array(..) => false,
            };
            if !found {
                break;
            }
            let start = chunk.data.len();
            chunk.data.extend(&self.record.bytes);
            let end = chunk.data.len();
            // Separates the tokens of rows in the index.
            chunk.data.extend(b"\n");
            self.spans.push(Span { start, end, line: self.record.line, problem: self.record.problem.take() });
        }
        self.rows += self.spans.len() as u64;
        let more = !self.spans.is_empty();
        chunk.layout = RowLayout::Spans(std::mem::take(&mut self.spans));
        Ok(more)
    }
}

/// Opens a CSV file and assigns its columns to attributes.
fn open_csv(input: TextInput, assignment: ColumnAssignment, options: &ReadOptions) -> Result<CsvReader, ReadError> {
    let is_known = |name: &str| {
        let assigned = assignment(&[name.to_owned()]);
        assigned
            .iter()
            .flatten()
            .any(|(steps, _)| matches!(steps.first(), Some(Step::Member(root)) if uie_core::user::find(root).is_some()))
    };
    let mut csv = CsvReader::open(input, &is_known)?;
    let names = options.column_names.as_deref();
    if names.is_none() && csv.single_first_cell().is_some_and(is_address) {
        // A list of addresses without a header. Cannot fail: no other column is assigned.
        let _ = csv.assign(0, vec![Step::Member("email".to_owned())], Target::Text);
        return Ok(csv);
    }
    let names = match names {
        Some(names) => {
            csv.set_columns(names.len());
            names.to_vec()
        }
        None => csv.read_header()?,
    };
    for (column, assigned) in assignment(&names).into_iter().enumerate() {
        let Some((steps, target)) = assigned else {
            csv.set_unnamed(column);
            continue;
        };
        if let Err(other) = csv.assign(column, steps, target) {
            return Err(ReadError::SameAttribute(column + 1, other.unwrap_or(column) + 1));
        }
    }
    csv.detect_guards(csv.column_of("email").or_else(|| csv.column_of("user_id")).unwrap_or(usize::MAX));
    Ok(csv)
}

/// Returns whether the only cell of a line is an e-mail address rather than the name of a column.
fn is_address(cell: &str) -> bool {
    cell.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
}

/// Returns whether a line of the text starts with a member of an object, which no record of CSV does.
fn has_json_line(text: &[u8]) -> bool {
    memchr_iter(b'\n', text).any(|at| {
        let line = text.get(at + 1..).unwrap_or_default().trim_ascii_start();
        line.starts_with(b"{\"") && !line.starts_with(b"{\"\"")
    })
}
