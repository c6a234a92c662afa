//! Applications that request a sign-in: the tenant's login application, or an extension identified by its base URL
//! (docs/auth0/extension.md#client-configuration-document).

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::redirect::Policy;
use serde::Deserialize;
use url::{Host, Url};

use crate::state::State;
use crate::{LOGIN_CLIENT_ID, LOGIN_CLIENT_NAME};

/// Maximum size of a client configuration, in bytes.
const MAX_CONFIGURATION_BYTES: usize = 64 * 1024;

/// An application that requests a sign-in.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: String,
    /// Identified by its base URL: implicit flow, consent required.
    pub(super) dynamic: bool,
    redirects: Redirects,
    logouts: Redirects,
}

#[derive(Clone, Debug)]
enum Redirects {
    AnyLoopback,
    Listed(Vec<String>),
}

impl Redirects {
    fn allow(&self, url: &str) -> bool {
        match self {
            Redirects::AnyLoopback => Url::parse(url).is_ok_and(|url| is_loopback(&url)),
            Redirects::Listed(urls) => urls.iter().any(|listed| listed == url),
        }
    }
}

/// The document that an extension serves at `/.well-known/oauth2-client-configuration`.
#[derive(Deserialize)]
struct Configuration {
    redirect_uris: Vec<String>,
    client_name: String,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
}

impl Client {
    /// Finds the client with this id. Fails with the reason if it is unknown or invalid.
    pub(super) async fn find(id: &str, state: &State) -> Result<Client, String> {
        if id == LOGIN_CLIENT_ID {
            let callbacks = &state.settings.callbacks;
            return Ok(Client {
                id: id.to_owned(),
                name: LOGIN_CLIENT_NAME.to_owned(),
                dynamic: false,
                redirects: if callbacks.is_empty() {
                    Redirects::AnyLoopback
                } else {
                    Redirects::Listed(callbacks.clone())
                },
                logouts: Redirects::AnyLoopback,
            });
        }
        let base = Url::parse(id).map_err(|_| format!("Unknown client: {id}"))?;
        // The URL comes from the request, so only loopback addresses are allowed.
        if !matches!(base.scheme(), "http" | "https") || !is_loopback(&base) {
            return Err(format!(
                "The client {id} is not on a loopback address, which is all a simulated tenant serves."
            ));
        }
        let configuration = fetch(id).await?;
        Ok(Client {
            id: id.to_owned(),
            name: configuration.client_name,
            dynamic: true,
            redirects: Redirects::Listed(configuration.redirect_uris),
            logouts: Redirects::Listed(configuration.post_logout_redirect_uris),
        })
    }

    /// Returns whether responses may be sent to this URL.
    pub(super) fn may_redirect(&self, url: &str) -> bool {
        self.redirects.allow(url)
    }

    /// Returns whether a log-out may redirect to this URL.
    pub(super) fn may_return(&self, url: &str) -> bool {
        self.logouts.allow(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

async fn fetch(base: &str) -> Result<Configuration, String> {
    let url = format!("{}/.well-known/oauth2-client-configuration", base.trim_end_matches('/'));
    let failed = |why: String| format!("The client configuration at {url} could not be read: {why}");
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let response = http.get(&url).send().await.map_err(|error| failed(error.to_string()))?;
    if !response.status().is_success() {
        return Err(failed(format!("the answer was {}", response.status())));
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(error.to_string()))?;
        if body.len() + chunk.len() > MAX_CONFIGURATION_BYTES {
            return Err(failed(format!("it is larger than {MAX_CONFIGURATION_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
}
