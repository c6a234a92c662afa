//! A lexer for ECMAScript expressions. It recognizes strings, regular expressions, templates and comments, so that
//! their content is not taken for operators.

use uie_core::diagnostic::Diagnostic;
use uie_core::message::{Message, message};
use uie_json::{is_name_part, is_name_start};

use super::parse_error::ParseError;

/// The kind and value of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name or a keyword, as written.
    Name(&'a str),
    /// A name with a `\u` escape in it.
    EscapedName,
    /// A number; `None` for a `BigInt` or a number that cannot be read exactly here.
    Number(Option<f64>),
    /// The value of a string; `None` if it contains an unpaired surrogate.
    Text(Option<String>),
    /// A template literal, with its substitutions.
    Template,
    /// A regular expression with its flags.
    Regex,
    /// `#name`.
    PrivateName,
    /// Any other token.
    Punctuator(&'static str),
    /// The end of the text.
    End,
}

/// A token and its byte range in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lexeme<'a> {
    pub token: Token<'a>,
    pub start: usize,
    pub end: usize,
}

/// All punctuators, longest first, so that `===` is never read as `==` and `=`.
const PUNCTUATORS: &[&str] = &[
    ">>>=", "...", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=", "<=", ">=", "&&",
    "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "**", "{", "}", "(", ")",
    "[", "]", ";", ",", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "!", "~", "?", ":", "=", ".", "@",
];

/// Keywords before an operand: a `/` after them starts a regular expression.
const KEYWORDS_BEFORE_OPERAND: &[&str] = &[
    "await",
    "case",
    "delete",
    "do",
    "else",
    "extends",
    "in",
    "instanceof",
    "new",
    "of",
    "return",
    "throw",
    "typeof",
    "void",
    "yield",
];

/// The maximum nesting of templates. They are read by recursion, so this bounds the stack.
const MAX_TEMPLATE_DEPTH: u32 = 32;

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Whether the previous token ended an operand: a `/` is then a division.
    after_operand: bool,
    /// Whether the previous token was `.` or `?.`: a keyword is then a property name.
    after_dot: bool,
    /// How many templates enclose the current offset.
    template_depth: u32,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, after_operand: false, after_dot: false, template_depth: 0 }
    }

    /// Returns the next token; [`Token::End`] at the end. Must not be called again after an error.
    pub fn next(&mut self) -> Result<Lexeme<'a>, ParseError> {
        self.skip_whitespace()?;
        let start = self.at;
        let token = self.lex_token()?;
        self.after_operand = match &token {
            Token::Name(name) => self.after_dot || !KEYWORDS_BEFORE_OPERAND.contains(name),
            Token::Punctuator(punctuator) => matches!(*punctuator, ")" | "]" | "}" | "++" | "--"),
            Token::End => false,
            _ => true,
        };
        self.after_dot = matches!(token, Token::Punctuator("." | "?."));
        Ok(Lexeme { token, start, end: self.at })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !matches(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn skip_whitespace(&mut self) -> Result<(), ParseError> {
        loop {
            self.take_while(|c| c.is_whitespace() || c == '\u{feff}');
            if self.rest().starts_with("//") {
                self.take_while(|c| !is_line_end(c));
            } else if self.rest().starts_with("/*") {
                let start = self.at;
                match self.rest().find("*/") {
                    Some(end) => self.at += end + 2,
                    None => {
                        return Err(Diagnostic::in_span(start..start + 2, message!("this comment has no end"))
                            .with_hint(message!("close it with `*/`"))
                            .into());
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn lex_token(&mut self) -> Result<Token<'a>, ParseError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        match first {
            '\'' | '"' => self.lex_text(first),
            '`' => self.lex_template(),
            '/' if !self.after_operand => self.lex_regex(),
            '0'..='9' => self.lex_number(),
            '.' if self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.lex_number(),
            '#' => {
                self.bump();
                self.lex_name();
                Ok(Token::PrivateName)
            }
            c if is_name_start(c) || c == '\\' => Ok(self.lex_name()),
            _ => self.lex_punctuator(first),
        }
    }

    fn lex_punctuator(&mut self, first: char) -> Result<Token<'a>, ParseError> {
        let rest = self.rest();
        let found = PUNCTUATORS.iter().find(|punctuator| rest.starts_with(**punctuator));
        match found {
            // `a?.5:b` is a condition with the number .5 in it.
            Some(&"?.") if rest.as_bytes().get(2).is_some_and(u8::is_ascii_digit) => {
                self.at += 1;
                Ok(Token::Punctuator("?"))
            }
            Some(punctuator) => {
                self.at += punctuator.len();
                Ok(Token::Punctuator(punctuator))
            }
            None => Err(Diagnostic::in_span(
                self.at..self.at + first.len_utf8(),
                message!("this character means nothing in an expression"),
            )
            .with_hint(message!("put it in quotes if it is part of a name: user[\"…\"]"))
            .into()),
        }
    }

    fn lex_name(&mut self) -> Token<'a> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.take_while(is_name_part);
            if self.peek() != Some('\\') {
                break;
            }
            escaped = true;
            self.bump();
            if self.rest().starts_with("u{") {
                self.take_while(|c| c != '}');
                self.bump();
            } else {
                self.bump();
            }
        }
        if escaped { Token::EscapedName } else { Token::Name(self.text.get(start..self.at).unwrap_or_default()) }
    }

    fn lex_number(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        let digits = |radix: u32| move |c: char| c.is_digit(radix) || c == '_';
        let radix = match self.rest().as_bytes() {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'o' | b'O', ..] => 8,
            [b'0', b'b' | b'B', ..] => 2,
            _ => 10,
        };
        let mut value = if radix == 10 {
            self.take_while(digits(10));
            if self.peek() == Some('.') {
                self.bump();
                self.take_while(digits(10));
            }
            if matches!(self.peek(), Some('e' | 'E')) {
                self.bump();
                if matches!(self.peek(), Some('+' | '-')) {
                    self.bump();
                }
                if self.take_while(digits(10)).is_empty() {
                    return Err(Diagnostic::at(self.at, message!("this number has no exponent"))
                        .with_hint(message!("write it as in 1e3"))
                        .into());
                }
            }
            let written = self.text.get(start..self.at).unwrap_or_default();
            let octal = written.len() > 1 && written.starts_with('0') && !written.contains(['.', 'e', 'E']);
            if octal {
                return Err(Diagnostic::in_span(start..self.at, message!("a number cannot start with 0"))
                    .with_hint(message!("write octal numbers as 0o17"))
                    .into());
            }
            written.replace('_', "").parse::<f64>().ok()
        } else {
            self.at += 2;
            let digits = self.take_while(digits(radix)).replace('_', "");
            if digits.is_empty() {
                return Err(Diagnostic::at(self.at, message!("this number has no digits"))
                    .with_hint(message!("write it as in 0xff"))
                    .into());
            }
            // Up to 128 bits are rounded to the nearest number as JavaScript does.
            u128::from_str_radix(&digits, radix).ok().map(|exact| exact as f64)
        };
        if misplaced_separator(self.text.get(start..self.at).unwrap_or_default()) {
            return Err(Diagnostic::in_span(start..self.at, message!("`_` must be between two digits of a number"))
                .with_hint(message!("write it as in 1_000"))
                .into());
        }
        if self.peek() == Some('n') {
            self.bump();
            value = None;
        }
        if self.peek().is_some_and(is_name_part) {
            return Err(Diagnostic::at(self.at, message!("a name cannot follow a number directly"))
                .with_hint(message!("put names that start with a digit in brackets and quotes: user[\"2fa\"]"))
                .into());
        }
        Ok(Token::Number(value))
    }

    fn lex_text(&mut self, quote: char) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        self.bump();
        let mut units: Vec<u16> = Vec::new();
        let mut buffer = [0; 2];
        loop {
            match self.bump() {
                Some(c) if c == quote => break,
                Some('\\') => self.lex_escape(&mut units)?,
                None | Some('\n' | '\r') => {
                    return Err(Diagnostic::in_span(start..start + 1, message!("this string has no end"))
                        .with_hint(message!("close it with the same quote"))
                        .into());
                }
                Some(c) => units.extend_from_slice(c.encode_utf16(&mut buffer)),
            }
        }
        Ok(Token::Text(String::from_utf16(&units).ok()))
    }

    /// Appends the UTF-16 code units of an escape sequence, starting after the backslash.
    fn lex_escape(&mut self, units: &mut Vec<u16>) -> Result<(), ParseError> {
        let at = self.at;
        let bad = |message: Message| {
            let diagnostic = Diagnostic::at(at.saturating_sub(1), message);
            Err(ParseError::Invalid(diagnostic.with_hint(message!("write a backslash itself as \\\\"))))
        };
        let Some(c) = self.bump() else { return Ok(()) };
        let unit = match c {
            'n' => 0x0a,
            't' => 0x09,
            'r' => 0x0d,
            'b' => 0x08,
            'v' => 0x0b,
            'f' => 0x0c,
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => 0,
            '0'..='9' => return bad(message!("octal escapes are not allowed")),
            'x' => match self.hexadecimal(2) {
                Some(unit) => unit,
                None => return bad(message!("`\\x` needs two hexadecimal digits")),
            },
            'u' if self.peek() == Some('{') => {
                self.bump();
                let digits = self.take_while(|c| c.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|code| *code <= 0x10_ffff);
                let (Some(code), Some('}')) = (code, self.bump()) else {
                    return bad(message!("`\\u{{…}}` needs the hexadecimal number of a character"));
                };
                match char::from_u32(code) {
                    Some(character) => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
                    None => units.push(code as u16), // a surrogate, below 0x10000
                }
                return Ok(());
            }
            'u' => match self.hexadecimal(4) {
                Some(unit) => unit,
                None => return bad(message!("`\\u` needs four hexadecimal digits")),
            },
            '\r' => {
                if self.peek() == Some('\n') {
                    self.bump();
                }
                return Ok(());
            }
            c if is_line_end(c) => return Ok(()),
            c => {
                units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
                return Ok(());
            }
        };
        units.push(unit);
        Ok(())
    }

    fn hexadecimal(&mut self, length: usize) -> Option<u16> {
        let digits = self.rest().get(..length).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += length;
        u16::from_str_radix(digits, 16).ok()
    }

    fn lex_regex(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        let unfinished = || {
            Diagnostic::in_span(start..start + 1, message!("this regular expression has no end"))
                .with_hint(message!("close it with `/`"))
        };
        self.bump();
        let mut in_class = false;
        loop {
            match self.bump() {
                None => return Err(unfinished().into()),
                Some(c) if is_line_end(c) => return Err(unfinished().into()),
                Some('\\') => {
                    self.bump();
                }
                Some('[') => in_class = true,
                Some(']') => in_class = false,
                Some('/') if !in_class => break,
                Some(_) => {}
            }
        }
        self.take_while(is_name_part);
        Ok(Token::Regex)
    }

    fn lex_template(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        if self.template_depth == MAX_TEMPLATE_DEPTH {
            return Err(Diagnostic::in_span(start..start + 1, message!("templates are nested too deeply here"))
                .with_hint(message!("use fewer of them"))
                .into());
        }
        self.bump();
        loop {
            match self.bump() {
                None => {
                    return Err(Diagnostic::in_span(start..start + 1, message!("this template has no end"))
                        .with_hint(message!("close it with a backtick"))
                        .into());
                }
                Some('`') => return Ok(Token::Template),
                Some('\\') => {
                    self.bump();
                }
                Some('$') if self.peek() == Some('{') => {
                    self.bump();
                    self.lex_substitution(start)?;
                }
                Some(_) => {}
            }
        }
    }

    /// Consumes a substitution of a template, from after `${` up to its `}`. `template` is the offset of the template.
    fn lex_substitution(&mut self, template: usize) -> Result<(), ParseError> {
        let mut inner = Lexer {
            text: self.text,
            at: self.at,
            after_operand: false,
            after_dot: false,
            template_depth: self.template_depth + 1,
        };
        let mut open = 0_u32;
        loop {
            match inner.next()?.token {
                Token::Punctuator("{") => open += 1,
                Token::Punctuator("}") if open == 0 => break,
                Token::Punctuator("}") => open -= 1,
                Token::End => {
                    return Err(Diagnostic::in_span(template..template + 1, message!("this template has no end"))
                        .with_hint(message!("close `${{` with `}}`"))
                        .into());
                }
                _ => {}
            }
        }
        self.at = inner.at;
        Ok(())
    }
}

fn misplaced_separator(number: &str) -> bool {
    let bytes = number.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_hexdigit);
        *byte == b'_' && !(digit(at.checked_sub(1)) && digit(Some(at + 1)))
    })
}

/// Returns whether `c` is a line terminator of ECMAScript.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}
