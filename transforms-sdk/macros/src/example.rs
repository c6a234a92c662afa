//! Parses the arguments of `#[transform(…)]`.

use serde_json::Value as Json;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Lit, LitStr, Result, Token, braced, bracketed, parenthesized, token};

/// `example("call" => gives), …`
pub struct Settings {
    pub examples: Vec<Example>,
}

/// An example call with its result.
pub struct Example {
    pub call: LitStr,
    pub gives: Json,
}

impl Parse for Settings {
    fn parse(input: ParseStream) -> Result<Self> {
        let examples = Punctuated::<Example, Token![,]>::parse_terminated(input)?;
        Ok(Self { examples: examples.into_iter().collect() })
    }
}

impl Parse for Example {
    fn parse(input: ParseStream) -> Result<Self> {
        const EXPECTED: &str = r#"expected `example("call" => gives)`: the name is the function's, the version the crate's, and doc comments say the rest"#;
        let word: Ident = input.call(Ident::parse_any).map_err(|error| Error::new(error.span(), EXPECTED))?;
        if word != "example" || !input.peek(token::Paren) {
            return Err(Error::new(word.span(), EXPECTED));
        }
        let content;
        parenthesized!(content in input);
        let call = content.parse()?;
        content.parse::<Token![=>]>()?;
        let gives = json(&content)?;
        if !content.is_empty() {
            return Err(content.error("expected the end of the example"));
        }
        Ok(Self { call, gives })
    }
}

impl Example {
    /// Checks the call against the function: its name, the number of arguments, and that they are JSON literals.
    pub fn check(&self, name: &str, parameters: usize) -> Result<()> {
        let call = self.call.value();
        let fault = |message: String| Err(Error::new(self.call.span(), message));
        let Some((called, rest)) = call.trim().split_once('(') else {
            return fault(format!("an example is a call, such as `{name}(…)`"));
        };
        if called.trim_end() != name {
            return fault(format!("this example calls `{}`; the transform is `{name}`", called.trim_end()));
        }
        let Some(arguments) = rest.strip_suffix(')') else {
            return fault("the call does not end in `)`".into());
        };
        match serde_json::from_str::<Vec<Json>>(&format!("[{arguments}]")) {
            Ok(arguments) if arguments.len() > parameters => {
                fault(format!("this example has {} arguments; `{name}` takes {parameters}", arguments.len()))
            }
            Ok(_) => Ok(()),
            Err(_) => fault(format!(
                "the arguments of an example are JSON literals: texts in double quotes, numbers, `true`, `false`, `null`, arrays and objects; these are not: {arguments}"
            )),
        }
    }
}

/// Parses JSON from Rust tokens; `null` is nothing.
fn json(input: ParseStream) -> Result<Json> {
    if input.peek(token::Bracket) {
        let content;
        bracketed!(content in input);
        let items = content.parse_terminated(json, Token![,])?;
        return Ok(Json::Array(items.into_iter().collect()));
    }
    if input.peek(token::Brace) {
        let content;
        braced!(content in input);
        let members = content.parse_terminated(
            |input: ParseStream| {
                let key: LitStr = input.parse()?;
                input.parse::<Token![:]>()?;
                Ok((key.value(), json(input)?))
            },
            Token![,],
        )?;
        return Ok(Json::Object(members.into_iter().collect()));
    }
    if input.peek(Ident::peek_any) && !input.peek(syn::LitBool) {
        let word: Ident = input.call(Ident::parse_any)?;
        if word == "null" {
            return Ok(Json::Null);
        }
        return Err(Error::new(word.span(), EXPECTED_JSON));
    }
    let minus: Option<Token![-]> = input.parse()?;
    let literal: Lit = input.call(Lit::parse).map_err(|error| Error::new(error.span(), EXPECTED_JSON))?;
    let number = |digits: &str| {
        let sign = if minus.is_some() { "-" } else { "" };
        serde_json::from_str(&format!("{sign}{digits}")).map_err(|_| Error::new(literal.span(), EXPECTED_JSON))
    };
    match &literal {
        Lit::Int(digits) => number(digits.base10_digits()),
        Lit::Float(digits) => number(digits.base10_digits()),
        Lit::Str(text) if minus.is_none() => Ok(Json::String(text.value())),
        Lit::Bool(boolean) if minus.is_none() => Ok(Json::Bool(boolean.value)),
        _ => Err(Error::new(literal.span(), EXPECTED_JSON)),
    }
}

const EXPECTED_JSON: &str =
    "expected what the call gives, as JSON: a text, a number, `true`, `false`, `null`, `[…]` or `{\"key\": …}`";
