//! `transform build`: builds a transform with cargo, or adds a manifest to a component.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytesize::ByteSize;
use clap::Args;
use serde::Deserialize;
use transforms_sdk::manifest::Manifest;

use super::toolchain::Toolchain;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_sandbox::{Origin, Sandbox, TARGET, Transform};

/// Arguments of `transform build`.
#[derive(Args, Debug)]
pub(super) struct BuildArgs {
    /// The crate, or, with --manifest, a component built with tools for another language
    #[arg(value_name = "DIR|COMPONENT.wasm", default_value = ".")]
    pub(super) what: PathBuf,
    /// JSON file with the manifest for a component without one; the field `contract` is optional
    #[arg(long, value_name = "FILE.json")]
    pub(super) manifest: Option<PathBuf>,
    /// Output file; default: NAME.wasm in the crate's directory
    #[arg(long, value_name = "FILE.wasm")]
    pub(super) output: Option<PathBuf>,
}

/// Builds a transform and checks that it starts in the sandbox. Returns a message with the output file.
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
    let named =
        |error: std::io::Error| Error::from(error).with_context(Message::verbatim(output.display().to_string()));
    std::fs::write(&output, &bytes).map_err(named)?;
    Ok(format!(
        "Built {} as {}: {}, SHA-256 {}",
        transform.label(),
        output.display(),
        ByteSize(transform.size()),
        transform.sha256()
    ))
}

/// The used members of a JSON message of cargo.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds a crate and returns the path of its WASM file. Cargo's messages go to standard error.
pub(super) fn cargo_build(directory: &Path) -> Result<PathBuf> {
    if !directory.join("Cargo.toml").is_file() {
        return Err(Error::new(
            Code::InvalidArgument,
            message!("{} is not a crate: it has no Cargo.toml.", directory.display()),
        )
        .with_hint(message!("Run `transform new NAME` to create one.")));
    }
    let toolchain = Toolchain::find()?;
    let output = toolchain
        .cargo(directory)
        .args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .args(toolchain.arguments())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cargo_missing(&error))?;
    if !output.status.success() {
        return Err(Error::new(
            Code::InvalidArgument,
            message!("{} does not build; see cargo's messages above.", directory.display()),
        )
        .with_hint(message!("Fix the errors and build again.")));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<CargoMessage>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .flat_map(|message| message.filenames)
        .rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .ok_or_else(|| {
            Error::new(Code::InvalidArgument, message!("The build of {} produced no .wasm file.", directory.display()))
                .with_hint(message!("Its Cargo.toml must contain: [lib] crate-type = [\"cdylib\", \"rlib\"]"))
        })
}

pub(super) fn cargo_missing(error: &std::io::Error) -> Error {
    Error::new(Code::ToolchainMissing, message!("cargo cannot be run: {error}"))
        .with_hint(message!("Install Rust from https://rustup.rs."))
}

/// Adds the manifest of a JSON file to a component. Returns the resulting file.
fn add_manifest(component: &Path, manifest: &Path) -> Result<Vec<u8>> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| Error::new(Code::InvalidArgument, message!("{} cannot be read: {error}", path.display())))
    };
    let invalid = |error: serde_json::Error| {
        Error::new(Code::InvalidArgument, message!("{}: {error}", manifest.display())).with_hint(message!(
            "A manifest has name, version, summary, parameters ([{{\"name\": …, \"type\": \"text\"}}]) and output."
        ))
    };
    let mut json: serde_json::Value = serde_json::from_slice(&read(manifest)?).map_err(invalid)?;
    if let Some(fields) = json.as_object_mut() {
        fields.entry("contract").or_insert_with(|| transforms_sdk::manifest::CONTRACT.into());
    }
    let parsed: Manifest = serde_json::from_value(json).map_err(invalid)?;
    uie_sandbox::with_manifest(&component.display().to_string(), &read(component)?, &parsed)
}
