//! Tokens of the gallery's lifecycle hooks (docs/auth0/extension.md#lifecycle-hooks).

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;

use super::{Secrets, token};
use crate::config::TenantHost;
use crate::error::{Code, Error, Result};

/// Checks hook tokens: HS256 with `EXTENSION_SECRET`, from our tenant, for one hook of this server.
pub(super) struct Hooks {
    issuer: String,
    base_url: String,
    keys: Vec<DecodingKey>,
}

impl Hooks {
    pub(super) fn new((secret, previous): Secrets<'_>, tenant: &TenantHost, base_url: &str) -> Self {
        Self {
            // Without the trailing slash that issuers have elsewhere (docs/auth0/extension.md#lifecycle-hooks).
            issuer: tenant.origin().to_owned(),
            base_url: base_url.to_owned(),
            keys: [Some(secret), previous]
                .into_iter()
                .flatten()
                .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes()))
                .collect(),
        }
    }

    pub(super) fn check(&self, authorization: Option<&str>, path: &str, now: Timestamp) -> Result<()> {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| Error::new(Code::HookToken, format!("Hook token missing for the call to: {path}")))?;
        let invalid = || Error::new(Code::HookToken, "Invalid hook token");
        let claims = token::verify_with_any(token, &self.keys, Algorithm::HS256).map_err(|_| invalid())?;
        claims.check_times(now).map_err(|_| invalid())?;
        let ours = claims.text("iss") == Some(self.issuer.as_str());
        let for_this_hook = claims.is_for(&format!("{}{path}", self.base_url));
        if ours && for_this_hook { Ok(()) } else { Err(invalid()) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
