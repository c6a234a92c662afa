//! Signing keys and tokens: RS256 with `kid`, a key set that can be rotated, and the checks of a Management API token
//! with Auth0's texts (docs/auth0/management-api.md#error-answers).

use std::sync::{Mutex, MutexGuard, PoisonError};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// One signing key.
struct SigningKey {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    jwk: Value,
    published: bool,
}

/// The tenant's signing keys; the last one signs.
pub(crate) struct Keys {
    keys: Mutex<State>,
}

struct State {
    keys: Vec<SigningKey>,
    /// Tokens of earlier generations are treated as expired.
    generation: u64,
}

/// The message of the 401 for a rejected token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) &'static str);

/// Errors of key generation and signing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error(transparent)]
    Generate(#[from] rcgen::Error),
    #[error(transparent)]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error(transparent)]
    Encode(#[from] serde_json::Error),
}

impl SigningKey {
    fn new() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let private = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?;
        let kid = hex(16);
        let key = Jwk::from_encoding_key(&private, Algorithm::RS256)?;
        let public = DecodingKey::from_jwk(&key)?;
        let mut jwk = serde_json::to_value(&key)?;
        jwk["kid"] = kid.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = "RS256".into();
        Ok(SigningKey { kid, private, public, jwk, published: true })
    }
}

impl Keys {
    pub(crate) fn new() -> Result<Self, KeyError> {
        Ok(Keys { keys: Mutex::new(State { keys: vec![SigningKey::new()?], generation: 0 }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs with a new key from now on; old keys stay published unless they are withdrawn.
    pub(crate) fn rotate(&self, withdraw: bool) -> Result<(), KeyError> {
        let key = SigningKey::new()?;
        let mut state = self.lock();
        if withdraw {
            for key in &mut state.keys {
                key.published = false;
            }
        }
        state.keys.push(key);
        Ok(())
    }

    /// Expires every token issued so far.
    pub(crate) fn expire_tokens(&self) {
        self.lock().generation += 1;
    }

    /// Returns the published keys.
    pub(crate) fn jwks(&self) -> Value {
        let state = self.lock();
        let keys: Vec<&Value> = state.keys.iter().filter(|key| key.published).map(|key| &key.jwk).collect();
        json!({"keys": keys})
    }

    /// Signs a token with these claims.
    pub(crate) fn sign(&self, mut claims: Value) -> Result<String, KeyError> {
        let state = self.lock();
        claims["jti"] = format!("{}.{}", state.generation, hex(16)).into();
        let key = state
            .keys
            .last()
            .ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)
            .map_err(jsonwebtoken::errors::Error::from)?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, &claims, &key.private)?)
    }

    /// Verifies an access token of this tenant at the time `now` (seconds). Returns its claims.
    pub(crate) fn verify(&self, token: &str, now: i64) -> Result<Value, Rejected> {
        const INVALID: Rejected = Rejected("Invalid token");
        let header = jsonwebtoken::decode_header(token).map_err(|_| INVALID)?;
        let state = self.lock();
        let kid = header.kid.ok_or(INVALID)?;
        let key = state
            .keys
            .iter()
            .find(|key| key.kid == kid)
            .ok_or(Rejected("Invalid signature received for JSON Web Token validation"))?;
        // Expiry follows the tenant's clock, not the machine's.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Value>(token, &key.public, &validation)
            .map_err(|_| Rejected("Invalid signature received for JSON Web Token validation"))?
            .claims;
        let generation = claims["jti"].as_str().and_then(|jti| jti.split_once('.')?.0.parse::<u64>().ok());
        if generation != Some(state.generation) || claims["exp"].as_i64().is_none_or(|exp| exp <= now) {
            return Err(Rejected("Expired token received for JSON Web Token validation"));
        }
        Ok(claims)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// `length` random hexadecimal digits.
pub(crate) fn hex(length: usize) -> String {
    const DIGITS: &[u8] = b"0123456789abcdef";
    pick(DIGITS, length)
}

/// `length` random letters and digits.
pub(crate) fn alphanumeric(length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    pick(ALPHABET, length)
}

fn pick(alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| alphabet.get(rand::random_range(0..alphabet.len())).copied().map_or('0', char::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_verify_until_they_expire_or_are_expired() {
        let keys = Keys::new().unwrap();
        let token = keys.sign(json!({"sub": "x", "exp": 100})).unwrap();
        assert_eq!(keys.verify(&token, 99).unwrap()["sub"], "x");
        let expired = Rejected("Expired token received for JSON Web Token validation");
        assert_eq!(keys.verify(&token, 100), Err(expired));
        keys.expire_tokens();
        assert!(keys.verify(&token, 0).is_err());
        assert_eq!(keys.verify("nonsense", 0), Err(Rejected("Invalid token")));
    }

    #[test]
    fn rotation_keeps_the_old_key_published_unless_it_is_withdrawn() {
        let keys = Keys::new().unwrap();
        let token = keys.sign(json!({"exp": 100})).unwrap();
        keys.rotate(false).unwrap();
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 2);
        assert!(keys.verify(&token, 0).is_ok());
        keys.rotate(true).unwrap();
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_token_of_another_tenant_has_an_invalid_signature() {
        let token = Keys::new().unwrap().sign(json!({"exp": 100})).unwrap();
        let rejected = Keys::new().unwrap().verify(&token, 0);
        assert_eq!(rejected, Err(Rejected("Invalid signature received for JSON Web Token validation")));
    }
}
