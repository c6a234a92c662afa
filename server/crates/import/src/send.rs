//! Sends chunks to Auth0 and waits for their jobs. Saves the state of a chunk in the store before and after every
//! request, so that a run can stop at any point and the next one continues.
//!
//! A chunk whose response was lost is sent again, but no row takes effect twice: Auth0's import cannot insert an e-mail
//! address twice, with or without upsert. Rows that are then refused as duplicates are looked up; a user created since
//! the first attempt was inserted by it (docs/decisions/0009-import-chunks.md).

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::chunks::{self, chunk_name, read_identities};
use super::faults::FaultFile;
use super::io_error::with_path;
use super::lookup::find_existing_users;
use super::polling::{PollPolicy, is_gone};
use super::redact;
use super::request::ImportRequest;
use super::row_fault::{RowFault, Severity};
use super::row_identity::{ID_PREFIX, RowIdentity, RowIndex};
use super::spec::ImportSpec;
use super::staged_check::check_upload;
use uie_auth0::{
    ImportJobRequest, Job, JobErrors, JobStatus, JobSummary, ManagementClient, UserErrors, is_import_limit,
    may_have_happened,
};
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::progress::Progress;
use uie_store::{ChunkOutcome, ChunkState, Files, ImportChunk, Store};

/// Maximum number of concurrent import jobs of a tenant (docs/auth0/README.md#constants).
const MAX_CONCURRENT_JOBS: usize = 2;

/// After this many refused chunks without an accepted one, chunks are no longer split: the cause is then not a single
/// row. Splitting the largest possible chunk down to one row takes 13 steps.
const MAX_CONSECUTIVE_REFUSALS: u32 = 40;

/// Concurrent lookups of single users.
const CONCURRENT_LOOKUPS: usize = 4;

/// Runs an import job, or continues an earlier run of the same job. `files` is the job's directory: it contains the
/// uploaded file `upload` (or a directory `upload` with several files, in the order of their names) and all data of the
/// import.
///
/// Sends nothing unless the whole file can be read. Rows with errors are skipped and count as failed.
///
/// If the job is canceled, no further chunk is sent. Jobs that are already running in Auth0 cannot be stopped: this
/// function waits for them for a short time and counts their rows. Jobs that take longer keep their state, are not
/// counted in [`outcome`], and are polled again when the job is resumed.
///
/// After an error, another call continues the job; after [`Code::Auth0TokenEnded`] it needs a new access token.
pub fn run<'r>(
    job_id: &'r str,
    spec: &'r ImportSpec,
    files: &'r Files,
    client: ManagementClient,
    store: &'r Store,
    progress: Arc<Progress>,
) -> BoxFuture<'r, Result<JobSummary>> {
    // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
    run_with_policy(job_id, spec, files, client, store, progress, PollPolicy::default()).boxed()
}

/// Checks the uploaded files of a job, unless an earlier run did: the first step of [`run`], which sends nothing.
/// [`faults`](crate::faults()) then returns what the check found.
pub async fn check_job(
    job_id: &str,
    spec: &ImportSpec,
    files: &Files,
    store: &Store,
    progress: &Arc<Progress>,
) -> Result<()> {
    if store.checked_import(job_id).await?.is_none() {
        check_upload(job_id, spec, files, store, progress).await?;
    }
    Ok(())
}

/// [`run`] with another polling policy.
pub async fn run_with_policy(
    job_id: &str,
    spec: &ImportSpec,
    files: &Files,
    client: ManagementClient,
    store: &Store,
    progress: Arc<Progress>,
    policy: PollPolicy,
) -> Result<JobSummary> {
    let request = spec.request();
    check_job(job_id, spec, files, store, &progress).await?;
    let counts = outcome(job_id, store).await?;
    progress.set_total(counts.total);
    if request.look_up || request.backup {
        find_existing_users(spec, files, &client.for_job(Arc::clone(&progress)), &progress, policy).await?;
    }
    if request.dry_run {
        progress.set_processed(counts.total);
        return Ok(counts);
    }
    progress.resume_at(counts.failed + counts.inserted + counts.updated);
    let mut open = store.import_chunks(job_id).await?;
    open.retain(|chunk| !matches!(chunk.state, ChunkState::Done | ChunkState::Failed));
    // Chunks that Auth0 is already importing occupy its two job slots, so they come first.
    open.sort_by_key(|chunk| (!matches!(chunk.state, ChunkState::Sent(_)), chunk.number));
    let sender = Sender {
        job_id,
        request,
        files,
        client: client.for_job(Arc::clone(&progress)),
        uncancelable_client: client,
        store,
        progress: &progress,
        policy,
        job_slots: job_slots(store.directory()),
        queue: Mutex::new(open.into()),
        stopped: AtomicBool::new(false),
        consecutive_refusals: AtomicU32::new(0),
        per_row: Mutex::default(),
        splitting: tokio::sync::Mutex::new(()),
    };
    if !sender.client.knows_tenant_time() && !sender.is_idle() {
        sender.client.importable_connection(&request.connection_id).await?;
    }
    // Wait for both: dropping one during a request would lose its response.
    let (first, second) = tokio::join!(Box::pin(sender.run_worker()), Box::pin(sender.run_worker()));
    progress.set_details(None);
    match (first, second) {
        (Ok(()), Ok(())) => outcome(job_id, store).await,
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(first), Err(second)) => Err(if first.code == Code::Canceled { second } else { first }),
    }
}

/// Returns the counts of an import so far: rows that the check refused, and the results of all finished chunks. All
/// counts are zero until the check is finished.
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

/// Returns the semaphore for the two job slots of a DATA_DIR's tenant, shared by all its imports: they queue here
/// instead of being refused by Auth0.
fn job_slots(data_directory: &Path) -> Arc<Semaphore> {
    static SEMAPHORES: LazyLock<Mutex<HashMap<PathBuf, Weak<Semaphore>>>> = LazyLock::new(Mutex::default);
    let mut all = SEMAPHORES.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, semaphore| semaphore.strong_count() > 0);
    if let Some(semaphore) = all.get(data_directory).and_then(Weak::upgrade) {
        return semaphore;
    }
    let semaphore = Arc::new(Semaphore::new(MAX_CONCURRENT_JOBS));
    all.insert(data_directory.to_owned(), Arc::downgrade(&semaphore));
    semaphore
}

struct Sender<'a> {
    job_id: &'a str,
    request: &'a ImportRequest,
    files: &'a Files,
    client: ManagementClient,
    /// Not stopped by cancelation; used to wait for running jobs for a short time.
    uncancelable_client: ManagementClient,
    store: &'a Store,
    progress: &'a Arc<Progress>,
    policy: PollPolicy,
    job_slots: Arc<Semaphore>,
    queue: Mutex<VecDeque<ImportChunk>>,
    /// Set when one of the two workers fails: the other one finishes its chunk and starts no other.
    stopped: AtomicBool,
    /// Number of chunks refused since Auth0 last accepted one.
    consecutive_refusals: AtomicU32,
    /// Auth0's time per row in the job that ended last.
    per_row: Mutex<Option<Duration>>,
    /// Held while the halves of a chunk get their numbers.
    splitting: tokio::sync::Mutex<()>,
}

/// Result of a job in Auth0.
enum JobResult {
    Completed(Option<JobSummary>),
    /// The whole job failed, with Auth0's reason.
    Failed(Option<Message>),
    /// Auth0 has deleted the job or its result.
    Lost,
}

impl Sender<'_> {
    /// Returns whether no chunk is left to send.
    fn is_idle(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Processes chunks from the queue until it is empty or a worker failed.
    async fn run_worker(&self) -> Result<()> {
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

    /// Sends a chunk if necessary, waits for its job and records the result.
    async fn process(&self, mut chunk: ImportChunk) -> Result<()> {
        let _slot = self
            .progress
            .or_canceled(async {
                let closed = |_| Error::new(Code::Internal, message!("The semaphore of import jobs is closed."));
                Arc::clone(&self.job_slots).acquire_owned().await.map_err(closed)
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
            let result = self.wait_for_job(&auth0_job, sent.map(|sent| (sent, chunk.rows))).await?;
            if let (JobResult::Completed(_), Some(sent)) = (&result, sent) {
                self.record_latency(sent.elapsed(), chunk.rows);
            }
            match result {
                JobResult::Completed(summary) => return self.handle_completed_job(&chunk, &auth0_job, summary).await,
                JobResult::Failed(reason) => return self.handle_failed_job(&chunk, &auth0_job, reason).await,
                // Auth0 keeps results for 24 hours only. Sending the chunk again reveals what happened to its rows.
                JobResult::Lost if chunk.attempts < self.policy.attempts => {
                    self.store.mark_chunk_lost(self.job_id, chunk.number).await?;
                    chunk.state = ChunkState::Pending;
                }
                JobResult::Lost => return self.handle_failed_job(&chunk, &auth0_job, None).await,
            }
        }
    }

    /// Sends a chunk until Auth0 accepts it, and returns the id of Auth0's job. `None` if Auth0 refuses the chunk; its
    /// rows are then recorded as failed, or its halves are queued.
    async fn send(&self, chunk: &mut ImportChunk) -> Result<Option<String>> {
        let number = chunk.number;
        let chunks = self.files.subdirectory("chunks");
        let users = run_blocking(move || {
            let name = chunk_name(number);
            chunks.read(&name).map_err(|error| with_path(error, &chunks.path(&name)))
        })
        .await?;
        let request = ImportJobRequest {
            connection_id: self.request.connection_id.clone(),
            users: users.into(),
            upsert: self.request.upsert,
            external_id: self.request.external_id.clone(),
            send_completion_email: self.request.send_completion_email,
        };
        let mut lost_responses = 0_u32;
        loop {
            self.progress.check()?;
            // The tenant's clock, because the time is compared with `created_at` of users.
            let now = self.client.tenant_time();
            self.store.mark_chunk_sending(self.job_id, number, now).await?;
            chunk.attempts += 1;
            chunk.first_sent_at = chunk.first_sent_at.or(Some(now));
            let error = match self.client.create_import_job(&request).await {
                Ok(job) => {
                    self.store.mark_chunk_sent(self.job_id, number, &job.id).await?;
                    chunk.state = ChunkState::Sent(job.id.clone());
                    return Ok(Some(job.id));
                }
                Err(error) => error,
            };
            if may_have_happened(&error) {
                lost_responses += 1;
                if lost_responses >= self.policy.attempts {
                    return Err(error);
                }
                tracing::warn!(chunk = number, "the response to an import was lost; sending the chunk again");
                let wait = self.policy.resend * 2_u32.saturating_pow(lost_responses - 1);
                self.wait(wait, message!("Auth0's response was lost; sending this chunk again")).await?;
                continue;
            }
            // This attempt certainly had no effect.
            self.store.mark_chunk_unsent(self.job_id, number).await?;
            chunk.attempts -= 1;
            if chunk.attempts == 0 {
                chunk.first_sent_at = None;
            }
            let Some(upstream) = &error.upstream else { return Err(error) };
            if is_import_limit(&error) {
                let reason = message!("Waiting for other imports in the tenant to end: it runs two at once");
                self.wait(self.policy.busy, reason).await?;
            } else if matches!(upstream.status_code, 400 | 413) && !concerns_settings(&upstream.message) {
                let reason = Message::verbatim(upstream.message.as_str());
                let code = upstream.error_code.clone().unwrap_or_else(|| error.code.as_str().to_owned());
                self.handle_refused_chunk(chunk, &code, &reason).await?;
                return Ok(None);
            } else {
                return Err(error);
            }
        }
    }

    /// Waits until a job in Auth0 ends. If the import is canceled meanwhile, waits for a short time more.
    async fn wait_for_job(&self, id: &str, sent: Option<(Instant, u64)>) -> Result<JobResult> {
        match self.poll_until_done(&self.client, id, sent, true).await {
            Err(error) if error.code == Code::Canceled => {
                self.progress.set_details(Some(message!("Waiting for import jobs that are already running in Auth0.")));
                let client = self.uncancelable_client.for_job(Arc::new(Progress::default()));
                tokio::time::timeout(self.policy.cancel_grace, self.poll_until_done(&client, id, None, false))
                    .await
                    .unwrap_or(Err(error))
            }
            other => other,
        }
    }

    /// Returns the delay before the second poll of a job. Jobs of one import take about the same time per row, so the
    /// job is polled shortly before its expected end, and frequently from then on: its slot in the tenant is soon used
    /// again.
    fn predict_delay(&self, sent: Option<(Instant, u64)>) -> Duration {
        let per_row = *self.per_row.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = per_row.zip(sent).map(|(per_row, (sent, rows))| {
            let total = per_row.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
            total.mul_f64(0.9).saturating_sub(sent.elapsed())
        });
        expected.map_or(self.policy.first_poll, |expected| expected.max(self.policy.first_poll / 4))
    }

    fn record_latency(&self, took: Duration, rows: u64) {
        let per_row = took.div_f64(rows.max(1) as f64);
        *self.per_row.lock().unwrap_or_else(PoisonError::into_inner) = Some(per_row);
    }

    async fn poll_until_done(
        &self,
        client: &ManagementClient,
        id: &str,
        sent: Option<(Instant, u64)>,
        cancelable: bool,
    ) -> Result<JobResult> {
        let deadline = Instant::now() + self.policy.longest_job;
        let mut pause = self.predict_delay(sent);
        let mut next = self.policy.first_poll.min(pause);
        loop {
            let job = match client.job(id).await {
                Ok(job) => job,
                Err(error) if is_gone(&error) => return Ok(JobResult::Lost),
                Err(error) => return Err(error),
            };
            match job.status {
                JobStatus::Completed => return Ok(JobResult::Completed(job.summary)),
                // A completed job is later shown as expired (docs/auth0/jobs.md#job-status).
                JobStatus::Expired if job.summary.is_some() => return Ok(JobResult::Completed(job.summary)),
                JobStatus::Expired => return Ok(JobResult::Lost),
                JobStatus::Failed => return Ok(JobResult::Failed(job.status_details.map(Message::verbatim))),
                JobStatus::Pending | JobStatus::Processing | JobStatus::Other(_) => {}
            }
            if Instant::now() >= deadline {
                return Ok(JobResult::Failed(Some(message!("Auth0 did not end the job {id} in time."))));
            }
            if cancelable {
                self.pause(pause).await?;
            } else {
                tokio::time::sleep(pause).await;
            }
            pause = next;
            next = next.mul_f64(1.5).min(self.policy.longest_poll);
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

    /// Pauses, and shows the reason in the progress.
    async fn wait(&self, time: Duration, reason: Message) -> Result<()> {
        self.progress.set_details(Some(reason));
        let result = self.pause(time).await;
        self.progress.set_details(None);
        result
    }

    /// Handles a completed job: requests the failed rows and records the result.
    async fn handle_completed_job(&self, chunk: &ImportChunk, id: &str, summary: Option<JobSummary>) -> Result<()> {
        self.consecutive_refusals.store(0, Ordering::Relaxed);
        let errors = if summary.is_some_and(|summary| summary.failed == 0) {
            Vec::new()
        } else {
            self.fetch_user_errors(id).await?
        };
        let rows = self.read_rows(chunk).await?;
        let index = RowIndex::new(&rows);
        let reported: Vec<(UserErrors, Option<&RowIdentity>)> = errors
            .into_iter()
            .map(|error| {
                // A chunk of one row needs no match by identifiers.
                let row = index.find(&error.user).or(match rows.as_slice() {
                    [only] => Some(only),
                    _ => None,
                });
                (error, row)
            })
            .collect();
        // With upsert, Auth0 refuses no row because its user exists.
        let resolve_duplicates = chunk.attempts > 1 && !self.request.upsert;
        let duplicates =
            reported.iter().filter(|(error, _)| resolve_duplicates && is_duplicate(error)).filter_map(|(_, row)| *row);
        let inserted_rows = self.inserted_since(chunk, duplicates).await?;
        let mut faults = Vec::new();
        let mut failed_rows = HashSet::new();
        let mut unknown = 0;
        for (error, row) in &reported {
            match row {
                Some(row) if inserted_rows.contains(&row.row) => continue,
                Some(row) => {
                    failed_rows.insert(row.row);
                }
                None => unknown += 1,
            }
            faults.extend(user_faults(error, *row, self.request.upsert));
        }
        if chunk.attempts > 1 && self.request.upsert && summary.is_some_and(|summary| summary.updated > 0) {
            faults.push(counted_as_updated_warning(&rows));
        }
        let inserted_rows = inserted_rows.len() as u64;
        let failed = failed_rows.len() as u64 + unknown;
        let outcome = match summary {
            Some(summary) => {
                let missing = summary.failed.saturating_sub(inserted_rows + failed);
                if missing > 0 {
                    faults.push(unlisted_failures_error(missing, id));
                }
                ChunkOutcome {
                    inserted: summary.inserted + inserted_rows,
                    updated: summary.updated,
                    failed: summary.failed.saturating_sub(inserted_rows),
                }
            }
            None => ChunkOutcome { inserted: chunk.rows.saturating_sub(failed), updated: 0, failed },
        };
        self.record_outcome(chunk, outcome, faults, None).await
    }

    /// Requests Auth0's errors of single users of a job.
    async fn fetch_user_errors(&self, id: &str) -> Result<Vec<UserErrors>> {
        match self.client.job_errors(id).await {
            Ok(JobErrors::Users(errors)) => Ok(errors),
            Ok(JobErrors::None | JobErrors::Job(_)) => Ok(Vec::new()),
            Err(error) if is_gone(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Handles a job that failed completely: splits the chunk, or records its rows as failed except those that were
    /// inserted.
    async fn handle_failed_job(&self, chunk: &ImportChunk, id: &str, reason: Option<Message>) -> Result<()> {
        let reason = match reason {
            Some(reason) => Some(reason),
            None => match self.client.job_errors(id).await {
                Ok(JobErrors::Job(Job { status_details, .. })) => status_details.map(Message::verbatim),
                Ok(_) => None,
                Err(error) if is_gone(&error) => None,
                Err(error) => return Err(error),
            },
        };
        let reason = reason.unwrap_or_else(|| message!("The job {id} failed in Auth0; Auth0 gave no reason."));
        if self.split_chunk(chunk, &reason).await? {
            return Ok(());
        }
        self.fail_chunk(chunk, Code::Auth0JobFailed.as_str(), &reason, true).await
    }

    /// Handles a chunk that Auth0 refused: splits it, or records its rows as failed. An earlier attempt may have
    /// inserted some of them.
    async fn handle_refused_chunk(&self, chunk: &ImportChunk, code: &str, reason: &Message) -> Result<()> {
        if self.split_chunk(chunk, reason).await? {
            return Ok(());
        }
        self.fail_chunk(chunk, code, reason, chunk.attempts > 0).await
    }

    /// Splits a refused chunk into two halves and queues them; repeated, this isolates the failing row. `false` if the
    /// chunk has one row, or if too many chunks in a row were refused.
    async fn split_chunk(&self, chunk: &ImportChunk, reason: &Message) -> Result<bool> {
        if chunk.rows < 2 || self.consecutive_refusals.fetch_add(1, Ordering::Relaxed) >= MAX_CONSECUTIVE_REFUSALS {
            return Ok(false);
        }
        let _numbers = self.splitting.lock().await;
        let last = self.store.import_chunks(self.job_id).await?.last().map_or(chunk.number, |chunk| chunk.number);
        let parts = [last + 1, last + 2];
        let (files, number) = (self.files.clone(), chunk.number);
        let Some(rows) = run_blocking(move || chunks::split(&files, number, parts)).await? else { return Ok(false) };
        let halves = [(parts[0], rows[0]), (parts[1], rows[1])];
        self.store.split_chunk(self.job_id, number, halves, &reason.to_string()).await?;
        tracing::info!(chunk = number, rows = chunk.rows, "Auth0 refused a chunk; sending it in two halves");
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, rows) in halves.into_iter().rev() {
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

    async fn fail_chunk(&self, chunk: &ImportChunk, code: &str, reason: &Message, look_up: bool) -> Result<()> {
        let rows = self.read_rows(chunk).await?;
        let inserted_rows = if look_up && !self.request.upsert {
            self.inserted_since(chunk, rows.iter()).await?
        } else {
            HashSet::new()
        };
        let hint = if chunk.rows == 1 {
            message!(
                "Auth0 refuses this row even alone. Fix what the message names; if it names nothing, try the row \
                 without its metadata and hashes."
            )
        } else if self.request.upsert && look_up {
            message!("Auth0 may have imported some of these users before; importing them again does no harm.")
        } else {
            message!("Import these users again.")
        };
        let left = rows.iter().filter(|row| !inserted_rows.contains(&row.row));
        let faults: Vec<RowFault> = left
            .map(|row| RowFault {
                line: row.line,
                row: row.row,
                attribute: None,
                code: code.to_owned(),
                message: reason.clone(),
                hint: Some(hint.clone()),
                value: None,
                severity: Severity::Error,
                file: row.file.clone(),
            })
            .collect();
        let outcome = ChunkOutcome { inserted: inserted_rows.len() as u64, updated: 0, failed: faults.len() as u64 };
        self.record_outcome(chunk, outcome, faults, Some(&reason.to_string())).await
    }

    /// Records errors and result of a chunk, in this order: if the process ends between the two, the next run writes
    /// the errors again.
    async fn record_outcome(
        &self,
        chunk: &ImportChunk,
        outcome: ChunkOutcome,
        faults: Vec<RowFault>,
        reason: Option<&str>,
    ) -> Result<()> {
        if !faults.is_empty() {
            let (files, number) = (self.files.clone(), chunk.number);
            run_blocking(move || {
                let mut file = FaultFile::for_chunk(&files, number)?;
                faults.iter().try_for_each(|fault| file.push(fault))?;
                file.finish()
            })
            .await?;
        }
        self.store.finish_chunk(self.job_id, chunk.number, outcome, reason).await?;
        self.progress.add_processed(chunk.rows);
        Ok(())
    }

    async fn read_rows(&self, chunk: &ImportChunk) -> Result<Vec<RowIdentity>> {
        let (files, number) = (self.files.subdirectory("rows"), chunk.number);
        run_blocking(move || read_identities(&files, number)).await
    }

    /// Returns the numbers of those rows that were inserted since the chunk was first sent.
    async fn inserted_since<'r>(
        &self,
        chunk: &ImportChunk,
        rows: impl Iterator<Item = &'r RowIdentity>,
    ) -> Result<HashSet<u64>> {
        let Some(since) = chunk.first_sent_at else { return Ok(HashSet::new()) };
        let lookups: Vec<_> = rows.cloned().map(|row| is_inserted_since(self.client.clone(), row, since)).collect();
        let mut lookups = stream::iter(lookups).buffer_unordered(CONCURRENT_LOOKUPS);
        let mut inserted = HashSet::new();
        while let Some(row) = lookups.try_next().await? {
            inserted.extend(row);
        }
        Ok(inserted)
    }
}

/// Returns the row's number if the tenant has a user that this row created since then; `None` otherwise.
async fn is_inserted_since(client: ManagementClient, row: RowIdentity, since: Timestamp) -> Result<Option<u64>> {
    let Some(email) = &row.email else { return Ok(None) };
    let users = client.users_by_email(email).await?;
    Ok(users.iter().any(|user| was_created_by_row(user, &row, since)).then_some(row.row))
}

/// Returns whether an import of this row has created this user since then.
fn was_created_by_row(user: &Value, row: &RowIdentity, since: Timestamp) -> bool {
    let created = user.get("created_at").and_then(Value::as_str).and_then(|date| date.parse::<Timestamp>().ok());
    // Users of other kinds of connection may have the same address.
    let id = user.get("user_id").and_then(Value::as_str).and_then(|id| id.strip_prefix(ID_PREFIX));
    created.is_some_and(|created| created >= since)
        && id.is_some_and(|id| row.user_id.as_deref().is_none_or(|wanted| wanted == id))
}

/// Returns whether Auth0 refused a user because it exists (docs/auth0/import-schema.md#error-codes).
fn is_duplicate(error: &UserErrors) -> bool {
    error.errors.iter().any(|error| {
        let code = error.get("code").and_then(Value::as_str).unwrap_or_default();
        code == "DUPLICATED_USER" || code.starts_with("CONFLICT")
    })
}

/// Returns the errors of a user that Auth0 refused; at least one. `row` is `None` if the user matches no row.
fn user_faults(refused: &UserErrors, row: Option<&RowIdentity>, upsert: bool) -> Vec<RowFault> {
    let user = redact::redact_user(refused.user.clone());
    let fault = |error: &Value| {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let code = text("code").unwrap_or("UNKNOWN");
        let attribute = text("path").map(str::to_owned);
        let value = match &row {
            Some(_) => attribute.as_deref().and_then(|path| redact::redacted_value(&user, path)),
            None => Some(user.clone()),
        };
        let is_existing = code == "DUPLICATED_USER" && !upsert;
        let hint =
            is_existing.then(|| message!("Import with upsert to update existing users; this replaces their metadata."));
        let message = match text("message") {
            // Auth0's text names a parameter of its API.
            Some(text) if is_existing && text.contains("upsert") => {
                message!("A user with these identifiers already exists in the connection.")
            }
            Some(text) => Message::verbatim(text),
            None => message!("Auth0 gave no reason."),
        };
        RowFault {
            line: row.map_or(0, |row| row.line),
            row: row.map_or(0, |row| row.row),
            attribute,
            code: code.to_owned(),
            message,
            hint,
            value,
            severity: Severity::Error,
            file: row.and_then(|row| row.file.clone()),
        }
    };
    if refused.errors.is_empty() { vec![fault(&Value::Null)] } else { refused.errors.iter().map(fault).collect() }
}

/// Returns the warning that counts may be wrong: with upsert, a user inserted by an attempt whose response was lost is
/// counted as updated by the next one, and Auth0 does not report the difference.
fn counted_as_updated_warning(rows: &[RowIdentity]) -> RowFault {
    let (first, last) = (rows.first().map_or(0, |row| row.row), rows.last().map_or(0, |row| row.row));
    RowFault {
        line: 0,
        row: 0,
        attribute: None,
        code: "COUNTED_AS_UPDATED".to_owned(),
        message: message!(
            "A response of Auth0 was lost and the rows {first} to {last} were sent again: users that the first attempt \
             inserted are counted as updated."
        ),
        hint: Some(message!("All of them are in the tenant as in the file; only the counts may differ.")),
        value: None,
        severity: Severity::Warning,
        file: None,
    }
}

/// Returns the error for failed users that Auth0 counts but does not list.
fn unlisted_failures_error(users: u64, id: &str) -> RowFault {
    RowFault {
        line: 0,
        row: 0,
        attribute: None,
        code: "UNKNOWN".to_owned(),
        message: message!("Auth0 counts {users} more failed users in its job {id}, but does not say which."),
        hint: Some(message!("Import the file again: users that exist are refused, the others are imported.")),
        value: None,
        severity: Severity::Error,
        file: None,
    }
}

/// Returns whether a refusal concerns the connection or a setting, and so every chunk, and not the users in this one
/// (docs/auth0/jobs.md#what-an-import-changes).
fn concerns_settings(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("connection") || message.contains("on property")
}
