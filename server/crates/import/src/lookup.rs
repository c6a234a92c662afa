//! Looks up which users of an import exist in the tenant: to predict the result of the import, and to back up the
//! users that it will change.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::chunks::identities;
use super::dedup_index::SpillingHashIndex;
use super::faults::FaultFile;
use super::io_error::with_path;
use super::polling::{PollPolicy, is_gone};
use super::row_fault::{RowFault, Severity};
use super::row_identity::{ID_PREFIX, RowIdentity};
use super::spec::ImportSpec;
use uie_auth0::{ExportField, ExportJobRequest, JobFormat, JobStatus, ManagementClient, may_have_happened};
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::progress::Progress;
use uie_core::user::ATTRIBUTES;
use uie_store::{FileReader, FileWriter, Files};

/// File in the job's directory with the result of the lookup.
const RESULT_FILE: &str = "survey.json";

/// File with the back-up of a job: a JSON array, one user per line.
const BACKUP_FILE: &str = "backup.json";

/// Up to this number, users are requested one by one. The smallest plan allows two requests per second
/// (docs/auth0/rate-limits.md#limits-by-plan); for more users, one export of the connection is faster.
const MAX_BY_EMAIL: u64 = 200;

/// Concurrent requests for users.
const CONCURRENT_REQUESTS: usize = 4;

/// Maximum number of attempts to create an export job, and to download its file.
const MAX_ATTEMPTS: u32 = 5;

/// How users are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LookUpBy {
    /// Each by its e-mail address, `GET /users-by-email`.
    Email,
    /// All users of the connection, by one export job.
    Export,
}

impl LookUpBy {
    /// Returns the faster way for this number of rows.
    pub fn for_rows(rows: u64) -> Self {
        if rows <= MAX_BY_EMAIL { Self::Email } else { Self::Export }
    }

    /// Describes the lookup in a sentence, for the progress display.
    pub fn description(self, rows: u64) -> Message {
        match self {
            Self::Email => {
                message!("Checking which of the {rows} users already exist, one by one by their e-mail addresses.")
            }
            Self::Export => {
                message!("Checking which of the {rows} users already exist, with an export of the connection.")
            }
        }
    }
}

/// Predicted result of an import, from the e-mail addresses that exist in its connection. Rows may still be refused
/// because another user has the same id, username or phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LookedUp {
    /// How the users were looked up.
    pub by: LookUpBy,
    /// Rows whose user does not exist.
    pub inserted: u64,
    /// Rows whose user exists and would be updated; 0 without upsert.
    pub updated: u64,
    /// Rows whose user exists and would be refused; 0 with upsert.
    pub refused: u64,
}

/// The back-up of the users that an upsert is about to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Backup {
    /// Number of users in the back-up.
    pub users: u64,
}

/// Result of looking up existing users before anything was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingUsers {
    /// The predicted result; `None` unless a dry run looked users up.
    pub look_up: Option<LookedUp>,
    /// The back-up; `None` unless the import is an upsert with back-up.
    pub backup: Option<Backup>,
}

impl ExistingUsers {
    /// Reads the result of this job; `None` if the lookup is not finished.
    pub(super) fn read(files: &Files) -> Result<Option<Self>> {
        let path = files.path(RESULT_FILE);
        match files.read(RESULT_FILE) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| with_path(error.into(), &path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(with_path(error, &path)),
        }
    }

    /// Writes the result atomically, since an existing result is never computed again.
    fn write(&self, files: &Files) -> Result<()> {
        let (path, temporary) = (files.path(RESULT_FILE), files.path(&temporary_name(RESULT_FILE)));
        let write = || {
            files.write(&temporary_name(RESULT_FILE), &serde_json::to_vec(self)?, true)?;
            fs::rename(temporary, &path)
        };
        write().map_err(|error: io::Error| with_path(error, &path))
    }
}

/// Returns the name of a file while it is incomplete.
fn temporary_name(name: &str) -> String {
    format!("{name}.part")
}

/// Opens the back-up of a job, which can be imported with upsert and never changes. `None` if there is no complete
/// back-up.
pub fn backup_file(files: &Files) -> Result<Option<FileReader>> {
    if ExistingUsers::read(files)?.is_none_or(|existing| existing.backup.is_none()) {
        return Ok(None);
    }
    files.open(BACKUP_FILE).map(Some).map_err(|error| with_path(error, &files.path(BACKUP_FILE)))
}

/// Looks up which valid rows of a checked import belong to existing users. Depending on the settings, predicts the
/// result (`look_up`) or backs up the existing users (`backup`). Reads the identities of the rows from `files` and
/// writes the results there; returns the stored result if there is one.
pub fn find_existing_users<'r>(
    spec: &'r ImportSpec,
    files: &'r Files,
    client: &'r ManagementClient,
    progress: &'r Arc<Progress>,
    policy: PollPolicy,
) -> BoxFuture<'r, Result<ExistingUsers>> {
    // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
    read_or_look_up(spec, files, client, progress, policy).boxed()
}

async fn read_or_look_up(
    spec: &ImportSpec,
    files: &Files,
    client: &ManagementClient,
    progress: &Arc<Progress>,
    policy: PollPolicy,
) -> Result<ExistingUsers> {
    let job_files = files.clone();
    if let Some(done) = run_blocking(move || ExistingUsers::read(&job_files)).await? {
        return Ok(done);
    }
    let request = spec.request();
    let connection = client.connection(&request.connection_id).await?;
    let mut state = LookupState::new(files, request.backup).await?;
    let by = LookUpBy::for_rows(state.rows);
    progress.set_details(Some(by.description(state.rows)));
    let lookup = Lookup { client, progress, policy };
    state = match by {
        LookUpBy::Email => lookup.look_up_by_email(state, &connection.name).await?,
        LookUpBy::Export => lookup.look_up_by_export(state, &connection.id).await?,
    };
    progress.set_details(None);
    let (upsert, look_up) = (request.upsert, request.look_up);
    run_blocking(move || state.finish(by, upsert, look_up)).await
}

/// State of a lookup: which rows exist, and the back-up.
struct LookupState {
    files: Files,
    rows: u64,
    /// Number of each valid row, from 0, by the hash of its e-mail address.
    by_email: SpillingHashIndex,
    hasher: RandomState,
    /// A bitmap: one bit per row, set if its user exists.
    existing: Vec<u64>,
    backup: Option<BackupWriter>,
}

impl LookupState {
    async fn new(files: &Files, backup: bool) -> Result<Self> {
        let files = files.clone();
        run_blocking(move || {
            let backup = backup.then(|| BackupWriter::create(&files)).transpose()?;
            let mut state = Self {
                rows: 0,
                by_email: SpillingHashIndex::new(files.directory()),
                hasher: RandomState::new(),
                existing: Vec::new(),
                backup,
                files,
            };
            for row in identities(&state.files)? {
                // The check has verified that every valid row has an address, and that it is unique.
                let email = row?.email.unwrap_or_default();
                state.by_email.insert(state.hasher.hash_one(email.as_str()), state.rows)?;
                state.rows += 1;
            }
            state.existing = vec![0; usize::try_from(state.rows.div_ceil(64)).unwrap_or_default()];
            Ok(state)
        })
        .await
    }

    /// Discards the results of an interrupted attempt.
    fn reset(&mut self) -> Result<()> {
        self.existing.fill(0);
        // Drop the old writer before another one opens the same file.
        if self.backup.take().is_some() {
            self.backup = Some(BackupWriter::create(&self.files)?);
        }
        Ok(())
    }

    /// Records a user of the connection: marks its row as existing and adds it to the back-up.
    fn record_user(&mut self, user: Value) -> Result<()> {
        let Some(email) = user.get("email").and_then(Value::as_str) else { return Ok(()) };
        let key = self.hasher.hash_one(email.to_lowercase().as_str());
        let Some(row) = self.by_email.get(key)? else { return Ok(()) };
        let Some(word) = usize::try_from(row / 64).ok().and_then(|at| self.existing.get_mut(at)) else {
            return Ok(());
        };
        let bit = 1 << (row % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        match &mut self.backup {
            Some(backup) if is_new => backup.push(user),
            _ => Ok(()),
        }
    }

    fn finish(self, by: LookUpBy, upsert: bool, look_up: bool) -> Result<ExistingUsers> {
        let existing: u64 = self.existing.iter().map(|word| u64::from(word.count_ones())).sum();
        if look_up {
            self.write_warnings(upsert)?;
        }
        let backup = self.backup.map(BackupWriter::finish).transpose()?;
        let looked_up = LookedUp {
            by,
            inserted: self.rows - existing,
            updated: if upsert { existing } else { 0 },
            refused: if upsert { 0 } else { existing },
        };
        let result = ExistingUsers { look_up: look_up.then_some(looked_up), backup };
        result.write(&self.files)?;
        Ok(result)
    }

    /// Writes a warning for every row whose user exists.
    fn write_warnings(&self, upsert: bool) -> Result<()> {
        let mut faults = FaultFile::for_lookup(&self.files)?;
        for (number, row) in (0_u64..).zip(identities(&self.files)?) {
            let row = row?;
            let word = usize::try_from(number / 64).ok().and_then(|at| self.existing.get(at)).copied();
            if word.unwrap_or_default() & (1 << (number % 64)) != 0 {
                faults.push(&user_exists_warning(row, upsert))?;
            }
        }
        faults.finish()
    }
}

fn user_exists_warning(row: RowIdentity, upsert: bool) -> RowFault {
    let (message, hint) = if upsert {
        (
            message!("A user with this email exists and would be updated."),
            message!("Metadata in the row replaces the user's metadata."),
        )
    } else {
        (
            message!("A user with this email exists; the row would be refused."),
            message!("Import with upsert to update existing users; this replaces their metadata."),
        )
    };
    RowFault {
        line: row.line,
        row: row.row,
        attribute: Some("email".to_owned()),
        code: "USER_EXISTS".to_owned(),
        message,
        hint: Some(hint),
        value: row.email.map(Value::from),
        severity: Severity::Warning,
        file: row.file,
    }
}

struct Lookup<'a> {
    client: &'a ManagementClient,
    progress: &'a Progress,
    policy: PollPolicy,
}

impl Lookup<'_> {
    async fn look_up_by_email(&self, mut state: LookupState, connection: &str) -> Result<LookupState> {
        let files = state.files.clone();
        let emails = run_blocking(move || {
            identities(&files)?.map(|row| Ok(row?.email.unwrap_or_default())).collect::<Result<Vec<_>>>()
        })
        .await?;
        let requests = emails.into_iter().map(|email| {
            let client = self.client.clone();
            async move { client.users_by_email(&email).await }
        });
        let requests: Vec<_> = requests.collect();
        let mut responses = stream::iter(requests).buffered(CONCURRENT_REQUESTS);
        while let Some(users) = responses.try_next().await? {
            for user in users.into_iter().filter(|user| is_in(user, connection)) {
                state.record_user(user)?;
            }
        }
        Ok(state)
    }

    async fn look_up_by_export(&self, mut state: LookupState, connection_id: &str) -> Result<LookupState> {
        let is_needed = |name: &&str| state.backup.is_some() || *name == "email";
        let fields = restorable_attributes()
            .filter(is_needed)
            .map(|name| ExportField { name: name.to_owned(), export_as: None });
        let request = ExportJobRequest {
            connection_id: Some(connection_id.to_owned()),
            format: JobFormat::Json,
            limit: None,
            fields: fields.collect(),
        };
        let id = self.create_export(&request).await?;
        for attempt in 1.. {
            let location = self.wait_for_export(&id).await?;
            let (read, failure);
            (state, read, failure) = self.download(state, &location).await?;
            let error = match (read, failure) {
                (Ok(()), None) => break,
                (_, Some(error)) | (Err(error), None) => error,
            };
            if attempt >= MAX_ATTEMPTS || !matches!(error.code, Code::Auth0LinkExpired | Code::Auth0Unreachable) {
                return Err(error);
            }
            state = run_blocking(move || {
                state.reset()?;
                Ok(state)
            })
            .await?;
        }
        Ok(state)
    }

    /// Creates an export job and returns its id. Retries if the answer is lost, since a second export is harmless.
    async fn create_export(&self, request: &ExportJobRequest) -> Result<String> {
        let mut attempt = 1;
        loop {
            match self.client.create_export_job(request).await {
                Ok(job) => return Ok(job.id),
                Err(error) if attempt < MAX_ATTEMPTS && may_have_happened(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
            self.pause(self.policy.resend).await?;
        }
    }

    /// Waits until an export is completed and returns a new link to its file.
    async fn wait_for_export(&self, id: &str) -> Result<String> {
        let mut pause = self.policy.first_poll;
        loop {
            let job = match self.client.job(id).await {
                Err(error) if is_gone(&error) => {
                    return Err(Error::new(
                        Code::Auth0JobFailed,
                        message!("The export job {id} no longer exists in Auth0."),
                    ));
                }
                job => job?,
            };
            match (&job.status, job.location) {
                (JobStatus::Completed, Some(location)) => return Ok(location),
                (JobStatus::Failed | JobStatus::Expired, _) => {
                    let reason =
                        job.status_details.map_or_else(|| message!("Auth0 gave no reason."), Message::verbatim);
                    let message = message!("The export that looks up existing users failed in Auth0: {reason}");
                    return Err(Error::new(Code::Auth0JobFailed, message));
                }
                _ => {}
            }
            self.pause(pause).await?;
            pause = pause.mul_f64(1.5).min(self.policy.longest_poll);
        }
    }

    async fn pause(&self, time: std::time::Duration) -> Result<()> {
        let pause = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.progress.or_canceled(pause).await
    }

    /// Downloads and reads the file of an export. Returns the result of reading it and, if the download was
    /// interrupted, the error of the download.
    async fn download(&self, state: LookupState, location: &str) -> Result<(LookupState, Result<()>, Option<Error>)> {
        let mut bytes = match self.client.download(location).await {
            Ok(download) => download.bytes,
            Err(error) => return Ok((state, Ok(()), Some(error))),
        };
        let (sender, receiver) = mpsc::channel(4);
        let reading = tokio::task::spawn_blocking(move || {
            let mut state = state;
            let read = read_users(ChannelReader { receiver, current: Bytes::new(), ended: false }, &mut state);
            (state, read)
        });
        let mut failure = None;
        loop {
            match bytes.next().await {
                Some(Ok(more)) => {
                    // The reader stopped; its result has the reason.
                    if sender.send(Some(more)).await.is_err() {
                        break;
                    }
                }
                Some(Err(error)) => {
                    failure = Some(error);
                    break;
                }
                None => {
                    let _ = sender.send(None).await;
                    break;
                }
            }
        }
        drop(sender);
        let (state, read) = reading
            .await
            .map_err(|error| Error::new(Code::Internal, message!("A step of the import panicked: {error}")))?;
        Ok((state, read, failure))
    }
}

/// Names of the attributes that can be both exported and imported.
fn restorable_attributes() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().filter(|attribute| attribute.importable && attribute.exportable).map(|attribute| attribute.name)
}

/// Returns whether the user is in this connection; users of other connections may have the same address.
fn is_in(user: &Value, connection: &str) -> bool {
    user.get("identities").and_then(Value::as_array).is_some_and(|identities| {
        identities.iter().any(|identity| identity.get("connection") == Some(&connection.into()))
    })
}

fn read_users(input: impl Read, state: &mut LookupState) -> Result<()> {
    let broken = |error: io::Error| {
        let message = message!("The export that looks up existing users cannot be read: {error}");
        Error::new(Code::Auth0Unreachable, message)
    };
    let mut lines = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(input));
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(broken)? == 0 {
            return Ok(());
        }
        if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
            let user = serde_json::from_slice(&line).map_err(|error| {
                let message =
                    message!("The export that looks up existing users contains a line that is not a user: {error}");
                Error::new(Code::Auth0Answer, message)
            })?;
            state.record_user(user)?;
        }
    }
}

/// Bytes of a download, as a blocking reader.
struct ChannelReader {
    /// `None` marks the end of the download; a closed channel is an interruption.
    receiver: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(more)) => self.current = more,
                Some(None) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download was interrupted")),
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Writes users in a form that, imported with upsert, restores the attributes and metadata that the import replaces.
struct BackupWriter {
    files: Files,
    output: FileWriter,
    users: u64,
}

impl BackupWriter {
    /// Creates the file under a temporary name.
    fn create(files: &Files) -> Result<Self> {
        let temporary = temporary_name(BACKUP_FILE);
        let output = files.create(&temporary).map_err(|error| with_path(error, &files.path(&temporary)))?;
        Ok(Self { files: files.clone(), output, users: 0 })
    }

    fn push(&mut self, user: Value) -> Result<()> {
        let user = importable(user);
        self.output
            .write_all(if self.users == 0 { b"[\n" } else { b",\n" })
            .and_then(|()| Ok(serde_json::to_writer(&mut self.output, &user)?))
            .map_err(|error| with_path(error, &self.files.path(BACKUP_FILE)))?;
        self.users += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Backup> {
        let path = self.files.path(BACKUP_FILE);
        let write = || {
            self.output.write_all(if self.users == 0 { b"[]\n" } else { b"\n]\n" })?;
            self.output.finish(true)?;
            fs::rename(self.files.path(&temporary_name(BACKUP_FILE)), &path)
        };
        write().map_err(|error| with_path(error, &path))?;
        Ok(Backup { users: self.users })
    }
}

/// Returns a user with importable attributes only. Missing metadata is written as an empty object, so that importing
/// the back-up removes metadata that was added.
fn importable(user: Value) -> Value {
    let Value::Object(mut members) = user else { return Value::Object(Map::new()) };
    let mut importable = Map::new();
    for name in restorable_attributes() {
        let value = match (name, members.shift_remove(name)) {
            (_, Some(Value::String(text))) if text.is_empty() => continue,
            ("user_id", Some(Value::String(id))) => match id.strip_prefix(ID_PREFIX) {
                Some(id) => Value::from(id),
                None => continue,
            },
            ("app_metadata" | "user_metadata", None | Some(Value::Null)) => Value::Object(Map::new()),
            (_, None | Some(Value::Null)) => continue,
            (_, Some(value)) => value,
        };
        importable.insert(name.to_owned(), value);
    }
    Value::Object(importable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_backed_up_user_has_importable_attributes_and_explicit_metadata() {
        let user = json!({
            "user_id": "auth0|1", "email": "ada@example.com", "email_verified": true, "name": "Ada", "nickname": "",
            "given_name": null, "created_at": "2024", "identities": [], "user_metadata": { "a": 1 },
        });
        assert_eq!(
            importable(user),
            json!({
                "user_id": "1", "email": "ada@example.com", "email_verified": true, "name": "Ada",
                "app_metadata": {}, "user_metadata": { "a": 1 },
            })
        );
    }

    #[test]
    fn few_users_are_looked_up_one_by_one_and_many_by_an_export() {
        assert_eq!(LookUpBy::for_rows(MAX_BY_EMAIL), LookUpBy::Email);
        assert_eq!(LookUpBy::for_rows(MAX_BY_EMAIL + 1), LookUpBy::Export);
    }
}
