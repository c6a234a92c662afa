//! What a filter means for one user.

use std::cmp::Ordering;

use super::dates::{Period, instant};
use super::filter::{Condition, Dates, End, Value, Wish};
use super::node::Token;
use crate::expression::Json;

pub(super) fn matches(condition: &Condition, user: &Json<'_>) -> bool {
    match condition {
        Condition::Any(conditions) => conditions.iter().any(|condition| matches(condition, user)),
        Condition::All(conditions) => conditions.iter().all(|condition| matches(condition, user)),
        Condition::Not(condition) => !matches(condition, user),
        Condition::Field(place, wish) => any(user, &place.path, &|value| {
            if !place.domain {
                return fulfils(value, wish);
            }
            let Json::Text(email) = value else { return false };
            email.rsplit_once('@').is_some_and(|(_, domain)| text_fulfils(domain, wish))
        }),
    }
}

/// Whether one of the values at a path is right; arrays on the way stand for their items.
fn any(value: &Json<'_>, path: &[String], is_right: &dyn Fn(&Json<'_>) -> bool) -> bool {
    match (value, path.split_first()) {
        (Json::Array(items), _) => items.iter().any(|item| any(item, path, is_right)),
        (_, None) => is_right(value),
        (Json::Object(members), Some((name, rest))) => {
            members.iter().find(|(member, _)| member == name).is_some_and(|(_, value)| any(value, rest, is_right))
        }
        _ => false,
    }
}

fn fulfils(value: &Json<'_>, wish: &Wish) -> bool {
    match (value, wish) {
        (_, Wish::Exists) => is_indexed(value),
        (Json::Text(text), wish) => text_fulfils(text, wish),
        (Json::Boolean(found), Wish::Is(wanted)) => wanted.text == if *found { "true" } else { "false" },
        (Json::Number(found), Wish::Is(wanted)) => {
            wanted.number.is_some_and(|wanted| found.partial_cmp(&wanted) == Some(Ordering::Equal))
        }
        (Json::Number(found), Wish::Range { low, high, .. }) => {
            in_range(low, high, |end| found.partial_cmp(&end.number?))
        }
        _ => false,
    }
}

/// Nothing is kept of null, and of arrays and objects without a value in them (docs/auth0/search-syntax.md#fields).
fn is_indexed(value: &Json<'_>) -> bool {
    match value {
        Json::Null => false,
        Json::Array(items) => items.iter().any(is_indexed),
        Json::Object(members) => members.iter().any(|(_, value)| is_indexed(value)),
        Json::Boolean(_) | Json::Number(_) | Json::Text(_) => true,
    }
}

fn text_fulfils(text: &str, wish: &Wish) -> bool {
    match wish {
        Wish::Exists => true,
        Wish::Is(wanted) => {
            compare(text, wanted).is_eq()
                || wanted
                    .period
                    .is_some_and(|period| instant(text).is_some_and(|at| (period.start..period.end).contains(&at)))
        }
        Wish::Like { tokens, caseless } => like(text, tokens, *caseless),
        Wish::Range { low, high, dates, .. } => {
            let at = match dates {
                Dates::Never => None,
                Dates::Always => instant(text),
                Dates::Maybe => Period::parse(text).map(|period| period.start),
            };
            match (at, dates) {
                (Some(at), _) => date_in_range(at, low, high),
                (None, Dates::Always) => false,
                (None, Dates::Maybe | Dates::Never) => in_range(low, high, |end| Some(compare(text, end))),
            }
        }
    }
}

/// By code points, as Lucene orders terms.
fn compare(text: &str, wanted: &Value) -> Ordering {
    if !wanted.caseless {
        return text.cmp(&wanted.text);
    }
    text.chars().map(lower).cmp(wanted.text.chars())
}

fn in_range(low: &End, high: &End, compare: impl Fn(&Value) -> Option<Ordering>) -> bool {
    let above = match low {
        End::Open => true,
        End::Inclusive(end) => compare(end).is_some_and(Ordering::is_ge),
        End::Exclusive(end) => compare(end).is_some_and(Ordering::is_gt),
    };
    above
        && match high {
            End::Open => true,
            End::Inclusive(end) => compare(end).is_some_and(Ordering::is_le),
            End::Exclusive(end) => compare(end).is_some_and(Ordering::is_lt),
        }
}

/// A partial date is its whole period: an end that belongs to the range contains it, one that does not
/// leaves it out.
fn date_in_range(at: i64, low: &End, high: &End) -> bool {
    let above = match low {
        End::Open => true,
        End::Inclusive(end) => end.period.is_some_and(|period| at >= period.start),
        End::Exclusive(end) => end.period.is_some_and(|period| at >= period.end),
    };
    above
        && match high {
            End::Open => true,
            End::Inclusive(end) => end.period.is_some_and(|period| at < period.end),
            End::Exclusive(end) => end.period.is_some_and(|period| at < period.start),
        }
}

/// Whether a text fits a pattern as a whole.
fn like(text: &str, tokens: &[Token], caseless: bool) -> bool {
    let mut chars = text.chars();
    let mut place = 0;
    // Where the last `*` may take one more character, should the rest not fit.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let fits = match tokens.get(place) {
            Some(Token::Any) => {
                retry = Some((place + 1, chars.clone()));
                true
            }
            Some(token) => match (chars.next(), token) {
                (None, _) => return false,
                (Some(_), Token::One | Token::Any) => true,
                (Some(found), Token::Char(wanted)) => (if caseless { lower(found) } else { found }) == *wanted,
            },
            None if chars.as_str().is_empty() => return true,
            None => false,
        };
        if fits {
            place += 1;
            continue;
        }
        let Some((after, rest)) = &mut retry else { return false };
        if rest.next().is_none() {
            return false;
        }
        (place, chars) = (*after, rest.clone());
    }
}

/// A text in small letters, character by character as Lucene has it: no rule looks at its neighbours.
pub(super) fn fold(text: &str) -> String {
    text.chars().map(lower).collect()
}

pub(super) fn lower(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}
