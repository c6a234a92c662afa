//! `transform test`: runs the native tests of a crate, and the examples and cases in the sandbox.

use std::fmt::Write;
use std::path::Path;

use transforms_sdk::testing::read_cases;

use super::build::{cargo_build, cargo_missing};
use super::toolchain::cargo;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_sandbox::{CheckResult, Sandbox, StopSignal, Transform};

/// The result of the tests.
#[derive(Debug)]
pub(super) struct TestOutcome {
    /// The report.
    pub(super) text: String,
    /// Whether all tests passed.
    pub(super) passed: bool,
}

/// Runs the native tests of a crate, then the examples and cases of the crate or file in the sandbox.
pub(super) fn run(what: &Path, sandbox: &Sandbox) -> Result<TestOutcome> {
    if !what.is_dir() {
        let transform = Transform::from_file(what)?;
        let cases = what.parent().unwrap_or(Path::new(".")).join("cases");
        return run_in_sandbox(&transform, &cases, sandbox);
    }
    if !what.join("Cargo.toml").is_file() {
        return Err(Error::new(
            Code::InvalidArgument,
            message!("{} is not a crate: it has no Cargo.toml.", what.display()),
        )
        .with_hint(message!("Run `transform new NAME` to create one.")));
    }
    // Standard output is for the report, so cargo's test output goes to standard error.
    let status = cargo(what).arg("test").stdout(std::io::stderr()).status().map_err(|error| cargo_missing(&error))?;
    if !status.success() {
        let text = "The native tests fail; nothing was run in the sandbox.\n".to_owned();
        return Ok(TestOutcome { text, passed: false });
    }
    let transform = Transform::from_file(&cargo_build(what)?)?;
    run_in_sandbox(&transform, &what.join("cases"), sandbox)
}

fn run_in_sandbox(transform: &Transform, cases: &Path, sandbox: &Sandbox) -> Result<TestOutcome> {
    // Also check that a transform without examples and cases starts.
    sandbox.start(transform, &vec![None; transform.manifest().parameters.len()])?;
    let mut text = String::new();
    let (mut count, mut failed) = (0, 0);
    let mut report = |source: &str, checked: Vec<CheckResult>| {
        for (checked, number) in checked.into_iter().zip(1..) {
            count += 1;
            if let Some(reason) = checked.failure {
                failed += 1;
                // Writing to a string does not fail.
                let _ = writeln!(text, "wrong: {source} {number}, {} {reason}", checked.call);
            }
        }
    };
    report("example", sandbox.check_examples(transform, &StopSignal::default())?);
    for (file, cases) in
        read_cases(cases).map_err(|error| Error::new(Code::InvalidArgument, Message::verbatim(error)))?
    {
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        report(&name, sandbox.check_cases(transform, &cases)?);
    }
    let label = transform.label();
    let _ = match (count, failed) {
        (0, _) => writeln!(text, "{label} starts in the sandbox. It has neither examples nor cases to run."),
        (count, 0) => writeln!(text, "{label}: all {count} examples and cases hold in the sandbox."),
        (count, failed) => {
            writeln!(text, "{label}: {failed} of {count} examples and cases do not hold in the sandbox.")
        }
    };
    Ok(TestOutcome { text, passed: failed == 0 })
}
