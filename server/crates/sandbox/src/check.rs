//! Runs a transform's examples and cases in the sandbox, and detects transforms that are not deterministic.

use std::time::Duration;

use serde_json::{Value as Json, json};
use transforms_sdk::Value;
use transforms_sdk::manifest::{Manifest, Type};
use transforms_sdk::testing::{Case, Expected};

use super::catalog::Transform;
use super::engine::{self, StopSignal};
use super::fault::FaultKind;
use super::runner::Runner;
use super::sandbox::Sandbox;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::printable;

/// CPU time of all examples of a transform together, including repetitions.
pub const EXAMPLES_TIME: Duration = Duration::from_secs(10);

/// CPU time of the synthetic rows. If they take longer, they are not compared.
const SYNTHETIC_ROWS_TIME: Duration = Duration::from_secs(2);

/// How often rows are computed again in an instance that has computed other rows, backward and forward alternately.
/// Several rounds are needed: a hash map with two entries has the same order in half of the rounds.
const ROUNDS: usize = 6;

/// Maximum length of a result in a message, in characters.
const MAX_SHOWN_CHARS: usize = 400;

/// The result of checking an example or a case.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// The call, as it is written.
    pub call: String,
    /// Why the check failed. `None` if every run had the expected result.
    pub failure: Option<Message>,
}

/// The result of a row, or its fault.
type Outcome = std::result::Result<Value, (FaultKind, String)>;

/// Limits the CPU time that rows may use on this thread.
struct Budget<'a> {
    end: Option<Duration>,
    stop: &'a StopSignal,
}

impl Budget<'_> {
    /// Fails if the time is used up or the check was stopped.
    fn check(&self, label: &str) -> Result<()> {
        if self.stop.is_stopped() {
            return Err(Error::new(Code::Canceled, message!("The check of {label} was stopped.")));
        }
        if self.end.is_some_and(|end| engine::thread_cpu_time() >= end) {
            let time = humantime::format_duration(EXAMPLES_TIME);
            return Err(Error::new(
                Code::InvalidTransform,
                message!("The examples of {label} compute for more than {time} together, the limit."),
            )
            .with_hint(message!("Give fewer or quicker examples; `transform test` runs cases without this limit.")));
        }
        Ok(())
    }
}

impl Sandbox {
    /// Runs the examples of a transform's manifest, each in a separate instance, and all of them again in an instance
    /// that has computed other rows. Also runs synthetic rows, to compare their results.
    ///
    /// Fails if the transform cannot be started, if the examples use more than [`EXAMPLES_TIME`], or if `stop` stops
    /// them.
    pub fn check_examples(&self, transform: &Transform, stop: &StopSignal) -> Result<Vec<CheckResult>> {
        // Compile first: compilation does not count as time of the examples.
        self.start_until(transform, &vec![None; transform.manifest().parameters.len()], stop)?;
        let budget = Budget { end: Some(engine::thread_cpu_time() + EXAMPLES_TIME), stop };
        let mut results = Vec::new();
        let mut cases = Vec::new();
        for example in &transform.manifest().examples {
            let call = printable::line(&example.call).into_owned();
            if let Some(arguments) = example.arguments() {
                let expected = Expected::Gives(example.gives.clone());
                cases.push((call, Case { name: None, arguments, expected }));
            } else {
                let failure = Some(message!("is not a call whose arguments are literals"));
                results.push(CheckResult { call, failure });
            }
        }
        results.extend(self.check(transform, &cases, true, &budget)?);
        results.extend(self.check_synthetic_rows(transform, &budget)?);
        Ok(results)
    }

    /// Runs cases of a transform, each in a separate instance, and all of them again in an instance that has computed
    /// other rows.
    pub fn check_cases(&self, transform: &Transform, cases: &[Case]) -> Result<Vec<CheckResult>> {
        let cases: Vec<_> =
            cases.iter().map(|case| (printable::line(&case.to_string()).into_owned(), case.clone())).collect();
        self.check(transform, &cases, false, &Budget { end: None, stop: &StopSignal::default() })
    }

    /// Checks cases. With `literal`, arguments are passed as literals, which a transform may require, and also as
    /// values of rows to compare the results; otherwise as values of rows only.
    fn check(
        &self,
        transform: &Transform,
        cases: &[(String, Case)],
        literal: bool,
        budget: &Budget<'_>,
    ) -> Result<Vec<CheckResult>> {
        let mut results = Vec::new();
        // Index of the case, its row and its outcome.
        let mut computed: Vec<(usize, Vec<Value>, Outcome)> = Vec::new();
        for (index, (call, case)) in cases.iter().enumerate() {
            let failure = match row(transform.manifest(), case) {
                Ok(arguments) => {
                    let (mut outcome, repeated) = self.compute_alone(transform, &arguments, literal, budget)?;
                    let verdict = case.check(outcome.as_ref().map_err(|(_, message)| message.as_str()));
                    let failure = verdict.err().map(|message| Message::verbatim(for_display(&message)));
                    let mut failure = failure.or_else(|| difference(&outcome, &repeated, Run::Repeated));
                    if literal {
                        let (again, _) = self.compute_alone(transform, &arguments, literal, budget)?;
                        failure = failure.or_else(|| difference(&outcome, &again, Run::Fresh));
                        (outcome, _) = self.compute_alone(transform, &arguments, false, budget)?;
                    }
                    computed.push((index, arguments, outcome));
                    failure
                }
                Err(message) => Some(message),
            };
            results.push(CheckResult { call: call.clone(), failure });
        }
        let rows: Vec<_> = computed.iter().map(|(_, row, outcome)| (row.as_slice(), outcome)).collect();
        for (row, difference) in self.find_differences(transform, &rows, budget)? {
            let index = computed.get(row).map(|(index, ..)| *index);
            if let Some(result) = index.and_then(|index| results.get_mut(index)) {
                result.failure.get_or_insert(difference);
            }
        }
        Ok(results)
    }

    /// Computes synthetic rows several times and returns those whose results differ.
    fn check_synthetic_rows(&self, transform: &Transform, budget: &Budget<'_>) -> Result<Vec<CheckResult>> {
        let end = engine::thread_cpu_time() + SYNTHETIC_ROWS_TIME;
        let own = Budget { end: Some(budget.end.map_or(end, |all| all.min(end))), stop: budget.stop };
        let rows = synthetic_rows(transform.manifest());
        let find_differences = || -> Result<Vec<(usize, Message)>> {
            let outcomes: Vec<Outcome> =
                rows.iter().map(|row| Ok(self.compute_alone(transform, row, false, &own)?.0)).collect::<Result<_>>()?;
            let outcomes: Vec<_> = rows.iter().map(Vec::as_slice).zip(&outcomes).collect();
            self.find_differences(transform, &outcomes, &own)
        };
        let differences = match find_differences() {
            Ok(differences) => differences,
            // The author did not choose these rows: a slow transform is not refused because of them.
            Err(error) if error.code == Code::InvalidTransform && !budget.stop.is_stopped() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let name = &transform.manifest().name;
        Ok(differences
            .into_iter()
            .filter_map(|(row, difference)| {
                let arguments: Vec<_> =
                    rows.get(row)?.iter().map(|value| Json::from(value.clone()).to_string()).collect();
                Some(CheckResult { call: format!("{name}({})", arguments.join(", ")), failure: Some(difference) })
            })
            .collect())
    }

    /// Computes one row in a separate instance, twice.
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

    /// Computes rows in one instance, backward and forward alternately. Returns the indexes of rows whose outcome is
    /// not the given one, and a description of the difference.
    fn find_differences(
        &self,
        transform: &Transform,
        rows: &[(&[Value], &Outcome)],
        budget: &Budget<'_>,
    ) -> Result<Vec<(usize, Message)>> {
        let mut found: Vec<(usize, Message)> = Vec::new();
        let arguments = transform.manifest().parameters.len();
        let mut runner = self.start_until(transform, &vec![None; arguments], budget.stop)?;
        for round in 0..ROUNDS {
            let order: Vec<usize> =
                if round % 2 == 0 { (0..rows.len()).rev().collect() } else { (0..rows.len()).collect() };
            for index in order {
                let Some((row, before)) = rows.get(index) else { continue };
                if found.iter().any(|(known, _)| *known == index) {
                    continue;
                }
                budget.check(&transform.label())?;
                let outcome = compute(&mut runner, row.to_vec());
                if let Some(difference) = difference(before, &outcome, Run::AfterOthers) {
                    found.push((index, difference));
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
        Some(Err(fault)) => Err((fault.kind, fault.message.to_string())),
        None => Err((FaultKind::BadResult, "no result came back".into())),
    }
}

/// Whether two outcomes of one row differ. Outcomes that exceed a limit are not compared: a row that is close to a
/// limit may exceed it in one run only.
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
        // Compare the text, as it is in the file: members in another order are another result.
        (Ok(Value::Json(left)), Ok(Value::Json(right))) => text_of(left) != text_of(right),
        (Ok(left), Ok(right)) => left != right,
        (Err(left), Err(right)) => left != right,
        _ => true,
    }
}

fn text_of(value: &Json) -> String {
    value.to_string()
}

/// A second run of a row that a fresh instance has computed.
#[derive(Clone, Copy, Debug)]
enum Run {
    /// In the same instance.
    Repeated,
    /// In another fresh instance.
    Fresh,
    /// In an instance that has computed other rows.
    AfterOthers,
}

/// Describes how the second outcome of a row differs from the outcome in a fresh instance. `None` if they are equal.
fn difference(fresh: &Outcome, second: &Outcome, run: Run) -> Option<Message> {
    differ(fresh, second).then(|| {
        let (fresh, second) = (describe(fresh), describe(second));
        match run {
            Run::Repeated => message!(
                "is not deterministic: it gives {fresh} in a fresh instance, and {second} when the same instance \
                 computes it again"
            ),
            Run::Fresh => message!(
                "is not deterministic: it gives {fresh} in a fresh instance, and {second} in another fresh one"
            ),
            Run::AfterOthers => message!(
                "is not deterministic: it gives {fresh} in a fresh instance, and {second} in one that has computed \
                 other rows"
            ),
        }
    })
}

fn describe(outcome: &Outcome) -> Message {
    match outcome {
        Ok(value) => Message::verbatim(for_display(&Json::from(value.clone()).to_string())),
        Err((_, fault)) => message!("the fault {fault}", fault = for_display(&format!("{fault:?}"))),
    }
}

/// Makes text with a guest's result safe to display: one line of limited length.
fn for_display(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable::line(&cut).into_owned()
}

/// Returns the arguments of a case as a row, padded with `Nothing`. Fails if there are too many.
fn row(manifest: &Manifest, case: &Case) -> std::result::Result<Vec<Value>, Message> {
    let (arguments, parameters) = (case.arguments.len(), manifest.parameters.len());
    if arguments > parameters {
        return Err(message!("has {arguments} arguments, but {name} takes {parameters}", name = manifest.name));
    }
    let mut row: Vec<Value> = case.arguments.iter().cloned().map(Value::from).collect();
    row.resize(parameters, Value::Nothing);
    Ok(row)
}

/// Returns rows that fit the types of the parameters.
fn synthetic_rows(manifest: &Manifest) -> Vec<Vec<Value>> {
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
