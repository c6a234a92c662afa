//! The transform `sha256`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use transforms_sdk::prelude::*;

/// The SHA-256 of the UTF-8 bytes of a text, as 64 hexadecimal digits.
///
/// `output` is `hex`, `base64` (44 characters) or `base64url` (43 characters, without padding). The same text gives
/// the same digest for everybody: e-mail addresses and phone numbers can be found by trying, so it hides nothing;
/// `pseudonymize` does. Nothing gives nothing.
#[transform(
    example(r#"sha256("ada@example.com")"# => "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72"),
    example(r#"sha256("ada@example.com", "base64")"# => "tfyF5VdV+eDQMKEKtEKbaylEhV+aDWAHf+gyvsvEHXI="),
)]
pub fn sha256(
    /// The text, taken as it is: capitals and blanks count.
    text: Option<&str>,
    /// `hex`, `base64` or `base64url`; without it, `hex`.
    output: Option<&str>,
) -> Result<Option<String>, Fault> {
    let write: fn(&[u8]) -> String = match output.unwrap_or("hex") {
        "hex" => hexadecimal,
        "base64" => |digest| STANDARD.encode(digest),
        "base64url" => |digest| URL_SAFE_NO_PAD.encode(digest),
        other => return Err(fault!("`output` is {other:?}; \"hex\", \"base64\" or \"base64url\" is expected")),
    };
    Ok(text.map(|text| write(&Sha256::digest(text))))
}

/// Two hexadecimal digits for each byte.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
