//! Sessions for programs: what signing in hands to the browser.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// A session token of this person for the server at this base URL, as that server would sign it with this
/// `EXTENSION_SECRET`.
pub fn session(base_url: &str, secret: &str, subject: &str) -> String {
    // As random ids are: it says nothing about the person.
    let id = subject.bytes().fold(0_u64, |id, byte| id.wrapping_mul(257).wrapping_add(u64::from(byte)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let claims: Value = json!({
        "sub": subject, "email": "ada@acme.example", "iss": base_url, "aud": "urn:user-import-export-extension",
        "iat": now, "exp": now + 36_000, "jti": format!("session {id:016x}"),
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token")
}
