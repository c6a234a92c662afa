//! The shared state of the request handlers.

use std::sync::Arc;

use super::body_gate::BodyBudget;
use super::metrics::Metrics;
use super::page_cache::PageCache;
use uie_access::Access;
use uie_core::config::Settings;
use uie_core::error::Result;
use uie_jobs::Jobs;
use uie_store::Store;

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
    /// Rendered pages.
    pub pages: PageCache,
}

impl App {
    /// Creates the state of one server. `base_url` has no trailing slash.
    pub fn new(
        settings: Arc<Settings>,
        base_url: Arc<str>,
        store: Store,
        access: Arc<Access>,
        jobs: Jobs,
    ) -> Result<Self> {
        let (bodies, pages) = (BodyBudget::default(), PageCache::default());
        Ok(Self { settings, base_url, access, store, jobs, metrics: Metrics::new()?, bodies, pages })
    }

    /// Returns the path of the base URL, with a slash at both ends (docs/auth0/login.md#base-url-and-base-path).
    pub fn base_path(&self) -> String {
        let path = url::Url::parse(&self.base_url).map(|url| url.path().to_owned()).unwrap_or_default();
        let path = path.trim_matches('/');
        if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
    }
}
