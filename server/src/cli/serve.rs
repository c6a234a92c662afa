//! `serve`: the server for a tenant.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::start_logging;
use crate::access::Access;
use crate::config::{Purpose, Settings};
use crate::error::{Code, Error, Result};
use crate::jobs::Jobs;
use crate::store::Store;
use crate::web;

/// Serves until the process is asked to stop.
pub(super) fn run(config: Option<&Path>) -> Result<ExitCode> {
    let settings = Settings::load(Purpose::Serve, config)?;
    start_logging(&settings.log, settings.log_format)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    actix_web::rt::System::new().block_on(async {
        let server = Server::start(settings).await?;
        tracing::info!("listening on {}; the pages are at {}", server.address, server.base_url);
        server.run_to_end().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// How long a client may take to send the head of a request.
const REQUEST_HEAD: Duration = Duration::from_secs(10);

/// How long a connection may stay open without a request. Longer than the pages' own polling.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client may take to close a connection.
const DISCONNECT: Duration = Duration::from_secs(5);

/// How long a client may take nothing of an answer that waits for it.
const STALLED_READER: Duration = Duration::from_mins(1);

/// Has the system end a connection whose client acknowledges nothing, or keeps its receive window closed, for
/// [`STALLED_READER`] (RFC 5482). The server itself would notice only when there is room to write again.
fn end_stalled_readers(connection: &dyn std::any::Any) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
        let milliseconds = u32::try_from(STALLED_READER.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds) {
            tracing::debug!("a connection has no time-out for writing: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = connection;
}

/// The most connections at once; further ones wait in the system's queue.
const CONNECTIONS: u64 = 8192;

/// The most connections to the listener of `METRICS_ADDRESS`.
const METRICS_CONNECTIONS: usize = 64;

/// Open files that are not connections: jobs, sorts, the database, Auth0.
const OTHER_FILES: u64 = 512;

/// Lets this process open as many files as it may, and says how many: connections are files.
fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(CONNECTIONS + OTHER_FILES);
    if limit.current.is_none_or(|current| current >= wanted) {
        return limit.current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(_) => limit.current.unwrap_or_default(),
    }
}

/// How many connections leave enough open files for everything else.
fn connections(open_files: u64) -> usize {
    let connections = open_files.saturating_sub(OTHER_FILES).max(open_files / 2).clamp(16, CONNECTIONS);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Ends when HTTP is to stop: after the process was asked to, readiness is gone, a load balancer has had
/// time to notice, and jobs have stored where they stand. Whoever asks twice does not wait.
fn stop(jobs: Jobs, delay: Duration) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        either(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping");
        jobs.drain();
        let orderly = async {
            tokio::time::sleep(delay).await;
            jobs.stop().await;
        };
        tokio::select! {
            () = orderly => {}
            () = either(&mut interrupt, &mut terminate) => {}
        }
    })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// A server that accepts requests.
pub(super) struct Server {
    /// Where it can be reached.
    pub(super) base_url: Arc<str>,
    /// What it listens on; a proxy may stand between the two.
    address: std::net::SocketAddr,
    jobs: Jobs,
    http: actix_web::dev::Server,
    /// The listener of `METRICS_ADDRESS`.
    metrics: Option<ServerHandle>,
}

impl Server {
    /// Opens DATA_DIR, binds the address and takes up interrupted jobs.
    pub(super) async fn start(settings: Settings) -> Result<Self> {
        let settings = Arc::new(settings);
        let address = std::net::SocketAddr::new(settings.host, settings.port);
        let listener = listen(address, "HOST and PORT are", "PORT")?;
        let metrics_listener = settings
            .metrics_address
            .map(|address| listen(address, "METRICS_ADDRESS is", "METRICS_ADDRESS"))
            .transpose()?;
        let address = listener.local_addr()?;
        let base_url: Arc<str> = settings.base_url(address.port()).into();
        let store = Store::open_with(&settings).await?;
        let access = Arc::new(Access::new(&settings, &base_url, store.clone())?);
        let jobs = Jobs::new(Arc::clone(&settings), store.clone(), Arc::clone(&base_url))?;
        let app = web::App {
            settings,
            base_url: Arc::clone(&base_url),
            access,
            store,
            jobs: jobs.clone(),
            metrics: web::Metrics::new()?,
            bodies: web::BodyBudget::default(),
        };
        let stop = stop(jobs.clone(), app.settings.shutdown_delay)?;
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let connections = connections(raise_open_files());
        let metrics = metrics_listener.map(|listener| serve_metrics(&app, listener)).transpose()?;
        let http = HttpServer::new(move || web::application(&app, web::Routes::All))
            .on_connect(|connection, _| end_stalled_readers(connection))
            .workers(workers)
            .max_connections(connections.div_ceil(workers))
            .client_request_timeout(REQUEST_HEAD)
            .client_disconnect_timeout(DISCONNECT)
            .keep_alive(KEEP_ALIVE)
            // What is computed for a client ends when that client disconnects.
            .h1_allow_half_closed(false)
            .shutdown_signal(stop)
            .shutdown_timeout(10)
            .listen(listener)?
            .run();
        no_signal_for_large_files()?;
        jobs.recover().await?;
        Ok(Self { base_url, address, jobs, http, metrics })
    }

    /// Serves until the process is asked to stop (SIGINT, SIGTERM). Readiness goes first, then running jobs
    /// are left for the next start, then requests are answered to their end.
    pub(super) async fn run_to_end(self) -> Result<()> {
        let clean_up = self.jobs.clone();
        let clean_up = actix_web::rt::spawn(async move { clean_up.keep_clean().await });
        let served = self.http.await;
        if let Some(metrics) = self.metrics {
            metrics.stop(false).await;
        }
        self.jobs.stop().await;
        clean_up.abort();
        served.map_err(Error::from)
    }
}

/// Binds an address; `setting` and `name` say in an error which settings chose it.
fn listen(address: std::net::SocketAddr, setting: &str, name: &str) -> Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address).map_err(|error| {
        Error::new(Code::InvalidSettings, format!("{setting} {address}: {error}"))
            .with_hint(format!("Choose another {name}, or stop the program that uses this one."))
    })
}

/// Serves `/metrics` alone.
fn serve_metrics(app: &web::App, listener: std::net::TcpListener) -> Result<ServerHandle> {
    let address = listener.local_addr()?;
    let app = app.clone();
    let server = HttpServer::new(move || web::application(&app, web::Routes::Metrics))
        .on_connect(|connection, _| end_stalled_readers(connection))
        .workers(1)
        .max_connections(METRICS_CONNECTIONS)
        .client_request_timeout(REQUEST_HEAD)
        .client_disconnect_timeout(DISCONNECT)
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    tracing::info!("the metrics are at http://{address}/metrics");
    Ok(handle)
}

/// Where a limit on the size of files is set, a file that reaches it ends the job that writes it. Without
/// a handler the signal that comes with it would end the whole process.
fn no_signal_for_large_files() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The handler stays when the stream of signals, which nobody reads, goes away.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(connections(u64::MAX), 8192);
        assert_eq!(connections(8704), 8192);
        assert_eq!(connections(2048), 1536);
        assert_eq!(connections(256), 128);
        assert_eq!(connections(0), 16);
    }
}
