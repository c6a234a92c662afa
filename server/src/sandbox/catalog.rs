//! Which transforms there are: those shipped inside the program, and files.

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
use super::intake::{self, Refusal};
use crate::error::{Code, Error, Result};
use crate::printable;

/// Largest file that is taken in, bytes. A transform written in Python is 18 MB, one in Rust 0.1.
pub const LARGEST_FILE: u64 = 32 << 20;

/// Directory below `DATA_DIR` where uploaded transforms are kept.
pub const UPLOADS: &str = "transforms";

/// Directory below [`UPLOADS`] with every version that was uploaded, by the SHA-256 of its file.
pub(super) const VERSIONS: &str = "versions";

/// What is known of files that were looked at before, checked by the present rules for manifests, in the directory of compiled code.
const INDEX: &str = "catalog-2.json";

/// Files in other directories than the present ones that are remembered.
const MOST_KNOWN: usize = 1000;

#[derive(Embed)]
#[folder = "../transforms/prebuilt"]
#[allow_missing = true]
struct Shipped;

/// Where a transform comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It is part of this program.
    Shipped,
    /// A file in `TRANSFORMS_DIR`, or one that was named on the command line.
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
    /// Takes in the bytes of a WASM file. `name` is what messages call it; nothing is compiled or run. An upload
    /// must have no hidden characters in its manifest.
    ///
    /// Fails with [`Code::InvalidTransform`] and says what is wrong and how to mend it.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, origin: Origin) -> Result<Self> {
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(too_large(name, bytes.len() as u64));
        }
        let manifest = intake::look(&bytes).map_err(|refusal| error(name, &refusal))?.manifest;
        if origin == Origin::Upload {
            intake::check_characters(&manifest).map_err(|refusal| error(name, &refusal))?;
        }
        let (sha256, size) = (sha256(&bytes), bytes.len() as u64);
        Ok(Self { manifest, sha256, size, origin, source: Source::Bytes(bytes.into()) })
    }

    /// Takes in a WASM file; a file that is too large is not read.
    pub fn from_file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read(path).map_err(|refusal| error(&name, &refusal))?;
        Self::from_bytes(&name, bytes, Origin::File)
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest as terminals and pages may show it: hidden characters are escaped.
    pub fn shown_manifest(&self) -> Manifest {
        intake::shown_manifest(&self.manifest)
    }

    /// SHA-256 of its file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Size of its file, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Name and version, `mask_email@1.0.0`: what faults and logs call it.
    pub fn label(&self) -> String {
        format!("{}@{}", self.manifest.name, self.manifest.version)
    }

    /// Its file.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Shipped(_) | Source::Bytes(_) => None,
        }
    }

    /// The bytes of its file, which must be those the catalog saw.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match &self.source {
            Source::Bytes(bytes) => Ok(bytes.to_vec()),
            Source::Shipped(file) => Shipped::get(file)
                .map(|file| file.data.into_owned())
                .ok_or_else(|| Error::new(Code::Internal, format!("The shipped transform {file} is missing."))),
            Source::File(path) => {
                let bytes = read(path).map_err(|refusal| error(&path.display().to_string(), &refusal))?;
                if sha256(&bytes) == self.sha256 {
                    return Ok(bytes);
                }
                Err(Error::new(
                    Code::InvalidTransform,
                    format!("{}: The file changed since the job began.", path.display()),
                )
                .with_hint("Start the job again; it takes up the file as it is then."))
            }
        }
    }
}

/// A file that was left out of the catalog, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// The transforms there are.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    transforms: BTreeMap<String, Arc<Transform>>,
    /// Everything that was uploaded, the active versions included.
    versions: Vec<Arc<Transform>>,
    problems: Vec<Problem>,
}

impl Catalog {
    /// The transform of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Transform>> {
        self.transforms.get(name)
    }

    /// All versions of an upload, in the order of their digests.
    pub fn versions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Transform>> {
        self.versions.iter().filter(move |version| version.manifest.name == name)
    }

    /// All uploaded files.
    pub(super) fn uploads(&self) -> &[Arc<Transform>] {
        &self.versions
    }

    /// The transform of a name whose file has this digest: the active version, or another version of
    /// an upload.
    pub fn version(&self, name: &str, sha256: &str) -> Option<&Arc<Transform>> {
        let all = self.get(name).into_iter().chain(&self.versions);
        all.into_iter().find(|transform| transform.manifest.name == name && transform.sha256 == sha256)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.transforms.keys().map(String::as_str)
    }

    /// All transforms, in the order of their names.
    pub fn transforms(&self) -> impl Iterator<Item = &Arc<Transform>> {
        self.transforms.values()
    }

    /// Files that are no transforms, or whose name another has already.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The transform of a name, or an error that names the nearest ones.
    pub fn require(&self, name: &str) -> Result<&Arc<Transform>> {
        self.get(name).ok_or_else(|| {
            let near = nearest(name, self.names());
            let near = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
            Error::new(Code::TransformNotFound, format!("There is no transform called {name:?}.{near}"))
        })
    }

    fn add_version(&mut self, transform: Arc<Transform>) {
        match self.versions.binary_search_by(|known| known.sha256.cmp(&transform.sha256)) {
            // The active version is there twice: under its name and under its digest.
            Ok(_) => {}
            Err(place) => self.versions.insert(place, transform),
        }
    }

    fn add(&mut self, transform: Arc<Transform>, file: &str) {
        match self.transforms.get(&transform.manifest.name) {
            Some(there) => self.problems.push(Problem {
                file: printable::line(file).into_owned(),
                message: format!(
                    "Its name is {}, as that of {}",
                    there.manifest.name,
                    match there.path() {
                        Some(path) => shown_path(path),
                        None => "a transform that is part of this program".to_owned(),
                    }
                ),
                hint: "Rename its function and build it again.".into(),
            }),
            None => {
                self.transforms.insert(transform.manifest.name.clone(), transform);
            }
        }
    }
}

/// The names that somebody who wrote `name` may have meant, nearest first.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<_> = names
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3)
        .collect();
    near.sort_unstable();
    near.into_iter().take(2).map(|(_, known)| known).collect()
}

/// What a file looked like from outside; it is read again when any of it changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Look {
    path: PathBuf,
    size: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    inode: u64,
}

/// What came out of reading a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Found {
    Transform { manifest: Manifest, sha256: String },
    Refused { message: String, hint: String },
}

/// Reads directories of transforms, each file once as long as it does not change.
#[derive(Debug)]
pub(super) struct Shelf {
    directories: Vec<(PathBuf, Origin)>,
    /// The one of them that has versions of uploads.
    versions: PathBuf,
    shipped: Vec<(String, Arc<Transform>)>,
    known: HashMap<Look, Found>,
    catalog: Arc<Catalog>,
    looks: Option<Vec<(Look, Origin)>>,
}

impl Shelf {
    /// A shelf of what is shipped and what is in `directories`; earlier ones win where names clash.
    /// What is in `versions` can be found by its digest only.
    pub(super) fn open(directories: Vec<(PathBuf, Origin)>, versions: PathBuf, cache: &Cache) -> Result<Self> {
        let known: Vec<(Look, Found)> =
            cache.read_note(INDEX).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut shelf = Self {
            directories,
            versions,
            shipped: shipped()?,
            known: known.into_iter().collect(),
            catalog: Arc::default(),
            looks: None,
        };
        shelf.catalog(cache);
        Ok(shelf)
    }

    /// The catalog as the files are now.
    pub(super) fn catalog(&mut self, cache: &Cache) -> Arc<Catalog> {
        let (looks, mut problems) = self.look();
        if self.looks.as_ref() == Some(&looks) && problems == unreadable(&self.catalog) {
            return Arc::clone(&self.catalog);
        }
        let mut known = HashMap::new();
        let mut anew = false;
        let mut catalog = Catalog::default();
        for (file, transform) in &self.shipped {
            catalog.add(Arc::clone(transform), file);
        }
        for (look, origin) in &looks {
            let found = self.known.remove(look).unwrap_or_else(|| {
                anew = true;
                find(&look.path)
            });
            let file = shown_path(&look.path);
            match &found {
                Found::Transform { manifest, sha256 } => {
                    let transform = Arc::new(Transform {
                        manifest: manifest.clone(),
                        sha256: sha256.clone(),
                        size: look.size,
                        origin: *origin,
                        source: Source::File(look.path.clone()),
                    });
                    if *origin == Origin::Upload {
                        catalog.add_version(Arc::clone(&transform));
                    }
                    if look.path.parent() != Some(&self.versions) {
                        catalog.add(transform, &file);
                    }
                }
                Found::Refused { message, hint } => {
                    problems.push(Problem { file, message: message.clone(), hint: hint.clone() });
                }
            }
            known.insert(look.clone(), found);
        }
        catalog.problems.append(&mut problems);
        for problem in &catalog.problems {
            tracing::warn!(file = problem.file, "a transform is left out: {}", problem.message);
        }
        // Commands with other directories share the index: what it knows of those stays, within reason.
        let elsewhere = std::mem::take(&mut self.known)
            .into_iter()
            .filter(|(look, _)| !self.directories.iter().any(|(directory, _)| look.path.parent() == Some(directory)));
        known.extend(elsewhere.take(MOST_KNOWN));
        if anew {
            let index: Vec<_> = known.iter().collect();
            if let Ok(index) = serde_json::to_vec(&index) {
                cache.write_note(INDEX, &index);
            }
        }
        self.known = known;
        self.looks = Some(looks);
        self.catalog = Arc::new(catalog);
        Arc::clone(&self.catalog)
    }

    /// All `.wasm` files of the directories, in order; and what cannot be looked at.
    fn look(&self) -> (Vec<(Look, Origin)>, Vec<Problem>) {
        let (mut looks, mut problems) = (Vec::new(), Vec::new());
        for (directory, origin) in &self.directories {
            let files = match fs::read_dir(directory) {
                Ok(files) => files,
                // Uploads have no directory before the first; TRANSFORMS_DIR may come back.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && *origin == Origin::Upload => continue,
                Err(error) => {
                    problems.push(cannot_read(directory, &error));
                    continue;
                }
            };
            let mut found = Vec::new();
            for path in files.filter_map(|file| Some(file.ok()?.path())) {
                if path.extension().is_none_or(|extension| extension != "wasm") {
                    continue;
                }
                // Follows links: an operator may link to where builds leave their file.
                match fs::metadata(&path) {
                    Ok(about) if about.is_file() => found.push((look(path, &about), *origin)),
                    Ok(_) => {}
                    Err(error) => problems.push(cannot_read(&path, &error)),
                }
            }
            found.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
            looks.append(&mut found);
        }
        (looks, problems)
    }
}

const CANNOT_READ: &str = "It cannot be read: ";

/// A path for a message: names of files may have any character.
fn shown_path(path: &Path) -> String {
    printable::line(&path.display().to_string()).into_owned()
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Problem {
    Problem {
        file: shown_path(path),
        message: format!("{CANNOT_READ}{error}"),
        hint: "Check that it exists and that this server may read it.".into(),
    }
}

/// The problems of a catalog that do not come from what a file holds.
fn unreadable(catalog: &Catalog) -> Vec<Problem> {
    catalog.problems.iter().filter(|problem| problem.message.starts_with(CANNOT_READ)).cloned().collect()
}

fn look(path: PathBuf, about: &fs::Metadata) -> Look {
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(about);
    #[cfg(not(unix))]
    let inode = 0;
    Look { path, size: about.len(), modified: modified.map_or(0, |time| time.as_nanos()), inode }
}

fn find(path: &Path) -> Found {
    let found = read(path).and_then(|bytes| Ok((intake::look(&bytes)?, sha256(&bytes))));
    match found {
        Ok((intake, sha256)) => Found::Transform { manifest: intake.manifest, sha256 },
        Err(refusal) => Found::Refused { message: refusal.message, hint: refusal.hint },
    }
}

/// A file that is not too large; more is never read.
fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let cannot = |error: std::io::Error| {
        let problem = cannot_read(path, &error);
        Refusal { message: problem.message, hint: problem.hint }
    };
    let file = fs::File::open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    let mut bytes = Vec::new();
    if size <= LARGEST_FILE {
        // One more byte than allowed, should it have grown meanwhile.
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > LARGEST_FILE {
        return Err(oversize(size));
    }
    Ok(bytes)
}

fn oversize(size: u64) -> Refusal {
    Refusal {
        message: format!(
            "It is too large: {}, and at most {} are taken in",
            bytesize::ByteSize(size),
            bytesize::ByteSize(LARGEST_FILE)
        ),
        hint: "Build it with optimisation and without debug information, as `transform build` does.".into(),
    }
}

fn too_large(name: &str, size: u64) -> Error {
    error(name, &oversize(size))
}

pub(super) fn error(name: &str, refusal: &Refusal) -> Error {
    let name = printable::line(name);
    Error::new(Code::InvalidTransform, format!("{name}: {}.", refusal.message)).with_hint(refusal.hint.clone())
}

/// SHA-256 in hexadecimal.
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

/// The transforms inside this program.
fn shipped() -> Result<Vec<(String, Arc<Transform>)>> {
    let mut shipped = Vec::new();
    for file in Shipped::iter() {
        if !file.ends_with(".wasm") {
            continue;
        }
        let Some(embedded) = Shipped::get(&file) else { continue };
        let intake = intake::look(&embedded.data).map_err(|refusal| Error {
            code: Code::Internal,
            ..error(&format!("The shipped transform {file}"), &refusal)
        })?;
        let transform = Transform {
            manifest: intake.manifest,
            sha256: hex(&embedded.metadata.sha256_hash()),
            size: embedded.data.len() as u64,
            origin: Origin::Shipped,
            source: Source::Shipped(file.to_string()),
        };
        shipped.push((file.to_string(), Arc::new(transform)));
    }
    Ok(shipped)
}
