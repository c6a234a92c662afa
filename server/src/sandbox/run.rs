//! Runs one transform over batches of rows.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memchr::memmem;
use transforms_sdk::Value;
use transforms_sdk::manifest::Type;
use transforms_sdk::packed::{self, Item, Reader};
use wasmtime::component::Func;
use wasmtime::{Engine, Memory, Store, Trap, TypedFunc, WasmCoreDump};

use super::answers::{Answers, Terms};
use super::convert::{self, DEEPEST, In, NO_RESULT, NOT_UTF8, Out, OutFault, Rows};
use super::engine::{self, Guest, Stop, Ticker};
use super::fault::{FaultKind, RowFault, shown};
use super::program::Ready;
use super::{Limits, intake};
use crate::error::{Code, Error, Result};
use crate::measure;

/// What is said of rows that were not computed because the transform was stopped.
const STOPPED: &str = "it was stopped";

/// The function every transform exports.
const APPLY: &str = "apply";

/// The memory that a core module exports.
pub(super) const MEMORY: &str = "memory";

/// Rows handed over at once. More gain nothing: `cargo bench --bench sandbox` shows what smaller batches cost.
pub(super) const BATCH: usize = 256;

/// Texts handed over at once, bytes: large values make small batches.
const BATCH_TEXT: usize = 1 << 20;

/// Results of one batch, bytes; where they are larger, rows are handed over one by one.
const BATCH_RESULTS: usize = 8 << 20;

/// What a result takes beside its text.
const RESULT_ROOM: usize = 4096;

/// A transform is given up when its guilty rows have cost so many times the time of one.
const PATIENCE: u32 = 20;

/// Where the SDK's panic hook leaves the text of a panic: this, four bytes of length (little endian), UTF-8.
const PANIC: &[u8] = b"user-import-export:panic:1\0";

/// Longest text of a panic, bytes.
const LONGEST_PANIC: usize = 4096;

/// What every runner of a job shares.
struct Shared {
    engine: Engine,
    ticker: Ticker,
    program: Ready,
    /// The literals, as the second door takes them.
    literals: Vec<u8>,
    limits: Limits,
    terms: Terms,
    /// Ends the guest from outside.
    stop: Stop,
    /// Nanoseconds that guilty rows have cost.
    wasted: AtomicU64,
}

/// How the transform is called.
enum Door {
    /// By the contract's function.
    Contract(Func),
    /// By the functions of [`packed`], which do the same for less.
    Packed { memory: Memory, room: TypedFunc<u32, u32>, apply: TypedFunc<u32, u64> },
}

/// An instance of the transform.
struct Live {
    store: Store<Guest>,
    door: Door,
    /// Fuel is counted.
    counts: bool,
    /// It has computed rows before.
    used: bool,
}

/// What running has taken, for `transform bench`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Rows computed, faults included.
    pub rows: u64,
    /// Calls of the transform.
    pub calls: u64,
    /// Instances that were made: one, and one more after each trap.
    pub instances: u64,
    /// Time computed inside the sandbox, handing over included.
    pub time: Duration,
    /// The longest time any call took, for one row of it.
    pub slowest_row: Duration,
    /// Fuel burnt: about one for each WASM instruction. None unless it is counted.
    pub fuel: Option<u64>,
    /// The most memory an instance has had, bytes.
    pub memory: u64,
    /// The largest result, bytes.
    pub result: u64,
}

/// Runs one transform with the same literals over as many rows as one likes. Belongs to one thread at a
/// time, which must have a stack of 2 MiB, as Rust's threads do.
pub struct Runner {
    shared: Arc<Shared>,
    live: Option<Live>,
    /// Rows handed over at once.
    batch: usize,
    usage: Usage,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runner({})", self.shared.terms.label)
    }
}

/// Why a call gave nothing, before anyone is found guilty.
struct Failure {
    kind: FaultKind,
    message: String,
    /// What it cost.
    time: Duration,
}

/// What the contract's function takes: literals and rows.
type Arguments<'a> = (&'a [Option<In<'a>>], &'a [&'a [In<'a>]]);

/// What it gives.
type Results = (Vec<std::result::Result<Out, OutFault>>,);

impl Runner {
    pub(super) fn start(
        engine: &Engine,
        ticker: &Ticker,
        program: Ready,
        literals: &[Option<Value>],
        limits: Limits,
        (label, output): (&str, Type),
        stop: &Stop,
    ) -> Result<Self> {
        let mut row = Rows::with_capacity(1, literals.len());
        for literal in literals {
            match literal {
                Some(value) => row.push(value),
                None => row.push_later(),
            }
        }
        row.end_row();
        if row.are_too_deep(&(0..1)) {
            return Err(Error::new(
                Code::InvalidTransform,
                format!("{label}: An argument is nested deeper than {DEEPEST} levels."),
            ));
        }
        let shared = Shared {
            engine: engine.clone(),
            ticker: ticker.clone(),
            program,
            literals: row.packed(&(0..1)).to_vec(),
            limits,
            terms: Terms { limit: limits.result, output, label: label.into() },
            stop: stop.clone(),
            wasted: AtomicU64::new(0),
        };
        let mut runner =
            Self { shared: Arc::new(shared), live: None, batch: limits.batch.max(1), usage: Usage::default() };
        // What cannot even be instantiated, or called, is found before the job begins.
        let live = runner.make().map_err(|failure| {
            Error::new(Code::InvalidTransform, format!("{label} cannot be started: {}.", failure.message))
                .with_hint("`transform inspect FILE.wasm` says more about it.")
        })?;
        if let Door::Contract(apply) = &live.door {
            apply.typed::<Arguments<'_>, Results>(&live.store).map_err(|error| {
                super::breach(label, &format!("{APPLY} has another type: {}", intake::one_line(&format!("{error:#}"))))
            })?;
        }
        runner.live = Some(live);
        Ok(runner)
    }

    /// A runner of the same transform and literals for another thread. Patience with it is shared.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            live: None,
            batch: self.shared.limits.batch.max(1),
            usage: Usage::default(),
        }
    }

    /// Hands over so many rows at once, at most.
    #[must_use]
    pub fn with_batch(mut self, rows: usize) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// What running has taken so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Computes rows: each has the values of the arguments that are no literals, in order. One result per
    /// row comes back, in order, whatever the transform does.
    pub fn apply(&mut self, rows: &[Vec<Value>]) -> Vec<Result<Value, RowFault>> {
        let answers = self.run(&Rows::of(rows));
        answers.iter().map(|answer| answer.map(Value::from).map_err(Clone::clone)).collect()
    }

    /// As [`Runner::apply`], of rows that were put together for the call.
    pub fn run(&mut self, rows: &Rows) -> Answers {
        let mut answers = Answers::with_capacity(rows.len());
        while answers.len() < rows.len() {
            if self.given_up() {
                for _ in answers.len()..rows.len() {
                    answers.push_fault(self.give_up());
                }
                break;
            }
            let batch = self.next_batch(rows, answers.len());
            self.batch(rows, batch, &mut answers);
        }
        self.usage.rows += rows.len() as u64;
        self.usage.result = self.usage.result.max(answers.largest() as u64);
        answers
    }

    /// The rows that are handed over next.
    fn next_batch(&self, rows: &Rows, from: usize) -> Range<usize> {
        let most = rows.len().min(from.saturating_add(self.batch));
        let mut size = 0;
        let mut to = from;
        while to < most && size <= BATCH_TEXT {
            size += rows.size(to);
            to += 1;
        }
        from..to
    }

    fn batch(&mut self, rows: &Rows, batch: Range<usize>, answers: &mut Answers) {
        let count = batch.len();
        if count == 1 || rows.are_too_deep(&batch) {
            self.one_by_one(rows, batch, answers);
            return;
        }
        if self.call(rows, batch.clone(), BATCH_RESULTS, answers).is_ok() {
            return;
        }
        // Rows one by one find the guilty with one fresh instance each; bisecting would need several,
        // and would wait for the time limit several times.
        let before = answers.end();
        self.one_by_one(rows, batch, answers);
        if !answers.faults_since(before).any(is_breakdown) {
            // Together they are too much: too slow, too large, too hungry.
            self.batch = (count / 2).max(1);
        }
    }

    fn one_by_one(&mut self, rows: &Rows, batch: Range<usize>, answers: &mut Answers) {
        for row in batch {
            let judged = if self.given_up() { Err(self.give_up()) } else { self.judge(rows, row, answers) };
            if let Err(fault) = judged {
                answers.push_fault(fault);
            }
        }
    }

    /// Computes one row, alone. After a fault there is no answer yet.
    fn judge(&mut self, rows: &Rows, row: usize, answers: &mut Answers) -> Result<(), RowFault> {
        if rows.are_too_deep(&(row..row + 1)) {
            let message = format!("an argument is nested deeper than {DEEPEST} levels");
            return Err(self.fault(FaultKind::Argument, message));
        }
        let room = usize::try_from(self.shared.limits.result).unwrap_or(usize::MAX).saturating_add(RESULT_ROOM);
        let fresh = self.live.as_ref().is_none_or(|live| !live.used);
        let mut outcome = self.call(rows, row..row + 1, room, answers);
        if let Err(failure) = &outcome
            && !fresh
            && failure.kind != FaultKind::Time
        {
            // What earlier rows left in the instance's memory is not this row's fault.
            outcome = self.call(rows, row..row + 1, room, answers);
        }
        outcome.map_err(|failure| {
            let cost = u64::try_from(failure.time.as_nanos()).unwrap_or(u64::MAX);
            self.shared.wasted.fetch_add(cost, Ordering::Relaxed);
            self.fault(failure.kind, failure.message)
        })
    }

    /// Calls the transform with some of the rows and adds their answers. After a failure there are none; the
    /// instance is gone unless it only gave a wrong number of results.
    fn call(
        &mut self,
        rows: &Rows,
        batch: Range<usize>,
        room: usize,
        answers: &mut Answers,
    ) -> std::result::Result<(), Failure> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.make()?,
        };
        let shared = Arc::clone(&self.shared);
        let count = batch.len();
        let _ticking = shared.ticker.start(&shared.engine).map_err(|error| cannot_watch(&error))?;
        let before = engine::computed();
        engine::allow(&mut live.store, before, shared.limits.time);
        if live.counts {
            // Fails only where fuel is not counted.
            let _ = live.store.set_fuel(u64::MAX);
        }
        let end = answers.end();
        let outcome = match &live.door {
            Door::Contract(apply) => {
                live.store.set_hostcall_fuel(room);
                by_contract(&mut live.store, *apply, &shared, rows, &batch, answers)
            }
            Door::Packed { memory, room: give, apply } => {
                let batch = [&shared.literals, rows.packed(&batch)];
                let door = (*memory, give, apply);
                by_packed(&mut live.store, door, &shared, batch, count, room, answers)
            }
        };
        let given = answers.since(end);
        if outcome.is_err() || given != count {
            answers.truncate(end);
        }
        let time = engine::computed().saturating_sub(before);
        self.usage.calls += 1;
        self.usage.time += time;
        measure::SANDBOX_TIME.add_time(time);
        self.usage.memory = self.usage.memory.max(live.store.data().memory());
        self.usage.slowest_row = self.usage.slowest_row.max(time / u32::try_from(count).unwrap_or(u32::MAX).max(1));
        if live.counts
            && let Ok(left) = live.store.get_fuel()
        {
            *self.usage.fuel.get_or_insert(0) += u64::MAX - left;
        }
        match outcome {
            Ok(()) => {
                live.used = true;
                self.live = Some(live);
                if given == count {
                    return Ok(());
                }
                let message = format!("{given} results came back for {}", count_rows(count));
                Err(Failure { kind: FaultKind::BadResult, message, time })
            }
            Err(Broken::TooLarge) => {
                let message = convert::too_large(shared.limits.result);
                Err(Failure { kind: FaultKind::TooLarge, message, time })
            }
            Err(Broken::Results(what)) => {
                Err(Failure { kind: FaultKind::BadResult, message: format!("it gave {what}"), time })
            }
            Err(Broken::Off(error)) => {
                measure::SANDBOX_TRAPS.add(1);
                let (kind, message) = explain(&error, &live.store, &shared.limits);
                Err(Failure { kind, message, time })
            }
        }
    }

    /// Makes an instance; its own start-up obeys the limits of a row.
    fn make(&mut self) -> std::result::Result<Live, Failure> {
        let shared = &self.shared;
        let mut store = engine::store(&shared.engine, shared.limits.memory, &shared.stop);
        let _ticking = shared.ticker.start(&shared.engine).map_err(|error| cannot_watch(&error))?;
        let before = engine::computed();
        engine::allow(&mut store, before, shared.limits.time);
        let counts = store.set_fuel(u64::MAX).is_ok();
        let made = match &shared.program {
            Ready::Component(component) => component
                .instantiate(&mut store)
                .map(|instance| instance.get_func(&mut store, APPLY).map(Door::Contract)),
            Ready::Module(module) => module.instantiate(&mut store).and_then(|instance| {
                let room = instance.get_typed_func(&mut store, packed::ROOM)?;
                let apply = instance.get_typed_func(&mut store, packed::APPLY)?;
                let memory = instance.get_memory(&mut store, MEMORY);
                Ok(memory.map(|memory| Door::Packed { memory, room, apply }))
            }),
        };
        let time = engine::computed().saturating_sub(before);
        self.usage.instances += 1;
        self.usage.memory = self.usage.memory.max(store.data().memory());
        match made {
            Ok(Some(door)) => Ok(Live { store, door, counts, used: false }),
            Ok(None) => {
                Err(Failure { kind: FaultKind::BadResult, message: format!("it exports no function {APPLY}"), time })
            }
            Err(error) => {
                let (kind, message) = explain(&error, &store, &shared.limits);
                Err(Failure { kind, message, time })
            }
        }
    }

    fn fault(&self, kind: FaultKind, message: String) -> RowFault {
        RowFault { kind, transform: Arc::clone(&self.shared.terms.label), message }
    }

    fn patience(&self) -> Duration {
        self.shared.limits.time.saturating_mul(PATIENCE)
    }

    fn given_up(&self) -> bool {
        self.shared.stop.is_stopped()
            || u128::from(self.shared.wasted.load(Ordering::Relaxed)) >= self.patience().as_nanos()
    }

    fn give_up(&self) -> RowFault {
        if self.shared.stop.is_stopped() {
            return self.fault(FaultKind::GivenUp, STOPPED.into());
        }
        let patience = humantime::format_duration(self.patience());
        self.fault(
            FaultKind::GivenUp,
            format!("it was given up for the rest of this job: rows that broke it had cost {patience} of computing"),
        )
    }
}

/// Why a call gave nothing.
enum Broken {
    /// The guest broke off, or what it gave cannot be taken.
    Off(wasmtime::Error),
    /// The results are larger than allowed.
    TooLarge,
    /// What it gave instead of results.
    Results(&'static str),
}

impl From<wasmtime::Error> for Broken {
    fn from(error: wasmtime::Error) -> Self {
        Self::Off(error)
    }
}

/// Calls the contract's function.
fn by_contract(
    store: &mut Store<Guest>,
    apply: Func,
    shared: &Shared,
    rows: &Rows,
    batch: &Range<usize>,
    answers: &mut Answers,
) -> std::result::Result<(), Broken> {
    let mut reader = Reader::new(&shared.literals);
    let count = reader.count().unwrap_or(0);
    let literals: Vec<Option<In<'_>>> = (0..count)
        .map(|_| match reader.item() {
            None | Some(Item::Row) => None,
            Some(item) => Some(In::from(item)),
        })
        .collect();
    let (values, counts) = rows.lower(batch);
    let arguments = convert::cut(&values, &counts);
    // Checking the types again costs a microsecond a batch; keeping the checked function would tie it
    // to the lifetime of one batch's texts.
    let apply = apply.typed::<Arguments<'_>, Results>(&*store)?;
    let (outcomes,) = apply.call(store, (&literals, &arguments))?;
    for outcome in &outcomes {
        answers.take(convert::item(outcome), &shared.terms).map_err(Broken::Results)?;
    }
    Ok(())
}

/// Calls the functions of [`packed`] with a batch in parts; `most` is what the results may have, in bytes.
fn by_packed(
    store: &mut Store<Guest>,
    (memory, room, apply): (Memory, &TypedFunc<u32, u32>, &TypedFunc<u32, u64>),
    shared: &Shared,
    batch: [&[u8]; 2],
    rows: usize,
    most: usize,
    answers: &mut Answers,
) -> std::result::Result<(), Broken> {
    const OUTSIDE: Broken = Broken::Results("an address outside of its memory");
    let length: usize = batch.iter().map(|part| part.len()).sum();
    // What is longer than an address finds no memory either.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let mut at = room.call(&mut *store, length)? as usize;
    for part in batch {
        memory.write(&mut *store, at, part).map_err(|_| OUTSIDE)?;
        at = at.saturating_add(part.len());
    }
    let results = apply.call(&mut *store, length)?;
    let (at, length) = ((results & u64::from(u32::MAX)) as usize, (results >> u32::BITS) as usize);
    if length > most {
        return Err(Broken::TooLarge);
    }
    let results = memory.data(&*store).get(at..at.saturating_add(length)).ok_or(OUTSIDE)?;
    let mut reader = Reader::new(results);
    for _ in 0..rows {
        let Some(item) = reader.item() else { break };
        answers.take(item, &shared.terms).map_err(Broken::Results)?;
    }
    match reader.item() {
        Some(_) => Err(Broken::Results("more results than rows")),
        None if reader.is_at_end() => Ok(()),
        None => Err(Broken::Results(NO_RESULT)),
    }
}

/// Whether a fault says that the transform broke down, rather than refused the row.
fn is_breakdown(fault: &RowFault) -> bool {
    !matches!(fault.kind, FaultKind::Refused | FaultKind::Argument)
}

fn count_rows(rows: usize) -> String {
    if rows == 1 { "1 row".into() } else { format!("{rows} rows") }
}

fn cannot_watch(error: &std::io::Error) -> Failure {
    Failure {
        kind: FaultKind::Trap,
        message: format!("the thread that would watch its time cannot be started: {error}"),
        time: Duration::ZERO,
    }
}

/// Says why a call failed.
fn explain(error: &wasmtime::Error, store: &Store<Guest>, limits: &Limits) -> (FaultKind, String) {
    let guest = store.data();
    if guest.stopped {
        return (FaultKind::GivenUp, STOPPED.into());
    }
    if guest.timed_out {
        let time = humantime::format_duration(limits.time);
        return (FaultKind::Time, format!("it computed for more than {time}, the time limit of a row"));
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::StackOverflow) {
        return (FaultKind::Stack, "it called itself too deeply: its stack is full".into());
    }
    if guest.refused {
        let memory = bytesize::ByteSize(limits.memory);
        return (FaultKind::Memory, format!("it asked for more than {memory} of memory, the limit"));
    }
    let dump = error.downcast_ref::<WasmCoreDump>();
    if let Some(text) = dump.and_then(|dump| panic_text(dump, store)) {
        return (FaultKind::Panic, format!("it panicked: {}", shown(&text)));
    }
    match trap {
        Some(Trap::UnreachableCodeReached) => {
            (FaultKind::Panic, "it ended itself: it panicked without a text, or called `exit` or `abort`".into())
        }
        // The stack of a guest's own data lies at the lowest addresses: what runs over it leaves the memory.
        Some(Trap::MemoryOutOfBounds) => (
            FaultKind::Trap,
            "it ended: it used memory that it does not have; calls that are nested too deeply do that, when the \
             stack inside its memory is full"
                .into(),
        ),
        Some(trap) => {
            let text = trap.to_string();
            (FaultKind::Trap, format!("it broke off: {}", text.trim_start_matches("wasm trap: ")))
        }
        None => {
            let text = error.root_cause().to_string();
            if text.contains("hostcalls has been exhausted") {
                (FaultKind::TooLarge, convert::too_large(limits.result))
            } else if text.contains("UTF-8") || text.contains("utf-8") {
                (FaultKind::BadResult, format!("it gave {NOT_UTF8}"))
            } else {
                (FaultKind::BadResult, format!("it gave something that is no result: {}", intake::one_line(&text)))
            }
        }
    }
}

/// The text that the SDK's panic hook left in the guest's memory.
fn panic_text(dump: &WasmCoreDump, store: &Store<Guest>) -> Option<String> {
    dump.memories().iter().find_map(|memory| {
        let data = memory.data(store);
        memmem::find_iter(data, PANIC).find_map(|at| {
            let rest = data.get(at + PANIC.len()..)?;
            let (length, text) = rest.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length) as usize;
            let text = text.get(..length.min(LONGEST_PANIC))?;
            (length > 0).then(|| String::from_utf8_lossy(text).into_owned())
        })
    })
}
