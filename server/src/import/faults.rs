//! Faults of an import job on disk: one file per step, each written as a whole.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::chunks::named;
use super::read::Flaw;
use super::{RowFault, RowPlace, Severity};
use crate::error::{Code, Error, Result};
use crate::store::{FileReader, FileWriter, Files};

/// The directory of a job's faults.
pub(super) const DIRECTORY: &str = "faults";

impl Flaw {
    /// The fault of a row that cannot be read.
    pub(super) fn fault(self, place: &RowPlace) -> RowFault {
        RowFault {
            line: place.line,
            row: place.row,
            attribute: self.attribute,
            code: self.code.to_owned(),
            message: self.message,
            hint: Some(self.hint.to_owned()),
            value: None,
            severity: Severity::Error,
            file: place.file.clone(),
        }
    }
}

/// Writes the faults of one step under a passing name; [`FaultFile::finish`] puts them in the place of
/// whatever an earlier run of the step had written.
pub(super) struct FaultFile {
    path: PathBuf,
    output: FileWriter,
}

impl FaultFile {
    /// The faults of the check.
    pub(super) fn of_check(files: &Files) -> Result<Self> {
        Self::create(files, "check")
    }

    /// Warnings about rows whose users exist.
    pub(super) fn of_look_up(files: &Files) -> Result<Self> {
        Self::create(files, "look-up")
    }

    /// The faults Auth0 reported for a chunk.
    pub(super) fn of_chunk(files: &Files, number: u32) -> Result<Self> {
        Self::create(files, &format!("{number:06}"))
    }

    fn create(files: &Files, name: &str) -> Result<Self> {
        let files = files.below(DIRECTORY);
        files.create_directory().map_err(|error| named(error, files.directory()))?;
        let path = files.path(&format!("{name}.ndjson"));
        let output = files.create(&format!("{name}.part")).map_err(|error| named(error, &path))?;
        Ok(Self { path, output })
    }

    pub(super) fn push(&mut self, fault: &RowFault) -> Result<()> {
        serde_json::to_writer(&mut self.output, fault)
            .map_err(io::Error::from)
            .and_then(|()| self.output.write_all(b"\n"))
            .map_err(|error| named(error, &self.path))
    }

    pub(super) fn finish(self) -> Result<()> {
        let Self { path, output } = self;
        let write = || {
            output.finish(true)?;
            fs::rename(path.with_extension("part"), &path)
        };
        write().map_err(|error| named(error, &path))
    }
}

/// The names of the files of faults of a job, in [`DIRECTORY`]: the check's first, then by chunk. None when
/// nothing was found yet.
pub(super) fn names(files: &Files) -> Result<Vec<String>> {
    let directory = files.path(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(error, &directory)),
    };
    let names: io::Result<Vec<String>> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names.map_err(|error| named(error, &directory))?;
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "ndjson"));
    names.sort_by_key(|name| (name != "check.ndjson", name.clone()));
    Ok(names)
}

/// Every fault of a job, warnings included: the check's in the order of rows, then Auth0's by chunk.
/// Streams.
pub fn faults(files: &Files) -> Result<impl Iterator<Item = Result<RowFault>> + use<>> {
    let names = names(files)?;
    let files = files.below(DIRECTORY);
    Ok(names.into_iter().flat_map(move |name| {
        let path = files.path(&name);
        match files.open(&name) {
            Ok(file) => Lines::Open(file.lines(), path),
            Err(error) => Lines::Failed(Some(named(error, &path))),
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
                Some(lines.next()?.map_err(|error| named(error, path)).and_then(|line| parse(&line, path)))
            }
            Self::Failed(error) => error.take().map(Err),
        }
    }
}

pub(super) fn parse(line: &str, path: &Path) -> Result<RowFault> {
    serde_json::from_str(line).map_err(|error| Error::new(Code::Storage, format!("{}: {error}", path.display())))
}
