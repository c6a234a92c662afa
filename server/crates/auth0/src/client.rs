//! A client of the Management API.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::failure::Failure;
use super::model::{
    Download, ExportJobRequest, ImportJobRequest, Job, JobErrors, PartialDownload, UserSearch, UsersPage,
};
use super::request::{Answer, Body, Call, DownloadResponse, Timeouts, Transport, describe};
use super::retry::{Backoff, RetryState};
use super::token::{CachedToken, TokenSource, new_token_rejected};
use uie_core::config::{ClientCredentials, TenantHost};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::progress::Progress;

/// Time limit for a request and its retries when an admin waits for the response.
const INTERACTIVE_RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a request of a job and its retries.
const JOB_RETRY_TIMEOUT: Duration = Duration::from_mins(10);

/// Maximum length of the URL of a search in bytes. Auth0 answers 414 to a longer one and does not document its limit
/// (docs/auth0/management-api.md#users); common servers accept 8 KB.
const MAX_URL_LENGTH: usize = 8 << 10;

/// All characters except the unreserved ones of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of one tenant's Management API. Cheap to clone; clones share token and connections.
///
/// Requests that only read are retried after 408, 429, 5xx and connection errors until the retry timeout. The two
/// requests that create a job are retried only if no job can have been created: after a rate limit, a rejected token,
/// or a connection that could not be opened. [`may_have_happened`](super::may_have_happened) classifies their other
/// errors. An error with `Code::Auth0Refused` has Auth0's own error in [`Error::upstream`].
#[derive(Clone, Debug)]
pub struct ManagementClient {
    shared: Arc<Shared>,
    backoff: Backoff,
    timeouts: Timeouts,
    retry_timeout: Option<Duration>,
    progress: Option<Arc<Progress>>,
}

#[derive(Debug)]
struct Shared {
    transport: Arc<Transport>,
    tokens: TokenSource,
}

impl ManagementClient {
    /// Creates a client that fetches tokens with client credentials and renews them shortly before they expire.
    pub fn with_client_credentials(host: &TenantHost, client: &ClientCredentials) -> Result<Self> {
        let tokens = TokenSource::Client { client: client.clone(), cached: Mutex::new(CachedToken::default()) };
        Ok(Self::new(Arc::new(Transport::new(host)?), tokens))
    }

    /// Creates a client that uses an admin's own token until it expires; then requests fail with
    /// `Code::Auth0TokenEnded`.
    pub fn with_token(host: &TenantHost, token: SecretString, expires_at: Timestamp) -> Result<Self> {
        Self::without_token(host)?.acting_with(token, expires_at)
    }

    /// Creates a client without a token, whose requests fail with `Code::Auth0TokenEnded`. Add a token with
    /// [`acting_with`](Self::acting_with).
    pub fn without_token(host: &TenantHost) -> Result<Self> {
        let refused = Arc::default();
        let tokens = TokenSource::Admin { token: SecretString::default(), expires_at: Timestamp::MIN, refused };
        Ok(Self::new(Arc::new(Transport::new(host)?), tokens))
    }

    /// Creates a client of the same tenant with an admin's own token. Both share their HTTP connections, which are
    /// costly to set up.
    pub fn acting_with(&self, token: SecretString, expires_at: Timestamp) -> Result<Self> {
        self.acting_with_refusal_flag(token, expires_at, Arc::default())
    }

    /// Like [`acting_with`](Self::acting_with); sets `refused` when Auth0 refuses the token with 401 or 403.
    pub fn acting_with_refusal_flag(
        &self,
        token: SecretString,
        expires_at: Timestamp,
        refused: Arc<AtomicBool>,
    ) -> Result<Self> {
        if HeaderValue::from_str(token.expose_secret()).is_err() {
            let message =
                message!("The token for the Management API contains characters that are not allowed in a token.");
            return Err(Error::new(Code::Auth0TokenEnded, message));
        }
        Ok(Self::new(Arc::clone(&self.shared.transport), TokenSource::Admin { token, expires_at, refused }))
    }

    fn new(transport: Arc<Transport>, tokens: TokenSource) -> Self {
        Self {
            shared: Arc::new(Shared { transport, tokens }),
            backoff: Backoff::default(),
            timeouts: Timeouts::default(),
            retry_timeout: None,
            progress: None,
        }
    }

    /// Returns this client for use in a job: it reports in the job's progress why it waits (a rate limit, a tenant
    /// that is down), stops waiting when the job is canceled, and retries a request for up to 10 minutes. A
    /// cancellation does not interrupt a request that creates an Auth0 job, so that its outcome is known.
    #[must_use]
    pub fn for_job(&self, progress: Arc<Progress>) -> Self {
        Self { progress: Some(progress), ..self.clone() }
    }

    /// Returns this client with another time limit for one request together with its retries.
    #[must_use]
    pub fn with_retry_timeout(&self, retry_timeout: Duration) -> Self {
        Self { retry_timeout: Some(retry_timeout), ..self.clone() }
    }

    /// Returns this client with other delays between attempts.
    #[must_use]
    pub fn with_backoff(&self, backoff: Backoff) -> Self {
        Self { backoff, ..self.clone() }
    }

    /// Returns this client with other timeouts.
    #[must_use]
    pub fn with_timeouts(&self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self.clone() }
    }

    /// Returns the host of the tenant.
    pub fn host(&self) -> &TenantHost {
        self.shared.transport.host()
    }

    /// Returns the tenant's current time, a lower bound for `created_at` of users created from now on even if this
    /// machine's clock is wrong. Returns the local time if it agrees with the tenant's responses, and before the first
    /// response.
    pub fn tenant_time(&self) -> Timestamp {
        self.shared.transport.tenant_time().unwrap_or_else(Timestamp::now)
    }

    /// Returns whether the tenant has sent a response, so that its time is known.
    pub fn knows_tenant_time(&self) -> bool {
        self.shared.transport.tenant_time().is_some()
    }

    /// Returns the `Date` header of the tenant's last response and the monotonic time at which it was received; `None`
    /// before the first response.
    pub fn last_date(&self) -> Option<(Timestamp, Instant)> {
        self.shared.transport.last_date()
    }

    /// Returns one page of users (docs/auth0/management-api.md#users). Eventually consistent. Fails with
    /// `Code::InvalidSearch` if the query makes the URL longer than Auth0 accepts.
    pub async fn users(&self, search: &UserSearch) -> Result<UsersPage> {
        let mut query = ApiUrl::new("/users");
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
        if url.len() > MAX_URL_LENGTH {
            let message = message!(
                "The search is too long: its URL has {bytes} bytes, Auth0 accepts about {limit}.",
                bytes = url.len(),
                limit = MAX_URL_LENGTH
            );
            return Err(Error::new(Code::InvalidSearch, message)
                .with_hint(message!("Shorten the query, or split it into several exports.")));
        }
        self.get("/users", url).await
    }

    /// Returns the user with this id; immediately consistent. Fails with `Code::Auth0Refused` and status 404 if the
    /// user does not exist.
    pub async fn user(&self, id: &str) -> Result<serde_json::Value> {
        self.get("/users/{id}", ApiUrl::new(&format!("/users/{}", encode(id))).url(self)).await
    }

    /// Returns the users with exactly this e-mail address; immediately consistent. Auth0 compares case-sensitively and
    /// stores the addresses of database users in lower case (docs/auth0/management-api.md#consistency).
    pub async fn users_by_email(&self, email: &str) -> Result<Vec<serde_json::Value>> {
        self.get("/users-by-email", ApiUrl::new("/users-by-email").add("email", email).url(self)).await
    }

    /// Starts an export job. Not retried after a timeout, because the job may exist.
    pub async fn create_export_job(&self, request: &ExportJobRequest) -> Result<Job> {
        let text = serde_json::to_vec(request)
            .map_err(|error| Error::new(Code::Internal, message!("The export request cannot be written: {error}")))?;
        self.create("/jobs/users-exports", Body::Json(Bytes::from(text))).await
    }

    /// Starts an import job. Not retried after a timeout, because the job may exist. Auth0 refuses a third concurrent
    /// job; [`is_import_limit`](super::is_import_limit) distinguishes that error from a rate limit.
    pub async fn create_import_job(&self, request: &ImportJobRequest) -> Result<Job> {
        self.create("/jobs/users-imports", Body::Import(request)).await
    }

    /// Returns a job. Fails with `Code::Auth0Refused` and status 404 if it does not exist or is older than 24 hours.
    pub async fn job(&self, id: &str) -> Result<Job> {
        self.get("/jobs/{id}", ApiUrl::new(&format!("/jobs/{}", encode(id))).url(self)).await
    }

    /// Returns the errors of an import job.
    pub async fn job_errors(&self, id: &str) -> Result<JobErrors> {
        let url = ApiUrl::new(&format!("/jobs/{}/errors", encode(id))).url(self);
        let call = get_call("/jobs/{id}/errors", url);
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

    /// Downloads an export from its signed link, without an Authorization header. Fails with `Code::Auth0LinkExpired`
    /// if the link has expired; read the job again to get a new one. An interrupted stream ends with
    /// `Code::Auth0Unreachable`; resume it with [`download_rest`](Self::download_rest).
    pub async fn download(&self, location: &str) -> Result<Download> {
        self.download_rest(location, &PartialDownload::default()).await
    }

    /// Resumes an interrupted download. The server sends either the rest or the whole file again, see
    /// [`Download::from`]. Fails with `Code::Auth0ExportLost` if the server reports that the file has changed.
    pub async fn download_rest(&self, location: &str, received: &PartialDownload) -> Result<Download> {
        let secure = location.starts_with("https://")
            || (location.starts_with("http://") && self.host().origin().starts_with("http://"));
        if !secure {
            let message = message!("The download link of the export is not an https address.");
            return Err(Error::new(Code::Auth0Answer, message));
        }
        let mut retries = self.retry_state();
        let opened = loop {
            match self.or_canceled(self.shared.transport.open(location, received, self.timeouts)).await? {
                Ok(opened) => break opened,
                Err(Failure::Retry(retryable)) => retries.wait(retryable).await?,
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unauthorized(upstream)) => return Err(Error::refused(upstream)),
            }
        };
        drop(retries);
        let (client, idle) = (self.clone(), self.timeouts.idle);
        let DownloadResponse { response, from, length, tag } = opened;
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
                    Ok(Err(error)) => describe(&error),
                    Err(_elapsed) => message!("no data was received for {seconds} s", seconds = idle.as_secs()),
                };
                let message = message!("The download of the export was interrupted after {received} bytes: {reason}");
                Err(Error::new(Code::Auth0Unreachable, message))?;
            }
        });
        Ok(Download { from, length, tag, bytes })
    }

    /// Sends a GET request and parses the JSON response.
    pub(super) async fn get<T: DeserializeOwned>(&self, template: &'static str, url: String) -> Result<T> {
        let call = get_call(template, url);
        let answer = self.call(&call).await?;
        self.parse(&call, &answer)
    }

    async fn create(&self, path: &'static str, body: Body<'_>) -> Result<Job> {
        let call = Call { method: Method::POST, template: path, url: ApiUrl::new(path).url(self), body, creates: true };
        let answer = self.call(&call).await?;
        self.parse(&call, &answer)
    }

    fn parse<T: DeserializeOwned>(&self, call: &Call<'_>, answer: &Answer) -> Result<T> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            // Report only kind and position: serde's message could quote a user's data.
            let (line, column) = (error.line(), error.column());
            let reason = if error.is_data() {
                message!("the answer does not have the documented members (line {line}, column {column})")
            } else {
                message!("the answer is not JSON (line {line}, column {column})")
            };
            self.shared.transport.unexpected_answer(call, &reason)
        })
    }

    /// Sends a request, and retries it until it succeeds, fails for good, or the retry timeout ends.
    fn call<'c>(&'c self, call: &'c Call<'_>) -> BoxFuture<'c, Result<Answer>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        async move {
            let Shared { transport, tokens } = &*self.shared;
            let mut retries = self.retry_state();
            let mut renewed = false;
            loop {
                let failure = match self.or_canceled(tokens.get(transport, self.timeouts)).await? {
                    Err(failure) => failure,
                    Ok(token) => {
                        let sending = transport.send(call, Some(&token.secret), self.timeouts);
                        let result = if call.creates { sending.await } else { self.or_canceled(sending).await? };
                        match result {
                            Ok(answer) => return Ok(answer),
                            Err(Failure::Unauthorized(upstream)) => {
                                tokens.discard(&token, &upstream).await?;
                                if renewed {
                                    return Err(new_token_rejected(transport, &upstream));
                                }
                                renewed = true;
                                continue;
                            }
                            Err(failure) => failure,
                        }
                    }
                };
                match failure {
                    Failure::Retry(retryable) => retries.wait(retryable).await?,
                    Failure::Final(error) => {
                        if error.upstream.as_ref().is_some_and(|upstream| upstream.status_code == 403) {
                            tokens.mark_forbidden();
                        }
                        return Err(error);
                    }
                    Failure::Unauthorized(upstream) => return Err(new_token_rejected(transport, &upstream)),
                }
            }
        }
        .boxed()
    }

    fn retry_state(&self) -> RetryState {
        let default = if self.progress.is_some() { JOB_RETRY_TIMEOUT } else { INTERACTIVE_RETRY_TIMEOUT };
        RetryState::new(self.backoff, self.retry_timeout.unwrap_or(default), self.progress.clone())
    }

    /// Runs a future to its end, or fails when the client's job is canceled.
    async fn or_canceled<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        match &self.progress {
            Some(progress) => progress.or_canceled(async { Ok(future.await) }).await,
            None => Ok(future.await),
        }
    }
}

fn get_call(template: &'static str, url: String) -> Call<'static> {
    Call { method: Method::GET, template, url, body: Body::Empty, creates: false }
}

/// Percent-encodes a text as one segment of a path.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Builds a URL below `/api/v2`.
pub(super) struct ApiUrl(String);

impl ApiUrl {
    /// Starts with a path, whose ids the caller has encoded.
    pub(super) fn new(path: &str) -> Self {
        Self(format!("/api/v2{path}"))
    }

    /// Adds a query parameter.
    pub(super) fn add(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, RESERVED));
        self
    }

    /// Returns the absolute URL at the client's tenant.
    pub(super) fn url(&self, client: &ManagementClient) -> String {
        client.host().url(&self.0)
    }
}
