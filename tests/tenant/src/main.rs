//! `simulated-tenant`: the tenant as a separate process, for clients that are not written in Rust.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;
use simulated_tenant::{RateLimits, Tenant, TenantSettings};

/// A simulated Auth0 tenant on the loopback address. Prints its URLs and credentials as one line of JSON
/// when it is ready, and stops when it is interrupted.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port; 0 chooses a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Port of a TLS listener; 0 chooses a free one.
    #[arg(long)]
    tls_port: Option<u16>,
    /// Number of generated users.
    #[arg(long, default_value_t = 2000)]
    users: u64,
    /// Seed of the generated users.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Additional connections.
    #[arg(long, default_value_t = 0)]
    extra_connections: usize,
    /// Duration of a job in milliseconds.
    #[arg(long, default_value_t = 300)]
    job_ms: u64,
    /// Rate limits.
    #[arg(long, value_enum, default_value_t = Plan::Generous)]
    plan: Plan,
    /// File for the certificate of the TLS listener (PEM).
    #[arg(long)]
    certificate_out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Plan {
    Unlimited,
    Generous,
    Free,
    Essentials,
    Enterprise,
}

#[actix_web::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulated-tenant: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> std::io::Result<()> {
    let duration = Duration::from_millis(arguments.job_ms);
    let tenant = Tenant::start(TenantSettings {
        users: arguments.users,
        seed: arguments.seed,
        port: arguments.port,
        tls_port: arguments.tls_port,
        import_duration: duration,
        export_duration: duration,
        extra_connections: arguments.extra_connections,
        rate_limits: match arguments.plan {
            Plan::Unlimited => RateLimits::UNLIMITED,
            Plan::Generous => RateLimits::GENEROUS,
            Plan::Free => RateLimits::FREE,
            Plan::Essentials => RateLimits::ESSENTIALS,
            Plan::Enterprise => RateLimits::ENTERPRISE,
        },
        ..TenantSettings::default()
    })
    .await?;
    if let (Some(path), Some(certificate)) = (&arguments.certificate_out, tenant.certificate()) {
        std::fs::write(path, certificate)?;
    }
    let ready = json!({
        "url": tenant.url(),
        "tls_url": tenant.tls_url(),
        "client_id": tenant.client_id(),
        "client_secret": tenant.client_secret(),
        "login_client_id": tenant.login_client_id(),
        "login_client_secret": tenant.login_client_secret(),
        "database_connection_id": tenant.database_connection_id(),
    });
    let mut output = std::io::stdout();
    writeln!(output, "{ready}")?;
    output.flush()?;
    tokio::signal::ctrl_c().await?;
    tenant.stop().await;
    Ok(())
}
