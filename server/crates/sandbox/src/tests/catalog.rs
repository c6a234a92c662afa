//! Tests of the catalog: which files are accepted, uploads, versions and secrets.

use std::sync::Arc;

use super::*;

fn refused(bytes: Vec<u8>) -> String {
    let error = load_transform(bytes).expect_err("it is refused");
    assert_eq!(error.code, Code::InvalidTransform);
    error.to_string()
}

#[test]
fn files_that_are_not_transforms_are_refused_with_a_hint() {
    let importing = |import: &str| TestGuest { imports: import.into(), ..TestGuest::echo() }.module();
    let renamed = |name: &str| TestGuest::echo().named(name).module();
    let bare = TestGuest::echo().bare();
    let mut foreign = TestGuest::echo();
    foreign.manifest.contract = "2.0.0".into();
    let mut twice = TestGuest::echo();
    twice.manifest.parameters.push(twice.manifest.parameters[0].clone());
    let plain = wat::parse_str("(module)").expect("a module");
    let mut truncated = TestGuest::echo().module();
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
        (
            "two manifests",
            validate::with_manifest(&TestGuest::echo().module(), &TestGuest::echo().named("other").manifest),
        ),
        ("manifest that is not JSON", section("{")),
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
fn other_wit_types_are_refused_at_start() {
    let (sandbox, _directory) = sandbox();
    let mut shown = String::new();
    for (from, to) in [
        ("literals: list<option<value>>, rows", "literals: list<value>, rows"),
        ("-> list<result<value, fault>>", "-> list<result<value, string>>"),
        ("export apply:", "export compute:"),
    ] {
        let mut guest = TestGuest::echo();
        guest.wit = guests::WIT.replace(from, to);
        assert_ne!(guest.wit, guests::WIT);
        let transform = load_transform(guest.module()).expect("the header is valid");
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
    assert!(error.message.contains("It is too large: 100.0 GiB; at most 32.0 MiB are allowed"), "{error}");
    let error = load_transform(vec![0; 100 << 20]).expect_err("too large");
    assert!(error.message.contains("100.0 MiB"), "{error}");
}

#[test]
fn invalid_files_are_reported_as_problems() {
    let data = tempfile::tempdir().expect("a directory");
    let transforms = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| std::fs::write(transforms.path().join(name), bytes).expect("written");
    write("good.wasm", &TestGuest::echo().named("good").module());
    write("broken.wasm", b"nothing");
    write("notes.txt", b"nothing");
    write("same.wasm", &TestGuest::first_literal().named("good").module());
    let settings = settings(data.path(), &[("TRANSFORMS_DIR", &transforms.path().display().to_string())]);
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    let catalog = sandbox.catalog();
    let good = catalog.get("good").expect("the good one");
    assert_eq!((good.origin(), good.label().as_str()), (Origin::File, "good@1.0.0"));
    let mut problems: Vec<_> = catalog.problems().iter().map(|problem| problem.message.to_string()).collect();
    problems.sort_unstable();
    assert!(problems[0].starts_with("It is not a WASM file:"), "{problems:?}");
    assert!(problems[1].starts_with("The name `good` is already used by"), "{problems:?}");
    let error = catalog.require("goood").expect_err("unknown");
    assert_eq!(error.message, "There is no transform called \"goood\". Did you mean good?");

    // The next start uses the index instead of reading the files again.
    let again = Sandbox::open(&settings).expect("a sandbox").catalog();
    assert_eq!(again.get("good").map(|transform| transform.sha256()), Some(good.sha256()));
    assert_eq!(again.problems(), catalog.problems());
}

#[test]
fn the_next_job_uses_a_changed_file_and_a_running_job_keeps_its_code() {
    let data = tempfile::tempdir().expect("a directory");
    let transforms = tempfile::tempdir().expect("a directory");
    let path = transforms.path().join("changing.wasm");
    std::fs::write(&path, TestGuest::echo().named("changing").module()).expect("written");
    let settings = settings(data.path(), &[("TRANSFORMS_DIR", &transforms.path().display().to_string())]);
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    let before = Arc::clone(sandbox.catalog().get("changing").expect("there"));
    let mut running = sandbox.start(&before, &[None]).expect("a runner");
    assert!(Arc::ptr_eq(&sandbox.catalog(), &sandbox.catalog()), "nothing changed, nothing is read");

    std::fs::write(&path, TestGuest::refusing("changed").named("changing").module()).expect("written");
    let after = Arc::clone(sandbox.catalog().get("changing").expect("there"));
    assert_ne!(after.sha256(), before.sha256());
    let mut next = sandbox.start(&after, &[None]).expect("a runner");
    assert!(next.apply(&numbers(&[1.0]))[0].is_err());
    assert_eq!(running.apply(&numbers(&[1.0])), [Ok(Value::Number(1.0))]);
    assert_eq!(running.clone_for_thread().apply(&numbers(&[1.0])), [Ok(Value::Number(1.0))]);
    assert!(sandbox.start(&before, &[None]).is_ok(), "compiled code of the old file is still in memory");

    std::fs::remove_file(&path).expect("removed");
    assert!(sandbox.catalog().get("changing").is_none());
}

#[test]
fn only_uploads_can_be_replaced_and_removed() {
    let (sandbox, directory) = sandbox();
    let upload =
        |guest: &TestGuest| Transform::from_bytes("upload", guest.module(), Origin::Upload).expect("a transform");
    sandbox.keep(&upload(&TestGuest::echo())).expect("kept");
    let first = sandbox.catalog().get("guest").expect("there").sha256().to_owned();
    sandbox.keep(&upload(&TestGuest::first_literal())).expect("kept");
    let catalog = sandbox.catalog();
    let second = Arc::clone(catalog.get("guest").expect("there"));
    assert_ne!(second.sha256(), first);
    assert_eq!(second.origin(), Origin::Upload);
    assert_eq!(catalog.versions("guest").count(), 2);
    let old = catalog.version("guest", &first).expect("the first version is kept");
    let mut runner = sandbox.start(old, &[None]).expect("it runs");
    assert_eq!(runner.apply(&numbers(&[7.0])), [Ok(Value::Number(7.0))]);

    let error = sandbox.remove("guest", Some(second.sha256())).expect_err("it is the active one");
    assert_eq!(error.code, Code::TransformActive);
    assert_eq!(sandbox.activate("guest", &first).expect("there").sha256(), first);
    assert_eq!(sandbox.catalog().get("guest").map(|active| active.sha256().to_owned()), Some(first.clone()));
    assert_eq!(sandbox.remove("guest", Some(second.sha256())).expect("removed"), [second.sha256()]);
    assert_eq!(sandbox.activate("guest", second.sha256()).expect_err("gone").code, Code::TransformNotFound);
    assert_eq!(sandbox.remove("guest", None).expect("removed"), [first]);
    assert!(sandbox.catalog().get("guest").is_none());
    assert_eq!(sandbox.remove("guest", None).expect_err("gone").code, Code::TransformNotFound);
    assert!(sandbox.catalog().problems().is_empty());
    drop(directory);
}

#[test]
fn an_upload_of_release_3_0_is_kept_as_a_version_when_another_is_uploaded() {
    let (sandbox, directory) = sandbox();
    std::fs::create_dir(directory.path().join(UPLOADS)).expect("a directory");
    std::fs::write(directory.path().join(UPLOADS).join("guest.wasm"), TestGuest::echo().module()).expect("written");
    let old = sandbox.catalog().get("guest").expect("there").sha256().to_owned();
    let upload = Transform::from_bytes("upload", TestGuest::first_literal().module(), Origin::Upload).expect("one");
    sandbox.keep(&upload).expect("kept");
    assert!(sandbox.catalog().version("guest", &old).is_some());
    assert_eq!(sandbox.catalog().versions("guest").count(), 2);
}

#[test]
fn switched_off_uploads_are_neither_accepted_nor_used() {
    let (sandbox, directory) = sandbox();
    let upload = Transform::from_bytes("upload", TestGuest::echo().module(), Origin::Upload).expect("a transform");
    sandbox.keep(&upload).expect("kept");
    let off = Sandbox::open(&settings(directory.path(), &[("TRANSFORM_UPLOADS", "false")])).expect("a sandbox");
    assert!(off.catalog().get("guest").is_none());
    assert!(off.catalog().version("guest", upload.sha256()).is_none());
    for error in [
        off.keep(&upload).expect_err("off"),
        off.remove("guest", None).expect_err("off"),
        off.activate("guest", upload.sha256()).expect_err("off"),
    ] {
        assert_eq!(error.code, Code::UploadsOff);
    }
    assert!(sandbox.catalog().get("guest").is_some(), "nothing was deleted");
}

#[test]
fn secrets_are_given_only_to_transforms_named_in_the_settings() {
    let data = tempfile::tempdir().expect("a directory");
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("own.wasm"), TestGuest::echo().named("own").module()).expect("written");
    let upload = Transform::from_bytes("upload", TestGuest::echo().module(), Origin::Upload).expect("a transform");
    let bindings = format!("BOUND=pseudonymize, BOUND=sha256:{}", upload.sha256().to_uppercase());
    let own = own.path().display().to_string();
    let more = [
        ("TRANSFORMS_DIR", own.as_str()),
        ("TRANSFORM_SECRETS", &bindings),
        ("SECRET_BOUND", "x"),
        ("SECRET_FREE", "y"),
    ];
    let sandbox = Sandbox::open(&settings(data.path(), &more)).expect("a sandbox");
    sandbox.keep(&upload).expect("kept");
    let may = |name: &str, secret: &str| sandbox.may_have_secret(sandbox.catalog().get(name).expect("there"), secret);
    for (name, bound, free) in
        [("guest", true, false), ("pseudonymize", true, true), ("mask_email", false, true), ("own", false, true)]
    {
        assert_eq!((may(name, "BOUND"), may(name, "FREE")), (bound, free), "{name}");
    }
    // Another file of the same name is another transform.
    sandbox
        .keep(&Transform::from_bytes("upload", TestGuest::first_literal().module(), Origin::Upload).expect("one"))
        .expect("kept");
    assert!(!may("guest", "BOUND"));
}

#[test]
fn manifests_have_limits() {
    let with = |change: &dyn Fn(&mut transforms_sdk::manifest::Manifest)| {
        let mut guest = TestGuest::echo();
        change(&mut guest.manifest);
        guest.module()
    };
    let example = |call: &str, gives: serde_json::Value| transforms_sdk::manifest::Example { call: call.into(), gives };
    let parameter = TestGuest::echo().manifest.parameters[0].clone();
    let mut shown = String::new();
    for bytes in [
        with(&|manifest| manifest.summary = "x".repeat(201)),
        with(&|manifest| manifest.documentation = "x".repeat((64 << 10) + 1)),
        with(&|manifest| manifest.documentation = "x".repeat(8 << 20)),
        with(&|manifest| {
            manifest.parameters = (0..33)
                .map(|number| transforms_sdk::manifest::Parameter { name: format!("p{number}"), ..parameter.clone() })
                .collect();
        }),
        with(&|manifest| manifest.parameters[0].description = "x".repeat(1001)),
        with(&|manifest| manifest.examples = vec![example("guest(1)", json!(1)); 51]),
        with(&|manifest| manifest.examples = vec![example(&format!("guest(\"{}\")", "x".repeat(5000)), json!(1))]),
        with(&|manifest| manifest.version = "<b>1</b>".into()),
        with(&|manifest| manifest.version = "1.0.0-".to_owned() + &"x".repeat(40)),
        with(&|manifest| manifest.version = "1..0".into()),
        with(&|manifest| {
            manifest.output = transforms_sdk::manifest::Type::Number;
            manifest.examples = vec![example("guest(1)", json!("text"))];
        }),
        validate::with_manifest(&TestGuest::echo().module(), &TestGuest::echo().manifest),
    ] {
        shown += &refused(bytes);
        shown.push('\n');
    }
    insta::assert_snapshot!(shown);
    for version in ["1", "0.1.0", "2.10.3-beta.1+build.5"] {
        load_transform(with(&|manifest| manifest.version = version.into())).expect(version);
    }
}

#[test]
fn hidden_characters_are_refused_in_uploads_and_escaped_for_display() {
    let hidden = "safe\u{202e}gnp\u{1b}[31m";
    let mut shown = String::new();
    for change in [
        (|manifest, text| manifest.summary = text) as fn(&mut transforms_sdk::manifest::Manifest, String),
        |manifest, text| manifest.documentation = text,
        |manifest, text| manifest.parameters[0].description = text,
        |manifest, text| {
            manifest.examples =
                vec![transforms_sdk::manifest::Example { call: format!("guest(\"{text}\")"), gives: json!(1) }];
        },
        |manifest, text| {
            manifest.examples =
                vec![transforms_sdk::manifest::Example { call: "guest(1)".into(), gives: json!({ "a": [text] }) }];
        },
    ] {
        let mut guest = TestGuest::echo();
        change(&mut guest.manifest, hidden.to_owned());
        let bytes = guest.module();
        let error = Transform::from_bytes("upload", bytes.clone(), Origin::Upload).expect_err("hidden characters");
        shown += &error.message.to_string();
        shown.push('\n');
        let manifest = load_transform(bytes).expect("an operator's file is accepted").shown_manifest();
        let all = serde_json::to_string(&manifest).expect("JSON");
        assert!(all.contains("u{202e}") && all.contains("u{1b}"), "{all}");
        assert_eq!(uie_core::printable::first_hidden(&all), None);
    }
    insta::assert_snapshot!(shown);
    let mut lines = TestGuest::echo();
    lines.manifest.documentation = "First.\r\n\n\tSecond.".into();
    Transform::from_bytes("upload", lines.module(), Origin::Upload).expect("lines and tabs are text");
}

#[test]
fn forgetting_uploads_removes_their_code_and_keeps_files_of_the_operator() {
    let data = tempfile::tempdir().expect("a directory");
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("own.wasm"), TestGuest::echo().named("own").module()).expect("written");
    let settings = settings(data.path(), &[("TRANSFORMS_DIR", &own.path().display().to_string())]);
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    let upload = Transform::from_bytes("upload", TestGuest::echo().module(), Origin::Upload).expect("a transform");
    sandbox.keep(&upload).expect("kept");
    let start = |name: &str| {
        let transform = Arc::clone(sandbox.catalog().require(name)?);
        sandbox.start(&transform, &vec![None; transform.manifest().parameters.len()])
    };
    for name in ["own", "guest", "mask_email"] {
        start(name).expect("a runner");
    }
    let compiled = || {
        let files = std::fs::read_dir(data.path().join(COMPILED)).expect("a directory");
        files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(compiled().len(), 4, "three transforms and the index");

    sandbox.forget_uploads().expect("forgotten");
    assert!(!data.path().join(UPLOADS).exists());
    let shipped = sandbox.catalog().require("mask_email").expect("shipped").sha256().to_owned();
    assert!(matches!(compiled().as_slice(), [file] if file.contains(&shipped)), "{:?}", compiled());
    assert_eq!(start("guest").expect_err("forgotten").code, Code::TransformNotFound);
    start("own").expect("the operator's stays");
    sandbox.forget_uploads().expect("nothing is there to forget");
}

#[test]
fn a_directory_of_the_operator_is_kept_if_it_is_also_that_of_uploads() {
    let data = tempfile::tempdir().expect("a directory");
    let both = data.path().join(UPLOADS);
    std::fs::create_dir(&both).expect("a directory");
    std::fs::write(both.join("own.wasm"), TestGuest::echo().named("own").module()).expect("written");
    let settings = settings(data.path(), &[("TRANSFORMS_DIR", &both.display().to_string())]);
    Sandbox::open(&settings).expect("a sandbox").forget_uploads().expect("nothing to forget");
    assert!(both.join("own.wasm").is_file());
}

#[test]
fn a_missing_directory_of_transforms_is_an_error_at_start() {
    let data = tempfile::tempdir().expect("a directory");
    let error = Sandbox::open(&settings(data.path(), &[("TRANSFORMS_DIR", "/nowhere/at/all")])).expect_err("refused");
    assert_eq!((error.code, error.message.contains("/nowhere/at/all")), (Code::InvalidSettings, true));
}
