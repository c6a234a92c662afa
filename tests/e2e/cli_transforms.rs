//! The `transform` commands outside the repository: create, test, build, list and inspect a transform.

use std::fs;
use std::path::Path;
use std::process::Command;

use end_to_end::{binary, command};

/// Returns a `transform` command. Its target directory is kept between runs, because building the standard library
/// from source takes minutes.
fn transform_command(directory: &Path) -> Command {
    let mut command = command(directory);
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let builds = binary().parent().expect("the binary lies in a directory").join("author");
    command.env("CARGO_TARGET_DIR", builds).env("TRANSFORMS_DIR", directory.join("transforms")).arg("transform");
    command
}

/// Runs a command. Returns exit status, standard output and standard error.
fn run(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_transform_is_created_tested_built_and_listed() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path();
    fs::create_dir(directory.join("transforms")).expect("a directory");
    let transform = |arguments: &[&str]| {
        let mut command = transform_command(directory);
        command.args(arguments);
        run(command)
    };

    let (status, said, error) = transform(&["new", "shout"]);
    assert_eq!(status, 0, "{error}");
    assert!(said.contains("transform test shout"), "{said}");
    let (status, said, error) = transform(&["test", "shout"]);
    if error.contains("rustup target add") || error.contains("apt-get install") {
        eprintln!("skipped, no compiler for WASM: {error}");
        return;
    }
    assert_eq!(status, 0, "{said}{error}");
    assert!(said.starts_with("shout@0.1.0: all ") && said.ends_with(" hold in the sandbox.\n"), "{said}");

    // Change the result: the examples and cases fail natively and in the sandbox.
    let source = directory.join("shout/src/lib.rs");
    let text = fs::read_to_string(&source).expect("the source");
    assert!(text.contains("domain.to_lowercase()"), "the template changed: {text}");
    fs::write(&source, text.replace("domain.to_lowercase()", "domain.to_uppercase()")).expect("edited");
    let (status, said, _) = transform(&["build", "shout", "--output", "transforms/shout.wasm"]);
    assert_eq!(status, 0);
    assert!(said.starts_with("Built shout@0.1.0 as transforms/shout.wasm: "), "{said}");
    let (status, said, _) = transform(&["test", "shout"]);
    assert_eq!((status, said.as_str()), (1, "The native tests fail; nothing was run in the sandbox.\n"));
    let (status, said, _) = transform(&["test", "transforms/shout.wasm"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.starts_with(r#"wrong: example 1, shout("ada@Example.com") gives "EXAMPLE.COM""#), "{said}");
    assert!(said.contains(r#""example.com" is expected"#) && said.contains(" do not hold in the sandbox.\n"), "{said}");

    // Exports can use it.
    let (status, list, _) = transform(&["list"]);
    assert_eq!(status, 0);
    assert!(
        list.lines()
            .any(|line| line.starts_with("shout(email?) ") && line.contains(" 0.1.0 ") && line.contains(" file ")),
        "{list}"
    );
    let (status, said, error) = transform(&["inspect", "shout"]);
    assert_eq!(status, 0, "{error}");
    assert!(said.starts_with("shout 0.1.0\n") && said.contains("\n  Starts     yes"), "{said}");

    // The message of a panic is shown.
    fs::write(&source, text.replace("domain.to_lowercase()", "domain[99..].to_owned()")).expect("edited");
    assert_eq!(transform(&["build", "shout", "--output", "transforms/shout.wasm"]).0, 0);
    let (status, said, _) = transform(&["test", "transforms/shout.wasm"]);
    assert_eq!(status, 1);
    assert!(said.contains("it panicked: ") && said.contains("lib.rs"), "{said}");

    fs::write(&source, "fn nothing(").expect("edited");
    let (status, _, error) = transform(&["build", "shout"]);
    assert_eq!(status, 2, "{error}");
    assert!(error.contains("unclosed delimiter") && error.contains("error: shout does not build"), "{error}");
}

/// Builds a component with a tool of another language, adds its manifest, and runs its examples and cases in the
/// sandbox. Skips the test if the tool is not installed.
fn test_other_language(source: &str, build: &[&str]) {
    let [tool, arguments @ ..] = build else { return };
    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [here.join("e2e/languages").join(source), here.join("e2e/languages/manifest.json")] {
        fs::copy(&file, directory.join(file.file_name().expect("a name"))).expect("copied");
    }
    fs::create_dir(directory.join("wit")).expect("a directory");
    fs::copy(here.join("../transforms-sdk/wit/transform.wit"), directory.join("wit/transform.wit")).expect("copied");
    let built = match Command::new(tool).args(arguments).current_dir(directory).output() {
        Ok(built) => built,
        Err(error) => return eprintln!("skipped, {tool} is not installed: {error}"),
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let transform = |arguments: &[&str]| {
        let mut command = command(directory);
        // Twice the default timeout: in a debug build, passing values costs more than the interpreter.
        command.arg("transform").args(arguments).env("SANDBOX_TIMEOUT", "1s");
        run(command)
    };
    let (status, said, error) = transform(&["test", "component.wasm"]);
    assert_eq!(status, 2, "{said}");
    assert!(error.contains("It has no manifest"), "{error}");
    let (status, _, error) =
        transform(&["build", "component.wasm", "--manifest", "manifest.json", "--output", "upper.wasm"]);
    assert_eq!(status, 0, "{error}");
    fs::create_dir(directory.join("cases")).expect("a directory");
    fs::write(directory.join("cases/other.json"), r#"[{"arguments": [5], "fault": "text is expected"}]"#)
        .expect("a file");
    let (status, said, error) = transform(&["test", "upper.wasm"]);
    assert_eq!((status, said.as_str()), (0, "upper@1.0.0: all 3 examples and cases hold in the sandbox.\n"), "{error}");
}

#[test]
fn a_transform_written_in_javascript_works() {
    test_other_language(
        "upper.js",
        &[
            "jco",
            "componentize",
            "upper.js",
            "--wit",
            "wit",
            "-n",
            "transform",
            "--disable",
            "all",
            "-o",
            "component.wasm",
        ],
    );
}

#[test]
fn a_transform_written_in_python_works() {
    test_other_language(
        "upper.py",
        &[
            "componentize-py",
            "-d",
            "wit",
            "-w",
            "transform",
            "componentize",
            "--stub-wasi",
            "upper",
            "-o",
            "component.wasm",
        ],
    );
}
