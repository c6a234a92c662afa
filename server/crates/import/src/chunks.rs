//! Writes valid rows to chunk files, JSON arrays of up to Auth0's size limit, and records which rows are in each chunk
//! (docs/auth0/jobs.md#imports).

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::check::{ID_PREFIX, RowLocation};
use uie_core::error::{Code, Error, Result};
use uie_json::minify;
use uie_store::{FileWriter, Files};

/// Maximum size of a chunk, in bytes. Auth0 refuses requests above 512,000 bytes; the difference is for the other
/// parts of the request (docs/auth0/open-questions.md#upload-limit).
pub const MAX_CHUNK_BYTES: usize = 500_000;

/// Maximum size of a row: a chunk with one row, minus the brackets of the array.
pub(super) const MAX_ROW_IN_CHUNK: usize = MAX_CHUNK_BYTES - 2;

/// Origin and identifiers of a row, to match it with users in Auth0's reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowIdentity {
    pub(super) row: u64,
    pub(super) line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// In lower case, as Auth0 stores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<String>,
    /// In lower case, as Auth0 stores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phone_number: Option<String>,
}

impl RowIdentity {
    pub(super) fn new(location: &RowLocation, user: &Value, sent_id: impl Fn(&str) -> String) -> Self {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        Self {
            row: location.row,
            line: location.line,
            file: location.file.clone(),
            email: text("email").map(str::to_lowercase),
            user_id: text("user_id").map(sent_id),
            username: text("username").map(str::to_lowercase),
            phone_number: text("phone_number").map(str::to_owned),
        }
    }
}

/// A chunk file on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrittenChunk {
    /// From 1; determines the file name.
    pub(super) number: u32,
    pub(super) rows: u64,
}

/// Writes chunks into a directory, in order.
pub(super) struct ChunkWriter {
    files: Files,
    /// Directory for the identities of each chunk's rows; `None` if the chunks are not going to be sent.
    rows_files: Option<Files>,
    chunk: Vec<u8>,
    identities: Vec<u8>,
    rows: u64,
    written: Vec<WrittenChunk>,
}

impl ChunkWriter {
    /// Creates the directories if absent. With `rows_files`, every file is synced to disk before it counts as written.
    pub(super) fn new(files: Files, rows_files: Option<Files>) -> Result<Self> {
        for files in [Some(&files), rows_files.as_ref()].into_iter().flatten() {
            files.create_directory().map_err(|error| with_path(error, files.directory()))?;
        }
        Ok(Self { files, rows_files, chunk: Vec::new(), identities: Vec::new(), rows: 0, written: Vec::new() })
    }

    /// Adds a row. `write` appends its compact JSON, at most [`MAX_ROW_IN_CHUNK`] bytes.
    pub(super) fn push(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
        identity: impl FnOnce() -> RowIdentity,
    ) -> Result<()> {
        let end = self.chunk.len();
        self.chunk.push(if self.rows == 0 { b'[' } else { b',' });
        write(&mut self.chunk);
        if self.rows > 0 && self.chunk.len() + 1 > MAX_CHUNK_BYTES {
            let row = self.chunk.split_off(end + 1);
            self.chunk.truncate(end);
            self.flush()?;
            self.chunk.push(b'[');
            self.chunk.extend_from_slice(&row);
        }
        self.rows += 1;
        if self.rows_files.is_some() {
            serde_json::to_writer(&mut self.identities, &identity()).map_err(std::io::Error::from)?;
            self.identities.push(b'\n');
        }
        Ok(())
    }

    /// Writes the last chunk and removes chunks with higher numbers that an earlier import left in the directory.
    pub(super) fn finish(mut self) -> Result<Vec<WrittenChunk>> {
        if self.rows > 0 {
            self.flush()?;
        }
        let mut stale = self.written.len() as u32 + 1;
        while fs::remove_file(self.files.path(&chunk_name(stale))).is_ok() {
            stale += 1;
        }
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<()> {
        self.chunk.push(b']');
        let number = self.written.len() as u32 + 1;
        write_file(&self.files, &chunk_name(number), &self.chunk, self.rows_files.is_some())?;
        if let Some(files) = &self.rows_files {
            write_file(files, &rows_name(number), &self.identities, true)?;
        }
        self.written.push(WrittenChunk { number, rows: self.rows });
        self.chunk.clear();
        self.identities.clear();
        self.rows = 0;
        Ok(())
    }
}

/// Returns the file name of a chunk; zero-padded, so that names sort in the order of rows.
pub(super) fn chunk_name(number: u32) -> String {
    format!("{number:06}.json")
}

fn rows_name(number: u32) -> String {
    format!("{number:06}.ndjson")
}

/// File with the identities of valid rows if no chunks are written.
pub(super) const IDENTITIES: &str = "identities.ndjson";

/// Writes the identities of valid rows, in order.
pub(super) struct IdentityFile {
    path: PathBuf,
    output: FileWriter,
}

impl IdentityFile {
    /// Creates the file in the directory of a job or of a check.
    pub(super) fn create(files: &Files) -> Result<Self> {
        let path = files.path(IDENTITIES);
        let output = files.create(IDENTITIES).map_err(|error| with_path(error, &path))?;
        Ok(Self { path, output })
    }

    pub(super) fn push(&mut self, identity: &RowIdentity) -> Result<()> {
        serde_json::to_writer(&mut self.output, identity)
            .map_err(std::io::Error::from)
            .and_then(|()| self.output.write_all(b"\n"))
            .map_err(|error| with_path(error, &self.path))
    }

    pub(super) fn finish(self) -> Result<()> {
        let Self { path, output } = self;
        output.finish(true).map_err(|error| with_path(error, &path))
    }
}

/// Iterates over the identities of all valid rows of an import: those of its chunks, in order, or those of a check
/// without chunks. Reads lazily.
pub(super) fn identities(files: &Files) -> Result<impl Iterator<Item = Result<RowIdentity>> + use<>> {
    let (files, names) = if files.path(IDENTITIES).exists() {
        (files.clone(), vec![IDENTITIES.to_owned()])
    } else {
        let rows = files.subdirectory("rows");
        let entries = fs::read_dir(rows.directory()).map_err(|error| with_path(error, rows.directory()))?;
        let names: std::io::Result<Vec<String>> =
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
        let mut names = names.map_err(|error| with_path(error, rows.directory()))?;
        names.sort();
        (rows, names)
    };
    Ok(names.into_iter().flat_map(move |name| {
        let path = files.path(&name);
        match files.open(&name) {
            Ok(file) => {
                Box::new(file.lines().map(move |line| parse_identity(line, &path))) as Box<dyn Iterator<Item = _>>
            }
            Err(error) => Box::new(std::iter::once(Err(with_path(error, &path)))),
        }
    }))
}

fn parse_identity(line: std::io::Result<String>, path: &Path) -> Result<RowIdentity> {
    let line = line.map_err(|error| with_path(error, path))?;
    serde_json::from_str(&line).map_err(|error| Error::new(Code::Storage, format!("{}: {error}", path.display())))
}

/// Reads the identities of the rows of a chunk, in order.
pub(super) fn read_identities(files: &Files, number: u32) -> Result<Vec<RowIdentity>> {
    let path = files.path(&rows_name(number));
    let file = files.open(&rows_name(number)).map_err(|error| with_path(error, &path))?;
    file.lines().map(|line| parse_identity(line, &path)).collect()
}

/// Splits a chunk and its list of rows into two halves, written under the numbers `parts`. Returns the number of rows
/// in each half; `None` if the chunk has fewer than two rows.
pub(super) fn split(files: &Files, number: u32, parts: [u32; 2]) -> Result<Option<[u64; 2]>> {
    let (chunks, rows) = (files.subdirectory("chunks"), files.subdirectory("rows"));
    let path = chunks.path(&chunk_name(number));
    let bytes = chunks.read(&chunk_name(number)).map_err(|error| with_path(error, &path))?;
    let broken = |error: serde_json::Error| Error::new(Code::Storage, format!("{}: {error}", path.display()));
    let users: Vec<&RawValue> = serde_json::from_slice(&bytes).map_err(broken)?;
    let identities = read_identities(&rows, number)?;
    if users.len() < 2 || users.len() != identities.len() {
        return Ok(None);
    }
    let middle = users.len() / 2;
    let (first_users, last_users) = users.split_at(middle);
    let (first_rows, last_rows) = identities.split_at(middle);
    for (part, users, identities) in [(parts[0], first_users, first_rows), (parts[1], last_users, last_rows)] {
        let json = serde_json::to_vec(users).map_err(broken)?;
        write_file(&chunks, &chunk_name(part), &json, true)?;
        let mut lines = Vec::new();
        for identity in identities {
            serde_json::to_writer(&mut lines, identity).map_err(broken)?;
            lines.push(b'\n');
        }
        write_file(&rows, &rows_name(part), &lines, true)?;
    }
    Ok(Some([first_users.len() as u64, last_users.len() as u64]))
}

fn write_file(files: &Files, name: &str, bytes: &[u8], sync: bool) -> Result<()> {
    files.write(name, bytes, sync).map_err(|error| with_path(error, &files.path(name)))
}

/// Prefixes the message of an I/O error with the path.
pub(super) fn with_path(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).with_context(path.display())
}

/// Finds rows of a chunk by the identifiers in Auth0's report. Reports hide secrets and may differ in letter case, so
/// complete users cannot be compared.
pub(super) struct RowIndex<'a> {
    rows: &'a [RowIdentity],
    by_identifier: HashMap<(&'static str, &'a str), usize>,
}

impl<'a> RowIndex<'a> {
    pub(super) fn new(rows: &'a [RowIdentity]) -> Self {
        let mut by_identifier = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let identities = [
                ("email", &row.email),
                ("user_id", &row.user_id),
                ("username", &row.username),
                ("phone_number", &row.phone_number),
            ];
            for (name, value) in identities.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
                by_identifier.entry((name, value)).or_insert(index);
            }
        }
        Self { rows, by_identifier }
    }

    /// Returns the row of a reported user; `None` if no identifier matches.
    pub(super) fn find(&self, user: &Value) -> Option<&'a RowIdentity> {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        let find_row = |name: &'static str, value: &str| self.rows.get(*self.by_identifier.get(&(name, value))?);
        let find_id = |id: &str| find_row("user_id", id).or_else(|| find_row("user_id", id.strip_prefix(ID_PREFIX)?));
        text("email")
            .and_then(|email| find_row("email", &email.to_lowercase()))
            .or_else(|| find_id(text("user_id")?))
            .or_else(|| find_row("username", &text("username")?.to_lowercase()))
            .or_else(|| find_row("phone_number", text("phone_number")?))
    }
}

/// Replaces `output` by the row as compact JSON: its exact text without white space between tokens, so numbers keep
/// every digit. With `user_id`, replaces the id.
pub(super) fn compact(row: &[u8], user_id: Option<&str>, output: &mut Vec<u8>) -> Result<()> {
    output.clear();
    let Some(user_id) = user_id else {
        minify(row, output);
        return Ok(());
    };
    let members: Members<'_> = serde_json::from_slice(row)
        .map_err(|error| Error::new(Code::Internal, format!("A checked row is not valid JSON: {error}")))?;
    for (index, (name, value)) in members.0.iter().enumerate() {
        output.push(if index == 0 { b'{' } else { b',' });
        output.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        output.push(b':');
        if name == "user_id" {
            output.extend_from_slice(Value::from(user_id).to_string().as_bytes());
        } else {
            minify(value.get().as_bytes(), output);
        }
    }
    output.push(b'}');
    Ok(())
}

/// The members of an object in order, with the unparsed text of their values.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
