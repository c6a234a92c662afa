//! Text to [`Node`]: the grammar of Lucene's query parser, as far as Auth0 documents it (docs/auth0/search-syntax.md),
//! with the precedence of docs/query.md.

use super::Fault;
use super::node::{Aside, Bound, Field, Node, Test, Token};

/// Nesting beyond this is refused instead of exhausting the stack.
const DEEPEST: usize = 100;

/// A query as it was read.
pub(super) struct Read {
    pub root: Node,
    pub remarks: Vec<String>,
    /// Why it can be read in more than one way, if so.
    pub unclear: Option<Fault>,
}

pub(super) fn parse(source: &str) -> Result<Read, Fault> {
    let mut parser = Parser { source, at: 0, depth: 0, remarks: Vec::new(), unclear: None };
    let root = parser.alternatives(None, None)?;
    Ok(Read { root, remarks: parser.remarks, unclear: parser.unclear })
}

struct Parser<'a> {
    source: &'a str,
    /// In bytes from the start.
    at: usize,
    depth: usize,
    remarks: Vec<String>,
    unclear: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    /// `+`
    Must,
    /// NOT, `!`, `-`
    Not,
}

/// One of the terms of a group that stand side by side or are joined by OR.
struct Clause {
    node: Node,
    at: usize,
    /// Of a clause that is a single term.
    prefix: Prefix,
    /// Several terms joined by AND.
    joined: bool,
    /// Joined by AND, and the first of them has a prefix.
    first_not: bool,
    /// Joined by AND, and one of them has a `+`.
    any_must: bool,
    after_or: bool,
}

/// A run of characters, and of each whether it was escaped or quoted.
struct Word {
    at: usize,
    chars: Vec<(char, bool)>,
    quoted: bool,
}

/// What Lucene takes for blanks.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{3000}')
}

/// Whether a character ends a word.
fn ends_word(c: char) -> bool {
    is_blank(c) || matches!(c, ':' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '~' | '^')
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

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.bump();
        }
    }

    /// Whether an operator stands here: a word of its own, not the start of one.
    fn sees(&self, operator: &str) -> bool {
        self.rest()
            .strip_prefix(operator)
            .is_some_and(|rest| rest.chars().next().is_none_or(|next| ends_word(next) || next == '!'))
    }

    fn eat_operator(&mut self, names: [&str; 2]) -> bool {
        self.blanks();
        match names.into_iter().find(|name| self.sees(name)) {
            Some(name) => {
                self.at += name.len();
                true
            }
            None => false,
        }
    }

    /// The terms of a group up to its end; `opened` is where its parenthesis stands.
    fn alternatives(&mut self, field: Option<&Field>, opened: Option<usize>) -> Result<Node, Fault> {
        let mut clauses: Vec<Clause> = Vec::new();
        let mut pending: Option<usize> = None;
        loop {
            self.blanks();
            let at = self.at;
            let ended = match (self.peek(), opened) {
                (None, Some(opened)) => {
                    return Err(Fault::new(opened, "this parenthesis is not closed", "Add the missing )."));
                }
                (Some(')'), None) => {
                    return Err(Fault::new(
                        at,
                        "found `)`, but no parenthesis is open",
                        "Remove it, or write \\) if it belongs to a value.",
                    ));
                }
                (None, None) | (Some(')'), Some(_)) => true,
                _ => false,
            };
            if ended {
                if let Some(operator) = pending {
                    return Err(Fault::new(operator, "expected a term after OR", ""));
                }
                if clauses.is_empty() {
                    let message = if opened.is_some() { "there is nothing in the parentheses" } else { "it is empty" };
                    return Err(Fault::new(at, message, "Expected a term such as email:*@example.com."));
                }
                return Ok(self.combine(clauses));
            }
            if self.eat_operator(["OR", "||"]) {
                if clauses.is_empty() || pending.is_some() {
                    return Err(Fault::new(at, "expected a term before OR", ""));
                }
                pending = Some(at);
                continue;
            }
            let clause = self.conjunction(field, pending.take().is_some())?;
            clauses.push(clause);
        }
    }

    /// `a AND b AND c`, or a single term.
    fn conjunction(&mut self, field: Option<&Field>, after_or: bool) -> Result<Clause, Fault> {
        let at = self.at;
        let (first, prefix) = self.modified(field)?;
        let mut nodes = vec![first];
        let mut any_must = prefix == Prefix::Must;
        while self.eat_operator(["AND", "&&"]) {
            let (node, prefix) = self.modified(field)?;
            any_must |= prefix == Prefix::Must;
            nodes.push(node);
        }
        let joined = nodes.len() > 1;
        Ok(Clause {
            node: Node::all(nodes),
            at,
            prefix: if joined { Prefix::None } else { prefix },
            joined,
            first_not: joined && prefix == Prefix::Not,
            any_must: joined && any_must,
            after_or,
        })
    }

    /// A term with the prefix it may have.
    fn modified(&mut self, field: Option<&Field>) -> Result<(Node, Prefix), Fault> {
        let prefix = self.prefix();
        if prefix == Prefix::None {
            return Ok((self.term(field)?, prefix));
        }
        self.blanks();
        let at = self.at;
        if self.prefix() != Prefix::None {
            return Err(Fault::new(
                at,
                "a term can have one of +, -, ! and NOT only",
                "Use parentheses, or write \\- if it belongs to a value.",
            ));
        }
        let node = self.term(field)?;
        Ok((if prefix == Prefix::Not { Node::Not(Box::new(node)) } else { node }, prefix))
    }

    fn prefix(&mut self) -> Prefix {
        if self.eat_operator(["NOT", "NOT"]) || self.eat('!') || self.eat('-') {
            Prefix::Not
        } else if self.eat('+') {
            Prefix::Must
        } else {
            Prefix::None
        }
    }

    fn group(&mut self, field: Option<&Field>, opened: usize) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::new(opened, format!("it is nested deeper than {DEEPEST} levels"), ""));
        }
        let node = self.alternatives(field, Some(opened))?;
        self.eat(')');
        self.depth -= 1;
        self.no_suffix()?;
        Ok(node)
    }

    fn term(&mut self, field: Option<&Field>) -> Result<Node, Fault> {
        self.blanks();
        let at = self.at;
        match self.peek() {
            Some('(') => {
                self.bump();
                return self.group(field, at);
            }
            Some('[' | '{') if field.is_none() => {
                return Err(Fault::new(
                    at,
                    "a range needs a field in front of it",
                    "Write for example logins_count:[1 TO *].",
                ));
            }
            Some('[' | '{') => return self.value(field),
            Some('/') => return Err(regular_expression(at)),
            _ => {}
        }
        for operator in ["AND", "&&", "OR", "||"] {
            if self.sees(operator) {
                return Err(Fault::new(
                    at,
                    format!("found {operator}, expected a term"),
                    "An operator stands between two terms; write it in quotes to search for the word.",
                ));
            }
        }
        let name = self.name()?;
        self.blanks();
        if self.eat(':') {
            let name = field_of(name)?;
            return self.named(&name);
        }
        self.at = at;
        let word = self.word()?;
        self.finish_value(word, field)
    }

    /// What stands behind a field's name and its colon.
    fn named(&mut self, name: &Field) -> Result<Node, Fault> {
        self.blanks();
        let at = self.at;
        if name.parts.len() == 1 && name.root() == "_exists_" {
            return self.exists(at);
        }
        if let [root, last] = name.parts.as_slice()
            && last == "raw"
            && crate::user::find(root).is_some_and(|attribute| attribute.kind == crate::user::Kind::Text)
        {
            return Err(Fault::new(
                name.at.0,
                "the suffix .raw belongs to the older search v2",
                format!("Write {root}:\"…\": values are compared whole without it."),
            ));
        }
        if self.eat('(') {
            return self.group(Some(name), at);
        }
        self.value(Some(name))
    }

    fn exists(&mut self, at: usize) -> Result<Node, Fault> {
        let expected = |at| {
            Fault::new(
                at,
                "expected the name of one field, without wildcards",
                "Write for example _exists_:user_metadata.plan.",
            )
        };
        if self.peek().is_none_or(|next| ends_word(next) && next != '"') {
            return Err(expected(at));
        }
        let word = if self.peek() == Some('"') {
            // Here a phrase is the whole name, with its dots.
            let phrase = self.word()?;
            let chars = phrase.chars.into_iter().map(|(c, _)| (c, c != '.')).collect();
            Word { chars, quoted: false, ..phrase }
        } else {
            self.name()?
        };
        if word.chars.iter().any(|(c, literal)| !literal && matches!(c, '*' | '?')) {
            return Err(expected(at));
        }
        let field = field_of(word)?;
        self.no_suffix()?;
        Ok(Node::Exists(field))
    }

    fn value(&mut self, field: Option<&Field>) -> Result<Node, Fault> {
        let at = self.at;
        let name = || field.map_or_else(|| "field".to_owned(), ToString::to_string);
        match self.peek() {
            Some(open @ ('[' | '{')) => {
                self.bump();
                let test = self.range(at, open == '[')?;
                self.no_suffix()?;
                return Ok(Node::Match { field: field.cloned(), test, at: Aside(at) });
            }
            Some(sign @ ('-' | '+')) => {
                return Err(Fault::new(
                    at,
                    format!("a value cannot start with {sign} unless it is quoted"),
                    format!("Write {}:\"{sign}…\".", name()),
                ));
            }
            Some('!') => {
                return Err(Fault::new(at, "a value cannot start with !", "Write \\! or quote the value."));
            }
            Some('/') => return Err(regular_expression(at)),
            Some(sign @ ('<' | '>')) => {
                let or_equal = self.rest().chars().nth(1) == Some('=');
                let range = match (sign, or_equal) {
                    ('>', true) => "[x TO *]",
                    ('>', false) => "{x TO *]",
                    (_, true) => "[* TO x]",
                    (_, false) => "[* TO x}",
                };
                return Err(Fault::new(
                    at,
                    format!("{sign} belongs to the older search v2"),
                    format!("Write a range: {}:{range}.", name()),
                ));
            }
            None | Some(')') => {
                return Err(Fault::new(at, format!("expected a value after {}:", name()), ""));
            }
            Some(_) => {}
        }
        let word = self.word()?;
        self.finish_value(word, field)
    }

    /// Makes a term of a value that was read.
    fn finish_value(&mut self, word: Word, field: Option<&Field>) -> Result<Node, Fault> {
        self.no_suffix()?;
        let at = word.at;
        if !word.quoted && self.peek() == Some(':') {
            return Err(Fault::new(
                self.at,
                "found a second `:`",
                "Quote the value, or write \\: if the colon belongs to it.",
            ));
        }
        if !word.quoted {
            let text: String = word.chars.iter().map(|(c, _)| c).collect();
            if let "and" | "or" | "not" = text.as_str() {
                let remark = format!(
                    "`{text}` in small letters is a word to search for; the operator is {}",
                    text.to_uppercase()
                );
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
                        '*' if !literal => Token::Any,
                        '?' if !literal => Token::One,
                        c => Token::Char(c),
                    })
                    .collect(),
            )
        } else {
            Test::Is(word.chars.into_iter().map(|(c, _)| c).collect())
        };
        Ok(Node::Match { field: field.cloned(), test, at: Aside(at) })
    }

    fn no_suffix(&self) -> Result<(), Fault> {
        match self.peek() {
            Some('~') => Err(Fault::new(
                self.at,
                "Auth0 has no search for similar or near words (~)",
                "Use a wildcard such as name:ada*, or write \\~ if it belongs to the value.",
            )),
            Some('^') => Err(Fault::new(
                self.at,
                "a boost (^) has no meaning here, since users are found or not",
                "Leave it out, or write \\^ if it belongs to the value.",
            )),
            _ => Ok(()),
        }
    }

    /// The name of a field, of which parts may be quoted: `app_metadata."favourite colour"`.
    fn name(&mut self) -> Result<Word, Fault> {
        let mut name = self.word()?;
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
            let part = self.word()?;
            after_quote = part.quoted;
            name.quoted |= part.quoted;
            name.chars.extend(part.chars);
        }
    }

    /// A phrase, or a run of characters with escapes.
    fn word(&mut self) -> Result<Word, Fault> {
        let at = self.at;
        if self.peek() == Some('"') {
            let text = self.phrase()?;
            return Ok(Word { at, chars: text.chars().map(|c| (c, true)).collect(), quoted: true });
        }
        let mut chars = Vec::new();
        while let Some(next) = self.peek() {
            let here = self.at;
            match next {
                '\\' => chars.push((self.escape()?, true)),
                _ if ends_word(next) => break,
                '!' => {
                    return Err(Fault::new(here, "found `!` inside a word", "Write \\! or quote the value."));
                }
                '“' | '”' | '„' | '‟' => {
                    return Err(Fault::new(here, "found a typographic quotation mark", "Use the plain one: \"."));
                }
                _ if next.is_whitespace() || next.is_control() => {
                    let message = format!("found the character U+{:04X}, which looks like a blank", u32::from(next));
                    return Err(Fault::new(here, message, "Use a plain blank, or quote the value."));
                }
                '&' | '|' if self.rest().starts_with("&&") || self.rest().starts_with("||") => {
                    let operator = if next == '&' { "&&" } else { "||" };
                    return Err(Fault::new(
                        here,
                        format!("found {operator} inside a word"),
                        format!("Put blanks around the operator {operator}, or quote the value."),
                    ));
                }
                _ => {
                    self.bump();
                    chars.push((next, false));
                }
            }
        }
        if chars.is_empty() {
            let message = match self.peek() {
                Some(found) => format!("found `{found}`, expected a term"),
                None => "expected a term at the end".to_owned(),
            };
            return Err(Fault::new(at, message, "Special characters need a \\ in front or quotes around the value."));
        }
        Ok(Word { at, chars, quoted: false })
    }

    /// A character with a backslash in front; `\u0041` is its code in UTF-16, as in Lucene.
    fn escape(&mut self) -> Result<char, Fault> {
        let at = self.at;
        self.bump();
        match self.bump() {
            None => Err(Fault::new(
                at,
                "a backslash stands at the end",
                "Write \\\\ for a backslash that belongs to a value.",
            )),
            Some('u') => {
                let wrong = || {
                    Fault::new(at, "expected four hexadecimal digits of a character after \\u", "For example \\u00e9.")
                };
                let first = self.unit().ok_or_else(wrong)?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(u32::from(first)).ok_or_else(wrong);
                }
                if !(self.eat('\\') && self.eat('u')) {
                    return Err(wrong());
                }
                let second = self.unit().ok_or_else(wrong)?;
                char::decode_utf16([first, second]).next().and_then(Result::ok).ok_or_else(wrong)
            }
            Some(c) => Ok(c),
        }
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let unit = u16::from_str_radix(digits, 16).ok();
        self.at += 4;
        unit
    }

    fn phrase(&mut self) -> Result<String, Fault> {
        let opened = self.at;
        self.bump();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(Fault::new(opened, "this quotation mark is not closed", "Add the missing \".")),
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(c) => {
                    self.bump();
                    text.push(c);
                }
            }
        }
    }

    fn range(&mut self, opened: usize, low_inclusive: bool) -> Result<Test, Fault> {
        let low = self.range_end(low_inclusive)?;
        self.blanks();
        if !self.rest().strip_prefix("TO").is_some_and(|rest| rest.starts_with(|c| is_blank(c) || c == '"')) {
            return Err(Fault::new(
                self.at,
                "expected TO between the ends of a range",
                "Write [a TO b], with * for an end that is open.",
            ));
        }
        self.at += "TO".len();
        let mut high = self.range_end(true)?;
        self.blanks();
        let at = self.at;
        match self.bump() {
            Some(']') => {}
            Some('}') => {
                if let Bound::Inclusive { text, at } = high {
                    high = Bound::Exclusive { text, at };
                }
            }
            None => return Err(Fault::new(opened, "this range is not closed", "Add ] or }.")),
            Some(_) => {
                return Err(Fault::new(at, "expected ] or } at the end of a range", "Quote ends that hold blanks."));
            }
        }
        Ok(Test::Range { low, high })
    }

    fn range_end(&mut self, inclusive: bool) -> Result<Bound, Fault> {
        self.blanks();
        let at = self.at;
        let bound = |text| {
            let at = Aside(at);
            if inclusive { Bound::Inclusive { text, at } } else { Bound::Exclusive { text, at } }
        };
        if self.peek() == Some('"') {
            return self.phrase().map(bound);
        }
        let mut text = String::new();
        let mut escaped = false;
        while let Some(next) = self.peek() {
            match next {
                '\\' => {
                    escaped = true;
                    text.push(self.escape()?);
                }
                _ if is_blank(next) || matches!(next, ']' | '}' | '[' | '{' | '"') => break,
                '*' | '?' if !(next == '*' && text.is_empty()) => {
                    return Err(Fault::new(
                        self.at,
                        "a range has no wildcards",
                        "Only a single * stands for an open end; quote it if it belongs to the value.",
                    ));
                }
                _ => {
                    self.bump();
                    text.push(next);
                }
            }
        }
        match text.as_str() {
            "" => {
                Err(Fault::new(at, "expected an end of the range", "Write [a TO b], with * for an end that is open."))
            }
            "*" if !escaped => Ok(Bound::Open),
            star if star.starts_with('*') && !escaped => Err(Fault::new(
                at,
                "a range has no wildcards",
                "Only a single * stands for an open end; quote it if it belongs to the value.",
            )),
            "TO" => Err(Fault::new(at, "expected an end of the range before TO", "")),
            _ => Ok(bound(text)),
        }
    }

    /// Terms side by side are alternatives, unless prefixes say otherwise; one next to OR is an
    /// alternative whatever its prefix.
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
            self.doubt(&clause, beside, before_or);
            by_or |= before_or;
            match clause.prefix {
                Prefix::Not if !clause.after_or && !before_or => prohibited.push(clause.node),
                Prefix::Must if !clause.after_or && !before_or => required.push(clause.node),
                _ => others.push(clause.node),
            }
        }
        let surprising = mixed || (by_or && !prohibited.is_empty());
        let idle = !required.is_empty() && !others.is_empty();
        let mut all = required;
        if all.is_empty() && !others.is_empty() {
            all.push(Node::any(others));
        }
        all.append(&mut prohibited);
        let node = Node::all(all);
        if idle {
            self.remarks.push(format!(
                "beside a term with +, terms without it only change the order in a search engine; this was read as: \
                 {node}"
            ));
        } else if surprising {
            self.remarks.push(format!(
                "AND and OR are mixed without parentheses (AND binds tighter); this was read as: {node}"
            ));
        }
        node
    }

    /// Notes what can be read in more than one way.
    fn doubt(&mut self, clause: &Clause, beside: bool, before_or: bool) {
        if self.unclear.is_some() {
            return;
        }
        let not = (clause.prefix == Prefix::Not && before_or) || clause.first_not;
        if beside && not {
            let operator = if clause.first_not { "AND" } else { "OR" };
            self.unclear = Some(Fault::new(
                clause.at,
                format!(
                    "whether this belongs to the term before it or to the {operator} behind it cannot be told for certain"
                ),
                "Write AND NOT or OR NOT, and parentheses.",
            ));
        } else if clause.any_must || (clause.prefix == Prefix::Must && (clause.after_or || before_or)) {
            self.unclear = Some(Fault::new(
                clause.at,
                "what + means beside AND and OR cannot be told for certain",
                "Leave the + out, and use parentheses.",
            ));
        }
    }
}

fn regular_expression(at: usize) -> Fault {
    Fault::new(
        at,
        "Auth0 has no search by regular expression",
        "Use a wildcard, or write \\/ or quotes if the / belongs to the value.",
    )
}

/// The names of a field, split at its dots.
fn field_of(word: Word) -> Result<Field, Fault> {
    let at = word.at;
    let mut parts = vec![String::new()];
    for (c, literal) in word.chars {
        match c {
            '.' if !literal => parts.push(String::new()),
            '*' | '?' if !literal => {
                return Err(Fault::new(
                    at,
                    "the name of a field has no wildcards",
                    "Name one field; an empty query finds all users.",
                ));
            }
            c => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    if parts.iter().any(String::is_empty) {
        return Err(Fault::new(
            at,
            "the name of a field has an empty part",
            "Write for example app_metadata.plan:pro.",
        ));
    }
    if parts.len() > crate::expression::DEEPEST {
        return Err(Fault::new(
            at,
            format!("the name of a field has {} parts", parts.len()),
            format!("A user is nested at most {} levels deep.", crate::expression::DEEPEST),
        ));
    }
    Ok(Field { parts, at: Aside(at), quoted: Aside(word.quoted) })
}
