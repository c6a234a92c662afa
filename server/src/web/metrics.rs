//! `GET /metrics`: metrics for Prometheus, without personal data: labels are routes, not paths.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderName, HeaderValue, VIA};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use prometheus::{CounterVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};
use secrecy::ExposeSecret;
use tracing_actix_web::RequestId;

use super::reply::{get_resource, not_found};
use super::{ApiError, App, request_log};
use crate::encryption::constant_time_eq;
use crate::error::{Code, Error, Result};
use crate::telemetry::{self, Counter};

/// Adds `/metrics` to all other routes.
pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(get_resource("/metrics", read));
}

/// Adds `/metrics` to a dedicated listener, which answers 404 to all other paths.
pub(super) fn configure_dedicated(config: &mut ServiceConfig) {
    config
        .app_data(Data::new(DedicatedListener))
        .service(get_resource("/metrics", read))
        .default_service(web::to(not_found_response));
}

/// Marks the listener of `METRICS_ADDRESS`.
struct DedicatedListener;

async fn not_found_response(request: HttpRequest) -> HttpResponse {
    ApiError(not_found(&request)).error_response()
}

/// The metrics of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    jobs: IntGaugeVec,
    running: IntGauge,
    queued: IntGauge,
    rows: CounterVec,
    faults: CounterVec,
    auth0: CounterVec,
    waits: prometheus::Counter,
    waited: prometheus::Counter,
    sandbox: prometheus::Counter,
    traps: prometheus::Counter,
    cleanup_suspended: IntGauge,
}

impl Metrics {
    /// Creates and registers all metrics with the value 0.
    pub fn new() -> Result<Self> {
        let failed =
            |error: prometheus::Error| Error::new(Code::Internal, format!("The metrics cannot be registered: {error}"));
        let registry = Registry::new_custom(Some("user_import_export".to_owned()), None).map_err(failed)?;
        let labels = ["method", "route", "status"];
        let requests = prometheus::Opts::new("http_requests_total", "Requests that were answered.");
        let seconds = prometheus::HistogramOpts::new(
            "http_request_duration_seconds",
            "Time from a request to the head of its answer, in seconds.",
        )
        .buckets(vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0]);
        let jobs = prometheus::Opts::new("jobs", "Jobs in the history, by type and status.");
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).map_err(failed);
        let counter = |name: &str, help: &str| prometheus::Counter::new(name, help).map_err(failed);
        let by = |label: &str, name: &str, help: &str| {
            CounterVec::new(prometheus::Opts::new(name, help), &[label]).map_err(failed)
        };
        let inner = Inner {
            requests: IntCounterVec::new(requests, &labels).map_err(failed)?,
            seconds: HistogramVec::new(seconds, &["method", "route"]).map_err(failed)?,
            jobs: IntGaugeVec::new(jobs, &["type", "status"]).map_err(failed)?,
            running: gauge("running_jobs", "Jobs that run, wait or are queued now.")?,
            queued: gauge("queued_jobs", "Jobs that are queued now.")?,
            rows: by("type", "rows_total", "Users written by exports, and rows processed by imports.")?,
            faults: by("type", "faults_total", "Users, cells and rows that jobs could not read, compute or import.")?,
            auth0: by("status", "auth0_requests_total", "Requests to Auth0 by status; none: no answer.")?,
            waits: counter("auth0_rate_limit_waits_total", "Waits that Auth0 asked for because of a rate limit.")?,
            waited: counter("auth0_rate_limit_wait_seconds_total", "Time waited because of rate limits, in seconds.")?,
            sandbox: counter("sandbox_seconds_total", "Execution time of transforms and JavaScript, in seconds.")?,
            traps: counter("sandbox_traps_total", "Calls of transforms and JavaScript that trapped.")?,
            cleanup_suspended: gauge(
                "cleanup_suspended",
                "1 while expired data is not deleted because the clock is not trusted.",
            )?,
            registry,
        };
        for collector in [
            Box::new(inner.requests.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(inner.seconds.clone()),
            Box::new(inner.jobs.clone()),
            Box::new(inner.running.clone()),
            Box::new(inner.queued.clone()),
            Box::new(inner.rows.clone()),
            Box::new(inner.faults.clone()),
            Box::new(inner.auth0.clone()),
            Box::new(inner.waits.clone()),
            Box::new(inner.waited.clone()),
            Box::new(inner.sandbox.clone()),
            Box::new(inner.traps.clone()),
            Box::new(inner.cleanup_suspended.clone()),
        ] {
            inner.registry.register(collector).map_err(failed)?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Updates the metrics from the counters in `telemetry`.
    fn update(&self) {
        let inner = &*self.0;
        let microseconds = 1e-6;
        for (metric, count, unit) in [
            (&inner.rows.with_label_values(&["export"]), &telemetry::EXPORTED_ROWS, 1.0),
            (&inner.rows.with_label_values(&["import"]), &telemetry::IMPORTED_ROWS, 1.0),
            (&inner.faults.with_label_values(&["export"]), &telemetry::EXPORT_ERRORS, 1.0),
            (&inner.faults.with_label_values(&["import"]), &telemetry::IMPORT_ERRORS, 1.0),
            (&inner.auth0.with_label_values(&["none"]), &telemetry::AUTH0_NO_RESPONSE, 1.0),
            (&inner.waits, &telemetry::RATE_LIMIT_WAITS, 1.0),
            (&inner.waited, &telemetry::RATE_LIMIT_WAIT_MICROS, microseconds),
            (&inner.sandbox, &telemetry::SANDBOX_MICROS, microseconds),
            (&inner.traps, &telemetry::SANDBOX_TRAPS, 1.0),
        ] {
            raise_to(metric, Counter::get(count) as f64 * unit);
        }
        for (status, count) in telemetry::AUTH0_RESPONSES.counts() {
            raise_to(&inner.auth0.with_label_values(&[&status.to_string()]), count as f64);
        }
        inner.queued.set(telemetry::QUEUED_JOBS.get());
        inner.cleanup_suspended.set(telemetry::CLEANUP_SUSPENDED.get().into());
    }

    fn text(&self) -> Result<String> {
        TextEncoder::new()
            .encode_to_string(&self.0.registry.gather())
            .map_err(|error| Error::new(Code::Internal, format!("The metrics cannot be encoded: {error}")))
    }
}

/// Increases a counter to a count, which never decreases.
fn raise_to(metric: &prometheus::Counter, count: f64) {
    metric.inc_by((count - metric.get()).max(0.0));
}

/// Response header with the request's id in the log, so that users can report it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Middleware that counts a request by the pattern of its route, because paths contain ids, adds its id to the
/// response, and logs a failed or refused request.
pub(super) async fn observe_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> std::result::Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let metrics = request.app_data::<Data<App>>().map(|app| app.metrics.clone());
    let method = request_log::method_label(&request);
    let id = request.extensions().get::<RequestId>().and_then(|id| HeaderValue::try_from(id.to_string()).ok());
    let mut outcome = next.call(request).await;
    if let (Ok(response), Some(id)) = (&mut outcome, id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, code, pattern) = match &outcome {
        Ok(response) => {
            let code = response.response().extensions().get::<Code>().copied();
            (response.status(), code, response.request().match_pattern())
        }
        Err(error) => {
            (error.as_response_error().status_code(), error.as_error::<ApiError>().map(|error| error.0.code), None)
        }
    };
    request_log::log_failure(status, code);
    if let Some(metrics) = metrics {
        let route = request_log::route_label(pattern);
        let labels = [method, route.as_str(), status.as_str()];
        metrics.0.requests.with_label_values(&labels).inc();
        metrics.0.seconds.with_label_values(&[method, &route]).observe(started.elapsed().as_secs_f64());
    }
    outcome
}

/// Returns the metrics in the text format of Prometheus. With a public URL they need `METRICS_TOKEN`; otherwise
/// programs on the server's machine can read them without it.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "text/plain"), (status = 401, body = crate::error::ErrorBody),
              (status = 404, body = crate::error::ErrorBody)))]
pub(super) async fn read(request: HttpRequest, app: Data<App>) -> std::result::Result<HttpResponse, ApiError> {
    authorize(&request, &app)?;
    let metrics = &app.metrics.0;
    metrics.jobs.reset();
    for (kind, state, count) in app.jobs.counts().await? {
        metrics.jobs.with_label_values(&[kind.as_str(), state.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    app.metrics.update();
    metrics.running.set(i64::try_from(app.jobs.running()).unwrap_or(i64::MAX));
    Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(app.metrics.text()?))
}

/// Headers that a proxy adds to a request, beside `X-Forwarded-*`.
const PROXIED: [HeaderName; 3] = [FORWARDED, VIA, HeaderName::from_static("x-real-ip")];

/// Accepts a request with the token or, if no token is needed, a request of a program on this machine.
///
/// With a public URL requests come through a proxy, which may be on this machine. So the token is needed, and without
/// one in the settings the response is 404. The listener of `METRICS_ADDRESS` is not behind the proxy; it needs no
/// token unless one is set.
fn authorize(request: &HttpRequest, app: &App) -> Result<()> {
    let settings = &app.settings;
    let bearer_token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if let (Some(bearer_token), Some(token)) = (bearer_token, &settings.metrics_token)
        && constant_time_eq(bearer_token, token.expose_secret())
    {
        return Ok(());
    }
    let is_dedicated = request.app_data::<Data<DedicatedListener>>().is_some();
    let (needs_token, listener) = match settings.metrics_address {
        Some(address) if is_dedicated => (settings.metrics_token.is_some(), address.ip()),
        _ => (settings.base_url.is_some(), settings.host),
    };
    if needs_token && settings.metrics_token.is_none() {
        return Err(not_found(request).with_hint("Set METRICS_TOKEN, or METRICS_ADDRESS for a dedicated listener."));
    }
    if !needs_token && bearer_token.is_none() && is_local(request, listener) {
        return Ok(());
    }
    Err(Error::new(Code::CredentialsRequired, "The metrics need METRICS_TOKEN, or a direct request from this machine.")
        .with_hint("Send the header `Authorization: Bearer <METRICS_TOKEN>`."))
}

/// Returns whether a program on this machine sent the request directly: without a proxy, and with a host name of this
/// machine. After DNS rebinding, a browser sends the name of the other site as host.
fn is_local(request: &HttpRequest, listener: IpAddr) -> bool {
    let headers = request.headers();
    let proxied = headers.keys().any(|name| PROXIED.contains(name) || name.as_str().starts_with("x-forwarded-"));
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    let names_this_machine = |authority: &str| {
        let host = authority.parse::<Authority>().ok();
        let host = host.as_ref().map_or("", Authority::host).trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| is_loopback(ip) || ip == listener)
    };
    let hosts = headers.get_all(HOST).map(|host| host.to_str().unwrap_or_default());
    let hosts = hosts.chain(request.uri().authority().map(Authority::as_str));
    request.peer_addr().is_some_and(|peer| is_loopback(peer.ip()))
        && !proxied
        && hosts.into_iter().all(names_this_machine)
}
