//! The accessibility rules of axe-core, run in a page.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::Browser;

/// WCAG 2.2 AA and what axe calls best practice.
const TAGS: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";

/// The source of axe-core; none where npm cannot install it.
static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
    let installed = install();
    let required = std::env::var("E2E_BROWSER").is_ok_and(|value| value == "required");
    match installed {
        Ok(source) => Some(source),
        Err(reason) if required => panic!("E2E_BROWSER=required, but axe-core is missing: {reason}"),
        Err(reason) => {
            // Written directly: the test runner swallows what a passing test prints.
            let message =
                format!("\n*** SKIPPED: accessibility is checked only where npm can install axe-core: {reason}\n");
            let _ = std::io::stderr().write_all(message.as_bytes());
            None
        }
    }
});

/// Installs the locked version below the target directory, where it stays until the lock changes.
fn install() -> Result<String, String> {
    let wanted = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/axe"));
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    // A test's own path is <target>/<profile>/deps/<name>.
    let target = test.ancestors().nth(3).ok_or("a test lies in a target directory")?;
    let place: PathBuf = target.join("axe");
    let source = place.join("node_modules/axe-core/axe.min.js");
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let lock = read(&wanted.join("package-lock.json"))?;
    let mark = place.join("installed.json");
    if read(&mark).is_ok_and(|installed| installed == lock) && source.is_file() {
        return read(&source);
    }
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(wanted.join(file), place.join(file)).map_err(|error| error.to_string())?;
    }
    let output = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"])
        .current_dir(&place)
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    std::fs::write(&mark, lock).map_err(|error| error.to_string())?;
    read(&source)
}

impl Browser {
    /// Checks the page as it is now in every look: light and dark, 1280 and 320 pixels wide. Leaves it as it
    /// was.
    pub async fn check_every_look(&self, state: &str) {
        let theme = self.run("return document.documentElement.dataset.theme ?? null").await;
        for width in [320, 1280] {
            self.resize(width, 900).await;
            for look in ["light", "dark"] {
                self.run(&format!("document.documentElement.dataset.theme = '{look}'")).await;
                let state = format!("{state}, {look} at {width} pixels");
                let over = self.run("return document.documentElement.scrollWidth - innerWidth").await;
                assert!(over.as_i64().is_some_and(|pixels| pixels <= 0), "{state} is {over} pixels too wide");
                self.check_accessibility(&state).await;
            }
        }
        let restore = match theme.as_str() {
            Some(theme) => format!("document.documentElement.dataset.theme = '{theme}'"),
            None => "delete document.documentElement.dataset.theme".to_owned(),
        };
        self.run(&restore).await;
    }

    /// Checks the page as it is now; `state` names it where something is found. Does nothing where
    /// axe-core is not available, which is said aloud once.
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
        let none = Value::Array(Vec::new());
        assert!(found == none, "{state}: {}", serde_json::to_string_pretty(&found).unwrap_or_default());
    }
}
