//! JSON Web Tokens: reading them, checking signature and times, and the original's messages for invalid ones
//! (docs/auth0/login.md#callback, step 7; docs/auth0/login.md#bearer-tokens-and-error-answers).
//!
//! Claims are checked here and not by the library, because the original defines the order of the checks and their
//! messages.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest as hash};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::seal::hex;

/// How far another machine's clock may be ahead of ours, seconds: for `nbf` and `iat`. An expired
/// token gets no such grace.
pub(super) const SKEW: f64 = 30.0;

/// The header of a token, read before anything is trusted.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Header {
    /// The algorithm the token claims for itself.
    #[serde(default)]
    pub alg: String,
    /// The name of the key it claims to be signed with.
    #[serde(default)]
    pub kid: Option<String>,
    /// Whether there is a `crit` parameter, of whatever value. No extension is understood here, so that each token
    /// with it must be refused (RFC 7515, 4.1.11).
    #[serde(default, deserialize_with = "present")]
    pub crit: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// What is wrong with a token. [`TokenFault::text`] is the message of the original's libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenFault {
    Malformed,
    Unsigned,
    Algorithm,
    Critical,
    Signature,
    NotActive,
    Expired,
    BadTime,
}

impl TokenFault {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Malformed => "jwt malformed",
            Self::Unsigned => "jwt signature is required",
            Self::Algorithm => "invalid algorithm",
            Self::Critical => "jwt header parameter crit is not supported",
            Self::Signature => "invalid signature",
            Self::NotActive => "jwt not active",
            Self::Expired => "jwt expired",
            Self::BadTime => "invalid exp value",
        }
    }
}

/// The claims of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(pub Map<String, Value>);

impl Claims {
    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A claim that is a number, as all dates are (RFC 7519, NumericDate).
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// Whether `aud` is this audience or lists it.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        }
    }

    /// When the token ends (`exp`), rounded up to a second; none where it has no end. A date beyond the calendar is its
    /// last moment.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        self.number("exp").map(|end| Timestamp::from_second(end.ceil() as i64).unwrap_or(Timestamp::MAX))
    }

    /// Checks `nbf` and `exp` where they are present.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<(), TokenFault> {
        let now = now.as_millisecond() as f64 / 1000.0;
        if self.0.contains_key("nbf") && self.number("nbf").ok_or(TokenFault::BadTime)? > now + SKEW {
            return Err(TokenFault::NotActive);
        }
        if self.0.contains_key("exp") && self.number("exp").ok_or(TokenFault::BadTime)? <= now {
            return Err(TokenFault::Expired);
        }
        Ok(())
    }
}

/// The part of a token that its signature covers. Unlike the signature, whose last character may be spelt in
/// several ways, it cannot be changed, so that a token is recognized by it.
pub(super) fn signed_part(token: &str) -> &str {
    token.rsplit_once('.').map_or(token, |(signed, _)| signed)
}

/// SHA-256 of a text, in hexadecimal: what is stored of a token that was used.
pub(super) fn digest(text: &str) -> String {
    hex(hash(&SHA256, text.as_bytes()).as_ref())
}

/// Reads a token without trusting it.
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

/// [`verify`] with one of several keys, as while a new key takes the place of an old one.
pub(super) fn verify_with_any(token: &str, keys: &[DecodingKey], algorithm: Algorithm) -> Result<Claims, TokenFault> {
    let mut outcome = Err(TokenFault::Signature);
    for key in keys {
        outcome = verify(token, key, algorithm);
        if !matches!(outcome, Err(TokenFault::Signature)) {
            break;
        }
    }
    outcome
}

/// Checks that a token was signed with this key by this algorithm and no other; says nothing about
/// its claims.
pub(super) fn verify(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, TokenFault> {
    let (header, _) = read(token).ok_or(TokenFault::Malformed)?;
    if token.ends_with('.') {
        return Err(TokenFault::Unsigned);
    }
    if header.alg != format!("{algorithm:?}") {
        return Err(TokenFault::Algorithm);
    }
    if header.crit {
        return Err(TokenFault::Critical);
    }
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false;
    validation.validate_aud = false;
    match jsonwebtoken::decode(token, key, &validation) {
        Ok(data) => Ok(Claims(data.claims)),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => TokenFault::Signature,
            ErrorKind::InvalidAlgorithm => TokenFault::Algorithm,
            _ => TokenFault::Malformed,
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

    fn check(token: &str) -> Result<Claims, TokenFault> {
        verify(token, &DecodingKey::from_secret(SECRET), Algorithm::HS256)
    }

    fn encoded(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn a_signed_token_is_accepted_without_any_claim() {
        assert!(check(&signed(&json!({}))).is_ok());
    }

    #[test]
    fn algorithm_none_is_refused() {
        let body = encoded(&json!({"sub": "ada"}));
        for alg in ["none", "None", "NONE", ""] {
            let header = encoded(&json!({"alg": alg, "typ": "JWT"}));
            assert_eq!(check(&format!("{header}.{body}.")).unwrap_err(), TokenFault::Unsigned);
            assert_eq!(check(&format!("{header}.{body}.AAAA")).unwrap_err(), TokenFault::Algorithm);
        }
    }

    #[test]
    fn only_the_pinned_algorithm_is_accepted() {
        let header = jsonwebtoken::Header::new(Algorithm::HS512);
        let token = jsonwebtoken::encode(&header, &json!({}), &EncodingKey::from_secret(SECRET)).unwrap();
        assert_eq!(check(&token).unwrap_err(), TokenFault::Algorithm);
    }

    #[test]
    fn a_critical_header_parameter_is_refused() {
        let key = EncodingKey::from_secret(SECRET);
        for crit in [json!(["exp"]), json!(["b64"]), json!([]), Value::Null, json!("exp")] {
            let header = encoded(&json!({"alg": "HS256", "typ": "JWT", "crit": crit}));
            let signed = format!("{header}.{}", encoded(&json!({"sub": "ada"})));
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
            assert_eq!(check(&format!("{signed}.{signature}")).unwrap_err(), TokenFault::Critical, "{crit}");
        }
    }

    #[test]
    fn every_changed_character_breaks_the_token() {
        let token = signed(&json!({"sub": "ada"}));
        // The last character carries unused bits, so a change there may mean the same bytes.
        for position in 0..token.len() - 1 {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            assert!(check(std::str::from_utf8(&bytes).unwrap()).is_err(), "position {position}");
        }
    }

    #[test]
    fn times_are_checked_with_a_small_skew_for_the_beginning_only() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let times = |claims: Value| Claims(claims.as_object().cloned().unwrap()).check_times(now);
        assert_eq!(times(json!({})), Ok(()));
        assert_eq!(times(json!({"exp": 1_000_001})), Ok(()));
        assert_eq!(times(json!({"exp": 1_000_000})), Err(TokenFault::Expired));
        assert_eq!(times(json!({"exp": 999_999.5})), Err(TokenFault::Expired));
        assert_eq!(times(json!({"exp": "later"})), Err(TokenFault::BadTime));
        assert_eq!(times(json!({"nbf": 1_000_029})), Ok(()));
        assert_eq!(times(json!({"nbf": 1_000_031})), Err(TokenFault::NotActive));
    }

    #[test]
    fn an_audience_may_stand_alone_or_in_a_list() {
        let claims = |aud: Value| Claims(json!({"aud": aud}).as_object().cloned().unwrap());
        assert!(claims(json!("a")).is_for("a") && claims(json!(["b", "a"])).is_for("a"));
        assert!(!claims(json!("ab")).is_for("a") && !claims(json!([["a"]])).is_for("a"));
        assert!(!claims(Value::Null).is_for("a"));
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes(text in "\\PC*") {
            prop_assert!(check(&text).is_err());
        }

        #[test]
        fn no_three_parts_panic_or_pass(parts in prop::array::uniform3("[A-Za-z0-9_-]{0,40}")) {
            prop_assert!(check(&parts.join(".")).is_err());
        }
    }
}
