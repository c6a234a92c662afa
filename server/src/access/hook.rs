//! Tokens of the gallery's lifecycle hooks (docs/auth0/extension.md#lifecycle-hooks).

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;

use super::{Secrets, token};
use crate::config::TenantHost;
use crate::error::{Code, Error, Result};
use crate::store::Store;

/// How long a token without an expiry may delete something after its date of issue, seconds.
const LONGEST: f64 = 3600.0;

/// Checks hook tokens: HS256 with `EXTENSION_SECRET`, from our tenant, for one hook of this server.
pub(super) struct Hooks {
    issuer: String,
    base_url: String,
    keys: Vec<DecodingKey>,
    store: Store,
}

impl Hooks {
    pub(super) fn new((secret, previous): Secrets<'_>, tenant: &TenantHost, base_url: &str, store: Store) -> Self {
        Self {
            // Without the trailing slash that issuers have elsewhere (docs/auth0/extension.md#lifecycle-hooks).
            issuer: tenant.origin().to_owned(),
            base_url: base_url.to_owned(),
            keys: [Some(secret), previous]
                .into_iter()
                .flatten()
                .map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes()))
                .collect(),
            store,
        }
    }

    /// Checks the `Authorization` header of a hook.
    ///
    /// A token with an expiry works once. Auth0 does not document that hook tokens have one
    /// (docs/auth0/extension.md#lifecycle-hooks), and a token with neither expiry nor date of issue is the same at each
    /// call. So install and update, which delete nothing, accept a token without an expiry each time. A `destructive`
    /// hook accepts it once, and not later than [`LONGEST`] after its date of issue, where it names one.
    pub(super) async fn check(
        &self,
        authorization: Option<&str>,
        path: &str,
        destructive: bool,
        now: Timestamp,
    ) -> Result<()> {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| Error::new(Code::HookToken, format!("Hook token missing for the call to: {path}")))?;
        let invalid = || Error::new(Code::HookToken, "Invalid hook token");
        let claims = token::verify_with_any(token, &self.keys, Algorithm::HS256).map_err(|_| invalid())?;
        claims.check_times(now).map_err(|_| invalid())?;
        let ours = claims.text("iss") == Some(self.issuer.as_str());
        let for_this_hook = claims.is_for(&format!("{}{path}", self.base_url));
        if !ours || !for_this_hook {
            return Err(invalid());
        }
        let expires_at = claims.expiry();
        if expires_at.is_none() {
            if !destructive {
                return Ok(());
            }
            let seconds = now.as_second() as f64;
            let issued_long_ago = |issued: f64| issued > seconds + token::SKEW || issued < seconds - LONGEST;
            if claims.number("iat").is_some_and(issued_long_ago) {
                return Err(invalid().with_hint("The token of this hook is too old. Uninstall the extension again."));
            }
        }
        let first = self.store.use_token(&token::digest(token::signed_part(token)), expires_at, now).await?;
        if first { Ok(()) } else { Err(invalid().with_hint("Each hook token works once.")) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
