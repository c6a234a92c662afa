//! Joins Auth0's export of password hashes to the users of an import (docs/auth0/jobs.md#password-hash-files).

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::InputFormat;
use super::chunks::named;
use super::index::DiskIndex;
use super::read::{Headers, RawRow, RowReader};
use super::schema::is_import_bcrypt;
use crate::error::{Code, Error, Result};
use crate::seal::{Chunk, SealedReader};
use crate::store::Scratch;

/// The id and the hash in a line of the export. The layout is not published; the id's name is spelt in
/// two ways.
pub(super) fn entry(row: &Value) -> Option<(&str, &str)> {
    let id = row.get("_id").or_else(|| row.get("_ID"))?.get("$oid")?.as_str()?;
    Some((id, row.get("passwordHash")?.as_str()?))
}

fn too_late() -> Error {
    Error::new(Code::Internal, "Password hashes are read before users, not after.")
}

/// Whether a file is such an export: its first line tells.
pub(super) fn is_export(content: Box<dyn Read + Send>) -> bool {
    let Ok(mut reader) = RowReader::open(content, &Headers { any: true, ..Headers::default() }) else { return false };
    let mut row = RawRow::default();
    matches!(reader.next(&mut row), Ok(true)) && matches!(reader.parse(&row), Ok(Ok(value)) if entry(&value).is_some())
}

/// Where the hashes are: written first, read afterwards.
enum Records {
    Written(Scratch),
    Read(SealedReader<File>),
    /// Between the two, or after a failure.
    None,
}

/// Hashes by user id, on disk.
pub(super) struct PasswordHashes {
    index: DiskIndex,
    hasher: RandomState,
    records: Records,
    length: u64,
    directory: PathBuf,
    /// Hashes read.
    pub(super) count: u64,
    /// Hashes that found their user.
    pub(super) joined: u64,
}

impl PasswordHashes {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let file = Scratch::create(directory, Chunk::Small).map_err(|error| named(error, directory))?;
        Ok(Self {
            index: DiskIndex::new(directory),
            hasher: RandomState::new(),
            records: Records::Written(file),
            length: 0,
            directory: directory.to_owned(),
            count: 0,
            joined: 0,
        })
    }

    /// Reads an export; lines without an id or a hash (users who sign in elsewhere) are passed over.
    pub(super) fn read(&mut self, content: Box<dyn Read + Send>) -> Result<InputFormat> {
        let mut reader = RowReader::open(content, &Headers::default())?;
        let mut row = RawRow::default();
        while reader.next(&mut row)? {
            let Ok(value) = reader.parse(&row)? else { continue };
            let Some((id, hash)) = entry(&value) else { continue };
            let key = self.hasher.hash_one(id);
            if id.contains('\n') || hash.contains('\n') || self.index.get(key)?.is_some() {
                continue;
            }
            let line = format!("{id} {hash}\n");
            let Records::Written(records) = &mut self.records else { return Err(too_late()) };
            records.write_all(line.as_bytes()).map_err(|error| named(error, &self.directory))?;
            self.index.insert(key, self.length)?;
            self.length += line.len() as u64;
            self.count += 1;
        }
        Ok(reader.format())
    }

    fn named(&self, error: std::io::Error) -> Error {
        named(error, &self.directory)
    }

    fn find(&mut self, id: &str) -> Result<Option<String>> {
        let Some(offset) = self.index.get(self.hasher.hash_one(id))? else { return Ok(None) };
        self.records = match std::mem::replace(&mut self.records, Records::None) {
            Records::Written(scratch) => Records::Read(scratch.finish().map_err(|error| self.named(error))?),
            records => records,
        };
        let mut line = String::new();
        let Records::Read(records) = &mut self.records else { return Err(too_late()) };
        records
            .seek(SeekFrom::Start(offset))
            .and_then(|_| records.read_line(&mut line))
            .map_err(|error| named(error, &self.directory))?;
        Ok(line.trim_end().split_once(' ').filter(|(found, _)| *found == id).map(|(_, hash)| hash.to_owned()))
    }

    /// Gives a user of this id, as it is sent, the hash. A user who has one keeps it. `json` is the
    /// user's text, and changes with it.
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
            // Hashes with another number of rounds.
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
