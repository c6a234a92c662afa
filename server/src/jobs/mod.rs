//! Runs export and import jobs in the server, not in the request: progress, cancel, resume.

/// Running jobs.
#[derive(Clone, Debug)]
pub struct Jobs {}
