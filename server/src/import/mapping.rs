//! Shapes foreign rows: attributes computed from what a row holds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cells::fitted;
use super::path::{self, Step, steps};
use super::read::{Flaw, Headers};
use super::rows::{Content, Row};
use super::schema::{self, Target};
use super::{ImportRequest, propose};
use crate::error::{Code, Error, Result};
use crate::expression::{Attributes, Evaluator, Expression, Formula, SandboxCount, Tools, Wanted, read, split_column};
use crate::user;

/// One attribute of an import and the expression that gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MapRule {
    /// An expression over the row as `user`; columns of a CSV file are its attributes.
    pub expression: String,
    /// Path of the attribute; with the expression `null` the name of a column or attribute that is left
    /// out.
    pub attribute: String,
}

impl MapRule {
    /// Reads `EXPR=attribute`.
    pub fn parse(text: &str) -> Result<Self> {
        match split_column(text) {
            (expression, Some(attribute)) if !expression.is_empty() && !attribute.is_empty() => {
                Ok(Self { expression: expression.to_owned(), attribute: attribute.to_owned() })
            }
            _ => Err(Error::new(Code::InvalidMapping, format!("The mapping {text:?} is not EXPR=attribute."))),
        }
    }

    /// Reads mappings as JSON: `{"attribute": "EXPR"}`, or an array of `"EXPR=attribute"` or of
    /// `{"expression", "attribute"}`.
    pub fn parse_json(json: &str) -> Result<Vec<Self>> {
        let wrong = |what: &str| {
            Error::new(Code::InvalidMapping, format!("The mapping {what}."))
                .with_hint("Send a JSON object such as {\"name\": \"user[\\\"Full name\\\"]\"}.")
        };
        match serde_json::from_str(json).map_err(|error| wrong(&format!("is not valid JSON: {error}")))? {
            Value::Object(members) => members
                .into_iter()
                .map(|(attribute, expression)| match expression {
                    Value::String(expression) => Ok(Self { expression, attribute }),
                    _ => Err(wrong(&format!("of {attribute} is not a string"))),
                })
                .collect(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Self::parse(&text),
                    other => serde_json::from_value(other).map_err(|error| wrong(&format!("is not complete: {error}"))),
                })
                .collect(),
            _ => Err(wrong("is neither an object nor an array")),
        }
    }
}

/// The mapping of an import, checked whole.
#[derive(Debug)]
pub(super) struct Mapping {
    rules: Vec<Rule>,
    wanted: Wanted,
    /// Root attributes that only the mapping reads: they are no part of the user that comes out.
    moved: Vec<String>,
    dropped: Vec<String>,
    /// An expression reads the row as a whole.
    whole: bool,
}

#[derive(Debug)]
struct Rule {
    formula: Formula,
    /// It only takes something away.
    nothing: bool,
    attribute: String,
    steps: Vec<Step>,
    target: Target,
}

impl Mapping {
    /// The mapping that a request asks for. Expressions that are no paths need `tools`.
    pub(super) fn of(request: &ImportRequest, tools: Option<&Tools>) -> Result<Self> {
        let mut mapping = Self::new(&request.map, tools)?;
        if request.drop_read_only {
            let read_only = user::ATTRIBUTES.iter().filter(|attribute| !attribute.importable);
            mapping.dropped.extend(read_only.map(|attribute| attribute.name.to_owned()));
        }
        Ok(mapping)
    }

    /// Checks every rule before anything is read.
    fn new(rules: &[MapRule], tools: Option<&Tools>) -> Result<Self> {
        let mut ready: Vec<Rule> = Vec::new();
        let mut dropped = Vec::new();
        let mut sandboxes = SandboxCount::default();
        for rule in rules {
            let expression = Expression::parse(&rule.expression)?;
            let nothing = is_nothing(&expression);
            let attribute = rule.attribute.trim();
            let place = steps(attribute).and_then(|steps| schema::target(&steps).map(|target| (steps, target)));
            let Some((steps, target)) = place else {
                if nothing {
                    dropped.push(attribute.to_owned());
                    continue;
                }
                let error = Error::new(
                    Code::InvalidMapping,
                    format!("The mapping leads to {attribute:?}, which is no attribute of an import."),
                );
                return Err(match propose::nearest(attribute) {
                    Some(nearest) => error.with_hint(format!("Did you mean {nearest}?")),
                    None => error.with_hint("Data of your own goes into user_metadata or app_metadata."),
                });
            };
            if let Some(other) =
                ready.iter().find(|other| other.steps.starts_with(&steps) || steps.starts_with(&other.steps))
            {
                return Err(Error::new(
                    Code::InvalidMapping,
                    format!("The mappings of {} and {attribute} are about the same attribute.", other.attribute),
                ));
            }
            sandboxes.add(&expression, Code::InvalidMapping).map_err(|error| {
                error.with_hint("Use paths where a rule only picks an attribute, or shape the file before the import.")
            })?;
            let formula = Formula::new(&expression, tools)?;
            ready.push(Rule { formula, nothing, attribute: attribute.to_owned(), steps, target });
        }
        let wanted = Wanted::new(ready.iter().flat_map(|rule| rule.formula.paths()));
        let read: Option<Vec<String>> = wanted.attributes().map(|names| names.into_iter().map(str::to_owned).collect());
        let whole = read.is_none();
        let mut moved = read.unwrap_or_default();
        moved.retain(|name| !is_importable(name));
        Ok(Self { rules: ready, wanted, moved, dropped, whole })
    }

    /// What the mapping means for the columns of a CSV file.
    pub(super) fn headers(&self) -> Headers {
        Headers {
            read: self.moved.clone(),
            dropped: self.dropped.clone(),
            email_is_mapped: self.rules.iter().any(|rule| rule.attribute == "email"),
            any: self.whole,
            lenient: false,
        }
    }

    /// Whether rows stay as they are.
    pub(super) fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.dropped.is_empty()
    }

    /// Applies the mapping, on one thread.
    pub(super) fn mapper(&self) -> Mapper<'_> {
        let evaluator = Evaluator::new(self.rules.iter().map(|rule| &rule.formula));
        Mapper { mapping: self, evaluator }
    }

    /// Whether an attribute of a row is only read, or left out.
    fn takes_away(&self, name: &str) -> bool {
        self.moved.iter().chain(&self.dropped).any(|taken| taken == name) || (self.whole && !is_importable(name))
    }
}

fn is_importable(name: &str) -> bool {
    user::find(name).is_some_and(|attribute| attribute.importable)
}

/// What the rules give for a row: the value of each that has one, or is to be taken away.
type Given<'m> = Vec<(&'m Rule, Option<Value>)>;

/// Applies a mapping to rows. Belongs to one thread.
pub(super) struct Mapper<'m> {
    mapping: &'m Mapping,
    evaluator: Evaluator,
}

impl<'m> Mapper<'m> {
    /// Whether it is worth while to hand over many rows at once.
    pub(super) fn wants_batches(&self) -> bool {
        !self.evaluator.is_idle()
    }

    /// Makes of every row the user that is imported; those that are flawed already stay so.
    pub(super) fn apply(&mut self, rows: &mut [Row]) {
        if self.mapping.is_idle() {
            return;
        }
        let given = self.compute(rows);
        for (row, given) in rows.iter_mut().zip(given) {
            match given {
                None => {}
                Some(Err(flaws)) => row.content = Content::Flawed(flaws),
                Some(Ok(given)) => {
                    if let Err(flaw) = self.shape(row, given) {
                        row.content = Content::Flawed(vec![flaw]);
                    }
                }
            }
        }
    }

    /// What the rules give for each row; nothing for rows that are no objects.
    fn compute(&mut self, rows: &[Row]) -> Vec<Option<std::result::Result<Given<'m>, Vec<Flaw>>>> {
        let mapping = self.mapping;
        let mut given: Vec<Option<std::result::Result<Given<'m>, Vec<Flaw>>>> = Vec::with_capacity(rows.len());
        let mut users = Vec::with_capacity(rows.len());
        for row in rows {
            given.push(match &row.content {
                Content::User(Value::Object(_)) => match read(&row.raw.bytes, &mapping.wanted) {
                    Ok(user) => {
                        users.push(user);
                        Some(Ok(Vec::with_capacity(mapping.rules.len())))
                    }
                    // What the parser of rows took, this one takes too, but for deeper nesting.
                    Err(error) => Some(Err(vec![flaw(None, format!("The row is {error}."))])),
                },
                _ => None,
            });
        }
        let borrowed: Vec<Attributes<'_, '_>> = users.iter().map(Attributes::Tree).collect();
        let computed = if self.evaluator.is_idle() { Vec::new() } else { self.evaluator.compute(&borrowed) };
        let mut text = Vec::new();
        let mapped = given.iter_mut().flatten().filter(|given| given.is_ok());
        for (place, (user, outcome)) in users.iter().zip(mapped).enumerate() {
            let mut values = Vec::with_capacity(mapping.rules.len());
            let mut flaws = Vec::new();
            let mut columns = computed.iter();
            for rule in &mapping.rules {
                text.clear();
                if let Some(path) = rule.formula.as_path() {
                    path.evaluate(user).write_json(&mut text);
                } else {
                    match columns.next().and_then(|cells| cells.get(place)) {
                        Some(Ok(cell)) => cell.write_json(&mut text),
                        Some(Err(why)) => {
                            let message = format!("The mapping of {} gives no value: {why}", rule.attribute);
                            flaws.push(flaw(Some(&rule.attribute), message));
                            continue;
                        }
                        None => text.extend_from_slice(b"null"),
                    }
                }
                let value: Value = match serde_json::from_slice(&text) {
                    Ok(value) => value,
                    Err(error) => {
                        let message = format!("What {} is mapped from cannot be kept: {error}.", rule.attribute);
                        flaws.push(flaw(Some(&rule.attribute), message));
                        continue;
                    }
                };
                let value = (!value.is_null() && value != "").then(|| fitted(value, rule.target));
                // What gives nothing leaves the row's own attribute, unless it is meant to go.
                if value.is_some() || rule.nothing {
                    values.push((rule, value));
                }
            }
            *outcome = if flaws.is_empty() { Ok(values) } else { Err(flaws) };
        }
        given
    }

    fn shape(&self, row: &mut Row, given: Given<'_>) -> std::result::Result<(), Flaw> {
        let Content::User(user) = &mut row.content else { return Ok(()) };
        let mut changed = !given.is_empty();
        if let Value::Object(members) = user {
            let before = members.len();
            members.retain(|name, _| !self.mapping.takes_away(name));
            changed |= members.len() != before;
        }
        for (rule, value) in given {
            if !path::put(user, &rule.steps, value) {
                let message = format!("There is no room for {} in this row.", rule.attribute);
                return Err(flaw(Some(&rule.attribute), message));
            }
        }
        if changed {
            row.raw.bytes.clear();
            serde_json::to_writer(&mut row.raw.bytes, user).map_err(|error| flaw(None, error.to_string()))?;
        }
        Ok(())
    }
}

/// Whether the rule only takes something away.
fn is_nothing(expression: &Expression) -> bool {
    matches!(expression.source(), "null" | "undefined")
}

fn flaw(attribute: Option<&str>, message: String) -> Flaw {
    Flaw {
        attribute: attribute.map(str::to_owned),
        ..Flaw::new("MAPPING", message, "Correct the row, or the mapping.")
    }
}
