//! The HTTP server: routes, middleware, pages and error responses. No other module uses actix-web and Tera.

pub mod api;
mod auth0_extension;
mod base_path;
mod body_limits;
mod docs_pages;
mod fetch_metadata;
mod language;
mod metrics;
mod pages;
mod reply;
mod request_log;
mod security_headers;
mod slow_requests;
mod templates;

use std::sync::Arc;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::Data;
use tracing_actix_web::TracingLogger;

pub use body_limits::BodyBudget;
pub use metrics::Metrics;
pub use reply::{AnySession, ApiError, Authorized, ReadConnections, ReadUsers, ReadUsersAndConnections, Requirement};

use crate::access::Access;
use crate::config::Settings;
use crate::jobs::Jobs;
use crate::store::Store;

/// The shared state of the request handlers.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Public base URL without a trailing slash. Its path is the prefix under which a proxy serves the application.
    pub base_url: Arc<str>,
    /// Access control.
    pub access: Arc<Access>,
    /// The database and files.
    pub store: Store,
    /// Exports and imports.
    pub jobs: Jobs,
    /// Metrics.
    pub metrics: Metrics,
    /// Memory budget for the bodies of requests without a session.
    pub bodies: BodyBudget,
}

impl App {
    /// Returns the path of the base URL, with a slash at both ends (docs/auth0/login.md#base-url-and-base-path).
    pub fn base_path(&self) -> String {
        let path = url::Url::parse(&self.base_url).map(|url| url.path().to_owned()).unwrap_or_default();
        let path = path.trim_matches('/');
        if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
    }
}

/// Which routes an application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// All routes.
    All,
    /// Only `/metrics`, for the listener of `METRICS_ADDRESS`.
    Metrics,
}

/// Creates the actix-web application: the routes behind all middleware. The server and all tests use this function, so
/// that the same limits apply in all of them.
pub fn application(
    app: &App,
    routes: Routes,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    // The last middleware is the outermost.
    actix_web::App::new()
        .app_data(Data::new(app.clone()))
        .wrap(from_fn(body_limits::limit_body))
        .wrap(from_fn(metrics::observe_request))
        .wrap(Compress::default())
        .wrap(from_fn(security_headers::add_headers))
        .wrap(TracingLogger::<request_log::RequestSpan>::new())
        .wrap(base_path::StripPrefix::new(&app.base_path()))
        .configure(|config| match routes {
            Routes::All => {
                auth0_extension::configure(config);
                metrics::configure(config);
                api::configure(config);
                pages::configure(config);
            }
            Routes::Metrics => metrics::configure_dedicated(config),
        })
}
