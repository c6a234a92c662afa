//! The text files of the repository.

use std::path::{Path, PathBuf};

/// Extensions of files with code, comments or text. Scripts without an extension are found by their `#!`.
const EXTENSIONS: &[&str] =
    &["css", "html", "java", "js", "json", "md", "mjs", "py", "rs", "sh", "sql", "toml", "wit", "yml"];

/// Directories that hold generated or downloaded files, or inputs of the fuzz targets.
const SKIPPED: &[&str] =
    &[".git", "artifacts", "corpus", "coverage", "data", "found", "node_modules", "prebuilt", "snapshots", "target"];

/// A text file; `path` is relative to the repository, with slashes.
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn is_markdown(&self) -> bool {
        self.extension() == "md"
    }

    pub(crate) fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server is inside the repository").to_owned()
}

/// Returns every text file of the repository, sorted by path.
pub(crate) fn text_files() -> Vec<TextFile> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 300, "only {} text files found", files.len());
    files
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<TextFile>) {
    for entry in std::fs::read_dir(directory).expect("a directory of the repository") {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().expect("the type of a directory entry");
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&entry.path(), &path, files);
            }
        } else if kind.is_file()
            && let Some(text) = read_text(&entry.path())
        {
            files.push(TextFile { path, text });
        }
    }
}

/// Returns the content of a text file; `None` for other files.
fn read_text(path: &Path) -> Option<String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if EXTENSIONS.contains(&extension) => std::fs::read_to_string(path).ok(),
        Some(_) => None,
        None => std::fs::read_to_string(path).ok().filter(|text| text.starts_with("#!")),
    }
}
