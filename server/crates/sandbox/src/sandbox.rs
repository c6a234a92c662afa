//! The sandbox: the available transforms, their compiled code, and the uploaded files.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use transforms_sdk::Value;
use wasmtime::Engine;

use super::cache::{self, Cache};
use super::catalog::{Catalog, Origin, Registry, Transform, UPLOADS, VERSIONS};
use super::compile;
use super::compiled_transform::{CompiledTransform, PreparedTransform};
use super::engine::{self, FuelMetering, StopSignal, Ticker};
use super::limits::Limits;
use super::runner::Runner;
use super::validate::{contract_violation, one_line};
use uie_core::config::{SecretUser, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

/// Directory of compiled code below `DATA_DIR`.
pub(super) const COMPILED: &str = "compiled";

/// Maximum number of uploaded files, including versions.
const MAX_UPLOADS: usize = 200;

/// Maximum size of all uploaded files together, in bytes.
const MAX_UPLOAD_BYTES: u64 = 1 << 30;

/// Maximum number of compiled transforms in memory. Each has a few hundred kilobytes, and loading one again is fast.
const MAX_PREPARED: usize = 64;

/// The available transforms, and the engine that runs them. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    ticker: Ticker,
    limits: Limits,
    cache: Cache,
    registry: Mutex<Registry>,
    /// Compiled transforms by the SHA-256 of their file.
    compiled: Mutex<HashMap<String, PreparedTransform>>,
    /// Whether code for this engine counts instructions.
    metering: FuelMetering,
    /// Locked while a shipped transform is compiled, so that concurrent callers do not compile it twice.
    compile_lock: Mutex<()>,
    /// The same for other transforms: they do not delay the compilation of shipped ones.
    foreign_compile_lock: Mutex<()>,
    uploads: PathBuf,
    /// Whether transforms can be uploaded and uploaded ones are used.
    takes_uploads: bool,
    /// Locked while uploaded files change.
    uploads_lock: Mutex<()>,
    secret_users: BTreeMap<String, Vec<SecretUser>>,
    /// Whether `TRANSFORMS_DIR` is the directory of uploads.
    uploads_are_the_operators: bool,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sandbox({:?})", self.0.limits)
    }
}

impl Sandbox {
    /// Creates a sandbox with the shipped transforms, those in `TRANSFORMS_DIR` and the uploaded ones. Does not compile
    /// them.
    ///
    /// Fails with [`Code::InvalidSettings`] if `TRANSFORMS_DIR` is not a directory.
    pub fn open(settings: &Settings) -> Result<Self> {
        Self::open_with_metering(settings, FuelMetering::Off)
    }

    /// Like [`Sandbox::open`], optionally counting guest instructions.
    pub fn open_with_metering(settings: &Settings, metering: FuelMetering) -> Result<Self> {
        let engine = engine::engine(metering)?;
        let cache = Cache::new(cache_directory(&settings.data_dir), &engine);
        let uploads = settings.data_dir.join(UPLOADS);
        let mut directories = Vec::new();
        if let Some(directory) = &settings.transforms_dir {
            if !directory.is_dir() {
                return Err(Error::new(
                    Code::InvalidSettings,
                    message!(
                        "TRANSFORMS_DIR is {directory}: expected a directory that exists",
                        directory = directory.display()
                    ),
                ));
            }
            directories.push((directory.clone(), Origin::File));
        }
        let uploads_are_the_operators = directories.iter().any(|(directory, _)| is_same_directory(directory, &uploads));
        let versions = uploads.join(VERSIONS);
        if settings.transform_uploads {
            directories.push((uploads.clone(), Origin::Upload));
            directories.push((versions.clone(), Origin::Upload));
        }
        let registry = Registry::open(directories, versions, &cache)?;
        Ok(Self(Arc::new(Inner {
            engine,
            ticker: Ticker::new(),
            limits: Limits::of(settings),
            cache,
            registry: Mutex::new(registry),
            compiled: Mutex::default(),
            metering,
            compile_lock: Mutex::default(),
            foreign_compile_lock: Mutex::default(),
            uploads,
            takes_uploads: settings.transform_uploads,
            uploads_lock: Mutex::default(),
            secret_users: settings.secret_users.clone(),
            uploads_are_the_operators,
        })))
    }

    /// Returns the limits of transforms.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Returns the current catalog. Files that changed are read again; files that are not valid transforms are logged
    /// as warnings.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.registry.lock().unwrap_or_else(PoisonError::into_inner).catalog(&self.0.cache)
    }

    /// Creates a runner of a transform. `literals` has one entry per argument of the call: the value if it is a
    /// literal, `None` if each row has its own value.
    ///
    /// Compiles the transform unless that was done before. The runner does not change if the file changes. Fails with
    /// [`Code::InvalidTransform`] if the transform cannot be compiled or instantiated.
    pub fn start(&self, transform: &Transform, literals: &[Option<Value>]) -> Result<Runner> {
        self.start_until(transform, literals, &StopSignal::default())
    }

    /// Like [`Sandbox::start`]; `stop` stops the compilation and the runner.
    pub fn start_until(&self, transform: &Transform, literals: &[Option<Value>], stop: &StopSignal) -> Result<Runner> {
        let inner = &self.0;
        let prepared = self.prepare(transform, stop)?;
        let label = transform.label();
        let about = (label.as_str(), transform.manifest().output);
        Runner::start(&inner.engine, &inner.ticker, prepared, literals, inner.limits, about, stop)
    }

    /// Whether transforms can be uploaded, and uploaded ones are used (`TRANSFORM_UPLOADS`).
    pub fn takes_uploads(&self) -> bool {
        self.0.takes_uploads
    }

    /// Fails with [`Code::UploadsOff`] if uploads are switched off.
    pub fn require_uploads(&self) -> Result<()> {
        if self.takes_uploads() {
            return Ok(());
        }
        Err(Error::new(
            Code::UploadsOff,
            message!("Uploads of transforms are switched off on this server (TRANSFORM_UPLOADS)."),
        ))
    }

    /// Whether the settings allow this transform to use the secret of this name. Settings name transforms by the digest
    /// of the file that [`Sandbox::start`] runs, or shipped ones by name.
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

    /// Stores an uploaded transform as the active version of its name and keeps earlier versions. Does not run it.
    ///
    /// Fails with [`Code::TransformExists`] if the name is used by a transform that was not uploaded, with
    /// [`Code::TooManyTransforms`] if the limits of uploads are reached, and with [`Code::UploadsOff`] if uploads are
    /// switched off.
    pub fn keep(&self, transform: &Transform) -> Result<()> {
        self.require_uploads()?;
        let _lock = self.lock_uploads();
        let catalog = self.catalog();
        let name = &transform.manifest().name;
        let active = catalog.get(name);
        if let Some(existing) = active.filter(|active| active.origin() != Origin::Upload) {
            let origin = existing.origin();
            let message = message!("A transform called {name} already exists and was not uploaded ({origin}).");
            return Err(Error::new(Code::TransformExists, message)
                .with_hint(message!("Rename the function and build it again.")));
        }
        if catalog.version(name, transform.sha256()).is_none() {
            let size = catalog.uploads().iter().map(|upload| upload.size()).sum::<u64>() + transform.size();
            if catalog.uploads().len() >= MAX_UPLOADS || size > MAX_UPLOAD_BYTES {
                return Err(Error::new(
                    Code::TooManyTransforms,
                    message!(
                        "At most {count} uploaded versions of transforms, with {size} together, are kept.",
                        count = MAX_UPLOADS,
                        size = bytesize::ByteSize(MAX_UPLOAD_BYTES)
                    ),
                ));
            }
        }
        // Release 3.0 did not store a copy among the versions.
        if let Some(active) = active {
            self.keep_version(active)?;
        }
        self.keep_version(transform)?;
        self.make_active(name, &transform.bytes()?)
    }

    /// Makes an uploaded version the active one, which new expressions call. Fails with [`Code::TransformNotFound`] if
    /// there is no such version.
    pub fn activate(&self, name: &str, sha256: &str) -> Result<Arc<Transform>> {
        self.require_uploads()?;
        let _lock = self.lock_uploads();
        let catalog = self.catalog();
        let version = uploaded_version(&catalog, name, sha256)?;
        if let Some(active) = catalog.get(name).filter(|active| active.origin() == Origin::Upload) {
            self.keep_version(active)?;
        }
        self.make_active(name, &version.bytes()?)?;
        Ok(Arc::clone(self.catalog().require(name)?))
    }

    /// Removes an uploaded transform with all its versions, or one version of it, and returns the digests of the
    /// removed versions. Jobs that run it are not affected.
    ///
    /// Fails with [`Code::TransformActive`] for the active version while there are others: the caller must activate one
    /// of them first.
    pub fn remove(&self, name: &str, sha256: Option<&str>) -> Result<Vec<String>> {
        self.require_uploads()?;
        let _lock = self.lock_uploads();
        let catalog = self.catalog();
        let transform = catalog.require(name)?;
        if transform.origin() != Origin::Upload {
            let origin = transform.origin();
            let message = message!("The transform {name} was not uploaded ({origin}), so it cannot be removed here.");
            return Err(Error::new(Code::TransformExists, message).with_hint(message!(
                "Only uploaded transforms can be removed; files in TRANSFORMS_DIR are removed there."
            )));
        }
        let mut removed: Vec<String> = catalog.versions(name).map(|version| version.sha256().to_owned()).collect();
        if let Some(sha256) = sha256 {
            let version = uploaded_version(&catalog, name, sha256)?;
            if version.sha256() == transform.sha256() && removed.len() > 1 {
                let others = removed.len() - 1;
                return Err(Error::new(
                    Code::TransformActive,
                    message!("This version of {name} is the active one, and there are {others} others."),
                ));
            }
            removed.retain(|removed| removed == version.sha256());
        }
        for sha256 in &removed {
            remove_if_exists(&self.version_path(sha256))?;
            if sha256 == transform.sha256()
                && let Some(path) = transform.path()
            {
                remove_if_exists(path)?;
            }
        }
        Ok(removed)
    }

    fn lock_uploads(&self) -> std::sync::MutexGuard<'_, ()> {
        self.0.uploads_lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version_path(&self, sha256: &str) -> PathBuf {
        self.0.uploads.join(VERSIONS).join(format!("{sha256}.wasm"))
    }

    /// Stores a file among the versions unless it already exists.
    fn keep_version(&self, transform: &Transform) -> Result<()> {
        let path = self.version_path(transform.sha256());
        if path.is_file() {
            return Ok(());
        }
        std::fs::create_dir_all(self.0.uploads.join(VERSIONS))?;
        write_atomically(&path, &transform.bytes()?)
    }

    /// Stores a file under the name of its transform.
    fn make_active(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::create_dir_all(&self.0.uploads)?;
        write_atomically(&self.0.uploads.join(format!("{name}.wasm")), bytes)
    }

    /// Removes all uploaded files, and the cached code and metadata of all transforms that are not part of this
    /// program. Files in `TRANSFORMS_DIR` belong to the operator and are kept.
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
        // Only in DATA_DIR: the cache directory of commands is not touched.
        Ok(cache::retain(&inner.uploads.with_file_name(COMPILED), &shipped)?)
    }

    /// Returns a transform ready to be instantiated: from memory, from the cache, or compiled now.
    fn prepare(&self, transform: &Transform, stop: &StopSignal) -> Result<PreparedTransform> {
        let inner = &self.0;
        let sha256 = transform.sha256();
        if let Some(prepared) = self.lock_compiled().get(sha256) {
            return Ok(prepared.clone());
        }
        let lock =
            if transform.origin() == Origin::Shipped { &inner.compile_lock } else { &inner.foreign_compile_lock };
        let _lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = self.lock_compiled().get(sha256) {
            return Ok(prepared.clone());
        }
        let compiled = if let Some(cached) = self.load_cached(transform) {
            cached
        } else {
            let compiled = compile::compile(&inner.engine, inner.metering, transform, stop)?;
            inner.cache.store(sha256, &compiled);
            compiled
        };
        let prepared = compiled.link(&inner.engine).map_err(|error| {
            let reason = Message::verbatim(one_line(&format!("{error:#}")));
            contract_violation(&transform.label(), &reason)
        })?;
        let mut all = self.lock_compiled();
        if !all.contains_key(sha256) && all.len() >= MAX_PREPARED {
            all.clear();
        }
        all.insert(sha256.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Returns the compiled code of a transform from the cache. `None` if it is not there, or cannot be used.
    pub(super) fn load_cached(&self, transform: &Transform) -> Option<CompiledTransform> {
        self.0.cache.load(&self.0.engine, transform.sha256())
    }

    fn lock_compiled(&self) -> std::sync::MutexGuard<'_, HashMap<String, PreparedTransform>> {
        self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a version of an uploaded transform.
fn uploaded_version<'a>(catalog: &'a Catalog, name: &str, sha256: &str) -> Result<&'a Arc<Transform>> {
    catalog.uploads().iter().find(|version| version.manifest().name == name && version.sha256() == sha256).ok_or_else(
        || Error::new(Code::TransformNotFound, message!("There is no uploaded version of {name:?} with this SHA-256.")),
    )
}

/// Writes a file atomically: no reader sees a part of it.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| Error::from(error.error))?;
    Ok(())
}

fn remove_if_exists(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether two paths lead to the same existing directory.
fn is_same_directory(left: &Path, right: &Path) -> bool {
    left.canonicalize().ok().zip(right.canonicalize().ok()).is_some_and(|(left, right)| left == right)
}

/// Returns the directory of compiled code: below DATA_DIR, or, for commands without DATA_DIR, in the user's cache
/// directory. `None` if there is neither.
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
