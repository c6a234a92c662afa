//! Checks the tokens of the login tenant.

use jiff::Timestamp;

use super::jwt;
use uie_auth0::Oidc;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Checks a token of the login tenant as both kinds of login do: format, key, RS256 signature, times and issuer
/// (docs/auth0/login.md#callback, steps 5 to 8). Returns its claims.
pub(super) async fn verify_login_token(oidc: &Oidc, token: &str, now: Timestamp) -> Result<jwt::Claims> {
    let unauthorized = |error: jwt::TokenError| Error::new(Code::LoginUnauthorized, error.message());
    let (header, _) = jwt::read(token).ok_or_else(undecodable_token)?;
    // Before the key is looked up, so that an invalid token causes no request.
    if header.alg != "RS256" {
        return Err(unauthorized(jwt::TokenError::Algorithm).with_hint(message!(
            "The login tenant has to sign its tokens with RS256: in the application's advanced settings under OAuth."
        )));
    }
    let key = oidc.signing_key(header.kid.as_deref()).await?;
    let claims = jwt::verify(token, &key, jsonwebtoken::Algorithm::RS256).map_err(unauthorized)?;
    claims.check_times(now).map_err(unauthorized)?;
    let issuer = oidc.host().issuer();
    if claims.text("iss") != Some(issuer.as_str()) {
        let found = claims.text("iss").unwrap_or("undefined");
        return Err(Error::new(Code::LoginUnauthorized, message!("Invalid issuer: {found}")));
    }
    Ok(claims)
}

/// The error for a text that is not a JWT (docs/auth0/login.md#callback, step 5; the wording is the original's).
pub(super) fn undecodable_token() -> Error {
    Error::new(Code::LoginValidation, message!("Unable to decoded the token."))
}
