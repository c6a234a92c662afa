//! Encryption of what must pass through other hands unread: the Management API token inside a session
//! token, the state of a login inside a cookie, tokens kept in the database.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Code, Error, Result};

/// Seals texts with AES-256-GCM under a key derived from `EXTENSION_SECRET` (HKDF-SHA-256, RFC 5869).
///
/// Every purpose has a key of its own, so what was sealed for one never opens for another.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl Sealer {
    /// A sealer for one purpose, named by a fixed text.
    pub fn new(secret: &SecretString, purpose: &'static str) -> Result<Self> {
        let mut key = [0; 32];
        let purpose = [purpose.as_bytes()];
        let derived = extract(secret).expand(&purpose, &AES_256_GCM).and_then(|okm| okm.fill(&mut key));
        let key = derived.and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &key)).map_err(|_| crypto())?;
        Ok(Self { key })
    }

    /// Seals a text. The same `context` must be given to open it again. The result is base64url.
    pub fn seal(&self, context: &str, plain: &str) -> Result<String> {
        let mut bytes = plain.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(context), &mut bytes).map_err(|_| crypto())?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what was sealed with the same secret, purpose and context; none for anything else.
    pub fn open(&self, context: &str, sealed: &str) -> Option<SecretString> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, body) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(context), &mut body).ok()?;
        std::str::from_utf8(plain).ok().map(SecretString::from)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

/// A key for HMAC-SHA-256, derived like those of [`Sealer`].
pub(super) fn mac_key(secret: &SecretString, purpose: &'static str) -> Result<hmac::Key> {
    let purpose = [purpose.as_bytes()];
    let okm = extract(secret).expand(&purpose, hmac::HMAC_SHA256).map(hmac::Key::from);
    okm.map_err(|_| crypto())
}

/// Random bytes from the operating system's generator.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| crypto())?;
    Ok(bytes)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares without telling by its duration where two texts differ.
pub(super) fn equal(left: &str, right: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

fn extract(secret: &SecretString) -> Prk {
    // No salt: the secret is the operator's own random string, and every server that shares it must
    // derive the same keys.
    Salt::new(HKDF_SHA256, &[]).extract(secret.expose_secret().as_bytes())
}

fn crypto() -> Error {
    Error::new(Code::Internal, "The cryptographic library refused an operation.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secret: &str, purpose: &'static str) -> Sealer {
        Sealer::new(&SecretString::from(secret), purpose).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_again_and_shows_nothing() {
        let sealer = sealer("0123456789abcdef", "test");
        let sealed = sealer.seal("context", "token of an admin").unwrap();
        assert!(!URL_SAFE_NO_PAD.decode(&sealed).unwrap().windows(5).any(|part| part == b"token"));
        assert_eq!(sealer.open("context", &sealed).unwrap().expose_secret(), "token of an admin");
        assert_ne!(sealer.seal("context", "token of an admin").unwrap(), sealed, "a nonce is used once");
    }

    #[test]
    fn another_secret_purpose_or_context_opens_nothing() {
        let sealed = sealer("0123456789abcdef", "test").seal("context", "plain").unwrap();
        assert!(sealer("0123456789abcdef", "test").open("other context", &sealed).is_none());
        assert!(sealer("0123456789abcdef", "other").open("context", &sealed).is_none());
        assert!(sealer("fedcba9876543210", "test").open("context", &sealed).is_none());
    }

    #[test]
    fn damaged_text_opens_nothing() {
        let sealer = sealer("0123456789abcdef", "test");
        let sealed = sealer.seal("", "plain").unwrap();
        for cut in 0..sealed.len() {
            assert!(sealer.open("", sealed.get(..cut).unwrap()).is_none());
        }
        assert!(sealer.open("", &format!("A{}", sealed.get(1..).unwrap())).is_none() || sealed.starts_with('A'));
        assert!(sealer.open("", "not base64 at all!").is_none());
    }
}
