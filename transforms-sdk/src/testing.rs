//! Runs a transform natively, without WASM: its examples, its cases, and single calls.
//!
//! `#[transform]` generates tests of the examples and of `cases/*.json`. A file of cases is an array:
//!
//! ```json
//! [
//!   { "name": "a short one", "arguments": ["ab@example.com"], "gives": "a*@example.com" },
//!   { "arguments": [null], "gives": null },
//!   { "arguments": ["no address"], "fault": "no e-mail address" }
//! ]
//! ```
//!
//! `gives` is the result of the transform; `fault` is a part of its fault message. `transform test`
//! runs the same files in the sandbox.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::manifest::Manifest;
use crate::{Arguments, Fault, Transform, Value};

/// Arguments with the expected result or fault.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Case {
    /// The description, if any.
    pub name: Option<String>,
    /// The arguments of the call, in order.
    pub arguments: Vec<Json>,
    /// The expected result or fault.
    pub expected: Expected,
}

/// A case in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    arguments: Vec<Json>,
    /// `Some(null)` if the member is `null`, `None` if it is absent.
    #[serde(default, deserialize_with = "present")]
    gives: Option<Json>,
    fault: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl TryFrom<Written> for Case {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, arguments, gives, fault } = written;
        let expected = match (gives, fault) {
            (Some(gives), None) => Expected::Gives(gives),
            (None, Some(fault)) => Expected::Fault(fault),
            _ => return Err("a case has either `gives` or `fault`".into()),
        };
        Ok(Self { name, arguments, expected })
    }
}

/// The expected result or fault of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// This result, as a cell of a JSON file.
    Gives(Json),
    /// A fault whose message contains this.
    Fault(String),
}

impl Case {
    /// Compares a result or fault message with the expected one. The error contains both.
    pub fn check(&self, outcome: Result<&Value, &str>) -> Result<(), String> {
        match (&self.expected, outcome) {
            (Expected::Gives(expected), Ok(value)) if same(expected, &value.clone().into()) => Ok(()),
            (Expected::Fault(part), Err(message)) if message.contains(part.as_str()) => Ok(()),
            (expected, Ok(value)) => Err(format!("gives {}; {expected}", Json::from(value.clone()))),
            (expected, Err(message)) => Err(format!("is refused with {message:?}; {expected}")),
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

/// Returns whether two values are equal; `5` and `5.0` are the same number.
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

/// Reads the cases in the `.json` files of a directory, sorted by file name; empty if there is no directory.
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

/// Returns the result of one call: `testing::call::<mask_email>([json!("ada@example.com")])`.
pub fn call<T: Transform>(arguments: impl IntoIterator<Item = Json>) -> Result<Value, Fault> {
    let row: Vec<Value> = arguments.into_iter().map(Value::from).collect();
    if row.len() > T::PARAMETERS {
        return Err(crate::fault!("{} arguments are given; {} are taken", row.len(), T::PARAMETERS));
    }
    T::call(&Arguments::new(&vec![None; row.len()], &row))
}

/// Returns the manifest of a transform.
pub fn manifest<T: Transform>() -> Manifest {
    serde_json::from_str(T::MANIFEST).expect("the attribute makes a manifest of this shape")
}

/// Runs the examples of the attribute. Panics with all that fail.
pub fn examples<T: Transform>() {
    let examples = manifest::<T>().examples.into_iter().map(|example| Case {
        arguments: example.arguments().expect("the attribute has checked the literals"),
        name: None,
        expected: Expected::Gives(example.gives),
    });
    report(&run::<T>("example", examples));
}

/// Runs the cases of every `.json` file in a directory. Panics with all that fail.
pub fn cases<T: Transform>(directory: impl AsRef<Path>) {
    let files = read_cases(directory).unwrap_or_else(|error| panic!("{error}"));
    let wrong = files.into_iter().flat_map(|(path, cases)| {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        run::<T>(&file, cases)
    });
    report(&wrong.collect::<Vec<_>>());
}

fn run<T: Transform>(place: &str, cases: impl IntoIterator<Item = Case>) -> Vec<String> {
    let check = |(case, number): (Case, usize)| {
        let outcome = call::<T>(case.arguments.iter().cloned());
        let result = case.check(outcome.as_ref().map_err(Fault::message));
        result.err().map(|wrong| format!("{place} {number}, {case} {wrong}"))
    };
    cases.into_iter().zip(1..).filter_map(check).collect()
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}
