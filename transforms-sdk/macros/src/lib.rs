//! The attribute `#[transform]` of `transforms-sdk`; authors use it through `transforms_sdk::prelude`.

mod example;
mod expand;

use proc_macro::TokenStream;

/// Makes a function a transform.
///
/// The function itself is not changed: it can be called and tested natively. Its parameters and result have types of
/// the SDK's [table](../transforms_sdk/trait.Argument.html). The doc comment becomes summary and
/// documentation, doc comments on parameters become their descriptions, and the version is the crate's.
///
/// - `#[transform(example("call" => gives), …)]`: calls with JSON literals, and their results as JSON.
///   They are shown in lists of transforms, and `cargo test` checks them.
/// - `#[arg(secret)]` on a parameter: a value that is never shown, passed as `secret("NAME")`.
///
/// The macro adds a type of the same name that implements `transforms_sdk::Transform`, and tests that run the
/// examples and every file of `cases/`. A crate has one transform.
#[proc_macro_attribute]
pub fn transform(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::transform(attribute.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
