//! Random JSON for tests.

use proptest::prelude::*;
use serde_json::Value;

/// Any JSON, whose members often have one of these names.
pub(crate) fn any_json(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,20}|[\\x00-\\x7f]{0,20}".prop_map(Value::from),
    ];
    let name = prop_oneof![prop::sample::select(names).prop_map(str::to_owned), "\\PC{0,9}"];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
