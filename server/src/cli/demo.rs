//! `demo`: runs a simulated tenant with users, and a server for it, on loopback addresses.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use rand::distr::{Alphanumeric, SampleString};
use simulated_tenant::people::people;
use simulated_tenant::{Tenant, TenantSettings};

use super::logging::start_logging;
use super::serve::Server;
use uie_core::config::{Purpose, Settings};
use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Options of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Number of users of the simulated tenant
    #[arg(long, value_name = "N", default_value_t = 2000)]
    users: u64,
    /// Port of the server; 0 lets the system choose
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the simulated tenant; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 3001)]
    tenant_port: u16,
}

/// Environment variables that also apply to the demo.
const APPLIED_SETTINGS: &[&str] = &[
    "TRANSFORMS_DIR",
    "ARTIFACT_TTL",
    "HISTORY_TTL",
    "UPLOAD_LIMIT",
    "METRICS_TOKEN",
    "SANDBOX_MEMORY",
    "SANDBOX_TIMEOUT",
    "LOG_FORMAT",
];

/// Says on the login page who may enter, so that the accounts of attackers do not look like a gap in the access rules.
const LOGIN_NOTE: &str = "Every account may enter this demo: each of them counts as an administrator of the tenant. A \
    server with LOGIN=tenant admits only those whom ADMIN_SUBJECTS, ADMIN_EMAILS or ADMIN_ROLES names.";

/// Runs the demo until the process is asked to stop.
///
/// Environment variables for the tenant, the admins and the addresses are ignored; the others apply. Without `DATA_DIR`
/// all data is deleted at the end, like the users of the simulated tenant.
pub(super) fn run(arguments: &DemoArgs, config: Option<&Path>) -> Result<ExitCode> {
    if config.is_some() {
        return Err(Error::new(
            Code::InvalidArgument,
            message!("`demo` uses a simulated tenant and does not accept --config."),
        )
        .with_hint(message!("Use `serve --config FILE` for the tenant in FILE.")));
    }
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let has_data_dir = environment("DATA_DIR").is_some();
    let mut temporary = tempfile::Builder::new();
    temporary.prefix("user-import-export-demo-");
    #[cfg(unix)]
    temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let temporary = temporary.tempdir()?;
    let data_dir = environment("DATA_DIR").unwrap_or_else(|| temporary.path().display().to_string());
    actix_web::rt::System::new().block_on(async {
        // The accounts for signing in are users too.
        let generated = arguments.users.saturating_sub(people().len() as u64);
        let settings = TenantSettings {
            users: generated,
            port: arguments.tenant_port,
            login_note: LOGIN_NOTE.to_owned(),
            ..TenantSettings::default()
        };
        let tenant = Tenant::start(settings).await.map_err(|error| {
            Error::new(Code::InvalidArgument, message!("--tenant-port {}: {error}", arguments.tenant_port))
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
        let applied: Vec<String> =
            APPLIED_SETTINGS.iter().flat_map(|key| [(*key).to_owned(), format!("{key}_FILE")]).collect();
        variables.extend(applied.iter().filter_map(|key| Some((key.as_str(), environment(key)?))));
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
        println!("  Sign in   as Ada Admin (admin@acme.example), without a password");
        println!();
        let deleted = if has_data_dir { "the users of the simulated tenant" } else { "all data" };
        println!("No data leaves this machine. Ctrl-C ends the demo and deletes {deleted}.");
        let result = server.run_until_stopped().await;
        tenant.stop().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}
