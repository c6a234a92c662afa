//! A server for tests that sign in with a browser.

use simulated_tenant::{Control, Tenant, TenantSettings};

use crate::builder::{Login, TestKit};
use crate::program::{Program, free_port};

/// A server with `LOGIN=extension` and a simulated tenant.
#[derive(Debug)]
pub struct Installation {
    program: Program,
    tenant: String,
    /// The tenant of `serve`, which runs in this process. `None` with `demo`.
    own_tenant: Option<Tenant>,
}

impl Installation {
    /// Starts `user-import-export demo` with this many generated users, on free ports.
    pub async fn demo(users: u64) -> Self {
        let (port, tenant_port) = (free_port(), free_port());
        let program = Program::start(&format!("http://127.0.0.1:{port}"), |command| {
            command.args(["demo", "--users", &users.to_string(), "--port", &port.to_string()]);
            command.args(["--tenant-port", &tenant_port.to_string()]);
        })
        .await;
        Self { program, tenant: format!("http://127.0.0.1:{tenant_port}"), own_tenant: None }
    }

    /// Starts `user-import-export serve` for a simulated tenant with this many generated users. `settings` are added to
    /// the required ones.
    pub async fn serve(users: u64, settings: &[(&str, &str)]) -> Self {
        Self::serve_tenant(TenantSettings { users, ..TenantSettings::default() }, settings).await
    }

    /// Starts `user-import-export serve` for a simulated tenant with these settings.
    pub async fn serve_tenant(tenant: TenantSettings, settings: &[(&str, &str)]) -> Self {
        let kit = TestKit::new(tenant).login(Login::ExtensionWithClient).settings(settings).signed_out();
        let server = kit.process().await;
        Self { program: server.program, tenant: server.tenant.url(), own_tenant: Some(server.tenant) }
    }

    /// Returns the URL of a page or route; `path` starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.program.address())
    }

    /// Returns the control of the simulated tenant.
    ///
    /// # Panics
    /// With `demo`, whose tenant runs in another process.
    pub fn control(&self) -> Control {
        self.own_tenant.as_ref().expect("a tenant in this process").control()
    }

    /// Returns the URL of the simulated tenant without a trailing slash.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}
