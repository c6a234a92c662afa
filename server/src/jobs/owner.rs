//! Whose Management API token a request or a job uses (docs/decisions/0014-token-of-a-job.md).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::access::{Permission, Permissions, Session};
use crate::auth0::ManagementClient;
use crate::config::{Login, Settings};
use crate::error::{Code, Error, Result};
use crate::store::{JobKind, JobRecord, JobRights, Store};

/// What tokens in the store are sealed for.
const PURPOSE: &str = "management token of a job";

/// Makes clients of the Management API.
///
/// With `LOGIN=tenant` everything uses client credentials. With `LOGIN=extension` everything uses the
/// admin's own token. With `JOBS_USE_CLIENT` client credentials continue a job whose owner's token has ended, if
/// the owner's permissions suffice for the job and Auth0 never refused the owner's token.
#[derive(Debug)]
pub struct Clients {
    login: Login,
    tokenless: ManagementClient,
    own: Option<ManagementClient>,
    own_takes_over: bool,
    /// By `sub`: whether Auth0 refused a token of this person with 401 or 403 since this process started.
    refused: Mutex<HashMap<String, Arc<AtomicBool>>>,
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
        let own_takes_over = settings.jobs_use_client;
        Ok(Self { login: settings.login, tokenless, own, own_takes_over, refused: Mutex::default() })
    }

    /// The client for a request of a signed-in person.
    pub fn for_session(&self, session: &Session) -> Result<ManagementClient> {
        match (self.login, &session.access_token) {
            (Login::Extension, Some(token)) => {
                self.tokenless.acting_with_noted(token.clone(), session.expires_at, self.refusals(&session.subject))
            }
            // Without a token of the person there is no telling what Auth0 would permit the person.
            (Login::Extension, None) => Err(ended()),
            (Login::Tenant, _) => self.client_credentials(),
        }
    }

    /// The client for a job: the owner's token while it lasts, then client credentials where they may continue it.
    /// Fails with [`Code::Auth0TokenEnded`] where the job has to wait for the owner's next sign-in.
    pub async fn for_job(&self, store: &Store, job: &JobRecord) -> Result<ManagementClient> {
        if self.login == Login::Tenant {
            return self.client_credentials();
        }
        let refused = self.refusals(&job.owner);
        if let Some((sealed, expires_at)) = store.token(&job.owner).await?
            && expires_at > Timestamp::now()
            && let Some(token) = store.sealer(PURPOSE)?.open(&job.owner, &sealed)
        {
            return self.tokenless.acting_with_noted(token, expires_at, refused);
        }
        if self.may_take_over(store, job).await? { self.client_credentials() } else { Err(ended()) }
    }

    /// Returns the `Date` header of the tenant's last answer, and when that came.
    pub(super) fn last_date(&self) -> Option<(Timestamp, Instant)> {
        let clients = [Some(&self.tokenless), self.own.as_ref()];
        clients.into_iter().flatten().filter_map(ManagementClient::last_date).max_by_key(|(_, received)| *received)
    }

    /// Whether client credentials may continue a job once its owner's token has ended.
    pub async fn may_take_over(&self, store: &Store, job: &JobRecord) -> Result<bool> {
        if self.login == Login::Tenant || !self.own_takes_over || self.refusals(&job.owner).load(Ordering::Relaxed) {
            return Ok(false);
        }
        let rights = store.job_rights(&job.id).await?;
        Ok(rights.is_some_and(|rights| {
            let permissions = Permissions::from_scope(&rights.permissions);
            !rights.refused && permissions.require(needed(job)).is_ok()
        }))
    }

    fn client_credentials(&self) -> Result<ManagementClient> {
        self.own.clone().ok_or_else(ended)
    }

    /// The rights with which this person starts a job now.
    pub fn rights(&self, session: &Session) -> JobRights {
        JobRights {
            permissions: session.permissions.to_string(),
            refused: self.refusals(&session.subject).load(Ordering::Relaxed),
        }
    }

    /// Stores that Auth0 refused the token of a job's owner, where it did, so that it holds after a restart. A failure
    /// to store that is logged.
    pub async fn store_refusal(&self, store: &Store, job: &JobRecord) {
        if self.login == Login::Extension
            && self.refusals(&job.owner).load(Ordering::Relaxed)
            && let Err(error) = store.set_own_token_refused(&job.id).await
        {
            tracing::warn!(job = job.id, "the refusal of a token could not be stored: {}", error.message);
        }
    }

    /// Starts over with the token of a new sign-in: what Auth0 said of the one before no longer counts, and the
    /// person's jobs that are not over get the permissions of the new session.
    pub async fn replace_rights(&self, store: &Store, tenant: &str, session: &Session) -> Result<()> {
        if self.login == Login::Tenant {
            return Ok(());
        }
        self.forget_refusals(&session.subject);
        store.replace_job_rights(tenant, &session.subject, &self.rights(session)).await
    }

    fn refusals(&self, subject: &str) -> Arc<AtomicBool> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(refused.entry(subject.to_owned()).or_default())
    }

    fn forget_refusals(&self, subject: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(subject.to_owned(), Arc::default());
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

/// The permissions that a job needs.
fn needed(job: &JobRecord) -> &'static [Permission] {
    let only_checks = job.request.get("dry_run").and_then(Value::as_bool).unwrap_or_default();
    match job.kind {
        JobKind::Import if !only_checks => {
            &[Permission::CreateUsers, Permission::ReadUsers, Permission::ReadConnections]
        }
        JobKind::Import | JobKind::Export => &[Permission::ReadUsers, Permission::ReadConnections],
    }
}

fn ended() -> Error {
    Error::new(Code::Auth0TokenEnded, "The Management API token of this sign-in has ended.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Purpose;
    use crate::store::NewJob;

    fn clients(changes: &[(&str, &str)]) -> Clients {
        let settings = [
            ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
            ("AUTH0_CLIENT_ID", "id"),
            ("AUTH0_CLIENT_SECRET", "secret"),
            ("EXTENSION_SECRET", "5f2b9c0e71d84a36"),
            ("JOBS_USE_CLIENT", "true"),
        ];
        let settings = settings.iter().chain(changes);
        let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Clients::new(&Settings::parse(Purpose::Serve, settings, None).unwrap()).unwrap()
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
    async fn client_credentials_continue_a_job_only_where_its_owner_was_permitted_to_do_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let clients = clients(&[]);
        let (all, read) = ("create:users read:users read:connections", "read:users read:connections");
        for (number, (kind, dry_run, rights, continues)) in [
            (JobKind::Export, false, Some((read, false)), true),
            (JobKind::Import, false, Some((all, false)), true),
            (JobKind::Import, false, Some((read, false)), false),
            (JobKind::Import, true, Some((read, false)), true),
            (JobKind::Export, false, Some(("read:users", false)), false),
            (JobKind::Export, false, Some(("", false)), false),
            (JobKind::Export, false, Some((all, true)), false),
            // Of a version that did not keep rights.
            (JobKind::Export, false, None, false),
        ]
        .into_iter()
        .enumerate()
        {
            let job = job(&store, &format!("job_{number}"), kind, dry_run, rights).await;
            let client = clients.for_job(&store, &job).await;
            assert_eq!(client.is_ok(), continues, "{kind:?} {dry_run} {rights:?}");
            if let Err(error) = client {
                assert_eq!(error.code, Code::Auth0TokenEnded);
            }
        }
    }

    #[tokio::test]
    async fn client_credentials_continue_no_job_once_auth0_refused_the_owners_token() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let rights = Some(("create:users read:users read:connections", false));
        let job = job(&store, "job_1", JobKind::Export, false, rights).await;
        let before = clients(&[]);
        before.for_job(&store, &job).await.unwrap();
        before.refusals("auth0|ada").store(true, Ordering::Relaxed);
        assert_eq!(before.for_job(&store, &job).await.unwrap_err().code, Code::Auth0TokenEnded);
        before.store_refusal(&store, &job).await;
        let restarted = clients(&[]);
        assert_eq!(restarted.for_job(&store, &job).await.unwrap_err().code, Code::Auth0TokenEnded);
    }

    #[tokio::test]
    async fn without_the_setting_client_credentials_continue_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let rights = Some(("create:users read:users read:connections", false));
        let job = job(&store, "job_1", JobKind::Export, false, rights).await;
        assert!(clients(&[("JOBS_USE_CLIENT", "false")]).for_job(&store, &job).await.is_err());
        clients(&[("JOBS_USE_CLIENT", "false"), ("LOGIN", "tenant")]).for_job(&store, &job).await.unwrap();
    }
}
