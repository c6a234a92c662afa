//! Classifies expressions as paths, transform calls or JavaScript, and parses paths and calls.

use std::ops::Range;

use super::call::{Argument, Call, Input};
use super::javascript::{self, GLOBALS, Script};
use super::json_literal::JsonText;
use super::lexer::{Lexeme, Lexer, Token};
use super::parse_error::ParseError;
use uie_core::diagnostic::Diagnostic;
use uie_core::message::message;
use uie_json::{INHERITED_BY_ALL, Key, Literal, Node, Path};

/// The maximum nesting of parentheses and calls in a path or call. They are parsed by recursion, so this bounds the
/// stack.
const MAX_DEPTH: u32 = 64;

/// The maximum number of steps of a path: no user is nested more deeply.
const MAX_STEPS: usize = uie_json::MAX_DEPTH;

/// The maximum nesting of brackets in any expression.
const MAX_BRACKET_DEPTH: usize = 200;

/// Keywords, which cannot start a path as the name of an attribute.
const RESERVED: &[&str] = &[
    "arguments",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extends",
    "finally",
    "for",
    "function",
    "if",
    "import",
    "in",
    "instanceof",
    "let",
    "new",
    "of",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Operators and literals of other languages, and what was probably meant.
const LIKELY_MISTAKES: &[(&str, &str)] = &[
    ("OR", "||"),
    ("or", "||"),
    ("|", "||"),
    ("?", "??"),
    ("AND", "&&"),
    ("and", "&&"),
    ("True", "true"),
    ("False", "false"),
    ("None", "null"),
    ("nil", "null"),
    ("Null", "null"),
    ("NULL", "null"),
];

/// A parsed expression, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Path(Path),
    Transform(Call),
    JavaScript(Script),
}

/// Analyzes `source` as JavaScript; `at` is the offset where it stops being a path.
fn analyze_from(source: &str, at: usize) -> Result<Script, ParseError> {
    javascript::analyze(source).map(|script| Script { path_end: at, ..script })
}

pub(super) fn parse(source: &str) -> Result<Form, ParseError> {
    let lexemes = tokenize(source)?;
    let mut parser = Parser { lexemes: &lexemes, at: 0, depth: 0 };
    match parser.parse_path() {
        Ok(node) => Ok(Form::Path(Path(node))),
        Err(ParseError::NotAPath(span)) => {
            let mut parser = Parser { lexemes: &lexemes, at: 0, depth: 0 };
            let call = parser.parse_call().and_then(|call| parser.expect_end().map(|()| call));
            match call {
                Ok(call) => Ok(Form::Transform(call)),
                Err(error @ ParseError::TooLong(_)) => Err(error),
                Err(_) => Ok(Form::JavaScript(analyze_from(source, span.start)?)),
            }
        }
        Err(error @ ParseError::TooLong(_)) => Err(error),
        // It may still be JavaScript, such as `(() => 1)()`. If not, the error of the path is more helpful.
        Err(ParseError::Invalid(diagnostic)) => {
            let at = diagnostic.span.as_ref().map_or(0, |span| span.start);
            analyze_from(source, at).map(Form::JavaScript).map_err(|_| diagnostic.into())
        }
    }
}

/// Returns all tokens, including the end. Fails if brackets do not match.
fn tokenize(source: &str) -> Result<Vec<Lexeme<'_>>, ParseError> {
    let mut lexer = Lexer::new(source);
    let mut lexemes: Vec<Lexeme<'_>> = Vec::new();
    let mut open: Vec<(&'static str, usize)> = Vec::new();
    loop {
        let lexeme = lexer.next()?;
        match lexeme.token {
            Token::Punctuator(bracket @ ("(" | "[" | "{")) => {
                if open.len() == MAX_BRACKET_DEPTH {
                    return Err(Diagnostic::in_span(lexeme.start..lexeme.end, message!("this is nested too deeply"))
                        .with_hint(message!("use fewer brackets"))
                        .into());
                }
                open.push((bracket, lexeme.start));
            }
            Token::Punctuator(bracket @ (")" | "]" | "}")) => {
                let opening = match bracket {
                    ")" => "(",
                    "]" => "[",
                    _ => "{",
                };
                match open.pop() {
                    Some((found, _)) if found == opening => {}
                    Some((found, at)) => {
                        return Err(Diagnostic::in_span(
                            lexeme.start..lexeme.end,
                            message!(
                                "`{bracket}` does not close the `{found}` at character {position}",
                                position = at + 1
                            ),
                        )
                        .with_expected(message!("expected {closing}", closing = closing(found)))
                        .into());
                    }
                    None => {
                        return Err(Diagnostic::in_span(
                            lexeme.start..lexeme.end,
                            message!("there is no `{opening}` for this `{bracket}`"),
                        )
                        .with_hint(message!("remove it, or open it before"))
                        .into());
                    }
                }
            }
            _ => {}
        }
        let end = lexeme.token == Token::End;
        lexemes.push(lexeme);
        if end {
            break;
        }
    }
    if let Some((bracket, at)) = open.pop() {
        // For a bracket at the very end, the error about the missing operand after it is more helpful.
        if lexemes.len() < 2 || lexemes.iter().rev().nth(1).is_none_or(|last| last.start != at) {
            return Err(Diagnostic::in_span(at..at + bracket.len(), message!("this `{bracket}` is never closed"))
                .with_expected(message!("expected {closing}", closing = closing(bracket)))
                .into());
        }
    }
    Ok(lexemes)
}

fn closing(bracket: &str) -> &'static str {
    match bracket {
        "(" => "`)`",
        "[" => "`]`",
        _ => "`}`",
    }
}

struct Parser<'a> {
    lexemes: &'a [Lexeme<'a>],
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a Token<'a> {
        self.lexemes.get(self.at).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    fn peek_second(&self) -> &'a Token<'a> {
        self.lexemes.get(self.at + 1).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    /// Returns the position of the next token, in bytes.
    fn span(&self) -> Range<usize> {
        self.lexemes.get(self.at).or(self.lexemes.last()).map_or(0..0, |lexeme| lexeme.start..lexeme.end)
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn eat(&mut self, punctuator: &str) -> bool {
        let found = matches!(self.peek(), Token::Punctuator(found) if *found == punctuator);
        if found {
            self.advance();
        }
        found
    }

    fn not_a_path<T>(&self) -> Result<T, ParseError> {
        Err(ParseError::NotAPath(self.span()))
    }

    fn with_depth<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(Diagnostic::in_span(self.span(), message!("this is nested too deeply"))
                .with_hint(message!("use fewer parentheses"))
                .into());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn parse_path(&mut self) -> Result<Node, ParseError> {
        let node = self.parse_alternatives()?;
        self.expect_end()?;
        Ok(node)
    }

    /// Fails unless the expression ends here; the error explains the unexpected token.
    fn expect_end(&self) -> Result<(), ParseError> {
        let expected = || message!("expected `.`, `[`, `||`, `??` or the end");
        match self.peek() {
            Token::End => Ok(()),
            Token::Name("in" | "instanceof") | Token::Template | Token::PrivateName | Token::EscapedName => {
                self.not_a_path()
            }
            Token::Name(name) => Err(suggest(
                Diagnostic::in_span(self.span(), message!("`{name}` does not fit after the text before it"))
                    .with_expected(expected()),
                name,
            )
            .into()),
            Token::Number(_) | Token::Text(_) | Token::Regex => {
                Err(Diagnostic::in_span(self.span(), message!("there is no operator between two values"))
                    .with_expected(expected())
                    .into())
            }
            Token::Punctuator(
                "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=" | "<<=" | ">>=" | ">>>=" | "&=" | "|=" | "^=" | "&&="
                | "||=" | "??=",
            ) => Err(Diagnostic::in_span(self.span(), message!("an expression may not assign"))
                .with_hint(message!("compare with `===`; a column's name follows the last `=`"))
                .into()),
            Token::Punctuator("++" | "--") => {
                Err(Diagnostic::in_span(self.span(), message!("an expression may not assign"))
                    .with_expected(expected())
                    .into())
            }
            Token::Punctuator(found @ (";" | ":" | "@" | "..." | "!" | "~" | ")" | "]" | "}" | "{")) => {
                Err(Diagnostic::in_span(self.span(), message!("`{found}` does not fit here"))
                    .with_expected(expected())
                    .into())
            }
            Token::Punctuator(found @ ("|" | "?")) if *self.peek_second() == Token::End => Err(suggest(
                Diagnostic::in_span(self.span(), message!("`{found}` does not fit here")).with_expected(expected()),
                found,
            )
            .into()),
            Token::Punctuator(_) => self.not_a_path(),
        }
    }

    fn parse_alternatives(&mut self) -> Result<Node, ParseError> {
        let first = self.parse_operand()?;
        let operator = match self.peek() {
            Token::Punctuator(operator @ ("||" | "??")) => *operator,
            _ => return Ok(first),
        };
        let mut nodes = vec![first];
        while self.eat(operator) {
            nodes.push(self.parse_operand()?);
        }
        if let Token::Punctuator(other @ ("||" | "??" | "&&")) = self.peek()
            && (*other == "??" || operator == "??")
        {
            return Err(Diagnostic::in_span(
                self.span(),
                message!("JavaScript does not allow `{operator}` and `{other}` side by side"),
            )
            .with_hint(message!("put one of them in parentheses: (a ?? b) || c"))
            .into());
        }
        Ok(if operator == "||" { Node::Or(nodes) } else { Node::Nullish(nodes) })
    }

    fn parse_operand(&mut self) -> Result<Node, ParseError> {
        let expected = || message!("expected a path such as user.email, a string or a number");
        let span = self.span();
        let node = match self.peek() {
            Token::End if self.at == 0 => {
                return Err(Diagnostic::in_span(span, message!("it is empty")).with_expected(expected()).into());
            }
            Token::End => {
                return Err(Diagnostic::in_span(span, message!("something is missing at its end"))
                    .with_expected(expected())
                    .into());
            }
            Token::Name("true") => self.literal(Literal::Boolean(true)),
            Token::Name("false") => self.literal(Literal::Boolean(false)),
            Token::Name("null") => self.literal(Literal::Null),
            Token::Name("undefined") => self.literal(Literal::Nothing),
            Token::Name(name) if RESERVED.contains(name) || GLOBALS.contains(name) => return self.not_a_path(),
            Token::Name("user") => {
                self.advance();
                self.parse_accesses(Vec::new())?
            }
            Token::Name(name) => {
                let key = self.key(name)?;
                self.advance();
                self.parse_accesses(vec![key])?
            }
            Token::Text(Some(text)) => self.literal(Literal::Text(text.clone())),
            Token::Number(Some(number)) => self.literal(Literal::Number(*number)),
            Token::Punctuator(sign @ ("-" | "+")) => {
                let Token::Number(Some(number)) = self.peek_second() else { return self.not_a_path() };
                self.advance();
                self.literal(Literal::Number(if *sign == "-" { -number } else { *number }))
            }
            Token::Punctuator("(") => {
                self.advance();
                let inner = self.with_depth(Self::parse_alternatives)?;
                if !self.eat(")") {
                    self.expect_end()?;
                    return self.not_a_path();
                }
                match inner {
                    Node::Access(keys) => self.parse_accesses(keys)?,
                    inner => inner,
                }
            }
            Token::Punctuator(found @ ("||" | "??" | "&&" | "." | "?." | ")" | "]" | "}" | "=" | "," | ";" | ":")) => {
                return Err(Diagnostic::in_span(span, message!("`{found}` has nothing before it"))
                    .with_expected(expected())
                    .into());
            }
            _ => return self.not_a_path(),
        };
        // Properties and calls of anything but a path are JavaScript.
        match self.peek() {
            Token::Punctuator("." | "?." | "[" | "(") | Token::Template => self.not_a_path(),
            _ => Ok(node),
        }
    }

    fn literal(&mut self, literal: Literal) -> Node {
        self.advance();
        Node::Literal(literal)
    }

    /// Returns the key of `name`; not a path if every value inherits a property of this name.
    fn key(&self, name: &str) -> Result<Key, ParseError> {
        if INHERITED_BY_ALL.contains(&name) { self.not_a_path() } else { Ok(Key::new(name)) }
    }

    fn parse_accesses(&mut self, mut keys: Vec<Key>) -> Result<Node, ParseError> {
        loop {
            if self.eat(".") {
                keys.push(self.parse_property(".")?);
            } else if self.eat("?.") {
                match self.peek() {
                    Token::Punctuator("[") => {}
                    Token::Punctuator("(") | Token::Template => return self.not_a_path(),
                    _ => keys.push(self.parse_property("?.")?),
                }
            } else if self.eat("[") {
                let key = match self.peek() {
                    Token::Text(Some(text)) => self.key(text)?,
                    Token::Number(Some(number)) => Key::new(ryu_js::Buffer::new().format(*number)),
                    Token::End | Token::Punctuator("]") => {
                        return Err(Diagnostic::in_span(self.span(), message!("the brackets are empty"))
                            .with_expected(message!(
                                "expected a number such as [0] or a name in quotes such as [\"a b\"]"
                            ))
                            .into());
                    }
                    _ => return self.not_a_path(),
                };
                self.advance();
                if !self.eat("]") {
                    return self.not_a_path();
                }
                keys.push(key);
            } else {
                return Ok(Node::Access(keys));
            }
            if keys.len() > MAX_STEPS {
                return Err(ParseError::TooLong(self.span()));
            }
        }
    }

    /// Parses the property name after `dot`.
    fn parse_property(&mut self, dot: &str) -> Result<Key, ParseError> {
        match self.peek() {
            Token::Name(name) => {
                let key = self.key(name)?;
                self.advance();
                Ok(key)
            }
            Token::EscapedName => self.not_a_path(),
            _ => Err(Diagnostic::in_span(self.span(), message!("a name is missing after `{dot}`"))
                .with_hint(message!(
                    "put names with other characters in brackets and quotes: user.user_metadata[\"favourite colour\"]"
                ))
                .into()),
        }
    }

    /// Parses an argument: a path, a literal, a call, or an array or an object of them.
    fn parse_argument(&mut self) -> Result<Argument, ParseError> {
        let start = self.span().start;
        let input = match (self.peek(), self.peek_second()) {
            (Token::Punctuator("["), _) => Input::Json(self.with_depth(Self::parse_array)?.into_pieces()),
            (Token::Punctuator("{"), _) => Input::Json(self.with_depth(Self::parse_object)?.into_pieces()),
            (Token::Name(_), Token::Punctuator("(")) => Input::Call(self.with_depth(Self::parse_call)?),
            _ => Input::Path(Path(self.parse_alternatives()?)),
        };
        let end = self.at.checked_sub(1).and_then(|last| self.lexemes.get(last)).map_or(start, |last| last.end);
        Ok(Argument { at: start, end, input })
    }

    /// Parses `[item, …]`.
    fn parse_array(&mut self) -> Result<JsonText, ParseError> {
        self.advance();
        let mut items = Vec::new();
        while !self.eat("]") {
            items.push(JsonText::of(self.parse_argument()?));
            if !self.eat(",") && *self.peek() != Token::Punctuator("]") {
                return self.not_a_path();
            }
        }
        Ok(JsonText::array(items))
    }

    /// Parses `{"name": value, …}`. Names may be without quotes, as in JavaScript.
    fn parse_object(&mut self) -> Result<JsonText, ParseError> {
        self.advance();
        let mut members = Vec::new();
        while !self.eat("}") {
            let key = match self.peek() {
                Token::Text(Some(text)) => Key::new(text.clone()),
                Token::Name(name) => Key::new(*name),
                Token::Number(Some(number)) => Key::new(ryu_js::Buffer::new().format(*number)),
                _ => return self.not_a_path(),
            };
            self.advance();
            if !self.eat(":") {
                return self.not_a_path();
            }
            members.push((key, JsonText::of(self.parse_argument()?)));
            if !self.eat(",") && *self.peek() != Token::Punctuator("}") {
                return self.not_a_path();
            }
        }
        Ok(JsonText::object(members))
    }

    /// Parses a call of a transform: a name, and arguments.
    fn parse_call(&mut self) -> Result<Call, ParseError> {
        let at = self.span().start;
        let name = match self.peek() {
            Token::Name(name) if !RESERVED.contains(name) && !GLOBALS.contains(name) && *name != "user" => {
                self.advance();
                (*name).to_owned()
            }
            _ => return self.not_a_path(),
        };
        if !self.eat("(") {
            return self.not_a_path();
        }
        let mut arguments = Vec::new();
        loop {
            if self.eat(")") {
                return Ok(Call { name, at, arguments });
            }
            arguments.push(self.parse_argument()?);
            if !self.eat(",") && *self.peek() != Token::Punctuator(")") {
                return self.not_a_path();
            }
        }
    }
}

/// Adds a correction to a diagnostic if `found` is a known mistake.
fn suggest(diagnostic: Diagnostic, found: &str) -> Diagnostic {
    match LIKELY_MISTAKES.iter().find(|(written, _)| *written == found) {
        Some((_, correction)) => diagnostic.with_hint(message!("did you mean `{correction}`?")),
        None => diagnostic,
    }
}
