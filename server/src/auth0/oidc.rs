//! What signing in needs from a login tenant: its signing keys, and the exchange of an authorization code
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

use crate::config::{ClientCredentials, TenantHost};
use crate::error::{Code, Error, Result};

/// Fetches of the key set allowed within [`WINDOW`], however many tokens with unknown keys arrive
/// (docs/auth0/login.md#callback, step 6).
const MOST_FETCHES: usize = 10;
const WINDOW: Duration = Duration::from_mins(1);

/// Keys are read again after this time, so that a withdrawn key is not trusted for ever.
const KEEP: Duration = Duration::from_mins(10);

/// Somebody is waiting in front of a browser.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer read, bytes; key sets and token answers are a few kilobytes.
const LARGEST: usize = 512 * 1024;

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
    fn fresh(&self, now: Instant) -> bool {
        self.read_at.is_some_and(|read_at| now.saturating_duration_since(read_at) < KEEP)
    }
}

impl Oidc {
    /// A provider; nothing is requested yet.
    pub fn new(host: &TenantHost) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT / 2)
            // Neither keys nor codes follow a redirect to somewhere else.
            .redirect(Policy::none())
            .user_agent(concat!("user-import-export/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(Code::Internal, format!("The HTTP client cannot be built: {error}")))?;
        Ok(Self { host: host.clone(), http, keys: RwLock::default(), fetches: Mutex::default() })
    }

    /// The tenant.
    pub fn host(&self) -> &TenantHost {
        &self.host
    }

    /// The key with this id.
    ///
    /// A key that is not known makes the key set be read again, since tenants rotate their keys; at
    /// most ten times a minute. Fails with [`Code::LoginUnauthorized`] when the tenant has no such key
    /// and with [`Code::LoginUnavailable`] when it cannot be asked.
    pub async fn signing_key(&self, id: Option<&str>) -> Result<Arc<DecodingKey>> {
        self.signing_key_by(id, Instant::now).await
    }

    /// [`Oidc::signing_key`] by another clock than the one that nobody sets.
    pub(super) async fn signing_key_by(
        &self,
        id: Option<&str>,
        clock: impl Fn() -> Instant,
    ) -> Result<Arc<DecodingKey>> {
        let Some(id) = id else {
            return Err(Error::new(Code::LoginUnauthorized, "The token does not say which key signed it (kid)."));
        };
        if let Some(key) = self.known(id, clock()) {
            return Ok(key);
        }
        // One fetch at a time; those who waited find its result.
        let mut fetches = self.fetches.lock().await;
        let now = clock();
        if let Some(key) = self.known(id, now) {
            return Ok(key);
        }
        while fetches.front().is_some_and(|fetch| now.duration_since(*fetch) >= WINDOW) {
            fetches.pop_front();
        }
        if fetches.len() < MOST_FETCHES {
            fetches.push_back(now);
            let by_id = self.fetch_keys().await?;
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { by_id, read_at: Some(now) };
        } else if !self.fresh(now) {
            return Err(Error::new(
                Code::LoginUnavailable,
                format!("{} did not give its keys, and was asked too often.", self.host.url(KEYS_PATH)),
            ));
        }
        self.known(id, now).ok_or_else(|| {
            // The id comes from outside; a long one is cut.
            let id: String = id.chars().take(64).collect();
            Error::new(Code::LoginUnauthorized, format!("Unable to find a signing key that matches '{id}'"))
        })
    }

    fn fresh(&self, now: Instant) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).fresh(now)
    }

    fn known(&self, id: &str, now: Instant) -> Option<Arc<DecodingKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.fresh(now) { keys.by_id.get(id).cloned() } else { None }
    }

    async fn fetch_keys(&self) -> Result<HashMap<String, Arc<DecodingKey>>> {
        let url = self.host.url(KEYS_PATH);
        let response = self.http.get(&url).send().await.map_err(|error| unreachable(&url, &error))?;
        let status = response.status();
        let body = read(&url, response).await?;
        if !status.is_success() {
            return Err(Error::new(Code::LoginUnavailable, format!("{url} answered {status}.")));
        }
        signing_keys(&body)
            .map_err(|error| Error::new(Code::LoginUnavailable, format!("{url} is not a key set: {error}")))
    }

    /// Exchanges an authorization code for the id_token (RFC 6749, 4.1.3; RFC 7636, 4.5).
    ///
    /// Fails with [`Code::LoginUnauthorized`] when the tenant refuses the code, and with
    /// [`Code::LoginUnavailable`] when it does not answer or does not accept this server's client.
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
        let response = self.http.post(&url).form(&form).send().await.map_err(|error| unreachable(&url, &error))?;
        let status = response.status();
        let body = read(&url, response).await?;
        if status.is_success() {
            let tokens: Option<Tokens> = serde_json::from_slice(&body).ok();
            return tokens
                .and_then(|tokens| tokens.id_token)
                .ok_or_else(|| Error::new(Code::LoginUnavailable, format!("{url} answered without an id_token.")));
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        Err(match refusal {
            Some(refusal) if refusal.error == "invalid_grant" => Error::new(
                Code::LoginUnauthorized,
                format!("The login tenant refused the authorization code: {}", said(&refusal.error, refusal.error_description.as_deref())),
            ),
            Some(refusal) if status.is_client_error() => Error::new(
                Code::LoginUnavailable,
                format!("{url} answered {status}: {}", said(&refusal.error, refusal.error_description.as_deref())),
            )
            .with_hint("Check LOGIN_CLIENT_ID and LOGIN_CLIENT_SECRET, and that the application is a Regular Web Application with this server's /login/callback among its Allowed Callback URLs."),
            _ => Error::new(Code::LoginUnavailable, format!("{url} answered {status}.")),
        })
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Where a tenant publishes its keys.
const KEYS_PATH: &str = "/.well-known/jwks.json";

/// The keys of a key set (RFC 7517) that may sign with RS256, by their ids. A key of a kind we don't know
/// does not hide the others.
pub fn signing_keys(set: &[u8]) -> serde_json::Result<HashMap<String, Arc<DecodingKey>>> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Value>,
    }
    let set: KeySet = serde_json::from_slice(set)?;
    Ok(set.keys.into_iter().filter_map(rsa_key).collect())
}

/// The id and the key of an entry that may sign with RS256.
fn rsa_key(entry: Value) -> Option<(String, Arc<DecodingKey>)> {
    let key: Jwk = serde_json::from_value(entry).ok()?;
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let rs256 = matches!(key.common.key_algorithm, None | Some(KeyAlgorithm::RS256));
    let AlgorithmParameters::RSA(rsa) = &key.algorithm else { return None };
    let decoding = DecodingKey::from_rsa_components(&rsa.n, &rsa.e).ok()?;
    let id = key.common.key_id.filter(|_| signs && rs256)?;
    Some((id, Arc::new(decoding)))
}

fn said(error: &str, description: Option<&str>) -> String {
    description.map_or_else(|| error.to_owned(), |description| format!("{error}: {description}"))
}

fn unreachable(url: &str, error: &reqwest::Error) -> Error {
    let why = if error.is_timeout() { "no answer in time" } else { "no connection" };
    Error::new(Code::LoginUnavailable, format!("{url} cannot be reached: {why}."))
}

async fn read(url: &str, mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(Error::new(Code::LoginUnavailable, format!("{url} answered more than {LARGEST} bytes.")));
        }
    }
    Ok(body)
}
