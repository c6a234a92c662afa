//! Encryption of data that leaves the process: the Management API token in a session token, the state of a login in
//! a cookie, and all personal data below DATA_DIR.
//!
//! There are two kinds of keys. Data in the browser is encrypted under keys derived from `EXTENSION_SECRET`
//! ([`Encryptor::new`]). Data on disk is encrypted under a random [`DataKey`], which the store wraps with such a
//! derived key: when the secret changes, only this key is wrapped again.

mod aead_stream;

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::error::{Code, Error, Result};

pub use aead_stream::{ChunkSize, DecryptingReader, EncryptingWriter};

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
    fn extract(&self, salt: &[u8]) -> Prk {
        Salt::new(HKDF_SHA256, salt).extract(self.0.expose_secret())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").finish_non_exhaustive()
    }
}

/// Encrypts texts with AES-256-GCM under a derived key (HKDF-SHA-256, RFC 5869).
///
/// Each purpose has its own key: a text that was encrypted for one purpose cannot be decrypted for another.
pub struct Encryptor {
    key: RandomizedNonceKey,
    /// Decrypts texts that were encrypted before the secret changed.
    previous: Option<RandomizedNonceKey>,
}

impl Encryptor {
    /// Creates an encryptor with a key that is derived from `EXTENSION_SECRET` for `purpose`.
    pub fn new(secret: &SecretString, purpose: &'static str) -> Result<Self> {
        Self::from_prk(&extract(secret), purpose)
    }

    /// Also decrypts texts that were encrypted with an earlier secret.
    pub fn with_previous(mut self, secret: Option<&SecretString>, purpose: &'static str) -> Result<Self> {
        self.previous = secret.map(|secret| Self::from_prk(&extract(secret), purpose)).transpose()?.map(|old| old.key);
        Ok(self)
    }

    fn from_prk(secret: &Prk, purpose: &'static str) -> Result<Self> {
        let mut key = [0; 32];
        let purpose = [purpose.as_bytes()];
        let derived = secret.expand(&purpose, &AES_256_GCM).and_then(|okm| okm.fill(&mut key));
        let key = derived.and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &key)).map_err(|_| crypto_error())?;
        Ok(Self { key, previous: None })
    }

    /// Encrypts a text. `context` is authenticated and must be the same for [`open`](Self::open). The result is the
    /// nonce, the ciphertext and the tag in base64url.
    pub fn seal(&self, context: &str, plain: &str) -> Result<String> {
        let mut bytes = plain.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(context), &mut bytes).map_err(|_| crypto_error())?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Decrypts a text. `None` unless it was encrypted with the same secret, purpose and context, and is unchanged.
    pub fn open(&self, context: &str, sealed: &str) -> Option<SecretString> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, body) = bytes.split_at_checked(NONCE_LEN)?;
        [Some(&self.key), self.previous.as_ref()].into_iter().flatten().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            // A copy: a failed decryption overwrites the input.
            let mut body = body.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(context), &mut body).ok()?;
            std::str::from_utf8(plain).ok().map(SecretString::from)
        })
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryptor").finish_non_exhaustive()
    }
}

/// Returns a key for HMAC-SHA-256, derived like those of [`Encryptor`].
pub fn hmac_key(secret: &SecretString, purpose: &'static str) -> Result<hmac::Key> {
    let purpose = [purpose.as_bytes()];
    let okm = extract(secret).expand(&purpose, hmac::HMAC_SHA256).map(hmac::Key::from);
    okm.map_err(|_| crypto_error())
}

/// Returns random bytes from the operating system's generator.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| crypto_error())?;
    Ok(bytes)
}

/// Returns the bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares two texts in constant time, so that the duration does not reveal where they differ.
pub fn constant_time_eq(left: &str, right: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

fn extract(secret: &SecretString) -> Prk {
    // No salt: the secret is random, and all servers that share it must derive the same keys.
    Salt::new(HKDF_SHA256, &[]).extract(secret.expose_secret().as_bytes())
}

fn crypto_error() -> Error {
    Error::new(Code::Internal, "An operation of the cryptographic library failed.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryptor(secret: &str, purpose: &'static str) -> Encryptor {
        Encryptor::new(&SecretString::from(secret), purpose).unwrap()
    }

    #[test]
    fn encrypted_texts_can_be_decrypted_and_do_not_contain_the_plaintext() {
        let encryptor = encryptor("0123456789abcdef", "test");
        let sealed = encryptor.seal("context", "token of an admin").unwrap();
        assert!(!URL_SAFE_NO_PAD.decode(&sealed).unwrap().windows(5).any(|part| part == b"token"));
        assert_eq!(encryptor.open("context", &sealed).unwrap().expose_secret(), "token of an admin");
        assert_ne!(encryptor.seal("context", "token of an admin").unwrap(), sealed, "a nonce is used once");
    }

    #[test]
    fn another_secret_purpose_or_context_decrypts_nothing() {
        let sealed = encryptor("0123456789abcdef", "test").seal("context", "plain").unwrap();
        assert!(encryptor("0123456789abcdef", "test").open("other context", &sealed).is_none());
        assert!(encryptor("0123456789abcdef", "other").open("context", &sealed).is_none());
        assert!(encryptor("fedcba9876543210", "test").open("context", &sealed).is_none());
    }

    #[test]
    fn an_earlier_secret_decrypts_but_does_not_encrypt() {
        let (old, new) = (SecretString::from("the secret of last year"), SecretString::from("the secret of today"));
        let sealed = Encryptor::new(&old, "test").unwrap().seal("", "plain").unwrap();
        let encryptor = Encryptor::new(&new, "test").unwrap().with_previous(Some(&old), "test").unwrap();
        assert_eq!(encryptor.open("", &sealed).unwrap().expose_secret(), "plain");
        let sealed = encryptor.seal("", "plain").unwrap();
        assert!(Encryptor::new(&old, "test").unwrap().open("", &sealed).is_none());
    }

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

    #[test]
    fn texts_are_equal_if_all_bytes_are_equal() {
        assert!(constant_time_eq("", "") && constant_time_eq("token", "token"));
        for other in ["", "t", "tokeN", "Token", "token ", "token\0"] {
            assert!(!constant_time_eq("token", other), "{other}");
        }
    }

    #[test]
    fn damaged_texts_are_not_decrypted() {
        let encryptor = encryptor("0123456789abcdef", "test");
        let sealed = encryptor.seal("", "plain").unwrap();
        for cut in 0..sealed.len() {
            assert!(encryptor.open("", sealed.get(..cut).unwrap()).is_none());
        }
        assert!(encryptor.open("", &format!("A{}", sealed.get(1..).unwrap())).is_none() || sealed.starts_with('A'));
        assert!(encryptor.open("", "not base64 at all!").is_none());
    }
}
