//! Shapes foreign rows: attributes computed from what a row holds (design, sections 3 and 9).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ImportRequest;
use super::cells::fitted;
use super::path::{self, Step, steps};
use super::read::{Flaw, Headers};
use super::schema::{self, Target};
use crate::error::{Code, Error, Result};
use crate::expression::{Expression, Wanted, read, split_column};
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

/// The mapping of an import, ready to be applied.
pub(super) struct Mapping {
    rules: Vec<Rule>,
    wanted: Wanted,
    /// Root attributes that only the mapping reads: they are no part of the user that comes out.
    moved: Vec<String>,
    dropped: Vec<String>,
    whole: bool,
}

struct Rule {
    expression: Expression,
    attribute: String,
    steps: Vec<Step>,
    target: Target,
}

impl Mapping {
    /// The mapping that a request asks for.
    pub(super) fn of(request: &ImportRequest) -> Result<Self> {
        let mut mapping = Self::new(&request.map)?;
        if request.drop_read_only {
            let read_only = user::ATTRIBUTES.iter().filter(|attribute| !attribute.importable);
            mapping.dropped.extend(read_only.map(|attribute| attribute.name.to_owned()));
        }
        Ok(mapping)
    }

    /// Checks every rule before anything is read.
    pub(super) fn new(rules: &[MapRule]) -> Result<Self> {
        let mut ready: Vec<Rule> = Vec::new();
        let mut dropped = Vec::new();
        for rule in rules {
            let expression = Expression::parse(&rule.expression)?;
            expression.path()?;
            let attribute = rule.attribute.trim();
            let place = steps(attribute).and_then(|steps| schema::target(&steps).map(|target| (steps, target)));
            let Some((steps, target)) = place else {
                if is_nothing(&expression) {
                    dropped.push(attribute.to_owned());
                    continue;
                }
                let error = Error::new(
                    Code::InvalidMapping,
                    format!("The mapping leads to {attribute:?}, which is no attribute of an import."),
                );
                return Err(match user::nearest_importable(attribute) {
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
            ready.push(Rule { expression, attribute: attribute.to_owned(), steps, target });
        }
        let mut paths = Vec::new();
        for rule in &ready {
            paths.push(rule.expression.path()?);
        }
        let wanted = Wanted::new(paths);
        let read: Option<Vec<String>> = wanted.attributes().map(|names| names.into_iter().map(str::to_owned).collect());
        let whole = read.is_none();
        let mut moved = read.unwrap_or_default();
        moved.retain(|name| user::find(name).is_none_or(|attribute| !attribute.importable));
        Ok(Self { rules: ready, wanted, moved, dropped, whole })
    }

    /// What the mapping means for the columns of a CSV file.
    pub(super) fn headers(&self) -> Headers {
        Headers {
            read: self.moved.clone(),
            dropped: self.dropped.clone(),
            email_is_mapped: self.rules.iter().any(|rule| rule.attribute == "email"),
            any: self.whole,
        }
    }

    /// Makes the user that is imported of a row. `json` is the row's text, and changes with it.
    pub(super) fn apply(&self, row: Value, json: &mut Vec<u8>) -> std::result::Result<Value, Flaw> {
        let dropped = self.dropped.iter().any(|name| row.get(name).is_some());
        if (self.rules.is_empty() && !dropped) || !row.is_object() {
            return Ok(row);
        }
        let mut user = row;
        let mut computed = Vec::with_capacity(self.rules.len());
        {
            // What the parser of rows took, this one takes too, but for deeper nesting.
            let values = read(json, &self.wanted).map_err(|error| flaw(format!("The row is {error}.")))?;
            for rule in &self.rules {
                let Ok(path) = rule.expression.path() else { continue };
                let mut text = Vec::new();
                path.evaluate(&values).write_json(&mut text);
                let value: Value = serde_json::from_slice(&text).map_err(|error| {
                    flaw(format!("What {} is mapped from cannot be kept: {error}.", rule.attribute))
                })?;
                let value = (!value.is_null() && value != "").then(|| fitted(value, rule.target));
                // What gives nothing leaves the row's own attribute, unless it is meant to go.
                if value.is_some() || is_nothing(&rule.expression) {
                    computed.push((rule, value));
                }
            }
        }
        if let Value::Object(members) = &mut user {
            for name in self.moved.iter().chain(&self.dropped) {
                members.shift_remove(name);
            }
        }
        for (rule, value) in computed {
            if !path::put(&mut user, &rule.steps, value) {
                return Err(flaw(format!("There is no room for {} in this row.", rule.attribute)));
            }
        }
        json.clear();
        serde_json::to_writer(json, &user).map_err(|error| flaw(error.to_string()))?;
        Ok(user)
    }
}

/// Whether the rule only takes something away.
fn is_nothing(expression: &Expression) -> bool {
    matches!(expression.source(), "null" | "undefined")
}

fn flaw(message: String) -> Flaw {
    Flaw { code: "MAPPING", message, hint: "Correct the row, or the mapping." }
}
