//! Parses the arguments and hands over to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    user_import_export::cli::main()
}
