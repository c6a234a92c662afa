//! The WASM engine and the limits of guests: time, memory, stack.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Config, Engine, ResourceLimiter, Store, UpdateDeadline};

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Stack of a guest, in bytes. A JavaScript stack of 256 KiB inside the guest needs one megabyte. Threads that run
/// guests have the default stack of Rust's threads, two megabytes.
pub(super) const STACK: usize = 1 << 20;

/// How often the deadline of a running guest is checked.
const TICK: Duration = Duration::from_millis(10);

/// The ticker's thread ends after this many ticks without a running guest.
const IDLE_TICKS: u32 = 50;

/// Maximum number each of tables, memories and instances of one component. Components of other languages are linked
/// from many modules and have dozens.
const MAX_COMPONENT_PARTS: usize = 256;

/// Maximum number of entries of all tables of one component; each has eight bytes.
const MAX_TABLE_ENTRIES: usize = 1 << 20;

/// Whether guest instructions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FuelMetering {
    /// Not counted. Used by jobs.
    Off,
    /// Counted as fuel, which is slower. Used by `transform bench`.
    On,
}

/// Creates the engine for guests without imports.
pub(super) fn engine(metering: FuelMetering) -> Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .consume_fuel(metering == FuelMetering::On)
        .max_wasm_stack(STACK)
        // Relaxed SIMD instructions must round the same way on every machine.
        .relaxed_simd_deterministic(true)
        // The text of a panic is read from the guest's memory after a trap.
        .coredump_on_trap(true);
    Engine::new(&config).map_err(|error| Error::new(Code::Internal, message!("The sandbox cannot start: {error:#}")))
}

/// Returns the CPU time of this thread. Time limits use it instead of wall-clock time, so that a busy machine does not
/// exceed them.
pub(super) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Stops guests and the compilation of a transform from another thread. All clones share one state.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Stops everything that uses this value or a clone of it, within a few milliseconds.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`StopSignal::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The host's state of one guest: its limits and what it has used.
#[derive(Debug)]
pub(super) struct Guest {
    /// Maximum memory, in bytes.
    allowed: usize,
    /// Current memory, in bytes.
    used: usize,
    table_entries: usize,
    /// Whether a growth of memory or tables was refused since the last call began.
    pub(super) refused: bool,
    /// The guest is stopped when the thread's CPU time reaches this.
    deadline: Duration,
    /// Whether it was stopped at the deadline.
    pub(super) timed_out: bool,
    /// Whether it was stopped by [`StopSignal`].
    pub(super) stopped: bool,
    stop: StopSignal,
}

impl Guest {
    fn new(allowed: u64, stop: StopSignal) -> Self {
        Self {
            allowed: usize::try_from(allowed).unwrap_or(usize::MAX),
            used: 0,
            table_entries: 0,
            refused: false,
            deadline: Duration::ZERO,
            timed_out: false,
            stopped: false,
            stop,
        }
    }

    /// Returns the current memory, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.used as u64
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.used.saturating_sub(current).saturating_add(desired);
        if after > self.allowed {
            self.refused = true;
            return Ok(false);
        }
        self.used = after;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.table_entries.saturating_sub(current).saturating_add(desired);
        if after > MAX_TABLE_ENTRIES {
            self.refused = true;
            return Ok(false);
        }
        self.table_entries = after;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_COMPONENT_PARTS
    }

    fn tables(&self) -> usize {
        MAX_COMPONENT_PARTS
    }

    fn memories(&self) -> usize {
        MAX_COMPONENT_PARTS
    }
}

/// Creates a store that enforces the limits of a guest.
pub(super) fn store(engine: &Engine, allowed: u64, stop: &StopSignal) -> Store<Guest> {
    let mut store = Store::new(engine, Guest::new(allowed, stop.clone()));
    store.limiter(|guest| guest);
    store.epoch_deadline_callback(|mut context| {
        let guest = context.data_mut();
        if guest.stop.is_stopped() {
            guest.stopped = true;
            return Ok(UpdateDeadline::Interrupt);
        }
        if thread_cpu_time() < guest.deadline {
            return Ok(UpdateDeadline::Continue(1));
        }
        guest.timed_out = true;
        Ok(UpdateDeadline::Interrupt)
    });
    store
}

/// Starts a call: the guest is stopped when this thread has used `time` more than `now`.
pub(super) fn set_deadline(store: &mut Store<Guest>, now: Duration, time: Duration) {
    let guest = store.data_mut();
    guest.deadline = now.saturating_add(time);
    guest.timed_out = false;
    guest.refused = false;
    store.set_epoch_deadline(1);
}

/// Advances the engine's epoch while guests run.
#[derive(Clone, Debug)]
pub(super) struct Ticker(Arc<Ticks>);

#[derive(Debug, Default)]
struct Ticks {
    running: AtomicUsize,
    alive: Mutex<bool>,
}

/// The ticker runs as long as this guard exists.
#[derive(Debug)]
pub(super) struct TickerGuard<'a>(&'a Ticks);

impl Drop for TickerGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Starts the ticker before a guest runs. Fails if no thread can be started: the guest must not run then, because
    /// its deadline would not be checked.
    pub(super) fn start(&self, engine: &Engine) -> std::io::Result<TickerGuard<'_>> {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        let guard = TickerGuard(&self.0);
        let mut alive = self.0.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if !*alive {
            let (ticks, engine) = (Arc::clone(&self.0), engine.clone());
            std::thread::Builder::new().name("sandbox-ticker".into()).spawn(move || ticks.tick(&engine))?;
            *alive = true;
        }
        Ok(guard)
    }
}

impl Ticks {
    fn tick(&self, engine: &Engine) {
        let mut idle = 0;
        loop {
            std::thread::sleep(TICK);
            engine.increment_epoch();
            idle = if self.running.load(Ordering::Acquire) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
                // `Ticker::start` increments `running` before it locks `alive`, so no new guest is missed here.
                if self.running.load(Ordering::Acquire) == 0 {
                    *alive = false;
                    return;
                }
            }
        }
    }
}
