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

use super::compiled_transform::PreparedTransform;
use super::engine::{self, Guest, StopSignal, Ticker};
use super::fault::{FaultKind, RowFault, shown};
use super::limits::Limits;
use super::result_batch::{ResultBatch, ResultRules};
use super::validate::{self, MEMORY};
use super::wit_values::{self, LiftedFault, LiftedValue, LoweredValue, MAX_JSON_DEPTH, NotResults, Rows};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::telemetry;

/// The function every transform exports.
const APPLY: &str = "apply";

/// Size of the arguments of one call, in bytes: large values make small batches.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Size of the results of one call, in bytes; if they are larger, the rows are computed one by one.
const MAX_BATCH_RESULT_BYTES: usize = 8 << 20;

/// Bytes of a result in addition to its text.
const RESULT_OVERHEAD: usize = 4096;

/// A transform is disabled for the rest of a job when its failing rows have used this many times the time limit of
/// one row.
const FAILURE_BUDGET: u32 = 20;

/// Marks the text of a panic in the guest's memory. The SDK's panic hook writes this marker, four bytes of length
/// (little endian), and the text in UTF-8.
const PANIC_MARKER: &[u8] = b"user-import-export:panic:1\0";

/// Maximum length of the text of a panic, in bytes.
const MAX_PANIC_BYTES: usize = 4096;

/// State that all runners of a job share.
struct Shared {
    engine: Engine,
    ticker: Ticker,
    transform: PreparedTransform,
    /// The literal arguments, packed.
    literals: Vec<u8>,
    limits: Limits,
    rules: ResultRules,
    /// Stops the guest from another thread.
    stop: StopSignal,
    /// CPU time of failing rows, in nanoseconds.
    failure_cost: AtomicU64,
}

/// The ABI by which an instance is called.
enum CallAbi {
    /// The contract's function `apply`, with the canonical ABI of components.
    Component(Func),
    /// The packed ABI ([`packed`]): the same rows in one buffer, which is cheaper to pass.
    Packed { memory: Memory, room: TypedFunc<u32, u32>, apply: TypedFunc<u32, u64> },
}

/// An instance of the transform.
struct Instance {
    store: Store<Guest>,
    abi: CallAbi,
    /// Whether fuel is counted.
    counts_fuel: bool,
    /// Whether it has computed rows before.
    used: bool,
}

/// Resources that a runner has used, for `transform bench`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Rows computed, faults included.
    pub rows: u64,
    /// Calls of the transform.
    pub calls: u64,
    /// Instances created: one, and one more after each trap.
    pub instances: u64,
    /// CPU time inside the sandbox, including copying arguments and results.
    pub time: Duration,
    /// The longest time of a call, divided by its rows.
    pub slowest_row: Duration,
    /// Fuel consumed: about one unit per WASM instruction. `None` unless fuel is counted.
    pub fuel: Option<u64>,
    /// The largest memory of an instance, in bytes.
    pub memory: u64,
    /// The largest result, in bytes.
    pub result: u64,
}

/// Runs one transform with the same literal arguments over any number of rows.
///
/// Used by one thread at a time, which must have a stack of 2 MiB, the default of Rust's threads.
pub struct Runner {
    shared: Arc<Shared>,
    instance: Option<Instance>,
    /// Rows per call.
    batch_rows: usize,
    usage: Usage,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runner({})", self.shared.rules.label)
    }
}

/// Why a call failed, before it is known which of its rows is the cause.
struct Failure {
    kind: FaultKind,
    message: Message,
    /// CPU time of the call.
    time: Duration,
}

/// Parameters of the contract's function: literals and rows.
type Arguments<'a> = (&'a [Option<LoweredValue<'a>>], &'a [&'a [LoweredValue<'a>]]);

/// Results of the contract's function.
type Results = (Vec<std::result::Result<LiftedValue, LiftedFault>>,);

impl Runner {
    /// Creates a runner with its first instance.
    ///
    /// Fails with [`Code::InvalidTransform`] if the transform cannot be instantiated, if its function has another type
    /// than the contract's, or if a literal is nested too deeply.
    pub(super) fn start(
        engine: &Engine,
        ticker: &Ticker,
        transform: PreparedTransform,
        literals: &[Option<Value>],
        limits: Limits,
        (label, output): (&str, Type),
        stop: &StopSignal,
    ) -> Result<Self> {
        let mut row = Rows::with_capacity(1, literals.len());
        for literal in literals {
            match literal {
                Some(value) => row.push(value),
                None => row.push_placeholder(),
            }
        }
        row.end_row();
        if row.are_too_deep(&(0..1)) {
            return Err(Error::new(
                Code::InvalidTransform,
                message!("{label}: An argument is nested deeper than {limit} levels.", limit = MAX_JSON_DEPTH),
            ));
        }
        let shared = Shared {
            engine: engine.clone(),
            ticker: ticker.clone(),
            transform,
            literals: row.packed(&(0..1)).to_vec(),
            limits,
            rules: ResultRules { limit: limits.result, output, label: label.into() },
            stop: stop.clone(),
            failure_cost: AtomicU64::new(0),
        };
        let mut runner =
            Self { shared: Arc::new(shared), instance: None, batch_rows: limits.batch.max(1), usage: Usage::default() };
        // A transform that cannot be instantiated or called fails before the job begins.
        let instance = runner.instantiate().map_err(|failure| {
            let message = message!("{label} cannot be started: {reason}.", reason = failure.message);
            Error::new(Code::InvalidTransform, message)
                .with_hint(message!("`transform inspect FILE.wasm` says more about it."))
        })?;
        if let CallAbi::Component(apply) = &instance.abi {
            apply.typed::<Arguments<'_>, Results>(&instance.store).map_err(|error| {
                let reason = validate::one_line(&format!("{error:#}"));
                validate::contract_violation(
                    label,
                    &message!("{function} has another type: {reason}", function = APPLY),
                )
            })?;
        }
        runner.instance = Some(instance);
        Ok(runner)
    }

    /// Returns a runner of the same transform and literals for another thread. Both share the failure budget.
    #[must_use]
    pub fn clone_for_thread(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            instance: None,
            batch_rows: self.shared.limits.batch.max(1),
            usage: Usage::default(),
        }
    }

    /// Sets the maximum number of rows per call.
    #[must_use]
    pub fn with_batch(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// Returns the resources used so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Computes rows, each with the values of the arguments that are not literals, in order. Returns one result per
    /// row, in order, whatever the transform does.
    pub fn apply(&mut self, rows: &[Vec<Value>]) -> Vec<Result<Value, RowFault>> {
        let results = self.run(&Rows::of(rows));
        results.iter().map(|result| result.map(Value::from).map_err(Clone::clone)).collect()
    }

    /// Like [`Runner::apply`], for rows that are already packed.
    pub fn run(&mut self, rows: &Rows) -> ResultBatch {
        let mut results = ResultBatch::with_capacity(rows.len());
        while results.len() < rows.len() {
            if self.is_disabled() {
                for _ in results.len()..rows.len() {
                    results.push_fault(self.disabled_fault());
                }
                break;
            }
            let batch = self.next_batch(rows, results.len());
            self.run_batch(rows, batch, &mut results);
        }
        self.usage.rows += rows.len() as u64;
        self.usage.result = self.usage.result.max(results.largest() as u64);
        results
    }

    /// Returns the rows of the next call.
    fn next_batch(&self, rows: &Rows, from: usize) -> Range<usize> {
        let most = rows.len().min(from.saturating_add(self.batch_rows));
        let mut size = 0;
        let mut to = from;
        while to < most && size <= MAX_BATCH_BYTES {
            size += rows.size(to);
            to += 1;
        }
        from..to
    }

    /// Computes a batch. If the call fails, its rows are computed one by one.
    fn run_batch(&mut self, rows: &Rows, batch: Range<usize>, results: &mut ResultBatch) {
        let count = batch.len();
        if count == 1 || rows.are_too_deep(&batch) {
            self.run_one_by_one(rows, batch, results);
            return;
        }
        if self.call(rows, batch.clone(), MAX_BATCH_RESULT_BYTES, results).is_ok() {
            return;
        }
        // One by one, each failing row costs one fresh instance. Bisecting would need several instances and would
        // wait for the time limit several times.
        let before = results.mark();
        self.run_one_by_one(rows, batch, results);
        if !results.faults_since(before).any(is_breakdown) {
            // No single row fails: the batch as a whole exceeded a limit of time, size or memory.
            self.batch_rows = (count / 2).max(1);
        }
    }

    fn run_one_by_one(&mut self, rows: &Rows, batch: Range<usize>, results: &mut ResultBatch) {
        for row in batch {
            let outcome =
                if self.is_disabled() { Err(self.disabled_fault()) } else { self.compute_row(rows, row, results) };
            if let Err(fault) = outcome {
                results.push_fault(fault);
            }
        }
    }

    /// Computes one row in a separate call and adds its result. Adds nothing if it returns a fault.
    fn compute_row(&mut self, rows: &Rows, row: usize, results: &mut ResultBatch) -> Result<(), RowFault> {
        if rows.are_too_deep(&(row..row + 1)) {
            let message = message!("an argument is nested deeper than {limit} levels", limit = MAX_JSON_DEPTH);
            return Err(self.fault(FaultKind::Argument, message));
        }
        let max_bytes =
            usize::try_from(self.shared.limits.result).unwrap_or(usize::MAX).saturating_add(RESULT_OVERHEAD);
        let fresh = self.instance.as_ref().is_none_or(|instance| !instance.used);
        let mut outcome = self.call(rows, row..row + 1, max_bytes, results);
        if let Err(failure) = &outcome
            && !fresh
            && failure.kind != FaultKind::Time
        {
            // State that earlier rows left in the instance may be the cause: try again in a fresh instance.
            outcome = self.call(rows, row..row + 1, max_bytes, results);
        }
        outcome.map_err(|failure| {
            let cost = u64::try_from(failure.time.as_nanos()).unwrap_or(u64::MAX);
            self.shared.failure_cost.fetch_add(cost, Ordering::Relaxed);
            self.fault(failure.kind, failure.message)
        })
    }

    /// Calls the transform with some of the rows and adds their results; `max_bytes` limits their size.
    ///
    /// After a failure no results are added, and the instance is dropped unless it returned a wrong number of results.
    fn call(
        &mut self,
        rows: &Rows,
        batch: Range<usize>,
        max_bytes: usize,
        results: &mut ResultBatch,
    ) -> std::result::Result<(), Failure> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.instantiate()?,
        };
        let shared = Arc::clone(&self.shared);
        let count = batch.len();
        let _ticking = shared.ticker.start(&shared.engine).map_err(|error| timer_failure(&error))?;
        let before = engine::thread_cpu_time();
        engine::set_deadline(&mut instance.store, before, shared.limits.time);
        if instance.counts_fuel {
            // Fails only if fuel is not counted.
            let _ = instance.store.set_fuel(u64::MAX);
        }
        let start = results.mark();
        let outcome = match &instance.abi {
            CallAbi::Component(apply) => {
                instance.store.set_hostcall_fuel(max_bytes);
                call_component(&mut instance.store, *apply, &shared, rows, &batch, results)
            }
            CallAbi::Packed { memory, room, apply } => {
                let batch = [&shared.literals, rows.packed(&batch)];
                let exports = (*memory, room, apply);
                call_packed(&mut instance.store, exports, &shared, batch, count, max_bytes, results)
            }
        };
        let returned = results.count_since(start);
        if outcome.is_err() || returned != count {
            results.truncate(start);
        }
        let time = engine::thread_cpu_time().saturating_sub(before);
        self.usage.calls += 1;
        self.usage.time += time;
        telemetry::SANDBOX_MICROS.add_time(time);
        self.usage.memory = self.usage.memory.max(instance.store.data().memory());
        self.usage.slowest_row = self.usage.slowest_row.max(time / u32::try_from(count).unwrap_or(u32::MAX).max(1));
        if instance.counts_fuel
            && let Ok(left) = instance.store.get_fuel()
        {
            *self.usage.fuel.get_or_insert(0) += u64::MAX - left;
        }
        match outcome {
            Ok(()) => {
                instance.used = true;
                self.instance = Some(instance);
                if returned == count {
                    return Ok(());
                }
                let message = if count == 1 {
                    message!("{returned} results came back for 1 row")
                } else {
                    message!("{returned} results came back for {count} rows")
                };
                Err(Failure { kind: FaultKind::BadResult, message, time })
            }
            Err(CallError::TooLarge) => {
                let message = wit_values::too_large(shared.limits.result);
                Err(Failure { kind: FaultKind::TooLarge, message, time })
            }
            Err(CallError::BadResults(what)) => {
                Err(Failure { kind: FaultKind::BadResult, message: what.message(), time })
            }
            Err(CallError::Trap(error)) => {
                telemetry::SANDBOX_TRAPS.add(1);
                let (kind, message) = explain(&error, &instance.store, &shared.limits);
                Err(Failure { kind, message, time })
            }
        }
    }

    /// Creates an instance. Its start-up code has the limits of one row.
    fn instantiate(&mut self) -> std::result::Result<Instance, Failure> {
        let shared = &self.shared;
        let mut store = engine::store(&shared.engine, shared.limits.memory, &shared.stop);
        let _ticking = shared.ticker.start(&shared.engine).map_err(|error| timer_failure(&error))?;
        let before = engine::thread_cpu_time();
        engine::set_deadline(&mut store, before, shared.limits.time);
        let counts_fuel = store.set_fuel(u64::MAX).is_ok();
        let outcome = match &shared.transform {
            PreparedTransform::Component(component) => component
                .instantiate(&mut store)
                .map(|instance| instance.get_func(&mut store, APPLY).map(CallAbi::Component)),
            PreparedTransform::Module(module) => module.instantiate(&mut store).and_then(|instance| {
                let room = instance.get_typed_func(&mut store, packed::ROOM)?;
                let apply = instance.get_typed_func(&mut store, packed::APPLY)?;
                let memory = instance.get_memory(&mut store, MEMORY);
                Ok(memory.map(|memory| CallAbi::Packed { memory, room, apply }))
            }),
        };
        let time = engine::thread_cpu_time().saturating_sub(before);
        self.usage.instances += 1;
        self.usage.memory = self.usage.memory.max(store.data().memory());
        match outcome {
            Ok(Some(abi)) => Ok(Instance { store, abi, counts_fuel, used: false }),
            Ok(None) => {
                let message = message!("it exports no function {function}", function = APPLY);
                Err(Failure { kind: FaultKind::BadResult, message, time })
            }
            Err(error) => {
                let (kind, message) = explain(&error, &store, &shared.limits);
                Err(Failure { kind, message, time })
            }
        }
    }

    fn fault(&self, kind: FaultKind, message: Message) -> RowFault {
        RowFault { kind, transform: Arc::clone(&self.shared.rules.label), message }
    }

    fn failure_budget(&self) -> Duration {
        self.shared.limits.time.saturating_mul(FAILURE_BUDGET)
    }

    /// Whether no more rows are computed: the runner was stopped, or failing rows have used up the budget.
    fn is_disabled(&self) -> bool {
        self.shared.stop.is_stopped()
            || u128::from(self.shared.failure_cost.load(Ordering::Relaxed)) >= self.failure_budget().as_nanos()
    }

    /// Returns the fault of a row that is not computed because the transform is disabled.
    fn disabled_fault(&self) -> RowFault {
        if self.shared.stop.is_stopped() {
            return self.fault(FaultKind::GivenUp, message!("it was stopped"));
        }
        let budget = humantime::format_duration(self.failure_budget());
        self.fault(
            FaultKind::GivenUp,
            message!("it was disabled for the rest of this job: its failing rows have used {budget} of computing time"),
        )
    }
}

/// Why a call failed.
enum CallError {
    /// The guest trapped, or its results cannot be lifted.
    Trap(wasmtime::Error),
    /// The results are larger than allowed.
    TooLarge,
    /// The guest returned this instead of results.
    BadResults(NotResults),
}

impl From<wasmtime::Error> for CallError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// Calls the contract's function with a batch.
fn call_component(
    store: &mut Store<Guest>,
    apply: Func,
    shared: &Shared,
    rows: &Rows,
    batch: &Range<usize>,
    results: &mut ResultBatch,
) -> std::result::Result<(), CallError> {
    let mut reader = Reader::new(&shared.literals);
    let count = reader.count().unwrap_or(0);
    let literals: Vec<Option<LoweredValue<'_>>> = (0..count)
        .map(|_| match reader.item() {
            None | Some(Item::Row) => None,
            Some(item) => Some(LoweredValue::from(item)),
        })
        .collect();
    let (values, counts) = rows.lower(batch);
    let arguments = wit_values::split_rows(&values, &counts);
    // Checking the types again costs a microsecond per batch. A checked function cannot be kept: its type has the
    // lifetime of the texts of one batch.
    let apply = apply.typed::<Arguments<'_>, Results>(&*store)?;
    let (outcomes,) = apply.call(store, (&literals, &arguments))?;
    for outcome in &outcomes {
        results.push_item(wit_values::item(outcome), &shared.rules).map_err(CallError::BadResults)?;
    }
    Ok(())
}

/// Calls a guest by the packed ABI ([`packed`]). `batch` is the buffer in two parts, literals and rows; `max_bytes`
/// limits the size of the results.
fn call_packed(
    store: &mut Store<Guest>,
    (memory, room, apply): (Memory, &TypedFunc<u32, u32>, &TypedFunc<u32, u64>),
    shared: &Shared,
    batch: [&[u8]; 2],
    rows: usize,
    max_bytes: usize,
    results: &mut ResultBatch,
) -> std::result::Result<(), CallError> {
    const OUTSIDE: CallError = CallError::BadResults(NotResults::OutsideMemory);
    let length: usize = batch.iter().map(|part| part.len()).sum();
    // A batch that does not fit into 32-bit memory is refused by the guest's allocation.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let mut at = room.call(&mut *store, length)? as usize;
    for part in batch {
        memory.write(&mut *store, at, part).map_err(|_| OUTSIDE)?;
        at = at.saturating_add(part.len());
    }
    let location = apply.call(&mut *store, length)?;
    let (at, length) = ((location & u64::from(u32::MAX)) as usize, (location >> u32::BITS) as usize);
    if length > max_bytes {
        return Err(CallError::TooLarge);
    }
    let packed = memory.data(&*store).get(at..at.saturating_add(length)).ok_or(OUTSIDE)?;
    let mut reader = Reader::new(packed);
    for _ in 0..rows {
        let Some(item) = reader.item() else { break };
        results.push_item(item, &shared.rules).map_err(CallError::BadResults)?;
    }
    match reader.item() {
        Some(_) => Err(CallError::BadResults(NotResults::TooMany)),
        None if reader.is_at_end() => Ok(()),
        None => Err(CallError::BadResults(NotResults::NotAResult)),
    }
}

/// Whether the transform itself failed, rather than refusing the row.
fn is_breakdown(fault: &RowFault) -> bool {
    !matches!(fault.kind, FaultKind::Refused | FaultKind::Argument)
}

fn timer_failure(error: &std::io::Error) -> Failure {
    Failure {
        kind: FaultKind::Trap,
        message: message!("the thread that would watch its time cannot be started: {error}"),
        time: Duration::ZERO,
    }
}

/// Returns the kind of fault and the message of a call that failed.
fn explain(error: &wasmtime::Error, store: &Store<Guest>, limits: &Limits) -> (FaultKind, Message) {
    let guest = store.data();
    if guest.stopped {
        return (FaultKind::GivenUp, message!("it was stopped"));
    }
    if guest.timed_out {
        let time = humantime::format_duration(limits.time);
        return (FaultKind::Time, message!("it computed for more than {time}, the time limit of a row"));
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::StackOverflow) {
        return (FaultKind::Stack, message!("it called itself too deeply: its stack is full"));
    }
    if guest.refused {
        let memory = bytesize::ByteSize(limits.memory);
        return (FaultKind::Memory, message!("it asked for more than {memory} of memory, the limit"));
    }
    let dump = error.downcast_ref::<WasmCoreDump>();
    if let Some(text) = dump.and_then(|dump| panic_text(dump, store)) {
        return (FaultKind::Panic, message!("it panicked: {text}", text = shown(&text)));
    }
    match trap {
        Some(Trap::UnreachableCodeReached) => {
            (FaultKind::Panic, message!("it ended itself: it panicked without a text, or called `exit` or `abort`"))
        }
        // The stack of a guest's data is at the lowest addresses: an overflow leaves the memory.
        Some(Trap::MemoryOutOfBounds) => (
            FaultKind::Trap,
            message!(
                "it ended: it used memory that it does not have; calls that are nested too deeply do that, when the \
                 stack inside its memory is full"
            ),
        ),
        Some(trap) => {
            let text = trap.to_string();
            (FaultKind::Trap, message!("it trapped: {trap}", trap = text.trim_start_matches("wasm trap: ")))
        }
        None => {
            let text = error.root_cause().to_string();
            if text.contains("hostcalls has been exhausted") {
                (FaultKind::TooLarge, wit_values::too_large(limits.result))
            } else if text.contains("UTF-8") || text.contains("utf-8") {
                (FaultKind::BadResult, NotResults::NotUtf8.message())
            } else {
                let reason = validate::one_line(&text);
                (FaultKind::BadResult, message!("it gave something that is not a result: {reason}"))
            }
        }
    }
}

/// Returns the text of a panic that the SDK's panic hook left in the guest's memory. `None` if there is no such text.
fn panic_text(dump: &WasmCoreDump, store: &Store<Guest>) -> Option<String> {
    dump.memories().iter().find_map(|memory| {
        let data = memory.data(store);
        memmem::find_iter(data, PANIC_MARKER).find_map(|at| {
            let rest = data.get(at + PANIC_MARKER.len()..)?;
            let (length, text) = rest.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length) as usize;
            let text = text.get(..length.min(MAX_PANIC_BYTES))?;
            (length > 0).then(|| String::from_utf8_lossy(text).into_owned())
        })
    })
}
