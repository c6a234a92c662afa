//! Validates logout tokens (OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6).

use jiff::Timestamp;
use serde_json::Value;

use super::jwt::{CLOCK_SKEW_SECONDS, Claims};
use uie_core::error::{Code, Error, Result};
use uie_core::message::{Message, message};

/// The member of `events` that identifies a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The claims of a logout token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogoutToken {
    /// Id of the token (`jti`); each is accepted once.
    pub id: String,
    /// Subject whose sessions end.
    pub subject: Option<String>,
    /// Id of the session at the login tenant that ended.
    pub sid: Option<String>,
}

/// Checks the claims that distinguish a logout token from other tokens. The caller has checked signature, issuer and
/// times. Fails with [`Code::LoginUnauthorized`].
pub(super) fn check(claims: &Claims, client_id: &str, now: Timestamp) -> Result<LogoutToken> {
    let invalid = |message: Message| Error::new(Code::LoginUnauthorized, message);
    if !claims.is_for(client_id) {
        return Err(invalid(message!("The logout token is for another client.")));
    }
    let issued = claims.number("iat").ok_or_else(|| invalid(message!("The logout token has no iat.")))?;
    if issued > now.as_second() as f64 + CLOCK_SKEW_SECONDS {
        return Err(invalid(message!("The logout token was issued in the future.")));
    }
    if claims.number("exp").is_none() {
        return Err(invalid(message!("The logout token has no exp.")));
    }
    let id = claims.text("jti").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| invalid(message!("The logout token has no jti.")))?;
    if !claims.0.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(invalid(message!(
            "The token is not a logout token: its claim `events` does not contain the logout event."
        )));
    }
    if claims.0.contains_key("nonce") {
        return Err(invalid(message!("A logout token must not have a nonce.")));
    }
    let text = |name: &str| claims.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (subject, sid) = (text("sub"), text("sid"));
    if subject.is_none() && sid.is_none() {
        return Err(invalid(message!("The logout token names neither sub nor sid.")));
    }
    Ok(LogoutToken { id: id.to_owned(), subject, sid })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_logout_token_needs_every_required_claim() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let complete = json!({
            "iss": "https://acme.eu.auth0.com/", "aud": ["client"], "iat": now.as_second(),
            "exp": now.as_second() + 120, "jti": "1", "sub": "auth0|ada", "sid": "s", "events": {EVENT: {}},
        });
        let check = |value: &Value| check(&Claims(value.as_object().cloned().unwrap()), "client", now);
        let token = check(&complete).unwrap();
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
            let mut changed = complete.clone();
            changed[name] = value;
            assert!(check(&changed).is_err(), "{changed}");
        }
        let mut without_subject = complete.clone();
        without_subject.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
        assert!(check(&without_subject).is_err());
    }
}
