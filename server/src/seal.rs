//! Encryption of what must lie or pass where others may look: the Management API token inside a session
//! token, the state of a login inside a cookie, and everything personal below DATA_DIR.
//!
//! Keys come from two places. What a browser carries is sealed under keys derived from
//! `EXTENSION_SECRET` ([`Sealer::new`]). What lies on disk is sealed under a random [`DataKey`], which the
//! store keeps wrapped by such a derived key, so that a new secret wraps one key anew and no file.

mod stream;

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::error::{Code, Error, Result};

pub use stream::{Chunk, SealedReader, SealedWriter};

/// A random key under which things at rest are sealed.
pub struct DataKey(SecretBox<[u8; 32]>);

impl DataKey {
    /// A new key from the operating system's generator.
    pub fn random() -> Result<Self> {
        Ok(Self(SecretBox::new(Box::new(random()?))))
    }

    /// The key of these lower-case hexadecimal digits, as [`DataKey::to_hex`] gives them.
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

    /// The key as text, to be wrapped.
    pub fn to_hex(&self) -> SecretString {
        SecretString::from(hex(self.0.expose_secret()))
    }

    /// A sealer under this key for one purpose, named by a fixed text.
    pub fn sealer(&self, purpose: &'static str) -> Result<Sealer> {
        Sealer::derived(&self.extract(&[]), purpose)
    }

    /// The first step of HKDF, with the salt of a file.
    fn extract(&self, salt: &[u8]) -> Prk {
        Salt::new(HKDF_SHA256, salt).extract(self.0.expose_secret())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").finish_non_exhaustive()
    }
}

/// Seals texts with AES-256-GCM under a derived key (HKDF-SHA-256, RFC 5869).
///
/// Every purpose has a key of its own, so what was sealed for one never opens for another.
pub struct Sealer {
    key: RandomizedNonceKey,
    /// Opens what was sealed before the secret changed.
    previous: Option<RandomizedNonceKey>,
}

impl Sealer {
    /// A sealer under a key derived from `EXTENSION_SECRET`, for one purpose, named by a fixed text.
    pub fn new(secret: &SecretString, purpose: &'static str) -> Result<Self> {
        Self::derived(&extract(secret), purpose)
    }

    /// One that also opens what was sealed with an earlier secret.
    pub fn with_previous(mut self, secret: Option<&SecretString>, purpose: &'static str) -> Result<Self> {
        self.previous = secret.map(|secret| Self::derived(&extract(secret), purpose)).transpose()?.map(|old| old.key);
        Ok(self)
    }

    fn derived(secret: &Prk, purpose: &'static str) -> Result<Self> {
        let mut key = [0; 32];
        let purpose = [purpose.as_bytes()];
        let derived = secret.expand(&purpose, &AES_256_GCM).and_then(|okm| okm.fill(&mut key));
        let key = derived.and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &key)).map_err(|_| crypto())?;
        Ok(Self { key, previous: None })
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
        [Some(&self.key), self.previous.as_ref()].into_iter().flatten().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            // A copy: what does not open is overwritten in the attempt.
            let mut body = body.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(context), &mut body).ok()?;
            std::str::from_utf8(plain).ok().map(SecretString::from)
        })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

/// A key for HMAC-SHA-256, derived like those of [`Sealer`].
pub fn mac_key(secret: &SecretString, purpose: &'static str) -> Result<hmac::Key> {
    let purpose = [purpose.as_bytes()];
    let okm = extract(secret).expand(&purpose, hmac::HMAC_SHA256).map(hmac::Key::from);
    okm.map_err(|_| crypto())
}

/// Random bytes from the operating system's generator.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| crypto())?;
    Ok(bytes)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares without telling by its duration where two texts differ.
pub fn equal(left: &str, right: &str) -> bool {
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
    fn an_earlier_secret_opens_but_seals_nothing() {
        let (old, new) = (SecretString::from("the secret of last year"), SecretString::from("the secret of today"));
        let sealed = Sealer::new(&old, "test").unwrap().seal("", "plain").unwrap();
        let sealer = Sealer::new(&new, "test").unwrap().with_previous(Some(&old), "test").unwrap();
        assert_eq!(sealer.open("", &sealed).unwrap().expose_secret(), "plain");
        let sealed = sealer.seal("", "plain").unwrap();
        assert!(Sealer::new(&old, "test").unwrap().open("", &sealed).is_none());
    }

    #[test]
    fn a_data_key_survives_as_text_and_seals_as_before() {
        let key = DataKey::random().unwrap();
        let again = DataKey::from_hex(key.to_hex().expose_secret()).unwrap();
        let sealed = key.sealer("test").unwrap().seal("", "plain").unwrap();
        assert_eq!(again.sealer("test").unwrap().open("", &sealed).unwrap().expose_secret(), "plain");
        assert!(DataKey::random().unwrap().sealer("test").unwrap().open("", &sealed).is_none());
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(DataKey::from_hex(text).is_none(), "{text}");
        }
        assert!(!format!("{key:?}").contains(&key.to_hex().expose_secret()[..8]));
    }

    #[test]
    fn texts_are_equal_when_every_byte_is() {
        assert!(equal("", "") && equal("token", "token"));
        for other in ["", "t", "tokeN", "Token", "token ", "token\0"] {
            assert!(!equal("token", other), "{other}");
        }
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
