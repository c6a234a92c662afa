//! Following a job of the command line to its end.

use std::io::IsTerminal;
use std::time::Duration;

use crate::error::Result;
use crate::progress::Progress;

/// Drives a job: Ctrl-C cancels it, `tick` draws its progress a few times a second, and where standard
/// error is no terminal, so that no bar says it, each new thing the job waits for is a line there.
pub(super) async fn to_its_end<T>(
    progress: &Progress,
    work: impl Future<Output = Result<T>>,
    mut tick: impl FnMut(),
) -> Result<T> {
    tokio::pin!(work);
    let silent = !std::io::stderr().is_terminal();
    let mut said = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = tokio::signal::ctrl_c(), if !progress.is_canceled() => {
                eprintln!("Canceling …");
                progress.cancel();
            }
            _ = ticks.tick() => {
                tick();
                let details = progress.details();
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
