//! Auth0's export of password hashes (docs/auth0/jobs.md#password-hash-files): recognizes it, and joins it to the users
//! of an import.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::bcrypt::is_import_bcrypt;
use super::dedup_index::SpillingHashIndex;
use super::input_file::InputFormat;
use super::io_error::with_path;
use super::read::{HeaderPolicy, RawRow, RowReader};
use super::row_fault::{RowFault, RowLocation};
use uie_core::encryption::{ChunkSize, DecryptingReader};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_store::TempFile;

/// Name of the source that imports an export as users.
pub(super) const SOURCE: &str = "auth0-hashes";

/// The format of an export that is joined to users.
pub(super) const FORMAT: &str = "password-hashes";

/// Maximum number of hashes without a user that are listed, and of users without a hash. All are counted.
const MAX_LISTED: u64 = 1000;

/// Members of the lines of an export.
const MEMBERS: &[&str] = &[
    "_id",
    "_ID",
    "_tmp_is_unique",
    "alt_id",
    "connection",
    "email",
    "email_verified",
    "identifiers",
    "passwordHash",
    "password_set_date",
    "phone_number",
    "phone_verified",
    "tenant",
    "username",
];

/// Result of joining an export of password hashes to the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedHashes {
    /// Hashes in the export.
    pub read: u64,
    /// Hashes whose user is in the import.
    pub joined: u64,
    /// Hashes whose user is not in the import.
    #[serde(default)]
    pub without_user: u64,
    /// Users of the import that can be sent, but have no hash.
    #[serde(default)]
    pub users_without_hash: u64,
}

/// A line of the export.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'r> {
    /// The id after `auth0|`.
    id: &'r str,
    connection: Option<&'r str>,
    hash: &'r str,
}

fn object_id(row: &Map<String, Value>) -> Option<&str> {
    row.get("_id").or_else(|| row.get("_ID"))?.get("$oid")?.as_str()
}

/// Returns id and hash of a line; `None` if the line has no hash, or another layout.
fn parse_entry(row: &Map<String, Value>) -> Option<Entry<'_>> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(Entry {
        // Auth0 identifies users that were created with an id of their own by that id.
        id: text("alt_id").or_else(|| object_id(row))?,
        connection: text("connection"),
        hash: text("passwordHash")?,
    })
}

/// Returns whether the first rows of a file are those of an export: every one has `_id.$oid`, and at least one names
/// tenant and connection, or has a hash and no member that exports do not have. Other dumps of MongoDB also have
/// `_id.$oid`.
pub(super) fn is_export(rows: &[Map<String, Value>]) -> bool {
    let is_certain = |row: &Map<String, Value>| {
        let has_text = |name: &str| row.get(name).is_some_and(Value::is_string);
        (has_text("tenant") && has_text("connection"))
            || (has_text("passwordHash") && row.keys().all(|name| MEMBERS.contains(&name.as_str())))
    };
    rows.iter().all(|row| object_id(row).is_some()) && rows.iter().any(is_certain)
}

/// Returns whether one of the rows has an id and a hash as in an export: sufficient if the user says that a file is one.
pub(super) fn has_entries(rows: &[Map<String, Value>]) -> bool {
    rows.iter().any(|row| object_id(row).is_some() && parse_entry(row).is_some())
}

/// Returns the error for an export on standard input beside other files, which cannot be read first.
pub(super) fn export_cannot_be_reopened() -> Error {
    Error::new(
        Code::UsersFileFormat,
        message!("Auth0's export of password hashes cannot be read from standard input beside other files."),
    )
    .with_hint(message!("Name its file, so that the hashes can be joined to the users."))
}

fn written_after_reading() -> Error {
    Error::new(Code::Internal, message!("Password hashes must be read before users."))
}

/// The file with the hashes: first written, then read.
enum Records {
    Written(TempFile),
    Read(DecryptingReader<File>),
    /// While switching from writing to reading, or after that failed.
    Unavailable,
}

/// A hash in the file: its parts, separated by the unit separator.
struct StoredEntry {
    number: usize,
    file: usize,
    line: u64,
    id: String,
    connection: String,
    hash: String,
}

/// Separates the parts of a stored entry.
const SEPARATOR: char = '\u{1f}';

impl StoredEntry {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_end_matches('\n').split(SEPARATOR);
        Some(Self {
            number: parts.next()?.parse().ok()?,
            file: parts.next()?.parse().ok()?,
            line: parts.next()?.parse().ok()?,
            id: parts.next()?.to_owned(),
            connection: parts.next()?.to_owned(),
            hash: parts.next()?.to_owned(),
        })
    }
}

/// Password hashes by user id, in an encrypted temporary file.
pub(super) struct PasswordHashes {
    index: SpillingHashIndex,
    hasher: RandomState,
    records: Records,
    length: u64,
    directory: PathBuf,
    /// Names of the files of the export; `None` if the import has one file.
    files: Vec<Option<String>>,
    /// For each hash, whether it was joined to a user: one bit each.
    joined: Vec<u64>,
    counts: JoinedHashes,
}

impl PasswordHashes {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let file = TempFile::create(directory, ChunkSize::Small).map_err(|error| with_path(error, directory))?;
        Ok(Self {
            index: SpillingHashIndex::new(directory),
            hasher: RandomState::new(),
            records: Records::Written(file),
            length: 0,
            directory: directory.to_owned(),
            files: Vec::new(),
            joined: Vec::new(),
            counts: JoinedHashes::default(),
        })
    }

    /// The key of an id, alone or in a connection.
    fn key(&self, id: &str, connection: Option<&str>) -> u64 {
        self.hasher.hash_one((id, connection))
    }

    /// Reads an export; skips lines without an id or a hash (users without a password, or of other identity providers).
    pub(super) fn read(&mut self, content: Box<dyn Read + Send>, name: Option<&str>) -> Result<InputFormat> {
        let mut reader = RowReader::open(content, &HeaderPolicy::default())?;
        let file = self.files.len();
        self.files.push(name.map(str::to_owned));
        let mut row = RawRow::default();
        while reader.next(&mut row)? {
            let Ok(Value::Object(value)) = reader.parse(&row)? else { continue };
            let Some(Entry { id, connection, hash }) = parse_entry(&value) else { continue };
            let connection = connection.unwrap_or_default();
            if [id, connection, hash].iter().any(|text| text.contains(['\n', SEPARATOR])) {
                continue;
            }
            let (alone, exact) = (self.key(id, None), self.key(id, Some(connection)));
            if self.index.get(exact)?.is_some() {
                continue;
            }
            let number = self.counts.read;
            let record = [&number.to_string(), &file.to_string(), &row.line.to_string(), id, connection, hash]
                .join(&SEPARATOR.to_string());
            let Records::Written(records) = &mut self.records else { return Err(written_after_reading()) };
            records.write_all(record.as_bytes()).map_err(|error| with_path(error, &self.directory))?;
            records.write_all(b"\n").map_err(|error| with_path(error, &self.directory))?;
            self.index.insert(exact, self.length)?;
            if self.index.get(alone)?.is_none() {
                self.index.insert(alone, self.length)?;
            }
            self.length += record.len() as u64 + 1;
            self.counts.read += 1;
        }
        Ok(reader.format())
    }

    fn with_path(&self, error: std::io::Error) -> Error {
        with_path(error, &self.directory)
    }

    /// Returns the reader of the file.
    fn records(&mut self) -> Result<&mut DecryptingReader<File>> {
        self.records = match std::mem::replace(&mut self.records, Records::Unavailable) {
            Records::Written(scratch) => Records::Read(scratch.finish().map_err(|error| self.with_path(error))?),
            records => records,
        };
        match &mut self.records {
            Records::Read(records) => Ok(records),
            Records::Written(_) | Records::Unavailable => Err(written_after_reading()),
        }
    }

    /// Returns the hash of a user: that of the connection if both name one.
    fn find(&mut self, id: &str, connection: Option<&str>) -> Result<Option<StoredEntry>> {
        let mut offset = None;
        if let Some(connection) = connection {
            offset = self.index.get(self.key(id, Some(connection)))?;
        }
        if offset.is_none() {
            offset = self.index.get(self.key(id, None))?;
        }
        let Some(offset) = offset else { return Ok(None) };
        let mut line = String::new();
        let directory = self.directory.clone();
        let records = self.records()?;
        records
            .seek(SeekFrom::Start(offset))
            .and_then(|_| records.read_line(&mut line))
            .map_err(|error| with_path(error, &directory))?;
        let entry = StoredEntry::parse(&line).filter(|entry| {
            entry.id == id && connection.is_none_or(|name| entry.connection.is_empty() || entry.connection == name)
        });
        Ok(entry)
    }

    /// Adds the hash of this id to a user that has none. `id` has no prefix; `connection` is that of the user, if the
    /// file says it. Also adds it to `json`, the text of the user.
    pub(super) fn join(
        &mut self,
        id: &str,
        connection: Option<&str>,
        user: &mut Value,
        json: &mut Vec<u8>,
    ) -> Result<()> {
        let Value::Object(members) = user else { return Ok(()) };
        let Some(StoredEntry { number, hash, .. }) = self.find(id, connection)? else { return Ok(()) };
        self.mark_joined(number);
        if members.contains_key("password_hash") || members.contains_key("custom_password_hash") {
            return Ok(());
        }
        let (name, value) = if is_import_bcrypt(&hash) {
            ("password_hash", Value::from(hash))
        } else {
            // `password_hash` accepts 10 rounds only.
            ("custom_password_hash", json!({ "algorithm": "bcrypt", "hash": { "value": hash, "encoding": "utf8" } }))
        };
        while json.last().is_some_and(u8::is_ascii_whitespace) {
            json.pop();
        }
        json.pop();
        let separator = if members.is_empty() { "" } else { "," };
        json.extend_from_slice(format!("{separator}\"{name}\":{value}}}").as_bytes());
        members.insert(name.to_owned(), value);
        Ok(())
    }

    fn mark_joined(&mut self, number: usize) {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if self.joined.len() <= word {
            self.joined.resize(word + 1, 0);
        }
        if let Some(bits) = self.joined.get_mut(word)
            && *bits & bit == 0
        {
            *bits |= bit;
            self.counts.joined += 1;
        }
    }

    fn is_joined(&self, number: usize) -> bool {
        self.joined.get(number / 64).is_some_and(|bits| bits & (1 << (number % 64)) != 0)
    }

    /// Counts a user that has no hash. Returns the warning about it, unless there are too many.
    pub(super) fn count_user_without_hash(&mut self, location: &RowLocation) -> Option<RowFault> {
        self.counts.users_without_hash += 1;
        (self.counts.users_without_hash <= MAX_LISTED).then(|| {
            let message = message!("The export of password hashes has none for this user.");
            let hint = message!("The user is imported without a password and must reset it.");
            RowFault { row: location.row, ..warning("NO_HASH", location.line, message, hint, location.file.as_deref()) }
        })
    }

    /// Calls `report` with warnings about the hashes that no user has, and about those that were too many to list.
    /// Returns the counts.
    pub(super) fn finish(mut self, report: &mut dyn FnMut(&RowFault) -> Result<()>) -> Result<JoinedHashes> {
        self.counts.without_user = self.counts.read - self.counts.joined;
        let hint = || message!("Check that the export is of this connection, and that the users have a user_id.");
        if self.counts.without_user > 0 {
            let directory = self.directory.clone();
            self.records()?.seek(SeekFrom::Start(0)).map_err(|error| with_path(error, &directory))?;
            let (mut listed, mut line) = (0, String::new());
            for _ in 0..self.counts.read {
                if listed == MAX_LISTED {
                    break;
                }
                line.clear();
                self.records()?.read_line(&mut line).map_err(|error| with_path(error, &directory))?;
                let Some(entry) = StoredEntry::parse(&line) else { break };
                if !self.is_joined(entry.number) {
                    let message = message!("No user of the import has the id of this password hash.");
                    let file = self.files.get(entry.file).cloned().flatten();
                    let value = Some(Value::from(entry.id));
                    let attribute = Some("user_id".to_owned());
                    let warning = warning("HASH_WITHOUT_USER", entry.line, message, hint(), file.as_deref());
                    report(&RowFault { attribute, value, ..warning })?;
                    listed += 1;
                }
            }
            let more = self.counts.without_user - listed;
            if more > 0 {
                let message = message!("Further password hashes without a user: {more}.");
                report(&warning("HASH_WITHOUT_USER", 0, message, hint(), None))?;
            }
        }
        let more = self.counts.users_without_hash.saturating_sub(MAX_LISTED);
        if more > 0 {
            let message = message!("Further users without a password hash: {more}.");
            let hint = message!("They are imported without a password and must reset it.");
            report(&warning("NO_HASH", 0, message, hint, None))?;
        }
        Ok(self.counts)
    }
}

fn warning(code: &str, line: u64, message: Message, hint: Message, file: Option<&str>) -> RowFault {
    RowFault { hint: Some(hint), ..RowFault::file_warning(code, line, message, file) }
}
