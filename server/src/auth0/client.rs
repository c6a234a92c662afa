//! The client of the Management API.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_stream::try_stream;
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::model::{Download, ExportJobRequest, ImportJobRequest, Job, JobErrors, Received, UserSearch, UsersPage};
use super::request::{Answer, Body, Call, Failure, Opened, Timeouts, Transport, reason};
use super::retry::{Backoff, Effort};
use super::token::{Kept, Tokens, never_accepted};
use crate::config::{ClientCredentials, TenantHost};
use crate::error::{Code, Error, Result};
use crate::progress::Progress;

/// How long a person who waits for a page is kept waiting for Auth0 to recover.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a job waits.
const PATIENCE_OF_A_JOB: Duration = Duration::from_mins(10);

/// The longest address of a search. Auth0 answers 414 to a longer one without saying where its limit is
/// (docs/auth0/management-api.md#users); 8 KB is what common servers accept.
const LONGEST_URL: usize = 8 << 10;

/// Everything but the unreserved characters of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of one tenant's Management API. Cheap to clone; clones share token and connections.
///
/// Requests without effect are repeated after 408, 429, 5xx and connection errors until patience ends;
/// the two that create a job only where nothing can have happened: a rate limit, a refused token, a
/// connection that could not be opened. [`may_have_happened`](super::may_have_happened) tells the rest
/// apart. `Code::Auth0Refused` carries Auth0's own words in [`Error::upstream`].
#[derive(Clone, Debug)]
pub struct ManagementClient {
    shared: Arc<Shared>,
    backoff: Backoff,
    timeouts: Timeouts,
    patience: Option<Duration>,
    progress: Option<Arc<Progress>>,
}

#[derive(Debug)]
struct Shared {
    transport: Arc<Transport>,
    tokens: Tokens,
}

impl ManagementClient {
    /// A client that gets its own tokens and renews them shortly before they end.
    pub fn with_client_credentials(host: &TenantHost, client: &ClientCredentials) -> Result<Self> {
        let tokens = Tokens::Client { client: client.clone(), kept: Mutex::new(Kept::default()) };
        Ok(Self::new(Arc::new(Transport::new(host)?), tokens))
    }

    /// A client that uses an admin's own token until it ends; then requests fail with
    /// `Code::Auth0TokenEnded`.
    pub fn with_token(host: &TenantHost, token: SecretString, expires_at: Timestamp) -> Result<Self> {
        Self::without_token(host)?.acting_with(token, expires_at)
    }

    /// A client that has no token, so that requests fail with `Code::Auth0TokenEnded`: where
    /// [`acting_with`](Self::acting_with) starts from.
    pub fn without_token(host: &TenantHost) -> Result<Self> {
        let refused = Arc::default();
        let tokens = Tokens::Own { token: SecretString::default(), ends_at: Timestamp::MIN, refused };
        Ok(Self::new(Arc::new(Transport::new(host)?), tokens))
    }

    /// A client of the same tenant with an admin's own token, sharing this one's connections, which are
    /// costly to set up.
    pub fn acting_with(&self, token: SecretString, expires_at: Timestamp) -> Result<Self> {
        self.acting_with_noted(token, expires_at, Arc::default())
    }

    /// [`acting_with`](Self::acting_with), setting `refused` when Auth0 refuses the token with 401 or 403.
    pub fn acting_with_noted(&self, token: SecretString, ends_at: Timestamp, refused: Arc<AtomicBool>) -> Result<Self> {
        if HeaderValue::from_str(token.expose_secret()).is_err() {
            let message = "The token for the Management API holds characters no token may hold.";
            return Err(Error::new(Code::Auth0TokenEnded, message));
        }
        Ok(Self::new(Arc::clone(&self.shared.transport), Tokens::Own { token, ends_at, refused }))
    }

    fn new(transport: Arc<Transport>, tokens: Tokens) -> Self {
        Self {
            shared: Arc::new(Shared { transport, tokens }),
            backoff: Backoff::default(),
            timeouts: Timeouts::default(),
            patience: None,
            progress: None,
        }
    }

    /// The same client, telling a job's progress what it waits for (rate limits, a tenant that is
    /// down), stopping its waits when the job is canceled, and being more patient: 10 minutes for one
    /// request. A request that creates a job is not broken off by a cancellation once it is on its way,
    /// so that its outcome is known.
    #[must_use]
    pub fn for_job(&self, progress: Arc<Progress>) -> Self {
        Self { progress: Some(progress), ..self.clone() }
    }

    /// The same client with another patience: how long one request may take together with its
    /// repetitions.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self.clone() }
    }

    /// The same client with other delays between tries.
    #[must_use]
    pub fn with_backoff(&self, backoff: Backoff) -> Self {
        Self { backoff, ..self.clone() }
    }

    /// The same client with other time-outs.
    #[must_use]
    pub fn with_timeouts(&self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self.clone() }
    }

    /// The tenant this client speaks to.
    pub fn host(&self) -> &TenantHost {
        self.shared.transport.host()
    }

    /// The time of the tenant's clock: what `created_at` of a user who is created from now on is not before, even
    /// where this machine's clock is wrong. The machine's own time where it agrees with the answers of the tenant,
    /// and until there is one.
    pub fn tenant_time(&self) -> Timestamp {
        self.shared.transport.tenant_time().unwrap_or_else(Timestamp::now)
    }

    /// Whether the tenant has answered something, so that its time is known.
    pub fn knows_tenant_time(&self) -> bool {
        self.shared.transport.tenant_time().is_some()
    }

    /// Returns the `Date` header of the tenant's last answer, and when that came by the monotonic clock; none
    /// before the first.
    pub fn last_date(&self) -> Option<(Timestamp, Instant)> {
        self.shared.transport.last_date()
    }

    /// One page of users (docs/auth0/management-api.md#users). Eventually consistent. A query that makes the address
    /// longer than Auth0 accepts fails with `Code::InvalidSearch`.
    pub async fn users(&self, search: &UserSearch) -> Result<UsersPage> {
        let mut query = Query::new("/users");
        if !search.q.is_empty() {
            query = query.add("q", &search.q);
        }
        query = query.add("search_engine", "v3");
        if let Some((attribute, descending)) = &search.sort {
            query = query.add("sort", &format!("{attribute}:{}", if *descending { -1 } else { 1 }));
        }
        query = query
            .add("page", &search.page.to_string())
            .add("per_page", &search.per_page.min(100).to_string())
            .add("include_totals", "true");
        if !search.fields.is_empty() {
            query = query.add("fields", &search.fields.join(",")).add("include_fields", "true");
        }
        let url = query.url(self);
        if url.len() > LONGEST_URL {
            let message = format!(
                "The search is too long: {} bytes as part of an address, where Auth0 accepts about {LONGEST_URL}.",
                url.len()
            );
            return Err(Error::new(Code::InvalidSearch, message)
                .with_hint("Shorten the query, or split it into several exports."));
        }
        self.get("/users", url).await
    }

    /// The user with this id; immediately consistent. `Code::Auth0Refused` with status 404 when there is
    /// none.
    pub async fn user(&self, id: &str) -> Result<serde_json::Value> {
        self.get("/users/{id}", Query::new(&format!("/users/{}", encode(id))).url(self)).await
    }

    /// Users with exactly this e-mail address; immediately consistent. Auth0 compares case and keeps the addresses of
    /// database users in lower case (docs/auth0/management-api.md#consistency).
    pub async fn users_by_email(&self, email: &str) -> Result<Vec<serde_json::Value>> {
        self.get("/users-by-email", Query::new("/users-by-email").add("email", email).url(self)).await
    }

    /// Starts an export job. Never retried blindly after a time-out: the job may exist.
    pub async fn create_export_job(&self, request: &ExportJobRequest) -> Result<Job> {
        let text = serde_json::to_vec(request)
            .map_err(|error| Error::new(Code::Internal, format!("The export request cannot be written: {error}")))?;
        self.create("/jobs/users-exports", Body::Json(Bytes::from(text))).await
    }

    /// Starts an import job. Never retried blindly after a time-out: the job may exist. A third job at
    /// once is refused; [`is_import_limit`](super::is_import_limit) tells that refusal from a rate limit.
    pub async fn create_import_job(&self, request: &ImportJobRequest) -> Result<Job> {
        self.create("/jobs/users-imports", Body::Import(request)).await
    }

    /// A job. `Code::Auth0Refused` with status 404 when it does not exist or is older than 24 hours.
    pub async fn job(&self, id: &str) -> Result<Job> {
        self.get("/jobs/{id}", Query::new(&format!("/jobs/{}", encode(id))).url(self)).await
    }

    /// What went wrong in an import job.
    pub async fn job_errors(&self, id: &str) -> Result<JobErrors> {
        let url = Query::new(&format!("/jobs/{}/errors", encode(id))).url(self);
        let call = reading("/jobs/{id}/errors", url);
        let answer = self.call(&call).await?;
        if answer.status == StatusCode::NO_CONTENT || answer.body.is_empty() {
            return Ok(JobErrors::None);
        }
        let is_list = answer.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        if is_list {
            self.parse(&call, &answer).map(JobErrors::Users)
        } else {
            self.parse(&call, &answer).map(JobErrors::Job)
        }
    }

    /// Downloads an export from its signed link; no Authorization header is sent there. Fails with
    /// `Code::Auth0LinkExpired` when the link is too old: read the job again for a fresh one. A stream
    /// that breaks off ends with `Code::Auth0Unreachable`; [`download_rest`](Self::download_rest) goes on.
    pub async fn download(&self, location: &str) -> Result<Download> {
        self.download_rest(location, &Received::default()).await
    }

    /// Goes on with a download that broke off: the rest where the server can send that, else the whole
    /// file again, as [`Download::from`] says. Fails with `Code::Auth0ExportLost` when the file is not the
    /// same any more, as far as the server tells.
    pub async fn download_rest(&self, location: &str, received: &Received) -> Result<Download> {
        let secure = location.starts_with("https://")
            || (location.starts_with("http://") && self.host().origin().starts_with("http://"));
        if !secure {
            return Err(Error::new(Code::Auth0Answer, "The download link of the export is not an https address."));
        }
        let mut effort = self.effort();
        let opened = loop {
            match self.or_canceled(self.shared.transport.open(location, received, self.timeouts)).await? {
                Ok(opened) => break opened,
                Err(Failure::Again(trouble)) => effort.wait(trouble).await?,
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Token(upstream)) => return Err(Error::refused(upstream)),
            }
        };
        drop(effort);
        let (client, idle) = (self.clone(), self.timeouts.idle);
        let Opened { response, from, length, tag } = opened;
        let bytes = Box::pin(try_stream! {
            let mut response = response;
            let mut received = from;
            while let Some(open) = &mut response {
                let chunk = client.or_canceled(tokio::time::timeout(idle, open.chunk())).await?;
                let reason = match chunk {
                    Ok(Ok(Some(bytes))) => {
                        received += bytes.len() as u64;
                        yield bytes;
                        continue;
                    }
                    Ok(Ok(None)) => break,
                    Ok(Err(error)) => reason(&error),
                    Err(_elapsed) => format!("nothing arrived for {} s", idle.as_secs()),
                };
                let message = format!("The download of the export broke off after {received} bytes: {reason}");
                Err(Error::new(Code::Auth0Unreachable, message))?;
            }
        });
        Ok(Download { from, length, tag, bytes })
    }

    /// Reads JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, template: &'static str, url: String) -> Result<T> {
        let call = reading(template, url);
        let answer = self.call(&call).await?;
        self.parse(&call, &answer)
    }

    async fn create(&self, path: &'static str, body: Body<'_>) -> Result<Job> {
        let call = Call { method: Method::POST, template: path, url: Query::new(path).url(self), body, creates: true };
        let answer = self.call(&call).await?;
        self.parse(&call, &answer)
    }

    fn parse<T: DeserializeOwned>(&self, call: &Call<'_>, answer: &Answer) -> Result<T> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            // Only the kind and the place: the words could quote a user.
            let what = match error.classify() {
                serde_json::error::Category::Data => "holds other members than its API promises",
                _ => "is not JSON",
            };
            let reason = format!("the answer {what} (line {}, column {})", error.line(), error.column());
            self.shared.transport.nonsense(call, &reason)
        })
    }

    /// Sends a request until it has an answer that counts, or patience ends.
    async fn call(&self, call: &Call<'_>) -> Result<Answer> {
        let Shared { transport, tokens } = &*self.shared;
        let mut effort = self.effort();
        let mut renewed = false;
        loop {
            let failure = match self.or_canceled(tokens.get(transport, self.timeouts)).await? {
                Err(failure) => failure,
                Ok(token) => {
                    let sending = transport.send(call, Some(&token.secret), self.timeouts);
                    let result = if call.creates { sending.await } else { self.or_canceled(sending).await? };
                    match result {
                        Ok(answer) => return Ok(answer),
                        Err(Failure::Token(upstream)) => {
                            tokens.refused(&token, &upstream).await?;
                            if renewed {
                                return Err(never_accepted(transport, &upstream));
                            }
                            renewed = true;
                            continue;
                        }
                        Err(failure) => failure,
                    }
                }
            };
            match failure {
                Failure::Again(trouble) => effort.wait(trouble).await?,
                Failure::Final(error) => {
                    if error.upstream.as_ref().is_some_and(|upstream| upstream.status_code == 403) {
                        tokens.forbidden();
                    }
                    return Err(error);
                }
                Failure::Token(upstream) => return Err(never_accepted(transport, &upstream)),
            }
        }
    }

    fn effort(&self) -> Effort {
        let usual = if self.progress.is_some() { PATIENCE_OF_A_JOB } else { PATIENCE };
        Effort::begin(self.backoff, self.patience.unwrap_or(usual), self.progress.clone())
    }

    /// Runs a future until it ends or the job, if there is one, is canceled.
    async fn or_canceled<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        match &self.progress {
            Some(progress) => progress.or_canceled(async { Ok(future.await) }).await,
            None => Ok(future.await),
        }
    }
}

fn reading(template: &'static str, url: String) -> Call<'static> {
    Call { method: Method::GET, template, url, body: Body::Empty, creates: false }
}

/// A text as one segment of a path.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// An address below `/api/v2`.
pub(super) struct Query(String);

impl Query {
    /// A path; ids in it are encoded.
    pub(super) fn new(path: &str) -> Self {
        Self(format!("/api/v2{path}"))
    }

    /// Adds a parameter.
    pub(super) fn add(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, RESERVED));
        self
    }

    /// The absolute address at a client's tenant.
    pub(super) fn url(&self, client: &ManagementClient) -> String {
        client.host().url(&self.0)
    }
}
