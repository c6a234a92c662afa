//! The crates of the server and their source code.

use std::path::{Path, PathBuf};

/// A crate of the workspace below `server/`.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    /// The names of its dependencies, without those of tests and build scripts.
    pub(crate) dependencies: Vec<String>,
}

impl Crate {
    fn read(directory: PathBuf) -> Self {
        let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest in TOML");
        let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
        let mut tables = vec![manifest.get("dependencies")];
        if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
            tables.extend(targets.values().map(|target| target.get("dependencies")));
        }
        let tables = tables.into_iter().flatten().filter_map(toml::Value::as_table);
        let dependencies = tables.flat_map(|table| table.keys().cloned()).collect();
        Self { name, directory, dependencies }
    }

    /// Returns the path below `src` and the text of each source file, without comments and test code.
    pub(crate) fn sources(&self) -> Vec<(String, String)> {
        let root = self.directory.join("src");
        let mut paths = Vec::new();
        collect_files(&root, &mut paths);
        let named = paths.iter().map(|path| {
            let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
            (name, path)
        });
        named
            .filter(|(name, _)| !name.split('/').any(|part| part == "tests" || part == "tests.rs"))
            .map(|(name, path)| (name, shipped_code(&std::fs::read_to_string(path).expect("a source file"))))
            .collect()
    }
}

/// Returns the binary and the crates below `crates/`.
pub(crate) fn crates() -> Vec<Crate> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    let members = std::fs::read_dir(server.join("crates")).expect("the crates");
    let members = members.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let mut directories: Vec<PathBuf> = members.chain([server.to_owned()]).collect();
    directories.sort();
    directories.into_iter().map(Crate::read).collect()
}

fn collect_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the source can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the text without comments and without the inline modules of tests, which are at the end of a file.
fn shipped_code(text: &str) -> String {
    let marks = text.match_indices("#[cfg(").filter(|(at, _)| {
        let mut lines = text[*at..].lines();
        let is_test = lines.next().is_some_and(|line| line.contains("test"));
        is_test && lines.next().is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    });
    let end = marks.map(|(at, _)| at).next();
    let lines = text[..end.unwrap_or(text.len())].lines();
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}
