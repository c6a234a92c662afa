//! JSON Web Tokens: parsing, checks of signature and times, and the original extension's messages for invalid ones
//! (docs/auth0/login.md#callback, step 7; docs/auth0/login.md#bearer-tokens-and-error-answers).
//!
//! Claims are checked here and not by the library, because the original extension defines the order of the checks and
//! their messages.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest as hash};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use uie_core::encryption::hex;
use uie_core::message::{Message, message};

/// How many seconds the issuer's clock may be ahead of the local clock, for `nbf` and `iat`. Not applied to `exp`.
pub(super) const CLOCK_SKEW_SECONDS: f64 = 30.0;

/// The header of a token, parsed before the signature is verified.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Header {
    /// The algorithm that the token claims.
    #[serde(default)]
    pub alg: String,
    /// The id of the key that the token claims to be signed with.
    #[serde(default)]
    pub kid: Option<String>,
    /// Whether there is a `crit` parameter with any value. No extension is supported, so a token with it must be
    /// refused (RFC 7515, 4.1.11).
    #[serde(default, deserialize_with = "is_present")]
    pub crit: bool,
}

fn is_present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Why a token is invalid. [`TokenError::message`] is in English the message of the original's libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    Malformed,
    Unsigned,
    Algorithm,
    Critical,
    Signature,
    NotActive,
    Expired,
    BadTime,
}

impl TokenError {
    pub(super) fn message(self) -> Message {
        match self {
            Self::Malformed => message!("jwt malformed"),
            Self::Unsigned => message!("jwt signature is required"),
            Self::Algorithm => message!("invalid algorithm"),
            Self::Critical => message!("jwt header parameter crit is not supported"),
            Self::Signature => message!("invalid signature"),
            Self::NotActive => message!("jwt not active"),
            Self::Expired => message!("jwt expired"),
            Self::BadTime => message!("invalid exp value"),
        }
    }
}

/// The claims of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(pub Map<String, Value>);

impl Claims {
    /// Returns a claim that is a string; `None` if it is absent or has another type.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Returns a claim that is a number, as all dates are (RFC 7519, NumericDate); `None` if it is absent or has
    /// another type.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// Returns whether `aud` is this audience or an array that contains it.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        }
    }

    /// Returns when the token expires (`exp`), rounded up to a second; `None` if it has no expiry. A date out of range
    /// becomes [`Timestamp::MAX`].
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        self.number("exp").map(|end| Timestamp::from_second(end.ceil() as i64).unwrap_or(Timestamp::MAX))
    }

    /// Checks `nbf` and `exp` if they are present.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<(), TokenError> {
        let now = now.as_millisecond() as f64 / 1000.0;
        if self.0.contains_key("nbf") && self.number("nbf").ok_or(TokenError::BadTime)? > now + CLOCK_SKEW_SECONDS {
            return Err(TokenError::NotActive);
        }
        if self.0.contains_key("exp") && self.number("exp").ok_or(TokenError::BadTime)? <= now {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

/// Returns the part of a token that its signature covers, which identifies the token. The whole token does not, because
/// the last Base64 character of a signature has several equivalent forms.
pub(super) fn signed_part(token: &str) -> &str {
    token.rsplit_once('.').map_or(token, |(signed, _)| signed)
}

/// Returns the SHA-256 of a text in hexadecimal, which is stored instead of a used token.
pub(super) fn digest(text: &str) -> String {
    hex(hash(&SHA256, text.as_bytes()).as_ref())
}

/// Parses a token without verifying its signature. `None` if it is not a JWT.
pub(super) fn read(token: &str) -> Option<(Header, Claims)> {
    let mut parts = token.split('.');
    let (header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some((header, Claims(claims)))
}

/// Like [`verify`], with any of several keys, for example the current and the previous one.
pub(super) fn verify_with_any(token: &str, keys: &[DecodingKey], algorithm: Algorithm) -> Result<Claims, TokenError> {
    let mut outcome = Err(TokenError::Signature);
    for key in keys {
        outcome = verify(token, key, algorithm);
        if !matches!(outcome, Err(TokenError::Signature)) {
            break;
        }
    }
    outcome
}

/// Checks that a token was signed with this key and this algorithm. Does not check its claims.
pub(super) fn verify(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, TokenError> {
    let (header, _) = read(token).ok_or(TokenError::Malformed)?;
    if token.ends_with('.') {
        return Err(TokenError::Unsigned);
    }
    if header.alg != format!("{algorithm:?}") {
        return Err(TokenError::Algorithm);
    }
    if header.crit {
        return Err(TokenError::Critical);
    }
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false;
    validation.validate_aud = false;
    match jsonwebtoken::decode(token, key, &validation) {
        Ok(data) => Ok(Claims(data.claims)),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
            _ => TokenError::Malformed,
        }),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef";

    fn signed(claims: &Value) -> String {
        let header = jsonwebtoken::Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    fn check(token: &str) -> Result<Claims, TokenError> {
        verify(token, &DecodingKey::from_secret(SECRET), Algorithm::HS256)
    }

    fn encoded(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn a_signed_token_without_claims_is_accepted() {
        assert!(check(&signed(&json!({}))).is_ok());
    }

    #[test]
    fn algorithm_none_is_refused() {
        let body = encoded(&json!({"sub": "ada"}));
        for alg in ["none", "None", "NONE", ""] {
            let header = encoded(&json!({"alg": alg, "typ": "JWT"}));
            assert_eq!(check(&format!("{header}.{body}.")).unwrap_err(), TokenError::Unsigned);
            assert_eq!(check(&format!("{header}.{body}.AAAA")).unwrap_err(), TokenError::Algorithm);
        }
    }

    #[test]
    fn only_the_pinned_algorithm_is_accepted() {
        let header = jsonwebtoken::Header::new(Algorithm::HS512);
        let token = jsonwebtoken::encode(&header, &json!({}), &EncodingKey::from_secret(SECRET)).unwrap();
        assert_eq!(check(&token).unwrap_err(), TokenError::Algorithm);
    }

    #[test]
    fn a_critical_header_parameter_is_refused() {
        let key = EncodingKey::from_secret(SECRET);
        for crit in [json!(["exp"]), json!(["b64"]), json!([]), Value::Null, json!("exp")] {
            let header = encoded(&json!({"alg": "HS256", "typ": "JWT", "crit": crit}));
            let signed = format!("{header}.{}", encoded(&json!({"sub": "ada"})));
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
            assert_eq!(check(&format!("{signed}.{signature}")).unwrap_err(), TokenError::Critical, "{crit}");
        }
    }

    #[test]
    fn a_token_with_a_changed_character_is_refused() {
        let token = signed(&json!({"sub": "ada"}));
        // The last character has unused bits, so changing it may result in the same bytes.
        for position in 0..token.len() - 1 {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            assert!(check(std::str::from_utf8(&bytes).unwrap()).is_err(), "position {position}");
        }
    }

    #[test]
    fn clock_skew_is_tolerated_for_nbf_but_not_for_exp() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let times = |claims: Value| Claims(claims.as_object().cloned().unwrap()).check_times(now);
        assert_eq!(times(json!({})), Ok(()));
        assert_eq!(times(json!({"exp": 1_000_001})), Ok(()));
        assert_eq!(times(json!({"exp": 1_000_000})), Err(TokenError::Expired));
        assert_eq!(times(json!({"exp": 999_999.5})), Err(TokenError::Expired));
        assert_eq!(times(json!({"exp": "later"})), Err(TokenError::BadTime));
        assert_eq!(times(json!({"nbf": 1_000_029})), Ok(()));
        assert_eq!(times(json!({"nbf": 1_000_031})), Err(TokenError::NotActive));
    }

    #[test]
    fn an_audience_may_be_a_string_or_an_array() {
        let claims = |aud: Value| Claims(json!({"aud": aud}).as_object().cloned().unwrap());
        assert!(claims(json!("a")).is_for("a") && claims(json!(["b", "a"])).is_for("a"));
        assert!(!claims(json!("ab")).is_for("a") && !claims(json!([["a"]])).is_for("a"));
        assert!(!claims(Value::Null).is_for("a"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_refused_without_a_panic(text in "\\PC*") {
            prop_assert!(check(&text).is_err());
        }

        #[test]
        fn three_arbitrary_parts_are_refused_without_a_panic(parts in prop::array::uniform3("[A-Za-z0-9_-]{0,40}")) {
            prop_assert!(check(&parts.join(".")).is_err());
        }
    }
}
