//! The uploaded files of a job, and their validation before the job starts.

use std::fs;
use std::io::Read;

use super::input_file::{InputFile, in_file};
use super::io_error::with_path;
use super::read::RawRow;
use super::source_choice::{choice_of_users, is_hash_export, open_users};
use super::spec::ImportSpec;
use uie_core::blocking::run_blocking;
use uie_core::error::Result;
use uie_store::Files;

/// Name of the uploaded file of a job, or of the directory of uploaded files.
pub(super) const UPLOAD: &str = "upload";

/// Returns the uploaded files of a job, in order.
pub(super) fn uploads(files: &Files) -> Result<Vec<InputFile<'static>>> {
    let several = files.subdirectory(UPLOAD);
    let path = several.directory();
    if !path.is_dir() {
        return Ok(vec![upload_file(files.clone(), UPLOAD.to_owned(), None)]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| with_path(error, path))? {
        let entry = entry.map_err(|error| with_path(error, path))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let file = |name: String| {
        // Stored names start with a number: it keeps the order and separates files of the same name.
        let shown = name.split_once('-').map_or(&*name, |(_, name)| name).to_owned();
        upload_file(several.clone(), name, Some(shown))
    };
    Ok(names.into_iter().map(file).collect())
}

fn upload_file(files: Files, name: String, shown: Option<String>) -> InputFile<'static> {
    let open = move || match files.open(&name) {
        Ok(file) => Ok(Box::new(file) as Box<dyn Read + Send>),
        Err(error) => Err(with_path(error, &files.path(&name))),
    };
    InputFile { name: shown, open: Box::new(open), reopenable: true }
}

/// Bytes of each uploaded file that [`validate_upload`] reads.
const VALIDATED_BYTES: usize = 8 << 20;

/// Checks the uploaded files of a job before it starts. Fails if a file is empty, has an unknown format, or has a
/// header that does not fit the mapping. Reads small files completely, so that a malformed JSON array is refused at
/// once, and only the beginning of large ones.
pub async fn validate_upload(files: &Files, spec: &ImportSpec) -> Result<()> {
    let (files, spec) = (files.clone(), spec.clone());
    run_blocking(move || {
        let mut inputs = uploads(&files)?;
        let count = inputs.len();
        if count > 1 {
            let mut is_export = Vec::with_capacity(count);
            for input in &mut inputs {
                is_export.push(is_hash_export(spec.source(), input).unwrap_or(false));
            }
            // An export of password hashes alone is imported as users.
            if is_export.contains(&false) {
                let mut is_export = is_export.into_iter();
                inputs.retain(|_| !is_export.next().unwrap_or(false));
            }
        }
        let choice = choice_of_users(spec.source(), inputs.len() < count);
        for InputFile { name, mut open, .. } in inputs {
            let validate = |content| {
                let (mut reader, _) = open_users(content, &spec.headers(), choice)?;
                let mut row = RawRow::default();
                let mut read = 0;
                while read < VALIDATED_BYTES && reader.next(&mut row)? {
                    read += row.bytes.len();
                    // The check reports errors of single rows later.
                    let _ = reader.parse(&row)?;
                }
                Ok(())
            };
            validate(open()?).map_err(in_file(name.as_deref()))?;
        }
        Ok(())
    })
    .await
}
