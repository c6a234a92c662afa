//! Parses a query to a [`Node`]: the part of the Lucene 2.9 grammar that Auth0 supports.

use super::{Bound, InvalidQuery, Node, Test};

/// Maximum nesting depth, so that queries cannot exhaust the stack.
const MAX_DEPTH: usize = 50;

pub(super) fn parse(text: &str) -> Result<Node, InvalidQuery> {
    let mut parser = Parser { rest: text, depth: 0 };
    let node = parser.alternatives(None)?;
    parser.space();
    if parser.rest.is_empty() { Ok(node) } else { Err(parser.unexpected()) }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// A clause between OR, AND or nothing.
struct Clause {
    node: Node,
    prefix: Option<char>,
    after_or: bool,
}

/// A word: a field name or a value.
struct Word {
    /// Parts between unescaped `*`; one part without `*`.
    pieces: Vec<String>,
}

impl Word {
    fn text(self) -> String {
        self.pieces.join("*")
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Consumes an operator if it is a separate word.
    fn operator(&mut self, word: &str, symbol: &str) -> bool {
        self.space();
        if self.eat(symbol) {
            return true;
        }
        match self.rest.strip_prefix(word) {
            Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r', '(', '"', '[', '{']) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn unexpected(&self) -> InvalidQuery {
        match self.peek() {
            Some(found) => InvalidQuery(format!("unexpected '{found}'")),
            None => InvalidQuery("unexpected end of query".to_owned()),
        }
    }

    /// `a OR b c -d`: alternatives, of which prefixed ones are required or prohibited.
    fn alternatives(&mut self, field: Option<&[String]>) -> Result<Node, InvalidQuery> {
        let mut clauses: Vec<Clause> = Vec::new();
        loop {
            let after_or = self.operator("OR", "||");
            if after_or && clauses.is_empty() {
                return Err(InvalidQuery("OR needs a term on its left".to_owned()));
            }
            self.space();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                if after_or || clauses.is_empty() {
                    return Err(self.unexpected());
                }
                return Ok(combine(clauses));
            }
            let (node, prefix) = self.conjunction(field)?;
            clauses.push(Clause { node, prefix, after_or });
        }
    }

    /// `a AND b`; the prefix is that of a single clause.
    fn conjunction(&mut self, field: Option<&[String]>) -> Result<(Node, Option<char>), InvalidQuery> {
        let (first, prefix) = self.negation(field)?;
        if !self.operator("AND", "&&") {
            return Ok((first, prefix));
        }
        let mut nodes = vec![first];
        loop {
            self.space();
            nodes.push(self.negation(field)?.0);
            if !self.operator("AND", "&&") {
                return Ok((Node::All(nodes), None));
            }
        }
    }

    fn negation(&mut self, field: Option<&[String]>) -> Result<(Node, Option<char>), InvalidQuery> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(InvalidQuery("the query is nested too deeply".to_owned()));
        }
        let result = if self.operator("NOT", "!") || self.eat("-") {
            self.space();
            let (node, _) = self.negation(field)?;
            (Node::Not(Box::new(node)), Some('-'))
        } else if self.eat("+") {
            (self.negation(field)?.0, Some('+'))
        } else {
            (self.term(field)?, None)
        };
        self.depth -= 1;
        Ok(result)
    }

    fn group(&mut self, field: Option<&[String]>) -> Result<Node, InvalidQuery> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(InvalidQuery("the query is nested too deeply".to_owned()));
        }
        let node = self.alternatives(field)?;
        self.space();
        if !self.eat(")") {
            return Err(InvalidQuery("a parenthesis is not closed".to_owned()));
        }
        self.depth -= 1;
        self.no_suffix()?;
        Ok(node)
    }

    fn term(&mut self, field: Option<&[String]>) -> Result<Node, InvalidQuery> {
        if self.eat("(") {
            return self.group(field);
        }
        if field.is_none() && !self.rest.starts_with(['"', '[', '{']) {
            let before = self.rest;
            let word = self.word()?;
            if matches!(before.get(..before.len() - self.rest.len()), Some("AND" | "OR" | "NOT")) {
                return Err(InvalidQuery("an operator needs a term on both sides".to_owned()));
            }
            if self.eat(":") {
                let name = path(word)?;
                self.space();
                if name.len() == 1 && name.first().is_some_and(|name| name == "_exists_") {
                    return self.exists();
                }
                if self.eat("(") {
                    return self.group(Some(&name));
                }
                return self.value(Some(&name));
            }
            self.no_suffix()?;
            return word_test(word, None).map(|test| Node::Match(None, test));
        }
        self.value(field)
    }

    fn exists(&mut self) -> Result<Node, InvalidQuery> {
        let word = if self.rest.starts_with('"') { Word { pieces: vec![self.phrase()?] } } else { self.word()? };
        if word.pieces.len() > 1 {
            return Err(InvalidQuery("_exists_ takes a field name without wildcards".to_owned()));
        }
        Ok(Node::Exists(path(word)?))
    }

    fn value(&mut self, field: Option<&[String]>) -> Result<Node, InvalidQuery> {
        let test = match self.peek() {
            Some('"') => Test::Is(self.phrase()?),
            Some(open @ ('[' | '{')) => {
                self.bump();
                if is_metadata(field) {
                    return Err(InvalidQuery("ranges are not supported on metadata fields".to_owned()));
                }
                self.range(open == '[')?
            }
            Some('>' | '<') => return Err(InvalidQuery("use a range such as [10 TO *] instead of > and <".to_owned())),
            _ => word_test(self.word()?, field)?,
        };
        self.no_suffix()?;
        Ok(Node::Match(field.map(<[String]>::to_vec), test))
    }

    fn no_suffix(&self) -> Result<(), InvalidQuery> {
        match self.peek() {
            Some('~') => Err(InvalidQuery("fuzzy search (~) is not supported".to_owned())),
            Some('^') => Err(InvalidQuery("boosting (^) is not supported".to_owned())),
            _ => Ok(()),
        }
    }

    fn phrase(&mut self) -> Result<String, InvalidQuery> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.bump().ok_or_else(|| self.unexpected())?),
                Some(other) => text.push(other),
                None => return Err(InvalidQuery("a quotation mark is not closed".to_owned())),
            }
        }
    }

    fn word(&mut self) -> Result<Word, InvalidQuery> {
        let mut pieces = vec![];
        let mut piece = String::new();
        let mut any = false;
        while let Some(next) = self.peek() {
            match next {
                '\\' => {
                    self.bump();
                    piece.push(self.bump().ok_or_else(|| InvalidQuery("a backslash ends the query".to_owned()))?);
                }
                '*' => {
                    self.bump();
                    pieces.push(std::mem::take(&mut piece));
                }
                '?' => return Err(InvalidQuery("the wildcard ? is not supported".to_owned())),
                ':' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '~' | '^' => break,
                _ if next.is_whitespace() || self.rest.starts_with("&&") || self.rest.starts_with("||") => break,
                _ => {
                    self.bump();
                    piece.push(next);
                }
            }
            any = true;
        }
        if !any {
            return Err(self.unexpected());
        }
        pieces.push(piece);
        Ok(Word { pieces })
    }

    fn range(&mut self, low_inclusive: bool) -> Result<Test, InvalidQuery> {
        let low = self.end_of_range()?;
        self.space();
        if !self.eat("TO") {
            return Err(InvalidQuery("a range needs TO between its ends".to_owned()));
        }
        let high = self.end_of_range()?;
        self.space();
        let high_inclusive = match self.bump() {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(InvalidQuery("a range is not closed".to_owned())),
        };
        let bound = |end: Option<String>, inclusive| match end {
            None => Bound::Open,
            Some(value) if inclusive => Bound::Inclusive(value),
            Some(value) => Bound::Exclusive(value),
        };
        Ok(Test::Range { low: bound(low, low_inclusive), high: bound(high, high_inclusive) })
    }

    fn end_of_range(&mut self) -> Result<Option<String>, InvalidQuery> {
        self.space();
        if self.rest.starts_with('"') {
            return self.phrase().map(Some);
        }
        let mut text = String::new();
        while let Some(next) = self.peek() {
            if next.is_whitespace() || matches!(next, ']' | '}' | '[' | '{' | '"') {
                break;
            }
            self.bump();
            text.push(if next == '\\' { self.bump().ok_or_else(|| self.unexpected())? } else { next });
        }
        match text.as_str() {
            "" => Err(self.unexpected()),
            "*" => Ok(None),
            _ => Ok(Some(text)),
        }
    }
}

fn path(word: Word) -> Result<Vec<String>, InvalidQuery> {
    let name = word.text();
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) || name.contains('*') {
        return Err(InvalidQuery(format!("'{name}' is not a field name")));
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "raw") {
        return Err(InvalidQuery("the suffix .raw is not supported".to_owned()));
    }
    Ok(path)
}

fn is_metadata(field: Option<&[String]>) -> bool {
    field.and_then(<[String]>::first).is_some_and(|root| root == "app_metadata" || root == "user_metadata")
}

fn word_test(mut word: Word, field: Option<&[String]>) -> Result<Test, InvalidQuery> {
    if word.pieces.len() == 1 {
        return Ok(Test::Is(word.pieces.pop().unwrap_or_default()));
    }
    if is_metadata(field) {
        return Err(InvalidQuery("wildcards are not supported on metadata fields".to_owned()));
    }
    let literal: usize = word.pieces.iter().map(|piece| piece.chars().count()).sum();
    let leading = word.pieces.first().is_some_and(String::is_empty);
    if leading && literal < 3 {
        return Err(InvalidQuery("a leading wildcard needs at least three characters".to_owned()));
    }
    Ok(Test::Like(word.pieces))
}

/// Combines adjacent clauses: they are alternatives, unless they have prefixes. A clause next to an explicit OR is an
/// alternative even with a prefix.
fn combine(mut clauses: Vec<Clause>) -> Node {
    if clauses.len() == 1 {
        return clauses.pop().map_or(Node::Any(Vec::new()), |clause| clause.node);
    }
    let by_or: Vec<bool> = (0..clauses.len())
        .map(|at| {
            clauses.get(at).is_some_and(|clause| clause.after_or)
                || clauses.get(at + 1).is_some_and(|clause| clause.after_or)
        })
        .collect();
    let (mut required, mut alternatives) = (Vec::new(), Vec::new());
    for (clause, by_or) in clauses.into_iter().zip(by_or) {
        match clause.prefix {
            Some(_) if !by_or => required.push((clause.prefix, clause.node)),
            _ => alternatives.push(clause.node),
        }
    }
    let some_must = required.iter().any(|(prefix, _)| *prefix == Some('+'));
    let mut all: Vec<Node> = required.into_iter().map(|(_, node)| node).collect();
    if all.is_empty() {
        return Node::Any(alternatives);
    }
    // With a required clause the alternatives only affect ranking, which Auth0 does not have.
    if !some_must && !alternatives.is_empty() {
        all.push(Node::Any(alternatives));
    }
    Node::All(all)
}
