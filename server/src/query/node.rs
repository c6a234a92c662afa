//! What a query says, and how it is written.

use std::fmt::{self, Write};

/// What a query says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// At least one of them; two or more.
    Any(Vec<Node>),
    /// All of them; two or more.
    All(Vec<Node>),
    Not(Box<Node>),
    Exists(Field),
    /// A value; of any field Auth0 may mean when none is named.
    Match {
        field: Option<Field>,
        test: Test,
        at: Aside<usize>,
    },
}

/// Goes with a node, but is no part of its meaning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aside<T>(pub T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A field: the names that lead to it from the user on; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub parts: Vec<String>,
    pub at: Aside<usize>,
    /// Written with quotes, which Auth0 does not know.
    pub quoted: Aside<bool>,
}

impl Field {
    pub fn root(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// The whole value.
    Is(String),
    /// A pattern with at least one wildcard.
    Like(Vec<Token>),
    Range {
        low: Bound,
        high: Bound,
    },
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Char(char),
    /// `?`: any one character.
    One,
    /// `*`: any characters, also none.
    Any,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Open,
    Inclusive { text: String, at: Aside<usize> },
    Exclusive { text: String, at: Aside<usize> },
}

impl Node {
    pub fn any(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 { nodes.remove(0) } else { Self::Any(nodes) }
    }

    pub fn all(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 { nodes.remove(0) } else { Self::All(nodes) }
    }

    /// Calls `with` for this node and every node in it.
    pub fn each(&self, with: &mut dyn FnMut(&Self)) {
        with(self);
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|node| node.each(with)),
            Self::Not(node) => node.each(with),
            Self::Exists(_) | Self::Match { .. } => {}
        }
    }

    pub fn each_field(&self, with: &mut dyn FnMut(&Field)) {
        self.each(&mut |node| match node {
            Self::Exists(field) | Self::Match { field: Some(field), .. } => with(field),
            _ => {}
        });
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &[Self], operator: &str, f: &mut fmt::Formatter<'_>| {
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 {
                    f.write_str(operator)?;
                }
                write!(f, "{}", Inner(node))?;
            }
            Ok(())
        };
        match self {
            Self::Any(nodes) => list(nodes, " OR ", f),
            Self::All(nodes) => list(nodes, " AND ", f),
            Self::Not(node) => match **node {
                Self::Not(_) => write!(f, "NOT ({node})"),
                _ => write!(f, "NOT {}", Inner(node)),
            },
            Self::Exists(field) => write!(f, "_exists_:{field}"),
            Self::Match { field: Some(field), test, .. } => write!(f, "{field}:{test}"),
            Self::Match { field: None, test, .. } => test.fmt(f),
        }
    }
}

/// A node inside another one.
struct Inner<'a>(&'a Node);

impl fmt::Display for Inner<'_> {
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
                Token::Char('.') => f.write_char('.'),
                Token::Char(c) => write_escaped(*c, at == 0, f),
                Token::One => f.write_char('?'),
                Token::Any => f.write_char('*'),
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
