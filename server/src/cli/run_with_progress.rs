//! Runs a job of the command line and reports its progress.

use std::io::IsTerminal;
use std::time::Duration;

use uie_core::error::Result;
use uie_core::progress::Progress;

/// Exit status of a process that Ctrl-C ended: 128 plus the number of the signal, as in shells.
const INTERRUPTED: i32 = 130;

/// What is printed if standard error is not a terminal, where no progress bar is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verbosity {
    /// Each new step or wait of the job.
    Details,
    /// Only warnings.
    Warnings,
}

/// Runs a job to its end and returns its result. The first Ctrl-C cancels the job, the second one ends the process.
/// Calls `draw` five times per second to draw the progress.
pub(super) async fn run_with_progress<T>(
    progress: &Progress,
    work: impl Future<Output = Result<T>>,
    verbosity: Verbosity,
    mut draw: impl FnMut(),
) -> Result<T> {
    tokio::pin!(work);
    let print_details = !std::io::stderr().is_terminal();
    let mut printed = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = tokio::signal::ctrl_c() => {
                if progress.is_canceled() {
                    std::process::exit(INTERRUPTED);
                }
                eprintln!("Canceling …");
                progress.cancel();
            }
            _ = ticks.tick() => {
                draw();
                let details = match verbosity {
                    Verbosity::Details => progress.details(),
                    Verbosity::Warnings => progress.warning(),
                };
                if print_details && details != printed {
                    if let Some(details) = &details {
                        eprintln!("{details}");
                    }
                    printed = details;
                }
            }
        }
    }
}
