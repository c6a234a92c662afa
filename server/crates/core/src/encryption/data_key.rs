//! The key that encrypts data at rest.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::encryptor::Encryptor;
use super::primitives::{hex, random};
use crate::error::Result;

/// The random key that encrypts data at rest.
pub struct DataKey(SecretBox<[u8; 32]>);

impl DataKey {
    /// Creates a key with the operating system's random generator.
    pub fn random() -> Result<Self> {
        Ok(Self(SecretBox::new(Box::new(random()?))))
    }

    /// Parses the hexadecimal digits that [`DataKey::to_hex`] returns. `None` if they are not 64 valid digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(SecretBox::new(Box::new(bytes))))
    }

    /// Returns the key as hexadecimal digits, to be wrapped.
    pub fn to_hex(&self) -> SecretString {
        SecretString::from(hex(self.0.expose_secret()))
    }

    /// Creates an encryptor with a key that is derived from this one for `purpose`.
    pub fn encryptor(&self, purpose: &'static str) -> Result<Encryptor> {
        Encryptor::from_prk(&self.extract(&[]), purpose)
    }

    /// Returns the HKDF-Extract of the key with the salt of a file.
    pub(super) fn extract(&self, salt: &[u8]) -> Prk {
        Salt::new(HKDF_SHA256, salt).extract(self.0.expose_secret())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_can_be_restored_from_its_hexadecimal_digits() {
        let key = DataKey::random().unwrap();
        let again = DataKey::from_hex(key.to_hex().expose_secret()).unwrap();
        let sealed = key.encryptor("test").unwrap().seal("", "plain").unwrap();
        assert_eq!(again.encryptor("test").unwrap().open("", &sealed).unwrap().expose_secret(), "plain");
        assert!(DataKey::random().unwrap().encryptor("test").unwrap().open("", &sealed).is_none());
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(DataKey::from_hex(text).is_none(), "{text}");
        }
        assert!(!format!("{key:?}").contains(&key.to_hex().expose_secret()[..8]));
    }
}
