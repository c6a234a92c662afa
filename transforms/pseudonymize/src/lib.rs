//! The transform `pseudonymize`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use transforms_sdk::prelude::*;

/// The shortest key accepted, in bytes: a shorter one can be found by trying.
const SHORTEST_KEY: usize = 16;

/// Replaces a text by a pseudonym: HMAC-SHA-256 under a secret key, 64 hexadecimal digits.
///
/// The same text and key always give the same pseudonym, so that exports made at different times can be
/// joined by it; without the key nobody can tell whose it is, nor check a guess. It is computed over the UTF-8
/// bytes of the text as it stands: `Ada@example.com` and `ada@example.com` have different pseudonyms. Nothing
/// gives nothing. The key has at least 16 bytes; `openssl rand -hex 32` makes a good one.
#[transform(example(
    r#"pseudonymize("ada@example.com", "an example key, not a secret")"#
        => "e8c7efdfc91167490a84fbb551a77baa9832eb53ddb54c2db404e97dfe6f4934"
))]
pub fn pseudonymize(
    /// What is replaced, such as an e-mail address or a user_id.
    text: Option<&str>,
    /// The key.
    #[arg(secret)]
    key: &str,
) -> Result<Option<String>, Fault> {
    if key.len() < SHORTEST_KEY {
        return Err(fault!("`key` has {} bytes; at least {SHORTEST_KEY} are expected", key.len()));
    }
    let Some(text) = text else { return Ok(None) };
    let mut hmac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(Fault::new)?;
    hmac.update(text.as_bytes());
    let mut pseudonym = String::with_capacity(64);
    for byte in hmac.finalize().into_bytes() {
        for digit in [byte >> 4, byte & 15] {
            pseudonym.extend(char::from_digit(digit.into(), 16));
        }
    }
    Ok(Some(pseudonym))
}
