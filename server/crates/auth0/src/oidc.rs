//! The OpenID provider of a login tenant: its signing keys, and the exchange of an authorization code
//! (docs/auth0/login.md#callback, step 6; RFC 7517; RFC 6749, 4.1.3).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use uie_core::config::{ClientCredentials, TenantHost};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Maximum number of fetches of the key set within [`FETCH_WINDOW`], regardless of how many tokens with unknown keys
/// are received (docs/auth0/login.md#callback, step 6).
const MAX_FETCHES: usize = 10;

/// Period to which [`MAX_FETCHES`] applies.
const FETCH_WINDOW: Duration = Duration::from_mins(1);

/// Time after which the key set is fetched again, so that a withdrawn key does not stay trusted.
const KEY_SET_TTL: Duration = Duration::from_mins(10);

/// Timeout of a request; short, because a user waits in the browser.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a response in bytes; key sets and token responses have a few kilobytes.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// A tenant as an OpenID provider.
pub struct Oidc {
    host: TenantHost,
    http: reqwest::Client,
    keys: RwLock<Keys>,
    fetches: Mutex<VecDeque<Instant>>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, Arc<DecodingKey>>,
    read_at: Option<Instant>,
}

impl Keys {
    fn is_fresh(&self, now: Instant) -> bool {
        self.read_at.is_some_and(|read_at| now.saturating_duration_since(read_at) < KEY_SET_TTL)
    }
}

impl Oidc {
    /// Creates a provider without sending a request.
    pub fn new(host: &TenantHost) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT / 2)
            // Neither keys nor codes may come from or go to another host.
            .redirect(Policy::none())
            .user_agent(concat!("user-import-export/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(Code::Internal, message!("The HTTP client cannot be built: {error}")))?;
        Ok(Self { host: host.clone(), http, keys: RwLock::default(), fetches: Mutex::default() })
    }

    /// Returns the host of the tenant.
    pub fn host(&self) -> &TenantHost {
        &self.host
    }

    /// Returns the signing key with this id.
    ///
    /// Fetches the key set again if the key is unknown, because tenants rotate their keys, but at most ten times a
    /// minute. Fails with [`Code::LoginUnauthorized`] if the tenant has no such key and with
    /// [`Code::LoginUnavailable`] if the key set cannot be fetched.
    pub async fn signing_key(&self, id: Option<&str>) -> Result<Arc<DecodingKey>> {
        self.signing_key_at(id, Instant::now).await
    }

    /// Like [`Oidc::signing_key`], with a clock that tests can set.
    pub(super) async fn signing_key_at(
        &self,
        id: Option<&str>,
        clock: impl Fn() -> Instant,
    ) -> Result<Arc<DecodingKey>> {
        let Some(id) = id else {
            let message = message!("The token does not name the key that signed it (kid).");
            return Err(Error::new(Code::LoginUnauthorized, message));
        };
        if let Some(key) = self.cached_key(id, clock()) {
            return Ok(key);
        }
        // One fetch at a time. Requests that waited for the lock find its result.
        let mut fetches = self.fetches.lock().await;
        let now = clock();
        if let Some(key) = self.cached_key(id, now) {
            return Ok(key);
        }
        while fetches.front().is_some_and(|fetch| now.duration_since(*fetch) >= FETCH_WINDOW) {
            fetches.pop_front();
        }
        if fetches.len() < MAX_FETCHES {
            fetches.push_back(now);
            let by_id = self.fetch_keys().await?;
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { by_id, read_at: Some(now) };
        } else if !self.has_fresh_keys(now) {
            let url = self.host.url(KEYS_PATH);
            let message = message!("{url} returned no keys, and was requested too often.");
            return Err(Error::new(Code::LoginUnavailable, message));
        }
        self.cached_key(id, now).ok_or_else(|| {
            // The id is untrusted input; truncate it.
            let id: String = id.chars().take(64).collect();
            Error::new(Code::LoginUnauthorized, message!("Unable to find a signing key that matches '{id}'"))
        })
    }

    fn has_fresh_keys(&self, now: Instant) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).is_fresh(now)
    }

    fn cached_key(&self, id: &str, now: Instant) -> Option<Arc<DecodingKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.is_fresh(now) { keys.by_id.get(id).cloned() } else { None }
    }

    async fn fetch_keys(&self) -> Result<HashMap<String, Arc<DecodingKey>>> {
        let url = self.host.url(KEYS_PATH);
        let response = self.http.get(&url).send().await.map_err(|error| unreachable_error(&url, &error))?;
        let status = response.status();
        let body = read_body(&url, response).await?;
        if !status.is_success() {
            return Err(Error::new(Code::LoginUnavailable, message!("{url} answered {status}.")));
        }
        signing_keys(&body)
            .map_err(|error| Error::new(Code::LoginUnavailable, message!("{url} is not a key set: {error}")))
    }

    /// Exchanges an authorization code for the id_token (RFC 6749, 4.1.3; RFC 7636, 4.5).
    ///
    /// Fails with [`Code::LoginUnauthorized`] if the tenant refuses the code, and with [`Code::LoginUnavailable`] if it
    /// does not answer or does not accept this server's client credentials.
    pub async fn exchange_code(
        &self,
        client: &ClientCredentials,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<SecretString> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: Option<SecretString>,
        }
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
            error_description: Option<String>,
        }
        let url = self.host.url("/oauth/token");
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &client.id),
            ("client_secret", client.secret.expose_secret()),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let response =
            self.http.post(&url).form(&form).send().await.map_err(|error| unreachable_error(&url, &error))?;
        let status = response.status();
        let body = read_body(&url, response).await?;
        if status.is_success() {
            let tokens: Option<Tokens> = serde_json::from_slice(&body).ok();
            return tokens
                .and_then(|tokens| tokens.id_token)
                .ok_or_else(|| Error::new(Code::LoginUnavailable, message!("{url} answered without an id_token.")));
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        Err(match refusal {
            Some(refusal) if refusal.error == "invalid_grant" => {
                let reason = describe_oauth_error(&refusal.error, refusal.error_description.as_deref());
                let message = message!("The login tenant refused the authorization code: {reason}");
                Error::new(Code::LoginUnauthorized, message)
            }
            Some(refusal) if status.is_client_error() => {
                let reason = describe_oauth_error(&refusal.error, refusal.error_description.as_deref());
                let message = message!("{url} answered {status}: {reason}");
                Error::new(Code::LoginUnavailable, message).with_hint(message!(
                    "Check LOGIN_CLIENT_ID and LOGIN_CLIENT_SECRET, and that the application is a Regular Web \
                     Application with this server's /login/callback among its Allowed Callback URLs."
                ))
            }
            _ => Error::new(Code::LoginUnavailable, message!("{url} answered {status}.")),
        })
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Path of a tenant's key set.
const KEYS_PATH: &str = "/.well-known/jwks.json";

/// Returns the keys of a key set (RFC 7517) that may sign with RS256, by id. Keys of unknown kinds are skipped.
pub fn signing_keys(set: &[u8]) -> serde_json::Result<HashMap<String, Arc<DecodingKey>>> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Value>,
    }
    let set: KeySet = serde_json::from_slice(set)?;
    Ok(set.keys.into_iter().filter_map(rsa_key).collect())
}

/// Returns the id and the key of an entry of a key set; `None` if it may not sign with RS256.
fn rsa_key(entry: Value) -> Option<(String, Arc<DecodingKey>)> {
    let key: Jwk = serde_json::from_value(entry).ok()?;
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let rs256 = matches!(key.common.key_algorithm, None | Some(KeyAlgorithm::RS256));
    let AlgorithmParameters::RSA(rsa) = &key.algorithm else { return None };
    let decoding = DecodingKey::from_rsa_components(&rsa.n, &rsa.e).ok()?;
    let id = key.common.key_id.filter(|_| signs && rs256)?;
    Some((id, Arc::new(decoding)))
}

/// Formats an OAuth error response.
fn describe_oauth_error(error: &str, description: Option<&str>) -> String {
    description.map_or_else(|| error.to_owned(), |description| format!("{error}: {description}"))
}

fn unreachable_error(url: &str, error: &reqwest::Error) -> Error {
    let message = if error.is_timeout() {
        message!("{url} cannot be reached: no answer in time.")
    } else {
        message!("{url} cannot be reached: no connection.")
    };
    Error::new(Code::LoginUnavailable, message)
}

async fn read_body(url: &str, mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_error(url, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            let message = message!("{url} answered more than {limit} bytes.", limit = MAX_BODY_BYTES);
            return Err(Error::new(Code::LoginUnavailable, message));
        }
    }
    Ok(body)
}
