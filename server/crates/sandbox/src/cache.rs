//! Compiled code on disk, so that a transform is compiled once and not at every start.
//!
//! Compiled code is trusted like the program itself. It is loaded only from a directory that belongs to this user and
//! that no other user can write to, and only if its checksum is right. Its file name consists of the hash of the WASM
//! file and of the engine's version and settings.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::compiled_transform::{CodeKind, CompiledTransform};

/// Magic bytes of files with a compiled component and with a compiled core module. The last byte but one is the version
/// of the layout.
const COMPONENT: [u8; 8] = *b"UIEcod\x02c";
const MODULE: [u8; 8] = *b"UIEcod\x02m";

/// Size of the header in bytes: magic, checksum, length.
const HEADER: usize = 8 + 4 + 8;

/// Maximum size of all files together, in bytes. Beyond it the least recently used files are removed.
const MAX_CACHE_BYTES: u64 = 512 << 20;

/// A directory of compiled code. Without a directory nothing is cached.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: Option<PathBuf>,
    /// Hash of the engine's version and settings.
    engine_hash: String,
}

impl Cache {
    /// Returns a cache in `directory`, which is created when the first file is written.
    pub(super) fn new(directory: Option<PathBuf>, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { directory, engine_hash: format!("{:016x}", hasher.finish()) }
    }

    fn path(&self, sha256: &str) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(format!("{sha256}-{}.code", self.engine_hash)))
    }

    /// Loads the compiled code of the WASM file with this hash. `None` if there is no such file, if another user could
    /// have written it, or if it is damaged.
    pub(super) fn load(&self, engine: &Engine, sha256: &str) -> Option<CompiledTransform> {
        let path = self.path(sha256)?;
        if !is_exclusively_ours(self.directory.as_deref()?) || !is_exclusively_ours(&path) {
            return None;
        }
        let program = decode(engine, &fs::read(&path).ok()?)?;
        // The modification time is the time of the last use, by which files are removed. Failing to set it is harmless.
        let _ = fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(program)
    }

    /// Stores compiled code. If the cache cannot be written, a warning is logged: the next start compiles again.
    pub(super) fn store(&self, sha256: &str, program: &CompiledTransform) {
        if let Some((directory, path)) = self.directory.as_deref().zip(self.path(sha256))
            && let Err(error) = write(directory, &path, program)
        {
            tracing::warn!(directory = %directory.display(), %error, "compiled transforms cannot be cached");
        }
    }

    /// Reads a small file of this cache that is not code. `None` if there is no such file, or if another user could
    /// have written it.
    pub(super) fn read_aux_file(&self, name: &str) -> Option<Vec<u8>> {
        let directory = self.directory.as_deref()?;
        let path = directory.join(name);
        (is_exclusively_ours(directory) && is_exclusively_ours(&path)).then(|| fs::read(path).ok())?
    }

    /// Writes a small file that is not code. Errors are ignored: the next start takes longer.
    pub(super) fn write_aux_file(&self, name: &str, content: &[u8]) {
        if let Some(directory) = &self.directory {
            let _ = prepare(directory).and_then(|()| replace(directory, &directory.join(name), &[content]));
        }
    }
}

/// Splits a file into magic bytes and code. `None` if it is incomplete or its checksum is wrong.
fn split_checked(bytes: &[u8]) -> Option<(&[u8; 8], &[u8])> {
    let (header, code) = bytes.split_at_checked(HEADER)?;
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (checksum, length) = rest.split_first_chunk::<4>()?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let is_complete = length == code.len() as u64 && u32::from_le_bytes(*checksum) == crc32fast::hash(code);
    is_complete.then_some((magic, code))
}

fn write(directory: &Path, path: &Path, program: &CompiledTransform) -> std::io::Result<()> {
    let code = program.serialize().map_err(|error| std::io::Error::other(error.to_string()))?;
    prepare(directory)?;
    make_room(directory, code.len() as u64)?;
    replace(directory, path, &[&header(program.kind(), &code), &code])
}

/// Returns the header of compiled code, in files and between processes.
pub(super) fn header(kind: CodeKind, code: &[u8]) -> Vec<u8> {
    let mut header = match kind {
        CodeKind::Component => COMPONENT.to_vec(),
        CodeKind::Module => MODULE.to_vec(),
    };
    header.extend_from_slice(&crc32fast::hash(code).to_le_bytes());
    header.extend_from_slice(&(code.len() as u64).to_le_bytes());
    header
}

/// Loads code that comes from a file of this cache or from another process of this program. `None` if it is incomplete
/// or damaged.
pub(super) fn decode(engine: &Engine, bytes: &[u8]) -> Option<CompiledTransform> {
    let (kind, code) = split_checked(bytes)?;
    deserialize(engine, *kind, code)
}

/// Replaces a file atomically: writes a temporary file and renames it.
fn replace(directory: &Path, path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.persist(path)?;
    Ok(())
}

/// Creates the directory if it does not exist. Fails if another user could write to it.
fn prepare(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    if is_exclusively_ours(directory) {
        Ok(())
    } else {
        Err(std::io::Error::other("it belongs to another user, or other users may write to it"))
    }
}

/// Removes all files of a cache except the code of WASM files with these hashes.
pub(super) fn retain(directory: &Path, hashes: &[&str]) -> std::io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_retained =
            name.to_str().and_then(|name| name.split_once('-')).is_some_and(|(hash, _)| hashes.contains(&hash));
        if !is_retained && entry.file_type()?.is_file() {
            match fs::remove_file(entry.path()) {
                // Another thread may have renamed its temporary file in the meantime.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Removes the least recently used files until `more` bytes fit.
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
        if size.saturating_add(more) <= MAX_CACHE_BYTES {
            break;
        }
        fs::remove_file(path)?;
        size = size.saturating_sub(length);
    }
    Ok(())
}

/// Whether a file or directory belongs to this user and no other user may write to it.
#[cfg(unix)]
fn is_exclusively_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).is_ok_and(|about| {
        !about.is_symlink() && about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o022 == 0
    })
}

/// On other systems ownership does not protect files: nothing is loaded.
#[cfg(not(unix))]
fn is_exclusively_ours(_: &Path) -> bool {
    false
}

/// Loads code that [`split_checked`] found complete, from a file that [`is_exclusively_ours`] accepted or from a
/// process of this program.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, kind: [u8; 8], code: &[u8]) -> Option<CompiledTransform> {
    // SAFETY: the bytes must be the result of `Component::serialize` or `Module::serialize`. There are two sources:
    // - A file that `write` created. Its directory can be written to by this user only (checked by
    //   `is_exclusively_ours` just before), its checksum is right, and its name contains the hash of the engine's version
    //   and settings, which wasmtime checks again. A user who can change the file can change this program too.
    // - A pipe from a process that runs this same program (`compile.rs`) and only compiles. No other process has the
    //   other end, and the checksum proves that all bytes arrived.
    // The bytes are in memory, so later changes of the file have no effect.
    unsafe {
        match kind {
            COMPONENT => Component::deserialize(engine, code).ok().map(CompiledTransform::Component),
            MODULE => Module::deserialize(engine, code).ok().map(CompiledTransform::Module),
            _ => None,
        }
    }
}
