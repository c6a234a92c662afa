//! Auth0's user search syntax v3 (docs/auth0/search-syntax.md): read, shown, and evaluated here with the same meaning
//! (docs/decisions/0007-query-push-down.md).
//!
//! [`Query`] is what was written, and may be sent to Auth0. [`Filter`] is what of it can be meant
//! exactly here: a few things only Auth0's search knows, and a few are possible only here.

mod dates;
mod evaluate;
mod filter;
mod node;
mod parse;

use std::fmt;

use crate::caret::Caret;
use crate::error::{Code, Error, Result};
use crate::user;

pub use filter::Filter;

use node::{Field, Node, Test, Token};

/// The longest query that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// A query goes to Auth0 in a URL. Auth0 does not publish how long that may be; 8 KB is a safe ceiling
/// (docs/auth0/search-syntax.md), and sort, fields and a span of time need some of it.
const LONGEST_IN_A_URL: usize = 6 * 1024;

/// A query that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    source: String,
    root: Node,
    remarks: Vec<String>,
    /// Why it can be read in more than one way, if so.
    unclear: Option<Fault>,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
struct Fault {
    /// In bytes from the start of the query.
    at: usize,
    message: String,
    hint: String,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: hint.into() }
    }

    fn into_error(self, what: &str, source: &str) -> Error {
        let place = Caret { source, at: self.at };
        let error = Error::new(Code::InvalidSearch, format!("{what}: {}.\n{place}", self.message));
        if self.hint.is_empty() { error } else { error.with_hint(self.hint) }
    }
}

/// What [`check`] has to say about a query that can be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Checked {
    /// What the writer may not expect, such as how AND and OR without parentheses were read.
    pub remarks: Vec<String>,
    /// Why Auth0's search does not take the query, so that every user is read and filtered here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_here: Option<String>,
    /// Why only Auth0's search can carry out the query, so that it cannot be used for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_auth0: Option<String>,
}

/// Checks a query while it is being typed; quick, and nothing is asked of anybody. The error shows the
/// place, what was expected there and what to do.
pub fn check(query: &str) -> Result<Checked> {
    let query = Query::parse(query)?;
    Ok(Checked {
        remarks: query.remarks().to_vec(),
        only_here: query.beyond_auth0(),
        only_auth0: query.filter().err().map(|error| error.message),
    })
}

impl Query {
    /// Reads a query. An error shows it with a `^` under the place, and what was expected there.
    pub fn parse(source: &str) -> Result<Self> {
        let source = source.trim();
        if source.len() > LONGEST {
            let message = format!("A query of {} bytes is too long; {LONGEST} are allowed.", source.len());
            return Err(Error::new(Code::InvalidSearch, message));
        }
        let read = parse::parse(source).map_err(|fault| fault.into_error("The query cannot be read", source))?;
        let mut query =
            Self { source: source.to_owned(), root: read.root, remarks: read.remarks, unclear: read.unclear };
        let mut unknown = Vec::new();
        query.root.each_field(&mut |field| {
            if let Some(remark) = unknown_attribute(field)
                && !unknown.contains(&remark)
            {
                unknown.push(remark);
            }
        });
        query.remarks.append(&mut unknown);
        Ok(query)
    }

    /// The query as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the writer may not expect: how it was read where that is not obvious, and likely slips.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Why Auth0's search does not take this query, or takes it for something else, if so.
    pub fn beyond_auth0(&self) -> Option<String> {
        if self.source.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum::<usize>()
            > LONGEST_IN_A_URL
        {
            return Some("the query is too long for a URL".to_owned());
        }
        let mut why = None;
        self.root.each(&mut |node| {
            if why.is_none() {
                why = beyond_auth0(node);
            }
        });
        why
    }

    /// The same for evaluation here. The error says what cannot be meant exactly as Auth0 means it.
    pub fn filter(&self) -> Result<Filter> {
        let refused = |fault: Fault| fault.into_error("The query cannot be evaluated here", &self.source);
        match &self.unclear {
            Some(fault) => Err(refused(fault.clone())),
            None => Filter::new(&self.root).map_err(refused),
        }
    }
}

/// Shows how the query was read: the same meaning, with every parenthesis that matters.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

fn is_metadata(field: &Field) -> bool {
    matches!(field.root(), "app_metadata" | "user_metadata")
}

fn beyond_auth0(node: &Node) -> Option<String> {
    let field = match node {
        Node::Exists(field) => Some(field),
        Node::Match { field, test, .. } => {
            if let Some(why) = beyond_auth0_in(field.as_ref(), test) {
                return Some(why.to_owned());
            }
            field.as_ref()
        }
        Node::Any(_) | Node::All(_) | Node::Not(_) => None,
    }?;
    if field.quoted.0 {
        return Some("Auth0 has no quoted field names".to_owned());
    }
    if field.parts.iter().any(|part| part.contains('.')) {
        return Some("Auth0 has no field names with a dot in them".to_owned());
    }
    user::find(field.root())
        .filter(|attribute| attribute.exportable && !attribute.searchable)
        .map(|attribute| format!("Auth0 cannot search `{}`", attribute.name))
}

fn beyond_auth0_in(field: Option<&Field>, test: &Test) -> Option<&'static str> {
    match test {
        Test::Is(_) => None,
        Test::Range { .. } => field.is_some_and(is_metadata).then_some("Auth0 has no ranges on metadata"),
        Test::Like(_) if field.is_some_and(is_metadata) => Some("Auth0 has no wildcards on metadata"),
        Test::Like(tokens) if tokens.contains(&Token::One) => Some("Auth0 does not know the wildcard ?"),
        Test::Like(tokens) => {
            let literal = tokens.iter().filter(|token| matches!(token, Token::Char(_))).count();
            (tokens.first() == Some(&Token::Any) && literal < 3)
                .then_some("Auth0 wants at least three characters with a wildcard in front")
        }
    }
}

/// A likely slip in the name of a field.
fn unknown_attribute(field: &Field) -> Option<String> {
    let root = field.root();
    if user::find(root).is_some() || root == "organization_id" {
        return None;
    }
    let nearest = user::nearest_exportable(root).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    Some(format!("Auth0 documents no attribute `{root}`{nearest}"))
}

#[cfg(test)]
mod tests;
