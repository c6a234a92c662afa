//! Runs export and import jobs in the server, not in the request: queue, progress, cancel, resume,
//! downloads, and the removal of what has reached the end of its lifetime.
//!
//! The database knows every job; this room knows those that run in this process. A server that is
//! stopped leaves its jobs unfinished in the database and takes them up again at the next start
//! ([`Jobs::recover`]).

mod clock;
pub mod limits;
mod owner;
mod run;
pub(crate) mod secrets;
mod tickets;
mod turns;
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

pub use limits::Place;
pub use owner::Clients;
pub use view::{HistoryEntry, HistoryView, JobType, JobView, Parts};

use crate::access::{Permission, Session};
use crate::config::Settings;
use crate::error::{Code, Error, Result};
use crate::export::{self, Before, ExportRequest, ExportSpec, Preview, SourceKind};
use crate::expression::Tools;
use crate::import::{self, ImportRequest, ImportSpec, Inspection};
use crate::measure;
use crate::progress::Progress;
use crate::sandbox::{Sandbox, Stop};
use crate::store::{FileReader, Files, JobKind, JobRecord, JobState, NewJob, SeenClock, Store};
use clock::{ClockGuard, Reading};
use limits::Places;
use tickets::Tickets;
use turns::Turns;

/// Memory a sort may use before it spills to disk, bytes; the default of `--sort-memory`.
pub const SORT_MEMORY: u64 = 64 << 20;

/// Name of an import's uploaded file in its job's directory.
pub const UPLOAD: &str = "upload";

/// Entries of the history that are shown.
const HISTORY_LENGTH: u32 = 200;

/// The database learns of the use of a session a minute late at most.
const SEEN_DELAY: jiff::SignedDuration = jiff::SignedDuration::from_mins(2);

/// Exports that are looked at to tell how long one takes.
const LOOKED_BACK: u32 = 50;

/// The job runner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    settings: Arc<Settings>,
    base_url: Arc<str>,
    tenant: String,
    clients: Clients,
    sandbox: Sandbox,
    running: Mutex<HashMap<String, Running>>,
    tickets: Tickets,
    places: Places,
    /// Auth0 takes two imports at once for the whole tenant, and one import already uses both.
    imports: Semaphore,
    /// A limit for exports is not documented (docs/auth0/open-questions.md#concurrent-exports): few at once, and
    /// Auth0's 429 obeyed.
    exports: Semaphore,
    /// So many previews and looks into files of one person compute at once as there are processors: guests that
    /// never end keep nothing else waiting.
    previews: Turns,
    /// Changes at every sign-in, to wake jobs that wait for a token.
    sign_ins: watch::Sender<u64>,
    tasks: TaskTracker,
    /// No new jobs; those that run go on.
    draining: AtomicBool,
    stopping: CancellationToken,
}

/// Which failed rows a new import takes.
struct Retry {
    /// The import whose rows failed.
    of: String,
    /// Its latest retry when the request arrived.
    seen: Option<String>,
}

#[derive(Clone, Debug)]
struct Running {
    progress: Arc<Progress>,
}

/// An upload on its way into an import job: the job's directory exists and is removed again unless
/// the job starts.
#[derive(Debug)]
pub struct Upload {
    id: String,
    files: Files,
    keep: bool,
    _place: Place,
}

impl Upload {
    /// The files of the job to come.
    pub fn files(&self) -> &Files {
        &self.files
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(self.files.directory())
        {
            tracing::warn!(job = self.id, %error, "an abandoned upload could not be removed");
        }
    }
}

impl Inner {
    /// Checks a request for an export, with the transforms there are now.
    async fn export_spec(&self, request: &ExportRequest) -> Result<ExportSpec> {
        let tools = Tools::new(&self.sandbox, &self.settings.secrets);
        let request = request.clone();
        // Compiling an engine that was never used takes a second or two.
        tokio::task::spawn_blocking(move || ExportSpec::with_tools(&request, SORT_MEMORY, &tools))
            .await
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?
    }

    /// Checks the mapping of an import, with the transforms there are now.
    async fn import_spec(&self, request: &ImportRequest) -> Result<ImportSpec> {
        let tools = Tools::new(&self.sandbox, &self.settings.secrets);
        let request = request.clone();
        tokio::task::spawn_blocking(move || ImportSpec::with_tools(&request, &tools))
            .await
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?
    }
}

impl Jobs {
    /// A runner for one tenant. `base_url` has no trailing slash.
    pub fn new(settings: Arc<Settings>, store: Store, base_url: Arc<str>) -> Result<Self> {
        let tenant = settings.tenant()?.host().to_owned();
        let clients = Clients::new(&settings)?;
        let sandbox = Sandbox::open(&settings)?;
        Ok(Self(Arc::new(Inner {
            store,
            settings,
            base_url,
            tenant,
            clients,
            sandbox,
            running: Mutex::default(),
            tickets: Tickets::default(),
            places: Places::default(),
            imports: Semaphore::new(1),
            exports: Semaphore::new(2),
            previews: Turns::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            sign_ins: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        })))
    }

    /// Clients of the Management API, for requests that are not jobs.
    pub fn clients(&self) -> &Clients {
        &self.0.clients
    }

    /// Transforms and what runs them.
    pub fn sandbox(&self) -> &Sandbox {
        &self.0.sandbox
    }

    /// Takes up every job that an earlier process left unfinished. The lock on DATA_DIR makes sure that
    /// no other process still runs them.
    pub async fn recover(&self) -> Result<()> {
        // Of a job that was being asked for when the process was killed nobody will ever ask.
        for id in self.0.store.job_directories()? {
            if !self.0.store.has_job(&id).await? {
                tracing::info!(job = id, "removing the files of a job that never began");
                remove_directory(self.0.store.job_directory(&id)).await?;
            }
        }
        for job in self.0.store.unfinished_jobs(&self.0.tenant).await? {
            tracing::info!(job = job.id, "taking up a job that was interrupted");
            let place = self.0.places.take_anyway(limits::JOBS, &job.owner);
            self.spawn(job, place);
        }
        Ok(())
    }

    /// The first few rows of an export: one search of the tenant, nothing is kept.
    pub async fn preview_export(&self, session: &Session, request: &ExportRequest) -> Result<Preview> {
        let _place = self.0.places.take(limits::PREVIEWS, &session.subject)?;
        let limit = export::previewed(request)?;
        let spec = self.0.export_spec(request).await?;
        let client = self.0.clients.for_session(session)?;
        let turn = self.0.previews.take(&session.subject);
        let mut preview = export::preview(spec, limit, &client, turn).await?;
        if preview.plan.source == SourceKind::Job {
            preview.plan.before = self.whole_export_before(connection_of(request)).await?;
        }
        Ok(preview)
    }

    /// The newest export of all users of a connection, or of the tenant.
    async fn whole_export_before(&self, connection_id: Option<&str>) -> Result<Option<Before>> {
        let exports = self.0.store.completed_exports(&self.0.tenant, LOOKED_BACK).await?;
        Ok(exports.iter().find_map(|job| {
            let said = |name: &str| job.request.get(name).filter(|value| !value.is_null() && *value != "");
            let whole = said("query").is_none() && said("limit").is_none();
            let same = said("connection_id").and_then(Value::as_str) == connection_id;
            let users = job.summary.as_ref()?.get("rows")?.as_u64()?;
            let took = job.finished_at?.duration_since(job.created_at);
            (whole && same).then(|| Before { users, seconds: took.as_secs_f64().ceil().max(0.0) as u64 })
        }))
    }

    /// Starts an export.
    pub async fn start_export(&self, session: &Session, request: &ExportRequest) -> Result<JobView> {
        let request = &self.pinned(request).await?;
        self.0.export_spec(request).await?;
        let connection = match connection_of(request) {
            Some(id) => Some(self.0.clients.for_session(session)?.connection(id).await?.name),
            None => None,
        };
        let id = new_id();
        let masked = self.masked(request).await?;
        let stored = secrets::seal(&self.0.store, &id, request, masked.as_ref())?;
        self.0.store.create_job_files(&id)?;
        let job = id.clone();
        let started = self.start(session, id, JobKind::Export, connection, stored, None).await;
        // Without a record nobody would ever remove it.
        if started.is_err() && matches!(self.0.store.has_job(&job).await, Ok(false)) {
            remove_directory(self.0.store.job_directory(&job)).await?;
        }
        started
    }

    /// The request with every secret literal as `***`; none where it holds no secrets.
    pub async fn masked<R: secrets::Request>(&self, request: &R) -> Result<Option<R>> {
        let tools = Tools::new(&self.0.sandbox, &self.0.settings.secrets);
        let request = request.clone();
        tokio::task::spawn_blocking(move || secrets::masked(&request, &tools))
            .await
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?
    }

    /// The request with the versions of all transforms that it uses, for what is saved or started with it. The
    /// catalog may have to be read from disk.
    pub async fn pinned<R: secrets::Request>(&self, request: &R) -> Result<R> {
        let (sandbox, settings, request) = (self.0.sandbox.clone(), Arc::clone(&self.0.settings), request.clone());
        tokio::task::spawn_blocking(move || secrets::pinned(&request, &Tools::new(&sandbox, &settings.secrets)))
            .await
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?
    }

    /// Computes something that a person waits for, when it is that person's turn. It is stopped when no request
    /// waits any more, and keeps its turn until it has stopped.
    pub async fn compute<T: Send + 'static>(
        &self,
        session: &Session,
        work: impl FnOnce(&Stop) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        struct StopWhenDropped(Stop);
        impl Drop for StopWhenDropped {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let turn = self.0.previews.take(&session.subject).await?;
        let waiting = StopWhenDropped(Stop::default());
        let stop = waiting.0.clone();
        let computing = tokio::task::spawn_blocking(move || {
            let computed = work(&stop);
            drop(turn);
            computed
        });
        computing.await.map_err(|error| Error::new(Code::Internal, error.to_string()))?
    }

    /// Checks the mapping of an import, with the transforms there are now.
    pub async fn import_spec(&self, request: &ImportRequest) -> Result<ImportSpec> {
        self.0.import_spec(request).await
    }

    /// A place among the previews of a person, for a file that is going to be looked into.
    pub fn place_to_inspect(&self, session: &Session) -> Result<Place> {
        self.0.places.take(limits::PREVIEWS, &session.subject)
    }

    /// Looks into the beginning of a file; `partial` says that there is more of it.
    pub async fn inspect(
        &self,
        session: &Session,
        request: &ImportRequest,
        sample: Vec<u8>,
        partial: bool,
    ) -> Result<Inspection> {
        let spec = self.import_spec(request).await?;
        let turn = self.0.previews.take(&session.subject).await?;
        // The turn ends with the computing, even when nobody waits for it any more.
        let looking = tokio::task::spawn_blocking(move || {
            let inspection = import::inspect(&spec, sample, partial);
            drop(turn);
            inspection
        });
        looking.await.map_err(|error| Error::new(Code::Internal, error.to_string()))?
    }

    /// A place among the uploads of a person.
    pub fn place_to_upload(&self, session: &Session) -> Result<Place> {
        self.0.places.take(limits::UPLOADS, &session.subject)
    }

    /// A place among the reports, back-ups and exported files that a person is reading.
    pub fn place_to_read(&self, session: &Session) -> Result<Place> {
        self.0.places.take(limits::READS, &session.subject)
    }

    /// Makes room for the file of an import that is being uploaded.
    pub fn receive(&self, session: &Session) -> Result<Upload> {
        let place = self.place_to_upload(session)?;
        let id = new_id();
        let files = self.0.store.create_job_files(&id)?;
        Ok(Upload { id, files, keep: false, _place: place })
    }

    /// Starts an import of an uploaded file into a connection that was found usable. Fails with
    /// [`Code::InsufficientScope`] without `create:users`, unless it only checks the file.
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
        permit_import(session, request.dry_run)?;
        let request = &self.pinned(request).await?;
        let masked = self.masked(request).await?;
        let stored = secrets::seal(&self.0.store, &upload.id, request, masked.as_ref())?;
        let view = self.start(session, upload.id.clone(), JobKind::Import, connection, stored, retry).await?;
        upload.keep = true;
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
        let place = self.0.places.take(limits::JOBS, &session.subject)?;
        self.0.clients.remember(&self.0.store, session).await?;
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
            Some(Retry { of, seen }) => {
                if !self.0.store.insert_retry(&new, &of, seen.as_deref()).await? {
                    return Err(Error::new(
                        Code::JobState,
                        format!("The failed rows of job {of} are already being imported again."),
                    )
                    .with_hint("Wait for the end of the latest retry; the history shows it."));
                }
            }
        }
        self.0.store.put_job_rights(&id, &self.0.clients.rights(session)).await?;
        self.spawn(self.0.store.job(&self.0.tenant, &id).await?, place);
        self.job(session, &id).await
    }

    fn spawn(&self, job: JobRecord, place: Place) {
        let progress = Arc::new(Progress::default());
        match self.lock_running().entry(job.id.clone()) {
            Entry::Vacant(entry) => entry.insert(Running { progress: Arc::clone(&progress) }),
            // The state in the database admits one run at a time, so this is a bug; a second run would be worse.
            Entry::Occupied(_) => {
                tracing::error!(job = job.id, "the job is running already and is not started again");
                return;
            }
        };
        let jobs = self.clone();
        // Below the span of the request that asked for the job, so that every line names its id.
        let span = tracing::info_span!("job", id = job.id, kind = job.kind.as_str());
        let work = async move {
            let (id, kind) = (job.id.clone(), job.kind);
            // A task of its own, so that even a bug in it ends as a failed job that says so.
            let (inner, work_progress) = (Arc::clone(&jobs.0), Arc::clone(&progress));
            let work = async move { run::to_its_end(&inner, job, work_progress).await };
            if tokio::spawn(work.in_current_span()).await.is_err() {
                run::broke_off(&jobs.0, &id, kind, &progress).await;
            }
            jobs.lock_running().remove(&id);
            drop(place);
        };
        self.0.tasks.spawn(work.instrument(span));
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job as the API shows it; of a completed export with a fresh download link for this session.
    pub async fn job(&self, session: &Session, id: &str) -> Result<JobView> {
        // Looked up before the record: a job that ends in between is then seen with its final record.
        let running = self.lock_running().get(id).cloned();
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let location = match (record.kind, record.state, &record.artifact) {
            (JobKind::Export, JobState::Completed, Some(_)) => {
                let ticket = self.0.tickets.issue(id, session);
                Some(format!("{}/api/jobs/{id}/download?ticket={ticket}", self.0.base_url))
            }
            _ => None,
        };
        let parts = match record.kind {
            JobKind::Import => Parts::of(&self.0.store.import_chunks(id).await?),
            JobKind::Export => None,
        };
        let progress = running.as_ref().map(|running| &*running.progress);
        Ok(JobView { parts, ..JobView::new(&record, progress, location) })
    }

    /// The newest jobs, oldest of them first.
    pub async fn history(&self) -> Result<HistoryView> {
        let records = self.0.store.history(&self.0.tenant, HISTORY_LENGTH).await?;
        Ok(HistoryView { jobs: records.iter().map(HistoryEntry::from).collect() })
    }

    /// How many jobs of the history there are, by kind and state.
    pub async fn counts(&self) -> Result<Vec<(JobKind, JobState, u64)>> {
        self.0.store.job_counts(&self.0.tenant).await
    }

    /// How many jobs run, wait or are queued in this process.
    pub fn running(&self) -> usize {
        self.lock_running().len()
    }

    /// Asks a job to stop and waits until it has, for a moment.
    pub async fn cancel(&self, session: &Session, id: &str) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let running = self.lock_running().get(id).cloned();
        match running {
            Some(running) => running.progress.cancel(),
            None if record.state.is_final() => {
                return Err(already_over(id));
            }
            None => {
                let error = Error::new(Code::Canceled, "The job was canceled.");
                if !self.0.store.finish_job(id, JobState::Canceled, None, Some(&error.body()), None).await? {
                    return Err(already_over(id));
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

    /// Resumes a job that failed or was canceled: an import where it stopped, an export from the start. Of parallel
    /// calls one resumes the job; the others fail with [`Code::JobState`].
    pub async fn resume(&self, session: &Session, id: &str) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        if !matches!(record.state, JobState::Failed | JobState::Canceled) || self.lock_running().contains_key(id) {
            return Err(not_resumable(id, record.state));
        }
        if record.kind == JobKind::Import {
            permit_import(session, view::dry_run(&record))?;
            if record.artifact.is_none() {
                return Err(gone(id));
            }
        }
        if self.is_stopping() {
            return Err(stopping());
        }
        let place = self.0.places.take(limits::JOBS, &session.subject)?;
        self.0.clients.remember(&self.0.store, session).await?;
        if !self.0.store.reopen_job(id).await? {
            let state = self.0.store.job(&self.0.tenant, id).await?.state;
            return Err(not_resumable(id, state));
        }
        self.spawn(self.0.store.job(&self.0.tenant, id).await?, place);
        self.job(session, id).await
    }

    /// Imports the failed rows of an import again, as a new job with its settings: the rows in `corrected`, or
    /// without it as they were. Of parallel calls one starts a job; the others fail with [`Code::JobState`].
    pub async fn retry(&self, session: &Session, id: &str, corrected: Option<Upload>) -> Result<JobView> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        permit_import(session, view::dry_run(&record))?;
        let seen = self.0.store.latest_retry(id).await?;
        if corrected.is_none() && record.artifact.is_none() && record.kind == JobKind::Import && record.state.is_final()
        {
            return Err(gone(id));
        }
        let failed = self.0.store.job_files(id);
        let connection = retried(&record)?;
        let request: ImportRequest = secrets::open(&self.0.store, id, &record.request)?;
        let upload = if let Some(upload) = corrected {
            import::probe(upload.files(), &self.import_spec(&request).await?).await?;
            upload
        } else {
            let upload = self.receive(session)?;
            let files = upload.files().clone();
            tokio::task::spawn_blocking(move || import::keep_failed_rows(&failed, &files))
                .await
                .map_err(|error| Error::new(Code::Internal, error.to_string()))??;
            upload
        };
        if !request.connection_id.is_empty() {
            self.0.clients.for_session(session)?.importable_connection(&request.connection_id).await?;
        }
        self.begin_import(session, &request, connection, upload, Some(Retry { of: id.to_owned(), seen })).await
    }

    /// The files of an import whose report is asked for.
    pub async fn report_files(&self, id: &str) -> Result<Files> {
        let record = self.0.store.job(&self.0.tenant, id).await?;
        match record.kind {
            JobKind::Import if record.state.is_final() && record.artifact.is_none() => Err(gone(id)),
            JobKind::Import => Ok(self.0.store.job_files(id)),
            JobKind::Export => {
                Err(Error::new(Code::JobState, format!("Job {id} is an export; only imports have a report.")))
            }
        }
    }

    /// The finished file of an export, for the holder of a ticket for it. The caller has to check that the session
    /// that the ticket was issued to is still usable.
    pub async fn artifact(&self, id: &str, ticket: &str) -> Result<Artifact> {
        let holder = self.0.tickets.check(ticket, id)?;
        let place = self.0.places.take(limits::READS, &holder.person)?;
        let record = self.0.store.job(&self.0.tenant, id).await?;
        let name = record.artifact.as_deref().ok_or_else(|| gone(id))?;
        let (files, file) = (self.0.store.job_files(id), name.to_owned());
        let file = tokio::task::spawn_blocking(move || files.open(&file))
            .await
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => gone(id),
                _ => error.into(),
            })?;
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
            place,
            version: format!("{id}-{ended}"),
            download_name: format!("{tenant}-{date}-{name}"),
            request,
            session: holder.session,
        })
    }

    /// Lets jobs of a person who has just signed in go on with the new token.
    pub async fn signed_in(&self, session: &Session) {
        if let Err(error) = self.0.clients.replace_rights(&self.0.store, &self.0.tenant, session).await {
            tracing::warn!("the rights of a new sign-in could not be stored: {}", error.message);
        }
        if self.0.store.has_unfinished_jobs(&self.0.tenant, &session.subject).await.unwrap_or(true) {
            if let Err(error) = self.0.clients.remember(&self.0.store, session).await {
                tracing::warn!("the token of a new sign-in could not be stored: {}", error.message);
            }
            self.0.sign_ins.send_modify(|count| *count += 1);
        }
    }

    /// Removes artifacts, history, sessions and tokens that have reached the end of their lifetime.
    pub async fn clean_up(&self) -> Result<()> {
        self.clean_up_at(Timestamp::now()).await
    }

    /// [`Jobs::clean_up`] as if it were this late.
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
            .saturating_add(SEEN_DELAY);
        store.delete_ended_sessions(now, now.checked_sub(idle).unwrap_or(Timestamp::MIN)).await?;
        store.delete_ended_tokens(now).await
    }

    /// Removes what has expired every minute until the server stops, but only while the clock is trusted.
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

    /// Judges the clock, and removes what has expired unless the clock may have jumped.
    async fn clean_up_if_trusted(&self, guard: &mut Option<ClockGuard>) -> Result<()> {
        let tenant = self.0.clients.last_date();
        let now = Reading { wall: Timestamp::now(), steady: Instant::now(), tenant };
        let guard = match guard {
            Some(guard) => guard,
            None => guard.insert(ClockGuard::new(now, self.0.store.seen_clock().await?)),
        };
        let doubt = guard.observe(now);
        // Before anything is deleted, so that a start after a jump knows of the time before it.
        self.0.store.set_seen_clock(SeenClock { at: now.wall, is_trusted: doubt.is_none() }).await?;
        guard.log(doubt);
        measure::CLEANUP_SUSPENDED.set(doubt.is_some());
        if doubt.is_some() { Ok(()) } else { self.clean_up_at(now.wall).await }
    }

    /// Removes every job, artifact, token, preset, uploaded transform and history entry (the uninstall hook).
    /// What cannot be removed keeps nothing else from being removed; the first failure is told.
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
        self.0.tickets.revoke_all();
        let sandbox = self.0.sandbox.clone();
        let forgotten = tokio::task::spawn_blocking(move || sandbox.forget_uploads());
        let done = [
            self.0.store.delete_everything().await,
            remove_directory(self.0.store.directory().join("jobs")).await,
            forgotten.await.unwrap_or_else(|error| Err(Error::new(Code::Internal, error.to_string()))),
            self.0.store.prepare().await,
        ];
        done.into_iter().collect()
    }

    /// Takes no new jobs from now on, and lets those that run go on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Stops running jobs without ending them: the next start takes them up.
    pub async fn stop(&self) {
        self.drain();
        self.0.stopping.cancel();
        for running in self.lock_running().values() {
            running.progress.cancel();
        }
        self.0.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some jobs did not stop within 10 s; the next start takes them up all the same");
        }
    }
}

/// Fails with [`Code::InsufficientScope`] unless the session may import, or only checks a file.
pub(crate) fn permit_import(session: &Session, dry_run: bool) -> Result<()> {
    if dry_run { Ok(()) } else { session.permissions.require(&[Permission::CreateUsers]) }
}

/// The connection's name of an import whose failed rows are to be imported again.
pub(crate) fn retried(job: &JobRecord) -> Result<Option<String>> {
    let id = &job.id;
    if job.kind != JobKind::Import {
        return Err(Error::new(Code::JobState, format!("Job {id} is an export; only imports have failed rows.")));
    }
    if job.state != JobState::Completed {
        return Err(Error::new(
            Code::JobState,
            format!("Job {id} is not completed, so it is not known yet which rows fail."),
        )
        .with_hint("Resume the job, or wait for its end; then import its failed rows again."));
    }
    Ok(job.connection.clone())
}

/// A finished file to download.
#[derive(Debug)]
pub struct Artifact {
    /// The file, to be read from its start or any other place.
    pub file: FileReader,
    /// Counts among what the person reads until it is dropped.
    pub place: Place,
    /// Names this version of it: the file of a job never changes, but a job may be resumed.
    pub version: String,
    /// What the browser should call it.
    pub download_name: String,
    /// The export it came from.
    pub request: ExportRequest,
    /// The session that the ticket was issued to.
    pub session: String,
}

/// The connection an export asks for. An empty id stands for all connections, as it does in the form of the
/// original's client.
fn connection_of(request: &ExportRequest) -> Option<&str> {
    request.connection_id.as_deref().map(str::trim).filter(|id| !id.is_empty())
}

fn already_over(id: &str) -> Error {
    Error::new(Code::JobState, format!("Job {id} is over already, so it cannot be canceled."))
}

fn not_resumable(id: &str, state: JobState) -> Error {
    let state = match state {
        JobState::Failed | JobState::Canceled => "just ending",
        JobState::Pending | JobState::Processing => "running",
        state => state.as_str(),
    };
    Error::new(Code::JobState, format!("Job {id} is {state}; only failed or canceled jobs can be resumed."))
}

fn stopping() -> Error {
    Error::new(Code::Stopping, "The server is stopping.")
}

fn gone(id: &str) -> Error {
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
