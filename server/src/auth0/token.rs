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

use super::request::{Body, Call, Failure, Timeouts, Transport};
use super::retry::FAR;
use crate::config::ClientCredentials;
use crate::error::{Code, Error, Result, Upstream};

/// How long before its end a token is renewed, so that it does not end on its way.
const MARGIN: Duration = Duration::from_secs(30);

/// Where a token comes from.
#[derive(Debug)]
pub(super) enum Tokens {
    /// Client credentials: a token is kept until shortly before it ends.
    Client {
        /// Who asks.
        client: ClientCredentials,
        /// The token in use. The lock is held while a new one is fetched, so that many requests at
        /// once fetch one token; never while waiting between tries.
        kept: Mutex<Kept>,
    },
    /// An admin's own token, which nobody here can renew.
    Own {
        /// The token.
        token: SecretString,
        /// When it ends.
        ends_at: Timestamp,
        /// Set when Auth0 refuses the token with 401 or 403.
        refused: Arc<AtomicBool>,
    },
}

/// The token in use and how many there were.
#[derive(Debug, Default)]
pub(super) struct Kept {
    token: Option<(SecretString, Instant)>,
    fetched: u64,
}

/// A token to send.
pub(super) struct Token {
    /// The token.
    pub(super) secret: SecretString,
    number: u64,
}

impl Tokens {
    /// A token that is good now; fetches one, with one try, when there is none.
    pub(super) async fn get(&self, transport: &Transport, timeouts: Timeouts) -> Result<Token, Failure> {
        match self {
            Self::Own { token, ends_at, .. } if Timestamp::now() < *ends_at => {
                Ok(Token { secret: token.clone(), number: 0 })
            }
            Self::Own { .. } => Err(ended("its lifetime is over").into()),
            Self::Client { client, kept } => {
                let mut kept = kept.lock().await;
                if let Some((secret, until)) = &kept.token
                    && Instant::now() < *until
                {
                    return Ok(Token { secret: secret.clone(), number: kept.fetched });
                }
                kept.token = None;
                let (secret, lifetime) = fetch(client, transport, timeouts).await?;
                let lifetime = lifetime.min(FAR);
                let until = Instant::now() + lifetime.saturating_sub(MARGIN.min(lifetime / 10));
                kept.fetched += 1;
                kept.token = Some((secret.clone(), until));
                Ok(Token { secret, number: kept.fetched })
            }
        }
    }

    /// Notes that Auth0 answered 403: the token lacks a right.
    pub(super) fn forbidden(&self) {
        if let Self::Own { refused, .. } = self {
            refused.store(true, Ordering::Relaxed);
        }
    }

    /// Drops a token that Auth0 refused, unless another one took its place already. Fails when no other
    /// can be had.
    pub(super) async fn refused(&self, token: &Token, upstream: &Upstream) -> Result<()> {
        match self {
            Self::Own { refused, .. } => {
                refused.store(true, Ordering::Relaxed);
                Err(ended(&format!("Auth0 says: {}", upstream.message)))
            }
            Self::Client { kept, .. } => {
                let mut kept = kept.lock().await;
                if kept.fetched == token.number {
                    kept.token = None;
                }
                Ok(())
            }
        }
    }
}

/// A fresh token was refused too.
pub(super) fn never_accepted(transport: &Transport, upstream: &Upstream) -> Error {
    let host = transport.host().host();
    Error::new(Code::Auth0Credentials, format!("{host} refuses its own tokens: {}", upstream.message)).with_hint(
        "Check that AUTH0_DOMAIN is the tenant's own domain, not a custom one, and that this machine's clock is right.",
    )
}

fn ended(why: &str) -> Error {
    Error::new(Code::Auth0TokenEnded, format!("The token for the Management API has ended: {why}."))
}

async fn fetch(
    client: &ClientCredentials,
    transport: &Transport,
    timeouts: Timeouts,
) -> Result<(SecretString, Duration), Failure> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: SecretString,
        // Auth0 always says; an hour is what its own tools assume otherwise.
        #[serde(default = "hour")]
        expires_in: u64,
    }
    fn hour() -> u64 {
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
        let message =
            format!("{} refused AUTH0_CLIENT_ID {:?}: {message} ({error})", transport.host().host(), client.id);
        Failure::Final(Error::new(Code::Auth0Credentials, message))
    };
    let answer = match transport.send(&call, None, timeouts).await {
        Ok(answer) => answer,
        Err(Failure::Token(upstream)) => return Err(refused(&upstream)),
        Err(Failure::Final(Error { upstream: Some(upstream), .. })) => return Err(refused(&upstream)),
        Err(Failure::Again(mut trouble)) => {
            // The request that needs the token was not sent; its caller must not read a status of the
            // token endpoint as an answer to it.
            if let Some(upstream) = trouble.error.upstream.take() {
                let message = format!("{} issues no token: {}", transport.host().host(), upstream.message);
                trouble.error = Error::new(Code::Auth0Unreachable, message);
            }
            return Err(Failure::Again(trouble));
        }
        Err(failure) => return Err(failure),
    };
    // What serde_json says about an unreadable answer could quote the token.
    let answer: Answer = serde_json::from_slice(&answer.body)
        .map_err(|_quotes| transport.nonsense(&call, "the answer holds no access_token"))?;
    if reqwest::header::HeaderValue::from_str(answer.access_token.expose_secret()).is_err() {
        return Err(transport.nonsense(&call, "its access_token holds characters no token may hold").into());
    }
    Ok((answer.access_token, Duration::from_secs(answer.expires_in)))
}
