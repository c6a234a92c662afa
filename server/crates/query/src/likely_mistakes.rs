//! What is probably a mistake in a valid query: misspelled fields, dates that do not exist, `=` in place of `:`.

use super::dates::{Period, last_day_of_month};
use super::node::{Bound, Field, Node, PatternToken, Test};
use super::relative_dates::{now, to_absolute};
use super::remark::Remark;
use uie_core::diagnostic::Diagnostic;
use uie_core::message::{Message, message};
use uie_core::similar::nearest_name;
use uie_core::user;

/// Members of an identity (docs/auth0/user-profile.md#identities-and-other-attributes).
const IDENTITY_MEMBERS: &[&str] = &["connection", "isSocial", "profileData", "provider", "user_id", "access_token"];

/// Returns remarks on a query. Those on a part that no user matches widen the query if the part is negated.
pub(super) fn likely_mistakes(root: &Node) -> Vec<Remark> {
    let mut remarks = Vec::new();
    collect(root, false, &mut remarks);
    remarks
}

fn collect(node: &Node, negated: bool, remarks: &mut Vec<Remark>) {
    let mut add = |message: Message, widens: bool| {
        let remark = Remark { message, widens };
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    };
    match node {
        Node::Any(nodes) | Node::All(nodes) => nodes.iter().for_each(|node| collect(node, negated, remarks)),
        Node::Not(node) => collect(node, !negated, remarks),
        Node::Exists(field) => {
            if let Some(message) = unknown_field(field) {
                add(message, negated);
            }
        }
        Node::Match { field: Some(field), test, .. } => {
            if let Some(message) = unknown_field(field) {
                add(message, negated);
            }
            if let Some(absolute) = absolute_test(test).filter(|_| is_date(field)) {
                add(message!("Auth0 documents no dates relative to now; today this means {field}:{absolute}"), false);
            } else {
                for text in impossible_dates(field, test) {
                    add(impossible_date(text, negated), negated);
                }
            }
        }
        Node::Match { field: None, test, .. } => {
            if let Some((word, meant)) = field_in_word(test) {
                add(message!("`{word}` is a word to search for; write {meant}"), negated);
            }
        }
    }
}

/// Returns a remark if the name of a field is probably misspelled.
fn unknown_field(field: &Field) -> Option<Message> {
    let root = field.root();
    if let [_, part] = field.parts.as_slice()
        && root == "identities"
        && !IDENTITY_MEMBERS.contains(&part.as_str())
        && let Some(nearest) = nearest_name(part, IDENTITY_MEMBERS.iter().copied())
    {
        return Some(message!("Auth0 documents no `{part}` of identities; did you mean {nearest}?"));
    }
    if user::find(root).is_some() || root == "organization_id" {
        return None;
    }
    if let ("user", Some(name)) = (root, field.parts.get(1)) {
        return Some(message!("a search names attributes without `user.` in front; write {name}"));
    }
    Some(if let Some(nearest) = user::nearest_exportable(root) {
        message!("Auth0 documents no attribute `{root}`; did you mean {nearest}?")
    } else {
        message!("Auth0 documents no attribute `{root}`")
    })
}

/// Returns whether a field is an attribute with a date.
fn is_date(field: &Field) -> bool {
    field.parts.len() == 1 && user::find(field.root()).is_some_and(|attribute| attribute.kind == user::Kind::Date)
}

/// Returns the texts that a date attribute is compared with and that are no dates: no user matches them.
fn impossible_dates<'t>(field: &Field, test: &'t Test) -> Vec<&'t String> {
    if !is_date(field) {
        return Vec::new();
    }
    let texts = match test {
        Test::Is(text) => vec![text],
        Test::Like(_) => Vec::new(),
        Test::Range { low, high } => [low, high].into_iter().filter_map(Bound::text).collect(),
    };
    texts.into_iter().filter(|text| Period::parse(text).is_none()).collect()
}

fn impossible_date(text: &str, negated: bool) -> Message {
    match (last_day_of_month(text), negated) {
        (Some(last), false) => {
            message!("`{text}` is not in the calendar, so no user matches it; the last day of that month is {last}")
        }
        (Some(last), true) => message!(
            "`{text}` is not in the calendar, so every user matches its negation; the last day of that month is {last}"
        ),
        (None, false) => message!("`{text}` is not a date, so no user matches it; write a date like 2024-12-31"),
        (None, true) => {
            message!("`{text}` is not a date, so every user matches its negation; write a date like 2024-12-31")
        }
    }
}

/// Returns a term without a field that is probably a field with `=`, `<` or `>` in place of `:`, and what was meant.
pub(super) fn field_in_word(test: &Test) -> Option<(String, String)> {
    let word: String = match test {
        Test::Is(text) => text.clone(),
        Test::Like(tokens) => tokens
            .iter()
            .map(|token| match token {
                PatternToken::Char(c) => *c,
                PatternToken::AnyChar => '?',
                PatternToken::AnyText => '*',
            })
            .collect(),
        Test::Range { .. } => return None,
    };
    let (field, rest) = word.split_at(word.find(['=', '<', '>'])?);
    let field = field.strip_prefix("user.").unwrap_or(field);
    user::find(field.split('.').next()?)?;
    let value = rest.trim_start_matches(['=', '<', '>']);
    let operator = rest.strip_suffix(value)?;
    let shown = match value {
        "" => "value".to_owned(),
        value if value.contains(['*', '?']) => value.to_owned(),
        value => Test::Is(value.trim_matches('\'').to_owned()).to_string(),
    };
    let meant = match operator {
        ">=" | "=>" => format!("{field}:[{shown} TO *]"),
        ">" => format!("{field}:{{{shown} TO *]"),
        "<=" | "=<" => format!("{field}:[* TO {shown}]"),
        "<" => format!("{field}:[* TO {shown}}}"),
        "<>" => format!("NOT {field}:{shown}"),
        _ => format!("{field}:{shown}"),
    };
    Some((word, meant))
}

/// Returns the error for the first date attribute that is compared with a date relative to now.
pub(super) fn relative_date(root: &Node) -> Option<Diagnostic> {
    let mut found = None;
    root.visit(&mut |node| {
        if let Node::Match { field: Some(field), test, span } = node
            && found.is_none()
            && is_date(field)
            && let Some(absolute) = absolute_test(test)
        {
            found = Some(
                Diagnostic::in_span(span.0.clone(), message!("Auth0's search has no dates relative to now"))
                    .with_hint(message!("Write {field}:{absolute}; that is the date it means today.")),
            );
        }
    });
    found
}

/// Returns a test with dates relative to now as the dates that they are today; `None` if it has none.
fn absolute_test(test: &Test) -> Option<Test> {
    let now = now();
    let absolute = |bound: &Bound| {
        Some(match bound {
            Bound::Inclusive { text, span } => Bound::Inclusive { text: to_absolute(text, now)?, span: span.clone() },
            Bound::Exclusive { text, span } => Bound::Exclusive { text: to_absolute(text, now)?, span: span.clone() },
            Bound::Open => return None,
        })
    };
    match test {
        Test::Is(text) => to_absolute(text, now).map(Test::Is),
        Test::Like(_) => None,
        Test::Range { low, high } => match (absolute(low), absolute(high)) {
            (None, None) => None,
            (new_low, new_high) => Some(Test::Range {
                low: new_low.unwrap_or_else(|| low.clone()),
                high: new_high.unwrap_or_else(|| high.clone()),
            }),
        },
    }
}
