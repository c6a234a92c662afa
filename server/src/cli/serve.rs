//! `serve`: the server for a tenant.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use actix_web::HttpServer;
use actix_web::middleware::{Compress, from_fn};
use tracing_actix_web::TracingLogger;

use super::start_logging;
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

/// A server that accepts requests.
pub(super) struct Server {
    /// Where it can be reached.
    pub(super) base_url: Arc<str>,
    /// What it listens on; a proxy may stand between the two.
    address: std::net::SocketAddr,
    jobs: Jobs,
    http: actix_web::dev::Server,
}

impl Server {
    /// Opens DATA_DIR, binds the address and takes up interrupted jobs.
    pub(super) async fn start(settings: Settings) -> Result<Self> {
        let settings = Arc::new(settings);
        let address = std::net::SocketAddr::new(settings.host, settings.port);
        let listener = std::net::TcpListener::bind(address).map_err(|error| {
            Error::new(Code::InvalidSettings, format!("HOST and PORT are {address}: {error}"))
                .with_hint("Choose another PORT, or stop the program that uses this one.")
        })?;
        let address = listener.local_addr()?;
        let base_url: Arc<str> = settings.base_url(address.port()).into();
        let store = Store::open(&settings.data_dir).await?;
        let access = Arc::new(Access::new(&settings, &base_url)?);
        let jobs = Jobs::new(Arc::clone(&settings), store.clone(), Arc::clone(&base_url))?;
        let app = web::App {
            settings,
            base_url: Arc::clone(&base_url),
            access,
            store,
            jobs: jobs.clone(),
            metrics: web::Metrics::new()?,
        };
        let http = HttpServer::new(move || {
            actix_web::App::new()
                .wrap(from_fn(web::count))
                .wrap(Compress::default())
                .wrap(TracingLogger::<web::RequestSpan>::new())
                .wrap(web::StripPrefix::new(&app.base_path()))
                .configure(|config| web::configure(config, &app))
        })
        .listen(listener)?
        .shutdown_timeout(10)
        .run();
        jobs.recover().await?;
        Ok(Self { base_url, address, jobs, http })
    }

    /// Serves until the process is asked to stop (SIGINT, SIGTERM); running jobs are left for the next
    /// start.
    pub(super) async fn run_to_end(self) -> Result<()> {
        let clean_up = self.jobs.clone();
        let clean_up = actix_web::rt::spawn(async move { clean_up.keep_clean().await });
        let served = self.http.await;
        self.jobs.stop().await;
        clean_up.abort();
        served.map_err(Error::from)
    }
}
