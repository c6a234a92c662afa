//! The manifest of a transform, which can be read without running the transform.

use serde::{Deserialize, Serialize};

/// The custom section of the WASM file that holds the manifest as JSON.
pub const SECTION: &str = "user-import-export:manifest";

/// The version of the contract (`wit/transform.wit`) that this SDK implements.
pub const CONTRACT: &str = "1.0.0";

/// The manifest of a transform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the contract it was built against.
    pub contract: String,
    /// The function name in expressions: a letter, then letters, digits and `_`.
    pub name: String,
    /// The version of the transform.
    pub version: String,
    /// What it does, in one sentence: the first paragraph of the documentation.
    pub summary: String,
    /// The documentation, Markdown.
    #[serde(default)]
    pub documentation: String,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The type of the result.
    pub output: Type,
    /// Example calls with their results.
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// A parameter of a transform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The type that it accepts.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Whether it accepts nothing. An argument that is omitted at the end of a call is nothing, so optional
    /// parameters at the end may be omitted.
    #[serde(default)]
    pub optional: bool,
    /// Whether its value is a secret: passed as `secret("NAME")` or a literal, and never shown.
    #[serde(default)]
    pub secret: bool,
    /// The description.
    #[serde(default)]
    pub description: String,
}

/// The type of a parameter or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// Text.
    Text,
    /// An object or an array.
    Json,
    /// A whole user: the argument `user`.
    User,
    /// Any value.
    Any,
}

impl Type {
    /// Returns the name of the type in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Text => "text",
            Self::Json => "json",
            Self::User => "user",
            Self::Any => "any",
        }
    }
}

/// Names with another meaning in expressions: globals and reserved words of ECMAScript, and this product's names.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    // ECMA-262, sections 19 and B.2.1.
    "AggregateError", "Array", "ArrayBuffer", "Atomics", "BigInt", "BigInt64Array", "BigUint64Array", "Boolean",
    "DataView", "Date", "Error", "EvalError", "FinalizationRegistry", "Float16Array", "Float32Array", "Float64Array",
    "Function", "Infinity", "Int16Array", "Int32Array", "Int8Array", "Iterator", "JSON", "Map", "Math", "NaN",
    "Number", "Object", "Promise", "Proxy", "RangeError", "ReferenceError", "Reflect", "RegExp", "Set",
    "SharedArrayBuffer", "String", "Symbol", "SyntaxError", "TypeError", "URIError", "Uint16Array", "Uint32Array",
    "Uint8Array", "Uint8ClampedArray", "WeakMap", "WeakRef", "WeakSet", "decodeURI", "decodeURIComponent",
    "encodeURI", "encodeURIComponent", "escape", "eval", "globalThis", "isFinite", "isNaN", "parseFloat", "parseInt",
    "undefined", "unescape",
    // ECMA-402.
    "Intl",
    // Reserved and contextual keywords.
    "arguments", "async", "await", "break", "case", "catch", "class", "const", "continue", "debugger", "default",
    "delete", "do", "else", "enum", "export", "extends", "false", "finally", "for", "function", "if", "implements",
    "import", "in", "instanceof", "interface", "let", "new", "null", "of", "package", "private", "protected",
    "public", "return", "static", "super", "switch", "this", "throw", "true", "try", "typeof", "var", "void", "while",
    "with", "yield",
    // Names of the expression language.
    "secret", "user",
];

/// Returns whether `name` has another meaning in expressions, so that no transform may have this name.
pub const fn is_reserved(name: &str) -> bool {
    let mut index = 0;
    while index < RESERVED.len() {
        if same(RESERVED[index].as_bytes(), name.as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut index = 0;
    while index < left.len() && index < right.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    left.len() == right.len()
}

/// An example call with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The call as an expression whose arguments are JSON literals: `join(["a", "b"], "-")`.
    pub call: String,
    /// The result, as a cell of a JSON file.
    pub gives: serde_json::Value,
}

impl Example {
    /// Returns the arguments of the call. `None` if it is not a call with JSON literals.
    pub fn arguments(&self) -> Option<Vec<serde_json::Value>> {
        let (_, arguments) = self.call.trim().strip_suffix(')')?.split_once('(')?;
        serde_json::from_str(&format!("[{arguments}]")).ok()
    }
}
