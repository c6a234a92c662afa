//! What is taken in, and what is not.

use super::*;

fn refused(bytes: Vec<u8>) -> String {
    let error = take_in(bytes).expect_err("it is refused");
    assert_eq!(error.code, Code::InvalidTransform);
    error.to_string()
}

#[test]
fn what_is_no_transform_is_refused_with_what_to_do() {
    let importing = |import: &str| Written { imports: import.into(), ..Written::echo() }.module();
    let renamed = |name: &str| Written::echo().named(name).module();
    let bare = Written::echo().bare();
    let mut foreign = Written::echo();
    foreign.manifest.contract = "2.0.0".into();
    let mut twice = Written::echo();
    twice.manifest.parameters.push(twice.manifest.parameters[0].clone());
    let plain = wat::parse_str("(module)").expect("a module");
    let mut truncated = Written::echo().module();
    truncated.truncate(100);
    let section = |json: &str| {
        let mut bytes = bare.clone();
        let mut content = vec![u8::try_from(transforms_sdk::manifest::SECTION.len()).expect("short")];
        content.extend_from_slice(transforms_sdk::manifest::SECTION.as_bytes());
        content.extend_from_slice(json.as_bytes());
        assert!(content.len() < 128);
        bytes.extend_from_slice(&[0, u8::try_from(content.len()).expect("short")]);
        bytes.extend_from_slice(&content);
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("wat", b"(module)".to_vec()),
        ("gzip", vec![0x1f, 0x8b, 8, 0]),
        ("zip", b"PK\x03\x04".to_vec()),
        ("elf", b"\x7fELF".to_vec()),
        ("truncated", truncated),
        ("plain module", plain),
        ("no manifest", bare.clone()),
        ("two manifests", intake::with_manifest(&Written::echo().module(), &Written::echo().named("other").manifest)),
        ("manifest that is no JSON", section("{")),
        ("manifest without fields", section("{}")),
        ("manifest of another contract", section(r#"{"contract":"3.1.0","fields":[]}"#)),
        ("WASI preview 1", importing(r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32)))"#)),
        (
            "WASI preview 2",
            importing(
                r#"(import "wasi:cli/environment@0.2.3" "get-environment" (func (param i32))) (import "wasi:io/poll@0.2.3" "poll" (func))"#,
            ),
        ),
        ("wasm-bindgen", importing(r#"(import "__wbindgen_placeholder__" "__wbindgen_throw" (func (param i32 i32)))"#)),
        ("an import", importing(r#"(import "env" "now" (func (result f64)))"#)),
        ("an import with a line of a log in its name", importing(r#"(import "env\0a\1b[2K" "ERROR\00now" (func))"#)),
        ("another contract", foreign.module()),
        ("name with a hyphen", renamed("mask-email")),
        ("name of a global", renamed("parseInt")),
        ("name that does not fit", renamed(&"x".repeat(65))),
        ("one parameter twice", twice.module()),
    ];
    let shown: String = cases
        .into_iter()
        .flat_map(|(what, bytes)| [what.to_owned(), "\n  ".into(), refused(bytes), "\n".into()])
        .collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn another_world_is_refused_when_it_is_started() {
    let (sandbox, _directory) = sandbox();
    let mut shown = String::new();
    for (from, to) in [
        ("literals: list<option<value>>, rows", "literals: list<value>, rows"),
        ("-> list<result<value, fault>>", "-> list<result<value, string>>"),
        ("export apply:", "export compute:"),
    ] {
        let mut guest = Written::echo();
        guest.wit = guests::WIT.replace(from, to);
        assert_ne!(guest.wit, guests::WIT);
        let transform = take_in(guest.module()).expect("the outside is right");
        shown += &sandbox.start(&transform, &[None]).expect_err("another type").to_string();
        shown.push('\n');
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("large.wasm");
    // Sparse: takes no space, and reading it would take long.
    std::fs::File::create(&path).expect("a file").set_len(100 << 30).expect("a length");
    let error = Transform::from_file(&path).expect_err("too large");
    assert!(error.message.contains("It is too large: 100.0 GiB, and at most 32.0 MiB are taken in"), "{error}");
    let error = take_in(vec![0; 100 << 20]).expect_err("too large");
    assert!(error.message.contains("100.0 MiB"), "{error}");
}

#[test]
fn broken_files_are_left_out_and_named() {
    let data = tempfile::tempdir().expect("a directory");
    let transforms = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| std::fs::write(transforms.path().join(name), bytes).expect("written");
    write("good.wasm", &Written::echo().named("good").module());
    write("broken.wasm", b"nothing");
    write("notes.txt", b"nothing");
    write("same.wasm", &Written::first_literal().named("good").module());
    let settings = settings(data.path(), &[("TRANSFORMS_DIR", &transforms.path().display().to_string())]);
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    let catalog = sandbox.catalog();
    let good = catalog.get("good").expect("the good one");
    assert_eq!((good.origin(), good.label().as_str()), (Origin::File, "good@1.0.0"));
    let mut problems: Vec<_> =
        catalog.problems().iter().map(|problem| problem.message.split(':').next().unwrap_or_default()).collect();
    problems.sort_unstable();
    assert_eq!(problems[0], "It is not a WASM file");
    assert!(problems[1].starts_with("Its name is good, as that of"), "{problems:?}");
    let error = catalog.require("goood").expect_err("unknown");
    assert_eq!(error.message, "There is no transform called \"goood\". Did you mean good?");

    // Read once: the next start knows the files.
    let again = Sandbox::open(&settings).expect("a sandbox").catalog();
    assert_eq!(again.get("good").map(|transform| transform.sha256()), Some(good.sha256()));
    assert_eq!(again.problems(), catalog.problems());
}

#[test]
fn a_changed_file_is_taken_up_by_the_next_job_and_a_running_one_keeps_its_code() {
    let data = tempfile::tempdir().expect("a directory");
    let transforms = tempfile::tempdir().expect("a directory");
    let path = transforms.path().join("changing.wasm");
    std::fs::write(&path, Written::echo().named("changing").module()).expect("written");
    let settings = settings(data.path(), &[("TRANSFORMS_DIR", &transforms.path().display().to_string())]);
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    let before = Arc::clone(sandbox.catalog().get("changing").expect("there"));
    let mut running = sandbox.start(&before, &[None]).expect("a runner");
    assert!(Arc::ptr_eq(&sandbox.catalog(), &sandbox.catalog()), "nothing changed, nothing is read");

    std::fs::write(&path, Written::refusing("changed").named("changing").module()).expect("written");
    let after = Arc::clone(sandbox.catalog().get("changing").expect("there"));
    assert_ne!(after.sha256(), before.sha256());
    let mut next = sandbox.start(&after, &[None]).expect("a runner");
    assert!(next.apply(&numbers(&[1.0]))[0].is_err());
    assert_eq!(running.apply(&numbers(&[1.0])), [Ok(Value::Number(1.0))]);
    assert_eq!(running.another().apply(&numbers(&[1.0])), [Ok(Value::Number(1.0))]);
    assert!(sandbox.start(&before, &[None]).is_ok(), "compiled code of the old file is still at hand");

    std::fs::remove_file(&path).expect("removed");
    assert!(sandbox.catalog().get("changing").is_none());
}

#[test]
fn uploads_are_kept_replaced_and_removed_and_no_others() {
    let (sandbox, directory) = sandbox();
    let upload =
        |guest: &Written| Transform::from_bytes("upload", guest.module(), Origin::Upload).expect("a transform");
    sandbox.keep(&upload(&Written::echo())).expect("kept");
    let first = sandbox.catalog().get("guest").expect("there").sha256().to_owned();
    sandbox.keep(&upload(&Written::first_literal())).expect("replaced");
    let catalog = sandbox.catalog();
    let second = catalog.get("guest").expect("there");
    assert_ne!(second.sha256(), first);
    assert_eq!(second.origin(), Origin::Upload);
    sandbox.remove("guest").expect("removed");
    assert!(sandbox.catalog().get("guest").is_none());
    assert_eq!(sandbox.remove("guest").expect_err("gone").code, Code::TransformNotFound);
    drop(directory);
}

#[test]
fn a_directory_of_transforms_that_is_not_there_stops_the_start() {
    let data = tempfile::tempdir().expect("a directory");
    let error = Sandbox::open(&settings(data.path(), &[("TRANSFORMS_DIR", "/nowhere/at/all")])).expect_err("refused");
    assert_eq!((error.code, error.message.contains("/nowhere/at/all")), (Code::InvalidSettings, true));
}
