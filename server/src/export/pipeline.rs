//! The stages of an export on their threads: read -> columns -> sort -> encode -> write.
//!
//! Every thread does the same: it takes the next chunk of rows from the reader, computes and encodes it,
//! waits for its turn and hands it to the collector. So rows keep their order, and no more is ever in
//! memory than one chunk per thread and what the sort may keep.

use std::io::{BufWriter, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::encode::{Computed, Given, NoEmail, Text, Tree, Values};
use super::input::{Ahead, Chunk, Input, LONGEST_ROW, Rows};
use super::sort::{Sorter, write_key};
use super::{ExportSpec, ExportSummary, OnError, Reading};
use crate::error::{Code, Error, Result};
use crate::expression::{Attributes, Cell, Evaluator, Index, Json, Layout, Path, Slots, Walker, read};
use crate::progress::Progress;

/// About so many users are in a chunk; room for more is made when there are more.
const USUAL_ROWS: usize = 256;

/// So many faults are kept in words; the others are only counted.
const FAULTS_KEPT: usize = 20;

/// Where the rows of an export come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A file of the user: a row that cannot be read is a fault of that row.
    File,
    /// A tenant: a row that cannot be read, or fewer rows than the search counted, mean that the tenant's answer is
    /// damaged.
    Tenant {
        /// How many rows the search counted, at least.
        counted: u64,
    },
}

impl Origin {
    /// What the number of a row means to the reader of a fault.
    fn unit(self) -> &'static str {
        match self {
            Self::File => "line",
            Self::Tenant { .. } => "row",
        }
    }

    /// Fails with [`Code::Auth0ExportLost`] when a tenant gave fewer rows than its search counted.
    ///
    /// The search lags behind the users (docs/query.md), and users may be deleted while an export runs: a tenth of
    /// the users, or ten, may be missing. Nothing at all never counts as complete where the search found users.
    fn check_count(self, rows: u64) -> Result<()> {
        let Self::Tenant { counted } = self else { return Ok(()) };
        let missing = counted.saturating_sub(rows);
        if (rows == 0 && counted > 0) || missing > 10.max(counted / 10) {
            let message = format!("The export ended after {rows} users, but the search counted at least {counted}.");
            return Err(Error::new(Code::Auth0ExportLost, message));
        }
        Ok(())
    }
}

/// Runs an export from bytes to bytes.
///
/// Fails with [`Code::Auth0ExportLost`] when the rows of a tenant are damaged or incomplete.
pub(super) fn run(
    spec: &ExportSpec,
    input: Box<dyn Read + Send>,
    origin: Origin,
    output: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<ExportSummary> {
    let shared = Shared {
        spec,
        origin,
        progress,
        reader: Mutex::new(Reader { input: Input::new(input)?, next: 0, ended: false }),
        turn: Mutex::new(Turn { next: 0, collector: Collector::new(spec, output)?, failure: None }),
        changed: Condvar::new(),
        stopped: AtomicBool::new(false),
        names: spec.computed_names(),
        user_id: Path::attribute("user_id"),
    };
    if spec.threads == 1 {
        shared.work();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..spec.threads {
                scope.spawn(|| shared.work());
            }
            shared.work();
        });
    }
    let turn = shared.turn.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = turn.failure {
        return Err(error);
    }
    let reader = shared.reader.into_inner().unwrap_or_else(PoisonError::into_inner);
    // With enough rows the rest is not read, so nothing is known of it.
    if reader.ended && !shared.stopped.into_inner() {
        origin.check_count(reader.input.rows())?;
    }
    turn.collector.finish(progress)
}

struct Shared<'a> {
    spec: &'a ExportSpec,
    origin: Origin,
    progress: &'a Progress,
    reader: Mutex<Reader>,
    turn: Mutex<Turn<'a>>,
    changed: Condvar,
    /// No more chunks are wanted: enough rows, or a failure.
    stopped: AtomicBool,
    /// What the computed formulas are called in a fault.
    names: Vec<String>,
    user_id: Path,
}

struct Reader {
    input: Input,
    /// Number of the next chunk.
    next: u64,
    ended: bool,
}

struct Turn<'a> {
    /// Number of the chunk whose turn it is.
    next: u64,
    collector: Collector<'a>,
    failure: Option<Error>,
}

/// The rows of a chunk, encoded.
#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    /// Where each row ends in `bytes`.
    ends: Vec<usize>,
    /// Sort keys, and where each ends.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    faults: Vec<Fault>,
    /// The number of the first row that is not a user at all.
    unreadable: Option<u64>,
}

/// A row that cannot be written, or a cell that cannot be computed.
struct Fault {
    /// How many good rows of the chunk stand before it.
    before: u64,
    /// The row's number.
    number: u64,
    message: String,
    /// Whether the row is left out; otherwise one of its cells is empty.
    whole_row: bool,
}

impl Encoded {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.faults.clear();
        self.unreadable = None;
    }

    /// A row that is not a user.
    fn unreadable(&mut self, number: u64, message: String) {
        self.unreadable.get_or_insert(number);
        self.fault(number, message);
    }

    fn fault(&mut self, number: u64, message: impl Into<String>) {
        let before = self.ends.len() as u64;
        self.faults.push(Fault { before, number, message: message.into(), whole_row: true });
    }

    /// A cell of the row that is about to be written.
    fn cell_fault(&mut self, number: u64, message: String) {
        let before = self.ends.len() as u64;
        self.faults.push(Fault { before, number, message, whole_row: false });
    }
}

/// What became of a row on the quick way.
enum Next<'r> {
    /// The filter does not find the user.
    Failed,
    /// It was read into slots.
    Slots(u64, Text<'r>),
    /// It must go the other way.
    Other(u64, Option<&'r [u8]>),
}

/// A row that was read, and waits for what is computed.
enum Held<'r> {
    /// Into slots: which of the kept ones.
    Slots(Text<'r>, usize),
    Tree(&'r str, Json<'r>),
    /// It cannot be read: why.
    Nothing(String),
}

/// Stops the others when a thread ends in a panic, so that none waits for it.
struct StopOnPanic<'a, 'b>(&'a Shared<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl<'a> Shared<'a> {
    fn work(&self) {
        let _guard = StopOnPanic(self);
        let mut chunk = Chunk::default();
        let mut encoded = Encoded::default();
        let mut index = Index::default();
        let mut evaluator = Evaluator::new(self.spec.formulas());
        loop {
            let Some((number, read)) = self.next_chunk(&mut chunk) else { return };
            encoded.clear();
            if read.is_ok() {
                self.encode(&chunk, &mut index, &mut evaluator, &mut encoded);
            }
            let Some(mut turn) = self.wait(number) else { return };
            let taken = read
                .map_err(|error| self.lost(error))
                .and_then(|()| self.check_readable(&encoded))
                .and_then(|()| turn.collector.take(&encoded, self.origin.unit()));
            turn.next += 1;
            match taken {
                Ok(taken) => {
                    self.progress.add_processed(taken.rows);
                    if taken.enough {
                        self.stop();
                    }
                }
                Err(error) => {
                    turn.failure = Some(error);
                    self.stop();
                }
            }
            drop(turn);
            self.changed.notify_all();
        }
    }

    /// An error of reading. In what a tenant sent, damage means that its answer was lost.
    fn lost(&self, error: Error) -> Error {
        match self.origin {
            Origin::Tenant { .. } if error.code == Code::InvalidUsersFile => {
                Error::new(Code::Auth0ExportLost, error.message)
            }
            _ => error,
        }
    }

    fn check_readable(&self, encoded: &Encoded) -> Result<()> {
        match (self.origin, encoded.unreadable) {
            (Origin::Tenant { .. }, Some(row)) => Err(Error::new(
                Code::Auth0ExportLost,
                format!("Row {row} of the tenant's answer is not a user; the {} rows before it are.", row - 1),
            )),
            _ => Ok(()),
        }
    }

    /// Reads the next chunk and numbers it; nothing at the end. A failure has a number too: it counts
    /// only once all rows before it are done, since they may be all that is wanted.
    fn next_chunk(&self, chunk: &mut Chunk) -> Option<(u64, Result<()>)> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.ended || self.stopped.load(Ordering::Acquire) {
            return None;
        }
        let read = self.progress.check().and_then(|()| reader.input.next_chunk(chunk));
        let number = reader.next;
        reader.next += 1;
        reader.ended = !matches!(read, Ok(true));
        match read {
            Ok(true) => Some((number, Ok(()))),
            Ok(false) => None,
            Err(error) => Some((number, Err(error))),
        }
    }

    fn encode(&self, chunk: &Chunk, index: &mut Index, evaluator: &mut Evaluator, encoded: &mut Encoded) {
        if !evaluator.is_idle() {
            self.encode_computed(chunk, index, evaluator, encoded);
        } else if let Some(layout) = &self.spec.layout {
            self.encode_slots(chunk, layout, index, encoded);
        } else {
            for (line, row) in chunk.rows() {
                self.encode_row(line, row, encoded);
            }
        }
    }

    /// The quick way: every row is read straight into slots; one for which that cannot be done goes the
    /// way through a tree, which knows what to say about it.
    fn encode_slots(&self, chunk: &Chunk, layout: &Layout, index: &mut Index, encoded: &mut Encoded) {
        let mut slots = layout.room();
        let mut rows = chunk.rows();
        let mut walker = self.walker(&rows, index);
        while let Some(next) = self.next_slots(&mut rows, layout, walker.as_mut(), &mut slots) {
            match next {
                Next::Failed => {}
                Next::Slots(line, text) => {
                    let user = layout.last(&slots);
                    if self.write(line, text, &user, encoded) && self.spec.sort.is_some() {
                        write_key(&user.cell(self.sort_place()), &mut encoded.keys);
                        encoded.key_ends.push(encoded.keys.len());
                    }
                }
                Next::Other(line, row) => self.encode_row(line, row, encoded),
            }
        }
    }

    /// Which path of the layout the sort's is.
    fn sort_place(&self) -> usize {
        self.spec.encoder.shape.columns().len()
    }

    /// What goes from row to row by an index of the chunk, where that can be done.
    fn walker<'r, 'i>(&self, rows: &Rows<'r>, index: &'i mut Index) -> Option<Walker<'r, 'i>> {
        match rows.ahead()? {
            Ahead::Line(text, _) if self.spec.reading == Reading::Index => Walker::new(text, index),
            _ => None,
        }
    }

    /// Takes the next row; one that the filter finds is read into slots where that can be done.
    #[inline]
    fn next_slots<'r>(
        &self,
        rows: &mut Rows<'r>,
        layout: &Layout,
        mut walker: Option<&mut Walker<'r, '_>>,
        slots: &mut Slots<'r>,
    ) -> Option<Next<'r>> {
        let spec = self.spec;
        let Some(ahead) = rows.ahead() else { return rows.next().map(|(line, row)| Next::Other(line, row)) };
        // Most users fail a filter, and it mostly looks at little: nothing else is read of those.
        let found = match (&spec.filter, ahead) {
            (None, _) => Some(None),
            (Some(filter), Ahead::Line(text, at)) => {
                let (read, behind) = match &walker {
                    // Another walker, since a user that is found is read once more.
                    Some(walker) => {
                        let mut other = walker.here();
                        (spec.looked_at.walk_line(&mut other, at), Some(other))
                    }
                    None => (spec.looked_at.read_line(text, at), None),
                };
                read.map(|(user, end)| {
                    let failed = !filter.matches(&user);
                    if let (true, Some(walker), Some(behind)) = (failed, &mut walker, behind) {
                        **walker = behind;
                    }
                    failed.then_some(end)
                })
            }
            (Some(filter), Ahead::Whole(text)) => {
                let read = read(text.as_bytes(), &spec.looked_at).ok();
                read.map(|user| (!filter.matches(&user)).then_some(text.len()))
            }
        };
        if let Some(Some(failed)) = found {
            rows.pass(failed);
            return Some(Next::Failed);
        }
        let (text, scanned) = match ahead {
            Ahead::Line(text, at) => match walker {
                Some(walker) => (text, layout.walk_line(walker, at, slots)),
                None => (text, layout.read_line(text, at, slots)),
            },
            Ahead::Whole(text) => (text, layout.read_whole(text, slots)),
        };
        let Some(scanned) = scanned.filter(|_| found.is_some()) else {
            return rows.next().map(|(line, row)| Next::Other(line, row));
        };
        let line = rows.pass(scanned.row_end);
        let text = text.get(scanned.start..scanned.end).unwrap_or_default();
        Some(Next::Slots(line, Text { text, blanks: scanned.blanks }))
    }

    /// Where some formulas are computed: all rows of a chunk are read first, since transforms take many rows
    /// at once.
    fn encode_computed(&self, chunk: &Chunk, index: &mut Index, evaluator: &mut Evaluator, encoded: &mut Encoded) {
        let mut rows = Vec::with_capacity(USUAL_ROWS);
        let mut all = chunk.rows();
        let mut slots = None;
        if let Some(layout) = &self.spec.layout {
            let slots = slots.insert(layout.room_for(USUAL_ROWS));
            let mut walker = self.walker(&all, index);
            while let Some(next) = self.next_slots(&mut all, layout, walker.as_mut(), slots) {
                match next {
                    Next::Failed => {}
                    Next::Slots(line, text) => rows.push((line, Held::Slots(text, layout.keep(slots)))),
                    Next::Other(line, row) => rows.extend(self.hold(line, row)),
                }
            }
        } else {
            rows.extend(all.filter_map(|(line, row)| self.hold(line, row)));
        }
        let slotted = |number: usize| Some(self.spec.layout.as_ref()?.kept(number, slots.as_ref()?));
        let users: Vec<Attributes<'_, '_>> = rows
            .iter()
            .filter_map(|(_, held)| match held {
                Held::Slots(_, number) => slotted(*number).map(Attributes::Slots),
                Held::Tree(_, user) => Some(Attributes::Tree(user)),
                Held::Nothing(_) => None,
            })
            .collect();
        let computed = evaluator.compute(&users);
        let faults = computed.iter().enumerate();
        let faults = faults.flat_map(|(which, cells)| cells.faults().map(move |(row, why)| (row, which, why)));
        let mut faults: Vec<_> = faults.collect();
        faults.sort_by_key(|(row, ..)| *row);
        let mut faults = faults.into_iter().peekable();
        let mut users = users.iter();
        let mut place = 0;
        for (line, held) in &rows {
            let text = match held {
                Held::Slots(text, _) => *text,
                Held::Tree(text, _) => Text { text, blanks: true },
                Held::Nothing(message) => {
                    encoded.unreadable(*line, message.clone());
                    continue;
                }
            };
            let Some(user) = users.next() else { break };
            let given = Given { computed: &computed, row: place };
            place += 1;
            while let Some((_, which, why)) = faults.next_if(|(row, ..)| *row == given.row) {
                let name = self.names.get(which).map_or("", String::as_str);
                encoded.cell_fault(*line, format!("{}{name}: {why}", self.who(*user)));
            }
            match *user {
                Attributes::Tree(user) => self.write_tree(*line, text, user, given, encoded),
                Attributes::Slots(user) => {
                    let written = self.write(*line, text, &Computed { user, given }, encoded);
                    if let Some(sort) = self.spec.sort.as_ref().filter(|_| written) {
                        let key = match sort.computed {
                            Some(computed) => given.computed(computed),
                            None => user.cell(self.sort_place()),
                        };
                        write_key(&key, &mut encoded.keys);
                        encoded.key_ends.push(encoded.keys.len());
                    }
                }
            }
        }
    }

    /// A row by the way that can read all of them, to be written later; nothing where the search does not find
    /// the user.
    fn hold<'r>(&self, line: u64, row: Option<&'r [u8]>) -> Option<(u64, Held<'r>)> {
        let held = match self.read(row) {
            Ok(user) => user.map(|(text, user)| Held::Tree(text, user))?,
            Err(message) => Held::Nothing(message),
        };
        Some((line, held))
    }

    /// A row by the way that can read all of them, where nothing is to be computed.
    fn encode_row(&self, line: u64, row: Option<&[u8]>, encoded: &mut Encoded) {
        match self.read(row) {
            Ok(Some((text, user))) => {
                self.write_tree(line, Text { text, blanks: true }, &user, Given::NOTHING, encoded);
            }
            Ok(None) => {}
            Err(message) => encoded.unreadable(line, message),
        }
    }

    /// Who the user is, for a fault; nothing when that cannot be told.
    fn who(&self, user: Attributes<'_, '_>) -> String {
        let id = match user {
            Attributes::Tree(user) => self.user_id.evaluate(user),
            // The last path of the layout.
            Attributes::Slots(user) => user.last(),
        };
        match id {
            Cell::Text(id) => format!("user {id}, "),
            _ => String::new(),
        }
    }

    /// Reads what is needed of a row, or says why that cannot be done; nothing where the search does not
    /// find the user.
    fn read<'r>(&self, row: Option<&'r [u8]>) -> std::result::Result<Option<(&'r str, Json<'r>)>, String> {
        let spec = self.spec;
        let Some(row) = row else { return Err(format!("longer than {} MiB", LONGEST_ROW >> 20)) };
        let (text, user) =
            spec.encoder.read(row, &spec.wanted, spec.needs_values()).map_err(|unreadable| unreadable.to_string())?;
        let found = spec.filter.as_ref().is_none_or(|filter| filter.matches(&user));
        Ok(found.then_some((text, user)))
    }

    fn write_tree(&self, line: u64, text: Text<'_>, user: &Json<'_>, given: Given<'_>, encoded: &mut Encoded) {
        let written = self.write(line, text, &Tree { user, given }, encoded);
        if let Some(sort) = self.spec.sort.as_ref().filter(|_| written) {
            write_key(&given.cell(&sort.formula, sort.computed, user), &mut encoded.keys);
            encoded.key_ends.push(encoded.keys.len());
        }
    }

    /// Writes a row, or counts why that cannot be done; whether it was written.
    fn write(&self, line: u64, text: Text<'_>, values: &impl Values, encoded: &mut Encoded) -> bool {
        let start = encoded.bytes.len();
        if let Err(NoEmail) = self.spec.encoder.row(text, values, &mut encoded.bytes) {
            encoded.bytes.truncate(start);
            encoded.fault(line, "the user has no e-mail address, which an import needs");
            return false;
        }
        encoded.ends.push(encoded.bytes.len());
        true
    }

    /// Waits for the turn of a chunk; nothing when there will be none.
    fn wait(&self, number: u64) -> Option<MutexGuard<'_, Turn<'a>>> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |turn: &mut Turn<'_>| turn.next != number && !self.stopped.load(Ordering::Acquire);
        let turn = self.changed.wait_while(turn, waiting).unwrap_or_else(PoisonError::into_inner);
        (!self.stopped.load(Ordering::Acquire)).then_some(turn)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.changed.notify_all();
    }
}

/// What became of a chunk.
struct Taken {
    /// Rows that are done, good and bad.
    rows: u64,
    /// The limit is reached.
    enough: bool,
}

/// Where encoded rows go, in order: to the output, or through the sort.
struct Collector<'a> {
    spec: &'a ExportSpec,
    sink: Sink,
    sorter: Option<Sorter>,
    written: u64,
    faults: u64,
    cells: u64,
    first_faults: Vec<String>,
}

impl<'a> Collector<'a> {
    fn new(spec: &'a ExportSpec, output: Box<dyn Write + Send>) -> Result<Self> {
        let mut sink = Sink::new(output, spec.gzip);
        let mut start = Vec::new();
        spec.encoder.start(&mut start);
        sink.write(&start)?;
        let sorter =
            spec.sort.as_ref().map(|sort| Sorter::new(sort.descending, spec.sort_memory, spec.spill_directory.clone()));
        Ok(Self { spec, sink, sorter, written: 0, faults: 0, cells: 0, first_faults: Vec::new() })
    }

    /// Takes the rows of a chunk, as many as the limit allows.
    fn take(&mut self, encoded: &Encoded, unit: &str) -> Result<Taken> {
        let rows = encoded.ends.len() as u64;
        // A limit counts sorted rows, so that all must be read first.
        let limit = self.spec.limit.filter(|_| self.sorter.is_none());
        let left = limit.map(|limit| limit - self.written);
        let wanted = left.map_or(rows, |left| rows.min(left));
        let (mut faults, mut lost_rows) = (0, 0);
        for fault in encoded.faults.iter().filter(|fault| left.is_none_or(|left| fault.before < left)) {
            let text = format!("{unit} {}: {}", fault.number, fault.message);
            if self.spec.on_error == OnError::Fail {
                return Err(Error::new(Code::RowFault, format!("The export stopped at {text}.")));
            }
            faults += 1;
            lost_rows += u64::from(fault.whole_row);
            if self.first_faults.len() < FAULTS_KEPT {
                self.first_faults.push(text);
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
        Ok(Taken { rows: wanted + lost_rows, enough: limit == Some(self.written) })
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
        self.spec.encoder.end(self.written, &mut end);
        self.sink.write(&end)?;
        self.sink.finish()?;
        Ok(ExportSummary {
            rows: self.written,
            faults: self.faults,
            cells: self.cells,
            first_faults: self.first_faults,
        })
    }
}

/// Writes encoded rows; `before` rows stand before them.
fn write_rows(sink: &mut Sink, spec: &ExportSpec, before: u64, rows: &[u8]) -> Result<()> {
    let skip = if before == 0 { spec.encoder.first_row_skips() } else { 0 };
    sink.write(rows.get(skip..).unwrap_or_default())
}

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
        .map_err(writing)
    }

    fn finish(self) -> Result<()> {
        let mut output = match self {
            Self::Plain(output) => output,
            Self::Gzip(output) => output.finish().map_err(writing)?,
        };
        output.flush().map_err(writing)
    }
}

fn writing(error: std::io::Error) -> Error {
    let mut error = Error::from(error);
    error.message = format!("The export cannot be written: {}", error.message);
    error
}
