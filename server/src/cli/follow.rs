//! Following a job of the command line to its end.

use std::io::IsTerminal;
use std::time::Duration;

use crate::error::Result;
use crate::progress::Progress;

/// The exit status of a process that Ctrl-C ended, as shells have it: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// What is said where standard error is no terminal, so that no bar says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Each new thing the job does or waits for is a line.
    None,
    /// Only what is in the way of the job.
    ButTrouble,
}

/// Drives a job: Ctrl-C cancels it, a second one ends the process, and `tick` draws its progress a few
/// times a second.
pub(super) async fn to_its_end<T>(
    progress: &Progress,
    work: impl Future<Output = Result<T>>,
    silence: Silence,
    mut tick: impl FnMut(),
) -> Result<T> {
    tokio::pin!(work);
    let silent = !std::io::stderr().is_terminal();
    let mut said = None;
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
                tick();
                let details = match silence {
                    Silence::None => progress.details(),
                    Silence::ButTrouble => progress.trouble(),
                };
                if silent && details != said {
                    if let Some(details) = &details {
                        eprintln!("{details}");
                    }
                    said = details;
                }
            }
        }
    }
}
