//! The transform `hex_decode`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use transforms_sdk::prelude::*;

/// Reads hexadecimal digits and gives the bytes as text, or in Base64.
///
/// Capital and small letters are read; `0x` or `\x` in front, as databases write it, does not count. As text the
/// bytes must be UTF-8; `output` is `base64` for all others, such as hashes and salts, or `base64-unpadded` for PHC
/// strings. Nothing gives nothing. Faults do not contain the value.
#[transform(
    example(r#"hex_decode("416461")"# => "Ada"),
    example(r#"hex_decode("0xFFEF", "base64")"# => "/+8="),
    example(r#"hex_decode("ffef", "base64-unpadded")"# => "/+8"),
)]
pub fn hex_decode(
    /// The digits, two for each byte.
    text: Option<&str>,
    /// `text`, `base64` or `base64-unpadded`; without it, `text`.
    output: Option<&str>,
) -> Result<Option<String>, Fault> {
    let engine = match output.unwrap_or("text") {
        "text" => None,
        "base64" => Some(STANDARD),
        "base64-unpadded" => Some(STANDARD_NO_PAD),
        other => {
            return Err(fault!("`output` is {other:?}; \"text\", \"base64\" or \"base64-unpadded\" is expected"));
        }
    };
    let Some(text) = text else { return Ok(None) };
    let bytes = decode(text)?;
    if let Some(engine) = engine {
        return Ok(Some(engine.encode(bytes)));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        fault!(
            "the bytes of `text` are not text in UTF-8 from byte {} on; for other bytes write hex_decode(…, \"base64\")",
            error.utf8_error().valid_up_to() + 1
        )
    })
}

/// Reads two digits for each byte.
fn decode(text: &str) -> Result<Vec<u8>, Fault> {
    let text = text.trim();
    let digits = ["0x", "0X", "\\x"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let values: Vec<u8> = digits
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect::<Option<_>>()
        .ok_or("`text` is not hexadecimal: it has a character other than 0 to 9 and a to f")?;
    if !values.len().is_multiple_of(2) {
        return Err(fault!("`text` is not hexadecimal: it has {} digits; two a byte are expected", values.len()));
    }
    Ok(values.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
