//! Checks the tokens of the extensions gallery's lifecycle hooks (docs/auth0/extension.md#lifecycle-hooks).

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;

use super::jwt;
use super::secrets::Secrets;
use uie_core::config::TenantHost;
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_store::Store;

/// How many seconds after its date of issue a token without an expiry is accepted by a destructive hook.
const MAX_AGE_SECONDS: f64 = 3600.0;

/// Checks hook tokens: signed with `EXTENSION_SECRET` (HS256), issued by the tenant, for one hook of this server.
pub(super) struct HookTokens {
    issuer: String,
    base_url: String,
    keys: Vec<DecodingKey>,
    store: Store,
}

impl HookTokens {
    pub(super) fn new((secret, previous): Secrets<'_>, tenant: &TenantHost, base_url: &str, store: Store) -> Self {
        Self {
            // Unlike other issuers without a trailing slash (docs/auth0/extension.md#lifecycle-hooks).
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
    /// A token with an expiry is accepted once. Auth0 does not document that hook tokens have an expiry
    /// (docs/auth0/extension.md#lifecycle-hooks), and a token with neither expiry nor date of issue is the same at each
    /// call. So install and update, which delete nothing, always accept a token without an expiry. A `destructive` hook
    /// accepts it once, and at most [`MAX_AGE_SECONDS`] after its date of issue, if it has one.
    ///
    /// Fails with [`Code::HookToken`].
    pub(super) async fn check(
        &self,
        authorization: Option<&str>,
        path: &str,
        destructive: bool,
        now: Timestamp,
    ) -> Result<()> {
        let token = authorization.and_then(|header| header.strip_prefix("Bearer ")).filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| Error::new(Code::HookToken, message!("Hook token missing for the call to: {path}")))?;
        let invalid = || Error::new(Code::HookToken, message!("Invalid hook token"));
        let claims = jwt::verify_with_any(token, &self.keys, Algorithm::HS256).map_err(|_| invalid())?;
        claims.check_times(now).map_err(|_| invalid())?;
        let from_tenant = claims.text("iss") == Some(self.issuer.as_str());
        let for_this_hook = claims.is_for(&format!("{}{path}", self.base_url));
        if !from_tenant || !for_this_hook {
            return Err(invalid());
        }
        let expires_at = claims.expiry();
        if expires_at.is_none() {
            if !destructive {
                return Ok(());
            }
            let seconds = now.as_second() as f64;
            let is_out_of_range =
                |issued: f64| issued > seconds + jwt::CLOCK_SKEW_SECONDS || issued < seconds - MAX_AGE_SECONDS;
            if claims.number("iat").is_some_and(is_out_of_range) {
                let hint = message!("The token of this hook is too old. Uninstall the extension again.");
                return Err(invalid().with_hint(hint));
            }
        }
        let is_first_use = self.store.use_token(&jwt::digest(jwt::signed_part(token)), expires_at, now).await?;
        if is_first_use { Ok(()) } else { Err(invalid().with_hint(message!("Each hook token works once."))) }
    }
}

impl fmt::Debug for HookTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
