//! Expands a function to a transform.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use serde_json::Value as Json;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, FnArg, GenericParam, ItemFn, Lit, Meta, Pat, Result, ReturnType, Safety, Signature, Type,
};

use crate::example::Settings;

/// A parameter, with what the manifest and the call need.
struct Parameter {
    name: String,
    kind: Type,
    secret: bool,
    description: String,
}

pub fn transform(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let settings: Settings = syn::parse2(attribute)?;
    let mut function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), format!("`#[transform]` belongs on a function with a body ({error})"))
    })?;
    check_signature(&function.sig)?;
    let name = function.sig.ident.unraw().to_string();
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.is_ascii() {
        return Err(Error::new(
            function.sig.ident.span(),
            "expressions call the transform by this name: it is an ASCII letter, then letters, digits and `_`",
        ));
    }
    let documentation = documentation(&function.attrs);
    let summary =
        documentation.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    if summary.is_empty() {
        return Err(Error::new(
            function.sig.ident.span(),
            format!(
                "say what `{name}` does in a doc comment (`///`): its first paragraph is shown to those who pick a transform"
            ),
        ));
    }
    let parameters = take_parameters(&mut function.sig)?;
    for example in &settings.examples {
        example.check(&name, parameters.len())?;
    }
    let manifest = manifest(&name, &summary, &documentation, &parameters, &function.sig, &settings);
    Ok(assemble(&function, &name, &parameters, &manifest))
}

/// Refuses functions that cannot be called through the contract.
fn check_signature(signature: &Signature) -> Result<()> {
    if let Some(word) = &signature.asyncness {
        return Err(Error::new(
            word.span(),
            "a transform computes and waits for nothing: take `async` away (there is no network and no clock)",
        ));
    }
    if let Safety::Unsafe(word) = &signature.safety {
        return Err(Error::new(
            word.span(),
            "a transform is called with any values: it cannot be an `unsafe` function",
        ));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new(abi.span(), "a transform is an ordinary function: take `extern` away"));
    }
    for parameter in &signature.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            return Err(Error::new(
                parameter.span(),
                "a transform has one signature: write the types it takes, `Value` for any",
            ));
        }
    }
    if let Some(dots) = &signature.variadic {
        return Err(Error::new(
            dots.span(),
            "a transform takes a fixed number of arguments: take an array, or optional ones",
        ));
    }
    if matches!(signature.output, ReturnType::Default) {
        return Err(Error::new(
            signature.paren_token.span.close(),
            "a transform gives something: add `-> T`, `-> Option<T>` or `-> Result<T, Fault>`",
        ));
    }
    Ok(())
}

/// Returns the text of the doc comments, without the space that follows `///`.
fn documentation(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(line) = &literal.lit
        {
            for line in line.value().lines().chain(line.value().is_empty().then_some("")) {
                text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
                text.push('\n');
            }
        }
    }
    text.trim().to_owned()
}

/// Reads the parameters and removes the attributes of this macro from them.
fn take_parameters(signature: &mut Signature) -> Result<Vec<Parameter>> {
    signature
        .inputs
        .iter_mut()
        .map(|input| {
            let FnArg::Typed(parameter) = input else {
                return Err(Error::new(input.span(), "a transform is a free function: it has no `self`"));
            };
            let Pat::Ident(pattern) = parameter.pat.as_ref() else {
                return Err(Error::new(parameter.pat.span(), "a parameter of a transform has a name"));
            };
            if let Type::ImplTrait(_) = parameter.ty.as_ref() {
                return Err(Error::new(
                    parameter.ty.span(),
                    "a transform has one signature: write the type it takes, `Value` for any",
                ));
            }
            let mut secret = false;
            for attribute in parameter.attrs.iter().filter(|attribute| attribute.path().is_ident("arg")) {
                attribute.parse_nested_meta(|meta| {
                    if meta.path.is_ident("secret") {
                        secret = true;
                        Ok(())
                    } else {
                        Err(meta.error("expected `#[arg(secret)]`; a doc comment describes a parameter"))
                    }
                })?;
            }
            let description = documentation(&parameter.attrs);
            parameter.attrs.retain(|attribute| !attribute.path().is_ident("arg") && !attribute.path().is_ident("doc"));
            Ok(Parameter {
                name: pattern.ident.unraw().to_string(),
                kind: parameter.ty.as_ref().clone(),
                secret,
                description,
            })
        })
        .collect()
}

/// Returns the parts of the manifest's JSON. Only the compiler knows the types, so their names are constants.
fn manifest(
    name: &str,
    summary: &str,
    documentation: &str,
    parameters: &[Parameter],
    signature: &Signature,
    settings: &Settings,
) -> TokenStream {
    let json = |text: &str| Json::from(text).to_string();
    let mut pieces = vec![
        quote!("{\"contract\":\""),
        quote!(::transforms_sdk::manifest::CONTRACT),
        text(&format!("\",\"name\":{},\"version\":\"", json(name))),
        quote!(::core::env!("CARGO_PKG_VERSION")),
        text(&format!("\",\"summary\":{},\"documentation\":{},\"parameters\":[", json(summary), json(documentation))),
    ];
    for (index, Parameter { name, kind, secret, description }) in parameters.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let argument = elided(kind);
        pieces.push(text(&format!("{comma}{{\"name\":{},\"type\":\"", json(name))));
        pieces.push(quote_spanned!(kind.span()=> <#argument as ::transforms_sdk::Argument>::TYPE.as_str()));
        pieces.push(quote!("\",\"optional\":"));
        pieces.push(
            quote_spanned!(kind.span()=> if <#argument as ::transforms_sdk::Argument>::OPTIONAL { "true" } else { "false" }),
        );
        pieces.push(text(&format!(",\"secret\":{secret},\"description\":{}}}", json(description))));
    }
    pieces.push(quote!("],\"output\":\""));
    if let ReturnType::Type(_, output) = &signature.output {
        let given = elided(output);
        pieces.push(quote_spanned!(output.span()=> <#given as ::transforms_sdk::Output>::TYPE.as_str()));
    }
    let examples: Vec<Json> = settings
        .examples
        .iter()
        .map(|example| serde_json::json!({ "call": example.call.value(), "gives": example.gives }))
        .collect();
    pieces.push(text(&format!("\",\"examples\":{}}}", Json::from(examples))));
    quote!(&[#(#pieces),*])
}

fn text(text: &str) -> TokenStream {
    quote!(#text)
}

/// Returns the type with its named lifetimes elided, so that it can be used outside of the function.
fn elided(kind: &Type) -> TokenStream {
    fn elide(tokens: TokenStream) -> TokenStream {
        let mut after_quote = false;
        tokens
            .into_iter()
            .map(|token| {
                let lifetime = std::mem::replace(
                    &mut after_quote,
                    matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\''),
                );
                match token {
                    TokenTree::Ident(ident) if lifetime && ident != "static" => Ident::new("_", ident.span()).into(),
                    TokenTree::Group(group) => {
                        let mut inner = Group::new(group.delimiter(), elide(group.stream()));
                        inner.set_span(group.span());
                        inner.into()
                    }
                    other => other,
                }
            })
            .collect()
    }
    elide(quote!(#kind))
}

fn assemble(function: &ItemFn, name: &str, parameters: &[Parameter], manifest: &TokenStream) -> TokenStream {
    let ident = &function.sig.ident;
    let visibility = &function.vis;
    let calls = parameters.iter().enumerate().map(|(index, Parameter { name, kind, secret, .. })| {
        let argument = elided(kind);
        quote_spanned!(kind.span()=> arguments.get::<#argument>(#index, #name, #secret)?)
    });
    let call = quote!(#ident(#(#calls),*));
    let given = quote_spanned!(function.sig.output.span()=> ::transforms_sdk::Output::into_result(#call));
    let count = parameters.len();
    let reserved = format!(
        "`{name}` means something in expressions already (a global or a word of JavaScript, `user` or `secret`): rename the function"
    );
    let check_name = quote_spanned!(ident.span()=>
        const _: () = ::core::assert!(!::transforms_sdk::manifest::is_reserved(#name), #reserved);
    );
    // Names of exported macros are unique in a crate, so a second transform in any module is an error.
    let only = Ident::new("a_crate_holds_one_transform", ident.span().resolved_at(Span::call_site()));
    let tests = format_ident!("{}_keeps_its_word", name);
    let about = format!("The transform [`{name}`](fn@{ident}), for tests.");
    quote! {
        #function

        #check_name

        #[doc(hidden)]
        #[macro_export]
        macro_rules! #only { () => {}; }

        #[doc = #about]
        #[allow(non_camel_case_types, dead_code)]
        #visibility enum #ident {}

        impl ::transforms_sdk::Transform for #ident {
            const MANIFEST: &'static str = {
                const PIECES: &[&str] = #manifest;
                const BYTES: [u8; ::transforms_sdk::build::length(PIECES)] = ::transforms_sdk::build::joined(PIECES);
                ::transforms_sdk::build::text(&BYTES)
            };
            const PARAMETERS: usize = #count;

            fn call(
                arguments: &::transforms_sdk::Arguments<'_>,
            ) -> ::core::result::Result<::transforms_sdk::Value, ::transforms_sdk::Fault> {
                #given
            }
        }

        #[cfg(target_arch = "wasm32")]
        ::transforms_sdk::export_transform!(#ident);

        #[cfg(test)]
        mod #tests {
            #[test]
            fn gives_what_its_examples_say() {
                ::transforms_sdk::testing::examples::<super::#ident>();
            }

            #[test]
            fn passes_its_cases() {
                ::transforms_sdk::testing::cases::<super::#ident>(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/cases"));
            }
        }
    }
}
