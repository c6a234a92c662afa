//! Row errors and warnings of an import job on disk: one file per step, replaced atomically.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::io_error::with_path;
use super::row_fault::{RowFault, StoredFault};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_store::{FileReader, FileWriter, Files};

/// Directory with the row errors of a job.
pub(super) const DIRECTORY: &str = "faults";

/// Writes the row errors of one step to a temporary file; [`FaultFile::finish`] replaces the file of an earlier run of
/// that step.
pub(super) struct FaultFile {
    path: PathBuf,
    output: FileWriter,
}

impl FaultFile {
    /// Creates the file for errors and warnings of the check.
    pub(super) fn for_check(files: &Files) -> Result<Self> {
        Self::create(files, "check")
    }

    /// Creates the file for warnings about existing users.
    pub(super) fn for_lookup(files: &Files) -> Result<Self> {
        Self::create(files, "look-up")
    }

    /// Creates the file for errors that Auth0 reported for a chunk.
    pub(super) fn for_chunk(files: &Files, number: u32) -> Result<Self> {
        Self::create(files, &format!("{number:06}"))
    }

    fn create(files: &Files, name: &str) -> Result<Self> {
        let files = files.subdirectory(DIRECTORY);
        files.create_directory().map_err(|error| with_path(error, files.directory()))?;
        let path = files.path(&format!("{name}.ndjson"));
        let output = files.create(&format!("{name}.part")).map_err(|error| with_path(error, &path))?;
        Ok(Self { path, output })
    }

    pub(super) fn push(&mut self, fault: &RowFault) -> Result<()> {
        serde_json::to_writer(&mut self.output, &StoredFault(fault))
            .map_err(io::Error::from)
            .and_then(|()| self.output.write_all(b"\n"))
            .map_err(|error| with_path(error, &self.path))
    }

    pub(super) fn finish(self) -> Result<()> {
        let Self { path, output } = self;
        let write = || {
            output.finish(true)?;
            fs::rename(path.with_extension("part"), &path)
        };
        write().map_err(|error| with_path(error, &path))
    }
}

/// Returns the names of the files in [`DIRECTORY`]: that of the check first, then by chunk. Empty if there are no files
/// yet.
pub(super) fn file_names(files: &Files) -> Result<Vec<String>> {
    let directory = files.path(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(with_path(error, &directory)),
    };
    let file_names: io::Result<Vec<String>> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut file_names = file_names.map_err(|error| with_path(error, &directory))?;
    file_names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "ndjson"));
    file_names.sort_by_key(|name| (name != "check.ndjson", name.clone()));
    Ok(file_names)
}

/// Iterates over all row errors and warnings of a job: those of the check in the order of rows, then those of Auth0 by
/// chunk. Reads lazily.
pub fn faults(files: &Files) -> Result<impl Iterator<Item = Result<RowFault>> + use<>> {
    let file_names = file_names(files)?;
    let files = files.subdirectory(DIRECTORY);
    Ok(file_names.into_iter().flat_map(move |name| {
        let path = files.path(&name);
        match files.open(&name) {
            Ok(file) => Lines::Open(file.lines(), path),
            Err(error) => Lines::Failed(Some(with_path(error, &path))),
        }
    }))
}

enum Lines {
    Open(io::Lines<FileReader>, PathBuf),
    Failed(Option<Error>),
}

impl Iterator for Lines {
    type Item = Result<RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Open(lines, path) => {
                Some(lines.next()?.map_err(|error| with_path(error, path)).and_then(|line| parse(&line, path)))
            }
            Self::Failed(error) => error.take().map(Err),
        }
    }
}

pub(super) fn parse(line: &str, path: &Path) -> Result<RowFault> {
    serde_json::from_str(line)
        .map_err(|error| Error::new(Code::Storage, message!("{path}: {error}", path = path.display())))
}
