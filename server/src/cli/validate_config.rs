//! `validate-config`: checks the settings without starting the server.

use std::path::Path;
use std::process::ExitCode;

use uie_core::config::{ListedSetting, Login, Purpose, Settings};
use uie_core::error::Result;
use uie_core::printable;

/// Checks the settings of `serve` and prints a summary and each setting with its source, without secrets.
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
    print_settings(&settings.listing);
    for warning in settings.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Width up to which values are padded, so that one long value does not move all sources to the right.
const MAX_VALUE_WIDTH: usize = 40;

/// Prints each setting with its value and source, in columns.
fn print_settings(listing: &[ListedSetting]) {
    let values: Vec<_> = listing.iter().map(|setting| printable::line(&setting.value)).collect();
    let name_width = listing.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let value_width = values.iter().map(|value| value.chars().count()).max().unwrap_or_default().min(MAX_VALUE_WIDTH);
    println!("settings:");
    for (setting, value) in listing.iter().zip(values) {
        let source = setting.source.as_ref().map(ToString::to_string).unwrap_or_default();
        let row = format!("  {:name_width$}  {value:value_width$}  {}", setting.name, printable::line(&source));
        println!("{}", row.trim_end());
    }
}
