//! Runs a transform natively, without WASM: its examples, its cases, and single calls.
//!
//! `#[transform]` makes tests of the examples and of `cases/*.json` by itself. A file of cases is an array:
//!
//! ```json
//! [
//!   { "name": "a short one", "arguments": ["ab@example.com"], "gives": "a*@example.com" },
//!   { "arguments": [null], "gives": null },
//!   { "arguments": ["no address"], "fault": "no e-mail address" }
//! ]
//! ```
//!
//! `gives` is what the transform gives; `fault` is a part of what it says when it refuses. `transform test`
//! runs the same files in the sandbox.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::manifest::Manifest;
use crate::{Arguments, Fault, Transform, Value};

/// Arguments, and what they give or how they are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, if that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The arguments of the call, in order.
    pub arguments: Vec<Json>,
    /// What they give.
    #[serde(flatten)]
    pub expected: Expected,
}

/// What is expected of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// This result, as a cell of a JSON file.
    Gives(Json),
    /// A fault whose message contains this.
    Fault(String),
}

impl Case {
    /// Compares what came with what was expected. An error says both.
    pub fn judge(&self, outcome: Result<&Value, &str>) -> Result<(), String> {
        match (&self.expected, outcome) {
            (Expected::Gives(expected), Ok(value)) if same(expected, &value.clone().into()) => Ok(()),
            (Expected::Fault(part), Err(message)) if message.contains(part.as_str()) => Ok(()),
            (expected, Ok(value)) => Err(format!("gives {}, but {expected}", Json::from(value.clone()))),
            (expected, Err(message)) => Err(format!("is refused: {message}; but {expected}")),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gives(expected) => write!(formatter, "{expected} is expected"),
            Self::Fault(part) => write!(formatter, "a fault that says {part:?} is expected"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(formatter, "{name}: ")?;
        }
        formatter.write_str("(")?;
        for (index, argument) in self.arguments.iter().enumerate() {
            write!(formatter, "{}{argument}", if index == 0 { "" } else { ", " })?;
        }
        formatter.write_str(")")
    }
}

/// Whether two values are the same; `5` and `5.0` are one number.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}

/// The cases in the `.json` files of a directory, by file, sorted by name; none where there is no directory.
/// An error names the file.
pub fn read_cases(directory: impl AsRef<Path>) -> Result<Vec<(PathBuf, Vec<Case>)>, String> {
    let directory = directory.as_ref();
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            let cases = serde_json::from_str(&text).map_err(|error| {
                format!(
                    "{}: {error}; a file of cases is an array of {{\"arguments\": […], \"gives\": …}} or {{\"arguments\": […], \"fault\": \"…\"}}",
                    path.display()
                )
            })?;
            Ok((path, cases))
        })
        .collect()
}

/// The result of one call: `testing::call::<mask_email>([json!("ada@example.com")])`.
pub fn call<T: Transform>(arguments: impl IntoIterator<Item = Json>) -> Result<Value, Fault> {
    let row: Vec<Value> = arguments.into_iter().map(Value::from).collect();
    if row.len() > T::PARAMETERS {
        return Err(crate::fault!("{} arguments are given; {} are taken", row.len(), T::PARAMETERS));
    }
    T::call(&Arguments::new(&vec![None; row.len()], &row))
}

/// The manifest of a transform.
pub fn manifest<T: Transform>() -> Manifest {
    serde_json::from_str(T::MANIFEST).expect("the attribute makes a manifest of this shape")
}

/// Runs the examples of the attribute. Panics with all that do not hold.
pub fn examples<T: Transform>() {
    let examples = manifest::<T>().examples.into_iter().map(|example| Case {
        arguments: example.arguments().expect("the attribute has checked the literals"),
        name: None,
        expected: Expected::Gives(example.gives),
    });
    report(run::<T>("example", examples));
}

/// Runs the cases of every `.json` file in a directory. Panics with all that do not hold.
pub fn cases<T: Transform>(directory: impl AsRef<Path>) {
    let files = read_cases(directory).unwrap_or_else(|error| panic!("{error}"));
    let wrong = files.into_iter().flat_map(|(path, cases)| {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        run::<T>(&file, cases)
    });
    report(wrong.collect());
}

fn run<T: Transform>(place: &str, cases: impl IntoIterator<Item = Case>) -> Vec<String> {
    let judge = |(case, number): (Case, usize)| {
        let outcome = call::<T>(case.arguments.iter().cloned());
        let verdict = case.judge(outcome.as_ref().map_err(Fault::message));
        verdict.err().map(|wrong| format!("{place} {number}, {case} {wrong}"))
    };
    cases.into_iter().zip(1..).filter_map(judge).collect()
}

fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}
