//! Tests with malicious and broken guests: each row has its result or a fault with the reason, and other rows, jobs and
//! the server are not affected.

use std::fmt::Write;

use super::*;
use proptest::prelude::*;

/// Numbers that trigger a misbehavior of the hostile guest. It returns every other number unchanged.
const LOOP: f64 = 1.0;
const BOMB: f64 = 2.0;
// 3: endless recursion.
const ABORT: f64 = 4.0;
// 5: a very large text; 6: invalid UTF-8; 7: invalid JSON; 8: a panic with a message; 9: deeply nested JSON.
const FEWER_RESULTS: f64 = 10.0;
// 11: a text outside its memory; 12: an invalid kind of value; 13: division by zero.
const LAST: f64 = 13.0;

fn hostile() -> TestGuest {
    TestGuest::new(
        r#"(data (i32.const 16) "\ff\fe\ff")
  (data (i32.const 24) "{\"a\": ")
  (data (i32.const 40) "user-import-export:panic:1\00")
  (data (i32.const 71) "index out of bounds")
  (func $is (param $from i32) (param $what f64) (result i32)
    (i32.and (i32.eq (i32.load8_u (local.get $from)) (i32.const 2))
             (f64.eq (f64.load offset=8 (local.get $from)) (local.get $what))))
  (func $give (param $to i32) (param $kind i32) (param $at i32) (param $length i32)
    (i32.store8 (local.get $to) (i32.const 0))
    (i32.store8 offset=8 (local.get $to) (local.get $kind))
    (i32.store offset=16 (local.get $to) (local.get $at))
    (i32.store offset=20 (local.get $to) (local.get $length)))
  (func $deeper (param $n i32) (result i32)
    (i32.add (call $deeper (i32.add (local.get $n) (i32.const 1))) (local.get $n)))
  (func $row (param $from i32) (param $to i32)
    (i32.store8 (local.get $to) (i32.const 0))
    (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $from) (i32.const 16))
    (if (call $is (local.get $from) (f64.const 1)) (then (loop $ever (br $ever))))
    (if (call $is (local.get $from) (f64.const 2)) (then
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 4)) (i32.const -1)))) unreachable))
    (if (call $is (local.get $from) (f64.const 3)) (then (drop (call $deeper (i32.const 0)))))
    (if (call $is (local.get $from) (f64.const 4)) (then unreachable))
    (if (call $is (local.get $from) (f64.const 5)) (then
      (drop (memory.grow (i32.const 30)))
      (call $give (local.get $to) (i32.const 3) (i32.const 66000) (i32.const 1900000))))
    (if (call $is (local.get $from) (f64.const 6)) (then
      (call $give (local.get $to) (i32.const 3) (i32.const 16) (i32.const 3))))
    (if (call $is (local.get $from) (f64.const 7)) (then
      (call $give (local.get $to) (i32.const 4) (i32.const 24) (i32.const 6))))
    (if (call $is (local.get $from) (f64.const 8)) (then
      (i32.store (i32.const 67) (i32.const 19)) unreachable))
    (if (call $is (local.get $from) (f64.const 9)) (then
      (memory.fill (i32.const 1000) (i32.const 91) (i32.const 5000))
      (memory.fill (i32.const 6000) (i32.const 93) (i32.const 5000))
      (call $give (local.get $to) (i32.const 4) (i32.const 1000) (i32.const 10000))))
    (if (call $is (local.get $from) (f64.const 10)) (then (global.set $extra (i32.const -1))))
    (if (call $is (local.get $from) (f64.const 11)) (then
      (call $give (local.get $to) (i32.const 3) (i32.const -16) (i32.const 8))))
    (if (call $is (local.get $from) (f64.const 12)) (then
      (call $give (local.get $to) (i32.const 99) (i32.const 0) (i32.const 0))))
    (if (call $is (local.get $from) (f64.const 13)) (then
      (drop (i32.div_u (i32.const 1) (i32.const 0))))))"#,
    )
}

#[test]
fn each_misbehavior_has_its_message_and_fails_only_its_row() {
    let (sandbox, _directory) = sandbox();
    let mut shown = String::new();
    for (what, packed) in (1..=LAST as u32).flat_map(|what| [(what, false), (what, true)]) {
        let guest = if packed { hostile().packed() } else { hostile() };
        let mut runner = runner(&sandbox, &guest);
        let mut rows = numbers(&(0..300).map(|number| f64::from(number) + 100.0).collect::<Vec<_>>());
        rows[77] = vec![Value::Number(f64::from(what))];
        let results = runner.apply(&rows);
        assert_eq!(results.len(), rows.len());
        for (number, (row, result)) in rows.iter().zip(&results).enumerate() {
            match result {
                Ok(value) => assert_eq!(Some(value), row.first(), "{what}"),
                Err(fault) => {
                    assert_eq!(number, 77, "{what}: {fault}");
                    let abi = if packed { "packed" } else { "" };
                    writeln!(shown, "{what:2} {abi:6} {:?}: {fault}", fault.kind)
                        .expect("writing to a string succeeds");
                }
            }
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn invalid_addresses_and_lengths_in_the_packed_abi_are_faults() {
    let (sandbox, _directory) = sandbox();
    // One zero byte: the value `Nothing`.
    let zeros = "(i64.const 0x1000003e8)";
    let mut shown = String::new();
    for (room, apply) in [
        ("(i32.const 2000)", zeros),
        ("(i32.const -8)", zeros),
        ("(i32.const 131070)", zeros),
        ("(loop $ever (br $ever)) (i32.const 0)", zeros),
        ("unreachable", zeros),
        ("(i32.const 1000)", "(i64.const 0)"),
        ("(i32.const 1000)", "(i64.const 0x3_0000_03e8)"),
        ("(i32.const 1000)", "(i64.const 0x1_ffff_ffff)"),
        ("(i32.const 1000)", "(i64.const 0x0010_0000_0001_0000)"),
        ("(i32.const 1000)", "(i64.const -1)"),
        ("(i32.const 1000)", "(i32.store8 (i32.const 1000) (i32.const 4)) (i64.const 0x4_0000_03e8)"),
        ("(i32.const 1000)", "(i32.store (i32.const 1000) (i32.const 0xffffff04)) (i64.const 0x5_0000_03e8)"),
        ("(i32.const 1000)", "(i32.store8 (i32.const 1000) (i32.const 7)) (i64.const 0x1_0000_03e8)"),
        ("(i32.const 1000)", "(i32.store8 (i32.const 1000) (i32.const 99)) (i64.const 0x1_0000_03e8)"),
    ] {
        let mut runner = runner(&sandbox, &TestGuest::echo().packed_by(room, apply));
        let result = runner.apply(&numbers(&[5.0])).remove(0);
        let result = result.map_or_else(|fault| fault.to_string(), |value| format!("{value:?}"));
        writeln!(shown, "{room} {apply}\n    {result}").expect("writing to a string succeeds");
    }
    insta::assert_snapshot!(shown);
    let mut other_type = TestGuest::echo().packed_by("(i32.const 0)", "(i64.const 0)");
    other_type.packed = other_type.packed.replace("i64", "f64");
    let transform = load_transform(other_type.module()).expect("a transform");
    let error = sandbox.start(&transform, &[None]).expect_err("it has another type");
    assert_eq!(error.code, Code::InvalidTransform);
}

#[test]
fn a_transform_that_always_fails_is_disabled() {
    let (sandbox, _directory) = sandbox();
    let mut first = runner(&sandbox, &hostile());
    let mut second = first.clone_for_thread();
    let results = first.apply(&numbers(&[LOOP; 500]));
    let timed_out =
        results.iter().filter(|result| matches!(result, Err(fault) if fault.kind == FaultKind::Time)).count();
    let disabled =
        results.iter().filter(|result| matches!(result, Err(fault) if fault.kind == FaultKind::GivenUp)).count();
    assert_eq!(timed_out + disabled, 500);
    assert!((10..=20).contains(&timed_out), "{timed_out}");
    // It is disabled for all threads of the job, but not for other jobs.
    assert!(matches!(second.apply(&numbers(&[0.0])).remove(0), Err(fault) if fault.kind == FaultKind::GivenUp));
    assert_eq!(runner(&sandbox, &hostile()).apply(&numbers(&[0.0])), [Ok(Value::Number(0.0))]);
}

#[test]
fn rows_that_fail_fast_do_not_exhaust_the_failure_budget() {
    let (sandbox, _directory) = sandbox();
    let mut runner = runner(&sandbox, &hostile());
    let rows: Vec<f64> = (0..2000).map(|number| if number % 2 == 0 { ABORT } else { 100.0 }).collect();
    let results = runner.apply(&numbers(&rows));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1000);
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|fault| fault.kind == FaultKind::Panic));
}

#[test]
fn batches_that_exceed_the_memory_are_made_smaller() {
    let (sandbox, _directory) = sandbox();
    // Each row allocates 256 KiB, which the guest does not free within a call: 4 MiB are enough for sixteen rows.
    let mut runner = runner(
        &sandbox,
        &TestGuest::new(
            "(func $row (param $from i32) (param $to i32)
                (drop (call $alloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 262144)))
                (i32.store8 (local.get $to) (i32.const 0))
                (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $from) (i32.const 16)))",
        ),
    );
    let results = runner.apply(&numbers(&[5.0; 1000]));
    assert!(results.iter().all(|result| result == &Ok(Value::Number(5.0))));
    let usage = runner.usage();
    assert!(usage.memory <= 4 << 20, "{usage:?}");
    assert!(usage.calls < 600, "batches, not rows: {usage:?}");
}

#[test]
fn a_guest_that_leaks_memory_gets_a_fresh_instance() {
    let (sandbox, _directory) = sandbox();
    // Allocates a page for every row and never frees it.
    let mut runner = runner(
        &sandbox,
        &TestGuest::new(
            "(func $row (param $from i32) (param $to i32)
                (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                (i32.store8 (local.get $to) (i32.const 0))
                (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $from) (i32.const 16)))",
        ),
    );
    let results = runner.apply(&numbers(&[5.0; 500]));
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn jobs_do_not_share_state() {
    let (sandbox, _directory) = sandbox();
    let counting = counting();
    for _ in 0..2 {
        let mut runner = runner(&sandbox, &counting);
        assert_eq!(runner.apply(&numbers(&[0.0, 0.0])), [Ok(Value::Number(1.0)), Ok(Value::Number(2.0))]);
    }
}

#[test]
fn arguments_that_are_nested_too_deeply_are_not_passed() {
    let test = || {
        let (sandbox, _directory) = sandbox();
        let mut runner = runner(&sandbox, &TestGuest::echo());
        let mut deep = json!([]);
        for _ in 0..2000 {
            deep = json!([deep]);
        }
        let results = runner.apply(&[vec![Value::Number(1.0)], vec![Value::Json(deep)], vec![Value::Number(2.0)]]);
        assert_eq!((&results[0], &results[2]), (&Ok(Value::Number(1.0)), &Ok(Value::Number(2.0))));
        let fault = results[1].as_ref().expect_err("a fault");
        assert_eq!(fault.to_string(), "guest@1.0.0: an argument is nested deeper than 127 levels");
        assert_eq!(runner.usage().instances, 1);
    };
    // The value is ten times deeper than any that is read from a row. Without optimization, writing it needs more
    // stack than a test has.
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(test).expect("a thread");
    thread.join().expect("the test passes");
}

#[test]
fn an_argument_larger_than_the_memory_fails_only_its_row() {
    let (sandbox, _directory) = sandbox();
    let mut runner = runner(&sandbox, &TestGuest::echo());
    let results = runner.apply(&[vec![Value::Text("x".repeat(8 << 20))], vec![Value::Text("y".into())]]);
    assert_eq!(results[0].as_ref().expect_err("a fault").kind, FaultKind::Memory);
    assert_eq!(results[1], Ok(Value::Text("y".into())));
}

#[test]
fn a_guest_that_fails_at_start_is_refused_before_the_job() {
    let (sandbox, _directory) = sandbox();
    let row = "(func $row (param $from i32) (param $to i32))";
    for (code, expected) in [
        ("(func $loop (loop $ever (br $ever))) (start $loop)", "it computed for more than 40ms"),
        ("(func $abort unreachable) (start $abort)", "it panicked"),
    ] {
        let transform = load_transform(TestGuest::new(format!("{row} {code}")).module()).expect("a transform");
        let error = sandbox.start(&transform, &[None]).expect_err("it cannot start");
        assert!(error.message.contains(expected), "{}", error.message);
    }
    let greedy = TestGuest::new(format!("{row} (memory 1000)"));
    let transform = load_transform(greedy.module()).expect("a transform");
    let error = sandbox.start(&transform, &[None]).expect_err("it cannot start");
    assert!(error.message.contains("it asked for more than 4.0 MiB"), "{}", error.message);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn failing_rows_do_not_affect_other_rows(rows in proptest::collection::vec(prop_oneof![
        4 => 100.0..1e9_f64, 1 => (BOMB as u32..=LAST as u32).prop_map(f64::from)], 1..300))
    {
        let (sandbox, _directory) = sandbox();
        for guest in with_both_abis(hostile()) {
        let mut runner = runner(&sandbox, &guest);
        let results = runner.apply(&numbers(&rows));
        prop_assert_eq!(results.len(), rows.len());
        for (row, result) in rows.iter().zip(results) {
            if *row >= 100.0 {
                prop_assert_eq!(result, Ok(Value::Number(*row)));
            } else if *row != FEWER_RESULTS {
                prop_assert!(result.is_err());
            }
        }
        }
    }
}
