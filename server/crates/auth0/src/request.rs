//! Sends one request: HTTP clients, timeouts, and the classification of responses and transport errors. Retries are in
//! `retry`.

use std::error::Error as _;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AGE, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_RANGE, RANGE};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::failure::{Cause, Failure, Retryable};
use super::model::{ImportJobRequest, PartialDownload};
use super::requested_delay::{parse_http_date, retry_after};
use uie_core::config::TenantHost;
use uie_core::error::{Code, Error, Result, Upstream};
use uie_core::message::{Message, message};
use uie_core::telemetry;

/// Timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size in bytes of a response that is read into memory. Auth0's maximum, a page of 100 users of 1 MB each
/// (docs/auth0/README.md#constants), fits.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// Maximum size in bytes of the body of an error response that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Timeouts for responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a whole request, from the first byte sent to the last byte of the response.
    pub request: Duration,
    /// Between two chunks of a download. The whole download has no time limit.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// One minute each.
    fn default() -> Self {
        Self { request: Duration::from_mins(1), idle: Duration::from_mins(1) }
    }
}

/// A request, prepared so that it can be sent more than once.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The method.
    pub(super) method: Method,
    /// The path without ids and query, for logs and messages.
    pub(super) template: &'static str,
    /// The URL.
    pub(super) url: String,
    /// The body.
    pub(super) body: Body<'a>,
    /// Whether the request creates something, so that sending it twice could have an effect twice.
    pub(super) creates: bool,
}

/// The body of a request.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// No body.
    Empty,
    /// JSON text.
    Json(Bytes),
    /// The parts of `POST /jobs/users-imports`.
    Import(&'a ImportJobRequest),
}

/// A successful response.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The whole body.
    pub(super) body: Vec<u8>,
}

/// The HTTP clients for one tenant.
pub(super) struct Transport {
    host: TenantHost,
    /// Reuses connections.
    pooled: reqwest::Client,
    /// Opens a connection per request, for requests that create something. If the server closes a reused connection
    /// while a request is sent, the client cannot know whether the request was processed.
    fresh: reqwest::Client,
    /// How far the tenant's clock is ahead of the local clock in milliseconds: the minimum and maximum that its
    /// responses allow. `None` before the first response.
    clock_skew: Mutex<Option<(i64, i64)>>,
    /// The `Date` header of the last response, and the monotonic time at which it was received.
    last_date: Mutex<Option<(Timestamp, Instant)>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Transport {
    /// Creates the HTTP clients for a tenant. Fails if the system's CA certificates cannot be loaded.
    pub(super) fn new(host: &TenantHost) -> Result<Self> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("user-import-export/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                // The API never redirects, and a token must not be sent to another host.
                .redirect(reqwest::redirect::Policy::none());
            // Plain HTTP is allowed for loopback hosts only, which need neither a proxy nor CA certificates.
            if host.origin().starts_with("http://") { builder.no_proxy().tls_certs_only([]) } else { builder }
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| {
                let message = message!("The HTTP client cannot start: {reason}", reason = describe(&error));
                Error::new(Code::Internal, message).with_hint(message!(
                    "Check that this machine's CA certificates are installed (package ca-certificates)."
                ))
            })
        };
        Ok(Self {
            host: host.clone(),
            pooled: build(builder())?,
            fresh: build(builder().pool_max_idle_per_host(0))?,
            clock_skew: Mutex::default(),
            last_date: Mutex::default(),
        })
    }

    /// Returns the tenant's current time, estimated from `Date` headers; `None` before the first response. Returns the
    /// local time if the estimate allows that both clocks agree, otherwise the earliest possible tenant time.
    pub(super) fn tenant_time(&self) -> Option<Timestamp> {
        let (min, max) = (*self.clock_skew.lock().unwrap_or_else(PoisonError::into_inner))?;
        let skew = if min <= 0 && max >= 0 { 0 } else { min };
        Timestamp::now().checked_add(SignedDuration::from_millis(skew)).ok()
    }

    /// Updates the clock skew from a `Date` header with whole seconds, which the tenant set between the local times
    /// `sent` and `received`.
    fn observe_date(&self, date: Timestamp, sent: Timestamp, received: Timestamp) {
        let min = date.as_millisecond() - received.as_millisecond();
        let max = date.as_millisecond() + 1000 - sent.as_millisecond();
        let mut skew = self.clock_skew.lock().unwrap_or_else(PoisonError::into_inner);
        *skew = match *skew {
            Some((old_min, old_max)) if min.max(old_min) <= max.min(old_max) => {
                Some((min.max(old_min), max.min(old_max)))
            }
            // The first response, or one of the clocks was set.
            _ => Some((min, max)),
        };
    }

    /// Returns the `Date` header of the tenant's last response and the monotonic time at which it was received; `None`
    /// before the first response.
    pub(super) fn last_date(&self) -> Option<(Timestamp, Instant)> {
        *self.last_date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the host of the tenant.
    pub(super) fn host(&self) -> &TenantHost {
        &self.host
    }

    /// Sends a request once and reads the whole response.
    pub(super) fn send<'c>(
        &'c self,
        call: &'c Call<'_>,
        token: Option<&'c SecretString>,
        timeouts: Timeouts,
    ) -> BoxFuture<'c, Result<Answer, Failure>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        async move {
            let client = if call.creates { &self.fresh } else { &self.pooled };
            let mut request = client.request(call.method.clone(), &call.url).timeout(timeouts.request);
            if let Some(token) = token {
                request = request.bearer_auth(token.expose_secret());
            }
            let request = match &call.body {
                Body::Empty => request,
                Body::Json(text) => request.header(CONTENT_TYPE, "application/json").body(text.clone()),
                Body::Import(import) => request.multipart(import_form(import)?),
            };
            let sent = Timestamp::now();
            let response = self.exchange(call, request).await.map_err(|error| self.transport_failure(call, &error))?;
            if let Some(tenant_time) = response.headers().get(DATE).and_then(parse_http_date) {
                self.observe_date(tenant_time, sent, Timestamp::now());
                // A response with `Age` comes from a cache, and its `Date` is the time at which it was stored there.
                if !response.headers().contains_key(AGE) {
                    *self.last_date.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some((tenant_time, Instant::now()));
                }
            }
            let status = response.status();
            if !status.is_success() {
                return Err(self.status_failure(call, response).await);
            }
            match read_body(response, MAX_ANSWER_BYTES).await {
                Ok(body) => Ok(Answer { status, body }),
                Err(BodyError::Transport(error)) => Err(self.transport_failure(call, &error)),
                Err(BodyError::TooLarge) => {
                    let reason = message!("it is larger than {limit} MiB", limit = MAX_ANSWER_BYTES >> 20);
                    Err(self.unexpected_answer(call, &reason).into())
                }
            }
        }
        .boxed()
    }

    /// Requests the file of a signed link, or the rest of it after an interrupted download: without a token, and
    /// without a time limit for the whole download.
    pub(super) fn open<'c>(
        &'c self,
        location: &'c str,
        received: &'c PartialDownload,
        timeouts: Timeouts,
    ) -> BoxFuture<'c, Result<DownloadResponse, Failure>> {
        // Boxed, so that the future is compiled once, in this crate, and not in each crate that awaits it.
        async move {
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
                Ok(response) => response.map_err(|error| self.transport_failure(&call, &error))?,
                Err(_elapsed) => return Err(self.no_response(message!("no answer in time"))),
            };
            match response.status() {
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if received.bytes > 0 => {
                    partial_response(response, received).map_err(Failure::Final)
                }
                status if status.is_success() => {
                    // HTML or XML is a page of a proxy or an error page, not the file. Other types are not checked, because
                    // storage services differ.
                    if let Some(kind) = markup_type(&response) {
                        let message = message!("The download link returned {kind} instead of the export's file.");
                        return Err(Failure::Final(Error::new(Code::Auth0ExportLost, message)));
                    }
                    let tag = strong_etag(&response);
                    if received.tag.is_some() && tag.is_some() && tag != received.tag {
                        return Err(Failure::Final(file_changed()));
                    }
                    Ok(DownloadResponse { from: 0, length: response.content_length(), tag, response: Some(response) })
                }
                StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Err(Failure::Final(Error::new(
                    Code::Auth0LinkExpired,
                    message!("The download link of the export is no longer valid."),
                ))),
                _ => Err(self.status_failure(&call, response).await),
            }
        }
        .boxed()
    }

    async fn exchange(&self, call: &Call<'_>, request: RequestBuilder) -> reqwest::Result<Response> {
        let started = std::time::Instant::now();
        let result = request.send().await;
        let milliseconds = started.elapsed().as_millis() as u64;
        match &result {
            Ok(response) => {
                let status = response.status().as_u16();
                telemetry::AUTH0_RESPONSES.add(status);
                tracing::debug!(method = %call.method, path = call.template, status, milliseconds, "Auth0 answered");
            }
            Err(error) => {
                telemetry::AUTH0_NO_RESPONSE.add(1);
                tracing::debug!(
                    method = %call.method,
                    path = call.template,
                    reason = describe(error).to_string(),
                    milliseconds,
                    "Auth0 did not answer"
                );
            }
        }
        result
    }

    /// Classifies a missing or incomplete response.
    fn transport_failure(&self, call: &Call<'_>, error: &reqwest::Error) -> Failure {
        let reason = describe(error);
        if error.is_builder() {
            let (method, path) = (&call.method, call.template);
            let message = message!("{method} {path} cannot be sent: {reason}");
            return Error::new(Code::Internal, message).into();
        }
        // Only a connection that was never opened guarantees that nothing was sent.
        if call.creates && !error.is_connect() {
            let (host, method, path) = (self.host.host(), &call.method, call.template);
            let message = message!("The answer of {host} to {method} {path} was lost: {reason}");
            return Error::new(Code::Auth0AnswerLost, message).into();
        }
        self.no_response(reason)
    }

    fn no_response(&self, reason: Message) -> Failure {
        let message = message!("{host} does not answer: {reason}", host = self.host.host());
        let error = Error::new(Code::Auth0Unreachable, message);
        Failure::Retry(Retryable { error, cause: Cause::NoResponse(reason), wait: None })
    }

    /// Classifies a response whose status is not a success.
    async fn status_failure(&self, call: &Call<'_>, response: Response) -> Failure {
        let status = response.status();
        if status.is_redirection() || status.is_informational() {
            let (host, method, path) = (self.host.host(), &call.method, call.template);
            let message = message!("{host} answered {method} {path} with {status}");
            return Error::new(Code::Auth0Answer, message)
                .with_hint(message!("AUTH0_DOMAIN must be the tenant's own domain, for example acme.eu.auth0.com."))
                .into();
        }
        let wait = retry_after(status, response.headers(), Timestamp::now());
        let upstream = parse_error_body(status, response).await;
        if status == StatusCode::UNAUTHORIZED {
            return Failure::Unauthorized(upstream);
        }
        let mut error = refused_with_hint(upstream);
        let unexplained = without_explanation(status);
        if error.message == unexplained {
            // A text of this server and not of Auth0, which is translated.
            error.message = unexplained;
        }
        let cause = match status {
            StatusCode::TOO_MANY_REQUESTS if is_import_limit(&error) => return error.into(),
            StatusCode::TOO_MANY_REQUESTS => Cause::RateLimit,
            // It is unknown whether the request took effect before this response.
            _ if call.creates => return error.into(),
            StatusCode::SERVICE_UNAVAILABLE if error.message.contains("exceeded the timeout") => Cause::SlowQuery,
            StatusCode::REQUEST_TIMEOUT => Cause::Answer(status),
            _ if status.is_server_error() => Cause::Answer(status),
            _ => return error.into(),
        };
        Failure::Retry(Retryable { error, cause, wait })
    }

    /// Builds the error for a successful response with an undocumented body. If the request creates something, it took
    /// effect and its outcome is lost.
    pub(super) fn unexpected_answer(&self, call: &Call<'_>, reason: &Message) -> Error {
        let (host, method, path) = (self.host.host(), &call.method, call.template);
        let message = message!("{host} answered {method} {path}, but {reason}");
        Error::new(if call.creates { Code::Auth0AnswerLost } else { Code::Auth0Answer }, message)
    }
}

/// The response to a request for a file.
pub(super) struct DownloadResponse {
    /// `None` if the whole file was received before.
    pub(super) response: Option<Response>,
    /// Offset of its first byte in the file.
    pub(super) from: u64,
    /// Length of the whole file; `None` if unknown.
    pub(super) length: Option<u64>,
    /// Strong entity tag of the file; `None` if it has none.
    pub(super) tag: Option<String>,
}

/// Checks that a partial response continues an interrupted download: `Content-Range` (RFC 9110, 14.4) is
/// `bytes 100-199/200`, or `bytes */100` if the whole file was received before.
fn partial_response(response: Response, received: &PartialDownload) -> Result<DownloadResponse> {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes "));
    let (span, length) = range.and_then(|range| range.trim().split_once('/')).unwrap_or_default();
    let length = length.parse::<u64>().ok();
    let from = match span {
        "*" => length,
        span => span.split_once('-').and_then(|(first, _)| first.trim().parse::<u64>().ok()),
    };
    let tag = strong_etag(&response);
    let other_file = received.tag.is_some() && tag.is_some() && tag != received.tag;
    if from != Some(received.bytes) || other_file {
        return Err(file_changed());
    }
    let response = Some(response).filter(|response| response.status() == StatusCode::PARTIAL_CONTENT);
    Ok(DownloadResponse { response, from: received.bytes, length, tag })
}

/// Returns the entity tag of a response if it is strong, that is, identifies every byte; `None` for a weak one (`W/`).
fn strong_etag(response: &Response) -> Option<String> {
    let tag = response.headers().get(ETAG)?.to_str().ok()?;
    tag.starts_with('"').then(|| tag.to_owned())
}

/// Returns the media type of a response that is HTML or XML; `None` for every other type.
fn markup_type(response: &Response) -> Option<&'static str> {
    let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    ["text/html", "application/xhtml+xml", "application/xml", "text/xml"].into_iter().find(|markup| *markup == kind)
}

fn file_changed() -> Error {
    Error::new(Code::Auth0ExportLost, message!("The export's file changed while it was downloaded."))
}

/// Returns whether an error is Auth0's limit of two concurrent import jobs (docs/auth0/jobs.md#two-jobs-at-once). It is
/// not a rate limit: the caller has to wait for a job to end.
pub fn is_import_limit(error: &Error) -> bool {
    error.upstream.as_ref().is_some_and(|upstream| {
        upstream.status_code == 429 && upstream.message.to_ascii_lowercase().contains("active import users jobs")
    })
}

/// Returns whether a failed request that creates something may have taken effect: its response was lost, or its status
/// only reports a problem of Auth0. Meaningful for the errors of
/// [`create_import_job`](super::ManagementClient::create_import_job) and
/// [`create_export_job`](super::ManagementClient::create_export_job).
pub fn may_have_happened(error: &Error) -> bool {
    let is_server_error = error.upstream.as_ref().is_some_and(|upstream| matches!(upstream.status_code, 408 | 500..));
    error.code == Code::Auth0AnswerLost || is_server_error
}

/// Builds the error for Auth0's error response, with a hint if the response does not say what to do.
fn refused_with_hint(upstream: Upstream) -> Error {
    let hint = match upstream.status_code {
        403 => Some(message!(
            "Authorize the application for the Auth0 Management API with the scopes read:users, create:users and read:connections."
        )),
        429 => Some(message!("Auth0 limits requests per tenant; try again in a minute.")),
        500.. => Some(message!("See https://status.auth0.com and try again later.")),
        _ => None,
    };
    let error = Error::refused(upstream);
    match hint {
        Some(hint) if !is_import_limit(&error) => error.with_hint(hint),
        _ => error,
    }
}

/// Builds the multipart body of an import, with the parts in the order of docs/auth0/jobs.md#imports.
fn import_form(import: &ImportJobRequest) -> Result<Form> {
    let length = import.users.len() as u64;
    let users = Part::stream_with_length(import.users.clone(), length)
        .file_name("users.json")
        .mime_str("application/json")
        .map_err(|error| {
            let message = message!("The import cannot be sent: {reason}", reason = describe(&error));
            Error::new(Code::Internal, message)
        })?;
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

/// Why a response body could not be read.
enum BodyError {
    Transport(reqwest::Error),
    TooLarge,
}

async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(BodyError::Transport)? {
        if body.len() + bytes.len() > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

/// Parses the body of an error response: Auth0's format (docs/auth0/management-api.md#error-answers), the OAuth format
/// (docs/auth0/management-api.md#token-endpoint), or the first line of a plain text from a proxy. A body that cannot be
/// parsed still gives an [`Upstream`] with the status.
async fn parse_error_body(status: StatusCode, response: Response) -> Upstream {
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
    let text = read_body(response, MAX_ERROR_BYTES).await.unwrap_or_default();
    let body = serde_json::from_slice::<Body>(&text).unwrap_or_default();
    let error = body.error.or_else(|| status.canonical_reason().map(str::to_owned)).unwrap_or_default();
    let message = body.message.or(body.description).or_else(|| {
        let line = std::str::from_utf8(&text).ok().filter(|_| plain)?.lines().next()?.trim();
        (!line.is_empty()).then(|| line.chars().take(200).collect())
    });
    Upstream {
        status_code: status.as_u16(),
        message: message.unwrap_or_else(|| without_explanation(status).to_string()),
        error,
        error_code: body.error_code,
    }
}

/// Returns the message for an error response without one.
fn without_explanation(status: StatusCode) -> Message {
    message!("Auth0 answered {status} without an explanation.")
}

/// Describes a transport error briefly and without the URL, whose query may contain personal data or a signature.
pub(super) fn describe(error: &reqwest::Error) -> Message {
    let mut deepest: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if let Some(error) = deepest.downcast_ref::<std::io::Error>() {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => return message!("connection refused"),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
                return message!("connection closed");
            }
            _ => {}
        }
    }
    if error.is_timeout() {
        return if error.is_connect() { message!("no connection in time") } else { message!("no answer in time") };
    }
    match error.source() {
        Some(_) => Message::verbatim(deepest.to_string()),
        None if error.is_builder() => message!("the request is not valid"),
        None => message!("connection closed"),
    }
}
