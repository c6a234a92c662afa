//! The job runner: starts, reads, cancels, resumes and repeats jobs, and returns their files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::credentials::ClientProvider;
use super::download_tokens::DownloadTokens;
use super::fair_semaphore::FairSemaphore;
use super::job_directory::{NewDirectory, remove_directory};
use super::quota::{self, ConcurrencyQuota, QuotaGuard};
use super::runner_state::{RunnerState, Running, SORT_MEMORY};
use super::submission::{JobRequest, PreparedJob, Retry, retryable_request};
use super::view::{self, HistoryEntry, HistoryView, JobView, Parts};
use super::{run, secrets};
use uie_core::blocking::run_blocking;
use uie_core::config::Settings;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::principal::Principal;
use uie_core::progress::Progress;
use uie_export::{ExportRequest, ExportSpec, PreparedExport, Preview, PreviousRun, SourceKind};
use uie_expression::ResolvedRequest;
use uie_import::{ImportRequest, ImportSpec, Inspection, PreparedImport, require_import_permission};
use uie_sandbox::{Sandbox, StopSignal};
use uie_store::{FileReader, Files, JobKind, JobRecord, JobState, Store};

/// Maximum number of jobs in the history.
const HISTORY_LENGTH: u32 = 200;

/// Number of earlier exports among which a comparable one is searched, to estimate the duration of a new one.
const MAX_PREVIOUS_EXPORTS: u32 = 50;

/// The job runner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(pub(super) Arc<RunnerState>);

impl Jobs {
    /// Creates a runner for one tenant. `base_url` has no trailing slash.
    pub fn new(settings: Arc<Settings>, store: Store, base_url: Arc<str>) -> Result<Self> {
        let tenant = settings.tenant()?.host().to_owned();
        let client_provider = ClientProvider::new(&settings)?;
        let sandbox = Sandbox::open(&settings)?;
        Ok(Self(Arc::new(RunnerState {
            store,
            settings,
            base_url,
            tenant,
            client_provider,
            sandbox,
            running: Mutex::default(),
            download_tokens: DownloadTokens::default(),
            quota: ConcurrencyQuota::default(),
            imports: Semaphore::new(1),
            exports: Semaphore::new(2),
            previews: FairSemaphore::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            sign_ins: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        })))
    }

    /// Returns the provider of Management API clients, for requests that are not jobs.
    pub fn client_provider(&self) -> &ClientProvider {
        &self.0.client_provider
    }

    /// Returns the sandbox with its transforms.
    pub fn sandbox(&self) -> &Sandbox {
        &self.0.sandbox
    }

    /// Continues every job that an earlier process left unfinished. The lock on DATA_DIR ensures that no other
    /// process still runs them.
    pub async fn recover(&self) -> Result<()> {
        // The process ended between creating the directory and inserting the job, so no job refers to it.
        for id in self.0.store.job_directories()? {
            if !self.0.store.has_job(&id).await? {
                tracing::info!(job = id, "removing the files of a job that was never created");
                remove_directory(self.0.store.job_directory(&id)).await?;
            }
        }
        for job in self.0.store.unfinished_jobs(&self.0.tenant).await? {
            tracing::info!(job = job.id, "continuing an interrupted job");
            let guard = self.0.quota.acquire_unchecked(quota::JOBS, &job.owner);
            self.spawn(job, guard);
        }
        Ok(())
    }

    /// Returns the first rows of an export. Makes one user search and stores nothing.
    pub fn preview_export<'a>(
        &'a self,
        principal: &'a Principal,
        request: &'a ExportRequest,
    ) -> BoxFuture<'a, Result<Preview>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        async move {
            let _quota_guard = self.0.quota.acquire(quota::PREVIEWS, &principal.subject)?;
            let limit = uie_export::preview_limit(request)?;
            let spec = self.0.export_spec(request).await?;
            let connection = spec.connection().map(str::to_owned);
            let client = self.0.client_provider.for_principal(principal)?;
            let permit = self.0.previews.acquire(&principal.subject);
            let mut preview = uie_export::preview(spec, limit, &client, permit).await?;
            if preview.plan.source == SourceKind::Job {
                preview.plan.before = self.whole_export_before(connection.as_deref()).await?;
            }
            Ok(preview)
        }
        .boxed()
    }

    /// Returns users and duration of the latest export of all users of a connection, or of the tenant without one.
    /// Searches the last [`MAX_PREVIOUS_EXPORTS`] exports; `None` if no export matches.
    async fn whole_export_before(&self, connection_id: Option<&str>) -> Result<Option<PreviousRun>> {
        let exports = self.0.store.completed_exports(&self.0.tenant, MAX_PREVIOUS_EXPORTS).await?;
        Ok(exports.iter().find_map(|job| {
            let member = |name: &str| job.request.get(name).filter(|value| !value.is_null() && *value != "");
            let all_users = member("query").is_none() && member("limit").is_none();
            let same_connection = member("connection_id").and_then(Value::as_str) == connection_id;
            let users = job.summary.as_ref()?.get("rows")?.as_u64()?;
            let took = job.finished_at?.duration_since(job.created_at);
            let seconds = took.as_secs_f64().ceil().max(0.0) as u64;
            (all_users && same_connection).then_some(PreviousRun { users, seconds })
        }))
    }

    /// Starts a job: the one way to do so. Checks the request, its connection and its files before anything is stored.
    ///
    /// Fails with [`Code::InsufficientScope`] for an import without `create:users`, unless it is a dry run. One of
    /// several parallel retries of an import starts a job; the others fail with [`Code::JobState`].
    pub fn submit<'a>(&'a self, principal: &'a Principal, request: JobRequest) -> BoxFuture<'a, Result<JobView>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        async move {
            let job = match request {
                JobRequest::Export(request) => {
                    let client = || self.0.client_provider.for_principal(principal);
                    let export = PreparedExport::new(request, SORT_MEMORY, self.0.tools(), client).await?;
                    PreparedJob::export(export, NewDirectory::create(&self.0.store)?)
                }
                JobRequest::Import(request, upload) => {
                    let import = self.prepare_import(principal, request).await?;
                    PreparedJob::import(import, upload).await?
                }
                JobRequest::Retry { original, corrected } => self.prepare_retry(principal, original, corrected).await?,
            };
            // A separate task, so that a stored job is started even if the client closes the connection.
            let (jobs, owner) = (self.clone(), principal.clone());
            let starting = async move { jobs.start(&owner, job).await };
            let id = tokio::spawn(starting.in_current_span()).await.map_err(Error::internal)??;
            self.job(principal, &id).await
        }
        .boxed()
    }

    /// Stores and queues a job. Returns its id.
    async fn start(&self, principal: &Principal, job: PreparedJob) -> Result<String> {
        if self.is_stopping() {
            return Err(stopping());
        }
        let guard = self.0.quota.acquire(quota::JOBS, &principal.subject)?;
        self.0.client_provider.store_token(&self.0.store, principal).await?;
        let id = job.store(&self.0.store, &self.0.tenant, principal).await?;
        self.0.store.put_job_rights(&id, &self.0.client_provider.rights(principal)).await?;
        self.spawn(self.0.store.job(&self.0.tenant, &id).await?, guard);
        Ok(id)
    }

    async fn prepare_import(&self, principal: &Principal, request: ImportRequest) -> Result<PreparedImport> {
        let client = || self.0.client_provider.for_principal(principal);
        PreparedImport::new(principal, request, self.0.tools(), client).await
    }

    /// Prepares an import of the failed rows of another one, with the same settings.
    async fn prepare_retry(
        &self,
        principal: &Principal,
        original: String,
        corrected: Option<NewDirectory>,
    ) -> Result<PreparedJob> {
        let record = self.0.store.job(&self.0.tenant, &original).await?;
        require_import_permission(principal, view::dry_run(&record))?;
        let latest = self.0.store.latest_retry(&original).await?;
        if corrected.is_none() && record.artifact.is_none() && record.kind == JobKind::Import && record.state.is_final()
        {
            return Err(files_removed(&original));
        }
        let import = self.prepare_import(principal, retryable_request(&self.0.store, &record)?).await?;
        let upload = if let Some(upload) = corrected {
            upload
        } else {
            let (upload, failed) = (self.receive(principal)?, self.0.store.job_files(&original));
            run_blocking(move || upload.with_failed_rows_of(&failed)).await?
        };
        Ok(PreparedJob::import(import, upload).await?.retrying(Retry { original, latest }))
    }

    /// Checks the expressions of an export whose settings are saved. Returns the settings without secrets, and with the
    /// current versions of the transforms that they use.
    pub async fn resolve_export(&self, request: ExportRequest) -> Result<ResolvedRequest<ExportRequest>> {
        let tools = self.0.tools();
        run_blocking(move || ExportSpec::resolve(&request, &tools()?)).await
    }

    /// Runs `work` on a blocking thread once the user has a permit for previews. Dropping the future asks `work` to
    /// stop; the permit is held until it has returned.
    pub async fn compute<T: Send + 'static>(
        &self,
        principal: &Principal,
        work: impl FnOnce(&StopSignal) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        struct StopWhenDropped(StopSignal);
        impl Drop for StopWhenDropped {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let permit = self.0.previews.acquire(&principal.subject).await?;
        let stop_guard = StopWhenDropped(StopSignal::default());
        let stop = stop_guard.0.clone();
        let computing = tokio::task::spawn_blocking(move || {
            let result = work(&stop);
            drop(permit);
            result
        });
        computing.await.map_err(Error::internal)?
    }

    /// Validates the mapping of an import against the transforms that are available now.
    pub async fn import_spec(&self, request: &ImportRequest) -> Result<ImportSpec> {
        self.0.import_spec(request).await
    }

    /// Counts one more preview of the user until the guard is dropped. Fails with [`Code::TooManyRequests`] at the
    /// limit.
    pub fn acquire_preview_slot(&self, principal: &Principal) -> Result<QuotaGuard> {
        self.0.quota.acquire(quota::PREVIEWS, &principal.subject)
    }

    /// Inspects the beginning of a file. `partial` means that the file is longer than `sample`.
    pub async fn inspect(
        &self,
        principal: &Principal,
        request: &ImportRequest,
        sample: Vec<u8>,
        partial: bool,
    ) -> Result<Inspection> {
        let spec = self.import_spec(request).await?;
        let permit = self.0.previews.acquire(&principal.subject).await?;
        // Hold the permit until the thread is done, also if the request was dropped.
        let inspecting = tokio::task::spawn_blocking(move || {
            let inspection = uie_import::inspect(&spec, sample, partial);
            drop(permit);
            inspection
        });
        inspecting.await.map_err(Error::internal)?
    }

    /// Counts one more upload of the user until the guard is dropped. Fails with [`Code::TooManyRequests`] at the
    /// limit.
    pub fn acquire_upload_slot(&self, principal: &Principal) -> Result<QuotaGuard> {
        self.0.quota.acquire(quota::UPLOADS, &principal.subject)
    }

    /// Counts one more download of a report, back-up or exported file until the guard is dropped. Fails with
    /// [`Code::TooManyRequests`] at the limit.
    pub fn acquire_read_slot(&self, principal: &Principal) -> Result<QuotaGuard> {
        self.0.quota.acquire(quota::READS, &principal.subject)
    }

    /// Creates the directory for the files of an import that is being uploaded.
    pub fn receive(&self, principal: &Principal) -> Result<NewDirectory> {
        let guard = self.acquire_upload_slot(principal)?;
        NewDirectory::create_counted(&self.0.store, Some(guard))
    }

    fn spawn(&self, job: JobRecord, guard: QuotaGuard) {
        let progress = Arc::new(Progress::default());
        match self.lock_running().entry(job.id.clone()) {
            Entry::Vacant(entry) => entry.insert(Running { progress: Arc::clone(&progress) }),
            // The state in the database allows one run at a time, so this is a bug. Do not run the job twice.
            Entry::Occupied(_) => {
                tracing::error!(job = job.id, "the job is already running and is not started again");
                return;
            }
        };
        let jobs = self.clone();
        // A child of the request's span, so that every log line of the job has the id of both.
        let span = tracing::info_span!("job", id = job.id, kind = job.kind.as_str());
        let work = async move {
            let (id, kind) = (job.id.clone(), job.kind);
            // A separate task, so that a panic in it can be recorded as the failure of the job.
            let (inner, work_progress) = (Arc::clone(&jobs.0), Arc::clone(&progress));
            let work = async move { run::execute(&inner, job, work_progress).await };
            if tokio::spawn(work.in_current_span()).await.is_err() {
                run::record_panic(&jobs.0, &id, kind, &progress).await;
            }
            jobs.lock_running().remove(&id);
            drop(guard);
        };
        self.0.tasks.spawn(work.instrument(span));
    }

    fn lock_running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a job for the API. A completed export has a new download link for the session of `principal`.
    pub async fn job(&self, principal: &Principal, id: &str) -> Result<JobView> {
        // Before reading the record: a job that ends in between then has its final record.
        let running = self.lock_running().get(id).cloned();
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let location = match (record.kind, record.state, &record.artifact) {
            (JobKind::Export, JobState::Completed, Some(_)) => {
                let token = self.0.download_tokens.issue(id, principal);
                Some(format!("{}/api/jobs/{id}/download?ticket={token}", self.0.base_url))
            }
            _ => None,
        };
        let parts = match record.kind {
            JobKind::Import => Parts::from_chunks(&self.0.store.import_chunks(id).await?),
            JobKind::Export => None,
        };
        let progress = running.as_ref().map(|running| &*running.progress);
        Ok(JobView { parts, ..JobView::new(&record, progress, location) })
    }

    /// Returns the latest jobs, oldest first.
    pub async fn history(&self) -> Result<HistoryView> {
        let records = self.0.store.history(&self.0.tenant, HISTORY_LENGTH).await?;
        Ok(HistoryView { jobs: records.iter().map(HistoryEntry::from).collect() })
    }

    /// Returns the number of jobs in the history by kind and state.
    pub async fn counts(&self) -> Result<Vec<(JobKind, JobState, u64)>> {
        self.0.store.job_counts(&self.0.tenant).await
    }

    /// Returns the number of jobs that are queued, waiting or running in this process.
    pub fn running(&self) -> usize {
        self.lock_running().len()
    }

    /// Cancels a job and waits up to one second until it has stopped. Fails with [`Code::JobState`] if it has ended.
    pub async fn cancel(&self, principal: &Principal, id: &str) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let running = self.lock_running().get(id).cloned();
        match running {
            Some(running) => running.progress.cancel(),
            None if record.state.is_final() => {
                return Err(already_ended(id));
            }
            None => {
                let error = Error::new(Code::Canceled, message!("The job was canceled."));
                if !self.0.store.finish_job(id, JobState::Canceled, None, Some(&error.body()), None).await? {
                    return Err(already_ended(id));
                }
            }
        }
        for _ in 0..40 {
            if !self.lock_running().contains_key(id) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.job(principal, id).await
    }

    /// Resumes a job that failed or was canceled: an import where it stopped, an export from the start. One of several
    /// parallel calls resumes the job; the others fail with [`Code::JobState`].
    pub async fn resume(&self, principal: &Principal, id: &str) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        if !matches!(record.state, JobState::Failed | JobState::Canceled) || self.lock_running().contains_key(id) {
            return Err(not_resumable(id, record.state));
        }
        if record.kind == JobKind::Import {
            require_import_permission(principal, view::dry_run(&record))?;
            if record.artifact.is_none() {
                return Err(files_removed(id));
            }
        }
        if self.is_stopping() {
            return Err(stopping());
        }
        let guard = self.0.quota.acquire(quota::JOBS, &principal.subject)?;
        self.0.client_provider.store_token(&self.0.store, principal).await?;
        if !self.0.store.reopen_job(id).await? {
            let state = self.0.store.job(&self.0.tenant, id).await?.state;
            return Err(not_resumable(id, state));
        }
        self.spawn(self.0.store.job(&self.0.tenant, id).await?, guard);
        self.job(principal, id).await
    }

    /// Returns the files of an import, for its report. Fails with [`Code::ArtifactGone`] if they were removed, and with
    /// [`Code::JobState`] for an export.
    pub async fn report_files(&self, id: &str) -> Result<Files> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        match record.kind {
            JobKind::Import if record.state.is_final() && record.artifact.is_none() => Err(files_removed(id)),
            JobKind::Import => Ok(self.0.store.job_files(id)),
            JobKind::Export => {
                Err(Error::new(Code::JobState, message!("Job {id} is an export; only imports have a report.")))
            }
        }
    }

    /// Returns the finished file of an export. Fails with [`Code::InvalidTicket`] unless `token` is a valid download
    /// token for it. The caller has to check that the session to which the token was issued is still valid.
    pub async fn artifact(&self, id: &str, token: &str) -> Result<Artifact> {
        let holder = self.0.download_tokens.check(token, id)?;
        let quota_guard = self.0.quota.acquire(quota::READS, &holder.subject)?;
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let name = record.artifact.as_deref().ok_or_else(|| files_removed(id))?;
        let (files, file) = (self.0.store.job_files(id), name.to_owned());
        let file = tokio::task::spawn_blocking(move || files.open(&file)).await.map_err(Error::internal)?.map_err(
            |error| match error.kind() {
                std::io::ErrorKind::NotFound => files_removed(id),
                _ => error.into(),
            },
        )?;
        let request = secrets::without_secrets(id, &record.request)?;
        let tenant: String = self
            .0
            .tenant
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' })
            .collect();
        let date = record.created_at.strftime("%Y-%m-%d");
        let ended = record.finished_at.map_or(0, Timestamp::as_millisecond);
        Ok(Artifact {
            file,
            quota_guard,
            version: format!("{id}-{ended}"),
            download_name: format!("{tenant}-{date}-{name}"),
            request,
            session: holder.session,
        })
    }

    /// Stores the token of a new sign-in and wakes the jobs of this user that wait for one.
    pub async fn handle_sign_in(&self, principal: &Principal) {
        if let Err(error) = self.0.client_provider.replace_rights(&self.0.store, &self.0.tenant, principal).await {
            tracing::warn!("the rights of a new sign-in could not be stored: {}", error.message);
        }
        if self.0.store.has_unfinished_jobs(&self.0.tenant, &principal.subject).await.unwrap_or(true) {
            if let Err(error) = self.0.client_provider.store_token(&self.0.store, principal).await {
                tracing::warn!("the token of a new sign-in could not be stored: {}", error.message);
            }
            self.0.sign_ins.send_modify(|count| *count += 1);
        }
    }

    /// Removes every job, artifact, token, preset, uploaded transform and history entry (the uninstall hook).
    /// Continues after a failure; returns the first one.
    pub async fn uninstall(&self) -> Result<()> {
        let running: Vec<_> = self.lock_running().values().map(|running| Arc::clone(&running.progress)).collect();
        for progress in running {
            progress.cancel();
        }
        for _ in 0..200 {
            if self.lock_running().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.0.download_tokens.revoke_all();
        let sandbox = self.0.sandbox.clone();
        let forgotten = tokio::task::spawn_blocking(move || sandbox.forget_uploads());
        let done = [
            self.0.store.delete_everything().await,
            remove_directory(self.0.store.directory().join("jobs")).await,
            forgotten.await.unwrap_or_else(|error| Err(Error::internal(error))),
            self.0.store.prepare().await,
        ];
        done.into_iter().collect()
    }

    /// Refuses new jobs from now on; running jobs continue.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Stops running jobs and leaves them unfinished; the next start continues them.
    pub async fn stop(&self) {
        self.drain();
        self.0.stopping.cancel();
        for running in self.lock_running().values() {
            running.progress.cancel();
        }
        self.0.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some jobs did not stop within 10 s; the next start continues them anyway");
        }
    }
}

/// A finished file to download.
#[derive(Debug)]
pub struct Artifact {
    /// The file; seekable.
    pub file: FileReader,
    /// Counts the download against the user's quota until dropped.
    pub quota_guard: QuotaGuard,
    /// Identifies the content, for an entity tag: resuming a job replaces its file.
    pub version: String,
    /// File name for the browser.
    pub download_name: String,
    /// The request of the export.
    pub request: ExportRequest,
    /// Id of the session to which the download token was issued.
    pub session: String,
}

fn already_ended(id: &str) -> Error {
    Error::new(Code::JobState, message!("Job {id} has already ended, so it cannot be canceled."))
}

fn not_resumable(id: &str, state: JobState) -> Error {
    let message = match state {
        JobState::Failed | JobState::Canceled => {
            message!("Job {id} is ending; only failed or canceled jobs can be resumed.")
        }
        JobState::Pending | JobState::Processing => {
            message!("Job {id} is running; only failed or canceled jobs can be resumed.")
        }
        JobState::Completed => message!("Job {id} is completed; only failed or canceled jobs can be resumed."),
        JobState::Expired => message!("Job {id} is expired; only failed or canceled jobs can be resumed."),
    };
    Error::new(Code::JobState, message)
}

fn stopping() -> Error {
    Error::new(Code::Stopping, message!("The server is stopping."))
}

fn files_removed(id: &str) -> Error {
    Error::new(Code::ArtifactGone, message!("The files of job {id} were removed at the end of their lifetime."))
}
