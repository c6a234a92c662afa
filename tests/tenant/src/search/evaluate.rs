//! Evaluates a query for one user.

use serde_json::Value;

use super::dates::{DATES, instant, period};
use super::{Bound, Node, Test};

/// Attributes that are compared case-insensitively.
const CASELESS: &[&str] = &["email", "name", "given_name", "family_name", "nickname"];

/// Attributes that are not indexed (docs/auth0/user-profile.md#attributes).
const UNINDEXED: &[&str] = &["picture", "last_password_reset", "multifactor", "multifactor_last_modified"];

/// Fields that a term without a field searches. Auth0 does not document the list, only that user metadata is not in it.
const DEFAULT_FIELDS: &[&str] =
    &["email", "name", "given_name", "family_name", "nickname", "username", "user_id", "phone_number"];

pub(super) fn matches(node: &Node, user: &Value) -> bool {
    match node {
        Node::Any(nodes) => nodes.iter().any(|node| matches(node, user)),
        Node::All(nodes) => nodes.iter().all(|node| matches(node, user)),
        Node::Not(node) => !matches(node, user),
        Node::Exists(path) => {
            let mut found = false;
            visit(user, path, &mut |value| found |= indexed(value));
            found
        }
        Node::Match(Some(path), test) => field_matches(user, path, test),
        Node::Match(None, test) => DEFAULT_FIELDS.iter().any(|field| field_matches(user, &[(*field).to_owned()], test)),
    }
}

fn field_matches(user: &Value, path: &[String], test: &Test) -> bool {
    let root = match path {
        [only] => Some(only.as_str()),
        _ => None,
    };
    let caseless = root.is_some_and(|root| CASELESS.contains(&root));
    let date = root.is_some_and(|root| DATES.contains(&root));
    let mut found = false;
    visit(user, path, &mut |value| found |= value_matches(value, test, caseless, date));
    found
}

/// Calls `with` for every value at a path; items of arrays are visited without an index in the path.
fn visit(value: &Value, path: &[String], with: &mut dyn FnMut(&Value)) {
    if let Some(root) = path.first() {
        if UNINDEXED.contains(&root.as_str()) {
            return;
        }
        if path.len() == 2 && root == "email" && path.get(1).is_some_and(|part| part == "domain") {
            if let Some((_, domain)) = value["email"].as_str().and_then(|email| email.rsplit_once('@')) {
                with(&Value::String(domain.to_owned()));
            }
            return;
        }
    }
    walk(value, path, with);
}

fn walk(value: &Value, path: &[String], with: &mut dyn FnMut(&Value)) {
    if let Value::Array(items) = value {
        for item in items {
            walk(item, path, with);
        }
        return;
    }
    match path.split_first() {
        None => with(value),
        Some((name, rest)) => {
            if let Some(inner) = value.get(name) {
                walk(inner, rest, with);
            }
        }
    }
}

/// Empty arrays, empty objects and null are not indexed.
fn indexed(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(indexed),
        Value::Object(members) => members.values().any(indexed),
        _ => true,
    }
}

fn value_matches(value: &Value, test: &Test, caseless: bool, date: bool) -> bool {
    let fold = |text: &str| if caseless { text.to_lowercase() } else { text.to_owned() };
    match (value, test) {
        (Value::Bool(found), Test::Is(wanted)) => wanted == if *found { "true" } else { "false" },
        (Value::Number(found), Test::Is(wanted)) => wanted
            .parse::<f64>()
            .is_ok_and(|wanted| found.as_f64().is_some_and(|found| found.total_cmp(&wanted).is_eq())),
        (Value::Number(found), Test::Range { low, high }) => {
            let Some(found) = found.as_f64() else { return false };
            let compare = |bound: &str| bound.parse::<f64>().ok().map(|bound| found.total_cmp(&bound));
            in_range(low, high, &compare)
        }
        (Value::String(found), Test::Is(wanted)) => {
            fold(found) == fold(wanted)
                || (date
                    && period(wanted)
                        .is_some_and(|(start, end)| instant(found).is_some_and(|found| (start..end).contains(&found))))
        }
        (Value::String(found), Test::Like(pieces)) => {
            let pieces: Vec<String> = pieces.iter().map(|piece| fold(piece)).collect();
            like(&fold(found), &pieces)
        }
        (Value::String(found), Test::Range { low, high }) if date => {
            let Some(found) = instant(found) else { return false };
            date_in_range(found, low, high)
        }
        (Value::String(found), Test::Range { low, high }) => {
            let found = fold(found);
            in_range(low, high, &|bound| Some(found.cmp(&fold(bound))))
        }
        _ => false,
    }
}

fn in_range(low: &Bound, high: &Bound, compare: &dyn Fn(&str) -> Option<std::cmp::Ordering>) -> bool {
    let above = match low {
        Bound::Open => true,
        Bound::Inclusive(bound) => compare(bound).is_some_and(std::cmp::Ordering::is_ge),
        Bound::Exclusive(bound) => compare(bound).is_some_and(std::cmp::Ordering::is_gt),
    };
    let below = match high {
        Bound::Open => true,
        Bound::Inclusive(bound) => compare(bound).is_some_and(std::cmp::Ordering::is_le),
        Bound::Exclusive(bound) => compare(bound).is_some_and(std::cmp::Ordering::is_lt),
    };
    above && below
}

/// A partial date is its whole period, which inclusive bounds contain and exclusive bounds do not.
fn date_in_range(found: i64, low: &Bound, high: &Bound) -> bool {
    let above = match low {
        Bound::Open => true,
        Bound::Inclusive(bound) => period(bound).is_some_and(|(start, _)| found >= start),
        Bound::Exclusive(bound) => period(bound).is_some_and(|(_, end)| found >= end),
    };
    let below = match high {
        Bound::Open => true,
        Bound::Inclusive(bound) => period(bound).is_some_and(|(_, end)| found < end),
        Bound::Exclusive(bound) => period(bound).is_some_and(|(start, _)| found < start),
    };
    above && below
}

/// Returns whether the text consists of the parts in order, with any text in between.
fn like(text: &str, pieces: &[String]) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return false };
    let Some((last, middle)) = rest.split_last() else { return text == first };
    let Some(mut text) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        match text.find(piece.as_str()) {
            Some(at) => text = text.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(last.as_str())
}
