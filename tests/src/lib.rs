//! Helpers for end-to-end tests: build the real binary, start it with a simulated tenant, drive a real browser. All
//! processes end with the test, also if it panics.

mod axe;
mod browser;
mod installation;
mod session;
pub mod test_server;
mod waiting;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

pub use browser::{Browser, DOWN, ENTER, ESCAPE, Element, Network, SPACE, TAB, browser};
pub use installation::{Installation, Program, free_port};
pub use session::sign_in;
pub use test_server::TestServer;
pub use waiting::{TIMEOUT, wait_for};

/// Returns the path of the product's binary: `PRODUCT_BINARY` if set, otherwise the one of this test's profile,
/// rebuilt if its sources changed.
pub fn binary() -> &'static PathBuf {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        // For example a binary of another profile.
        if let Some(path) = std::env::var_os("PRODUCT_BINARY") {
            return PathBuf::from(path);
        }
        // A test's own path is <target>/<profile>/deps/<name>.
        let test = std::env::current_exe().expect("a running test has a path");
        let profile = test.ancestors().nth(2).expect("a test lies in a target directory").to_owned();
        let target = profile.parent().expect("a profile lies in a target directory");
        let profile_name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let status = Command::new(env!("CARGO"))
            // The same selection of features as `cargo test --workspace`, which has built all this already:
            // an integration test needs its package's binary.
            .args(["test", "--quiet", "--locked", "--workspace", "--no-run", "--test", "http"])
            .args(["--profile", profile_name])
            .arg("--target-dir")
            .arg(target)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the product does not build");
        profile.join(format!("user-import-export{}", std::env::consts::EXE_SUFFIX))
    });
    &BINARY
}

/// Returns a command for the binary that runs in `directory` without the environment of this process.
pub fn command(directory: &std::path::Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().current_dir(directory).env("DATA_DIR", directory.join("data"));
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Returns whether a file name has this extension.
pub fn has_extension(name: &str, extension: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|found| found == extension)
}
