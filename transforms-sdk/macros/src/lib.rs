//! The attribute `#[transform]` of `transforms-sdk`; authors use it through `transforms_sdk::prelude`.

mod example;
mod expand;

use proc_macro::TokenStream;

/// Makes an ordinary function a transform.
///
/// The function stays as it is: it can be called and tested natively. What it takes and gives are types of
/// the SDK's [table](../transforms_sdk/trait.Argument.html). The doc comment becomes summary and
/// documentation, doc comments on parameters become their descriptions, and the version is the crate's.
///
/// - `#[transform(example("call" => gives), …)]`: calls with JSON literals, and what they give as JSON.
///   They are shown to those who pick a transform, and `cargo test` checks them.
/// - `#[arg(secret)]` on a parameter: a value that is never shown, given as `secret("NAME")`.
///
/// Beside the function stands a type of the same name that implements `transforms_sdk::Transform`, and
/// tests that run the examples and every file of `cases/`. A crate holds one transform.
#[proc_macro_attribute]
pub fn transform(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::transform(attribute.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
