//! `validate-config`: checks the settings without starting the server.

use std::path::Path;
use std::process::ExitCode;

use uie_core::config::{Login, Purpose, Settings};
use uie_core::error::Result;

/// Checks the settings of `serve` and prints a summary without secrets.
pub(super) fn run(config: Option<&Path>) -> Result<ExitCode> {
    let settings = Settings::load(Purpose::Serve, config)?;
    println!("The settings are valid.");
    println!("  tenant      {}", settings.tenant()?.origin());
    println!("  base URL    {}", settings.base_url(settings.port));
    println!("  listens on  {}:{}", settings.host, settings.port);
    println!("  data        {}", settings.data_dir.display());
    match settings.login {
        Login::Extension => println!("  login       extension, at {}", settings.rta.origin()),
        Login::Tenant => {
            let domain = settings.login_domain.as_ref().unwrap_or(settings.tenant()?);
            println!("  login       tenant, at {}", domain.origin());
        }
    }
    for warning in settings.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
