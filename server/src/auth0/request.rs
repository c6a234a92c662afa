//! One request and its answer: the HTTP clients, time-outs, and what an answer or its absence means.
//! Nothing is repeated here (see `retry`).

use std::error::Error as _;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AGE, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_RANGE, RANGE};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::model::{ImportJobRequest, Received};
use super::retry::{asked, date};
use crate::config::TenantHost;
use crate::error::{Code, Error, Result, Upstream};
use crate::measure;

/// Longest time to open a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Largest answer that is read into memory. A page of 100 users of 1 MB each, the most Auth0 returns
/// (docs/auth0/README.md#constants), fits.
const LARGEST_ANSWER: usize = 128 << 20;

/// Largest explanation of an error that is read.
const LARGEST_EXPLANATION: usize = 64 << 10;

/// How long to wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A whole request, from the first byte sent to the last byte of the answer.
    pub request: Duration,
    /// A download without a single byte; a download as a whole may take as long as it likes.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// One minute each.
    fn default() -> Self {
        Self { request: Duration::from_mins(1), idle: Duration::from_mins(1) }
    }
}

/// A request that can be sent more than once.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The method.
    pub(super) method: Method,
    /// The path without ids and query: what a log may show.
    pub(super) template: &'static str,
    /// The whole address.
    pub(super) url: String,
    /// What is sent.
    pub(super) body: Body<'a>,
    /// Whether sending it twice could have an effect twice.
    pub(super) creates: bool,
}

/// The body of a request.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// None.
    Empty,
    /// JSON text.
    Json(Bytes),
    /// The parts of `POST /jobs/users-imports`.
    Import(&'a ImportJobRequest),
}

/// An answer with a status that means success.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The whole body.
    pub(super) body: Vec<u8>,
}

/// Why there is no such answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Trying again would not help, or could repeat an effect.
    Final(Error),
    /// Nothing took effect; trying again may help.
    Again(Trouble),
    /// Auth0 does not accept the token; nothing took effect.
    Token(Upstream),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// A failure that may pass.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The error when it does not pass in time.
    pub(super) error: Error,
    /// Why to wait.
    pub(super) cause: Cause,
    /// How long Auth0 asks to wait.
    pub(super) wait: Option<Duration>,
}

/// Why to wait before the next try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Too many requests.
    RateLimit,
    /// A search took longer than Auth0 allows (docs/auth0/management-api.md#users); rarely better the next time.
    SlowQuery,
    /// An answer that says Auth0 has trouble.
    Answer(StatusCode),
    /// No answer, and why.
    Silence(String),
}

/// The HTTP clients for one tenant.
pub(super) struct Transport {
    host: TenantHost,
    /// Keeps connections open.
    pooled: reqwest::Client,
    /// Opens a connection per request. A request on a kept connection that the other side is just
    /// closing fails in a way that does not tell whether it was read, which matters where it creates
    /// something.
    fresh: reqwest::Client,
    /// How far the tenant's clock is ahead of ours, in milliseconds: the least and the most that its answers
    /// allow. Nothing before the first.
    ahead: Mutex<Option<(i64, i64)>>,
    /// The `Date` header of the last answer, and when it came by the monotonic clock.
    last_date: Mutex<Option<(Timestamp, Instant)>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Transport {
    /// Clients for a tenant.
    pub(super) fn new(host: &TenantHost) -> Result<Self> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("user-import-export/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                // The API never redirects, and a token must not travel elsewhere.
                .redirect(reqwest::redirect::Policy::none());
            // Plain http is for loopback hosts only: no proxy leads there, and no certificate of this machine is
            // needed.
            if host.origin().starts_with("http://") { builder.no_proxy().tls_certs_only([]) } else { builder }
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| {
                let message = format!("The HTTP client cannot start: {}", reason(&error));
                Error::new(Code::Internal, message)
                    .with_hint("Check that this machine's CA certificates are installed (package ca-certificates).")
            })
        };
        Ok(Self {
            host: host.clone(),
            pooled: build(builder())?,
            fresh: build(builder().pool_max_idle_per_host(0))?,
            ahead: Mutex::default(),
            last_date: Mutex::default(),
        })
    }

    /// The time of the tenant's clock, as its answers told it; none before the first. Where they allow that both
    /// clocks are the same, ours; else never later than the tenant's.
    pub(super) fn tenant_time(&self) -> Option<Timestamp> {
        let (least, most) = (*self.ahead.lock().unwrap_or_else(PoisonError::into_inner))?;
        let ahead = if least <= 0 && most >= 0 { 0 } else { least };
        Timestamp::now().checked_add(SignedDuration::from_millis(ahead)).ok()
    }

    /// An answer told this time, in whole seconds, some time between these two of ours.
    fn told(&self, told: Timestamp, sent: Timestamp, received: Timestamp) {
        let least = told.as_millisecond() - received.as_millisecond();
        let most = told.as_millisecond() + 1000 - sent.as_millisecond();
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = match *ahead {
            Some((before, after)) if least.max(before) <= most.min(after) => Some((least.max(before), most.min(after))),
            // The first answer, or one of the clocks was set.
            _ => Some((least, most)),
        };
    }

    /// Returns the `Date` header of the tenant's last answer, and when that came by the monotonic clock.
    pub(super) fn last_date(&self) -> Option<(Timestamp, Instant)> {
        *self.last_date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant.
    pub(super) fn host(&self) -> &TenantHost {
        &self.host
    }

    /// Sends a request once and reads the whole answer.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        token: Option<&SecretString>,
        timeouts: Timeouts,
    ) -> Result<Answer, Failure> {
        let client = if call.creates { &self.fresh } else { &self.pooled };
        let mut request = client.request(call.method.clone(), &call.url).timeout(timeouts.request);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        let request = match &call.body {
            Body::Empty => request,
            Body::Json(text) => request.header(CONTENT_TYPE, "application/json").body(text.clone()),
            Body::Import(import) => request.multipart(form(import)?),
        };
        let sent = Timestamp::now();
        let response = self.exchange(call, request).await.map_err(|error| self.silence(call, &error))?;
        if let Some(tenant_time) = response.headers().get(DATE).and_then(date) {
            self.told(tenant_time, sent, Timestamp::now());
            // An answer with an age comes from a cache, with the date at which it was put there.
            if !response.headers().contains_key(AGE) {
                *self.last_date.lock().unwrap_or_else(PoisonError::into_inner) = Some((tenant_time, Instant::now()));
            }
        }
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(call, response).await);
        }
        match read(response, LARGEST_ANSWER).await {
            Ok(body) => Ok(Answer { status, body }),
            Err(Unread::Broken(error)) => Err(self.silence(call, &error)),
            Err(Unread::TooLarge) => {
                Err(self.nonsense(call, &format!("it is larger than {} MiB", LARGEST_ANSWER >> 20)).into())
            }
        }
    }

    /// Asks for a file behind a signed link, or for what is missing of it: without a token, with no limit
    /// on the whole time.
    pub(super) async fn open(
        &self,
        location: &str,
        received: &Received,
        timeouts: Timeouts,
    ) -> Result<Opened, Failure> {
        let call = Call {
            method: Method::GET,
            template: "(export file)",
            url: location.to_owned(),
            body: Body::Empty,
            creates: false,
        };
        let mut request = self.fresh.get(location);
        if received.bytes > 0 {
            request = request.header(RANGE, format!("bytes={}-", received.bytes));
            if let Some(tag) = &received.tag {
                request = request.header(IF_RANGE, tag);
            }
        }
        let response = match tokio::time::timeout(timeouts.idle, self.exchange(&call, request)).await {
            Ok(response) => response.map_err(|error| self.silence(&call, &error))?,
            Err(_elapsed) => return Err(self.quiet("no answer in time".to_owned())),
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if received.bytes > 0 => {
                rest(response, received).map_err(Failure::Final)
            }
            status if status.is_success() => {
                // A proxy or an error page, not the file. Other types are not checked: storage services differ.
                if let Some(kind) = markup(&response) {
                    let message = format!("The export's file was answered with {kind} instead of users.");
                    return Err(Failure::Final(Error::new(Code::Auth0ExportLost, message)));
                }
                let tag = tag(&response);
                if received.tag.is_some() && tag.is_some() && tag != received.tag {
                    return Err(Failure::Final(changed()));
                }
                Ok(Opened { from: 0, length: response.content_length(), tag, response: Some(response) })
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Err(Failure::Final(Error::new(
                Code::Auth0LinkExpired,
                "The download link of the export is no longer valid.",
            ))),
            _ => Err(self.refusal(&call, response).await),
        }
    }

    async fn exchange(&self, call: &Call<'_>, request: RequestBuilder) -> reqwest::Result<Response> {
        let started = std::time::Instant::now();
        let result = request.send().await;
        let milliseconds = started.elapsed().as_millis() as u64;
        match &result {
            Ok(response) => {
                let status = response.status().as_u16();
                measure::AUTH0_ANSWERS.add(status);
                tracing::debug!(method = %call.method, path = call.template, status, milliseconds, "Auth0 answered");
            }
            Err(error) => {
                measure::AUTH0_SILENCE.add(1);
                tracing::debug!(
                    method = %call.method,
                    path = call.template,
                    reason = reason(error),
                    milliseconds,
                    "Auth0 did not answer"
                );
            }
        }
        result
    }

    /// What a missing or broken answer means.
    fn silence(&self, call: &Call<'_>, error: &reqwest::Error) -> Failure {
        let reason = reason(error);
        if error.is_builder() {
            let message = format!("{} {} cannot be sent: {reason}", call.method, call.template);
            return Error::new(Code::Internal, message).into();
        }
        // Only a connection that was never opened proves that nothing was sent.
        if call.creates && !error.is_connect() {
            let message =
                format!("The answer of {} to {} {} was lost: {reason}", self.host.host(), call.method, call.template);
            return Error::new(Code::Auth0AnswerLost, message).into();
        }
        self.quiet(reason)
    }

    fn quiet(&self, reason: String) -> Failure {
        let message = format!("{} does not answer: {reason}", self.host.host());
        let error = Error::new(Code::Auth0Unreachable, message);
        Failure::Again(Trouble { error, cause: Cause::Silence(reason), wait: None })
    }

    /// What an answer that is no success means.
    async fn refusal(&self, call: &Call<'_>, response: Response) -> Failure {
        let status = response.status();
        if status.is_redirection() || status.is_informational() {
            let message = format!("{} answered {} {} with {status}", self.host.host(), call.method, call.template);
            return Error::new(Code::Auth0Answer, message)
                .with_hint("AUTH0_DOMAIN must be the tenant's own domain, for example acme.eu.auth0.com.")
                .into();
        }
        let wait = asked(status, response.headers(), Timestamp::now());
        let upstream = explanation(status, response).await;
        if status == StatusCode::UNAUTHORIZED {
            return Failure::Token(upstream);
        }
        let error = refused(upstream);
        let cause = match status {
            StatusCode::TOO_MANY_REQUESTS if is_import_limit(&error) => return error.into(),
            StatusCode::TOO_MANY_REQUESTS => Cause::RateLimit,
            // Whether such an answer came before or after the effect is unknown.
            _ if call.creates => return error.into(),
            StatusCode::SERVICE_UNAVAILABLE if error.message.contains("exceeded the timeout") => Cause::SlowQuery,
            StatusCode::REQUEST_TIMEOUT => Cause::Answer(status),
            _ if status.is_server_error() => Cause::Answer(status),
            _ => return error.into(),
        };
        Failure::Again(Trouble { error, cause, wait })
    }

    /// An answer that is not what the API promises. Where the request creates something, it was carried
    /// out and its outcome is lost.
    pub(super) fn nonsense(&self, call: &Call<'_>, reason: &str) -> Error {
        let host = self.host.host();
        let message = format!("{host} answered {} {}, but {reason}", call.method, call.template);
        Error::new(if call.creates { Code::Auth0AnswerLost } else { Code::Auth0Answer }, message)
    }
}

/// The answer to a request for a file.
pub(super) struct Opened {
    /// None where nothing of the file is missing.
    pub(super) response: Option<Response>,
    /// Where in the file its first byte stands.
    pub(super) from: u64,
    /// Length of the whole file.
    pub(super) length: Option<u64>,
    /// Strong entity tag of the file.
    pub(super) tag: Option<String>,
}

/// What is missing of a file (RFC 9110, 14.4): `bytes 100-199/200`, or `bytes */100` where nothing is.
fn rest(response: Response, received: &Received) -> Result<Opened> {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes "));
    let (span, length) = range.and_then(|range| range.trim().split_once('/')).unwrap_or_default();
    let length = length.parse::<u64>().ok();
    let from = match span {
        "*" => length,
        span => span.split_once('-').and_then(|(first, _)| first.trim().parse::<u64>().ok()),
    };
    let tag = tag(&response);
    let other_file = received.tag.is_some() && tag.is_some() && tag != received.tag;
    if from != Some(received.bytes) || other_file {
        return Err(changed());
    }
    let response = Some(response).filter(|response| response.status() == StatusCode::PARTIAL_CONTENT);
    Ok(Opened { response, from: received.bytes, length, tag })
}

/// A tag that stands for every byte of the file; a weak one (`W/`) does not.
fn tag(response: &Response) -> Option<String> {
    let tag = response.headers().get(ETAG)?.to_str().ok()?;
    tag.starts_with('"').then(|| tag.to_owned())
}

/// The media type of an answer that is HTML or XML; `None` for every other type.
fn markup(response: &Response) -> Option<&'static str> {
    let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    ["text/html", "application/xhtml+xml", "application/xml", "text/xml"].into_iter().find(|markup| *markup == kind)
}

fn changed() -> Error {
    Error::new(Code::Auth0ExportLost, "The export's file changed while it was downloaded.")
}

/// Whether an error is Auth0's limit of two import jobs at once (docs/auth0/jobs.md#two-jobs-at-once): not a rate
/// limit, but a reason to wait for a job to end.
pub fn is_import_limit(error: &Error) -> bool {
    error.upstream.as_ref().is_some_and(|upstream| {
        upstream.status_code == 429 && upstream.message.to_ascii_lowercase().contains("active import users jobs")
    })
}

/// Whether a request that creates something may have been carried out although it failed: its answer
/// was lost, or says no more than that Auth0 had trouble. Meaningful for the errors of
/// [`create_import_job`](super::ManagementClient::create_import_job) and
/// [`create_export_job`](super::ManagementClient::create_export_job).
pub fn may_have_happened(error: &Error) -> bool {
    let trouble = error.upstream.as_ref().is_some_and(|upstream| matches!(upstream.status_code, 408 | 500..));
    error.code == Code::Auth0AnswerLost || trouble
}

/// Auth0's refusal with a hint where the refusal alone does not say what to do.
fn refused(upstream: Upstream) -> Error {
    let hint = match upstream.status_code {
        403 => Some(
            "Authorize the application for the Auth0 Management API with the scopes read:users, create:users and read:connections.",
        ),
        429 => Some("Auth0 limits requests per tenant; try again in a minute."),
        500.. => Some("See https://status.auth0.com and try again later."),
        _ => None,
    };
    let error = Error::refused(upstream);
    match hint {
        Some(hint) if !is_import_limit(&error) => error.with_hint(hint),
        _ => error,
    }
}

/// The parts in the order of the recorded exchange (docs/auth0/jobs.md#imports).
fn form(import: &ImportJobRequest) -> Result<Form> {
    let length = import.users.len() as u64;
    let users = Part::stream_with_length(import.users.clone(), length)
        .file_name("users.json")
        .mime_str("application/json")
        .map_err(|error| Error::new(Code::Internal, format!("The import cannot be sent: {}", reason(&error))))?;
    let mut form = Form::new()
        .text("connection_id", import.connection_id.clone())
        .text("upsert", if import.upsert { "true" } else { "false" });
    if let Some(id) = &import.external_id {
        form = form.text("external_id", id.clone());
    }
    Ok(form
        .text("send_completion_email", if import.send_completion_email { "true" } else { "false" })
        .part("users", users))
}

enum Unread {
    Broken(reqwest::Error),
    TooLarge,
}

async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + bytes.len() > limit {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// Auth0's own words (docs/auth0/management-api.md#error-answers), or OAuth's
/// (docs/auth0/management-api.md#token-endpoint), or as much as a text from something in between says. The status
/// counts in any case; its explanation may be missing.
async fn explanation(status: StatusCode, response: Response) -> Upstream {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        error: Option<String>,
        message: Option<String>,
        error_code: Option<String>,
        #[serde(rename = "error_description")]
        description: Option<String>,
    }
    let plain = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/plain"));
    let text = read(response, LARGEST_EXPLANATION).await.unwrap_or_default();
    let body = serde_json::from_slice::<Body>(&text).unwrap_or_default();
    let error = body.error.or_else(|| status.canonical_reason().map(str::to_owned)).unwrap_or_default();
    let message = body.message.or(body.description).or_else(|| {
        let line = std::str::from_utf8(&text).ok().filter(|_| plain)?.lines().next()?.trim();
        (!line.is_empty()).then(|| line.chars().take(200).collect())
    });
    Upstream {
        status_code: status.as_u16(),
        message: message.unwrap_or_else(|| format!("Auth0 answered {status} without an explanation.")),
        error,
        error_code: body.error_code,
    }
}

/// Why there was no answer, in a few words and without the address, whose query may hold personal data
/// or a signature.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut deepest: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if let Some(error) = deepest.downcast_ref::<std::io::Error>() {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => return "connection refused".to_owned(),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
                return "connection closed".to_owned();
            }
            _ => {}
        }
    }
    if error.is_timeout() {
        return if error.is_connect() { "no connection in time" } else { "no answer in time" }.to_owned();
    }
    match error.source() {
        Some(_) => deepest.to_string(),
        None if error.is_builder() => "the request is not valid".to_owned(),
        None => "connection closed".to_owned(),
    }
}
