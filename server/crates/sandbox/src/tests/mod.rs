//! Tests of the sandbox with valid guests and with guests that violate the contract or the limits.

mod catalog;
mod checks;
mod compatibility;
mod guests;
mod hostile;
mod shipped;

use std::path::Path;

use serde_json::json;
use transforms_sdk::Value;

use super::compiled_transform::CompiledTransform;
use super::sandbox::COMPILED;
use super::*;
use guests::Guest as TestGuest;
use uie_core::config::{Purpose, Settings};
use uie_core::error::{Code, Result};

/// Returns settings with small limits, so that exceeding them is fast.
fn settings(data_dir: &Path, more: &[(&str, &str)]) -> Settings {
    let data_dir = data_dir.display().to_string();
    let variables = [("DATA_DIR", data_dir.as_str()), ("SANDBOX_TIMEOUT", "40ms"), ("SANDBOX_MEMORY", "4MiB")];
    let variables = variables.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Settings::parse(Purpose::Local, variables, None).expect("settings")
}

/// Creates a sandbox and its data directory.
fn sandbox() -> (Sandbox, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (Sandbox::open(&settings(directory.path(), &[])).expect("a sandbox"), directory)
}

fn load_transform(bytes: Vec<u8>) -> Result<Transform> {
    Transform::from_bytes("guest.wasm", bytes, Origin::File)
}

/// Creates a runner of a guest without literals.
fn runner(sandbox: &Sandbox, guest: &TestGuest) -> Runner {
    let transform = load_transform(guest.module()).expect("a transform");
    sandbox.start(&transform, &[None]).expect("a runner")
}

fn numbers(numbers: &[f64]) -> Vec<Vec<Value>> {
    numbers.iter().map(|number| vec![Value::Number(*number)]).collect()
}

/// Returns a guest that is called by the component ABI, and the same guest with the packed ABI.
fn with_both_abis(guest: TestGuest) -> [TestGuest; 2] {
    [guest.clone(), guest.packed()]
}

#[test]
fn every_kind_of_value_survives_a_round_trip() {
    let (sandbox, _directory) = sandbox();
    for guest in with_both_abis(TestGuest::echo()) {
        let mut runner = runner(&sandbox, &guest);
        let values = [
            Value::Nothing,
            Value::Boolean(true),
            Value::Number(-0.5),
            Value::Text("Zoë 👩‍🚀".into()),
            Value::Text(String::new()),
            Value::Json(json!({"a": [1, null, {"ü": "x"}]})),
        ];
        let rows: Vec<_> = values.iter().map(|value| vec![value.clone()]).collect();
        let results: Vec<_> = runner.apply(&rows).into_iter().map(|result| result.expect("no fault")).collect();
        assert_eq!(results, values);
        assert!(runner.apply(&[]).is_empty());
    }
}

#[test]
fn more_rows_than_a_batch_come_back_in_order() {
    let (sandbox, _directory) = sandbox();
    for guest in with_both_abis(TestGuest::echo()) {
        let mut runner = runner(&sandbox, &guest);
        let rows: Vec<_> =
            (0..1000).map(|number| vec![Value::Text(format!("row {number} {}", "x".repeat(number)))]).collect();
        let results = runner.apply(&rows);
        assert_eq!(results.len(), rows.len());
        assert!(results.iter().zip(&rows).all(|(result, row)| result.as_ref().ok() == row.first()));
        let usage = runner.usage();
        assert_eq!((usage.rows, usage.instances), (1000, 1));
        assert!(usage.calls < 20, "{usage:?}");
    }
}

#[test]
fn guests_with_the_packed_abi_are_compiled_as_core_modules() {
    let (sandbox, _directory) = sandbox();
    let compiled = with_both_abis(TestGuest::echo()).map(|guest| {
        let transform = load_transform(guest.module()).expect("a transform");
        sandbox.start(&transform, &[None]).expect("a runner");
        sandbox.load_cached(&transform).expect("compiled")
    });
    assert!(matches!(compiled, [CompiledTransform::Component(_), CompiledTransform::Module(_)]));
    // A component is called by the component ABI, even if the core module inside exports the packed ABI.
    let component = validate::to_component(&TestGuest::echo().packed().module()).expect("a component").into_owned();
    let mut runner = sandbox.start(&load_transform(component).expect("a transform"), &[None]).expect("a runner");
    assert_eq!(runner.apply(&numbers(&[5.0])), [Ok(Value::Number(5.0))]);
}

#[test]
fn literals_are_passed_in_addition_to_the_rows() {
    let (sandbox, _directory) = sandbox();
    for guest in with_both_abis(TestGuest::first_literal()) {
        let transform = load_transform(guest.module()).expect("a transform");
        let literals = vec![Some(Value::Text("fixed".into())), None];
        let mut runner = sandbox.start(&transform, &literals).expect("a runner");
        let results = runner.apply(&numbers(&[1.0, 2.0]));
        assert_eq!(results, [Ok(Value::Text("fixed".into())), Ok(Value::Text("fixed".into()))]);
    }
}

#[test]
fn components_are_accepted_like_core_modules() {
    let (sandbox, _directory) = sandbox();
    let module = TestGuest::echo().module();
    let component = validate::to_component(&module).expect("a component").into_owned();
    let transform = load_transform(component).expect("the manifest inside the component is found");
    assert_eq!(transform.label(), "guest@1.0.0");
    let mut runner = sandbox.start(&transform, &[None]).expect("a runner");
    assert_eq!(runner.apply(&numbers(&[5.0])), [Ok(Value::Number(5.0))]);
}

/// A guest that returns the number of rows that its instance has computed.
fn counting() -> TestGuest {
    TestGuest::new(
        "(global $seen (mut f64) (f64.const 0))
         (func $row (param $from i32) (param $to i32)
            (global.set $seen (f64.add (global.get $seen) (f64.const 1)))
            (i32.store8 (local.get $to) (i32.const 0))
            (i32.store8 offset=8 (local.get $to) (i32.const 2))
            (f64.store offset=16 (local.get $to) (global.get $seen)))",
    )
}

#[test]
fn the_message_of_a_refusal_is_passed_on() {
    let (sandbox, _directory) = sandbox();
    for guest in with_both_abis(TestGuest::refusing("not an e-mail\u{7} address")) {
        let mut runner = runner(&sandbox, &guest);
        let fault = runner.apply(&numbers(&[1.0])).remove(0).expect_err("a fault");
        let shown = fault.to_string();
        assert_eq!((fault.kind, shown.as_str()), (FaultKind::Refused, "guest@1.0.0: not an e-mail\\u{7} address"));
        assert_eq!(runner.usage().instances, 1);
    }
}

#[test]
fn fuel_is_counted_on_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let sandbox = Sandbox::open_with_metering(&settings(directory.path(), &[]), FuelMetering::On).expect("a sandbox");
    let mut runner = runner(&sandbox, &TestGuest::echo());
    assert!(runner.apply(&numbers(&[5.0; 10])).iter().all(Result::is_ok));
    let ten = runner.usage().fuel.expect("counted");
    assert!(runner.apply(&numbers(&[5.0; 10])).iter().all(Result::is_ok));
    assert_eq!(runner.usage().fuel, Some(2 * ten));
    assert!(ten > 100, "{ten}");
}

#[test]
fn compiled_code_is_cached_and_a_damaged_file_is_compiled_again() {
    let (_, directory) = sandbox();
    let transform = load_transform(TestGuest::echo().module()).expect("a transform");
    let run = || {
        let sandbox = Sandbox::open(&settings(directory.path(), &[])).expect("a sandbox");
        let mut runner = sandbox.start(&transform, &[None]).expect("a runner");
        assert_eq!(runner.apply(&numbers(&[5.0])), [Ok(Value::Number(5.0))]);
        sandbox
    };
    run();
    let compiled = directory.path().join(COMPILED);
    let files: Vec<_> = std::fs::read_dir(&compiled)
        .expect("the directory of compiled code")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "code"))
        .collect();
    let [file] = files.as_slice() else { panic!("one file, not {files:?}") };
    assert!(file.to_string_lossy().contains(transform.sha256()));
    let sandbox = run();
    assert!(sandbox.load_cached(&transform).is_some());

    let whole = std::fs::read(file).expect("the file");
    for damage in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[damage] ^= 1;
        std::fs::write(file, &damaged).expect("writable");
        assert!(sandbox.load_cached(&transform).is_none(), "byte {damage}");
        run();
        assert_eq!(std::fs::read(file).expect("the file"), whole, "written again");
    }
    for length in [0, 10, 30, whole.len() - 1] {
        std::fs::write(file, &whole[..length]).expect("writable");
        run();
    }
}

#[cfg(unix)]
#[test]
fn compiled_code_is_not_loaded_if_other_users_may_write_to_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, directory) = sandbox();
    let transform = load_transform(TestGuest::echo().module()).expect("a transform");
    sandbox.start(&transform, &[None]).expect("a runner");
    let compiled = directory.path().join(COMPILED);
    let mode = |mode| std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(mode)).expect("a mode");
    let loads = || sandbox.load_cached(&transform).is_some();
    assert_eq!(std::fs::metadata(&compiled).expect("there").permissions().mode() & 0o777, 0o700);
    assert!(loads());
    mode(0o770);
    assert!(!loads());
    mode(0o700);
    assert!(loads());
}
