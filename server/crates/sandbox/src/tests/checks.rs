//! Tests of the checks of examples and cases: declared types, determinism, limits, and stopping a check.

use std::time::{Duration, Instant};

use transforms_sdk::manifest::{Example, Type};

use super::*;

fn check(sandbox: &Sandbox, guest: &TestGuest) -> Vec<CheckResult> {
    let transform = load_transform(guest.module()).expect("a transform");
    sandbox.check_examples(&transform, &StopSignal::default()).expect("examples")
}

fn failures(results: Vec<CheckResult>) -> Vec<String> {
    results.into_iter().filter_map(|result| Some(format!("{} {}", result.call, result.failure?))).collect()
}

fn with_examples(mut guest: TestGuest, examples: &[(&str, serde_json::Value)]) -> TestGuest {
    guest.manifest.examples =
        examples.iter().map(|(call, gives)| Example { call: (*call).into(), gives: gives.clone() }).collect();
    guest
}

#[test]
fn a_result_of_another_type_than_declared_is_a_fault() {
    let (sandbox, _directory) = sandbox();
    let values = [
        (Value::Boolean(true), Type::Boolean),
        (Value::Number(1.0), Type::Number),
        (Value::Text("x".into()), Type::Text),
        (Value::Json(json!({"a": 1})), Type::Json),
    ];
    for declared in [Type::Boolean, Type::Number, Type::Text, Type::Json, Type::Any] {
        for guest in with_both_abis(TestGuest::echo()) {
            let mut guest = guest;
            guest.manifest.output = declared;
            let mut runner = runner(&sandbox, &guest);
            for (value, kind) in &values {
                let result = runner.apply(&[vec![value.clone()]]).remove(0);
                if *kind == declared || declared == Type::Any {
                    assert_eq!(result, Ok(value.clone()));
                } else {
                    let fault = result.expect_err("another type");
                    let end = format!("but its output is declared as {}", declared.as_str());
                    assert!(fault.kind == FaultKind::BadResult && fault.message.to_string().ends_with(&end), "{fault}");
                }
            }
            assert_eq!(runner.apply(&[vec![Value::Nothing]]), [Ok(Value::Nothing)]);
        }
    }
}

#[test]
fn results_that_depend_on_other_rows_are_found() {
    let (sandbox, _directory) = sandbox();
    // Each example alone has the expected result.
    let found =
        failures(check(&sandbox, &with_examples(counting(), &[("guest(1)", json!(1)), ("guest(2)", json!(1))])));
    assert!(found.iter().any(|failure| failure.starts_with("guest(1) is not deterministic: it gives 1")), "{found:?}");
    assert!(found.iter().any(|failure| failure.starts_with("guest(2) is not deterministic: it gives 1")), "{found:?}");
    // Synthetic rows detect it without examples.
    assert!(failures(check(&sandbox, &counting())).iter().any(|failure| failure.contains("is not deterministic")));
    // Cases detect it too.
    let transform = load_transform(counting().module()).expect("a transform");
    let cases: Vec<transforms_sdk::testing::Case> =
        serde_json::from_value(json!([{"arguments": [5], "gives": 1}])).expect("cases");
    assert_eq!(failures(sandbox.check_cases(&transform, &cases).expect("checked")).len(), 1);
}

#[test]
fn deterministic_results_pass() {
    let (sandbox, _directory) = sandbox();
    let transform = load_transform(TestGuest::echo().module()).expect("a transform");
    let cases: Vec<transforms_sdk::testing::Case> = serde_json::from_value(json!([
        {"arguments": [1], "gives": 1}, {"arguments": ["x"], "gives": "x"}, {"arguments": [null], "gives": null},
    ]))
    .expect("cases");
    assert_eq!(failures(sandbox.check_cases(&transform, &cases).expect("checked")), Vec::<String>::new());
    assert_eq!(failures(check(&sandbox, &TestGuest::echo())), Vec::<String>::new());
    assert_eq!(failures(check(&sandbox, &TestGuest::refusing("no"))), Vec::<String>::new());
}

#[test]
fn shipped_transforms_are_deterministic() {
    let data = tempfile::tempdir().expect("a directory");
    let data_dir = data.path().display().to_string();
    let variables = [("DATA_DIR".to_owned(), data_dir)];
    let sandbox = Sandbox::open(&Settings::parse(Purpose::Local, variables, None).expect("settings")).expect("one");
    for transform in sandbox.catalog().transforms() {
        let checked = sandbox.check_examples(transform, &StopSignal::default()).expect("examples");
        assert_eq!(failures(checked), Vec::<String>::new(), "{}", transform.label());
    }
}

#[test]
fn examples_share_one_budget() {
    let data = tempfile::tempdir().expect("a directory");
    // No effective time limit per row.
    let settings = settings(data.path(), &[("SANDBOX_TIMEOUT", "1h")]);
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    // The instance starts in time, but its row never ends.
    let spinning = TestGuest::new("(func $row (param $from i32) (param $to i32) (loop $ever (br $ever)))");
    let transform = load_transform(with_examples(spinning, &[("guest(1)", json!(1))]).module()).expect("a transform");
    let stop = StopSignal::default();
    let stopper = stop.clone();
    let began = Instant::now();
    let error = std::thread::scope(|scope| {
        let checking = scope.spawn(|| sandbox.check_examples(&transform, &stop).expect_err("stopped"));
        std::thread::sleep(Duration::from_millis(50));
        stopper.stop();
        checking.join().expect("no panic")
    });
    assert_eq!(error.code, Code::Canceled);
    assert!(began.elapsed() < EXAMPLES_TIME, "stopped by the signal, not by the budget");
}

#[test]
fn many_slow_examples_are_refused_together() {
    let data = tempfile::tempdir().expect("a directory");
    let sandbox = Sandbox::open(&settings(data.path(), &[("SANDBOX_TIMEOUT", "1h")])).expect("a sandbox");
    // At least half a second per row on any machine.
    let slow = TestGuest::new(
        "(func $row (param $from i32) (param $to i32) (local $i i64)
            (loop $more
                (local.set $i (i64.add (local.get $i) (i64.const 1)))
                (br_if $more (i64.lt_u (local.get $i) (i64.const 3000000000))))
            (i32.store8 (local.get $to) (i32.const 0))
            (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $from) (i32.const 16)))",
    );
    let transform =
        load_transform(with_examples(slow, &vec![("guest(1)", json!(1)); 50]).module()).expect("a transform");
    let error = sandbox.check_examples(&transform, &StopSignal::default()).expect_err("too slow together");
    assert!(error.message.contains("compute for more than 10s together"), "{}", error.message);
}
