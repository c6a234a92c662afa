//! `transform test`.

use std::fmt::Write;
use std::path::Path;

use transforms_sdk::testing::read_cases;

use super::build::{cargo_build, no_cargo};
use super::toolchain::cargo;
use crate::error::{Code, Error, Result};
use crate::sandbox::{Checked, Sandbox, Stop, Transform};

/// What the tests came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// For a person.
    pub(super) text: String,
    /// All held.
    pub(super) holds: bool,
}

/// Runs the tests of a crate natively, then those of it, or of a file, in the sandbox.
pub(super) fn run(what: &Path, sandbox: &Sandbox) -> Result<Outcome> {
    if !what.is_dir() {
        let transform = Transform::from_file(what)?;
        let cases = what.parent().unwrap_or(Path::new(".")).join("cases");
        return in_sandbox(&transform, &cases, sandbox);
    }
    if !what.join("Cargo.toml").is_file() {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("{} is not a crate: it has no Cargo.toml.", what.display()),
        )
        .with_hint("`transform new NAME` starts one."));
    }
    // Standard output is the report's; cargo's tests go where its other messages go.
    let status = cargo(what).arg("test").stdout(std::io::stderr()).status().map_err(|error| no_cargo(&error))?;
    if !status.success() {
        let text = "The native tests fail; nothing was run in the sandbox.\n".to_owned();
        return Ok(Outcome { text, holds: false });
    }
    let transform = Transform::from_file(&cargo_build(what)?)?;
    in_sandbox(&transform, &what.join("cases"), sandbox)
}

fn in_sandbox(transform: &Transform, cases: &Path, sandbox: &Sandbox) -> Result<Outcome> {
    // Started even when nothing is to be run.
    sandbox.start(transform, &vec![None; transform.manifest().parameters.len()])?;
    let mut text = String::new();
    let (mut count, mut wrong) = (0, 0);
    let mut report = |place: &str, checked: Vec<Checked>| {
        for (checked, number) in checked.into_iter().zip(1..) {
            count += 1;
            if let Some(reason) = checked.wrong {
                wrong += 1;
                // A string takes whatever is written to it.
                let _ = writeln!(text, "wrong: {place} {number}, {} {reason}", checked.call);
            }
        }
    };
    report("example", sandbox.check_examples(transform, &Stop::default())?);
    for (file, cases) in read_cases(cases).map_err(|error| Error::new(Code::InvalidArgument, error))? {
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        report(&name, sandbox.check_cases(transform, &cases)?);
    }
    let label = transform.label();
    let _ = match (count, wrong) {
        (0, _) => writeln!(text, "{label} starts in the sandbox. It has neither examples nor cases to run."),
        (count, 0) => writeln!(text, "{label}: all {count} examples and cases hold in the sandbox."),
        (count, wrong) => writeln!(text, "{label}: {wrong} of {count} examples and cases do not hold in the sandbox."),
    };
    Ok(Outcome { text, holds: wrong == 0 })
}
