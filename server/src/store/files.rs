//! Files of a job: encrypted, and readable by this process only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::vault::{no_link, private};
use crate::seal::{Chunk, DataKey, SealedReader, SealedWriter};

/// A directory whose files are encrypted for one job, or one that belongs to a person, whose files are
/// plain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
    seal: Option<Seal>,
}

#[derive(Clone, Debug)]
struct Seal {
    key: Arc<DataKey>,
    /// The job: a file of another one cannot take the place of one of this.
    context: Arc<str>,
}

impl Files {
    /// Plain files in a person's own directory.
    pub fn plain(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), seal: None }
    }

    /// Files of this process alone: their key is kept nowhere but in this value and its clones.
    pub fn passing(directory: &Path) -> io::Result<Self> {
        let key = DataKey::random().map_err(|error| io::Error::other(error.message))?;
        Ok(Self::sealed(directory.to_owned(), Arc::new(key), ""))
    }

    pub(super) fn sealed(directory: PathBuf, key: Arc<DataKey>, context: &str) -> Self {
        Self { directory, seal: Some(Seal { key, context: context.into() }) }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file or directory of this name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A directory below this one, for the same job.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self { directory: self.path(name), seal: self.seal.clone() }
    }

    /// Creates the directory if absent.
    pub fn create_directory(&self) -> io::Result<()> {
        // A person's own directory gets the modes that person wants.
        if self.seal.is_some() {
            create_private_directory(&self.directory)
        } else {
            fs::create_dir_all(&self.directory)
        }
    }

    /// Creates a file, or empties one that is there.
    pub fn create(&self, name: &str) -> io::Result<FileWriter> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Ok(FileWriter(match &self.seal {
            None => Writer::Plain(BufWriter::new(options.open(path)?)),
            Some(Seal { key, context }) => {
                let file = private(&mut options).open(path)?;
                Writer::Sealed(SealedWriter::new(file, key, context, Chunk::Large)?)
            }
        }))
    }

    /// Opens a file to read it, from any place.
    pub fn open(&self, name: &str) -> io::Result<FileReader> {
        let path = self.path(name);
        Ok(FileReader(match &self.seal {
            None => Reader::Plain(BufReader::new(File::open(path)?)),
            Some(Seal { key, context }) => {
                let file = no_link(OpenOptions::new().read(true)).open(path)?;
                Reader::Sealed(SealedReader::open(file, key, context)?)
            }
        }))
    }

    /// A whole file.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes a whole file; with `sync` it is on disk when this returns.
    pub fn write(&self, name: &str, bytes: &[u8], sync: bool) -> io::Result<()> {
        let mut file = self.create(name)?;
        file.write_all(bytes)?;
        file.finish(sync)
    }
}

/// A file that is being written. It holds nothing to be read until [`FileWriter::finish`].
#[derive(Debug)]
pub struct FileWriter(Writer);

#[derive(Debug)]
enum Writer {
    Plain(BufWriter<File>),
    Sealed(SealedWriter<File>),
}

impl FileWriter {
    /// Ends the file; with `sync` it is on disk when this returns.
    pub fn finish(self, sync: bool) -> io::Result<()> {
        let file = match self.0 {
            Writer::Plain(output) => output.into_inner().map_err(io::IntoInnerError::into_error)?,
            Writer::Sealed(output) => output.finish()?,
        };
        if sync { file.sync_all() } else { Ok(()) }
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Writer::Plain(output) => output.write(bytes),
            Writer::Sealed(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Writer::Plain(output) => output.flush(),
            Writer::Sealed(output) => output.flush(),
        }
    }
}

/// A file that is read.
#[derive(Debug)]
pub struct FileReader(Reader);

#[derive(Debug)]
enum Reader {
    Plain(BufReader<File>),
    Sealed(SealedReader<File>),
}

impl FileReader {
    /// Bytes that can be read from the file.
    pub fn length(&self) -> io::Result<u64> {
        match &self.0 {
            Reader::Plain(input) => Ok(input.get_ref().metadata()?.len()),
            Reader::Sealed(input) => Ok(input.length()),
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Reader::Plain(input) => input.read(buffer),
            Reader::Sealed(input) => input.read(buffer),
        }
    }
}

impl BufRead for FileReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Reader::Plain(input) => input.fill_buf(),
            Reader::Sealed(input) => input.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.0 {
            Reader::Plain(input) => input.consume(count),
            Reader::Sealed(input) => input.consume(count),
        }
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Reader::Plain(input) => input.seek(to),
            Reader::Sealed(input) => input.seek(to),
        }
    }
}

/// A file without a name for what does not fit into memory: it vanishes with its process, and what was on
/// the disk was encrypted under a key that was kept nowhere.
#[derive(Debug)]
pub struct Scratch {
    output: SealedWriter<File>,
    key: DataKey,
}

impl Scratch {
    /// A new file in this directory.
    pub fn create(directory: &Path, chunk: Chunk) -> io::Result<Self> {
        let key = DataKey::random().map_err(|error| io::Error::other(error.message))?;
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { output: SealedWriter::new(file, &key, "", chunk)?, key })
    }

    /// What was written, to be read.
    pub fn finish(self) -> io::Result<SealedReader<File>> {
        SealedReader::open(self.output.finish()?, &self.key, "")
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Personal data lies below it, so nobody else may look in.
pub(super) fn create_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(directory: &Path, job: &str) -> Files {
        Files::sealed(directory.to_owned(), Arc::new(DataKey::from_hex(&"05".repeat(32)).unwrap()), job)
    }

    #[test]
    fn files_of_a_job_are_unreadable_on_disk_and_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let files = sealed(directory.path(), "job_1").below("chunks");
        files.create_directory().unwrap();
        files.write("1.json", b"ada@example.com", true).unwrap();
        assert_eq!(files.read("1.json").unwrap(), b"ada@example.com");
        assert_eq!(files.open("1.json").unwrap().length().unwrap(), 15);
        let on_disk = fs::read(files.path("1.json")).unwrap();
        assert!(!on_disk.windows(3).any(|part| part == b"ada"));
    }

    #[test]
    fn a_file_of_one_job_is_no_file_of_another() {
        let directory = tempfile::tempdir().unwrap();
        sealed(directory.path(), "job_1").write("users.csv", b"a", false).unwrap();
        let error = sealed(directory.path(), "job_2").read("users.csv").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_file_that_was_not_finished_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let files = sealed(directory.path(), "job_1");
        let mut file = files.create("users.csv").unwrap();
        file.write_all(&vec![7; 300_000]).unwrap();
        file.flush().unwrap();
        drop(file);
        assert!(files.open("users.csv").is_err());
    }

    #[test]
    fn passing_files_come_back_only_through_whoever_made_them() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::passing(directory.path()).unwrap();
        files.write("rows", b"ada@example.com", false).unwrap();
        assert_eq!(files.clone().read("rows").unwrap(), b"ada@example.com");
        assert!(Files::passing(directory.path()).unwrap().read("rows").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_of_a_job_are_neither_read_nor_written_through_symbolic_links() {
        let directory = tempfile::tempdir().unwrap();
        let files = sealed(directory.path(), "job_1");
        files.write("users.csv", b"a", false).unwrap();
        std::os::unix::fs::symlink(files.path("users.csv"), files.path("link.csv")).unwrap();
        std::os::unix::fs::symlink(files.path("elsewhere"), files.path("partial")).unwrap();
        assert!(files.open("link.csv").is_err());
        assert!(files.create("partial").is_err() && !files.path("elsewhere").exists());
    }

    #[test]
    fn plain_files_are_plain() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::plain(directory.path());
        files.write("1.json", b"[]", false).unwrap();
        assert_eq!(fs::read(files.path("1.json")).unwrap(), b"[]");
        assert_eq!(
            (files.read("1.json").unwrap(), files.open("1.json").unwrap().length().unwrap()),
            (b"[]".to_vec(), 2)
        );
    }

    #[test]
    fn scratch_files_have_no_name_and_come_back_from_any_place() {
        let directory = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create(directory.path(), Chunk::Small).unwrap();
        scratch.write_all(&vec![b'x'; 10_000]).unwrap();
        scratch.write_all(b"end").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut reader = scratch.finish().unwrap();
        reader.seek(SeekFrom::End(-3)).unwrap();
        let mut end = String::new();
        reader.read_to_string(&mut end).unwrap();
        assert_eq!(end, "end");
    }

    #[cfg(unix)]
    #[test]
    fn only_their_owner_can_read_files_and_directories() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let files = sealed(directory.path(), "job_1").below("rows");
        files.create_directory().unwrap();
        files.write("a", b"a", false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(files.directory()), mode(&files.path("a"))), (0o700, 0o600));
    }
}
