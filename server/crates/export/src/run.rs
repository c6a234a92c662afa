//! Runs the export of a file or of a tenant.

use std::io::{Read, Write};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::input::InputFile;
use super::pipeline;
use super::source::{self, ExportCheckpoint};
use super::spec::ExportSpec;
use super::summary::ExportSummary;
use uie_auth0::ManagementClient;
use uie_core::error::Result;
use uie_core::progress::Progress;

/// Exports the users of several files, in order. Blocking.
pub fn run_files(
    spec: &ExportSpec,
    files: Vec<InputFile>,
    output: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<ExportSummary> {
    pipeline::run(&spec.for_file()?, files, pipeline::Origin::File, output, progress)
}

/// Exports a file of users: a JSON array, NDJSON or CSV, optionally gzip; the format is detected. Blocking.
pub fn run_file(
    spec: &ExportSpec,
    input: Box<dyn Read + Send>,
    output: Box<dyn Write + Send>,
    progress: &Progress,
) -> Result<ExportSummary> {
    run_files(spec, vec![InputFile::single(input)], output, progress)
}

/// Exports a tenant's users. With a `checkpoint`, a job that was interrupted reuses its export job inside Auth0. If the
/// job is canceled, this returns without waiting for threads that still compute.
pub fn run(
    spec: Arc<ExportSpec>,
    client: ManagementClient,
    output: Box<dyn Write + Send>,
    progress: Arc<Progress>,
    checkpoint: Option<ExportCheckpoint>,
) -> BoxFuture<'static, Result<ExportSummary>> {
    // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
    source::run(spec, client, output, progress, checkpoint, source::PollPolicy::default()).boxed()
}
