//! `transform`: commands for authors of transforms, with the same engine and limits as jobs.

mod bench;
mod build;
mod new;
mod run_tests;
mod show;
#[cfg(test)]
mod tests;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use uie_core::config::{Purpose, Settings};
use uie_core::error::Result;
use uie_sandbox::{Sandbox, Transform};

/// Arguments of `transform`.
#[derive(Args, Debug)]
pub(super) struct TransformArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the crate of a new transform, which builds and passes its tests
    New {
        /// Name in expressions: a letter, then letters, digits and `_`
        name: String,
        /// Directory to create; default: the name
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
    },
    /// Build a transform for the sandbox
    Build(build::BuildArgs),
    /// Run the tests of a transform: natively, and its examples and cases in the sandbox
    Test {
        /// The crate, or the built file; cases are read from `cases` in the same directory
        #[arg(value_name = "DIR|FILE.wasm", default_value = ".")]
        what: PathBuf,
    },
    /// Measure a transform: speed, fuel, memory, and its share of each limit
    Bench {
        /// The built file
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// Number of rows
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
        rows: u64,
    },
    /// Show the manifest of a transform
    Inspect {
        /// The built file, or the name of an available transform
        #[arg(value_name = "FILE.wasm|NAME")]
        what: PathBuf,
    },
    /// List the available transforms: shipped, in `TRANSFORMS_DIR`, uploaded
    List,
}

/// Runs a subcommand.
pub(super) fn run(arguments: &TransformArgs, config: Option<&Path>) -> Result<ExitCode> {
    let settings = || Settings::load(Purpose::Local, config);
    match &arguments.command {
        Command::New { name, path } => {
            let path = path.clone().unwrap_or_else(|| PathBuf::from(name));
            print!("{}", new::create(name, &path)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Build(arguments) => {
            println!("{}", build::run(arguments, &Sandbox::open(&settings()?)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { what } => {
            let outcome = run_tests::run(what, &Sandbox::open(&settings()?)?)?;
            print!("{}", outcome.text);
            Ok(if outcome.passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Command::Bench { file, rows } => {
            print!("{}", bench::run(file, *rows, &settings()?)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Inspect { what } => {
            let sandbox = Sandbox::open(&settings()?)?;
            let transform = find(what, &sandbox)?;
            print!("{}", show::inspect(&transform, &sandbox));
            Ok(ExitCode::SUCCESS)
        }
        Command::List => {
            let (list, problems) = show::list(&Sandbox::open(&settings()?)?.catalog());
            print!("{list}");
            eprint!("{problems}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns the transform of a file, or of a name in the catalog.
fn find(what: &Path, sandbox: &Sandbox) -> Result<Transform> {
    let name = what.to_string_lossy();
    match sandbox.catalog().get(&name) {
        // A directory with the name of a transform is usually its crate.
        Some(transform) if !what.is_file() => Ok(Transform::clone(transform)),
        _ => Transform::from_file(what),
    }
}
