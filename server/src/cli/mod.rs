//! The command line, one file per subcommand.

mod demo;
mod export;
mod follow;
mod hardening;
mod import;
mod logging;
mod serve;
mod transform;
mod validate_config;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sandbox::{self, Counting};

/// Exports and imports the users of an Auth0 tenant: a server with web pages, and the same engine on
/// the command line.
#[derive(Debug, Parser)]
#[command(name = "user-import-export", version, max_term_width = 100, after_help = EXIT_STATUS)]
struct Arguments {
    /// TOML file with settings; the environment wins over it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Settings come from the environment or from the file named by --config; the README lists them.\n\n\
                           Exit status: 0 done, 1 done with row faults, 2 wrong use or bad input, 3 failed.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the web pages and the API for a tenant
    Serve,
    /// Try everything: a simulated tenant with users, and a server for it
    Demo(demo::DemoArgs),
    /// Export users of a tenant, or convert a file of users
    Export(export::ExportArgs),
    /// Import users from files, or only check them
    Import(import::ImportArgs),
    /// Write, build, test and look at column transforms
    Transform(transform::TransformArgs),
    /// Check the settings without starting
    ValidateConfig,
    /// Compile a component from standard input: what the sandbox starts, with limits, for a foreign transform
    #[command(hide = true, name = sandbox::SUBCOMMAND)]
    CompileTransform {
        /// Time it may compute, seconds
        seconds: u64,
        /// Count instructions
        #[arg(long)]
        fuel: bool,
    },
}

/// This program, as it can be started again; on Linux even when its file was replaced meanwhile.
fn this_program() -> Option<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Some(running.to_owned()) } else { std::env::current_exe().ok() }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    if let Some(program) = this_program() {
        sandbox::compile_with(program);
    }
    if matches!(command, Command::Serve | Command::Demo(_) | Command::Export(_) | Command::Import(_)) {
        hardening::protect_memory();
    }
    let result = match command {
        Command::Serve => serve::run(config.as_deref()),
        Command::Demo(arguments) => demo::run(&arguments, config.as_deref()),
        Command::Export(arguments) => export::run(&arguments, config.as_deref()),
        Command::Import(arguments) => import::run(&arguments, config.as_deref()),
        Command::Transform(arguments) => transform::run(&arguments, config.as_deref()),
        Command::ValidateConfig => validate_config::run(config.as_deref()),
        Command::CompileTransform { seconds, fuel } => {
            let counting = if fuel { Counting::Fuel } else { Counting::Off };
            Ok(ExitCode::from(sandbox::serve_compilation(seconds, counting)))
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(error.exit_status())
    })
}
