//! `demo`: a simulated tenant with users, and a server for it, on loopback.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use rand::distr::{Alphanumeric, SampleString};
use simulated_tenant::people::people;
use simulated_tenant::{Tenant, TenantSettings};

use super::logging::start_logging;
use super::serve::Server;
use crate::config::{Purpose, Settings};
use crate::error::{Code, Error, Result};

/// Options of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Users the simulated tenant has
    #[arg(long, value_name = "N", default_value_t = 2000)]
    users: u64,
    /// Port of the server; 0 lets the system choose
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the simulated tenant; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 3001)]
    tenant_port: u16,
}

/// Settings of the environment that are the same for every tenant.
const KEPT: &[&str] = &[
    "TRANSFORMS_DIR",
    "ARTIFACT_TTL",
    "HISTORY_TTL",
    "UPLOAD_LIMIT",
    "METRICS_TOKEN",
    "SANDBOX_MEMORY",
    "SANDBOX_TIMEOUT",
    "LOG_FORMAT",
];

/// Runs the demo until the process is asked to stop.
///
/// Settings of the environment that say who may enter which tenant at which address do not apply here;
/// the others do. Without `DATA_DIR` everything is forgotten at the end, like the simulated tenant's own
/// users.
pub(super) fn run(arguments: &DemoArgs, config: Option<&Path>) -> Result<ExitCode> {
    if config.is_some() {
        return Err(Error::new(Code::InvalidArgument, "demo has a tenant of its own and takes no --config.")
            .with_hint("`serve --config FILE` serves the tenant that FILE names."));
    }
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let keeps = environment("DATA_DIR").is_some();
    let temporary = tempfile::Builder::new().prefix("user-import-export-demo-").tempdir()?;
    let data_dir = environment("DATA_DIR").unwrap_or_else(|| temporary.path().display().to_string());
    actix_web::rt::System::new().block_on(async {
        // The people who can sign in are users too.
        let generated = arguments.users.saturating_sub(people().len() as u64);
        let settings = TenantSettings { users: generated, port: arguments.tenant_port, ..TenantSettings::default() };
        let tenant = Tenant::start(settings).await.map_err(|error| {
            Error::new(Code::InvalidArgument, format!("--tenant-port {}: {error}", arguments.tenant_port))
        })?;
        let mut variables = vec![
            ("AUTH0_DOMAIN", tenant.url()),
            ("AUTH0_RTA", tenant.url()),
            ("AUTH0_MANAGE_URL", tenant.url()),
            ("AUTH0_CLIENT_ID", tenant.client_id().to_owned()),
            ("AUTH0_CLIENT_SECRET", tenant.client_secret().to_owned()),
            ("EXTENSION_SECRET", Alphanumeric.sample_string(&mut rand::rng(), 48)),
            ("PORT", arguments.port.to_string()),
            ("DATA_DIR", data_dir),
            ("LOG", environment("LOG").unwrap_or_else(|| "warn".to_owned())),
        ];
        let kept: Vec<String> = KEPT.iter().flat_map(|key| [(*key).to_owned(), format!("{key}_FILE")]).collect();
        variables.extend(kept.iter().filter_map(|key| Some((key.as_str(), environment(key)?))));
        let secrets = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.starts_with("SECRET_"));
        let variables = variables.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(secrets);
        let settings = Settings::parse(Purpose::Serve, variables, None)?;
        start_logging(&settings.log, settings.log_format)?;
        let server = Server::start(settings).await?;
        println!("A simulated tenant with {} users runs at {}", arguments.users, tenant.url());
        println!();
        println!("  Open      {}", server.base_url);
        println!("  Sign in   as Ada Admin (admin@acme.example), no password needed");
        println!();
        let forgets = if keeps { "the tenant's changes" } else { "everything" };
        println!("Nothing leaves this machine. Ctrl-C ends the demo and forgets {forgets}.");
        let result = server.run_to_end().await;
        tenant.stop().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}
