//! Chooses the Management API credentials for a request or a job (docs/decisions/0014-token-of-a-job.md).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

use uie_auth0::ManagementClient;
use uie_core::config::{Login, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::permissions::{Permission, Permissions};
use uie_core::principal::Principal;
use uie_store::{JobKind, JobRecord, JobRights, Store};

/// Encryption purpose of the tokens in the store.
const PURPOSE: &str = "management token of a job";

/// Provides clients of the Management API.
///
/// With `LOGIN=tenant` every client uses client credentials. With `LOGIN=extension` every client uses the token of
/// the admin. With `JOBS_USE_CLIENT`, client credentials continue a job after the token of its owner has expired, if
/// the owner's permissions suffice for the job and Auth0 never refused the owner's token.
#[derive(Debug)]
pub struct ClientProvider {
    login: Login,
    without_token: ManagementClient,
    with_client_credentials: Option<ManagementClient>,
    /// `JOBS_USE_CLIENT`.
    fall_back_to_client_credentials: bool,
    /// By `sub`: whether Auth0 refused a token of this user with 401 or 403 since this process started.
    refusals: Mutex<HashMap<String, Arc<AtomicBool>>>,
}

impl ClientProvider {
    /// Creates a provider from the settings. Fails if the tenant is not set.
    pub fn new(settings: &Settings) -> Result<Self> {
        let host = settings.tenant()?;
        let with_client_credentials = match &settings.client {
            Some(credentials) => Some(ManagementClient::with_client_credentials(host, credentials)?),
            None => None,
        };
        Ok(Self {
            login: settings.login,
            without_token: ManagementClient::without_token(host)?,
            with_client_credentials,
            fall_back_to_client_credentials: settings.jobs_use_client,
            refusals: Mutex::default(),
        })
    }

    /// Returns the client for a request of a signed-in user. Fails with [`Code::Auth0TokenEnded`] if the user has no
    /// Management API token.
    pub fn for_principal(&self, principal: &Principal) -> Result<ManagementClient> {
        match (self.login, &principal.access_token) {
            (Login::Extension, Some(token)) => {
                let refused = self.refusal_flag(&principal.subject);
                self.without_token.acting_with_refusal_flag(token.clone(), principal.expires_at, refused)
            }
            // Only the user's own token shows what Auth0 permits the user to do.
            (Login::Extension, None) => Err(token_expired()),
            (Login::Tenant, _) => self.client_credentials(),
        }
    }

    /// Returns the client for a job: with the owner's token until it expires, then with client credentials if
    /// [`may_use_client_credentials`](Self::may_use_client_credentials). Fails with [`Code::Auth0TokenEnded`] if the
    /// job has to wait for the owner's next sign-in.
    pub async fn for_job(&self, store: &Store, job: &JobRecord) -> Result<ManagementClient> {
        if self.login == Login::Tenant {
            return self.client_credentials();
        }
        let refused = self.refusal_flag(&job.owner);
        if let Some((sealed, expires_at)) = store.token(&job.owner).await?
            && expires_at > Timestamp::now()
            && let Some(token) = store.encryptor(PURPOSE)?.open(&job.owner, &sealed)
        {
            return self.without_token.acting_with_refusal_flag(token, expires_at, refused);
        }
        if self.may_use_client_credentials(store, job).await? {
            self.client_credentials()
        } else {
            Err(token_expired())
        }
    }

    /// Returns the `Date` header of the tenant's last response, and when it was received.
    pub(super) fn last_date(&self) -> Option<(Timestamp, Instant)> {
        let clients = [Some(&self.without_token), self.with_client_credentials.as_ref()];
        clients.into_iter().flatten().filter_map(ManagementClient::last_date).max_by_key(|(_, received)| *received)
    }

    /// Returns whether client credentials may continue a job after the token of its owner has expired.
    pub async fn may_use_client_credentials(&self, store: &Store, job: &JobRecord) -> Result<bool> {
        if self.login == Login::Tenant
            || !self.fall_back_to_client_credentials
            || self.refusal_flag(&job.owner).load(Ordering::Relaxed)
        {
            return Ok(false);
        }
        let rights = store.job_rights(&job.id).await?;
        Ok(rights.is_some_and(|rights| {
            let permissions = Permissions::from_scope(&rights.permissions);
            !rights.refused && permissions.require(required_permissions(job)).is_ok()
        }))
    }

    fn client_credentials(&self) -> Result<ManagementClient> {
        self.with_client_credentials.clone().ok_or_else(token_expired)
    }

    /// Returns the rights to store with a job that this user starts now.
    pub fn rights(&self, principal: &Principal) -> JobRights {
        JobRights {
            permissions: principal.permissions.to_string(),
            refused: self.refusal_flag(&principal.subject).load(Ordering::Relaxed),
        }
    }

    /// Stores whether Auth0 refused the token of a job's owner, so that the refusal is known after a restart. Logs a
    /// failure to store it.
    pub async fn store_refusal(&self, store: &Store, job: &JobRecord) {
        if self.login == Login::Extension
            && self.refusal_flag(&job.owner).load(Ordering::Relaxed)
            && let Err(error) = store.set_own_token_refused(&job.id).await
        {
            tracing::warn!(job = job.id, "the refusal of a token could not be stored: {}", error.message);
        }
    }

    /// Forgets refusals of the user's earlier token and gives the user's unfinished jobs the permissions of the new
    /// sign-in.
    pub async fn replace_rights(&self, store: &Store, tenant: &str, principal: &Principal) -> Result<()> {
        if self.login == Login::Tenant {
            return Ok(());
        }
        self.reset_refusal(&principal.subject);
        store.replace_job_rights(tenant, &principal.subject, &self.rights(principal)).await
    }

    fn refusal_flag(&self, subject: &str) -> Arc<AtomicBool> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(refusals.entry(subject.to_owned()).or_default())
    }

    /// Replaces the flag: requests with the earlier token that are still running set the old one.
    fn reset_refusal(&self, subject: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.insert(subject.to_owned(), Arc::default());
    }

    /// Stores the token of a sign-in, encrypted, for the jobs of its user.
    pub async fn store_token(&self, store: &Store, principal: &Principal) -> Result<()> {
        match (self.login, &principal.access_token) {
            (Login::Extension, Some(token)) => {
                let sealed = store.encryptor(PURPOSE)?.seal(&principal.subject, token.expose_secret())?;
                store.put_token(&principal.subject, &sealed, principal.expires_at).await
            }
            _ => Ok(()),
        }
    }
}

/// Returns the permissions that a job needs.
fn required_permissions(job: &JobRecord) -> &'static [Permission] {
    let dry_run = job.request.get("dry_run").and_then(Value::as_bool).unwrap_or_default();
    match job.kind {
        JobKind::Import if !dry_run => &[Permission::CreateUsers, Permission::ReadUsers, Permission::ReadConnections],
        JobKind::Import | JobKind::Export => &[Permission::ReadUsers, Permission::ReadConnections],
    }
}

fn token_expired() -> Error {
    Error::new(Code::Auth0TokenEnded, message!("The Management API token of this sign-in has expired."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use uie_core::config::Purpose;
    use uie_store::NewJob;

    fn client_provider(changes: &[(&str, &str)]) -> ClientProvider {
        let settings = [
            ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
            ("AUTH0_CLIENT_ID", "id"),
            ("AUTH0_CLIENT_SECRET", "secret"),
            ("EXTENSION_SECRET", "5f2b9c0e71d84a36"),
            ("JOBS_USE_CLIENT", "true"),
        ];
        let settings = settings.iter().chain(changes);
        let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ClientProvider::new(&Settings::parse(Purpose::Serve, settings, None).unwrap()).unwrap()
    }

    async fn job(store: &Store, id: &str, kind: JobKind, dry_run: bool, rights: Option<(&str, bool)>) -> JobRecord {
        let new = NewJob {
            id: id.into(),
            tenant: "acme".into(),
            kind,
            owner: "auth0|ada".into(),
            author: None,
            connection: None,
            request: json!({"dry_run": dry_run}),
        };
        store.insert_job(&new).await.unwrap();
        if let Some((permissions, refused)) = rights {
            store.put_job_rights(id, &JobRights { permissions: permissions.into(), refused }).await.unwrap();
        }
        store.job("acme", id).await.unwrap()
    }

    #[tokio::test]
    async fn client_credentials_continue_a_job_only_if_its_owner_has_the_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let provider = client_provider(&[]);
        let (all, read) = ("create:users read:users read:connections", "read:users read:connections");
        for (number, (kind, dry_run, rights, continues)) in [
            (JobKind::Export, false, Some((read, false)), true),
            (JobKind::Import, false, Some((all, false)), true),
            (JobKind::Import, false, Some((read, false)), false),
            (JobKind::Import, true, Some((read, false)), true),
            (JobKind::Export, false, Some(("read:users", false)), false),
            (JobKind::Export, false, Some(("", false)), false),
            (JobKind::Export, false, Some((all, true)), false),
            // Created by a version that did not store rights.
            (JobKind::Export, false, None, false),
        ]
        .into_iter()
        .enumerate()
        {
            let job = job(&store, &format!("job_{number}"), kind, dry_run, rights).await;
            let client = provider.for_job(&store, &job).await;
            assert_eq!(client.is_ok(), continues, "{kind:?} {dry_run} {rights:?}");
            if let Err(error) = client {
                assert_eq!(error.code, Code::Auth0TokenEnded);
            }
        }
    }

    #[tokio::test]
    async fn client_credentials_continue_no_job_after_auth0_refused_the_owners_token() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let rights = Some(("create:users read:users read:connections", false));
        let job = job(&store, "job_1", JobKind::Export, false, rights).await;
        let before = client_provider(&[]);
        before.for_job(&store, &job).await.unwrap();
        before.refusal_flag("auth0|ada").store(true, Ordering::Relaxed);
        assert_eq!(before.for_job(&store, &job).await.unwrap_err().code, Code::Auth0TokenEnded);
        before.store_refusal(&store, &job).await;
        let restarted = client_provider(&[]);
        assert_eq!(restarted.for_job(&store, &job).await.unwrap_err().code, Code::Auth0TokenEnded);
    }

    #[tokio::test]
    async fn client_credentials_continue_no_job_without_the_setting() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let rights = Some(("create:users read:users read:connections", false));
        let job = job(&store, "job_1", JobKind::Export, false, rights).await;
        assert!(client_provider(&[("JOBS_USE_CLIENT", "false")]).for_job(&store, &job).await.is_err());
        let provider = client_provider(&[("JOBS_USE_CLIENT", "false"), ("LOGIN", "tenant")]);
        provider.for_job(&store, &job).await.unwrap();
    }
}
