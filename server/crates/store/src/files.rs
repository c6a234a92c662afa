//! Files of a job: encrypted, and readable only by the user that runs this process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data_key::{no_follow, private};
use uie_core::encryption::{ChunkSize, DataKey, DecryptingReader, EncryptingWriter};

/// A directory with files that are encrypted for one job, or with plaintext files of an operator. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
    /// `None` for plaintext.
    encryption: Option<FileEncryption>,
}

#[derive(Clone, Debug)]
struct FileEncryption {
    key: Arc<DataKey>,
    /// Id of the job, so that a file of another job is refused. Empty for ephemeral files.
    context: Arc<str>,
}

impl Files {
    /// Returns the plaintext files of a directory that belongs to an operator.
    pub fn plaintext(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), encryption: None }
    }

    /// Returns files that are encrypted under a new key, which is only in this value and its clones.
    pub fn ephemeral(directory: &Path) -> io::Result<Self> {
        let key = DataKey::random().map_err(io::Error::other)?;
        Ok(Self::encrypted(directory.to_owned(), Arc::new(key), ""))
    }

    pub(super) fn encrypted(directory: PathBuf, key: Arc<DataKey>, context: &str) -> Self {
        Self { directory, encryption: Some(FileEncryption { key, context: context.into() }) }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of a file or directory in this directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns a subdirectory with the same encryption.
    #[must_use]
    pub fn subdirectory(&self, name: &str) -> Self {
        Self { directory: self.path(name), encryption: self.encryption.clone() }
    }

    /// Creates the directory if absent.
    pub fn create_directory(&self) -> io::Result<()> {
        // The mode of an operator's directory follows the operator's umask.
        if self.encryption.is_some() {
            create_private_directory(&self.directory)
        } else {
            fs::create_dir_all(&self.directory)
        }
    }

    /// Creates a file, or truncates an existing one.
    pub fn create(&self, name: &str) -> io::Result<FileWriter> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Ok(FileWriter(match &self.encryption {
            None => Writer::Plain(BufWriter::new(options.open(path)?)),
            Some(FileEncryption { key, context }) => {
                let file = private(&mut options).open(path)?;
                Writer::Encrypted(EncryptingWriter::new(file, key, context, ChunkSize::Large)?)
            }
        }))
    }

    /// Opens a file for reading. Fails with [`io::ErrorKind::InvalidData`] if an encrypted file is incomplete, was
    /// changed, or belongs to another job.
    pub fn open(&self, name: &str) -> io::Result<FileReader> {
        let path = self.path(name);
        Ok(FileReader(match &self.encryption {
            None => Reader::Plain(BufReader::new(File::open(path)?)),
            Some(FileEncryption { key, context }) => {
                let file = no_follow(OpenOptions::new().read(true)).open(path)?;
                Reader::Encrypted(DecryptingReader::open(file, key, context)?)
            }
        }))
    }

    /// Reads a whole file.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes a whole file. With `sync`, returns after it is on disk.
    pub fn write(&self, name: &str, bytes: &[u8], sync: bool) -> io::Result<()> {
        let mut file = self.create(name)?;
        file.write_all(bytes)?;
        file.finish(sync)
    }
}

/// A file that is being written. It can be read after [`FileWriter::finish`].
#[derive(Debug)]
pub struct FileWriter(Writer);

#[derive(Debug)]
enum Writer {
    Plain(BufWriter<File>),
    Encrypted(EncryptingWriter<File>),
}

impl FileWriter {
    /// Completes the file. With `sync`, returns after it is on disk.
    pub fn finish(self, sync: bool) -> io::Result<()> {
        let file = match self.0 {
            Writer::Plain(output) => output.into_inner().map_err(io::IntoInnerError::into_error)?,
            Writer::Encrypted(output) => output.finish()?,
        };
        if sync { file.sync_all() } else { Ok(()) }
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Writer::Plain(output) => output.write(bytes),
            Writer::Encrypted(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Writer::Plain(output) => output.flush(),
            Writer::Encrypted(output) => output.flush(),
        }
    }
}

/// A file that is open for reading.
#[derive(Debug)]
pub struct FileReader(Reader);

#[derive(Debug)]
enum Reader {
    Plain(BufReader<File>),
    Encrypted(DecryptingReader<File>),
}

impl FileReader {
    /// Returns the bytes of plaintext in the file.
    pub fn length(&self) -> io::Result<u64> {
        match &self.0 {
            Reader::Plain(input) => Ok(input.get_ref().metadata()?.len()),
            Reader::Encrypted(input) => Ok(input.length()),
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Reader::Plain(input) => input.read(buffer),
            Reader::Encrypted(input) => input.read(buffer),
        }
    }
}

impl BufRead for FileReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Reader::Plain(input) => input.fill_buf(),
            Reader::Encrypted(input) => input.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.0 {
            Reader::Plain(input) => input.consume(count),
            Reader::Encrypted(input) => input.consume(count),
        }
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Reader::Plain(input) => input.seek(to),
            Reader::Encrypted(input) => input.seek(to),
        }
    }
}

/// An unnamed temporary file for data that does not fit into memory. The system removes it when the process ends; its
/// content is encrypted under a key that is never stored.
#[derive(Debug)]
pub struct TempFile {
    output: EncryptingWriter<File>,
    key: DataKey,
}

impl TempFile {
    /// Creates a file in this directory.
    pub fn create(directory: &Path, chunk_size: ChunkSize) -> io::Result<Self> {
        let key = DataKey::random().map_err(io::Error::other)?;
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { output: EncryptingWriter::new(file, &key, "", chunk_size)?, key })
    }

    /// Ends writing and returns a reader of the content.
    pub fn finish(self) -> io::Result<DecryptingReader<File>> {
        DecryptingReader::open(self.output.finish()?, &self.key, "")
    }
}

impl Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Creates a directory and its parents with mode 0700, since they hold personal data.
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

    fn encrypted(directory: &Path, job: &str) -> Files {
        Files::encrypted(directory.to_owned(), Arc::new(DataKey::from_hex(&"05".repeat(32)).unwrap()), job)
    }

    #[test]
    fn files_of_a_job_are_encrypted_on_disk_and_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let files = encrypted(directory.path(), "job_1").subdirectory("chunks");
        files.create_directory().unwrap();
        files.write("1.json", b"ada@example.com", true).unwrap();
        assert_eq!(files.read("1.json").unwrap(), b"ada@example.com");
        assert_eq!(files.open("1.json").unwrap().length().unwrap(), 15);
        let on_disk = fs::read(files.path("1.json")).unwrap();
        assert!(!on_disk.windows(3).any(|part| part == b"ada"));
    }

    #[test]
    fn a_file_of_another_job_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        encrypted(directory.path(), "job_1").write("users.csv", b"a", false).unwrap();
        let error = encrypted(directory.path(), "job_2").read("users.csv").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_unfinished_file_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let files = encrypted(directory.path(), "job_1");
        let mut file = files.create("users.csv").unwrap();
        file.write_all(&vec![7; 300_000]).unwrap();
        file.flush().unwrap();
        drop(file);
        assert!(files.open("users.csv").is_err());
    }

    #[test]
    fn ephemeral_files_can_be_read_only_with_the_value_that_wrote_them() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::ephemeral(directory.path()).unwrap();
        files.write("rows", b"ada@example.com", false).unwrap();
        assert_eq!(files.clone().read("rows").unwrap(), b"ada@example.com");
        assert!(Files::ephemeral(directory.path()).unwrap().read("rows").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_of_a_job_are_neither_read_nor_written_through_symbolic_links() {
        let directory = tempfile::tempdir().unwrap();
        let files = encrypted(directory.path(), "job_1");
        files.write("users.csv", b"a", false).unwrap();
        std::os::unix::fs::symlink(files.path("users.csv"), files.path("link.csv")).unwrap();
        std::os::unix::fs::symlink(files.path("target"), files.path("partial")).unwrap();
        assert!(files.open("link.csv").is_err());
        assert!(files.create("partial").is_err() && !files.path("target").exists());
    }

    #[test]
    fn plaintext_files_are_not_encrypted() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::plaintext(directory.path());
        files.write("1.json", b"[]", false).unwrap();
        assert_eq!(fs::read(files.path("1.json")).unwrap(), b"[]");
        assert_eq!(
            (files.read("1.json").unwrap(), files.open("1.json").unwrap().length().unwrap()),
            (b"[]".to_vec(), 2)
        );
    }

    #[test]
    fn temporary_files_have_no_name_and_are_seekable() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = TempFile::create(directory.path(), ChunkSize::Small).unwrap();
        file.write_all(&vec![b'x'; 10_000]).unwrap();
        file.write_all(b"end").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut reader = file.finish().unwrap();
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
        let files = encrypted(directory.path(), "job_1").subdirectory("rows");
        files.create_directory().unwrap();
        files.write("a", b"a", false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(files.directory()), mode(&files.path("a"))), (0o700, 0o600));
    }
}
