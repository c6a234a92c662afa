//! Encodings of hashes and salts: hexadecimal, Base64, and the PHC string format.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Returns the bytes of Base64 of either alphabet, padded or not
/// (docs/auth0/import-schema.md#custom-password-hashes); `None` for other text.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

pub(super) fn is_base64(text: &str) -> bool {
    decode_base64(text).is_some()
}

/// Returns the bytes of hexadecimal digits in either case; `None` for other text and for none.
pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// The parts of a PHC string: `$name[$v=version][$settings]$salt$hash`
/// (<https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md>).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PhcParts<'t> {
    pub(super) name: &'t str,
    pub(super) version: Option<&'t str>,
    /// `name=number`, separated by commas; empty without any.
    pub(super) settings: &'t str,
    pub(super) salt: &'t str,
    pub(super) hash: &'t str,
}

/// Splits a PHC string with salt and hash; `None` for other text.
pub(super) fn phc_parts(text: &str) -> Option<PhcParts<'_>> {
    let parts: Vec<&str> = text.split('$').collect();
    let version = |part: &&'_ str| part.strip_prefix("v=").is_some_and(is_number);
    let (name, version, settings, salt, hash) = match parts.as_slice() {
        ["", name, salt, hash] => (name, None, "", salt, hash),
        ["", name, part, salt, hash] if version(part) => (name, part.strip_prefix("v="), "", salt, hash),
        ["", name, settings, salt, hash] if !settings.is_empty() => (name, None, *settings, salt, hash),
        ["", name, part, settings, salt, hash] if version(part) && !settings.is_empty() => {
            (name, part.strip_prefix("v="), *settings, salt, hash)
        }
        _ => return None,
    };
    Some(PhcParts { name, version, settings, salt, hash })
}

/// Returns the names and numbers of the settings of a PHC string; `None` if one is not `name=number` or occurs twice.
pub(super) fn phc_settings(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut settings: Vec<(&str, &str)> = Vec::new();
    for setting in text.split(',').filter(|_| !text.is_empty()) {
        let (name, number) = setting.split_once('=').filter(|(_, number)| is_number(number))?;
        if settings.iter().any(|(known, _)| *known == name) {
            return None;
        }
        settings.push((name, number));
    }
    Some(settings)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn phc_strings_are_split_with_and_without_version_and_settings() {
        let parts = |text| phc_parts(text).map(|phc| (phc.name, phc.version, phc.settings, phc.salt, phc.hash));
        assert_eq!(parts("$a$c$d"), Some(("a", None, "", "c", "d")));
        assert_eq!(parts("$a$i=1,l=2$c$d"), Some(("a", None, "i=1,l=2", "c", "d")));
        assert_eq!(parts("$a$v=19$m=1$c$d"), Some(("a", Some("19"), "m=1", "c", "d")));
        for text in ["", "$", "a$b$c$d", "$a$b", "$a$v=19$$c$d", "$a$b$c$d$e$f"] {
            assert_eq!(parts(text), None, "{text}");
        }
        assert_eq!(phc_settings("i=1,l=2"), Some(vec![("i", "1"), ("l", "2")]));
        assert_eq!((phc_settings(""), phc_settings("i=1,i=2"), phc_settings("i=x")), (Some(vec![]), None, None));
    }

    proptest! {
        #[test]
        fn bytes_survive_hexadecimal_and_base64(bytes in prop::collection::vec(any::<u8>(), 1..80), upper in any::<bool>()) {
            let hex: String = bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect();
            prop_assert_eq!(decode_hex(&hex), Some(bytes.clone()));
            let base64 = base64::prelude::BASE64_STANDARD.encode(&bytes);
            prop_assert_eq!(decode_base64(&base64), Some(bytes.clone()));
            let safe = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(decode_base64(&safe), Some(bytes));
        }
    }
}
