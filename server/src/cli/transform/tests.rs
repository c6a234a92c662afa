//! Tests of the commands. End-to-end tests check that a new crate builds.

use std::fs;

use super::*;
use uie_core::error::Code;

fn settings(data_dir: &Path, more: &[(&str, &Path)]) -> Settings {
    let variables = [("DATA_DIR", data_dir)];
    let variables = variables.iter().chain(more).map(|(key, path)| ((*key).to_owned(), path.display().to_string()));
    Settings::parse(Purpose::Local, variables, None).expect("settings")
}

fn sandbox(data_dir: &Path) -> Sandbox {
    Sandbox::open(&settings(data_dir, &[])).expect("a sandbox")
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../transforms/prebuilt").join(format!("{name}.wasm"))
}

#[test]
fn names_that_expressions_could_not_call_are_refused() {
    let root = tempfile::tempdir().expect("a directory");
    let refused = |name: &str| new::create(name, &root.path().join("made")).expect_err(name).to_string();
    let shown = ["mask-email", "parseInt", "user", "1st", "", "größe"].map(refused).join("\n");
    insta::assert_snapshot!(shown);
    assert!(!root.path().join("made").exists());
    fs::write(root.path().join("file"), "").expect("a file");
    let error = new::create("fine", root.path()).expect_err("not empty");
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(root.path().join("file").exists());
}

#[test]
fn a_new_crate_contains_the_sdk_and_no_placeholders() {
    let root = tempfile::tempdir().expect("a directory");
    let made = root.path().join("deep/er");
    new::create("shout", &made).expect("made");
    for file in [
        "Cargo.toml",
        "src/lib.rs",
        "cases/shout.json",
        "README.md",
        "transforms-sdk/Cargo.toml",
        "transforms-sdk/src/lib.rs",
        "transforms-sdk/macros/src/lib.rs",
        "transforms-sdk/wit/transform.wit",
    ] {
        let text = fs::read_to_string(made.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!text.contains("{{"), "{file}");
    }
}

#[test]
fn a_directory_without_a_crate_is_refused() {
    let root = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(root.path());
    let error = run_tests::run(root.path(), &sandbox).expect_err("no crate");
    assert!(error.message.contains("it has no Cargo.toml"), "{error}");
    let arguments = build::BuildArgs { what: root.path().into(), manifest: None, output: None };
    assert_eq!(build::run(&arguments, &sandbox).expect_err("no crate").message, error.message);
    let error = run_tests::run(&root.path().join("none.wasm"), &sandbox).expect_err("no file");
    assert!(error.message.contains("It cannot be read"), "{error}");
}

#[test]
fn a_shipped_transform_is_shown() {
    let root = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(root.path());
    let by_name = find(Path::new("mask_email"), &sandbox).expect("shipped");
    let shown = show::inspect(&by_name, &sandbox);
    // Omit lines that a rebuild changes.
    let shown = shown
        .lines()
        .filter(|line| !["  Size", "  SHA-256", "  Starts"].iter().any(|label| line.starts_with(label)))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(shown);
    assert!(show::inspect(&by_name, &sandbox).contains("\n  Starts     yes, with "));
    let file = find(&shipped("mask_email"), &sandbox).expect("a file");
    assert_eq!(file.sha256(), by_name.sha256());
}

#[test]
fn the_list_shows_all_transforms_and_ignored_files() {
    let root = tempfile::tempdir().expect("a directory");
    let transforms = root.path().join("transforms");
    fs::create_dir(&transforms).expect("a directory");
    fs::write(transforms.join("broken.wasm"), "nothing").expect("a file");
    let sandbox = sandbox(root.path());
    let (list, left_out) = show::list(&sandbox.catalog());
    assert!(list.lines().any(|line| line.starts_with("mask_email(email?) ") && line.contains(" shipped ")), "{list}");
    assert!(left_out.starts_with("warning: ") && left_out.contains("broken.wasm: It is not a WASM file"), "{left_out}");
}

#[test]
fn a_benchmark_reports_every_limit() {
    let root = tempfile::tempdir().expect("a directory");
    let text = bench::run(&shipped("mask_email"), 2000, &settings(root.path(), &[])).expect("measured");
    let labels: Vec<_> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(labels, ["Rows", "Speed", "Fuel", "Memory", "Time", "Result", "Start"], "{text}");
    assert!(
        text.contains(" of 64.0 MiB, ") && text.contains(" of 500ms, ") && text.contains(" of 1.0 MiB, "),
        "{text}"
    );
}

#[test]
fn a_manifest_is_added_to_a_component_of_other_tools() {
    let root = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(root.path());
    let manifest = root.path().join("manifest.json");
    fs::write(
        &manifest,
        r#"{"name": "other", "version": "1.0.0", "summary": "Another.",
        "parameters": [{"name": "email", "type": "text", "optional": true}], "output": "text"}"#,
    )
    .expect("a file");
    // The shipped file already has a manifest, so adding one must fail.
    let arguments = |what: PathBuf, manifest: &Path| build::BuildArgs {
        what,
        manifest: Some(manifest.to_owned()),
        output: Some(root.path().join("other.wasm")),
    };
    let error = build::run(&arguments(shipped("mask_email"), &manifest), &sandbox).expect_err("two manifests");
    assert!(error.message.contains("It has more than one manifest"), "{error}");
    let wrong = root.path().join("wrong.json");
    fs::write(&wrong, r#"{"name": "other"}"#).expect("a file");
    let error = build::run(&arguments(shipped("mask_email"), &wrong), &sandbox).expect_err("no manifest");
    assert!(error.message.contains("missing field `version`"), "{error}");
}

#[test]
fn texts_of_a_file_are_escaped_for_the_terminal() {
    let root = tempfile::tempdir().expect("a directory");
    let transforms = root.path().join("transforms");
    fs::create_dir(&transforms).expect("a directory");
    let mut bytes = fs::read(shipped("mask_email")).expect("a file");
    let places: Vec<_> = memchr::memmem::find_iter(&bytes, "mask_email").collect();
    for at in places {
        bytes[at..at + 10].copy_from_slice(b"mask_other");
    }
    let section = memchr::memmem::find(&bytes, b"user-import-export:manifest").expect("a manifest");
    let at = section + memchr::memmem::find(&bytes[section..], b"\"summary\":\"").expect("a summary") + 11;
    bytes[at..at + 9].copy_from_slice("\u{202e}\\u001b".as_bytes());
    fs::write(transforms.join("bidi.wasm"), &bytes).expect("a file");
    fs::write(transforms.join("bad\u{1b}[31m\u{202e}.wasm"), "nothing").expect("a file");
    let sandbox = Sandbox::open(&settings(root.path(), &[("TRANSFORMS_DIR", &transforms)])).expect("a sandbox");
    let file = find(&transforms.join("bidi.wasm"), &sandbox).expect("a transform");
    let (list, left_out) = show::list(&sandbox.catalog());
    for text in [show::inspect(&file, &sandbox), list, left_out] {
        assert_eq!(uie_core::printable::first_hidden_in_lines(&text), None, "{text:?}");
        assert!(text.contains("\\u{202e}"), "{text}");
    }
    let error = find(&transforms.join("bad\u{1b}[31m\u{202e}.wasm"), &sandbox).expect_err("no transform");
    assert_eq!(uie_core::printable::first_hidden_in_lines(&error.to_string()), None, "{error}");
}

#[test]
fn a_transform_with_a_secret_shows_how_to_bind_it() {
    let root = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(root.path());
    let by_name = show::inspect(&find(Path::new("pseudonymize"), &sandbox).expect("shipped"), &sandbox);
    assert!(by_name.contains("TRANSFORM_SECRETS=NAME=pseudonymize "), "{by_name}");
    let file = find(&shipped("pseudonymize"), &sandbox).expect("a file");
    let shown = show::inspect(&file, &sandbox);
    assert!(shown.contains(&format!("TRANSFORM_SECRETS=NAME=sha256:{} ", file.sha256())), "{shown}");
}
