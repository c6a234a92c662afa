//! The macro `message!`. It is a crate of its own because Cargo requires that of procedural macros. It uses no
//! library, so that it costs little to build.

mod template;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use template::{Part, parse_literal, parse_template};

/// Creates a `uie_core::message::Message` with the syntax of `format!`: `message!("There is no guide {name}.")`.
///
/// The text is a template that is translated where it is shown: the message keeps the values of its placeholders. A
/// value that is a message itself is translated with it. Fails to compile if the first argument is not a string
/// literal or a placeholder has no value.
#[proc_macro]
pub fn message(input: TokenStream) -> TokenStream {
    expand(input).unwrap_or_else(|error| compile_error(&error))
}

/// The template and values of one call, as tokens.
fn expand(input: TokenStream) -> Result<TokenStream, String> {
    let mut arguments = split_at_commas(input).into_iter();
    let first = arguments.next().unwrap_or_default();
    let [TokenTree::Literal(literal)] = first.as_slice() else {
        return Err("the first argument of message! must be a string literal".to_owned());
    };
    let text = parse_literal(&literal.to_string()).ok_or("the first argument of message! must be a plain string")?;
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument.as_slice() {
            [TokenTree::Ident(name), TokenTree::Punct(equals), value @ ..]
                if equals.as_char() == '=' && equals.spacing() == Spacing::Alone =>
            {
                named.push((name.to_string(), value.to_vec()));
            }
            [] => {}
            value => positional.push(value.to_vec()),
        }
    }
    let mut template = String::new();
    let mut values: Vec<(String, Vec<TokenTree>)> = Vec::new();
    let mut used = vec![false; positional.len()];
    for part in parse_template(&text)? {
        match part {
            Part::Text(text) => template.push_str(&text),
            Part::Placeholder { name, spec } => {
                template.extend(["{", &name, "}"]);
                if values.iter().any(|(known, _)| *known == name) {
                    continue;
                }
                let expression = if let Ok(index) = name.parse::<usize>() {
                    *used.get_mut(index).ok_or(format!("{{{name}}} has no value"))? = true;
                    positional.get(index).cloned().unwrap_or_default()
                } else if let Some((_, value)) = named.iter().find(|(known, _)| *known == name) {
                    value.clone()
                } else if is_identifier(&name) {
                    vec![TokenTree::Ident(Ident::new(&name, literal.span()))]
                } else {
                    return Err(format!("{{{name}}} is not the name of a value; write {{{{ for a brace"));
                };
                values.push((name, value_tokens(expression, &spec)));
            }
        }
    }
    if used.contains(&false) || named.iter().any(|(name, _)| !values.iter().any(|(known, _)| known == name)) {
        return Err("a value is not used in the template".to_owned());
    }
    Ok(constructor(&template, values))
}

/// Returns whether a placeholder names a variable.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// Returns the arguments of a call.
fn split_at_commas(input: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut arguments = vec![Vec::new()];
    for token in input {
        match &token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => arguments.push(Vec::new()),
            _ => arguments.last_mut().expect("the list is never empty").push(token),
        }
    }
    arguments
}

/// Returns `::uie_core::message::Argument(&(expression)).value()`, or for a placeholder with a format specification
/// the formatted text.
fn value_tokens(expression: Vec<TokenTree>, spec: &str) -> Vec<TokenTree> {
    let expression = group(Delimiter::Parenthesis, expression);
    if spec.is_empty() {
        let mut tokens = path(&["uie_core", "message", "Argument"]);
        tokens.push(group(Delimiter::Parenthesis, vec![punct('&'), expression]));
        tokens.extend([punct('.'), ident("value"), group(Delimiter::Parenthesis, Vec::new())]);
        return tokens;
    }
    let format = TokenTree::Literal(Literal::string(&format!("{{:{spec}}}")));
    let mut formatted = path(&["std", "format"]);
    formatted.extend([punct('!'), group(Delimiter::Parenthesis, vec![format, punct(','), expression])]);
    let mut tokens = path(&["uie_core", "message", "Value", "Text"]);
    tokens.push(group(Delimiter::Parenthesis, formatted));
    tokens
}

/// Returns `{ use ::uie_core::message::DisplayArgument as _; ::uie_core::message::Message::new(template, vec![…]) }`.
fn constructor(template: &str, values: Vec<(String, Vec<TokenTree>)>) -> TokenStream {
    let mut tokens = Vec::new();
    if !values.is_empty() {
        // Not used if every value is a message.
        let lint = vec![ident("allow"), group(Delimiter::Parenthesis, vec![ident("unused_imports")])];
        tokens.extend([punct('#'), group(Delimiter::Bracket, lint), ident("use")]);
        tokens.extend(path(&["uie_core", "message", "DisplayArgument"]));
        tokens.extend([ident("as"), ident("_"), punct(';')]);
    }
    let mut list = Vec::new();
    for (name, value) in values {
        let mut pair = vec![TokenTree::Literal(Literal::string(&name)), punct(',')];
        pair.extend(value);
        list.extend([group(Delimiter::Parenthesis, pair), punct(',')]);
    }
    tokens.extend(path(&["uie_core", "message", "Message", "new"]));
    let mut arguments = vec![TokenTree::Literal(Literal::string(template)), punct(',')];
    arguments.extend(path(&["std", "vec"]));
    arguments.extend([punct('!'), group(Delimiter::Bracket, list)]);
    tokens.push(group(Delimiter::Parenthesis, arguments));
    TokenStream::from(group(Delimiter::Brace, tokens))
}

fn compile_error(text: &str) -> TokenStream {
    let mut tokens = path(&["std", "compile_error"]);
    tokens.extend([
        punct('!'),
        group(Delimiter::Parenthesis, vec![TokenTree::Literal(Literal::string(&format!("message!: {text}")))]),
    ]);
    tokens.into_iter().collect()
}

/// Returns an absolute path, `::a::b`.
fn path(segments: &[&str]) -> Vec<TokenTree> {
    let mut tokens = Vec::new();
    for segment in segments {
        tokens.push(TokenTree::Punct(Punct::new(':', Spacing::Joint)));
        tokens.push(punct(':'));
        tokens.push(ident(segment));
    }
    tokens
}

fn ident(name: &str) -> TokenTree {
    TokenTree::Ident(Ident::new(name, Span::mixed_site()))
}

fn punct(character: char) -> TokenTree {
    TokenTree::Punct(Punct::new(character, Spacing::Alone))
}

fn group(delimiter: Delimiter, tokens: Vec<TokenTree>) -> TokenTree {
    TokenTree::Group(Group::new(delimiter, tokens.into_iter().collect()))
}
