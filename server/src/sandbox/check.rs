//! Runs a transform's examples and cases in the sandbox, and finds transforms whose results are not always
//! the same.

use std::time::Duration;

use serde_json::{Value as Json, json};
use transforms_sdk::Value;
use transforms_sdk::manifest::{Manifest, Type};
use transforms_sdk::testing::{Case, Expected};

use super::engine::{self, Stop};
use super::{FaultKind, Runner, Sandbox, Transform};
use crate::error::{Code, Error, Result};
use crate::printable;

/// Time all examples of a transform may compute together, repetitions included.
pub const EXAMPLES_TIME: Duration = Duration::from_secs(10);

/// Time the made-up rows may compute; beyond it they are left out.
const MADE_UP_TIME: Duration = Duration::from_secs(2);

/// How often rows are computed again in an instance that has computed others, backwards and forwards in turn. A
/// hash map of two entries is iterated in the same order every second time.
const REPEATED: usize = 6;

/// Characters of a result in a message.
const LONGEST_SHOWN: usize = 400;

/// What came of an example or a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The call, as it is written.
    pub call: String,
    /// What is wrong; none if it gave what was expected, each time.
    pub wrong: Option<String>,
}

/// A result of a row, or its fault.
type Outcome = std::result::Result<Value, (FaultKind, String)>;

/// How long rows may still compute on this thread.
struct Budget<'a> {
    end: Option<Duration>,
    stop: &'a Stop,
}

impl Budget<'_> {
    /// Fails when the time is over or the check was stopped.
    fn check(&self, label: &str) -> Result<()> {
        if self.stop.is_stopped() {
            return Err(Error::new(Code::Canceled, format!("The check of {label} was stopped.")));
        }
        if self.end.is_some_and(|end| engine::computed() >= end) {
            let time = humantime::format_duration(EXAMPLES_TIME);
            return Err(Error::new(
                Code::InvalidTransform,
                format!("The examples of {label} compute for more than {time} together, the limit."),
            )
            .with_hint("Give fewer or quicker examples; `transform test` runs cases without this limit."));
        }
        Ok(())
    }
}

impl Sandbox {
    /// Runs the examples of a transform's manifest as a column would, each in an instance of its own, and all
    /// of them again in an instance that has computed others. Rows made up for its parameters are run so too,
    /// to compare their results.
    ///
    /// Fails where the transform cannot be started at all, when the examples compute for longer than
    /// [`EXAMPLES_TIME`], and when `stop` stops them.
    pub fn check_examples(&self, transform: &Transform, stop: &Stop) -> Result<Vec<Checked>> {
        // Compiling does not count.
        self.start_until(transform, &vec![None; transform.manifest().parameters.len()], stop)?;
        let budget = Budget { end: Some(engine::computed() + EXAMPLES_TIME), stop };
        let mut checked = Vec::new();
        let mut cases = Vec::new();
        for example in &transform.manifest().examples {
            let call = printable::line(&example.call).into_owned();
            match example.arguments() {
                Some(arguments) => {
                    let expected = Expected::Gives(example.gives.clone());
                    cases.push((call, Case { name: None, arguments, expected }));
                }
                None => checked.push(Checked { call, wrong: Some("is no call whose arguments are literals".into()) }),
            }
        }
        checked.extend(self.check(transform, &cases, true, &budget)?);
        checked.extend(self.check_made_up(transform, &budget)?);
        Ok(checked)
    }

    /// Runs cases of a transform, each in an instance of its own, and all of them again in an instance that has
    /// computed others.
    pub fn check_cases(&self, transform: &Transform, cases: &[Case]) -> Result<Vec<Checked>> {
        let cases: Vec<_> =
            cases.iter().map(|case| (printable::line(&case.to_string()).into_owned(), case.clone())).collect();
        self.check(transform, &cases, false, &Budget { end: None, stop: &Stop::default() })
    }

    /// Arguments are passed as literals of a column (`literal`), which a transform may require, or as values that differ
    /// from row to row. Results are compared in both ways of passing them.
    fn check(
        &self,
        transform: &Transform,
        cases: &[(String, Case)],
        literal: bool,
        budget: &Budget<'_>,
    ) -> Result<Vec<Checked>> {
        let mut checked = Vec::new();
        // Which case, its row, and what came of it.
        let mut computed: Vec<(usize, Vec<Value>, Outcome)> = Vec::new();
        for (number, (call, case)) in cases.iter().enumerate() {
            let wrong = match row(transform.manifest(), case) {
                Ok(arguments) => {
                    let (mut outcome, repeated) = self.compute_alone(transform, &arguments, literal, budget)?;
                    let verdict = case.judge(outcome.as_ref().map_err(|(_, message)| message.as_str()));
                    let wrong = verdict.err().map(|wrong| shown(&wrong));
                    let mut wrong =
                        wrong.or_else(|| difference(&outcome, &repeated, "when the same instance computes it again"));
                    if literal {
                        let (again, _) = self.compute_alone(transform, &arguments, literal, budget)?;
                        wrong = wrong.or_else(|| difference(&outcome, &again, "in another fresh one"));
                        (outcome, _) = self.compute_alone(transform, &arguments, false, budget)?;
                    }
                    computed.push((number, arguments, outcome));
                    wrong
                }
                Err(wrong) => Some(wrong),
            };
            checked.push(Checked { call: call.clone(), wrong });
        }
        let rows: Vec<_> = computed.iter().map(|(_, row, outcome)| (row.as_slice(), outcome)).collect();
        for (place, difference) in self.differences(transform, &rows, budget)? {
            let number = computed.get(place).map(|(number, ..)| *number);
            if let Some(checked) = number.and_then(|number| checked.get_mut(number)) {
                checked.wrong.get_or_insert(difference);
            }
        }
        Ok(checked)
    }

    /// Rows made up for the parameters: those whose results are not always the same.
    fn check_made_up(&self, transform: &Transform, budget: &Budget<'_>) -> Result<Vec<Checked>> {
        let end = engine::computed() + MADE_UP_TIME;
        let own = Budget { end: Some(budget.end.map_or(end, |all| all.min(end))), stop: budget.stop };
        let made_up = made_up(transform.manifest());
        let differences = || -> Result<Vec<(usize, String)>> {
            let outcomes: Vec<Outcome> = made_up
                .iter()
                .map(|row| Ok(self.compute_alone(transform, row, false, &own)?.0))
                .collect::<Result<_>>()?;
            let rows: Vec<_> = made_up.iter().map(Vec::as_slice).zip(&outcomes).collect();
            self.differences(transform, &rows, &own)
        };
        let differences = match differences() {
            Ok(differences) => differences,
            // These rows are not the author's: a slow transform may have slow ones.
            Err(error) if error.code == Code::InvalidTransform && !budget.stop.is_stopped() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let name = &transform.manifest().name;
        Ok(differences
            .into_iter()
            .filter_map(|(place, wrong)| {
                let arguments: Vec<_> =
                    made_up.get(place)?.iter().map(|value| Json::from(value.clone()).to_string()).collect();
                Some(Checked { call: format!("{name}({})", arguments.join(", ")), wrong: Some(wrong) })
            })
            .collect())
    }

    /// Computes one row in an instance of its own, twice.
    fn compute_alone(
        &self,
        transform: &Transform,
        row: &[Value],
        literal: bool,
        budget: &Budget<'_>,
    ) -> Result<(Outcome, Outcome)> {
        budget.check(&transform.label())?;
        let (literals, row) = if literal {
            (row.iter().cloned().map(Some).collect(), Vec::new())
        } else {
            (vec![None; row.len()], row.to_vec())
        };
        let mut runner = self.start_until(transform, &literals, budget.stop)?;
        let outcomes = (compute(&mut runner, row.clone()), compute(&mut runner, row));
        budget.check(&transform.label())?;
        Ok(outcomes)
    }

    /// Computes rows in one instance, backwards and forwards in turn. Gives the places of those whose result is
    /// another than the one given with them, and the difference in words.
    fn differences(
        &self,
        transform: &Transform,
        rows: &[(&[Value], &Outcome)],
        budget: &Budget<'_>,
    ) -> Result<Vec<(usize, String)>> {
        let mut found: Vec<(usize, String)> = Vec::new();
        let arguments = transform.manifest().parameters.len();
        let mut runner = self.start_until(transform, &vec![None; arguments], budget.stop)?;
        for round in 0..REPEATED {
            let places: Vec<usize> =
                if round % 2 == 0 { (0..rows.len()).rev().collect() } else { (0..rows.len()).collect() };
            for place in places {
                let Some((row, before)) = rows.get(place) else { continue };
                if found.iter().any(|(known, _)| *known == place) {
                    continue;
                }
                budget.check(&transform.label())?;
                let outcome = compute(&mut runner, row.to_vec());
                if let Some(difference) = difference(before, &outcome, "in one that has computed other rows") {
                    found.push((place, difference));
                }
            }
        }
        budget.check(&transform.label())?;
        Ok(found)
    }
}

fn compute(runner: &mut Runner, row: Vec<Value>) -> Outcome {
    match runner.apply(&[row]).pop() {
        Some(Ok(value)) => Ok(value),
        Some(Err(fault)) => Err((fault.kind, fault.message)),
        None => Err((FaultKind::BadResult, "no result came back".into())),
    }
}

/// Whether two results of one row differ. Limits of time and memory say nothing: a row that is close to one
/// may exceed it once and not again.
fn differ(left: &Outcome, right: &Outcome) -> bool {
    let limited = |outcome: &Outcome| {
        matches!(outcome, Err((FaultKind::Time | FaultKind::Memory | FaultKind::Stack | FaultKind::GivenUp, _)))
    };
    if limited(left) || limited(right) {
        return false;
    }
    match (left, right) {
        (Ok(Value::Number(left)), Ok(Value::Number(right))) => {
            left.total_cmp(right).is_ne() && !(left.is_nan() && right.is_nan())
        }
        // As bytes of the file: members in another order are another result.
        (Ok(Value::Json(left)), Ok(Value::Json(right))) => text_of(left) != text_of(right),
        (Ok(left), Ok(right)) => left != right,
        (Err(left), Err(right)) => left != right,
        _ => true,
    }
}

fn text_of(value: &Json) -> String {
    value.to_string()
}

/// How the second result of a row differs from that in a fresh instance; none where it does not.
fn difference(fresh: &Outcome, second: &Outcome, circumstance: &str) -> Option<String> {
    differ(fresh, second).then(|| {
        let (fresh, second) = (words(fresh), words(second));
        format!("is not deterministic: it gives {fresh} in a fresh instance, and {second} {circumstance}")
    })
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Ok(value) => shown(&Json::from(value.clone()).to_string()),
        Err((_, message)) => shown(&format!("the fault {message:?}")),
    }
}

/// A text with what a guest gave, for a message.
fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(LONGEST_SHOWN).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable::line(&cut).into_owned()
}

/// The arguments of a case as a row; those left out at the end are nothing.
fn row(manifest: &Manifest, case: &Case) -> std::result::Result<Vec<Value>, String> {
    let (given, taken) = (case.arguments.len(), manifest.parameters.len());
    if given > taken {
        return Err(format!("has {given} arguments, but {} takes {taken}", manifest.name));
    }
    let mut row: Vec<Value> = case.arguments.iter().cloned().map(Value::from).collect();
    row.resize(taken, Value::Nothing);
    Ok(row)
}

/// Rows that fit the parameters.
fn made_up(manifest: &Manifest) -> Vec<Vec<Value>> {
    let user = json!({
        "user_id": "auth0|5f7c8ec7c33c6c004bbafe82",
        "email": "ada.lovelace@example.com",
        "name": "Ada Lovelace",
        "created_at": "2024-02-29T12:30:00.000Z",
        "logins_count": 42,
        "user_metadata": {"plan": "pro", "city": "London", "tags": ["b", "a", "c"]},
        "app_metadata": {"roles": ["admin", "editor"], "z": 1, "y": 2, "x": 3},
    });
    let variants = [
        (
            json!("Ada Lovelace <ada.lovelace@example.com>, 42"),
            json!(42),
            json!({"b": 1, "a": 2, "d": {"x": 1, "w": 2}, "c": [3]}),
        ),
        (json!("the quick brown fox jumps over the lazy dog"), json!(-0.5), json!(["b", "a", "d", "c"])),
        (json!("ada.lovelace@example.com"), json!(1), user.clone()),
    ];
    if manifest.parameters.is_empty() {
        return vec![Vec::new()];
    }
    let value = |kind: Type, (text, number, json): &(Json, Json, Json)| match kind {
        Type::Boolean => json!(true),
        Type::Number => number.clone(),
        Type::Json => json.clone(),
        Type::User => user.clone(),
        Type::Any if number.is_i64() => json.clone(),
        Type::Text | Type::Any => text.clone(),
    };
    variants
        .iter()
        .map(|variant| {
            manifest.parameters.iter().map(|parameter| Value::from(value(parameter.kind, variant))).collect()
        })
        .collect()
}
