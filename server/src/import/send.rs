//! Sends chunks and follows them to their end. Before and after every request the store is told where
//! the chunk stands, so that a run can stop anywhere and the next one goes on from there.
//!
//! No row takes effect twice, although a chunk whose answer was lost is sent again: neither mode of Auth0's import can
//! insert an e-mail twice. Rows that are then refused as duplicates are looked up; created since the first attempt
//! means inserted by it (docs/decisions/0009-import-chunks.md).

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::chunks::{self, ChunkWriter, IdentityFile, RowIdentity, RowIndex, chunk_name, named, read_identities};
use super::faults::{self, FaultFile};
use super::{ImportRequest, ImportSpec, InputFile, Outputs, RowFault, Severity, check_rows, reasons, redact, survey};
use crate::auth0::{
    ImportJobRequest, Job, JobErrors, JobStatus, JobSummary, ManagementClient, UserErrors, is_import_limit,
    may_have_happened,
};
use crate::error::{Code, Error, Result};
use crate::progress::Progress;
use crate::store::{CheckedImport, ChunkOutcome, ChunkState, Files, ImportChunk, Store};

/// Import jobs a tenant runs at once (docs/auth0/README.md#constants).
const JOBS_AT_ONCE: usize = 2;

/// Chunks that Auth0 refuses as a whole, with none between that it takes, before it is no longer believed
/// that single rows are to blame. The largest chunk that rows can fill is halved 13 times.
const MOST_FRUITLESS: u32 = 40;

/// Look-ups of single users at once.
const LOOKUPS_AT_ONCE: usize = 4;

/// How often things are looked at, and how long they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Before a running job is looked at for the second time, unless those before tell when it will end;
    /// grows by half for every further time.
    pub first_poll: Duration,
    /// The longest time between two looks at a running job.
    pub longest_poll: Duration,
    /// Between two attempts to send while other people's jobs fill the tenant.
    pub busy: Duration,
    /// Before a chunk is sent again whose answer was lost; doubled for every further time.
    pub resend: Duration,
    /// How often a chunk is sent at most when answers are lost or jobs vanish.
    pub attempts: u32,
    /// How long a job may take inside Auth0. Auth0 itself ends an import after two hours.
    pub longest_job: Duration,
    /// How long a canceled import waits for jobs that run already, so that their rows are counted.
    pub cancel_grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_poll: Duration::from_secs(1),
            longest_poll: Duration::from_secs(5),
            busy: Duration::from_secs(5),
            resend: Duration::from_secs(2),
            attempts: 5,
            longest_job: Duration::from_hours(3),
            cancel_grace: Duration::from_secs(15),
        }
    }
}

/// Runs an import job, or goes on where an earlier run of the same job stopped. `files` belong to the job:
/// among them are the uploaded one as `upload` (or a directory `upload` with several, in the order of their
/// names) and everything the import keeps.
///
/// Sends nothing unless the whole file could be read. Rows with errors are left out and count as failed.
///
/// When the job is canceled no further chunk is sent. Jobs that run already inside Auth0 cannot be
/// stopped there: they are waited for a short time and counted; those that take longer keep their state,
/// are not counted in [`outcome`], and are looked at again when the job is resumed.
///
/// Errors that end the job leave its state such that another call goes on; with
/// [`Code::Auth0TokenEnded`] a new sign-in is enough.
pub async fn run(
    job_id: &str,
    spec: &ImportSpec,
    files: &Files,
    client: ManagementClient,
    store: &Store,
    progress: Arc<Progress>,
) -> Result<JobSummary> {
    run_at(job_id, spec, files, client, store, progress, Pace::default()).await
}

/// [`run`] at another pace.
pub async fn run_at(
    job_id: &str,
    spec: &ImportSpec,
    files: &Files,
    client: ManagementClient,
    store: &Store,
    progress: Arc<Progress>,
    pace: Pace,
) -> Result<JobSummary> {
    let request = spec.request();
    if store.checked_import(job_id).await?.is_none() {
        check_upload(job_id, spec, files, store, &progress).await?;
    }
    let sofar = outcome(job_id, store).await?;
    progress.set_total(sofar.total);
    if request.look_up || request.backup {
        survey(spec, files, &client.for_job(Arc::clone(&progress)), &progress, pace).await?;
    }
    if request.dry_run {
        progress.set_processed(sofar.total);
        return Ok(sofar);
    }
    progress.set_processed(sofar.failed + sofar.inserted + sofar.updated);
    let mut open = store.import_chunks(job_id).await?;
    open.retain(|chunk| !matches!(chunk.state, ChunkState::Done | ChunkState::Failed));
    // What Auth0 works on already takes its two places.
    open.sort_by_key(|chunk| (!matches!(chunk.state, ChunkState::Sent(_)), chunk.number));
    let sender = Sender {
        job_id,
        request,
        files,
        client: client.for_job(Arc::clone(&progress)),
        unstopped: client,
        store,
        progress: &progress,
        pace,
        places: places(store.directory()),
        queue: Mutex::new(open.into()),
        stopped: AtomicBool::new(false),
        fruitless: AtomicU32::new(0),
        per_row: Mutex::default(),
        splitting: tokio::sync::Mutex::new(()),
    };
    if !sender.client.knows_tenant_time() && !sender.is_idle() {
        sender.client.importable_connection(&request.connection_id).await?;
    }
    // Both end by themselves: dropping one in the middle of a request would lose its answer.
    let (first, second) = tokio::join!(Box::pin(sender.work()), Box::pin(sender.work()));
    progress.set_details(None);
    match (first, second) {
        (Ok(()), Ok(())) => outcome(job_id, store).await,
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(first), Err(second)) => Err(if first.code == Code::Canceled { second } else { first }),
    }
}

/// What is known of an import so far: rows refused here and the outcome of every chunk that is done.
/// All zero while the file is not checked to its end.
pub async fn outcome(job_id: &str, store: &Store) -> Result<JobSummary> {
    let checked = store.checked_import(job_id).await?.unwrap_or_default();
    let mut summary = JobSummary { total: checked.total, failed: checked.refused, inserted: 0, updated: 0 };
    for chunk in store.import_chunks(job_id).await? {
        summary.inserted += chunk.outcome.inserted;
        summary.updated += chunk.outcome.updated;
        summary.failed += chunk.outcome.failed;
    }
    Ok(summary)
}

/// The uploaded file of a job, or the directory of them.
pub(super) const UPLOAD: &str = "upload";

/// The uploaded files of a job, in order.
pub(super) fn uploads(files: &Files) -> Result<Vec<InputFile<'static>>> {
    let several = files.below(UPLOAD);
    let path = several.directory();
    if !path.is_dir() {
        return Ok(vec![upload(files.clone(), UPLOAD.to_owned(), None)]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| named(error, path))? {
        let entry = entry.map_err(|error| named(error, path))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let file = |name: String| {
        // Numbered, so that files of the same name can stand side by side in their order.
        let shown = name.split_once('-').map_or(&*name, |(_, name)| name).to_owned();
        upload(several.clone(), name, Some(shown))
    };
    Ok(names.into_iter().map(file).collect())
}

fn upload(files: Files, name: String, shown: Option<String>) -> InputFile<'static> {
    let open = move || match files.open(&name) {
        Ok(file) => Ok(Box::new(file) as Box<dyn Read + Send>),
        Err(error) => Err(named(error, &files.path(&name))),
    };
    InputFile { name: shown, open: Box::new(open), again: true }
}

/// Stops the check when the future that waits for it is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Checks the whole file and keeps chunks and faults. They are put together in a passing directory,
/// since an abandoned check may still be running when the next one starts, and count once they are in
/// the store.
async fn check_upload(
    job_id: &str,
    spec: &ImportSpec,
    files: &Files,
    store: &Store,
    progress: &Arc<Progress>,
) -> Result<()> {
    let directory = files.directory();
    for entry in fs::read_dir(directory).map_err(|error| named(error, directory))? {
        let path = entry.map_err(|error| named(error, directory))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("check-")) {
            // What is left of a check that was abandoned; if it still writes, it fails by this.
            let _ = fs::remove_dir_all(&path);
        }
    }
    let passing_files = files.below(&format!("check-{:016x}", rand::random::<u64>()));
    let passing = passing_files.directory().to_owned();
    passing_files.create_directory().map_err(|error| named(error, &passing))?;
    let stop = Arc::new(AtomicBool::new(false));
    let guard = StopOnDrop(Arc::clone(&stop));
    let (summary, written) = {
        let (spec, files, passing) = (spec.clone(), files.clone(), passing_files);
        let progress = Arc::clone(progress);
        blocking(move || {
            let request = spec.request();
            let writer = if request.dry_run {
                None
            } else {
                Some(ChunkWriter::new(passing.below("chunks"), Some(passing.below("rows")))?)
            };
            let identities = request.look_up.then(|| IdentityFile::create(&passing)).transpose()?;
            let mut faults = FaultFile::of_check(&passing)?;
            let checked = check_rows(
                &spec,
                uploads(&files)?,
                Outputs { chunks: writer, identities },
                passing.directory(),
                &mut |fault| faults.push(fault),
                &mut |summary| {
                    if summary.total % 1000 == 1 {
                        progress.set_details(Some(format!("Checking the file: row {}", summary.total)));
                        progress.set_processed(if request.dry_run { summary.total } else { summary.failed });
                    }
                    if stop.load(Ordering::Relaxed) {
                        return Err(Error::new(Code::Canceled, "The check was abandoned."));
                    }
                    progress.check()
                },
            );
            progress.set_details(None);
            let checked = checked?;
            faults.finish()?;
            reasons::keep_inputs(&passing, &checked.0)?;
            Ok(checked)
        })
        .await
    }
    .inspect_err(|_| {
        let _ = fs::remove_dir_all(&passing);
    })?;
    drop(guard);
    for name in ["chunks", "rows", chunks::IDENTITIES, faults::DIRECTORY, reasons::INPUTS] {
        let (from, to) = (passing.join(name), directory.join(name));
        if to.is_dir() {
            fs::remove_dir_all(&to).map_err(|error| named(error, &to))?;
        }
        if from.exists() {
            fs::rename(&from, &to).map_err(|error| named(error, &to))?;
        }
    }
    fs::remove_dir(&passing).map_err(|error| named(error, &passing))?;
    let checked = CheckedImport { total: summary.total, refused: summary.failed, warnings: summary.warnings };
    let rows: Vec<u64> = written.iter().map(|chunk| chunk.rows).collect();
    store.register_import(job_id, checked, &rows).await
}

/// Runs work that blocks on files away from the requests.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(Code::Internal, format!("A step of the import broke off: {error}")))?
}

/// The two places for jobs in the tenant of a DATA_DIR, shared by all its imports: they queue here
/// rather than at Auth0.
fn places(data_directory: &Path) -> Arc<Semaphore> {
    static PLACES: LazyLock<Mutex<HashMap<PathBuf, Weak<Semaphore>>>> = LazyLock::new(Mutex::default);
    let mut all = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, places| places.strong_count() > 0);
    if let Some(places) = all.get(data_directory).and_then(Weak::upgrade) {
        return places;
    }
    let places = Arc::new(Semaphore::new(JOBS_AT_ONCE));
    all.insert(data_directory.to_owned(), Arc::downgrade(&places));
    places
}

struct Sender<'a> {
    job_id: &'a str,
    request: &'a ImportRequest,
    files: &'a Files,
    client: ManagementClient,
    /// Goes on for a short time when the job was canceled.
    unstopped: ManagementClient,
    store: &'a Store,
    progress: &'a Arc<Progress>,
    pace: Pace,
    places: Arc<Semaphore>,
    queue: Mutex<VecDeque<ImportChunk>>,
    /// One of the two workers failed: the other ends what it does and starts nothing new.
    stopped: AtomicBool,
    /// Chunks refused as a whole since one was taken.
    fruitless: AtomicU32,
    /// How long Auth0 took for each row of the job that ended last.
    per_row: Mutex<Option<Duration>>,
    /// Held while a chunk gets its new numbers.
    splitting: tokio::sync::Mutex<()>,
}

/// How a job inside Auth0 ended.
enum End {
    Completed(Option<JobSummary>),
    /// Failed as a whole, with Auth0's words.
    Failed(Option<String>),
    /// Auth0 no longer knows what came of it.
    Gone,
}

impl Sender<'_> {
    /// Whether nothing is left to send.
    fn is_idle(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes chunks from the queue until none is left.
    async fn work(&self) -> Result<()> {
        while !self.stopped.load(Ordering::Relaxed) {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(chunk) = next else { break };
            if let Err(error) = self.process(chunk).await {
                self.stopped.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings one chunk to its end.
    async fn process(&self, mut chunk: ImportChunk) -> Result<()> {
        let _place = self
            .progress
            .or_canceled(async {
                let closed = |_| Error::new(Code::Internal, "The queue of imports was closed.");
                Arc::clone(&self.places).acquire_owned().await.map_err(closed)
            })
            .await?;
        loop {
            let mut sent = None;
            let auth0_job = match &chunk.state {
                ChunkState::Sent(id) => id.clone(),
                _ => match self.send(&mut chunk).await? {
                    Some(id) => {
                        sent = Some(Instant::now());
                        id
                    }
                    None => return Ok(()),
                },
            };
            let end = self.follow(&auth0_job, sent.map(|sent| (sent, chunk.rows))).await?;
            if let (End::Completed(_), Some(sent)) = (&end, sent) {
                self.remember(sent.elapsed(), chunk.rows);
            }
            match end {
                End::Completed(summary) => return self.completed(&chunk, &auth0_job, summary).await,
                End::Failed(reason) => return self.failed(&chunk, &auth0_job, reason).await,
                // Results are kept for 24 hours only. Sending again tells what came of the rows.
                End::Gone if chunk.attempts < self.pace.attempts => {
                    self.store.chunk_gone(self.job_id, chunk.number).await?;
                    chunk.state = ChunkState::Pending;
                }
                End::Gone => return self.failed(&chunk, &auth0_job, None).await,
            }
        }
    }

    /// Sends a chunk until Auth0 takes it; its job id, or none when Auth0 refused the chunk for good.
    async fn send(&self, chunk: &mut ImportChunk) -> Result<Option<String>> {
        let number = chunk.number;
        let chunks = self.files.below("chunks");
        let users = blocking(move || {
            let name = chunk_name(number);
            chunks.read(&name).map_err(|error| named(error, &chunks.path(&name)))
        })
        .await?;
        let request = ImportJobRequest {
            connection_id: self.request.connection_id.clone(),
            users: users.into(),
            upsert: self.request.upsert,
            external_id: self.request.external_id.clone(),
            send_completion_email: self.request.send_completion_email,
        };
        let mut lost = 0_u32;
        loop {
            self.progress.check()?;
            // By the tenant's clock, which its `created_at` is compared with.
            let now = self.client.tenant_time();
            self.store.chunk_sending(self.job_id, number, now).await?;
            chunk.attempts += 1;
            chunk.first_sent_at = chunk.first_sent_at.or(Some(now));
            let error = match self.client.create_import_job(&request).await {
                Ok(job) => {
                    self.store.chunk_sent(self.job_id, number, &job.id).await?;
                    chunk.state = ChunkState::Sent(job.id.clone());
                    return Ok(Some(job.id));
                }
                Err(error) => error,
            };
            if may_have_happened(&error) {
                lost += 1;
                if lost >= self.pace.attempts {
                    return Err(error);
                }
                tracing::warn!(chunk = number, "the answer to an import was lost; it is sent again");
                let wait = self.pace.resend * 2_u32.saturating_pow(lost - 1);
                self.wait(wait, "Auth0's answer was lost; sending this part again").await?;
                continue;
            }
            // This attempt surely had no effect.
            self.store.chunk_not_sent(self.job_id, number).await?;
            chunk.attempts -= 1;
            if chunk.attempts == 0 {
                chunk.first_sent_at = None;
            }
            let Some(upstream) = &error.upstream else { return Err(error) };
            if is_import_limit(&error) {
                let why = "Waiting for other imports in the tenant to end: it runs two at once";
                self.wait(self.pace.busy, why).await?;
            } else if matches!(upstream.status_code, 400 | 413) && !concerns_settings(&upstream.message) {
                let reason = upstream.message.clone();
                let code = upstream.error_code.clone().unwrap_or_else(|| error.code.as_str().to_owned());
                self.refused_whole(chunk, &code, &reason).await?;
                return Ok(None);
            } else {
                return Err(error);
            }
        }
    }

    /// Looks at a job inside Auth0 until it ends. When this job is canceled meanwhile, a little longer.
    async fn follow(&self, id: &str, sent: Option<(Instant, u64)>) -> Result<End> {
        match self.poll(&self.client, id, sent, true).await {
            Err(error) if error.code == Code::Canceled => {
                self.progress.set_details(Some("Waiting a moment for what Auth0 is importing right now.".into()));
                let client = self.unstopped.for_job(Arc::new(Progress::default()));
                tokio::time::timeout(self.pace.cancel_grace, self.poll(&client, id, None, false))
                    .await
                    .unwrap_or(Err(error))
            }
            other => other,
        }
    }

    /// Jobs of the same import take about the same time a row: one is looked at shortly before it should end,
    /// and often from then on, so that its place in the tenant does not stay empty for long.
    fn first_pause(&self, sent: Option<(Instant, u64)>) -> Duration {
        let per_row = *self.per_row.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = per_row.zip(sent).map(|(per_row, (sent, rows))| {
            let whole = per_row.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
            whole.mul_f64(0.9).saturating_sub(sent.elapsed())
        });
        expected.map_or(self.pace.first_poll, |expected| expected.max(self.pace.first_poll / 4))
    }

    fn remember(&self, took: Duration, rows: u64) {
        let per_row = took.div_f64(rows.max(1) as f64);
        *self.per_row.lock().unwrap_or_else(PoisonError::into_inner) = Some(per_row);
    }

    async fn poll(
        &self,
        client: &ManagementClient,
        id: &str,
        sent: Option<(Instant, u64)>,
        stoppable: bool,
    ) -> Result<End> {
        let deadline = Instant::now() + self.pace.longest_job;
        let mut pause = self.first_pause(sent);
        let mut next = self.pace.first_poll.min(pause);
        loop {
            let job = match client.job(id).await {
                Ok(job) => job,
                Err(error) if is_gone(&error) => return Ok(End::Gone),
                Err(error) => return Err(error),
            };
            match job.status {
                JobStatus::Completed => return Ok(End::Completed(job.summary)),
                // A completed job is later shown as expired (docs/auth0/jobs.md#job-status).
                JobStatus::Expired if job.summary.is_some() => return Ok(End::Completed(job.summary)),
                JobStatus::Expired => return Ok(End::Gone),
                JobStatus::Failed => return Ok(End::Failed(job.status_details)),
                JobStatus::Pending | JobStatus::Processing | JobStatus::Other(_) => {}
            }
            if Instant::now() >= deadline {
                return Ok(End::Failed(Some(format!("Auth0 did not end the job {id} in time."))));
            }
            if stoppable {
                self.pause(pause).await?;
            } else {
                tokio::time::sleep(pause).await;
            }
            pause = next;
            next = next.mul_f64(1.5).min(self.pace.longest_poll);
        }
    }

    async fn pause(&self, time: Duration) -> Result<()> {
        self.progress
            .or_canceled(async {
                tokio::time::sleep(time).await;
                Ok(())
            })
            .await
    }

    /// Pauses and says why.
    async fn wait(&self, time: Duration, why: &str) -> Result<()> {
        self.progress.set_details(Some(why.to_owned()));
        let result = self.pause(time).await;
        self.progress.set_details(None);
        result
    }

    /// A job that ran to its end: asks which rows failed, and keeps the outcome.
    async fn completed(&self, chunk: &ImportChunk, id: &str, summary: Option<JobSummary>) -> Result<()> {
        self.fruitless.store(0, Ordering::Relaxed);
        let errors =
            if summary.is_some_and(|summary| summary.failed == 0) { Vec::new() } else { self.user_errors(id).await? };
        let rows = self.rows(chunk).await?;
        let index = RowIndex::new(&rows);
        let reported: Vec<(UserErrors, Option<&RowIdentity>)> = errors
            .into_iter()
            .map(|error| {
                // A chunk of one row leaves no doubt, whatever Auth0 hides of the user.
                let row = index.find(&error.user).or(match rows.as_slice() {
                    [only] => Some(only),
                    _ => None,
                });
                (error, row)
            })
            .collect();
        // With upsert nothing is refused for being there already.
        let doubtful = chunk.attempts > 1 && !self.request.upsert;
        let duplicates =
            reported.iter().filter(|(error, _)| doubtful && is_duplicate(error)).filter_map(|(_, row)| *row);
        let settled = self.inserted_since(chunk, duplicates).await?;
        let mut faults = Vec::new();
        let mut failed_rows = HashSet::new();
        let mut unknown = 0;
        for (error, row) in &reported {
            match row {
                Some(row) if settled.contains(&row.row) => continue,
                Some(row) => {
                    failed_rows.insert(row.row);
                }
                None => unknown += 1,
            }
            faults.extend(user_faults(error, *row, self.request.upsert));
        }
        if chunk.attempts > 1 && self.request.upsert && summary.is_some_and(|summary| summary.updated > 0) {
            faults.push(counted_as_updated(&rows));
        }
        let settled = settled.len() as u64;
        let failed = failed_rows.len() as u64 + unknown;
        let outcome = match summary {
            Some(summary) => {
                let missing = summary.failed.saturating_sub(settled + failed);
                if missing > 0 {
                    faults.push(unexplained(missing, id));
                }
                ChunkOutcome {
                    inserted: summary.inserted + settled,
                    updated: summary.updated,
                    failed: summary.failed.saturating_sub(settled),
                }
            }
            None => ChunkOutcome { inserted: chunk.rows.saturating_sub(failed), updated: 0, failed },
        };
        self.end(chunk, outcome, faults, None).await
    }

    /// What Auth0 says about single users of a job.
    async fn user_errors(&self, id: &str) -> Result<Vec<UserErrors>> {
        match self.client.job_errors(id).await {
            Ok(JobErrors::Users(errors)) => Ok(errors),
            Ok(JobErrors::None | JobErrors::Job(_)) => Ok(Vec::new()),
            Err(error) if is_gone(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// A job that failed as a whole: its rows are faults, but for those that it did insert.
    async fn failed(&self, chunk: &ImportChunk, id: &str, reason: Option<String>) -> Result<()> {
        let reason = match reason {
            Some(reason) => Some(reason),
            None => match self.client.job_errors(id).await {
                Ok(JobErrors::Job(Job { status_details, .. })) => status_details,
                Ok(_) => None,
                Err(error) if is_gone(&error) => None,
                Err(error) => return Err(error),
            },
        };
        let reason = reason.unwrap_or_else(|| format!("The job {id} failed inside Auth0 without a reason."));
        if self.split(chunk, &reason).await? {
            return Ok(());
        }
        self.whole(chunk, Code::Auth0JobFailed.as_str(), &reason, true).await
    }

    /// A chunk that Auth0 did not take: its rows are faults. An earlier attempt may have had an effect.
    async fn refused_whole(&self, chunk: &ImportChunk, code: &str, reason: &str) -> Result<()> {
        if self.split(chunk, reason).await? {
            return Ok(());
        }
        self.whole(chunk, code, reason, chunk.attempts > 0).await
    }

    /// Halves a chunk that was refused as a whole, so that in the end the guilty row stands alone; `false`
    /// when it is one row already, or everything is refused.
    async fn split(&self, chunk: &ImportChunk, reason: &str) -> Result<bool> {
        if chunk.rows < 2 || self.fruitless.fetch_add(1, Ordering::Relaxed) >= MOST_FRUITLESS {
            return Ok(false);
        }
        let _numbers = self.splitting.lock().await;
        let last = self.store.import_chunks(self.job_id).await?.last().map_or(chunk.number, |chunk| chunk.number);
        let parts = [last + 1, last + 2];
        let (files, number) = (self.files.clone(), chunk.number);
        let Some(rows) = blocking(move || chunks::split(&files, number, parts)).await? else { return Ok(false) };
        let numbered = [(parts[0], rows[0]), (parts[1], rows[1])];
        self.store.split_chunk(self.job_id, number, numbered, reason).await?;
        tracing::info!(chunk = number, rows = chunk.rows, "a part that was refused as a whole is sent in halves");
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, rows) in numbered.into_iter().rev() {
            queue.push_front(ImportChunk {
                number,
                rows,
                state: ChunkState::Pending,
                attempts: chunk.attempts.min(1),
                first_sent_at: chunk.first_sent_at,
                outcome: ChunkOutcome::default(),
            });
        }
        Ok(true)
    }

    async fn whole(&self, chunk: &ImportChunk, code: &str, reason: &str, look_up: bool) -> Result<()> {
        let rows = self.rows(chunk).await?;
        let settled = if look_up && !self.request.upsert {
            self.inserted_since(chunk, rows.iter()).await?
        } else {
            HashSet::new()
        };
        let hint = if chunk.rows == 1 {
            "Auth0 refuses this row even alone. Mend what the message names; if it names nothing, try the row without \
             its metadata and hashes."
        } else if self.request.upsert && look_up {
            "Auth0 may have imported some of these users before; importing them again does no harm."
        } else {
            "Import these users again."
        };
        let left = rows.iter().filter(|row| !settled.contains(&row.row));
        let faults: Vec<RowFault> = left
            .map(|row| RowFault {
                line: row.line,
                row: row.row,
                attribute: None,
                code: code.to_owned(),
                message: reason.to_owned(),
                hint: Some(hint.to_owned()),
                value: None,
                severity: Severity::Error,
                file: row.file.clone(),
            })
            .collect();
        let outcome = ChunkOutcome { inserted: settled.len() as u64, updated: 0, failed: faults.len() as u64 };
        self.end(chunk, outcome, faults, Some(reason)).await
    }

    /// Keeps faults and outcome of a chunk, in this order: without the second the first is written again.
    async fn end(
        &self,
        chunk: &ImportChunk,
        outcome: ChunkOutcome,
        faults: Vec<RowFault>,
        reason: Option<&str>,
    ) -> Result<()> {
        if !faults.is_empty() {
            let (files, number) = (self.files.clone(), chunk.number);
            blocking(move || {
                let mut file = FaultFile::of_chunk(&files, number)?;
                faults.iter().try_for_each(|fault| file.push(fault))?;
                file.finish()
            })
            .await?;
        }
        self.store.chunk_ended(self.job_id, chunk.number, outcome, reason).await?;
        self.progress.add_processed(chunk.rows);
        Ok(())
    }

    async fn rows(&self, chunk: &ImportChunk) -> Result<Vec<RowIdentity>> {
        let (files, number) = (self.files.below("rows"), chunk.number);
        blocking(move || read_identities(&files, number)).await
    }

    /// Which of these rows were inserted since the chunk was first sent (by row number).
    async fn inserted_since<'r>(
        &self,
        chunk: &ImportChunk,
        rows: impl Iterator<Item = &'r RowIdentity>,
    ) -> Result<HashSet<u64>> {
        let Some(since) = chunk.first_sent_at else { return Ok(HashSet::new()) };
        let lookups: Vec<_> = rows.cloned().map(|row| is_inserted_since(self.client.clone(), row, since)).collect();
        let mut lookups = stream::iter(lookups).buffer_unordered(LOOKUPS_AT_ONCE);
        let mut inserted = HashSet::new();
        while let Some(row) = lookups.try_next().await? {
            inserted.extend(row);
        }
        Ok(inserted)
    }
}

/// The row's number, when the tenant has a user that this row made since then.
async fn is_inserted_since(client: ManagementClient, row: RowIdentity, since: Timestamp) -> Result<Option<u64>> {
    let Some(email) = &row.email else { return Ok(None) };
    let users = client.users_by_email(email).await?;
    Ok(users.iter().any(|user| is_this_row_since(user, &row, since)).then_some(row.row))
}

/// Whether a user of the tenant is what an import of this row made since then.
fn is_this_row_since(user: &Value, row: &RowIdentity, since: Timestamp) -> bool {
    let created = user.get("created_at").and_then(Value::as_str).and_then(|date| date.parse::<Timestamp>().ok());
    // Users of other kinds of connection may have the same address.
    let id = user.get("user_id").and_then(Value::as_str).and_then(|id| id.strip_prefix(super::check::ID_PREFIX));
    created.is_some_and(|created| created >= since)
        && id.is_some_and(|id| row.user_id.as_deref().is_none_or(|wanted| wanted == id))
}

/// Whether Auth0 refused a user because it is there already (docs/auth0/import-schema.md#error-codes).
fn is_duplicate(error: &UserErrors) -> bool {
    error.errors.iter().any(|error| {
        let code = error.get("code").and_then(Value::as_str).unwrap_or_default();
        code == "DUPLICATED_USER" || code.starts_with("CONFLICT")
    })
}

/// The faults of a user that Auth0 refused, one for each of its errors.
fn user_faults(refused: &UserErrors, row: Option<&RowIdentity>, upsert: bool) -> Vec<RowFault> {
    let user = redact::user(refused.user.clone());
    let fault = |error: &Value| {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let code = text("code").unwrap_or("UNKNOWN");
        let attribute = text("path").map(str::to_owned);
        let value = match &row {
            Some(_) => attribute.as_deref().and_then(|path| redact::shown(&user, path)),
            None => Some(user.clone()),
        };
        let hint = (code == "DUPLICATED_USER" && !upsert)
            .then(|| "Import with upsert to change users that exist; it replaces their metadata.".to_owned());
        RowFault {
            line: row.map_or(0, |row| row.line),
            row: row.map_or(0, |row| row.row),
            attribute,
            code: code.to_owned(),
            message: text("message").map_or_else(|| "Auth0 gave no reason.".to_owned(), str::to_owned),
            hint,
            value,
            severity: Severity::Error,
            file: row.and_then(|row| row.file.clone()),
        }
    };
    if refused.errors.is_empty() { vec![fault(&Value::Null)] } else { refused.errors.iter().map(fault).collect() }
}

/// With upsert a user whom a lost attempt inserted is updated by the next one, and nothing that Auth0 says tells
/// the two apart.
fn counted_as_updated(rows: &[RowIdentity]) -> RowFault {
    let (first, last) = (rows.first().map_or(0, |row| row.row), rows.last().map_or(0, |row| row.row));
    RowFault {
        line: 0,
        row: 0,
        attribute: None,
        code: "COUNTED_AS_UPDATED".to_owned(),
        message: format!(
            "An answer of Auth0 was lost and the rows {first} to {last} were sent again: users that the first attempt \
             inserted are counted as updated."
        ),
        hint: Some("All of them are in the tenant as the file says; only the counts may differ.".to_owned()),
        value: None,
        severity: Severity::Warning,
        file: None,
    }
}

/// Auth0 counted failed users that it does not list (any more).
fn unexplained(users: u64, id: &str) -> RowFault {
    RowFault {
        line: 0,
        row: 0,
        attribute: None,
        code: "UNKNOWN".to_owned(),
        message: format!("Auth0 counts {users} more failed users in its job {id}, but does not say which."),
        hint: Some("Import the file again: users that exist are refused, the others are imported.".to_owned()),
        value: None,
        severity: Severity::Error,
        file: None,
    }
}

pub(super) fn is_gone(error: &Error) -> bool {
    error.upstream.as_ref().is_some_and(|upstream| upstream.status_code == 404)
}

/// Whether a refusal is about the connection or a setting, and so about every chunk alike, and not about the users in
/// this one (docs/auth0/jobs.md#what-an-import-changes).
fn concerns_settings(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("connection") || message.contains("on property")
}
