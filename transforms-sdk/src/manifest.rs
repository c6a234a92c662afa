//! What a transform says about itself, readable without running it.

use serde::{Deserialize, Serialize};

/// The custom section of the WASM file that holds the manifest as JSON.
pub const SECTION: &str = "user-import-export:manifest";

/// The version of the contract (`wit/transform.wit`) that this SDK speaks.
pub const CONTRACT: &str = "1.0.0";

/// The manifest of a transform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the contract it was built against.
    pub contract: String,
    /// The name expressions call it by: a letter, then letters, digits and `_`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it does, in one sentence: the first paragraph of the documentation.
    pub summary: String,
    /// The documentation, Markdown.
    #[serde(default)]
    pub documentation: String,
    /// Its parameters, in order. Those that are optional come last.
    pub parameters: Vec<Parameter>,
    /// What it gives.
    pub output: Type,
    /// Calls and what they give.
    #[serde(default)]
    pub examples: Vec<Example>,
}

/// A parameter of a transform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Whether it takes nothing too; an argument left out at the end of a call is nothing.
    #[serde(default)]
    pub optional: bool,
    /// Whether its value is a secret: given as `secret("NAME")` or a literal, and never shown.
    #[serde(default)]
    pub secret: bool,
    /// What it means.
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

/// A call and what it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The call as an expression whose arguments are literals.
    pub call: String,
    /// What it gives, as a cell of a JSON file.
    pub gives: serde_json::Value,
}
