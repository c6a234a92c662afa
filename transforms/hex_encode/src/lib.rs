//! The transform `hex_encode`.

use transforms_sdk::prelude::*;

/// Writes the UTF-8 bytes of a text as hexadecimal digits, two a byte, in small letters.
///
/// Nothing gives nothing.
#[transform(
    example(r#"hex_encode("Ada")"# => "416461"),
    example(r#"hex_encode("ü")"# => "c3bc"),
)]
pub fn hex_encode(
    /// The text.
    text: Option<&str>,
) -> Option<String> {
    let digits = text?.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    Some(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
}
