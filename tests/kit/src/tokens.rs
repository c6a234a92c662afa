//! Session tokens, sign-ins and the tokens of lifecycle hooks.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};
use uie_access::{Admission, Permissions, SESSION_AUDIENCE, SignIn};

/// The `EXTENSION_SECRET` of every server of the tests.
pub const SECRET: &str = "4be19c7702d85fa3c6f0718d2e9a53b4";

/// Returns the seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Signs claims with a secret.
pub fn sign_token(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

/// Decodes the claims of a token without verifying it.
pub fn decode_claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("claims")
}

/// Returns valid claims of a session token, whose session no server knows.
pub fn session_claims(base_url: &str) -> Value {
    json!({
        "sub": "auth0|ada", "email": "ada@example.com", "iss": base_url, "aud": SESSION_AUDIENCE,
        "iat": now(), "exp": now() + 3600, "jti": "0123456789abcdef0123456789abcdef", "tenant": "acme.eu.auth0.com",
        "login": "extension", "scope": "create:users read:users read:connections",
    })
}

/// Returns the claims of the token for a lifecycle hook; `path` is below the base URL.
pub fn hook_claims(issuer: &str, base_url: &str, path: &str) -> Value {
    json!({"iss": issuer, "aud": format!("{base_url}{path}")})
}

/// Returns the sign-in of an admin for an hour, admitted by `ADMIN_SUBJECTS`. `access_token` is the admin's token with
/// `LOGIN=extension`.
pub fn person(subject: &str, access_token: Option<&str>, permissions: Permissions) -> SignIn {
    SignIn {
        subject: subject.to_owned(),
        email: Some("ada@example.com".to_owned()),
        name: None,
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        access_token: access_token.map(SecretString::from),
        permissions,
        admission: Admission::Subject,
        sid: None,
    }
}
