//! Compiles transforms; those that are not part of this program in a separate process.
//!
//! The compiler cannot be interrupted, and a file of a few kilobytes can keep it busy for hours or make it allocate all
//! memory. So this program starts itself for each such file: with limits on time and memory that the operating system
//! enforces, at the lowest priority, without environment variables, and confined (`process_sandbox.rs`), so that it can
//! only compute, read its input and write its output. It returns compiled code with a checksum, in the format of the
//! cache.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Once, OnceLock, mpsc};
use std::time::Duration;

use wasmtime::Engine;

use super::catalog::{self, Origin, Transform};
use super::compiled_transform::{self, CompiledTransform};
use super::engine::{self, FuelMetering, StopSignal};
use super::{cache, process_sandbox, validate};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

/// The subcommand that compiles; it is not shown in `--help`.
pub const SUBCOMMAND: &str = "compile-transform";

/// CPU time for a file, all threads together.
const BASE_TIME: Duration = Duration::from_secs(20);

/// Additional CPU time per MiB of the file. A Python interpreter of 18 MiB takes 10 seconds on a fast machine.
const TIME_PER_MIB: Duration = Duration::from_secs(15);

/// Maximum address space of the process, in bytes.
const MAX_MEMORY: u64 = 4 << 30;

/// Maximum size of compiled code, in bytes. A Python interpreter has 60 MiB.
const MAX_CODE_BYTES: u64 = 512 << 20;

/// Exit status of the process if the file cannot be compiled.
const REFUSED: u8 = 2;

/// How often it is checked whether the compilation was stopped.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Start of the message on standard error with which the process reports that it is not confined.
const UNCONFINED: &str = "not confined: ";

/// The program to start, once it is known.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Sets the program that compiles transforms in a separate process; its [`SUBCOMMAND`] must call [`serve`]. Without it,
/// as in tests of the library, all transforms are compiled in this process.
pub fn compile_with(program: PathBuf) {
    // Later calls are ignored: the program does not change while the process runs.
    let _ = PROGRAM.set(program);
}

/// Compiles a transform. Fails with [`Code::Canceled`] if it is stopped, and with [`Code::InvalidTransform`] if it
/// cannot be compiled within the limits.
pub(super) fn compile(
    engine: &Engine,
    metering: FuelMetering,
    transform: &Transform,
    stop: &StopSignal,
) -> Result<CompiledTransform> {
    let label = transform.label();
    let canceled = || Error::new(Code::Canceled, message!("The compilation of {label} was stopped."));
    if stop.is_stopped() {
        return Err(canceled());
    }
    let bytes = transform.bytes()?;
    let wasm = validate::to_compilable(&bytes).map_err(|diagnostic| catalog::error(&label, &diagnostic))?;
    let compiled = match PROGRAM.get() {
        Some(program) if transform.origin() != Origin::Shipped => {
            let time = BASE_TIME + TIME_PER_MIB.saturating_mul(u32::try_from(bytes.len() >> 20).unwrap_or(u32::MAX));
            compile_in_process(program, engine, metering, &wasm, time, stop)
        }
        _ => CompiledTransform::compile(engine, &wasm).map_err(|error| verbatim_line(&format!("{error:#}"))),
    };
    compiled.map_err(|reason| {
        if stop.is_stopped() {
            return canceled();
        }
        Error::new(Code::InvalidTransform, message!("{label} cannot be compiled: {reason}."))
            .with_hint(validate::build_again())
    })
}

/// Returns a text of the compiler, which is English.
fn verbatim_line(text: &str) -> Message {
    Message::verbatim(validate::one_line(text))
}

/// Compiles a component or a core module in a separate process.
fn compile_in_process(
    program: &PathBuf,
    engine: &Engine,
    metering: FuelMetering,
    wasm: &[u8],
    time: Duration,
    stop: &StopSignal,
) -> std::result::Result<CompiledTransform, Message> {
    let unusable = |error: std::io::Error| message!("the compiler process cannot be used: {error}");
    let mut command = Command::new(program);
    command.arg(SUBCOMMAND).arg(time.as_secs().to_string());
    if metering == FuelMetering::On {
        command.arg("--fuel");
    }
    let mut process = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(unusable)?;
    let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let (code, complaint) = std::thread::scope(|scope| {
        // Use all three pipes at the same time, to avoid a deadlock.
        scope.spawn(move || {
            // Fails if the process ended before it read everything; its standard error has the reason.
            let _ = stdin.map(|mut stdin| stdin.write_all(wasm));
        });
        let complaint = scope.spawn(move || read(stderr, 64 << 10));
        let (ended, is_ended) = mpsc::channel::<()>();
        let process = &mut process;
        scope.spawn(move || {
            while is_ended.recv_timeout(STOP_POLL_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                if stop.is_stopped() {
                    // Fails if the process has just ended.
                    let _ = process.kill();
                    break;
                }
            }
        });
        let code = read(stdout, MAX_CODE_BYTES);
        drop(ended);
        (code, complaint.join().unwrap_or_default())
    });
    let status = process.wait().map_err(unusable)?;
    if !status.success() {
        return Err(failure_reason(status, &String::from_utf8_lossy(&complaint), time));
    }
    if let Some(missing) = String::from_utf8_lossy(&complaint).strip_prefix(UNCONFINED) {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                "transforms are compiled in a process without confinement, because this system does not support it: {}",
                validate::one_line(missing)
            );
        });
    }
    cache::decode(engine, &code).ok_or_else(|| message!("the compiler process returned something other than code"))
}

fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // Truncated code has no valid checksum.
        let _ = from.take(most).read_to_end(&mut bytes);
    }
    bytes
}

/// Returns the reason why the compiler process ended without code.
fn failure_reason(status: ExitStatus, complaint: &str, time: Duration) -> Message {
    if status.code() == Some(REFUSED.into()) {
        return verbatim_line(complaint);
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        use rustix::process::Signal;
        let is = |known: Signal| signal == known.as_raw();
        if is(Signal::XCPU) || is(Signal::KILL) {
            let time = humantime::format_duration(time);
            return message!("that takes more than {time} of computing, the limit for a file of its size");
        }
    }
    if complaint.contains("memory allocation") || complaint.contains("Cannot allocate memory") {
        let limit = bytesize::ByteSize(MAX_MEMORY);
        return message!("that takes more than {limit} of memory, the limit");
    }
    message!("the compiler process stopped unexpectedly ({status})")
}

/// Runs the compiler process: compiles the WASM file on standard input within limits, and writes the code to standard
/// output. Returns the exit status.
pub fn serve(seconds: u64, metering: FuelMetering) -> u8 {
    let outcome = set_limits(seconds).map_err(|error| format!("its limits cannot be set: {error}")).and_then(|()| {
        let engine = engine::engine(metering).map_err(|error| error.message.to_string())?;
        // Before the first byte of the file is read.
        if let Err(missing) = process_sandbox::confine() {
            eprint!("{UNCONFINED}{missing}");
        }
        let mut wasm = Vec::new();
        std::io::stdin().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
        // The code is not loaded: the process needs no executable memory.
        let (kind, code) = compiled_transform::precompile(&engine, &wasm).map_err(|error| format!("{error:#}"))?;
        let mut out = std::io::stdout().lock();
        out.write_all(&cache::header(kind, &code))
            .and_then(|()| out.write_all(&code))
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string())
    });
    match outcome {
        Ok(()) => 0,
        Err(reason) => {
            eprint!("{reason}");
            REFUSED
        }
    }
}

#[cfg(unix)]
fn set_limits(seconds: u64) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let at_most = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Cpu, at_most(seconds))?;
    let memory = setrlimit(Resource::As, at_most(MAX_MEMORY));
    // macOS may refuse it: it maps more than this into every process.
    if !cfg!(target_os = "macos") {
        memory?;
    }
    // Core dumps of a stopped process are useless.
    setrlimit(Resource::Core, at_most(0))?;
    nice(19)?;
    Ok(())
}

/// Other systems have no such limits: only the size of the file is limited.
#[cfg(not(unix))]
fn set_limits(_: u64) -> std::io::Result<()> {
    Ok(())
}
