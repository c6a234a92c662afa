//! The stages of an export on several threads: read -> columns -> sort -> encode -> write.
//!
//! All threads run the same loop: take the next chunk of rows from the reader, compute and encode it, wait until all
//! earlier chunks are written, and pass it to the collector. So rows keep their order, and memory is limited to one
//! chunk per thread and the memory of the sort.

use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::csv_columns;
use super::encode::{CellSource, ComputedRow, MissingEmail, ProjectedCells, TreeCells, UserText};
use super::input::{InputFile, Inputs};
use super::request::OnError;
use super::row_messages::{describe_problem, describe_unreadable};
use super::sort::{Sorter, write_key};
use super::spec::{ExportSpec, Reading};
use super::summary::ExportSummary;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::progress::Progress;
use uie_expression::{Evaluator, RowValues};
use uie_json::{Cell, Cursor, Json, Path, Projection, RowBuffer, StructuralIndex};
use uie_records::{Chunk, ColumnAssignment, Peeked, RowProblem, Rows};

/// Typical number of users in a chunk, for initial capacities.
const TYPICAL_CHUNK_ROWS: usize = 256;

/// Number of faults whose messages are kept; further faults are only counted.
const MAX_FAULT_MESSAGES: usize = 20;

/// Where the rows of an export come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A file of the user: an unreadable row is a fault of that row.
    File,
    /// A tenant: if a row is unreadable, or there are fewer rows than the search counted, the tenant's response is
    /// damaged.
    Tenant {
        /// Minimum number of rows that the search counted.
        counted: u64,
    },
}

impl Origin {
    /// Returns the message of a fault with the place of its row before it.
    fn locate(self, fault: &Fault, file: Option<&str>) -> Message {
        let Fault { number, message, .. } = fault;
        let place = match self {
            Self::File => message!("line {number}"),
            Self::Tenant { .. } => message!("row {number}"),
        };
        if let Some(file) = file { message!("{file}, {place}: {message}") } else { message!("{place}: {message}") }
    }

    /// Returns how the columns of CSV become attributes; `None` if the rows cannot be CSV.
    fn csv(self) -> Option<ColumnAssignment> {
        match self {
            Self::File => Some(csv_columns::assign_columns),
            Self::Tenant { .. } => None,
        }
    }

    /// Fails with [`Code::Auth0ExportLost`] if a tenant returned fewer rows than its search counted.
    ///
    /// The search index is updated with a delay (docs/query.md), and users may be deleted while an export runs: a tenth
    /// of the users, or ten, may be missing. An export without users is never complete if the search found users.
    fn check_count(self, rows: u64) -> Result<()> {
        let Self::Tenant { counted } = self else { return Ok(()) };
        let missing = counted.saturating_sub(rows);
        if (rows == 0 && counted > 0) || missing > 10.max(counted / 10) {
            let message = message!("The export ended after {rows} users, but the search counted at least {counted}.");
            return Err(Error::new(Code::Auth0ExportLost, message));
        }
        Ok(())
    }
}

/// Runs an export: reads users from `inputs`, in order, and writes the file to `output`.
///
/// Fails with [`Code::Auth0ExportLost`] if the rows of a tenant are damaged or incomplete.
pub(super) fn run(
    spec: &ExportSpec,
    inputs: Vec<InputFile>,
    origin: Origin,
    output: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<ExportSummary> {
    let pipeline = Pipeline {
        spec,
        origin,
        progress,
        reader: Mutex::new(Reader { inputs: Inputs::new(inputs, origin.csv()), next: 0, ended: false }),
        ordered_output: Mutex::new(OrderedOutput { next: 0, collector: Collector::new(spec, output)?, failure: None }),
        advanced: Condvar::new(),
        stopped: AtomicBool::new(false),
        names: spec.computed_names(),
        user_id: Path::attribute("user_id"),
    };
    if spec.threads == 1 {
        pipeline.run_worker();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..spec.threads {
                scope.spawn(|| pipeline.run_worker());
            }
            pipeline.run_worker();
        });
    }
    let ordered_output = pipeline.ordered_output.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = ordered_output.failure {
        return Err(error);
    }
    let reader = pipeline.reader.into_inner().unwrap_or_else(PoisonError::into_inner);
    // If the limit was reached, the rest of the input was not read and cannot be counted.
    if reader.ended && !pipeline.stopped.into_inner() {
        origin.check_count(reader.inputs.rows())?;
    }
    let warnings = reader.inputs.finish();
    Ok(ExportSummary { warnings, ..ordered_output.collector.finish(progress)? })
}

/// The state that all threads of an export share.
struct Pipeline<'a> {
    spec: &'a ExportSpec,
    origin: Origin,
    progress: &'a Progress,
    reader: Mutex<Reader>,
    ordered_output: Mutex<OrderedOutput<'a>>,
    /// Notified when `ordered_output.next` changes or the pipeline stops.
    advanced: Condvar,
    /// Set when no more chunks are needed: the limit is reached, or an error occurred.
    stopped: AtomicBool,
    /// Names of the computed formulas in messages.
    names: Vec<Message>,
    user_id: Path,
}

struct Reader {
    inputs: Inputs,
    /// Number of the next chunk.
    next: u64,
    ended: bool,
}

/// Accepts the chunks in the order of their numbers.
struct OrderedOutput<'a> {
    /// Number of the chunk that is written next.
    next: u64,
    collector: Collector<'a>,
    failure: Option<Error>,
}

/// The rows of a chunk, encoded.
#[derive(Default)]
struct EncodedChunk {
    bytes: Vec<u8>,
    /// The end of each row in `bytes`.
    ends: Vec<usize>,
    /// Sort keys, and the end of each.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    faults: Vec<Fault>,
    /// Number of the first row that is not a user.
    unreadable: Option<u64>,
    /// Name of the file of the rows; `None` if the export has one file.
    file: Option<Arc<str>>,
}

/// A row that cannot be written, or a cell that cannot be computed.
struct Fault {
    /// Number of valid rows of the chunk before it.
    before: u64,
    /// The row's number.
    number: u64,
    message: Message,
    /// Whether the row is omitted; otherwise one of its cells is empty.
    whole_row: bool,
}

impl EncodedChunk {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.faults.clear();
        self.unreadable = None;
        self.file = None;
    }

    /// Adds the fault of a row that is not a user.
    fn add_unreadable(&mut self, number: u64, message: Message) {
        self.unreadable.get_or_insert(number);
        self.add_fault(number, message);
    }

    /// Adds the fault of a row that is omitted.
    fn add_fault(&mut self, number: u64, message: Message) {
        let before = self.ends.len() as u64;
        self.faults.push(Fault { before, number, message, whole_row: true });
    }

    /// Adds the fault of a cell of the next row.
    fn add_cell_fault(&mut self, number: u64, message: Message) {
        let before = self.ends.len() as u64;
        self.faults.push(Fault { before, number, message, whole_row: false });
    }
}

/// The outcome of reading a row on the fast path.
enum FastRow<'r> {
    /// The user does not match the filter.
    Filtered,
    /// The row's line, and its text; the values are in the row buffer.
    Projected(u64, UserText<'r>),
    /// The row must be read on the slow path.
    SlowPath(u64, std::result::Result<&'r [u8], RowProblem>),
}

/// A row that was read, until its cells are computed.
enum BufferedRow<'r> {
    /// The row's text, and its index in the row buffer.
    Projected(UserText<'r>, usize),
    Tree(&'r str, Json<'r>),
    /// Why the row cannot be read.
    Unreadable(Message),
}

/// Stops the other threads if a thread panics, so that they do not wait for it.
struct StopOnPanic<'a, 'b>(&'a Pipeline<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'a> Pipeline<'a> {
    /// Processes chunks until the input ends or the pipeline stops.
    fn run_worker(&self) {
        let _guard = StopOnPanic(self);
        let mut chunk = Chunk::default();
        let mut encoded = EncodedChunk::default();
        let mut index = StructuralIndex::default();
        let mut evaluator = Evaluator::new(self.spec.formulas());
        loop {
            encoded.clear();
            let Some((number, read)) = self.next_chunk(&mut chunk, &mut encoded) else { return };
            if read.is_ok() {
                self.encode(&chunk, &mut index, &mut evaluator, &mut encoded);
            }
            let Some(mut ordered_output) = self.wait_for_turn(number) else { return };
            let written = read
                .map_err(|error| self.read_error(error))
                .and_then(|()| self.check_readable(&encoded))
                .and_then(|()| ordered_output.collector.write_chunk(&encoded, self.origin));
            ordered_output.next += 1;
            match written {
                Ok(chunk) => {
                    self.progress.add_processed(chunk.rows);
                    if chunk.limit_reached {
                        self.stop();
                    }
                }
                Err(error) => {
                    ordered_output.failure = Some(error);
                    self.stop();
                }
            }
            drop(ordered_output);
            self.advanced.notify_all();
        }
    }

    /// Converts an error of reading. A damaged file from a tenant becomes [`Code::Auth0ExportLost`].
    fn read_error(&self, error: Error) -> Error {
        match self.origin {
            Origin::Tenant { .. } if error.code == Code::InvalidUsersFile => {
                Error::new(Code::Auth0ExportLost, error.message)
            }
            _ => error,
        }
    }

    /// Fails with [`Code::Auth0ExportLost`] if a tenant sent a row that is not a user.
    fn check_readable(&self, encoded: &EncodedChunk) -> Result<()> {
        match (self.origin, encoded.unreadable) {
            (Origin::Tenant { .. }, Some(row)) => Err(Error::new(
                Code::Auth0ExportLost,
                message!(
                    "Row {row} of the tenant's answer is not a user; the {before} rows before it are.",
                    before = row - 1
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Reads the next chunk and returns its number. `None` at the end. An error has a number too: it is reported after
    /// all earlier chunks, unless they reach the limit.
    fn next_chunk(&self, chunk: &mut Chunk, encoded: &mut EncodedChunk) -> Option<(u64, Result<()>)> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.ended || self.stopped.load(Ordering::Acquire) {
            return None;
        }
        let reader = &mut *reader;
        let read = self.progress.check().and_then(|()| reader.inputs.next_chunk(chunk));
        encoded.file = reader.inputs.file();
        let number = reader.next;
        reader.next += 1;
        reader.ended = !matches!(read, Ok(true));
        match read {
            Ok(true) => Some((number, Ok(()))),
            Ok(false) => None,
            Err(error) => Some((number, Err(error))),
        }
    }

    fn encode(
        &self,
        chunk: &Chunk,
        index: &mut StructuralIndex,
        evaluator: &mut Evaluator,
        encoded: &mut EncodedChunk,
    ) {
        if !evaluator.is_idle() {
            self.encode_computed(chunk, index, evaluator, encoded);
        } else if let Some(projection) = &self.spec.projection {
            self.encode_projected(chunk, projection, index, encoded);
        } else {
            for (line, row) in chunk.rows() {
                self.encode_row(line, row, encoded);
            }
        }
    }

    /// Encodes a chunk on the fast path: each row is read into a row buffer. Rows for which that is not possible take
    /// the slow path through a tree, which also has the error messages.
    fn encode_projected(
        &self,
        chunk: &Chunk,
        projection: &Projection,
        index: &mut StructuralIndex,
        encoded: &mut EncodedChunk,
    ) {
        let mut buffer = projection.new_buffer();
        let mut rows = chunk.rows();
        let mut cursor = self.index_cursor(chunk, &rows, index);
        while let Some(next) = self.next_row(&mut rows, projection, cursor.as_mut(), &mut buffer) {
            match next {
                FastRow::Filtered => {}
                FastRow::Projected(line, text) => {
                    let user = projection.last_row(&buffer);
                    if self.write(line, text, &user, encoded) && self.spec.sort.is_some() {
                        write_key(&user.cell(self.sort_index()), &mut encoded.keys);
                        encoded.key_ends.push(encoded.keys.len());
                    }
                }
                FastRow::SlowPath(line, row) => self.encode_row(line, row, encoded),
            }
        }
    }

    /// Returns the index of the sort key's path in the projection.
    fn sort_index(&self) -> usize {
        self.spec.encoder.shape.columns().len()
    }

    /// Returns a cursor over the structural index of the chunk. `None` if the chunk cannot be indexed or the index is
    /// switched off.
    fn index_cursor<'r, 'i>(
        &self,
        chunk: &'i Chunk,
        rows: &Rows<'r>,
        index: &'i mut StructuralIndex,
    ) -> Option<Cursor<'r, 'i>> {
        if self.spec.reading == Reading::Index { chunk.cursor(rows, index) } else { None }
    }

    /// Takes the next row. If it matches the filter, it is read into the row buffer if possible. `None` at the end.
    #[inline]
    fn next_row<'r>(
        &self,
        rows: &mut Rows<'r>,
        projection: &Projection,
        mut cursor: Option<&mut Cursor<'r, '_>>,
        buffer: &mut RowBuffer<'r>,
    ) -> Option<FastRow<'r>> {
        let spec = self.spec;
        let Some(peeked) = rows.peek() else { return rows.next().map(|(line, row)| FastRow::SlowPath(line, row)) };
        // Most users fail a filter, and most filters need few attributes: read only those first.
        // `None`: slow path; `Some(None)`: the user matches; `Some(Some(end))`: the user does not match.
        let filtered = match (&spec.filter, peeked) {
            (None, _) => Some(None),
            (Some(filter), Peeked::Line(text, at)) => {
                let (read, after) = match &cursor {
                    // Use a copy of the cursor, because a user that matches is read again.
                    Some(cursor) => {
                        let mut fork = cursor.fork();
                        (spec.filter_mask.parse_indexed_line(&mut fork, at), Some(fork))
                    }
                    None => (spec.filter_mask.parse_line(text, at), None),
                };
                read.map(|(user, end)| {
                    let failed = !filter.matches(&user);
                    if let (true, Some(cursor), Some(after)) = (failed, &mut cursor, after) {
                        **cursor = after;
                    }
                    failed.then_some(end)
                })
            }
            (Some(filter), Peeked::Element { text, start, end }) => {
                let (read, after) = match &cursor {
                    Some(cursor) => {
                        let mut fork = cursor.fork();
                        (spec.filter_mask.parse_indexed_element(&mut fork, start, end), Some(fork))
                    }
                    None => (text.get(start..end).and_then(|text| spec.filter_mask.parse_whole(text)), None),
                };
                read.map(|user| {
                    let failed = !filter.matches(&user);
                    if let (true, Some(cursor), Some(after)) = (failed, &mut cursor, after) {
                        **cursor = after;
                    }
                    failed.then_some(end)
                })
            }
        };
        if let Some(Some(end)) = filtered {
            rows.advance(end);
            return Some(FastRow::Filtered);
        }
        let (text, scanned) = match peeked {
            Peeked::Line(text, at) => match cursor {
                Some(cursor) => (text, projection.parse_indexed_line(cursor, at, buffer)),
                None => (text, projection.parse_line(text, at, buffer)),
            },
            Peeked::Element { text, start, end } => {
                if let Some(cursor) = cursor {
                    (text, projection.parse_indexed_element(cursor, start, end, buffer))
                } else {
                    let text = text.get(start..end).unwrap_or_default();
                    (text, projection.parse_whole(text, buffer))
                }
            }
        };
        let Some(scanned) = scanned.filter(|_| filtered.is_some()) else {
            return rows.next().map(|(line, row)| FastRow::SlowPath(line, row));
        };
        let line = rows.advance(scanned.row_end);
        let text = text.get(scanned.start..scanned.end).unwrap_or_default();
        Some(FastRow::Projected(line, UserText { text, has_whitespace: scanned.has_whitespace }))
    }

    /// Encodes a chunk if some formulas are computed: reads all rows first, because transforms take many rows per call.
    fn encode_computed(
        &self,
        chunk: &Chunk,
        index: &mut StructuralIndex,
        evaluator: &mut Evaluator,
        encoded: &mut EncodedChunk,
    ) {
        let mut rows = Vec::with_capacity(TYPICAL_CHUNK_ROWS);
        let mut all = chunk.rows();
        let mut buffer = None;
        if let Some(projection) = &self.spec.projection {
            let buffer = buffer.insert(projection.new_buffer_for(TYPICAL_CHUNK_ROWS));
            let mut cursor = self.index_cursor(chunk, &all, index);
            while let Some(next) = self.next_row(&mut all, projection, cursor.as_mut(), buffer) {
                match next {
                    FastRow::Filtered => {}
                    FastRow::Projected(line, text) => {
                        rows.push((line, BufferedRow::Projected(text, projection.keep_row(buffer))));
                    }
                    FastRow::SlowPath(line, row) => rows.extend(self.buffer_row(line, row)),
                }
            }
        } else {
            rows.extend(all.filter_map(|(line, row)| self.buffer_row(line, row)));
        }
        let projected = |number: usize| Some(self.spec.projection.as_ref()?.kept_row(number, buffer.as_ref()?));
        let users: Vec<RowValues<'_, '_>> = rows
            .iter()
            .filter_map(|(_, buffered)| match buffered {
                BufferedRow::Projected(_, number) => projected(*number).map(RowValues::View),
                BufferedRow::Tree(_, user) => Some(RowValues::Tree(user)),
                BufferedRow::Unreadable(_) => None,
            })
            .collect();
        let computed = evaluator.compute(&users);
        let faults = computed.iter().enumerate();
        let faults = faults.flat_map(|(formula, cells)| cells.faults().map(move |(row, fault)| (row, formula, fault)));
        let mut faults: Vec<_> = faults.collect();
        faults.sort_by_key(|(row, ..)| *row);
        let mut faults = faults.into_iter().peekable();
        let mut users = users.iter();
        let mut row = 0;
        for (line, buffered) in &rows {
            let text = match buffered {
                BufferedRow::Projected(text, _) => *text,
                BufferedRow::Tree(text, _) => UserText { text, has_whitespace: true },
                BufferedRow::Unreadable(message) => {
                    encoded.add_unreadable(*line, message.clone());
                    continue;
                }
            };
            let Some(user) = users.next() else { break };
            let computed = ComputedRow { cells: &computed, row };
            row += 1;
            while let Some((_, formula, fault)) = faults.next_if(|(row, ..)| *row == computed.row) {
                let name = self.names.get(formula).cloned().unwrap_or_else(|| Message::verbatim(""));
                let (transform, reason) = (&fault.transform, &fault.message);
                let message = if let Some(id) = self.evaluate_user_id(*user) {
                    message!("user {id}, {name}: {transform}: {reason}")
                } else {
                    message!("{name}: {transform}: {reason}")
                };
                encoded.add_cell_fault(*line, message);
            }
            match *user {
                RowValues::Tree(user) => self.write_tree(*line, text, user, computed, encoded),
                RowValues::View(user) => {
                    let written = self.write(*line, text, &ProjectedCells { user, computed }, encoded);
                    if let Some(sort) = self.spec.sort.as_ref().filter(|_| written) {
                        let key = match sort.computed_index {
                            Some(index) => computed.cell(index),
                            None => user.cell(self.sort_index()),
                        };
                        write_key(&key, &mut encoded.keys);
                        encoded.key_ends.push(encoded.keys.len());
                    }
                }
            }
        }
    }

    /// Reads a row on the slow path, to be written later. `None` if the user does not match the filter.
    fn buffer_row<'r>(
        &self,
        line: u64,
        row: std::result::Result<&'r [u8], RowProblem>,
    ) -> Option<(u64, BufferedRow<'r>)> {
        let buffered = match self.read(row) {
            Ok(user) => user.map(|(text, user)| BufferedRow::Tree(text, user))?,
            Err(message) => BufferedRow::Unreadable(message),
        };
        Some((line, buffered))
    }

    /// Reads and writes a row on the slow path, if no formulas are computed.
    fn encode_row(&self, line: u64, row: std::result::Result<&[u8], RowProblem>, encoded: &mut EncodedChunk) {
        match self.read(row) {
            Ok(Some((text, user))) => {
                self.write_tree(line, UserText { text, has_whitespace: true }, &user, ComputedRow::NONE, encoded);
            }
            Ok(None) => {}
            Err(message) => encoded.add_unreadable(line, message),
        }
    }

    /// Returns the user's id for a message; `None` if the user has no id.
    fn evaluate_user_id(&self, user: RowValues<'_, '_>) -> Option<String> {
        let id = match user {
            RowValues::Tree(user) => self.user_id.evaluate(user),
            // The user's id is the last path of the projection.
            RowValues::View(user) => user.last_cell(),
        };
        match id {
            Cell::Text(id) => Some(id.into_owned()),
            _ => None,
        }
    }

    /// Reads the needed attributes of a row. `None` if the user does not match the filter. Fails with a message if the
    /// row is not a user.
    fn read<'r>(
        &self,
        row: std::result::Result<&'r [u8], RowProblem>,
    ) -> std::result::Result<Option<(&'r str, Json<'r>)>, Message> {
        let spec = self.spec;
        let row = row.map_err(|problem| describe_problem(&problem))?;
        let (text, user) = spec
            .encoder
            .read(row, &spec.wanted, spec.needs_values())
            .map_err(|unreadable| describe_unreadable(row, &unreadable))?;
        let matches = spec.filter.as_ref().is_none_or(|filter| filter.matches(&user));
        Ok(matches.then_some((text, user)))
    }

    fn write_tree(
        &self,
        line: u64,
        text: UserText<'_>,
        user: &Json<'_>,
        computed: ComputedRow<'_>,
        encoded: &mut EncodedChunk,
    ) {
        let written = self.write(line, text, &TreeCells { user, computed }, encoded);
        if let Some(sort) = self.spec.sort.as_ref().filter(|_| written) {
            write_key(&computed.formula_cell(&sort.formula, sort.computed_index, user), &mut encoded.keys);
            encoded.key_ends.push(encoded.keys.len());
        }
    }

    /// Writes a row, or adds a fault if that is not possible. Returns whether it was written.
    fn write(&self, line: u64, text: UserText<'_>, cells: &impl CellSource, encoded: &mut EncodedChunk) -> bool {
        let start = encoded.bytes.len();
        if let Err(MissingEmail) = self.spec.encoder.write_row(text, cells, &mut encoded.bytes) {
            encoded.bytes.truncate(start);
            encoded.add_fault(line, message!("the user has no e-mail address, which an import needs"));
            return false;
        }
        encoded.ends.push(encoded.bytes.len());
        true
    }

    /// Waits until all chunks before this one are written. `None` if the pipeline stopped.
    fn wait_for_turn(&self, number: u64) -> Option<MutexGuard<'_, OrderedOutput<'a>>> {
        let ordered_output = self.ordered_output.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |ordered_output: &mut OrderedOutput<'_>| {
            ordered_output.next != number && !self.stopped.load(Ordering::Acquire)
        };
        let ordered_output = self.advanced.wait_while(ordered_output, waiting).unwrap_or_else(PoisonError::into_inner);
        (!self.stopped.load(Ordering::Acquire)).then_some(ordered_output)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.advanced.notify_all();
    }
}

/// The result of writing a chunk.
struct ChunkResult {
    /// Number of processed rows, written or omitted.
    rows: u64,
    /// Whether the limit is reached.
    limit_reached: bool,
}

/// Receives encoded rows in order and passes them to the output, or to the sort.
struct Collector<'a> {
    spec: &'a ExportSpec,
    sink: Sink,
    sorter: Option<Sorter>,
    written: u64,
    faults: u64,
    cells: u64,
    first_faults: Vec<Message>,
}

impl<'a> Collector<'a> {
    fn new(spec: &'a ExportSpec, output: Box<dyn Write + Send>) -> Result<Self> {
        let mut sink = Sink::new(output, spec.gzip);
        let mut start = Vec::new();
        spec.encoder.write_start(&mut start);
        sink.write(&start)?;
        let sorter =
            spec.sort.as_ref().map(|sort| Sorter::new(sort.descending, spec.sort_memory, spec.spill_directory.clone()));
        Ok(Self { spec, sink, sorter, written: 0, faults: 0, cells: 0, first_faults: Vec::new() })
    }

    /// Writes the rows of a chunk up to the limit. Fails at the first fault if the request says so.
    fn write_chunk(&mut self, encoded: &EncodedChunk, origin: Origin) -> Result<ChunkResult> {
        let rows = encoded.ends.len() as u64;
        // A limit counts sorted rows, so all rows must be read first.
        let limit = self.spec.limit.filter(|_| self.sorter.is_none());
        let left = limit.map(|limit| limit - self.written);
        let wanted = left.map_or(rows, |left| rows.min(left));
        let (mut faults, mut lost_rows) = (0, 0);
        for fault in encoded.faults.iter().filter(|fault| left.is_none_or(|left| fault.before < left)) {
            if self.spec.on_error == OnError::Fail {
                let fault = origin.locate(fault, encoded.file.as_deref());
                return Err(Error::new(Code::RowFault, message!("The export stopped at {fault}.")));
            }
            faults += 1;
            lost_rows += u64::from(fault.whole_row);
            if self.first_faults.len() < MAX_FAULT_MESSAGES {
                self.first_faults.push(origin.locate(fault, encoded.file.as_deref()));
            }
        }
        self.faults += faults;
        self.cells += faults - lost_rows;
        if let Some(sorter) = &mut self.sorter {
            let (mut row, mut key) = (0, 0);
            for (row_end, key_end) in encoded.ends.iter().zip(&encoded.key_ends) {
                sorter.push(
                    encoded.keys.get(key..*key_end).unwrap_or_default(),
                    encoded.bytes.get(row..*row_end).unwrap_or_default(),
                )?;
                (row, key) = (*row_end, *key_end);
            }
        } else {
            let end = match usize::try_from(wanted).unwrap_or(usize::MAX).checked_sub(1) {
                Some(last) => encoded.ends.get(last).copied().unwrap_or(encoded.bytes.len()),
                None => 0,
            };
            write_rows(&mut self.sink, self.spec, self.written, encoded.bytes.get(..end).unwrap_or_default())?;
            self.written += wanted;
        }
        Ok(ChunkResult { rows: wanted + lost_rows, limit_reached: limit == Some(self.written) })
    }

    fn finish(mut self, progress: &Progress) -> Result<ExportSummary> {
        let sorter = self.sorter.take();
        let Self { spec, sink, written, .. } = &mut self;
        if let Some(sorter) = sorter {
            sorter.finish(|row| {
                if written.is_multiple_of(1024) {
                    progress.check()?;
                }
                write_rows(sink, spec, *written, row)?;
                *written += 1;
                Ok(spec.limit != Some(*written))
            })?;
        }
        let mut end = Vec::new();
        self.spec.encoder.write_end(self.written, &mut end);
        self.sink.write(&end)?;
        self.sink.finish()?;
        Ok(ExportSummary {
            rows: self.written,
            faults: self.faults,
            cells: self.cells,
            first_faults: self.first_faults,
            warnings: Vec::new(),
        })
    }
}

/// Writes encoded rows; `before` is the number of rows already written.
fn write_rows(sink: &mut Sink, spec: &ExportSpec, before: u64, rows: &[u8]) -> Result<()> {
    let skip = if before == 0 { spec.encoder.first_row_prefix() } else { 0 };
    sink.write(rows.get(skip..).unwrap_or_default())
}

/// The output file, optionally compressed.
enum Sink {
    Plain(BufWriter<Box<dyn Write + Send>>),
    Gzip(Box<GzEncoder<BufWriter<Box<dyn Write + Send>>>>),
}

impl Sink {
    fn new(output: Box<dyn Write + Send>, gzip: bool) -> Self {
        let output = BufWriter::with_capacity(64 * 1024, output);
        if gzip { Self::Gzip(Box::new(GzEncoder::new(output, Compression::default()))) } else { Self::Plain(output) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Plain(output) => output.write_all(bytes),
            Self::Gzip(output) => output.write_all(bytes),
        }
        .map_err(write_error)
    }

    fn finish(self) -> Result<()> {
        let mut output = match self {
            Self::Plain(output) => output,
            Self::Gzip(output) => output.finish().map_err(write_error)?,
        };
        output.flush().map_err(write_error)
    }
}

fn write_error(error: std::io::Error) -> Error {
    let mut error = Error::from(error);
    error.message = message!("The export cannot be written: {reason}", reason = error.message);
    error
}
