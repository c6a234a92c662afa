//! Faults of an import job on disk: one file per step, each written as a whole.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::chunks::named;
use super::read::Flaw;
use super::{RowFault, RowPlace, Severity};
use crate::error::{Code, Error, Result};

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
    output: BufWriter<File>,
}

impl FaultFile {
    /// The faults of the check.
    pub(super) fn of_check(directory: &Path) -> Result<Self> {
        Self::create(directory, "check")
    }

    /// Warnings about rows whose users exist.
    pub(super) fn of_look_up(directory: &Path) -> Result<Self> {
        Self::create(directory, "look-up")
    }

    /// The faults Auth0 reported for a chunk.
    pub(super) fn of_chunk(directory: &Path, number: u32) -> Result<Self> {
        Self::create(directory, &format!("{number:06}"))
    }

    fn create(directory: &Path, name: &str) -> Result<Self> {
        let directory = directory.join(DIRECTORY);
        fs::create_dir_all(&directory).map_err(|error| named(error, &directory))?;
        let path = directory.join(format!("{name}.ndjson"));
        let passing = path.with_extension("part");
        let file = File::create(&passing).map_err(|error| named(error, &passing))?;
        Ok(Self { path, output: BufWriter::new(file) })
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
            output.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(path.with_extension("part"), &path)
        };
        write().map_err(|error| named(error, &path))
    }
}

/// The files of faults of a job: the check's first, then by chunk. None when nothing was found yet.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let directory = directory.join(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(error, &directory)),
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(|error| named(error, &directory))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    paths.sort_by_key(|path| (path.file_stem().is_none_or(|stem| stem != "check"), path.clone()));
    Ok(paths)
}

/// Every fault of a job, warnings included: the check's in the order of rows, then Auth0's by chunk.
/// Streams.
pub fn faults(directory: &Path) -> Result<impl Iterator<Item = Result<RowFault>>> {
    Ok(files(directory)?.into_iter().flat_map(|path| match File::open(&path) {
        Ok(file) => Lines::Open(BufReader::new(file).lines(), path),
        Err(error) => Lines::Failed(Some(named(error, &path))),
    }))
}

enum Lines {
    Open(io::Lines<BufReader<File>>, PathBuf),
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
