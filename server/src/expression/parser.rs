//! Tells paths from transform calls and from JavaScript, and reads paths.

use super::call::{Argument, Call, Input};
use super::javascript::Script;
use super::lexer::{Lexeme, Lexer, Token};
use super::path::{INHERITED_BY_ALL, Key, Literal, Node, Path, array_index};
use super::{Form, Stop};

/// Parentheses and calls are read by recursion; nobody writes more of them than this.
const DEEPEST: u32 = 64;

/// A path of more steps leads nowhere: no user is nested that deeply.
const MOST_STEPS: usize = super::read::DEEPEST;

/// As [`DEEPEST`], for everything that is not a path.
const DEEPEST_BRACKETS: usize = 200;

/// Words that can never name an attribute by themselves.
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

/// The properties of the global object (ECMA-262, section 19 and annex B.2.1).
pub(super) const GLOBALS: &[&str] = &[
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "Atomics",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "DataView",
    "Date",
    "Error",
    "EvalError",
    "FinalizationRegistry",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Function",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "SharedArrayBuffer",
    "String",
    "Symbol",
    "SyntaxError",
    "TypeError",
    "URIError",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakRef",
    "WeakSet",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "eval",
    "globalThis",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
    "unescape",
];

/// What people of other languages write, and what it is here.
const MEANT: &[(&str, &str)] = &[
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

/// Reads JavaScript; `at` is where it stops being a path.
fn analyse(source: &str, at: usize) -> Result<Script, Stop> {
    super::javascript::analyse(source).map(|script| Script { beyond: at, ..script })
}

pub(super) fn parse(source: &str) -> Result<Form, Stop> {
    let lexemes = lexemes(source)?;
    let mut parser = Parser { lexemes: &lexemes, at: 0, depth: 0 };
    match parser.whole() {
        Ok(node) => Ok(Form::Path(Path(node))),
        Err(Stop::Beyond { at }) => {
            let mut parser = Parser { lexemes: &lexemes, at: 0, depth: 0 };
            let call = parser.call().and_then(|call| parser.end().map(|()| call));
            match call {
                Ok(call) => Ok(Form::Transform(call)),
                Err(stop @ Stop::TooLong { .. }) => Err(stop),
                Err(_) => Ok(Form::JavaScript(analyse(source, at)?)),
            }
        }
        Err(stop @ Stop::TooLong { .. }) => Err(stop),
        // It may be JavaScript all the same, as `(() => 1)()` is; if not, what was said of the path says more.
        Err(Stop::Invalid { at, message, hint }) => {
            analyse(source, at).map(Form::JavaScript).map_err(|_| Stop::Invalid { at, message, hint })
        }
    }
}

/// All tokens, the end included, with brackets that fit.
fn lexemes(source: &str) -> Result<Vec<Lexeme<'_>>, Stop> {
    let mut lexer = Lexer::new(source);
    let mut lexemes: Vec<Lexeme<'_>> = Vec::new();
    let mut open: Vec<(&'static str, usize)> = Vec::new();
    loop {
        let lexeme = lexer.next()?;
        match lexeme.token {
            Token::Punctuator(bracket @ ("(" | "[" | "{")) => {
                if open.len() == DEEPEST_BRACKETS {
                    return Err(Stop::invalid(lexeme.start, "this is nested too deeply", "use fewer brackets"));
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
                        return Err(Stop::invalid(
                            lexeme.start,
                            format!("`{bracket}` does not close the `{found}` at character {}", at + 1),
                            format!("expected {}", closing(found)),
                        ));
                    }
                    None => {
                        return Err(Stop::invalid(
                            lexeme.start,
                            format!("there is no `{opening}` for this `{bracket}`"),
                            "remove it, or open it before",
                        ));
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
        // A bracket right at the end is better explained by what is missing after it.
        if lexemes.len() < 2 || lexemes.iter().rev().nth(1).is_none_or(|last| last.start != at) {
            return Err(Stop::invalid(
                at,
                format!("this `{bracket}` is never closed"),
                format!("expected {}", closing(bracket)),
            ));
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

    fn ahead(&self) -> &'a Token<'a> {
        self.lexemes.get(self.at + 1).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    fn place(&self) -> usize {
        self.lexemes.get(self.at).or(self.lexemes.last()).map_or(0, |lexeme| lexeme.start)
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

    fn beyond<T>(&self) -> Result<T, Stop> {
        Err(Stop::Beyond { at: self.place() })
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth == DEEPEST {
            return Err(Stop::invalid(self.place(), "this is nested too deeply", "use fewer parentheses"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn whole(&mut self) -> Result<Node, Stop> {
        let node = self.alternatives()?;
        self.end()?;
        Ok(node)
    }

    /// Nothing may follow; says why what follows does not fit.
    fn end(&self) -> Result<(), Stop> {
        const EXPECTED: &str = "expected `.`, `[`, `||`, `??` or the end";
        match self.peek() {
            Token::End => Ok(()),
            Token::Name("in" | "instanceof") | Token::Template | Token::PrivateName | Token::EscapedName => {
                self.beyond()
            }
            Token::Name(name) => Err(Stop::invalid(
                self.place(),
                format!("`{name}` does not follow from what stands before it"),
                suggest(name, EXPECTED),
            )),
            Token::Number(_) | Token::Text(_) | Token::Regex => {
                Err(Stop::invalid(self.place(), "two values stand side by side", EXPECTED))
            }
            Token::Punctuator(
                "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=" | "<<=" | ">>=" | ">>>=" | "&=" | "|=" | "^=" | "&&="
                | "||=" | "??=",
            ) => Err(Stop::invalid(
                self.place(),
                "an expression may not assign",
                "compare with `===`; a column's name follows the last `=`",
            )),
            Token::Punctuator("++" | "--") => {
                Err(Stop::invalid(self.place(), "an expression may not assign", EXPECTED))
            }
            Token::Punctuator(found @ (";" | ":" | "@" | "..." | "!" | "~" | ")" | "]" | "}" | "{")) => {
                Err(Stop::invalid(self.place(), format!("`{found}` does not fit here"), EXPECTED))
            }
            Token::Punctuator(found @ ("|" | "?")) if *self.ahead() == Token::End => {
                Err(Stop::invalid(self.place(), format!("`{found}` does not fit here"), suggest(found, EXPECTED)))
            }
            Token::Punctuator(_) => self.beyond(),
        }
    }

    fn alternatives(&mut self) -> Result<Node, Stop> {
        let first = self.operand()?;
        let operator = match self.peek() {
            Token::Punctuator(operator @ ("||" | "??")) => *operator,
            _ => return Ok(first),
        };
        let mut nodes = vec![first];
        while self.eat(operator) {
            nodes.push(self.operand()?);
        }
        if let Token::Punctuator(other @ ("||" | "??" | "&&")) = self.peek()
            && (*other == "??" || operator == "??")
        {
            return Err(Stop::invalid(
                self.place(),
                format!("JavaScript does not allow `{operator}` and `{other}` side by side"),
                "put one of them in parentheses: (a ?? b) || c",
            ));
        }
        Ok(if operator == "||" { Node::Or(nodes) } else { Node::Nullish(nodes) })
    }

    fn operand(&mut self) -> Result<Node, Stop> {
        const EXPECTED: &str = "expected a path such as user.email, a string or a number";
        let place = self.place();
        let node = match self.peek() {
            Token::End if self.at == 0 => return Err(Stop::invalid(place, "it is empty", EXPECTED)),
            Token::End => return Err(Stop::invalid(place, "something is missing at its end", EXPECTED)),
            Token::Name("true") => self.literal(Literal::Boolean(true)),
            Token::Name("false") => self.literal(Literal::Boolean(false)),
            Token::Name("null" | "undefined") => self.literal(Literal::Nothing),
            Token::Name(name) if RESERVED.contains(name) || GLOBALS.contains(name) => return self.beyond(),
            Token::Name("user") => {
                self.advance();
                self.accesses(Vec::new())?
            }
            Token::Name(name) => {
                let key = self.key(name)?;
                self.advance();
                self.accesses(vec![key])?
            }
            Token::Text(Some(text)) => self.literal(Literal::Text(text.clone())),
            Token::Number(Some(number)) => self.literal(Literal::Number(*number)),
            Token::Punctuator(sign @ ("-" | "+")) => {
                let Token::Number(Some(number)) = self.ahead() else { return self.beyond() };
                self.advance();
                self.literal(Literal::Number(if *sign == "-" { -number } else { *number }))
            }
            Token::Punctuator("(") => {
                self.advance();
                let inner = self.deeper(Self::alternatives)?;
                if !self.eat(")") {
                    self.end()?;
                    return self.beyond();
                }
                match inner {
                    Node::Access(keys) => self.accesses(keys)?,
                    inner => inner,
                }
            }
            Token::Punctuator(found @ ("||" | "??" | "&&" | "." | "?." | ")" | "]" | "}" | "=" | "," | ";" | ":")) => {
                return Err(Stop::invalid(place, format!("`{found}` has nothing before it"), EXPECTED));
            }
            _ => return self.beyond(),
        };
        // Properties and calls of anything but a path are JavaScript.
        match self.peek() {
            Token::Punctuator("." | "?." | "[" | "(") | Token::Template => self.beyond(),
            _ => Ok(node),
        }
    }

    fn literal(&mut self, literal: Literal) -> Node {
        self.advance();
        Node::Literal(literal)
    }

    /// The key of the name at hand, unless every value inherits it.
    fn key(&self, name: &str) -> Result<Key, Stop> {
        if INHERITED_BY_ALL.contains(&name) { self.beyond() } else { Ok(Key::new(name)) }
    }

    fn accesses(&mut self, mut keys: Vec<Key>) -> Result<Node, Stop> {
        loop {
            if self.eat(".") {
                keys.push(self.property(".")?);
            } else if self.eat("?.") {
                match self.peek() {
                    Token::Punctuator("[") => {}
                    Token::Punctuator("(") | Token::Template => return self.beyond(),
                    _ => keys.push(self.property("?.")?),
                }
            } else if self.eat("[") {
                let key = match self.peek() {
                    Token::Text(Some(text)) => self.key(text)?,
                    Token::Number(Some(number)) => Key::new(ryu_js::Buffer::new().format(*number)),
                    Token::End | Token::Punctuator("]") => {
                        return Err(Stop::invalid(
                            self.place(),
                            "the brackets are empty",
                            "expected a number such as [0] or a name in quotes such as [\"a b\"]",
                        ));
                    }
                    _ => return self.beyond(),
                };
                self.advance();
                if !self.eat("]") {
                    return self.beyond();
                }
                keys.push(key);
            } else {
                return Ok(Node::Access(keys));
            }
            if keys.len() > MOST_STEPS {
                return Err(Stop::TooLong { at: self.place() });
            }
        }
    }

    /// The name after a dot.
    fn property(&mut self, dot: &str) -> Result<Key, Stop> {
        match self.peek() {
            Token::Name(name) => {
                let key = self.key(name)?;
                self.advance();
                Ok(key)
            }
            Token::EscapedName => self.beyond(),
            _ => Err(Stop::invalid(
                self.place(),
                format!("a name is missing after `{dot}`"),
                "put names with other characters in brackets and quotes: user.user_metadata[\"favourite colour\"]",
            )),
        }
    }

    /// A call of a transform: a name, and arguments that are paths, literals or calls.
    fn call(&mut self) -> Result<Call, Stop> {
        let at = self.place();
        let name = match self.peek() {
            Token::Name(name) if !RESERVED.contains(name) && !GLOBALS.contains(name) && *name != "user" => {
                self.advance();
                (*name).to_owned()
            }
            _ => return self.beyond(),
        };
        if !self.eat("(") {
            return self.beyond();
        }
        let mut arguments = Vec::new();
        loop {
            if self.eat(")") {
                return Ok(Call { name, at, arguments });
            }
            let start = self.place();
            let is_call = matches!(self.peek(), Token::Name(_)) && *self.ahead() == Token::Punctuator("(");
            let input =
                if is_call { Input::Call(self.deeper(Self::call)?) } else { Input::Path(Path(self.alternatives()?)) };
            let end = self.at.checked_sub(1).and_then(|last| self.lexemes.get(last)).map_or(start, |last| last.end);
            arguments.push(Argument { at: start, end, input });
            if !self.eat(",") && *self.peek() != Token::Punctuator(")") {
                return self.beyond();
            }
        }
    }
}

/// What was expected, with what was probably meant.
fn suggest(found: &str, expected: &str) -> String {
    match MEANT.iter().find(|(written, _)| *written == found) {
        Some((_, meant)) => format!("{expected}; did you mean `{meant}`?"),
        None => expected.to_owned(),
    }
}

/// Writes a path so that reading it gives the same path again.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_node(&self.0, f)
    }
}

fn write_node(node: &Node, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let mut buffer = ryu_js::Buffer::new();
    match node {
        Node::Access(keys) => {
            f.write_str("user")?;
            keys.iter().try_for_each(|key| write_key(key, f))
        }
        Node::Literal(Literal::Nothing) => f.write_str("undefined"),
        Node::Literal(Literal::Boolean(boolean)) => write!(f, "{boolean}"),
        Node::Literal(Literal::Number(number)) => {
            if number.is_sign_negative() {
                f.write_str("-")?;
            }
            let number = number.abs();
            // 1e999 is how JavaScript's Infinity can be written as a number.
            f.write_str(if number.is_infinite() { "1e999" } else { buffer.format(number) })
        }
        Node::Literal(Literal::Text(text)) => write_quoted(text, f),
        Node::Or(nodes) => write_alternatives(nodes, " || ", f),
        Node::Nullish(nodes) => write_alternatives(nodes, " ?? ", f),
    }
}

fn write_alternatives(nodes: &[Node], operator: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            f.write_str(operator)?;
        }
        if matches!(node, Node::Or(_) | Node::Nullish(_)) {
            f.write_str("(")?;
            write_node(node, f)?;
            f.write_str(")")?;
        } else {
            write_node(node, f)?;
        }
    }
    Ok(())
}

fn write_key(key: &Key, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let mut characters = key.name.chars();
    let plain =
        characters.next().is_some_and(super::lexer::is_name_start) && characters.all(super::lexer::is_name_part);
    if plain {
        write!(f, ".{}", key.name)
    } else if array_index(&key.name).is_some() {
        write!(f, "[{}]", key.name)
    } else {
        f.write_str("[")?;
        write_quoted(&key.name, f)?;
        f.write_str("]")
    }
}

fn write_quoted(text: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let mut out = Vec::new();
    super::json::write_json_text(text, &mut out);
    f.write_str(&String::from_utf8_lossy(&out))
}
