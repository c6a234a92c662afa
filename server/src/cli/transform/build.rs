//! `transform build`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytesize::ByteSize;
use clap::Args;
use serde::Deserialize;
use transforms_sdk::manifest::Manifest;

use super::toolchain::Toolchain;
use crate::error::{Code, Error, Result};
use crate::sandbox::{self, Origin, Sandbox, TARGET, Transform};

/// Arguments of `transform build`.
#[derive(Args, Debug)]
pub(super) struct BuildArgs {
    /// Its crate; or, with --manifest, a component that tools for another language made
    #[arg(value_name = "DIR|COMPONENT.wasm", default_value = ".")]
    pub(super) what: PathBuf,
    /// The manifest of a component that has none, as JSON; the field `contract` may be left out
    #[arg(long, value_name = "FILE.json")]
    pub(super) manifest: Option<PathBuf>,
    /// Where the transform goes; its name and `.wasm`, in its crate's directory, unless said otherwise
    #[arg(long, value_name = "FILE.wasm")]
    pub(super) output: Option<PathBuf>,
}

/// Builds, checks that the result starts, and says where it is.
pub(super) fn run(arguments: &BuildArgs, sandbox: &Sandbox) -> Result<String> {
    let (transform, bytes, directory) = if let Some(manifest) = &arguments.manifest {
        let bytes = add_manifest(&arguments.what, manifest)?;
        let name = arguments.what.display().to_string();
        (Transform::from_bytes(&name, bytes.clone(), Origin::File)?, bytes, Path::new("."))
    } else {
        let transform = Transform::from_file(&cargo_build(&arguments.what)?)?;
        let bytes = transform.bytes()?;
        (transform, bytes, arguments.what.as_path())
    };
    sandbox.start(&transform, &vec![None; transform.manifest().parameters.len()])?;
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => directory.join(format!("{}.wasm", transform.manifest().name)),
    };
    let named = |error: std::io::Error| {
        let error = Error::from(error);
        Error { message: format!("{}: {}", output.display(), error.message), ..error }
    };
    std::fs::write(&output, &bytes).map_err(named)?;
    Ok(format!(
        "Built {} as {}: {}, SHA-256 {}",
        transform.label(),
        output.display(),
        ByteSize(transform.size()),
        transform.sha256()
    ))
}

/// Cargo's messages, as far as they matter here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds a crate; gives the path of its WASM file. What cargo has to say goes to standard error.
pub(super) fn cargo_build(directory: &Path) -> Result<PathBuf> {
    if !directory.join("Cargo.toml").is_file() {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("{} is not a crate: it has no Cargo.toml.", directory.display()),
        )
        .with_hint("`transform new NAME` starts one."));
    }
    let toolchain = Toolchain::find()?;
    let output = toolchain
        .cargo(directory)
        .args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .args(toolchain.arguments())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| no_cargo(&error))?;
    if !output.status.success() {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("{} does not build; what cargo said about it stands above.", directory.display()),
        )
        .with_hint("Mend what it names and build again."));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .flat_map(|message| message.filenames)
        .rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .ok_or_else(|| {
            Error::new(Code::InvalidArgument, format!("{} builds, but gives no .wasm file.", directory.display()))
                .with_hint("Its Cargo.toml needs: [lib] crate-type = [\"cdylib\", \"rlib\"]")
        })
}

pub(super) fn no_cargo(error: &std::io::Error) -> Error {
    Error::new(Code::ToolchainMissing, format!("cargo cannot be run: {error}"))
        .with_hint("Install Rust from https://rustup.rs.")
}

/// The component with the manifest of a file.
fn add_manifest(component: &Path, manifest: &Path) -> Result<Vec<u8>> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| Error::new(Code::InvalidArgument, format!("{} cannot be read: {error}", path.display())))
    };
    let wrong = |error: serde_json::Error| {
        Error::new(Code::InvalidArgument, format!("{}: {error}", manifest.display())).with_hint(
            "A manifest has name, version, summary, parameters ([{\"name\": …, \"type\": \"text\"}]) and output.",
        )
    };
    let mut json: serde_json::Value = serde_json::from_slice(&read(manifest)?).map_err(wrong)?;
    if let Some(fields) = json.as_object_mut() {
        fields.entry("contract").or_insert_with(|| transforms_sdk::manifest::CONTRACT.into());
    }
    let parsed: Manifest = serde_json::from_value(json).map_err(wrong)?;
    sandbox::with_manifest(&component.display().to_string(), &read(component)?, &parsed)
}
