//! A parsed query: what Auth0's search does with it, and its filter.

use std::fmt;

use super::filter::Filter;
use super::likely_mistakes::likely_mistakes;
use super::node::{Field, Node, PatternToken, Test};
use super::parse;
use super::remark::Remark;
use uie_core::diagnostic::Diagnostic;
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::{Localize, Message, message};
use uie_core::user;

/// The maximum length of a query, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// The maximum length of a query in a URL to Auth0, percent-encoded, in bytes.
///
/// Auth0 does not publish its limit for URLs; 8 KB is safe (docs/auth0/search-syntax.md), and sort, fields and a time
/// range need some of that.
const MAX_URL_LEN: usize = 6 * 1024;

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    source: String,
    pub(super) root: Node,
    remarks: Vec<Remark>,
    /// Why the query has more than one possible meaning; `None` if it has one.
    pub(super) ambiguity: Option<Diagnostic>,
}

/// The result of [`check`] for a valid query.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checked {
    /// Remarks on what the user may not expect, such as how AND and OR without parentheses were read.
    pub remarks: Vec<Remark>,
    /// Why Auth0's search does not accept the query, so that all users are read and filtered here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub only_here: Option<Message>,
    /// Why only Auth0's search can carry out the query, so that it cannot be used for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub only_auth0: Option<Message>,
}

impl Localize for Checked {
    fn localize(&mut self, language: Language) {
        self.remarks.localize(language);
        self.only_here.localize(language);
        self.only_auth0.localize(language);
    }
}

/// Checks a query while it is being typed. It is fast and needs no request to Auth0.
///
/// Errors show the query with a `^` under the offset, what was expected there and a hint.
pub fn check(query: &str) -> Result<Checked> {
    let query = Query::parse(query)?;
    Ok(Checked {
        remarks: query.remarks().to_vec(),
        only_here: query.unsupported_by_auth0(),
        only_auth0: query.filter().err().map(|error| error.message),
    })
}

impl Query {
    /// Parses a query. Errors show it with a `^` under the offset, and what was expected there.
    pub fn parse(source: &str) -> Result<Self> {
        let source = source.trim();
        if source.len() > MAX_LEN {
            let (length, limit) = (source.len(), MAX_LEN);
            let message = message!("A query of {length} bytes is too long; {limit} are allowed.");
            return Err(Error::new(Code::InvalidSearch, message));
        }
        let parsed = parse::parse(source).map_err(|diagnostic| {
            diagnostic.to_error_in(Code::InvalidSearch, &message!("The query cannot be read"), source)
        })?;
        let mut query =
            Self { source: source.to_owned(), root: parsed.root, remarks: parsed.remarks, ambiguity: parsed.ambiguity };
        for remark in likely_mistakes(&query.root) {
            if !query.remarks.contains(&remark) {
                query.remarks.push(remark);
            }
        }
        Ok(query)
    }

    /// Returns the query as it was written, trimmed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns remarks for the user: how ambiguous parts were read, and likely typing errors.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Returns why Auth0's search refuses or misinterprets this query; `None` if it accepts it.
    pub fn unsupported_by_auth0(&self) -> Option<Message> {
        if self.source.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum::<usize>() > MAX_URL_LEN
        {
            return Some(message!("the query is too long for a URL"));
        }
        let mut reason = None;
        self.root.visit(&mut |node| {
            if reason.is_none() {
                reason = unsupported_by_auth0(node);
            }
        });
        reason
    }

    /// Returns the filter for local evaluation. Fails if a part cannot be evaluated exactly like in Auth0.
    pub fn filter(&self) -> Result<Filter> {
        let to_error = |diagnostic: &Diagnostic| {
            let subject = message!("The query cannot be evaluated here");
            diagnostic.to_error_in(Code::InvalidSearch, &subject, &self.source)
        };
        match &self.ambiguity {
            Some(ambiguity) => Err(to_error(ambiguity)),
            None => Filter::new(&self.root).map_err(|diagnostic| to_error(&diagnostic)),
        }
    }
}

/// Displays how the query was parsed: the same meaning, with all significant parentheses.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

fn is_metadata(field: &Field) -> bool {
    matches!(field.root(), "app_metadata" | "user_metadata")
}

fn unsupported_by_auth0(node: &Node) -> Option<Message> {
    let field = match node {
        Node::Exists(field) => Some(field),
        Node::Match { field, test, .. } => {
            if let Some(reason) = test_unsupported_by_auth0(field.as_ref(), test) {
                return Some(reason);
            }
            field.as_ref()
        }
        Node::Any(_) | Node::All(_) | Node::Not(_) => None,
    }?;
    if field.quoted.0 {
        return Some(message!("Auth0 has no quoted field names"));
    }
    if field.parts.iter().any(|part| part.contains('.')) {
        return Some(message!("Auth0 has no field names with a dot in them"));
    }
    user::find(field.root())
        .filter(|attribute| attribute.exportable && !attribute.searchable)
        .map(|attribute| message!("Auth0 cannot search `{attribute}`", attribute = attribute.name))
}

fn test_unsupported_by_auth0(field: Option<&Field>, test: &Test) -> Option<Message> {
    match test {
        Test::Is(_) => None,
        Test::Range { .. } => field.is_some_and(is_metadata).then(|| message!("Auth0 has no ranges on metadata")),
        Test::Like(_) if field.is_some_and(is_metadata) => Some(message!("Auth0 has no wildcards on metadata")),
        Test::Like(tokens) if tokens.contains(&PatternToken::AnyChar) => {
            Some(message!("Auth0 does not know the wildcard ?"))
        }
        Test::Like(tokens) => {
            let literal = tokens.iter().filter(|token| matches!(token, PatternToken::Char(_))).count();
            (tokens.first() == Some(&PatternToken::AnyText) && literal < 3)
                .then(|| message!("Auth0 wants at least three characters with a wildcard in front"))
        }
    }
}
