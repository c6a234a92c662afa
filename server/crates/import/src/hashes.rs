//! Joins Auth0's export of password hashes to the users of an import (docs/auth0/jobs.md#password-hash-files).

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dedup_index::SpillingHashIndex;
use super::input_file::InputFormat;
use super::io_error::with_path;
use super::read::{HeaderPolicy, RawRow, RowReader};
use super::schema::is_import_bcrypt;
use uie_core::encryption::{ChunkSize, DecryptingReader};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_store::TempFile;

/// Result of joining an export of password hashes to the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedHashes {
    /// Hashes in the export.
    pub read: u64,
    /// Hashes whose user is in the import.
    pub joined: u64,
}

/// Returns id and hash of a line of the export; `None` if the line has another layout. Auth0 does not document the
/// layout; the name of the id has two spellings.
pub(super) fn parse_entry(row: &Value) -> Option<(&str, &str)> {
    let id = row.get("_id").or_else(|| row.get("_ID"))?.get("$oid")?.as_str()?;
    Some((id, row.get("passwordHash")?.as_str()?))
}

fn written_after_reading() -> Error {
    Error::new(Code::Internal, message!("Password hashes must be read before users."))
}

/// Returns whether a file is an export of password hashes, by its first line.
pub(super) fn is_export(content: Box<dyn Read + Send>) -> bool {
    let Ok(mut reader) = RowReader::open(content, &HeaderPolicy { accept_any: true, ..HeaderPolicy::default() }) else {
        return false;
    };
    let mut row = RawRow::default();
    matches!(reader.next(&mut row), Ok(true))
        && matches!(reader.parse(&row), Ok(Ok(value)) if parse_entry(&value).is_some())
}

/// Returns the error for an import that contains password hashes but no users.
pub(super) fn hashes_without_users() -> Error {
    Error::new(
        Code::UsersFileFormat,
        message!("The file is Auth0's export of password hashes, which contains no users."),
    )
    .with_hint(message!("Upload it together with an export of the users: the hashes are joined to them by user_id."))
}

/// The file with the hashes: first written, then read.
enum Records {
    Written(TempFile),
    Read(DecryptingReader<File>),
    /// While switching from writing to reading, or after that failed.
    Unavailable,
}

/// Password hashes by user id, in an encrypted temporary file.
pub(super) struct PasswordHashes {
    index: SpillingHashIndex,
    hasher: RandomState,
    records: Records,
    length: u64,
    directory: PathBuf,
    /// Number of hashes read.
    pub(super) count: u64,
    /// Number of hashes that were joined to a user.
    pub(super) joined: u64,
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
            count: 0,
            joined: 0,
        })
    }

    /// Reads an export; skips lines without an id or a hash (users of other identity providers).
    pub(super) fn read(&mut self, content: Box<dyn Read + Send>) -> Result<InputFormat> {
        let mut reader = RowReader::open(content, &HeaderPolicy::default())?;
        let mut row = RawRow::default();
        while reader.next(&mut row)? {
            let Ok(value) = reader.parse(&row)? else { continue };
            let Some((id, hash)) = parse_entry(&value) else { continue };
            let key = self.hasher.hash_one(id);
            if id.contains('\n') || hash.contains('\n') || self.index.get(key)?.is_some() {
                continue;
            }
            let line = format!("{id} {hash}\n");
            let Records::Written(records) = &mut self.records else { return Err(written_after_reading()) };
            records.write_all(line.as_bytes()).map_err(|error| with_path(error, &self.directory))?;
            self.index.insert(key, self.length)?;
            self.length += line.len() as u64;
            self.count += 1;
        }
        Ok(reader.format())
    }

    fn with_path(&self, error: std::io::Error) -> Error {
        with_path(error, &self.directory)
    }

    fn find(&mut self, id: &str) -> Result<Option<String>> {
        let Some(offset) = self.index.get(self.hasher.hash_one(id))? else { return Ok(None) };
        self.records = match std::mem::replace(&mut self.records, Records::Unavailable) {
            Records::Written(scratch) => Records::Read(scratch.finish().map_err(|error| self.with_path(error))?),
            records => records,
        };
        let mut line = String::new();
        let Records::Read(records) = &mut self.records else { return Err(written_after_reading()) };
        records
            .seek(SeekFrom::Start(offset))
            .and_then(|_| records.read_line(&mut line))
            .map_err(|error| with_path(error, &self.directory))?;
        Ok(line.trim_end().split_once(' ').filter(|(found, _)| *found == id).map(|(_, hash)| hash.to_owned()))
    }

    /// Adds the hash of this id to a user that has none. `id` has no prefix. Also adds it to `json`, the text of the
    /// user.
    pub(super) fn join(&mut self, id: &str, user: &mut Value, json: &mut Vec<u8>) -> Result<()> {
        let Value::Object(members) = user else { return Ok(()) };
        if members.contains_key("password_hash") || members.contains_key("custom_password_hash") {
            return Ok(());
        }
        let Some(hash) = self.find(id)? else { return Ok(()) };
        self.joined += 1;
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
        json.extend_from_slice(format!(",\"{name}\":{value}}}").as_bytes());
        members.insert(name.to_owned(), value);
        Ok(())
    }
}
