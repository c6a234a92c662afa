//! The command line, one file per subcommand.

mod confirm;
#[cfg(feature = "demo")]
mod demo;
mod encoding;
mod export;
mod hardening;
mod import;
mod logging;
mod run_with_progress;
mod serve;
mod transform;
mod validate_config;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use uie_sandbox::FuelMetering;

/// Exports and imports the users of an Auth0 tenant, as a server with web pages or on the command line.
#[derive(Debug, Parser)]
#[command(name = "user-import-export", version, max_term_width = 100, after_help = EXIT_STATUS)]
struct Arguments {
    /// TOML file with settings; environment variables override it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Settings come from the environment or from the file named by --config; the README lists them.\n\n\
                           Exit status: 0 success, 1 completed with row errors, 2 invalid arguments or input, 3 failure.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server with the web pages and the API for a tenant
    Serve,
    /// Start a simulated tenant with users, and a server for it
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Export users of a tenant, or convert a file of users
    Export(export::ExportArgs),
    /// Import users from files, or only check the files
    Import(import::ImportArgs),
    /// Create, build, test, measure and inspect transforms
    Transform(transform::TransformArgs),
    /// Check the settings without starting the server
    ValidateConfig,
    /// Compile a component from standard input; the sandbox starts this command, with limits, for uploaded transforms
    #[command(hide = true, name = uie_sandbox::SUBCOMMAND)]
    CompileTransform {
        /// CPU time limit in seconds
        seconds: u64,
        /// Count instructions
        #[arg(long)]
        fuel: bool,
    },
}

impl Command {
    /// Returns whether the command keeps users or secrets in memory.
    fn handles_personal_data(&self) -> bool {
        match self {
            Self::Serve | Self::Export(_) | Self::Import(_) => true,
            #[cfg(feature = "demo")]
            Self::Demo(_) => true,
            Self::Transform(_) | Self::ValidateConfig | Self::CompileTransform { .. } => false,
        }
    }
}

/// Returns a path that starts this program again, on Linux even if its file was replaced meanwhile.
fn program_path() -> Option<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Some(running.to_owned()) } else { std::env::current_exe().ok() }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    if let Some(program) = program_path() {
        uie_sandbox::compile_with(program);
    }
    if command.handles_personal_data() {
        hardening::protect_memory();
    }
    let result = match command {
        Command::Serve => serve::run(config.as_deref()),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments, config.as_deref()),
        Command::Export(arguments) => export::run(&arguments, config.as_deref()),
        Command::Import(arguments) => import::run(&arguments, config.as_deref()),
        Command::Transform(arguments) => transform::run(&arguments, config.as_deref()),
        Command::ValidateConfig => validate_config::run(config.as_deref()),
        Command::CompileTransform { seconds, fuel } => {
            let counting = if fuel { FuelMetering::On } else { FuelMetering::Off };
            Ok(ExitCode::from(uie_sandbox::serve_compilation(seconds, counting)))
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(error.exit_status())
    })
}
