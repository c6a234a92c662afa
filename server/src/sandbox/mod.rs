//! Runs foreign code: transforms, compiled to WASM, with limits they cannot leave (docs/decisions/0005-sandbox.md).
//!
//! A transform is a component without imports: it computes, and reaches nothing else. [`Sandbox`] knows
//! which transforms there are ([`Catalog`]) and compiles them, once (`cache.rs`); a [`Runner`] hands rows
//! to one of them in batches and always has one result per row, whatever the transform does.

mod answers;
mod cache;
mod catalog;
mod check;
mod compile;
mod confine;
mod convert;
mod engine;
mod fault;
mod intake;
mod program;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use transforms_sdk::Value;
use transforms_sdk::manifest::Manifest;
use wasmtime::Engine;

pub use answers::{Answer, Answers};
pub use catalog::{Catalog, LARGEST_FILE, Origin, Problem, Transform, UPLOADS};
pub use check::{Checked, EXAMPLES_TIME};
pub use compile::{SUBCOMMAND, compile_with, serve as serve_compilation};
pub use convert::{DEEPEST, Rows};
pub use engine::{Counting, Stop};
pub use fault::{FaultKind, RowFault};
pub use intake::{TARGET, is_name};
pub use run::{Runner, Usage};

use crate::config::{SecretUser, Settings};
use crate::error::{Code, Error, Result};
use cache::Cache;
use catalog::{Shelf, VERSIONS};
use engine::Ticker;
use program::Ready;

/// Directory of compiled code below `DATA_DIR`.
const COMPILED: &str = "compiled";

/// Largest result of a row, bytes.
const LARGEST_RESULT: u64 = 1 << 20;

/// What a transform may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one instance, bytes (`SANDBOX_MEMORY`).
    pub memory: u64,
    /// Time one row may compute, alone (`SANDBOX_TIMEOUT`): time of the processor, not of the clock.
    pub time: Duration,
    /// Size of one result, bytes; of JSON each element counts 64 bytes at least.
    pub result: u64,
    /// Stack, bytes.
    pub stack: u64,
    /// Rows handed over at once, at most.
    pub batch: usize,
}

impl Limits {
    /// The limits of the settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            memory: settings.sandbox_memory,
            time: settings.sandbox_timeout,
            result: LARGEST_RESULT,
            stack: engine::STACK as u64,
            batch: run::BATCH,
        }
    }
}

/// Transforms and what runs them. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    ticker: Ticker,
    limits: Limits,
    cache: Cache,
    shelf: Mutex<Shelf>,
    /// Compiled transforms by the hash of their file.
    compiled: Mutex<HashMap<String, Ready>>,
    /// Whether code for this engine counts instructions.
    counting: Counting,
    /// Held while something that is shipped is compiled: whoever wants the same waits instead of doing it
    /// again.
    compiling: Mutex<()>,
    /// The same for what is not: nothing foreign keeps what is shipped waiting.
    compiling_foreign: Mutex<()>,
    uploads: PathBuf,
    /// Whether uploads are taken in and used.
    takes_uploads: bool,
    /// Held while uploaded files change.
    changing_uploads: Mutex<()>,
    secret_users: BTreeMap<String, Vec<SecretUser>>,
    /// `TRANSFORMS_DIR` is the directory of uploads.
    uploads_are_the_operators: bool,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sandbox({:?})", self.0.limits)
    }
}

impl Sandbox {
    /// A sandbox with what is shipped, what is in `TRANSFORMS_DIR` and what was uploaded. Compiles nothing.
    pub fn open(settings: &Settings) -> Result<Self> {
        Self::open_counting(settings, Counting::Off)
    }

    /// A sandbox that counts guest instructions, or not.
    pub fn open_counting(settings: &Settings, counting: Counting) -> Result<Self> {
        let engine = engine::engine(counting)?;
        let cache = Cache::new(cache_directory(&settings.data_dir), &engine);
        let uploads = settings.data_dir.join(UPLOADS);
        let mut directories = Vec::new();
        if let Some(directory) = &settings.transforms_dir {
            if !directory.is_dir() {
                return Err(Error::new(
                    Code::InvalidSettings,
                    format!("TRANSFORMS_DIR is {}: expected a directory that exists", directory.display()),
                ));
            }
            directories.push((directory.clone(), Origin::File));
        }
        let uploads_are_the_operators = directories.iter().any(|(directory, _)| same_place(directory, &uploads));
        let versions = uploads.join(VERSIONS);
        if settings.transform_uploads {
            directories.push((uploads.clone(), Origin::Upload));
            directories.push((versions.clone(), Origin::Upload));
        }
        let shelf = Shelf::open(directories, versions, &cache)?;
        Ok(Self(Arc::new(Inner {
            engine,
            ticker: Ticker::new(),
            limits: Limits::of(settings),
            cache,
            shelf: Mutex::new(shelf),
            compiled: Mutex::default(),
            counting,
            compiling: Mutex::default(),
            compiling_foreign: Mutex::default(),
            uploads,
            takes_uploads: settings.transform_uploads,
            changing_uploads: Mutex::default(),
            secret_users: settings.secret_users.clone(),
            uploads_are_the_operators,
        })))
    }

    /// What a transform may take here.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// The transforms there are now: files that changed are read again, and what is left out is warned
    /// about in the log.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner).catalog(&self.0.cache)
    }

    /// Starts a transform. `literals` has one entry per argument of the call: the value where it is the
    /// same for every row, none where rows bring it.
    ///
    /// Compiles it unless that was done before. The runner keeps what it started with, should the file
    /// change. Fails with [`Code::InvalidTransform`] where the transform is broken.
    pub fn start(&self, transform: &Transform, literals: &[Option<Value>]) -> Result<Runner> {
        self.start_until(transform, literals, &Stop::default())
    }

    /// As [`Sandbox::start`]; `stop` ends the compilation and whatever the runner computes.
    pub fn start_until(&self, transform: &Transform, literals: &[Option<Value>], stop: &Stop) -> Result<Runner> {
        let inner = &self.0;
        let program = self.compiled(transform, stop)?;
        let about = (transform.label(), transform.manifest().output);
        Runner::start(&inner.engine, &inner.ticker, program, literals, inner.limits, (&about.0, about.1), stop)
    }

    /// Whether transforms can be uploaded, and uploaded ones are used (`TRANSFORM_UPLOADS`).
    pub fn takes_uploads(&self) -> bool {
        self.0.takes_uploads
    }

    /// Fails with [`Code::UploadsOff`] where uploads are switched off.
    pub fn require_uploads(&self) -> Result<()> {
        if self.takes_uploads() {
            return Ok(());
        }
        Err(Error::new(Code::UploadsOff, "Uploads of transforms are switched off on this server (TRANSFORM_UPLOADS)."))
    }

    /// Whether the settings let this transform have the secret of this name. The digest of its file decides, which
    /// is the digest of the code that [`Sandbox::start`] runs.
    pub fn may_have_secret(&self, transform: &Transform, secret: &str) -> bool {
        match self.0.secret_users.get(secret) {
            Some(users) => users.iter().any(|user| match user {
                SecretUser::Shipped(name) => {
                    transform.origin() == Origin::Shipped && *name == transform.manifest().name
                }
                SecretUser::Sha256(sha256) => sha256 == transform.sha256(),
            }),
            None => transform.origin() != Origin::Upload,
        }
    }

    /// Keeps an uploaded transform as the active version of its name; earlier versions stay. Nothing of it is run:
    /// see [`Sandbox::start`].
    ///
    /// Fails with [`Code::TransformExists`] where the name is taken, unless by an earlier upload, with
    /// [`Code::TooManyTransforms`] where no more can be kept, and where uploads are switched off.
    pub fn keep(&self, transform: &Transform) -> Result<()> {
        self.require_uploads()?;
        let _changing = self.lock_uploads();
        let catalog = self.catalog();
        let name = &transform.manifest().name;
        let active = catalog.get(name);
        if let Some(there) = active.filter(|there| there.origin() != Origin::Upload) {
            return Err(Error::new(
                Code::TransformExists,
                format!("A transform called {name} is there already, and was not uploaded ({}).", there.origin()),
            )
            .with_hint("Rename the function and build it again."));
        }
        if catalog.version(name, transform.sha256()).is_none() {
            let size = catalog.uploads().iter().map(|upload| upload.size()).sum::<u64>() + transform.size();
            if catalog.uploads().len() >= MOST_UPLOADS || size > UPLOADS_SIZE {
                return Err(Error::new(
                    Code::TooManyTransforms,
                    format!(
                        "At most {MOST_UPLOADS} uploaded versions of transforms, with {} together, are kept.",
                        bytesize::ByteSize(UPLOADS_SIZE)
                    ),
                ));
            }
        }
        // Uploads of release 3.0 have no copy among the versions yet.
        if let Some(active) = active {
            self.keep_version(active)?;
        }
        self.keep_version(transform)?;
        self.make_active(name, &transform.bytes()?)
    }

    /// Makes another uploaded version the one that new expressions call.
    pub fn activate(&self, name: &str, sha256: &str) -> Result<Arc<Transform>> {
        self.require_uploads()?;
        let _changing = self.lock_uploads();
        let catalog = self.catalog();
        let version = uploaded_version(&catalog, name, sha256)?;
        if let Some(active) = catalog.get(name).filter(|active| active.origin() == Origin::Upload) {
            self.keep_version(active)?;
        }
        self.make_active(name, &version.bytes()?)?;
        Ok(Arc::clone(self.catalog().require(name)?))
    }

    /// Removes an uploaded transform with all its versions, or one version of it. Jobs that run it go on.
    ///
    /// Fails with [`Code::TransformActive`] for the active version while there are others: another one would take
    /// its place unasked. Gives the digests of what was removed.
    pub fn remove(&self, name: &str, sha256: Option<&str>) -> Result<Vec<String>> {
        self.require_uploads()?;
        let _changing = self.lock_uploads();
        let catalog = self.catalog();
        let transform = catalog.require(name)?;
        if transform.origin() != Origin::Upload {
            return Err(Error::new(
                Code::TransformExists,
                format!(
                    "The transform {name} was not uploaded ({}), so it cannot be removed here.",
                    transform.origin()
                ),
            )
            .with_hint("Only uploaded transforms can be removed; files in TRANSFORMS_DIR are removed there."));
        }
        let mut removed: Vec<String> = catalog.versions(name).map(|version| version.sha256().to_owned()).collect();
        if let Some(sha256) = sha256 {
            let version = uploaded_version(&catalog, name, sha256)?;
            if version.sha256() == transform.sha256() && removed.len() > 1 {
                return Err(Error::new(
                    Code::TransformActive,
                    format!("This version of {name} is the active one, and there are {} others.", removed.len() - 1),
                ));
            }
            removed.retain(|removed| removed == version.sha256());
        }
        for sha256 in &removed {
            remove_if_there(&self.version_path(sha256))?;
            if sha256 == transform.sha256()
                && let Some(path) = transform.path()
            {
                remove_if_there(path)?;
            }
        }
        Ok(removed)
    }

    fn lock_uploads(&self) -> std::sync::MutexGuard<'_, ()> {
        self.0.changing_uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version_path(&self, sha256: &str) -> PathBuf {
        self.0.uploads.join(VERSIONS).join(format!("{sha256}.wasm"))
    }

    /// Puts a file among the versions unless it is there.
    fn keep_version(&self, transform: &Transform) -> Result<()> {
        let path = self.version_path(transform.sha256());
        if path.is_file() {
            return Ok(());
        }
        std::fs::create_dir_all(self.0.uploads.join(VERSIONS))?;
        write_whole(&path, &transform.bytes()?)
    }

    /// Puts a file under the name of its transform.
    fn make_active(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::create_dir_all(&self.0.uploads)?;
        write_whole(&self.0.uploads.join(format!("{name}.wasm")), bytes)
    }

    /// Removes everything that admins uploaded, and what was compiled or noted of anything that is not part of
    /// this program. Files of `TRANSFORMS_DIR` are the operator's and stay.
    pub fn forget_uploads(&self) -> Result<()> {
        let inner = &self.0;
        if !inner.uploads_are_the_operators {
            match std::fs::remove_dir_all(&inner.uploads) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let catalog = self.catalog();
        let shipped = catalog.transforms().filter(|transform| transform.origin() == Origin::Shipped);
        let shipped: Vec<&str> = shipped.map(|transform| transform.sha256()).collect();
        self.lock_compiled().retain(|sha256, _| shipped.contains(&sha256.as_str()));
        // Of DATA_DIR alone: elsewhere commands keep what they compile.
        Ok(cache::keep_only(&inner.uploads.with_file_name(COMPILED), &shipped)?)
    }

    fn compiled(&self, transform: &Transform, stop: &Stop) -> Result<Ready> {
        let inner = &self.0;
        let sha256 = transform.sha256();
        if let Some(ready) = self.lock_compiled().get(sha256) {
            return Ok(ready.clone());
        }
        let compiling = if transform.origin() == Origin::Shipped { &inner.compiling } else { &inner.compiling_foreign };
        let _compiling = compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = self.lock_compiled().get(sha256) {
            return Ok(ready.clone());
        }
        let program = if let Some(program) = inner.cache.load(&inner.engine, sha256) {
            program
        } else {
            let program = compile::compile(&inner.engine, inner.counting, transform, stop)?;
            inner.cache.keep(sha256, &program);
            program
        };
        let ready = program
            .link(&inner.engine)
            .map_err(|error| breach(&transform.label(), &intake::one_line(&format!("{error:#}"))))?;
        let mut compiled = self.lock_compiled();
        if !compiled.contains_key(sha256) && compiled.len() >= KEPT_READY {
            compiled.clear();
        }
        compiled.insert(sha256.to_owned(), ready.clone());
        Ok(ready)
    }

    fn lock_compiled(&self) -> std::sync::MutexGuard<'_, HashMap<String, Ready>> {
        self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version of an uploaded transform.
fn uploaded_version<'a>(catalog: &'a Catalog, name: &str, sha256: &str) -> Result<&'a Arc<Transform>> {
    catalog.uploads().iter().find(|version| version.manifest().name == name && version.sha256() == sha256).ok_or_else(
        || Error::new(Code::TransformNotFound, format!("There is no uploaded version of {name:?} with this SHA-256.")),
    )
}

/// Writes a file so that no reader sees a part of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| Error::from(error.error))?;
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Uploaded files that are kept, versions included.
const MOST_UPLOADS: usize = 200;

/// Size of all of them together, bytes.
const UPLOADS_SIZE: u64 = 1 << 30;

/// Compiled transforms kept in memory; each is some hundred kilobytes, and loading one again is quick.
const KEPT_READY: usize = 64;

/// The bytes with a manifest at their end: for components that tools for other languages made. Fails where
/// either is not what it should be.
pub fn with_manifest(name: &str, bytes: &[u8], manifest: &Manifest) -> Result<Vec<u8>> {
    intake::check_manifest(manifest).map_err(|refusal| catalog::error("The manifest", &refusal))?;
    let all = intake::with_manifest(bytes, manifest);
    intake::look(&all).map_err(|refusal| catalog::error(name, &refusal))?;
    Ok(all)
}

/// Whether two paths lead to one directory that exists.
fn same_place(left: &Path, right: &Path) -> bool {
    left.canonicalize().ok().zip(right.canonicalize().ok()).is_some_and(|(left, right)| left == right)
}

/// Where compiled code is kept: below DATA_DIR, or, for commands that have none, where this person's caches
/// are.
fn cache_directory(data_dir: &Path) -> Option<PathBuf> {
    if data_dir.is_dir() {
        return Some(data_dir.join(COMPILED));
    }
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = set("XDG_CACHE_HOME").or_else(|| {
        let home = set("HOME")?;
        Some(if cfg!(target_os = "macos") { home.join("Library/Caches") } else { home.join(".cache") })
    })?;
    Some(caches.join("user-import-export").join(COMPILED))
}

/// A transform that is not of the contract.
fn breach(label: &str, what: &str) -> Error {
    Error::new(Code::InvalidTransform, format!("{label} does not keep to the contract: {what}.")).with_hint(
        "Build it against the WIT package user-import-export:transform@1.0.0, which `transform new` sets up.",
    )
}
