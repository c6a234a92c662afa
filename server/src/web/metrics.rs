//! Metrics for Prometheus, without personal data: labels are routes, not paths.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{CounterVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_core::telemetry::{self, Counter};
use uie_store::{JobKind, JobState};

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
        let failed = |error: prometheus::Error| {
            Error::new(Code::Internal, message!("The metrics cannot be registered: {error}"))
        };
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

    /// Counts a request that was answered after `duration`. `route` is the pattern of its route.
    pub(super) fn count_request(&self, method: &str, route: &str, status: &str, duration: Duration) {
        self.0.requests.with_label_values(&[method, route, status]).inc();
        self.0.seconds.with_label_values(&[method, route]).observe(duration.as_secs_f64());
    }

    /// Sets the numbers of the jobs in the history, by kind and state, and of the jobs that run, wait or are queued.
    pub(super) fn set_jobs(&self, history: &[(JobKind, JobState, u64)], running: usize) {
        let metrics = &*self.0;
        metrics.jobs.reset();
        for (kind, state, count) in history {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            metrics.jobs.with_label_values(&[kind.as_str(), state.as_str()]).set(count);
        }
        metrics.running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// Updates the metrics from the counters in `telemetry`.
    pub(super) fn update(&self) {
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

    /// Returns the metrics in the text format of Prometheus.
    pub(super) fn text(&self) -> Result<String> {
        TextEncoder::new()
            .encode_to_string(&self.0.registry.gather())
            .map_err(|error| Error::new(Code::Internal, message!("The metrics cannot be encoded: {error}")))
    }
}

/// Increases a counter to a count, which never decreases.
fn raise_to(metric: &prometheus::Counter, count: f64) {
    metric.inc_by((count - metric.get()).max(0.0));
}
