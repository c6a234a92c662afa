//! The syntax tree of a query, and how it is displayed.

use std::fmt::{self, Write};
use std::ops::Range;

/// A node of the syntax tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Matches if at least one of the nodes does. Has at least two nodes.
    Any(Vec<Node>),
    /// Matches if all nodes do. Has at least two nodes.
    All(Vec<Node>),
    Not(Box<Node>),
    Exists(Field),
    /// A test of the values of a field; without a field, Auth0 decides which fields it searches.
    Match {
        field: Option<Field>,
        test: Test,
        /// Its position in the query, in bytes.
        span: IgnoredByEq<Range<usize>>,
    },
}

/// Data of a node that is ignored when nodes are compared, such as its position in the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoredByEq<T>(pub T);

impl<T> PartialEq for IgnoredByEq<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A field: the member names from the user to the values; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub parts: Vec<String>,
    /// Its position in the query, in bytes.
    pub span: IgnoredByEq<Range<usize>>,
    /// Whether the name was quoted, which Auth0 does not support.
    pub quoted: IgnoredByEq<bool>,
}

impl Field {
    pub fn root(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }
}

/// A test of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// Equal to the whole text.
    Is(String),
    /// Matches a pattern with at least one wildcard.
    Like(Vec<PatternToken>),
    Range {
        low: Bound,
        high: Bound,
    },
}

/// A token of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternToken {
    Char(char),
    /// `?`: exactly one character.
    AnyChar,
    /// `*`: zero or more characters.
    AnyText,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Open,
    Inclusive { text: String, span: IgnoredByEq<Range<usize>> },
    Exclusive { text: String, span: IgnoredByEq<Range<usize>> },
}

impl Bound {
    /// Returns the text of an end; `None` if the range is open there.
    pub fn text(&self) -> Option<&String> {
        match self {
            Self::Open => None,
            Self::Inclusive { text, .. } | Self::Exclusive { text, .. } => Some(text),
        }
    }
}

impl Node {
    pub fn any(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 { nodes.remove(0) } else { Self::Any(nodes) }
    }

    pub fn all(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 { nodes.remove(0) } else { Self::All(nodes) }
    }

    /// Calls `visitor` for this node and all its descendants.
    pub fn visit(&self, visitor: &mut dyn FnMut(&Self)) {
        visitor(self);
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|node| node.visit(visitor)),
            Self::Not(node) => node.visit(visitor),
            Self::Exists(_) | Self::Match { .. } => {}
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &[Self], operator: &str, f: &mut fmt::Formatter<'_>| {
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 {
                    f.write_str(operator)?;
                }
                write!(f, "{}", Parenthesized(node))?;
            }
            Ok(())
        };
        match self {
            Self::Any(nodes) => list(nodes, " OR ", f),
            Self::All(nodes) => list(nodes, " AND ", f),
            Self::Not(node) => match **node {
                Self::Not(_) => write!(f, "NOT ({node})"),
                _ => write!(f, "NOT {}", Parenthesized(node)),
            },
            Self::Exists(field) => write!(f, "_exists_:{field}"),
            Self::Match { field: Some(field), test, .. } => write!(f, "{field}:{test}"),
            Self::Match { field: None, test, .. } => test.fmt(f),
        }
    }
}

/// Displays a node inside another one, in parentheses if they are necessary.
struct Parenthesized<'a>(&'a Node);

impl fmt::Display for Parenthesized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Any(_) | Node::All(_) => write!(f, "({})", self.0),
            node => node.fmt(f),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                f.write_char('.')?;
            }
            if self.parts.len() == 1 && is_operator(part) {
                f.write_char('\\')?;
            }
            for (at, c) in part.chars().enumerate() {
                write_escaped(c, at == 0, f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(text) => write_value(text, f),
            Self::Like(tokens) => tokens.iter().enumerate().try_for_each(|(at, token)| match token {
                PatternToken::Char('.') => f.write_char('.'),
                PatternToken::Char(c) => write_escaped(*c, at == 0, f),
                PatternToken::AnyChar => f.write_char('?'),
                PatternToken::AnyText => f.write_char('*'),
            }),
            Self::Range { low, high } => {
                f.write_char(if matches!(low, Bound::Exclusive { .. }) { '{' } else { '[' })?;
                write!(f, "{low} TO {high}")?;
                f.write_char(if matches!(high, Bound::Exclusive { .. }) { '}' } else { ']' })
            }
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_char('*'),
            Self::Inclusive { text, .. } | Self::Exclusive { text, .. } => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_');
                if !text.is_empty() && text != "TO" && text.chars().all(plain) {
                    f.write_str(text)
                } else {
                    write_quoted(text, f)
                }
            }
        }
    }
}

fn write_value(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@');
    let simple = !text.is_empty() && !text.starts_with('-') && text.chars().all(plain);
    if simple && !is_operator(text) { f.write_str(text) } else { write_quoted(text, f) }
}

fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

fn write_escaped(c: char, first: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !(c.is_alphanumeric() || matches!(c, '_' | '@') || (c == '-' && !first)) {
        f.write_char('\\')?;
    }
    f.write_char(c)
}

fn is_operator(text: &str) -> bool {
    matches!(text, "AND" | "OR" | "NOT")
}
