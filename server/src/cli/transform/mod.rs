//! `transform`: what an author of transforms needs, on the engine and with the limits that jobs have.

mod bench;
mod build;
mod check;
mod new;
mod show;
#[cfg(test)]
mod tests;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::{Purpose, Settings};
use crate::error::Result;
use crate::sandbox::{Sandbox, Transform};

/// Arguments of `transform`.
#[derive(Args, Debug)]
pub(super) struct TransformArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a new transform: a crate that builds and passes its tests at once
    New {
        /// What expressions will call it by: a letter, then letters, digits and `_`
        name: String,
        /// Directory to make; the name, unless said otherwise
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
    },
    /// Build a transform for the sandbox
    Build(build::BuildArgs),
    /// Run its tests: natively, and its examples and cases in the sandbox
    Test {
        /// Its crate, or the built file; beside the file, `cases` is looked for
        #[arg(value_name = "DIR|FILE.wasm", default_value = ".")]
        what: PathBuf,
    },
    /// Measure it: speed, fuel, memory, and how much of each limit it takes
    Bench {
        /// The built file
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// Rows to compute
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
        rows: u64,
    },
    /// Show what a file says about itself
    Inspect {
        /// The built file, or the name of a transform there is
        #[arg(value_name = "FILE.wasm|NAME")]
        what: PathBuf,
    },
    /// List the transforms there are: shipped, files in `TRANSFORMS_DIR`, uploads
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
            let outcome = check::run(what, &Sandbox::open(&settings()?)?)?;
            print!("{}", outcome.text);
            Ok(if outcome.holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
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
            let (list, left_out) = show::list(&Sandbox::open(&settings()?)?.catalog());
            print!("{list}");
            eprint!("{left_out}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The transform of a file, or of a name in the catalog.
fn find(what: &Path, sandbox: &Sandbox) -> Result<Transform> {
    let name = what.to_string_lossy();
    match sandbox.catalog().get(&name) {
        // A transform's crate usually lies in a directory of its name.
        Some(transform) if !what.is_file() => Ok(Transform::clone(transform)),
        _ => Transform::from_file(what),
    }
}
