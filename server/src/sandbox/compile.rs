//! Compiles transforms, foreign ones where it can be stopped: in a process of its own.
//!
//! The compiler cannot be interrupted, and a file of some kilobytes can keep it busy for hours, or make it ask
//! for all the memory there is. So the program calls itself for each file that is not part of it: with a limit
//! on time and memory that the system enforces, at the lowest priority, without environment, and confined
//! (`confine.rs`): it can read its input, write its output and compute, and nothing else. What comes back is
//! compiled code with a checksum, as files of compiled code have it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Once, OnceLock, mpsc};
use std::time::Duration;

use wasmtime::Engine;

use super::catalog::Origin;
use super::engine::{self, Counting, Stop};
use super::program::{self, Program};
use super::{Transform, cache, catalog, confine, intake};
use crate::error::{Code, Error, Result};

/// The subcommand that compiles; it is not shown in `--help`.
pub const SUBCOMMAND: &str = "compile-transform";

/// Time any file may take, of all processors together.
const TIME: Duration = Duration::from_secs(20);

/// Time for each MiB of the file more. A Python interpreter of 18 MiB takes 10 seconds on a quick machine.
const TIME_PER_MIB: Duration = Duration::from_secs(15);

/// Memory it may take, bytes of address space.
const MEMORY: u64 = 4 << 30;

/// Compiled code is at most so large; a Python interpreter gives 60 MiB.
const LARGEST_CODE: u64 = 512 << 20;

/// Exit status of a process that found the file wrong.
const REFUSED: u8 = 2;

/// How often a process that compiles is looked at, whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// How the process that compiles begins to say that it is not confined.
const UNCONFINED: &str = "not confined: ";

/// The program to call, once it is known.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// From now on foreign transforms are compiled by this program, whose [`SUBCOMMAND`] calls [`serve`]. Until
/// then, as in tests of the library, they are compiled in this process.
pub fn compile_with(program: PathBuf) {
    // Once is enough: it is the same program for as long as the process lives.
    let _ = PROGRAM.set(program);
}

/// Compiles a transform. Fails with [`Code::Canceled`] when it is stopped.
pub(super) fn compile(engine: &Engine, counting: Counting, transform: &Transform, stop: &Stop) -> Result<Program> {
    let canceled = || Error::new(Code::Canceled, format!("The compilation of {} was stopped.", transform.label()));
    if stop.is_stopped() {
        return Err(canceled());
    }
    let bytes = transform.bytes()?;
    let wasm = intake::runnable(&bytes).map_err(|refusal| catalog::error(&transform.label(), &refusal))?;
    let made = match PROGRAM.get() {
        Some(program) if transform.origin() != Origin::Shipped => {
            let time = TIME + TIME_PER_MIB.saturating_mul(u32::try_from(bytes.len() >> 20).unwrap_or(u32::MAX));
            elsewhere(program, engine, counting, &wasm, time, stop)
        }
        _ => Program::compile(engine, &wasm).map_err(|error| format!("{error:#}")),
    };
    made.map_err(|why| {
        if stop.is_stopped() {
            return canceled();
        }
        Error::new(
            Code::InvalidTransform,
            format!("{} cannot be compiled: {}.", transform.label(), intake::one_line(&why)),
        )
        .with_hint("Build it again with the transforms-sdk that this server's `transform new` sets up.")
    })
}

/// Has a component or a core module compiled by another process.
fn elsewhere(
    program: &PathBuf,
    engine: &Engine,
    counting: Counting,
    wasm: &[u8],
    time: Duration,
    stop: &Stop,
) -> std::result::Result<Program, String> {
    let broken = |error: std::io::Error| format!("the process that compiles cannot be used: {error}");
    let mut command = Command::new(program);
    command.arg(SUBCOMMAND).arg(time.as_secs().to_string());
    if counting == Counting::Fuel {
        command.arg("--fuel");
    }
    let mut process = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let (code, complaint) = std::thread::scope(|scope| {
        // All three at once, so that no side waits for the other for ever.
        scope.spawn(move || {
            // One that has ended before it read everything has said why.
            let _ = stdin.map(|mut stdin| stdin.write_all(wasm));
        });
        let complaint = scope.spawn(move || read(stderr, 64 << 10));
        let (ended, is_ended) = mpsc::channel::<()>();
        let process = &mut process;
        scope.spawn(move || {
            while is_ended.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                if stop.is_stopped() {
                    // A process that has just ended cannot be killed any more.
                    let _ = process.kill();
                    break;
                }
            }
        });
        let code = read(stdout, LARGEST_CODE);
        drop(ended);
        (code, complaint.join().unwrap_or_default())
    });
    let status = process.wait().map_err(broken)?;
    if !status.success() {
        return Err(why(status, &String::from_utf8_lossy(&complaint), time));
    }
    if let Some(missing) = String::from_utf8_lossy(&complaint).strip_prefix(UNCONFINED) {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                "transforms are compiled without confinement, which this system does not offer: {}",
                intake::one_line(missing)
            );
        });
    }
    cache::made(engine, &code).ok_or_else(|| "the process that compiles gave something else than code".to_owned())
}

fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What is cut off has no valid checksum.
        let _ = from.take(most).read_to_end(&mut bytes);
    }
    bytes
}

/// Why a process that compiles ended without code.
fn why(status: ExitStatus, complaint: &str, time: Duration) -> String {
    if status.code() == Some(REFUSED.into()) {
        return complaint.to_owned();
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        use rustix::process::Signal;
        let is = |known: Signal| signal == known.as_raw();
        if is(Signal::XCPU) || is(Signal::KILL) {
            let time = humantime::format_duration(time);
            return format!("that takes more than {time} of computing, the limit for a file of its size");
        }
    }
    if complaint.contains("memory allocation") || complaint.contains("Cannot allocate memory") {
        return format!("that takes more than {} of memory, the limit", bytesize::ByteSize(MEMORY));
    }
    format!("the compiler broke off ({status})")
}

/// What the process that compiles does: WASM from standard input, within limits, becomes code on
/// standard output. Gives the exit status.
pub fn serve(seconds: u64, counting: Counting) -> u8 {
    let made = limit(seconds).map_err(|error| format!("its limits cannot be set: {error}")).and_then(|()| {
        let engine = engine::engine(counting).map_err(|error| error.message)?;
        // Before the first byte of the file is read.
        if let Err(missing) = confine::confine() {
            eprint!("{UNCONFINED}{missing}");
        }
        let mut wasm = Vec::new();
        std::io::stdin().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
        // Code is made, not loaded: memory that can be executed is not needed here.
        let (form, code) = program::precompile(&engine, &wasm).map_err(|error| format!("{error:#}"))?;
        let mut out = std::io::stdout().lock();
        out.write_all(&cache::header(form, &code))
            .and_then(|()| out.write_all(&code))
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string())
    });
    match made {
        Ok(()) => 0,
        Err(why) => {
            eprint!("{why}");
            REFUSED
        }
    }
}

#[cfg(unix)]
fn limit(seconds: u64) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let most = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Cpu, most(seconds))?;
    setrlimit(Resource::As, most(MEMORY))?;
    // A dump of a process that was stopped is of no use to anybody.
    setrlimit(Resource::Core, most(0))?;
    nice(19)?;
    Ok(())
}

/// Elsewhere the system has no such limits: only the size of the file holds.
#[cfg(not(unix))]
fn limit(_: u64) -> std::io::Result<()> {
    Ok(())
}
