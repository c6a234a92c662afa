//! User search syntax v3 (docs/auth0/search-syntax.md): what Auth0 accepts, what it refuses, and what a query means.
//! Values are not tokenised; NOT binds tighter than AND, AND tighter than OR; terms side by side are alternatives.

mod dates;
mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query(Node);

/// The reason why a query is invalid, for the message of the 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidQuery(String);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Exists(Vec<String>),
    /// A field, if given, and the test of its value.
    Match(Option<Vec<String>>, Test),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// The whole value.
    Is(String),
    /// Literal parts with any text in between: `a*b` is `["a", "b"]`, `*a` is `["", "a"]`.
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
    /// Parses a query.
    pub fn parse(text: &str) -> Result<Self, InvalidQuery> {
        parse::parse(text).map(Query)
    }

    /// Returns whether the query matches this user.
    pub fn matches(&self, user: &Value) -> bool {
        evaluate::matches(&self.0, user)
    }

    /// Returns the e-mail address, if only users with one address can match.
    pub(crate) fn only_email(&self) -> Option<String> {
        self.only("email").map(str::to_lowercase)
    }

    /// Returns the user id, if only one user can match.
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

    /// Returns the simulated cost of the query in nanoseconds per user. Existence queries and leading wildcards
    /// are slow (docs/auth0/search-syntax.md#limits).
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
