//! Import and export jobs (docs/auth0/jobs.md#imports, docs/auth0/jobs.md#exports). The state of a job follows from the
//! clock: an import takes effect, and the file of an export is written, at the first access after its end time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::connections::Connection;
use crate::directory::{Directory, Handle};
use crate::export::{self, ExportFile, Format, Plan};
use crate::import::{self, Outcome};
use crate::logs::Logs;
use crate::tokens::alphanumeric;

/// Maximum number of active import jobs.
const ACTIVE_IMPORTS: usize = 2;
const HOUR: i64 = 3_600_000;
/// An import that takes longer fails.
const IMPORT_TIMEOUT: i64 = 2 * HOUR;
/// An export that takes longer fails.
const EXPORT_TIMEOUT: i64 = 8 * HOUR;
/// Jobs are removed at this age.
const RETENTION: i64 = 24 * HOUR;
/// A job is `pending` for this share of its time.
const PENDING_SHARE: f64 = 0.2;

/// For an export of few users, the first access after its end time waits until the file is written, at most this long.
/// A larger export is shown as processing while its file is written, and no request waits for it.
const MAX_WRITE_WAIT: Duration = Duration::from_secs(1);
const MAX_WAITED_USERS: Handle = 10_000;

/// The file of an export once it is written, or why it is not.
type Written = Arc<OnceLock<Result<Arc<ExportFile>, String>>>;

/// The outcome that a fault forces on a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ForcedOutcome {
    #[default]
    Completes,
    Fails,
    Hangs,
}

/// An import job as it was created.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) file: Bytes,
    pub(crate) upsert: bool,
    pub(crate) external_id: Option<String>,
    pub(crate) connection: Connection,
}

/// An export job as it was created.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) plan: Plan,
    /// The members of the request that responses repeat.
    pub(crate) echo: Value,
    pub(crate) connection: Option<Connection>,
}

#[derive(Clone, Debug)]
enum Work {
    Import(Import),
    Export(Export),
}

#[derive(Clone, Debug)]
enum State {
    Active,
    Imported(Outcome),
    Exported(Written),
    Failed(String),
}

#[derive(Clone, Debug)]
struct Job {
    work: Work,
    created: i64,
    duration: i64,
    forced: ForcedOutcome,
    state: State,
}

/// The content of `GET /jobs/{id}/errors`.
#[derive(Clone, Debug)]
pub(crate) enum Errors {
    None,
    Users(Vec<Value>),
    Job(Value),
}

/// Counts for assertions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// Import jobs created.
    pub imports: u64,
    /// Export jobs created.
    pub exports: u64,
    /// The maximum number of import jobs that were active at once.
    pub most_active_imports: u64,
    /// Import jobs refused because two were active.
    pub refused_imports: u64,
    /// Import jobs that are active now.
    pub active_imports: u64,
    /// Imports that requested the e-mail to all owners.
    pub completion_emails: u64,
}

#[derive(Debug, Default)]
struct Table {
    jobs: BTreeMap<String, Job>,
    counts: JobCounts,
}

#[derive(Debug)]
pub(crate) struct Jobs {
    directory: Arc<Directory>,
    /// Where imports are written when they end.
    logs: Arc<Logs>,
    table: Mutex<Table>,
}

impl Jobs {
    pub(crate) fn new(directory: Arc<Directory>, logs: Arc<Logs>) -> Self {
        Jobs { directory, logs, table: Mutex::default() }
    }

    /// Locks the table after finishing all jobs whose end time has passed.
    fn advance_jobs(&self, now: i64) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.jobs.retain(|_, job| now - job.created < RETENTION);
        let mut due: Vec<(i64, String)> = table
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.state, State::Active))
            .filter_map(|(id, job)| Some((job.ends()?, id.clone())))
            .filter(|(ends, _)| *ends <= now)
            .collect();
        due.sort();
        for (ends, id) in due {
            if let Some(job) = table.jobs.get_mut(&id) {
                job.finish(ends, &self.directory);
                if let Work::Import(import) = &job.work {
                    let failed = match &job.state {
                        State::Failed(reason) => Some(reason.as_str()),
                        _ => None,
                    };
                    self.logs.import(now, ends, &import.connection, failed);
                }
            }
        }
        table.counts.active_imports = table.active_imports() as u64;
        table
    }

    /// Finishes all jobs whose end time has passed.
    pub(crate) fn settle(&self, now: i64) {
        drop(self.advance_jobs(now));
    }

    /// Creates an import job. Fails with the number of active imports if there are two.
    pub(crate) fn import(
        &self,
        import: Import,
        mail: bool,
        duration: i64,
        forced: ForcedOutcome,
        now: i64,
    ) -> Result<Value, usize> {
        let mut table = self.advance_jobs(now);
        let active = table.active_imports();
        if active >= ACTIVE_IMPORTS {
            table.counts.refused_imports += 1;
            return Err(active);
        }
        table.counts.imports += 1;
        table.counts.completion_emails += u64::from(mail);
        table.counts.most_active_imports = table.counts.most_active_imports.max(active as u64 + 1);
        Ok(table.insert(Job { work: Work::Import(import), created: now, duration, forced, state: State::Active }))
    }

    /// Creates an export job.
    pub(crate) fn export(&self, export: Export, duration: i64, forced: ForcedOutcome, now: i64) -> Value {
        let mut table = self.advance_jobs(now);
        table.counts.exports += 1;
        table.insert(Job { work: Work::Export(export), created: now, duration, forced, state: State::Active })
    }

    /// Returns a job as the API shows it, without `location`, and the format of its file if it has one.
    pub(crate) fn get(&self, id: &str, now: i64) -> Option<(Value, Option<Format>)> {
        let table = self.advance_jobs(now);
        let job = table.jobs.get(id)?;
        let file = match (&job.work, &job.state) {
            (Work::Export(export), State::Exported(written)) if matches!(written.get(), Some(Ok(_))) => {
                Some(export.plan.format)
            }
            _ => None,
        };
        Some((job.view(id, now), file))
    }

    /// Returns the errors of a job.
    pub(crate) fn errors(&self, id: &str, now: i64) -> Option<Errors> {
        let table = self.advance_jobs(now);
        let job = table.jobs.get(id)?;
        Some(match &job.state {
            State::Imported(outcome) if !outcome.errors.is_empty() => Errors::Users(outcome.errors.clone()),
            _ if job.failure().is_some() => Errors::Job(job.view(id, now)),
            _ => Errors::None,
        })
    }

    /// Returns the file of a completed export.
    pub(crate) fn file(&self, id: &str, now: i64) -> Option<Arc<ExportFile>> {
        match &self.advance_jobs(now).jobs.get(id)?.state {
            State::Exported(written) => written.get()?.as_ref().ok().cloned(),
            _ => None,
        }
    }

    /// Removes a job, as if it had expired.
    pub(crate) fn forget(&self, id: &str, now: i64) {
        self.advance_jobs(now).jobs.remove(id);
    }

    /// All jobs as the API shows them, oldest first.
    pub(crate) fn all(&self, now: i64) -> Vec<Value> {
        let table = self.advance_jobs(now);
        let mut jobs: Vec<_> = table.jobs.iter().collect();
        jobs.sort_by_key(|(_, job)| job.created);
        jobs.into_iter().map(|(id, job)| job.view(id, now)).collect()
    }

    /// Counts so far.
    pub(crate) fn counts(&self, now: i64) -> JobCounts {
        self.advance_jobs(now).counts
    }
}

impl Table {
    fn active_imports(&self) -> usize {
        self.jobs
            .values()
            .filter(|job| matches!(job.work, Work::Import(_)) && matches!(job.state, State::Active))
            .count()
    }

    fn insert(&mut self, job: Job) -> Value {
        let id = format!("job_{}", alphanumeric(16));
        // A new job is always `pending`, even if it takes no time.
        let view = job.view(&id, i64::MIN);
        self.jobs.insert(id, job);
        view
    }
}

impl Job {
    /// Returns when the job ends, or when a hanging job times out.
    fn ends(&self) -> Option<i64> {
        let timeout = match self.work {
            Work::Import(_) => IMPORT_TIMEOUT,
            Work::Export(_) => EXPORT_TIMEOUT,
        };
        let duration = if self.forced == ForcedOutcome::Hangs { timeout } else { self.duration.min(timeout) };
        self.created.checked_add(duration)
    }

    /// Returns why the whole job failed, if it did.
    fn failure(&self) -> Option<&str> {
        match &self.state {
            State::Failed(reason) => Some(reason),
            State::Exported(written) => written.get()?.as_ref().err().map(String::as_str),
            State::Active | State::Imported(_) => None,
        }
    }

    fn finish(&mut self, at: i64, directory: &Arc<Directory>) {
        let timed_out = match self.work {
            Work::Import(_) => self.duration >= IMPORT_TIMEOUT,
            Work::Export(_) => self.duration >= EXPORT_TIMEOUT,
        };
        self.state = match (&mut self.work, self.forced) {
            (_, ForcedOutcome::Hangs) => State::Failed("The job timed out.".to_owned()),
            _ if timed_out => State::Failed("The job timed out.".to_owned()),
            (_, ForcedOutcome::Fails) => State::Failed("The job failed for an internal reason.".to_owned()),
            (Work::Import(job), ForcedOutcome::Completes) => {
                let file = std::mem::take(&mut job.file);
                match import::run(&file, &job.connection, job.upsert, directory, at) {
                    Ok(outcome) => State::Imported(outcome),
                    Err(reason) => State::Failed(reason),
                }
            }
            (Work::Export(job), ForcedOutcome::Completes) => {
                job.plan.until = directory.len();
                State::Exported(write(job.plan.clone(), Arc::clone(directory)))
            }
        };
    }

    fn view(&self, id: &str, now: i64) -> Value {
        let (kind, connection) = match &self.work {
            Work::Import(job) => ("users_import", Some(&job.connection)),
            Work::Export(job) => ("users_export", job.connection.as_ref()),
        };
        let (status, percentage) = self.status(now);
        let mut view = json!({"type": kind, "status": status});
        if let Some(connection) = connection {
            view["connection_id"] = connection.id.as_str().into();
        }
        match &self.work {
            Work::Import(job) => {
                if let Some(external_id) = job.external_id.as_deref().filter(|id| !id.is_empty()) {
                    view["external_id"] = external_id.into();
                }
            }
            Work::Export(job) => {
                for (name, value) in job.echo.as_object().into_iter().flatten() {
                    view[name.as_str()] = value.clone();
                }
            }
        }
        if let Some(percentage) = percentage {
            view["percentage_done"] = percentage.into();
            let left =
                if self.forced == ForcedOutcome::Hangs { 1 } else { (self.created + self.duration - now + 999) / 1000 };
            let left = left.max(0);
            view["time_left_seconds"] = left.into();
        }
        match &self.state {
            State::Imported(outcome) => {
                view["summary"] = json!({
                    "failed": outcome.failed,
                    "updated": outcome.updated,
                    "inserted": outcome.inserted,
                    "total": outcome.total,
                });
            }
            State::Active | State::Exported(_) | State::Failed(_) => {}
        }
        if let Some(reason) = self.failure() {
            view["status_details"] = reason.into();
        }
        // The name is a required member of every response (docs/auth0/management-api.md#value-patterns), also when no
        // connection was named.
        view["connection"] = connection.map_or("", |connection| connection.name.as_str()).into();
        view["created_at"] = iso(self.created).into();
        view["id"] = id.into();
        view
    }

    fn status(&self, now: i64) -> (&'static str, Option<i64>) {
        match &self.state {
            State::Imported(_) => ("completed", None),
            State::Exported(written) => match written.get() {
                None => ("processing", Some(99)),
                Some(Ok(_)) => ("completed", Some(100)),
                Some(Err(_)) => ("failed", None),
            },
            State::Failed(_) => ("failed", None),
            State::Active => {
                let elapsed = now.saturating_sub(self.created) as f64;
                let pending = self.duration as f64 * PENDING_SHARE;
                if elapsed < pending || now < self.created {
                    return ("pending", None);
                }
                let share = (elapsed - pending) / (self.duration as f64 - pending).max(1.0);
                let most = if self.forced == ForcedOutcome::Hangs { 50.0 } else { 99.0 };
                ("processing", Some((share * 100.0).clamp(0.0, most) as i64))
            }
        }
    }
}

/// Writes the file of an export in a separate thread, so that a large one does not block the tenant.
fn write(plan: Plan, directory: Arc<Directory>) -> Written {
    let written = Written::default();
    let (done, waiting) = mpsc::channel::<()>();
    let slot = Arc::clone(&written);
    let few = plan.until <= MAX_WAITED_USERS;
    std::thread::spawn(move || {
        let file = export::write_file(&plan, &directory);
        slot.get_or_init(|| file.map(Arc::new).map_err(|error| format!("The file could not be written: {error}.")));
        drop(done);
    });
    if few {
        // The thread signals completion by dropping its handle.
        let _ = waiting.recv_timeout(MAX_WRITE_WAIT);
    }
    written
}
