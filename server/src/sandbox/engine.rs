//! The engine and what holds a guest in check: time, memory, stack.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Config, Engine, ResourceLimiter, Store, UpdateDeadline};

use crate::error::{Code, Error, Result};

/// Stack of a guest, bytes. A JavaScript stack of 256 KiB inside the guest needs a megabyte; threads that
/// run guests have Rust's usual two.
pub(super) const STACK: usize = 1 << 20;

/// How often a running guest is looked at.
const TICK: Duration = Duration::from_millis(10);

/// After so many ticks without a guest the ticker's thread ends.
const IDLE_TICKS: u32 = 50;

/// Tables, memories and instances of one component: programs that were linked from many modules, as those
/// of other languages are, have dozens.
const PARTS: usize = 256;

/// Entries of all tables of one component; eight bytes each.
const TABLE_ENTRIES: usize = 1 << 20;

/// Whether guest instructions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// No: what jobs use.
    Off,
    /// Yes: slower, for `transform bench`.
    Fuel,
}

/// An engine for guests without imports.
pub(super) fn engine(counting: Counting) -> Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .consume_fuel(counting == Counting::Fuel)
        .max_wasm_stack(STACK)
        // Whether a relaxed instruction rounds one way or the other must not depend on the machine.
        .relaxed_simd_deterministic(true)
        // After a trap the guest's memory is read for the text of a panic.
        .coredump_on_trap(true);
    Engine::new(&config).map_err(|error| Error::new(Code::Internal, format!("The sandbox cannot start: {error:#}")))
}

/// Time this thread has computed. Time limits count it, and not the time of the clock on the wall: a busy
/// machine gives no false alarm.
pub(super) fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Ends guests, and the compilation of a transform, from outside. Clones stop together.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops everything that was given this, within some milliseconds.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the host knows of one guest.
#[derive(Debug)]
pub(super) struct Guest {
    /// Memory allowed, bytes.
    allowed: usize,
    /// Memory it has, bytes.
    used: usize,
    table_entries: usize,
    /// More was asked for since the last call began, and refused.
    pub(super) refused: bool,
    /// When the thread has computed so long, the guest is stopped.
    deadline: Duration,
    /// It was stopped at the deadline.
    pub(super) timed_out: bool,
    /// It was stopped from outside.
    pub(super) stopped: bool,
    stop: Stop,
}

impl Guest {
    fn new(allowed: u64, stop: Stop) -> Self {
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

    /// Memory it has, bytes.
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
        if after > TABLE_ENTRIES {
            self.refused = true;
            return Ok(false);
        }
        self.table_entries = after;
        Ok(true)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

/// A store whose guest obeys its limits.
pub(super) fn store(engine: &Engine, allowed: u64, stop: &Stop) -> Store<Guest> {
    let mut store = Store::new(engine, Guest::new(allowed, stop.clone()));
    store.limiter(|guest| guest);
    store.epoch_deadline_callback(|mut context| {
        let guest = context.data_mut();
        if guest.stop.is_stopped() {
            guest.stopped = true;
            return Ok(UpdateDeadline::Interrupt);
        }
        if computed() < guest.deadline {
            return Ok(UpdateDeadline::Continue(1));
        }
        guest.timed_out = true;
        Ok(UpdateDeadline::Interrupt)
    });
    store
}

/// Lets the guest compute for `time` from now on, on this thread.
pub(super) fn allow(store: &mut Store<Guest>, now: Duration, time: Duration) {
    let guest = store.data_mut();
    guest.deadline = now.saturating_add(time);
    guest.timed_out = false;
    guest.refused = false;
    store.set_epoch_deadline(1);
}

/// Advances the engine's clock while guests run.
#[derive(Clone, Debug)]
pub(super) struct Ticker(Arc<Ticks>);

#[derive(Debug, Default)]
struct Ticks {
    running: AtomicUsize,
    alive: Mutex<bool>,
}

/// A guest runs as long as this lives.
#[derive(Debug)]
pub(super) struct Ticking<'a>(&'a Ticks);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Says that a guest is about to run. Fails only where no thread can be started: then nothing would
    /// stop the guest, so it must not run.
    pub(super) fn start(&self, engine: &Engine) -> std::io::Result<Ticking<'_>> {
        self.0.running.fetch_add(1, Ordering::AcqRel);
        let ticking = Ticking(&self.0);
        let mut alive = self.0.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if !*alive {
            let (ticks, engine) = (Arc::clone(&self.0), engine.clone());
            std::thread::Builder::new().name("sandbox-ticker".into()).spawn(move || ticks.tick(&engine))?;
            *alive = true;
        }
        Ok(ticking)
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
                // Whoever starts a guest counts it before it looks whether this thread lives.
                if self.running.load(Ordering::Acquire) == 0 {
                    *alive = false;
                    return;
                }
            }
        }
    }
}
