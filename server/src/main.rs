//! The binary: runs the command line ([`user_import_export::cli`]).

use std::process::ExitCode;

fn main() -> ExitCode {
    user_import_export::cli::main()
}
