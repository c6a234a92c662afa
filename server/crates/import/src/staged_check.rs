//! Checks the uploaded files of a job in a temporary directory, and moves the result to the directory of the job.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::check_run::{Outputs, check_rows};
use super::chunks::{ChunkWriter, IDENTITIES, IdentityFile};
use super::detected_inputs::{INPUTS_FILE, write_inputs};
use super::faults::{self, FaultFile};
use super::io_error::with_path;
use super::spec::ImportSpec;
use super::upload::uploads;
use uie_core::blocking::run_blocking;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;
use uie_store::{CheckedImport, Files, Store};

/// Stops the blocking check when the future that waits for it is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Checks the whole file and writes chunks and row errors. They are written to a temporary directory, since an
/// abandoned check may still be running when the next one starts, and become valid when they are registered in the
/// store.
pub(super) async fn check_upload(
    job_id: &str,
    spec: &ImportSpec,
    files: &Files,
    store: &Store,
    progress: &Arc<Progress>,
) -> Result<()> {
    let directory = files.directory();
    for entry in fs::read_dir(directory).map_err(|error| with_path(error, directory))? {
        let path = entry.map_err(|error| with_path(error, directory))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("check-")) {
            // Left by an abandoned check; if that still runs, removing its directory makes it fail.
            let _ = fs::remove_dir_all(&path);
        }
    }
    let staging_files = files.subdirectory(&format!("check-{:016x}", rand::random::<u64>()));
    let staging = staging_files.directory().to_owned();
    staging_files.create_directory().map_err(|error| with_path(error, &staging))?;
    let stop = Arc::new(AtomicBool::new(false));
    let guard = StopOnDrop(Arc::clone(&stop));
    let (summary, written) = {
        let (spec, files, staging) = (spec.clone(), files.clone(), staging_files);
        let progress = Arc::clone(progress);
        run_blocking(move || {
            let request = spec.request();
            let writer = if request.dry_run {
                None
            } else {
                Some(ChunkWriter::new(staging.subdirectory("chunks"), Some(staging.subdirectory("rows")))?)
            };
            let identities = request.look_up.then(|| IdentityFile::create(&staging)).transpose()?;
            let mut faults = FaultFile::for_check(&staging)?;
            let checked = check_rows(
                &spec,
                uploads(&files)?,
                Outputs { chunks: writer, identities },
                staging.directory(),
                &mut |fault| faults.push(fault),
                &mut |summary| {
                    if summary.rows() % 1000 == 1 {
                        progress.set_details(Some(message!("Checking the file: row {row}", row = summary.rows())));
                        progress.set_processed(if request.dry_run { summary.total } else { summary.failed });
                    }
                    if stop.load(Ordering::Relaxed) {
                        return Err(Error::new(Code::Canceled, message!("The check was abandoned.")));
                    }
                    progress.check()
                },
            );
            progress.set_details(None);
            let checked = checked?;
            faults.finish()?;
            write_inputs(&staging, &checked.0)?;
            Ok(checked)
        })
        .await
    }
    .inspect_err(|_| {
        let _ = fs::remove_dir_all(&staging);
    })?;
    drop(guard);
    for name in ["chunks", "rows", IDENTITIES, faults::DIRECTORY, INPUTS_FILE] {
        let (from, to) = (staging.join(name), directory.join(name));
        if to.is_dir() {
            fs::remove_dir_all(&to).map_err(|error| with_path(error, &to))?;
        }
        if from.exists() {
            fs::rename(&from, &to).map_err(|error| with_path(error, &to))?;
        }
    }
    fs::remove_dir(&staging).map_err(|error| with_path(error, &staging))?;
    let checked = CheckedImport { total: summary.total, refused: summary.failed, warnings: summary.warnings };
    let rows: Vec<u64> = written.iter().map(|chunk| chunk.rows).collect();
    store.register_import(job_id, checked, &rows).await
}
