//! Evaluates a filter for one user.

use std::cmp::Ordering;

use super::condition::{Condition, DateComparison, Predicate, RangeEnd, Value};
use super::dates::{Period, parse_instant};
use super::node::PatternToken;
use uie_json::Json;

pub(super) fn matches(condition: &Condition, user: &Json<'_>) -> bool {
    match condition {
        Condition::Any(conditions) => conditions.iter().any(|condition| matches(condition, user)),
        Condition::All(conditions) => conditions.iter().all(|condition| matches(condition, user)),
        Condition::Not(condition) => !matches(condition, user),
        Condition::Field(field, predicate) => any_value(user, &field.path, &|value| {
            if !field.domain {
                return value_matches(value, predicate);
            }
            let Json::Text(email) = value else { return false };
            email.rsplit_once('@').is_some_and(|(_, domain)| text_matches(domain, predicate))
        }),
    }
}

/// Returns whether `accept` accepts a value at `path`. An array on the way is replaced by each of its items.
fn any_value(value: &Json<'_>, path: &[String], accept: &dyn Fn(&Json<'_>) -> bool) -> bool {
    match (value, path.split_first()) {
        (Json::Array(items), _) => items.iter().any(|item| any_value(item, path, accept)),
        (_, None) => accept(value),
        (Json::Object(members), Some((name, rest))) => {
            members.iter().find(|(member, _)| member == name).is_some_and(|(_, value)| any_value(value, rest, accept))
        }
        _ => false,
    }
}

fn value_matches(value: &Json<'_>, predicate: &Predicate) -> bool {
    match (value, predicate) {
        (_, Predicate::Exists) => is_indexed(value),
        (Json::Text(text), predicate) => text_matches(text, predicate),
        (Json::Boolean(found), Predicate::Is(expected)) => expected.text == if *found { "true" } else { "false" },
        (Json::Number(found), Predicate::Is(expected)) => {
            expected.number.is_some_and(|expected| found.partial_cmp(&expected) == Some(Ordering::Equal))
        }
        (Json::Number(found), Predicate::Range { low, high, .. }) => {
            in_range(low, high, |end| found.partial_cmp(&end.number?))
        }
        _ => false,
    }
}

/// Returns whether Auth0 indexes a value: not `null`, and not arrays and objects without values
/// (docs/auth0/search-syntax.md#fields).
fn is_indexed(value: &Json<'_>) -> bool {
    match value {
        Json::Null => false,
        Json::Array(items) => items.iter().any(is_indexed),
        Json::Object(members) => members.iter().any(|(_, value)| is_indexed(value)),
        Json::Boolean(_) | Json::Number(_) | Json::Text(_) => true,
    }
}

fn text_matches(text: &str, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Exists => true,
        Predicate::Is(expected) => {
            compare(text, expected).is_eq()
                || expected.period.is_some_and(|period| {
                    parse_instant(text).is_some_and(|at| (period.start..period.end).contains(&at))
                })
        }
        Predicate::Like { tokens, ignore_case } => matches_pattern(text, tokens, *ignore_case),
        Predicate::Range { low, high, dates, .. } => {
            let at = match dates {
                DateComparison::Never => None,
                DateComparison::Always => parse_instant(text),
                DateComparison::Maybe => Period::parse(text).map(|period| period.start),
            };
            match (at, dates) {
                (Some(at), _) => date_in_range(at, low, high),
                (None, DateComparison::Always) => false,
                (None, DateComparison::Maybe | DateComparison::Never) => {
                    in_range(low, high, |end| Some(compare(text, end)))
                }
            }
        }
    }
}

/// Compares by code points, the order of terms in Lucene.
fn compare(text: &str, expected: &Value) -> Ordering {
    if !expected.ignore_case {
        return text.cmp(&expected.text);
    }
    text.chars().map(to_lower).cmp(expected.text.chars())
}

fn in_range(low: &RangeEnd, high: &RangeEnd, compare: impl Fn(&Value) -> Option<Ordering>) -> bool {
    let above = match low {
        RangeEnd::Open => true,
        RangeEnd::Inclusive(end) => compare(end).is_some_and(Ordering::is_ge),
        RangeEnd::Exclusive(end) => compare(end).is_some_and(Ordering::is_gt),
    };
    above
        && match high {
            RangeEnd::Open => true,
            RangeEnd::Inclusive(end) => compare(end).is_some_and(Ordering::is_le),
            RangeEnd::Exclusive(end) => compare(end).is_some_and(Ordering::is_lt),
        }
}

/// Returns whether a time is in a range of possibly partial dates. An inclusive end includes the whole period of its
/// date, an exclusive end excludes all of it.
fn date_in_range(at: i64, low: &RangeEnd, high: &RangeEnd) -> bool {
    let above = match low {
        RangeEnd::Open => true,
        RangeEnd::Inclusive(end) => end.period.is_some_and(|period| at >= period.start),
        RangeEnd::Exclusive(end) => end.period.is_some_and(|period| at >= period.end),
    };
    above
        && match high {
            RangeEnd::Open => true,
            RangeEnd::Inclusive(end) => end.period.is_some_and(|period| at < period.end),
            RangeEnd::Exclusive(end) => end.period.is_some_and(|period| at < period.start),
        }
}

/// Returns whether the whole text matches a pattern.
fn matches_pattern(text: &str, tokens: &[PatternToken], ignore_case: bool) -> bool {
    let mut chars = text.chars();
    let mut position = 0;
    // Where to continue if the rest does not match: the last `*` then consumes one more character.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let fits = match tokens.get(position) {
            Some(PatternToken::AnyText) => {
                retry = Some((position + 1, chars.clone()));
                true
            }
            Some(token) => match (chars.next(), token) {
                (None, _) => return false,
                (Some(_), PatternToken::AnyChar | PatternToken::AnyText) => true,
                (Some(found), PatternToken::Char(expected)) => {
                    (if ignore_case { to_lower(found) } else { found }) == *expected
                }
            },
            None if chars.as_str().is_empty() => return true,
            None => false,
        };
        if fits {
            position += 1;
            continue;
        }
        let Some((after, rest)) = &mut retry else { return false };
        if rest.next().is_none() {
            return false;
        }
        (position, chars) = (*after, rest.clone());
    }
}

/// Converts a text to lower case character by character, like Lucene: without context-dependent rules.
pub(super) fn fold(text: &str) -> String {
    text.chars().map(to_lower).collect()
}

pub(super) fn to_lower(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}
