//! Runs a transform that was compiled against contract 1.0.0: later versions of the server must support it.

use super::*;

const V1: &[u8] = include_bytes!("../../../../../transforms-sdk/compatibility/v1.wasm");

fn row(mode: &str, rest: &[Value]) -> Vec<Value> {
    let mut row = vec![Value::Text(mode.into())];
    row.extend_from_slice(rest);
    row.resize(7, Value::Nothing);
    row
}

#[test]
fn the_transform_of_contract_1_0_0_still_works() {
    let (sandbox, _directory) = sandbox();
    let transform = load_transform(V1.to_vec()).expect("a transform");
    assert_eq!(transform.manifest().contract, "1.0.0");
    let results = sandbox.check_examples(&transform, &StopSignal::default()).expect("it starts");
    assert!(results.len() == 3 && results.iter().all(|result| result.failure.is_none()), "{results:#?}");

    let values = [
        Value::Nothing,
        Value::Boolean(false),
        Value::Number(1e21),
        Value::Text("ü".into()),
        Value::Json(json!({"a": [1.5, null]})),
    ];
    let mut runner = sandbox.start(&transform, &[const { None }; 7]).expect("a runner");
    let echoes = runner.apply(&values.clone().map(|value| row("echo", &[value])));
    assert_eq!(echoes, values.map(Ok));

    let mut broken = Vec::new();
    for (mode, kind) in [
        ("fault", FaultKind::Refused),
        ("panic", FaultKind::Panic),
        ("loop", FaultKind::Time),
        ("memory", FaultKind::Memory),
        ("other", FaultKind::Refused),
    ] {
        let good = row("echo", &[Value::Number(1.0)]);
        let mut results = runner.apply(&[good.clone(), row(mode, &[]), good]);
        assert_eq!(results.remove(2), Ok(Value::Number(1.0)), "{mode}");
        assert_eq!(results.remove(0), Ok(Value::Number(1.0)), "{mode}");
        let fault = results.remove(0).expect_err(mode);
        assert_eq!(fault.kind, kind, "{fault}");
        broken.push(fault.to_string());
    }
    insta::assert_snapshot!(broken.join("\n"));
}

#[test]
fn literals_and_values_of_rows_can_be_mixed() {
    let (sandbox, _directory) = sandbox();
    let transform = load_transform(V1.to_vec()).expect("a transform");
    let mut literals = vec![None; 7];
    literals[0] = Some(Value::Text("all".into()));
    literals[4] = Some(Value::Text("fixed".into()));
    let mut runner = sandbox.start(&transform, &literals).expect("a runner");
    let rows = [vec![Value::Number(1.0), Value::Boolean(true), Value::Nothing, Value::Json(json!([])), Value::Nothing]];
    let expected = json!({"value": 1, "boolean": true, "number": null, "text": "fixed", "json": [], "secret": false});
    assert_eq!(runner.apply(&rows), [Ok(Value::Json(expected))]);
}
