//! Tokens for the Management API (docs/auth0/management-api.md#token-endpoint).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::failure::Failure;
use super::request::{Body, Call, Timeouts, Transport};
use super::requested_delay::MAX_DURATION;
use uie_core::config::ClientCredentials;
use uie_core::error::{Code, Error, Result, Upstream};
use uie_core::message::{Message, message};

/// How long before its expiry a token is renewed, so that it does not expire on the way to Auth0.
const RENEWAL_MARGIN: Duration = Duration::from_secs(30);

/// The source of a client's tokens.
#[derive(Debug)]
pub(super) enum TokenSource {
    /// Client credentials. A token is cached until shortly before it expires.
    Client {
        /// The credentials.
        client: ClientCredentials,
        /// The current token. The lock is held while a new one is fetched, so that concurrent requests fetch only one
        /// token, but not during the wait between attempts.
        cached: Mutex<CachedToken>,
    },
    /// An admin's own token, which the server cannot renew.
    Admin {
        /// The token.
        token: SecretString,
        /// When it expires.
        expires_at: Timestamp,
        /// Set when Auth0 refuses the token with 401 or 403.
        refused: Arc<AtomicBool>,
    },
}

/// The current token with its renewal time, and how many tokens were fetched so far.
#[derive(Debug, Default)]
pub(super) struct CachedToken {
    token: Option<(SecretString, Instant)>,
    generation: u64,
}

/// A token to send.
pub(super) struct Token {
    /// The token.
    pub(super) secret: SecretString,
    /// Which fetched token it is; 0 for an admin's own token.
    generation: u64,
}

impl TokenSource {
    /// Returns a token that has not expired. Fetches one, without retries, if none is cached.
    pub(super) async fn get(&self, transport: &Transport, timeouts: Timeouts) -> Result<Token, Failure> {
        match self {
            Self::Admin { token, expires_at, .. } if Timestamp::now() < *expires_at => {
                Ok(Token { secret: token.clone(), generation: 0 })
            }
            Self::Admin { .. } => {
                Err(token_ended(message!("The token for the Management API has ended: its lifetime is over.")).into())
            }
            Self::Client { client, cached } => {
                let mut cached = cached.lock().await;
                if let Some((secret, until)) = &cached.token
                    && Instant::now() < *until
                {
                    return Ok(Token { secret: secret.clone(), generation: cached.generation });
                }
                cached.token = None;
                let (secret, lifetime) = fetch_token(client, transport, timeouts).await?;
                let lifetime = lifetime.min(MAX_DURATION);
                let until = Instant::now() + lifetime.saturating_sub(RENEWAL_MARGIN.min(lifetime / 10));
                cached.generation += 1;
                cached.token = Some((secret.clone(), until));
                Ok(Token { secret, generation: cached.generation })
            }
        }
    }

    /// Records that Auth0 answered 403, because the token lacks a permission.
    pub(super) fn mark_forbidden(&self) {
        if let Self::Admin { refused, .. } = self {
            refused.store(true, Ordering::Relaxed);
        }
    }

    /// Removes a token that Auth0 refused from the cache, unless it was replaced already. Fails for an admin's own
    /// token, which cannot be replaced.
    pub(super) async fn discard(&self, token: &Token, upstream: &Upstream) -> Result<()> {
        match self {
            Self::Admin { refused, .. } => {
                refused.store(true, Ordering::Relaxed);
                Err(token_ended(message!(
                    "The token for the Management API has ended: Auth0 says: {text}.",
                    text = upstream.message
                )))
            }
            Self::Client { cached, .. } => {
                let mut cached = cached.lock().await;
                if cached.generation == token.generation {
                    cached.token = None;
                }
                Ok(())
            }
        }
    }
}

/// Builds the error for a newly fetched token that Auth0 refuses.
pub(super) fn new_token_rejected(transport: &Transport, upstream: &Upstream) -> Error {
    let host = transport.host().host();
    let message = message!("{host} refuses its own tokens: {text}", text = upstream.message);
    Error::new(Code::Auth0Credentials, message).with_hint(message!(
        "Check that AUTH0_DOMAIN is the tenant's own domain, not a custom one, and that this machine's clock is right."
    ))
}

fn token_ended(message: Message) -> Error {
    Error::new(Code::Auth0TokenEnded, message)
}

/// Fetches a token with client credentials. Returns the token and its lifetime.
async fn fetch_token(
    client: &ClientCredentials,
    transport: &Transport,
    timeouts: Timeouts,
) -> Result<(SecretString, Duration), Failure> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: SecretString,
        // Auth0 always sends a lifetime; its own tools assume one hour otherwise.
        #[serde(default = "one_hour")]
        expires_in: u64,
    }
    fn one_hour() -> u64 {
        3600
    }
    let body = serde_json::json!({
        "grant_type": "client_credentials",
        "client_id": client.id,
        "client_secret": client.secret.expose_secret(),
        "audience": transport.host().management_audience(),
    });
    let call = Call {
        method: Method::POST,
        template: "/oauth/token",
        url: transport.host().url("/oauth/token"),
        body: Body::Json(Bytes::from(body.to_string())),
        creates: false,
    };
    let refused = |upstream: &Upstream| {
        let Upstream { error, message, .. } = upstream;
        let (host, client) = (transport.host().host(), &client.id);
        let message = message!("{host} refused AUTH0_CLIENT_ID {client:?}: {message} ({error})");
        Failure::Final(Error::new(Code::Auth0Credentials, message))
    };
    let answer = match transport.send(&call, None, timeouts).await {
        Ok(answer) => answer,
        Err(Failure::Unauthorized(upstream)) => return Err(refused(&upstream)),
        Err(Failure::Final(Error { upstream: Some(upstream), .. })) => return Err(refused(&upstream)),
        Err(Failure::Retry(mut retryable)) => {
            // The request that needs the token was not sent. Its caller must not mistake a status of the token endpoint
            // for a response to that request.
            if let Some(upstream) = retryable.error.upstream.take() {
                let host = transport.host().host();
                let message = message!("{host} issues no token: {text}", text = upstream.message);
                retryable.error = Error::new(Code::Auth0Unreachable, message);
            }
            return Err(Failure::Retry(retryable));
        }
        Err(failure) => return Err(failure),
    };
    // The message of serde_json could quote the token.
    let answer: Answer = serde_json::from_slice(&answer.body)
        .map_err(|_error| transport.unexpected_answer(&call, &message!("the answer has no access_token")))?;
    if reqwest::header::HeaderValue::from_str(answer.access_token.expose_secret()).is_err() {
        return Err(transport
            .unexpected_answer(&call, &message!("its access_token contains characters that are not allowed in a token"))
            .into());
    }
    Ok((answer.access_token, Duration::from_secs(answer.expires_in)))
}
