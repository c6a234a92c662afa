//! The catalog of transforms: those shipped inside the program, and files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest;
use rust_embed::Embed;
use serde::{Deserialize, Serialize};
use transforms_sdk::manifest::Manifest;

use super::cache::Cache;
use super::validate;
use uie_core::diagnostic::Diagnostic;
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::{Localize, Message, message, serialize_stored};
use uie_core::printable;

/// Maximum size of a transform's file, in bytes. A transform written in Python has 18 MB, one in Rust 0.1 MB.
pub const LARGEST_FILE: u64 = 32 << 20;

/// Directory of uploaded transforms, below `DATA_DIR`.
pub const UPLOADS: &str = "transforms";

/// Directory of all uploaded versions, below [`UPLOADS`]. Files are named by their SHA-256.
pub(super) const VERSIONS: &str = "versions";

/// File with the manifests of known files, in the directory of compiled code. The number changes with the rules for
/// manifests and with the format.
const INDEX: &str = "catalog-3.json";

/// Maximum number of files of other directories in the index.
const MAX_FOREIGN_ENTRIES: usize = 1000;

#[derive(Embed)]
#[folder = "../../../transforms/prebuilt"]
#[allow_missing = true]
struct Shipped;

/// Where a transform comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It is part of this program.
    Shipped,
    /// A file in `TRANSFORMS_DIR`, or a file named on the command line.
    File,
    /// An admin uploaded it.
    Upload,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shipped => "shipped",
            Self::File => "file",
            Self::Upload => "upload",
        })
    }
}

#[derive(Clone)]
enum Source {
    Shipped(String),
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// A transform that may be called.
#[derive(Clone)]
pub struct Transform {
    manifest: Manifest,
    sha256: String,
    size: u64,
    origin: Origin,
    source: Source,
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transform({}, {}, {})", self.label(), self.origin, self.sha256)
    }
}

impl Transform {
    /// Creates a transform from the bytes of a WASM file, without compiling or running it. `name` is its name in
    /// messages. The manifest of an upload must not have hidden characters.
    ///
    /// Fails with [`Code::InvalidTransform`] if the file is not a valid transform.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, origin: Origin) -> Result<Self> {
        Self::validate(bytes, origin).map_err(|diagnostic| error(name, &diagnostic))
    }

    /// Like [`Transform::from_bytes`], for a file that an admin uploaded.
    pub fn from_upload(bytes: Vec<u8>) -> Result<Self> {
        let invalid = |diagnostic: Diagnostic| diagnostic.to_error(Code::InvalidTransform, &message!("The file"));
        Self::validate(bytes, Origin::Upload).map_err(invalid)
    }

    fn validate(bytes: Vec<u8>, origin: Origin) -> Result<Self, Diagnostic> {
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(oversize(bytes.len() as u64));
        }
        let manifest = validate::inspect(&bytes)?.manifest;
        if origin == Origin::Upload {
            validate::check_characters(&manifest)?;
        }
        let (sha256, size) = (sha256(&bytes), bytes.len() as u64);
        Ok(Self { manifest, sha256, size, origin, source: Source::Bytes(bytes.into()) })
    }

    /// Like [`Transform::from_bytes`], for a file. A file that is too large is not read.
    pub fn from_file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read(path).map_err(|diagnostic| error(&name, &diagnostic))?;
        Self::from_bytes(&name, bytes, Origin::File)
    }

    /// Its manifest, as it is in the file.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its manifest with hidden characters escaped, for terminals and pages.
    pub fn shown_manifest(&self) -> Manifest {
        validate::shown_manifest(&self.manifest)
    }

    /// SHA-256 of its file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Size of its file, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Name and version, such as `mask_email@1.0.0`, for messages and logs.
    pub fn label(&self) -> String {
        format!("{}@{}", self.manifest.name, self.manifest.version)
    }

    /// Path of its file. `None` if it is shipped or was created from bytes.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Shipped(_) | Source::Bytes(_) => None,
        }
    }

    /// Returns the bytes of its file. Fails if the file has changed since the catalog read it.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match &self.source {
            Source::Bytes(bytes) => Ok(bytes.to_vec()),
            Source::Shipped(file) => Shipped::get(file)
                .map(|file| file.data.into_owned())
                .ok_or_else(|| Error::new(Code::Internal, message!("The shipped transform {file} is missing."))),
            Source::File(path) => {
                let bytes = read(path).map_err(|diagnostic| error(&path.display().to_string(), &diagnostic))?;
                if sha256(&bytes) == self.sha256 {
                    return Ok(bytes);
                }
                Err(Error::new(
                    Code::InvalidTransform,
                    message!("{path}: The file changed since the job began.", path = path.display()),
                )
                .with_hint(message!("Start the job again to use the new file.")))
            }
        }
    }
}

/// A file that is not in the catalog, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// Why it is not in the catalog.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub message: Message,
    /// How to fix it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hint: Message,
}

impl Localize for Problem {
    fn localize(&mut self, language: Language) {
        self.message.localize(language);
        self.hint.localize(language);
    }
}

/// All available transforms.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    transforms: BTreeMap<String, Arc<Transform>>,
    /// All uploaded versions, including the active ones, in the order of their digests.
    versions: Vec<Arc<Transform>>,
    problems: Vec<Problem>,
}

impl Catalog {
    /// Returns the transform of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Transform>> {
        self.transforms.get(name)
    }

    /// Returns all versions of an upload, in the order of their digests.
    pub fn versions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Transform>> {
        self.versions.iter().filter(move |version| version.manifest.name == name)
    }

    /// Returns all uploaded files.
    pub(super) fn uploads(&self) -> &[Arc<Transform>] {
        &self.versions
    }

    /// Returns the transform with this name and digest: the active version, or another version of an upload.
    pub fn version(&self, name: &str, sha256: &str) -> Option<&Arc<Transform>> {
        let all = self.get(name).into_iter().chain(&self.versions);
        all.into_iter().find(|transform| transform.manifest.name == name && transform.sha256 == sha256)
    }

    /// Returns all names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.transforms.keys().map(String::as_str)
    }

    /// Returns all transforms, in the order of their names.
    pub fn transforms(&self) -> impl Iterator<Item = &Arc<Transform>> {
        self.transforms.values()
    }

    /// Returns the files that are not valid transforms, or whose name is already used.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Like [`Catalog::get`], but fails with [`Code::TransformNotFound`] and similar names if the name is unknown.
    pub fn require(&self, name: &str) -> Result<&Arc<Transform>> {
        self.get(name).ok_or_else(|| {
            let message = match nearest(name, self.names()).as_slice() {
                [] => message!("There is no transform called {name:?}."),
                [near] => message!("There is no transform called {name:?}. Did you mean {near}?"),
                [near, other, ..] => message!("There is no transform called {name:?}. Did you mean {near} or {other}?"),
            };
            Error::new(Code::TransformNotFound, message)
        })
    }

    fn add_version(&mut self, transform: Arc<Transform>) {
        match self.versions.binary_search_by(|known| known.sha256.cmp(&transform.sha256)) {
            // The active version has two files: one named after the transform and one named by its digest.
            Ok(_) => {}
            Err(index) => self.versions.insert(index, transform),
        }
    }

    fn add(&mut self, transform: Arc<Transform>, file: &str) {
        match self.transforms.get(&transform.manifest.name) {
            Some(existing) => self.problems.push(Problem {
                file: printable::line(file).into_owned(),
                message: {
                    let name = &existing.manifest.name;
                    match existing.path() {
                        Some(path) => {
                            message!("The name `{name}` is already used by {path}", path = shown_path(path))
                        }
                        None => {
                            message!("The name `{name}` is already used by a transform that is part of this program")
                        }
                    }
                },
                hint: message!("Rename its function and build it again."),
            }),
            None => {
                self.transforms.insert(transform.manifest.name.clone(), transform);
            }
        }
    }
}

/// Returns the names that `name` may be a misspelling of, at most two, nearest first.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<_> = names
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
        .collect();
    near.sort_unstable();
    near.into_iter().take(2).map(|(_, known)| known).collect()
}

/// Metadata of a file, to detect changes: a file is read again if any of it changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct FileStamp {
    path: PathBuf,
    size: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    inode: u64,
}

/// The cached result of reading a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum CachedEntry {
    Transform {
        manifest: Manifest,
        sha256: String,
    },
    Refused {
        #[serde(serialize_with = "serialize_stored")]
        message: Message,
        #[serde(serialize_with = "serialize_stored")]
        hint: Message,
    },
}

/// Builds the catalog from the shipped transforms and from directories. A file is read once, until it changes.
#[derive(Debug)]
pub(super) struct Registry {
    directories: Vec<(PathBuf, Origin)>,
    /// The directory with the versions of uploads, one of `directories`.
    versions: PathBuf,
    shipped: Vec<(String, Arc<Transform>)>,
    entries: HashMap<FileStamp, CachedEntry>,
    catalog: Arc<Catalog>,
    /// The files from which `catalog` was built.
    stamps: Option<Vec<(FileStamp, Origin)>>,
    /// The files and directories whose metadata could not be read then.
    unreadable: Vec<Problem>,
}

impl Registry {
    /// Creates a registry of the shipped transforms and the files in `directories`. If two have the same name, the
    /// first one is used. Files in `versions` can be found by their digest only.
    pub(super) fn open(directories: Vec<(PathBuf, Origin)>, versions: PathBuf, cache: &Cache) -> Result<Self> {
        let entries: Vec<(FileStamp, CachedEntry)> =
            cache.read_aux_file(INDEX).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut registry = Self {
            directories,
            versions,
            shipped: shipped()?,
            entries: entries.into_iter().collect(),
            catalog: Arc::default(),
            stamps: None,
            unreadable: Vec::new(),
        };
        registry.catalog(cache);
        Ok(registry)
    }

    /// Returns the current catalog. Reads the files that changed since the last call.
    pub(super) fn catalog(&mut self, cache: &Cache) -> Arc<Catalog> {
        let (stamps, unreadable) = self.stat_files();
        if self.stamps.as_ref() == Some(&stamps) && self.unreadable == unreadable {
            return Arc::clone(&self.catalog);
        }
        let mut problems = unreadable.clone();
        let mut entries = HashMap::new();
        let mut dirty = false;
        let mut catalog = Catalog::default();
        for (file, transform) in &self.shipped {
            catalog.add(Arc::clone(transform), file);
        }
        for (stamp, origin) in &stamps {
            let entry = self.entries.remove(stamp).unwrap_or_else(|| {
                dirty = true;
                read_entry(&stamp.path)
            });
            let file = shown_path(&stamp.path);
            match &entry {
                CachedEntry::Transform { manifest, sha256 } => {
                    let transform = Arc::new(Transform {
                        manifest: manifest.clone(),
                        sha256: sha256.clone(),
                        size: stamp.size,
                        origin: *origin,
                        source: Source::File(stamp.path.clone()),
                    });
                    if *origin == Origin::Upload {
                        catalog.add_version(Arc::clone(&transform));
                    }
                    if stamp.path.parent() != Some(&self.versions) {
                        catalog.add(transform, &file);
                    }
                }
                CachedEntry::Refused { message, hint } => {
                    problems.push(Problem { file, message: message.clone(), hint: hint.clone() });
                }
            }
            entries.insert(stamp.clone(), entry);
        }
        catalog.problems.append(&mut problems);
        for problem in &catalog.problems {
            tracing::warn!(file = problem.file, "a transform is not in the catalog: {}", problem.message);
        }
        // Commands with other directories share the index: keep a limited number of their entries.
        let foreign = std::mem::take(&mut self.entries)
            .into_iter()
            .filter(|(stamp, _)| !self.directories.iter().any(|(directory, _)| stamp.path.parent() == Some(directory)));
        entries.extend(foreign.take(MAX_FOREIGN_ENTRIES));
        if dirty {
            let index: Vec<_> = entries.iter().collect();
            if let Ok(index) = serde_json::to_vec(&index) {
                cache.write_aux_file(INDEX, &index);
            }
        }
        self.entries = entries;
        self.stamps = Some(stamps);
        self.unreadable = unreadable;
        self.catalog = Arc::new(catalog);
        Arc::clone(&self.catalog)
    }

    /// Returns all `.wasm` files of the directories, in order, and the files whose metadata cannot be read.
    fn stat_files(&self) -> (Vec<(FileStamp, Origin)>, Vec<Problem>) {
        let (mut stamps, mut problems) = (Vec::new(), Vec::new());
        for (directory, origin) in &self.directories {
            let files = match fs::read_dir(directory) {
                Ok(files) => files,
                // The directory of uploads is created by the first upload. TRANSFORMS_DIR may be mounted again later.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && *origin == Origin::Upload => continue,
                Err(error) => {
                    problems.push(unreadable_file(directory, &error));
                    continue;
                }
            };
            let mut found = Vec::new();
            for path in files.filter_map(|file| Some(file.ok()?.path())) {
                if path.extension().is_none_or(|extension| extension != "wasm") {
                    continue;
                }
                // Follows symbolic links: an operator may link to the output of a build.
                match fs::metadata(&path) {
                    Ok(about) if about.is_file() => found.push((file_stamp(path, &about), *origin)),
                    Ok(_) => {}
                    Err(error) => problems.push(unreadable_file(&path, &error)),
                }
            }
            found.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
            stamps.append(&mut found);
        }
        (stamps, problems)
    }
}

/// Returns a path as it may be shown: file names may have any character.
fn shown_path(path: &Path) -> String {
    printable::line(&path.display().to_string()).into_owned()
}

fn cannot_read(error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(message!("It cannot be read: {error}"))
        .with_hint(message!("Check that it exists and that this server may read it."))
}

/// Returns the message and the hint of a file that is not a valid transform.
fn into_texts(diagnostic: Diagnostic) -> (Message, Message) {
    let hint = diagnostic.advice().unwrap_or_else(|| Message::verbatim(""));
    (diagnostic.message, hint)
}

fn unreadable_file(path: &Path, error: &std::io::Error) -> Problem {
    let (message, hint) = into_texts(cannot_read(error));
    Problem { file: shown_path(path), message, hint }
}

fn file_stamp(path: PathBuf, about: &fs::Metadata) -> FileStamp {
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(about);
    #[cfg(not(unix))]
    let inode = 0;
    FileStamp { path, size: about.len(), modified: modified.map_or(0, |time| time.as_nanos()), inode }
}

fn read_entry(path: &Path) -> CachedEntry {
    let result = read(path).and_then(|bytes| Ok((validate::inspect(&bytes)?, sha256(&bytes))));
    match result {
        Ok((module, sha256)) => CachedEntry::Transform { manifest: module.manifest, sha256 },
        Err(diagnostic) => {
            let (message, hint) = into_texts(diagnostic);
            CachedEntry::Refused { message, hint }
        }
    }
}

/// Reads a file. Fails if it is larger than [`LARGEST_FILE`]; it is not read then.
fn read(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let cannot = |error: std::io::Error| cannot_read(&error);
    let file = fs::File::open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    let mut bytes = Vec::new();
    if size <= LARGEST_FILE {
        // One more byte than allowed, to notice a file that grows while it is read.
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > LARGEST_FILE {
        return Err(oversize(size));
    }
    Ok(bytes)
}

fn oversize(size: u64) -> Diagnostic {
    Diagnostic::new(message!(
        "It is too large: {size}; at most {limit} are allowed",
        size = bytesize::ByteSize(size),
        limit = bytesize::ByteSize(LARGEST_FILE)
    ))
    .with_hint(message!("Build it with optimisation and without debug information, as `transform build` does."))
}

/// Returns the error of a file that is not a valid transform.
pub(super) fn error(name: &str, diagnostic: &Diagnostic) -> Error {
    diagnostic.to_error(Code::InvalidTransform, &Message::verbatim(printable::line(name)))
}

/// Appends a manifest to a component, for components made by the tools of other languages. Fails if the component or
/// the manifest is invalid.
pub fn with_manifest(name: &str, bytes: &[u8], manifest: &Manifest) -> Result<Vec<u8>> {
    validate::check_manifest(manifest)
        .map_err(|diagnostic| diagnostic.to_error(Code::InvalidTransform, &message!("The manifest")))?;
    let all = validate::with_manifest(bytes, manifest);
    validate::inspect(&all).map_err(|diagnostic| error(name, &diagnostic))?;
    Ok(all)
}

/// Returns the SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the transforms inside this program, with their file names.
fn shipped() -> Result<Vec<(String, Arc<Transform>)>> {
    let mut shipped = Vec::new();
    for file in Shipped::iter() {
        if !file.ends_with(".wasm") {
            continue;
        }
        let Some(embedded) = Shipped::get(&file) else { continue };
        let module = validate::inspect(&embedded.data)
            .map_err(|diagnostic| diagnostic.to_error(Code::Internal, &message!("The shipped transform {file}")))?;
        let transform = Transform {
            manifest: module.manifest,
            sha256: hex(&embedded.metadata.sha256_hash()),
            size: embedded.data.len() as u64,
            origin: Origin::Shipped,
            source: Source::Shipped(file.to_string()),
        };
        shipped.push((file.to_string(), Arc::new(transform)));
    }
    Ok(shipped)
}
