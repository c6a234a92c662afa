//! Whose Management API token a request or a job uses (docs/decisions/0014-token-of-a-job.md).

use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::access::Session;
use crate::auth0::ManagementClient;
use crate::config::{Login, Settings};
use crate::error::{Code, Error, Result};
use crate::store::Store;

/// What tokens in the store are sealed for.
const PURPOSE: &str = "management token of a job";

/// Makes clients of the Management API.
///
/// With `LOGIN=tenant` everything uses client credentials. With `LOGIN=extension` everything uses the
/// admin's own token; `JOBS_USE_CLIENT` lets client credentials take over where there is none.
#[derive(Debug)]
pub struct Clients {
    login: Login,
    tokenless: ManagementClient,
    own: Option<ManagementClient>,
    own_takes_over: bool,
}

impl Clients {
    /// Clients as the settings say.
    pub fn new(settings: &Settings) -> Result<Self> {
        let host = settings.tenant()?;
        let own = match &settings.client {
            Some(credentials) => Some(ManagementClient::with_client_credentials(host, credentials)?),
            None => None,
        };
        let tokenless = ManagementClient::without_token(host)?;
        Ok(Self { login: settings.login, tokenless, own, own_takes_over: settings.jobs_use_client })
    }

    /// The client for a request of a signed-in person.
    pub fn for_session(&self, session: &Session) -> Result<ManagementClient> {
        match (self.login, &session.access_token) {
            (Login::Extension, Some(token)) => self.tokenless.acting_with(token.clone(), session.expires_at),
            _ => self.own_client(),
        }
    }

    /// The client for a job of the person with this `sub`.
    pub async fn for_job(&self, store: &Store, owner: &str) -> Result<ManagementClient> {
        if self.login == Login::Extension
            && let Some((sealed, expires_at)) = store.token(owner).await?
            && expires_at > Timestamp::now()
            && let Some(token) = store.sealer(PURPOSE)?.open(owner, &sealed)
        {
            return self.tokenless.acting_with(token, expires_at);
        }
        self.own_client()
    }

    fn own_client(&self) -> Result<ManagementClient> {
        match &self.own {
            Some(client) if self.login == Login::Tenant || self.own_takes_over => Ok(client.clone()),
            _ => Err(Error::new(Code::Auth0TokenEnded, "The Management API token of this sign-in has ended.")),
        }
    }

    /// Keeps the token of a session, sealed, for the jobs of its owner.
    pub async fn remember(&self, store: &Store, session: &Session) -> Result<()> {
        match (self.login, &session.access_token) {
            (Login::Extension, Some(token)) => {
                let sealed = store.sealer(PURPOSE)?.seal(&session.subject, token.expose_secret())?;
                store.put_token(&session.subject, &sealed, session.expires_at).await
            }
            _ => Ok(()),
        }
    }
}
