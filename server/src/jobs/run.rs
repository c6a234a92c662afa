//! One job from its start to its end.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Inner, UPLOAD, secrets};
use crate::auth0::{JobSummary, ManagementClient};
use crate::error::{Code, Error, Result};
use crate::export::{self, ExportRequest};
use crate::import::{self, ImportRequest};
use crate::measure;
use crate::progress::Progress;
use crate::store::{FileWriter, Files, JobKind, JobRecord, JobState};

/// Counts what a job does, for those who watch the server.
struct Counted {
    kind: JobKind,
    rows: u64,
}

impl Counted {
    fn new(kind: JobKind) -> Self {
        Self { kind, rows: 0 }
    }

    /// So many rows are done. Fewer than before: a step started again.
    fn up_to(&mut self, rows: u64) {
        let counter = match self.kind {
            JobKind::Import => &measure::IMPORTED_ROWS,
            JobKind::Export => &measure::EXPORTED_ROWS,
        };
        counter.add(rows.saturating_sub(self.rows));
        self.rows = rows;
    }

    fn faults(&self, summary: &Value) {
        let (counter, name) = match self.kind {
            JobKind::Import => (&measure::IMPORT_FAULTS, "failed"),
            JobKind::Export => (&measure::EXPORT_FAULTS, "faults"),
        };
        counter.add(summary.get(name).and_then(Value::as_u64).unwrap_or_default());
    }
}

/// So often an export begins again whose file inside Auth0 was lost on the way.
const RESTARTS: u32 = 3;

/// What a job came to: its summary, and the file it made.
type Outcome = (Value, Option<String>);

/// Runs a job and stores how it ended. A job that is stopped with the server stays unfinished.
pub(super) async fn to_its_end(jobs: &Inner, job: JobRecord, progress: Arc<Progress>) {
    let id = job.id.clone();
    let mut counted = Counted::new(job.kind);
    let over = CancellationToken::new();
    let work = async {
        let outcome = work(jobs, &job, &progress).await;
        over.cancel();
        outcome
    };
    // Beside the work and not in turns with it: storing a counter may have to wait for a transaction that
    // the work has begun.
    let counting = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while over.run_until_cancelled(ticks.tick()).await.is_some() {
            counted.up_to(progress.processed());
            note_progress(jobs, &id, &progress).await;
        }
    };
    let (outcome, ()) = tokio::join!(work, counting);
    if jobs.stopping.is_cancelled() && outcome.is_err() {
        tracing::info!("interrupted");
        return;
    }
    counted.up_to(progress.processed());
    let end = match outcome {
        Ok((summary, artifact)) => {
            counted.faults(&summary);
            let rows = progress.processed();
            progress.set_total(progress.total().map_or(rows, |total| total.max(rows)));
            tracing::info!(rows, "completed");
            End::Completed(summary, artifact)
        }
        Err(error) => {
            tracing::info!(error = error.code.as_str(), "ended");
            End::Failed(error)
        }
    };
    note_progress(jobs, &id, &progress).await;
    store_end(jobs, &id, job.kind, &progress, &end).await;
}

/// Stores that a bug ended a job.
pub(super) async fn broke_off(jobs: &Inner, id: &str, kind: JobKind, progress: &Progress) {
    let end = End::Failed(Error::new(Code::Internal, "The job broke off by a bug."));
    store_end(jobs, id, kind, progress, &end).await;
}

/// How a job ended.
enum End {
    /// With its summary and the file it made.
    Completed(Value, Option<String>),
    Failed(Error),
}

/// Counters are for those who watch, and for after a restart: a moment without them is no reason to fail.
async fn note_progress(jobs: &Inner, id: &str, progress: &Progress) {
    progress.look(Instant::now());
    if let Err(error) = jobs.store.set_job_progress(id, progress.processed(), progress.total()).await {
        tracing::warn!(error = error.code.as_str(), "progress could not be stored: {}", error.message);
    }
}

/// Stores how a job ended, as often as it takes: on a full disk only once there is room again. A server that
/// stops before that runs the job again at its next start.
async fn store_end(jobs: &Inner, id: &str, kind: JobKind, progress: &Progress, end: &End) {
    let mut wait = Duration::from_millis(200);
    loop {
        let stored = match end {
            End::Completed(summary, artifact) => {
                let artifact = artifact.as_deref().map(|name| (name, artifact_end(jobs)));
                jobs.store.finish_job(id, JobState::Completed, Some(summary), None, artifact).await
            }
            End::Failed(error) => failed(jobs, id, kind, error).await,
        };
        let error = match stored {
            Ok(true) => return,
            Ok(false) => {
                tracing::warn!("the job had ended otherwise; its first end stays");
                return;
            }
            Err(error) => error,
        };
        tracing::error!(error = error.code.as_str(), "the end of a job could not be stored: {}", error.message);
        progress.set_trouble(format!("The job is over, but its end cannot be stored yet: {}", error.message));
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(10)),
            () = jobs.stopping.cancelled() => return,
        }
    }
}

/// Stores that a job failed, or was canceled; of an import with what it had come to by then.
async fn failed(jobs: &Inner, id: &str, kind: JobKind, error: &Error) -> Result<bool> {
    let state = if error.code == Code::Canceled { JobState::Canceled } else { JobState::Failed };
    let (summary, artifact) = match kind {
        // Its files stay for the report and to be resumed.
        JobKind::Import => {
            let counts = import::outcome(id, &jobs.store).await?;
            let summary = import_summary(counts, jobs.store.job_files(id)).await?;
            (Some(summary), Some((UPLOAD, artifact_end(jobs))))
        }
        JobKind::Export => {
            if let Err(error) = super::remove_directory(jobs.store.job_directory(id)).await {
                tracing::warn!("what is left of a job could not be removed: {}", error.message);
            }
            (None, None)
        }
    };
    jobs.store.finish_job(id, state, summary.as_ref(), Some(&error.body()), artifact).await
}

/// When the files of a job that ends now are removed.
fn artifact_end(jobs: &Inner) -> Timestamp {
    let lifetime = SignedDuration::try_from(jobs.settings.artifact_ttl).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

async fn work(jobs: &Inner, job: &JobRecord, progress: &Arc<Progress>) -> Result<Outcome> {
    let queue = match job.kind {
        JobKind::Import => &jobs.imports,
        JobKind::Export => &jobs.exports,
    };
    let _turn = if let Ok(turn) = queue.try_acquire() {
        turn
    } else {
        progress.set_details(Some("Waiting for another job to finish.".into()));
        let _queued = measure::QUEUED_JOBS.enter();
        let turn =
            async { queue.acquire().await.map_err(|_| Error::new(Code::Interrupted, "The server is stopping.")) };
        progress.or_canceled(turn).await?
    };
    progress.set_details(None);
    if !jobs.store.begin_job(&job.id).await? {
        return Err(Error::new(Code::JobState, format!("Job {} is over already.", job.id)));
    }
    let mut restarts = 0;
    loop {
        let mut sign_ins = jobs.sign_ins.subscribe();
        let client = jobs.clients.for_job(&jobs.store, job).await;
        let outcome = match client {
            Ok(client) => once(jobs, job, client.for_job(Arc::clone(progress)), progress).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            jobs.clients.store_refusal(&jobs.store, job).await;
        }
        match outcome {
            // The owner's token reached its end while the job ran.
            Err(error)
                if error.code == Code::Auth0TokenEnded && jobs.clients.may_take_over(&jobs.store, job).await? => {}
            Err(error) if error.code == Code::Auth0TokenEnded => {
                let text =
                    "The sign-in of the person who started this job has ended. The job goes on at their next sign-in.";
                progress.set_details(Some(text.into()));
                progress
                    .or_canceled(async {
                        sign_ins.changed().await.map_err(|_| Error::new(Code::Interrupted, "The server is stopping."))
                    })
                    .await?;
                progress.set_details(None);
            }
            // What was written belongs to a file that cannot be completed any more.
            Err(error) if error.code == Code::Auth0ExportLost && restarts < RESTARTS => {
                restarts += 1;
                tracing::info!(reason = error.message, "the export starts again");
            }
            outcome => return outcome,
        }
    }
}

async fn once(jobs: &Inner, job: &JobRecord, client: ManagementClient, progress: &Arc<Progress>) -> Result<Outcome> {
    let files = jobs.store.create_job_files(&job.id)?;
    match job.kind {
        JobKind::Export => {
            let request = secrets::open(&jobs.store, &job.id, &job.request)?;
            progress.set_processed(0);
            let note = export::Note::new(jobs.store.clone(), &job.id);
            export(jobs, &request, &files, client, progress, note).await
        }
        JobKind::Import => {
            let request: ImportRequest = secrets::open(&jobs.store, &job.id, &job.request)?;
            let spec = jobs.import_spec(&request).await?;
            let summary = import::run(&job.id, &spec, &files, client, &jobs.store, Arc::clone(progress)).await?;
            Ok((import_summary(summary, files).await?, Some(UPLOAD.to_owned())))
        }
    }
}

/// The counts of an import, with what its files were and why rows failed.
async fn import_summary(counts: JobSummary, files: Files) -> Result<Value> {
    tokio::task::spawn_blocking(move || import::summary(counts, &files))
        .await
        .map_err(|error| Error::new(Code::Internal, error.to_string()))?
}

async fn export(
    jobs: &Inner,
    request: &ExportRequest,
    files: &Files,
    client: ManagementClient,
    progress: &Arc<Progress>,
    note: export::Note,
) -> Result<Outcome> {
    // Compiling a transform takes a moment.
    let spec = progress.or_canceled(jobs.export_spec(request)).await?;
    let spec = Arc::new(spec.with_spill_directory(files.directory()));
    let name = format!("users.{}{}", request.format.extension(), if request.gzip { ".gz" } else { "" });
    // Under another name until it is complete, so that no artifact is ever served half-written.
    let output = Output::new(files.create(PARTIAL)?);
    let summary = export::run(spec, client, Box::new(output.clone()), Arc::clone(progress), Some(note)).await?;
    let (partial, target) = (files.path(PARTIAL), files.path(&name));
    tokio::task::spawn_blocking(move || output.finish().and_then(|()| std::fs::rename(partial, target)))
        .await
        .map_err(|error| Error::new(Code::Internal, error.to_string()))??;
    Ok((json(&summary)?, Some(name)))
}

/// Name of an export's file until it is complete.
const PARTIAL: &str = "partial";

/// The file of an export, which whoever started it ends once everything was written.
#[derive(Clone)]
struct Output(Arc<Mutex<Option<FileWriter>>>);

impl Output {
    fn new(file: FileWriter) -> Self {
        Self(Arc::new(Mutex::new(Some(file))))
    }

    fn with<T>(&self, action: impl FnOnce(&mut FileWriter) -> io::Result<T>) -> io::Result<T> {
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
        self.with(|file| file.write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|file| file.write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(Write::flush)
    }
}

fn json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::new(Code::Internal, error.to_string()))
}
