//! A simulated Auth0 tenant for tests and demos: root-tenant and own-tenant sign-in, OAuth, Management API v2 with
//! search, import and export jobs, rate limits, and injected faults.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use simulated_tenant::{Tenant, TenantSettings};
//!
//! let tenant = Tenant::start(TenantSettings { users: 100, ..TenantSettings::default() }).await?;
//! println!("AUTH0_DOMAIN={}", tenant.url());
//! tenant.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It listens on the loopback address only. Documented behavior follows docs/auth0/README.md; comments mark what Auth0
//! does not publish and this crate chose.

mod client;
mod clock;
pub mod connections;
mod control;
mod directory;
mod export;
mod faults;
pub mod generate;
mod import;
mod jobs;
mod limits;
mod login;
mod logs;
mod management;
pub mod openapi;
pub mod people;
mod record;
mod reply;
pub mod search;
mod server;
mod settings;
mod state;
mod tokens;

use std::io;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web;
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::{oneshot, watch};

pub use client::sign_in;
pub use control::{Control, ControlError};
pub use faults::{Fault, FaultKind};
pub use jobs::JobCounts;
pub use limits::{Bucket, RateLimits};
pub use record::{Client, Recorded};
pub use settings::TenantSettings;

/// Client id of the machine-to-machine application.
pub const CLIENT_ID: &str = "MachineToMachine0000000000000000";
/// Its client secret.
pub const CLIENT_SECRET: &str = "simulated-machine-to-machine-secret-of-the-tenant";
/// Client id of the Regular Web Application for sign-ins.
pub const LOGIN_CLIENT_ID: &str = "RegularWebApplication00000000000";
/// Its secret.
pub const LOGIN_CLIENT_SECRET: &str = "simulated-regular-web-application-secret-of-the-tenant";
/// Its name.
pub(crate) const LOGIN_CLIENT_NAME: &str = "User Import / Export";

/// A running tenant. Clones are handles to the same one; it stops with [`Tenant::stop`] or when the
/// last handle is dropped.
#[derive(Clone)]
pub struct Tenant {
    running: Arc<Running>,
}

struct Running {
    state: Arc<state::State>,
    certificate: Option<String>,
    handle: ServerHandle,
    /// Changes when the server's thread ends.
    ended: watch::Receiver<bool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command is sent immediately; the returned future only waits for the end.
        drop(self.handle.stop(false));
    }
}

impl std::fmt::Debug for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenant").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Tenant {
    /// Starts a tenant on the loopback address, in a separate thread, so that it works inside any runtime.
    pub async fn start(settings: TenantSettings) -> io::Result<Tenant> {
        let (sender, started) = oneshot::channel();
        let (end, ended) = watch::channel(false);
        std::thread::Builder::new().name("simulated-tenant".to_owned()).spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match prepare(settings) {
                    Err(error) => drop(sender.send(Err(error))),
                    Ok((state, certificate, server)) => {
                        let running = (state, certificate, server.handle());
                        // If the caller no longer waits, do not serve.
                        if sender.send(Ok(running)).is_ok()
                            && let Err(error) = server.await
                        {
                            tracing::error!(%error, "the simulated tenant stopped");
                        }
                    }
                }
            });
            // Fails if no handle is left.
            let _ = end.send(true);
        })?;
        let (state, certificate, handle) =
            started.await.map_err(|_| io::Error::other("the simulated tenant ended while it started"))??;
        Ok(Tenant { running: Arc::new(Running { state, certificate, handle, ended }) })
    }

    /// `http://127.0.0.1:PORT`: `AUTH0_DOMAIN` and `AUTH0_RTA` at the same time.
    pub fn url(&self) -> String {
        self.running.state.url.get().cloned().unwrap_or_default()
    }

    /// `https://127.0.0.1:PORT`, if there is a TLS listener.
    pub fn tls_url(&self) -> Option<String> {
        self.running.state.tls_url.get().cloned()
    }

    /// The certificate of the TLS listener as PEM, valid for `127.0.0.1` and `localhost`.
    pub fn certificate(&self) -> Option<&str> {
        self.running.certificate.as_deref()
    }

    /// Client id of the machine-to-machine application.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Secret of the machine-to-machine application.
    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }

    /// Client id of the application for sign-ins.
    pub fn login_client_id(&self) -> &'static str {
        LOGIN_CLIENT_ID
    }

    /// Secret of the application for sign-ins.
    pub fn login_client_secret(&self) -> &'static str {
        LOGIN_CLIENT_SECRET
    }

    /// The id of the database connection `Username-Password-Authentication`.
    pub fn database_connection_id(&self) -> String {
        self.control().connection_id(connections::DATABASE).unwrap_or_default()
    }

    /// The controls of the simulation.
    pub fn control(&self) -> Control {
        Control { state: Arc::clone(&self.running.state) }
    }

    /// Stops the tenant, connections included, and waits until it has ended.
    pub async fn stop(self) {
        self.running.handle.stop(false).await;
        let mut ended = self.running.ended.clone();
        // An error means that the thread has ended.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

type Prepared = (Arc<state::State>, Option<String>, actix_web::dev::Server);

fn prepare(settings: TenantSettings) -> io::Result<Prepared> {
    let (tls, certificate) = if settings.tls_port.is_some() {
        let (config, certificate) = self_signed().map_err(io::Error::other)?;
        (Some(config), Some(certificate))
    } else {
        (None, None)
    };
    let state = web::Data::new(state::State::new(settings).map_err(io::Error::other)?);
    let server = server::bind(&state, tls)?;
    Ok((state.into_inner(), certificate, server))
}

fn self_signed() -> Result<(rustls::ServerConfig, String), Box<dyn std::error::Error + Send + Sync>> {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let certificate = pair.cert.pem();
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)?;
    Ok((config, certificate))
}
