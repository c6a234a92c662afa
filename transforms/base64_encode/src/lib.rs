//! The transform `base64_encode`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use transforms_sdk::prelude::*;

/// Writes the UTF-8 bytes of a text in Base64.
///
/// The alphabet is `standard` (with `+` and `/`) or `url` (with `-` and `_`, RFC 4648, section 5). The standard
/// alphabet is padded with `=`, the other one is not, unless `padding` says otherwise. PHC strings, as Auth0 takes
/// for pbkdf2, have the standard alphabet without padding. Nothing gives nothing.
#[transform(
    example(r#"base64_encode("Ada?")"# => "QWRhPw=="),
    example(r#"base64_encode("Ada?", "url")"# => "QWRhPw"),
    example(r#"base64_encode("Ada?", "standard", false)"# => "QWRhPw"),
)]
pub fn base64_encode(
    /// The text.
    text: Option<&str>,
    /// `standard` or `url`; without it, `standard`.
    alphabet: Option<&str>,
    /// Whether the end is padded with `=`.
    padding: Option<bool>,
) -> Result<Option<String>, Fault> {
    let engine = match (alphabet.unwrap_or("standard"), padding) {
        ("standard", None | Some(true)) => STANDARD,
        ("standard", Some(false)) => STANDARD_NO_PAD,
        ("url", Some(true)) => URL_SAFE,
        ("url", None | Some(false)) => URL_SAFE_NO_PAD,
        (other, _) => return Err(fault!("`alphabet` is {other:?}; \"standard\" or \"url\" is expected")),
    };
    Ok(text.map(|text| engine.encode(text)))
}
