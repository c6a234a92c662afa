//! The mapping of an import: computes attributes from the contents of a row.

use serde_json::Value;

use super::attribute_path;
use super::cleanup::{Cleanup, UnknownNames};
use super::fast_check::TextRemoval;
use super::map_rule::MapRule;
use super::read::{HeaderPolicy, RowError};
use super::redact;
use super::request::ImportRequest;
use super::row::{BufferedRow, Content};
use super::row_filter::RowFilter;
use super::schema::{self, Target};
use super::source_choice::SourceChoice;
use super::suggest;
use super::type_inference::coerce;
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};
use uie_core::user;
use uie_expression::{Evaluator, Expression, Formula, Kind, RowValues, SandboxCount, TransformContext, is_marked_null};
use uie_json::{Cell, Json, ProjectionMask, parse_row};
use uie_records::{Step, describe_parse_error, parse_path};

/// The validated, compiled mapping of an import.
#[derive(Debug)]
pub(super) struct Mapping {
    rules: Vec<Rule>,
    projection: ProjectionMask,
    /// Root attributes that are only read by the mapping: they are removed from the user.
    source_only: Vec<String>,
    dropped: Vec<String>,
    /// Whether an expression reads the whole row.
    reads_whole_row: bool,
    cleanup: Cleanup,
    /// Which rows are imported; `None` for all.
    filter: Option<RowFilter>,
}

#[derive(Debug)]
struct Rule {
    formula: Formula,
    /// Whether it only removes its attribute: the expression is `null`.
    is_removal: bool,
    attribute: String,
    steps: Vec<Step>,
    target: Target,
}

/// The rules of a mapping with their parsed expressions.
pub(super) struct ParsedRules<'r>(Vec<(&'r MapRule, Expression)>);

impl<'r> ParsedRules<'r> {
    pub(super) fn parse(rules: &'r [MapRule]) -> Result<Self> {
        let parse = |rule: &'r MapRule| Ok((rule, Expression::parse(&rule.expression).map_err(in_rule(rule))?));
        rules.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Returns whether no rule calls a transform or uses JavaScript.
    pub(super) fn have_only_paths(&self) -> bool {
        self.0.iter().all(|(_, expression)| expression.kind() == Kind::Path)
    }
}

/// Returns a function that names the rule in its error.
fn in_rule(rule: &MapRule) -> impl Fn(Error) -> Error {
    move |error| error.with_field(format!("map.{}", rule.attribute.trim()))
}

impl Mapping {
    /// Compiles the mapping of a request. Also returns the formula of each rule; `None` for a rule that computes
    /// nothing. Expressions other than paths need `tools`.
    pub(super) fn from_request(
        request: &ImportRequest,
        rules: &ParsedRules<'_>,
        tools: Option<&TransformContext>,
        choice: SourceChoice,
    ) -> Result<(Self, Vec<Option<Formula>>)> {
        let (mut mapping, formulas) = Self::new(rules, tools)?;
        mapping.cleanup = Cleanup::of(request);
        mapping.filter = RowFilter::parse(&request.query)?;
        if request.drop_read_only || choice.is("auth0") {
            let read_only = user::ATTRIBUTES.iter().filter(|attribute| !attribute.importable);
            mapping.dropped.extend(read_only.map(|attribute| attribute.name.to_owned()));
        }
        Ok((mapping, formulas))
    }

    /// Validates and compiles every rule.
    fn new(rules: &ParsedRules<'_>, tools: Option<&TransformContext>) -> Result<(Self, Vec<Option<Formula>>)> {
        let mut compiled: Vec<Rule> = Vec::new();
        let mut formulas = Vec::with_capacity(rules.0.len());
        let mut dropped = Vec::new();
        let mut sandboxes = SandboxCount::default();
        for (rule, expression) in &rules.0 {
            let in_rule = in_rule(rule);
            let is_removal = is_removal(expression);
            let attribute = rule.attribute.trim();
            let destination =
                parse_path(attribute).and_then(|steps| schema::target(&steps).map(|target| (steps, target)));
            let Some((steps, target)) = destination else {
                if is_removal {
                    dropped.push(attribute.to_owned());
                    formulas.push(None);
                    continue;
                }
                let error = Error::new(
                    Code::InvalidMapping,
                    message!("The target of the mapping {attribute:?} is not an attribute of an import."),
                );
                return Err(in_rule(match suggest::nearest_attribute(attribute) {
                    Some(nearest) => error.with_hint(message!("Did you mean {nearest}?")),
                    None => error.with_hint(message!("Put custom data into user_metadata or app_metadata.")),
                }));
            };
            if let Some(other) =
                compiled.iter().find(|other| other.steps.starts_with(&steps) || steps.starts_with(&other.steps))
            {
                return Err(in_rule(Error::new(
                    Code::InvalidMapping,
                    message!(
                        "The mappings of {other} and {attribute} have the same or overlapping targets.",
                        other = other.attribute
                    ),
                )));
            }
            sandboxes.add(expression, Code::InvalidMapping).map_err(|error| {
                in_rule(error.with_hint(message!(
                    "Use paths in rules that only copy an attribute, or transform the file before the import."
                )))
            })?;
            let formula = Formula::with_marked_null(expression, tools).map_err(in_rule)?;
            formulas.push(Some(formula.clone()));
            compiled.push(Rule { formula, is_removal, attribute: attribute.to_owned(), steps, target });
        }
        let projection = ProjectionMask::new(compiled.iter().flat_map(|rule| rule.formula.paths()));
        let read: Option<Vec<String>> =
            projection.attributes().map(|names| names.into_iter().map(str::to_owned).collect());
        let reads_whole_row = read.is_none();
        let mut source_only = read.unwrap_or_default();
        source_only.retain(|name| !is_importable(name));
        let mapping = Self {
            rules: compiled,
            projection,
            source_only,
            dropped,
            reads_whole_row,
            cleanup: Cleanup::default(),
            filter: None,
        };
        Ok((mapping, formulas))
    }

    /// Returns which columns of a CSV file the mapping allows.
    pub(super) fn headers(&self) -> HeaderPolicy {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        HeaderPolicy {
            mapped: owned(self.projection.attributes().unwrap_or_default()),
            queried: owned(self.filter.as_ref().map(RowFilter::attributes).unwrap_or_default()),
            reads_all: self.reads_whole_row,
            dropped: self.dropped.clone(),
            drop_unknown: self.cleanup.unknown,
            null_texts: self.cleanup.null_texts.clone(),
            computed: self.rules.iter().map(|rule| rule.attribute.clone()).collect(),
            accept_any: false,
            lenient: false,
            accept_any_header: false,
            as_text: false,
            names: None,
            encoding: None,
        }
    }

    /// Returns the names of attributes and columns that are not imported.
    pub(super) fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// Returns the query that decides which rows are imported; `None` for all.
    pub(super) fn filter(&self) -> Option<&RowFilter> {
        self.filter.as_ref()
    }

    /// Returns whether the mapping changes no row.
    fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.dropped.is_empty() && self.cleanup.is_idle() && self.filter.is_none()
    }

    /// Returns what the check of a row's text removes from it, if the mapping does nothing else. Otherwise `None`: each
    /// row must be parsed.
    pub(super) fn text_removal(&self) -> Option<TextRemoval> {
        let only_removes = self.rules.is_empty() && !self.dropped.iter().any(|name| is_importable(name));
        (only_removes && self.filter.is_none()).then(|| TextRemoval::new(self.dropped.clone(), &self.cleanup))
    }

    /// Returns a mapper for one thread.
    pub(super) fn mapper(&self) -> Mapper<'_> {
        let evaluator = Evaluator::new(self.rules.iter().map(|rule| &rule.formula));
        Mapper { mapping: self, evaluator, unknown_names: UnknownNames::default() }
    }

    /// Returns whether a root attribute is removed from the user.
    fn removes(&self, name: &str) -> bool {
        self.source_only.iter().chain(&self.dropped).any(|removed| removed == name)
            || (self.reads_whole_row && !is_importable(name))
    }
}

fn is_importable(name: &str) -> bool {
    user::find(name).is_some_and(|attribute| attribute.importable)
}

/// The results of the rules for a row: the new value, or `None` to remove the attribute. Rules without a result are
/// absent.
type RuleResults<'m> = Vec<(&'m Rule, Option<Value>)>;

/// Applies a mapping to rows on one thread.
pub(super) struct Mapper<'m> {
    mapping: &'m Mapping,
    evaluator: Evaluator,
    /// The unknown attributes that were removed.
    unknown_names: UnknownNames,
}

impl<'m> Mapper<'m> {
    /// Returns whether the mapping is faster with many rows per call.
    pub(super) fn wants_batches(&self) -> bool {
        !self.evaluator.is_idle()
    }

    /// Returns the unknown attributes that were removed since the last call.
    pub(super) fn take_unknown_names(&mut self) -> UnknownNames {
        std::mem::take(&mut self.unknown_names)
    }

    /// Removes texts that mean an absent value from every row.
    pub(super) fn remove_null_texts(&self, rows: &mut [BufferedRow]) {
        let cleanup = &self.mapping.cleanup;
        if cleanup.null_texts.is_empty() {
            return;
        }
        for row in rows {
            if let Err(row_error) = remove_null_texts(cleanup, row) {
                row.content = Content::Invalid(vec![row_error]);
            }
        }
    }

    /// Replaces the contents of every row by the mapped user, or by its errors; a row that the query does not match is
    /// left out. Rows that are already invalid stay unchanged.
    pub(super) fn apply(&mut self, rows: &mut [BufferedRow]) {
        let mapping = self.mapping;
        if mapping.is_idle() {
            return;
        }
        self.remove_null_texts(rows);
        let results = self.compute(rows);
        for (row, result) in rows.iter_mut().zip(results) {
            match result {
                None => {}
                Some(Err(row_errors)) => row.content = Content::Invalid(row_errors),
                Some(Ok(values)) => {
                    if let Err(row_error) = self.update_row(row, values) {
                        row.content = Content::Invalid(vec![row_error]);
                    }
                }
            }
        }
    }

    /// Evaluates the rules for each row; `None` for rows that are not objects.
    fn compute(&mut self, rows: &[BufferedRow]) -> Vec<Option<std::result::Result<RuleResults<'m>, Vec<RowError>>>> {
        let mapping = self.mapping;
        let mut results: Vec<Option<std::result::Result<RuleResults<'m>, Vec<RowError>>>> =
            Vec::with_capacity(rows.len());
        let mut users = Vec::with_capacity(rows.len());
        for row in rows {
            results.push(match &row.content {
                Content::User(Value::Object(_)) if mapping.rules.is_empty() => {
                    users.push(Json::Null);
                    Some(Ok(Vec::new()))
                }
                Content::User(Value::Object(_)) => match parse_row(row.raw.original(), &mapping.projection) {
                    Ok(user) => {
                        users.push(user);
                        Some(Ok(Vec::with_capacity(mapping.rules.len())))
                    }
                    // Fails only for rows that are nested more deeply than this parser allows.
                    Err(error) => Some(Err(vec![mapping_error(
                        None,
                        message!("The row is {reason}.", reason = describe_parse_error(&error)),
                    )])),
                },
                _ => None,
            });
        }
        let borrowed: Vec<RowValues<'_, '_>> = users.iter().map(RowValues::Tree).collect();
        let computed = if self.evaluator.is_idle() { Vec::new() } else { self.evaluator.compute(&borrowed) };
        let mut text = Vec::new();
        let mapped = rows.iter().zip(&mut results).filter_map(|(row, result)| {
            let result = result.as_mut().filter(|result| result.is_ok())?;
            Some((row, result))
        });
        for (index, (user, (row, outcome))) in users.iter().zip(mapped).enumerate() {
            let mut values = Vec::with_capacity(mapping.rules.len());
            let mut row_errors = Vec::new();
            let mut columns = computed.iter();
            for rule in &mapping.rules {
                let cell = if let Some(path) = rule.formula.as_path() {
                    match path.evaluate(user) {
                        Cell::Nothing if path.is_null(user) => None,
                        cell => Some(cell),
                    }
                } else {
                    match columns.next().and_then(|cells| cells.get(index)) {
                        Some(Ok(cell)) if is_marked_null(&cell) => None,
                        Some(Ok(cell)) => Some(cell),
                        Some(Err(fault)) => {
                            let message = message!(
                                "The mapping of {attribute} failed: {transform}: {reason}",
                                attribute = rule.attribute,
                                transform = fault.transform,
                                reason = message_without_secrets(row, &rule.formula.reason(fault))
                            );
                            row_errors.push(mapping_error(Some(&rule.attribute), message));
                            continue;
                        }
                        None => Some(Cell::Nothing),
                    }
                };
                let Some(cell) = cell else {
                    values.push((rule, None));
                    continue;
                };
                text.clear();
                cell.write_json(&mut text);
                let value: Value = match serde_json::from_slice(&text) {
                    Ok(value) => value,
                    Err(error) => {
                        let message = message!(
                            "The mapped value of {attribute} is not valid JSON: {error}.",
                            attribute = rule.attribute
                        );
                        row_errors.push(mapping_error(Some(&rule.attribute), message));
                        continue;
                    }
                };
                // A rule without a value keeps the row's own attribute.
                let value = coerce(value, rule.target);
                if !value.is_null() && value != "" {
                    values.push((rule, Some(value)));
                }
            }
            *outcome = if row_errors.is_empty() { Ok(values) } else { Err(row_errors) };
        }
        results
    }

    fn update_row(&mut self, row: &mut BufferedRow, values: RuleResults<'_>) -> std::result::Result<(), RowError> {
        let mapping = self.mapping;
        let Content::User(user) = &mut row.content else { return Ok(()) };
        if let Some(filter) = &mapping.filter {
            // Also the row as it was read, so that the query can ask for what is not imported.
            let mut whole = if row.raw.original.is_empty() { user.clone() } else { parse_original(&row.raw.original)? };
            if let (Value::Object(whole), Value::Object(user)) = (&mut whole, &*user) {
                whole.extend(user.clone());
            }
            let computed = values.iter().filter(|(rule, _)| !rule.is_removal);
            set_values(&mut whole, computed.map(|(rule, value)| (*rule, value.clone())))?;
            let unreadable = |reason: Message| mapping_error(None, message!("The row is {reason}."));
            if !filter.matches(&whole).map_err(unreadable)? {
                row.content = Content::LeftOut;
                return Ok(());
            }
        }
        let mut changed = !values.is_empty();
        if let Value::Object(members) = user {
            let before = members.len();
            members.retain(|name, _| !mapping.removes(name));
            changed |= members.len() != before;
        }
        set_values(user, values)?;
        changed |= mapping.cleanup.clean(user, row.raw.line, &mut self.unknown_names);
        if changed { write_row(user, &mut row.raw.bytes) } else { Ok(()) }
    }
}

/// Sets the results of rules in a user.
fn set_values<'m>(
    user: &mut Value,
    values: impl IntoIterator<Item = (&'m Rule, Option<Value>)>,
) -> std::result::Result<(), RowError> {
    for (rule, value) in values {
        if !attribute_path::set(user, &rule.steps, value) {
            let message = message!(
                "Cannot set {attribute} in this row: another value is in its path.",
                attribute = rule.attribute
            );
            return Err(mapping_error(Some(&rule.attribute), message));
        }
    }
    Ok(())
}

/// Removes the members of a row, and of what expressions read of it, whose text means that they are absent.
fn remove_null_texts(cleanup: &Cleanup, row: &mut BufferedRow) -> std::result::Result<(), RowError> {
    let Content::User(user) = &mut row.content else { return Ok(()) };
    if cleanup.remove_null_texts(user) {
        write_row(user, &mut row.raw.bytes)?;
    }
    if !row.raw.original.is_empty() {
        let mut original = parse_original(&row.raw.original)?;
        if cleanup.remove_null_texts(&mut original) {
            write_row(&original, &mut row.raw.original)?;
        }
    }
    Ok(())
}

fn parse_original(text: &[u8]) -> std::result::Result<Value, RowError> {
    serde_json::from_slice(text).map_err(|error| mapping_error(None, Message::verbatim(error.to_string())))
}

fn write_row(user: &Value, text: &mut Vec<u8>) -> std::result::Result<(), RowError> {
    text.clear();
    serde_json::to_writer(text, user).map_err(|error| mapping_error(None, Message::verbatim(error.to_string())))
}

/// Returns whether the expression removes its attribute from every row.
fn is_removal(expression: &Expression) -> bool {
    expression.source() == "null"
}

/// Returns the message of a transform or exception without the secrets of the row.
fn message_without_secrets(row: &BufferedRow, message: &Message) -> Message {
    match &row.content {
        Content::User(user) => redact::redacted_message(user, message),
        _ => message.clone(),
    }
}

fn mapping_error(attribute: Option<&str>, message: Message) -> RowError {
    RowError {
        attribute: attribute.map(str::to_owned),
        ..RowError::new("MAPPING", message, message!("Correct the row, or the mapping."))
    }
}
