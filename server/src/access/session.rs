//! Session tokens: HS256 with the raw bytes of `EXTENSION_SECRET` (docs/auth0/login.md#session-token,
//! docs/auth0/login.md#bearer-tokens-and-error-answers; docs/decisions/0012-session-token-of-the-extension.md).

use std::fmt;

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::token::{self, Claims};
use super::{SESSION_AUDIENCE, Secrets, Session};
use crate::error::{Code, Error, Result};
use crate::seal::{Sealer, hex, random};

/// No session lasts longer, whatever the login tenant says: the lifetime asked for at login
/// (docs/auth0/login.md#start-of-a-login).
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(10);

/// What Management API tokens inside session tokens are sealed for.
const PURPOSE: &str = "session access token";

/// The person a session is for.
pub(super) struct Person<'a> {
    /// Claims of the checked id_token.
    pub claims: &'a Claims,
    /// The admin's Management API token, where the login gave one.
    pub access_token: Option<&'a str>,
}

/// Issues and checks session tokens.
pub(super) struct Sessions {
    issuer: String,
    signing: EncodingKey,
    checking: Vec<DecodingKey>,
    sealer: Sealer,
}

impl Sessions {
    pub(super) fn new((secret, previous): Secrets<'_>, issuer: &str) -> Result<Self> {
        let bytes = |secret: &SecretString| secret.expose_secret().as_bytes().to_vec();
        let checking = [Some(secret), previous].into_iter().flatten();
        Ok(Self {
            issuer: issuer.to_owned(),
            signing: EncodingKey::from_secret(&bytes(secret)),
            checking: checking.map(|secret| DecodingKey::from_secret(&bytes(secret))).collect(),
            sealer: Sealer::new(secret, PURPOSE)?.with_previous(previous, PURPOSE)?,
        })
    }

    /// A session, and its token, for a person whose tokens were checked. It ends with the id_token,
    /// after ten hours at the latest.
    pub(super) fn issue(&self, person: &Person<'_>, now: Timestamp) -> Result<(SecretString, Session)> {
        let invalid = |message: &str| Error::new(Code::LoginUnauthorized, message);
        let subject = person.claims.text("sub").ok_or_else(|| invalid("The id_token names no subject (sub)."))?;
        let end = person.claims.number("exp").ok_or_else(|| invalid("The id_token has no expiry (exp)."))?;
        let end = (end as i64).min(now.as_second() + LONGEST.as_secs());
        let expires_at = Timestamp::from_second(end).map_err(|_| invalid("The id_token's expiry (exp) is no date."))?;
        let id = hex(&random::<16>()?);
        let mut claims = Map::new();
        claims.insert("sub".into(), subject.into());
        for name in ["email", "name"] {
            if let Some(value) = person.claims.text(name) {
                claims.insert(name.into(), value.into());
            }
        }
        if let Some(access_token) = person.access_token {
            claims.insert("access_token".into(), self.sealer.seal(&id, access_token)?.into());
        }
        claims.insert("exp".into(), end.into());
        claims.insert("iat".into(), now.as_second().into());
        claims.insert("iss".into(), self.issuer.as_str().into());
        claims.insert("aud".into(), SESSION_AUDIENCE.into());
        claims.insert("jti".into(), id.as_str().into());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &Value::Object(claims), &self.signing)
            .map_err(|_| Error::new(Code::Internal, "The session token cannot be signed."))?;
        let session = Session {
            subject: subject.to_owned(),
            email: person.claims.text("email").map(str::to_owned),
            expires_at,
            id,
            access_token: person.access_token.map(SecretString::from),
        };
        Ok((SecretString::from(token), session))
    }

    /// Checks the `Authorization` header of an API request, in the order and with the messages of
    /// docs/auth0/login.md#bearer-tokens-and-error-answers.
    pub(super) fn check(&self, authorization: Option<&str>, now: Timestamp) -> Result<Session> {
        let token = bearer(authorization)?;
        let invalid = |message: &str| Error::new(Code::InvalidToken, message);
        let claims =
            token::verify_with_any(token, &self.checking, Algorithm::HS256).map_err(|fault| invalid(fault.text()))?;
        claims.check_times(now).map_err(|fault| invalid(fault.text()))?;
        if !claims.is_for(SESSION_AUDIENCE) {
            return Err(invalid(&format!("jwt audience invalid. expected: {SESSION_AUDIENCE}")));
        }
        if claims.text("iss") != Some(self.issuer.as_str()) {
            return Err(invalid(&format!("jwt issuer invalid. expected: {}", self.issuer)));
        }
        // Beyond the original: a token of ours always ends and names somebody.
        let expires_at = claims
            .number("exp")
            .and_then(|seconds| Timestamp::from_second(seconds as i64).ok())
            .ok_or_else(|| invalid("jwt has no expiry"))?;
        let subject = claims.text("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| invalid("jwt names no subject"))?;
        let id = claims
            .text("jti")
            .map_or_else(|| hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref()), str::to_owned);
        // What does not open was not put there by a login. The session still names its person, but it
        // gets no Management API token.
        let access_token = claims.text("access_token").and_then(|sealed| self.sealer.open(&id, sealed));
        Ok(Session {
            subject: subject.to_owned(),
            email: claims.text("email").map(str::to_owned),
            expires_at,
            id,
            access_token,
        })
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The token of an `Authorization` header. The scheme's case is free (RFC 9110, 11.1).
fn bearer(authorization: Option<&str>) -> Result<&str> {
    let none = || Error::new(Code::CredentialsRequired, "No authorization token was found");
    let header = authorization.ok_or_else(none)?;
    let mut parts = header.split(' ');
    let (Some(scheme), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::new(Code::CredentialsBadFormat, "Format is Authorization: Bearer [token]"));
    };
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Error::new(Code::CredentialsBadScheme, "Format is Authorization: Bearer [token]"));
    }
    if token.is_empty() { Err(none()) } else { Ok(token) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "https://tools.example/ext";
    const SECRET: &str = "0123456789abcdef";

    fn sessions() -> Sessions {
        Sessions::new((&SecretString::from(SECRET), None), BASE).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn claims(value: Value) -> Claims {
        let Value::Object(map) = value else { panic!("claims are an object") };
        Claims(map)
    }

    fn issue(id_token: Value, access_token: Option<&str>) -> Result<String> {
        let claims = claims(id_token);
        let person = Person { claims: &claims, access_token };
        let (token, issued) = sessions().issue(&person, now())?;
        let checked = check(token.expose_secret())?;
        assert_eq!((issued.subject, issued.id), (checked.subject, checked.id));
        assert_eq!((issued.email, issued.expires_at), (checked.email, checked.expires_at));
        Ok(token.expose_secret().to_owned())
    }

    fn admin() -> Value {
        json!({"sub": "auth0|ada", "email": "ada@example.com", "exp": now().as_second() + 3600})
    }

    fn check(token: &str) -> Result<Session> {
        sessions().check(Some(&format!("Bearer {token}")), now())
    }

    fn mint(claims: &Value, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    #[test]
    fn a_session_gives_back_who_signed_in() {
        let session = check(&issue(admin(), Some("management token")).unwrap()).unwrap();
        assert_eq!((session.subject.as_str(), session.email.as_deref()), ("auth0|ada", Some("ada@example.com")));
        assert_eq!(session.expires_at.as_second(), now().as_second() + 3600);
        assert_eq!(session.access_token.unwrap().expose_secret(), "management token");
        assert_eq!(session.id.len(), 32);
    }

    #[test]
    fn a_session_token_has_the_claims_of_the_contract_and_hides_the_management_token() {
        let token = issue(admin(), Some("management-token")).unwrap();
        let (header, claims) = token::read(&token).unwrap();
        assert_eq!(header.alg, "HS256");
        assert_eq!((claims.text("iss"), claims.text("aud")), (Some(BASE), Some(SESSION_AUDIENCE)));
        assert_eq!(claims.number("iat"), Some(now().as_second() as f64));
        assert!(!Value::Object(claims.0).to_string().contains("management-token"));
    }

    #[test]
    fn no_session_lasts_longer_than_ten_hours() {
        let token = issue(json!({"sub": "ada", "exp": 9_000_000_000_i64}), None).unwrap();
        assert_eq!(check(&token).unwrap().expires_at.as_second(), now().as_second() + 36_000);
    }

    #[test]
    fn a_clock_that_is_put_back_ends_no_session_early_and_none_later_than_it_says() {
        let header = format!("Bearer {}", issue(admin(), Some("management token")).unwrap());
        let end = now() + SignedDuration::from_secs(3600);
        let check = |at: Timestamp| sessions().check(Some(&header), at);
        for at in [now() - SignedDuration::from_hours(24 * 365), Timestamp::UNIX_EPOCH, Timestamp::MIN] {
            let session = check(at).unwrap();
            assert_eq!(session.expires_at, end, "the end stays what it was");
        }
        for at in [end, Timestamp::MAX] {
            assert_eq!(check(at).unwrap_err().message, "jwt expired");
        }
        check(end - SignedDuration::from_secs(1)).expect("right again, the clock ends it when it should end");
        // A login while the clock is wrong: ten hours by that clock, or until the id_token ends.
        for at in [Timestamp::MIN, Timestamp::UNIX_EPOCH, now() - SignedDuration::from_hours(30)] {
            let person = claims(admin());
            let (_, session) = sessions().issue(&Person { claims: &person, access_token: None }, at).unwrap();
            assert_eq!(session.expires_at.as_second(), at.as_second() + 36_000);
        }
        let person = claims(admin());
        let person = Person { claims: &person, access_token: None };
        assert_eq!(sessions().issue(&person, Timestamp::MAX).unwrap().1.expires_at, end);
    }

    #[test]
    fn an_id_token_without_subject_or_expiry_opens_no_session() {
        assert!(issue(json!({"exp": 9_000_000_000_i64}), None).is_err());
        assert!(issue(json!({"sub": "ada"}), None).is_err());
    }

    #[test]
    fn a_token_minted_elsewhere_with_the_same_secret_is_a_session_without_management_token() {
        let plain = json!({
            "sub": "ada", "email": "ada@example.com", "iss": BASE, "aud": SESSION_AUDIENCE,
            "exp": now().as_second() + 60, "iat": now().as_second(), "access_token": "plain text",
        });
        let token = mint(&plain, SECRET);
        let session = check(&token).unwrap();
        assert!(session.access_token.is_none());
        assert!(!session.id.is_empty() && !token.contains(&session.id));
        assert_eq!(check(&token).unwrap().id, session.id, "a session keeps its name");
    }

    #[test]
    fn a_session_of_before_a_new_secret_stays_good_while_the_old_one_is_accepted() {
        let token = issue(admin(), Some("management token")).unwrap();
        let header = format!("Bearer {token}");
        let (new, old) = (SecretString::from("another secret of the server"), SecretString::from(SECRET));
        let both = Sessions::new((&new, Some(&old)), BASE).unwrap();
        let session = both.check(Some(&header), now()).unwrap();
        assert_eq!(session.access_token.unwrap().expose_secret(), "management token");
        let only_new = Sessions::new((&new, None), BASE).unwrap();
        assert_eq!(only_new.check(Some(&header), now()).unwrap_err().message, "invalid signature");
        let claims = claims(admin());
        let (issued, _) = both.issue(&Person { claims: &claims, access_token: None }, now()).unwrap();
        let header = format!("Bearer {}", issued.expose_secret());
        only_new.check(Some(&header), now()).expect("new sessions are signed with the new secret");
    }

    #[test]
    fn a_sealed_management_token_moves_to_no_other_session() {
        let token = issue(admin(), Some("management token")).unwrap();
        let (_, mut claims) = token::read(&token).unwrap();
        claims.0.insert("jti".into(), "another".into());
        assert!(check(&mint(&Value::Object(claims.0), SECRET)).unwrap().access_token.is_none());
    }

    #[test]
    fn tokens_of_others_are_refused_with_the_texts_of_the_contract() {
        let valid = json!({"sub": "ada", "iss": BASE, "aud": SESSION_AUDIENCE, "exp": now().as_second() + 60});
        let with = |name: &str, value: Value| {
            let mut claims = valid.clone();
            claims[name] = value;
            mint(&claims, SECRET)
        };
        check(&mint(&valid, SECRET)).unwrap();
        for (token, text) in [
            (with("exp", json!(now().as_second())), "jwt expired"),
            (with("nbf", json!(now().as_second() + 300)), "jwt not active"),
            (with("aud", json!("urn:other")), "jwt audience invalid. expected: urn:user-import-export-extension"),
            (with("iss", json!("https://other.example")), "jwt issuer invalid. expected: https://tools.example/ext"),
            (with("exp", Value::Null), "invalid exp value"),
            (with("sub", json!("")), "jwt names no subject"),
            (mint(&valid, "fedcba9876543210"), "invalid signature"),
            ("abc".to_owned(), "jwt malformed"),
            ("a.b.c".to_owned(), "jwt malformed"),
        ] {
            let error = check(&token).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (Code::InvalidToken, text));
        }
    }

    #[test]
    fn the_authorization_header_is_read_as_the_contract_says() {
        for (header, code) in [
            (None, Code::CredentialsRequired),
            (Some("Bearer "), Code::CredentialsRequired),
            (Some("Bearer"), Code::CredentialsBadFormat),
            (Some(""), Code::CredentialsBadFormat),
            (Some("Bearer a b"), Code::CredentialsBadFormat),
            (Some("Basic abc"), Code::CredentialsBadScheme),
            (Some("bearer abc"), Code::InvalidToken),
        ] {
            assert_eq!(sessions().check(header, now()).unwrap_err().code, code, "{header:?}");
        }
    }
}
