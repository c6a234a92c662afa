//! Malicious columns and transforms, for the tests and the benchmark of the sandbox.

use serde_json::{Value, json};
use tempfile::TempDir;

/// Expressions that never end or exhaust a resource, each in a different way.
pub const HOSTILE: &[&str] = &[
    "(() => { while (true) {} })()",
    "(() => { const all = []; for (;;) all.push('x'.repeat(1e5) + all.length) })()",
    "/^(a+)+$/.test('a'.repeat(40) + '!')",
    "(function deeper(n) { return 1 + deeper(n + 1) })(0)",
    "'x'.repeat(3e6)",
    "(() => { Array.prototype.map = null; throw user.email })()",
    "compatibility(\"loop\")",
    "compatibility(\"memory\")",
    "compatibility(\"panic\")",
];

/// Returns the request of a preview or an export in which all columns are hostile.
pub fn hostile_columns() -> Value {
    let fields = HOSTILE.iter().enumerate().map(|(at, name)| json!({"name": name, "export_as": format!("c{at}")}));
    json!({"format": "csv", "fields": fields.collect::<Vec<_>>()})
}

/// Returns a `TRANSFORMS_DIR` with a transform that fails in as many ways.
pub fn hostile_transforms() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let transform = concat!(env!("CARGO_MANIFEST_DIR"), "/../../transforms-sdk/compatibility/v1.wasm");
    std::fs::copy(transform, directory.path().join("compatibility.wasm")).expect("copied");
    directory
}
