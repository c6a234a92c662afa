//! Settings of a simulated tenant.

use std::time::Duration;

use crate::limits::RateLimits;

/// Settings of a simulated tenant.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// Generated users; the [people](crate::people::people) who can sign in are added to them.
    pub users: u64,
    /// Seed of the generated users.
    pub seed: u64,
    /// Port on the loopback address; 0 chooses a free one.
    pub port: u16,
    /// Port of the TLS listener; `None` for no TLS, 0 chooses a free one.
    pub tls_port: Option<u16>,
    /// Duration of an import job, by the tenant's clock.
    pub import_duration: Duration,
    /// Duration of an export job, by the tenant's clock.
    pub export_duration: Duration,
    /// Rate limits of the Management API.
    pub rate_limits: RateLimits,
    /// Lifetime of a download link.
    pub link_lifetime: Duration,
    /// Lifetime of Management API tokens from client credentials.
    pub token_lifetime: Duration,
    /// Time limit of a search; a slower one is refused with 503.
    pub query_timeout: Duration,
    /// Delay after which a change is visible in searches.
    pub search_lag: Duration,
    /// Additional connections, so that there is more than one page of them.
    pub extra_connections: usize,
    /// Scopes granted to the machine-to-machine application.
    pub grants: Vec<String>,
    /// Callback URLs of the login application; empty allows every loopback URL.
    pub callbacks: Vec<String>,
    /// A note on the login page; empty for none.
    pub login_note: String,
    /// Whether violations of the OpenAPI description of the Management API are recorded.
    pub strict: bool,
}

impl Default for TenantSettings {
    fn default() -> Self {
        TenantSettings {
            users: 2000,
            seed: 42,
            port: 0,
            tls_port: None,
            import_duration: Duration::from_millis(300),
            export_duration: Duration::from_millis(300),
            rate_limits: RateLimits::GENEROUS,
            link_lifetime: Duration::from_mins(1),
            token_lifetime: Duration::from_hours(24),
            query_timeout: Duration::from_secs(2),
            search_lag: Duration::ZERO,
            extra_connections: 0,
            grants: ["read:users", "create:users", "read:connections"].map(str::to_owned).to_vec(),
            callbacks: Vec::new(),
            login_note: String::new(),
            strict: true,
        }
    }
}
