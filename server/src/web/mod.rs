//! The only room that knows actix and Tera: routes, pages, error replies.

pub mod api;
mod body;
mod contract;
mod fetch_metadata;
mod guide;
mod headers;
mod language;
mod metrics;
mod pace;
mod pages;
mod prefix;
mod reply;
mod templates;
mod trace;

use std::sync::Arc;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::Data;
use tracing_actix_web::TracingLogger;

pub use body::BodyBudget;
pub use metrics::Metrics;
pub use reply::{AnySession, ApiError, Authorized, ReadConnections, ReadUsers, ReadUsersAndConnections, Requirement};

use crate::access::Access;
use crate::config::Settings;
use crate::jobs::Jobs;
use crate::store::Store;

/// Everything a request handler may need.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Public base URL without a trailing slash; its path is the prefix under which a proxy serves us.
    pub base_url: Arc<str>,
    /// Who may come in.
    pub access: Arc<Access>,
    /// State.
    pub store: Store,
    /// Running jobs.
    pub jobs: Jobs,
    /// What is counted.
    pub metrics: Metrics,
    /// Memory for the bodies of requests without a session.
    pub bodies: BodyBudget,
}

impl App {
    /// Path of the base URL, with a slash at both ends (docs/auth0/login.md#base-url-and-base-path).
    pub fn base_path(&self) -> String {
        let path = url::Url::parse(&self.base_url).map(|url| url.path().to_owned()).unwrap_or_default();
        let path = path.trim_matches('/');
        if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
    }
}

/// Which routes an application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// All of them.
    All,
    /// Only `/metrics`, for the listener of `METRICS_ADDRESS`.
    Metrics,
}

/// An application: its routes behind every middleware. The server and all tests use this function, so that none of
/// them can leave out a limit.
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
    // The last one is the outermost.
    actix_web::App::new()
        .app_data(Data::new(app.clone()))
        .wrap(from_fn(body::limit_body))
        .wrap(from_fn(metrics::count))
        .wrap(Compress::default())
        .wrap(from_fn(headers::add_headers))
        .wrap(TracingLogger::<trace::RequestSpan>::new())
        .wrap(prefix::StripPrefix::new(&app.base_path()))
        .configure(|config| match routes {
            Routes::All => {
                contract::configure(config);
                metrics::configure(config);
                api::configure(config);
                pages::configure(config);
            }
            Routes::Metrics => metrics::configure_alone(config),
        })
}
