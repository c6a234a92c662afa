//! A query, made ready to be evaluated for many users.

use super::Fault;
use super::dates::Period;
use super::evaluate::{self, fold};
use super::node::{Bound, Field, Node, Test, Token};
use crate::expression::{Json, Wanted};
use crate::user::{self, Kind};

/// Attributes whose values are compared without regard to case (docs/auth0/search-syntax.md#values).
const CASELESS: &[&str] = &["email", "name", "given_name", "family_name", "nickname"];

/// Boolean members of an identity and of its profile.
const BOOLEANS: &[&str] = &["isSocial", "email_verified", "phone_verified"];

/// Decides which users a query finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Condition);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Field(Place, Wish),
}

/// Where values stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The names that lead there from the user on.
    pub path: Vec<String>,
    /// Only what stands behind the last `@`.
    pub domain: bool,
}

/// What at least one of the values must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wish {
    Exists,
    Is(Value),
    Like { tokens: Vec<Token>, caseless: bool },
    Range { low: End, high: End, caseless: bool, dates: Dates },
}

/// A value that is looked for, in every type it may have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// In small letters where case does not count.
    pub text: String,
    pub caseless: bool,
    pub number: Option<f64>,
    /// Of an attribute that holds dates: the time that a possibly partial date covers.
    pub period: Option<Period>,
}

/// How dates in text are compared in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dates {
    /// As text.
    Never,
    /// As dates if the value is one, else as text.
    Maybe,
    /// As dates; other text is in no range.
    Always,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    Open,
    Inclusive(Value),
    Exclusive(Value),
}

impl Filter {
    pub(super) fn new(root: &Node) -> Result<Self, Fault> {
        condition(root).map(Self)
    }

    /// Only users of the connection with this name.
    pub fn connection(name: &str) -> Self {
        let value = Value { text: name.to_owned(), caseless: false, number: None, period: None };
        let path = vec!["identities".to_owned(), "connection".to_owned()];
        Self(Condition::Field(Place { path, domain: false }, Wish::Is(value)))
    }

    /// Only users whom both filters find.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Condition::All(vec![self.0, other.0]))
    }

    /// Whether the query finds a user, of whom at least [`Filter::wanted`] was read.
    pub fn matches(&self, user: &Json<'_>) -> bool {
        evaluate::matches(&self.0, user)
    }

    /// What is read for other reasons, and what this filter looks at.
    #[must_use]
    pub fn wanted(&self, other: Wanted) -> Wanted {
        let mut fields = Vec::new();
        collect(&self.0, &mut fields);
        other.and_fields(fields)
    }
}

fn collect<'a>(condition: &'a Condition, fields: &mut Vec<&'a [String]>) {
    match condition {
        Condition::Any(conditions) | Condition::All(conditions) => {
            for condition in conditions {
                collect(condition, fields);
            }
        }
        Condition::Not(condition) => collect(condition, fields),
        Condition::Field(place, _) => fields.push(&place.path),
    }
}

fn condition(node: &Node) -> Result<Condition, Fault> {
    Ok(match node {
        Node::Any(nodes) => Condition::Any(nodes.iter().map(condition).collect::<Result<_, _>>()?),
        Node::All(nodes) => Condition::All(nodes.iter().map(condition).collect::<Result<_, _>>()?),
        Node::Not(node) => Condition::Not(Box::new(condition(node)?)),
        Node::Exists(field) => {
            known(field)?;
            Condition::Field(place(field), Wish::Exists)
        }
        Node::Match { field: None, at, .. } => {
            return Err(Fault::new(
                at.0,
                "this term names no field, and Auth0 does not say which ones it looks at then",
                "Put a field in front, as in name:ada, and quotes around values with blanks, as in name:\"ada \
                 lovelace\".",
            ));
        }
        Node::Match { field: Some(field), test, at } => {
            known(field)?;
            Condition::Field(place(field), wish(field, test, at.0)?)
        }
    })
}

/// Refuses what no export holds.
fn known(field: &Field) -> Result<(), Fault> {
    if field.root() == "organization_id" {
        return Err(Fault::new(
            field.at.0,
            "organization_id is no part of a user's profile; only Auth0's own search knows it",
            "Export from the tenant, with a query that Auth0 can carry out as a whole.",
        ));
    }
    Ok(())
}

fn is_domain(field: &Field) -> bool {
    matches!(field.parts.as_slice(), [email, domain] if email == "email" && domain == "domain")
}

fn place(field: &Field) -> Place {
    if is_domain(field) {
        return Place { path: vec!["email".to_owned()], domain: true };
    }
    Place { path: field.parts.clone(), domain: false }
}

/// The type of a field's values, where Auth0 fixes it.
fn kind(field: &Field) -> Option<Kind> {
    match field.parts.as_slice() {
        _ if is_domain(field) => Some(Kind::Text),
        [root] => user::find(root).map(|attribute| attribute.kind),
        [root, .., last] if root == "identities" && BOOLEANS.contains(&last.as_str()) => Some(Kind::Boolean),
        _ => None,
    }
}

/// What a test means for the values of a field; refuses what they can never be.
fn wish(field: &Field, test: &Test, at: usize) -> Result<Wish, Fault> {
    if matches!(test, Test::Like(tokens) if tokens.iter().all(|token| *token == Token::Any))
        || matches!(test, Test::Range { low: Bound::Open, high: Bound::Open })
    {
        return Ok(Wish::Exists);
    }
    let kind = kind(field);
    let name = field.to_string();
    let expected = |what: &str, hint: String| Err(Fault::new(at, format!("{name} holds {what}"), hint));
    match (kind, test) {
        (Some(Kind::Object | Kind::Array), _) if field.root() != "multifactor" => {
            let part = if field.root() == "identities" { "connection" } else { "plan" };
            return expected(
                "an object, which has no value of its own",
                format!("Name one of its parts, as in {name}.{part}, or ask whether there is one: _exists_:{name}."),
            );
        }
        (Some(Kind::Boolean), Test::Is(text)) if text != "true" && text != "false" => {
            return expected("true or false", format!("Write {name}:true or {name}:false."));
        }
        (Some(Kind::Boolean), Test::Like(_) | Test::Range { .. }) => {
            return expected("true or false, not text or numbers", format!("Write {name}:true or {name}:false."));
        }
        (Some(Kind::Integer), Test::Is(text)) if number(text).is_none() => {
            return expected("a number", format!("Write {name}:10, or a range such as {name}:[10 TO *]."));
        }
        (Some(Kind::Integer), Test::Like(_)) => {
            return expected("a number, which has no wildcards", format!("Write a range such as {name}:[10 TO 19]."));
        }
        (Some(Kind::Date), Test::Is(text)) if Period::parse(text).is_none() => {
            return expected("a date", format!("Write {name}:2024-12 or {name}:\"2024-12-31T10:00\"."));
        }
        (Some(Kind::Date), Test::Like(_)) => {
            return expected(
                "a date, which has no wildcards",
                format!("Write a partial date, which covers its whole period: {name}:2024-12."),
            );
        }
        (_, Test::Range { .. }) if name == "last_ip" => {
            return expected(
                "an address, and Auth0 does not say whether ranges compare it as number or as text",
                "Write a wildcard such as last_ip:10.20.*.".to_owned(),
            );
        }
        _ => {}
    }
    let caseless = is_domain(field) || (field.parts.len() == 1 && CASELESS.contains(&field.root()));
    let date = kind == Some(Kind::Date);
    let value = |text: &str, date: bool| Value {
        text: if caseless { fold(text) } else { text.to_owned() },
        caseless,
        number: number(text),
        period: date.then(|| Period::parse(text)).flatten(),
    };
    Ok(match test {
        Test::Is(text) => Wish::Is(value(text, date)),
        Test::Like(tokens) => {
            Wish::Like { tokens: tokens.iter().map(|token| folded(*token, caseless)).collect(), caseless }
        }
        Test::Range { low, high } => {
            let end = |bound: &Bound| {
                let (text, at) = match bound {
                    Bound::Open => return Ok(End::Open),
                    Bound::Inclusive { text, at } | Bound::Exclusive { text, at } => (text, at.0),
                };
                let value = value(text, kind.is_none_or(|kind| kind == Kind::Date));
                let wrong = match kind {
                    Some(Kind::Integer) if value.number.is_none() => Some("number"),
                    Some(Kind::Date) if value.period.is_none() => Some("date such as 2024, 2024-12 or 2024-12-31"),
                    _ => None,
                };
                if let Some(wanted) = wrong {
                    return Err(Fault::new(at, format!("expected a {wanted}, since that is what {name} holds"), ""));
                }
                Ok(match bound {
                    Bound::Exclusive { .. } => End::Exclusive(value),
                    _ => End::Inclusive(value),
                })
            };
            let (low, high) = (end(low)?, end(high)?);
            let period = |end: &End| match end {
                End::Open => true,
                End::Inclusive(value) | End::Exclusive(value) => value.period.is_some(),
            };
            let dates = match kind {
                Some(Kind::Date) => Dates::Always,
                None if period(&low) && period(&high) => Dates::Maybe,
                _ => Dates::Never,
            };
            Wish::Range { low, high, caseless, dates }
        }
    })
}

fn folded(token: Token, caseless: bool) -> Token {
    match token {
        Token::Char(c) if caseless => Token::Char(evaluate::lower(c)),
        token => token,
    }
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if plain { text.parse().ok() } else { None }
}
