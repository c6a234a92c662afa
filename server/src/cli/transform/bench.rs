//! `transform bench`: measures a transform.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use transforms_sdk::Value;
use transforms_sdk::testing::read_cases;

use uie_core::config::Settings;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_sandbox::{FuelMetering, Runner, Sandbox, Transform, Usage};

/// Number of rows computed before the measurement.
const WARM_UP: usize = 1024;

/// Number of rows per call, as in exports.
const AT_ONCE: usize = 1024;

/// Number of rows for counting fuel.
const COUNTED: usize = 2048;

/// Measures a transform with the arguments of its examples and cases, which are repeated. Returns the report.
pub(super) fn run(file: &Path, rows: u64, settings: &Settings) -> Result<String> {
    let transform = Transform::from_file(file)?;
    let arguments = arguments(&transform, &file.parent().unwrap_or(Path::new(".")).join("cases"))?;
    let literals = vec![None; transform.manifest().parameters.len()];

    let sandbox = Sandbox::open(settings)?;
    let began = Instant::now();
    let mut runner = sandbox.start(&transform, &literals)?;
    let start = began.elapsed();
    compute(&mut runner, &arguments, WARM_UP);
    let before = runner.usage();
    let (elapsed, faults) = compute(&mut runner, &arguments, usize::try_from(rows).unwrap_or(usize::MAX));
    let after = runner.usage();

    // Counting fuel slows down the execution, so it is not done while time is measured.
    let counting = Sandbox::open_with_metering(settings, FuelMetering::On)?;
    let mut counted = counting.start(&transform, &literals)?;
    let (_, _) = compute(&mut counted, &arguments, COUNTED);
    let measured = Measured { rows, elapsed, faults, start, time: after.time.saturating_sub(before.time) };
    Ok(report(&transform, &sandbox, &measured, &after, &counted.usage()))
}

struct Measured {
    rows: u64,
    elapsed: Duration,
    faults: u64,
    start: Duration,
    /// Execution time inside the sandbox.
    time: Duration,
}

/// Returns the arguments of the transform's examples and of its cases.
fn arguments(transform: &Transform, cases: &Path) -> Result<Vec<Vec<Value>>> {
    let manifest = transform.manifest();
    let examples = manifest.examples.iter().filter_map(transforms_sdk::manifest::Example::arguments);
    let cases = read_cases(cases).map_err(|error| Error::new(Code::InvalidArgument, Message::verbatim(error)))?;
    let cases = cases.into_iter().flat_map(|(_, cases)| cases).map(|case| case.arguments);
    let taken = manifest.parameters.len();
    let rows: Vec<Vec<Value>> = examples
        .chain(cases)
        .filter(|arguments| arguments.len() <= taken)
        .map(|arguments| {
            let mut row: Vec<Value> = arguments.into_iter().map(Value::from).collect();
            row.resize(taken, Value::Nothing);
            row
        })
        .collect();
    if rows.is_empty() {
        return Err(Error::new(
            Code::InvalidArgument,
            message!("{} has neither examples nor cases, so there is nothing to compute.", transform.label()),
        )
        .with_hint(message!(
            "Add an example to its attribute, or a file of cases to the directory `cases` beside the file."
        )));
    }
    Ok(rows)
}

/// Computes rows. Returns the elapsed time and the number of errors.
fn compute(runner: &mut Runner, arguments: &[Vec<Value>], rows: usize) -> (Duration, u64) {
    let batch: Vec<_> = arguments.iter().cycle().take(AT_ONCE.min(rows)).cloned().collect();
    let (mut elapsed, mut faults, mut left) = (Duration::ZERO, 0, rows);
    while left > 0 {
        let now = batch.get(..left.min(batch.len())).unwrap_or(&batch);
        let began = Instant::now();
        let results = runner.apply(now);
        elapsed += began.elapsed();
        faults += results.iter().filter(|result| result.is_err()).count() as u64;
        left -= now.len();
    }
    (elapsed, faults)
}

fn report(transform: &Transform, sandbox: &Sandbox, measured: &Measured, used: &Usage, counted: &Usage) -> String {
    let limits = sandbox.limits();
    let rows = measured.rows as f64;
    let mut text = format!("{}\n", transform.label());
    let mut line = |label: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {label:<8} {value}");
    };
    line("Rows", format!("{}, {} of them refused or broken", measured.rows, measured.faults));
    line(
        "Speed",
        format!(
            "{:.0} rows/s on one thread; {:.3} µs a row, {:.3} µs of it inside the sandbox",
            rows / measured.elapsed.as_secs_f64().max(f64::EPSILON),
            measured.elapsed.as_secs_f64() * 1e6 / rows,
            measured.time.as_secs_f64() * 1e6 / rows,
        ),
    );
    if let Some(fuel) = counted.fuel {
        line("Fuel", format!("{} a row", fuel / counted.rows.max(1)));
    }
    line(
        "Memory",
        share_of_limit(used.memory as f64, limits.memory as f64, &ByteSize(used.memory), &ByteSize(limits.memory)),
    );
    let slowest = used.slowest_row;
    line(
        "Time",
        format!(
            "{} (the slowest batch, by row)",
            share_of_limit(
                slowest.as_secs_f64(),
                limits.time.as_secs_f64(),
                &format!("{:.3} µs", slowest.as_secs_f64() * 1e6),
                &humantime::format_duration(limits.time),
            )
        ),
    );
    line(
        "Result",
        share_of_limit(used.result as f64, limits.result as f64, &ByteSize(used.result), &ByteSize(limits.result)),
    );
    line("Start", format!("{:.1} ms, compiled or read from the cache", measured.start.as_secs_f64() * 1e3));
    if used.instances > 1 {
        line("Restarts", format!("{}, each after a row that broke it", used.instances - 1));
    }
    text
}

/// Formats a share of a limit: `used of limit, percentage`.
fn share_of_limit(used: f64, limit: f64, shown: &dyn std::fmt::Display, shown_limit: &dyn std::fmt::Display) -> String {
    format!("{shown} of {shown_limit}, {:.2} %", used * 100.0 / limit)
}
