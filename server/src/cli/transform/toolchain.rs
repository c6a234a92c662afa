//! Finds a Rust compiler for the sandbox's target. The error names what to install.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_sandbox::TARGET;

/// Linkers for WASM outside of a Rust toolchain, newest first.
const LINKERS: &[&str] = &["wasm-ld", "wasm-ld-22", "wasm-ld-21", "wasm-ld-20", "wasm-ld-19"];

/// A compiler that can build for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toolchain {
    rustc: PathBuf,
    std: Std,
}

/// The source of the target's standard library.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Std {
    /// It is installed.
    Installed,
    /// It is built from the compiler's own sources.
    Sources { linker: Option<PathBuf> },
}

/// A found compiler.
#[derive(Clone, Debug)]
struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
    host: String,
}

impl Toolchain {
    /// Returns the first compiler with the target installed, or else the first one with its sources and a linker. Fails
    /// with [`Code::ToolchainMissing`].
    pub(super) fn find() -> Result<Self> {
        let mut candidates: Vec<PathBuf> = std::env::var_os("RUSTC").map(PathBuf::from).into_iter().collect();
        candidates.extend(["rustc".into(), "/usr/bin/rustc".into()]);
        let compilers: Vec<_> = candidates.iter().filter_map(|rustc| Compiler::inspect(rustc)).collect();
        let path = std::env::var_os("PATH").unwrap_or_default();
        choose(&compilers, &path).ok_or_else(|| toolchain_missing(&compilers))
    }

    /// Returns a cargo command in `directory` that uses this compiler. Add [`Toolchain::arguments`] after the
    /// subcommand.
    pub(super) fn cargo(&self, directory: &Path) -> Command {
        let mut command = cargo(directory);
        command.env("RUSTC", &self.rustc);
        if let Std::Sources { linker } = &self.std {
            // Allows a stable compiler the unstable option for building the standard library.
            command.env("RUSTC_BOOTSTRAP", "1");
            if let Some(linker) = linker {
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
        command
    }

    /// Returns the arguments of `cargo build` in addition to `--target`.
    pub(super) fn arguments(&self) -> &'static [&'static str] {
        match self.std {
            Std::Installed => &[],
            Std::Sources { .. } => &["-Zbuild-std=core,alloc,std,panic_abort"],
        }
    }
}

/// Returns a cargo command in a directory.
pub(super) fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(directory);
    command
}

impl Compiler {
    fn inspect(rustc: &Path) -> Option<Self> {
        let ask = |arguments: &[&str]| {
            let output = Command::new(rustc).args(arguments).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
        let version = ask(&["--version", "--verbose"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.trim().to_owned();
        Some(Self { rustc: rustc.to_owned(), sysroot, host })
    }

    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    fn has_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/std").is_dir()
    }

    fn has_linker(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld").is_file()
    }
}

fn choose(compilers: &[Compiler], path: &std::ffi::OsStr) -> Option<Toolchain> {
    if let Some(compiler) = compilers.iter().find(|compiler| compiler.has_target()) {
        return Some(Toolchain { rustc: compiler.rustc.clone(), std: Std::Installed });
    }
    let linker = LINKERS.iter().find_map(|linker| {
        std::env::split_paths(path).map(|directory| directory.join(linker)).find(|file| file.is_file())
    });
    compilers.iter().filter(|compiler| compiler.has_sources()).find_map(|compiler| {
        let linker = if compiler.has_linker() { None } else { Some(linker.clone()?) };
        Some(Toolchain { rustc: compiler.rustc.clone(), std: Std::Sources { linker } })
    })
}

fn toolchain_missing(compilers: &[Compiler]) -> Error {
    let (message, hint) = if compilers.is_empty() {
        (
            "No Rust compiler was found".to_owned(),
            format!("Install Rust from https://rustup.rs, then run: rustup target add {TARGET}"),
        )
    } else {
        let found: Vec<_> = compilers.iter().map(|compiler| compiler.rustc.display().to_string()).collect();
        let sources = compilers.iter().any(Compiler::has_sources);
        (
            format!("None of the Rust compilers found ({}) can build for {TARGET}", found.join(", ")),
            if sources {
                "The sources of the standard library are there, a linker for WASM is not. Debian and Ubuntu: apt-get install lld".to_owned()
            } else {
                format!(
                    "With rustup: rustup target add {TARGET}. On Debian: apt-get install rustc-web rust-web-src lld-19 libclang-rt-19-dev-wasm32"
                )
            },
        )
    };
    Error::new(Code::ToolchainMissing, message!("{message}.")).with_hint(Message::verbatim(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(root: &Path, name: &str, has: &[&str]) -> Compiler {
        let sysroot = root.join(name);
        for path in has {
            std::fs::create_dir_all(sysroot.join("lib/rustlib").join(path)).expect("a directory");
        }
        Compiler { rustc: name.into(), sysroot, host: "this-machine".into() }
    }

    #[test]
    fn an_installed_target_is_preferred_and_sources_need_a_linker() {
        let root = tempfile::tempdir().expect("a directory");
        let none = compiler(root.path(), "none", &["this-machine/lib"]);
        let sources = compiler(root.path(), "sources", &["src/rust/library/std"]);
        let target = compiler(root.path(), "target", &["wasm32-unknown-unknown/lib"]);
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).expect("a directory");
        let choose = |compilers: &[Compiler]| choose(compilers, bin.as_os_str());

        let chosen = choose(&[none.clone(), sources.clone(), target]).expect("the target is installed");
        assert_eq!((chosen.rustc.as_path(), chosen.std), (Path::new("target"), Std::Installed));
        assert_eq!(choose(&[none.clone(), sources.clone()]), None);
        assert!(toolchain_missing(&[none.clone(), sources.clone()]).to_string().contains("apt-get install lld"));
        assert!(
            toolchain_missing(std::slice::from_ref(&none))
                .to_string()
                .contains("rustup target add wasm32-unknown-unknown")
        );
        assert!(toolchain_missing(&[]).to_string().contains("https://rustup.rs"));

        std::fs::write(bin.join("wasm-ld-19"), "").expect("a linker");
        let chosen = choose(&[none, sources]).expect("sources and a linker");
        assert_eq!(chosen.std, Std::Sources { linker: Some(bin.join("wasm-ld-19")) });
        assert_eq!(chosen.arguments().len(), 1);
    }
}
