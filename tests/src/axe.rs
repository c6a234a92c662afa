//! Runs the accessibility rules of axe-core in a page.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::Browser;

/// WCAG 2.2 AA and the best practices of axe.
const TAGS: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";

/// The source of axe-core. `None` if npm cannot install it.
static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
    let installed = install();
    let required = std::env::var("E2E_BROWSER").is_ok_and(|value| value == "required");
    match installed {
        Ok(source) => Some(source),
        Err(reason) if required => panic!("E2E_BROWSER=required, but axe-core is missing: {reason}"),
        Err(reason) => {
            // Written directly to standard error: the test runner captures `eprintln!` of passing tests.
            let message =
                format!("\n*** SKIPPED: accessibility is checked only where npm can install axe-core: {reason}\n");
            let _ = std::io::stderr().write_all(message.as_bytes());
            None
        }
    }
});

/// Installs the locked version in the target directory, unless it is there already, and returns its source.
fn install() -> Result<String, String> {
    let package = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/axe"));
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    // A test's own path is <target>/<profile>/deps/<name>.
    let target = test.ancestors().nth(3).ok_or("a test lies in a target directory")?;
    let directory: PathBuf = target.join("axe");
    let source = directory.join("node_modules/axe-core/axe.min.js");
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let lock = read(&package.join("package-lock.json"))?;
    let marker = directory.join("installed.json");
    if read(&marker).is_ok_and(|installed| installed == lock) && source.is_file() {
        return read(&source);
    }
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(package.join(file), directory.join(file)).map_err(|error| error.to_string())?;
    }
    let output = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"])
        .current_dir(&directory)
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    std::fs::write(&marker, lock).map_err(|error| error.to_string())?;
    read(&source)
}

impl Browser {
    /// Checks the current page in the light and dark theme at 320 and 1280 pixels: it must be accessible and not wider
    /// than the view. Restores the theme.
    pub async fn check_themes_and_widths(&self, state: &str) {
        let original = self.run("return document.documentElement.dataset.theme ?? null").await;
        for width in [320, 1280] {
            self.resize(width, 900).await;
            for theme in ["light", "dark"] {
                self.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
                let state = format!("{state}, {theme} at {width} pixels");
                let over = self.run("return document.documentElement.scrollWidth - innerWidth").await;
                assert!(over.as_i64().is_some_and(|pixels| pixels <= 0), "{state} is {over} pixels too wide");
                self.check_accessibility(&state).await;
            }
        }
        let restore = match original.as_str() {
            Some(theme) => format!("document.documentElement.dataset.theme = '{theme}'"),
            None => "delete document.documentElement.dataset.theme".to_owned(),
        };
        self.run(&restore).await;
    }

    /// Checks the current page; `state` is part of the error message. Does nothing if axe-core is not available, which
    /// is printed once.
    pub async fn check_accessibility(&self, state: &str) {
        let Some(source) = AXE.as_deref() else { return };
        if self.run("return typeof axe").await != "object" {
            self.run(source).await;
        }
        let script = format!(
            "const done = arguments[arguments.length - 1];
             axe.run(document, {{ runOnly: {TAGS} }}).then(
               ({{ violations }}) => done(violations.map(({{ id, help, nodes }}) =>
                 [id, help, ...nodes.slice(0, 5).map((node) => node.html.slice(0, 300) + ': ' + node.failureSummary)].join('\\n  '))),
               (error) => done([String(error)]));"
        );
        let found = self.client.execute_async(&script, Vec::new()).await;
        let found = found.unwrap_or_else(|error| panic!("{state}: the rules cannot be run: {error}"));
        let no_violations = Value::Array(Vec::new());
        assert!(found == no_violations, "{state}: {}", serde_json::to_string_pretty(&found).unwrap_or_default());
    }
}
