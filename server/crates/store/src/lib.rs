//! State below DATA_DIR: SQLite (write-ahead log) for jobs and history, files for uploads and artifacts. The files,
//! and secret values in the database, are encrypted under a data key, which `EXTENSION_SECRET` wraps.
//!
//! An exclusive lock on DATA_DIR ensures that one process at a time uses it. Therefore no other process runs the
//! unfinished jobs that a restarted server finds.

mod clock;
mod data_dir_identity;
mod data_key;
mod files;
mod import_chunks;
mod job_rights;
mod jobs;
mod migrations;
mod opening;
mod ownership;
mod presets;
mod sessions;
mod storage_error;
mod store;
mod transform_uploads;

pub use clock::StoredClock;
pub use files::{FileReader, FileWriter, Files, TempFile};
pub use import_chunks::{CheckedImport, ChunkOutcome, ChunkState, ImportChunk};
pub use job_rights::JobRights;
pub use jobs::{JobKind, JobRecord, JobState, NewJob};
pub use presets::{PRESET_LIMIT, PRESET_QUOTA, Preset, PresetEntry};
pub use sessions::{SessionRecord, SessionSelection};
pub use store::Store;
pub use transform_uploads::TransformUpload;
