//! Submits jobs: what a user requests, and how the server and the command line store a job that is ready to run.

use serde_json::Value;

use super::job_directory::{NewDirectory, remove_directory};
use super::secrets;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::principal::Principal;
use uie_export::{ExportRequest, PreparedExport};
use uie_import::{ImportRequest, PreparedImport};
use uie_store::{JobKind, JobRecord, JobState, NewJob, Store};

/// A request for a job.
#[derive(Debug)]
pub enum JobRequest {
    /// An export.
    Export(ExportRequest),
    /// An import of uploaded files.
    Import(ImportRequest, NewDirectory),
    /// An import of the failed rows of an earlier import, with its settings.
    Retry {
        /// The id of the earlier import.
        original: String,
        /// The corrected rows; without them the rows are imported unchanged.
        corrected: Option<NewDirectory>,
    },
}

/// Refers to the import whose failed rows a new job imports again.
#[derive(Debug)]
pub(super) struct Retry {
    /// The id of the import whose rows failed.
    pub(super) original: String,
    /// The id of its latest retry when the request arrived.
    pub(super) latest: Option<String>,
}

/// A job that is validated and ready to be stored.
#[derive(Debug)]
pub struct PreparedJob {
    spec: Spec,
    directory: NewDirectory,
    retry: Option<Retry>,
}

/// The validated settings of a job.
#[derive(Debug)]
enum Spec {
    Export(Box<PreparedExport>),
    Import(PreparedImport),
}

impl PreparedJob {
    /// Returns the job of an export.
    pub fn export(export: PreparedExport, directory: NewDirectory) -> Self {
        Self { spec: Spec::Export(Box::new(export)), directory, retry: None }
    }

    /// Returns the job of an import, after the validation of its files. Fails if they cannot be imported.
    pub async fn import(import: PreparedImport, mut directory: NewDirectory) -> Result<Self> {
        directory.validate(&import.spec).await?;
        Ok(Self { spec: Spec::Import(import), directory, retry: None })
    }

    /// Marks the job as one that imports the failed rows of another.
    pub(super) fn retrying(self, retry: Retry) -> Self {
        Self { retry: Some(retry), ..self }
    }

    /// Stores the job for a user and returns its id. The stored settings pin the versions of transforms; secrets in
    /// them are encrypted. Fails with [`Code::JobState`] if the failed rows of an import are already being imported
    /// again.
    pub async fn store(self, store: &Store, tenant: &str, principal: &Principal) -> Result<String> {
        let id = self.directory.id().to_owned();
        let (kind, connection, request): (_, _, Value) = match &self.spec {
            Spec::Export(export) => {
                (JobKind::Export, &export.connection, secrets::seal(store, &id, export.spec.request())?)
            }
            Spec::Import(import) => {
                (JobKind::Import, &import.connection, secrets::seal(store, &id, import.spec.resolved_request())?)
            }
        };
        let new = NewJob {
            id: id.clone(),
            tenant: tenant.to_owned(),
            kind,
            owner: principal.subject.clone(),
            author: principal.email.clone(),
            connection: connection.clone(),
            request,
        };
        // Before the job is inserted: if this future is dropped, the job may be in the store and needs its files.
        let directory = self.directory.keep();
        let inserted = match &self.retry {
            None => store.insert_job(&new).await,
            Some(retry) => insert_retry(store, &new, retry).await,
        };
        // Without a database row, the clean-up would not find the directory.
        if inserted.is_err() && matches!(store.has_job(&id).await, Ok(false)) {
            remove_directory(directory).await?;
        }
        inserted.map(|()| id)
    }
}

async fn insert_retry(store: &Store, new: &NewJob, retry: &Retry) -> Result<()> {
    if store.insert_retry(new, &retry.original, retry.latest.as_deref()).await? {
        return Ok(());
    }
    Err(Error::new(
        Code::JobState,
        message!("The failed rows of job {original} are already being imported again.", original = retry.original),
    )
    .with_hint(message!("Wait for the end of the latest retry; the history shows it.")))
}

/// Returns the settings of a stored import, with its secrets. Fails if they cannot be decrypted.
pub fn import_request(store: &Store, job: &JobRecord) -> Result<ImportRequest> {
    secrets::open(store, &job.id, &job.request)
}

/// As [`import_request`], for an import whose failed rows can be imported again. Fails with [`Code::JobState`] for an
/// export, and for an import that is not completed.
pub fn retryable_request(store: &Store, job: &JobRecord) -> Result<ImportRequest> {
    let id = &job.id;
    if job.kind != JobKind::Import {
        return Err(Error::new(Code::JobState, message!("Job {id} is an export; only imports have failed rows.")));
    }
    if job.state != JobState::Completed {
        return Err(Error::new(
            Code::JobState,
            message!("Job {id} is not completed, so it is not known yet which rows fail."),
        )
        .with_hint(message!("Resume the job or wait until it is completed; then import its failed rows again.")));
    }
    import_request(store, job)
}
