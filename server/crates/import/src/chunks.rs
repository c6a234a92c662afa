//! Writes valid rows to chunk files, JSON arrays of up to Auth0's size limit, and records which rows are in each chunk
//! (docs/auth0/jobs.md#imports).

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::compact_row::MAX_CHUNK_BYTES;
use super::io_error::with_path;
use super::row::{Row, Valid};
use super::row_identity::RowIdentity;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_store::{FileWriter, Files};

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

    /// Adds a row. Its compact JSON has at most [`MAX_ROW_IN_CHUNK`](super::compact_row::MAX_ROW_IN_CHUNK) bytes.
    pub(super) fn push(&mut self, row: &Row<Valid<'_>>) -> Result<()> {
        let end = self.chunk.len();
        self.chunk.push(if self.rows == 0 { b'[' } else { b',' });
        row.write_compact(&mut self.chunk)?;
        if self.rows > 0 && self.chunk.len() + 1 > MAX_CHUNK_BYTES {
            let text = self.chunk.split_off(end + 1);
            self.chunk.truncate(end);
            self.flush()?;
            self.chunk.push(b'[');
            self.chunk.extend_from_slice(&text);
        }
        self.rows += 1;
        if self.rows_files.is_some() {
            serde_json::to_writer(&mut self.identities, &row.identity()).map_err(std::io::Error::from)?;
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
    serde_json::from_str(&line)
        .map_err(|error| Error::new(Code::Storage, message!("{path}: {error}", path = path.display())))
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
    let broken =
        |error: serde_json::Error| Error::new(Code::Storage, message!("{path}: {error}", path = path.display()));
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
