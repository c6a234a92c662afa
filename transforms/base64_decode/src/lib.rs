//! The transform `base64_decode`.

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use transforms_sdk::prelude::*;

/// Reads Base64 and gives the bytes as text, or as hexadecimal digits.
///
/// Both alphabets are read, the standard one (with `+` and `/`) and the URL-safe one (with `-` and `_`), with or
/// without padding. Blanks and line breaks do not count. As text the bytes must be UTF-8; `output` is `hex` for all
/// others, such as hashes and salts: two digits a byte, in small letters. Nothing gives nothing. Faults do not
/// contain the value.
#[transform(
    example(r#"base64_decode("QWRhPw==")"# => "Ada?"),
    example(r#"base64_decode("_-8", "hex")"# => "ffef"),
)]
pub fn base64_decode(
    /// The Base64.
    text: Option<&str>,
    /// `text` or `hex`; without it, `text`.
    output: Option<&str>,
) -> Result<Option<String>, Fault> {
    let hex = match output.unwrap_or("text") {
        "text" => false,
        "hex" => true,
        other => return Err(fault!("`output` is {other:?}; \"text\" or \"hex\" is expected")),
    };
    let Some(text) = text else { return Ok(None) };
    let bytes = decode(text)?;
    if hex {
        return Ok(Some(hexadecimal(&bytes)));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        fault!(
            "the bytes of `text` are not text in UTF-8 from byte {} on; for other bytes write base64_decode(…, \"hex\")",
            error.utf8_error().valid_up_to() + 1
        )
    })
}

/// Decodes either alphabet, padded or not.
fn decode(text: &str) -> Result<Vec<u8>, Fault> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let mut digits = text.to_owned();
    digits.retain(|character| !character.is_ascii_whitespace());
    let (standard, url) = (digits.contains(['+', '/']), digits.contains(['-', '_']));
    if standard && url {
        return Err("`text` is not Base64: it has characters of both alphabets, + or / and - or _".into());
    }
    let alphabet = if url { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, CONFIG).decode(digits).map_err(|error| {
        // The error of the library names bytes of the value.
        let reason = match error {
            DecodeError::InvalidByte(_, b'=') | DecodeError::InvalidPadding => "its padding is wrong",
            DecodeError::InvalidByte(..) => "it has a character that Base64 does not have",
            DecodeError::InvalidLength(_) => "its length is impossible; a part may be missing",
            DecodeError::InvalidLastSymbol(..) => "its last character does not fit; a part may be missing",
        };
        fault!("`text` is not Base64: {reason}")
    })
}

/// Two hexadecimal digits for each byte.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
