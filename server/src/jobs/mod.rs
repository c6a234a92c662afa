//! Runs export and import jobs in the background: queue, progress, cancel, resume, downloads, and the removal
//! of expired data.
//!
//! The database holds every job; this module holds those that run in this process. A server that stops leaves
//! its jobs unfinished in the database and continues them at the next start ([`Jobs::recover`]).

mod clock_guard;
mod credentials;
mod download_tokens;
mod fair_semaphore;
pub mod quota;
mod run;
pub(crate) mod secrets;
mod view;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub use credentials::ClientProvider;
pub use quota::QuotaGuard;
pub use view::{HistoryEntry, HistoryView, JobType, JobView, Parts};

use crate::access::{Permission, Session};
use crate::blocking::run_blocking;
use crate::config::Settings;
use crate::error::{Code, Error, Result};
use crate::export::{self, ExportRequest, ExportSpec, Preview, PreviousRun, SourceKind};
use crate::expression::TransformContext;
use crate::import::{self, ImportRequest, ImportSpec, Inspection};
use crate::progress::Progress;
use crate::sandbox::{Sandbox, StopSignal};
use crate::store::{FileReader, Files, JobKind, JobRecord, JobState, NewJob, Store, StoredClock};
use crate::telemetry;
use clock_guard::{ClockGuard, Reading};
use download_tokens::DownloadTokens;
use fair_semaphore::FairSemaphore;
use quota::ConcurrencyQuota;

/// Memory in bytes that a sort may use before it spills to disk; the default of `--sort-memory`.
pub const SORT_MEMORY: u64 = 64 << 20;

/// Name of the uploaded file in the directory of an import job.
pub const UPLOAD: &str = "upload";

/// Maximum number of jobs in the history.
const HISTORY_LENGTH: u32 = 200;

/// Upper bound of the delay with which the last use of a session is stored.
const LAST_SEEN_DELAY: jiff::SignedDuration = jiff::SignedDuration::from_mins(2);

/// Number of earlier exports among which a comparable one is searched, to estimate the duration of a new one.
const MAX_PREVIOUS_EXPORTS: u32 = 50;

/// The job runner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    settings: Arc<Settings>,
    base_url: Arc<str>,
    tenant: String,
    client_provider: ClientProvider,
    sandbox: Sandbox,
    running: Mutex<HashMap<String, Running>>,
    download_tokens: DownloadTokens,
    quota: ConcurrencyQuota,
    /// Auth0 runs two import jobs at the same time per tenant, and one import already uses both.
    imports: Semaphore,
    /// Auth0 documents no limit for exports (docs/auth0/open-questions.md#concurrent-exports), so this one is low;
    /// exports also wait when Auth0 answers with 429.
    exports: Semaphore,
    /// For previews and file inspections. The limit per user is the number of processors.
    previews: FairSemaphore,
    /// Changes at every sign-in, to wake jobs that wait for a token.
    sign_ins: watch::Sender<u64>,
    tasks: TaskTracker,
    /// Whether new jobs are refused. Running jobs continue.
    draining: AtomicBool,
    stopping: CancellationToken,
}

/// Refers to the import whose failed rows a new job imports again.
struct Retry {
    /// The id of the import whose rows failed.
    original: String,
    /// The id of its latest retry when the request arrived.
    latest: Option<String>,
}

#[derive(Clone, Debug)]
struct Running {
    progress: Arc<Progress>,
}

/// The directory of a future import job, with the uploaded file. Dropping it removes the directory unless the job
/// was started.
#[derive(Debug)]
pub struct Upload {
    id: String,
    files: Files,
    is_job_started: bool,
    _quota_guard: QuotaGuard,
}

impl Upload {
    /// Returns the files of the future job.
    pub fn files(&self) -> &Files {
        &self.files
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_job_started
            && let Err(error) = std::fs::remove_dir_all(self.files.directory())
        {
            tracing::warn!(job = self.id, %error, "an abandoned upload could not be removed");
        }
    }
}

impl Inner {
    /// Validates a request for an export against the transforms that are available now.
    async fn export_spec(&self, request: &ExportRequest) -> Result<ExportSpec> {
        let context = TransformContext::new(&self.sandbox, &self.settings.secrets);
        let request = request.clone();
        // Blocking: the first compilation of the JavaScript engine takes a second or two.
        run_blocking(move || ExportSpec::with_tools(&request, SORT_MEMORY, &context)).await
    }

    /// Validates the mapping of an import against the transforms that are available now.
    async fn import_spec(&self, request: &ImportRequest) -> Result<ImportSpec> {
        let context = TransformContext::new(&self.sandbox, &self.settings.secrets);
        let request = request.clone();
        run_blocking(move || ImportSpec::with_tools(&request, &context)).await
    }
}

impl Jobs {
    /// Creates a runner for one tenant. `base_url` has no trailing slash.
    pub fn new(settings: Arc<Settings>, store: Store, base_url: Arc<str>) -> Result<Self> {
        let tenant = settings.tenant()?.host().to_owned();
        let client_provider = ClientProvider::new(&settings)?;
        let sandbox = Sandbox::open(&settings)?;
        Ok(Self(Arc::new(Inner {
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
    pub async fn preview_export(&self, session: &Session, request: &ExportRequest) -> Result<Preview> {
        let _quota_guard = self.0.quota.acquire(quota::PREVIEWS, &session.subject)?;
        let limit = export::preview_limit(request)?;
        let spec = self.0.export_spec(request).await?;
        let client = self.0.client_provider.for_session(session)?;
        let permit = self.0.previews.acquire(&session.subject);
        let mut preview = export::preview(spec, limit, &client, permit).await?;
        if preview.plan.source == SourceKind::Job {
            preview.plan.before = self.whole_export_before(connection_of(request)).await?;
        }
        Ok(preview)
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

    /// Starts an export.
    pub async fn start_export(&self, session: &Session, request: &ExportRequest) -> Result<JobView> {
        let request = &self.pinned(request).await?;
        self.0.export_spec(request).await?;
        let connection = match connection_of(request) {
            Some(id) => Some(self.0.client_provider.for_session(session)?.connection(id).await?.name),
            None => None,
        };
        let id = new_id();
        let masked = self.masked(request).await?;
        let stored = secrets::seal(&self.0.store, &id, request, masked.as_ref())?;
        self.0.store.create_job_files(&id)?;
        let job = id.clone();
        let started = self.start(session, id, JobKind::Export, connection, stored, None).await;
        // Without a database row, the clean-up would not find the directory.
        if started.is_err() && matches!(self.0.store.has_job(&job).await, Ok(false)) {
            remove_directory(self.0.store.job_directory(&job)).await?;
        }
        started
    }

    /// Returns the request with every secret literal replaced by `***`; `None` if it holds no secrets.
    pub async fn masked<R: secrets::Request>(&self, request: &R) -> Result<Option<R>> {
        let context = TransformContext::new(&self.0.sandbox, &self.0.settings.secrets);
        let request = request.clone();
        run_blocking(move || secrets::masked(&request, &context)).await
    }

    /// Returns the request with the current versions of all transforms that it uses, to be saved or started. May read
    /// the catalog from disk.
    pub async fn pinned<R: secrets::Request>(&self, request: &R) -> Result<R> {
        let (sandbox, settings, request) = (self.0.sandbox.clone(), Arc::clone(&self.0.settings), request.clone());
        let pin = move || secrets::pinned(&request, &TransformContext::new(&sandbox, &settings.secrets));
        run_blocking(pin).await
    }

    /// Runs `work` on a blocking thread once the user has a permit for previews. Dropping the future asks `work` to
    /// stop; the permit is held until it has returned.
    pub async fn compute<T: Send + 'static>(
        &self,
        session: &Session,
        work: impl FnOnce(&StopSignal) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        struct StopWhenDropped(StopSignal);
        impl Drop for StopWhenDropped {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let permit = self.0.previews.acquire(&session.subject).await?;
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
    pub fn acquire_preview_slot(&self, session: &Session) -> Result<QuotaGuard> {
        self.0.quota.acquire(quota::PREVIEWS, &session.subject)
    }

    /// Inspects the beginning of a file. `partial` means that the file is longer than `sample`.
    pub async fn inspect(
        &self,
        session: &Session,
        request: &ImportRequest,
        sample: Vec<u8>,
        partial: bool,
    ) -> Result<Inspection> {
        let spec = self.import_spec(request).await?;
        let permit = self.0.previews.acquire(&session.subject).await?;
        // Hold the permit until the thread is done, also if the request was dropped.
        let inspecting = tokio::task::spawn_blocking(move || {
            let inspection = import::inspect(&spec, sample, partial);
            drop(permit);
            inspection
        });
        inspecting.await.map_err(Error::internal)?
    }

    /// Counts one more upload of the user until the guard is dropped. Fails with [`Code::TooManyRequests`] at the
    /// limit.
    pub fn acquire_upload_slot(&self, session: &Session) -> Result<QuotaGuard> {
        self.0.quota.acquire(quota::UPLOADS, &session.subject)
    }

    /// Counts one more download of a report, back-up or exported file until the guard is dropped. Fails with
    /// [`Code::TooManyRequests`] at the limit.
    pub fn acquire_read_slot(&self, session: &Session) -> Result<QuotaGuard> {
        self.0.quota.acquire(quota::READS, &session.subject)
    }

    /// Creates the directory for the file of an import that is being uploaded.
    pub fn receive(&self, session: &Session) -> Result<Upload> {
        let guard = self.acquire_upload_slot(session)?;
        let id = new_id();
        let files = self.0.store.create_job_files(&id)?;
        Ok(Upload { id, files, is_job_started: false, _quota_guard: guard })
    }

    /// Starts an import of an uploaded file. `connection` is the name of a connection that the caller has checked.
    /// Fails with [`Code::InsufficientScope`] without `create:users`, unless the import is a dry run.
    pub async fn start_import(
        &self,
        session: &Session,
        request: &ImportRequest,
        connection: Option<String>,
        upload: Upload,
    ) -> Result<JobView> {
        self.begin_import(session, request, connection, upload, None).await
    }

    async fn begin_import(
        &self,
        session: &Session,
        request: &ImportRequest,
        connection: Option<String>,
        mut upload: Upload,
        retry: Option<Retry>,
    ) -> Result<JobView> {
        require_import_permission(session, request.dry_run)?;
        let request = &self.pinned(request).await?;
        let masked = self.masked(request).await?;
        let stored = secrets::seal(&self.0.store, &upload.id, request, masked.as_ref())?;
        let view = self.start(session, upload.id.clone(), JobKind::Import, connection, stored, retry).await?;
        upload.is_job_started = true;
        Ok(view)
    }

    async fn start(
        &self,
        session: &Session,
        id: String,
        kind: JobKind,
        connection: Option<String>,
        request: serde_json::Value,
        retry: Option<Retry>,
    ) -> Result<JobView> {
        if self.is_stopping() {
            return Err(stopping());
        }
        let guard = self.0.quota.acquire(quota::JOBS, &session.subject)?;
        self.0.client_provider.store_token(&self.0.store, session).await?;
        let new = NewJob {
            id: id.clone(),
            tenant: self.0.tenant.clone(),
            kind,
            owner: session.subject.clone(),
            author: session.email.clone(),
            connection,
            request,
        };
        match retry {
            None => self.0.store.insert_job(&new).await?,
            Some(Retry { original, latest }) => {
                if !self.0.store.insert_retry(&new, &original, latest.as_deref()).await? {
                    return Err(Error::new(
                        Code::JobState,
                        format!("The failed rows of job {original} are already being imported again."),
                    )
                    .with_hint("Wait for the end of the latest retry; the history shows it."));
                }
            }
        }
        self.0.store.put_job_rights(&id, &self.0.client_provider.rights(session)).await?;
        self.spawn(self.0.store.job(&self.0.tenant, &id).await?, guard);
        self.job(session, &id).await
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

    fn lock_running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a job for the API. A completed export has a new download link for this session.
    pub async fn job(&self, session: &Session, id: &str) -> Result<JobView> {
        // Before reading the record: a job that ends in between then has its final record.
        let running = self.lock_running().get(id).cloned();
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let location = match (record.kind, record.state, &record.artifact) {
            (JobKind::Export, JobState::Completed, Some(_)) => {
                let token = self.0.download_tokens.issue(id, session);
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
    pub async fn cancel(&self, session: &Session, id: &str) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let running = self.lock_running().get(id).cloned();
        match running {
            Some(running) => running.progress.cancel(),
            None if record.state.is_final() => {
                return Err(already_ended(id));
            }
            None => {
                let error = Error::new(Code::Canceled, "The job was canceled.");
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
        self.job(session, id).await
    }

    /// Resumes a job that failed or was canceled: an import where it stopped, an export from the start. One of several
    /// parallel calls resumes the job; the others fail with [`Code::JobState`].
    pub async fn resume(&self, session: &Session, id: &str) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        if !matches!(record.state, JobState::Failed | JobState::Canceled) || self.lock_running().contains_key(id) {
            return Err(not_resumable(id, record.state));
        }
        if record.kind == JobKind::Import {
            require_import_permission(session, view::dry_run(&record))?;
            if record.artifact.is_none() {
                return Err(files_removed(id));
            }
        }
        if self.is_stopping() {
            return Err(stopping());
        }
        let guard = self.0.quota.acquire(quota::JOBS, &session.subject)?;
        self.0.client_provider.store_token(&self.0.store, session).await?;
        if !self.0.store.reopen_job(id).await? {
            let state = self.0.store.job(&self.0.tenant, id).await?.state;
            return Err(not_resumable(id, state));
        }
        self.spawn(self.0.store.job(&self.0.tenant, id).await?, guard);
        self.job(session, id).await
    }

    /// Imports the failed rows of an import again, as a new job with the same settings: the rows in `corrected`, or
    /// the unchanged rows without it. One of several parallel calls starts a job; the others fail with
    /// [`Code::JobState`].
    pub async fn retry(&self, session: &Session, id: &str, corrected: Option<Upload>) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        require_import_permission(session, view::dry_run(&record))?;
        let latest = self.0.store.latest_retry(id).await?;
        if corrected.is_none() && record.artifact.is_none() && record.kind == JobKind::Import && record.state.is_final()
        {
            return Err(files_removed(id));
        }
        let failed = self.0.store.job_files(id);
        let connection = check_retryable(&record)?;
        let request: ImportRequest = secrets::open(&self.0.store, id, &record.request)?;
        let upload = if let Some(upload) = corrected {
            import::validate_upload(upload.files(), &self.import_spec(&request).await?).await?;
            upload
        } else {
            let upload = self.receive(session)?;
            let files = upload.files().clone();
            run_blocking(move || import::keep_failed_rows(&failed, &files)).await?;
            upload
        };
        if !request.connection_id.is_empty() {
            self.0.client_provider.for_session(session)?.importable_connection(&request.connection_id).await?;
        }
        self.begin_import(session, &request, connection, upload, Some(Retry { original: id.to_owned(), latest })).await
    }

    /// Returns the files of an import, for its report. Fails with [`Code::ArtifactGone`] if they were removed, and with
    /// [`Code::JobState`] for an export.
    pub async fn report_files(&self, id: &str) -> Result<Files> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        match record.kind {
            JobKind::Import if record.state.is_final() && record.artifact.is_none() => Err(files_removed(id)),
            JobKind::Import => Ok(self.0.store.job_files(id)),
            JobKind::Export => {
                Err(Error::new(Code::JobState, format!("Job {id} is an export; only imports have a report.")))
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
    pub async fn handle_sign_in(&self, session: &Session) {
        if let Err(error) = self.0.client_provider.replace_rights(&self.0.store, &self.0.tenant, session).await {
            tracing::warn!("the rights of a new sign-in could not be stored: {}", error.message);
        }
        if self.0.store.has_unfinished_jobs(&self.0.tenant, &session.subject).await.unwrap_or(true) {
            if let Err(error) = self.0.client_provider.store_token(&self.0.store, session).await {
                tracing::warn!("the token of a new sign-in could not be stored: {}", error.message);
            }
            self.0.sign_ins.send_modify(|count| *count += 1);
        }
    }

    /// Removes expired artifacts, history entries, sessions and tokens.
    pub async fn clean_up(&self) -> Result<()> {
        self.clean_up_at(Timestamp::now()).await
    }

    /// [`Jobs::clean_up`] with `now` as the current time.
    pub async fn clean_up_at(&self, now: Timestamp) -> Result<()> {
        let store = &self.0.store;
        for id in store.jobs_with_expired_artifact(now).await? {
            remove_directory(store.job_directory(&id)).await?;
            store.expire_artifact(&id).await?;
        }
        let lifetime = jiff::SignedDuration::try_from(self.0.settings.history_ttl).unwrap_or(jiff::SignedDuration::MAX);
        if let Ok(date) = now.checked_sub(lifetime) {
            for id in store.jobs_finished_before(date).await? {
                remove_directory(store.job_directory(&id)).await?;
                store.delete_job(&id).await?;
            }
        }
        let idle = jiff::SignedDuration::try_from(self.0.settings.session_idle_timeout)
            .unwrap_or(jiff::SignedDuration::MAX)
            .saturating_add(LAST_SEEN_DELAY);
        store.delete_ended_sessions(now, now.checked_sub(idle).unwrap_or(Timestamp::MIN)).await?;
        store.delete_ended_tokens(now).await
    }

    /// Removes expired data every minute until the server stops, but only while the clock is trusted.
    pub async fn keep_clean(&self) {
        let mut guard = None;
        while !self.0.stopping.is_cancelled() {
            if let Err(error) = self.clean_up_if_trusted(&mut guard).await {
                tracing::warn!(error = error.code.as_str(), "clean-up: {}", error.message);
            }
            tokio::select! {
                () = self.0.stopping.cancelled() => {}
                () = tokio::time::sleep(Duration::from_mins(1)) => {}
            }
        }
    }

    /// Checks the clock, and removes expired data unless the clock may have jumped.
    async fn clean_up_if_trusted(&self, guard: &mut Option<ClockGuard>) -> Result<()> {
        let tenant = self.0.client_provider.last_date();
        let now = Reading { wall: Timestamp::now(), monotonic: Instant::now(), tenant };
        let guard = match guard {
            Some(guard) => guard,
            None => guard.insert(ClockGuard::new(now, self.0.store.stored_clock().await?)),
        };
        let doubt = guard.observe(now);
        // Before anything is deleted, so that a restart after a jump can compare with the time before it.
        self.0.store.store_clock(StoredClock { at: now.wall, is_trusted: doubt.is_none() }).await?;
        guard.log(doubt);
        telemetry::CLEANUP_SUSPENDED.set(doubt.is_some());
        if doubt.is_some() { Ok(()) } else { self.clean_up_at(now.wall).await }
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

/// Fails with [`Code::InsufficientScope`] unless the session has `create:users` or the import is a dry run.
pub(crate) fn require_import_permission(session: &Session, dry_run: bool) -> Result<()> {
    if dry_run { Ok(()) } else { session.permissions.require(&[Permission::CreateUsers]) }
}

/// Returns the connection's name of an import whose failed rows can be imported again. Fails with
/// [`Code::JobState`] for an export, and for an import that is not completed.
pub(crate) fn check_retryable(job: &JobRecord) -> Result<Option<String>> {
    let id = &job.id;
    if job.kind != JobKind::Import {
        return Err(Error::new(Code::JobState, format!("Job {id} is an export; only imports have failed rows.")));
    }
    if job.state != JobState::Completed {
        return Err(Error::new(
            Code::JobState,
            format!("Job {id} is not completed, so it is not known yet which rows fail."),
        )
        .with_hint("Resume the job or wait until it is completed; then import its failed rows again."));
    }
    Ok(job.connection.clone())
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

/// Returns the connection id of an export request; `None` for all connections. An empty id also means all
/// connections, as in the form of the original extension.
fn connection_of(request: &ExportRequest) -> Option<&str> {
    request.connection_id.as_deref().map(str::trim).filter(|id| !id.is_empty())
}

fn already_ended(id: &str) -> Error {
    Error::new(Code::JobState, format!("Job {id} has already ended, so it cannot be canceled."))
}

fn not_resumable(id: &str, state: JobState) -> Error {
    let state = match state {
        JobState::Failed | JobState::Canceled => "ending",
        JobState::Pending | JobState::Processing => "running",
        state => state.as_str(),
    };
    Error::new(Code::JobState, format!("Job {id} is {state}; only failed or canceled jobs can be resumed."))
}

fn stopping() -> Error {
    Error::new(Code::Stopping, "The server is stopping.")
}

fn files_removed(id: &str) -> Error {
    Error::new(Code::ArtifactGone, format!("The files of job {id} were removed at the end of their lifetime."))
}

/// An id in Auth0's own form (docs/auth0/README.md#constants).
pub(crate) fn new_id() -> String {
    format!("job_{}", Alphanumeric.sample_string(&mut rand::rng(), 16))
}

async fn remove_directory(path: PathBuf) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
