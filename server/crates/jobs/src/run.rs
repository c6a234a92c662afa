//! Executes one job and stores its result.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::job_directory::{UPLOAD, remove_directory};
use super::runner_state::RunnerState;
use super::secrets;
use uie_auth0::{JobSummary, ManagementClient};
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;
use uie_core::telemetry;
use uie_export::ExportRequest;
use uie_import::ImportRequest;
use uie_store::{FileWriter, Files, JobKind, JobRecord, JobState};

/// Adds the progress of a job to the counters of the process.
struct JobMetrics {
    kind: JobKind,
    /// Rows that are already counted.
    rows: u64,
}

impl JobMetrics {
    fn new(kind: JobKind) -> Self {
        Self { kind, rows: 0 }
    }

    /// Counts the rows since the last call. `rows` is lower than before after a step was restarted.
    fn advance_to(&mut self, rows: u64) {
        let counter = match self.kind {
            JobKind::Import => &telemetry::IMPORTED_ROWS,
            JobKind::Export => &telemetry::EXPORTED_ROWS,
        };
        counter.add(rows.saturating_sub(self.rows));
        self.rows = rows;
    }

    /// Counts the failed rows or cells of a finished job.
    fn add_errors(&self, summary: &Value) {
        let (counter, name) = match self.kind {
            JobKind::Import => (&telemetry::IMPORT_ERRORS, "failed"),
            JobKind::Export => (&telemetry::EXPORT_ERRORS, "faults"),
        };
        counter.add(summary.get(name).and_then(Value::as_u64).unwrap_or_default());
    }
}

/// Maximum number of restarts of an export whose Auth0 job was lost.
const MAX_RESTARTS: u32 = 3;

/// The summary of a finished job, and the name of its file.
type JobOutput = (Value, Option<String>);

/// Executes a job and stores its result. A job that is interrupted by the stop of the server stays unfinished.
pub(super) async fn execute(jobs: &RunnerState, job: JobRecord, progress: Arc<Progress>) {
    let id = job.id.clone();
    let mut metrics = JobMetrics::new(job.kind);
    let finished = CancellationToken::new();
    let work = async {
        let outcome = run_until_done(jobs, &job, &progress).await;
        finished.cancel();
        outcome
    };
    // Polled concurrently with the work, not within it: storing a counter may have to wait for a transaction of
    // the work.
    let counting = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while finished.run_until_cancelled(ticks.tick()).await.is_some() {
            metrics.advance_to(progress.processed());
            store_progress(jobs, &id, &progress).await;
        }
    };
    let (outcome, ()) = tokio::join!(work, counting);
    if jobs.stopping.is_cancelled() && outcome.is_err() {
        tracing::info!("interrupted");
        return;
    }
    metrics.advance_to(progress.processed());
    let end = match outcome {
        Ok((summary, artifact)) => {
            metrics.add_errors(&summary);
            let rows = progress.processed();
            progress.set_total(progress.total().map_or(rows, |total| total.max(rows)));
            tracing::info!(rows, "completed");
            JobEnd::Completed(summary, artifact)
        }
        Err(error) => {
            tracing::info!(error = error.code.as_str(), "ended");
            JobEnd::Failed(error)
        }
    };
    store_progress(jobs, &id, &progress).await;
    store_end(jobs, &id, job.kind, &progress, &end).await;
}

/// Stores that a job failed because its task panicked.
pub(super) async fn record_panic(jobs: &RunnerState, id: &str, kind: JobKind, progress: &Progress) {
    let end = JobEnd::Failed(Error::new(Code::Internal, message!("The job crashed (internal error).")));
    store_end(jobs, id, kind, progress, &end).await;
}

/// The result of a job.
enum JobEnd {
    /// Summary, and the name of the file.
    Completed(Value, Option<String>),
    Failed(Error),
}

/// Samples and stores the counters of a job. A failure is logged only: the job does not need them.
async fn store_progress(jobs: &RunnerState, id: &str, progress: &Progress) {
    progress.sample(Instant::now());
    if let Err(error) = jobs.store.set_job_progress(id, progress.processed(), progress.total()).await {
        tracing::warn!(error = error.code.as_str(), "progress could not be stored: {}", error.message);
    }
}

/// Stores the result of a job. Retries until it succeeds, for example while the disk is full. If the server stops
/// before, its next start runs the job again.
async fn store_end(jobs: &RunnerState, id: &str, kind: JobKind, progress: &Progress, end: &JobEnd) {
    let mut wait = Duration::from_millis(200);
    loop {
        let stored = match end {
            JobEnd::Completed(summary, artifact) => {
                let artifact = artifact.as_deref().map(|name| (name, artifact_expiry(jobs)));
                jobs.store.finish_job(id, JobState::Completed, Some(summary), None, artifact).await
            }
            JobEnd::Failed(error) => store_failure(jobs, id, kind, error).await,
        };
        let error = match stored {
            Ok(true) => return,
            Ok(false) => {
                tracing::warn!("the job already has another result, which is kept");
                return;
            }
            Err(error) => error,
        };
        tracing::error!(error = error.code.as_str(), "the result of a job could not be stored: {}", error.message);
        progress.set_warning(message!(
            "The job has ended, but its result cannot be stored yet: {reason}",
            reason = error.message
        ));
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(10)),
            () = jobs.stopping.cancelled() => return,
        }
    }
}

/// Stores that a job failed or was canceled; for an import with its counts up to then. Returns `false` if the job
/// already has a result.
async fn store_failure(jobs: &RunnerState, id: &str, kind: JobKind, error: &Error) -> Result<bool> {
    let state = if error.code == Code::Canceled { JobState::Canceled } else { JobState::Failed };
    let (summary, artifact) = match kind {
        // The files are kept for the report and for resuming the job.
        JobKind::Import => {
            let counts = uie_import::outcome(id, &jobs.store).await?;
            let summary = import_summary(counts, jobs.store.job_files(id)).await?;
            (Some(summary), Some((UPLOAD, artifact_expiry(jobs))))
        }
        JobKind::Export => {
            if let Err(error) = remove_directory(jobs.store.job_directory(id)).await {
                tracing::warn!("the directory of a job could not be removed: {}", error.message);
            }
            (None, None)
        }
    };
    jobs.store.finish_job(id, state, summary.as_ref(), Some(&error.body()), artifact).await
}

/// Returns when the files of a job that ends now expire.
fn artifact_expiry(jobs: &RunnerState) -> Timestamp {
    let lifetime = SignedDuration::try_from(jobs.settings.artifact_ttl).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

/// Waits for a permit, then runs the job. Runs it again after the next sign-in if the owner's token has expired, and
/// up to [`MAX_RESTARTS`] times if its Auth0 export was lost.
async fn run_until_done(jobs: &RunnerState, job: &JobRecord, progress: &Arc<Progress>) -> Result<JobOutput> {
    let queue = match job.kind {
        JobKind::Import => &jobs.imports,
        JobKind::Export => &jobs.exports,
    };
    let _permit = if let Ok(permit) = queue.try_acquire() {
        permit
    } else {
        progress.set_details(Some(message!("Waiting for another job to finish.")));
        let _queued = telemetry::QUEUED_JOBS.inc_guard();
        let permit = async { queue.acquire().await.map_err(|_| interrupted()) };
        progress.or_canceled(permit).await?
    };
    progress.set_details(None);
    if !jobs.store.begin_job(&job.id).await? {
        return Err(Error::new(Code::JobState, message!("Job {id} has already ended.", id = job.id)));
    }
    let mut restarts = 0;
    loop {
        let mut sign_ins = jobs.sign_ins.subscribe();
        let client = jobs.client_provider.for_job(&jobs.store, job).await;
        let outcome = match client {
            Ok(client) => run_once(jobs, job, client.for_job(Arc::clone(progress)), progress).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            jobs.client_provider.store_refusal(&jobs.store, job).await;
        }
        match outcome {
            // The owner's token expired while the job ran.
            Err(error)
                if error.code == Code::Auth0TokenEnded
                    && jobs.client_provider.may_use_client_credentials(&jobs.store, job).await? => {}
            Err(error) if error.code == Code::Auth0TokenEnded => {
                progress.set_details(Some(message!(
                    "The sign-in of the user who started this job has expired. The job continues at their next sign-in."
                )));
                progress.or_canceled(async { sign_ins.changed().await.map_err(|_| interrupted()) }).await?;
                progress.set_details(None);
            }
            // The rest of the file in Auth0 cannot be read any more, so the rows written so far are useless.
            Err(error) if error.code == Code::Auth0ExportLost && restarts < MAX_RESTARTS => {
                restarts += 1;
                tracing::info!(reason = %error.message, "restarting the export");
            }
            outcome => return outcome,
        }
    }
}

fn interrupted() -> Error {
    Error::new(Code::Interrupted, message!("The server is stopping."))
}

async fn run_once(
    jobs: &RunnerState,
    job: &JobRecord,
    client: ManagementClient,
    progress: &Arc<Progress>,
) -> Result<JobOutput> {
    let files = jobs.store.create_job_files(&job.id)?;
    match job.kind {
        JobKind::Export => {
            let request = secrets::open(&jobs.store, &job.id, &job.request)?;
            progress.set_processed(0);
            let checkpoint = uie_export::ExportCheckpoint::new(jobs.store.clone(), &job.id);
            export(jobs, &request, &files, client, progress, checkpoint).await
        }
        JobKind::Import => {
            let request: ImportRequest = secrets::open(&jobs.store, &job.id, &job.request)?;
            let spec = jobs.import_spec(&request).await?;
            let summary = uie_import::run(&job.id, &spec, &files, client, &jobs.store, Arc::clone(progress)).await?;
            Ok((import_summary(summary, files).await?, Some(UPLOAD.to_owned())))
        }
    }
}

/// Returns the summary of an import: its counts, its files and why rows failed.
async fn import_summary(counts: JobSummary, files: Files) -> Result<Value> {
    run_blocking(move || uie_import::summary(counts, &files)).await
}

async fn export(
    jobs: &RunnerState,
    request: &ExportRequest,
    files: &Files,
    client: ManagementClient,
    progress: &Arc<Progress>,
    checkpoint: uie_export::ExportCheckpoint,
) -> Result<JobOutput> {
    // Cancelable, since compiling a transform may take seconds.
    let spec = progress.or_canceled(jobs.export_spec(request)).await?;
    let spec = Arc::new(spec.with_spill_directory(files.directory()));
    let name = format!("users.{}{}", request.format.extension(), if request.gzip { ".gz" } else { "" });
    // Written under a temporary name and renamed when complete, so that a partial file is never served.
    let output = Output::new(files.create(PARTIAL)?);
    let summary =
        uie_export::run(spec, client, Box::new(output.clone()), Arc::clone(progress), Some(checkpoint)).await?;
    let (partial, target) = (files.path(PARTIAL), files.path(&name));
    run_blocking(move || Ok(output.finish().and_then(|()| std::fs::rename(partial, target))?)).await?;
    Ok((json(&summary)?, Some(name)))
}

/// Name of an export's file until it is complete.
const PARTIAL: &str = "partial";

/// The output file of an export. Clones share it, so that it can be finished after the export has returned.
#[derive(Clone)]
struct Output(Arc<Mutex<Option<FileWriter>>>);

impl Output {
    fn new(file: FileWriter) -> Self {
        Self(Arc::new(Mutex::new(Some(file))))
    }

    fn with_file<T>(&self, action: impl FnOnce(&mut FileWriter) -> io::Result<T>) -> io::Result<T> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        action(file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?)
    }

    fn finish(&self) -> io::Result<()> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        file.ok_or(io::ErrorKind::BrokenPipe)?.finish(true)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with_file(|file| file.write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with_file(|file| file.write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with_file(Write::flush)
    }
}

fn json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(Error::internal)
}
