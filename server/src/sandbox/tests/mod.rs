//! The sandbox against guests that keep to the rules and guests that do not.

mod catalog;
mod checks;
mod compatibility;
mod guests;
mod hostile;
mod shipped;

use serde_json::json;
use transforms_sdk::Value;

use super::*;
use crate::config::Purpose;
use guests::Guest as Written;

/// Settings with small limits, so that breaking them is quick.
fn settings(data_dir: &Path, more: &[(&str, &str)]) -> Settings {
    let data_dir = data_dir.display().to_string();
    let variables = [("DATA_DIR", data_dir.as_str()), ("SANDBOX_TIMEOUT", "40ms"), ("SANDBOX_MEMORY", "4MiB")];
    let variables = variables.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Settings::parse(Purpose::Local, variables, None).expect("settings")
}

/// A sandbox and the directory it keeps its files in.
fn sandbox() -> (Sandbox, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (Sandbox::open(&settings(directory.path(), &[])).expect("a sandbox"), directory)
}

fn take_in(bytes: Vec<u8>) -> Result<Transform> {
    Transform::from_bytes("guest.wasm", bytes, Origin::File)
}

/// A runner of a guest without literals.
fn runner(sandbox: &Sandbox, guest: &Written) -> Runner {
    let transform = take_in(guest.module()).expect("a transform");
    sandbox.start(&transform, &[None]).expect("a runner")
}

fn numbers(numbers: &[f64]) -> Vec<Vec<Value>> {
    numbers.iter().map(|number| vec![Value::Number(*number)]).collect()
}

/// A guest by both doors.
fn by_both_doors(guest: Written) -> [Written; 2] {
    [guest.clone(), guest.packed()]
}

#[test]
fn every_kind_of_value_goes_in_and_comes_back() {
    let (sandbox, _directory) = sandbox();
    for guest in by_both_doors(Written::echo()) {
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
    for guest in by_both_doors(Written::echo()) {
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
fn by_which_door_a_guest_is_called_shows_in_its_compiled_code_alone() {
    let (sandbox, _directory) = sandbox();
    let programs = by_both_doors(Written::echo()).map(|guest| {
        let transform = take_in(guest.module()).expect("a transform");
        sandbox.start(&transform, &[None]).expect("a runner");
        sandbox.0.cache.load(&sandbox.0.engine, transform.sha256()).expect("compiled")
    });
    assert!(matches!(programs, [program::Program::Component(_), program::Program::Module(_)]));
    // A component has no second door, whatever is inside.
    let component = intake::component(&Written::echo().packed().module()).expect("a component").into_owned();
    let mut runner = sandbox.start(&take_in(component).expect("a transform"), &[None]).expect("a runner");
    assert_eq!(runner.apply(&numbers(&[5.0])), [Ok(Value::Number(5.0))]);
}

#[test]
fn literals_are_handed_over_beside_the_rows() {
    let (sandbox, _directory) = sandbox();
    for guest in by_both_doors(Written::first_literal()) {
        let transform = take_in(guest.module()).expect("a transform");
        let literals = vec![Some(Value::Text("fixed".into())), None];
        let mut runner = sandbox.start(&transform, &literals).expect("a runner");
        let results = runner.apply(&numbers(&[1.0, 2.0]));
        assert_eq!(results, [Ok(Value::Text("fixed".into())), Ok(Value::Text("fixed".into()))]);
    }
}

#[test]
fn components_are_taken_in_as_core_modules_are() {
    let (sandbox, _directory) = sandbox();
    let module = Written::echo().module();
    let component = intake::component(&module).expect("a component").into_owned();
    let transform = take_in(component).expect("the manifest inside the component is found");
    assert_eq!(transform.label(), "guest@1.0.0");
    let mut runner = sandbox.start(&transform, &[None]).expect("a runner");
    assert_eq!(runner.apply(&numbers(&[5.0])), [Ok(Value::Number(5.0))]);
}

/// Gives the number of rows that the instance has computed.
fn counting() -> Written {
    Written::new(
        "(global $seen (mut f64) (f64.const 0))
         (func $row (param $from i32) (param $to i32)
            (global.set $seen (f64.add (global.get $seen) (f64.const 1)))
            (i32.store8 (local.get $to) (i32.const 0))
            (i32.store8 offset=8 (local.get $to) (i32.const 2))
            (f64.store offset=16 (local.get $to) (global.get $seen)))",
    )
}

#[test]
fn a_refusal_of_the_transform_is_passed_on_in_its_words() {
    let (sandbox, _directory) = sandbox();
    for guest in by_both_doors(Written::refusing("not an e-mail\u{7} address")) {
        let mut runner = runner(&sandbox, &guest);
        let fault = runner.apply(&numbers(&[1.0])).remove(0).expect_err("a fault");
        let shown = fault.to_string();
        assert_eq!((fault.kind, shown.as_str()), (FaultKind::Refused, "guest@1.0.0: not an e-mail\\u{7} address"));
        assert_eq!(runner.usage().instances, 1);
    }
}

#[test]
fn fuel_is_counted_where_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let sandbox = Sandbox::open_counting(&settings(directory.path(), &[]), Counting::Fuel).expect("a sandbox");
    let mut runner = runner(&sandbox, &Written::echo());
    assert!(runner.apply(&numbers(&[5.0; 10])).iter().all(Result::is_ok));
    let ten = runner.usage().fuel.expect("counted");
    assert!(runner.apply(&numbers(&[5.0; 10])).iter().all(Result::is_ok));
    assert_eq!(runner.usage().fuel, Some(2 * ten));
    assert!(ten > 100, "{ten}");
}

#[test]
fn compiled_code_is_kept_and_a_damaged_file_is_compiled_again() {
    let (_, directory) = sandbox();
    let transform = take_in(Written::echo().module()).expect("a transform");
    let works = || {
        let sandbox = Sandbox::open(&settings(directory.path(), &[])).expect("a sandbox");
        let mut runner = sandbox.start(&transform, &[None]).expect("a runner");
        assert_eq!(runner.apply(&numbers(&[5.0])), [Ok(Value::Number(5.0))]);
        sandbox
    };
    works();
    let compiled = directory.path().join(COMPILED);
    let files: Vec<_> = std::fs::read_dir(&compiled)
        .expect("the directory of compiled code")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "code"))
        .collect();
    let [file] = files.as_slice() else { panic!("one file, not {files:?}") };
    assert!(file.to_string_lossy().contains(transform.sha256()));
    let sandbox = works();
    assert!(sandbox.0.cache.load(&sandbox.0.engine, transform.sha256()).is_some());

    let whole = std::fs::read(file).expect("the file");
    for damage in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[damage] ^= 1;
        std::fs::write(file, &damaged).expect("writable");
        assert!(sandbox.0.cache.load(&sandbox.0.engine, transform.sha256()).is_none(), "byte {damage}");
        works();
        assert_eq!(std::fs::read(file).expect("the file"), whole, "written anew");
    }
    for length in [0, 10, 30, whole.len() - 1] {
        std::fs::write(file, &whole[..length]).expect("writable");
        works();
    }
}

#[cfg(unix)]
#[test]
fn compiled_code_is_not_read_where_others_may_write() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, directory) = sandbox();
    let transform = take_in(Written::echo().module()).expect("a transform");
    sandbox.start(&transform, &[None]).expect("a runner");
    let compiled = directory.path().join(COMPILED);
    let mode = |mode| std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(mode)).expect("a mode");
    let loads = || sandbox.0.cache.load(&sandbox.0.engine, transform.sha256()).is_some();
    assert_eq!(std::fs::metadata(&compiled).expect("there").permissions().mode() & 0o777, 0o700);
    assert!(loads());
    mode(0o770);
    assert!(!loads());
    mode(0o700);
    assert!(loads());
}
