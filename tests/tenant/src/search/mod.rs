//! User search syntax v3 (docs/auth0/search-syntax.md): what Auth0 accepts, what it refuses, and what a query means.
//! Values are not tokenised; NOT binds tighter than AND, AND tighter than OR; terms side by side are alternatives.

mod dates;
mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// A query that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Query(Node);

/// Why a query is refused; the text goes into Auth0's 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Exists(Vec<String>),
    /// A field, if one was named, and what its value must be.
    Match(Option<Vec<String>>, Test),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// The whole value.
    Is(String),
    /// Literal pieces with anything in between: `a*b` is `["a", "b"]`, `*a` is `["", "a"]`.
    Like(Vec<String>),
    Range {
        low: Bound,
        high: Bound,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Bound {
    Open,
    Inclusive(String),
    Exclusive(String),
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        parse::parse(text).map(Query)
    }

    /// Whether the query finds this user.
    pub fn matches(&self, user: &Value) -> bool {
        evaluate::matches(&self.0, user)
    }

    /// If nothing but users with one certain e-mail address can match: that address.
    pub(crate) fn only_email(&self) -> Option<String> {
        self.only("email").map(str::to_lowercase)
    }

    /// If nothing but the user with one certain id can match: that id.
    pub(crate) fn only_user_id(&self) -> Option<&str> {
        self.only("user_id")
    }

    fn only(&self, wanted: &str) -> Option<&str> {
        fn only<'a>(node: &'a Node, wanted: &str) -> Option<&'a str> {
            match node {
                Node::Match(Some(path), Test::Is(value)) if path.len() == 1 && path.first()? == wanted => Some(value),
                Node::All(nodes) => nodes.iter().find_map(|node| only(node, wanted)),
                _ => None,
            }
        }
        only(&self.0, wanted)
    }

    /// How long the simulated index works on this query, in nanoseconds per user. Existence queries and leading
    /// wildcards are the slow ones (docs/auth0/search-syntax.md#limits).
    pub(crate) fn cost(&self) -> u64 {
        fn cost(node: &Node) -> u64 {
            match node {
                Node::Any(nodes) | Node::All(nodes) => nodes.iter().map(cost).sum(),
                Node::Not(node) => cost(node),
                Node::Exists(_) => 2_500,
                Node::Match(_, Test::Is(_)) => 50,
                Node::Match(_, Test::Like(pieces)) if pieces.first().is_some_and(String::is_empty) => 3_000,
                Node::Match(_, Test::Like(_) | Test::Range { .. }) => 200,
            }
        }
        cost(&self.0)
    }
}
