//! Parses a query into a [`Node`]: the grammar of Lucene's query parser as far as Auth0 documents it
//! (docs/auth0/search-syntax.md), with the precedence of docs/query.md.

use std::ops::Range;

use super::node::{Bound, Field, IgnoredByEq, Node, PatternToken, Test};
use super::relative_dates::{now, to_absolute};
use super::remark::Remark;
use uie_core::diagnostic::Diagnostic;
use uie_core::message::message;

/// The maximum nesting of parentheses. The parser recurses, so this bounds the stack.
const MAX_DEPTH: usize = 100;

/// The result of parsing a query.
pub(super) struct ParsedQuery {
    pub root: Node,
    pub remarks: Vec<Remark>,
    /// Why the query has more than one possible meaning; `None` if it has one.
    pub ambiguity: Option<Diagnostic>,
}

pub(super) fn parse(source: &str) -> Result<ParsedQuery, Diagnostic> {
    let mut parser = Parser { source, at: 0, depth: 0, remarks: Vec::new(), ambiguity: None };
    let root = parser.parse_alternatives(None, None)?;
    Ok(ParsedQuery { root, remarks: parser.remarks, ambiguity: parser.ambiguity })
}

struct Parser<'a> {
    source: &'a str,
    /// The current offset in `source`, in bytes.
    at: usize,
    depth: usize,
    remarks: Vec<Remark>,
    ambiguity: Option<Diagnostic>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    /// `+`
    Must,
    /// NOT, `!`, `-`
    Not,
}

/// One of the clauses of a group, which are side by side or joined by OR.
struct Clause {
    node: Node,
    span: Range<usize>,
    /// The prefix of a clause that is a single term.
    prefix: Prefix,
    /// Whether the clause has several terms, joined by AND.
    joined: bool,
    /// Whether several terms are joined by AND and the first is negated.
    first_not: bool,
    /// Whether several terms are joined by AND and one has a `+`.
    any_must: bool,
    /// Whether an OR precedes the clause.
    after_or: bool,
}

/// A sequence of characters; for each, whether it was escaped or quoted.
struct Word {
    /// Its position in the query, in bytes.
    span: Range<usize>,
    chars: Vec<(char, bool)>,
    quoted: bool,
}

/// Returns whether Lucene treats a character as whitespace.
fn is_whitespace(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{3000}')
}

/// Returns whether a character ends a word.
fn ends_word(c: char) -> bool {
    is_whitespace(c) || matches!(c, ':' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '~' | '^')
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_whitespace(&mut self) {
        while self.peek().is_some_and(is_whitespace) {
            self.bump();
        }
    }

    /// Returns whether an operator is next, as a whole word.
    fn is_at_operator(&self, operator: &str) -> bool {
        self.rest()
            .strip_prefix(operator)
            .is_some_and(|rest| rest.chars().next().is_none_or(|next| ends_word(next) || next == '!'))
    }

    fn eat_operator(&mut self, names: [&str; 2]) -> bool {
        self.skip_whitespace();
        match names.into_iter().find(|name| self.is_at_operator(name)) {
            Some(name) => {
                self.at += name.len();
                true
            }
            None => false,
        }
    }

    /// Parses the clauses of a group up to its end. `opened` is the offset of its parenthesis; `None` for the whole
    /// query.
    fn parse_alternatives(&mut self, field: Option<&Field>, opened: Option<usize>) -> Result<Node, Diagnostic> {
        let mut clauses: Vec<Clause> = Vec::new();
        let mut pending: Option<Range<usize>> = None;
        loop {
            self.skip_whitespace();
            let at = self.at;
            let ended = match (self.peek(), opened) {
                (None, Some(opened)) => {
                    return Err(Diagnostic::in_span(opened..opened + 1, message!("this parenthesis is not closed"))
                        .with_hint(message!("Add the missing ).")));
                }
                (Some(')'), None) => {
                    return Err(Diagnostic::in_span(at..at + 1, message!("found `)`, but no parenthesis is open"))
                        .with_hint(message!("Remove it, or write \\) if it belongs to a value.")));
                }
                (None, None) | (Some(')'), Some(_)) => true,
                _ => false,
            };
            if ended {
                if let Some(operator) = pending {
                    return Err(Diagnostic::in_span(operator, message!("expected a term after OR")));
                }
                if clauses.is_empty() {
                    let message = if opened.is_some() {
                        message!("there is nothing in the parentheses")
                    } else {
                        message!("it is empty")
                    };
                    return Err(Diagnostic::at(at, message)
                        .with_expected(message!("Expected a term such as email:*@example.com.")));
                }
                return Ok(self.combine(clauses));
            }
            if self.eat_operator(["OR", "||"]) {
                if clauses.is_empty() || pending.is_some() {
                    return Err(Diagnostic::in_span(at..self.at, message!("expected a term before OR")));
                }
                pending = Some(at..self.at);
                continue;
            }
            let clause = self.parse_conjunction(field, pending.take().is_some())?;
            clauses.push(clause);
        }
    }

    /// Parses `a AND b AND c`, or a single term.
    fn parse_conjunction(&mut self, field: Option<&Field>, after_or: bool) -> Result<Clause, Diagnostic> {
        let at = self.at;
        let (first, prefix) = self.parse_prefixed_term(field)?;
        let mut nodes = vec![first];
        let mut any_must = prefix == Prefix::Must;
        while self.eat_operator(["AND", "&&"]) {
            let (node, prefix) = self.parse_prefixed_term(field)?;
            any_must |= prefix == Prefix::Must;
            nodes.push(node);
        }
        let joined = nodes.len() > 1;
        Ok(Clause {
            node: Node::all(nodes),
            span: at..self.at,
            prefix: if joined { Prefix::None } else { prefix },
            joined,
            first_not: joined && prefix == Prefix::Not,
            any_must: joined && any_must,
            after_or,
        })
    }

    /// Parses a term with an optional prefix.
    fn parse_prefixed_term(&mut self, field: Option<&Field>) -> Result<(Node, Prefix), Diagnostic> {
        let prefix = self.parse_prefix();
        if prefix == Prefix::None {
            return Ok((self.parse_term(field)?, prefix));
        }
        self.skip_whitespace();
        let at = self.at;
        if self.parse_prefix() != Prefix::None {
            return Err(Diagnostic::in_span(at..self.at, message!("a term can have one of +, -, ! and NOT only"))
                .with_hint(message!("Use parentheses, or write \\- if it belongs to a value.")));
        }
        let node = self.parse_term(field)?;
        Ok((if prefix == Prefix::Not { Node::Not(Box::new(node)) } else { node }, prefix))
    }

    fn parse_prefix(&mut self) -> Prefix {
        if self.eat_operator(["NOT", "NOT"]) || self.eat('!') || self.eat('-') {
            Prefix::Not
        } else if self.eat('+') {
            Prefix::Must
        } else {
            Prefix::None
        }
    }

    fn parse_group(&mut self, field: Option<&Field>, opened: usize) -> Result<Node, Diagnostic> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Diagnostic::in_span(
                opened..opened + 1,
                message!("it is nested deeper than {limit} levels", limit = MAX_DEPTH),
            ));
        }
        let node = self.parse_alternatives(field, Some(opened))?;
        self.eat(')');
        self.depth -= 1;
        self.refuse_suffix()?;
        Ok(node)
    }

    fn parse_term(&mut self, field: Option<&Field>) -> Result<Node, Diagnostic> {
        self.skip_whitespace();
        let at = self.at;
        match self.peek() {
            Some('(') => {
                self.bump();
                return self.parse_group(field, at);
            }
            Some('[' | '{') if field.is_none() => {
                return Err(Diagnostic::in_span(at..at + 1, message!("a range needs a field in front of it"))
                    .with_hint(message!("Write for example logins_count:[1 TO *].")));
            }
            Some('[' | '{') => return self.parse_value(field),
            Some('/') => return Err(regular_expression_error(at)),
            _ => {}
        }
        for operator in ["AND", "&&", "OR", "||"] {
            if self.is_at_operator(operator) {
                return Err(Diagnostic::in_span(
                    at..at + operator.len(),
                    message!("found {operator}, expected a term"),
                )
                .with_hint(message!("An operator goes between two terms; quote it to search for the word.")));
            }
        }
        let name = self.parse_name()?;
        self.skip_whitespace();
        if self.eat(':') {
            let name = split_field(name)?;
            return self.parse_field_test(&name);
        }
        self.at = at;
        let word = self.parse_word()?;
        self.build_term(word, field)
    }

    /// Parses the value or group after the name of a field and its colon.
    fn parse_field_test(&mut self, name: &Field) -> Result<Node, Diagnostic> {
        self.skip_whitespace();
        let at = self.at;
        if name.parts.len() == 1 && name.root() == "_exists_" {
            return self.parse_exists(at);
        }
        if let [root, last] = name.parts.as_slice()
            && last == "raw"
            && uie_core::user::find(root).is_some_and(|attribute| attribute.kind == uie_core::user::Kind::Text)
        {
            return Err(Diagnostic::in_span(
                name.span.0.clone(),
                message!("the suffix .raw belongs to the older search v2"),
            )
            .with_hint(message!("Write {root}:\"…\": values are compared whole without it.")));
        }
        if self.eat('(') {
            return self.parse_group(Some(name), at);
        }
        self.parse_value(Some(name))
    }

    fn parse_exists(&mut self, at: usize) -> Result<Node, Diagnostic> {
        let expected = |at| {
            Diagnostic::at(at, message!("expected the name of one field, without wildcards"))
                .with_hint(message!("Write for example _exists_:user_metadata.plan."))
        };
        if self.peek().is_none_or(|next| ends_word(next) && next != '"') {
            return Err(expected(at));
        }
        let word = if self.peek() == Some('"') {
            // After `_exists_:` a phrase is the whole name; its dots separate parts.
            let phrase = self.parse_word()?;
            let chars = phrase.chars.into_iter().map(|(c, _)| (c, c != '.')).collect();
            Word { chars, quoted: false, ..phrase }
        } else {
            self.parse_name()?
        };
        if word.chars.iter().any(|(c, literal)| !literal && matches!(c, '*' | '?')) {
            return Err(expected(at));
        }
        let field = split_field(word)?;
        self.refuse_suffix()?;
        Ok(Node::Exists(field))
    }

    fn parse_value(&mut self, field: Option<&Field>) -> Result<Node, Diagnostic> {
        let at = self.at;
        let name = || field.map_or_else(|| "field".to_owned(), ToString::to_string);
        match self.peek() {
            Some(open @ ('[' | '{')) => {
                self.bump();
                let test = self.parse_range(at, open == '[')?;
                self.refuse_suffix()?;
                return Ok(Node::Match { field: field.cloned(), test, span: IgnoredByEq(at..self.at) });
            }
            Some(sign @ ('-' | '+')) => {
                return Err(Diagnostic::in_span(
                    at..at + 1,
                    message!("a value cannot start with {sign} unless it is quoted"),
                )
                .with_hint(message!("Write {field}:\"{sign}…\".", field = name())));
            }
            Some('!') => {
                return Err(Diagnostic::in_span(at..at + 1, message!("a value cannot start with !"))
                    .with_hint(message!("Write \\! or quote the value.")));
            }
            Some('/') => return Err(regular_expression_error(at)),
            Some(sign @ ('<' | '>')) => {
                let or_equal = self.rest().chars().nth(1) == Some('=');
                let range = |value: &str| match (sign, or_equal) {
                    ('>', true) => format!("[{value} TO *]"),
                    ('>', false) => format!("{{{value} TO *]"),
                    (_, true) => format!("[* TO {value}]"),
                    (_, false) => format!("[* TO {value}}}"),
                };
                let hint = if let Some(value) = compared_value(self.rest()) {
                    message!(
                        "Write a range: {field}:{form}, here {field}:{range}.",
                        field = name(),
                        form = range("x"),
                        range = range(&value)
                    )
                } else {
                    message!("Write a range: {field}:{range}.", field = name(), range = range("x"))
                };
                return Err(
                    Diagnostic::in_span(at..at + 1, message!("{sign} belongs to the older search v2")).with_hint(hint)
                );
            }
            None | Some(')') => {
                return Err(Diagnostic::at(at, message!("expected a value after {field}:", field = name())));
            }
            Some(_) => {}
        }
        let word = self.parse_word()?;
        self.build_term(word, field)
    }

    /// Builds a term from a parsed value.
    fn build_term(&mut self, word: Word, field: Option<&Field>) -> Result<Node, Diagnostic> {
        self.refuse_suffix()?;
        if !word.quoted && self.peek() == Some(':') {
            return Err(Diagnostic::in_span(self.at..self.at + 1, message!("found a second `:`"))
                .with_hint(message!("Quote the value, or write \\: if the colon belongs to it.")));
        }
        if !word.quoted {
            let text: String = word.chars.iter().map(|(c, _)| c).collect();
            if let "and" | "or" | "not" = text.as_str() {
                let operator = text.to_uppercase();
                let message = message!("`{text}` in lower case is a word to search for; the operator is {operator}");
                let remark = Remark { message, widens: true };
                if !self.remarks.contains(&remark) {
                    self.remarks.push(remark);
                }
            }
        }
        let test = if word.chars.iter().any(|(c, literal)| !literal && matches!(c, '*' | '?')) {
            Test::Like(
                word.chars
                    .into_iter()
                    .map(|(c, literal)| match c {
                        '*' if !literal => PatternToken::AnyText,
                        '?' if !literal => PatternToken::AnyChar,
                        c => PatternToken::Char(c),
                    })
                    .collect(),
            )
        } else {
            Test::Is(word.chars.into_iter().map(|(c, _)| c).collect())
        };
        Ok(Node::Match { field: field.cloned(), test, span: IgnoredByEq(word.span) })
    }

    fn refuse_suffix(&self) -> Result<(), Diagnostic> {
        match self.peek() {
            Some('~') => Err(Diagnostic::in_span(
                self.at..self.at + 1,
                message!("Auth0 has no search for similar or near words (~)"),
            )
            .with_hint(message!("Use a wildcard such as name:ada*, or write \\~ if it belongs to the value."))),
            Some('^') => Err(Diagnostic::in_span(
                self.at..self.at + 1,
                message!("a boost (^) has no meaning here, since users are found or not"),
            )
            .with_hint(message!("Leave it out, or write \\^ if it belongs to the value."))),
            _ => Ok(()),
        }
    }

    /// Parses the name of a field, whose parts may be quoted: `app_metadata."favourite colour"`.
    fn parse_name(&mut self) -> Result<Word, Diagnostic> {
        let mut name = self.parse_word()?;
        let mut after_quote = name.quoted;
        loop {
            let goes_on = match self.peek() {
                Some('"') => !after_quote && name.chars.last() == Some(&('.', false)),
                Some('.') => after_quote,
                _ => false,
            };
            if !goes_on {
                return Ok(name);
            }
            let part = self.parse_word()?;
            after_quote = part.quoted;
            name.quoted |= part.quoted;
            name.span.end = part.span.end;
            name.chars.extend(part.chars);
        }
    }

    /// Parses a phrase in quotes, or a word with escapes.
    fn parse_word(&mut self) -> Result<Word, Diagnostic> {
        let at = self.at;
        if self.peek() == Some('"') {
            let text = self.parse_phrase()?;
            return Ok(Word { span: at..self.at, chars: text.chars().map(|c| (c, true)).collect(), quoted: true });
        }
        let mut chars = Vec::new();
        while let Some(next) = self.peek() {
            let offset = self.at;
            match next {
                '\\' => chars.push((self.parse_escape()?, true)),
                _ if ends_word(next) => break,
                '!' => {
                    let hint = if self.rest().starts_with("!=") {
                        let field: String = chars.iter().map(|(c, _)| c).collect();
                        message!("Write NOT {field}:value.")
                    } else {
                        message!("Write \\! or quote the value.")
                    };
                    return Err(
                        Diagnostic::in_span(offset..offset + 1, message!("found `!` inside a word")).with_hint(hint)
                    );
                }
                '“' | '”' | '„' | '‟' => {
                    return Err(Diagnostic::in_span(
                        offset..offset + next.len_utf8(),
                        message!("found a typographic quotation mark"),
                    )
                    .with_hint(message!("Use the plain one: \".")));
                }
                _ if next.is_whitespace() || next.is_control() => {
                    let code = u32::from(next);
                    let message = message!("found the character U+{code:04X}, which looks like a blank");
                    return Err(Diagnostic::in_span(offset..offset + next.len_utf8(), message)
                        .with_hint(message!("Use a plain blank, or quote the value.")));
                }
                '&' | '|' if self.rest().starts_with("&&") || self.rest().starts_with("||") => {
                    let operator = if next == '&' { "&&" } else { "||" };
                    return Err(Diagnostic::in_span(
                        offset..offset + operator.len(),
                        message!("found {operator} inside a word"),
                    )
                    .with_hint(message!("Put blanks around the operator {operator}, or quote the value.")));
                }
                _ => {
                    self.bump();
                    chars.push((next, false));
                }
            }
        }
        if chars.is_empty() {
            let message = if let Some(found) = self.peek() {
                message!("found `{found}`, expected a term")
            } else {
                message!("expected a term at the end")
            };
            return Err(Diagnostic::at(at, message)
                .with_hint(message!("Special characters need a \\ in front or quotes around the value.")));
        }
        Ok(Word { span: at..self.at, chars, quoted: false })
    }

    /// Parses an escaped character; `\u0041` is a UTF-16 code unit, as in Lucene.
    fn parse_escape(&mut self) -> Result<char, Diagnostic> {
        let at = self.at;
        self.bump();
        match self.bump() {
            None => Err(Diagnostic::in_span(at..at + 1, message!("a backslash is at the end"))
                .with_hint(message!("Write \\\\ for a backslash that belongs to a value."))),
            Some('u') => {
                let wrong = || {
                    Diagnostic::at(at, message!("expected four hexadecimal digits of a character after \\u"))
                        .with_hint(message!("For example \\u00e9."))
                };
                let first = self.parse_hex_unit().ok_or_else(wrong)?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(u32::from(first)).ok_or_else(wrong);
                }
                if !(self.eat('\\') && self.eat('u')) {
                    return Err(wrong());
                }
                let second = self.parse_hex_unit().ok_or_else(wrong)?;
                char::decode_utf16([first, second]).next().and_then(Result::ok).ok_or_else(wrong)
            }
            Some(c) => Ok(c),
        }
    }

    fn parse_hex_unit(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let unit = u16::from_str_radix(digits, 16).ok();
        self.at += 4;
        unit
    }

    fn parse_phrase(&mut self) -> Result<String, Diagnostic> {
        let opened = self.at;
        self.bump();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    return Err(Diagnostic::in_span(opened..opened + 1, message!("this quotation mark is not closed"))
                        .with_hint(message!("Add the missing \".")));
                }
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => text.push(self.parse_escape()?),
                Some(c) => {
                    self.bump();
                    text.push(c);
                }
            }
        }
    }

    fn parse_range(&mut self, opened: usize, low_inclusive: bool) -> Result<Test, Diagnostic> {
        let low = self.parse_range_end(low_inclusive)?;
        self.skip_whitespace();
        if !self.rest().strip_prefix("TO").is_some_and(|rest| rest.starts_with(|c| is_whitespace(c) || c == '"')) {
            return Err(Diagnostic::at(self.at, message!("expected TO between the ends of a range"))
                .with_hint(message!("Write [a TO b], with * for an end that is open.")));
        }
        self.at += "TO".len();
        let mut high = self.parse_range_end(true)?;
        self.skip_whitespace();
        let at = self.at;
        match self.bump() {
            Some(']') => {}
            Some('}') => {
                if let Bound::Inclusive { text, span } = high {
                    high = Bound::Exclusive { text, span };
                }
            }
            None => {
                return Err(Diagnostic::in_span(opened..opened + 1, message!("this range is not closed"))
                    .with_hint(message!("Add ] or }}.")));
            }
            Some(_) => {
                return Err(Diagnostic::at(at, message!("expected ] or }} at the end of a range"))
                    .with_hint(message!("Quote ends that hold blanks.")));
            }
        }
        Ok(Test::Range { low, high })
    }

    fn parse_range_end(&mut self, inclusive: bool) -> Result<Bound, Diagnostic> {
        self.skip_whitespace();
        let at = self.at;
        let bound = |text, end: usize| {
            let span = IgnoredByEq(at..end);
            if inclusive { Bound::Inclusive { text, span } } else { Bound::Exclusive { text, span } }
        };
        if self.peek() == Some('"') {
            let text = self.parse_phrase()?;
            return Ok(bound(text, self.at));
        }
        let mut text = String::new();
        let mut escaped = false;
        while let Some(next) = self.peek() {
            match next {
                '\\' => {
                    escaped = true;
                    text.push(self.parse_escape()?);
                }
                _ if is_whitespace(next) || matches!(next, ']' | '}' | '[' | '{' | '"') => break,
                '*' | '?' if !(next == '*' && text.is_empty()) => {
                    return Err(Diagnostic::in_span(self.at..self.at + 1, message!("a range has no wildcards"))
                        .with_hint(message!(
                            "Only a single * means an open end; quote it if it belongs to the value."
                        )));
                }
                _ => {
                    self.bump();
                    text.push(next);
                }
            }
        }
        match text.as_str() {
            "" => Err(Diagnostic::at(at, message!("expected an end of the range"))
                .with_hint(message!("Write [a TO b], with * for an end that is open."))),
            "*" if !escaped => Ok(Bound::Open),
            star if star.starts_with('*') && !escaped => {
                Err(Diagnostic::in_span(at..self.at, message!("a range has no wildcards"))
                    .with_hint(message!("Only a single * means an open end; quote it if it belongs to the value.")))
            }
            "TO" => Err(Diagnostic::in_span(at..self.at, message!("expected an end of the range before TO"))),
            _ => Ok(bound(text, self.at)),
        }
    }

    /// Combines the clauses of a group. Clauses side by side are alternatives unless they have prefixes; a clause next
    /// to OR is always an alternative.
    fn combine(&mut self, mut clauses: Vec<Clause>) -> Node {
        if clauses.len() == 1 {
            return clauses.remove(0).node;
        }
        let followed: Vec<bool> = clauses.iter().skip(1).map(|clause| clause.after_or).chain([false]).collect();
        let mixed = clauses.iter().any(|clause| clause.joined);
        let (mut required, mut prohibited, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut by_or = false;
        for (place, (clause, before_or)) in clauses.into_iter().zip(followed).enumerate() {
            let beside = place > 0 && !clause.after_or;
            self.note_ambiguity(&clause, beside, before_or);
            by_or |= before_or;
            match clause.prefix {
                Prefix::Not if !clause.after_or && !before_or => prohibited.push(clause.node),
                Prefix::Must if !clause.after_or && !before_or => required.push(clause.node),
                _ => others.push(clause.node),
            }
        }
        let is_surprising = mixed || (by_or && !prohibited.is_empty());
        let has_idle_terms = !required.is_empty() && !others.is_empty();
        let mut all = required;
        if all.is_empty() && !others.is_empty() {
            all.push(Node::any(others));
        }
        all.append(&mut prohibited);
        let node = Node::all(all);
        if has_idle_terms {
            self.remarks.push(Remark::new(message!(
                "next to a term with +, terms without it only change the order in a search engine; this was read as: \
                 {node}"
            )));
        } else if is_surprising {
            self.remarks.push(Remark::new(message!(
                "AND and OR are mixed without parentheses (AND binds tighter); this was read as: {node}"
            )));
        }
        node
    }

    /// Records the first clause whose meaning is ambiguous.
    fn note_ambiguity(&mut self, clause: &Clause, beside: bool, before_or: bool) {
        if self.ambiguity.is_some() {
            return;
        }
        let not = (clause.prefix == Prefix::Not && before_or) || clause.first_not;
        if beside && not {
            let operator = if clause.first_not { "AND" } else { "OR" };
            self.ambiguity = Some(
                Diagnostic::in_span(
                    clause.span.clone(),
                    message!("it is unclear whether this belongs to the term before it or to the {operator} after it"),
                )
                .with_hint(message!("Write AND NOT or OR NOT, and parentheses.")),
            );
        } else if clause.any_must || (clause.prefix == Prefix::Must && (clause.after_or || before_or)) {
            self.ambiguity = Some(
                Diagnostic::in_span(clause.span.clone(), message!("the meaning of + next to AND and OR is unclear"))
                    .with_hint(message!("Leave the + out, and use parentheses.")),
            );
        }
    }
}

/// Returns the value after `<`, `>=` and so on, for a range: a date relative to now as the date that it is today; `None`
/// if there is no value.
fn compared_value(text: &str) -> Option<String> {
    let value = text.trim_start_matches(['<', '>', '=']).trim_start_matches(is_whitespace);
    let value = match value.strip_prefix('"') {
        Some(phrase) => phrase.split('"').next().unwrap_or_default(),
        None => value.split(|c| is_whitespace(c) || matches!(c, ')' | ']' | '}')).next().unwrap_or_default(),
    };
    let text = to_absolute(value, now()).unwrap_or_else(|| value.to_owned());
    (!value.is_empty()).then(|| Bound::Inclusive { text, span: IgnoredByEq(0..0) }.to_string())
}

fn regular_expression_error(at: usize) -> Diagnostic {
    Diagnostic::in_span(at..at + 1, message!("Auth0 has no search by regular expression"))
        .with_hint(message!("Use a wildcard, or write \\/ or quotes if the / belongs to the value."))
}

/// Splits the name of a field at its unescaped dots.
fn split_field(word: Word) -> Result<Field, Diagnostic> {
    let span = word.span;
    let mut parts = vec![String::new()];
    for (c, literal) in word.chars {
        match c {
            '.' if !literal => parts.push(String::new()),
            '*' | '?' if !literal => {
                return Err(Diagnostic::in_span(span, message!("the name of a field has no wildcards"))
                    .with_hint(message!("Name one field; an empty query finds all users.")));
            }
            c => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    if parts.iter().any(String::is_empty) {
        return Err(Diagnostic::in_span(span, message!("the name of a field has an empty part"))
            .with_hint(message!("Write for example app_metadata.plan:pro.")));
    }
    if parts.len() > uie_json::MAX_DEPTH {
        return Err(Diagnostic::in_span(span, message!("the name of a field has {count} parts", count = parts.len()))
            .with_hint(message!("A user is nested at most {limit} levels deep.", limit = uie_json::MAX_DEPTH)));
    }
    Ok(Field { parts, span: IgnoredByEq(span), quoted: IgnoredByEq(word.quoted) })
}
