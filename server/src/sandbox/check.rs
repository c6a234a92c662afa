//! Runs a transform's examples and cases in the sandbox.

use transforms_sdk::Value;
use transforms_sdk::manifest::Manifest;
use transforms_sdk::testing::{Case, Expected};

use super::{Sandbox, Transform};
use crate::error::Result;

/// What came of an example or a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The call, as it is written.
    pub call: String,
    /// What is wrong; none if it gave what was expected.
    pub wrong: Option<String>,
}

impl Sandbox {
    /// Runs the examples of a transform's manifest, each by itself, as a column would.
    ///
    /// Fails where the transform cannot be started at all.
    pub fn check_examples(&self, transform: &Transform) -> Result<Vec<Checked>> {
        let mut checked = Vec::new();
        let mut cases = Vec::new();
        for example in &transform.manifest().examples {
            match example.arguments() {
                Some(arguments) => {
                    let expected = Expected::Gives(example.gives.clone());
                    cases.push((example.call.clone(), Case { name: None, arguments, expected }));
                }
                None => checked.push(Checked {
                    call: example.call.clone(),
                    wrong: Some("is no call whose arguments are literals".into()),
                }),
            }
        }
        checked.extend(self.check(transform, &cases, true)?);
        Ok(checked)
    }

    /// Runs cases of a transform.
    pub fn check_cases(&self, transform: &Transform, cases: &[Case]) -> Result<Vec<Checked>> {
        let cases: Vec<_> = cases.iter().map(|case| (case.to_string(), case.clone())).collect();
        self.check(transform, &cases, false)
    }

    /// Arguments are handed over as literals are in a column, or as values that differ from row to row.
    fn check(&self, transform: &Transform, cases: &[(String, Case)], literal: bool) -> Result<Vec<Checked>> {
        let mut checked = Vec::new();
        for (call, case) in cases {
            let wrong = match row(transform.manifest(), case) {
                Ok(arguments) => {
                    let (literals, row) = if literal {
                        (arguments.into_iter().map(Some).collect(), Vec::new())
                    } else {
                        (vec![None; arguments.len()], arguments)
                    };
                    let mut runner = self.start(transform, &literals)?;
                    let outcome = runner.apply(&[row]).into_iter().next();
                    let outcome = match &outcome {
                        Some(Ok(value)) => Ok(value),
                        Some(Err(fault)) => Err(fault.message.as_str()),
                        None => Err("no result came back"),
                    };
                    case.judge(outcome).err()
                }
                Err(wrong) => Some(wrong),
            };
            checked.push(Checked { call: call.clone(), wrong });
        }
        Ok(checked)
    }
}

/// The arguments of a case as a row; those left out at the end are nothing.
fn row(manifest: &Manifest, case: &Case) -> Result<Vec<Value>, String> {
    let (given, taken) = (case.arguments.len(), manifest.parameters.len());
    if given > taken {
        return Err(format!("has {given} arguments, but {} takes {taken}", manifest.name));
    }
    let mut row: Vec<Value> = case.arguments.iter().cloned().map(Value::from).collect();
    row.resize(taken, Value::Nothing);
    Ok(row)
}
