//! Bytes as text: Base64 of any kind, hexadecimal, Base32.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Decodes Base64 of the standard or the URL-safe alphabet, padded or not; `None` for other text and for no bytes.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let standard = GeneralPurpose::new(&STANDARD, ANY_PADDING);
    let url_safe = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);
    standard.decode(text).or_else(|_| url_safe.decode(text)).ok().filter(|bytes| !bytes.is_empty())
}

/// Returns bytes as B64 of the PHC string format: Base64 without padding.
pub(crate) fn b64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Decodes hexadecimal text; `None` for other text and for no bytes.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()).collect()
}

/// Returns bytes as hexadecimal text in lower case.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns bytes as Base32 without padding (RFC 4648, section 6).
pub(crate) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let mut bits = [0_u8; 8];
        if let Some(used) = bits.get_mut(3..3 + group.len()) {
            used.copy_from_slice(group);
        }
        let bits = u64::from_be_bytes(bits);
        for at in 0..(group.len() * 8).div_ceil(5) {
            let index = (bits >> (35 - 5 * at)) & 31;
            text.extend(ALPHABET.get(index as usize).map(|byte| char::from(*byte)));
        }
    }
    text
}

/// Returns a Base32 secret in the form that Auth0 takes: upper case, without padding, spaces and hyphens. `None` if it
/// is not Base32.
pub(crate) fn base32_secret(text: &str) -> Option<String> {
    let secret: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let secret = secret.trim_end_matches('=').to_ascii_uppercase();
    (!secret.is_empty() && secret.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_rfc_4648_are_encoded() {
        for (bytes, encoded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), encoded);
        }
        assert_eq!(hex("00fF"), Some(vec![0, 255]));
        assert_eq!(to_hex(&[0, 255]), "00ff");
        assert_eq!((hex("0"), hex(""), hex("0g")), (None, None, None));
    }

    #[test]
    fn base64_is_decoded_with_either_alphabet_and_any_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8", " -_8= "] {
            assert_eq!(base64(text), Some(vec![0xFB, 0xFF]), "{text}");
        }
        assert_eq!((base64(""), base64("§")), (None, None));
    }

    #[test]
    fn totp_secrets_are_normalized() {
        assert_eq!(base32_secret("jbsw y3dp-ehpk3pxp====").as_deref(), Some("JBSWY3DPEHPK3PXP"));
        assert_eq!(base32_secret("JBSWY3DP1"), None);
        assert_eq!(base32_secret("=="), None);
    }
}
