//! Encryption of texts, and keys that are derived from `EXTENSION_SECRET`.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::primitives::crypto_error;
use crate::error::Result;

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

    /// Creates an encryptor with a key that is derived from an extracted secret for `purpose`.
    pub(super) fn from_prk(secret: &Prk, purpose: &'static str) -> Result<Self> {
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

fn extract(secret: &SecretString) -> Prk {
    // No salt: the secret is random, and all servers that share it must derive the same keys.
    Salt::new(HKDF_SHA256, &[]).extract(secret.expose_secret().as_bytes())
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
