//! Compiled code on disk, so that a transform is compiled once and not at every start.
//!
//! Loading compiled code is trusting it like the program itself. So it is only read from a directory that
//! belongs to this user and that nobody else can write to, under a name made of the hash of the WASM file
//! and of everything the engine compiled it with, and only when its checksum holds.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::program::{Form, Program};

/// What every file with a component starts with, and what every file with a core module starts with; the
/// last byte but one is the version of the layout.
const COMPONENT: [u8; 8] = *b"UIEcod\x02c";
const MODULE: [u8; 8] = *b"UIEcod\x02m";

/// Magic, checksum, length.
const HEADER: usize = 8 + 4 + 8;

/// All files together, bytes; beyond this the oldest go.
const LARGEST: u64 = 512 << 20;

/// Directory of compiled code; without one nothing is kept.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: Option<PathBuf>,
    /// What the engine compiles with.
    engine: String,
}

impl Cache {
    /// A cache in `directory`, which is created when something is to be kept.
    pub(super) fn new(directory: Option<PathBuf>, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { directory, engine: format!("{:016x}", hasher.finish()) }
    }

    fn path(&self, sha256: &str) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(format!("{sha256}-{}.code", self.engine)))
    }

    /// The compiled code of the WASM file with this hash, if it is there, ours and whole.
    pub(super) fn load(&self, engine: &Engine, sha256: &str) -> Option<Program> {
        let path = self.path(sha256)?;
        if !is_ours(self.directory.as_deref()?) || !is_ours(&path) {
            return None;
        }
        let program = made(engine, &fs::read(&path).ok()?)?;
        // The oldest go first, and age counts from the last use. Without it the cache works as well.
        let _ = fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(program)
    }

    /// Keeps compiled code. A cache that cannot be written only costs time, so that is no error.
    pub(super) fn keep(&self, sha256: &str, program: &Program) {
        if let Some((directory, path)) = self.directory.as_deref().zip(self.path(sha256))
            && let Err(error) = write(directory, &path, program)
        {
            tracing::warn!(directory = %directory.display(), %error, "compiled transforms cannot be kept");
        }
    }

    /// A small file of this cache that is no code, if it is ours.
    pub(super) fn read_note(&self, name: &str) -> Option<Vec<u8>> {
        let directory = self.directory.as_deref()?;
        let path = directory.join(name);
        (is_ours(directory) && is_ours(&path)).then(|| fs::read(path).ok())?
    }

    /// Writes such a file.
    pub(super) fn write_note(&self, name: &str, content: &[u8]) {
        if let Some(directory) = &self.directory {
            // As with compiled code: without it the next start only takes longer.
            let _ = prepare(directory).and_then(|()| replace(directory, &directory.join(name), &[content]));
        }
    }
}

/// What kind of code a file starts with, and the code, if the file is whole.
fn checked(bytes: &[u8]) -> Option<(&[u8; 8], &[u8])> {
    let (header, code) = bytes.split_at_checked(HEADER)?;
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (checksum, length) = rest.split_first_chunk::<4>()?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let whole = length == code.len() as u64 && u32::from_le_bytes(*checksum) == crc32fast::hash(code);
    whole.then_some((magic, code))
}

fn write(directory: &Path, path: &Path, program: &Program) -> std::io::Result<()> {
    let code = program.serialize().map_err(|error| std::io::Error::other(error.to_string()))?;
    prepare(directory)?;
    make_room(directory, code.len() as u64)?;
    replace(directory, path, &[&header(program.form(), &code), &code])
}

/// What stands before code, in files and on the way between processes.
pub(super) fn header(form: Form, code: &[u8]) -> Vec<u8> {
    let mut header = match form {
        Form::Component => COMPONENT.to_vec(),
        Form::Module => MODULE.to_vec(),
    };
    header.extend_from_slice(&crc32fast::hash(code).to_le_bytes());
    header.extend_from_slice(&(code.len() as u64).to_le_bytes());
    header
}

/// The program of code that comes from a file of this cache, or that another process of this program made just
/// now, if all of it is there.
pub(super) fn made(engine: &Engine, bytes: &[u8]) -> Option<Program> {
    let (kind, code) = checked(bytes)?;
    deserialize(engine, *kind, code)
}

/// Writes a file under another name first, so that nobody reads half of it.
fn replace(directory: &Path, path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.persist(path)?;
    Ok(())
}

/// Makes sure that the directory is there and ours.
fn prepare(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    if is_ours(directory) {
        Ok(())
    } else {
        Err(std::io::Error::other("it belongs to somebody else, or others may write to it"))
    }
}

/// Removes every file of a cache but the code of WASM files with these hashes.
pub(super) fn keep_only(directory: &Path, hashes: &[&str]) -> std::io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let stays = name.to_str().and_then(|name| name.split_once('-')).is_some_and(|(hash, _)| hashes.contains(&hash));
        if !stays && entry.file_type()?.is_file() {
            match fs::remove_file(entry.path()) {
                // Another thread's temporary file may have got its name meanwhile.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Removes the files that were not used for longest, until `more` bytes fit.
fn make_room(directory: &Path, more: u64) -> std::io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(directory)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((about.modified().ok()?, about.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, length, path) in files {
        if size.saturating_add(more) <= LARGEST {
            break;
        }
        fs::remove_file(path)?;
        size = size.saturating_sub(length);
    }
    Ok(())
}

/// Whether a file or directory belongs to this user and nobody else may write to it.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).is_ok_and(|about| {
        !about.is_symlink() && about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o022 == 0
    })
}

/// Elsewhere ownership is not what protects files: nothing is kept.
#[cfg(not(unix))]
fn is_ours(_: &Path) -> bool {
    false
}

/// Makes code of bytes that [`checked`] found whole, in a file that [`is_ours`] or from a process of this
/// program.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, kind: [u8; 8], code: &[u8]) -> Option<Program> {
    // SAFETY: the bytes must be what `Component::serialize` or `Module::serialize` gave. They come from a file that `write` of this
    // program made: it lies in a directory that only this user can write to (checked by `is_ours` just
    // before), its checksum holds, and its name carries the hash of the engine's version and settings,
    // which wasmtime checks once more. Whoever can change it all the same can change this program too.
    // Or they come through a pipe from a process that runs this same program (`compile.rs`) and does nothing
    // but compile: the other end is nobody else's, and the checksum says that all of it has come.
    // The bytes were read into memory, so that a file that changes later changes nothing here.
    unsafe {
        match kind {
            COMPONENT => Component::deserialize(engine, code).ok().map(Program::Component),
            MODULE => Module::deserialize(engine, code).ok().map(Program::Module),
            _ => None,
        }
    }
}
