//! `serve`: runs the server for a tenant.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::start_logging;
use crate::web;
use uie_access::Access;
use uie_core::config::{Purpose, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_jobs::Jobs;
use uie_store::Store;

/// Serves until the process receives SIGINT or SIGTERM.
pub(super) fn run(config: Option<&Path>) -> Result<ExitCode> {
    let settings = Settings::load(Purpose::Serve, config)?;
    start_logging(&settings.log, settings.log_format)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    actix_web::rt::System::new().block_on(async {
        let server = Server::start(settings).await?;
        tracing::info!("listening on {}; the pages are at {}", server.address, server.base_url);
        server.run_until_stopped().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Time limit for a client to send the head of a request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection stays open without a request. Longer than the polling interval of the pages.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Time limit for a client to close a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may receive nothing of a pending response.
#[cfg(target_os = "linux")]
const STALLED_READER_TIMEOUT: Duration = Duration::from_mins(1);

/// Lets the kernel close a connection whose client acknowledges nothing, or keeps its receive window closed, for
/// [`STALLED_READER_TIMEOUT`] (RFC 5482). The server itself would notice only when it can write again.
fn end_stalled_readers(connection: &dyn std::any::Any) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
        let milliseconds = u32::try_from(STALLED_READER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds) {
            tracing::debug!("a connection has no write timeout: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = connection;
}

/// Maximum number of concurrent connections; more wait in the kernel's queue.
const MAX_CONNECTIONS: u64 = 8192;

/// Maximum number of connections to the listener of `METRICS_ADDRESS`.
const MAX_METRICS_CONNECTIONS: usize = 64;

/// Number of open files reserved for jobs, sorts, the database and requests to Auth0.
const RESERVED_FILES: u64 = 512;

/// Raises the limit of open files, which include connections, as far as needed and permitted. Returns the limit.
fn raise_open_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(MAX_CONNECTIONS + RESERVED_FILES);
    if limit.current.is_none_or(|current| current >= wanted) {
        return limit.current.unwrap_or(u64::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(_) => limit.current.unwrap_or_default(),
    }
}

/// Returns how many connections leave enough open files for other purposes.
fn max_connections(open_files: u64) -> usize {
    let connections = open_files.saturating_sub(RESERVED_FILES).max(open_files / 2).clamp(16, MAX_CONNECTIONS);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Returns a future that ends when the HTTP server has to stop. At the first signal the server becomes not ready; the
/// future ends after `delay`, so that a load balancer notices, and after jobs have stored their progress. A second
/// signal ends it at once.
fn shutdown_signal(jobs: Jobs, delay: Duration) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        wait_for_signal(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping");
        jobs.drain();
        let graceful = async {
            tokio::time::sleep(delay).await;
            jobs.stop().await;
        };
        tokio::select! {
            () = graceful => {}
            () = wait_for_signal(&mut interrupt, &mut terminate) => {}
        }
    })
}

async fn wait_for_signal(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// A server that accepts requests.
pub(super) struct Server {
    /// The public URL.
    pub(super) base_url: Arc<str>,
    /// The local address, which is not that of the URL if there is a proxy.
    address: std::net::SocketAddr,
    access: Arc<Access>,
    jobs: Jobs,
    http: actix_web::dev::Server,
    /// The listener of `METRICS_ADDRESS`.
    metrics: Option<ServerHandle>,
}

impl Server {
    /// Opens DATA_DIR, binds the address, and continues interrupted jobs.
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
        let app = web::App::new(settings, Arc::clone(&base_url), store, Arc::clone(&access), jobs.clone())?;
        let stop = shutdown_signal(jobs.clone(), app.settings.shutdown_delay)?;
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let connections = max_connections(raise_open_file_limit());
        let metrics = metrics_listener.map(|listener| serve_metrics(&app, listener)).transpose()?;
        let http = HttpServer::new(move || web::application(&app, web::Routes::All))
            .on_connect(|connection, _| end_stalled_readers(connection))
            .workers(workers)
            .max_connections(connections.div_ceil(workers))
            .client_request_timeout(REQUEST_HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .keep_alive(KEEP_ALIVE)
            // A computation for a client is canceled when the client disconnects.
            .h1_allow_half_closed(false)
            .shutdown_signal(stop)
            .shutdown_timeout(10)
            .listen(listener)?
            .run();
        ignore_file_size_signal()?;
        jobs.recover().await?;
        Ok(Self { base_url, address, access, jobs, http, metrics })
    }

    /// Serves until the process receives SIGINT or SIGTERM. Then the server becomes not ready, running jobs stop and
    /// are continued at the next start, and open requests are completed.
    pub(super) async fn run_until_stopped(self) -> Result<()> {
        let (jobs, access) = (self.jobs.clone(), self.access);
        let clean_up = actix_web::rt::spawn(async move {
            jobs.keep_clean(async |now| access.delete_ended_sessions(now).await).await;
        });
        let result = self.http.await;
        if let Some(metrics) = self.metrics {
            metrics.stop(false).await;
        }
        self.jobs.stop().await;
        clean_up.abort();
        result.map_err(Error::from)
    }
}

/// Binds an address. `setting` and `name` name its settings in the message and the hint of an error.
fn listen(address: std::net::SocketAddr, setting: &str, name: &str) -> Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address).map_err(|error| {
        Error::new(Code::InvalidSettings, message!("{setting} {address}: {error}"))
            .with_hint(message!("Choose another {name}, or stop the program that uses this one."))
    })
}

/// Starts the listener of `METRICS_ADDRESS`.
fn serve_metrics(app: &web::App, listener: std::net::TcpListener) -> Result<ServerHandle> {
    let address = listener.local_addr()?;
    let app = app.clone();
    let server = HttpServer::new(move || web::application(&app, web::Routes::Metrics))
        .on_connect(|connection, _| end_stalled_readers(connection))
        .workers(1)
        .max_connections(MAX_METRICS_CONNECTIONS)
        .client_request_timeout(REQUEST_HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    tracing::info!("the metrics are at http://{address}/metrics");
    Ok(handle)
}

/// Installs a handler for SIGXFSZ: if a file exceeds the file size limit of the process, only the job that writes it
/// fails. Without a handler, the signal would end the process.
fn ignore_file_size_signal() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The handler stays installed after the stream of signals, which is not needed, was dropped.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_open_files_for_other_purposes() {
        assert_eq!(max_connections(u64::MAX), 8192);
        assert_eq!(max_connections(8704), 8192);
        assert_eq!(max_connections(2048), 1536);
        assert_eq!(max_connections(256), 128);
        assert_eq!(max_connections(0), 16);
    }
}
