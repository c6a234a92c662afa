//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6).

use jiff::Timestamp;
use serde_json::Value;

use super::token::{Claims, SKEW};
use crate::error::{Code, Error, Result};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a logout token says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogoutToken {
    /// Names the token: each is accepted once.
    pub id: String,
    /// Whose sessions end.
    pub subject: Option<String>,
    /// Which session at the login tenant ended.
    pub sid: Option<String>,
}

/// Checks what distinguishes a logout token from other tokens. Signature, issuer and times were checked before.
pub(super) fn check(claims: &Claims, client_id: &str, now: Timestamp) -> Result<LogoutToken> {
    let invalid = |message: &str| Error::new(Code::LoginUnauthorized, message);
    if !claims.is_for(client_id) {
        return Err(invalid("The logout token is for another client."));
    }
    let issued = claims.number("iat").ok_or_else(|| invalid("The logout token has no iat."))?;
    if issued > now.as_second() as f64 + SKEW {
        return Err(invalid("The logout token was issued in the future."));
    }
    if claims.number("exp").is_none() {
        return Err(invalid("The logout token has no exp."));
    }
    let id = claims.text("jti").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| invalid("The logout token has no jti."))?;
    if !claims.0.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(invalid("The token is no logout token: its events do not name the logout."));
    }
    if claims.0.contains_key("nonce") {
        return Err(invalid("A logout token must not have a nonce."));
    }
    let some = |name: &str| claims.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (subject, sid) = (some("sub"), some("sid"));
    if subject.is_none() && sid.is_none() {
        return Err(invalid("The logout token names neither sub nor sid."));
    }
    Ok(LogoutToken { id: id.to_owned(), subject, sid })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_logout_token_needs_every_claim_of_the_standard() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let whole = json!({
            "iss": "https://acme.eu.auth0.com/", "aud": ["client"], "iat": now.as_second(),
            "exp": now.as_second() + 120, "jti": "1", "sub": "auth0|ada", "sid": "s", "events": {EVENT: {}},
        });
        let check = |value: &Value| check(&Claims(value.as_object().cloned().unwrap()), "client", now);
        let token = check(&whole).unwrap();
        assert_eq!((token.subject.as_deref(), token.sid.as_deref()), (Some("auth0|ada"), Some("s")));
        for (name, value) in [
            ("aud", json!("other")),
            ("iat", Value::Null),
            ("iat", json!(now.as_second() + 300)),
            ("exp", Value::Null),
            ("jti", json!("")),
            ("events", json!({})),
            ("events", json!({EVENT: true})),
            ("events", json!(EVENT)),
            ("nonce", json!("n")),
        ] {
            let mut changed = whole.clone();
            changed[name] = value;
            assert!(check(&changed).is_err(), "{changed}");
        }
        let mut unnamed = whole.clone();
        unnamed.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
        assert!(check(&unnamed).is_err());
    }
}
