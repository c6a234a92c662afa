//! Compiles a query into a filter that is evaluated for many users.

use std::ops::Range;

use super::condition::{Condition, DateComparison, FieldPath, Predicate, RangeEnd, Value};
use super::dates::{Period, last_day_of_month};
use super::evaluate::{self, fold};
use super::likely_mistakes::{field_in_word, relative_date};
use super::node::{Bound, Field, Node, PatternToken, Test};
use uie_core::diagnostic::Diagnostic;
use uie_core::message::{Message, message};
use uie_core::user::{self, Kind};
use uie_json::{Json, ProjectionMask};

/// Attributes whose values are compared case-insensitively (docs/auth0/search-syntax.md#values).
const CASE_INSENSITIVE: &[&str] = &["email", "name", "given_name", "family_name", "nickname"];

/// Boolean members of an identity and of its profile.
const BOOLEANS: &[&str] = &["isSocial", "email_verified", "phone_verified"];

/// Decides which users match a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Condition);

impl Filter {
    pub(super) fn new(root: &Node) -> Result<Self, Diagnostic> {
        match relative_date(root) {
            Some(diagnostic) => Err(diagnostic),
            None => compile(root).map(Self),
        }
    }

    /// Returns the filter for users of the connection `name`.
    pub fn connection(name: &str) -> Self {
        let value = Value { text: name.to_owned(), ignore_case: false, number: None, period: None };
        let path = vec!["identities".to_owned(), "connection".to_owned()];
        Self(Condition::Field(FieldPath { path, domain: false }, Predicate::Is(value)))
    }

    /// Returns the filter for users that match both filters.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Condition::All(vec![self.0, other.0]))
    }

    /// Returns whether a user matches. The user must have been read with a mask from [`Filter::extend_mask`].
    pub fn matches(&self, user: &Json<'_>) -> bool {
        evaluate::matches(&self.0, user)
    }

    /// Returns `mask` extended by the fields that this filter compares.
    #[must_use]
    pub fn extend_mask(&self, mask: ProjectionMask) -> ProjectionMask {
        let mut fields = Vec::new();
        collect_fields(&self.0, &mut fields);
        mask.with_fields(fields)
    }
}

fn collect_fields<'a>(condition: &'a Condition, fields: &mut Vec<&'a [String]>) {
    match condition {
        Condition::Any(conditions) | Condition::All(conditions) => {
            for condition in conditions {
                collect_fields(condition, fields);
            }
        }
        Condition::Not(condition) => collect_fields(condition, fields),
        Condition::Field(field, _) => fields.push(&field.path),
    }
}

fn compile(node: &Node) -> Result<Condition, Diagnostic> {
    Ok(match node {
        Node::Any(nodes) => Condition::Any(nodes.iter().map(compile).collect::<Result<_, _>>()?),
        Node::All(nodes) => Condition::All(nodes.iter().map(compile).collect::<Result<_, _>>()?),
        Node::Not(node) => Condition::Not(Box::new(compile(node)?)),
        Node::Exists(field) => {
            check_known(field)?;
            Condition::Field(field_path(field), Predicate::Exists)
        }
        Node::Match { field: None, test, span } => {
            let hint = match field_in_word(test) {
                Some((_, meant)) => message!("Write {meant}, with a colon after the field."),
                None => message!(
                    "Put a field in front, as in name:ada, and quotes around values with blanks, as in name:\"ada \
                     lovelace\"."
                ),
            };
            return Err(Diagnostic::in_span(
                span.0.clone(),
                message!("this term names no field, and Auth0 does not say which ones it looks at then"),
            )
            .with_hint(hint));
        }
        Node::Match { field: Some(field), test, span } => {
            check_known(field)?;
            Condition::Field(field_path(field), compile_predicate(field, test, &span.0)?)
        }
    })
}

/// Refuses fields that are not in a user profile.
fn check_known(field: &Field) -> Result<(), Diagnostic> {
    if field.root() == "organization_id" {
        return Err(Diagnostic::in_span(
            field.span.0.clone(),
            message!("organization_id is not part of a user's profile; only Auth0's own search knows it"),
        )
        .with_hint(message!("Export from the tenant, with a query that Auth0 can carry out as a whole.")));
    }
    Ok(())
}

fn is_domain(field: &Field) -> bool {
    matches!(field.parts.as_slice(), [email, domain] if email == "email" && domain == "domain")
}

fn field_path(field: &Field) -> FieldPath {
    if is_domain(field) {
        return FieldPath { path: vec!["email".to_owned()], domain: true };
    }
    FieldPath { path: field.parts.clone(), domain: false }
}

/// Returns the type of the values of a field; `None` if Auth0 does not define it.
fn value_kind(field: &Field) -> Option<Kind> {
    match field.parts.as_slice() {
        _ if is_domain(field) => Some(Kind::Text),
        [root] => user::find(root).map(|attribute| attribute.kind),
        [root, .., last] if root == "identities" && BOOLEANS.contains(&last.as_str()) => Some(Kind::Boolean),
        _ => None,
    }
}

/// Compiles a test of a field. Fails if the values of the field cannot be of the type of the test.
fn compile_predicate(field: &Field, test: &Test, span: &Range<usize>) -> Result<Predicate, Diagnostic> {
    if matches!(test, Test::Like(tokens) if tokens.iter().all(|token| *token == PatternToken::AnyText))
        || matches!(test, Test::Range { low: Bound::Open, high: Bound::Open })
    {
        return Ok(Predicate::Exists);
    }
    let kind = value_kind(field);
    let name = field.to_string();
    let refuse = |message: Message, hint: Message| Err(Diagnostic::in_span(span.clone(), message).with_hint(hint));
    match (kind, test) {
        (Some(Kind::Object | Kind::Array), _) if field.root() != "multifactor" => {
            let part = if field.root() == "identities" { "connection" } else { "plan" };
            return refuse(
                message!("{name} holds an object, which has no value of its own"),
                message!("Name one of its parts, as in {name}.{part}, or ask whether there is one: _exists_:{name}."),
            );
        }
        (Some(Kind::Boolean), Test::Is(text)) if text != "true" && text != "false" => {
            return refuse(message!("{name} holds true or false"), message!("Write {name}:true or {name}:false."));
        }
        (Some(Kind::Boolean), Test::Like(_) | Test::Range { .. }) => {
            return refuse(
                message!("{name} holds true or false, not text or numbers"),
                message!("Write {name}:true or {name}:false."),
            );
        }
        (Some(Kind::Integer), Test::Is(text)) if parse_number(text).is_none() => {
            return refuse(
                message!("{name} holds a number"),
                message!("Write {name}:10, or a range such as {name}:[10 TO *]."),
            );
        }
        (Some(Kind::Integer), Test::Like(_)) => {
            return refuse(
                message!("{name} holds a number, which has no wildcards"),
                message!("Write a range such as {name}:[10 TO 19]."),
            );
        }
        (Some(Kind::Date), Test::Is(text)) if last_day_of_month(text).is_some() => {
            let last = last_day_of_month(text).unwrap_or_default();
            return refuse(
                message!("{name} holds a date, and {text} is not in the calendar"),
                message!("The last day of that month is {last}."),
            );
        }
        (Some(Kind::Date), Test::Is(text)) if Period::parse(text).is_none() => {
            return refuse(
                message!("{name} holds a date"),
                message!("Write {name}:2024-12 or {name}:\"2024-12-31T10:00\"."),
            );
        }
        (Some(Kind::Date), Test::Like(_)) => {
            return refuse(
                message!("{name} holds a date, which has no wildcards"),
                message!("Write a partial date, which covers its whole period: {name}:2024-12."),
            );
        }
        (_, Test::Range { .. }) if name == "last_ip" => {
            return refuse(
                message!(
                    "{name} holds an address, and Auth0 does not say whether ranges compare it as number or as text"
                ),
                message!("Write a wildcard such as last_ip:10.20.*."),
            );
        }
        _ => {}
    }
    let ignore_case = is_domain(field) || (field.parts.len() == 1 && CASE_INSENSITIVE.contains(&field.root()));
    let date = kind == Some(Kind::Date);
    let value = |text: &str, date: bool| Value {
        text: if ignore_case { fold(text) } else { text.to_owned() },
        ignore_case,
        number: parse_number(text),
        period: date.then(|| Period::parse(text)).flatten(),
    };
    Ok(match test {
        Test::Is(text) => Predicate::Is(value(text, date)),
        Test::Like(tokens) => Predicate::Like {
            tokens: tokens.iter().map(|token| fold_token(*token, ignore_case)).collect(),
            ignore_case,
        },
        Test::Range { low, high } => {
            let end = |bound: &Bound| {
                let (text, span) = match bound {
                    Bound::Open => return Ok(RangeEnd::Open),
                    Bound::Inclusive { text, span } | Bound::Exclusive { text, span } => (text, &span.0),
                };
                let value = value(text, kind.is_none_or(|kind| kind == Kind::Date));
                let mismatch = match kind {
                    Some(Kind::Integer) if value.number.is_none() => {
                        Some(message!("expected a number, since that is what {name} holds"))
                    }
                    Some(Kind::Date) if value.period.is_none() => Some(message!(
                        "expected a date such as 2024, 2024-12 or 2024-12-31, since that is what {name} holds"
                    )),
                    _ => None,
                };
                if let Some(message) = mismatch {
                    let error = Diagnostic::in_span(span.clone(), message);
                    return Err(match last_day_of_month(text) {
                        Some(last) => error.with_hint(message!("The last day of that month is {last}.")),
                        None => error,
                    });
                }
                Ok(match bound {
                    Bound::Exclusive { .. } => RangeEnd::Exclusive(value),
                    _ => RangeEnd::Inclusive(value),
                })
            };
            let (low, high) = (end(low)?, end(high)?);
            let period = |end: &RangeEnd| match end {
                RangeEnd::Open => true,
                RangeEnd::Inclusive(value) | RangeEnd::Exclusive(value) => value.period.is_some(),
            };
            let dates = match kind {
                Some(Kind::Date) => DateComparison::Always,
                None if period(&low) && period(&high) => DateComparison::Maybe,
                _ => DateComparison::Never,
            };
            Predicate::Range { low, high, ignore_case, dates }
        }
    })
}

fn fold_token(token: PatternToken, ignore_case: bool) -> PatternToken {
    match token {
        PatternToken::Char(c) if ignore_case => PatternToken::Char(evaluate::to_lower(c)),
        token => token,
    }
}

/// Parses a number in the syntax of JSON; `None` for other text.
fn parse_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if plain { text.parse().ok() } else { None }
}
