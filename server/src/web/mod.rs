//! The only room that knows actix and Tera: routes, pages, error replies.

pub mod api;
mod contract;
mod fetch_metadata;
mod guide;
mod language;
mod metrics;
mod pace;
mod pages;
mod prefix;
mod reply;
mod templates;
mod trace;

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};

pub use metrics::{Metrics, count};
pub use pace::pace;
pub use prefix::StripPrefix;
pub use reply::{ApiError, SignedIn};
pub use trace::RequestSpan;

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
}

impl App {
    /// Path of the base URL, with a slash at both ends (contract, 2.6).
    pub fn base_path(&self) -> String {
        let path = url::Url::parse(&self.base_url).map(|url| url.path().to_owned()).unwrap_or_default();
        let path = path.trim_matches('/');
        if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
    }
}

/// Adds every route. Used by the server and by tests.
pub fn configure(config: &mut ServiceConfig, app: &App) {
    config.app_data(Data::new(app.clone()));
    contract::configure(config);
    metrics::configure(config);
    api::configure(config);
    pages::configure(config);
}
