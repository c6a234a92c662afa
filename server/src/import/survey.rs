//! Asks the tenant which users of an import exist already: to say what the import would do to them, and to back up
//! those that it will change.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::check::ID_PREFIX;
use super::chunks::{RowIdentity, identities, named};
use super::faults::FaultFile;
use super::index::DiskIndex;
use super::send::{blocking, is_gone};
use super::{ImportSpec, Pace, RowFault, Severity};
use crate::auth0::{ExportField, ExportJobRequest, JobFormat, JobStatus, ManagementClient, may_have_happened};
use crate::error::{Code, Error, Result};
use crate::progress::Progress;
use crate::store::{FileReader, FileWriter, Files};
use crate::user::ATTRIBUTES;

/// Where a job keeps what its survey came to.
const SURVEY: &str = "survey.json";

/// The back-up of a job: a JSON array, one user a line.
const BACKUP: &str = "backup.json";

/// Up to so many users are asked for one by one. The smallest plan allows two requests a second
/// (docs/auth0/rate-limits.md#limits-by-plan); beyond this one export of the whole connection is sooner done than so
/// many requests.
const MOST_BY_EMAIL: u64 = 200;

/// Users that are asked for at once.
const AT_ONCE: usize = 4;

/// How often an export is asked for, and its file fetched.
const ATTEMPTS: u32 = 5;

/// How users were looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LookUpBy {
    /// Each by its address, `GET /users-by-email`.
    Email,
    /// All of the connection at once, by an export job.
    Export,
}

impl LookUpBy {
    /// The cheaper way for so many rows.
    pub fn for_rows(rows: u64) -> Self {
        if rows <= MOST_BY_EMAIL { Self::Email } else { Self::Export }
    }

    /// What is going to be done, in a sentence.
    pub fn in_words(self, rows: u64) -> String {
        match self {
            Self::Email => format!("Looking up {rows} users in the tenant, one by one by their e-mail addresses."),
            Self::Export => format!(
                "Looking up {rows} users in the tenant by one export of the connection, since they are more than \
                 {MOST_BY_EMAIL}."
            ),
        }
    }
}

/// What an import would do, by the e-mail addresses that exist in its connection. Another user may still have
/// the id, the username or the phone number of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LookedUp {
    /// How that was found out.
    pub by: LookUpBy,
    /// Rows whose user does not exist.
    pub inserted: u64,
    /// Rows whose user exists and would be changed; 0 without upsert.
    pub updated: u64,
    /// Rows whose user exists and would be refused; 0 with upsert.
    pub refused: u64,
}

/// The back-up of the users that an upsert is about to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Backup {
    /// Users in it.
    pub users: u64,
}

/// What the tenant was asked before anything was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Of a dry run that looks users up.
    pub look_up: Option<LookedUp>,
    /// Of an upsert with a back-up.
    pub backup: Option<Backup>,
}

impl Survey {
    /// What the survey of this job came to; none while it is not done.
    pub(super) fn read(files: &Files) -> Result<Option<Self>> {
        let path = files.path(SURVEY);
        match files.read(SURVEY) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| named(error.into(), &path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(error, &path)),
        }
    }

    /// In one step, since a survey that is there is never made again.
    fn keep(&self, files: &Files) -> Result<()> {
        let (path, passing) = (files.path(SURVEY), files.path(&passing_name(SURVEY)));
        let write = || {
            files.write(&passing_name(SURVEY), &serde_json::to_vec(self)?, true)?;
            fs::rename(passing, &path)
        };
        write().map_err(|error: io::Error| named(error, &path))
    }
}

/// The name of a file until it is complete.
fn passing_name(name: &str) -> String {
    format!("{name}.part")
}

/// The back-up of a job, which can be imported again with upsert; none while there is none. It never changes.
pub fn backup_file(files: &Files) -> Result<Option<FileReader>> {
    if Survey::read(files)?.is_none_or(|survey| survey.backup.is_none()) {
        return Ok(None);
    }
    files.open(BACKUP).map(Some).map_err(|error| named(error, &files.path(BACKUP)))
}

/// Asks the tenant about the good rows of an import that was checked, as its settings say: what would be done
/// to them (`look_up`), and a back-up of those that exist (`backup`). `files` hold the identities of the
/// rows and take the results; a survey that is done is not made again.
pub async fn survey(
    spec: &ImportSpec,
    files: &Files,
    client: &ManagementClient,
    progress: &Arc<Progress>,
    pace: Pace,
) -> Result<Survey> {
    let kept = files.clone();
    if let Some(done) = blocking(move || Survey::read(&kept)).await? {
        return Ok(done);
    }
    let request = spec.request();
    let connection = client.connection(&request.connection_id).await?;
    let mut work = Work::new(files, request.backup).await?;
    let by = LookUpBy::for_rows(work.rows);
    progress.set_details(Some(by.in_words(work.rows)));
    let asked = Asked { client, progress, pace };
    work = match by {
        LookUpBy::Email => asked.by_email(work, &connection.name).await?,
        LookUpBy::Export => asked.by_export(work, &connection.id).await?,
    };
    progress.set_details(None);
    let (upsert, look_up) = (request.upsert, request.look_up);
    blocking(move || work.finish(by, upsert, look_up)).await
}

/// What is known of the rows.
struct Work {
    files: Files,
    rows: u64,
    /// Rows by the hash of their e-mail, counted from 0 through the good ones.
    by_email: DiskIndex,
    hasher: RandomState,
    /// A bit for each row whose user exists.
    existing: Vec<u64>,
    backup: Option<BackupFile>,
}

impl Work {
    async fn new(files: &Files, backup: bool) -> Result<Self> {
        let files = files.clone();
        blocking(move || {
            let backup = backup.then(|| BackupFile::create(&files)).transpose()?;
            let mut work = Self {
                rows: 0,
                by_email: DiskIndex::new(files.directory()),
                hasher: RandomState::new(),
                existing: Vec::new(),
                backup,
                files,
            };
            for row in identities(&work.files)? {
                // The check has made sure that there is one, and that it stands in no other row.
                let email = row?.email.unwrap_or_default();
                work.by_email.insert(work.hasher.hash_one(email.as_str()), work.rows)?;
                work.rows += 1;
            }
            work.existing = vec![0; usize::try_from(work.rows.div_ceil(64)).unwrap_or_default()];
            Ok(work)
        })
        .await
    }

    /// Forgets what an attempt that broke off has found.
    fn begin_again(&mut self) -> Result<()> {
        self.existing.fill(0);
        // The writer of the broken one is gone before there is another for the same file.
        if self.backup.take().is_some() {
            self.backup = Some(BackupFile::create(&self.files)?);
        }
        Ok(())
    }

    /// Takes a user of the connection.
    fn take(&mut self, user: Value) -> Result<()> {
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

    fn finish(self, by: LookUpBy, upsert: bool, look_up: bool) -> Result<Survey> {
        let existing: u64 = self.existing.iter().map(|word| u64::from(word.count_ones())).sum();
        if look_up {
            self.warn(upsert)?;
        }
        let backup = self.backup.map(BackupFile::finish).transpose()?;
        let looked_up = LookedUp {
            by,
            inserted: self.rows - existing,
            updated: if upsert { existing } else { 0 },
            refused: if upsert { 0 } else { existing },
        };
        let survey = Survey { look_up: look_up.then_some(looked_up), backup };
        survey.keep(&self.files)?;
        Ok(survey)
    }

    /// A warning for every row whose user exists.
    fn warn(&self, upsert: bool) -> Result<()> {
        let mut faults = FaultFile::of_look_up(&self.files)?;
        for (number, row) in (0_u64..).zip(identities(&self.files)?) {
            let row = row?;
            let word = usize::try_from(number / 64).ok().and_then(|at| self.existing.get(at)).copied();
            if word.unwrap_or_default() & (1 << (number % 64)) != 0 {
                faults.push(&exists(row, upsert))?;
            }
        }
        faults.finish()
    }
}

fn exists(row: RowIdentity, upsert: bool) -> RowFault {
    let (message, hint) = if upsert {
        ("A user with this email exists and would be changed.", "Metadata that the row holds replaces the user's.")
    } else {
        (
            "A user with this email exists, so that the row would be refused.",
            "Import with upsert to change users that exist; it replaces their metadata.",
        )
    };
    RowFault {
        line: row.line,
        row: row.row,
        attribute: Some("email".to_owned()),
        code: "USER_EXISTS".to_owned(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
        value: row.email.map(Value::from),
        severity: Severity::Warning,
        file: row.file,
    }
}

struct Asked<'a> {
    client: &'a ManagementClient,
    progress: &'a Progress,
    pace: Pace,
}

impl Asked<'_> {
    async fn by_email(&self, mut work: Work, connection: &str) -> Result<Work> {
        let files = work.files.clone();
        let emails = blocking(move || {
            identities(&files)?.map(|row| Ok(row?.email.unwrap_or_default())).collect::<Result<Vec<_>>>()
        })
        .await?;
        let asked = emails.into_iter().map(|email| {
            let client = self.client.clone();
            async move { client.users_by_email(&email).await }
        });
        let asked: Vec<_> = asked.collect();
        let mut answers = stream::iter(asked).buffered(AT_ONCE);
        while let Some(users) = answers.try_next().await? {
            for user in users.into_iter().filter(|user| is_in(user, connection)) {
                work.take(user)?;
            }
        }
        Ok(work)
    }

    async fn by_export(&self, mut work: Work, connection_id: &str) -> Result<Work> {
        let wanted = |name: &&str| work.backup.is_some() || *name == "email";
        let fields = backed_up().filter(wanted).map(|name| ExportField { name: name.to_owned(), export_as: None });
        let request = ExportJobRequest {
            connection_id: Some(connection_id.to_owned()),
            format: JobFormat::Json,
            limit: None,
            fields: fields.collect(),
        };
        let id = self.start(&request).await?;
        for attempt in 1.. {
            let location = self.location(&id).await?;
            let (read, failure);
            (work, read, failure) = self.download(work, &location).await?;
            let error = match (read, failure) {
                (Ok(()), None) => break,
                (_, Some(error)) | (Err(error), None) => error,
            };
            if attempt >= ATTEMPTS || !matches!(error.code, Code::Auth0LinkExpired | Code::Auth0Unreachable) {
                return Err(error);
            }
            work = blocking(move || {
                work.begin_again()?;
                Ok(work)
            })
            .await?;
        }
        Ok(work)
    }

    /// Starts an export. One more of them does no harm.
    async fn start(&self, request: &ExportJobRequest) -> Result<String> {
        let mut attempt = 1;
        loop {
            match self.client.create_export_job(request).await {
                Ok(job) => return Ok(job.id),
                Err(error) if attempt < ATTEMPTS && may_have_happened(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
            self.pause(self.pace.resend).await?;
        }
    }

    /// Waits for the end of an export; a fresh link to its file.
    async fn location(&self, id: &str) -> Result<String> {
        let mut pause = self.pace.first_poll;
        loop {
            let job = match self.client.job(id).await {
                Err(error) if is_gone(&error) => {
                    return Err(Error::new(Code::Auth0JobFailed, format!("Auth0 has lost the export {id}.")));
                }
                job => job?,
            };
            match (&job.status, job.location) {
                (JobStatus::Completed, Some(location)) => return Ok(location),
                (JobStatus::Failed | JobStatus::Expired, _) => {
                    let why = job.status_details.unwrap_or_else(|| "Auth0 gives no reason.".to_owned());
                    let message = format!("The export that looks users up failed inside Auth0: {why}");
                    return Err(Error::new(Code::Auth0JobFailed, message));
                }
                _ => {}
            }
            self.pause(pause).await?;
            pause = pause.mul_f64(1.5).min(self.pace.longest_poll);
        }
    }

    async fn pause(&self, time: std::time::Duration) -> Result<()> {
        let pause = async {
            tokio::time::sleep(time).await;
            Ok(())
        };
        self.progress.or_canceled(pause).await
    }

    /// Reads the file of an export: what became of that, and why its bytes broke off, if they did.
    async fn download(&self, work: Work, location: &str) -> Result<(Work, Result<()>, Option<Error>)> {
        let mut bytes = match self.client.download(location).await {
            Ok(download) => download.bytes,
            Err(error) => return Ok((work, Ok(()), Some(error))),
        };
        let (sender, receiver) = mpsc::channel(4);
        let reading = tokio::task::spawn_blocking(move || {
            let mut work = work;
            let read = read_users(Piped { receiver, current: Bytes::new(), ended: false }, &mut work);
            (work, read)
        });
        let mut failure = None;
        loop {
            match bytes.next().await {
                Some(Ok(more)) => {
                    // Nobody reads any more: the reader says why.
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
        let (work, read) = reading
            .await
            .map_err(|error| Error::new(Code::Internal, format!("A step of the import broke off: {error}")))?;
        Ok((work, read, failure))
    }
}

/// The attributes that an export gives and an import takes.
fn backed_up() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().filter(|attribute| attribute.importable && attribute.exportable).map(|attribute| attribute.name)
}

/// Users of other connections may have the same address.
fn is_in(user: &Value, connection: &str) -> bool {
    user.get("identities").and_then(Value::as_array).is_some_and(|identities| {
        identities.iter().any(|identity| identity.get("connection") == Some(&connection.into()))
    })
}

fn read_users(input: impl Read, work: &mut Work) -> Result<()> {
    let broken = |error: io::Error| {
        let message = format!("The export that looks users up cannot be read: {error}");
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
                let message = format!("The export that looks users up holds a line that is no user: {error}");
                Error::new(Code::Auth0Answer, message)
            })?;
            work.take(user)?;
        }
    }
}

/// Bytes of a download, for a reader that blocks.
struct Piped {
    /// Nothing stands for the end.
    receiver: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    ended: bool,
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(more)) => self.current = more,
                Some(None) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download broke off")),
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Writes users such that an import with upsert gives them back what it replaces.
struct BackupFile {
    files: Files,
    output: FileWriter,
    users: u64,
}

impl BackupFile {
    /// Under another name until it is complete.
    fn create(files: &Files) -> Result<Self> {
        let passing = passing_name(BACKUP);
        let output = files.create(&passing).map_err(|error| named(error, &files.path(&passing)))?;
        Ok(Self { files: files.clone(), output, users: 0 })
    }

    fn push(&mut self, user: Value) -> Result<()> {
        let user = importable(user);
        self.output
            .write_all(if self.users == 0 { b"[\n" } else { b",\n" })
            .and_then(|()| Ok(serde_json::to_writer(&mut self.output, &user)?))
            .map_err(|error| named(error, &self.files.path(BACKUP)))?;
        self.users += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Backup> {
        let path = self.files.path(BACKUP);
        let write = || {
            self.output.write_all(if self.users == 0 { b"[]\n" } else { b"\n]\n" })?;
            self.output.finish(true)?;
            fs::rename(self.files.path(&passing_name(BACKUP)), &path)
        };
        write().map_err(|error| named(error, &path))?;
        Ok(Backup { users: self.users })
    }
}

/// A user as an import takes it. Metadata that is not there is written as empty, so that importing the back-up
/// takes away what was added.
fn importable(user: Value) -> Value {
    let Value::Object(mut members) = user else { return Value::Object(Map::new()) };
    let mut importable = Map::new();
    for name in backed_up() {
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
    fn a_backed_up_user_holds_what_an_import_takes_and_gives_metadata_back() {
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
    fn few_users_are_asked_for_one_by_one_and_many_by_an_export() {
        assert_eq!(LookUpBy::for_rows(MOST_BY_EMAIL), LookUpBy::Email);
        assert_eq!(LookUpBy::for_rows(MOST_BY_EMAIL + 1), LookUpBy::Export);
    }
}
