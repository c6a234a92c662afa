//! Measures the parts of the check of an import and the `jsonschema` crate, and compares their verdicts row by row. Run
//! with `cargo bench --bench import [-- USERS]`. `-- USERS --write FILE` only writes the users, and
//! `-- --schema FILE [--verdicts FILE]` only validates users against the schema, for `compare-import`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use uie_core::progress::Progress;
use uie_import::{ImportRequest, ImportSpec, InputFile};

/// Default number of users.
const USERS: u64 = 200_000;

/// Number of repetitions; medians are printed.
const TIMES: usize = 3;

/// Returns the CPU time of this process, user and system.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns the median CPU time in seconds.
fn measure(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let began = cpu_time();
            work();
            cpu_time().saturating_sub(began)
        })
        .collect();
    times.sort();
    times[TIMES / 2].as_secs_f64()
}

fn write_users(path: &Path, users: u64) {
    let mut output = BufWriter::new(File::create(path).expect("a file"));
    for index in 0..users {
        writeln!(output, "{}", simulated_tenant::generate::import_user(index, 7).trim_end()).expect("written");
    }
    output.flush().expect("written");
}

fn open(path: &Path) -> Box<dyn Read + Send> {
    Box::new(File::open(path).expect("the users"))
}

fn check(path: &Path, chunks: Option<&Path>) -> uie_import::CheckSummary {
    let spec = ImportSpec::new(&ImportRequest { dry_run: true, ..ImportRequest::default() }).expect("no mapping");
    let path = path.to_owned();
    let input = InputFile { name: None, open: Box::new(move || Ok(open(&path))), reopenable: true };
    uie_import::check_files(&spec, vec![input], chunks, None, &mut |_| Ok(()), &Progress::default()).expect("a summary")
}

/// Validates the users of a file against the schema, once. Writes the verdicts as a string of 1 and 0.
fn validate_against_schema(path: &Path, verdicts: Option<&Path>) {
    let mut output = verdicts.map(|path| BufWriter::new(File::create(path).expect("a file")));
    let mut counts = [0_u64; 2];
    uie_import::schema_verdicts(open(path), &mut |_, accepted| {
        counts[usize::from(accepted)] += 1;
        if let Some(output) = &mut output {
            output.write_all(if accepted { b"1" } else { b"0" }).expect("written");
        }
    })
    .expect("verdicts");
    output.map(|mut output| output.flush()).transpose().expect("written");
    println!("{} accepted, {} refused", counts[1], counts[0]);
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut users = USERS;
    let mut target: Option<PathBuf> = None;
    let (mut schema_input, mut verdicts): (Option<PathBuf>, Option<PathBuf>) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--write" => target = arguments.next().map(PathBuf::from),
            "--schema" => schema_input = arguments.next().map(PathBuf::from),
            "--verdicts" => verdicts = arguments.next().map(PathBuf::from),
            number => users = number.parse().expect("a number of users"),
        }
    }
    if let Some(path) = target {
        return write_users(&path, users);
    }
    if let Some(path) = schema_input {
        return validate_against_schema(&path, verdicts.as_deref());
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.ndjson");
    write_users(&path, users);

    let schema = serde_json::from_str(include_str!("../crates/import/src/documented-schema.json")).expect("JSON");
    let general = jsonschema::options()
        .should_validate_formats(true)
        .with_email_options(jsonschema::EmailOptions::default().without_display_text())
        .build(&schema)
        .expect("a schema");
    let mut theirs = Vec::new();
    let general_time = measure(|| {
        theirs.clear();
        for line in BufReader::new(File::open(&path).expect("the users")).lines() {
            let user: Option<serde_json::Value> = serde_json::from_str(&line.expect("text")).ok();
            theirs.push(user.is_some_and(|user| general.is_valid(&user)));
        }
    });
    let mut ours = Vec::new();
    let schema_time = measure(|| {
        ours.clear();
        uie_import::schema_verdicts(open(&path), &mut |_, accepted| ours.push(accepted)).expect("verdicts");
    });
    let differing = ours.iter().zip(&theirs).filter(|(one, other)| one != other).count();
    assert!(ours.len() == theirs.len() && differing == 0, "{differing} verdicts differ");

    let mut summary = uie_import::CheckSummary::default();
    let check_time = measure(|| summary = check(&path, None));
    let chunks = directory.path().join("chunks");
    let split_time = measure(|| summary = check(&path, Some(&chunks)));

    let accepted = ours.iter().filter(|accepted| **accepted).count();
    println!("{users} users, {accepted} accepted by the schema, the same rows as by the jsonschema crate");
    println!("{} good, {} bad after everything, {} chunks", summary.good, summary.failed, summary.chunks);
    let per_row = |seconds: f64| seconds * 1e6 / users as f64;
    for (what, seconds) in [
        ("jsonschema crate", general_time),
        ("schema alone", schema_time),
        ("whole check: duplicates, what a schema cannot say, faults", check_time),
        ("whole check and chunks", split_time),
    ] {
        println!("{seconds:7.3} s  {:6.3} µs a row  {what}", per_row(seconds));
    }
}
